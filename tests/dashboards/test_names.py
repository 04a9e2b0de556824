"""What an instrument is called in Prometheus."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.metrics.view import Aggregation, ExponentialBucketHistogramAggregation
from opentelemetry.sdk.resources import Resource

from otelbridge.dashboards.names import NATIVE, OTLP, Way, label_name, metric_name, statsd
from otelbridge.metrics.instruments import INSTRUMENTS, REQUEST_DURATION, REQUESTS, Instrument
from tests.stack.process import ask, eventually
from tests.stack.services import Prometheus


@pytest.mark.required
@pytest.mark.parametrize("way", [OTLP, NATIVE], ids=["classic", "native"])
def test_names_are_those_that_prometheus_gives(way: Way, prometheus: Prometheus) -> None:
    """
    Whatever the table has, sent over OTLP, is found in Prometheus under the name and the labels that are asked for.
    """
    job = "classic" if way.has_buckets else "native"
    aggregation: dict[type, Aggregation] = {}
    if not way.has_buckets:
        aggregation[Histogram] = ExponentialBucketHistogramAggregation()
    exporter = OTLPMetricExporter(f"{prometheus.url}/api/v1/otlp/v1/metrics", preferred_aggregation=aggregation)
    provider = MeterProvider([PeriodicExportingMetricReader(exporter)], Resource({"service.name": job}))

    for row in INSTRUMENTS:
        measure(provider.get_meter("test"), row)
    provider.shutdown()

    for row in INSTRUMENTS:
        name = metric_name(row, way) + ("_bucket" if row.kind == "histogram" and way.has_buckets else "")
        labels = eventually(lambda name=name: labels_in(prometheus, f'{name}{{job="{job}"}}'))  # type: ignore[misc]
        assert labels >= {"service_name", *map(label_name, row.attributes)}, row.name


def measure(meter: Meter, row: Instrument) -> None:
    """Make one measurement with all attributes of an instrument."""
    attributes = dict.fromkeys(row.attributes, "x")
    if row.kind == "histogram":
        buckets = None if row.buckets is None else list(row.buckets)
        histogram = meter.create_histogram(row.name, row.unit, explicit_bucket_boundaries_advisory=buckets)
        histogram.record(1, attributes)
    elif row.kind == "counter":
        meter.create_counter(row.name, row.unit).add(1, attributes)
    else:
        meter.create_up_down_counter(row.name, row.unit).add(1, attributes)


def labels_in(prometheus: Prometheus, selector: str) -> set[str]:
    """The labels of the series that Prometheus has."""
    answer: dict[str, Any] = ask(f"{prometheus.url}/api/v1/series?match[]={quote(selector)}")
    return {label for series in answer["data"] for label in series}


@pytest.mark.parametrize(
    ("row", "way", "name"),
    [
        (REQUEST_DURATION, OTLP, "http_server_request_duration_seconds"),
        (REQUEST_DURATION, statsd(), "http_server_request_duration"),
        (REQUEST_DURATION, statsd("my.shop"), "my_shop_http_server_request_duration"),
        (REQUESTS, OTLP, "otelbridge_http_requests_total"),
        (REQUESTS, statsd("shop"), "shop_otelbridge_http_requests_total"),
    ],
)
def test_statsd_has_no_unit_and_may_have_a_prefix(row: Instrument, way: Way, name: str) -> None:
    """
    Over StatsD the unit is missing from the name, and the prefix is in front of it.
    """
    assert metric_name(row, way) == name

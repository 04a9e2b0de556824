"""The table of instruments, and its OpenTelemetry form."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from otelbridge.metrics.instruments import (
    INSTRUMENTS,
    KNOWN_METHODS,
    REQUEST_DURATION,
    active_attributes,
    known_methods,
    request_attributes,
)
from otelbridge.metrics.otel import OtelRequestMetrics

ACTIVE = active_attributes(method="GET", scheme="http")
ENDED = request_attributes(method="GET", scheme="http", status=200, route="/a", version="1.1", error_type="X")


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def metrics(reader: InMemoryMetricReader) -> OtelRequestMetrics:
    return OtelRequestMetrics(MeterProvider(metric_readers=[reader], shutdown_on_exit=False).get_meter("test"))


def collect(reader: InMemoryMetricReader) -> dict[str, Any]:
    data = reader.get_metrics_data()
    assert data is not None
    return {metric.name: metric for metric in data.resource_metrics[0].scope_metrics[0].metrics}


def test_every_row_of_the_table_arrives_as_it_is_written(
    metrics: OtelRequestMetrics, reader: InMemoryMetricReader
) -> None:
    """Name, unit, description and attribute names of each point are the table's, and there is nothing else."""
    metrics.started(ACTIVE)
    metrics.ended(0.03, ENDED, ACTIVE)

    found = collect(reader)
    assert found.keys() == {row.name for row in INSTRUMENTS}
    for row in INSTRUMENTS:
        metric = found[row.name]
        (point,) = metric.data.data_points
        assert (metric.unit, metric.description) == (row.unit, row.description)
        assert set(point.attributes) == set(row.attributes)


def test_the_duration_has_the_conventions_buckets(metrics: OtelRequestMetrics, reader: InMemoryMetricReader) -> None:
    """Seconds and the advised bounds: 50 ms do not vanish in the first bucket."""
    metrics.ended(0.03, ENDED, None)

    (point,) = collect(reader)[REQUEST_DURATION.name].data.data_points
    bounds = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
    assert tuple(point.explicit_bounds) == bounds
    assert point.bucket_counts[bounds.index(0.05)] == 1


def test_a_request_that_was_not_counted_in_is_not_counted_out(
    metrics: OtelRequestMetrics, reader: InMemoryMetricReader
) -> None:
    """Without `active` the gauge is left alone."""
    metrics.ended(0.03, ENDED, None)

    assert "http.server.active_requests" not in collect(reader)


def test_what_is_unknown_is_no_attribute() -> None:
    """No status, route or error: no key."""
    attributes = request_attributes(
        method="_OTHER", scheme="https", status=None, route=None, version="2", error_type=None
    )

    assert attributes == {"http.request.method": "_OTHER", "url.scheme": "https", "network.protocol.version": "2"}


def test_known_methods_come_from_the_conventions_or_the_environment() -> None:
    """The variable replaces the list; empty it changes nothing."""
    name = "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS"

    assert known_methods({}) == known_methods({name: " , "}) == KNOWN_METHODS
    assert known_methods({name: "GET,PURGE"}) == {"GET", "PURGE"}


def test_the_api_s_no_ops_are_enough() -> None:
    """With OTEL_SDK_DISABLED or no provider every call does nothing."""
    metrics = OtelRequestMetrics(NoOpMeterProvider().get_meter("test"))

    metrics.started(ACTIVE)
    metrics.ended(0.1, ENDED, ACTIVE)

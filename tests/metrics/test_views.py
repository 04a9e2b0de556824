"""A MeterProvider of the user's: its views, readers and exemplars do with our instruments what they do with any."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from opentelemetry.sdk.metrics import (
    AlwaysOffExemplarFilter,
    Counter,
    Histogram,
    MeterProvider,
    UpDownCounter,
)
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogramDataPoint,
    InMemoryMetricReader,
)
from opentelemetry.sdk.metrics.view import (
    DropAggregation,
    ExplicitBucketHistogramAggregation,
    ExponentialBucketHistogramAggregation,
    View,
)
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import SpanKind

from otelbridge.metrics.instruments import (
    ACTIVE_REQUESTS,
    REQUEST_BODY_SIZE,
    REQUEST_DURATION,
    REQUESTS,
    RESPONSE_BODY_SIZE,
)
from otelbridge.metrics.otel import OtelRequestMetrics
from tests.metrics.support import Request, collect, make_provider, points_of


def record_one(provider: MeterProvider, request: Request | None = None) -> None:
    """Record one request into the instruments of a provider."""
    metrics = OtelRequestMetrics(provider.get_meter("test"))
    request = request or Request()
    metrics.started(request)
    metrics.ended(request, counted=True)


def collect_with(*views: View) -> dict[str, Any]:
    """Record one request, and return what a provider with these views collects."""
    reader = InMemoryMetricReader()
    record_one(make_provider(reader, views=views))
    return dict(collect(reader))


def test_a_view_renames() -> None:
    """The duration under a name of the user's, and no more under ours."""
    found = collect_with(View(instrument_name=REQUEST_DURATION.name, name="shop.latency"))

    assert found["shop.latency"].unit == "s"
    assert REQUEST_DURATION.name not in found


def test_a_view_without_buckets_keeps_the_advised_ones() -> None:
    """Renaming is no reason to fall back to the SDK's buckets."""
    found = collect_with(View(instrument_name=REQUEST_DURATION.name, name="shop.latency"))

    (point,) = found["shop.latency"].data.data_points
    assert point.explicit_bounds == REQUEST_DURATION.buckets


def test_a_view_drops_attributes() -> None:
    """With `attribute_keys` requests of two routes are one series."""
    reader = InMemoryMetricReader()
    view = View(instrument_name=REQUESTS.name, attribute_keys={"http.request.method"})
    provider = make_provider(reader, views=[view])

    record_one(provider, Request(route="/a"))
    record_one(provider, Request(route="/b"))

    (point,) = points_of(reader, REQUESTS.name)
    assert (dict(point.attributes), point.value) == ({"http.request.method": "GET"}, 2)


def test_a_view_has_other_buckets() -> None:
    """The user's buckets win over the advised ones."""
    found = collect_with(
        View(instrument_name=REQUEST_DURATION.name, aggregation=ExplicitBucketHistogramAggregation([0.02, 0.2]))
    )

    (point,) = found[REQUEST_DURATION.name].data.data_points
    assert (point.explicit_bounds, point.bucket_counts) == ((0.02, 0.2), (0, 1, 0))


def test_a_view_drops_an_instrument() -> None:
    """What is dropped has no points; the others have."""
    found = collect_with(View(instrument_name="http.server.*.body.size", aggregation=DropAggregation()))

    assert found.keys() == {REQUEST_DURATION.name, REQUESTS.name, ACTIVE_REQUESTS.name}


def test_a_view_makes_exponential_histograms() -> None:
    """Base-2 exponential buckets instead of the advised ones."""
    found = collect_with(
        View(instrument_name=REQUEST_DURATION.name, aggregation=ExponentialBucketHistogramAggregation())
    )

    (point,) = found[REQUEST_DURATION.name].data.data_points
    assert isinstance(point, ExponentialHistogramDataPoint)
    assert point.count == 1


def test_a_reader_prefers_exponential_histograms() -> None:
    """The reader's preference takes all three histograms, the counter and the gauge stay."""
    reader = InMemoryMetricReader(preferred_aggregation={Histogram: ExponentialBucketHistogramAggregation()})
    record_one(make_provider(reader))

    exponential = {
        name
        for name, metric in collect(reader).items()
        if isinstance(next(iter(metric.data.data_points)), ExponentialHistogramDataPoint)
    }
    assert exponential == {REQUEST_DURATION.name, REQUEST_BODY_SIZE.name, RESPONSE_BODY_SIZE.name}


def test_two_readers_each_have_their_temporality() -> None:
    """One sums up since the beginning, one since its last collection; neither takes from the other."""
    cumulative = InMemoryMetricReader()
    delta = InMemoryMetricReader(
        preferred_temporality=dict.fromkeys((Counter, Histogram), AggregationTemporality.DELTA)
    )
    provider = make_provider(cumulative, delta)

    counts = []
    for _ in range(2):
        record_one(provider)
        counts.append([points_of(reader, REQUEST_DURATION.name)[0].count for reader in (cumulative, delta)])

    assert counts == [[1, 1], [2, 1]]


def test_active_requests_are_right_in_delta_temporality() -> None:
    """Down is a delta, too: +1, then -1."""
    reader = InMemoryMetricReader(preferred_temporality={UpDownCounter: AggregationTemporality.DELTA})
    metrics = OtelRequestMetrics(make_provider(reader).get_meter("test"))

    metrics.started(Request())
    up = points_of(reader, ACTIVE_REQUESTS.name)[0].value
    metrics.ended(Request(), counted=True)
    down = points_of(reader, ACTIVE_REQUESTS.name)[0].value

    assert (up, down) == (1, -1)


@pytest.mark.parametrize("row", [REQUEST_DURATION, REQUESTS], ids=lambda row: row.name)
def test_exemplars_have_the_server_span_s_ids(row: Any) -> None:
    """A point's exemplar opens the trace of its request."""
    reader = InMemoryMetricReader()
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")

    with tracer.start_as_current_span("GET /items/{id}", kind=SpanKind.SERVER) as span:
        record_one(make_provider(reader))

    (point,) = points_of(reader, row.name)
    (exemplar,) = point.exemplars
    context = span.get_span_context()
    assert (exemplar.trace_id, exemplar.span_id) == (context.trace_id, context.span_id)


def test_an_exemplar_keeps_what_the_view_dropped() -> None:
    """The route that is no label any more is still on the example of the trace."""
    reader = InMemoryMetricReader()
    view = View(instrument_name=REQUEST_DURATION.name, attribute_keys=set())
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")

    with tracer.start_as_current_span("GET"):
        record_one(make_provider(reader, views=[view]))

    (point,) = points_of(reader, REQUEST_DURATION.name)
    assert point.exemplars[0].filtered_attributes["http.route"] == "/items/{id}"


def test_the_user_s_exemplar_filter_is_obeyed() -> None:
    """`always_off` means none, inside a sampled span, too."""
    reader = InMemoryMetricReader()
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")

    with tracer.start_as_current_span("GET"):
        record_one(make_provider(reader, exemplar_filter=AlwaysOffExemplarFilter()))

    assert not points_of(reader, REQUEST_DURATION.name)[0].exemplars


def test_a_provider_that_was_shut_down_is_harmless() -> None:
    """Requests after the user's shutdown raise nothing."""
    reader = InMemoryMetricReader()
    provider = make_provider(reader)
    metrics = OtelRequestMetrics(provider.get_meter("test"))
    provider.shutdown()

    metrics.started(Request())
    metrics.ended(Request(), counted=True)


def test_points_of_an_instrumented_app_go_to_the_user_s_provider() -> None:
    """A MeterProvider that was set before instrument() gets the points; ours does not replace it."""
    code = """
import asyncio
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

reader = InMemoryMetricReader()
provider = MeterProvider(metric_readers=[reader])
metrics.set_meter_provider(provider)

import otelbridge

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})

async def call(*message):
    return {"type": "http.request"}

otelbridge.configure(logs="none", traces="none")
scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "scheme": "http", "http_version": "1.1"}
asyncio.run(otelbridge.instrument(app)(scope, call, call))

assert metrics.get_meter_provider() is provider
(scope_metrics,) = reader.get_metrics_data().resource_metrics[0].scope_metrics
print(scope_metrics.scope.name, *sorted(metric.name for metric in scope_metrics.metrics))
"""

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert result.returncode == 0, result.stderr
    scope, *names = result.stdout.split()
    requests = {row.name for row in (REQUEST_DURATION, REQUEST_BODY_SIZE, RESPONSE_BODY_SIZE, REQUESTS)}
    assert scope == "otelbridge"
    assert requests | {ACTIVE_REQUESTS.name} <= set(names)

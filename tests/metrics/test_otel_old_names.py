"""OTEL_SEMCONV_STABILITY_OPT_IN=http/dup: what OpenTelemetry's own instrumentation of ASGI makes is the measure."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from opentelemetry.instrumentation._semconv import _OpenTelemetrySemanticConventionStability
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Metric
from opentelemetry.trace import NoOpTracerProvider

from otelbridge.access.asgi import ASGIApp, Instrumented, Receive, Scope, Send
from otelbridge.access.observe import Observer
from otelbridge.access.options import Settings
from otelbridge.metrics.instruments import (
    ACTIVE_REQUESTS,
    OLD_DURATION,
    OLD_INSTRUMENTS,
    OLD_REQUEST_SIZE,
    OLD_RESPONSE_SIZE,
    REQUEST_BODY_SIZE,
    REQUEST_DURATION,
    REQUESTS,
    RESPONSE_BODY_SIZE,
    Instrument,
)
from otelbridge.metrics.otel import OtelRequestMetrics
from tests.access.support import answer, exchange, http_scope
from tests.metrics.support import Request, collect, make_provider, points_of

OLD_NAMES = [row.name for row in OLD_INSTRUMENTS]
# The client's word, or the server's own: on no instrument of ours.
HOSTS = {"http.host", "http.server_name", "net.host.name", "net.host.port"}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a GET as a FastAPI route would."""
    scope["route"] = SimpleNamespace(path_format="/items/{id}")
    await receive()
    await answer(send, b"hello", headers=[(b"content-length", b"5")])


def serve(served: ASGIApp) -> None:
    scope = http_scope("/items/7", headers=[(b"host", b"shop"), (b"content-length", b"0")])
    result = asyncio.run(exchange(served, scope))
    assert result.error is None


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> dict[str, Metric]:
    """One GET through OpenTelemetry's middleware: name -> metric."""
    # It reads the variable once per process.
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http/dup")
    monkeypatch.setattr(_OpenTelemetrySemanticConventionStability, "_initialized", False)
    monkeypatch.setattr(_OpenTelemetrySemanticConventionStability, "_OTEL_SEMCONV_STABILITY_SIGNAL_MAPPING", {})
    reader = InMemoryMetricReader()
    serve(OpenTelemetryMiddleware(app, meter_provider=make_provider(reader), tracer_provider=NoOpTracerProvider()))
    return collect(reader)


@pytest.fixture
def ours() -> dict[str, Metric]:
    """The same GET through ours."""
    reader = InMemoryMetricReader()
    metrics = OtelRequestMetrics(make_provider(reader).get_meter("test"), old_names=True)
    serve(Instrumented(app, Observer(Settings(), logger=None, tracer=None, metrics=metrics)))
    return collect(reader)


def the_point(metric: Metric) -> Any:
    (point,) = metric.data.data_points
    return point


def test_there_are_the_same_instruments(ours: dict[str, Metric], theirs: dict[str, Metric]) -> None:
    """Old and new, and beside them only our counter."""
    assert ours.keys() - theirs.keys() == {REQUESTS.name}
    assert theirs.keys() <= ours.keys()


def test_units_are_the_same(ours: dict[str, Metric], theirs: dict[str, Metric]) -> None:
    """Of every instrument: milliseconds for the old duration, seconds for the stable one."""
    assert {name: ours[name].unit for name in theirs} == {name: metric.unit for name, metric in theirs.items()}


@pytest.mark.parametrize("name", [*OLD_NAMES, ACTIVE_REQUESTS.name])
def test_old_attributes_are_the_same_but_for_hosts(
    name: str, ours: dict[str, Metric], theirs: dict[str, Metric]
) -> None:
    """Names and values alike, the route as `http.target`; what names hosts is left out, since `Host:` is the client's
    word. Active requests are one instrument with both names.
    """
    expected = {key: value for key, value in the_point(theirs[name]).attributes.items() if key not in HOSTS}

    assert dict(the_point(ours[name]).attributes) == expected


@pytest.mark.parametrize("row", [REQUEST_DURATION, REQUEST_BODY_SIZE, RESPONSE_BODY_SIZE], ids=lambda row: row.name)
def test_stable_attributes_are_the_same_and_the_route(
    row: Instrument, ours: dict[str, Metric], theirs: dict[str, Metric]
) -> None:
    """Names and values alike; theirs for plain ASGI keep the route to the old instruments."""
    expected = {**the_point(theirs[row.name]).attributes, "http.route": "/items/{id}"}

    assert dict(the_point(ours[row.name]).attributes) == expected


@pytest.mark.parametrize("row", [OLD_REQUEST_SIZE, OLD_RESPONSE_SIZE], ids=lambda row: row.name)
def test_old_sizes_are_the_same(row: Instrument, ours: dict[str, Metric], theirs: dict[str, Metric]) -> None:
    """Bytes that passed are what Content-Length promised, where it was true."""
    found, expected = the_point(ours[row.name]), the_point(theirs[row.name])

    assert (found.count, found.sum, found.bucket_counts) == (expected.count, expected.sum, expected.bucket_counts)


def test_buckets_are_the_same_where_theirs_are_of_use(ours: dict[str, Metric], theirs: dict[str, Metric]) -> None:
    """All but those of the stable body sizes, which end at 10 kB there."""
    for name in (*OLD_NAMES, REQUEST_DURATION.name):
        assert tuple(the_point(ours[name]).explicit_bounds) == tuple(the_point(theirs[name]).explicit_bounds)


def test_the_old_duration_is_in_milliseconds() -> None:
    """30 ms are 30."""
    reader = InMemoryMetricReader()
    metrics = OtelRequestMetrics(make_provider(reader).get_meter("test"), old_names=True)

    metrics.ended(Request(duration_ns=30_000_000), counted=False)

    assert points_of(reader, OLD_DURATION.name)[0].sum == 30


def test_active_requests_are_counted_once_under_both_names() -> None:
    """One series, back at 0."""
    reader = InMemoryMetricReader()
    metrics = OtelRequestMetrics(make_provider(reader).get_meter("test"), old_names=True)

    metrics.started(Request())
    metrics.ended(Request(), counted=True)

    (point,) = points_of(reader, ACTIVE_REQUESTS.name)
    assert point.value == 0


def test_without_it_there_are_no_old_names() -> None:
    """The default records the stable instruments only."""
    reader = InMemoryMetricReader()
    metrics = OtelRequestMetrics(make_provider(reader).get_meter("test"))

    metrics.ended(Request(), counted=False)

    assert not collect(reader).keys() & set(OLD_NAMES)

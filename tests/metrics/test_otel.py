"""The table through OpenTelemetry's instruments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import ObservableCounter
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader

from otelbridge.metrics.instruments import (
    ACTIVE_REQUESTS,
    ACTIVE_SESSIONS,
    INSTRUMENTS,
    LOG_RECORDS,
    OLD_INSTRUMENTS,
    OVERFLOW,
    REQUEST_DURATION,
    REQUESTS,
    SESSION_DURATION,
    SESSION_IO,
    SESSION_MESSAGES,
    SETS_MAX,
    Instrument,
)
from otelbridge.metrics.otel import OtelRequestMetrics, register_log_records
from tests.metrics.support import Request, Session, collect, make_provider, points_of

ADVISED_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def metrics(reader: InMemoryMetricReader) -> OtelRequestMetrics:
    return OtelRequestMetrics(make_provider(reader).get_meter("test"))


def test_every_row_of_the_table_arrives_as_it_is_written(reader: InMemoryMetricReader) -> None:
    """Name, unit, description, buckets and attribute names of each point are the table's, and there is nothing else."""
    meter = make_provider(reader).get_meter("test")
    metrics = OtelRequestMetrics(meter)
    register_log_records(meter, lambda: {"INFO": 1})

    metrics.started(Request())
    metrics.ended(Request(error_type="KeyError"), counted=True)
    metrics.session_started(Session())
    metrics.session_ended(Session(error_type="KeyError"), counted=True)

    found = collect(reader)
    assert found.keys() == {row.name for row in INSTRUMENTS}
    for row in INSTRUMENTS:
        metric = found[row.name]
        assert (metric.unit, metric.description) == (row.unit, row.description)
        for point in metric.data.data_points:
            assert set(point.attributes or {}) == set(row.attributes)
            assert getattr(point, "explicit_bounds", None) == row.buckets


def exported_duration(reader: InMemoryMetricReader) -> Any:
    """The metric as the official exporter sends it."""
    data = reader.get_metrics_data()
    assert data is not None
    (scope,) = encode_metrics(data).resource_metrics[0].scope_metrics
    (metric,) = [metric for metric in scope.metrics if metric.name == REQUEST_DURATION.name]
    return metric


def test_the_exported_duration_has_the_conventions_unit_and_buckets(
    metrics: OtelRequestMetrics, reader: InMemoryMetricReader
) -> None:
    """Seconds and the advised bounds on the wire: not the SDK's own, which are meant for milliseconds."""
    metrics.ended(Request(), counted=False)

    metric = exported_duration(reader)
    assert metric.unit == "s"
    assert tuple(metric.histogram.data_points[0].explicit_bounds) == ADVISED_BOUNDS


def test_the_p95_of_a_50_ms_load_is_below_100_ms(metrics: OtelRequestMetrics, reader: InMemoryMetricReader) -> None:
    """From the exported buckets, interpolated as Prometheus does it: not 4.75 s (features.md §6, pains.md C7)."""
    for ms in range(45, 56):
        metrics.ended(Request(duration_ns=ms * 1_000_000), counted=False)

    (point,) = exported_duration(reader).histogram.data_points
    assert 0.05 < quantile(0.95, point.bucket_counts, point.explicit_bounds) < 0.1


def quantile(share: float, counts: list[int], bounds: list[float]) -> float:
    """`histogram_quantile`: linear within the bucket that the rank falls into."""
    rank = share * sum(counts)
    below = 0
    for count, lower, upper in zip(counts, [0.0, *bounds], [*bounds, bounds[-1]], strict=True):
        if below + count >= rank:
            return lower + (upper - lower) * (rank - below) / count
        below += count
    raise AssertionError


def test_what_was_counted_in_is_counted_out(metrics: OtelRequestMetrics, reader: InMemoryMetricReader) -> None:
    """Requests and sessions are back at 0, whatever was learnt of them meanwhile."""
    metrics.started(Request(route=None, status=None))
    metrics.ended(Request(status=500, error_type="KeyError"), counted=True)
    metrics.session_started(Session(route=None, status=None))
    metrics.session_ended(Session(error_type="KeyError"), counted=True)

    found = collect(reader)
    for row in (ACTIVE_REQUESTS, ACTIVE_SESSIONS):
        assert [point.value for point in points(found[row.name])] == [0]


def points(metric: Any) -> list[Any]:
    return list(metric.data.data_points)


def test_what_was_not_counted_in_is_not_counted_out(metrics: OtelRequestMetrics, reader: InMemoryMetricReader) -> None:
    """Without `counted` the gauges are left alone."""
    metrics.ended(Request(), counted=False)
    metrics.session_ended(Session(), counted=False)

    assert not collect(reader).keys() & {ACTIVE_REQUESTS.name, ACTIVE_SESSIONS.name}


def test_a_session_counts_messages_and_bytes_each_way(
    metrics: OtelRequestMetrics, reader: InMemoryMetricReader
) -> None:
    """`network.io.direction` tells them apart; a session is in no request's instrument."""
    metrics.session_ended(Session(request_body_size=30, response_body_size=20), counted=False)

    found = collect(reader)
    ways = {
        row.name: {point.attributes["network.io.direction"]: point.value for point in points(found[row.name])}
        for row in (SESSION_MESSAGES, SESSION_IO)
    }
    assert ways == {
        SESSION_MESSAGES.name: {"receive": 3, "transmit": 2},
        SESSION_IO.name: {"receive": 30, "transmit": 20},
    }
    assert found.keys() == {SESSION_MESSAGES.name, SESSION_IO.name, SESSION_DURATION.name}


def test_the_api_s_no_ops_are_enough() -> None:
    """With OTEL_SDK_DISABLED or no provider every call does nothing, and raises nothing."""
    meter = NoOpMeterProvider().get_meter("test")
    metrics = OtelRequestMetrics(meter, old_names=True)
    register_log_records(meter, dict)

    metrics.started(Request())
    metrics.ended(Request(), counted=True)
    metrics.session_started(Session())
    metrics.session_ended(Session(), counted=True)


def end_request(metrics: OtelRequestMetrics, route: str) -> None:
    metrics.ended(Request(route=route), counted=False)


def end_session(metrics: OtelRequestMetrics, route: str) -> None:
    metrics.session_ended(Session(route=route), counted=False)


@pytest.mark.parametrize(
    ("end", "row"),
    [
        (end_request, REQUEST_DURATION),
        (end_request, REQUESTS),
        (end_session, SESSION_DURATION),
        (end_session, SESSION_IO),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_series_are_capped(
    end: Callable[[OtelRequestMetrics, str], None],
    row: Instrument,
    metrics: OtelRequestMetrics,
    reader: InMemoryMetricReader,
) -> None:
    """An app that makes up routes has SETS_MAX series, and one with `otel.metric.overflow` for the rest."""
    for number in range(SETS_MAX + 100):
        end(metrics, f"/made/up/{number}")

    series = points_of(reader, row.name)
    assert len(series) == SETS_MAX + 1
    assert [dict(point.attributes) for point in series].count(dict(OVERFLOW)) == 1


def test_the_overflow_keeps_the_totals(metrics: OtelRequestMetrics, reader: InMemoryMetricReader) -> None:
    """What came too late is counted in the overflow series; what was known before goes on where it was."""
    for number in range(SETS_MAX + 100):
        end_request(metrics, f"/made/up/{number}")
    end_request(metrics, "/made/up/0")

    counts = {point.attributes.get("http.route"): point.value for point in points_of(reader, REQUESTS.name)}
    assert counts[None] == 100
    assert counts["/made/up/0"] == 2
    assert sum(counts.values()) == SETS_MAX + 101


def test_old_series_are_capped_with_the_new(reader: InMemoryMetricReader) -> None:
    """`http/dup` doubles the series, not the limit."""
    metrics = OtelRequestMetrics(make_provider(reader).get_meter("test"), old_names=True)

    for number in range(SETS_MAX + 100):
        end_request(metrics, f"/made/up/{number}")

    found = collect(reader)
    assert [len(points(found[row.name])) for row in OLD_INSTRUMENTS] == [SETS_MAX + 1] * 3


def test_log_records_are_counted_by_level(reader: InMemoryMetricReader) -> None:
    """The callable is asked at each collection; cumulative points are its totals."""
    counts = {"INFO": 3}
    register_log_records(make_provider(reader).get_meter("test"), lambda: counts)

    first = levels(reader)
    counts.update(INFO=5, ERROR=1)
    second = levels(reader)

    assert (first, second) == ({"INFO": 3}, {"INFO": 5, "ERROR": 1})


def levels(reader: InMemoryMetricReader) -> dict[str, int]:
    return {point.attributes["log.level"]: point.value for point in points_of(reader, LOG_RECORDS.name)}


def test_delta_log_records_are_what_came_since() -> None:
    """A reader that prefers deltas gets the difference, and 0 when nothing was logged."""
    reader = InMemoryMetricReader(preferred_temporality={ObservableCounter: AggregationTemporality.DELTA})
    counts = {"INFO": 3}
    register_log_records(make_provider(reader).get_meter("test"), lambda: counts)

    first = levels(reader)
    counts["INFO"] = 5
    second, third = levels(reader), levels(reader)

    assert (first, second, third) == ({"INFO": 3}, {"INFO": 2}, {"INFO": 0})


def test_log_records_are_registered_once_per_meter(reader: InMemoryMetricReader) -> None:
    """Two instrumented apps in one process do not count each record twice."""
    meter = make_provider(reader).get_meter("test")
    register_log_records(meter, lambda: {"INFO": 3})
    register_log_records(meter, lambda: {"INFO": 3})

    assert levels(reader) == {"INFO": 3}


def test_instruments_are_made_once_per_meter(reader: InMemoryMetricReader) -> None:
    """Two instrumented apps in one process record into the same series (pains.md A19)."""
    meter = make_provider(reader).get_meter("test")
    for _ in range(2):
        OtelRequestMetrics(meter).ended(Request(), counted=False)

    data = reader.get_metrics_data()
    assert data is not None
    metrics = data.resource_metrics[0].scope_metrics[0].metrics
    (duration,) = [metric for metric in metrics if metric.name == REQUEST_DURATION.name]
    assert [point.count for point in points(duration)] == [2]

"""The bounded store of what was received."""

from __future__ import annotations

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue, KeyValueList
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from otelbridge.viewer import store as limits
from otelbridge.viewer.store import Store, quantile
from tests.viewer.requests import (
    CHILD_ID,
    DELTA,
    SPAN_ID,
    TRACE_ID,
    access_record,
    duration_point,
    log_record,
    logs,
    metrics,
    span,
    traces,
)


class Clock:
    """A clock that stands still until it is set."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_log_record_is_kept_as_sent() -> None:
    """A log record keeps its time, level, body, ids, service and typed attributes."""
    store = Store()

    store.add_logs(logs(log_record("hi", attributes={"n": 3, "f": 0.5, "b": True, "s": "x"})))

    (line,), skipped_count, position = store.lines_since(0)
    assert (skipped_count, position) == (0, 1)
    assert (line.level, line.body, line.service) == ("INFO", "hi", "shop")
    assert (line.trace_id, line.span_id) == (TRACE_ID, SPAN_ID)
    assert line.attributes == {"n": 3, "f": 0.5, "b": True, "s": "x"}


def test_record_without_ids_has_none() -> None:
    """Absent ids and ids of zeros are both no ids, and make no trace."""
    store = Store()

    store.add_logs(logs(log_record(trace_id=""), log_record(trace_id="00" * 16)))

    assert [line.trace_id for line in store.lines_since(0)[0]] == ["", ""]
    assert store.trace_count() == 0
    assert store.counts().logs_with_trace == 0


def test_reader_continues_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call returns only new lines, and says how many went by unseen."""
    monkeypatch.setattr(limits, "LINE_COUNT_MAX", 3)
    store = Store()
    store.add_logs(logs(log_record("a")))
    _, _, position = store.lines_since(0)

    store.add_logs(logs(*(log_record(str(number)) for number in range(5))))

    lines, skipped_count, position = store.lines_since(position)
    assert ([line.body for line in lines], skipped_count) == (["2", "3", "4"], 2)
    assert store.lines_since(position) == ([], 0, position)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines, traces, what a trace holds, routes and series each stop at their limit; the counts go on."""
    for name in ("LINE_COUNT_MAX", "TRACE_COUNT_MAX", "PER_TRACE_COUNT_MAX", "ROUTE_COUNT_MAX", "SERIES_COUNT_MAX"):
        monkeypatch.setattr(limits, name, 4)
    store = Store()

    for number in range(20):
        trace_id = f"{number + 1:032x}"
        store.add_logs(logs(*(log_record(trace_id=trace_id) for _ in range(9))))
        store.add_logs(logs(access_record(route=f"/a{number}", trace_id=trace_id)))
        store.add_metrics(metrics(duration_point(1, route=f"/b{number}")))

    assert len(store.lines_since(0)[0]) == 4
    assert store.trace_count() == 4
    assert len(store.routes()) == 5  # one of them pools the rest
    assert sum(state.request_count for state in store.routes()) == 4
    assert (store.counts().logs, store.counts().points) == (200, 20)


def test_large_records_are_bounded_by_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many large records push out older ones; one that is too large is kept without its attributes, its text cut."""
    monkeypatch.setattr(limits, "KEPT_SIZE_MAX", 50_000)
    store = Store()

    store.add_logs(logs(*(log_record("x" * 20_000) for _ in range(10))))
    store.add_logs(logs(log_record(attributes={f"k{number}": "y" * 20_000 for number in range(20)})))

    lines, skipped_count, _ = store.lines_since(0)
    assert len(lines) + skipped_count == 11
    assert len(lines) < 3

    monkeypatch.undo()
    store.add_logs(logs(log_record(attributes={f"k{number}": "y" * 20_000 for number in range(20)})))
    assert list(store.lines_since(0)[0][-1].attributes) == ["otelbridge.viewer"]


def test_nested_value_is_cut() -> None:
    """Deep and long values end at their limits instead of growing without end."""
    deep = AnyValue(string_value="bottom")
    for _ in range(20):
        deep = AnyValue(array_value=ArrayValue(values=[deep]))
    wide = AnyValue(kvlist_value=KeyValueList(values=[KeyValue(key=str(number)) for number in range(500)]))
    record = LogRecord(attributes=[KeyValue(key="deep", value=deep), KeyValue(key="wide", value=wide)])
    store = Store()

    store.add_logs(logs(record))

    attributes = store.lines_since(0)[0][0].attributes
    assert attributes["deep"] == [[[[["…"]]]]]
    wide_kept = attributes["wide"]
    assert isinstance(wide_kept, dict)
    assert len(wide_kept) == limits.ELEMENT_COUNT_MAX


def test_trace_is_complete_with_three_signals() -> None:
    """A trace counts as complete only when a log record, a span and a metric point's exemplar carry its id."""
    store = Store()
    store.add_logs(logs(log_record()))
    store.add_traces(traces(span()))
    store.add_metrics(metrics(duration_point(1)))
    assert store.complete_trace() is None

    store.add_metrics(metrics(duration_point(2, trace_id=TRACE_ID)))

    trace = store.complete_trace()
    assert trace is not None
    assert trace.trace_id == TRACE_ID
    assert (len(trace.logs), len(trace.spans), len(trace.exemplars)) == (1, 1, 1)
    assert store.counts().points_with_trace == 1


def test_complete_trace_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The complete trace stays known after thousands of others came."""
    monkeypatch.setattr(limits, "TRACE_COUNT_MAX", 2)
    store = Store()
    store.add_logs(logs(log_record()))
    store.add_traces(traces(span(), span("child", span_id=CHILD_ID, parent_id=SPAN_ID)))
    store.add_metrics(metrics(duration_point(1, trace_id=TRACE_ID)))

    store.add_logs(logs(*(log_record(trace_id=f"{number + 1:032x}") for number in range(10))))

    trace = store.complete_trace()
    assert trace is not None
    assert trace.trace_id == TRACE_ID


def test_cumulative_points_are_not_counted_twice() -> None:
    """Of cumulative points only the growth counts, also across a restart of the sender."""
    store = Store()
    for point in (
        duration_point(2, buckets=(2, 0, 0)),
        duration_point(5, buckets=(3, 2, 0)),
        duration_point(1, buckets=(1, 0, 0), start_ns=2),
    ):
        store.add_metrics(metrics(point))

    (state,) = store.routes()
    assert (state.method, state.route, state.request_count) == ("GET", "/products/{name}", 6)
    assert state.buckets == (4, 2, 0)


def test_delta_points_add_up() -> None:
    """Delta points are added."""
    store = Store()
    for _ in range(3):
        store.add_metrics(metrics(duration_point(2), temporality=DELTA))

    assert store.routes()[0].request_count == 6


def test_errors_are_5xx() -> None:
    """A 5xx answer is an error of its route; a 404 is not."""
    store = Store()
    store.add_metrics(metrics(duration_point(5), duration_point(2, status=404), duration_point(1, status=503)))

    (state,) = store.routes()
    assert (state.request_count, state.error_count) == (8, 1)


def test_rate_is_over_the_last_seconds() -> None:
    """The rate is that of the last ten seconds, and falls to nothing when the requests stop."""
    clock = Clock()
    store = Store(clock=clock)
    for second in range(31):
        clock.now_s = float(second)
        store.add_metrics(metrics(duration_point(3 * second)))

    assert store.routes()[0].rate_per_s == pytest.approx(3.0)
    clock.now_s = 60.0
    assert store.routes()[0].rate_per_s == 0.0


def test_durations_come_from_access_records() -> None:
    """p50 and p95 are exact values of the recent access records, and unknown before the first."""
    store = Store()
    store.add_metrics(metrics(duration_point(1)))
    assert store.routes()[0].median_s is None

    store.add_logs(logs(*(access_record(duration_s=number / 1000) for number in range(1, 101))))

    (state,) = store.routes()
    assert (state.median_s, state.p95_s) == (0.05, 0.095)


def test_other_metrics_make_no_route() -> None:
    """A histogram of another name is counted, and is no row of the table."""
    store = Store()
    store.add_metrics(metrics(duration_point(1), name="db.client.operation.duration"))

    assert store.counts().points == 1
    assert store.routes() == []


@pytest.mark.parametrize(("share", "expected"), [(0.5, 2.0), (0.95, 4.0), (0.0, 1.0), (1.0, 4.0)])
def test_quantile_is_a_value_that_occurred(share: float, expected: float) -> None:
    """Quantiles are nearest-rank: a measured value, never one in between."""
    assert quantile([1.0, 2.0, 3.0, 4.0], share) == expected
    assert quantile([], share) is None

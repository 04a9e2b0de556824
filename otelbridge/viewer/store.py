"""What was received, in bounded memory: recent log lines, traces, and the state of each route. Draws nothing.

Everything comes from processes that are not ours: each value is cut to size on the way in, each collection has a limit.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from bisect import bisect_left
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1 import trace_pb2

ACCESS_EVENT = "http.server.access"
SESSION_EVENT = "websocket.session"
DURATION_METRIC = "http.server.request.duration"
RATE_WINDOW_S = 10.0

LINE_COUNT_MAX = 1_000
TRACE_COUNT_MAX = 512
PER_TRACE_COUNT_MAX = 64
ROUTE_COUNT_MAX = 100
SERIES_COUNT_MAX = 2_000
DURATION_COUNT_MAX = 512  # recent access records per route, for the quantiles
KEPT_SIZE_MAX = 8 * 1024 * 1024  # bytes on the wire of all kept lines, and as much of all kept traces
RECORD_SIZE_MAX = 256 * 1024  # bytes on the wire; a larger record or span is kept without its attributes
BUCKET_COUNT_MAX = 256
TEXT_SIZE_MAX = 8_192  # characters of one value
ATTRIBUTE_COUNT_MAX = 64
ELEMENT_COUNT_MAX = 64
DEPTH_MAX = 5

Value = str | int | float | bool | bytes | None | list["Value"] | dict[str, "Value"]
Attributes = Mapping[str, Value]
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class LogLine:
    """A log record as received; `trace_id` and `span_id` in hex, empty when it has none; time in ns since the epoch."""

    time_ns: int
    severity_number: int
    level: str
    body: str
    trace_id: str = ""
    span_id: str = ""
    event_name: str = ""
    service: str = ""
    attributes: Attributes = field(default_factory=dict)
    size: int = 0  # bytes on the wire


@dataclass(frozen=True, slots=True)
class Span:
    """A finished span as received; ids in hex, `parent_id` empty for a root; times in ns since the epoch."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    start_ns: int
    end_ns: int
    failed: bool
    service: str = ""
    attributes: Attributes = field(default_factory=dict)
    size: int = 0  # bytes on the wire

    @property
    def duration_s(self) -> float:
        """How long it took, in seconds."""
        return max(0, self.end_ns - self.start_ns) / 1e9


@dataclass(frozen=True, slots=True)
class Exemplar:
    """The one measured value that a metric point shows with its trace."""

    metric: str
    unit: str
    value: float
    trace_id: str
    span_id: str
    attributes: Attributes = field(default_factory=dict)


@dataclass(slots=True)
class Trace:
    """What arrived under one trace id."""

    trace_id: str
    logs: list[LogLine] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    exemplars: list[Exemplar] = field(default_factory=list)
    size: int = 0  # bytes on the wire of all of them

    @property
    def complete(self) -> bool:
        """Whether all three signals are there."""
        return bool(self.logs and self.spans and self.exemplars)


@dataclass(frozen=True, slots=True)
class Counts:
    """Items received since the start."""

    logs: int = 0
    spans: int = 0
    points: int = 0
    logs_with_trace: int = 0
    points_with_trace: int = 0


@dataclass(frozen=True, slots=True)
class RouteState:
    """Rate, errors, duration of one route; quantiles in seconds, None before the first access record.

    `request_count`, `error_count`, `rate_per_s` and `buckets` come from the points of the duration histogram, the
    quantiles from the access records. An error is a 5xx answer or a request with an `error.type`.
    """

    method: str
    route: str
    request_count: int
    error_count: int
    rate_per_s: float
    median_s: float | None
    p95_s: float | None
    buckets: tuple[int, ...]


class Store:
    """Takes decoded requests from any thread, and answers the one that draws."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._lines: deque[LogLine] = deque()
        self._lines_size = 0
        self._traces_size = 0
        self._traces: OrderedDict[str, Trace] = OrderedDict()
        self._complete: Trace | None = None
        self._routes: dict[tuple[str, str], _Route] = {}
        self._series: dict[bytes, _Series] = {}
        self._log_count = self._span_count = self._point_count = 0
        self._log_with_trace_count = self._point_with_trace_count = 0

    def add_logs(self, request: ExportLogsServiceRequest) -> None:
        """Keep the newest lines, and what they say of traces and routes."""
        lines = [
            _log_line(record, service)
            for part in request.resource_logs
            for service in (_service(part.resource),)
            for scope in part.scope_logs
            for record in scope.log_records
        ]
        with self._lock:
            for line in lines:
                self._log_count += 1
                self._keep_line(line)
                if line.trace_id:
                    self._log_with_trace_count += 1
                    trace = self._trace(line.trace_id)
                    self._keep(trace, trace.logs, line, line.size)
                if line.event_name == ACCESS_EVENT:
                    self._add_access(line)

    def add_traces(self, request: ExportTraceServiceRequest) -> None:
        """Keep the spans of the newest traces."""
        spans = [
            _span(span, service)
            for part in request.resource_spans
            for service in (_service(part.resource),)
            for scope in part.scope_spans
            for span in scope.spans
        ]
        with self._lock:
            for span in spans:
                self._span_count += 1
                if span.trace_id:
                    trace = self._trace(span.trace_id)
                    self._keep(trace, trace.spans, span, span.size)

    def add_metrics(self, request: ExportMetricsServiceRequest) -> None:
        """Count points, keep their exemplars, and bring the routes up to date."""
        with self._lock:
            for part in request.resource_metrics:
                source = hashlib.sha256(part.resource.SerializeToString(deterministic=True)).digest()
                for scope in part.scope_metrics:
                    for metric in scope.metrics:
                        self._add_metric(source, metric)

    def counts(self) -> Counts:
        """How much arrived."""
        with self._lock:
            return Counts(
                logs=self._log_count,
                spans=self._span_count,
                points=self._point_count,
                logs_with_trace=self._log_with_trace_count,
                points_with_trace=self._point_with_trace_count,
            )

    def lines_since(self, position: int) -> tuple[list[LogLine], int, int]:
        """The lines after *position* (0 at first), the number that went by unseen, and the next position."""
        with self._lock:
            new_count = self._log_count - position
            kept_count = min(new_count, len(self._lines))
            lines = list(islice(self._lines, len(self._lines) - kept_count, None))
            return lines, new_count - kept_count, self._log_count

    def routes(self) -> list[RouteState]:
        """Every route seen, sorted by path and method."""
        now_s = self._clock()
        with self._lock:
            states = [route.state(method, path, now_s) for (method, path), route in self._routes.items()]
        return sorted(states, key=lambda state: (state.route, state.method))

    def complete_trace(self) -> Trace | None:
        """A trace with at least a log record, a span and a metric point; the one that tells most."""
        with self._lock:
            return self._complete

    def trace_count(self) -> int:
        """Traces in memory."""
        with self._lock:
            return len(self._traces)

    def _keep_line(self, line: LogLine) -> None:
        self._lines.append(line)
        self._lines_size += line.size
        while len(self._lines) > LINE_COUNT_MAX or self._lines_size > KEPT_SIZE_MAX:
            self._lines_size -= self._lines.popleft().size

    def _trace(self, trace_id: str) -> Trace:
        trace = self._traces.get(trace_id)
        if trace is None:
            while len(self._traces) >= TRACE_COUNT_MAX or self._traces_size > KEPT_SIZE_MAX:
                _, oldest = self._traces.popitem(last=False)
                self._traces_size -= oldest.size
            trace = self._traces[trace_id] = Trace(trace_id)
        return trace

    def _keep(self, trace: Trace, items: list[_Item], item: _Item, size: int) -> None:
        if len(items) >= PER_TRACE_COUNT_MAX or trace.size + size > RECORD_SIZE_MAX:
            return
        items.append(item)
        trace.size += size
        self._traces_size += size
        # Held apart from the window of traces, so that a long run does not forget what it has proved.
        if trace.complete and (self._complete is None or _telling(trace) >= _telling(self._complete)):
            self._complete = trace

    def _add_access(self, line: LogLine) -> None:
        duration_s = line.attributes.get(DURATION_METRIC)
        if isinstance(duration_s, int | float):
            self._route(line.attributes).durations_s.append(float(duration_s))

    def _add_metric(self, source: bytes, metric: Metric) -> None:
        kind = metric.WhichOneof("data")
        if kind is None:
            return
        data = getattr(metric, kind)
        cumulative = getattr(data, "aggregation_temporality", 0) == 2
        for point in data.data_points:
            self._point_count += 1
            # What an up-down counter shows as an exemplar is one step, which tells nothing of a request.
            if kind != "summary" and getattr(data, "is_monotonic", True) and point.exemplars:
                self._add_exemplars(metric, point)
            if kind == "histogram" and metric.name == DURATION_METRIC:
                self._add_duration(source, point, cumulative=cumulative)

    def _add_exemplars(self, metric: Metric, point: HistogramDataPoint) -> None:
        attributes = _attributes(point.attributes)
        with_trace = False
        for exemplar in islice(point.exemplars, PER_TRACE_COUNT_MAX):
            trace_id = _hex(exemplar.trace_id)
            if not trace_id:
                continue
            with_trace = True
            value = exemplar.as_int if exemplar.WhichOneof("value") == "as_int" else exemplar.as_double
            kept = Exemplar(
                metric=_cut(metric.name),
                unit=_cut(metric.unit),
                value=float(value),
                trace_id=trace_id,
                span_id=_hex(exemplar.span_id),
                attributes=attributes,
            )
            trace = self._trace(trace_id)
            if kept not in trace.exemplars:  # some SDKs repeat an exemplar at every export
                self._keep(trace, trace.exemplars, kept, exemplar.ByteSize())
        self._point_with_trace_count += with_trace

    def _add_duration(self, source: bytes, point: HistogramDataPoint, *, cumulative: bool) -> None:
        pairs = sorted(pair.SerializeToString(deterministic=True) for pair in point.attributes)
        identity = hashlib.sha256(source + b"".join(pairs)).digest()
        series = self._series.get(identity)
        if series is None:
            if len(self._series) >= SERIES_COUNT_MAX:
                return
            series = self._series[identity] = _Series()
        attributes = _attributes(point.attributes)
        count, buckets = series.grown(point, cumulative=cumulative)
        bounds = tuple(islice(point.explicit_bounds, BUCKET_COUNT_MAX))
        self._route(attributes).add(count, buckets, bounds, failed=_failed(attributes), now_s=self._clock())

    def _route(self, attributes: Attributes) -> _Route:
        key = (
            str(attributes.get("http.request.method", "?")),
            str(attributes.get("http.route") or "(no route)"),
        )
        route = self._routes.get(key)
        if route is None:
            if len(self._routes) >= ROUTE_COUNT_MAX:
                key = ("", "(other routes)")
            route = self._routes.setdefault(key, _Route())
        return route


class _Series:
    """The last cumulative state of one time series, to learn what each point adds."""

    def __init__(self) -> None:
        self._start_ns = 0
        self._count = 0
        self._buckets: tuple[int, ...] = ()

    def grown(self, point: HistogramDataPoint, *, cumulative: bool) -> tuple[int, tuple[int, ...]]:
        """Requests, and requests per bucket, that *point* adds to what was known."""
        buckets = tuple(islice(point.bucket_counts, BUCKET_COUNT_MAX))
        if not cumulative:
            return point.count, buckets
        restarted = (
            point.start_time_unix_nano != self._start_ns
            or point.count < self._count
            or len(buckets) != len(self._buckets)
        )
        before, buckets_before = (0, (0,) * len(buckets)) if restarted else (self._count, self._buckets)
        self._start_ns, self._count, self._buckets = point.start_time_unix_nano, point.count, buckets
        return point.count - before, tuple(
            max(0, now - then) for now, then in zip(buckets, buckets_before, strict=True)
        )


class _Route:
    """The running totals of one method and route."""

    def __init__(self) -> None:
        self.durations_s: deque[float] = deque(maxlen=DURATION_COUNT_MAX)
        self._request_count = self._error_count = 0
        self._bounds: tuple[float, ...] = ()
        self._buckets: tuple[int, ...] = ()
        # (time, total) at each point; the rate is taken over the last RATE_WINDOW_S.
        self._totals: deque[tuple[float, int]] = deque(maxlen=256)

    def add(
        self, count: int, buckets: tuple[int, ...], bounds: tuple[float, ...], *, failed: bool, now_s: float
    ) -> None:
        """Add what a point brought."""
        if not self._totals:
            self._totals.append((now_s, self._request_count))
        self._request_count += count
        self._error_count += count if failed else 0
        self._totals.append((now_s, self._request_count))
        if bounds != self._bounds:  # the first point, or a service that was started again with other buckets
            self._bounds, self._buckets = bounds, buckets
        elif len(buckets) == len(self._buckets):
            self._buckets = tuple(old + new for old, new in zip(self._buckets, buckets, strict=True))

    def state(self, method: str, path: str, now_s: float) -> RouteState:
        """The row as of now."""
        durations_s = sorted(self.durations_s)
        return RouteState(
            method=method,
            route=path,
            request_count=self._request_count,
            error_count=self._error_count,
            rate_per_s=self._rate_per_s(now_s),
            median_s=quantile(durations_s, 0.5),
            p95_s=quantile(durations_s, 0.95),
            buckets=self._buckets,
        )

    def _rate_per_s(self, now_s: float) -> float:
        if not self._totals:
            return 0.0
        times_s = [time_s for time_s, _ in self._totals]
        # The last total before the window began, else the first one of all.
        first = max(0, bisect_left(times_s, now_s - RATE_WINDOW_S) - 1)
        first_s, first_total = self._totals[first]
        elapsed_s = max(now_s - first_s, 1.0)
        return (self._request_count - first_total) / elapsed_s


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """The value below which *share* (0 to 1) of the ordered values lie (nearest rank); None without values."""
    if not ordered:
        return None
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _telling(trace: Trace) -> tuple[bool, int]:
    """What makes one trace a better example than another: spans within spans, then log records."""
    return any(span.parent_id for span in trace.spans), min(len(trace.logs), 4)


def _failed(attributes: Attributes) -> bool:
    status = attributes.get("http.response.status_code")
    return "error.type" in attributes or (isinstance(status, int) and status >= 500)


def _log_line(record: LogRecord, service: str) -> LogLine:
    body = _value(record.body, 0)
    size = record.ByteSize()
    return LogLine(
        time_ns=record.time_unix_nano or record.observed_time_unix_nano,
        severity_number=record.severity_number,
        level=_cut(record.severity_text),
        body=body if isinstance(body, str) else "" if body is None else _cut(repr(body)),
        trace_id=_hex(record.trace_id),
        span_id=_hex(record.span_id),
        event_name=_cut(record.event_name),
        service=service,
        attributes=_attributes(record.attributes, size),
        size=min(size, RECORD_SIZE_MAX),
    )


def _span(span: trace_pb2.Span, service: str) -> Span:
    size = span.ByteSize()
    return Span(
        name=_cut(span.name),
        trace_id=_hex(span.trace_id),
        span_id=_hex(span.span_id),
        parent_id=_hex(span.parent_span_id),
        start_ns=span.start_time_unix_nano,
        end_ns=span.end_time_unix_nano,
        failed=span.status.code == trace_pb2.Status.STATUS_CODE_ERROR,
        service=service,
        attributes=_attributes(span.attributes, size),
        size=min(size, RECORD_SIZE_MAX),
    )


def _service(resource: Resource) -> str:
    name = _attributes(resource.attributes).get("service.name")
    return name if isinstance(name, str) else ""


def _attributes(pairs: Iterable[KeyValue], size: int = 0) -> dict[str, Value]:
    if size > RECORD_SIZE_MAX:
        return {"otelbridge.viewer": f"attributes not kept, {size} bytes"}
    return {_cut(pair.key): _value(pair.value, 0) for pair in islice(pairs, ATTRIBUTE_COUNT_MAX)}


def _value(value: AnyValue, depth: int) -> Value:
    """*value* as Python has it, cut to size in every direction."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind in ("array_value", "kvlist_value"):
        if depth == DEPTH_MAX:
            return "…"
        if kind == "array_value":
            return [_value(item, depth + 1) for item in islice(value.array_value.values, ELEMENT_COUNT_MAX)]
        return {
            _cut(pair.key): _value(pair.value, depth + 1)
            for pair in islice(value.kvlist_value.values, ELEMENT_COUNT_MAX)
        }
    plain: str | int | float | bool | bytes = getattr(value, kind)
    return _cut(plain) if isinstance(plain, str) else plain[:TEXT_SIZE_MAX] if isinstance(plain, bytes) else plain


def _hex(identifier: bytes) -> str:
    """*identifier* in hex; empty when it is absent or all zeros, which OTLP calls invalid."""
    return identifier[:16].hex() if any(identifier[:16]) else ""


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_SIZE_MAX else text[: TEXT_SIZE_MAX - 1] + "…"

"""OTLP requests made by hand, as any SDK could send them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AggregationTemporality,
    Exemplar,
    Histogram,
    HistogramDataPoint,
    Metric,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
CHILD_ID = "00f067aa0ba902b7"
TIME_NS = 1_790_000_000_007_000_000
RESOURCE = Resource(attributes=[KeyValue(key="service.name", value=AnyValue(string_value="shop"))])

CUMULATIVE = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
DELTA = AggregationTemporality.AGGREGATION_TEMPORALITY_DELTA


def any_value(value: object) -> AnyValue:
    """Encode a str, int, float or bool."""
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    return AnyValue(string_value=str(value))


def pairs(attributes: Mapping[str, object]) -> list[KeyValue]:
    """Encode a mapping of attributes."""
    return [KeyValue(key=key, value=any_value(value)) for key, value in attributes.items()]


def log_record(
    body: str = "hello",
    *,
    trace_id: str = TRACE_ID,
    event_name: str = "",
    attributes: Mapping[str, object] | None = None,
    severity_number: int = 9,
    severity_text: str = "INFO",
) -> LogRecord:
    """Make one log record."""
    return LogRecord(
        time_unix_nano=TIME_NS,
        severity_number=severity_number,  # type: ignore[arg-type]  # the stub wants the enum; any number may arrive
        severity_text=severity_text,
        body=AnyValue(string_value=body),
        trace_id=bytes.fromhex(trace_id),
        span_id=bytes.fromhex(SPAN_ID if trace_id else ""),
        event_name=event_name,
        attributes=pairs(attributes or {}),
    )


def access_record(
    *, route: str = "/products/{name}", duration_s: float = 0.01, status: int | None = 200, trace_id: str = TRACE_ID
) -> LogRecord:
    """Make the log record of one request."""
    attributes: dict[str, object] = {
        "http.request.method": "GET",
        "url.path": "/products/tea",
        "http.route": route,
        "http.server.request.duration": duration_s,
    }
    if status is not None:
        attributes["http.response.status_code"] = status
    return log_record("line", trace_id=trace_id, event_name="http.server.access", attributes=attributes)


def logs(*records: LogRecord) -> ExportLogsServiceRequest:
    """Wrap log records into a request."""
    part = ResourceLogs(resource=RESOURCE, scope_logs=[ScopeLogs(log_records=records)])
    return ExportLogsServiceRequest(resource_logs=[part])


def span(
    name: str = "GET /products",
    *,
    span_id: str = SPAN_ID,
    parent_id: str = "",
    start_ns: int = TIME_NS,
    failed: bool = False,
) -> Span:
    """Make one span of 12 ms."""
    return Span(
        name=name,
        trace_id=bytes.fromhex(TRACE_ID),
        span_id=bytes.fromhex(span_id),
        parent_span_id=bytes.fromhex(parent_id),
        start_time_unix_nano=start_ns,
        end_time_unix_nano=start_ns + 12_000_000,
        status=Status(code=Status.STATUS_CODE_ERROR if failed else Status.STATUS_CODE_UNSET),
    )


def traces(*spans: Span) -> ExportTraceServiceRequest:
    """Wrap spans into a request."""
    part = ResourceSpans(resource=RESOURCE, scope_spans=[ScopeSpans(spans=spans)])
    return ExportTraceServiceRequest(resource_spans=[part])


def duration_point(
    count: int,
    *,
    buckets: Sequence[int] = (),
    route: str = "/products/{name}",
    status: int = 200,
    start_ns: int = 1,
    trace_id: str = "",
) -> HistogramDataPoint:
    """Make one point of the duration histogram, with an exemplar if a trace id is given."""
    exemplars = []
    if trace_id:
        exemplars = [Exemplar(as_double=0.012, trace_id=bytes.fromhex(trace_id), span_id=bytes.fromhex(SPAN_ID))]
    return HistogramDataPoint(
        start_time_unix_nano=start_ns,
        count=count,
        bucket_counts=buckets or (count, 0, 0),
        explicit_bounds=(0.01, 0.1),
        attributes=pairs(
            {"http.request.method": "GET", "http.route": route, "http.response.status_code": status},
        ),
        exemplars=exemplars,
    )


def metrics(
    *points: HistogramDataPoint,
    name: str = "http.server.request.duration",
    temporality: AggregationTemporality.ValueType = CUMULATIVE,
) -> ExportMetricsServiceRequest:
    """Wrap points of one histogram into a request."""
    metric = Metric(name=name, unit="s", histogram=Histogram(data_points=points, aggregation_temporality=temporality))
    part = ResourceMetrics(resource=RESOURCE, scope_metrics=[ScopeMetrics(metrics=[metric])])
    return ExportMetricsServiceRequest(resource_metrics=[part])

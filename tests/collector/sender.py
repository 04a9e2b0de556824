"""A small OTLP sender for the tests of tiers: requests, posted once each. Retries nothing."""

from __future__ import annotations

import hashlib
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

Request = ExportLogsServiceRequest | ExportMetricsServiceRequest | ExportTraceServiceRequest
Attributes = Mapping[str, str | int]

SCOPE = InstrumentationScope(name="sender")
PATHS: Mapping[type, str] = {
    ExportLogsServiceRequest: "v1/logs",
    ExportMetricsServiceRequest: "v1/metrics",
    ExportTraceServiceRequest: "v1/traces",
}


def post(http_port: int, request: Request) -> int:
    """Send a request to a collector on loopback; return the status of the answer, 0 if there is none."""
    url = f"http://127.0.0.1:{http_port}/{PATHS[type(request)]}"
    headers = {"content-type": "application/x-protobuf"}
    asked = urllib.request.Request(url, request.SerializeToString(), headers)
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return 0


def logs(records: Iterable[LogRecord], service: str = "sender") -> ExportLogsServiceRequest:
    """Log records of a service."""
    scope_logs = [ScopeLogs(scope=SCOPE, log_records=records)]
    return ExportLogsServiceRequest(resource_logs=[ResourceLogs(resource=resource(service), scope_logs=scope_logs)])


def record(body: str, attributes: Attributes) -> LogRecord:
    """A log record of now."""
    return LogRecord(
        time_unix_nano=time.time_ns(),
        severity_number=9,  # type: ignore[arg-type]  # protobuf's enum is a number
        body=AnyValue(string_value=body),
        attributes=key_values(attributes),
    )


def numbered(numbers: Iterable[int], service: str = "sender") -> ExportLogsServiceRequest:
    """Log records with an attribute `number` each."""
    return logs((record(f"number {number}", {"number": number}) for number in numbers), service)


def traces(spans: Iterable[Span], service: str = "sender") -> ExportTraceServiceRequest:
    """Spans of a service."""
    scope_spans = [ScopeSpans(scope=SCOPE, spans=spans)]
    return ExportTraceServiceRequest(
        resource_spans=[ResourceSpans(resource=resource(service), scope_spans=scope_spans)]
    )


def span(trace: int, number: int, *, failed: bool = False, **attributes: str | int) -> Span:
    """A span of a millisecond; the first of its trace (number 1) is the root."""
    now_ns = time.time_ns()
    return Span(
        trace_id=trace_id(trace),
        span_id=(trace << 16 | number).to_bytes(8, "big"),
        parent_span_id=b"" if number == 1 else (trace << 16 | 1).to_bytes(8, "big"),
        name="work",
        kind=Span.SPAN_KIND_SERVER,
        start_time_unix_nano=now_ns - 1_000_000,
        end_time_unix_nano=now_ns,
        attributes=key_values(attributes),
        status=Status(code=Status.STATUS_CODE_ERROR if failed else Status.STATUS_CODE_UNSET),
    )


def trace_id(trace: int) -> bytes:
    """The id of a numbered trace: as random as others are, and the same in each run."""
    return hashlib.md5(str(trace).encode(), usedforsecurity=False).digest()


def counter(
    name: str, points: Iterable[tuple[int, Attributes]], service: str = "sender"
) -> ExportMetricsServiceRequest:
    """A counter's running totals, with their attributes."""
    now_ns = time.time_ns()
    data_points = [
        NumberDataPoint(
            start_time_unix_nano=now_ns - 1_000_000_000,
            time_unix_nano=now_ns,
            as_int=total,
            attributes=key_values(attributes),
        )
        for total, attributes in points
    ]
    total = Sum(data_points=data_points, aggregation_temporality=2, is_monotonic=True)  # type: ignore[arg-type]  # cumulative
    scope_metrics = [ScopeMetrics(scope=SCOPE, metrics=[Metric(name=name, sum=total)])]
    return ExportMetricsServiceRequest(
        resource_metrics=[ResourceMetrics(resource=resource(service), scope_metrics=scope_metrics)]
    )


def resource(service: str) -> Resource:
    """The service as a resource."""
    return Resource(attributes=key_values({"service.name": service, "service.instance.id": f"{service}-1"}))


def key_values(attributes: Attributes) -> list[KeyValue]:
    """Attributes as OTLP has them."""
    return [KeyValue(key=key, value=any_value(content)) for key, content in attributes.items()]


def any_value(content: str | int) -> AnyValue:
    """A value as OTLP has it."""
    return AnyValue(string_value=content) if isinstance(content, str) else AnyValue(int_value=content)

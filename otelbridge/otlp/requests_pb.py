"""Each signal's request and answer on the wire: encoding by the official encoders, splitting, reading answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.trace import ReadableSpan

from otelbridge.otlp.outcome import Outcome, Signal, printable
from otelbridge.types import Batch


class _Shape(NamedTuple):
    request: Callable[[], Any]
    answer: Callable[[], Any]
    resources: str
    scopes: str
    items: str
    rejected: str
    method: str


_SHAPES: dict[Signal, _Shape] = {
    "logs": _Shape(
        ExportLogsServiceRequest,
        ExportLogsServiceResponse,
        "resource_logs",
        "scope_logs",
        "log_records",
        "rejected_log_records",
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    ),
    "traces": _Shape(
        ExportTraceServiceRequest,
        ExportTraceServiceResponse,
        "resource_spans",
        "scope_spans",
        "spans",
        "rejected_spans",
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    ),
    "metrics": _Shape(
        ExportMetricsServiceRequest,
        ExportMetricsServiceResponse,
        "resource_metrics",
        "scope_metrics",
        "metrics",
        "rejected_data_points",
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    ),
}


def grpc_method(signal: Signal) -> str:
    """The full name of the signal's Export call."""
    return _SHAPES[signal].method


def encode_spans(spans: Sequence[ReadableSpan], stamp: Callable[[Any], None]) -> Batch:
    """Encode ended spans by the official encoder; `stamp` completes each resource."""
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as official

    message = official(spans)
    for part in message.resource_spans:
        stamp(part.resource)
    return Batch(message.SerializePartialToString(), len(spans))


def encode_points(data: MetricsData, stamp: Callable[[Any], None]) -> Batch | None:
    """Encode collected metrics by the official encoder; None when there is no point."""
    from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics as official

    message = official(data)
    count = 0
    for part in message.resource_metrics:
        stamp(part.resource)
        count += sum(_point_count(metric) for scope in part.scope_metrics for metric in scope.metrics)
    return Batch(message.SerializeToString(), count) if count else None


def read_answer(signal: Signal, body: bytes) -> Outcome:
    """Read the body of a successful answer: all accepted, or some rejected with a reason."""
    shape = _SHAPES[signal]
    answer = shape.answer()
    try:
        answer.ParseFromString(body)
    except DecodeError:
        # The status said yes, so nothing is sent again; but whoever answers like this may not be a collector.
        return Outcome("delivered", message="the answer is not OTLP", cause="odd_answer")
    partial = answer.partial_success
    rejected = max(int(getattr(partial, shape.rejected)), 0)
    message = printable(partial.error_message)
    return Outcome("delivered", rejected, message, cause="partial" if rejected or message else "")


def halve(signal: Signal, batch: Batch) -> tuple[Batch, Batch] | None:
    """Split a request that is too large for the collector in two; None when it holds a single item."""
    shape = _SHAPES[signal]
    message = shape.request()
    try:
        message.ParseFromString(batch.request)
    except DecodeError:
        return None
    count = sum(len(items) for items in _item_lists(shape, message))
    if count < 2:
        return None
    first, second = (_keep(shape, message, start, stop) for start, stop in ((0, count // 2), (count // 2, count)))
    return _batch(signal, shape, first), _batch(signal, shape, second)


def _keep(shape: _Shape, message: Any, start: int, stop: int) -> Any:
    part = shape.request()
    part.CopyFrom(message)
    index = 0
    for items in _item_lists(shape, part):
        length = len(items)
        del items[max(stop - index, 0) :]
        del items[: max(min(start - index, length), 0)]
        index += length
    for resource in getattr(part, shape.resources):
        _drop_empty(getattr(resource, shape.scopes), shape.items)
    _drop_empty(getattr(part, shape.resources), shape.scopes)
    return part


def _batch(signal: Signal, shape: _Shape, message: Message) -> Batch:
    lists = _item_lists(shape, message)
    if signal == "metrics":
        return Batch(message.SerializeToString(), sum(_point_count(metric) for metrics in lists for metric in metrics))
    return Batch(message.SerializePartialToString(), sum(len(items) for items in lists))


def _item_lists(shape: _Shape, message: Any) -> list[Any]:
    return [
        getattr(scope, shape.items)
        for resource in getattr(message, shape.resources)
        for scope in getattr(resource, shape.scopes)
    ]


def _drop_empty(parts: Any, items: str) -> None:
    for index in reversed(range(len(parts))):
        if not getattr(parts[index], items):
            del parts[index]


def _point_count(metric: Any) -> int:
    data = metric.WhichOneof("data")
    return len(getattr(metric, data).data_points) if data else 0

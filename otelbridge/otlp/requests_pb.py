"""Each signal's request and answer on the wire: encoding as the official encoders do, splitting, reading answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError, Message
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans
from opentelemetry.proto.trace.v1.trace_pb2 import Span as SpanMessage
from opentelemetry.sdk.metrics.export import MetricsData
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceState

from otelbridge._native import encode_span, set_span_types
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
    """Encode ended spans, byte for byte as the official encoder does; `stamp` completes each resource.

    The core writes plain spans; the official encoder what is around them, and all spans that are not plain.
    """
    if not _core_knows_spans():
        message = _official(spans)
        for part in message.resource_spans:
            stamp(part.resource)
        return Batch(message.SerializePartialToString(), len(spans))
    groups: _Groups = {}
    # To hash a resource costs more than to encode a span. What has an id here is kept here, so that none is used twice.
    known: dict[tuple[int, int], tuple[list[bytes | ReadableSpan], Resource, InstrumentationScope | None]] = {}
    for span in spans:
        resource, scope = span.resource, span.instrumentation_scope or None
        key = (id(resource), id(scope))
        if key not in known:
            known[key] = (groups.setdefault(resource, {}).setdefault(scope, []), resource, scope)
        known[key][0].append(encode_span(span) or span)
    return Batch(b"".join(_enclosed(groups, stamp)), len(spans))


# By equality, in the order of their first spans, as the official encoder groups them; encoded, or still to be.
_Groups = dict[Resource, dict[InstrumentationScope | None, list[bytes | ReadableSpan]]]


def _enclosed(groups: _Groups, stamp: Callable[[Any], None]) -> Iterator[bytes]:
    """The request that holds the groups."""
    for resource, scopes in groups.items():
        content: list[bytes] = []
        tail = b""
        for scope, spans in scopes.items():
            odd = [span for span in spans if not isinstance(span, bytes)]
            bare = ReadableSpan("", _CONTEXT, resource=resource, instrumentation_scope=scope)
            (around,) = _official(odd or [bare]).resource_spans
            if not content:
                stamp(around.resource)
                content.append(ResourceSpans(resource=around.resource).SerializePartialToString())
                tail = ResourceSpans(schema_url=around.schema_url).SerializeToString()
            (inner,) = around.scope_spans
            encoded = iter(inner.spans)
            fields = [span if isinstance(span, bytes) else _span_field(next(encoded)) for span in spans]
            head = ScopeSpans(scope=inner.scope).SerializePartialToString()
            content += _field(2, [head, *fields, ScopeSpans(schema_url=inner.schema_url).SerializeToString()])
        yield from _field(1, [*content, tail])


def _field(number: int, content: list[bytes]) -> list[bytes]:
    """A message inside another, in pieces: tag, length, content."""
    size = sum(map(len, content))
    head = bytearray([number << 3 | 2])
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return [bytes(head), *content]


def _official(spans: Sequence[ReadableSpan]) -> ExportTraceServiceRequest:
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as official

    return official(spans)


def _span_field(span: SpanMessage) -> bytes:
    """What `encode_span` returns, from a message of the official encoder's."""
    return b"".join(_field(2, [span.SerializePartialToString()]))


_CONTEXT = SpanContext(1, 2, is_remote=False)


@cache
def _core_knows_spans() -> bool:
    """Show the core the SDK's classes; False if it writes their spans otherwise than this official encoder."""
    try:
        set_span_types(
            ReadableSpan,
            BoundedAttributes,
            BoundedList,
            deque,
            SpanContext,
            TraceState,
            Event,
            Link,
            Status,
            StatusCode,
            SpanKind,
        )
        specimens = list(_specimens())
        ours = [encode_span(span) for span in specimens]
        theirs = [_span_field(_official([span]).resource_spans[0].scope_spans[0].spans[0]) for span in specimens]
        return ours[0] is not None and all(our in (None, their) for our, their in zip(ours, theirs, strict=True))
    except Exception:  # an SDK that is made otherwise
        return False


def _specimens() -> Iterator[ReadableSpan]:
    """Spans of all shapes, the plainest first: of the others the core may leave some to the official encoder."""
    state = TraceState([("a", "b"), ("c", "d")])
    for context in (_CONTEXT, SpanContext(3, 4, is_remote=True, trace_state=state)):
        for parent in (None, context):
            attributes = BoundedAttributes(8, {"a": "b", "c": (1, 2), "d": 2.5, "e": True})
            events: BoundedList[Event] = BoundedList(1)
            links: BoundedList[Link] = BoundedList(1)
            if parent:
                attributes.dropped = 1
                events.extend([Event("e", attributes, 1)] * 2)
                links.extend([Link(context, attributes)] * 2)
            yield ReadableSpan(
                "name",
                context,
                parent,
                attributes=attributes,
                events=events,
                links=links,
                kind=SpanKind.SERVER,
                status=Status(StatusCode.ERROR, "why") if parent else Status(),
                start_time=1,
                end_time=2,
            )


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

"""A driver that is the server and the client at once, and a harness that keeps all three signals in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import get_current_span

from otelbridge.access.asgi import ASGIApp, Instrumented, Message, Receive, Scope, Send
from otelbridge.access.observe import Observer
from otelbridge.access.options import Settings
from otelbridge.access.record import AccessRecord
from otelbridge.metrics.otel import OtelRequestMetrics

TRACE_ID = 0x0AF7651916CD43DD8448EB211C80319C
SPAN_ID = 0xB7AD6B7169203331
TRACEPARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

DURATION = "http.server.request.duration"
ACTIVE = "http.server.active_requests"
REQUESTS = "otelbridge.http.requests"


@dataclass
class Event:
    """One call of `logger.event`, and the ids that were current."""

    level: str
    name: str
    body: str
    attributes: Mapping[str, Any]
    exception: BaseException | None
    trace_id: int
    span_id: int


@dataclass
class MemoryLogger:
    """The part of the logger that the access log uses, kept in memory."""

    events: list[Event] = field(default_factory=list)

    def access(self, level: str, record: AccessRecord, event_name: str, body: str | None) -> bool:
        return False

    def enabled_for(self, level: str) -> bool:
        return True

    def event(
        self,
        level: str,
        event_name: str,
        body: str,
        attributes: Mapping[str, object],
        *,
        exception: BaseException | None = None,
    ) -> None:
        ids = get_current_span().get_span_context()
        self.events.append(Event(level, event_name, body, dict(attributes), exception, ids.trace_id, ids.span_id))


class Harness:
    """An instrumented app whose log, spans and points stay here; the global providers are not touched."""

    def __init__(self, app: ASGIApp, settings: Settings | None = None) -> None:
        self.logger = MemoryLogger()
        self._exporter = InMemorySpanExporter()
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = tracers.get_tracer("test")
        self._reader = InMemoryMetricReader()
        self.meter = MeterProvider(metric_readers=[self._reader], shutdown_on_exit=False).get_meter("test")
        self.observer = Observer(
            settings or Settings(), logger=self.logger, tracer=self.tracer, metrics=OtelRequestMetrics(self.meter)
        )
        self.app = Instrumented(app, self.observer)

    def get(self, path: str = "/", /, **changes: Any) -> Exchange:
        """Serve one GET to its end; `changes` are of the scope."""
        return asyncio.run(exchange(self.app, http_scope(path, **changes)))

    @property
    def events(self) -> list[Event]:
        return self.logger.events

    @property
    def event(self) -> Event:
        assert len(self.events) == 1, self.events
        return self.events[0]

    @property
    def spans(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    @property
    def span(self) -> ReadableSpan:
        assert len(self.spans) == 1, self.spans
        return self.spans[0]

    def points(self) -> dict[str, list[Any]]:
        """Collect: instrument name -> data points."""
        data = self._reader.get_metrics_data()
        found: dict[str, list[Any]] = {}
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    found.setdefault(metric.name, []).extend(metric.data.data_points)
        return found

    def duration_point(self) -> HistogramDataPoint:
        """Collect, and return the one point of the request duration."""
        (point,) = self.points()[DURATION]
        assert isinstance(point, HistogramDataPoint)
        return point

    def active(self) -> list[int | float]:
        """Collect, and return the values of the active requests."""
        points: list[NumberDataPoint] = self.points().get(ACTIVE, [])
        return [point.value for point in points]


@dataclass
class Exchange:
    """What the server saw of one request."""

    sent: list[Message] = field(default_factory=list)
    error: BaseException | None = None

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent)


def http_scope(path: str = "/", /, **changes: Any) -> Scope:
    """Return a fresh scope as Hypercorn makes it."""
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"spec_version": "2.1", "version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": ("203.0.113.42", 50000),
        "server": ("127.0.0.1", 8000),
        "state": {},
        "extensions": {},
    }
    return {**scope, **changes}


async def exchange(
    app: Callable[[Scope, Receive, Send], Awaitable[None]],
    scope: Scope,
    *,
    incoming: Iterable[Message] = ({"type": "http.request", "body": b"", "more_body": False},),
    on_send: Callable[[Message], None] | None = None,
) -> Exchange:
    """Drive one request; after `incoming` the client is silent. What the app raises is kept, not raised."""
    result = Exchange()
    messages = iter(incoming)

    async def receive() -> Message:
        await asyncio.sleep(0)
        for message in messages:
            return message
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        await asyncio.sleep(0)
        if on_send is not None:
            on_send(message)
        result.sent.append(message)

    try:
        await app(scope, receive, send)
    except BaseException as error:
        result.error = error
    return result


async def answer(
    send: Send, body: bytes = b"hello", *, status: int = 200, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    """Send a whole answer."""
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": body})


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer `hello` with 200."""
    await answer(send)

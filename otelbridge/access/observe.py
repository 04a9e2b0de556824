"""Both ends of a request, whatever the host: span, metrics, access record, callback. Every host's module drives it.

Leaves counting bytes, taking times and finding the route to the host's module (`asgi`), and all output to the logger,
the metrics backend and the tracer it was given. Nothing here raises into the app.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextvars import Token
from dataclasses import dataclass, field
from typing import Any, Protocol

from opentelemetry.context import Context, attach, detach, get_current
from opentelemetry.propagate import get_global_textmap
from opentelemetry.propagators.textmap import TextMapPropagator
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context

from otelbridge.access.record import EVENT_NAME, AccessRecord, access_attributes, access_line, client_text, error_type
from otelbridge.metrics.instruments import OTHER, active_attributes, known_methods, request_attributes

Headers = Sequence[tuple[bytes, bytes]]

# A request id from outside is kept only in this form (pains.md G5): it ends up in other people's systems.
_REQUEST_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:+/=@-]{0,127}")


class EventLogger(Protocol):
    """What the access log needs of the logger."""

    def event(
        self,
        level: str,
        event_name: str,
        body: str,
        attributes: Mapping[str, object],
        *,
        exception: BaseException | None = None,
    ) -> None:
        """Emit one event record with the ids of the current span."""

    def enabled_for(self, level: str) -> bool:
        """Return whether anybody takes records of `level`."""


class RequestMetrics(Protocol):
    """What the metrics backends (`metrics.otel`, later StatsD) offer."""

    def started(self, attributes: Mapping[str, str | int]) -> None:
        """Count a request in."""

    def ended(
        self, duration_s: float, attributes: Mapping[str, str | int], active: Mapping[str, str | int] | None
    ) -> None:
        """Record a finished request, and count it out when `active` is given."""


@dataclass(frozen=True, slots=True)
class PathRules:
    """Which paths are meant: equal to one of `exact`, or found by one of `patterns` (`re.search`)."""

    exact: frozenset[str] = frozenset()
    patterns: tuple[re.Pattern[str], ...] = ()

    def match(self, path: str) -> bool:
        """Return whether `path` (no query) is meant."""
        if path in self.exact:
            return True
        return bool(self.patterns) and any(pattern.search(path) for pattern in self.patterns)


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of `instrument()`, checked."""

    traces: bool = True
    access_log: bool = True
    exclude: PathRules = field(default_factory=PathRules)
    exclude_ok: PathRules = field(default_factory=PathRules)
    slow_s: float | None = None
    include_headers: tuple[str, ...] = ()
    trust_traceparent: bool = True
    on_request: Callable[[AccessRecord], object] | None = None


class Observer:
    """One app's settings and ways out; makes an `Observation` per request. Holds no state of a request."""

    __slots__ = (
        "_captured_headers",
        "_fields",
        "_textmap",
        "_wanted_headers",
        "error_count",
        "known_methods",
        "logger",
        "metrics",
        "settings",
        "tracer",
    )

    def __init__(
        self, settings: Settings, *, logger: EventLogger | None, tracer: Tracer | None, metrics: RequestMetrics | None
    ) -> None:
        self.settings = settings
        self.logger = logger if settings.access_log else None
        self.tracer = tracer if settings.traces else None
        self.metrics = metrics
        self.known_methods = known_methods()
        self.error_count = 0
        self._captured_headers = {name.encode("latin-1"): name for name in settings.include_headers}
        self._learn_propagator(get_global_textmap())

    def begin(self, record: AccessRecord, headers: Headers, *, quiet: bool) -> Observation:
        """Start the request's span and count it in; `quiet` requests leave no trace unless they fail."""
        observation = Observation(self, record, quiet=quiet)
        try:
            observation.start(self._parent(self._read_headers(record, headers)))
        except Exception as error:
            self.report("the start of a request", error)
        return observation

    def report(self, what: str, error: BaseException) -> None:
        """Count a failure of telemetry; the first of an app goes to stderr in one line."""
        self.error_count += 1
        if self.error_count > 1 or sys.stderr is None:
            return
        try:
            line = repr(error)
        except Exception:
            line = type(error).__name__
        try:
            sys.stderr.write(f"otelbridge: {what} failed ({line}); the request went on, further failures are counted\n")
        except Exception:
            self.error_count += 1

    def _learn_propagator(self, textmap: TextMapPropagator) -> None:
        self._textmap = textmap
        self._fields = frozenset(name.lower().encode("latin-1") for name in textmap.fields)
        self._wanted_headers = self._fields | self._captured_headers.keys() | {b"user-agent", b"x-request-id"}

    def _read_headers(self, record: AccessRecord, headers: Headers) -> dict[str, list[str]]:
        """Put the wanted headers into `record`; return those of the propagator."""
        # The user may set another propagator at any time; asking it for its fields at each request costs a set each.
        textmap = get_global_textmap()
        if textmap is not self._textmap:
            self._learn_propagator(textmap)
        carrier: dict[str, list[str]] = {}
        for name, value in _pick(headers, self._wanted_headers):
            if name in self._fields:
                carrier.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
            elif name == b"user-agent":
                record.user_agent = client_text(value)
            elif name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                record.request_id = value.decode("latin-1")
            if name in self._captured_headers:
                record.headers.setdefault(self._captured_headers[name], []).append(client_text(value))
        return carrier

    def _parent(self, carrier: dict[str, list[str]]) -> Context:
        current = get_current()
        if not (carrier and self.settings.trust_traceparent):
            return current
        try:
            return self._textmap.extract(carrier, context=current)
        except Exception as error:
            self.report("reading the trace headers", error)
            return current


class Observation:
    """One request between its start and its end. `end` may be called from any task, and counts once."""

    __slots__ = ("_active", "_context", "_method", "_observer", "_quiet", "_span", "ended", "record")

    def __init__(self, observer: Observer, record: AccessRecord, *, quiet: bool) -> None:
        self.record = record
        self.ended = False
        self._observer = observer
        self._quiet = quiet
        self._method = record.method if record.method in observer.known_methods else OTHER
        self._span: Span | None = None
        self._context: Context | None = None
        self._active: dict[str, str | int] | None = None

    def start(self, parent: Context) -> None:
        """Start the span as a child of `parent`, and count the request in."""
        observer, record = self._observer, self.record
        self._context = parent
        if self._quiet:
            return
        if observer.tracer is not None:
            self._span = observer.tracer.start_span(
                "HTTP" if self._method == OTHER else self._method,
                context=parent,
                kind=SpanKind.SERVER,
                attributes=_start_attributes(record, self._method),
                start_time=record.start_ns,
            )
            self._context = set_span_in_context(self._span, parent)
        if observer.metrics is not None:
            active = active_attributes(method=self._method, scheme=record.scheme)
            observer.metrics.started(active)
            self._active = active

    def enter(self) -> Token[Context] | None:
        """Make the span (or the remote parent) current in this task; give the answer to `leave`."""
        return None if self._context is None or self._context is get_current() else attach(self._context)

    def leave(self, token: Token[Context] | None) -> None:
        """Undo `enter`."""
        if token is not None:
            detach(token)

    def end(self, *, failed: bool = False, exception: BaseException | None = None) -> None:
        """Emit all that the finished `record` is to become; `failed` makes it an ERROR. A second call does nothing."""
        if self.ended:
            return
        self.ended = True
        record = self.record
        if self._quiet and not (failed or record.status is None or record.status >= 400):
            return
        # The last body may be sent by another task or inside a child span: every signal is to carry this span's ids.
        token = self.enter()
        try:
            if self._observer.metrics is not None:
                self._guarded("metrics", self._measure, self._observer.metrics)
            if self._observer.logger is not None:
                self._guarded("the access record", self._log, self._observer.logger, failed, exception)
            if self._observer.settings.on_request is not None:
                self._guarded("on_request", self._observer.settings.on_request, record)
        finally:
            self.leave(token)
        if self._span is not None:
            self._guarded("the span", self._end_span, self._span, failed, exception)

    def late_exception(self, exception: BaseException) -> None:
        """Log an exception raised after the answer was complete (a background task): the record is already written."""
        logger = self._observer.logger
        if logger is not None:
            self._guarded("the exception record", self._log_late, logger, exception)

    def _guarded(self, what: str, function: Callable[..., object], *arguments: Any) -> None:
        try:
            function(*arguments)
        except Exception as error:
            self._observer.report(what, error)

    def _measure(self, metrics: RequestMetrics) -> None:
        record = self.record
        attributes = request_attributes(
            method=self._method,
            scheme=record.scheme,
            status=record.status,
            route=record.route,
            version=record.http_version,
            error_type=record.error_type,
        )
        metrics.ended(record.duration_ns / 1e9, attributes, self._active)

    def _log(self, logger: EventLogger, failed: bool, exception: BaseException | None) -> None:
        observer, record = self._observer, self.record
        slow_s = observer.settings.slow_s
        slow = slow_s is not None and record.duration_ns > slow_s * 1e9
        level = "ERROR" if failed else "WARNING" if slow else "INFO"
        if logger.enabled_for(level):
            line = access_line(record) + " [SLOW]" if slow else access_line(record)
            attributes = access_attributes(record, observer.known_methods)
            logger.event(level, EVENT_NAME, line, attributes, exception=exception)

    def _log_late(self, logger: EventLogger, exception: BaseException) -> None:
        if not logger.enabled_for("ERROR"):
            return
        body = f"{error_type(exception)} raised after the answer was sent"
        attributes = {"url.path": self.record.path, "error.type": error_type(exception)}
        logger.event("ERROR", "http.server.request.exception", body, attributes, exception=exception)

    def _end_span(self, span: Span, failed: bool, exception: BaseException | None) -> None:
        record = self.record
        try:
            if span.is_recording():
                _describe_end(span, record, self._method, failed, exception)
        finally:
            # The same duration on all three signals.
            span.end(record.start_ns + record.duration_ns)


def _start_attributes(record: AccessRecord, method: str) -> dict[str, str | list[str]]:
    """Return what a sampler may want to know of the request."""
    attributes: dict[str, str | list[str]] = {
        "http.request.method": method,
        "url.path": record.path,
        "url.scheme": record.scheme,
        "network.protocol.version": record.http_version,
    }
    if method == OTHER:
        attributes["http.request.method_original"] = record.method
    if record.client_address is not None:
        attributes["client.address"] = record.client_address
    if record.user_agent is not None:
        attributes["user_agent.original"] = record.user_agent
    for name, values in record.headers.items():
        attributes[f"http.request.header.{name}"] = values
    return attributes


def _describe_end(span: Span, record: AccessRecord, method: str, failed: bool, exception: BaseException | None) -> None:
    attributes: dict[str, str | int] = {}
    if record.status is not None:
        attributes["http.response.status_code"] = record.status
    if record.route is not None:
        attributes["http.route"] = record.route
        span.update_name(f"{'HTTP' if method == OTHER else method} {record.route}")
    if record.error_type is not None:
        attributes["error.type"] = record.error_type
    span.set_attributes(attributes)
    if failed:
        # Semantic conventions: no description when the status code says it all.
        span.set_status(Status(StatusCode.ERROR, None if exception is None else _description(exception)))
    if exception is not None:
        span.record_exception(exception)


def _description(exception: BaseException) -> str:
    try:
        return client_text(f"{error_type(exception)}: {exception}")
    except Exception:
        return error_type(exception)


def _pick(headers: Headers, wanted: frozenset[bytes]) -> list[tuple[bytes, bytes]]:
    """Return the wanted headers, in order; what is no pair of bytes is passed over."""
    try:
        return [header for header in headers if header[0] in wanted and _is_header(header)]
    except Exception:
        # A name that cannot be hashed, or nothing to index.
        return [header for header in headers if _is_header(header) and header[0] in wanted]


def _is_header(header: object) -> bool:
    return (
        isinstance(header, tuple | list)
        and len(header) == 2
        and isinstance(header[0], bytes)
        and isinstance(header[1], bytes)
    )

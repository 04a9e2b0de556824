"""Both ends of a request, whatever the host: span, metrics, access record, callback. Every host's module drives it.

Leaves counting bytes, taking times and finding the route to the host's module (`asgi`, `websocket`, `wsgi`), and all
output to the logger, the metrics backend and the tracer it was given. Nothing here raises into the app.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import Token
from math import inf
from typing import Any, Protocol

from opentelemetry import context as otel_context
from opentelemetry.context import Context
from opentelemetry.propagate import get_global_textmap
from opentelemetry.trace import (
    Link,
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)

from otelbridge._export import core
from otelbridge._logger import Logger
from otelbridge._native import AccessReader, Dispatcher, Gate, ObservationBase, Traffic
from otelbridge.access import stdlib
from otelbridge.access.console import CLAIMS, leave_terminal
from otelbridge.access.options import Settings
from otelbridge.access.parents import Carrier, Parents
from otelbridge.access.record import AccessRecord, WebSocketRecord, client_text, error_type
from otelbridge.context import attach, otel_variable
from otelbridge.levels import DEFAULT_LEVELS
from otelbridge.metrics.aggregated import AggregatedRequestMetrics
from otelbridge.metrics.instruments import OTHER, RequestMetrics, known_methods, old_names_wanted
from otelbridge.record import RecordException
from otelbridge.text.policy import ACTIVE
from otelbridge.text.tracebacks import wire_parts

# Where an app finds the record of its request: in `scope["state"]`, or in the environ.
STATE_KEY = "access_log"
ENVIRON_KEY = "otelbridge.access_log"

# Where a framework's hooks leave the exception that the framework answered itself, in the scope or environ.
EXCEPTION_KEY = "otelbridge.exception"

# Scopes of SERVER spans that others make: OpenTelemetry's instrumentations, and FastAPI.
_CONTRIB = ("opentelemetry.instrumentation.", "fastapi")

# OpenTelemetry's own variable where it has one: the way through its API takes ten times as long.
_VARIABLE = otel_variable()
_get_current = otel_context.get_current if _VARIABLE is None else _VARIABLE.get

# Levels that the core knows by number.
_OWN_LEVELS = {level.name: level.no for level in DEFAULT_LEVELS}

# What `enter` gives and `leave` takes.
Entry = tuple[Token[Any], Token[Any] | None]

_Plain = tuple[
    Callable[[str], object] | None,
    Traffic | None,
    Dispatcher | None,
    Callable[[str], bool],
    dict[int, bool] | None,
    str,
    int,
    str,
    float,
    bool,
    bool,
    bool,
]


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

    def access(self, level: str, record: AccessRecord, event_name: str, body: str | None) -> bool:
        """Emit a request's record at once (`body` None: its line); False: it has to be an event."""

    def enabled_for(self, level: str) -> bool:
        """Return whether anybody takes records of `level`."""


class Neighbour(Protocol):
    """Other instrumentation inside the app that makes spans and points of requests itself."""

    def makes_span(self, request: MutableMapping[str, Any]) -> bool:
        """Return whether it will, for this scope or environ."""

    def span_of(self, request: MutableMapping[str, Any]) -> Span | None:
        """Return the span that it has made for this scope or environ."""


class Observer:
    """One app's settings and ways out; makes an `Observation` per request. Holds no state of a request."""

    neighbour: Neighbour | None = None
    # It serves a WSGI app.
    has_environs = False

    def __init__(
        self,
        settings: Settings,
        *,
        logger: EventLogger | None,
        tracer: Tracer | None,
        metrics: RequestMetrics | None,
        on_first: Callable[[], object] | None = None,
    ) -> None:
        self.settings = settings
        self._on_first = on_first
        self.excludes = settings.exclude.match if settings.exclude else None
        self.excludes_ok = settings.exclude_ok.match if settings.exclude_ok else None
        self.logger = logger if settings.access_log else None
        self.tracer = tracer if settings.traces else None
        self.metrics = metrics
        self.error_count = 0
        old_names = old_names_wanted()
        self.span_attributes = _start_attributes_old if old_names else _start_attributes
        self.end_attributes = _end_attributes_old if old_names else _end_attributes
        attach(core)
        self._captured_headers = {name.encode("latin-1"): name for name in settings.include_headers}
        self._learn_propagator()
        # None of anybody's, so that the first request is noticed at no cost for the others.
        self._textmap: object = None

    def open_asgi(self, scope: MutableMapping[str, Any], *, start_ns: int | None = None) -> Observation | None:
        """Begin to observe a scope of type http or websocket; None: it is to pass untouched.

        That is one that is excluded, that is observed already, or that no server would make. start_ns: when it came,
        since the epoch, if that was not now.
        """
        try:
            # The user may set another propagator at any time.
            if get_global_textmap() is not self._textmap:
                self._meet()
            opened = self._gate.asgi(self, scope)
        except Exception as error:
            # No scope of any server; the app will say what it thinks of it.
            self.report("reading the scope", error)
            return None
        if start_ns is not None and opened is not None:
            (opened[0] if isinstance(opened, tuple) else opened.record).start_ns = start_ns
        return self._begin(scope, *opened) if isinstance(opened, tuple) else opened

    def open_wsgi(self, environ: dict[str, Any]) -> Observation | None:
        """Begin to observe a WSGI request; None: as `open_asgi`."""
        try:
            # A server's own answer may have come first.
            if not self.has_environs or get_global_textmap() is not self._textmap:
                self._meet()
                self.has_environs = True
            opened = self._gate.wsgi(self, environ)
        except Exception as error:
            self.report("reading the environ", error)
            return None
        return self._begin(environ, *opened) if isinstance(opened, tuple) else opened

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

    def _begin(self, request: MutableMapping[str, Any], record: AccessRecord, carrier: Carrier | None) -> Observation:
        if self.settings.log_query:
            record.log_query = True
        is_quiet = self.excludes_ok is not None and self.excludes_ok(record.path)
        observation = Observation(self._gate, self, request, record, is_quiet)
        try:
            observation.start(carrier)
        except Exception as error:
            self.report("the start of a request", error)
        return observation

    def _meet(self) -> None:
        """The first request, or the first with another propagator."""
        first, self._on_first = self._on_first, None
        if first is not None:
            first()
        self._learn_propagator()
        self._textmap = self._parents.textmap

    def _learn_propagator(self) -> None:
        self._parents = Parents(get_global_textmap())
        fields = self._parents.fields
        reader = AccessReader(AccessRecord, WebSocketRecord, known_methods(), self._captured_headers, fields)
        self._gate: Gate[Observation] = Gate(Observation, core, reader, self.excludes, self._plain())

    def _plain(self) -> _Plain | None:
        """Return what a plain request needs, which the core serves without us; None: no request here is plain."""
        settings = self.settings
        is_ours = type(self.metrics) is AggregatedRequestMetrics or self.metrics is None
        has_callbacks = settings.on_request is not None or settings.line is not None
        if self.tracer is not None or not is_ours or has_callbacks or settings.level not in _OWN_LEVELS:
            return None
        if self.logger is not None and type(self.logger) is not Logger:
            return None
        return (
            self.excludes_ok,
            self.metrics.traffic if isinstance(self.metrics, AggregatedRequestMetrics) else None,
            self.logger._dispatcher if isinstance(self.logger, Logger) else None,
            stdlib.wants,
            getattr(stdlib.LOGGER, "_cache", None),
            settings.level,
            _OWN_LEVELS[settings.level],
            AccessRecord.event_name,
            inf if settings.slow_s is None else settings.slow_s * 1e9,
            settings.trust_traceparent,
            self._parents.reads_plain,
            settings.log_query,
        )

    def extract(self, carrier: Carrier, current: Context) -> Context:
        """Return `current` with what the propagator finds in the headers."""
        try:
            return self._parents.context(carrier, current)
        except Exception as error:
            self.report("reading the trace headers", error)
            return current


class Observation(ObservationBase):
    """One request between its start and its end. `end` may be called from any task, and counts once.

    The core serves a plain one from end to end; `start` and `_end` are for all others.
    """

    __slots__ = ()
    _observer: Observer
    record: AccessRecord

    def start(self, carrier: Carrier | None) -> None:
        """Start the span as a child of what the headers name, and count the request in."""
        observer, record = self._observer, self.record
        parent = current = _get_current()
        if observer.neighbour is not None and observer.neighbour.makes_span(self._request):
            # The one inside takes its parent from the headers only if there is none yet.
            self._is_foreign = True
            self._context = current
            return
        links: list[Link] | None = None
        if carrier is not None:
            if observer.settings.trust_traceparent:
                parent = observer.extract(carrier, current)
            elif observer.tracer is not None:
                remote = get_current_span(observer.extract(carrier, Context())).get_span_context()
                links = [Link(remote)] if remote.is_valid else None
        self._context = parent
        # OpenTelemetry's own instrumentation around us has made the span and will make the points.
        if current and _is_contrib_server_span(get_current_span(current)):
            self._is_foreign = True
            self._context = current
        if self._is_quiet or self._is_foreign:
            return
        if observer.tracer is not None:
            self._span = observer.tracer.start_span(
                _span_name(record),
                context=parent,
                kind=SpanKind.SERVER,
                attributes=observer.span_attributes(record),
                links=links,
                start_time=record.start_ns,
            )
            self._context = set_span_in_context(self._span, parent)
        if observer.metrics is not None:
            if isinstance(record, WebSocketRecord):
                observer.metrics.session_started(record)
            else:
                observer.metrics.started(record)
            self._is_counted = True

    def _end(self, raised: BaseException | None, client_left: bool, complete: bool) -> None:
        record, observer = self.record, self._observer
        failed = raised is not None
        try:
            if raised is None and EXCEPTION_KEY in self._request:
                raised = self._swallowed()
            failed = record.close(raised=raised, client_left=client_left, complete=complete)
            if self._is_quiet and not (failed or record.status is None or record.status >= 400):
                record.closed = True
                return
            # The last body may be sent by another task or inside a child span: every signal is to carry this span's
            # ids, and what was bound inside.
            entry = core.enter_request(record, self._nearest_context())
        except Exception as error:
            observer.report("the end of a request", error)
            return
        try:
            self._tell(failed, raised)
        finally:
            core.leave_request(entry)
            record.closed = True
            if self._span is not None:
                try:
                    self._end_span(self._span, failed, raised)
                except Exception as error:
                    observer.report("the span", error)

    def _tell(self, failed: bool, raised: BaseException | None) -> None:
        observer = self._observer
        try:
            if observer.metrics is not None and not self._is_foreign:
                self._measure(observer.metrics)
        except Exception as error:
            observer.report("metrics", error)
        try:
            if observer.logger is not None:
                self._log(observer.logger, failed, raised)
        except Exception as error:
            observer.report("the access record", error)
        try:
            if observer.settings.on_request is not None:
                observer.settings.on_request(self.record)
        except Exception as error:
            observer.report("on_request", error)

    def _log_only(self) -> None:
        """Log the record of a plain request: there is something in it that the core leaves to Python."""
        observer = self._observer
        try:
            entry = core.enter_request(self.record, self._context)
            try:
                if observer.logger is not None:
                    self._log(observer.logger, False, None)
            finally:
                core.leave_request(entry)
        except Exception as error:
            observer.report("the access record", error)

    def _swallowed(self) -> BaseException | None:
        """Return the exception that the framework has made a 5xx of; one that became another answer is no failure."""
        error = self._request.pop(EXCEPTION_KEY, None)
        status = self.record.status
        return error if isinstance(error, BaseException) and (status is None or status >= 500) else None

    def _nearest_context(self) -> Context | None:
        """Return the context of the span of this request; None: the current one is."""
        if self._is_foreign and self._observer.neighbour is not None:
            span = self._observer.neighbour.span_of(self._request)
            if span is not None:
                return set_span_in_context(span)
        # Without a span of ours, one that records is nearer than the remote parent.
        is_near = self._span is not None or _get_current() is self._context
        return self._context if is_near or not get_current_span().is_recording() else None

    def late_exception(self, exception: BaseException) -> None:
        """Log an exception raised after the answer was complete (a background task): the record is already written."""
        try:
            if self._observer.logger is not None:
                self._log_late(self._observer.logger, exception)
        except Exception as error:
            self._observer.report("the exception record", error)

    def _measure(self, metrics: RequestMetrics) -> None:
        if isinstance(self.record, WebSocketRecord):
            metrics.session_ended(self.record, counted=self._is_counted)
        else:
            metrics.ended(self.record, counted=self._is_counted)

    def _log(self, logger: EventLogger, failed: bool, exception: BaseException | None) -> None:
        if CLAIMS.were_made:
            leave_terminal()
        settings, record = self._observer.settings, self.record
        is_slow = (
            settings.slow_s is not None
            and record.duration_ns > settings.slow_s * 1e9
            and not isinstance(record, WebSocketRecord)
        )
        level = settings.slow_level if is_slow else settings.level
        if failed and settings.failure_level is not None:
            level = settings.failure_level
        std_wants = stdlib.wants(level)
        line: str | None = None
        if is_slow or std_wants or settings.line is not None:
            line = record.line() if settings.line is None else settings.line(record)
            if is_slow:
                line += settings.slow_mark
        is_done = exception is None and logger.access(level, record, record.event_name, line)
        if not is_done and logger.enabled_for(level):
            said = record.line() if line is None else line
            logger.event(level, record.event_name, said, record.attributes(), exception=exception)
        if std_wants:
            stdlib.emit(record, line or "", level, exception)

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
                if record.route is not None:
                    span.update_name(_span_name(record))
                span.set_attributes(self._observer.end_attributes(record))
                if failed:
                    # Semantic conventions: no description when the status code says it all.
                    text = None if exception is None else ACTIVE.policy.text(_description(exception))
                    span.set_status(Status(StatusCode.ERROR, text))
                if exception is not None:
                    span.record_exception(exception, _exception_attributes(exception))
        finally:
            # The same duration on all three signals.
            span.end(record.start_ns + record.duration_ns)


def _span_name(record: AccessRecord) -> str:
    """`{method} {http.route}`, `HTTP` for an unknown method (semantic conventions)."""
    method = "HTTP" if record.known_method == OTHER else record.known_method
    return method if record.route is None else f"{method} {record.route}"


def _start_attributes(record: AccessRecord) -> dict[str, Any]:
    """Return what a sampler may want to know of the request."""
    hide = ACTIVE.policy.text
    attributes: dict[str, Any] = {
        "http.request.method": record.known_method,
        "url.path": hide(record.path),
        "url.scheme": record.scheme,
        "network.protocol.version": record.http_version,
    }
    if record.known_method == OTHER:
        attributes["http.request.method_original"] = record.method
    if record.client_address is not None:
        attributes["client.address"] = record.client_address
    if record.user_agent is not None:
        attributes["user_agent.original"] = hide(record.user_agent)
    if record.headers:
        named = {f"http.request.header.{name}": values for name, values in record.headers.items()}
        attributes |= ACTIVE.policy.values(named)
    return attributes


def _end_attributes(record: AccessRecord) -> dict[str, Any]:
    attributes: dict[str, Any] = {}
    if record.status is not None:
        attributes["http.response.status_code"] = record.status
    if record.route is not None:
        attributes["http.route"] = record.route
    if record.error_type is not None:
        attributes["error.type"] = record.error_type
    return attributes


def _start_attributes_old(record: AccessRecord) -> dict[str, Any]:
    attributes = _start_attributes(record)
    attributes |= {
        "http.method": record.known_method,
        "http.target": attributes["url.path"],
        "http.scheme": record.scheme,
        "http.flavor": record.http_version,
    }
    if record.client_address is not None:
        attributes["net.peer.ip"] = record.client_address
    if record.user_agent is not None:
        attributes["http.user_agent"] = attributes["user_agent.original"]
    return attributes


def _end_attributes_old(record: AccessRecord) -> dict[str, Any]:
    attributes = _end_attributes(record)
    if record.status is not None:
        attributes["http.status_code"] = record.status
    return attributes


def _is_contrib_server_span(span: Span) -> bool:
    """Return whether one of OpenTelemetry's own server instrumentations has made this span."""
    if not span.is_recording():
        return False
    scope = getattr(span, "instrumentation_scope", None)
    name = getattr(scope, "name", None)
    return getattr(span, "kind", None) is SpanKind.SERVER and isinstance(name, str) and name.startswith(_CONTRIB)


def _exception_attributes(exception: BaseException) -> dict[str, Any]:
    """Return what a span event is to say of an exception, without secrets."""
    _, message, trace = wire_parts(RecordException(type(exception), exception, exception.__traceback__))
    return ACTIVE.policy.values({"exception.message": message, "exception.stacktrace": trace})


def _description(exception: BaseException) -> str:
    try:
        return client_text(f"{error_type(exception)}: {exception}")
    except Exception:
        return error_type(exception)

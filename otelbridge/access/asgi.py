"""ASGI 3: times a request, counts its bytes, and hands the AccessRecord to `observe`.

`Instrumented` holds settings only; a responder per request holds its state. WebSocket sessions are `websocket`'s, the
lifespan is `lifespan`'s; other scopes pass untouched. The one message that is changed: an answer gets the X-Request-ID
that its client asked about.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from time import perf_counter_ns
from typing import Any

from otelbridge.access.observe import Observation, Observer
from otelbridge.access.record import AccessRecord, client_text

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]
RouteOf = Callable[[Scope], str | None]

# Answers whose body the server does not put on the wire, whatever the app sends.
_BODILESS_STATUS = frozenset({204, 304})


class Instrumented:
    """An ASGI app, observed. `instrument()` makes it; unknown attributes are the app's (`app.state`, `@app.get`).

    `route_of` is asked for the route's template when the request ends.
    """

    __slots__ = ("__weakref__", "app", "observer", "route_of")

    def __init__(self, app: ASGIApp, observer: Observer, route_of: RouteOf | None = None) -> None:
        self.app = app
        self.observer = observer
        self.route_of = route_template if route_of is None else route_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope; a request or WebSocket session that is not excluded is observed.

        Whatever the app raises passes on unchanged, except that a lifespan it does not know is served for it.
        """
        responder = self._responder(scope, receive, send)
        if responder is None:
            if _kind(scope) == "lifespan":
                from otelbridge.access.lifespan import serve_lifespan

                await serve_lifespan(self.app, scope, receive, send)
            else:
                await self.app(scope, receive, send)
            return
        observation = responder.observation
        entry = observation.enter()
        try:
            await self.app(scope, responder.receive, responder.send)
        except BaseException as error:
            responder.raised(error)
            # Where somebody throws the coroutine away from outside of its context, this does nothing.
            observation.leave(entry)
            raise
        if not observation.ended:
            responder.conclude(None)
        observation.leave(entry)

    def _responder(self, scope: Scope, receive: Receive, send: Send) -> Responder | None:
        kind = _kind(scope)
        if kind == "http":
            observation = self.observer.open_asgi(scope)
            return None if observation is None else HttpResponder(self, observation, scope, receive, send)
        if kind == "websocket":
            observation = self.observer.open_asgi(scope)
            if observation is not None:
                from otelbridge.access.websocket import WebSocketResponder

                return WebSocketResponder(self, observation, scope, receive, send)
        return None

    def __getattr__(self, name: str) -> Any:
        # While copied or unpickled the slots are empty: asking `app` for itself would never end.
        if name in ("app", "observer", "route_of") or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.app, name)


class Responder(ABC):
    """One scope that is observed: notes what passes between server and app, and ends the observation exactly once."""

    __slots__ = ("_host", "_receive", "_record", "_scope", "_send", "_send_error", "_start_ns", "observation")

    def __init__(
        self, host: Instrumented, observation: Observation, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._start_ns = perf_counter_ns()
        self._host = host
        self.observation = observation
        self._record: AccessRecord = observation.record
        self._scope = scope
        self._receive = receive
        self._send = send
        self._send_error: OSError | None = None

    def raised(self, error: BaseException) -> None:
        """Note what the app raised."""
        if not self.observation.ended:
            self.conclude(error)
        elif isinstance(error, Exception):
            self.observation.late_exception(error)

    @abstractmethod
    async def receive(self) -> Message:
        """Pass a message from the client on, and note it."""

    @abstractmethod
    async def send(self, message: Message) -> None:
        """Pass a message from the app on, and note it."""

    @abstractmethod
    def conclude(self, error: BaseException | None) -> None:
        """Complete the record and end its observation; `error` is what the app raised."""

    def is_stopped_by(self, error: BaseException) -> bool:
        """Return whether the app was stopped, as servers do when nobody listens any more, rather than failed."""
        return error is self._send_error or _is_cancelled(error)

    def take_route(self) -> None:
        """Put the route's template into the record, unless the app has."""
        if self._record.route is None:
            try:
                self._record.route = self._host.route_of(self._scope)
            except Exception as error:
                # A route object with a mind of its own.
                self._host.observer.report("finding the route", error)


class HttpResponder(Responder):
    """One HTTP request: wraps `receive` and `send`."""

    __slots__ = ("_bodiless", "_client_left", "_complete", "_last_sent")

    def __init__(
        self, host: Instrumented, observation: Observation, scope: Scope, receive: Receive, send: Send
    ) -> None:
        super().__init__(host, observation, scope, receive, send)
        self._client_left = False
        self._last_sent = False
        self._complete = False
        self._bodiless = self._record.method == "HEAD"

    async def receive(self) -> Message:
        """Pass a message from the client on; note body bytes, and that the client left."""
        message = await self._receive()
        kind = _kind(message)
        if kind == "http.request":
            self._record.request_body_size += size_of(message.get("body"))
        elif kind == "http.disconnect" and not self._last_sent:
            # After the last body message every server reports a disconnect: that is no leaving.
            self._client_left = True
        return message

    async def send(self, message: Message) -> None:
        """Pass a message from the app on; note status, times and body bytes once the server has taken it."""
        kind = _kind(message)
        if kind == "http.response.start" and self._record.echo_request_id:
            message = with_request_id(message, self._record)
        is_last = not self._last_sent and _is_last(kind, message)
        if is_last:
            self._last_sent = True
        try:
            await self._send(message)
        except OSError as error:
            self._client_left = self._client_left or not self._complete
            self._send_error = error
            raise
        if self._complete:
            return
        if kind == "http.response.start":
            self._record.ttfb_ns = perf_counter_ns() - self._start_ns
            status = status_of(message)
            if status is not None:
                self._record.status = status
                self._bodiless = self._bodiless or status in _BODILESS_STATUS
            return
        if kind is not None and not (self._bodiless or self._client_left):
            # A client that left gets no more bytes, though the server takes them.
            self._record.response_body_size += _body_size(kind, message)
        if is_last:
            self._complete = True
            self._record.duration_ns = perf_counter_ns() - self._start_ns
            # An app that has answered 5xx is likely to raise the reason next (Starlette does).
            if self._record.status is None or self._record.status < 500:
                self.conclude(None)

    def conclude(self, error: BaseException | None) -> None:
        """Complete the record and end its observation."""
        if error is not None and self.is_stopped_by(error):
            self._client_left = self._client_left or not self._complete
            error = None
        if not self._complete:
            self._record.duration_ns = perf_counter_ns() - self._start_ns
        self.take_route()
        self.observation.end(raised=error, client_left=self._client_left, complete=self._complete)


def route_template(scope: Scope) -> str | None:
    """Return the route that the app matched, mount prefix included; None if it named none. Never the raw path.

    Frameworks leave a route object in `scope["route"]` (`path_format`, else `path`); a bare app may put a template
    (`scope["route"] = "/items/{id}"`) there itself.
    """
    route = scope.get("route")
    if route is None:
        return None
    template = route if isinstance(route, str) else getattr(route, "path_format", None) or getattr(route, "path", None)
    if not isinstance(template, str):
        return None
    prefix = _mount_template(scope, template)
    return None if prefix is None else client_text(prefix + template)


def _mount_template(scope: Scope, template: str) -> str | None:
    """Return the mount prefix, its parameters' values replaced by their names; None if one is not found in it."""
    prefix = scope.get("root_path")
    if not isinstance(prefix, str) or not prefix:
        return ""
    parameters = scope.get("path_params")
    if not isinstance(parameters, Mapping):
        return prefix.rstrip("/")
    segments = prefix.rstrip("/").split("/")
    for name, value in parameters.items():
        if f"{{{name}}}" in template or f"{{{name}:" in template:
            continue
        if str(value) not in segments:
            return None
        segments[segments.index(str(value))] = f"{{{name}}}"
    return "/".join(segments)


def with_request_id(message: Message, record: AccessRecord) -> Message:
    """Return the start of an answer with the request's id in its headers, unless the app has put one there."""
    headers = message.get("headers", ())
    try:
        if record.request_id is None or any(bytes(name).lower() == b"x-request-id" for name, _ in headers):
            return message
        return {**message, "headers": [*headers, (b"x-request-id", record.request_id.encode("ascii"))]}
    except Exception:
        return message  # the server will say what it thinks of such headers


def status_of(message: Message) -> int | None:
    """Return the status of an answer, whatever the server took for one: an int, an HTTPStatus, a string."""
    try:
        status = message["status"]
        if type(status) is not int:
            status = int(status)
    except Exception:
        return None
    # No server sends others, and no encoder takes them all.
    return status if 0 <= status <= 9999 else None


def _kind(message: Message) -> str | None:
    try:
        kind = message["type"]
    except (KeyError, TypeError):
        return None  # the server or the app will say what it thinks of it
    return kind if isinstance(kind, str) else None


def _is_last(kind: str | None, message: Message) -> bool:
    if kind == "http.response.body" or kind == "http.response.zerocopysend":
        return not message.get("more_body", False)
    return kind == "http.response.pathsend"


def _body_size(kind: str, message: Message) -> int:
    if kind == "http.response.body":
        body = message.get("body")
        return len(body) if type(body) is bytes else size_of(body)
    count = message.get("count") if kind == "http.response.zerocopysend" else None
    return count if isinstance(count, int) else 0


def size_of(body: object) -> int:
    """Return the bytes of a message's body, whatever the server took for one."""
    if isinstance(body, bytes | bytearray):
        return len(body)
    return body.nbytes if isinstance(body, memoryview) else 0


def _is_cancelled(error: BaseException) -> bool:
    """Return whether the task was told to stop (asyncio's and trio's cancellation, a closed coroutine)."""
    return not isinstance(error, Exception | KeyboardInterrupt | SystemExit)

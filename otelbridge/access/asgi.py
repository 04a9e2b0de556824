"""ASGI 3: times a request, counts its bytes, and hands the AccessRecord to `observe`. Changes no message.

`Instrumented` holds settings only; a responder per request holds its state. Other scopes than HTTP pass untouched.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from time import perf_counter_ns, time_ns
from typing import Any

from otelbridge.access.observe import Headers, Observation, Observer
from otelbridge.access.record import AccessRecord, client_text

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGIApp = Callable[[Scope, Receive, Send], Awaitable[None]]

# Answers whose body the server does not put on the wire, whatever the app sends.
_BODILESS_STATUS = frozenset({204, 304})


class Instrumented:
    """An ASGI app, observed. `instrument()` makes it; unknown attributes are the app's (`app.state`, `@app.get`)."""

    __slots__ = ("__weakref__", "app", "observer")

    def __init__(self, app: ASGIApp, observer: Observer) -> None:
        self.app = app
        self.observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one scope; an HTTP request that is not excluded is observed."""
        responder = _responder(self, scope, receive, send)
        if responder is None:
            await self.app(scope, receive, send)
        else:
            await responder.respond()

    def __getattr__(self, name: str) -> Any:
        # While copied or unpickled the slots are empty: asking `app` for itself would never end.
        if name in ("app", "observer") or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.app, name)


class _Responder:
    """One HTTP request: wraps `receive` and `send`, and ends the observation exactly once."""

    __slots__ = (
        "_app",
        "_bodiless",
        "_client_left",
        "_complete",
        "_last_sent",
        "_observation",
        "_receive",
        "_record",
        "_scope",
        "_send",
        "_send_error",
        "_start_ns",
    )

    def __init__(self, app: ASGIApp, observer: Observer, scope: Scope, receive: Receive, send: Send) -> None:
        self._app = app
        self._scope = scope
        self._receive = receive
        self._send = send
        self._start_ns = perf_counter_ns()
        self._record = read_scope(scope)
        self._client_left = False
        self._last_sent = False
        self._complete = False
        self._bodiless = self._record.method == "HEAD"
        self._send_error: OSError | None = None
        quiet = observer.settings.exclude_ok.match(self._record.path)
        self._observation: Observation = observer.begin(self._record, _headers(scope), quiet=quiet)

    async def respond(self) -> None:
        """Run the app inside the request's span; whatever it raises passes on unchanged."""
        token = self._observation.enter()
        try:
            await self._app(self._scope, self.receive, self.send)
        except GeneratorExit as error:
            # The coroutine was thrown away by somebody outside of its context: there is nothing of ours to detach.
            self._raised(error)
            raise
        except BaseException as error:
            self._raised(error)
            self._observation.leave(token)
            raise
        self._returned()
        self._observation.leave(token)

    async def receive(self) -> Message:
        """Pass a message from the client on; note body bytes, and that the client left."""
        message = await self._receive()
        kind = _kind(message)
        if kind == "http.request":
            self._record.request_body_size += _size(message.get("body"))
        elif kind == "http.disconnect" and not self._last_sent:
            # After the last body message every server reports a disconnect: that is no leaving.
            self._client_left = True
        return message

    async def send(self, message: Message) -> None:
        """Pass a message from the app on; note status, times and body bytes once the server has taken it."""
        kind = _kind(message)
        last = not self._last_sent and _is_last(kind, message)
        if last:
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
            self._started(message)
        elif kind is not None and not (self._bodiless or self._client_left):
            # A client that left gets no more bytes, though the server takes them.
            self._record.response_body_size += _body_size(kind, message)
        if last:
            self._completed()

    def _started(self, message: Message) -> None:
        record = self._record
        record.ttfb_ns = perf_counter_ns() - self._start_ns
        try:
            record.status = int(message["status"])  # whatever the server took: an int, an HTTPStatus, a string
        except Exception:
            return
        self._bodiless = self._bodiless or record.status in _BODILESS_STATUS

    def _completed(self) -> None:
        """Take the duration; end, unless the app is likely to raise the reason of a 5xx next (Starlette does)."""
        self._complete = True
        self._record.duration_ns = perf_counter_ns() - self._start_ns
        if self._record.status is None or self._record.status < 500:
            self._conclude(None)

    def _returned(self) -> None:
        if not self._observation.ended:
            self._conclude(None)

    def _raised(self, error: BaseException) -> None:
        if not self._observation.ended:
            self._conclude(error)
        elif isinstance(error, Exception):
            self._observation.late_exception(error)

    def _conclude(self, error: BaseException | None) -> None:
        """Complete the record and end its observation."""
        record = self._record
        stopped = error is not None and (error is self._send_error or _is_cancelled(error))
        if not self._complete:
            record.duration_ns = perf_counter_ns() - self._start_ns
            # Servers stop the app's task, or refuse to send, when nobody listens any more.
            self._client_left = self._client_left or stopped
        raised = None if stopped else error
        failed = record.close(raised=raised, client_left=self._client_left, complete=self._complete)
        record.route = self._route()
        self._observation.end(failed=failed, exception=raised)

    def _route(self) -> str | None:
        try:
            return route_template(self._scope)
        except Exception:
            return None  # a route object with a mind of its own


def _responder(instrumented: Instrumented, scope: Scope, receive: Receive, send: Send) -> _Responder | None:
    """Return who observes this scope; None if it is to pass untouched."""
    observer = instrumented.observer
    try:
        if scope["type"] != "http" or observer.settings.exclude.match(_path(scope)):
            return None
        return _Responder(instrumented.app, observer, scope, receive, send)
    except Exception as error:
        # No scope of any server; the app will say what it thinks of it.
        observer.report("reading the scope", error)
        return None


def read_scope(scope: Scope) -> AccessRecord:
    """Return a record of what is known at the start; a scope that lacks or garbles a field gives the default."""
    client = scope.get("client")
    address = client_text(client[0]) if isinstance(client, tuple | list) and client else ""
    return AccessRecord(
        method=client_text(scope.get("method")),
        path=_path(scope),
        scheme=client_text(scope.get("scheme")) or "http",
        http_version=client_text(scope.get("http_version")) or "1.1",
        client_address=address or None,
        start_ns=time_ns(),
    )


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


def _path(scope: Scope) -> str:
    return client_text(scope.get("path"))


def _headers(scope: Scope) -> Headers:
    headers = scope.get("headers")
    # An iterator may be read only once, and that is the app's to do.
    return headers if isinstance(headers, list | tuple) else ()


def _kind(message: Message) -> str | None:
    try:
        kind = message["type"]
    except (KeyError, TypeError):
        return None  # the server or the app will say what it thinks of it
    return kind if isinstance(kind, str) else None


def _is_last(kind: str | None, message: Message) -> bool:
    if kind in ("http.response.body", "http.response.zerocopysend"):
        return not message.get("more_body", False)
    return kind == "http.response.pathsend"


def _body_size(kind: str, message: Message) -> int:
    if kind == "http.response.body":
        return _size(message.get("body"))
    count = message.get("count") if kind == "http.response.zerocopysend" else None
    return count if isinstance(count, int) else 0


def _size(body: object) -> int:
    if isinstance(body, bytes | bytearray):
        return len(body)
    return body.nbytes if isinstance(body, memoryview) else 0


def _is_cancelled(error: BaseException) -> bool:
    """Return whether the task was told to stop (asyncio's and trio's cancellation, a closed coroutine)."""
    return not isinstance(error, Exception | KeyboardInterrupt | SystemExit)

"""WSGI: times a request, counts its bytes, and hands the AccessRecord to `observe`.

`InstrumentedWSGI` holds settings only; a responder per request holds its state. The server gets the responder itself
for a list or tuple, and a `SteppedBody` for a body that runs the app's code while it is iterated. The one thing that is
changed: an answer gets the X-Request-ID that its client asked about.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from time import perf_counter_ns
from typing import Any

from opentelemetry import context as otel_context

from otelbridge.access.asgi import size_of
from otelbridge.access.observe import Observation, Observer
from otelbridge.access.record import AccessRecord, client_text
from otelbridge.context import CURRENT, otel_variable

Environ = dict[str, Any]
Write = Callable[[bytes], object]
StartResponse = Callable[..., Write]
WSGIApp = Callable[[Environ, StartResponse], Iterable[bytes]]
RouteOf = Callable[[Environ], str | None]

# Where an app without a framework may put its route's template.
ROUTE_KEY = "otelbridge.route"

# Answers whose body the server does not put on the wire, whatever the app returns.
_BODILESS_STATUS = frozenset({204, 304})
_WHOLE = (list, tuple)
_END = object()
_NO_LENGTH = ("", "0")

# As in `observe`: the way through OpenTelemetry's API takes ten times as long.
_VARIABLE = otel_variable()
_get_current = otel_context.get_current if _VARIABLE is None else _VARIABLE.get
_attach = otel_context.attach if _VARIABLE is None else _VARIABLE.set


class InstrumentedWSGI:
    """A WSGI app, observed. `instrument()` makes it; unknown attributes are the app's.

    `route_of` is asked for the route's template when the request ends.
    """

    __slots__ = ("__weakref__", "app", "observer", "route_of")

    def __init__(self, app: WSGIApp, observer: Observer, route_of: RouteOf | None = None) -> None:
        self.app = app
        self.observer = observer
        self.route_of = route_template if route_of is None else route_of

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request; one that is not excluded is observed until its body is closed."""
        observation = self.observer.open_wsgi(environ)
        if observation is None:
            return self.app(environ, start_response)
        return WSGIResponder(self, observation, environ, start_response).respond()

    def __getattr__(self, name: str) -> Any:
        # While copied or unpickled the slots are empty: asking `app` for itself would never end.
        if name in ("app", "observer", "route_of") or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.app, name)


class WSGIResponder:
    """One request that is observed: calls the app inside its span, and ends the observation exactly once.

    A list or tuple runs none of the app's code any more: the server gets the responder itself as the body.
    """

    __slots__ = (
        "_body",
        "_environ",
        "_host",
        "_input",
        "_page_error",
        "_server_error",
        "_start_ns",
        "_start_response",
        "_write",
        "bound",
        "is_exhausted",
        "is_faulty",
        "observation",
        "record",
    )

    def __init__(
        self, host: InstrumentedWSGI, observation: Observation, environ: Environ, start_response: StartResponse
    ) -> None:
        self._start_ns = perf_counter_ns()
        self._host = host
        self._environ = environ
        self._start_response = start_response
        self._input: CountedInput | None = None
        self._page_error: BaseException | None = None
        self._server_error: OSError | None = None
        self.observation = observation
        self.record: AccessRecord = observation.record
        # The server has taken the whole body; or it cannot, by the app's fault.
        self.is_exhausted = False
        self.is_faulty = False

    def respond(self) -> Iterable[bytes]:
        """Call the app inside the request's span; whatever it raises passes on unchanged."""
        environ = self._environ
        if environ.get("CONTENT_LENGTH", "") not in _NO_LENGTH or "HTTP_TRANSFER_ENCODING" in environ:
            self._count_input()
        entry = self.observation.enter()
        # What `contextualize` has bound where the answer began: in each step of the body.
        self.bound = CURRENT.get()
        try:
            body = self._host.app(environ, self.start_response)
            # Asking a list for what it lacks is slow.
            if type(body) is list or (isinstance(body, _WHOLE) and not hasattr(body, "close")):
                self._body: Sequence[bytes] = body
                return self
            if self._is_served_as_file(body):
                return body
            return SteppedBody(self, body)
        except BaseException as error:
            self.conclude(error)
            raise
        finally:
            # Whatever the app left bound is this request's, and the thread's next request is another one.
            self.observation.leave(entry)

    def start_response(self, status: str, response_headers: list[tuple[str, str]], /, exc_info: Any = None) -> Write:
        """Pass the start of the answer on; note its status once the server has taken it."""
        record = self.record
        if record.echo_request_id:
            response_headers = with_request_id(response_headers, record)
        if exc_info is None:
            self._write: Write = self._start_response(status, response_headers)
        else:
            # If the headers are gone already, the server raises what `exc_info` holds: the status stays as it was.
            self._write = self._start_response(status, response_headers, exc_info)
            self._page_error = _error_of(exc_info)
        record.status = status_of(status) if type(status) is str else None
        self.bound = CURRENT.get()
        return self.write

    def write(self, data: bytes, /) -> None:
        """Pass a part of the body on, as apps older than iterables do; count it once the server has taken it."""
        try:
            self._write(data)
        except OSError as error:
            self._server_error = error
            raise
        self.note_first_byte()
        self.record.response_body_size += size_of(data)

    def note_first_byte(self) -> None:
        """Take the time to first byte: a server sends the headers together with the first part of the body."""
        if self.record.ttfb_ns is None:
            self.record.ttfb_ns = perf_counter_ns() - self._start_ns

    def note_chunk(self, chunk: object) -> int:
        """Return the size of what the server gets next; what it will refuse is the app's fault."""
        if self.record.status is None or not isinstance(chunk, bytes | bytearray | memoryview):
            self.is_faulty = True
        return size_of(chunk)

    def __len__(self) -> int:
        # Servers derive a Content-Length from it.
        return len(self._body)

    def __iter__(self) -> Iterator[bytes]:
        record = self.record
        if record.ttfb_ns is None:
            record.ttfb_ns = perf_counter_ns() - self._start_ns
        for chunk in self._body:
            size = len(chunk) if type(chunk) is bytes and record.status is not None else self.note_chunk(chunk)
            yield chunk
            # The server is back for more: it has taken this one.
            record.response_body_size += size
        self.is_exhausted = True
        self.conclude(None)

    def close(self) -> None:
        """The server has done with the body."""
        if not self.observation.ended:
            self.conclude(None)

    def __del__(self) -> None:
        # A server (many a test client) that never closes: its record comes late rather than never.
        if not self.observation.ended and not sys.is_finalizing():
            self.conclude(None)

    def conclude(self, error: BaseException | None) -> None:
        """Complete the record and end its observation; what the app raises later gets a record of its own."""
        observation, record = self.observation, self.record
        if observation.ended:
            if isinstance(error, Exception):
                observation.late_exception(error)
            return
        record.duration_ns = perf_counter_ns() - self._start_ns
        status = record.status
        complete = self.is_exhausted and status is not None
        if record.method == "HEAD" or status in _BODILESS_STATUS:
            # The server does not put it on the wire, and need not even ask for it.
            record.response_body_size = 0
            complete = status is not None
        if complete and record.ttfb_ns is None:
            self.note_first_byte()
        if self._input is not None and self._input.error is not None:
            self._server_error, self._input.error = self._input.error, None
        raised, client_left = error, self._server_error is not None
        if error is None:
            if self._page_error is not None and status is not None and status >= 500:
                raised = self._page_error
            # Servers do not say why they close a body early. If nothing was wrong with it, nobody is there to take it.
            client_left = client_left or not (complete or self.is_exhausted or self.is_faulty)
        elif error is self._server_error:
            raised = None
        # Exceptions hold frames, and those hold us.
        self._page_error = self._server_error = None
        if record.route is None:
            try:
                record.route = self._host.route_of(self._environ)
            except Exception as failure:
                # A route object with a mind of its own.
                self._host.observer.report("finding the route", failure)
        observation.end(raised=raised, client_left=client_left, complete=complete)

    def _count_input(self) -> None:
        source = self._environ.get("wsgi.input")
        if source is not None:
            self._environ["wsgi.input"] = self._input = CountedInput(self.record, source)

    def _is_served_as_file(self, body: object) -> bool:
        """Return whether the server may send `body` as a file, by itself, and tells its end to a `_FileClose`.

        Servers know such a body by its type, so it cannot be wrapped. Its size is what the file holds from here on.
        """
        wrapper = self._environ.get("wsgi.file_wrapper")
        if not (isinstance(wrapper, type) and isinstance(body, wrapper)):
            return False
        served: Any = body
        try:
            fileno = served.filelike.fileno()
            size = os.fstat(fileno).st_size - os.lseek(fileno, 0, os.SEEK_CUR)
            # Both wsgiref and gunicorn set this attribute themselves.
            served.close = _FileClose(self, getattr(served, "close", None), size)
        except Exception:
            return False  # no file after all, or a wrapper of some server that lets nothing be set
        return True


class SteppedBody:
    """What the server gets for any other iterable: each step runs inside the request's span and `contextualize` blocks.

    Blocks that the app opens in one step and closes in a later one are open in between for the app only: the server's
    thread does not see them.
    """

    __slots__ = (
        "_attributes",
        "_body",
        "_context",
        "_is_closed",
        "_iterator",
        "_responder",
        "_taken_size",
    )

    def __init__(self, responder: WSGIResponder, body: Iterable[bytes]) -> None:
        self._responder = responder
        self._body = body
        # What is an iterator already needs no step to become one.
        self._iterator: Any = body if hasattr(body, "__next__") else None
        self._is_closed = False
        self._taken_size = 0
        self._context = _get_current()
        self._attributes = responder.bound

    def __iter__(self) -> SteppedBody:
        return self

    def __next__(self) -> bytes:
        responder = self._responder
        # The server is back for more: it has taken the one before.
        responder.record.response_body_size += self._taken_size
        self._taken_size = 0
        if self._iterator is None:
            self._iterator = self._step(iter, self._body)
        chunk = self._step(next, self._iterator, _END)
        if chunk is _END:
            responder.is_exhausted = True
            if not hasattr(self._body, "close"):
                responder.close()
            raise StopIteration
        self._taken_size = responder.note_chunk(chunk)
        if chunk:
            responder.note_first_byte()
        return chunk  # type: ignore[no-any-return]  # whatever the app made

    def close(self) -> None:
        """The server has done with the body, so the app has; once."""
        if self._is_closed:
            return
        self._is_closed = True
        close = getattr(self._body, "close", None)
        if close is not None:
            self._step(close)
        self._responder.close()

    def _step(self, act: Callable[..., Any], *arguments: Any) -> Any:
        # By hand rather than with tokens: nearly always there is nothing to change, or only the span.
        outer_context, outer_attributes = _get_current(), CURRENT.get()
        if self._context is not outer_context:
            _attach(self._context)
        if self._attributes is not outer_attributes:
            CURRENT.set(self._attributes)
        try:
            return act(*arguments)
        except BaseException as error:
            self._responder.conclude(error)
            raise
        finally:
            self._context, self._attributes = _get_current(), CURRENT.get()
            if self._context is not outer_context:
                _attach(outer_context)
            if self._attributes is not outer_attributes:
                CURRENT.set(outer_attributes)


class _FileClose:
    """The `close` of a file wrapper: the app's own, and then the end of the request."""

    __slots__ = ("_close", "_responder", "_size")

    def __init__(self, responder: WSGIResponder, close: Callable[[], object] | None, size: int) -> None:
        self._responder = responder
        self._close = close
        self._size = size

    def __call__(self) -> None:
        responder = self._responder
        token = responder.observation.enter()
        try:
            if self._close is not None:
                self._close()
        except BaseException as error:
            responder.conclude(error)
            raise
        finally:
            responder.observation.leave(token)
        if not responder.observation.ended:
            responder.record.response_body_size += self._size
            responder.is_exhausted = True
            responder.conclude(None)


class CountedInput:
    """`wsgi.input`, counting what the app reads; unknown attributes are the server's."""

    __slots__ = ("_input", "_record", "error")

    def __init__(self, record: AccessRecord, body: Any) -> None:
        # Not the responder: that has the environ, and the environ has us.
        self._record = record
        self._input = body
        self.error: OSError | None = None
        """Why the server could not read from the client."""

    def read(self, *size: int) -> Any:
        """As the server's."""
        return self._counted(self._input.read, *size)

    def readline(self, *size: int) -> Any:
        """As the server's."""
        return self._counted(self._input.readline, *size)

    def readlines(self, *hint: int) -> Any:
        """As the server's."""
        lines = self._guarded(self._input.readlines, *hint)
        self._record.request_body_size += sum(map(size_of, lines))
        return lines

    def __iter__(self) -> Iterator[bytes]:
        lines = iter(self._input)
        while True:
            try:
                line = self._counted(next, lines)
            except StopIteration:
                return
            yield line

    def __next__(self) -> Any:
        return self._counted(next, self._input)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._input, name)
        # More than PEP 3333 asks for, but frameworks use them where a server offers them.
        return partial(self._counted, found) if name in ("read1", "readinto", "readinto1") else found

    def _counted(self, read: Callable[..., Any], *arguments: Any) -> Any:
        got = self._guarded(read, *arguments)
        self._record.request_body_size += got if isinstance(got, int) else size_of(got)
        return got

    def _guarded(self, read: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return read(*arguments)
        except OSError as error:
            self.error = error
            raise


def route_template(environ: Environ) -> str | None:
    """Return the route that the app put into the environ, below the SCRIPT_NAME it is mounted at; None if none."""
    route = environ.get(ROUTE_KEY)
    if not isinstance(route, str):
        return None
    prefix = environ.get("SCRIPT_NAME")
    if not prefix or not isinstance(prefix, str):
        return client_text(route)
    # PEP 3333's texts are bytes in disguise.
    return client_text(prefix.encode("latin-1", "replace").rstrip(b"/")) + client_text(route)


def with_request_id(headers: list[tuple[str, str]], record: AccessRecord) -> list[tuple[str, str]]:
    """Return the headers of an answer with the request's id among them, unless the app has put one there."""
    try:
        if record.request_id is None or any(name.lower() == "x-request-id" for name, _ in headers):
            return headers
        return [*headers, ("X-Request-ID", record.request_id)]
    except Exception:
        return headers  # the server will say what it thinks of them


@lru_cache(maxsize=256)
def status_of(status: str) -> int | None:
    """Return the code of a status such as `200 OK`; None for what is none."""
    code = status.partition(" ")[0]
    return int(code) if len(code) == 3 and code.isascii() and code.isdecimal() else None


def _error_of(exc_info: object) -> BaseException | None:
    """Return what an app that shows an error page itself says was the reason."""
    error = exc_info[1] if isinstance(exc_info, tuple) and len(exc_info) == 3 else None
    return error if isinstance(error, BaseException) else None

"""A WSGI server and its client in one, strict about PEP 3333, and the harness of `support` around a WSGI app."""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper
from wsgiref.validate import validator

from otelbridge.access.options import Settings
from otelbridge.access.wsgi import Environ, InstrumentedWSGI, StartResponse, WSGIApp
from tests.access.support import Event, Harness, hello

TEXT = ("Content-Type", "text/plain")


class WSGIHarness(Harness):
    """An instrumented WSGI app whose log, spans and points stay here."""

    def __init__(self, app: WSGIApp, settings: Settings | None = None) -> None:
        super().__init__(hello, settings)
        self.wsgi = InstrumentedWSGI(app, self.observer)

    def fetch(self, path: str = "/", /, **changes: Any) -> Served:
        """Serve one GET to its end, under the eyes of wsgiref's validator; `changes` are of the environ."""
        return serve(self.wsgi, make_environ(path, **changes))


@dataclass
class Served:
    """What the server got from the app, and what went wrong."""

    status: str | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    taken: list[bytes] = field(default_factory=list)
    """What went to the client."""
    error: BaseException | None = None
    result: object = None
    """The iterable that the app returned."""

    @property
    def body(self) -> bytes:
        return b"".join(self.taken)

    def header(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]


def make_environ(path: str = "/", /, *, body: bytes = b"", **changes: Any) -> Environ:
    """Return a fresh environ as servers make it; with a body, a POST that has its length."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST" if body else "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "203.0.113.42",
        "HTTP_HOST": "localhost",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **({"CONTENT_LENGTH": str(len(body))} if body else {}),
    }
    return {**environ, **changes}


def serve(app: WSGIApp, environ: Environ, *, hang_up_after: int | None = None, strict: bool = True) -> Served:
    """Call `app`, take its body, close it. Whatever is raised on the way is kept, not raised, as servers do.

    hang_up_after: the client goes away after so many chunks; strict: wsgiref's validator stands in between.
    """
    served = Served()

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        if exc_info is not None and served.taken:
            raise exc_info[1]
        assert served.status is None or exc_info is not None, "start_response called again without exc_info"
        served.status, served.headers = status, headers
        return write

    def write(data: bytes) -> None:
        assert served.status is not None, "write before start_response"
        assert type(data) is bytes, f"body must be bytes, got {data!r}"
        if hang_up_after is not None and len(served.taken) >= hang_up_after:
            raise BrokenPipeError
        if data:
            served.taken.append(data)

    called = validator(app) if strict else app
    try:
        served.result = body = called(environ, start_response)
        try:
            for chunk in body:
                write(chunk)
            assert served.status is not None, "start_response was never called"
        finally:
            close = getattr(body, "close", None)
            if close is not None:
                close()
    except BaseException as error:
        served.error = error
    return served


def answering(body: Iterable[bytes] | Callable[[], Iterable[bytes]] = (b"hello",), status: str = "200 OK") -> WSGIApp:
    """Return an app that answers with `body`, or with what it makes."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        bodiless = status.startswith(("204", "304"))
        start_response(status, [] if bodiless else [TEXT])
        return body() if callable(body) else body

    return app


def shop(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """A small app of everything that can happen."""
    path = environ["PATH_INFO"]
    if path == "/raise":
        raise RuntimeError("broken")
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    start_response("200 OK", [TEXT])
    if path == "/stream":
        return (b"x" * 1000 for _ in range(3))
    if path == "/endless":
        return itertools.repeat(b"x" * 65536)
    if path == "/file":
        wrapper = environ.get("wsgi.file_wrapper", FileWrapper)
        return wrapper(Path(__file__).open("rb"))  # type: ignore[no-any-return]
    return [b"hello"]


def recorded(path: str) -> InstrumentedWSGI:
    """Return the shop, instrumented, for a server in another process: each event becomes a line of JSON in a file."""
    harness = WSGIHarness(shop)

    class Events(list[Event]):
        def append(self, event: Event) -> None:
            with Path(path).open("a") as file:
                file.write(json.dumps({"trace_id": event.trace_id, **event.attributes}) + "\n")

    harness.logger.events = Events()
    return harness.wsgi


class Closable:
    """An iterable that counts its closings, and does something at each."""

    def __init__(self, chunks: Sequence[bytes], act: Callable[[], object] = lambda: None) -> None:
        self._chunks = chunks
        self._act = act
        self.closed_count = 0

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._chunks)

    def close(self) -> None:
        self.closed_count += 1
        self._act()

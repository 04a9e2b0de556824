"""The apps that answer the same small request, a server and client in one for each kind, and OTel's instrumentation.

A request is a GET of `/items/42` with nine headers, one of them a sampled traceparent; the answer is a 200 of five
bytes. No network and no event loop: nothing in these apps ever waits.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from opentelemetry.metrics import MeterProvider
from opentelemetry.trace import TracerProvider

PATH = "/items/42"
BODY = b"hello"
HEADERS = (
    ("host", "shop.example"),
    ("connection", "keep-alive"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-language", "en-GB,en;q=0.5"),
    ("accept-encoding", "gzip, deflate, br"),
    ("referer", "https://shop.example/items"),
    ("cookie", "session=3f2a; theme=dark"),
    ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
)
ALONE = "app alone"
NOTHING: Mapping[str, Any] = {"traces": False, "access_log": False, "metrics": "none"}
LAYERS: Mapping[str, Mapping[str, Any]] = {
    "nothing on": NOTHING,
    "metrics": {**NOTHING, "metrics": "otlp"},
    "record": {**NOTHING, "access_log": True},
    "span": {**NOTHING, "traces": True},
    "metrics+record": {"traces": False},
    "all": {},
}
"""Options of `otelbridge.instrument`, by what they switch on."""

STABLE_NAMES = ("OTEL_SEMCONV_STABILITY_OPT_IN", "http")

ASGI_HEADERS = [(name.encode(), value.encode()) for name, value in HEADERS]
SCOPE: Mapping[str, Any] = {
    "type": "http",
    "asgi": {"spec_version": "2.1", "version": "3.0"},
    "http_version": "1.1",
    "method": "GET",
    "scheme": "http",
    "path": PATH,
    "raw_path": PATH.encode(),
    "query_string": b"page=2",
    "root_path": "",
    "client": ("203.0.113.42", 50000),
    "server": ("127.0.0.1", 8000),
    "extensions": {},
}
ENVIRON: Mapping[str, Any] = {
    "REQUEST_METHOD": "GET",
    "SCRIPT_NAME": "",
    "PATH_INFO": PATH,
    "RAW_URI": f"{PATH}?page=2",
    "QUERY_STRING": "page=2",
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "8000",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "SERVER_SOFTWARE": "benchmarks",
    "REMOTE_ADDR": "203.0.113.42",
    "REMOTE_PORT": "50000",
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
    **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in HEADERS},
}


class Host(NamedTuple):
    """A kind of app."""

    make: Callable[[], Any]
    """A new app, not instrumented."""
    client: Callable[[Any], Callable[[], None]]
    """A function that has the app answer one request, whole."""
    theirs: Callable[..., Any]
    """OpenTelemetry's own: (app, *, tracer_provider, meter_provider, and its options) -> the app to call."""


class UnansweredError(Exception):
    """An app waited for something, or answered otherwise than with 200."""


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:  # noqa: ARG001  ASGI's signature
    """An app that knows its routes by itself."""
    scope["route"] = "/items/{number}"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": BODY})


def wsgi_app(environ: Any, start_response: Any) -> Sequence[bytes]:
    """The same, for WSGI."""
    environ["otelbridge.route"] = "/items/{number}"
    start_response("200 OK", [("Content-Length", "5")])
    return [BODY]


def fastapi_app() -> Any:
    """One route, whose answer needs no encoding."""
    from inspect import signature

    from fastapi import FastAPI
    from starlette.responses import PlainTextResponse

    # It has telemetry of its own since 0.165.
    off: Any = {"telemetry": {"tracing": False, "metrics": False, "logs": False}}
    app = FastAPI(**(off if "telemetry" in signature(FastAPI).parameters else {}))

    async def item(number: str) -> Any:  # noqa: ARG001  the path's parameter
        return PlainTextResponse(BODY)

    app.get("/items/{number}", response_model=None)(item)
    return app


def flask_app() -> Any:
    """One route."""
    from flask import Flask

    app = Flask("benchmarks.shop")

    def item(number: str) -> bytes:  # noqa: ARG001  the path's parameter
        return BODY

    app.get("/items/<number>")(item)
    return app


def asgi_client(app: Any) -> Callable[[], None]:
    """Run the app's coroutine to its end, as the event loop does with one that never waits."""

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start" and message["status"] != 200:
            raise UnansweredError(message)

    def request() -> None:
        coroutine = app({**SCOPE, "headers": list(ASGI_HEADERS), "state": {}}, receive, send)
        try:
            coroutine.send(None)
        except StopIteration:
            return
        msg = f"{app!r} waits for something"
        raise UnansweredError(msg)

    return request


def wsgi_client(app: Any) -> Callable[[], None]:
    """Call the app, take its body and close it, as a server does."""
    from io import BytesIO

    def write(_data: bytes) -> None:
        pass

    def start_response(status: str, _headers: Any, _exc_info: Any = None) -> Callable[[bytes], None]:
        if status[:3] != "200":
            raise UnansweredError(status)
        return write

    def request() -> None:
        body = app({**ENVIRON, "wsgi.input": BytesIO(), "wsgi.errors": sys.stderr}, start_response)
        for _chunk in body:
            pass
        close = getattr(body, "close", None)
        if close is not None:
            close()

    return request


@contextmanager
def _stable_names() -> Iterator[None]:
    """Theirs reads the variable at its first use in a process, once."""
    name, value = STABLE_NAMES
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _their_asgi(app: Any, **options: Any) -> Any:
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    with _stable_names():
        return OpenTelemetryMiddleware(app, **options)


def _their_wsgi(app: Any, *, tracer_provider: TracerProvider, meter_provider: MeterProvider) -> Any:
    from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

    with _stable_names():
        return OpenTelemetryMiddleware(app, tracer_provider=tracer_provider, meter_provider=meter_provider)


def _their_fastapi(app: Any, **options: Any) -> Any:
    from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

    with _stable_names():
        FastAPIInstrumentor.instrument_app(app, **options)
    return app


def _their_flask(app: Any, **options: Any) -> Any:
    from opentelemetry.instrumentation.flask import FlaskInstrumentor

    instrumentor: Any = FlaskInstrumentor()
    with _stable_names():
        instrumentor.instrument_app(app, **options)
    return app


HOSTS: Mapping[str, Host] = {
    "asgi": Host(lambda: asgi_app, asgi_client, _their_asgi),
    "fastapi": Host(fastapi_app, asgi_client, _their_fastapi),
    "wsgi": Host(lambda: wsgi_app, wsgi_client, _their_wsgi),
    "flask": Host(flask_app, wsgi_client, _their_flask),
}

"""The same small application in every framework, and one way to call them all.

Each serves `GET /items/{id}` (a template), `GET /sub/items/{id}` (below a mount, blueprint, router or include),
`GET /boom` (raises), `GET /thread` (its work in another thread), `GET /stream` (three parts), `POST /echo`, and nothing
else. HEAD is allowed where GET of an item is, nothing else is.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from opentelemetry.trace import get_current_span

from otelbridge.access.asgi import Message
from tests.access.support import answer, http_scope

# Trace ids that were current where the applications' own code ran.
SEEN: list[int] = []


def look() -> None:
    """Called by the applications' code, wherever it runs."""
    SEEN.append(get_current_span().get_span_context().trace_id)


PARTS = ("a" * 100, "b" * 100, "c" * 100)


class BrokenError(Exception):
    """What `/boom` raises."""


@dataclass(frozen=True)
class Host:
    """A framework's application: how it is made and called, and how it spells what all of them do."""

    name: str
    make: Callable[[], Any]
    interface: str
    item: str | None = "/items/{id}"
    sub_item: str | None = "/sub/items/{id}"
    raises: bool = True
    in_place: bool = True

    def __str__(self) -> str:
        return self.name

    def call(self, app: Any, path: str, method: str = "GET", **changes: Any) -> Answer:
        """Serve one request to its end; `changes` are of the scope, or of the environ."""
        return (call_asgi if self.interface == "asgi" else call_wsgi)(app, path, method, **changes)


@dataclass(frozen=True)
class Answer:
    """What a server would have got."""

    status: int | None
    body: bytes
    error: BaseException | None


def call_asgi(app: Any, path: str, method: str = "GET", **changes: Any) -> Answer:
    """Serve one request as an ASGI server does: after the answer it reports a disconnect."""
    statuses: list[int] = []
    parts: list[bytes] = []

    async def serve() -> None:
        answered = asyncio.Event()
        incoming = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> Message:
            for message in incoming:
                return message
            await answered.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
                return
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                answered.set()

        await app(http_scope(path, method=method, **changes), receive, send)

    raised: BaseException | None = None
    try:
        asyncio.run(serve())
    except Exception as error:
        raised = error
    return Answer(statuses[0] if statuses else None, b"".join(parts), raised)


def call_wsgi(app: Any, path: str, method: str = "GET", **changes: Any) -> Answer:
    """Serve one request as a WSGI server does."""
    started: list[str] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        started.append(status)
        return lambda data: None

    body: Iterable[bytes] = ()
    try:
        body = app(http_environ(path, method, **changes), start_response)
        content = b"".join(body)
    except Exception as error:
        return Answer(int(started[-1][:3]) if started else None, b"", error)
    finally:
        if hasattr(body, "close"):
            body.close()
    return Answer(int(started[-1][:3]), content, None)


def http_environ(path: str, method: str = "GET", **changes: Any) -> dict[str, Any]:
    """Return a fresh environ as a server makes it."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "8000",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "203.0.113.42",
        "HTTP_HOST": "localhost",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    return {**environ, **changes}


def make_starlette() -> Any:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, StreamingResponse
    from starlette.routing import Mount, Route

    async def item(request: Request) -> PlainTextResponse:
        look()
        return PlainTextResponse("hello")

    async def boom(request: Request) -> PlainTextResponse:
        raise BrokenError("broken")

    def thread(request: Request) -> PlainTextResponse:
        look()
        return PlainTextResponse("hello")

    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(iter(PARTS))

    async def echo(request: Request) -> PlainTextResponse:
        return PlainTextResponse(await request.body())

    routes = [
        Route("/stream", stream),
        Route("/echo", echo, methods=["POST"]),
        Route("/items/{id}", item),
        Mount("/sub", routes=[Route("/items/{id}", item)]),
        Route("/boom", boom),
        Route("/thread", thread),
    ]
    return Starlette(routes=routes)


def make_fastapi() -> Any:
    from fastapi import APIRouter, FastAPI
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, StreamingResponse

    app = FastAPI(default_response_class=PlainTextResponse)
    router = APIRouter(prefix="/sub")

    @app.api_route("/items/{id}", methods=["GET", "HEAD"])
    @router.api_route("/items/{id}", methods=["GET", "HEAD"])
    async def item(id: str) -> str:  # noqa: A002
        look()
        return "hello"

    @app.get("/boom")
    async def boom() -> str:
        raise BrokenError("broken")

    @app.get("/thread")
    def thread() -> str:
        look()
        return "hello"

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(iter(PARTS))

    async def echo(request: Request) -> PlainTextResponse:
        return PlainTextResponse(await request.body())

    app.add_route("/echo", echo, methods=["POST"])
    app.include_router(router)
    return app


def make_litestar() -> Any:
    from tests.integrations import litestar_app

    return litestar_app.make()


def make_quart() -> Any:
    from quart import Blueprint, Quart, request

    app = Quart("shop")
    blueprint = Blueprint("sub", "shop", url_prefix="/sub")

    @app.get("/items/<id>")
    @blueprint.get("/items/<id>")
    async def item(id: str) -> str:  # noqa: A002
        look()
        return "hello"

    @app.get("/boom")
    async def boom() -> str:
        raise BrokenError("broken")

    @app.get("/thread")
    def thread() -> str:
        look()
        return "hello"

    @app.get("/stream")
    async def stream() -> Any:
        return (part for part in PARTS)

    @app.post("/echo")
    async def echo() -> Any:
        return await request.get_data()

    app.register_blueprint(blueprint)
    return app


def make_flask() -> Any:
    from flask import Blueprint, Flask, request

    app = Flask("shop")
    blueprint = Blueprint("sub", "shop", url_prefix="/sub")

    @app.get("/items/<id>")
    @blueprint.get("/items/<id>")
    def item(id: str) -> str:  # noqa: A002
        look()
        return "hello"

    @app.get("/boom")
    def boom() -> str:
        raise BrokenError("broken")

    @app.get("/thread")
    def thread() -> str:
        look()
        return "hello"

    @app.get("/stream")
    def stream() -> Any:
        return iter(PARTS)

    @app.post("/echo")
    def echo() -> Any:
        return request.get_data()

    app.register_blueprint(blueprint)
    return app


def configure_django() -> None:
    from django.conf import settings

    if not settings.configured:
        settings.configure(
            ROOT_URLCONF="tests.integrations.django_urls", ALLOWED_HOSTS=["*"], SECRET_KEY="-", LOGGING_CONFIG=None
        )


def make_django() -> Any:
    configure_django()
    from django.core.wsgi import get_wsgi_application

    return get_wsgi_application()


def make_django_asgi() -> Any:
    configure_django()
    from django.core.asgi import get_asgi_application

    return get_asgi_application()


def make_asgi() -> Any:
    async def shop(scope: Any, receive: Any, send: Any) -> None:
        path, status = scope["path"], 200
        if scope["type"] != "http":
            return
        if path == "/boom":
            raise BrokenError("broken")
        if path == "/thread":
            await asyncio.to_thread(look)
        if path == "/stream":
            scope["route"] = path
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for part in PARTS:
                await send({"type": "http.response.body", "body": part.encode(), "more_body": True})
            await send({"type": "http.response.body", "body": b""})
            return
        body = b"hello"
        if path == "/echo":
            scope["route"] = path
            body = (await receive())["body"]
        elif path.startswith(("/items/", "/sub/items/")):
            scope["route"] = path.rpartition("/")[0] + "/{id}"
            status = 200 if scope["method"] in ("GET", "HEAD") else 405
            look()
        elif path != "/thread":
            status = 404
        await answer(send, body, status=status, headers=[(b"content-length", b"%d" % len(body))])

    return shop


def make_wsgi() -> Any:
    def shop(environ: Any, start_response: Any) -> list[bytes]:
        path, status, body = environ["PATH_INFO"], "200 OK", [b"hello"]
        if path == "/boom":
            raise BrokenError("broken")
        if path in ("/stream", "/echo"):
            environ["otelbridge.route"] = path
            size = int(environ.get("CONTENT_LENGTH") or 0)
            body = [environ["wsgi.input"].read(size)] if path == "/echo" else [part.encode() for part in PARTS]
        elif path.startswith(("/items/", "/sub/items/")):
            environ["otelbridge.route"] = path.rpartition("/")[0] + "/{id}"
            status = "200 OK" if environ["REQUEST_METHOD"] in ("GET", "HEAD") else "405 Method Not Allowed"
            look()
        elif path == "/thread":
            look()
        else:
            status = "404 Not Found"
        start_response(status, [])
        return body

    return shop


HOSTS = (
    Host("asgi", make_asgi, "asgi", in_place=False),
    Host("wsgi", make_wsgi, "wsgi", in_place=False),
    Host("starlette", make_starlette, "asgi"),
    Host("fastapi", make_fastapi, "asgi"),
    Host("litestar", make_litestar, "asgi", raises=False),
    Host("quart", make_quart, "asgi", item="/items/<id>", sub_item="/sub/items/<id>", raises=False),
    Host("flask", make_flask, "wsgi", item="/items/<id>", sub_item="/sub/items/<id>", raises=False),
    Host("django", make_django, "wsgi", item="items/<id>", sub_item="sub/items/<id>", raises=False),
    Host("django-asgi", make_django_asgi, "asgi", item="items/<id>", sub_item="sub/items/<id>", raises=False),
)

"""Starlette and FastAPI: every way in which a request finds its route, and what runs around an endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from otelbridge.integrations import starlette as ours
from otelbridge.integrations.apps import instrument
from tests.access.support import Harness, exchange, hello, http_scope
from tests.integrations.hosts import SEEN, BrokenError, call_asgi, look

Routes = list[Any]


def text(request: Request) -> Response:
    return PlainTextResponse("hello")


class Page(HTTPEndpoint):
    async def get(self, request: Request) -> Response:
        return PlainTextResponse("hello")


class Unhashable:
    """An ASGI endpoint that cannot be a key."""

    __hash__ = None  # type: ignore[assignment]  # what it is about

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await hello(scope, receive, send)


def route_of(app: Any, harness: Harness, path: str, **changes: Any) -> object:
    """Serve one request, and return the route in its record."""
    before = len(harness.events)
    call_asgi(app, path, **changes)
    assert len(harness.events) == before + 1
    return harness.events[-1].attributes.get("http.route")


SHARED = Router([Route("/{page}", text)])


@pytest.mark.parametrize(
    ("routes", "path", "template"),
    [
        ([Route("/", text)], "/", "/"),
        ([Route("/a/{n:int}", text)], "/a/7", "/a/{n}"),
        ([Route("/f/{rest:path}", text)], "/f/a/b/c", "/f/{rest}"),
        ([Route("/a", text), Route("/b/{x}", text)], "/b/7", "/b/{x}"),
        ([Route("/page", Page)], "/page", "/page"),
        ([Route("/raw", Unhashable())], "/raw", "/raw"),
        ([Mount("/t/{tenant}", routes=[Route("/a/{n}", text)])], "/t/acme/a/7", "/t/{tenant}/a/{n}"),
        ([Mount("/a", routes=[Mount("/a", routes=[Route("/a", text)])])], "/a/a/a", "/a/a/a"),
        ([Mount("/api/{api}", routes=[Route("/x", text)])], "/api/api/x", "/api/{api}/x"),
        ([Mount("/api", routes=[Route("/x", text)])], "/api/nothing", None),
        ([Mount("/files", app=hello)], "/files/7.txt", "/files"),
        ([Mount("/x/{t}", app=hello)], "/x/acme/7.txt", "/x/{t}"),
        ([Mount("/", app=hello)], "/7.txt", "/"),
        ([Mount("/v1", app=SHARED), Mount("/v2", app=SHARED)], "/v2/home", "/v2/{page}"),
        ([Host("shop.test", app=Router([Route("/a/{n}", text)]))], "/a/7", "/a/{n}"),
        ([Host("shop.test", app=Router([Route("/a/{n}", text)]))], "/b", None),
        ([Route("/slash/", text)], "/slash", None),
        ([], "/nothing", None),
    ],
)
def test_routes(routes: Routes, path: str, template: str | None, harness: Harness) -> None:
    """The template as it was written, without convertors; a mount without routes is its own; nothing found is None."""
    app = instrument(Starlette(routes=routes))

    assert route_of(app, harness, path, headers=[(b"host", b"shop.test")]) == template


@pytest.mark.parametrize(
    ("routes", "path", "template"),
    [
        ([Route("/a", text), Route("/b/{x}", text)], "/b/7", "/b/{x}"),
        ([Route("/f/{rest:path}", text), Route("/g", text)], "/f/a/b", "/f/{rest}"),
        ([Route("/raw", Unhashable())], "/raw", "/raw"),
        ([Mount("/t/{tenant}", routes=[Route("/a/{n}", Page)])], "/t/acme/a/7", "/t/{tenant}/a/{n}"),
        ([Mount("/files", app=hello)], "/files/7.txt", "/files"),
        ([Mount("/api", routes=[Route("/x", text)])], "/api/nothing", None),
    ],
)
def test_routes_of_starlettes_that_leave_only_the_endpoint(
    routes: Routes, path: str, template: str | None, harness: Harness
) -> None:
    """Old Starlettes put no route into the scope: the endpoint is looked up, the path tells which of its routes."""
    inner = Starlette(routes=routes)

    async def without_route(scope: Any, receive: Any, send: Any) -> None:
        messages: list[Any] = []

        async def keep(message: Any) -> None:
            messages.append(message)

        await inner(scope, receive, keep)
        scope.pop("route", None)
        for message in messages:
            await send(message)

    app = instrument(Starlette(routes=routes))
    app.middleware_stack = without_route

    assert route_of(app, harness, path) == template


def test_a_static_file_is_its_mount(tmp_path: Path, harness: Harness) -> None:
    """Files have no route of their own: found or not, they are the mount's."""
    (tmp_path / "a.css").write_text("a")
    app = instrument(Starlette(routes=[Mount("/static", app=StaticFiles(directory=tmp_path))]))

    assert route_of(app, harness, "/static/a.css") == "/static"
    assert route_of(app, harness, "/static/b.css") == "/static"


def test_a_route_that_is_added_later_is_found(harness: Harness) -> None:
    """The index is made again when a route is not in it."""
    app = instrument(Starlette(routes=[Route("/a", text)]))
    assert route_of(app, harness, "/a") == "/a"

    app.router.routes.append(Mount("/late", routes=[Route("/{n}", text)]))

    assert route_of(app, harness, "/late/7") == "/late/{n}"


def test_routes_made_at_each_request_cost_no_index_each(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """After 64 indexes the scope has to do, so that a generator of routes does not become slow."""
    made: list[int] = []
    places = ours._places

    def counted(routes: Any, prefix: str, depth: int) -> Any:
        if depth == 0:
            made.append(1)
        return places(routes, prefix, depth)

    monkeypatch.setattr(ours, "_places", counted)
    app = instrument(Starlette())

    for n in range(100):
        app.router.routes[:] = [Route(f"/page/{n}/{{x}}", lambda request: PlainTextResponse("hello"))]
        # Old Starlettes leave too little in the scope.
        assert route_of(app, harness, f"/page/{n}/7") in (f"/page/{n}/{{x}}", None)

    assert len(made) == 64


@pytest.mark.parametrize("outer", [Starlette, FastAPI])
def test_an_application_mounted_in_another_makes_one_record(outer: Callable[..., Any], harness: Harness) -> None:
    """Both instrumented: the outer one keeps the record, and its route is whole."""
    inner = instrument(FastAPI(openapi_url=None))
    inner.add_api_route("/items/{id}", lambda: "hello")
    app = instrument(outer(routes=[Mount("/shops/{shop}", app=inner)]))

    assert route_of(app, harness, "/shops/acme/items/7") == "/shops/{shop}/items/{id}"
    assert route_of(app, harness, "/shops/acme/nothing") is None
    assert len(harness.spans) == 2


def test_only_the_inner_application_is_instrumented(harness: Harness) -> None:
    """What others have mounted it below is a template, too, as far as the scope tells."""
    inner = instrument(Starlette(routes=[Route("/items/{id}", text)]))
    outer = Starlette(routes=[Mount("/api/{shop}", app=inner)])

    assert route_of(outer, harness, "/api/acme/items/7") == "/api/{shop}/items/{id}"
    assert route_of(outer, harness, "/api/acme/nothing") is None


def test_included_routers_of_fastapi(harness: Harness) -> None:
    """The prefixes of all inclusions are part of the template, and one router may be included twice."""
    items = APIRouter(prefix="/items")
    items.add_api_route("/{id}", lambda: "hello")
    shop = APIRouter(prefix="/shops/{shop}")
    shop.include_router(items)
    app = instrument(FastAPI())
    app.include_router(shop, prefix="/v1")
    app.include_router(items, prefix="/v2")

    assert route_of(app, harness, "/v1/shops/acme/items/7") == "/v1/shops/{shop}/items/{id}"
    assert route_of(app, harness, "/v2/items/7") == "/v2/items/{id}"
    assert route_of(app, harness, "/v2/items/7", method="DELETE") == "/v2/items/{id}"


@pytest.mark.filterwarnings("ignore:The `root_path` parameter")
def test_fastapis_root_path_is_a_prefix(harness: Harness) -> None:
    """`root_path` of the application counts as the server's does."""
    app = FastAPI(root_path="/api")
    app.add_api_route("/items/{id}", lambda: "hello")

    assert route_of(instrument(app), harness, "/items/7") == "/api/items/{id}"


def test_decorators_after_instrumenting_work(harness: Harness) -> None:
    """The object is the application still: routes, middleware and handlers can be added."""
    app = instrument(FastAPI())

    @app.get("/late/{id}")
    async def late(id: str) -> str:  # noqa: A002
        raise KeyError(id)

    @app.exception_handler(KeyError)
    async def handler(request: Request, error: Exception) -> Response:
        look()
        return PlainTextResponse("no such thing", status_code=404)

    SEEN.clear()
    assert route_of(app, harness, "/late/7") == "/late/{id}"
    assert harness.event.attributes["http.response.status_code"] == 404
    assert set(SEEN) == {harness.event.trace_id}


def test_the_record_is_in_the_requests_state(harness: Harness) -> None:
    """`request.state.access_log`, also behind middleware of Starlette's, and its route wins."""

    class Tenant(BaseHTTPMiddleware):
        async def dispatch(self, request: Request, call_next: Any) -> Response:
            request.state.access_log.tenant = "acme"
            response: Response = await call_next(request)
            return response

    app = instrument(Starlette(routes=[Route("/a", text)], middleware=[Middleware(Tenant)]))

    assert route_of(app, harness, "/a") == "/a"
    assert harness.event.attributes["tenant"] == "acme"


def test_a_background_task_has_the_ids_and_no_part_in_the_duration(harness: Harness) -> None:
    """It runs after the record is written, and what it raises is an event of its own in the same trace."""

    async def fail() -> None:
        look()
        assert len(harness.events) == 1
        raise BrokenError("late")

    def endpoint(request: Request) -> Response:
        return PlainTextResponse("hello", background=BackgroundTask(fail))

    SEEN.clear()
    call_asgi(instrument(Starlette(routes=[Route("/a", endpoint)])), "/a")

    first, second = harness.events
    assert (first.level, second.level) == ("INFO", "ERROR")
    assert isinstance(second.exception, BrokenError)
    assert {first.trace_id, second.trace_id} == set(SEEN)


def test_a_websocket_has_its_route(harness: Harness) -> None:
    """Sockets are routed like requests."""

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    app = instrument(Starlette(routes=[Mount("/ws", routes=[WebSocketRoute("/{room}", socket)])]))
    incoming = [{"type": "websocket.connect"}]

    scope = http_scope("/ws/lobby", type="websocket", scheme="ws", subprotocols=[])
    asyncio.run(exchange(app, scope, incoming=incoming))

    assert (harness.event.name, harness.event.attributes["http.route"]) == ("websocket.session", "/ws/{room}")

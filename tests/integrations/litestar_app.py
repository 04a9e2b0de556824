"""The Litestar application in `hosts`: Litestar reads annotations, which must be this module's."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, Router, get, post, route
from litestar.params import RawBody
from litestar.response import Stream

from tests.integrations.hosts import PARTS, BrokenError, look


@route("/items/{id:str}", http_method=["GET", "HEAD"])
async def item() -> str:
    look()
    return "hello"


@get("/boom")
async def boom() -> str:
    raise BrokenError("broken")


@get("/thread", sync_to_thread=True)
def thread() -> str:
    look()
    return "hello"


@get("/stream")
async def stream() -> Stream:
    return Stream(iter(PARTS))


@post("/echo", status_code=200)
async def echo(body: RawBody) -> bytes:
    return body


def make() -> Litestar:
    """Return a fresh application."""
    handlers: list[Any] = [item, Router("/sub", route_handlers=[item]), boom, thread, stream, echo]
    return Litestar(handlers, openapi_config=None)

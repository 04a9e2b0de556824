"""Quart: blueprints, sockets and pages for errors."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from quart import Blueprint, Quart, websocket

from otelbridge.integrations.apps import instrument, uninstrument
from tests.access.support import Harness, exchange, http_scope
from tests.integrations.hosts import SEEN, BrokenError, call_asgi, look


@pytest.fixture
def app() -> Quart:
    """An application with one route of each kind."""
    shop = Quart("shop")
    part = Blueprint("part", "shop", url_prefix="/part/<int:n>")

    @part.get("/items/<id>")
    @shop.get("/items/<id>")
    async def item(id: str, n: int = 0) -> str:  # noqa: A002
        return "hello"

    @shop.get("/boom")
    async def boom() -> str:
        raise BrokenError("broken")

    @shop.websocket("/ws/<room>")
    async def socket(room: str) -> None:
        await websocket.send("hello")

    shop.register_blueprint(part)
    return shop


@pytest.mark.parametrize(
    ("path", "method", "rule"),
    [
        ("/items/7", "GET", "/items/<id>"),
        ("/part/7/items/8", "GET", "/part/<int:n>/items/<id>"),
        ("/part/x/items/8", "GET", None),
        ("/items/7", "PUT", "/items/<id>"),
        ("/nothing", "GET", None),
    ],
)
def test_rules(app: Quart, path: str, method: str, rule: str | None, harness: Harness) -> None:
    """The rule as it was written, the blueprint's prefix included."""
    call_asgi(instrument(app), path, method)

    assert harness.event.attributes.get("http.route") == rule


def test_a_websocket_has_its_rule(app: Quart, harness: Harness) -> None:
    """Sockets are routed like requests."""
    scope = http_scope("/ws/lobby", type="websocket", scheme="ws", subprotocols=[])

    instrumented: Any = instrument(app)
    asyncio.run(
        exchange(
            instrumented,
            scope,
            incoming=[{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}],
        )
    )

    assert (harness.event.name, harness.event.attributes["http.route"]) == ("websocket.session", "/ws/<room>")


def test_an_error_page_is_the_applications_and_the_exception_ours(app: Quart, harness: Harness) -> None:
    """A handler for 500 answers as before, inside of the request's trace."""

    @app.errorhandler(500)
    async def page(error: Exception) -> tuple[str, int]:
        look()
        return "sorry", 503

    SEEN.clear()
    answer = call_asgi(instrument(app), "/boom")

    assert (answer.status, answer.body) == (503, b"sorry")
    assert isinstance(harness.event.exception, BrokenError)
    assert set(SEEN) == {harness.event.trace_id}


def test_the_test_client_makes_records_and_uninstrument_ends_that(app: Quart, harness: Harness) -> None:
    """`app.test_client()` is a server as any other."""

    async def get() -> int:
        return (await app.test_client().get("/items/7")).status_code

    instrument(app)
    assert asyncio.run(get()) == 200
    uninstrument(app)
    assert asyncio.run(get()) == 200

    assert harness.event.attributes["http.route"] == "/items/<id>"

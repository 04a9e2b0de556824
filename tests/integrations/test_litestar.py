"""Litestar: routers, mounts, and the exceptions it answers itself."""

from __future__ import annotations

from typing import Any

import pytest
from litestar import Litestar, Request, Response, Router, asgi, get
from litestar.exceptions import HTTPException
from litestar.plugins.opentelemetry import OpenTelemetryConfig, OpenTelemetryPlugin

from otelbridge.integrations.apps import instrument, uninstrument
from tests.access.support import TRACE_ID, TRACEPARENT, Harness, answer
from tests.integrations.hosts import SEEN, BrokenError, call_asgi, look
from tests.integrations.test_opentelemetry import Theirs, theirs

__all__ = ["theirs"]


@get("/items/{id:int}")
async def item() -> str:
    return "hello"


@get("/boom")
async def boom() -> str:
    raise BrokenError("broken")


@get("/teapot")
async def teapot() -> str:
    raise HTTPException("short and stout", status_code=503)


@asgi("/mount", is_mount=True, copy_scope=False)
async def mounted(scope: Any, receive: Any, send: Any) -> None:
    await answer(send)


def make(**options: Any) -> Litestar:
    router = Router("/shops/{shop:str}", route_handlers=[item])
    return Litestar([item, boom, teapot, router, mounted], openapi_config=None, **options)


@pytest.mark.parametrize(
    ("path", "method", "template"),
    [
        ("/items/7", "GET", "/items/{id}"),
        ("/items/7/", "GET", "/items/{id}"),
        ("/shops/acme/items/7", "GET", "/shops/{shop}/items/{id}"),
        ("/shops/acme/items/x", "GET", None),
        ("/items/7", "POST", "/items/{id}"),
        ("/mount/a/b", "GET", "/mount"),
        ("/nothing", "GET", None),
    ],
)
def test_templates(path: str, method: str, template: str | None, harness: Harness) -> None:
    """The template as Litestar says it, routers included; a mount is its own."""
    call_asgi(instrument(make()), path, method)

    assert harness.event.attributes.get("http.route") == template


def test_an_exception_handler_answers_as_before(harness: Harness) -> None:
    """It runs inside of the request's trace; an exception that becomes a 4xx is no failure."""

    def handler(request: Request[Any, Any, Any], error: Exception) -> Response[str]:
        look()
        return Response("not here", status_code=404)

    SEEN.clear()
    call_asgi(instrument(make(exception_handlers={BrokenError: handler})), "/boom")

    assert (harness.event.level, harness.event.exception) == ("INFO", None)
    assert set(SEEN) == {harness.event.trace_id}


def test_a_status_that_somebody_chose_is_no_exception(harness: Harness) -> None:
    """`HTTPException(status_code=503)` is an answer: error.type is the status."""
    call_asgi(instrument(make()), "/teapot")

    assert (harness.event.attributes["error.type"], harness.event.exception) == ("503", None)


def test_uninstrument_leaves_no_hook(harness: Harness) -> None:
    """`after_exception` is as it was."""
    app = make()

    uninstrument(instrument(instrument(app)))

    assert app.after_exception == []


def test_litestars_opentelemetry_plugin_keeps_span_and_points(harness: Harness, theirs: Theirs) -> None:
    """It wraps OpenTelemetry's own middleware, inside of the application: ours adds its record, with their ids."""
    app = instrument(make(plugins=[OpenTelemetryPlugin(OpenTelemetryConfig(**theirs.providers))]))

    call_asgi(app, "/items/7", headers=[(b"host", b"localhost"), (b"traceparent", TRACEPARENT)])

    (span,) = theirs.server_spans()
    assert span.context is not None
    assert (harness.event.trace_id, harness.event.span_id) == (TRACE_ID, span.context.span_id)
    assert (theirs.request_count(), harness.spans, harness.points()) == (1, (), {})

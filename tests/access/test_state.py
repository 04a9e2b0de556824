"""The record in the request's state: where apps find it, and what tells that a request is observed already."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from otelbridge.access.asgi import Receive, Scope, Send
from otelbridge.access.options import PathRules, Settings
from otelbridge.access.record import AccessRecord
from tests.access.support import Harness, answer, exchange, hello, http_scope


@pytest.mark.covers("4.6")
@pytest.mark.parametrize("scope", [http_scope(), {"type": "http"}, http_scope(state=None)])
def test_the_app_finds_its_record(scope: Scope) -> None:
    """`scope["state"]["access_log"]` is the record, though the server gave no state; what is set on it is logged."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        record = scope["state"].get("access_log")
        if record:
            record.request_number = 7
        await answer(send)

    harness = Harness(app)

    asyncio.run(exchange(harness.app, scope))

    assert harness.event.attributes["request_number"] == 7


def test_requests_of_one_connection_do_not_share_their_record() -> None:
    """A server may give one state to all streams of a connection; what startup put there is in each copy."""
    shared: dict[str, Any] = {"pool": object()}
    found: list[dict[str, Any]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        found.append(scope["state"])
        await asyncio.sleep(0)
        scope["state"]["access_log"].own = scope["path"]
        await answer(send)

    harness = Harness(app)

    async def serve() -> None:
        scopes = [http_scope(path, state=shared) for path in ("/a", "/b")]
        await asyncio.gather(*(exchange(harness.app, scope) for scope in scopes))

    asyncio.run(serve())

    assert {event.attributes["url.path"]: event.attributes["own"] for event in harness.events} == {
        "/a": "/a",
        "/b": "/b",
    }
    assert [state["pool"] for state in found] == [shared["pool"]] * 2
    assert list(shared) == ["pool"]


def test_a_state_of_another_kind_is_left_alone() -> None:
    """What is no dict is the server's own affair."""
    state = object()
    seen: list[object] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope["state"])
        await answer(send)

    harness = Harness(app)

    harness.get(state=state)

    assert seen == [state]
    assert len(harness.events) == 1


def test_a_request_that_passes_two_instrumented_apps_is_one() -> None:
    """A mounted app that is instrumented as well adds nothing; the outer one knows the status."""
    inner = Harness(hello)
    outer = Harness(inner.app)

    outer.get("/a")

    assert (len(outer.events), len(outer.spans)) == (1, 1)
    assert (inner.events, inner.spans, inner.points()) == ([], (), {})


def test_an_excluded_outer_request_is_the_inner_app_s() -> None:
    """What the outer one does not observe, the inner one may."""
    inner = Harness(hello)
    outer = Harness(inner.app, Settings(exclude=PathRules(frozenset({"/a"}))))

    outer.get("/a")

    assert (len(outer.events), len(inner.events)) == (0, 1)


def test_the_record_is_complete_when_the_app_has_returned() -> None:
    """Whoever kept it reads the finished request."""
    kept: list[AccessRecord] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        kept.append(scope["state"]["access_log"])
        await answer(send, status=201)

    Harness(app).get("/a")

    (record,) = kept
    assert (record.status, record.response_body_size, record.ended_by) == (201, 5, "app")
    assert record.duration_ns >= (record.ttfb_ns or 0) > 0

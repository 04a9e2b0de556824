"""Scopes that are no requests, servers and apps that are not quite right."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry import trace

from otelbridge.access.asgi import Message, Receive, Scope, Send
from tests.access.support import (
    Harness,
    answer,
    exchange,
    hello,
    http_scope,
)


@pytest.mark.parametrize("scope", [{"type": "new"}, {"type": None}, {}])
def test_other_scopes_pass_untouched(scope: dict[str, Any]) -> None:
    """The app gets the very objects that the server gave, and nothing is recorded."""
    seen: list[object] = []

    async def app(*arguments: object) -> None:
        seen.extend(arguments)

    harness = Harness(app)

    asyncio.run(_pass(harness, scope))

    assert seen[0] is scope
    assert seen[1:] == [_never, _nowhere]
    assert (harness.events, harness.spans, harness.points()) == ([], (), {})


@pytest.mark.parametrize(
    "changes",
    [
        {"client": None},
        {"client": ()},
        {"client": (None, None)},
        {"client": ["unix:/tmp/x", None]},
        {"headers": None},
        {"headers": [(b"user-agent",), None, ("user-agent", "x"), (b"user-agent", "x"), ([], b"x")]},
        {"headers": iter([(b"user-agent", b"x")])},
        {"method": None},
        {"method": b"GET"},
        {"path": None},
        {"path": "/\udc80"},
        {"scheme": None, "http_version": None},
        {"route": 7, "root_path": b"x"},
        {"state": None},
    ],
)
def test_a_broken_scope_is_a_record_all_the_same(changes: dict[str, Any]) -> None:
    """Fields that a server left out or garbled never raise and never cost the record."""
    harness = Harness(hello)

    result = harness.get(**changes)

    assert (result.error, result.body) == (None, b"hello")
    assert harness.event.attributes["http.response.status_code"] == 200
    assert harness.observer.error_count == 0


def test_a_minimal_scope_is_enough() -> None:
    """A scope of nothing but its type is served and recorded."""
    harness = Harness(hello)

    result = asyncio.run(exchange(harness.app, {"type": "http"}))

    assert result.body == b"hello"
    assert harness.event.body.startswith('- "- ')


@pytest.mark.parametrize("message", [None, 7, {}, {"type": None}, {"type": "http.response.start"}])
def test_a_broken_message_reaches_the_server_as_it_is(message: Any) -> None:
    """What the server says to it is the server's affair."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(message)
        await answer(send)

    harness = Harness(app)

    result = harness.get()

    assert result.error is None
    assert result.sent[0] is message
    assert harness.event.attributes["http.response.status_code"] == 200


def test_pathsend_is_a_complete_answer() -> None:
    """Servers that offer `http.response.pathsend` end the answer with it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.pathsend", "path": "/etc/hostname"})

    harness = Harness(app)

    harness.get()

    assert (harness.event.level, harness.event.attributes["otelbridge.ended_by"]) == ("INFO", "app")


def test_a_span_in_the_server_s_context_survives() -> None:
    """The token of our context is given back, so nested contexts unwind in order."""
    harness = Harness(hello)
    outer = harness.tracer.start_span("outer")

    async def serve() -> bool:
        with trace.use_span(outer):
            await harness.app(http_scope(), _never, _nowhere)
            return trace.get_current_span() is outer

    assert asyncio.run(serve())


async def _pass(harness: Harness, scope: Scope) -> None:
    await harness.app(scope, _never, _nowhere)


async def _never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def _nowhere(message: Message) -> None:
    return None

"""Real times and real bytes, per request."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from otelbridge.access.asgi import Message, Receive, Scope, Send
from tests.access.support import (
    ACTIVE,
    Harness,
    answer,
    exchange,
    http_scope,
)


def test_a_stream_counts_until_its_last_body_and_its_bytes_are_counted() -> None:
    """Duration covers the whole stream, time to first byte only the headers, the size is the sum of what was sent."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"999")]})
        for _ in range(3):
            await asyncio.sleep(0.01)
            await send({"type": "http.response.body", "body": b"1234", "more_body": True})
        await send({"type": "http.response.body"})

    harness = Harness(app)

    harness.get()

    attributes = harness.event.attributes
    assert attributes["http.response.body.size"] == 12
    assert attributes["http.server.request.duration"] >= 0.03
    assert attributes["otelbridge.ttfb_s"] < 0.03


def test_background_work_after_the_answer_does_not_count() -> None:
    """The record is written when the answer is complete, not when the app returns."""
    count_at_background: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send)
        count_at_background.append(len(harness.events))
        await asyncio.sleep(0.05)

    harness = Harness(app)

    harness.get()

    assert count_at_background == [1]
    assert harness.event.attributes["http.server.request.duration"] < 0.05


def test_a_failing_background_task_is_logged_with_the_request_s_ids() -> None:
    """The access record is already written; the exception gets a record of its own in the same trace, and passes on."""
    error = RuntimeError("background")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send)
        raise error

    harness = Harness(app)

    result = harness.get()

    access, late = harness.events
    assert result.error is error
    assert (access.level, access.name) == ("INFO", "http.server.access")
    assert (late.level, late.name, late.exception) == ("ERROR", "http.server.request.exception", error)
    assert late.trace_id == access.trace_id


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
def test_a_body_that_is_never_sent_has_no_size(method: str, status: int) -> None:
    """Servers drop the body of HEAD, 204 and 304: nothing of it was on the wire."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, b"dropped", status=status)

    harness = Harness(app)

    harness.get(method=method)

    assert harness.event.attributes["http.response.body.size"] == 0
    assert harness.event.attributes["http.response.status_code"] == status


def test_the_request_body_is_counted_as_it_is_read() -> None:
    """The size of the request is what came through `receive`."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            pass
        await answer(send)

    harness = Harness(app)
    chunks: list[Message] = [
        {"type": "http.request", "body": b"12345", "more_body": True},
        {"type": "http.request", "body": b"678", "more_body": False},
    ]

    asyncio.run(exchange(harness.app, http_scope(method="POST"), incoming=chunks))

    assert harness.event.attributes["http.request.body.size"] == 8


def test_interleaved_requests_share_no_state() -> None:
    """Of 100 requests at once each has its own size, status, path and trace."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        number = int(scope["path"][1:])
        await asyncio.sleep((number % 7) / 1000)
        await send({"type": "http.response.start", "status": 200 + number})
        for _ in range(number):
            await send({"type": "http.response.body", "body": b"x", "more_body": True})
        await send({"type": "http.response.body"})

    async def serve() -> None:
        await asyncio.gather(*(exchange(harness.app, http_scope(f"/{number}")) for number in range(100)))

    harness = Harness(app)

    asyncio.run(serve())

    seen = {event.attributes["url.path"]: event for event in harness.events}
    assert len(harness.events) == len(seen) == len({event.trace_id for event in harness.events}) == 100
    for number in range(100):
        attributes = seen[f"/{number}"].attributes
        size = 0 if number == 4 else number  # 204 has no body
        assert (attributes["http.response.status_code"], attributes["http.response.body.size"]) == (200 + number, size)
    assert sum(harness.active()) == 0


def test_active_requests_are_counted_while_they_run() -> None:
    """In the middle of a request the gauge says 1, with method and scheme only."""
    during: list[tuple[float, dict[str, Any]]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        during.extend((point.value, dict(point.attributes)) for point in harness.points()[ACTIVE])
        await answer(send)

    harness = Harness(app)

    harness.get()

    assert during == [(1, {"http.request.method": "GET", "url.scheme": "http"})]
    assert harness.active() == [0]


async def _pass(harness: Harness, scope: Scope) -> None:
    await harness.app(scope, _never, _nowhere)


async def _never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def _nowhere(message: Message) -> None:
    return None

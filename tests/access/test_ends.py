"""However a request ends, it is one record, and the app and the server notice nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry.context import get_current
from opentelemetry.trace import StatusCode

from otelbridge.access.asgi import Message, Receive, Scope, Send
from otelbridge.access.options import Settings
from tests.access.support import (
    Harness,
    answer,
    exchange,
    hello,
    http_scope,
)


def test_a_raising_app_is_recorded_and_its_exception_passes_unchanged() -> None:
    """Before any answer: no status, ERROR, exception on span and record, error.type on the point, active back to 0."""
    error = KeyError("missing")

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise error

    harness = Harness(app)

    result = harness.get()

    assert result.error is error
    event, span = harness.event, harness.span
    assert (event.level, event.exception) == ("ERROR", error)
    assert event.attributes["error.type"] == "KeyError"
    assert event.attributes["otelbridge.ended_by"] == "error"
    assert "http.response.status_code" not in event.attributes
    assert '" - 0 ' in event.body
    assert span.status.status_code is StatusCode.ERROR
    assert [record.name for record in span.events] == ["exception"]
    assert (harness.duration_point().attributes or {})["error.type"] == "KeyError"
    assert harness.active() == [0]


def test_a_raise_in_the_middle_of_an_answer_keeps_the_status() -> None:
    """After the headers the status is what the client saw, and the request is an error all the same."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("broke")

    harness = Harness(app)

    result = harness.get()

    assert isinstance(result.error, RuntimeError)
    assert harness.event.level == "ERROR"
    assert harness.event.attributes["http.response.status_code"] == 200
    assert harness.event.attributes["http.response.body.size"] == 4
    assert harness.event.attributes["error.type"] == "RuntimeError"


def test_a_500_page_followed_by_its_exception_is_one_record_with_both() -> None:
    """Starlette answers 500 and then raises: status 500 and the exception stand on the same record and span."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, b"sorry", status=500)
        raise ValueError("why")

    harness = Harness(app)

    harness.get()

    assert harness.event.attributes["http.response.status_code"] == 500
    assert harness.event.attributes["error.type"] == "ValueError"
    assert isinstance(harness.event.exception, ValueError)
    assert harness.span.status.status_code is StatusCode.ERROR


def test_a_5xx_answer_is_an_error_and_a_4xx_is_not() -> None:
    """503: level ERROR, span ERROR without description, error.type "503". 404: INFO and nothing of it."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, status=int(scope["path"][1:]))

    harness = Harness(app)

    harness.get("/503")
    harness.get("/404")

    first, second = harness.events
    assert (first.level, first.attributes["error.type"], first.exception) == ("ERROR", "503", None)
    assert (second.level, "error.type" in second.attributes) == ("INFO", False)
    statuses = [(span.status.status_code, span.status.description) for span in harness.spans]
    assert statuses == [(StatusCode.ERROR, None), (StatusCode.UNSET, None)]


def test_an_app_that_returns_without_an_answer_is_an_error() -> None:
    """The server will say 500 for it; the record says that the answer was never completed."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        return

    harness = Harness(app)

    harness.get()

    assert harness.event.level == "ERROR"
    assert harness.event.attributes["error.type"] == "incomplete_response"
    assert harness.event.attributes["otelbridge.ended_by"] == "app"


@pytest.mark.parametrize("left_by", ["disconnect", "cancel", "send", "close"])
def test_a_client_that_leaves_before_the_answer_is_recorded_once(left_by: str) -> None:
    """However the server tells it, the record says the client ended the request, and it is no error of the app."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if left_by == "disconnect":
            assert (await receive())["type"] == "http.disconnect"
            return
        if left_by == "send":
            await answer(send)
        await asyncio.Event().wait()

    def refuse(message: Message) -> None:
        raise ConnectionResetError("gone")

    async def serve() -> Any:
        if left_by == "close":
            coroutine = harness.app(http_scope(), _never, _nowhere)
            coroutine.send(None)
            coroutine.close()
            return None
        task = asyncio.create_task(
            exchange(harness.app, http_scope(), incoming=[{"type": "http.disconnect"}], on_send=refuse)
        )
        await asyncio.sleep(0.01)
        task.cancel()
        return await task

    harness = Harness(app)

    asyncio.run(serve())

    event = harness.event
    assert (event.level, event.attributes["otelbridge.ended_by"]) == ("INFO", "client")
    assert event.attributes["error.type"] == "client_disconnected"
    assert harness.span.status.status_code is StatusCode.UNSET
    assert harness.active() == [0]


def test_a_cancelled_request_stays_cancelled() -> None:
    """CancelledError passes on to the server, and a send that raised OSError raises it in the app."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    async def serve() -> Any:
        task = asyncio.create_task(exchange(Harness(app).app, http_scope()))
        await asyncio.sleep(0)
        task.cancel()
        return await task

    assert isinstance(asyncio.run(serve()).error, asyncio.CancelledError)


def test_a_client_that_leaves_a_stream_is_no_error() -> None:
    """A stream ends when its client goes: status 200, ended_by client, only the bytes up to there, INFO."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"12345", "more_body": True})
        assert (await receive())["type"] == "http.disconnect"
        await send({"type": "http.response.body", "body": b"nobody hears this", "more_body": True})

    harness = Harness(app)

    asyncio.run(exchange(harness.app, http_scope(), incoming=[{"type": "http.disconnect"}]))

    event = harness.event
    assert (event.level, event.attributes["otelbridge.ended_by"]) == ("INFO", "client")
    assert event.attributes["http.response.body.size"] == 5
    assert "error.type" not in event.attributes


def test_an_app_that_raises_because_the_client_left_is_an_error_ended_by_the_client() -> None:
    """Who ended it and what went wrong are two facts, and both are kept."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        raise RuntimeError("client disconnect")

    harness = Harness(app)

    asyncio.run(exchange(harness.app, http_scope(), incoming=[{"type": "http.disconnect"}]))

    assert harness.event.level == "ERROR"
    assert harness.event.attributes["otelbridge.ended_by"] == "client"
    assert harness.event.attributes["error.type"] == "RuntimeError"


def test_the_disconnect_after_a_complete_answer_is_not_a_leaving() -> None:
    """Servers report http.disconnect once the answer is sent, Hypercorn even while the last send is running."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        last = asyncio.ensure_future(send({"type": "http.response.body", "body": b"x"}))
        await asyncio.sleep(0)
        assert not last.done()
        await receive()
        await last

    harness = Harness(app)

    asyncio.run(exchange(harness.app, http_scope(), incoming=[{"type": "http.disconnect"}]))

    assert harness.event.attributes["otelbridge.ended_by"] == "app"
    assert harness.event.attributes["http.response.body.size"] == 1


async def _pass(harness: Harness, scope: Scope) -> None:
    await harness.app(scope, _never, _nowhere)


async def _never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def _nowhere(message: Message) -> None:
    return None


def test_an_interrupt_at_the_very_end_leaves_the_request_s_context() -> None:
    """Ctrl-C while the callback runs is raised, and the span is current no longer, but exported."""

    def interrupt(record: object) -> None:
        raise KeyboardInterrupt

    harness = Harness(hello, Settings(on_request=interrupt))
    observation = harness.observer.open_asgi(http_scope())
    assert observation is not None
    before = get_current()

    with pytest.raises(KeyboardInterrupt):
        observation.end()

    assert get_current() is before
    assert observation.record.closed
    assert len(harness.spans) == 1

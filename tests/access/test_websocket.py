"""One record, one span and points of their own per WebSocket session."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from otelbridge.access.asgi import ASGIApp, Message, Receive, Scope, Send
from otelbridge.access.options import Settings
from otelbridge.access.record import AccessRecord, WebSocketRecord
from tests.access.support import TRACE_ID, TRACEPARENT, Exchange, Harness, exchange, http_scope

ACTIVE_SESSIONS = "otelbridge.websocket.active_sessions"
SESSION_DURATION = "otelbridge.websocket.session.duration"
MESSAGES = "otelbridge.websocket.messages"
IO = "otelbridge.websocket.io"

CONNECT: Message = {"type": "websocket.connect"}
ACCEPT: Message = {"type": "websocket.accept"}


def socket_scope(path: str = "/ws", /, **changes: Any) -> Scope:
    """A scope as Hypercorn makes it."""
    scope = http_scope(path, **{"type": "websocket", "scheme": "ws", "subprotocols": [], **changes})
    del scope["method"]
    return scope


def text(content: str | bytes) -> Message:
    key = "text" if isinstance(content, str) else "bytes"
    return {"type": "websocket.receive", key: content}


def left(code: int | None = 1000) -> Message:
    return {"type": "websocket.disconnect", "code": code}


def serve(harness: Harness, *incoming: Message, **changes: Any) -> Exchange:
    return asyncio.run(exchange(harness.app, socket_scope(**changes), incoming=(CONNECT, *incoming)))


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Echo until the client leaves."""
    await receive()
    await send(ACCEPT)
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


@pytest.mark.covers("4.14")
def test_a_session_is_one_record_with_both_directions() -> None:
    """Path, close code, who closed, messages and bytes each way (UTF-8), duration: one INFO record at the end."""
    harness = Harness(echo)

    serve(harness, text("héllo"), text(b"\x00" * 10), text(""), left(1001), headers=[(b"traceparent", TRACEPARENT)])

    event = harness.event
    assert (event.level, event.name, event.trace_id) == ("INFO", "websocket.session", TRACE_ID)
    expected = {
        "http.request.method": "GET",
        "url.path": "/ws",
        "url.scheme": "ws",
        "http.response.status_code": 101,
        "network.protocol.version": "1.1",
        "client.address": "203.0.113.42",
        "websocket.close_code": 1001,
        "websocket.closed_by": "client",
        "websocket.messages_in": 3,
        "websocket.messages_out": 3,
        "websocket.bytes_in": 16,
        "websocket.bytes_out": 16,
    }
    assert {name: event.attributes[name] for name in expected} == expected
    assert event.attributes["websocket.duration"] > event.attributes["otelbridge.ttfb_s"] > 0
    assert event.body.startswith('203.0.113.42 "GET /ws WS/1.1" 101 16 ')
    assert event.body.endswith("ms close=1001")


def test_a_session_is_one_server_span() -> None:
    """700 messages are one SERVER span, not 1,400."""
    harness = Harness(echo)

    serve(harness, *[text("x")] * 700, left())

    span = harness.span
    assert (span.kind, span.name, span.status.status_code) == (SpanKind.SERVER, "GET", StatusCode.UNSET)
    assert harness.event.attributes["websocket.messages_in"] == 700


def test_sessions_have_instruments_of_their_own() -> None:
    """A socket of hours is in no request's latency: duration, open sessions, messages and bytes are apart."""
    harness = Harness(echo)

    serve(harness, text("four"), left(), route="/ws/{room}")

    points = harness.points()
    assert points.keys() == {SESSION_DURATION, ACTIVE_SESSIONS, MESSAGES, IO}
    (duration,) = points[SESSION_DURATION]
    assert dict(duration.attributes) == {
        "url.scheme": "ws",
        "http.route": "/ws/{room}",
        "network.protocol.version": "1.1",
        "websocket.closed_by": "client",
    }
    assert [point.value for point in points[ACTIVE_SESSIONS]] == [0]
    counted = {point.attributes["network.io.direction"]: point.value for point in points[IO]}
    assert counted == {"receive": 4, "transmit": 4}
    assert duration.exemplars[0].span_id == harness.event.span_id


async def close_with_code(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(ACCEPT)
    await send({"type": "websocket.close", "code": 4001, "reason": "bye"})
    await receive()


async def close_without_code(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(ACCEPT)
    await send({"type": "websocket.close"})


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.close"})


async def deny(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
    await send({"type": "websocket.http.response.body", "body": b"who"})


async def break_down(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(ACCEPT)
    raise KeyError("broken")


async def break_early(scope: Scope, receive: Receive, send: Send) -> None:
    raise KeyError("broken")


async def be_cancelled(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(ACCEPT)
    raise asyncio.CancelledError


async def say_internal_error(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(ACCEPT)
    await send({"type": "websocket.close", "code": 1011})


async def just_return(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send(ACCEPT)


@pytest.mark.parametrize(
    ("app", "level", "status", "code", "closed_by", "error"),
    [
        (close_with_code, "INFO", 101, 4001, "server", None),
        (close_without_code, "INFO", 101, 1000, "server", None),
        (just_return, "INFO", 101, 1000, "server", None),
        (refuse, "INFO", 403, None, "server", None),
        (deny, "INFO", 401, None, "server", None),
        (break_down, "ERROR", 101, 1011, "error", "KeyError"),
        (break_early, "ERROR", None, None, "error", "KeyError"),
        (be_cancelled, "INFO", 101, 1006, "client", None),
        (say_internal_error, "ERROR", 101, 1011, "server", "1011"),
    ],
)
def test_every_end_of_a_session_is_one_record(
    app: ASGIApp, level: str, status: int | None, code: int | None, closed_by: str, error: str | None
) -> None:
    """Closed by either side, refused, denied with an answer, broken, cancelled: one record, and none stays open."""
    harness = Harness(app)

    serve(harness, left(1000))

    event = harness.event
    assert event.level == level
    assert (
        event.attributes.get("http.response.status_code"),
        event.attributes.get("websocket.close_code"),
        event.attributes["websocket.closed_by"],
        event.attributes.get("error.type"),
    ) == (status, code, closed_by, error)
    assert [point.value for point in harness.points()[ACTIVE_SESSIONS]] == [0]
    assert len(harness.spans) == 1


def test_a_client_that_vanishes_has_the_code_that_the_server_reports() -> None:
    """1006 and 1005 are kept; a disconnect without a code is 1005 (no status received)."""
    for said, code in ((1006, 1006), (None, 1005)):
        harness = Harness(echo)

        serve(harness, left(said))

        assert harness.event.attributes["websocket.close_code"] == code


def test_slow_s_is_about_requests_only() -> None:
    """A long session is no slow request."""
    harness = Harness(echo, Settings(slow_s=0.0))

    serve(harness, left())

    assert harness.event.level == "INFO"


def test_middleware_and_callback_see_the_session() -> None:
    """`scope["state"]["access_log"]` is extensible, and on_request gets the very record."""
    seen: list[AccessRecord] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["access_log"].room = "blue"
        await echo(scope, receive, send)

    harness = Harness(app, Settings(on_request=seen.append))

    serve(harness, left())

    assert harness.event.attributes["room"] == "blue"
    assert [type(record) for record in seen] == [WebSocketRecord]


@pytest.mark.parametrize(
    "message", [{}, {"type": None}, {"type": "websocket.send"}, {"type": "websocket.send", "text": 7}]
)
def test_a_broken_message_is_the_server_s_affair(message: Message) -> None:
    """It is passed on as it is."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await send(message)

    harness = Harness(app)

    result = serve(harness)

    assert result.error is None
    assert result.sent[1] is message
    assert harness.observer.error_count == 0


def test_other_tasks_may_send() -> None:
    """Messages that a child task sends are counted, too."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send(ACCEPT)
        await asyncio.gather(*(send({"type": "websocket.send", "text": "x"}) for _ in range(5)))

    harness = Harness(app)

    serve(harness)

    assert harness.event.attributes["websocket.messages_out"] == 5

"""The same promises over real sockets: Hypercorn in a thread, httpx and websockets against it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest
import uvicorn
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from hypercorn.asyncio import serve
from hypercorn.config import Config
from websockets.sync.client import connect

from otelbridge.access.asgi import ASGIApp, Message, Receive, Scope, Send
from tests.access.support import TRACE_ID, TRACEPARENT, Harness, answer

DEADLINE_S = 10.0


@contextmanager
def hypercorn(app: ASGIApp) -> Iterator[int]:
    """Serve `app` on a free port of 127.0.0.1; yield the port, stop at the end."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.graceful_timeout = 1.0
    config.loglevel = "CRITICAL"
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(serve(app, config, shutdown_trigger=stop.wait))  # type: ignore[arg-type]  # its scopes

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(DEADLINE_S)
        loop.close()
        listener.detach()  # Hypercorn has closed it


@contextmanager
def uvicorn_server(app: ASGIApp) -> Iterator[int]:
    """The same by Uvicorn."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, ws="wsproto", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        wait_for(lambda: server.started)
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(DEADLINE_S)
        listener.close()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


async def shop(scope: Scope, receive: Receive, send: Send) -> None:
    """A small app of everything that can happen."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "websocket":
        await echo(receive, send)
    elif scope["path"] == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(3):
            await send({"type": "http.response.body", "body": b"x" * 1000, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    elif scope["path"] == "/raise":
        raise RuntimeError("broken")
    elif scope["path"] == "/wait":
        while (await receive())["type"] != "http.disconnect":
            pass
    else:
        while (await receive()).get("more_body", False):
            pass
        await answer(send, b"hello", headers=[(b"content-length", b"5")])


async def lifespan(receive: Receive, send: Send) -> None:
    for word in ("startup", "shutdown"):
        message = await receive()
        assert message["type"] == f"lifespan.{word}"
        await send({"type": f"lifespan.{word}.complete"})


async def echo(receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})
    message: Message = await receive()
    while message["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})
        message = await receive()


@pytest.fixture
def harness() -> Harness:
    return Harness(shop)


@pytest.mark.parametrize(("http2", "version"), [(False, "1.1"), (True, "2")])
def test_requests_over_a_real_server(harness: Harness, http2: bool, version: str) -> None:
    """HTTP/1.1 and HTTP/2: one record each with status, sizes, version and the caller's trace."""
    with hypercorn(harness.app) as port, httpx.Client(http1=not http2, http2=http2) as client:
        base = f"http://127.0.0.1:{port}"
        headers = {"traceparent": TRACEPARENT.decode()}
        assert client.post(f"{base}/items/1?q=1", content=b"12345678", headers=headers).text == "hello"
        assert len(client.get(f"{base}/stream", headers=headers).content) == 3000
        assert client.head(f"{base}/items/1", headers=headers).status_code == 200
        assert client.get(f"{base}/raise", headers=headers).status_code == 500
        wait_for(lambda: len(harness.events) == 4)

    found = [
        (
            event.attributes["http.request.method"],
            event.attributes["url.path"],
            event.attributes.get("http.response.status_code"),
            event.attributes["http.request.body.size"],
            event.attributes["http.response.body.size"],
        )
        for event in harness.events
    ]
    assert found == [
        ("POST", "/items/1", 200, 8, 5),
        ("GET", "/stream", 200, 0, 3000),
        ("HEAD", "/items/1", 200, 0, 0),
        ("GET", "/raise", None, 0, 0),
    ]
    assert {event.attributes["network.protocol.version"] for event in harness.events} == {version}
    assert {event.attributes["client.address"] for event in harness.events} == {"127.0.0.1"}
    assert {event.trace_id for event in harness.events} == {TRACE_ID}
    assert [event.attributes["otelbridge.ended_by"] for event in harness.events] == ["app", "app", "app", "error"]
    assert len(harness.spans) == 4


def test_a_client_that_hangs_up_is_one_record(harness: Harness) -> None:
    """The connection is closed in the middle of a request: ended_by client, active requests back to 0."""
    with hypercorn(harness.app) as port:
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(b"GET /wait HTTP/1.1\r\nhost: x\r\n\r\n")
            wait_for(lambda: sum(harness.active()) == 1)
        wait_for(lambda: len(harness.events) == 1)

    assert harness.event.attributes["otelbridge.ended_by"] == "client"
    assert harness.active() == [0]


def test_hostile_bytes_of_a_request_are_one_line(harness: Harness) -> None:
    """A path and a user agent made to forge a line stay inside their fields."""
    with hypercorn(harness.app) as port, socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b'GET /x%0d%0a%1b[31m%22%ff HTTP/1.1\r\nhost: x\r\nuser-agent: a\x80"b\r\n\r\n')
        assert client.recv(4096).startswith(b"HTTP/1.1 200")
        wait_for(lambda: len(harness.events) == 1)

    body = harness.event.body
    assert body.isprintable()
    assert body.startswith('127.0.0.1 "GET /x\\x0d\\x0a\\x1b[31m\\"')


def test_a_websocket_session_over_a_real_server(harness: Harness) -> None:
    """A socket echoes; its record says who closed it, and what went each way."""
    with hypercorn(harness.app) as port:
        with connect(f"ws://127.0.0.1:{port}/ws") as ws:
            ws.send("hello")
            assert ws.recv(timeout=DEADLINE_S) == "hello"
            ws.close(4002)
        wait_for(lambda: len(harness.events) == 1)

    attributes = harness.event.attributes
    assert attributes["websocket.closed_by"] == "client"
    assert (attributes["websocket.messages_in"], attributes["websocket.bytes_out"]) == (1, 5)
    assert len(harness.spans) == 1


def test_the_close_code_is_the_client_s(harness: Harness) -> None:
    """Uvicorn passes on what the client closed with (Hypercorn 0.18 says 1006 for every close)."""
    with uvicorn_server(harness.app) as port:
        with connect(f"ws://127.0.0.1:{port}/ws") as ws:
            ws.send("hello")
            assert ws.recv(timeout=DEADLINE_S) == "hello"
            ws.close(4002)
        wait_for(lambda: len(harness.events) == 1)

    assert harness.event.attributes["websocket.close_code"] == 4002


def test_a_websocket_client_that_vanishes(harness: Harness) -> None:
    """The connection breaks without a close: 1006 (or 1005), closed by the client."""
    with hypercorn(harness.app) as port:
        with connect(f"ws://127.0.0.1:{port}/ws") as ws:
            ws.send("hello")
            assert ws.recv(timeout=DEADLINE_S) == "hello"
            ws.socket.shutdown(socket.SHUT_RDWR)
        wait_for(lambda: len(harness.events) == 1)

    attributes = harness.event.attributes
    assert attributes["websocket.closed_by"] == "client"
    assert attributes["websocket.close_code"] in (1005, 1006)


def test_http2_streams_of_one_connection_are_records_of_their_own(harness: Harness) -> None:
    """Interleaved streams, one of them reset by the client: one record each, and the reset one ended by the client."""
    with hypercorn(harness.app) as port, socket.create_connection(("127.0.0.1", port)) as tcp:
        tcp.settimeout(DEADLINE_S)
        h2 = H2Connection(H2Configuration(client_side=True))
        h2.initiate_connection()
        waiting, asked = 1, 3
        for stream, path in ((waiting, "/wait"), (asked, "/items/2")):
            fields = {":method": "GET", ":path": path, ":scheme": "http", ":authority": "x", "x-request-id": path[1:]}
            h2.send_headers(stream, list(fields.items()), end_stream=True)
        tcp.sendall(h2.data_to_send())
        wait_for(lambda: len(harness.events) == 1)
        h2.reset_stream(waiting, error_code=ErrorCodes.CANCEL)
        tcp.sendall(h2.data_to_send())
        wait_for(lambda: len(harness.events) == 2)

    found = [
        (
            event.attributes["url.path"],
            event.attributes["otelbridge.ended_by"],
            event.attributes.get("http.response.status_code"),
            event.attributes["otelbridge.request_id"],
        )
        for event in harness.events
    ]
    assert found == [("/items/2", "app", 200, "items/2"), ("/wait", "client", None, "wait")]
    assert {event.attributes["network.protocol.version"] for event in harness.events} == {"2"}
    assert harness.active() == [0]

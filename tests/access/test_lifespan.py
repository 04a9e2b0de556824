"""ASGI's lifespan through an instrumented app: served for apps that know none, and its end waits for a flush."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import Any

import pytest
import trio

from otelbridge.access import lifespan
from otelbridge.access.asgi import Message, Receive, Scope, Send
from tests.access.support import Harness
from tests.otlp.receivers import free_port
from tests.stack.process import clean_environment


class Server:
    """A server's side of a lifespan: it starts the app, and stops it at once."""

    def __init__(self) -> None:
        self.said = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
        self.heard: list[str] = []

    async def receive(self) -> Message:
        return next(self.said)

    async def send(self, message: Message) -> None:
        self.heard.append(message["type"])

    async def serve(self, app: Any) -> None:
        await app({"type": "lifespan", "state": {}}, self.receive, self.send)


@pytest.fixture
def flushes(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """The threads on which a flush was asked for."""
    asked: list[threading.Thread] = []

    def flush_at_end() -> bool:
        asked.append(threading.current_thread())
        return True

    monkeypatch.setattr(lifespan, "flush_at_end", flush_at_end)
    return asked


async def knows(scope: Scope, receive: Receive, send: Send) -> None:
    """An app with a lifespan."""
    assert scope["type"] == "lifespan"
    for word in ("startup", "shutdown"):
        assert (await receive())["type"] == f"lifespan.{word}"
        await send({"type": f"lifespan.{word}.complete"})


async def fails_to_start(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that says that it cannot start."""
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})


async def fails_to_stop(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that says that it cannot stop."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.failed"})


async def breaks(scope: Scope, receive: Receive, send: Send) -> None:
    """An app whose start has an error."""
    await receive()
    msg = "no database"
    raise RuntimeError(msg)


async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
    """An app for requests, as Django is."""
    msg = f"only HTTP, got {scope['type']}"
    raise ValueError(msg)


async def ignores(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that does nothing where it knows nothing."""


async def answers(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that takes every scope for a request."""
    await send({"type": "http.response.start", "status": 200, "headers": []})


@pytest.mark.parametrize(
    ("app", "heard", "flush_count"),
    [
        (knows, ["lifespan.startup.complete", "lifespan.shutdown.complete"], 1),
        (fails_to_start, ["lifespan.startup.failed"], 0),
        (fails_to_stop, ["lifespan.startup.complete", "lifespan.shutdown.failed"], 1),
        (refuses, ["lifespan.startup.complete", "lifespan.shutdown.complete"], 1),
        (answers, ["lifespan.startup.complete", "lifespan.shutdown.complete"], 1),
        (ignores, ["lifespan.startup.complete", "lifespan.shutdown.complete"], 1),
    ],
)
@pytest.mark.parametrize("library", ["asyncio", "trio"])
def test_the_server_hears_the_app_and_the_end_is_flushed(
    app: Any, heard: list[str], flush_count: int, library: str, flushes: list[threading.Thread]
) -> None:
    """
    The server hears what the app says, or what an app without lifespan would have said; before its end there is a
    flush, under asyncio beside the loop. Nothing is recorded.
    """
    harness, server = Harness(app), Server()

    if library == "asyncio":
        asyncio.run(server.serve(harness.app))
    else:
        trio.run(server.serve, harness.app)

    assert server.heard == heard
    assert len(flushes) == flush_count
    assert all((thread is threading.main_thread()) == (library == "trio") for thread in flushes)
    assert (harness.events, harness.spans, harness.points()) == ([], (), {})


@pytest.mark.usefixtures("flushes")
def test_an_error_of_the_start_passes_on() -> None:
    """
    What an app raises that has begun its lifespan is the server's, unchanged.
    """
    with pytest.raises(RuntimeError, match="no database"):
        asyncio.run(Server().serve(Harness(breaks).app))


PROGRAM = """
import otelbridge, uvicorn
async def app(scope, receive, send):
    assert scope["type"] == "http", "only HTTP"
uvicorn.run(otelbridge.instrument(app), port={port}, lifespan="{mode}")
"""


def test_a_server_that_insists_on_a_lifespan_gets_the_error() -> None:
    """
    With `--lifespan on` uvicorn refuses an app that knows none, as it does without us.
    """
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(port=free_port(), mode="on")],
        env=clean_environment() | {"OTEL_SDK_DISABLED": "true"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 3, done.stderr
    assert "only HTTP" in done.stderr

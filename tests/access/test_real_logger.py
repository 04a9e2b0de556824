"""The access record through the logger that users have."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from otelbridge import logger
from otelbridge.access.asgi import Receive, Scope, Send
from tests.access.support import Harness, answer, hello


@pytest.fixture
def messages() -> Iterator[list[Any]]:
    """Collect what a callable sink gets."""
    found: list[Any] = []
    number = logger.add(found.append, format="{level} {message}")
    yield found
    logger.remove(number)


def with_logger(harness: Harness) -> Harness:
    harness.observer.logger = logger
    return harness


def test_the_line_reaches_a_sink_as_it_is(messages: list[Any]) -> None:
    """Braces and markup of a path are no template and no colour; the attributes are the record's extra."""
    harness = with_logger(Harness(hello))

    harness.get("/{0}/{x}/<red>a</red>")

    (message,) = messages
    assert message.startswith('INFO 203.0.113.42 "GET /{0}/{x}/<red>a</red> HTTP/1.1" 200 5 ')
    assert message.record["extra"]["http.response.status_code"] == 200


def test_a_raising_app_s_traceback_reaches_a_sink(messages: list[Any]) -> None:
    """The access record of a raise is an ERROR that carries the exception."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("broken")

    harness = with_logger(Harness(app))

    harness.get()

    (message,) = messages
    assert message.record["level"].name == "ERROR"
    assert isinstance(message.record["exception"].value, RuntimeError)


def test_context_of_the_app_appears_in_its_access_record(messages: list[Any]) -> None:
    """What was bound by contextualize around the last body stands on the record."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with logger.contextualize(user="ann"):
            await answer(send)

    harness = with_logger(Harness(app))

    harness.get()

    assert messages[0].record["extra"]["user"] == "ann"


def test_with_the_sdk_disabled_the_line_goes_on() -> None:
    """OTEL_SDK_DISABLED=true: `instrument()` starts no thread, the request is served, its line is on stderr."""
    code = """
import asyncio, threading
import otelbridge
from tests.access.support import exchange, hello, http_scope
app = otelbridge.instrument(hello)
assert asyncio.run(exchange(app, http_scope("/served"))).body == b"hello"
assert threading.active_count() == 1, threading.enumerate()
"""

    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OTEL_SDK_DISABLED": "true"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    (line,) = result.stderr.splitlines()
    assert '"GET /served HTTP/1.1" 200 5 ' in line

"""JsonSink writes one flat object per line; AsyncSink describes a queue."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otelbridge import logger
from otelbridge.sinks.asynchronous import AsyncSink
from otelbridge.sinks.json import JsonSink

KEYS = ["time", "level", "message", "module", "function", "line", "extra"]


@pytest.fixture(autouse=True)
def _no_handlers() -> Iterator[None]:
    before = logger._family.handlers.active
    logger._family.handlers.active = ()
    yield
    logger._family.handlers.active = before
    logger._family.apply()


def alone(target: Any, log: Any, **options: Any) -> list[Any]:
    """The lines that a JsonSink writes of messages that were not made for it; `log` is called with the logger."""
    sink = JsonSink(target, **options)
    number = logger.add(lambda message: sink.write(message))
    log(logger)
    logger.remove(number)
    sink.stop()
    text = Path(target).read_text("utf-8") if isinstance(target, str | Path) else target.getvalue()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.covers("1.9")
@pytest.mark.parametrize("kind", ["str", "path", "stream"])
def test_flat_lines(kind: str, tmp_path: Path) -> None:
    """
    A file (whose folder is made) or a stream gets one object per record, with the seed's keys in its order.
    """
    path = tmp_path / "deep" / "app.json"
    target: Any = {"str": str(path), "path": path, "stream": io.StringIO()}[kind]

    lines = alone(target, lambda log: [log.bind(user="alice").info("User {user} logged in"), log.error("two\nlines")])

    assert [list(line) for line in lines] == [KEYS, KEYS]
    assert lines[0]["message"] == "User {user} logged in"
    assert lines[0]["extra"] == {"user": "alice"}
    assert (lines[0]["level"], lines[1]["level"]) == ("INFO", "ERROR")
    assert lines[0]["module"] == "test_json_sink"
    assert lines[1]["message"] == "two\nlines"
    assert len(lines[0]["time"]) == len("2026-03-26T14:30:00.123456")


@pytest.mark.covers("1.9")
def test_added_sink_writes_flat_lines() -> None:
    """
    logger.add(JsonSink(…)) writes the same shape.
    """
    target = io.StringIO()
    number = logger.add(JsonSink(target))

    logger.bind(user="alice").info("hello")
    logger.remove(number)

    line = json.loads(target.getvalue())
    assert list(line) == KEYS
    assert (line["message"], line["extra"]) == ("hello", {"user": "alice"})


@pytest.mark.covers("1.9")
def test_ascii() -> None:
    """
    With ensure_ascii every other character is written as an escape, and reads as before.
    """
    target = io.StringIO()

    lines = alone(target, lambda log: log.info("Grüße, 🐍 \x7f"), ensure_ascii=True)

    assert target.getvalue().isascii()
    assert lines[0]["message"] == "Grüße, 🐍 \x7f"


@pytest.mark.covers("1.9")
def test_exceptions_are_in_their_line() -> None:
    """
    A record with an exception is one line still, with the traceback in it.
    """

    def log(each: Any) -> None:
        try:
            raise ValueError("boo")
        except ValueError:
            each.exception("failed")

    lines = alone(io.StringIO(), log)

    assert len(lines) == 1
    assert lines[0]["message"] == "failed"
    assert "ValueError: boo" in lines[0]["exception"]


@pytest.mark.covers("1.9")
@pytest.mark.parametrize("target", [None, 5, b"bytes", object()])
def test_json_sink_s_mistakes(target: Any) -> None:
    """
    What is neither a path nor a stream is refused at once.
    """
    with pytest.raises(TypeError):
        JsonSink(target)


@pytest.mark.covers("1.16")
@pytest.mark.parametrize("size", [0, -1])
def test_async_sink_s_size(size: int) -> None:
    """
    A buffer holds at least one message.
    """
    with pytest.raises(ValueError, match=f"got {size}"):
        AsyncSink("app.log", buffer_size=size)


async def _coroutine(message: Any) -> None:
    return


@pytest.mark.covers("1.16")
@pytest.mark.parametrize("arguments", [("x", "many"), ("x", True), (_coroutine,), (AsyncSink("x"),)])
def test_async_sink_s_mistakes(arguments: tuple[Any, ...]) -> None:
    """
    A size that is none, a coroutine function and another AsyncSink are refused at once.
    """
    with pytest.raises(TypeError):
        AsyncSink(*arguments)

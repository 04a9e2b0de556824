"""Streams: what is written when, which stream it is, and when colours are wanted."""

from __future__ import annotations

import asyncio
import io
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import loguru
import pytest

from otelbridge.message import make_message
from otelbridge.sinks.console import ConsoleSink, StreamSink, external, is_terminal


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Broken(io.StringIO):
    def isatty(self) -> bool:
        raise ValueError("I/O operation on closed file")


class Writer:
    """The least that a stream can be."""

    def __init__(self, **attributes: Any) -> None:
        self.texts: list[str] = []
        self.__dict__.update(attributes)

    def write(self, text: str) -> None:
        self.texts.append(text)

    def __repr__(self) -> str:
        return "<Writer>"


class Named(io.StringIO):
    def __init__(self, name: Any) -> None:
        super().__init__()
        self.name = name


# ------------------------------------------------------------------------------------------------- any stream


def loguru_repr(stream: Any) -> str:
    number = loguru.logger.add(stream)
    try:
        return repr(loguru.logger).split("sink=")[-1].removesuffix(")]>")
    finally:
        loguru.logger.remove(number)


@pytest.mark.parametrize("stream", [Writer(), Writer(name="w"), Named("n"), Named(5), Named(None), Named(""), Named(0)])
def test_repr_is_loguru_s(stream: Any) -> None:
    """
    A stream sink shows itself by the stream's name, or as the stream does, as in loguru.
    """
    assert repr(StreamSink(stream)) == loguru_repr(stream)


def test_stream_is_flushed_and_stopped() -> None:
    """
    A stream is flushed after each message and told of the end, if it has methods for that.
    """
    calls: list[str] = []
    stream = Writer(flush=lambda: calls.append("flush"), stop=lambda: calls.append("stop"))
    sink = StreamSink(stream)

    sink.write("a\n")
    sink.write("b\n")
    sink.stop()

    assert stream.texts == ["a\n", "b\n"]
    assert calls == ["flush", "flush", "stop"]


@pytest.mark.parametrize("attributes", [{}, {"flush": None, "stop": 5, "isatty": True, "complete": 1}])
def test_stream_without_methods(attributes: dict[str, Any]) -> None:
    """
    `flush`, `stop`, `isatty` and `complete` that are missing, or cannot be called, are not needed.
    """
    stream = Writer(**attributes)
    sink = StreamSink(stream)

    sink.write("x")
    sink.flush()
    sink.stop()

    assert stream.texts == ["x"]
    assert sink.complete() is None
    assert not is_terminal(stream)


def test_complete_is_awaited_if_it_can_be() -> None:
    """
    A stream's `complete` is for awaiting: a coroutine function is called, any other function is not.
    """
    calls: list[str] = []

    async def complete() -> None:
        calls.append("awaited")

    async def main() -> None:
        awaitable = StreamSink(Writer(complete=complete)).complete()
        assert awaitable is not None
        await awaitable

    asyncio.run(main())

    assert StreamSink(Writer(complete=lambda: calls.append("called"))).complete() is None
    assert calls == ["awaited"]


def test_several_messages_at_once(tmp_path: Path) -> None:
    """
    Several messages are joined for a file of Python's own; a stream of the user's sees each by itself.
    """
    with (tmp_path / "log").open("w", encoding="utf-8") as file:
        write_many = StreamSink(file).write_many
        assert write_many is not None
        write_many([make_message("a\n", {}), make_message("b\n", {})])  # type: ignore[arg-type]
        text = (tmp_path / "log").read_text()

    assert text == "a\nb\n"
    assert StreamSink(Writer()).write_many is None


# ------------------------------------------------------------------------------------------------- the console


@pytest.mark.covers("1.7")
@pytest.mark.parametrize("stream", ["stderr", "stdout"])
def test_console_is_the_stream_of_now(stream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A console sink writes to what sys.stderr or sys.stdout is at that moment, and survives its absence.
    """
    sink = ConsoleSink(stream=stream)
    first, second = io.StringIO(), Terminal()

    monkeypatch.setattr(sys, stream, first)
    sink.write("first")
    plain = sink.is_terminal
    monkeypatch.setattr(sys, stream, None)
    sink.write("nowhere")
    sink.flush()
    absent = sink.is_terminal
    monkeypatch.setattr(sys, stream, second)
    sink.write("second")

    assert (first.getvalue(), second.getvalue()) == ("first", "second")
    assert not plain
    assert not absent


@pytest.mark.covers("1.7")
def test_console_is_captured(capsys: pytest.CaptureFixture[str]) -> None:
    """
    The capsys of pytest sees what a console sink of any age writes.
    """
    ConsoleSink().write("to stderr")
    ConsoleSink(stream="stdout").write("to stdout")

    assert capsys.readouterr() == ("to stdout", "to stderr")


@pytest.mark.covers("1.7")
@pytest.mark.parametrize(
    ("arguments", "error"),
    [({"stream": "stdin"}, ValueError), ({"stream": sys.stderr}, ValueError), ({"colorize": "yes"}, TypeError)],
)
def test_console_s_mistakes(arguments: dict[str, Any], error: type[Exception]) -> None:
    """
    A stream that is neither, and a colorize that is no bool, are refused at once.
    """
    with pytest.raises(error):
        ConsoleSink(**arguments)


def test_console_is_picklable() -> None:
    """
    A console sink goes to other processes, where it is their console.
    """
    copy = pickle.loads(pickle.dumps(ConsoleSink(colorize=True, stream="stdout")))

    assert (copy.colorize, copy.stream) == (True, "stdout")


@pytest.mark.covers("1.24")
@pytest.mark.parametrize(
    ("target", "stream"),
    [
        ("ext://stderr", "stderr"),
        ("ext://stdout", "stdout"),
        ("ext://sys.stderr", "stderr"),
        ("ext://sys.stdout", "stdout"),
    ],
)
def test_external_targets(target: str, stream: str) -> None:
    """
    `ext://` names a stream, as in a dict for logging.config.
    """
    sink = external(target)

    assert sink is not None
    assert sink.stream == stream


@pytest.mark.covers("1.24")
def test_external_mistakes() -> None:
    """
    `ext://` with anything else is a mistake, not a file; a path is no external target.
    """
    with pytest.raises(ValueError, match=r"ext://stderr.*got 'ext://stdin'"):
        external("ext://stdin")
    assert external("logs/ext.log") is None


# ------------------------------------------------------------------------------------------------- colours

SERVICES = ("TRAVIS", "CIRCLECI", "APPVEYOR", "GITLAB_CI", "GITHUB_ACTIONS")
VARIABLES = ("NO_COLOR", "FORCE_COLOR", "TERM", "PYCHARM_HOSTED", "LOGURU_COLORIZE", "CI", *SERVICES)


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that says nothing about colours."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def is_colored_by_loguru(stream: Any) -> bool:
    loguru.logger.remove()
    number = loguru.logger.add(stream, format="<red>x</red>", catch=False)
    try:
        loguru.logger.info("x")
    finally:
        loguru.logger.remove(number)
    return "\x1b" in stream.getvalue()


ENVIRONMENTS: list[dict[str, str]] = [
    {},
    {"NO_COLOR": "1"},
    {"FORCE_COLOR": "1"},
    {"TERM": "dumb"},
    {"TERM": "xterm"},
    {"PYCHARM_HOSTED": "1"},
    {"PYCHARM_HOSTED": "", "TERM": "dumb"},
    {"CI": "true"},
    {"GITHUB_ACTIONS": "true"},
    *({"CI": "", name: ""} for name in SERVICES),
    {"CI": "1", "JENKINS_URL": "x"},
    {"CI": "1", "GITHUB_ACTIONS": "1", "NO_COLOR": "1"},
]


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=str)
@pytest.mark.parametrize("kind", [io.StringIO, Terminal, Broken])
@pytest.mark.parametrize("place", ["", "stderr", "__stderr__", "stdout", "__stdout__"])
def test_colours_are_loguru_s(
    bare: pytest.MonkeyPatch, environment: dict[str, str], kind: type[io.StringIO], place: str
) -> None:
    """
    With OTELBRIDGE_LOGURU_STRICT=1 a stream gets colours exactly when loguru gives them.
    """
    bare.setenv("OTELBRIDGE_LOGURU_STRICT", "1")
    for name, value in environment.items():
        bare.setenv(name, value)
    stream = kind()
    if place:
        bare.setattr(sys, place, stream)

    assert is_terminal(stream) is is_colored_by_loguru(stream)


@pytest.mark.parametrize(
    ("environment", "of_file", "of_terminal"),
    [
        ({}, False, True),
        ({"NO_COLOR": "1"}, False, False),
        ({"NO_COLOR": ""}, False, True),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False, False),
        ({"TERM": "dumb"}, False, False),
    ],
)
def test_colours_that_the_user_asked_for(
    bare: pytest.MonkeyPatch, environment: dict[str, str], of_file: bool, of_terminal: bool
) -> None:
    """
    NO_COLOR, FORCE_COLOR and TERM=dumb decide first, which loguru does not ask.
    """
    bare.delenv("OTELBRIDGE_LOGURU_STRICT", raising=False)
    for name, value in environment.items():
        bare.setenv(name, value)

    assert is_terminal(io.StringIO()) is of_file
    assert is_terminal(Terminal()) is of_terminal


def test_a_closed_stream_has_no_colours(bare: pytest.MonkeyPatch) -> None:
    """
    A stream that was closed, or is not there at all, is asked without an error.
    """
    closed = io.StringIO()
    closed.close()

    assert not is_terminal(closed)
    assert not is_terminal(None)


def test_no_streams_at_all() -> None:
    """
    In a process without standard streams (pythonw) the console sink is silent.
    """
    program = """
import sys
sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = None
from otelbridge.sinks.console import ConsoleSink
sink = ConsoleSink()
sink.write("x")
sink.flush()
sink.stop()
assert sink.encoding is None and not sink.is_terminal
"""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}

    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, env=environment)

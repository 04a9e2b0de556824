"""What errors are and name: loguru's types, and whatever loguru's words name; the words are ours."""

# mypy: disable-error-code="untyped-decorator, unreachable"

from __future__ import annotations

import datetime
import importlib
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.support import IMPLEMENTATIONS, each, error_of, reset


def sink(message: object) -> None:
    """A sink that keeps nothing."""


async def coroutine_sink(message: object) -> None:
    """A sink that has to be awaited."""


def with_handler(call: Callable[[Any], object]) -> Callable[[Any], object]:
    """Make the call when there is a handler."""

    def made(logger: Any) -> object:
        logger.add(sink, level=0, catch=False)
        return call(logger)

    return made


def with_format(format_: Any, **options: Any) -> Callable[[Any], object]:
    """Log through a handler of that format."""

    def made(logger: Any) -> object:
        logger.add(sink, level=0, catch=False, format=format_, **options)
        logger.info("said")
        return None

    return made


def file_with(**options: Any) -> Callable[[Any], object]:
    """Add a file with these options."""
    return lambda logger: logger.add("file.log", delay=True, **options)


def fail() -> None:
    """Raise."""
    raise LookupError("why")


CALLS: dict[str, Callable[[Any], object]] = {
    "sink": lambda logger: logger.add(5),
    "sink None": lambda logger: logger.add(None),
    "level name": lambda logger: logger.add(sink, level="nope"),
    "level type": lambda logger: logger.add(sink, level=1.5),
    "level value": lambda logger: logger.add(sink, level=-1),
    "format type": lambda logger: logger.add(sink, format=5),
    "format markup": lambda logger: logger.add(sink, format="<nope>"),
    "format braces": lambda logger: logger.add(sink, format="{"),
    "filter type": lambda logger: logger.add(sink, filter=5),
    "filter dict level name": lambda logger: logger.add(sink, filter={"a": "nope"}),
    "filter dict level value": lambda logger: logger.add(sink, filter={"a": -1}),
    "filter dict level type": lambda logger: logger.add(sink, filter={"a": 1.5}),
    "filter dict key": lambda logger: logger.add(sink, filter={5: "INFO"}),
    "context name": lambda logger: logger.add(sink, context="nope"),
    "context type": lambda logger: logger.add(sink, context=5),
    "unknown argument": lambda logger: logger.add(sink, nope=5),
    "file argument for a function": lambda logger: logger.add(sink, rotation="1 MB"),
    "file argument for a stream": lambda logger: logger.add(io.StringIO(), rotation="1 MB"),
    "loop for a function": lambda logger: logger.add(sink, loop=None),
    "unknown argument of a file": lambda logger: logger.add("file.log", nope=5),
    "unknown argument of a coroutine": lambda logger: logger.add(coroutine_sink, nope=5),
    "queue without a loop": lambda logger: logger.add(coroutine_sink, enqueue=True),
    "rotation text": file_with(rotation="nope"),
    "rotation unit": file_with(rotation="1 XB"),
    "rotation number": file_with(rotation="1.5.2 MB"),
    "rotation day": file_with(rotation="w7"),
    "rotation time": file_with(rotation="25:00"),
    "rotation time of a day": file_with(rotation="monday at noon"),
    "rotation day of a time": file_with(rotation="funday at 12:00"),
    "rotation type": file_with(rotation=[]),
    "rotation date": file_with(rotation=datetime.date(2020, 1, 1)),
    "retention text": file_with(retention="nope"),
    "retention unit": file_with(retention="1 MB"),
    "retention type": file_with(retention=1.5),
    "compression text": file_with(compression="nope"),
    "compression type": file_with(compression=5),
    "remove unknown": lambda logger: logger.remove(10**9),
    "remove type": lambda logger: logger.remove("1"),
    "level() unknown": lambda logger: logger.level("nope"),
    "level() type": lambda logger: logger.level(5),
    "level() looks of unknown": lambda logger: logger.level("nope", color="<red>"),
    "level() no again": lambda logger: logger.level("INFO", no=20),
    "level() no type": lambda logger: logger.level("nope", no="5"),
    "level() no value": lambda logger: logger.level("nope", no=-1),
    "level() color": lambda logger: logger.level("nope", no=5, color="<nope>"),
    "level() color closing": lambda logger: logger.level("nope", no=5, color="</red>"),
    "level() color level": lambda logger: logger.level("nope", no=5, color="<level>"),
    "log() name": with_handler(lambda logger: logger.log("nope", "said")),
    "log() type": with_handler(lambda logger: logger.log(1.5, "said")),
    "log() value": with_handler(lambda logger: logger.log(-1, "said")),
    "disable type": lambda logger: logger.disable(5),
    "enable type": lambda logger: logger.enable(5),
    "message key": with_handler(lambda logger: logger.info("{a}", b=1)),
    "message index": with_handler(lambda logger: logger.info("{} {}", 1)),
    "message brace": with_handler(lambda logger: logger.info("{", 1)),
    "message numbering": with_handler(lambda logger: logger.info("{} {0}", 1)),
    "record argument": with_handler(lambda logger: logger.opt(record=True).info("said", record=1)),
    "exception tuple": with_handler(lambda logger: logger.opt(exception=(1, 2)).info("said")),
    "colors unknown": with_handler(lambda logger: logger.opt(colors=True).info("<nope>")),
    "colors unclosed": with_handler(lambda logger: logger.opt(colors=True).info("<red>")),
    "colors unopened": with_handler(lambda logger: logger.opt(colors=True).info("</red>")),
    "colors crossed": with_handler(lambda logger: logger.opt(colors=True).info("<red><b></red></b>")),
    "colors short unopened": with_handler(lambda logger: logger.opt(colors=True).info("</>")),
    "colors numbering": with_handler(lambda logger: logger.opt(colors=True).info("{} {0}", 1)),
    "colors numbering back": with_handler(lambda logger: logger.opt(colors=True).info("{0} {}", 1)),
    "format field": with_format("{nope}"),
    "format position": with_format("{}"),
    "format level spec": with_format("{level:nope}"),
    "format function markup": with_format(lambda record: "<red>"),
    "format function unknown tag": with_format(lambda record: "<nope>"),
    "format function field": with_format(lambda record: "{nope}"),
    "format function brace": with_format(lambda record: "{"),
    "catch class": lambda logger: logger.catch(io.StringIO),
    "catch class called": lambda logger: logger.catch()(io.StringIO),
    "catch level": with_handler(lambda logger: logger.catch(level="nope")(fail)()),
    "parse file": lambda logger: next(logger.parse(5, "a")),
    "parse pattern": lambda logger: next(logger.parse(io.StringIO(), 5)),
    "parse cast": lambda logger: next(logger.parse(io.StringIO(), "a", cast=5)),
    "configure level": lambda logger: logger.configure(levels=[{"name": "nope"}]),
    "configure activation": lambda logger: logger.configure(activation=[(5, True)]),
}


def errors(name: str) -> list[BaseException]:
    """What the call raises, of loguru and of ours."""
    found = []
    for package in IMPLEMENTATIONS:
        logger = importlib.import_module(package).logger
        reset(logger)
        try:
            found.append(error_of(lambda logger=logger: CALLS[name](logger)))  # type: ignore[misc]
        finally:
            reset(logger)
    return found


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No departures from loguru; files go to a folder of their own."""
    monkeypatch.setenv("OTELBRIDGE_LOGURU_STRICT", "1")
    monkeypatch.chdir(tmp_path)


@pytest.mark.covers("1.4")
@each("name", CALLS)
def test_same_types(strict: None, name: str) -> None:
    """Each mistake raises an error of the same type."""
    first, second = errors(name)
    assert type(second) is type(first)


def named_in(text: str) -> set[str]:
    """What an error names: values and types in quotes, and numbers; but no calls of the logger."""
    quoted = re.findall(r"""'([^' ]+)'|"([^" ]+)\"""", text)
    names = {single or double for single, double in quoted} | set(re.findall(r"-?\d+", text))
    return {name for name in names if "(" not in name}


@pytest.mark.covers("1.4", note="the words are our own")
@each("name", CALLS)
def test_names_what_came(strict: None, name: str) -> None:
    """Each mistake names at least what loguru names of it: the value, its type, the module, the tag."""
    first, second = errors(name)
    missing = {each for each in named_in(str(first)) if each not in str(second)}
    assert not missing, str(second)


TYPE_ERRORS: dict[str, Callable[[Any], object]] = {
    "info": lambda logger: logger.info(),
    "log": lambda logger: logger.log("INFO"),
    "bind": lambda logger: logger.bind(1),
    "opt": lambda logger: logger.opt(True),
    "opt unknown": lambda logger: logger.opt(nope=1),
    "contextualize": lambda logger: logger.contextualize(1),
    "configure": lambda logger: logger.configure([]),
    "catch": lambda logger: logger.catch(ValueError, "ERROR"),
    "add": lambda logger: logger.add(),
    "level": lambda logger: logger.level(),
    "patch": lambda logger: logger.patch(),
    "complete": lambda logger: logger.complete(1),
    "parse": lambda logger: logger.parse("file"),
    "remove": lambda logger: logger.remove(1, 2),
}


@pytest.mark.covers("1.4")
@each("name", TYPE_ERRORS)
def test_wrong_signatures(implementation: str, logger: Any, name: str) -> None:
    """A call that does not fit the signature is a TypeError."""
    with pytest.raises(TypeError):
        TYPE_ERRORS[name](logger)

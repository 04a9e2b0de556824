"""The same exception through real loguru and through ours, at the same moment: the texts of all options, in pairs."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import loguru
import loguru._logger
from loguru._logger import Core, Logger

from otelbridge.record import RecordException
from otelbridge.text.exceptions import ExceptionText

HIDDEN = frozenset({loguru._logger.__file__})
OPTIONS = tuple(itertools.product((False, True), repeat=3))


class Pair(NamedTuple):
    """What both said with the same options."""

    options: str
    theirs: str
    ours: str


def new_logger() -> Any:
    """A loguru of our own, so that nobody's handlers are touched."""
    return Logger(Core(), None, 0, False, False, False, False, True, [], {})  # type: ignore[no-untyped-call]


def pairs(act: Callable[[Any], None], *, from_decorator: bool = False) -> list[Pair]:
    """`act` logs one exception or more, with an empty message, through the logger it is given."""
    logger = new_logger()
    found: list[Pair] = []
    for colorize, backtrace, diagnose in OPTIONS:
        ours = ExceptionText(colorize=colorize, backtrace=backtrace, diagnose=diagnose, hidden_files=HIDDEN)
        options = f"colorize={colorize}, backtrace={backtrace}, diagnose={diagnose}"

        def sink(message: Any, ours: ExceptionText = ours, options: str = options) -> None:
            exception = RecordException(*message.record["exception"])
            text = ours.render(exception, from_decorator=from_decorator)
            found.append(Pair(options, str(message).removeprefix("\n"), text))

        logger.add(sink, format="{message}", colorize=colorize, backtrace=backtrace, diagnose=diagnose, catch=False)
    act(logger)
    assert len(found) % len(OPTIONS) == 0
    assert found
    return found


def assert_same(act: Callable[[Any], None], *, from_decorator: bool = False) -> list[Pair]:
    """Both say the same, whatever the options."""
    found = pairs(act, from_decorator=from_decorator)
    for pair in found:
        assert pair.ours == pair.theirs, pair.options
    return found

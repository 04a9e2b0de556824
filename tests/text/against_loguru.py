"""The same exception through real loguru and through ours, at the same moment: the texts of all options, in pairs."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
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


class Both:
    """A loguru of our own (nobody's handlers are touched) with a handler per combination, made once: they are slow."""

    def __init__(self) -> None:
        untyped: Any = Logger
        core: Any = Core
        self.logger = untyped(core(), None, 0, False, False, False, False, True, [], {})
        self.found: list[Pair] = []
        self.from_decorator = False
        for colorize, backtrace, diagnose in OPTIONS:
            options: dict[str, Any] = {"colorize": colorize, "backtrace": backtrace, "diagnose": diagnose}
            ours = ExceptionText(**options, hidden_files=HIDDEN)
            self.logger.add(partial(self._compare, ours, str(options)), format="{message}", catch=False, **options)

    def _compare(self, ours: ExceptionText, options: str, message: Any) -> None:
        exception = RecordException(*message.record["exception"])
        text = ours.render(exception, from_decorator=self.from_decorator)
        self.found.append(Pair(options, str(message).removeprefix("\n"), text))

    def pairs(self, act: Callable[[Any], None], *, from_decorator: bool) -> list[Pair]:
        self.found, self.from_decorator = [], from_decorator
        act(self.logger)
        return self.found


@lru_cache(maxsize=1)
def both() -> Both:
    return Both()


def pairs(act: Callable[[Any], None], *, from_decorator: bool = False) -> list[Pair]:
    """`act` logs one exception or more, with an empty message, through the logger it is given.

    It does so on a thread of its own: above it is then the same handful of frames, whoever runs the tests.
    """
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(both().pairs, act, from_decorator=from_decorator).result()
    assert len(found) % len(OPTIONS) == 0
    assert found
    return found


def assert_same(act: Callable[[Any], None], *, from_decorator: bool = False) -> list[Pair]:
    """Both say the same, whatever the options."""
    found = pairs(act, from_decorator=from_decorator)
    for pair in found:
        assert pair.ours == pair.theirs, pair.options
    return found

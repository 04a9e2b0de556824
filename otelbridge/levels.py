"""Log levels: loguru's names and numbers, and what they are in OpenTelemetry. Imports nothing of ours."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple


class Level(NamedTuple):
    """A level: its name, number (a record needs at least a sink's), colour markup and icon."""

    name: str
    no: int
    color: str
    icon: str


DEFAULT_LEVELS = (
    Level("TRACE", 5, "<cyan><bold>", "✏️"),
    Level("DEBUG", 10, "<blue><bold>", "🐞"),
    Level("INFO", 20, "<bold>", "ℹ️"),
    Level("SUCCESS", 25, "<green><bold>", "✅"),
    Level("WARNING", 30, "<yellow><bold>", "⚠️"),
    Level("ERROR", 40, "<red><bold>", "❌"),
    Level("CRITICAL", 50, "<RED><bold>", "☠️"),
)

# Level number -> OTel SeverityNumber, at loguru's own levels. Between them numbers are interpolated.
_ANCHORS = ((0, 1), (5, 1), (10, 5), (20, 9), (25, 10), (30, 13), (40, 17), (50, 21), (80, 24))
_ANCHOR_NUMBERS = [no for no, _ in _ANCHORS]
_SEVERITY_MAX = 24


def severity_number(no: int) -> int:
    """OTel's SeverityNumber (1 to 24) of a level number: monotonic, exact at loguru's levels.

    TRACE 1, DEBUG 5, INFO 9, SUCCESS 10, WARNING 13, ERROR 17, CRITICAL 21 (features.md 1.33; OTel log data model).
    """
    index = bisect_right(_ANCHOR_NUMBERS, no)
    if index == 0:
        return _ANCHORS[0][1]
    if index == len(_ANCHORS):
        return _SEVERITY_MAX
    (low_no, low), (high_no, high) = _ANCHORS[index - 1], _ANCHORS[index]
    return low + (no - low_no) * (high - low) // (high_no - low_no)


def severity_text(name: str | None, no: int) -> str:
    """What stands as the severity's text: the user's name for the level, else `Level 33`."""
    return name if name is not None else f"Level {no}"


class Levels:
    """The levels of one family of loggers, by name."""

    def __init__(self, levels: Iterable[Level] = DEFAULT_LEVELS) -> None:
        self._by_name = {level.name: level for level in levels}

    def find(self, level: str | int) -> Level:
        """A level by name, or an unnamed one by number. ValueError: no such name, a negative number; TypeError."""
        if isinstance(level, str):
            found = self._by_name.get(level)
            if found is None:
                msg = f"Level {level!r} does not exist; those that do: {', '.join(self._by_name)}"
                raise ValueError(msg)
            return found
        if not isinstance(level, int):
            msg = f"level must be a str or an int, got {level!r} of type {type(level).__name__!r}"  # type: ignore[unreachable]
            raise TypeError(msg)
        if level < 0:
            msg = f"level must be a name or a positive integer, got {level}"
            raise ValueError(msg)
        return Level(f"Level {level}", level, "", " ")

    def define(self, name: str, no: int | None, color: str | None, icon: str | None) -> Level:
        """Make a level, or change the looks of one. ValueError: its number is missing, wrong or given twice."""
        old = self._by_name.get(name)
        if old is None:
            old = Level(name, _new_number(name, no), "", " ")
        elif no is not None:
            msg = f"Level {name!r} already exists with number {old.no}, which cannot be changed, got no={no!r}"
            raise ValueError(msg)
        new = Level(name, old.no, old.color if color is None else color, old.icon if icon is None else icon)
        self._by_name[name] = new
        return new

    def color(self, name: str) -> str:
        """The colour markup of a level; none for one without a name."""
        level = self._by_name.get(name)
        return "" if level is None else level.color

    def __iter__(self) -> Iterator[Level]:
        return iter(self._by_name.values())

    def __contains__(self, name: str) -> bool:
        return name in self._by_name


def _new_number(name: str, no: int | None) -> int:
    if no is None:
        msg = f"Level {name!r} does not exist; give its number with no=…"
        raise ValueError(msg)
    if not isinstance(no, int):
        msg = f"level no must be an integer, got {no!r} of type {type(no).__name__!r}"  # type: ignore[unreachable]
        raise TypeError(msg)
    if no < 0:
        msg = f"level no must be a positive integer, got {no!r}"
        raise ValueError(msg)
    return no

"""Log levels: loguru's names and numbers, and what they are in OpenTelemetry. Imports nothing of ours."""

from __future__ import annotations

from bisect import bisect_right
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

"""The variables of a source line: which names it reads, what they are worth, and arrows from one to the other.

Nothing of the program runs but `__repr__`: attributes are looked up without descriptors, calls are not repeated.
"""

from __future__ import annotations

import keyword
from typing import TYPE_CHECKING, NamedTuple

from otelbridge.text.highlight import tokens

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


class Variable(NamedTuple):
    """A name in a line. column: where its last part begins. name: dotted, as far as it was followed."""

    column: int
    name: str
    value: object


class Arrows(NamedTuple):
    """How a value is tied to its name."""

    line: str
    corner: str

    @classmethod
    def drawn_in(cls, encoding: str) -> Arrows:
        """Box characters where the encoding has them, else ASCII."""
        box = cls("│", "└")
        try:
            "".join(box).encode(encoding)
        except (UnicodeError, LookupError, TypeError, ValueError):
            return cls("|", "->")
        return box


class ArrowLine(NamedTuple):
    """A line below the source: what is drawn, and the piece of a value behind it."""

    drawing: str
    text: str


def variables(source: str, frame: FrameType) -> Iterator[Variable]:
    """The names that the line reads and the frame knows, from left to right.

    A plain name before `=` is assigned to, or a keyword of a call: it is left out, unless a `;` stands before it
    (loguru's reading).
    """
    import token as kinds

    found: Variable | None = None  # the name, or dotted name, that a dot would continue
    held: Variable | None = None  # shown unless `=` comes next
    sign = ""  # the last token that is not a name
    for token in tokens(source):
        text = token.string
        if held is not None:
            if not (token.type == kinds.OP and text == "="):
                yield held
            held = None
        if token.type != kinds.NAME or keyword.iskeyword(text):
            sign = text
            found = found if text == "." else None
            continue
        if sign == ".":
            hit = found = _attribute(found, text, token.start[1])
        else:
            hit = _lookup(frame, text, token.start[1])
            found = hit or found
        if hit is not None and sign in (".", ";"):
            yield hit
        else:
            held = hit
    if held is not None:
        yield held


def _lookup(frame: FrameType, name: str, column: int) -> Variable | None:
    for scope in (frame.f_locals, frame.f_globals):
        try:
            if name in scope:
                return Variable(column, name, scope[name])
        except Exception:  # a namespace of the program's own making
            continue
    return None


def _attribute(owner: Variable | None, name: str, column: int) -> Variable | None:
    from inspect import getattr_static

    if owner is None:
        return None
    try:
        return Variable(column, f"{owner.name}.{name}", getattr_static(owner.value, name))
    except Exception:
        return None


def draw(values: list[tuple[int, str]], arrows: Arrows) -> Iterator[ArrowLine]:
    """From (column, text of the value), left to right: the lines below the source, rightmost value first."""
    for i in reversed(range(len(values))):
        column, text = values[i]
        left = ""
        for pipe, _ in values[:i]:
            left += " " * (pipe - len(left)) + arrows.line
        left += " " * (column - len(left))
        first, *others = text.split("\n")
        yield ArrowLine(f"{left}{arrows.corner} ", first)
        for other in others:
            yield ArrowLine(left + " " * (len(arrows.corner) + 1), other)

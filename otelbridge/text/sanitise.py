"""User text made inert: nothing a user sends moves a terminal's cursor, hides text, turns it, or forges a line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from otelbridge.text.fields import message_pieces, piece_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# C0 but for tab and newline, DEL, C1, and the bidirectional controls (CVE-2021-42574); lone surrogates cannot be
# written to a UTF-8 stream at all.
_CONTROL_RANGES = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff"
_CONTROLS = re.compile(f"[{_CONTROL_RANGES}]")
_CONTROLS_AND_BREAKS = re.compile(f"[\n\u2028\u2029{_CONTROL_RANGES}]")
# Whatever str.splitlines() takes for the end of a line.
_BREAKS = re.compile("[\n-\r\x1c-\x1e\x85\u2028\u2029]")


# Each function asks str.isprintable() first: no control is printable, and it is several times faster than a search.


def inert(text: str) -> str:
    r"""`text` with each control character spelled out (`\x1b`, `\r`, `\u202e`); tabs and newlines stay."""
    return text if text.isprintable() else _CONTROLS.sub(_spell, text)


def escape_breaks(text: str) -> str:
    r"""`inert`, and line breaks are spelled out as well (`\n`, `\r`, `\x85`, `\u2028`, `\u2029`): one line remains."""
    return text if text.isprintable() else _CONTROLS_AND_BREAKS.sub(_spell, text)


def has_breaks(text: str) -> bool:
    """Whether a reader may take `text` for several lines."""
    return not text.isprintable() and _BREAKS.search(text) is not None


def format_inert(template: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """`template.format(*args, **kwargs)` where no argument breaks a line: the template's own text stays as it is.

    Raises what str.format raises, with the same types.
    """
    parts = [
        piece if isinstance(piece, str) else escape_breaks(piece_text(piece, args, kwargs))
        for piece in message_pieces(template)
    ]
    return "".join(parts)


def _spell(match: re.Match[str]) -> str:
    return repr(match[0])[1:-1]


class Inert:
    """Stands for a value in a format: whatever `{value[key].attribute!r:spec}` makes of it is inert, and one line."""

    __slots__ = ("_value",)
    _value: object

    def __init__(self, value: object) -> None:
        self._value = value

    def __getitem__(self, key: Any) -> Inert:
        return Inert(_value_of(self)[key])

    def __getattribute__(self, name: str) -> Inert:
        # Also `__class__` and the like are the value's, not ours.
        return Inert(getattr(_value_of(self), name))

    def __format__(self, spec: str) -> str:
        return escape_breaks(format(_value_of(self), spec))

    def __str__(self) -> str:
        return escape_breaks(str(_value_of(self)))

    def __repr__(self) -> str:
        return escape_breaks(repr(_value_of(self)))


_VALUE = Inert.__dict__["_value"]


def _value_of(wrapped: Inert) -> Any:
    return _VALUE.__get__(wrapped)

"""User text made inert: nothing a user sends moves a terminal's cursor, hides text or turns its direction."""

from __future__ import annotations

import re

# C0 but for tab and newline, DEL, C1, and the bidirectional controls (CVE-2021-42574); lone surrogates cannot be
# written to a UTF-8 stream at all.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def inert(text: str) -> str:
    r"""`text` with each control character spelled out (`\x1b`, `\r`, `\u202e`); tabs and newlines stay."""
    return _CONTROLS.sub(_spell, text)


def _spell(match: re.Match[str]) -> str:
    return repr(match[0])[1:-1]


class Inert:
    """Stands for a value in a format string: whatever `{value[key].attribute!r:spec}` makes of it comes out inert."""

    __slots__ = ("_value",)

    def __init__(self, value: object) -> None:
        self._value = value

    def __getitem__(self, key: object) -> Inert:
        return Inert(self._value[key])  # type: ignore[index]  # the format string's author knows

    def __getattr__(self, name: str) -> Inert:
        return Inert(getattr(self._value, name))

    def __format__(self, spec: str) -> str:
        return inert(format(self._value, spec))

    def __str__(self) -> str:
        return inert(str(self._value))

    def __repr__(self) -> str:
        return inert(repr(self._value))

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

"""Colour markup of format strings (features.md 1.8): `<red>`, `<bold>`, `<level>`, `</>` to ANSI codes, or to nothing.

User text never passes through here.
"""

from __future__ import annotations

import re

_RESET = 0
_STYLES = {
    "bold": 1,
    "b": 1,
    "dim": 2,
    "d": 2,
    "normal": 22,
    "n": 22,
    "italic": 3,
    "i": 3,
    "underline": 4,
    "u": 4,
    "strike": 9,
    "s": 9,
    "blink": 5,
    "l": 5,
    "reverse": 7,
    "v": 7,
    "hide": 8,
    "h": 8,
}
_COLORS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
_SHORT = {"k": 0, "r": 1, "g": 2, "y": 3, "e": 4, "m": 5, "c": 6, "w": 7}
_TAG = re.compile(r"(?P<escape>\\*)<(?P<close>/?)(?P<name>(?:[fb]g\s)?[^<>\s]*)>")


def _codes() -> dict[str, str]:
    codes = {name: str(number) for name, number in _STYLES.items()}
    names = [*((name, i) for i, name in enumerate(_COLORS)), *_SHORT.items()]
    for name, i in names:
        codes[name] = str(30 + i)
        codes[name.upper()] = str(40 + i)
        light = f"light-{name}" if name in _COLORS else f"l{name}"
        codes[light] = str(90 + i)
        codes[light.upper()] = str(100 + i)
    return codes


_CODES = _codes()
_RGB_MAX = 255


def ansi_code(tag: str) -> str | None:
    """The SGR parameters of a tag's name; None if there is no such tag."""
    if (code := _CODES.get(tag)) is not None:
        return code
    ground, _, color = tag.partition(" ")
    base = {"fg": 38, "bg": 48}.get(ground.lower())
    if base is None or not color:
        return None
    if color.isdecimal() and int(color) <= _RGB_MAX:
        return f"{base};5;{int(color)}"
    if re.fullmatch(r"#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})", color):
        digits = color[1:] if len(color) > 4 else "".join(digit * 2 for digit in color[1:])
        red, green, blue = (int(digits[i : i + 2], 16) for i in (0, 2, 4))
        return f"{base};2;{red};{green};{blue}"
    if re.fullmatch(r"\d+,\d+,\d+", color) and all(int(part) <= _RGB_MAX for part in color.split(",")):
        return f"{base};2;{color.replace(',', ';')}"
    named = _CODES.get(color.lower())
    return None if named is None else str(int(named) + (10 if base == 48 else 0))


def level_ansi(color: str) -> str:
    """The codes of a level's colour, itself markup such as `<red><bold>`; ValueError for an unknown tag."""
    return "".join(f"\x1b[{_known(match['name'], color)}m" for match in _TAG.finditer(color))


def _known(name: str, text: str) -> str:
    code = ansi_code(name)
    if code is None:
        msg = f"markup must use known colour tags, got <{name}> in {text!r} (write \\<{name}> for the text itself)"
        raise ValueError(msg)
    return code


def compile_markup(text: str, *, level_color: str | None) -> str:
    """`text` with its tags as ANSI codes; with `level_color` None, without them.

    ValueError: an unknown tag, one closed that was not opened, or one left open at the end.
    """
    parts: list[str] = []
    opened: list[tuple[str, str]] = []
    end = 0
    for match in _TAG.finditer(text):
        parts.append(text[end : match.start()])
        end = match.end()
        escape, close, name = match["escape"], match["close"], match["name"]
        parts.append("\\" * (len(escape) // 2))
        if len(escape) % 2:
            parts.append(match[0].lstrip("\\"))
            continue
        if not close:
            codes = _tag_codes(name, level_color, text)
            opened.append((name, codes))
            parts.append(codes)
            continue
        if not opened or name not in ("", opened[-1][0]):
            msg = f"markup must close its tags in the reverse order of opening, got </{name}> in {text!r}"
            raise ValueError(msg)
        opened.pop()
        if level_color is not None:
            parts.append(f"\x1b[{_RESET}m" + "".join(codes for _, codes in opened))
    if opened:
        msg = f"markup must close every tag, got <{opened[-1][0]}> left open in {text!r}"
        raise ValueError(msg)
    return "".join((*parts, text[end:]))


def _tag_codes(name: str, level_color: str | None, text: str) -> str:
    if name in ("level", "lvl"):
        return level_ansi(level_color) if level_color else ""
    code = _known(name, text)
    return "" if level_color is None else f"\x1b[{code}m"

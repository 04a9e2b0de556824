"""Colour markup (features.md 1.8) of formats and of opt(colors=True) messages: tags to ANSI codes, or to nothing.

Arguments of a message and fields of a format never pass through here as markup: only what the program's author wrote.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from otelbridge.text.fields import Field, Wrong, collect, field_text, fields_within, parse, raw_pieces
from otelbridge.text.sanitise import escape_breaks, inert

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

_RESET = "\x1b[0m"
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
_SHORT = ("k", "r", "g", "y", "e", "m", "c", "w")
_LEVEL_TAGS = ("level", "lvl")
_TAG = re.compile(r"(?P<escape>\\*)(?P<tag><(?P<close>/?)(?P<name>(?:[fb]g\s)?[^<>\s]*)>)")
_HEX = re.compile("#(?:[0-9a-fA-F]{3}){1,2}")
_CHANNEL_MAX = 255

# Texts of a program: its formats, and its messages with markup.
_REMEMBERED_MAX = 256
_REMEMBERED_SIZE_MAX = 4096


def _foreground() -> dict[str, int]:
    codes: dict[str, int] = {}
    for i, (name, short) in enumerate(zip(_COLORS, _SHORT, strict=True)):
        codes |= {name: 30 + i, short: 30 + i, f"light-{name}": 90 + i, f"l{short}": 90 + i}
    return codes


_FOREGROUND = _foreground()
_BACKGROUND = {name.upper(): code + 10 for name, code in _FOREGROUND.items()}
_CODES = _STYLES | _FOREGROUND | _BACKGROUND


def ansi_code(tag: str) -> str | None:
    """The SGR parameters of a tag's name; None if there is no such tag."""
    if (code := _CODES.get(tag)) is not None:
        return str(code)
    ground, color = tag[:3], tag[3:]
    if ground not in ("fg ", "bg "):
        return None
    named = _FOREGROUND.get(color.lower()) if ground == "fg " else _BACKGROUND.get(color.upper())
    if named is not None:
        return str(named)
    base = 38 if ground == "fg " else 48
    if _is_channel(color):
        return f"{base};5;{color}"
    if _HEX.fullmatch(color):
        # Three digits stand for themselves twice over (#abc is #abcabc), which is loguru's reading and not CSS's.
        digits = (color[1:] * 2)[:6]
        return f"{base};2;" + ";".join(str(int(digits[i : i + 2], 16)) for i in (0, 2, 4))
    channels = color.split(",")
    if len(channels) == 3 and all(map(_is_channel, channels)):
        return f"{base};2;{';'.join(channels)}"
    return None


def _is_channel(text: str) -> bool:
    return text.isdecimal() and int(text) <= _CHANNEL_MAX


class Restyle(NamedTuple):
    """A tag: the codes it sets (None: the level's colour), or, where it closes, those that go on after a reset."""

    codes: tuple[str | None, ...]
    closes: bool


class Argument(str):
    """The text of a formatted argument, among the pieces of a message: never markup, and not the author's."""

    __slots__ = ()


class _Tags:
    """Reads markup, and knows which tags are open."""

    def __init__(self) -> None:
        self._open: list[tuple[str, str | None]] = []

    @property
    def codes(self) -> tuple[str | None, ...]:
        """The codes of the open tags, the outermost first."""
        return tuple(code for _, code in self._open)

    def read(self, text: str) -> Iterator[str | Restyle]:
        """The texts and tags of the next stretch. ValueError: an unknown tag, or one closed that is not the last."""
        end = 0
        for match in _TAG.finditer(text):
            escape = match["escape"]
            yield text[end : match.start()] + "\\" * (len(escape) // 2)
            end = match.end()
            if len(escape) % 2:
                yield match["tag"]
            elif match["close"]:
                yield self._close(match["name"])
            else:
                yield self._set(match["name"])
        yield text[end:]

    def finish(self) -> None:
        """ValueError: a tag was left open."""
        if self._open:
            msg = f"markup must close every tag, got <{self._open[0][0]}> left open"
            raise ValueError(msg)

    def _set(self, name: str) -> Restyle:
        code = None
        if name not in _LEVEL_TAGS:
            number = ansi_code(name)
            if number is None:
                msg = f"markup must use known colour tags, got <{name}> (write \\<{name}> for the text itself)"
                raise ValueError(msg)
            code = f"\x1b[{number}m"
        self._open.append((name, code))
        return Restyle((code,), closes=False)

    def _close(self, name: str) -> Restyle:
        if not self._open:
            msg = f"markup must open a tag before closing it, got </{name}> where none is open"
            raise ValueError(msg)
        last, _ = self._open[-1]
        if name not in ("", last):
            msg = f"markup must close the last tag first, got </{name}> where <{last}> is open"
            raise ValueError(msg)
        self._open.pop()
        return Restyle(self.codes, closes=True)


def _plain(pieces: Iterable[str | Restyle]) -> str:
    return "".join([piece for piece in pieces if isinstance(piece, str)])


def _ansi(pieces: Iterable[str | Restyle], level: str, around: Sequence[str | None] = ()) -> str:
    """Texts and codes. `around`: what is set where this is put in, and goes on after each reset."""
    parts = []
    for piece in pieces:
        if isinstance(piece, str):
            parts.append(piece)
            continue
        codes = (_RESET, *around, *piece.codes) if piece.closes else piece.codes
        parts += [level if code is None else code for code in codes]
    return "".join(parts)


@lru_cache(maxsize=_REMEMBERED_MAX)
def parse_level_color(color: str) -> str:
    """The ANSI codes of a level's colour, itself markup such as `<red><bold>`. ANSI codes are themselves.

    ValueError: an unknown tag, or `<level>`, which is what it defines.
    """
    pieces = list(_Tags().read(color.strip()))
    if any(isinstance(piece, Restyle) and None in piece.codes for piece in pieces):
        msg = f"a level's color must be made of colour and style tags, got <level> in {color!r}"
        raise ValueError(msg)
    return _ansi(pieces, "")


def compile_markup(text: str, *, level_color: str | None) -> str:
    """A format string with its tags as ANSI codes; with `level_color` None, without them. Its fields stay.

    ValueError: an unknown tag, one closed that was not opened last, or one left open; or it is no format string.
    """
    format_ = compile_format(text)
    return format_.plain if level_color is None else format_.ansi(level_color)


class Format:
    """A format string whose markup is understood; what remains are templates for str.format_map."""

    __slots__ = ("_ansi", "_around_messages", "_pieces", "plain")

    def __init__(self, pieces: Sequence[str | Restyle], around_messages: Sequence[tuple[str | None, ...] | None]):
        self._pieces = pieces
        # Codes that are set around each `{message}`, in the order in which fields are written; None: in a spec.
        self._around_messages = around_messages
        self._ansi: dict[str, str] = {}
        # The template without markup.
        self.plain = _plain(pieces)

    def ansi(self, level_color: str) -> str:
        """The template with ANSI codes. `level_color`: a level's colour as markup, or as its ANSI codes."""
        template = self._ansi.get(level_color)
        if template is None:
            template = _ansi(self._pieces, parse_level_color(level_color))
            if len(self._ansi) >= _REMEMBERED_MAX:
                self._ansi.clear()
            self._ansi[level_color] = template
        return template

    def format_colored(self, fields: Mapping[str, Any], message: ColoredMessage, level_color: str) -> str:
        """The line: `fields` filled in, but `{message}` is `message` in colour.

        After a tag closed inside the message the colours around it are set again. `{message!r}` is plain, and so is
        one in a spec: `fields["message"]`.
        """
        level = parse_level_color(level_color)
        plain = str(fields["message"])
        texts = [plain if around is None else message.within(around, level) for around in self._around_messages]
        return self.ansi(level_color).format_map({**fields, "message": _Message(plain, texts)})


class _Message(str):
    """Is the plain message, but formats as the next of its coloured texts."""

    # Fields in a spec are evaluated before the field itself, yet texts are handed out in the order in which fields are
    # written: `{message:{message}}`, and what follows a `{message!r}`, come out as in loguru.

    def __new__(cls, plain: str, texts: Sequence[str]) -> _Message:
        made = super().__new__(cls, plain)
        made._texts = iter(texts)
        return made

    _texts: Iterator[str]

    def __format__(self, spec: str) -> str:
        return format(next(self._texts, str(self)), spec)


def compile_format(text: str) -> Format:
    """Understand a format string; remembered for strings of usual size.

    ValueError: an unknown tag, one closed that was not opened last, or one left open; or it is no format string.
    """
    return _remembered_format(text) if len(text) <= _REMEMBERED_SIZE_MAX else _compile_format(text)


def _compile_format(text: str) -> Format:
    tags = _Tags()
    pieces: list[str | Restyle] = []
    around_messages: list[tuple[str | None, ...] | None] = []
    try:
        for piece in raw_pieces(text):
            # Two stretches that a doubled brace parts are read apart: no tag has a brace in it.
            pieces += [_doubled(part) for part in tags.read(piece.literal)]
            pieces.append(piece.source)
            for field, is_in_spec in fields_within(piece.source):
                if field.name == "message":
                    around_messages.append(None if is_in_spec else tags.codes)
        tags.finish()
    except ValueError as error:
        msg = f"format {text!r} cannot be used: {error}"
        raise ValueError(msg) from error
    return Format(tuple(pieces), tuple(around_messages))


_remembered_format = lru_cache(maxsize=_REMEMBERED_MAX)(_compile_format)


def _doubled(part: str | Restyle) -> str | Restyle:
    return part.replace("{", "{{").replace("}", "}}") if isinstance(part, str) else part


class ColoredMessage:
    """An opt(colors=True) message whose arguments are filled in."""

    __slots__ = ("_pieces", "_template", "plain")

    def __init__(self, pieces: Sequence[str | Restyle], template: str | None = None) -> None:
        self._pieces = pieces
        self._template = template
        # The text without markup: record["message"].
        self.plain = _plain(pieces)

    @property
    def template(self) -> str:
        """The message before its arguments were filled in, without markup."""
        return self.plain if self._template is None else compile_format(self._template).plain

    def ansi(self, level_color: str) -> str:
        """The text with ANSI codes. `level_color`: a level's colour as markup, or as its ANSI codes."""
        return self.within((), parse_level_color(level_color))

    def within(self, around: Sequence[str | None], level: str) -> str:
        """The text with ANSI codes, put where the codes `around` are set. `level`: the level's ANSI codes."""
        return _ansi(self._pieces, level, around)

    def shown(self) -> ColoredMessage:
        """As text sinks show it: inert, and arguments break no line (as sanitise.format_inert)."""
        return ColoredMessage([_shown(piece) for piece in self._pieces], self._template)


def _shown(piece: str | Restyle) -> str | Restyle:
    if isinstance(piece, Argument):
        return Argument(escape_breaks(piece))
    return inert(piece) if isinstance(piece, str) else piece


def color_message(message: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> ColoredMessage:
    """An opt(colors=True) message: its markup understood, then its arguments filled in, if there are any.

    Raises what str.format raises, and ValueError for wrong markup: whichever comes first in the message.
    """
    is_template = bool(args or kwargs)
    read = _remembered_message if len(message) <= _REMEMBERED_SIZE_MAX else _read_message
    pieces: list[str | Restyle] = []
    for piece in read(message, is_template=is_template):
        if isinstance(piece, Wrong):
            raise ValueError(piece.message)
        pieces.append(Argument(field_text(piece, args, kwargs)) if isinstance(piece, Field) else piece)
    return ColoredMessage(pieces, message if is_template else None)


def _read_message(message: str, *, is_template: bool) -> tuple[str | Restyle | Field | Wrong, ...]:
    return collect(_message_pieces(parse(message, colored=True) if is_template else (message,)))


_remembered_message = lru_cache(maxsize=_REMEMBERED_MAX)(_read_message)


def _message_pieces(pieces: Iterable[str | Field]) -> Iterator[str | Restyle | Field]:
    tags = _Tags()
    for piece in pieces:
        if isinstance(piece, str):
            yield from tags.read(piece)
        else:
            yield piece
    tags.finish()

"""`{}` templates taken apart: which fields they name, and what each becomes. Decides neither colours nor escapes."""

from __future__ import annotations

from functools import lru_cache
from string import Formatter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

_FORMATTER = Formatter()
_CONVERSIONS: dict[str | None, Callable[[Any], Any]] = {None: lambda value: value, "s": str, "r": repr, "a": ascii}
# A template, the specs of its fields, and the specs of the fields in these, which have none: as str.format.
_DEPTH_MAX = 2
_PARSED_MAX = 256
_PARSED_SIZE_MAX = 4096

T = TypeVar("T")


class Wrong(NamedTuple):
    """A place where a template cannot be understood: what stands before it is evaluated first, then this is raised."""

    message: str


class Field(NamedTuple):
    """A replacement field. Its name begins with an argument's number or name, even where the template left it out."""

    name: str
    conversion: str | None
    spec: tuple[str | Field | Wrong, ...]


Piece = str | Field | Wrong


def parse(template: str, *, colored: bool = False) -> Iterator[str | Field]:
    """The literal texts (braces undoubled, one ends at each doubled brace) and fields of a message template.

    ValueError: as str.format's, where the template goes wrong. With `colored` a name that goes on after the number
    (`{0.name}`) does not forbid `{}` beside it: so loguru reads templates with markup.
    """
    return _parse(template, _Numbering(whole_names=colored), depth=_DEPTH_MAX)


def collect(pieces: Iterable[T]) -> tuple[T | Wrong, ...]:
    """All pieces up to the first ValueError, which becomes the last piece."""
    found: list[T | Wrong] = []
    try:
        for piece in pieces:
            found.append(piece)
    except ValueError as error:
        found.append(Wrong(str(error)))
    return tuple(found)


def field_text(field: Field, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """What str.format puts in the place of a field; raises what it raises."""
    value, _ = _FORMATTER.get_field(field.name, args, kwargs)
    convert = _CONVERSIONS.get(field.conversion)
    if convert is None:
        msg = f"conversion must be one of !s, !r and !a, got !{field.conversion}"
        raise ValueError(msg)
    value = convert(value)
    return format(value, "".join([piece_text(piece, args, kwargs) for piece in field.spec]))


def piece_text(piece: Piece, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """A literal as it is, a field filled in. ValueError: a Wrong one."""
    if isinstance(piece, str):
        return piece
    if isinstance(piece, Wrong):
        raise ValueError(piece.message)
    return field_text(piece, args, kwargs)


def message_pieces(template: str) -> tuple[Piece, ...]:
    """`parse`, collected; remembered for templates of usual size."""
    if len(template) > _PARSED_SIZE_MAX:
        return collect(parse(template))
    return _remembered_pieces(template)


@lru_cache(maxsize=_PARSED_MAX)
def _remembered_pieces(template: str) -> tuple[Piece, ...]:
    return collect(parse(template))


class Raw(NamedTuple):
    """A literal text (braces undoubled), and the field that follows it, if there is one, as it is written."""

    literal: str
    name: str | None = None
    conversion: str | None = None
    spec: str = ""

    @property
    def source(self) -> str:
        """The field as it is written; nothing where there is none."""
        if self.name is None:
            return ""
        conversion = f"!{self.conversion}" if self.conversion else ""
        spec = f":{self.spec}" if self.spec else ""
        return f"{{{self.name}{conversion}{spec}}}"


def raw_pieces(template: str) -> Iterator[Raw]:
    """The literals and fields of a template as they are written. ValueError: a lone brace and the like."""
    for literal, name, spec, conversion in _FORMATTER.parse(template):
        yield Raw(literal, name, conversion, spec or "")


def fields_within(template: str, depth: int = _DEPTH_MAX) -> Iterator[tuple[Raw, bool]]:
    """All fields of a template, each before those in its spec; True: it stands in a spec.

    ValueError: a lone brace and the like, or fields nested deeper than str.format can.
    """
    _check_depth(depth)
    for piece in raw_pieces(template):
        if piece.name is not None:
            yield piece, depth < _DEPTH_MAX
            yield from fields_within(piece.spec, depth - 1)


@lru_cache(maxsize=_PARSED_MAX)
def needed_fields(template: str) -> frozenset[str]:
    """The record's fields that a format string names, in specs as well: `{"time", "extra"}` for `{time:HH} {extra[a]}`.

    ValueError: it is no template.
    """
    return frozenset(_argument(piece.name or "") for piece, _ in fields_within(template))


def append_exception(template: T, *, terminator: str = "\n") -> T | str:
    """What `add(format=…)` means: a string is followed by a line's end and the exception, a callable says it all."""
    return template + terminator + "{exception}" if isinstance(template, str) else template


class _Numbering:
    """Fields without a number count themselves, unless others have one."""

    def __init__(self, *, whole_names: bool) -> None:
        self._whole_names = whole_names
        self._next = 0
        self._has_numbers = False

    def name(self, name: str) -> str:
        argument = _argument(name)
        if argument == "":
            if self._has_numbers:
                msg = "fields must be all numbered ({0}) or all without a number ({}), got {} after a numbered one"
                raise ValueError(msg)
            self._next += 1
            return f"{self._next - 1}{name}"
        if (name if self._whole_names else argument).isdigit():
            if self._next:
                msg = f"fields must be all numbered ({{0}}) or all without a number ({{}}), got {{{name}}} after {{}}"
                raise ValueError(msg)
            self._has_numbers = True
        return name


def _parse(template: str, numbering: _Numbering, *, depth: int) -> Iterator[str | Field]:
    _check_depth(depth)
    for literal, name, conversion, spec in raw_pieces(template):
        if literal:
            yield literal
        if name is not None:
            name = numbering.name(name)
            yield Field(name, conversion, collect(_parse(spec, numbering, depth=depth - 1)))


def _check_depth(depth: int) -> None:
    if depth < 0:
        msg = f"fields must not be nested deeper than {_DEPTH_MAX} levels (a field in a spec), got one level more"
        raise ValueError(msg)


def _argument(name: str) -> str:
    """The first word of a field's name: what is looked up; attributes and items follow it."""
    return name.partition(".")[0].partition("[")[0]

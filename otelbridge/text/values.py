"""What `repr` says of a value, in bounded time and space: of a huge one only the beginning is written."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_BRACKETS: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
}
_ATOMS = frozenset({int, float, complex, bool, type(None), type(Ellipsis), type(NotImplemented), range, slice})
_LONG = frozenset({str, bytes, dict, *_BRACKETS})  # the built-in values that can be
_CUT = "..."
# What stands for a container inside itself.
_AGAIN: dict[type, str] = {dict: "{...}", tuple: "(...)", list: "[...]"}


def shown_value(value: object, length_max: int) -> str:
    """`repr(value)`, at most `length_max` characters of it; a longer one ends in three points."""
    try:
        text = bounded_repr(value, length_max)
    except BaseException:  # a destructor or signal handler may raise here too; telemetry shows what it can
        return f"<unprintable {_type_name(value)} object>"
    return text if len(text) <= length_max else text[: max(length_max - len(_CUT), 0)] + _CUT


def bounded_repr(value: object, length_max: int) -> str:
    """As `repr(value)` in its first `length_max` + 1 characters; shorter texts are whole.

    Only built-in values are written piecemeal: an object's own `__repr__` cannot be bounded.
    """
    if type(value) not in _LONG:
        return repr(value)
    parts: list[str] = []
    length = 0
    try:
        for part in _pieces(value, length_max, []):
            parts.append(part)
            length += len(part)
            if length > length_max:
                break
    except _ForeignError:
        return repr(beginning(value, length_max))
    return "".join(parts)


class _ForeignError(Exception):
    """An object that has a `__repr__` of its own."""


def _pieces(value: Any, length_max: int, inside: list[object]) -> Iterator[str]:
    kind = type(value)
    if kind in _ATOMS:
        yield repr(value)
    elif kind is str or kind is bytes:
        yield _quoted(value, length_max)
    elif any(value is outer for outer in inside):
        yield _AGAIN.get(kind) or f"{kind.__name__}(...)"
    elif kind is dict or kind in _BRACKETS:
        inside.append(value)
        yield from _dict_pieces(value, length_max, inside) if kind is dict else _items(value, length_max, inside)
        inside.pop()
    else:
        raise _ForeignError


def _dict_pieces(value: dict[Any, Any], length_max: int, inside: list[object]) -> Iterator[str]:
    opening = "{"
    for key, item in value.items():
        yield opening
        yield from _pieces(key, length_max, inside)
        yield ": "
        yield from _pieces(item, length_max, inside)
        opening = ", "
    yield "}" if value else "{}"


def _items(value: Any, length_max: int, inside: list[object]) -> Iterator[str]:
    kind = type(value)
    opening, closing = _BRACKETS[kind]
    if not value:
        yield f"{kind.__name__}()" if kind in (set, frozenset) else opening + closing
        return
    for item in value:
        yield opening
        yield from _pieces(item, length_max, inside)
        opening = ", "
    yield ",)" if kind is tuple and len(value) == 1 else closing


def _quoted(text: str | bytes, length_max: int) -> str:
    """The beginning of a long string, between the quotes that the whole of it asks for."""
    if len(text) <= length_max:
        return repr(text)
    head: Any = text[:length_max]
    single, double = ("'", '"') if isinstance(text, str) else (b"'", b'"')
    doubled = single in text and double not in text  # type: ignore[operator]  # both str, or both bytes
    # The quote at the end is what makes repr choose the other one.
    return repr(head + (single if doubled else double))


def beginning(value: Any, length_max: int) -> object:
    """A container of more items than can be shown, without the others; another object as it is."""
    kind = type(value)
    if kind in (list, tuple) and len(value) > length_max:  # of a set, a smaller one has another order
        return kind(islice(value, length_max))
    if kind is dict and len(value) > length_max:
        return dict(islice(value.items(), length_max))
    return value


def _type_name(value: object) -> str:
    try:
        return str(type(value).__name__)
    except BaseException:
        return "unknown"

"""A message on its way to another process: what can be pickled goes as it is, everything else as its repr."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from otelbridge.message import Message, make_message
from otelbridge.record import RecordException

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelbridge.record import Record

_PROTOCOL = 5
_PLAIN = frozenset({bool, float, int, str, type(None)})


class Packed(bytes):
    """A pickled value inside a pickled message: if it cannot be loaded, only it is lost."""

    __slots__ = ()


class _PackedException(NamedTuple):
    """An exception, without its traceback: that is in the message's text."""

    type: object
    value: object


def encode(message: Message, *, lenient: bool = True) -> bytes:
    """The message as bytes. `lenient`: what cannot be pickled becomes its repr; otherwise its error is raised."""
    pack = _pack if lenient else _pack_strictly
    record = cast("dict[str, Any]", message.record)
    fields = {name: _pack_field(value, pack) for name, value in record.items()}
    return pickle.dumps((str(message), fields), _PROTOCOL)


def decode(data: bytes, *, lenient: bool = True) -> Message:
    """What `encode` was given. `lenient`: as far as this process can make it; otherwise what it cannot is raised."""
    unpack = _unpack if lenient else _unpack_strictly
    text, fields = pickle.loads(data)
    record = {name: _unpack_field(value, unpack) for name, value in fields.items()}
    return make_message(text, cast("Record", record))


def _pack_field(value: object, pack: Callable[[object], object]) -> object:
    if type(value) is dict:
        return {pack(key): pack(item) for key, item in value.items()}
    if isinstance(value, RecordException):
        return _PackedException(_pack_class(value.type), _pack_or_none(value.value))
    return pack(value)


def _unpack_field(value: object, unpack: Callable[[object], object]) -> object:
    if type(value) is dict:
        return {unpack(key): unpack(item) for key, item in value.items()}
    if type(value) is _PackedException:
        return RecordException(_unpack_class(value.type), _unpack_exception(value.value), None)
    return unpack(value)


def _pack(value: object) -> object:
    if type(value) in _PLAIN:
        return value
    try:
        return Packed(pickle.dumps(value, _PROTOCOL))
    except Exception:
        return _repr(value)


def _pack_strictly(value: object) -> object:
    return value if type(value) in _PLAIN else Packed(pickle.dumps(value, _PROTOCOL))


def _pack_or_none(value: object) -> object:
    try:
        return _pack_strictly(value)
    except Exception:
        return None


def _pack_class(kind: type[BaseException] | None) -> object:
    """The class, or the nearest of its bases that another process can know."""
    for base in () if kind is None else kind.__mro__:
        packed = _pack_or_none(base)
        if packed is not None:
            return packed
    return None


def _unpack(value: object) -> object:
    try:
        return _unpack_strictly(value)
    except Exception as error:
        return f"<a value that this process cannot load: {type(error).__name__}: {_text(error)}>"


def _unpack_strictly(value: object) -> object:
    loaded: object = pickle.loads(value) if type(value) is Packed else value
    return loaded


def _unpack_class(value: object) -> type[BaseException] | None:
    loaded = _unpack(value)
    return loaded if isinstance(loaded, type) else BaseException if value is not None else None


def _unpack_exception(value: object) -> BaseException | None:
    loaded = _unpack(value)
    return loaded if isinstance(loaded, BaseException) else None


def _repr(value: object) -> str:
    try:
        return repr(value)
    except Exception as error:
        return f"<unprintable {type(value).__name__}: {type(error).__name__}>"


def _text(error: Exception) -> str:
    try:
        return str(error)
    except Exception:
        return "<unprintable>"

"""Response headers from whatever form they come in, checked (row 2.9). Sends nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

Octets = bytes | bytearray | memoryview

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2
_NOT_IN_VALUES = re.compile(rb"[\r\n\0]")  # RFC 9110 §5.5
# About the connection, which is the server's to say (RFC 9113 §8.2.2). Hypercorn's own function lets them pass.
_CONNECTION_HEADERS = frozenset({b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"})


def build_and_validate_headers(
    headers: Mapping[Any, Any] | Iterable[tuple[Octets, Octets]],
) -> list[tuple[bytes, bytes]]:
    """Return `headers` as pairs of bytes without space around them, in their order.

    `headers` are pairs of bytes, or a mapping of str (sent as Latin-1) or bytes. TypeError: they are of another type.
    ValueError: a pseudo-header (":status"), a name that is no token, CR, LF or NUL in a value, or a header about the
    connection.
    """
    return [_check(*_pair(pair)) for pair in _pairs_of(headers)]


def _pairs_of(headers: object) -> Iterable[object]:
    if isinstance(headers, Mapping):
        return [(_encode(name), _encode(value)) for name, value in headers.items()]
    if isinstance(headers, str | bytes) or not isinstance(headers, Iterable):
        msg = f"headers must be pairs of bytes or a mapping, got {type(headers).__name__}"
        raise TypeError(msg)
    return headers


def _encode(text: object) -> object:
    if not isinstance(text, str):
        return text
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        msg = f"headers must be Latin-1, got {text[error.start]!r}"
        raise ValueError(msg) from None


def _pair(pair: object) -> tuple[bytes, bytes]:
    if not isinstance(pair, tuple | list):
        msg = f"a header must be a pair of bytes, got {type(pair).__name__}"
        raise TypeError(msg)
    if len(pair) != 2:
        msg = f"a header must be a pair of bytes, got {len(pair)} items"
        raise ValueError(msg)
    name, value = pair
    if not (isinstance(name, Octets) and isinstance(value, Octets)):
        msg = f"a header's name and value must be bytes, got {type(name).__name__} and {type(value).__name__}"
        raise TypeError(msg)
    return bytes(name).strip(), bytes(value).strip()


def _check(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    if name.startswith(b":"):
        msg = f"a header must not be a pseudo-header, got {name!r}"
        raise ValueError(msg)
    if not _TOKEN.fullmatch(name):
        msg = f"a header's name must be a token (letters, digits, !#$%&'*+-.^_`|~), got {name!r}"
        raise ValueError(msg)
    if name.lower() in _CONNECTION_HEADERS:
        msg = f"a header must not be about the connection, which is the server's, got {name!r}; remove it"
        raise ValueError(msg)
    if found := _NOT_IN_VALUES.search(value):
        # The value itself may be a secret.
        msg = f"the value of {name!r} must hold no CR, LF or NUL, got {found[0]!r} at {found.start()}"
        raise ValueError(msg)
    return name, value

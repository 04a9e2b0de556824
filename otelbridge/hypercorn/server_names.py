"""Whether a request is for one of the configured server names (row 2.12). Answers yes or no, never an error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, NamedTuple, Protocol, cast

from hypercorn.config import Config

_LABELS = re.compile(r"[\w-]+(?:\.[\w-]+)*")


class HasHeaders(Protocol):
    """Hypercorn's Request, whose headers are pairs of bytes; or anything that has them as a mapping of str."""

    @property
    def headers(self) -> Any:
        """Pairs of bytes or str, or a mapping."""


class _Host(NamedTuple):
    """A host in lower case, without brackets and trailing dot; and its port, None: none is named."""

    name: str
    port: int | None


class _Rules(NamedTuple):
    """The configured names: hosts to be equal to, and what hosts are to end with (".example.com"; "": any)."""

    exact: frozenset[_Host]
    endings: tuple[_Host, ...]


def valid_server_name(config: Config, request: HasHeaders) -> bool:
    """Return whether the request's Host is one of `config.server_names`; always when there are none.

    A name is compared without case and trailing dot. "*.example.com" stands for one label or more before the dot, not
    for example.com itself; "*" for any host. A name with a port is for that port only, one without for any port. IPv6
    addresses may be written in any way, in brackets where a port follows. What equals a name literally is valid always.
    """
    names = cast("list[str] | str", config.server_names)
    if len(names) == 0:
        return True
    # One name that is no list would be searched for any part of itself, and one letter found in it.
    names = [names] if isinstance(names, str) else names
    host = _host_of(request.headers)
    return host in names or _match(_rules(tuple(names)), host)


def _host_of(headers: Any) -> str:
    """Return the first Host header's value; empty: there is none."""
    for name, value in headers.items() if isinstance(headers, Mapping) else headers:
        if name.lower() == ("host" if isinstance(name, str) else b"host"):
            return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return ""


# One entry for each Config that serves, and for each change of its names.
@lru_cache(maxsize=32)
def _rules(names: tuple[str, ...]) -> _Rules:
    exact, endings = set(), []
    for name in names:
        host = _parse(name)
        if host is None:
            continue  # it can be met literally only
        if host.name == "*" or host.name.startswith("*."):
            endings.append(_Host(host.name[1:], host.port))
        else:
            exact.add(host)
    return _Rules(frozenset(exact), tuple(endings))


def _match(rules: _Rules, value: str) -> bool:
    host = _parse(value)
    if host is None:
        return False
    if host in rules.exact or _Host(host.name, None) in rules.exact:
        return True
    return any(_ends(host, ending) for ending in rules.endings)


def _ends(host: _Host, ending: _Host) -> bool:
    if ending.port not in (None, host.port) or not host.name.endswith(ending.name):
        return False
    # What stands for the asterisk must be labels, lest a path or another host hide in it.
    return not ending.name or _LABELS.fullmatch(host.name.removesuffix(ending.name)) is not None


def _parse(value: str) -> _Host | None:
    """Return the host and port of `value`; None: it is not `host`, `host:port`, `[v6]`, `[v6]:port` or a bare v6."""
    value = value.lower()
    if value.count(":") > 1 and not value.startswith("["):
        return _address(value, None)
    name, _, port = value.rpartition(":") if value.rfind(":") > value.rfind("]") else (value, "", "")
    # int() raises on thousands of digits.
    if port and not (port.isascii() and port.isdigit() and len(port) <= 5):
        return None
    number = int(port) if port else None
    if name.startswith("["):
        return _address(name[1:-1], number) if name.endswith("]") else None
    name = name.removesuffix(".")
    return _Host(name, number) if name else None


def _address(text: str, port: int | None) -> _Host | None:
    try:
        return _Host(ip_address(text).compressed, port)
    except ValueError:
        return None

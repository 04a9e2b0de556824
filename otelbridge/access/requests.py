"""Reads request and response objects of frameworks that are unknown to us, by the names that nearly all of them use.

For `AccessLogMiddleware(...)(request, handler)`. A request becomes an ASGI scope, which `reading` understands.
"""

from __future__ import annotations

from typing import Any

from otelbridge.access.asgi import Scope

_CLIENT_NAMES = ("remote", "remote_addr", "client_ip")
_BODY_NAMES = ("body", "content")


def scope_of(request: object) -> Scope:
    """Return the request's own ASGI scope, or one made of its attributes: method, path or url, headers and the like.

    What is missing, or raises when it is asked for, is empty.
    """
    own = _read(request, "scope")
    if isinstance(own, dict) and own.get("type") == "http":
        return own
    url = _read(request, "url")
    target = _read(request, "path") or (_target(url) if isinstance(url, str) else _read(url, "path"))
    path, _, query = _text(target).partition("?")
    query = query or _text(_read(request, "query_string")) or _query(url)
    return {
        "type": "http",
        "method": _text(_read(request, "method")),
        "path": path,
        "query_string": query.encode("utf-8", "surrogatepass"),
        "scheme": _text(_read(request, "scheme") or _read(url, "scheme")),
        "http_version": _version(_read(request, "version") or _read(request, "http_version")),
        "client": (_client(request), None),
        "headers": _headers(_read(request, "headers")),
    }


def status_of(answer: object) -> int | None:
    """Return the status of a response, or of an exception that stands for one; None if it has none."""
    for name in ("status", "status_code"):
        status = _read(answer, name)
        if isinstance(status, int) and not isinstance(status, bool):
            return int(status)
    # Frameworks answer 200 where a handler returns nothing but a body.
    return 200 if isinstance(answer, str | bytes) else None


def body_size(answer: object) -> int:
    """Return the bytes of a response's body where it is there as bytes or text; else 0."""
    for body in (answer, *(_read(answer, name) for name in _BODY_NAMES)):
        if isinstance(body, bytes | bytearray):
            return len(body)
        if isinstance(body, str):
            return len(body.encode("utf-8", "surrogatepass"))
    return 0


def _read(thing: object, name: str) -> Any:
    try:
        return getattr(thing, name, None)
    except Exception:  # a property with a mind of its own
        return None


def _target(url: str) -> str:
    """The path and query of `http://host/path?query`, or of `/path?query`."""
    _, has_host, rest = url.partition("://")
    if not has_host or url.startswith("/"):
        return url
    _, slash, path = rest.partition("/")
    return slash + path


def _query(url: object) -> str:
    return url.partition("?")[2] if isinstance(url, str) else _text(_read(url, "query"))


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return value if isinstance(value, str) else ""


def _version(value: object) -> str:
    """`1.1`, of a text (`HTTP/1.1`) or of something with major and minor."""
    if isinstance(value, str):
        return value.removeprefix("HTTP/")
    major, minor = _read(value, "major"), _read(value, "minor")
    return f"{major}.{minor}" if isinstance(major, int) and isinstance(minor, int) else ""


def _client(request: object) -> str:
    for name in _CLIENT_NAMES:
        value = _read(request, name)
        if isinstance(value, str):
            return value
    client = _read(request, "client")
    if isinstance(client, tuple | list):
        return _text(client[0]) if client else ""
    return _text(client) or _text(_read(client, "host"))


def _headers(headers: Any) -> list[tuple[bytes, bytes]]:
    try:
        pairs = headers.items() if hasattr(headers, "items") else headers
        return [
            (_bytes(name).lower(), _bytes(value))
            for name, value in pairs
            if isinstance(name, str | bytes) and isinstance(value, str | bytes)
        ]
    except Exception:  # no headers
        return []


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1", "replace")

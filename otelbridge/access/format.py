"""The access record as text, in every form that is asked for, and its fields by name. Each is one line.

`make_line` checks a form once; what it returns is called per request. Leaves single directives to `atoms`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from opentelemetry.trace import get_current_span

from otelbridge._export import report_once
from otelbridge._native import encode_json
from otelbridge.access.atoms import ABSENT, atom, shown_query
from otelbridge.access.record import AccessRecord, WebSocketRecord, escape
from otelbridge.exceptions import ConfigError
from otelbridge.text.policy import ACTIVE
from otelbridge.text.sanitise import escape_breaks

Line = Callable[[AccessRecord], str]

COMMON = '%h %l %u %t "%r" %>s %b'
COMBINED = COMMON + ' "%{Referer}i" "%{User-Agent}i"'

_DIRECTIVE = re.compile(r"%(%|[<>]?(?:\{[^{}]*\})?[A-Za-z])")


def make_line(style: object) -> Line:
    """Return what makes a record's line.

    style: "request" (`200 GET /api/users?page=2 3.2ms`), "access" (`record.line()`), "common" or "combined" (Apache's),
    "json" (typed, see `fields`), a format in Apache's directives (`%h "%r" %>s %D`; see `AccessAtoms`), or a
    callable(record) -> str. TypeError, ConfigError: none of them.
    """
    if callable(style):
        return _guarded(cast("Line", style))
    if not isinstance(style, str):
        msg = f"format must be a str or a callable(record), got {style!r}"
        raise TypeError(msg)
    if style in _STYLES:
        return _STYLES[style]
    if "%" not in style:
        msg = f"format must be one of {', '.join(_STYLES)}, or have Apache's directives such as %h, got {style!r}"
        raise ConfigError(msg)
    return compile_format(style)


def has_slow_mark(style: object) -> bool:
    """Return whether ` [SLOW]` may follow the line: formats that programs read have their own idea of their end."""
    return style in ("request", "access")


def compile_format(text: str) -> Line:
    r"""Return what makes the line of a format in Apache's directives; `\"`, `\t` are as in its configuration files.

    ConfigError: an unknown directive, or a line break.
    """
    text = text.replace('\\"', '"').replace("\\t", "\t")
    if not text.replace("\t", "").isprintable():
        msg = f"format must be one line of text, got {text!r}"
        raise ConfigError(msg)
    parts: list[str | Line] = []
    position = 0
    while (start := text.find("%", position)) >= 0:
        parts.append(text[position:start])
        found = _DIRECTIVE.match(text, start)
        parts.append(_directive(text, start, found))
        position = start + 1 if found is None else found.end()
    parts.append(text[position:])
    return lambda record: "".join([part if isinstance(part, str) else part(record) for part in parts])


def _directive(text: str, start: int, found: re.Match[str] | None) -> str | Line:
    if found is not None:
        if found[1] == "%":
            return "%"
        try:
            return atom(found[1])
        except KeyError:
            pass
    shown = found[0] if found is not None else text[start : start + 8]
    msg = f"format must have only directives of Apache that otelbridge knows (see AccessAtoms), got {shown!r}"
    raise ConfigError(msg)


def request_line(record: AccessRecord) -> str:
    """Return `{status} {method} {path} {duration}ms`, with the query where the record is to show it (features.md 1.30).

    What a client chose cannot leave its field: see `escape`.
    """
    status = ABSENT if record.status is None else record.status
    target = escape(ACTIVE.policy.text(record.path)) + escape(shown_query(record))
    line = f"{status} {escape(record.method) or ABSENT} {target or ABSENT} {record.duration_ns / 1e6:.1f}ms"
    return f"{line} close={record.close_code}" if isinstance(record, WebSocketRecord) else line


def json_line(record: AccessRecord) -> str:
    """Return time, event_name and `fields` as one JSON object with typed values; what is unknown is null or absent."""
    time = datetime.fromtimestamp(record.start_ns / 1e9, UTC).isoformat(timespec="microseconds")
    named = fields(record, absent=None)
    return json_text({"time": time, "event_name": record.event_name, **named})


def json_text(values: dict[str, Any]) -> str:
    """Return `values` as a JSON object on one line, in which no control character stands."""
    text = encode_json(values).decode()
    # JSON allows more inside strings than readers of lines, and terminals, bear.
    return text if text.isprintable() else "".join(map(_escape_json, text))


def fields(record: AccessRecord, *, absent: str | None) -> dict[str, Any]:
    """Return what is known of a request by name, redacted: names that win over others last.

    BlackBull's names (client_ip method path http_version status response_bytes duration_ms; `absent` for an unknown
    client_ip or status), request_id, the ids of the current span, semantic conventions, additions (features.md 4.3).
    """
    values: dict[str, Any] = {
        "client_ip": record.client_address or absent,
        "method": record.method,
        "path": record.path,
        "http_version": record.http_version,
        "status": absent if record.status is None else record.status,
        "response_bytes": record.response_body_size,
        "duration_ms": record.duration_ns / 1e6,
        "request_id": record.request_id,
    }
    ids = get_current_span().get_span_context()
    if ids.is_valid:
        values["trace_id"], values["span_id"] = f"{ids.trace_id:032x}", f"{ids.span_id:016x}"
    return ACTIVE.policy.values(values | record.attributes())


def _guarded(function: Line) -> Line:
    """A user's function: whatever it does, there is one line."""

    def line(record: AccessRecord) -> str:
        try:
            return escape_breaks(str(function(record)))
        except Exception as error:
            report_once("the access log's format", error)
            return record.line()

    return line


def _escape_json(character: str) -> str:
    if character.isprintable():
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))


_STYLES: dict[str, Line] = {
    "request": request_line,
    "access": lambda record: record.line(),
    "common": compile_format(COMMON),
    "combined": compile_format(COMBINED),
    "json": json_line,
}

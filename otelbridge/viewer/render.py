"""Received data becomes text here: pure functions, no clock, no stream. Where it is shown is decided in `screen`.

A line is a list of pieces, (text, style): joined for a file or a pipe, coloured by rich on a terminal. Whatever came
over the wire passes `inert` first: no received character moves the cursor, forges a line or turns the direction.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING

from otelbridge.viewer.store import (
    ACCESS_EVENT,
    DURATION_METRIC,
    SESSION_EVENT,
    Attributes,
    Counts,
    Exemplar,
    LogLine,
    RouteState,
    Span,
    Trace,
    Value,
)

if TYPE_CHECKING:
    from rich.console import JustifyMethod, RenderableType
    from rich.text import Text

Piece = tuple[str, str]
"""Text and its rich style; the empty style is the terminal's own."""
Line = list[Piece]

TEXT_WIDTH_MAX = 400  # characters of a body
VALUE_WIDTH_MAX = 60  # characters of an attribute's value
ATTRIBUTES_SHOWN_MAX = 8
SHORT_ID_WIDTH = 8
SPARKS = "▁▂▃▄▅▆▇█"
NO_VALUE = "–"

# From the 256 colours, readable on black and on white; red and yellow are left to errors and warnings.
_TRACE_STYLES = tuple(f"color({number})" for number in (33, 37, 71, 133, 99, 67, 65, 141))
# What the line shows elsewhere, or what is too long for it: the rest are the user's own.
_HIDDEN_PREFIXES = (
    "code.",
    "exception.",
    "http.",
    "log.",
    "message.",
    "network.",
    "otelbridge.",
    "process.",
    "thread.",
    "url.",
    "user_agent.",
    "client.",
    "websocket.",
)
_LEVEL_STYLES = (
    (21, "bold reverse red"),
    (17, "bold red"),
    (13, "yellow"),
    (10, "green"),
    (9, ""),
    (5, "blue"),
)
_COLUMNS = ("route", "req/s", "requests", "errors", "p50", "p95", "fast → slow")
_LEFT_COLUMNS = frozenset({"route", "fast → slow"})
_ALL_COLUMNS_WIDTH = 96  # a narrower terminal does without the last one
# Room for what they usually grow to, so that the live table does not jump.
_WIDTHS_MIN = {"errors": len("99 (99 %)"), "p50": len("99.9 ms"), "p95": len("99.9 ms"), "fast → slow": 15}


def inert(text: str) -> str:
    r"""*text* with every unprintable character escaped: controls, ESC, line ends, bidi marks, surrogates."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def log_line(line: LogLine, *, id_width: int = SHORT_ID_WIDTH, zone: tzinfo | None = None) -> Line:
    """A received log record as one line: time, level, the first *id_width* characters of its trace id, what it says.

    An access record is shown as method, path, status and duration, a WebSocket session as path, who closed it and
    duration; any other by its body, exception and attributes.
    The time is in *zone*, by default the local one.
    """
    pieces: Line = [
        (f"{clock_time(line.time_ns, zone)}  ", "dim"),
        (f"{inert(line.level)[:8]:<8}  ", level_style(line.severity_number)),
        (f"{line.trace_id[:id_width] or NO_VALUE:<{id_width}}  ", trace_style(line.trace_id)),
    ]
    if line.event_name == ACCESS_EVENT:
        return pieces + _access_pieces(line.attributes)
    if line.event_name == SESSION_EVENT:
        return pieces + _session_pieces(line.attributes)
    pieces.append((_cut(inert(line.body), TEXT_WIDTH_MAX), ""))
    kind, message = line.attributes.get("exception.type"), line.attributes.get("exception.message")
    if kind is not None:
        pieces.append((f"  {_plain(kind)}" + (f": {_plain(message)}" if message else ""), "red"))
    return pieces + _attribute_pieces(line.attributes)


def clock_time(time_ns: int, zone: tzinfo | None = None) -> str:
    """`14:03:59.007`, local or in *zone*."""
    second, rest_ns = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(second, zone):%H:%M:%S}.{rest_ns // 1_000_000:03}"


def duration(value_s: float | None) -> str:
    """A time span with three digits and a fitting unit: `0.84 ms`, `12.3 ms`, `1.25 s`."""
    if value_s is None:
        return NO_VALUE
    value, unit = (value_s, "s") if value_s >= 0.9995 else (value_s * 1e3, "ms")
    digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
    return f"{value:.{digits}f} {unit}"


def sparkline(buckets: Sequence[int]) -> str:
    """Bucket counts as bars, the largest full; an empty bucket is a dot, so that the scale stays visible."""
    most = max(buckets, default=0)
    return "".join("·" if count <= 0 else SPARKS[(count * (len(SPARKS) - 1) + most - 1) // most] for count in buckets)


def level_style(severity_number: int) -> str:
    """The style of a level, by its OTLP number."""
    return next((style for number, style in _LEVEL_STYLES if severity_number >= number), "dim")


def trace_style(trace_id: str) -> str:
    """The colour of a trace, the same wherever it appears."""
    return _TRACE_STYLES[int(trace_id[-4:], 16) % len(_TRACE_STYLES)] if trace_id else "dim"


def route_rows(states: Iterable[RouteState]) -> list[list[Piece]]:
    """The cells of the table of routes, one list per row, in the order of its columns."""
    return [
        [
            (_cut(inert(f"{state.method} {state.route}".strip()), VALUE_WIDTH_MAX), "bold"),
            (f"{state.rate_per_s:.1f}", ""),
            (str(state.request_count), ""),
            (_errors(state), "bold red" if state.error_count else "dim"),
            (duration(state.median_s), ""),
            (duration(state.p95_s), "yellow" if (state.p95_s or 0.0) >= 0.5 else ""),
            (sparkline(state.buckets), "cyan"),
        ]
        for state in states
    ]


def route_table(states: Iterable[RouteState]) -> list[str]:
    """The table of routes as aligned lines of plain text."""
    rows = [list(_COLUMNS), *([text for text, _ in row] for row in route_rows(states))]
    widths = [max(len(row[index]) for row in rows) for index in range(len(_COLUMNS))]
    return [
        "  ".join(
            f"{cell:<{width}}" if name in _LEFT_COLUMNS else f"{cell:>{width}}"
            for name, cell, width in zip(_COLUMNS, row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def counts_line(counts: Counts) -> str:
    """`12 log records · 9 spans · 4 metric points`."""
    return " · ".join(
        (
            _counted(counts.logs, "log record"),
            _counted(counts.spans, "span"),
            _counted(counts.points, "metric point"),
        )
    )


def trace_lines(trace: Trace, *, zone: tzinfo | None = None) -> list[Line]:
    """A trace as a person checks it: its log records, the tree of its spans, its metric points."""
    style = trace_style(trace.trace_id)
    lines: list[Line] = [[("trace   ", "dim"), (trace.trace_id, f"bold {style}")]]
    for line in sorted(trace.logs, key=lambda line: line.time_ns):
        lines.append([("log     ", "dim"), *log_line(line, zone=zone)])
    for span, depth in _tree(trace.spans):
        text = f"{'  ' * depth}{_cut(inert(span.name), VALUE_WIDTH_MAX)}"
        lines.append(
            [
                ("span    ", "dim"),
                (f"{text:<32}  ", "red" if span.failed else ""),
                (f"{duration(span.duration_s):>8}", "bold"),
                ("  failed" if span.failed else "", "red"),
                (f"  span {span.span_id}", "dim"),
            ]
        )
    for exemplar in sorted(trace.exemplars, key=lambda exemplar: exemplar.metric):
        lines.append(_exemplar_line(exemplar))
    return lines


def missing(counts: Counts, trace: Trace | None) -> str | None:
    """What was not received of "a log record, a span and a metric point with one trace id"; None if all was."""
    if trace is not None:
        return None
    absent = [
        what
        for what, count in (
            ("a log record with a trace id", counts.logs_with_trace),
            ("a span", counts.spans),
            ("a metric point with a trace id", counts.points_with_trace),
        )
        if not count
    ]
    if not absent:
        return "a log record, a span and a metric point of one trace (each came, but under different trace ids)"
    return " and ".join([", ".join(absent[:-1]), absent[-1]] if absent[:-1] else absent)


def plain(line: Line) -> str:
    """A line without its styles."""
    return "".join(text for text, _ in line)


def coloured(line: Line) -> Text:
    """A line for rich: never wrapped, cut at the terminal's edge."""
    from rich.text import Text

    return Text.assemble(*line, no_wrap=True, overflow="ellipsis", end="")


def live_table(states: Sequence[RouteState], counts: Counts, note: str, *, width: int) -> RenderableType:
    """What stays at the foot of a terminal of *width* columns, for rich: the table of routes, and what was received."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    column_count = len(_COLUMNS) if width >= _ALL_COLUMNS_WIDTH else len(_COLUMNS) - 1
    for name in _COLUMNS[:column_count]:
        # Only the route may be cut: a number that lost a digit would be a wrong one.
        width_min = None if name == "route" else _WIDTHS_MIN.get(name, len(name))
        justify: JustifyMethod = "left" if name in _LEFT_COLUMNS else "right"
        table.add_column(Text(name), justify=justify, no_wrap=True, min_width=width_min)
    for row in route_rows(states):
        table.add_row(*(Text(text, style) for text, style in row[:column_count]))
    foot = Text(f"received {counts_line(counts)} · {note}", "dim", no_wrap=True, overflow="ellipsis")
    return Group(Text(), table, foot)


def _access_pieces(attributes: Attributes) -> Line:
    status = attributes.get("http.response.status_code")
    failure = attributes.get("error.type")
    pieces: Line = [
        (f"{_plain(attributes.get('http.request.method'))} ", "bold"),
        (_plain(attributes.get("url.path")), ""),
        (f"  {_plain(status)}", _status_style(status)),
        (f"  {_took(attributes.get(DURATION_METRIC))}", ""),
    ]
    if failure is not None and failure != str(status):
        pieces.append((f"  {_plain(failure)}", "red"))
    return pieces


def _session_pieces(attributes: Attributes) -> Line:
    failed = attributes.get("error.type") is not None
    closed_by, code = attributes.get("websocket.closed_by"), attributes.get("websocket.close_code")
    return [
        ("WebSocket ", "bold"),
        (_plain(attributes.get("url.path")), ""),
        (f"  closed by {_plain(closed_by)} ({_plain(code)})", "red" if failed else ""),
        (f"  {_took(attributes.get('websocket.duration'))}", ""),
    ]


def _took(seconds: object) -> str:
    return duration(float(seconds)) if isinstance(seconds, int | float) else NO_VALUE


def _attribute_pieces(attributes: Attributes) -> Line:
    own = [(key, value) for key, value in attributes.items() if not key.startswith(_HIDDEN_PREFIXES)]
    pieces: Line = []
    for key, value in own[:ATTRIBUTES_SHOWN_MAX]:
        pieces += [(f"  {_cut(inert(key), VALUE_WIDTH_MAX)}=", "dim"), (_plain(value), "dim italic")]
    if len(own) > ATTRIBUTES_SHOWN_MAX:
        pieces.append((f"  +{len(own) - ATTRIBUTES_SHOWN_MAX}", "dim"))
    return pieces


def _exemplar_line(exemplar: Exemplar) -> Line:
    labels = " ".join(
        _plain(exemplar.attributes[name])
        for name in ("http.request.method", "http.route", "http.response.status_code")
        if name in exemplar.attributes
    )
    if exemplar.unit == "s":
        value = duration(exemplar.value)
    else:
        # A unit in braces, such as {request}, only says what was counted; the metric's name does that, too.
        value = f"{exemplar.value:g} {'' if exemplar.unit.startswith('{') else inert(exemplar.unit)}".rstrip()
    return [
        ("metric  ", "dim"),
        (f"{_cut(inert(exemplar.metric), VALUE_WIDTH_MAX):<32}  ", ""),
        (f"{value:>8}", "bold"),
        (f"  {{{labels}}}", "dim"),
    ]


def _tree(spans: Sequence[Span]) -> Iterable[tuple[Span, int]]:
    """Parents before children, oldest first, each with its depth; a span whose parent is not here stands at the top."""
    ordered = sorted(spans, key=lambda span: span.start_ns)
    known = {span.span_id for span in ordered}
    children: dict[str, list[Span]] = {}
    for span in ordered:
        children.setdefault(span.parent_id if span.parent_id in known else "", []).append(span)
    waiting = [(span, 0) for span in reversed(children.pop("", []))]
    while waiting:
        span, depth = waiting.pop()
        yield span, depth
        # Popped, so that spans which claim to be each other's parents end.
        waiting += [(child, depth + 1) for child in reversed(children.pop(span.span_id, []))]


def _status_style(status: Value) -> str:
    if not isinstance(status, int):
        return "bold red"
    return "bold red" if status >= 500 else "yellow" if status >= 400 else "green"


def _errors(state: RouteState) -> str:
    if not state.error_count:
        return "0"
    return f"{state.error_count} ({100 * state.error_count / max(1, state.request_count):.0f} %)"


def _plain(value: Value) -> str:
    if value is None:
        return NO_VALUE
    if isinstance(value, float):
        return f"{value:g}"
    return _cut(inert(value if isinstance(value, str) else repr(value)), VALUE_WIDTH_MAX)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"

"""Received data as lines and tables."""

from __future__ import annotations

import io
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from otelbridge.viewer import render
from otelbridge.viewer.screen import LiveScreen, PlainScreen, open_screen
from otelbridge.viewer.store import Counts, RouteState, Store
from tests.viewer.requests import (
    CHILD_ID,
    SPAN_ID,
    TRACE_ID,
    access_record,
    duration_point,
    log_record,
    logs,
    metrics,
    span,
    traces,
)

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07\x9b31m\r\n2026 | INFO | forged\u202egnp.exe\u2066\x7f\x00\u2028\ud800[bold red]:smile:"
)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def filled(*records: object) -> Store:
    store = Store()
    store.add_logs(logs(*records))  # type: ignore[arg-type]  # only ever called with log records
    return store


def line_of(store: Store) -> str:
    return render.plain(render.log_line(store.lines_since(0)[0][0], zone=UTC))


def test_line_shows_time_level_trace_message_and_attributes() -> None:
    """A log line reads: time, level, short trace id, message, the user's attributes; ours stay hidden."""
    store = filled(log_record("Order paid", attributes={"user": "ada", "total": 12.5, "code.function": "pay"}))

    assert line_of(store) == "14:13:20.007  INFO      0af76519  Order paid  user=ada  total=12.5"


def test_exception_is_named() -> None:
    """A record with an exception names its type and message."""
    store = filled(log_record("no", attributes={"exception.type": "PaymentError", "exception.message": "declined"}))

    assert line_of(store).endswith("no  PaymentError: declined")


def test_access_record_is_shown_as_a_request() -> None:
    """An access record reads: method, path, status, duration."""
    assert line_of(filled(access_record())).endswith("0af76519  GET /products/tea  200  10.0 ms")


def test_websocket_session_is_shown_as_one() -> None:
    """A session's record reads: path, who closed it and how, duration; a code that nobody gave is a dash."""
    closed = {"websocket.closed_by": "client", "websocket.duration": 0.634}
    session = log_record("line", event_name="websocket.session", attributes={"url.path": "/prices", **closed})

    assert line_of(filled(session)).endswith("WebSocket /prices  closed by client (–)  634 ms")


def test_request_without_answer_shows_a_dash() -> None:
    """A request that got no answer has a dash for its status."""
    assert line_of(filled(access_record(status=None))).endswith("GET /products/tea  –  10.0 ms")


@given(st.text())
def test_inert_text_is_printable(text: str) -> None:
    """No text, whatever it contains, keeps a character that a terminal could act on; printable text is unchanged."""
    assert render.inert(text).isprintable()
    assert render.inert(render.inert(text)) == render.inert(text)


@pytest.mark.parametrize("live", [False, True])
def test_received_text_cannot_act_on_the_terminal(live: bool) -> None:
    """ESC, C0, C1, bidi controls, line ends, markup and emoji names from the wire appear as text, everywhere."""
    # A lone surrogate cannot come in protobuf text.
    text = HOSTILE.replace("\ud800", "")
    store = filled(
        log_record(text, severity_text=text, attributes={text: text, "exception.type": text}),
        access_record(route=text),
    )
    store.add_traces(traces(span(text)))
    store.add_metrics(metrics(duration_point(1, route=text, trace_id=TRACE_ID)))
    stream = Terminal() if live else io.StringIO()
    with open_screen(store, stream, {"TERM": "xterm-256color", "COLUMNS": "250"}) as screen:
        screen.update("")
        trace = store.complete_trace()
        assert trace is not None
        screen.say(*render.trace_lines(trace))
    shown = stream.getvalue()

    for harmful in ("\x1b[2J", "\x1b]0;", "\x9b", "\u202e", "\u2066", "\u2028", "\x07", "\x00", "\r\n2026"):
        assert harmful not in shown
    assert "\n2026" not in shown
    assert r"\x1b[2J" in shown
    assert "[bold red]" in shown or live  # a live line is cut at the terminal's edge


def test_live_view_ends_with_a_whole_terminal() -> None:
    """The live view shows the cursor again when it ends, also by Ctrl-C."""
    stream = Terminal()

    def interrupted() -> None:
        with LiveScreen(filled(access_record()), stream) as screen:
            screen.update("")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("\x1b[?25l")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, LiveScreen),
        ({"NO_COLOR": ""}, LiveScreen),
        ({"NO_COLOR": "1"}, PlainScreen),
        ({"TERM": "dumb"}, PlainScreen),
    ],
)
def test_no_color_is_obeyed(environ: dict[str, str], expected: type) -> None:
    """NO_COLOR (not empty) and a dumb terminal get plain lines; anything but a terminal gets them, too."""
    assert isinstance(open_screen(Store(), Terminal(), environ), expected)
    assert isinstance(open_screen(Store(), io.StringIO(), environ), PlainScreen)


def test_plain_view_without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without rich a terminal gets plain lines, with whole trace ids."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    stream = Terminal()
    with open_screen(filled(log_record()), stream, {}) as screen:
        screen.update("")

    assert TRACE_ID in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_flood_is_counted_not_scrolled() -> None:
    """Of a flood the live view shows the newest lines and the number of the others."""
    stream = Terminal()
    with open_screen(filled(*(log_record(f"<{number}>") for number in range(900))), stream, {}) as screen:
        screen.update("")

    assert "<899>" in stream.getvalue()
    assert "<100>" not in stream.getvalue()
    assert "700 more log records" in stream.getvalue()


def states() -> list[RouteState]:
    return [
        RouteState("GET", "/products", 31, 0, 2.13, 0.00123, 0.0345, (31, 0, 0)),
        RouteState("POST", "/checkout/{user}", 8, 2, 0.5, None, 1.25, (0, 4, 1)),
    ]


def test_table_is_aligned() -> None:
    """The table of routes is aligned: names left, numbers right."""
    assert render.route_table(states()) == [
        "route                  req/s  requests    errors      p50      p95  fast → slow",
        "GET /products            2.1        31         0  1.23 ms  34.5 ms  █··",
        "POST /checkout/{user}    0.5         8  2 (25 %)        –   1.25 s  ·█▃",
    ]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_live_table_keeps_its_numbers(width: int) -> None:
    """On a narrow terminal the route is cut, never a line broken."""
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    with console.capture() as capture:
        console.print(render.live_table(states(), Counts(logs=1, spans=2), "Ctrl-C ends", width=width))

    lines = capture.get().splitlines()
    assert len(lines) == 5
    if width >= 80:
        assert "POST /checkout/{user}" in lines[3]
        assert "34.5 ms" in lines[2]
        assert "received 1 log record · 2 spans · 0 metric points" in lines[4]


@pytest.mark.parametrize(
    ("value_s", "expected"),
    [
        (None, "–"),
        (0.0, "0.00 ms"),
        (0.00084, "0.84 ms"),
        (0.0099951, "10.0 ms"),
        (0.0123, "12.3 ms"),
        (0.5, "500 ms"),
        (0.9996, "1.00 s"),
        (12.34, "12.3 s"),
    ],
)
def test_duration_has_three_digits(value_s: float | None, expected: str) -> None:
    """A duration has three digits and the unit that fits."""
    assert render.duration(value_s) == expected


@pytest.mark.parametrize(("buckets", "expected"), [((), ""), ((0, 0), "··"), ((1, 1000, 500), "▂█▅"), ((8, 4), "█▅")])
def test_sparkline_shows_every_request(buckets: tuple[int, ...], expected: str) -> None:
    """The fullest bucket is the highest bar, and a bucket with one request of a thousand is still a bar."""
    assert render.sparkline(buckets) == expected


def test_trace_is_shown_as_a_tree() -> None:
    """A trace shows its log records, its spans as a tree and its metric points; a cycle of parents does not hang."""
    store = filled(log_record("Order paid"))
    store.add_traces(
        traces(span("charge the card", span_id=CHILD_ID, parent_id=SPAN_ID, failed=True), span("POST /checkout"))
    )
    store.add_traces(
        traces(span("a", span_id="01" * 8, parent_id="02" * 8), span("b", span_id="02" * 8, parent_id="01" * 8))
    )
    store.add_metrics(metrics(duration_point(1, trace_id=TRACE_ID)))
    trace = store.complete_trace()
    assert trace is not None

    lines = [render.plain(line).rstrip() for line in render.trace_lines(trace, zone=UTC)]

    assert lines == [
        f"trace   {TRACE_ID}",
        "log     14:13:20.007  INFO      0af76519  Order paid",
        f"span    POST /checkout                     12.0 ms  span {SPAN_ID}",
        f"span      charge the card                  12.0 ms  failed  span {CHILD_ID}",
        "metric  http.server.request.duration       12.0 ms  {GET /products/{name} 200}",
    ]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (Counts(), "a log record with a trace id, a span and a metric point with a trace id"),
        (Counts(logs=1, logs_with_trace=1, points_with_trace=1), "a span"),
        (Counts(logs=5, spans=1, points_with_trace=1), "a log record with a trace id"),
    ],
)
def test_missing_signals_are_named(counts: Counts, expected: str) -> None:
    """What was not received is named in words."""
    assert render.missing(counts, None) == expected


def test_signals_of_different_traces_are_not_enough() -> None:
    """Three signals under different trace ids are told apart from three under one."""
    lack = render.missing(Counts(logs_with_trace=1, spans=1, points_with_trace=1), None)

    assert lack is not None
    assert "different trace ids" in lack

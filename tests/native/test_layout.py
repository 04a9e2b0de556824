"""Layout: a compiled format is what str.format makes of the record, or nothing."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from datetime import UTC, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelbridge import _native
from otelbridge._native import AttrSet, Event, Layout
from otelbridge.record import RecordException, RecordLevel, current_process, make_record, utc_offset
from otelbridge.text.layout import (
    PRESETS,
    Preset,
    compile_layout,
    ecs_json,
    flat_json,
    json_layout,
    loguru_json,
    otel_json,
    render_json,
)
from otelbridge.text.sanitise import inert
from otelbridge.text.time import Time
from tests.native.families import LEVELS, Family
from tests.native.oracle import Named, Raising

NS = 1_000_000_000
SITE = ("package.module", "function", 42, "/srv/app/module.py", "package.module.Class.function")
DEFAULT = (
    "\x1b[32m{time:YYYY-MM-DD HH:mm:ss.SSS}\x1b[0m | \x1b[1m{level: <8}\x1b[0m | \x1b[36m{name}\x1b[0m:"
    "\x1b[36m{function}\x1b[0m:\x1b[36m{line}\x1b[0m - \x1b[1m{message}\x1b[0m\n{exception}"
)


class Zone:
    """Where the records are, and a process that is none."""

    def __init__(self) -> None:
        self.offset_s = 0
        self.asked: list[int] = []

    def move(self, offset_s: int) -> None:
        """Be elsewhere: what the core knows of a second is forgotten."""
        self.offset_s = offset_s
        self.asked = []
        _native.set_clock(None)

    def utc_offset(self, second: int) -> int:
        self.asked.append(second)
        return self.offset_s

    def record(self, event: Event) -> Any:
        zone = timezone(timedelta(seconds=self.offset_s))
        moment = Time(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=event.time_ns // 1000)
        return make_record(event, moment.astimezone(zone))


@pytest.fixture(scope="module")
def zone() -> Iterator[Zone]:
    """Makers of the test's own; the logger's afterwards."""
    from otelbridge.record import install
    from otelbridge.text.time import local_time

    made = Zone()
    _native.set_event_makers(made.record, lambda: (77, "Process-7"), made.utc_offset)
    yield made
    install(local_time)


def event_of(family: Family, **changes: Any) -> Event:
    given: dict[str, Any] = {
        "time_ns": 1_700_000_000_120_456_789,
        "level": LEVELS[2],
        "message": "a message",
        "site": SITE,
        "extra": {},
        "exception": None,
    } | changes
    given.setdefault("shown", given["message"])
    names = ("time_ns", "level", "message", "shown", "site", "extra", "exception")
    return Event(family.dispatcher, *(given[name] for name in names))


def by_python(template: str, event: Event, exception: str, *, sanitize: bool) -> str:
    """What the record gives."""
    fields: dict[str, Any] = {**event.record, "exception": exception}
    if sanitize:
        fields["message"] = inert(event.shown)
    fields["process"] = type(fields["process"])(77, "Process-7")
    return template.format_map(fields)


def field(name: str, spec: str) -> str:
    """A replacement field."""
    return f"{{{name}:{spec}}}" if spec else f"{{{name}}}"


FAMILY = Family()
FIELDS = """level level.name level.no level.icon message name function line module file file.name file.path thread
 thread.id thread.name process process.id process.name""".split()  # noqa: SIM905 -- a list of words is read, not typed
TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cf"]), max_size=20)
SPECS = st.builds(
    lambda fill, align, width: (fill if align else "") + align + width,
    st.sampled_from(["", " ", "*", "é", "0", "😀", ":", "<"]),
    st.sampled_from(["", "<", ">", "^"]),
    st.sampled_from(["", "1", "8", "30", "08"]),
)
TIMES = st.sampled_from(
    [
        "",
        "YYYY-MM-DD HH:mm:ss.SSS",
        "YYYY-MM-DDTHH:mm:ss.SSSSSSZZ",
        "HH[h]mm S SS SSSS SSSSS Z!UTC",
        "[YYYY] [!UTC] [] x-x",
        "!UTC",
        "%H",
        "dddd",
        "D/M/YY",
        "SSSSSS",
    ]
)
EXTRA_ITEMS = st.sampled_from(["extra[a]", "extra[b]", "extra[0]", "extra[missing]", "extra[a][b]", "extra[a].real"])
PIECES = (
    st.tuples(st.sampled_from(FIELDS), st.just("") | SPECS).map(
        lambda p: f"{{{p[0]}:{p[1]}}}" if p[1] else f"{{{p[0]}}}"
    )
    | TIMES.map(lambda spec: f"{{time:{spec}}}" if spec else "{time}")
    | st.tuples(EXTRA_ITEMS, st.sampled_from(["", ">5", "05", "x"])).map(lambda p: f"{{{p[0]}:{p[1]}}}")
    | st.sampled_from(["{elapsed}", "{extra}", "{exception}", "{{", "}}", "{message!r}", "{elapsed:5}", "{nope}", "{"])
    | TEXTS.map(lambda text: text.replace("{", "").replace("}", ""))
)
MOMENTS = st.integers(-(10**18), 4 * 10**18) | st.integers(0, 4 * 10**9).map(lambda second: second * NS)
EVENTS = st.fixed_dictionaries(
    {
        "time_ns": MOMENTS,
        "level": st.sampled_from(LEVELS) | st.builds(RecordLevel, TEXTS, st.integers(0, 100), TEXTS),
        "message": TEXTS | st.text("ab\n\t\x1b\u202e\x85é", max_size=8),
        "site": st.none()
        | st.tuples(st.none() | TEXTS, TEXTS, st.integers(0, 10**6), st.text("a/.é\\", max_size=9), TEXTS),
        "extra": st.dictionaries(st.sampled_from(["a", "b", "é"]), TEXTS | st.integers() | st.floats() | st.none()),
    }
)


@pytest.mark.covers("1.28")
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pieces=st.lists(PIECES, max_size=6),
    values=EVENTS,
    sanitize=st.booleans(),
    offset_s=st.sampled_from([0, 3600, -12_600, 20_700, 1172]),
)
def test_layout_is_what_str_format_makes_of_the_record(
    zone: Zone, pieces: list[str], values: dict[str, Any], sanitize: bool, offset_s: int
) -> None:
    """
    For any format, event and zone the Layout gives exactly the record's text, or leaves it to Python.
    """
    template = "".join(pieces)
    layout = compile_layout(template, sanitize=sanitize)
    event = event_of(FAMILY, **values)
    zone.move(offset_s)
    text = None if layout is None else layout.render(event, "Traceback\n")

    if text is not None:
        assert text == by_python(template, event, "Traceback\n", sanitize=sanitize)


@pytest.mark.covers("1.7")
@pytest.mark.parametrize("sanitize", [False, True])
@pytest.mark.parametrize(
    "template",
    [
        DEFAULT,
        "{time} {message}",
        "{time:HH:mm:ss!UTC}|{level.name:>10}|{level.no:^5}|{level.icon}|{file}|{file.path:*<30}|{module}",
        "{thread}|{thread.id:>20}|{thread.name:<20}|{process}|{process.name}|{elapsed}|{extra}|{extra[user]:>9}",
        "{{{message}}} {line:4} {name:é^20}",
    ],
)
def test_usual_formats_are_rendered_by_the_core(zone: Zone, template: str, sanitize: bool) -> None:
    """
    What people write is not left to Python.
    """
    layout = compile_layout(template, sanitize=sanitize)
    event = event_of(FAMILY, extra={"user": "alice", "n": [1, None]}, message="é\n\tmessage")
    zone.move(-9000)

    assert layout is not None
    text = layout.render(event, "Traceback\n")
    assert text == by_python(template, event, "Traceback\n", sanitize=sanitize)


@pytest.mark.covers("1.10")
@pytest.mark.parametrize(
    "changes",
    [
        {"message": "\x1b[31m"},
        {"message": "a\rb"},
        {"message": "\u202eb" + "x" * 40},
        {"message": "x" * 40 + "\x7f"},
        {"message": "\ud800"},
        {"extra": {"user": "\x9b"}},
        {"extra": {"user": "x" * 16 + "\u2066"}},
        {"level": RecordLevel("INFO\x07", 20, "i")},
        {"site": ("a\x00", *SITE[1:])},
        {"site": (*SITE[:3], "/x/\x1b.py", SITE[4])},
    ],
)
def test_text_that_needs_escaping_is_left_to_python(zone: Zone, changes: dict[str, Any]) -> None:
    """
    With sanitize a control character anywhere gives None; without it the text is as it is.
    """
    template = "{level} {name} {file} {message} {extra[user]}"
    event = event_of(FAMILY, **({"extra": {"user": "a"}} | changes))
    strict, raw = compile_layout(template, sanitize=True), compile_layout(template, sanitize=False)
    assert strict is not None
    assert raw is not None

    assert strict.render(event, "") is None
    if "\ud800" not in event.message:
        assert raw.render(event, "") == by_python(template, event, "", sanitize=False)


def test_shown_is_printed_where_text_is_sanitised(zone: Zone) -> None:
    """
    `{message}` is the event's `shown` with sanitize, its `message` without.
    """
    event = event_of(FAMILY, message="a\nb", shown="a\\nb")
    shown, message = (compile_layout("{message}", sanitize=flag) for flag in (True, False))

    assert shown is not None
    assert message is not None
    assert (shown.render(event, ""), message.render(event, "")) == ("a\\nb", "a\nb")


def test_event_with_a_record_is_left_to_python(zone: Zone) -> None:
    """
    Whoever asked for the record may have changed it.
    """
    layout = compile_layout("{message}", sanitize=False)
    event = event_of(FAMILY)
    assert layout is not None
    assert layout.render(event, "") == "a message"

    assert event.record is not None
    assert layout.render(event, "") is None


@pytest.mark.parametrize(
    ("template", "changes"),
    [
        ("{extra[missing]}", {}),
        ("{extra[raising]}", {"extra": {"raising": Raising()}}),
        ("{extra[named]:>5}", {"extra": {"named": Named("x")}}),
        ("{name:>5}", {"site": None}),
    ],
)
def test_what_fails_is_left_to_python(zone: Zone, template: str, changes: dict[str, Any]) -> None:
    """
    Missing keys and values that cannot be formatted: None, and no error is left behind.
    """
    layout = compile_layout(template, sanitize=True)
    assert layout is not None

    assert layout.render(event_of(FAMILY, **changes), "") is None


def test_interrupt_while_a_value_is_shown_goes_on(zone: Zone) -> None:
    """
    Ctrl-C in a value's `__format__` or `__repr__` is raised.
    """

    class Interrupted:
        def __format__(self, spec: str) -> str:
            raise KeyboardInterrupt

        def __repr__(self) -> str:
            raise KeyboardInterrupt

    event = event_of(FAMILY, extra={"a": Interrupted()})
    for layout in (compile_layout("{extra[a]}", sanitize=True), compile_layout("{extra}", sanitize=True), flat_json()):
        assert layout is not None
        with pytest.raises(KeyboardInterrupt):
            layout.render(event, "")


def test_zone_is_asked_for_once_a_second(zone: Zone) -> None:
    """
    Events of one second share its offset; with a clock of Python's it is asked for each time.
    """
    layout = compile_layout("{time:HH}", sanitize=False)
    assert layout is not None
    zone.move(0)

    for time_ns in (5 * NS, 5 * NS + 999, 6 * NS):
        layout.render(event_of(FAMILY, time_ns=time_ns), "")
    assert zone.asked == [5, 6]
    _native.set_clock(time.time_ns)
    try:
        layout.render(event_of(FAMILY, time_ns=6 * NS), "")
        layout.render(event_of(FAMILY, time_ns=6 * NS), "")
    finally:
        _native.set_clock(None)
    assert zone.asked == [5, 6, 6, 6]


# ------------------------------------------------------------------------------------------------------ JSON lines

JSON_EXTRA = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(["thread.id", "code.line.number"]),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.binary(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3)
        ),
        max_leaves=6,
    ),
    max_size=4,
)


@pytest.fixture
def ids() -> Family:
    """A family whose context marks records with a trace."""
    family = Family()
    family.context.set(AttrSet({}, (), bytes(range(16)), None))
    return family


@pytest.mark.covers("1.9")
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=EVENTS, extra=JSON_EXTRA, preset=st.sampled_from(PRESETS), marked=st.booleans(), sanitize=st.booleans())
def test_json_line_is_its_twins(
    zone: Zone, ids: Family, values: dict[str, Any], extra: dict[str, Any], preset: Preset, marked: bool, sanitize: bool
) -> None:
    """
    What the core writes of an event is, byte for byte, what Python writes of its record, and one line of valid JSON.
    """
    template = "{level}: {message} {exception}"
    layout = json_layout(preset, template, sanitize=sanitize)
    assert layout is not None
    event = event_of(ids if marked else FAMILY, **(values | {"extra": extra}))
    zone.move(0)

    line = layout.render(event, "")

    record = event.record
    record["process"] = type(record["process"])(77, "Process-7")
    twin = render_json(preset, event, by_python(template, event, "", sanitize=sanitize), "")
    if line is not None:
        assert line == twin
    assert twin.endswith("\n")
    assert twin.count("\n") == 1
    assert isinstance(json.loads(twin), dict)


@pytest.mark.covers("1.9")
@pytest.mark.parametrize("marked", [False, True])
@pytest.mark.parametrize("preset", PRESETS)
def test_usual_events_are_written_by_the_core(zone: Zone, ids: Family, preset: Preset, marked: bool) -> None:
    """
    An event without an exception is not left to Python, whatever its extra holds.
    """
    extra = {"user": "é\ud800", "n": 10**30, "odd": Raising(), "nan": float("nan"), "deep": {"a": [1, {2: None}]}}
    layout = json_layout(preset, DEFAULT, sanitize=True)
    assert layout is not None
    event = event_of(ids if marked else FAMILY, extra=extra, message='"quoted"\n')

    line = layout.render(event, "")

    assert line is not None
    assert json.loads(line)
    assert ("000102030405060708090a0b0c0d0e0f" in line) == (marked and preset in ("otel", "ecs"))


@pytest.mark.covers("1.9")
def test_lines_have_the_shapes_that_are_promised(zone: Zone) -> None:
    """
    The keys of each preset, in order.
    """
    zone.move(7200)
    event = event_of(FAMILY, extra={"user": "alice"}, time_ns=1_700_000_000_000_000_000)
    text = compile_layout("{message}", sanitize=True)
    assert text is not None

    lines = [layout.render(event, "") or "" for layout in (loguru_json(text), flat_json(), otel_json(), ecs_json())]
    loguru, flat, otel, ecs = map(json.loads, lines)

    assert list(loguru) == ["text", "record"]
    assert list(loguru["record"]) == sorted(loguru["record"])
    assert loguru["record"]["time"] == {"repr": "2023-11-15 00:13:20+02:00", "timestamp": 1700000000.0}
    assert list(flat) == ["time", "level", "message", "module", "function", "line", "extra"]
    assert flat["time"] == "2023-11-15T00:13:20.000000"
    assert (otel["timestamp"], otel["severity_number"], otel["body"]) == ("2023-11-14T22:13:20.000000Z", 9, "a message")
    assert otel["attributes"]["code.function.name"] == SITE[4]
    assert otel["attributes"]["user"] == "alice"
    assert ecs["log"]["origin"] == {"file": {"name": "module.py", "line": 42}, "function": "function"}
    assert ecs["labels"] == {"user": "alice"}


@pytest.mark.covers("1.9")
@pytest.mark.parametrize("preset", PRESETS)
def test_exception_is_written_by_the_twin(zone: Zone, preset: Preset) -> None:
    """
    An event with an exception is left to Python, whose line tells type, text and traceback.
    """
    error = RecordException(ZeroDivisionError, ZeroDivisionError("by zero"), None)
    event = event_of(FAMILY, exception=error)
    layout = json_layout(preset, "{message}", sanitize=True)
    assert layout is not None

    assert layout.render(event, "Traceback…\n") is None
    line = render_json(preset, event, "text\n", "Traceback…\n")

    found = json.loads(line)
    if preset == "loguru":
        expected = {"type": "ZeroDivisionError", "value": "by zero", "traceback": False}
        assert (found["text"], found["record"]["exception"]) == ("text\n", expected)
    else:
        assert "Traceback…" in line


# ------------------------------------------------------------------------------------------------------------ ops


@pytest.mark.parametrize(
    "ops",
    [
        None,
        [],
        (1,),
        ((),),
        (("nope",),),
        (("literal",),),
        (("literal", 5),),
        (("literal", "\ud800"),),
        (("time", "D", False),),
        (("time", "YYYY"),),
        (("message", "<", " "),),
        (("message", "<", " ", -1),),
        (("message", "<", " ", 10**9),),
        (("message", "<", " ", "8"),),
        (("json",),),
        (("json", "literal"),),
        (("extra_item", "a"),),
        (("ids", ("a",)),),
        (("more_extra", [1]),),
        (("layout", None),),
    ],
)
def test_wrong_ops_raise(ops: Any) -> None:
    """
    Ops that text/layout.py does not make are a TypeError.
    """
    with pytest.raises(TypeError):
        Layout(ops, True)


def test_wrong_calls_raise(zone: Zone) -> None:
    """
    A Layout renders events.
    """
    layout = Layout((("message",),), False)
    render: Any = layout.render

    for arguments in ((), (None,), (None, ""), (event_of(FAMILY),), (event_of(FAMILY), "", 1)):
        with pytest.raises(TypeError):
            render(*arguments)
    assert render(event_of(FAMILY), None) is None
    with pytest.raises(TypeError):
        Layout()  # type: ignore[call-arg]


def test_rendering_keeps_nothing(zone: Zone) -> None:
    """
    References are flat over many renderings of every kind.
    """
    text, odd = "".join(("te", "xt")), Named("odd")
    layouts = [json_layout(preset, DEFAULT, sanitize=True) for preset in PRESETS]
    layouts += [compile_layout(DEFAULT, sanitize=True), compile_layout("{extra} {extra[a]} {extra[b]}", sanitize=True)]
    counted: list[Any] = [text, odd, *LEVELS, None, Event, Layout, *layouts]

    def run(rounds: int) -> None:
        for i in range(rounds):
            event = event_of(FAMILY, message=text, extra={"a": text, "odd": odd, "r": Raising(), "i": i})
            for layout in layouts:
                assert layout is not None
                layout.render(event, "")
            compile_layout("{message}", sanitize=bool(i % 2))

    run(50)
    before = [sys.getrefcount(each) for each in counted]
    run(2000)
    after = [sys.getrefcount(each) for each in counted]

    assert [a - b for a, b in zip(after, before, strict=True) if abs(a - b) > 100] == []


def test_process_is_the_current_one() -> None:
    """
    Id and name of this process, and the offset that time.localtime knows.
    """
    assert current_process() == (os.getpid(), "MainProcess")
    assert utc_offset(0) == time.localtime(0).tm_gmtoff

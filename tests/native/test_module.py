"""The functions and types of the extension, called rightly and wrongly."""

from __future__ import annotations

import gc
import itertools
import os
import random
import subprocess
import sys
import time
import types
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from otelbridge import _native
from otelbridge._native import AttrSet, Core, Dispatcher, Event, LoggerBase
from tests.native.conftest import Exporting
from tests.native.oracle import attributes_of, cyclic, parse

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
S = 1_000_000_000

MOMENTS = [
    0,
    1,
    999_999,
    S - 1,
    S,
    59 * S,
    86_399 * S,
    951_782_399 * S + 999_999_999,
    951_782_400 * S,
    4_102_444_800 * S,
]
MOMENTS += [1_709_164_800 * S - 1, 253_402_300_799 * S // 1000, 9_223_372_036 * S]


@pytest.mark.covers("1.31")
def test_now_is_now() -> None:
    """
    now_ns is the wall clock; it moves on.
    """
    before, now, after = time.time_ns(), _native.now_ns(), time.time_ns()

    assert before - 1_000_000 <= now <= after + 1_000_000
    assert _native.now_ns() >= now


@pytest.mark.covers("1.31")
def test_now_iso_is_what_the_stdlib_writes() -> None:
    """
    now_iso is datetime's ISO format of the time in UTC, always with microseconds.
    """
    for _ in range(2000):
        before, text, after = datetime.now(UTC), _native.now_iso(), datetime.now(UTC)
        moment = datetime.fromisoformat(text)
        assert moment.isoformat(timespec="microseconds") == text
        assert before - timedelta(milliseconds=1) <= moment <= after + timedelta(milliseconds=1)


def test_time_text_is_what_the_stdlib_writes() -> None:
    """
    Any time at any offset, at the edges of seconds, days, months, leap years: datetime's own fields, cut not rounded.
    """
    chance = random.Random(7)
    moments = MOMENTS + [chance.randrange(0, 9_000_000_000 * S) for _ in range(2000)]
    offsets = [0, 3600, -3600, 20_700, -34_200, 50_400, -43_200, 59, -1, 86_399, -86_399]
    for i, time_ns in enumerate(moments):
        offset_s = offsets[i % len(offsets)]
        if time_ns // S + offset_s < 0:
            continue
        local = EPOCH + timedelta(seconds=time_ns // S + offset_s)
        expected = f"{local:%Y-%m-%d %H:%M:%S}.{time_ns % S // 1_000_000:03d}"
        assert _native.time_text(time_ns, offset_s) == expected, (time_ns, offset_s)


def test_time_text_before_1970_by_its_offset() -> None:
    """
    The first hours of 1970, west of UTC, are of 1969.
    """
    assert _native.time_text(0, -3600) == "1969-12-31 23:00:00.000"
    assert _native.time_text(-1, 0) == "1969-12-31 23:59:59.999"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((), TypeError),
        ((1,), TypeError),
        (("1", 0), TypeError),
        ((1, None), TypeError),
        ((0, 90_000), ValueError),
        ((0, -90_000), ValueError),
        ((2**70, 0), OverflowError),
    ],
)
def test_wrong_time_raises(arguments: tuple[Any, ...], error: type[Exception]) -> None:
    """
    What is no time, or an offset of more than a day, raises.
    """
    with pytest.raises(error):
        _native.time_text(*arguments)


@pytest.mark.covers("1.31")
@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "a",
        "a/b.py",
        "/a/b/",
        "a//b",
        "./x.tar.gz",
        "é/日本.py",
        "a\\b",
        "C:\\a\\b.py",
        "\udcff/x\udcfe",
        "a" * 5000,
    ],
)
def test_basename_is_the_stdlibs(path: str) -> None:
    """
    The base name of a path is os.path's.
    """
    expected = os.path.basename(path)  # noqa: PTH119 -- the oracle

    assert _native.basename(path) == expected.replace("\udcfe", "\ufffd")


@pytest.mark.parametrize("path", [None, 5, b"a/b", Path("a/b")])
def test_basename_of_no_text_raises(path: Any) -> None:
    """
    A path that is no str is a TypeError.
    """
    with pytest.raises(TypeError, match="path must be a str"):
        _native.basename(path)


@pytest.mark.covers("1.31")
def test_module_name_is_the_callers() -> None:
    """
    module_name is the caller's `__name__`, or None.
    """
    assert _native.module_name() == __name__
    for name, expected in (("a.b", "a.b"), (None, None), (5, None)):
        scope = {"module_name": _native.module_name, "__name__": name}
        exec("found = module_name()", scope)
        assert scope["found"] == expected
    scope = {"module_name": _native.module_name}
    exec("found = module_name()", scope)
    assert scope["found"] in (None, "builtins")


SEVERITY = 1
GARBAGE: list[Any] = [
    None,
    5,
    -1,
    2**80,
    "text",
    "\ud800",
    b"bytes",
    (),
    (1, 2, 3),
    (None,) * 5,
    {},
    {1: 2},
    [1],
    object(),
]


def test_emit_with_anything_at_all(exporting: Exporting) -> None:
    """
    Whatever the eleven arguments are, emit stores a record that parses, or counts it, and never crashes.
    """
    chance = random.Random(3)
    emit: Any = exporting.core.emit
    good: list[Any] = [
        1, 9, "INFO", "body", "template", (1,), "error", ("m", "f", 1, "p", "q"), ("t", "m", "s"), {"a": 1}, "event",
    ]  # fmt: skip
    garbage = [*GARBAGE, cyclic(), {"\ud800": cyclic()}, tuple(range(1000)), ("a", 1, None)]
    emit(*good)
    others = [position for position in range(len(good)) if position != SEVERITY]
    for position, value in itertools.product(others, garbage):
        emit(*good[:position], value, *good[position + 1 :])
    for _ in range(2000):
        drawn = [chance.choice(garbage) for _ in good]
        drawn[SEVERITY] = chance.randrange(25)
        emit(*drawn)

    expected = 1 + len(others) * len(garbage) + 2000
    records = [parse(record) for record in exporting.take()]
    assert len(records) + exporting.dropped() == expected == exporting.core.counters()[0]
    first = records[0]
    assert (first.time_unix_nano, first.severity_number, first.severity_text) == (1, 9, "INFO")
    assert (first.body.string_value, first.event_name) == ("body", "event")
    names = {"message.template", "message.args", "otelbridge.format_error", "code.line.number", "exception.type", "a"}
    assert names <= set(attributes_of(first))


def test_emit_with_any_severity(exporting: Exporting) -> None:
    """
    A severity that is none (beyond 24, or no number) leaves a record that parses.
    """
    for severity in [*GARBAGE, 25, 127, 128, 255, 256, 300]:
        exporting.core.emit(1, severity, "INFO", "body", None, (), None, None, None, {}, None)

    for record in exporting.take():
        assert 0 <= parse(record).severity_number <= 24


@pytest.mark.parametrize("count", [0, 1, 10, 12])
def test_emit_with_too_few_or_too_many(exporting: Exporting, count: int) -> None:
    """
    Another number of arguments is a TypeError, and no record.
    """
    with pytest.raises(TypeError, match="11 arguments"):
        exporting.core.emit(*[None] * count)  # type: ignore[arg-type]

    assert exporting.take() == []


def test_site_of_any_depth(exporting: Exporting) -> None:
    """
    site(depth) describes the frame that far out; None beyond the last; what is no depth raises.
    """
    core = exporting.core
    line = test_site_of_any_depth.__code__.co_firstlineno + 6
    name, function, found, path, qualified = core.site(0) or ("", "", 0, "", "")

    assert (name, function, found, path) == (__name__, "test_site_of_any_depth", line, __file__)
    assert qualified == f"{__name__}.test_site_of_any_depth"
    assert core.site(100_000) is None
    for wrong in (None, "1", 2**80):
        with pytest.raises((TypeError, OverflowError)):
            core.site(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ((),),
        (None,),
        ({}, ["hidden"]),
        ({}, None),
        ({}, (), b"short"),
        ({}, (), "x" * 16),
        ({}, (), 5),
        ({}, (), None, None, 5),
        ({}, (), None, None, None, None),
    ],
)
def test_wrong_attribute_set_raises(arguments: tuple[Any, ...]) -> None:
    """
    AttrSet says what is wrong with its arguments.
    """
    with pytest.raises((TypeError, ValueError)):
        AttrSet(*arguments)
    with pytest.raises(TypeError):
        AttrSet({}, values=1)  # type: ignore[call-arg]


def test_attribute_set_shows_what_it_was_given() -> None:
    """
    values, hidden and mark are what the set was made of.
    """
    values, span = {"a": 1, "trace_id": "x"}, object()

    made = AttrSet(values, ("trace_id",), b"0123456789abcdef", span)

    assert made.values is values
    assert made.hidden == ("trace_id",)
    assert made.mark is not None
    assert made.mark[0] == b"0123456789abcdef"
    assert made.mark[1] is span
    assert (AttrSet({}).hidden, AttrSet({}).mark) == ((), None)
    with pytest.raises(AttributeError):
        made.values = {}  # type: ignore[misc]


@pytest.mark.parametrize(
    "arguments",
    [(), (None,), (5,), ({},), ("core",), ("family", None), ("family", 5), ("family", {}, None, None)],
)
def test_wrong_logger_raises(exporting: Exporting, arguments: tuple[Any, ...]) -> None:
    """
    A logger without a dispatcher, or bound to something else than attributes, is a TypeError.
    """
    family = exporting.logger._dispatcher
    given: Any = tuple({"core": exporting.core, "family": family}.get(str(each), each) for each in arguments)
    if given == (family, None):
        assert isinstance(LoggerBase(*given), LoggerBase)
        return

    with pytest.raises(TypeError):
        LoggerBase(*given)
    with pytest.raises(TypeError):
        type("Sub", (LoggerBase,), {})(*given)


@pytest.mark.parametrize("arguments", [(), (None, None), (1, 2, 3)])
def test_wrong_core_raises(arguments: tuple[Any, ...]) -> None:
    """
    A core takes its one argument.
    """
    with pytest.raises(TypeError):
        Core(*arguments)


def test_core_made_of_nonsense_does_not_crash() -> None:
    """
    A core whose context variable or OpenTelemetry context is none encodes records without them.
    """
    core = Core(5)  # type: ignore[arg-type]
    family = Dispatcher(core, print, print)
    log = LoggerBase(family)
    core.set_export("on", 0, 1 << 20)
    for variable, key in ((5, 7), (ContextVar("x", default=5), "key"), (ContextVar("x", default=()), [])):
        core.attach_otel(variable, key)  # type: ignore[arg-type]
        log.info("text {}", 1)

    assert core.counters()[0] == 3


def test_own_core_goes_with_its_records() -> None:
    """
    A core of one's own, in a cycle with its callbacks, is freed with what waits in it; a logger may live longer.
    """
    variable: ContextVar[AttrSet | None] = ContextVar("own", default=None)
    cores = []
    gc.collect()
    before = core_count()
    for _ in range(20):
        core = Core(variable)
        core.set_export("on", 0, 1 << 24)
        core.set_wake(lambda core=core: core.counters(), 10, 10)  # type: ignore[misc]
        log = LoggerBase(Dispatcher(core, lambda *_: None, lambda _: None))
        for i in range(50):
            log.info("text {}", i, pad="x" * 1000)
        cores.append(log)
        del core
    gc.collect()
    for log in cores:
        log.info("after")
    assert core_count() == before + 20
    cores.clear()
    del log
    gc.collect()

    assert core_count() == before


def core_count() -> int:
    return sum(type(found) is Core for found in gc.get_objects())


def test_types_cannot_be_extended_or_changed() -> None:
    """
    AttrSet, Core and Event are final; the module has what its stub says.
    """
    for kind in (AttrSet, Core, Event):
        with pytest.raises(TypeError):
            types.new_class("Sub", (kind,))


SUBINTERPRETER = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
FIRST
other = interpreters.create()
code = '''
try:
    import otelbridge._native
except ImportError as error:
    print("ImportError:", error)
else:
    print("imported")
'''
failed = interpreters.run_string(other, code)
interpreters.destroy(other)
from otelbridge import logger
logger.remove()
logger.info("still alive")
print("end")
"""


@pytest.mark.parametrize("first", ["import otelbridge._native", "from otelbridge import logger; logger.remove()"])
def test_second_interpreter_gets_one_sentence(first: str) -> None:
    """
    A second interpreter of the process cannot import the core: ImportError, one sentence, and the first one goes on.
    """
    program = SUBINTERPRETER.replace("FIRST", first)

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)

    lines = done.stdout.splitlines()
    assert lines[0].startswith("ImportError: ")
    assert len(lines[0]) > len("ImportError: ")
    assert lines[1:] == ["end"]


def test_extension_is_loaded_once() -> None:
    """
    Importing the extension anew in the same interpreter gives types that work.
    """
    program = """
import sys
import otelbridge._native as first
del sys.modules["otelbridge._native"]
import otelbridge._native as second
from contextvars import ContextVar
core = second.Core(ContextVar("c", default=None))
core.set_export("on", 0, 1 << 20)
second.LoggerBase(second.Dispatcher(core, print, print)).info("text {}", 1)
print(core.counters()[0], first.Core is second.Core)
"""

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)

    assert done.stdout == "1 True\n"

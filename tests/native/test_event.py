"""Event: one call on its way to Python sinks."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace import TracerProvider

from otelbridge import _native
from otelbridge._native import AttrSet, Event
from otelbridge.record import RecordException, RecordLevel, current_process, make_record, utc_offset
from tests.native.families import LEVELS, Family

SITE = ("package.module", "function", 7, "/path/package/module.py", "package.module.function")


def make(family: Family, **changes: Any) -> Event:
    given: dict[str, Any] = {
        "dispatcher": family.dispatcher,
        "time_ns": 1_700_000_000_123_456_789,
        "level": LEVELS[2],
        "message": "message",
        "shown": "shown",
        "site": SITE,
        "extra": {"a": 1},
        "exception": None,
    }
    return Event(*(given | changes).values())


@pytest.fixture(autouse=True)
def makers() -> Iterator[None]:
    """Those of records in UTC; the logger's own afterwards."""
    from otelbridge.record import install
    from otelbridge.text.time import local_time

    _native.set_event_makers(
        lambda event: make_record(event, datetime.fromtimestamp(event.time_ns / 1e9, UTC)), current_process, utc_offset
    )
    yield
    install(local_time)


@pytest.mark.covers("1.28")
def test_event_says_what_the_call_was() -> None:
    """
    Time, level, message, place, thread of a plain call.
    """
    family = Family()
    before = time.time_ns()

    family.log.error("text {}", 5, x=1)

    (event,) = family.events
    assert before - 1_000_000 <= event.time_ns <= time.time_ns()
    assert 0 < event.elapsed_ns < event.time_ns
    assert event.level is LEVELS[5]
    assert (event.message, event.shown) == ("text 5", "text 5")
    assert event.message is event.shown
    code = sys._getframe().f_code
    assert event.site is not None
    assert event.site[0] == __name__
    assert event.site[1] == code.co_name
    assert event.site[3] == code.co_filename
    assert (event.extra, event.exception, event.ids) == ({"x": 1}, None, None)
    assert (event.thread_id, event.thread_name) == (threading.get_ident(), threading.current_thread().name)
    assert not event.has_record


def test_event_of_a_thread_that_is_renamed() -> None:
    """
    The thread is the current one, by its current name.
    """
    family = Family()

    def run() -> None:
        family.log.info("text")
        threading.current_thread().name = "renamed"
        family.log.info("text")

    thread = threading.Thread(target=run, name="first")
    thread.start()
    thread.join()

    assert [event.thread_name for event in family.events] == ["first", "renamed"]
    assert {event.thread_id for event in family.events} == {thread.ident}


def test_message_without_arguments_is_the_object_itself() -> None:
    """
    Nothing is copied that need not be; braces stay as they are.
    """
    family = Family()
    message = "".join(("{not ", "a field}"))

    family.log.info(message)

    assert family.events[0].message is message


def test_record_is_made_once_and_shared() -> None:
    """
    The record is loguru's dict, made when asked for, the same object from then on.
    """
    family = Family()
    event = make(family, exception=RecordException(ValueError, ValueError("x"), None))

    record = event.record

    assert event.has_record
    assert event.record is record
    assert sorted(record) == list(record)
    assert len(record) == 13
    assert record["extra"] is event.extra
    assert record["exception"] is event.exception
    assert (record["name"], record["function"], record["line"], record["module"]) == (*SITE[:3], "module")
    assert (record["file"].name, record["file"].path) == ("module.py", SITE[3])
    assert record["process"].id == os.getpid()
    assert record["message"] == "message"
    assert (record["thread"].id, record["thread"].name) == (event.thread_id, event.thread_name)
    assert record["time"].second == 20


def test_record_may_be_set() -> None:
    """
    Python may bring the record itself.
    """
    event = make(Family())
    record: Any = {"message": "other"}

    event.record = record

    assert event.record is record
    assert event.has_record


def test_attributes_can_be_replaced_by_their_like() -> None:
    """
    Message, shown, level, extra and exception can be set; not to something else, nor deleted.
    """
    event = make(Family())
    extra = {"b": 2}
    error = RecordException(None, None, None)

    event.message, event.shown, event.level, event.extra, event.exception = (
        "m",
        "s",
        RecordLevel("X", 1, "i"),
        extra,
        error,
    )

    assert (event.message, event.shown, event.level.name) == ("m", "s", "X")
    assert event.extra is extra
    assert event.exception is error
    event.exception = None
    assert event.exception is None
    for name, wrong in (("message", 5), ("shown", None), ("level", "INFO"), ("level", ()), ("extra", [])):
        with pytest.raises(TypeError, match=name):
            setattr(event, name, wrong)
    for name in ("message", "shown", "level", "extra", "exception", "record"):
        with pytest.raises(TypeError, match=name):
            delattr(event, name)
    for name in ("time_ns", "site", "thread_id", "ids", "has_record"):
        with pytest.raises(AttributeError):
            setattr(event, name, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"dispatcher": None},
        {"time_ns": "now"},
        {"level": "INFO"},
        {"message": b"m"},
        {"shown": None},
        {"site": ()},
        {"site": [*SITE]},
        {"extra": None},
    ],
)
def test_wrong_event_raises(wrong: dict[str, Any]) -> None:
    """
    An event of the wrong parts is a TypeError.
    """
    with pytest.raises(TypeError):
        make(Family(), **wrong)


def test_ids_are_those_of_the_current_span() -> None:
    """
    Trace and span of the moment the event is made; of a mark the trace only; None without a span.
    """
    family = Family()
    (key,) = trace.set_span_in_context(trace.INVALID_SPAN, context.Context())
    family.core.attach_otel(context._RUNTIME_CONTEXT._current_context, key)  # type: ignore[attr-defined]
    assert make(family).ids is None

    with TracerProvider().get_tracer("test").start_as_current_span("span") as span:
        own = span.get_span_context()
        event = make(family)
        family.log.info("text")
    assert event.ids == (f"{own.trace_id:032x}", f"{own.span_id:016x}", own.trace_flags)
    assert family.events[0].ids == event.ids

    family.context.set(AttrSet({}, (), b"\1" * 16, None))
    assert make(family).ids == ("01" * 16, None, 0)


def test_clock_of_a_test_is_asked_for_everything() -> None:
    """
    set_clock: now_ns, events, records and elapsed times are by that clock, also before 1970; None ends it.
    """
    family = Family()
    family.encode()
    moments = iter([5_000_000_000, -7, 6_000_000_000])
    _native.set_clock(lambda: next(moments))
    try:
        family.log.info("text")
        family.log.info("text")
        assert _native.now_ns() == 6_000_000_000
        fallen_back = _native.now_ns()  # the clock has stopped: it is not believed
    finally:
        _native.set_clock(None)

    assert [event.time_ns for event in family.events] == [5_000_000_000, -7]
    assert family.events[0].elapsed_ns - family.events[1].elapsed_ns == 5_000_000_007
    assert abs(fallen_back - time.time_ns()) < 10**10
    with pytest.raises(TypeError):
        _native.set_clock(5)  # type: ignore[arg-type]


def test_events_are_garbage_like_others() -> None:
    """
    An event in a cycle with its extra, its record or its exception is freed.
    """

    class Held:
        event: Event

    family = Family()
    gone = []
    for _ in range(100):
        held = Held()
        held.event = make(family, extra={"held": held}, exception=(None, held, None))
        assert held.event.record is not None
        gone.append(weakref.ref(held))
    del held
    gc.collect()

    assert [each() for each in gone] == [None] * 100


def test_without_makers_there_is_no_record() -> None:
    """
    Makers of the wrong kind are a TypeError; what a maker raises is raised, and nothing is kept.
    """
    event = make(Family())
    with pytest.raises(TypeError):
        _native.set_event_makers(print, print, 5)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        _native.set_event_makers(print)  # type: ignore[call-arg,arg-type]
    _native.set_event_makers(lambda _: 1 // 0, current_process, utc_offset)  # type: ignore[arg-type,return-value]

    with pytest.raises(ZeroDivisionError):
        _ = event.record
    assert not event.has_record

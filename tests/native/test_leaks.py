"""Nothing is kept: references and memory are flat over many calls of every kind."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from otelbridge._native import AttrSet, Core, Dispatcher, Event, LoggerBase
from tests.native.conftest import Exporting
from tests.native.families import LEVELS, Family
from tests.native.oracle import Named, Raising, Text, cyclic

TRACER = TracerProvider().get_tracer("test")
STATM = Path("/proc/self/statm")


class Calls:
    """Every kind of call, with objects whose references are counted."""

    def __init__(self, exporting: Exporting) -> None:
        self.exporting = exporting
        self.log = exporting.logger
        self.text, self.template, self.name = "".join(("va", "lue")), "".join(("{} ", "{name}")), "".join(("na", "me"))
        self.number, self.huge, self.pair, self.map = 10**9, 10**30, (1, "a"), {"k": [1, 2.5, None, True, b"b"]}
        self.odd, self.raising, self.subclass, self.loop = Named("shown"), Raising(), Text("x"), cyclic()
        self.bound = self.log.bind(a=self.text, b=self.map)
        self.error = ValueError("wrong")

    def counted(self) -> list[Any]:
        """Objects that a call must not keep."""
        own = [self.text, self.template, self.name, self.number, self.huge, self.pair, self.map, self.odd, self.raising]
        own += [self.subclass, self.loop, self.bound, self.error, self.exporting.core, self.log, type(self.log)]
        return [
            *own,
            None,
            True,
            False,
            AttrSet,
            Core,
            Dispatcher,
            Event,
            LoggerBase,
            str,
            int,
            dict,
            tuple,
            ValueError,
            RecursionError,
        ]

    def run(self, rounds: int) -> None:
        """About 25 calls a round."""
        log, named = self.log, {self.name: self.text}
        for i in range(rounds):
            log.info("plain")
            log.info(self.template, self.text, **named)
            log.info(self.template, self.number)
            log.info("{missing}", **named)
            log.info("{} {}", self.pair, self.map)
            log.info("{}", self.odd, x=self.huge, y=self.loop, z=self.subclass)
            log.info("{}", self.raising, x=self.raising)
            log.info("text", **{"": 1, "thread.name": self.text})
            log.info(self.map)
            log.info("\ud800 {}", "\udfff", k="\ud800")
            log.info(f"made at run time {i % 97} {{}}", i)
            self.bound.info(self.template, self.text, **named)
            self.bound.bind(c=self.odd).log("INFO", "text")
            log.opt(depth=1, exception=self.error).info("text", x=self.map)
            log.opt(lazy=True).info("{}", lambda: self.text)
            log.debug(self.template)
            log.log(33, "text")
            with log.contextualize(a=self.text, b=self.pair):
                log.info(self.template, 1, **named)
            with log.contextualize(trace_id=i + 1, span_id=5):
                log.info("text")
            with log.contextualize(trace_id=i + 1):
                log.info("text")
            for wrong in (lambda: log.log("nope", "text"), lambda: log.info(), lambda: self.exporting.core.take(1)):  # type: ignore[call-arg,arg-type]
                try:
                    wrong()  # type: ignore[no-untyped-call]
                except (TypeError, ValueError):
                    continue
            if i % 50 == 0:
                with TRACER.start_as_current_span("span"):
                    log.info(self.template, self.text, **named)
                exec(compile("log.info('text {}', 1)", "x.py", "exec"), {"log": log})
                while self.exporting.core.take(b"r", b"s", 1 << 20, 1 << 20) is not None:
                    continue


@pytest.mark.timeout(120)
def test_references_and_memory_are_flat(exporting: Exporting) -> None:
    """
    Over some 300,000 calls no object gains references that it does not lose, and the process does not grow.
    """
    calls = Calls(exporting)
    calls.run(1500)
    gc.collect()
    resident_before = resident_size()
    references_before = [sys.getrefcount(each) for each in calls.counted()]

    calls.run(10_500)

    gc.collect()
    references = [sys.getrefcount(each) for each in calls.counted()]
    grown = {
        type(each).__name__ + " " + repr(each)[:40]: after - before
        for each, before, after in zip(calls.counted(), references_before, references, strict=True)
        if abs(after - before) > 1000
    }
    assert grown == {}
    assert resident_size() - resident_before < 6 << 20


@pytest.mark.timeout(120)
def test_events_and_settings_are_flat() -> None:
    """
    The same of calls that become events, of their attributes, and of a dispatcher's settings.
    """
    family = Family()
    family.encode()
    value, template, odd, shared = "".join(("va", "lue")), "".join(("{} ", "{name}")), Named("shown"), {"k": [1]}
    counted: list[Any] = [value, template, odd, shared, *LEVELS, Event, None, True, dict, tuple, family.dispatcher]

    def run(rounds: int) -> None:
        for i in range(rounds):
            family.dispatcher.set_extra(AttrSet({"e": shared}))
            family.dispatcher.set_levels(LEVELS)
            family.dispatcher.set_activation({__name__: True} if i % 2 else {}, lambda _: True)
            family.log.info("plain")
            family.log.info(template, value, name=odd)
            family.log.info(template, f"{i}", name="x\ny")
            family.log.info("{missing}", 1, x=Raising())
            family.context.set(AttrSet({"c": value}, (), i.to_bytes(16, "big"), None))
            for event in family.events:
                event.extra[value] = event
                assert event.record["message"]
                assert event.thread_name
                event.extra, event.shown, event.exception = {}, value, (None, odd, None)  # type: ignore[assignment]
                assert [event.time_ns, event.elapsed_ns, event.level, event.site, event.ids]
                for name in ("message", "extra"):
                    try:
                        setattr(event, name, i)
                    except TypeError:
                        continue
            for wrong in ((), (family.dispatcher, 1, 2, 3, 4, 5, 6, 7)):
                try:
                    Event(*wrong)
                except TypeError:
                    continue
            family.events.clear()
            family.calls.clear()
            family.take()

    run(2000)
    gc.collect()
    resident_before = resident_size()
    before = [sys.getrefcount(each) for each in counted]

    run(8000)

    gc.collect()
    after = [sys.getrefcount(each) for each in counted]
    assert [a - b for a, b in zip(after, before, strict=True) if abs(a - b) > 500] == []
    assert resident_size() - resident_before < 6 << 20


def resident_size() -> int:
    """Bytes of memory that the process has; 0 where the system does not say."""
    if not STATM.exists():
        return 0
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

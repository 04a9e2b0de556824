"""Nothing is kept: references and memory are flat over many calls of every kind."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from otelbridge._native import AttrSet, Core, LoggerBase
from tests.native.conftest import Exporting
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
        return [*own, None, True, False, AttrSet, Core, LoggerBase, str, int, dict, tuple, ValueError, RecursionError]

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


def resident_size() -> int:
    """Bytes of memory that the process has; 0 where the system does not say."""
    if not STATM.exists():
        return 0
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

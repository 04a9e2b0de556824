"""hold: the details of a trace or a block, shown only when it fails."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from otelbridge._logger import Logger
from tests.logger.conftest import Exporting, Lines
from tests.native.oracle import parse

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
OTHER = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def info(log: Logger) -> Any:
    """What a sink from INFO on gets."""
    kept = Lines()
    log.add(kept, level="INFO", format="{message}")
    yield kept
    log.hold(None)


def test_details_of_a_failed_block_come_before_its_error(log: Logger, info: Lines) -> None:
    """
    In a block that logs an error, what was too low for the sink goes out before the error, in its order.
    """
    with log.hold("DEBUG"):
        log.debug("first {}", 1)
        log.info("shown at once")
        log.trace("below the hold")
        log.debug("second {}", 2)
        log.error("failed")

    assert info.messages() == ["shown at once", "first 1", "second 2", "failed"]


def test_held_records_keep_their_time(log: Logger, info: Lines) -> None:
    """
    A held record bears the time of its call, not of the error.
    """
    with log.hold("DEBUG"):
        log.debug("held")
        log.info("between")
        log.error("failed")

    between, held, failed = info.records
    assert held["time"] < between["time"] < failed["time"]


def test_block_without_an_error_shows_nothing(log: Logger, info: Lines) -> None:
    """
    A block that ends well shows none of its details, nor does a later error outside of it.
    """
    with log.hold("DEBUG"):
        log.debug("held")
    log.error("elsewhere")

    assert info.messages() == ["elsewhere"]


def test_only_the_last_are_held(log: Logger, info: Lines) -> None:
    """
    `size` bounds what a block keeps: the newest stay.
    """
    with log.hold("DEBUG", size=2):
        for i in range(10):
            log.debug("{}", i)
        log.error("failed")

    assert info.messages() == ["8", "9", "failed"]


def test_statement_holds_by_trace(log: Logger, info: Lines) -> None:
    """
    After `hold(level)` an error shows what its own trace held, and not another's, nor what has no trace.
    """
    log.hold("DEBUG")
    log.debug("no trace")
    with log.contextualize(trace_id=OTHER, span_id=SPAN):
        log.debug("another trace")
    with log.contextualize(trace_id=TRACE, span_id=SPAN):
        log.debug("this trace")
        log.error("failed")

    assert info.messages() == ["this trace", "failed"]


def test_hold_ends(log: Logger, info: Lines) -> None:
    """
    After hold(None) nothing is held, and what was is forgotten.
    """
    log.hold("DEBUG")
    with log.contextualize(trace_id=TRACE, span_id=SPAN):
        log.debug("held")
        log.hold(None)
        log.error("failed")

    assert info.messages() == ["failed"]


def test_tasks_do_not_share_their_blocks(log: Logger, info: Lines) -> None:
    """
    The error of one task shows its own block's details only.
    """

    async def job(name: str, fails: bool) -> None:
        with log.hold("DEBUG"):
            log.debug(name)
            await asyncio.sleep(0)
            if fails:
                log.error("{} failed", name)

    async def main() -> None:
        await asyncio.gather(job("a", False), job("b", True), job("c", False))

    asyncio.run(main())

    assert info.messages() == ["b", "b failed"]


def test_held_records_reach_otlp_with_their_own_ids(exporting: Exporting) -> None:
    """
    What is below OTLP's level is held for it, too, and keeps the span that was current at the call.
    """
    log = exporting.logger
    exporting.core.set_export("on", 20, 1 << 20)
    log.hold("DEBUG")
    try:
        with log.contextualize(trace_id=TRACE, span_id=SPAN):
            log.debug("in the first span")
        with log.contextualize(trace_id=TRACE, span_id="1" * 16):
            log.error("in the second")
    finally:
        log.hold(None)

    records = [parse(data) for data in exporting.take()]
    assert [(r.body.string_value, r.span_id.hex(), r.severity_text) for r in records] == [
        ("in the first span", SPAN, "DEBUG"),
        ("in the second", "1" * 16, "ERROR"),
    ]


@pytest.mark.parametrize(("arguments", "error"), [(("NOPE",), ValueError), (("DEBUG", 0), ValueError)])
def test_mistakes_raise(log: Logger, arguments: tuple[Any, ...], error: type[Exception]) -> None:
    """
    An unknown level or a size below 1 raises at once.
    """
    level, *size = arguments

    with pytest.raises(error):
        log.hold(level, **({"size": size[0]} if size else {}))

"""opt(once=True), opt(every=n): a place in the code that says the same again and again."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from otelbridge._call import REPEATS
from otelbridge._logger import Logger
from tests.logger.conftest import Exporting, Lines
from tests.native.oracle import Raising, attributes_of, parse


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Nothing is left to tell at pytest's own exit."""
    yield
    REPEATS._places.clear()


def test_once(log: Logger, lines: Lines) -> None:
    """
    A place says its message once, whatever the arguments; another place says its own.
    """
    for i in range(5):
        log.opt(once=True).warning("deprecated {}", i)
    log.opt(once=True).warning("deprecated {}", "elsewhere")

    assert lines.messages() == ["deprecated 0", "deprecated elsewhere"]


def test_every(log: Logger, lines: Lines) -> None:
    """
    Of each n calls the first goes out, and says how many were left out since the last.
    """
    for i in range(7):
        log.opt(every=3).info("item {}", i)

    assert lines.messages() == ["item 0", "item 3", "item 6"]
    assert [record["extra"] for record in lines.records] == [{}, {"suppressed_count": 2}, {"suppressed_count": 2}]


def test_suppressed_count_is_on_the_wire(exporting: Exporting) -> None:
    """
    OTLP gets the same records, with the count as an attribute.
    """
    for i in range(3):
        exporting.logger.opt(every=2).info("item {}", i)

    records = [parse(data) for data in exporting.take()]
    assert [record.body.string_value for record in records] == ["item 0", "item 2"]
    assert attributes_of(records[1])["suppressed_count"] == 1


def test_what_was_left_out_is_told_at_exit(log: Logger, lines: Lines) -> None:
    """
    What no later record tells, the end of the process does: message, place, level and number.
    """
    for i in range(4):
        log.opt(once=True).warning("deprecated {}", i)
        log.opt(every=3).info("item {}", i)
    REPEATS.tell()
    REPEATS.tell()

    *_, once = lines.records
    assert once["message"] == "deprecated {} [3 more left out]"
    assert (once["level"].name, once["function"]) == ("WARNING", "test_what_was_left_out_is_told_at_exit")
    assert once["extra"] == {"suppressed_count": 3}
    assert lines.messages() == ["deprecated 0", "item 0", "item 3", once["message"]]


def test_threads_say_it_once_together(log: Logger, lines: Lines) -> None:
    """
    Of 8 threads at the same place one says it; of every tenth of their 800 calls exactly 80 go out.
    """
    start = threading.Barrier(8)

    def work() -> None:
        start.wait()
        for _ in range(100):
            log.opt(once=True).warning("once")
            log.opt(every=10).info("often")

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (lines.messages().count("once"), lines.messages().count("often")) == (1, 80)


def test_message_without_a_text_hurts_nobody(log: Logger, lines: Lines) -> None:
    """
    A message whose `__str__` raises is said once like any other.
    """
    for _ in range(3):
        log.opt(once=True).info(Raising())

    assert len(lines.records) == 1


def test_it_is_told_before_delivery_ends() -> None:
    """
    At a real exit the number stands on standard error.
    """
    code = "from otelbridge import logger\nfor i in range(3): logger.opt(once=True).info('x')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stderr.count(" - x") == 2
    assert done.stderr.endswith(" - x [2 more left out]\n")


def test_calls_below_the_level_do_not_count(log: Logger) -> None:
    """
    A call that nobody wants is not the one that was said.
    """
    kept = Lines()
    for level in ("ERROR", "DEBUG"):
        number = log.add(kept, level=level, format="{message}")
        for _ in range(2):
            say(log)
        log.remove(number)

    assert kept.messages() == ["here"]


def say(log: Logger) -> None:
    log.opt(once=True).info("here")


@pytest.mark.parametrize("every", [0, -1, 1.5, "2"])
def test_mistakes_raise(log: Logger, every: Any) -> None:
    """
    The number must be a whole number from 1 on.
    """
    with pytest.raises(ValueError, match="every must be an int from 1 on"):
        log.opt(every=every)

"""level_counts: each log record once, whichever way it goes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from otelbridge._call import REPEATS
from otelbridge._logger import Logger, core, logger
from otelbridge._native import now_ns
from tests.native.conftest import Exporting, encoding, untouched

SITE = ("lib", "work", 1, "lib.py", "work")


@pytest.fixture
def log() -> Iterator[Logger]:
    """Nothing is counted yet, and there is neither a sink nor an export."""
    with untouched(logger):
        core.after_fork()
        yield logger
        logger.hold(None)
        logger.set_provider_emitter(None)
        REPEATS._places.clear()
        core.after_fork()


def to_nobody(log: Logger) -> Iterator[None]:
    yield


def to_otlp(log: Logger) -> Iterator[None]:
    for _ in encoding():
        yield


def to_sinks(log: Logger) -> Iterator[None]:
    log.add(lambda _: None, level="TRACE")
    log.add(lambda _: None, level="TRACE", filter=lambda _: False)
    yield


def to_both(log: Logger) -> Iterator[None]:
    log.add(lambda _: None, level="TRACE")
    yield from to_otlp(log)


def to_provider(log: Logger) -> Iterator[None]:
    log.set_provider_emitter(lambda _: None, 5)
    yield


def to_queue(log: Logger) -> Iterator[None]:
    log.add(lambda _: None, level="TRACE", enqueue=True)
    yield


def failing(log: Logger) -> Iterator[None]:
    def fail(_: Any) -> None:
        raise ValueError("no")

    log.add(fail, level="TRACE", catch=True)
    yield


WAYS = [to_otlp, to_sinks, to_both, to_provider, to_queue, failing]


def numbered(record: Any) -> None:
    """A patcher."""
    record["extra"]["n"] = 1


def raised(record: Any) -> None:
    """A patcher that makes a record more, and another one less severe."""
    record["level"] = logger.level("DEBUG" if record["level"].name == "WARNING" else "ERROR")


def each_level(log: Logger) -> None:
    for name in ("trace", "debug", "info", "success", "warning", "critical"):
        getattr(log, name)("text")


def own_level(log: Logger) -> None:
    log.level("AUDIT", no=35)
    for _ in range(2):
        log.log("AUDIT", "text")


def once(log: Logger) -> None:
    for _ in range(3):
        log.opt(once=True).info("text")


def say(log: Logger) -> None:
    try:
        raise ValueError("caught")
    except ValueError:
        log.exception("failed")


# What is logged, and how it counts.
CALLS: dict[str, tuple[Callable[[Logger], object], dict[str, int]]] = {
    "plain": (lambda log: log.info("text {}", 1), {"INFO": 1}),
    "every method": (each_level, dict.fromkeys(("TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "CRITICAL"), 1)),
    "by name": (lambda log: log.log("".join(("WARN", "ING")), "text"), {"WARNING": 1}),
    "by number": (lambda log: log.log(33, "text"), {"Level 33": 1}),
    "own level": (own_level, {"AUDIT": 2}),
    "options": (lambda log: log.opt(depth=0, lazy=True).debug("{}", lambda: 1), {"DEBUG": 1}),
    "exception": (say, {"ERROR": 1}),
    "patched": (lambda log: log.patch(numbered).info("text"), {"INFO": 1}),
    "level patched": (lambda log: log.patch(raised).info("text"), {"ERROR": 1}),
    "not to be formatted": (lambda log: log.info("{missing}", other=1), {"INFO": 1}),
    "no text": (lambda log: log.info({"a": 1}), {"INFO": 1}),
    "secret": (lambda log: log.info("pass {}", 1, password="p"), {"INFO": 1}),
    "line break": (lambda log: log.info("text {}", "a\nb"), {"INFO": 1}),
    "half a character": (lambda log: log.info("text {}", "\ud800"), {"INFO": 1}),
    "foreign": (
        lambda log: log._emit_foreign("INFO", "text", site=SITE, exception=None, extra={}, time_ns=now_ns()),
        {"INFO": 1},
    ),
    "once": (once, {"INFO": 1}),
    "caught": (lambda log: log.catch(lambda: 1 / 0)(), {"ERROR": 1}),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("call", CALLS)
def test_each_record_counts_once(log: Logger, call: str, way: Callable[[Logger], Iterator[None]]) -> None:
    """
    Each kind of call, to OTLP, to sinks, to both, to the user's provider: one record, counted once.
    """
    act, expected = CALLS[call]

    for _ in way(log):
        before = core.level_counts()
        assert before == {}
        act(log)
        counted = core.level_counts()

    assert counted == expected


@pytest.mark.parametrize("call", CALLS)
def test_what_nobody_wants_is_not_counted(log: Logger, call: str) -> None:
    """
    Without an export and without a sink nothing counts.
    """
    CALLS[call][0](log)

    assert core.level_counts() == {}


def test_below_every_level_is_not_counted(log: Logger) -> None:
    """
    A call below the levels of OTLP and of all sinks does not count.
    """
    log.add(lambda _: None, level="WARNING")

    log.info("text")
    log.opt(depth=0).info("text")
    log.patch(raised).warning("lowered")

    assert core.level_counts() == {}


def test_disabled_module_is_not_counted(log: Logger) -> None:
    """
    Calls of a module that was switched off do not count.
    """
    log.add(lambda _: None)
    log.disable(__name__)

    log.info("text")
    log.opt(depth=0).info("text")

    assert core.level_counts() == {}


def test_held_and_forgotten_is_not_counted(log: Logger) -> None:
    """
    What was held for an error that never came was never a record.
    """
    log.add(lambda _: None, level="INFO")

    with log.hold("DEBUG"):
        log.debug("held")

    assert core.level_counts() == {}


def test_held_and_released_counts_once(log: Logger) -> None:
    """
    What an error releases counts once, when it goes out.
    """
    log.add(lambda _: None, level="INFO")

    with log.hold("DEBUG"):
        log.debug("held")
        assert core.level_counts() == {}
        log.error("failed")

    assert core.level_counts() == {"DEBUG": 1, "ERROR": 1}


def test_released_to_others_counts_once(log: Logger) -> None:
    """
    A record that one sink had at once, and that an error releases to another and to OTLP, counted when it was said.
    """
    log.add(lambda _: None, level="TRACE")
    log.add(lambda _: None, level="ERROR")
    for _ in encoding():
        core.set_export("on", 40, 1 << 20)
        with log.hold("DEBUG"):
            log.debug("held")
            assert core.level_counts() == {"DEBUG": 1}
            log.error("failed")
        counted = core.level_counts()

    assert counted == {"DEBUG": 1, "ERROR": 1}


def test_call_that_raises_made_no_record(log: Logger) -> None:
    """
    With format_errors="raise" a message that cannot be formatted does not count.
    """
    log.add(lambda _: None)
    core.set_format_raises(True)
    try:
        with pytest.raises(KeyError):
            log.info("{missing}", other=1)
    finally:
        core.set_format_raises(False)

    assert core.level_counts() == {}


def test_record_that_the_buffer_refuses_counts(exporting: Exporting) -> None:
    """
    A record that finds no room was made: it counts, by either way.
    """
    core.set_export("on", 0, 0)

    exporting.logger.info("text")
    exporting.logger.opt(depth=0).info("text")

    assert core.level_counts() == {"INFO": 2}


def test_names_are_bounded(log: Logger) -> None:
    """
    64 names of the user's are told apart; what further ones have is counted together.
    """
    log.add(lambda _: None, level=0)

    for number in range(60, 130):
        log.log(number, "text")
    log.log(60, "text")
    log.info("text")

    counted = core.level_counts()
    assert len(counted) == 64 + 2
    assert (counted["Level 60"], counted["_OTHER"], counted["INFO"]) == (2, 6, 1)


PROGRAM = """
import ctypes, os
from otelbridge._logger import core, logger
logger.remove()
logger.add(lambda _: None)
logger.info("parent")
logger.log(33, "parent")
c_fork = ctypes.PyDLL(None).fork  # no hook of Python's runs
child = FORK()
if child == 0:
    logger.info("child")
    os.write(1, repr(core.level_counts()).encode())
    os._exit(0)
os.waitpid(child, 0)
print(core.level_counts())
"""


@pytest.mark.parametrize("fork", ["os.fork", "c_fork"])
def test_forked_child_counts_its_own(fork: str) -> None:
    """
    After os.fork, and after a fork in C, the child counts from zero; the parent goes on.
    """
    if not sys.platform.startswith("linux"):
        pytest.skip("a fork in C is noticed on Linux only, and some systems have none")
    command = [sys.executable, "-c", PROGRAM.replace("FORK", fork)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)

    assert (done.stdout, done.stderr) == ("{'INFO': 1}{'INFO': 1, 'Level 33': 1}\n", "")


def test_count_event_takes_events_only() -> None:
    """
    Anything else raises.
    """
    wrong: Any = object()
    with pytest.raises(TypeError):
        core.count_event(wrong)


def test_record_after_shutdown_counts(exporting: Exporting) -> None:
    """
    A record that comes too late for OTLP was made: it counts, by either way.
    """
    core.set_export("shutdown", 0, 1 << 20)

    exporting.logger.info("text")
    exporting.logger.opt(depth=0).info("text")

    assert core.level_counts() == {"INFO": 2}

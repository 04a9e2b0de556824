"""A logging.Handler as a sink gets the LogRecords that loguru gives it."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import loguru
import pytest

from otelbridge import logger
from otelbridge.message import make_message
from otelbridge.sinks.stdlib import StandardSink, is_handling

pytestmark = pytest.mark.covers("1.5")

# When the call was is not the same for both, and pytest may run in a thread of any number.
VARYING = {"created", "msecs", "relativeCreated", "exc_info"}


class Kept(logging.Handler):
    """Keeps records, as they were, and what a formatter makes of them."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.formatted: list[str] = []
        self.calls: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.formatted.append(self.format(record))

    def close(self) -> None:
        self.calls.append("close")
        super().close()


@pytest.fixture(autouse=True)
def _no_handlers() -> Iterator[None]:
    loguru.logger.remove()
    before = logger._family.handlers.active
    logger._family.handlers.active = ()
    yield
    logger._family.handlers.active = before
    logger._family.apply()
    loguru.logger.remove()


def both(call: Callable[[Any], object], **options: Any) -> tuple[Kept, Kept]:
    """What handlers of our logger and of loguru's get of `call(logger)`."""
    results = []
    for each in (logger, loguru.logger):
        kept = Kept()
        number = each.add(kept, format="{message}", backtrace=False, diagnose=False, **options)
        call(each)
        each.remove(number)
        results.append(kept)
    return results[0], results[1]


def attributes(record: logging.LogRecord) -> dict[str, Any]:
    return {name: value for name, value in record.__dict__.items() if name not in VARYING}


def raising(log: Any) -> None:
    try:
        raise ValueError("boo")
    except ValueError:
        log.exception("failed with %s")


def unnamed(log: Any) -> None:
    exec(compile("log.info('nobody')", "<no file>", "exec"), {"log": log})


CALLS: dict[str, Callable[[Any], object]] = {
    "plain": lambda log: log.info("hello %s {}", "braces"),
    "extra": lambda log: log.bind(user="u", name="n", message=1).warning("x"),
    "number": lambda log: log.log(33, "x"),
    "level": lambda log: log.success("x"),
    "trace": lambda log: log.critical("two\nlines"),
    "exception": raising,
    "exception given": lambda log: log.opt(exception=ValueError("given")).info("x"),
    "no exception": lambda log: log.opt(exception=True).info("x"),
    "unnamed": unnamed,
    "depth": lambda log: log.opt(depth=1).info("x"),
    "colors": lambda log: log.opt(colors=True).info("<red>x</red>"),
    "raw": lambda log: log.opt(raw=True).info("raw\n"),
    "patched": lambda log: log.patch(
        lambda record: record.update(name="other", function="f", line=7, message="patched")
    ).info("x"),
}


@pytest.mark.parametrize("name", CALLS)
def test_records_are_loguru_s(name: str) -> None:
    """
    Every attribute of the LogRecord, and what a formatter makes of it, is as loguru's.
    """
    ours, theirs = both(CALLS[name])

    assert [attributes(record) for record in ours.records] == [attributes(record) for record in theirs.records]
    assert ours.formatted == theirs.formatted
    for our, their in zip(ours.records, theirs.records, strict=True):
        assert type(our.msg) is str
        assert (our.exc_info is None) is (their.exc_info is None)
        if our.exc_info is not None and their.exc_info is not None:
            assert type(our.exc_info) is tuple
            assert our.exc_info[0] is their.exc_info[0]


def test_filters_apply_and_the_level_does_not() -> None:
    """
    The handler's own filters are asked; its level is not, as the sink has one.
    """

    def call(log: Any) -> None:
        log.info("kept")
        log.info("filtered")

    results = []
    for each in (logger, loguru.logger):
        kept = Kept()
        kept.setLevel(logging.ERROR)
        kept.addFilter(lambda record: "filtered" not in record.getMessage())
        number = each.add(kept, format="{message}")
        call(each)
        each.remove(number)
        results.append([record.getMessage() for record in kept.records])

    assert results[0] == results[1] == ["kept"]


def test_removal_closes_the_handler() -> None:
    """
    Removing the sink closes the handler, as in loguru.
    """
    ours, theirs = both(lambda log: log.info("x"))

    assert ours.calls == theirs.calls == ["close"]


def test_repr_is_the_handler_s() -> None:
    """
    The sink is shown as the handler shows itself, as in loguru.
    """
    handler = logging.StreamHandler(sys.stdout)
    number = loguru.logger.add(handler)

    assert repr(StandardSink(handler)) in repr(loguru.logger)
    loguru.logger.remove(number)


def test_record_factory_is_used() -> None:
    """
    A LogRecord factory that the program has set makes these records, too, and is given what loguru gives it.
    """
    calls: list[tuple[Any, ...]] = []
    before = logging.getLogRecordFactory()

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        calls.append((*args, kwargs))
        return before(*args, **kwargs)

    logging.setLogRecordFactory(factory)
    try:
        both(lambda log: log.info("x"))
    finally:
        logging.setLogRecordFactory(before)

    assert calls[0] == calls[1]


def test_time_and_thread_are_the_call_s() -> None:
    """
    A record says when and on which thread the call was, also if another thread gives it to the handler later.
    """
    messages: list[Any] = []
    number = logger.add(messages.append, format="{message}")
    logger.info("x")
    logger.remove(number)
    kept = Kept()
    sink = StandardSink(kept)

    thread = threading.Thread(target=lambda: sink.write(messages[0]), name="another")
    thread.start()
    thread.join()

    record = kept.records[0]
    assert record.created == messages[0].record["time"].timestamp()
    assert record.msecs == messages[0].record["time"].microsecond // 1000
    assert (record.thread, record.threadName) == (threading.get_ident(), threading.current_thread().name)


def test_text_goes_through_a_stream_handler(capsys: pytest.CaptureFixture[str]) -> None:
    """
    A StreamHandler prints each message on one line, and a traceback once.
    """
    target = io.StringIO()
    number = logger.add(logging.StreamHandler(target), format="{level} {message}", backtrace=False, diagnose=False)

    logger.info("one")
    raising(logger)
    logger.remove(number)

    lines = target.getvalue().splitlines()
    assert lines[:2] == ["INFO one", "ERROR failed with %s"]
    assert lines.count("ValueError: boo") == 1


def test_handling_is_known_to_the_thread() -> None:
    """
    While a handler has a record of ours, its thread knows; so a bridge does not take that record in again.
    """
    seen: list[bool] = []

    class Nested(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(is_handling())
            if len(seen) == 1:
                StandardSink(self).write(message)
                seen.append(is_handling())

    messages: list[Any] = []
    number = logger.add(messages.append)
    logger.info("x")
    logger.remove(number)
    message = make_message("x", messages[0].record)

    StandardSink(Nested()).write(message)

    assert seen == [True, True, True]
    assert not is_handling()

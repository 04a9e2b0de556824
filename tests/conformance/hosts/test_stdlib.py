"""stdlib logging and warnings, both ways, by the documentation's recipes."""

from __future__ import annotations

import inspect
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest


class Kept:
    def __init__(self) -> None:
        self.records: list[Any] = []

    def __call__(self, message: Any) -> None:
        self.records.append(message.record)

    @property
    def messages(self) -> list[str]:
        return [record["message"] for record in self.records]


@pytest.fixture
def kept(logger: Any) -> Kept:
    made = Kept()
    logger.add(made, level=0, catch=False)
    return made


@pytest.fixture
def source() -> Iterator[logging.Logger]:
    """A stdlib logger of our own that takes everything, and nobody else hears."""
    found = logging.getLogger("conformance.source")
    found.setLevel(1)
    found.propagate = False
    yield found
    found.handlers.clear()


def intercept(logger: Any) -> logging.Handler:
    """The recipe that sends stdlib records to the logger, from the place of the stdlib call."""

    class InterceptHandler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            try:
                level: str | int = logger.level(record.levelname).name
            except ValueError:
                level = record.levelno
            frame, depth = inspect.currentframe(), 0
            while frame and (depth == 0 or frame.f_code.co_filename == logging.__file__):
                frame = frame.f_back
                depth += 1
            logger.opt(depth=depth, exception=record.exc_info).log(level, record.getMessage())

    return InterceptHandler()


@pytest.mark.covers("1.26", note="the recipe")
@pytest.mark.parametrize(
    ("no", "name"), [(10, "DEBUG"), (20, "INFO"), (30, "WARNING"), (40, "ERROR"), (50, "CRITICAL"), (33, "Level 33")]
)
def test_intercepted(logger: Any, kept: Kept, source: logging.Logger, no: int, name: str) -> None:
    """
    An intercepted record has its level, its message and its place.
    """
    source.addHandler(intercept(logger))

    source.log(no, "hello %s {}", "you")
    (record,) = kept.records

    assert (record["level"].name, record["level"].no) == (name, no)
    assert record["message"] == "hello you {}"
    assert record["function"] == "test_intercepted"
    assert record["name"] == __name__
    assert record["file"].path == __file__


@pytest.mark.covers("1.26", note="the recipe")
def test_intercepted_exception(logger: Any, kept: Kept, source: logging.Logger) -> None:
    """
    An intercepted record keeps its exception.
    """
    source.addHandler(intercept(logger))

    try:
        raise ValueError("v")
    except ValueError:
        source.exception("m")
    (record,) = kept.records

    assert record["exception"].type is ValueError
    assert record["exception"].traceback is not None
    assert record["level"].name == "ERROR"


@pytest.mark.covers("1.26", note="the recipe")
def test_intercepted_named_level(logger: Any, kept: Kept, source: logging.Logger) -> None:
    """
    A level that both sides know by name keeps it.
    """
    logging.addLevelName(25, "SUCCESS")
    source.addHandler(intercept(logger))
    try:
        source.log(25, "m")
    finally:
        logging.addLevelName(25, "Level 25")

    assert kept.records[0]["level"].name == "SUCCESS"
    assert kept.records[0]["level"].icon == "✅"


@pytest.mark.covers("1.26", note="the recipe")
def test_intercepted_from_a_helper(logger: Any, kept: Kept, source: logging.Logger) -> None:
    """
    `stacklevel` of the stdlib call does not disturb the recipe: the place is that of the call.
    """
    source.addHandler(intercept(logger))

    def helper() -> None:
        source.info("m")

    helper()

    assert kept.records[0]["function"] == "helper"


@pytest.mark.covers("1.26", note="the recipe")
def test_root_is_intercepted(run: Any) -> None:
    """
    `basicConfig(handlers=[InterceptHandler()], level=0, force=True)` sends the whole program's records to the logger.
    """
    done = run("""
        import inspect, logging, sys
        class InterceptHandler(logging.Handler):
            def emit(self, record):
                try:
                    level = logger.level(record.levelname).name
                except ValueError:
                    level = record.levelno
                frame, depth = inspect.currentframe(), 0
                while frame and (depth == 0 or frame.f_code.co_filename == logging.__file__):
                    frame = frame.f_back
                    depth += 1
                logger.opt(depth=depth, exception=record.exc_info).log(level, record.getMessage())
        logger.remove()
        logger.add(sys.stdout, format="{level} {name}:{function} {message}")
        logging.basicConfig(handlers=[InterceptHandler()], level=0, force=True)
        def work():
            logging.getLogger("some.library").debug("one %d", 1)
            logging.warning("two")
        work()
        """)

    assert done.stdout == "DEBUG __main__:work one 1\nWARNING __main__:work two\n"


class PropagateHandler(logging.Handler):
    """The recipe that sends records to stdlib."""

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger(record.name).handle(record)


@pytest.mark.covers("1.5", note="the recipe")
def test_propagated(logger: Any, caplog: pytest.LogCaptureFixture) -> None:
    """
    A propagated record reaches stdlib's handlers with its level, name, place and extra: pytest's `caplog` sees it.
    """
    logger.add(PropagateHandler(), format="{message}")

    with caplog.at_level(0):
        logger.bind(a=1).warning("hello {}", "you")
    (record,) = caplog.records

    assert record.getMessage() == "hello you"
    assert (record.levelname, record.levelno, record.name) == ("WARNING", 30, __name__)
    assert record.funcName == "test_propagated"
    assert record.extra == {"a": 1}  # type: ignore[attr-defined]
    assert caplog.text.endswith("hello you\n")


@pytest.mark.covers("1.5", note="the recipe")
def test_caplog_recipe(logger: Any, caplog: pytest.LogCaptureFixture) -> None:
    """
    The recipe for pytest: `caplog.handler` as a sink, with the handler's level as a filter.
    """
    logger.add(
        caplog.handler,
        format="{message}",
        level=0,
        filter=lambda record: record["level"].no >= caplog.handler.level,
        enqueue=False,
    )
    caplog.handler.setLevel(logging.WARNING)

    logger.info("no")
    logger.error("yes")

    assert caplog.messages == ["yes"]


@pytest.mark.covers("1.5", note="the recipe")
def test_propagated_respects_stdlib_levels(logger: Any, source: logging.Logger) -> None:
    """
    Stdlib's logger of the record's name decides with its filters.
    """
    heard: list[str] = []

    class Hearing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    source.addHandler(Hearing())
    source.addFilter(lambda record: "no" not in record.getMessage())
    logger.add(PropagateHandler(), format="{message}")
    try:
        renamed = logger.patch(lambda record: record.update(name=source.name))
        renamed.info("yes")
        renamed.info("no")
    finally:
        source.filters.clear()

    assert heard == ["yes"]


@pytest.mark.covers("1.5", note="the recipe")
def test_warnings(logger: Any, kept: Kept) -> None:
    """
    The recipe for warnings: a `showwarning` that logs, with its place.
    """
    shown = warnings.showwarning

    def show(message: Any, *args: Any, **kwargs: Any) -> None:
        logger.opt(depth=2).warning(message)

    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = show
        try:
            warnings.warn("careful {}", UserWarning, stacklevel=1)
        finally:
            warnings.showwarning = shown

    assert kept.messages == ["careful {}"] or str(kept.messages[0]) == "careful {}"
    assert kept.records[0]["level"].name == "WARNING"
    assert kept.records[0]["function"] == "test_warnings"


@pytest.mark.covers("1.5", note="the recipe")
def test_redirected_stdout(logger: Any, kept: Kept, capsys: pytest.CaptureFixture[str]) -> None:
    """
    The recipe for streams: what is printed is logged line by line, with the place of the print.
    """
    import contextlib
    import sys

    class StreamToLogger:
        def write(self, buffer: str) -> None:
            for line in buffer.rstrip().splitlines():
                logger.opt(depth=1).log("INFO", line.rstrip())

        def flush(self) -> None:
            pass

    logger.add(sys.__stdout__, filter=lambda record: False)
    with contextlib.redirect_stdout(StreamToLogger()):  # type: ignore[type-var]
        print("one\ntwo")  # noqa: T201
        print("three {}")  # noqa: T201

    assert kept.messages == ["one", "two", "three {}"]
    assert {record["function"] for record in kept.records} == {"test_redirected_stdout"}


@pytest.mark.covers("1.26", note="the recipe")
def test_logging_names_are_loguru_names(logger: Any, kept: Kept) -> None:
    """
    Stdlib's level numbers may be used in `log()`.
    """
    for no in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        logger.log(no, "m")

    assert [record["level"].no for record in kept.records] == [10, 20, 30, 40, 50]
    assert {record["level"].name for record in kept.records} == {f"Level {no}" for no in (10, 20, 30, 40, 50)}

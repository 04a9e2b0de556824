"""Logging where nobody should: sinks, destructors, signal handlers, exit handlers. Nothing hangs."""

from __future__ import annotations

import gc
import os
import signal
import threading
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(60)

AVOIDED = "deadlock avoided"


@pytest.mark.covers("1.5")
def test_sink_that_logs(logger: Any) -> None:
    """
    A call inside of a sink raises a RuntimeError instead of waiting for itself for ever.
    """
    lines: list[str] = []

    def sink(message: str) -> None:
        lines.append(message)
        logger.info("nested")

    logger.add(sink, format="{message}", catch=False)

    with pytest.raises(RuntimeError, match=AVOIDED):
        logger.info("a")

    assert lines == ["a\n"]


@pytest.mark.covers("1.5")
def test_sink_that_logs_caught(logger: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """
    With `catch=True` the nested call is reported on stderr, and the sink goes on.
    """
    lines: list[str] = []

    def sink(message: str) -> None:
        lines.append(message)
        if message == "a\n":
            logger.info("nested")
            lines.append("reached")

    logger.add(sink, format="{message}")

    logger.info("a")
    logger.info("b")

    assert lines == ["a\n", "reached", "b\n"]
    assert AVOIDED in capsys.readouterr().err


@pytest.mark.covers("1.5")
def test_error_is_the_sinks_to_catch(logger: Any) -> None:
    """
    A sink may catch the RuntimeError of its nested call, and go on.
    """
    lines: list[str] = []

    def sink(message: str) -> None:
        try:
            logger.info("nested")
        except RuntimeError:
            lines.append(message)

    logger.add(sink, format="{message}", catch=False)

    logger.info("a")

    assert lines == ["a\n"]


@pytest.mark.covers("1.5")
@pytest.mark.parametrize("method", ["complete", "remove"])
def test_sink_that_completes_or_removes(logger: Any, method: str) -> None:
    """
    Completing and removing inside of a sink raise the RuntimeError too.
    """
    logger.add(lambda message: getattr(logger, method)(), catch=False)

    with pytest.raises(RuntimeError, match=AVOIDED):
        logger.info("a")


@pytest.mark.covers("1.5")
@pytest.mark.parametrize("where", ["filter", "format", "patcher", "argument", "extra"])
def test_logging_before_the_sink(logger: Any, where: str) -> None:
    """
    Filters, formats, patchers and the `str` of values may log: no sink is running yet.
    """
    lines: list[str] = []

    def log_once(record: Any) -> bool:
        if record["message"] == "outer":
            logger.info("inner")
        return True

    class Value:
        def __str__(self) -> str:
            logger.info("inner")
            return "outer"

        __repr__ = __str__

    def template(record: Any) -> str:
        if where == "format":
            log_once(record)
        return "{message}\n"

    logger.add(
        lines.append,
        format="{extra[value]!s:.0}{message}" if where == "extra" else template,
        filter=log_once if where == "filter" else None,
        catch=False,
    )
    if where == "patcher":
        logger.patch(log_once).info("outer")
    elif where == "argument":
        logger.info("{}", Value())
    elif where == "extra":
        logger.configure(extra={"value": ""})
        logger.bind(value=Value()).info("outer")
    else:
        logger.info("outer")

    assert lines == ["inner\n", "outer\n"]


@pytest.mark.covers("1.5")
def test_stop_may_log(logger: Any) -> None:
    """
    A sink's `stop` may log: its handler is gone by then.
    """
    lines: list[str] = []

    class Stream:
        def write(self, message: str) -> None:
            raise AssertionError

        def stop(self) -> None:
            logger.info("stopping")

    number = logger.add(Stream(), catch=False)
    logger.add(lines.append, format="{message}")

    logger.remove(number)

    assert lines == ["stopping\n"]


@pytest.mark.covers("1.5")
def test_destructor_outside_of_a_sink(logger: Any) -> None:
    """
    A destructor logs like any other code.
    """
    lines: list[str] = []
    logger.add(lines.append, format="{message}", catch=False)

    class Dying:
        def __del__(self) -> None:
            logger.info("gone")

    dying = Dying()
    del dying

    assert lines == ["gone\n"]


@pytest.mark.covers("1.5")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_destructor_inside_of_a_sink(logger: Any) -> None:
    """
    A destructor that runs inside of a sink neither hangs nor costs the message that is being written.
    """
    lines: list[str] = []

    class Dying:
        def __del__(self) -> None:
            logger.info("gone")

    def sink(message: str) -> None:
        dying = Dying()
        del dying
        lines.append(message)

    logger.add(sink, format="{message}")

    logger.info("a")
    logger.info("b")

    assert lines == ["a\n", "b\n"]


@pytest.mark.covers("1.5")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_garbage_collection_inside_of_a_sink(logger: Any) -> None:
    """
    A collection inside of a sink, whose destructors log, neither hangs nor costs a message.
    """
    lines: list[str] = []

    class Node:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            logger.info("collected")

    def sink(message: str) -> None:
        gc.collect()
        lines.append(message)

    number = logger.add(sink, format="{message}")
    Node()
    logger.info("a")
    logger.remove(number)

    assert lines == ["a\n"]


needs_signals = pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has no SIGUSR1")


@pytest.mark.covers("1.5")
@needs_signals
def test_signal_handler(logger: Any) -> None:
    """
    A signal handler that runs between two calls logs like any other code.
    """
    lines: list[str] = []
    logger.add(lines.append, format="{message}", catch=False)
    before = signal.signal(signal.SIGUSR1, lambda number, frame: logger.info("signal"))
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    logger.info("after")

    assert lines == ["signal\n", "after\n"]


@pytest.mark.covers("1.5")
@needs_signals
def test_signal_handler_inside_of_a_sink(logger: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """
    A signal handler that interrupts a sink gets the RuntimeError, and does not hang.
    """
    lines: list[str] = []
    errors: list[str] = []

    def handle(number: int, frame: Any) -> None:
        try:
            logger.info("signal")
        except RuntimeError as error:
            errors.append(str(error))

    def sink(message: str) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)
        for _ in range(10):
            pass
        lines.append(message)

    logger.add(sink, format="{message}", catch=False)
    before = signal.signal(signal.SIGUSR1, handle)
    try:
        logger.info("a")
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert lines == ["a\n"]
    assert [AVOIDED in error for error in errors] == [True]


@pytest.mark.covers("1.5")
def test_two_loggers_that_log_to_each_other(logger: Any) -> None:
    """
    A sink that hands its message to stdlib logging, which is intercepted back, is stopped by the RuntimeError.
    """
    import logging

    class Intercept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logger.log(record.levelname, record.getMessage())

    source = logging.getLogger("conformance.loop")
    source.propagate = False
    source.setLevel(1)
    source.addHandler(Intercept())
    logger.add(lambda message: source.info("back"), format="{message}", catch=False)
    try:
        with pytest.raises(RuntimeError, match=AVOIDED):
            logger.info("a")
    finally:
        source.handlers.clear()


@pytest.mark.covers("1.5")
def test_another_thread_waits_for_the_sink(logger: Any) -> None:
    """
    A call in another thread waits while a sink writes, and is written afterwards: no error, nothing lost.
    """
    lines: list[str] = []
    inside, go_on = threading.Event(), threading.Event()

    def sink(message: str) -> None:
        if message == "first\n":
            inside.set()
            assert go_on.wait(30)
        lines.append(message)

    logger.add(sink, format="{message}", catch=False)
    first = threading.Thread(target=logger.info, args=("first",))
    second = threading.Thread(target=logger.info, args=("second",))
    first.start()
    assert inside.wait(30)
    second.start()
    go_on.set()
    first.join()
    second.join()

    assert lines == ["first\n", "second\n"]


@pytest.mark.covers("1.5")
def test_thread_started_by_a_sink(logger: Any) -> None:
    """
    A thread that a sink starts and does not wait for may log.
    """
    lines: list[str] = []
    threads: list[threading.Thread] = []

    def sink(message: str) -> None:
        lines.append(message)
        if message == "a\n":
            threads.append(threading.Thread(target=logger.info, args=("from a thread",)))
            threads[0].start()

    logger.add(sink, format="{message}", catch=False)

    logger.info("a")
    threads[0].join()

    assert lines == ["a\n", "from a thread\n"]


@pytest.mark.covers("1.6")
def test_removed_by_another_thread_while_it_writes(logger: Any) -> None:
    """
    A handler that another thread removes while its sink writes is stopped after the write.
    """
    calls: list[str] = []
    inside, go_on = threading.Event(), threading.Event()

    class Stream:
        def write(self, message: str) -> None:
            inside.set()
            assert go_on.wait(30)
            calls.append(message)

        def stop(self) -> None:
            calls.append("stop")

    number = logger.add(Stream(), format="{message}", catch=False)
    writer = threading.Thread(target=logger.info, args=("a",))
    writer.start()
    assert inside.wait(30)
    remover = threading.Thread(target=logger.remove, args=(number,))
    remover.start()
    go_on.set()
    writer.join()
    remover.join()

    assert calls == ["a\n", "stop"]

"""`add(enqueue=True)` and AsyncSink, asked as a user does: through the logger."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otelbridge import logger
from otelbridge.sinks.asynchronous import AsyncSink

pytestmark = [
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
    pytest.mark.covers("1.16"),
]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.fixture(autouse=True)
def _no_other_handlers() -> Iterator[None]:
    handlers = logger._family.handlers
    before, handlers.active = handlers.active, ()
    yield
    logger.remove()
    handlers.active = before
    logger._family.apply()


def test_any_object_is_logged() -> None:
    """
    A message with an extra that cannot be pickled, and an exception with its traceback, reach the sink as they were.
    """
    messages: list[Any] = []
    logger.add(messages.append, enqueue=True)
    value = lambda: None  # noqa: E731

    try:
        raise ValueError("boo")
    except ValueError as error:
        logger.bind(value=value).exception("x")
        caught = error
    logger.complete()

    assert messages[0].record["extra"]["value"] is value
    assert messages[0].record["exception"].value is caught
    assert messages[0].record["thread"].id == threading.get_ident()


def test_sink_s_errors_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    """
    What an enqueued sink raises is told on stderr, once for a row of them, and costs no other message.
    """
    texts: list[str] = []

    def sink(message: Any) -> None:
        if "bad" in message:
            raise ValueError("sink is ill")
        texts.append(str(message))

    logger.add(sink, enqueue=True, format="{message}", catch=False)
    for text in ("one", "bad", "two"):
        logger.info(text)
    logger.complete()

    assert texts == ["one\n", "two\n"]
    assert "ValueError: sink is ill" in capsys.readouterr().err


def test_sink_that_logs_and_completes() -> None:
    """
    An enqueued sink may log, complete and remove itself without waiting for itself.
    """
    texts: list[str] = []
    over = threading.Event()

    def sink(message: Any) -> None:
        texts.append(str(message))
        if message == "first\n":
            logger.info("second")
            logger.complete()
        else:
            logger.remove(number)
            over.set()

    number = logger.add(sink, enqueue=True, format="{message}")
    logger.info("first")

    assert over.wait(60)
    assert texts == ["first\n", "second\n"]


@needs_fork
def test_forked_child_logs_through_the_parent() -> None:
    """
    os.fork alone is enough: what the child logs is written by the parent, with the child's process id in its record.
    """
    messages: list[Any] = []
    logger.add(messages.append, enqueue=True, format="{message}")
    logger.info("parent")

    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            logger.bind(value=lambda: None).info("child")
            logger.complete()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    logger.complete()

    assert [str(each) for each in messages] == ["parent\n", "child\n"]
    assert messages[1].record["process"].id == pid


@needs_fork
def test_threads_log_while_processes_fork() -> None:
    """
    With threads that never stop logging, each of 30 forked children logs, and everything arrives.
    """
    messages: list[Any] = []
    logger.add(messages.append, enqueue=True, format="{message}")
    is_over = threading.Event()
    counts = [0, 0]

    def log(index: int) -> None:
        while not is_over.wait(0.0005):
            logger.info("thread {}", index)
            counts[index] += 1

    threads = [threading.Thread(target=log, args=(index,)) for index in range(2)]
    for thread in threads:
        thread.start()
    pids = []
    for number in range(30):
        pid = os.fork()
        if pid == 0:
            try:
                logger.info("child {}", number)
                logger.complete()
            finally:
                os._exit(0)
        pids.append(pid)
    for pid in pids:
        os.waitpid(pid, 0)
    is_over.set()
    for thread in threads:
        thread.join()
    logger.complete()

    texts = [str(each) for each in messages]
    assert sorted(text for text in texts if text.startswith("child")) == sorted(f"child {n}\n" for n in range(30))
    assert [texts.count(f"thread {index}\n") for index in range(2)] == counts


def _work(log: Any, name: str) -> None:
    log.info("from {}", name)
    log.complete()


@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_logger_as_an_argument(method: str) -> None:
    """
    A process that is given the logger writes through the one that has the sink, whatever starts it and the sink is.
    """
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    messages: list[Any] = []
    logger.add(lambda message: messages.append(message), enqueue=True, format="{message}")
    context: Any = multiprocessing.get_context(method)

    process = context.Process(target=_work, args=(logger, method))
    process.start()
    process.join()
    logger.complete()

    assert process.exitcode == 0
    assert [str(each) for each in messages] == [f"from {method}\n"]


@pytest.mark.parametrize("how", ["enqueue", "AsyncSink"])
def test_everything_is_written_at_exit(how: str, tmp_path: Path) -> None:
    """
    A program that ends without complete() loses nothing.
    """
    path = tmp_path / "log"
    program = f"""
from otelbridge import logger
from otelbridge.sinks.asynchronous import AsyncSink
logger.remove()
if {how!r} == "enqueue":
    logger.add({str(path)!r}, enqueue=True, format="{{message}}")
else:
    logger.add(AsyncSink({str(path)!r}), format="{{message}}")
for number in range(3000):
    logger.info("{{}}", number)
"""

    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)

    assert path.read_text().splitlines() == [str(number) for number in range(3000)]


def test_async_sink_keeps_order_and_blocks(tmp_path: Path) -> None:
    """
    AsyncSink writes in order to any kind of sink, and a full buffer lets its caller wait instead of losing messages.
    """
    texts: list[str] = []
    entered, opened = threading.Event(), threading.Event()
    went_on: list[int] = []

    def slow(message: Any) -> None:
        entered.set()
        assert opened.wait(60)
        texts.append(str(message))

    logger.add(AsyncSink(slow, buffer_size=2), format="{message}")
    path = tmp_path / "app.log"
    logger.add(AsyncSink(path), format="{message}")

    def log() -> None:
        for number in range(6):
            logger.info("{}", number)
            went_on.append(number)

    thread = threading.Thread(target=log)
    thread.start()
    assert entered.wait(60)
    thread.join(0.2)
    blocked_at = len(went_on)
    opened.set()
    thread.join()
    logger.complete()

    assert blocked_at < 6
    assert texts == [f"{number}\n" for number in range(6)]
    assert path.read_text() == "".join(texts)


def test_complete_is_awaitable() -> None:
    """
    `await logger.complete()` waits for queues and for coroutine sinks, enqueued or not.
    """
    texts: list[str] = []

    async def sink(message: Any) -> None:
        await asyncio.sleep(0.001)
        texts.append(str(message))

    async def main() -> None:
        logger.add(sink, format="plain {message}")
        logger.add(sink, format="queued {message}", enqueue=True)
        logger.add(AsyncSink(lambda message: texts.append(str(message))), format="async {message}")
        logger.info("x")
        await logger.complete()

    asyncio.run(main())

    assert sorted(texts) == ["async x\n", "plain x\n", "queued x\n"]

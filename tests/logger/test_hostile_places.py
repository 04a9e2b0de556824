"""Logging where nobody should: destructors, signal handlers, the garbage collector, forks, dying interpreters."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from otelbridge._logger import Logger
from tests.logger.conftest import Exporting, Lines
from tests.native.oracle import attributes_of, parse

# Python 3.12 and later warn of each fork in a program with threads, which is what is tested here.
PYTHON = (sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c")

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
pytestmark = pytest.mark.timeout(60)


class Dying:
    """Logs when it goes."""

    def __init__(self, log: Logger) -> None:
        self.log = log
        self.me: Any = None

    def __del__(self) -> None:
        self.log.info("gone {}", 1)


def test_destructor(exporting: Exporting, lines: Lines) -> None:
    """
    A record is made from `__del__`, by reference count and by the garbage collector.
    """
    Dying(exporting.logger)
    looped = Dying(exporting.logger)
    looped.me = looped
    del looped
    gc.collect()

    assert [parse(record).body.string_value for record in exporting.take()] == ["gone 1"] * 2
    assert lines.messages() == ["gone 1"] * 2


def test_destructor_of_an_argument(exporting: Exporting) -> None:
    """
    An argument whose last reference is the call's own logs when it goes, after the record that it is in.
    """

    class Argument(Dying):
        def __str__(self) -> str:
            return "argument"

    exporting.logger.info("{}", Argument(exporting.logger), other=Argument(exporting.logger))

    assert [parse(record).body.string_value for record in exporting.take()] == ["argument", "gone 1", "gone 1"]


def test_garbage_collection_during_every_call(exporting: Exporting) -> None:
    """
    With a collection at nearly every allocation, whose destructors log, every record is there and parses.
    """
    log = exporting.logger
    threshold = gc.get_threshold()

    class Node:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            log.bind(a=[1]).info("node {}", self.__class__)

    gc.collect()
    gc.set_threshold(1, 1, 1)
    try:
        for i in range(200):
            Node()
            log.info("text {} {name}", [i], name={"a": Node.__name__})
    finally:
        gc.set_threshold(*threshold)
    gc.collect()

    texts = [parse(record).body.string_value for record in exporting.take()]
    assert sum(text.startswith("node") for text in texts) == 200
    assert sum(text.startswith("text") for text in texts) == 200
    assert exporting.dropped() == 0


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")
def test_signal_handler(exporting: Exporting, stderr: Callable[[], str]) -> None:
    """
    A signal handler that logs, also in the middle of a sink's write, neither hangs nor raises nor loses a record.
    """
    log = exporting.logger
    count = 0

    def handle(_signal: int, _frame: object) -> None:
        nonlocal count
        count += 1
        log.bind(n=count).info("signal {}", count)

    number = log.add(lambda _: sum(range(200)))
    before = signal.signal(signal.SIGVTALRM, handle)
    signal.setitimer(signal.ITIMER_VIRTUAL, 0.001, 0.001)
    logged = 0
    try:
        while count < 100:
            log.info("text {}", logged)
            logged += 1
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
        log.remove(number)

    texts = [parse(record).body.string_value for record in exporting.take()]
    assert sum(text.startswith("text") for text in texts) == logged
    assert sum(text.startswith("signal") for text in texts) == count
    assert exporting.dropped() == 0


def test_argument_that_logs_itself_for_ever(exporting: Exporting) -> None:
    """
    Endless recursion ends as Python ends it, in each record's format error, and the program goes on.
    """

    class Endless:
        def __format__(self, spec: str) -> str:
            exporting.logger.info("{}", self)
            return "text"

    exporting.logger.info("{}", Endless())
    exporting.logger.info("after")

    records = list(map(parse, exporting.take()))
    assert attributes_of(records[0])["otelbridge.format_error"].startswith("RecursionError")
    assert records[-1].body.string_value == "after"


def test_interpreter_that_is_going_down() -> None:
    """
    Destructors, atexit functions and daemon threads that log while Python finishes leave exit code 0 and no traceback.
    """
    program = """
import atexit, threading, time
from otelbridge import logger
class Last:
    def __del__(self): logger.info("destructor {}", 1)
last = Last(); last.me = last
atexit.register(lambda: logger.info("atexit"))
def work():
    while True: logger.debug("thread {}", 1)
threading.Thread(target=work, daemon=True).start()
time.sleep(0.05)
"""

    done = subprocess.run([*PYTHON, program], capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "atexit" in done.stderr


@needs_fork
def test_child_of_busy_threads_logs() -> None:
    """
    While threads log to a sink, 100 forks: each child logs to the same sink, and none hangs.
    """
    program = """
import os, signal, sys, threading
from otelbridge import logger
logger.remove()
logger.add(sys.stderr, format="{message}")
logger.add(lambda message: sum(range(50)))
stop = False
def work():
    while not stop: logger.info("parent " + "x" * 500)
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
failed = 0
for i in range(100):
    child = os.fork()
    if child == 0:
        signal.alarm(5)
        logger.info("child")
        os._exit(0)
    failed += os.waitpid(child, 0)[1] != 0
stop = True
for thread in threads: thread.join()
print("failed", failed)
"""

    done = subprocess.run([*PYTHON, program], capture_output=True, text=True, timeout=50, check=True)

    assert done.stdout == "failed 0\n"
    assert done.stderr.count("child\n") == 100


@needs_fork
def test_sink_that_is_stuck_does_not_stop_a_fork(tmp_path: Any) -> None:
    """
    A fork waits a moment for a write that hangs; the child then does without that sink, and uses the others.
    """
    program = """
import os, signal, sys, threading, time
from otelbridge import logger
logger.remove()
entered, leave = threading.Event(), threading.Event()
def stuck(message):
    entered.set()
    leave.wait()
logger.add(stuck)
logger.add(sys.stdout, format="{message}")
thread = threading.Thread(target=logger.info, args=("parent",))
thread.start()
entered.wait()
begin = time.monotonic()
child = os.fork()
if child == 0:
    signal.alarm(5)
    logger.info("child")
    os._exit(0)
status = os.waitpid(child, 0)[1]
leave.set()
thread.join()
logger.info("parent again")
sys.exit(status or time.monotonic() - begin > 4)
"""

    done = subprocess.run([*PYTHON, program], capture_output=True, text=True, timeout=30, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.split("\n")) == ["", "child", "parent", "parent again"]


@needs_fork
def test_fork_from_within_a_sink() -> None:
    """
    A sink that forks gets a child that logs on, and the parent's write ends as usual.
    """
    program = """
import os, signal, sys
from otelbridge import logger
logger.remove()
children = []
def sink(message):
    if "fork" not in message: return
    child = os.fork()
    if child == 0:
        signal.alarm(5)
        os.write(1, b"child writes on\\n")
    else:
        children.append(child)
logger.add(sink)
logger.info("fork")
logger.info("go on")
if not children: os._exit(0)
sys.exit(os.waitpid(children[0], 0)[1])
"""

    done = subprocess.run([*PYTHON, program], capture_output=True, text=True, timeout=30, check=False)

    assert (done.returncode, done.stderr, done.stdout) == (0, "", "child writes on\n")

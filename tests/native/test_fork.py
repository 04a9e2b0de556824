"""Forks: what waits is the parent's to send, and the child starts from nothing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

# Python 3.12 and later warn of each fork in a program with threads, which is what is tested here.
PYTHON = (sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c")

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

PROGRAM = """
import ctypes, os, sys, threading
from otelbridge._logger import core, logger
logger.remove()
core.set_export("on", 0, 1 << 20)
woken = []
core.set_wake(lambda: woken.append(os.getpid()), 1 << 40, 1 << 40)
for i in range(5): logger.info("parent {}", i)
c_fork = ctypes.PyDLL(None).fork  # no hook of Python's runs
child = FORK()
if child == 0:
    found = []
    try:
        FIRST
        found.append(core.counters()[:3] == (COUNT, COUNT, core.counters()[2]))
        found.append(b"parent" not in (core.take(b"", b"", 1 << 20, 100) or (b"",))[0])
        logger.info("child")
        request, count = core.take(b"", b"", 1 << 20, 100)
        found += [count == 1, b"child" in request, b"parent" not in request, woken.count(os.getpid()) == 1]
        grandchild = FORK()
        if grandchild == 0:
            os._exit(0 if core.counters()[0] == 0 else 9)
        found.append(os.waitpid(grandchild, 0)[1] == 0)
        found.append(core.counters()[0] == 1 + COUNT)
    except BaseException as error:
        os.write(2, repr(error).encode())
    os._exit(0 if len(found) == 8 and all(found) else (os.write(2, repr(found).encode()) and 1))
status = os.waitpid(child, 0)[1]
print(status, core.counters()[0], core.take(b"", b"", 1 << 20, 100)[1], woken == [os.getpid()])
"""


@pytest.mark.parametrize("first", ["log", "count", "take"])
@pytest.mark.parametrize("fork", ["os.fork", "c_fork"])
def test_child_forgets_what_waits(fork: str, first: str) -> None:
    """
    After os.fork, and after a fork in C that Python's hooks never see, the child's buffer and counters are empty, its
    first record wakes delivery anew, and the parent loses nothing.
    """
    if fork == "c_fork" and not sys.platform.startswith("linux"):
        pytest.skip("noticed on Linux only")
    opening, count = {
        "log": ("logger.info('first')", "1"),
        "count": ("pass", "0"),
        "take": ("core.take(b'', b'', 1, 1)", "0"),
    }[first]
    program = PROGRAM.replace("FORK", fork).replace("FIRST", opening).replace("COUNT", count)

    done = subprocess.run([*PYTHON, program], capture_output=True, text=True, timeout=30, check=True)

    assert (done.stdout, done.stderr) == ("0 5 5 True\n", "")


def test_fork_in_a_threaded_program() -> None:
    """
    Forks while four threads log to OTLP: each child logs, and its record alone is in its buffer.
    """
    program = """
import os, signal, threading
from otelbridge._logger import core, logger
logger.remove()
core.set_export("on", 0, 1 << 22)
stop = False
class Slow:
    def __str__(self): return "shown"
def work():
    while not stop: logger.info("parent {}", 1, value=Slow())
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
failed = 0
for i in range(40):
    child = os.fork()
    if child == 0:
        signal.alarm(5)
        logger.bind(a=1).info("child")
        request, count = core.take(b"", b"", 1 << 20, 10)
        os._exit(0 if count == 1 and b"child" in request and b"parent" not in request else 1)
    failed += os.waitpid(child, 0)[1] != 0
    core.take(b"", b"", 1 << 22, 1 << 30)
stop = True
for thread in threads: thread.join()
print("failed", failed)
"""

    done = subprocess.run([*PYTHON, program], capture_output=True, text=True, timeout=60, check=True)

    assert (done.stdout, done.stderr) == ("failed 0\n", "")

"""The end of a program: queues are drained, sinks stopped, and nothing hangs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(90)

HEAD = """
import atexit, os, sys, threading, time
logger.remove()

class Stream:
    def write(self, message):
        time.sleep(0.001)
        os.write(1, message.encode())
    def stop(self):
        os.write(1, b"stop\\n")
"""


def program(text: str) -> str:
    import textwrap

    return HEAD + textwrap.dedent(text)


@pytest.mark.covers("1.16", note="1.32")
@pytest.mark.parametrize(
    ("end", "code"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("raise ValueError('end')", 1),
        ("threading.Thread(target=lambda: [logger.info('{}', n) for n in range(50, 60)]).start()", 0),
    ],
    ids=["end", "exit", "error", "thread"],
)
def test_queue_is_drained(run: Any, end: str, code: int) -> None:
    """
    However a program ends: what was queued is written, then the sink is stopped.
    """
    done = run(
        program("""
            logger.add(Stream(), format="{message}", enqueue=True)
            for number in range(50):
                logger.info("{}", number)
            """)
        + end,
        check=False,
    )
    count = 60 if "range(50, 60)" in end else 50

    assert done.returncode == code
    assert done.stdout == "".join(f"{number}\n" for number in range(count)) + "stop\n"


@pytest.mark.covers("1.32")
def test_exit_handlers(run: Any) -> None:
    """
    Functions that `atexit` calls may log: the sinks are stopped after them.
    """
    done = run(
        program("""
            logger.add(Stream(), format="{message}")
            atexit.register(logger.info, "at exit")
            """)
    )

    assert done.stdout == "at exit\nstop\n"
    assert done.stderr == ""


@pytest.mark.covers("1.32")
def test_exit_handlers_that_come_late(run: Any) -> None:
    """
    A function that runs when the sinks are stopped logs to nobody, without an error.
    """
    done = run("""
        import subprocess, sys
        source = '''if True:
            import atexit
            atexit.register(lambda: logger.info("late"))
            from {} import logger
            logger.remove()
            logger.add(sys.stdout, format="{{message}}") if "sys" in globals() else None
            import sys
            logger.add(sys.stdout, format="{{message}}")
            logger.info("early")
        '''.format(type(logger).__module__.partition(".")[0])
        done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
        print(done.returncode, repr(done.stdout), repr(done.stderr))
        """)

    assert done.stdout == "0 'early\\n' ''\n"


@pytest.mark.covers("1.32")
def test_destructors_of_the_last_moment(run: Any) -> None:
    """
    Objects that die with the interpreter may log; the program ends with code 0.
    """
    done = run(
        program("""
            logger.add(sys.stderr, format="{message}", enqueue=True)
            logger.add(sys.stderr, format="{message}")
            class Dying:
                def __del__(self, logger=logger):
                    logger.info("dying")
            kept = Dying()
            kept.me = kept
            sys.modules["kept"] = Dying()
            logger.info("end")
            """)
    )

    assert "end\n" in done.stderr
    assert "Fatal" not in done.stderr


@pytest.mark.covers("1.32")
def test_daemon_threads(run: Any) -> None:
    """
    A daemon thread that logs without end does not keep the program alive, nor breaks its end.
    """
    done = run(
        program("""
            logger.add(Stream(), format="{message}", enqueue=True)
            logger.add(open(os.devnull, "w"), format="{message}")
            started = threading.Event()
            def work():
                while True:
                    logger.info("m")
                    started.set()
                    time.sleep(0.0005)
            threading.Thread(target=work, daemon=True).start()
            started.wait()
            """)
    )

    assert done.returncode == 0
    assert done.stdout.endswith("stop\n")


@pytest.mark.covers("1.32")
def test_hard_exit(run: Any) -> None:
    """
    `os._exit` does not wait: what was completed before is written.
    """
    done = run(
        program("""
            logger.add(Stream(), format="{message}", enqueue=True)
            logger.info("a")
            logger.complete()
            os._exit(0)
            """)
    )

    assert done.stdout == "a\n"


@pytest.mark.covers("1.32")
def test_failing_stop_at_exit(run: Any) -> None:
    """
    A sink that fails to stop does not hang the program.
    """
    done = run(
        program("""
            class Failing(Stream):
                def stop(self):
                    raise ValueError("no stop")
            logger.add(Failing(), format="{message}")
            logger.info("a")
            """),
        check=False,
    )

    assert done.stdout == "a\n"
    assert "ValueError: no stop" in done.stderr


@pytest.mark.covers("1.32", note="1.5")
def test_pending_coroutines(run: Any) -> None:
    """
    A coroutine sink's tasks that were never awaited do not hang the program.
    """
    done = run(
        program("""
            import asyncio
            async def sink(message):
                await asyncio.sleep(0.01)
                print(message, end="")
            logger.add(sink, format="{message}")
            async def work():
                logger.info("lost")
            asyncio.run(work())
            async def careful():
                logger.info("kept")
                await logger.complete()
            asyncio.run(careful())
            """)
    )

    assert done.stdout == "kept\n"
    assert done.stderr == ""


@pytest.mark.covers("1.11", note="1.32")
def test_buffered_file(run: Any, tmp_path: Path) -> None:
    """
    A buffered file is complete after the end of the program.
    """
    run(
        program("""
            logger.add("a.log", format="{message}", buffering=1 << 20)
            for number in range(100):
                logger.info("{}", number)
            """)
    )

    assert (tmp_path / "a.log").read_text() == "".join(f"{number}\n" for number in range(100))


@pytest.mark.covers("1.21", note="1.32")
def test_catch_around_main(run: Any) -> None:
    """
    The recipe of the overview: `onerror=lambda _: sys.exit(1)` ends the program with that code, after the log.
    """
    done = run(
        program("""
            logger.add(sys.stderr, format="{message}", diagnose=False)
            @logger.catch(onerror=lambda _: sys.exit(7), message="failed")
            def main():
                1 / 0
            main()
            """),
        check=False,
    )

    assert done.returncode == 7
    assert done.stderr.startswith("failed\nTraceback (most recent call last):\n")
    assert done.stderr.count("ZeroDivisionError") == 1


@pytest.mark.covers("1.32")
def test_import_starts_nothing(run: Any) -> None:
    """
    Importing and logging start no thread.
    """
    done = run("""
        import threading
        logger.info("m")
        print([thread.name for thread in threading.enumerate()])
        """)

    assert done.stdout == "['MainThread']\n"

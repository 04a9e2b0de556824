"""What the workshop says while it works: a line per stage, a moving clock on a terminal. Knows no stage itself."""

from __future__ import annotations

import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

QUIET_PERIOD_S = 30.0  # without a terminal, silence longer than this looks like a hang


class ToolError(Exception):
    """A task cannot go on: its text is one sentence for the user, with the fix where there is one."""


class Stage:
    """A running stage; `detail` may be set from any thread and is shown behind the clock."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.detail = ""
        self.started_s = time.monotonic()

    def line(self) -> str:
        """The stage with its clock, as shown."""
        elapsed = duration(time.monotonic() - self.started_s)
        return f"otelbridge: {self.title} … {elapsed}" + (f", {self.detail}" if self.detail else "")


def show(current: Stage, end: str = "") -> None:
    """Replace the terminal's current line by the stage's, cut to its width: a wrapped line could not be replaced."""
    width = shutil.get_terminal_size().columns - 1
    sys.stdout.write(f"\r\x1b[K{current.line()[:width]}{end}")
    sys.stdout.flush()


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"otelbridge: {text}", flush=True)


def duration(elapsed_s: float) -> str:
    """A time span as a person reads it: `8 s`, `2 min 05 s`."""
    whole = int(elapsed_s + 0.5)
    return f"{whole} s" if whole < 60 else f"{whole // 60} min {whole % 60:02d} s"


@contextmanager
def stage(title: str) -> Iterator[Stage]:
    """Show *title* with a running clock until the block ends."""
    current = Stage(title)
    ended = threading.Event()
    live = sys.stdout.isatty()
    if not live:
        say(title)
    ticker = threading.Thread(target=_tick, args=(current, ended, live), daemon=True)
    ticker.start()
    try:
        yield current
    finally:
        ended.set()
        ticker.join()
        if live:
            show(current, end="\n")


def _tick(current: Stage, ended: threading.Event, live: bool) -> None:
    while not ended.wait(0.2 if live else QUIET_PERIOD_S):
        if live:
            show(current)
        else:
            print(current.line(), flush=True)

"""The way back of channel.py: what a child has asked for, and how far the process that writes has come.

A page of memory that both see, and into which only the process that writes does: so it waits for no child, and a child
that is killed leaves nothing behind. Who asks finds a name of its own among the last that were answered.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

NAME_SIZE = 8
# The first word counts what was written; each other is the name of something answered.
_WORD_COUNT = 1024
_SIZE = _WORD_COUNT * NAME_SIZE

# A child looks again after this time, and ever less often.
_FIRST_PAUSE_S = 0.0002
_LAST_PAUSE_S = 0.01


class Answers:
    """Names that were answered, the last 1023 of them; pickled for a child that is being spawned it is the same."""

    def __init__(self, handle: Any = None) -> None:
        """handle: of another process's Answers. OSError: there is no memory, or no file descriptor left."""
        self._handle: Any
        self._handle, self._memory = _share(handle)
        self._count = 0

    def answer(self, name: bytes) -> None:
        """Tell who asked under this name of NAME_SIZE bytes."""
        start = (1 + self._count % (_WORD_COUNT - 1)) * NAME_SIZE
        self._memory[start : start + NAME_SIZE] = name
        self._count += 1

    def progress(self, written: int) -> None:
        """Tell all who wait that something happens."""
        self._memory[:NAME_SIZE] = written.to_bytes(NAME_SIZE, "little")

    def has(self, name: bytes) -> bool:
        """Whether this was answered."""
        return self._memory.find(name, NAME_SIZE) >= 0

    def wait(self, name: bytes, is_read: Callable[[], bool], stuck_s: float) -> bool:
        """Wait for an answer; False if nobody is there to give it, or nothing happens in `stuck_s`."""
        pause_s = _FIRST_PAUSE_S
        written, since_s = b"", 0.0
        while not self.has(name):
            now_s = time.monotonic()
            if self._memory[:NAME_SIZE] != written:
                written, since_s = self._memory[:NAME_SIZE], now_s
            elif now_s - since_s > stuck_s:
                return False
            if not is_read():
                return self.has(name)
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, _LAST_PAUSE_S)
        return True

    def __del__(self) -> None:
        if isinstance(handle := getattr(self, "_handle", None), int):
            os.close(handle)

    def __reduce__(self) -> tuple[Any, ...]:
        if isinstance(self._handle, str):
            return Answers, (self._handle,)
        from multiprocessing.reduction import DupFd

        return _inherit, (DupFd(self._handle),)


def _inherit(descriptor: Any) -> Answers:
    return Answers(descriptor.detach())


if sys.platform == "win32":

    def _share(handle: str | None) -> tuple[str, mmap.mmap]:
        """A name under which other processes find the memory, and the memory."""
        name = handle or f"otelbridge-{os.urandom(16).hex()}"
        return name, mmap.mmap(-1, _SIZE, tagname=name)

else:

    def _share(handle: int | None) -> tuple[int, mmap.mmap]:
        """A descriptor of the memory, and the memory."""
        descriptor = _open() if handle is None else handle
        try:
            if handle is None:
                os.ftruncate(descriptor, _SIZE)
            return descriptor, mmap.mmap(descriptor, _SIZE)
        except BaseException:
            os.close(descriptor)
            raise

    def _open() -> int:
        """A file without a name, in memory where the system has that."""
        if sys.platform == "linux" and hasattr(os, "memfd_create"):
            with contextlib.suppress(OSError):  # an old kernel, or one that forbids it
                return os.memfd_create("otelbridge")
        import tempfile

        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())

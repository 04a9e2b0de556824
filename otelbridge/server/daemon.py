"""Detaching from the terminal: the process that was called returns when the server is ready, or has failed."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import NoReturn

from otelbridge.server.errors import StartError

_READY = b"ready"


class Launch:
    """The detached process's way back to the one that was called, which waits to hear."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def ready(self) -> None:
        """Let the caller go."""
        self._say(_READY)

    def end(self, failure: str | None) -> NoReturn:
        """End the detached process; a failure goes to the caller, if it still waits."""
        if failure is not None:
            self._say(failure.encode())
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(Exception):
                stream.flush()
        os._exit(1 if failure is not None else 0)

    def _say(self, words: bytes) -> None:
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):
                os.write(self._descriptor, words)
            os.close(self._descriptor)
            self._descriptor = -1


def detach() -> Launch | None:
    """Go on in a process of its own session; None: this is the one that was called, and the server is ready.

    StartError, there: the server could not start.
    """
    if not hasattr(os, "fork"):
        raise StartError("detaching must be possible, got a system without fork: run it as a service there")
    theirs, ours = os.pipe()
    child = os.fork()
    if child:
        os.close(ours)
        os.waitpid(child, 0)
        with os.fdopen(theirs, "rb") as words:
            said = words.read().decode("utf-8", "replace")
        if said == _READY.decode():
            return None
        raise StartError(said or "the detached server ended without a word")
    os.close(theirs)
    os.setsid()
    if os.fork():  # nobody's session leader gets a terminal again
        os._exit(0)
    # Now, not when it is ready: workers inherit them, and whoever reads the caller's output would wait for their end.
    with Path(os.devnull).open("r+b", buffering=0) as nowhere:
        for stream in (0, 1, 2):
            os.dup2(nowhere.fileno(), stream)
    return Launch(ours)

"""How processes that write to one log file keep out of each other's way. No lock file; nothing where there is no flock.

A writer holds a shared lock (a pin) on its open file for as long as it may write to it. Whoever wants to pack or remove
a file claims it: an exclusive lock, which is only to be had when nobody holds a pin. Who renames takes the folder's
turn. Locks die with their process. A forked child shares its parent's open file and so its pin, until it closes it.
"""

# Paths are str here: what loguru's users get, and what a line's way is fastest with.
# ruff: noqa: PTH110, PTH116

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

if sys.platform != "win32":  # a file that is open can be neither renamed nor removed there
    import fcntl

# Longer than a rename takes, or the packing of a large file that is being closed.
_TURN_WAIT_S = 1.0
_PIN_WAIT_S = 30.0
_POLL_S = 0.001


def pin(fd: int) -> None:
    """Say that this process may write to the file. Waits while another packs it."""
    if sys.platform != "win32":
        _lock(fd, fcntl.LOCK_SH, _PIN_WAIT_S)


def append_only(fd: int) -> None:
    """Let each write go to the end of the file, wherever others have put that meanwhile."""
    if sys.platform != "win32":
        fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)


@contextmanager
def claimed(path: str) -> Iterator[bool]:
    """Whether `path` is there and free of writers; if so none can come before the end of the block."""
    if sys.platform == "win32":
        yield os.path.exists(path)
        return
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except PermissionError:  # not for us to read: then not for us to judge
        yield True
        return
    except OSError:  # gone, or no descriptor to be had
        yield False
        return
    try:
        yield _lock(fd, fcntl.LOCK_EX, 0.0) and is_at(fd, path)
    finally:
        os.close(fd)


@contextmanager
def reserved(path: str, *, like: str) -> Iterator[None]:
    """Make a file that nobody claims before the end of the block, and no more people may read than `like`."""
    mode = os.stat(like).st_mode & 0o777
    while True:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT, mode)
        pin(fd)
        if is_at(fd, path):
            break
        os.close(fd)  # another process has claimed and removed it at once
    try:
        yield
    finally:
        os.close(fd)


@contextmanager
def turn(folder: str) -> Iterator[bool]:
    """Whether it is this process's turn to rename files in the folder: until the end of the block nobody else does."""
    if sys.platform == "win32":
        yield True
        return
    try:
        fd = os.open(folder, os.O_RDONLY)
    except OSError:  # not to be read, or gone: the rename itself will tell
        yield True
        return
    try:
        yield _lock(fd, fcntl.LOCK_EX, _TURN_WAIT_S)
    finally:
        os.close(fd)


def is_at(fd: int, path: str) -> bool:
    """Whether the open file is what `path` names."""
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except OSError:
        return False


def _lock(fd: int, kind: int, wait_s: float) -> bool:
    """Whether the lock was had in time; also where the file system knows no locks."""
    deadline_s = monotonic() + wait_s
    while True:
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if monotonic() >= deadline_s:
                return False
            sleep(_POLL_S)
        except OSError:
            return True
        else:
            return True

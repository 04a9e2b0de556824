"""When a log file was begun: rotation schedules and rotated names hang on it, also across restarts.

Callers say `creation_time.get_ctime(…)`, so that a test may replace either function.
"""

# Paths are str here: what loguru's users get, and what a line's way is fastest with.
# ruff: noqa: PTH116

from __future__ import annotations

import os
import sys

# loguru's name for it: a file that loguru began keeps its schedule after the import is changed, and back again.
_ATTRIBUTE = "user.loguru_crtime"


def get_ctime(path: str | os.PathLike[str]) -> float:
    """Creation time, seconds since the epoch: what `set_ctime` remembered, else what the system knows, else mtime."""
    if sys.platform == "linux":
        try:
            return float(os.getxattr(path, _ATTRIBUTE))
        except (OSError, ValueError):
            return os.stat(path).st_mtime
    elif sys.platform == "win32":
        return os.stat(path).st_ctime
    else:
        status = os.stat(path)
        return float(getattr(status, "st_birthtime", status.st_mtime))


def set_ctime(path: str | os.PathLike[str], timestamp: float) -> None:
    """Remember the creation time, where that can be done (Linux: an extended attribute)."""
    if sys.platform == "linux":
        try:
            os.setxattr(path, _ATTRIBUTE, str(timestamp).encode())
        except OSError:
            return
    elif sys.platform == "win32":
        try:
            from win32_setctime import setctime  # what loguru installs there
        except ImportError:
            return
        setctime(os.fspath(path), timestamp)

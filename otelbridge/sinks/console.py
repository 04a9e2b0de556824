"""Streams: standard error and anything else with a `write` method."""

from __future__ import annotations

import os
from typing import Protocol


class Stream(Protocol):
    """What a stream sink needs of an object; flush, stop and isatty are used where there are any."""

    def write(self, text: str, /) -> object:
        """Take a message."""


class StreamSink:
    """Writes each message to a stream, and flushes it."""

    __slots__ = ("_flush", "_stream")

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._flush = getattr(stream, "flush", None)

    def write(self, message: str) -> None:
        """Write one rendered message."""
        self._stream.write(message)
        if self._flush is not None:
            self._flush()

    def stop(self) -> None:
        """Tell the stream that nothing more comes, if it wants to know (it is not closed: it is the user's)."""
        stop = getattr(self._stream, "stop", None)
        if stop is not None:
            stop()

    def __repr__(self) -> str:
        return f"<stream {getattr(self._stream, 'name', type(self._stream).__name__)}>"


def is_terminal(stream: object) -> bool:
    """Whether colours are wanted: a terminal that knows them; NO_COLOR and FORCE_COLOR (any value) decide first."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    if os.environ.get("TERM") == "dumb":
        return False
    isatty = getattr(stream, "isatty", None)
    try:
        return bool(isatty is not None and isatty())
    except Exception:  # a closed stream
        return False

"""Streams: standard error, standard output, and anything else with a `write` method."""

from __future__ import annotations

import os
import sys
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any, Literal, Protocol

from otelbridge.departures import strict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from otelbridge.message import Message

# A CI whose log viewer shows colours sets this, and one of the others.
_CI = "CI"
_COLORFUL_CI = ("TRAVIS", "CIRCLECI", "APPVEYOR", "GITLAB_CI", "GITHUB_ACTIONS")

_EXTERNAL = {f"ext://{prefix}{name}": name for prefix in ("", "sys.") for name in ("stderr", "stdout")}


class Stream(Protocol):
    """What a stream sink needs of an object; flush, stop, complete and isatty are used where there are any."""

    def write(self, text: str, /) -> object:
        """Take a message."""


class StreamSink:
    """Writes each message to a stream, and flushes it."""

    __slots__ = ("_flush", "_stream")

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        flush = getattr(stream, "flush", None)
        self._flush = flush if callable(flush) else None

    def write(self, message: str) -> None:
        """Write one rendered message."""
        self._stream.write(message)
        if self._flush is not None:
            self._flush()

    @property
    def write_many(self) -> Callable[[list[Message]], object] | None:
        """Writes several messages at once, to a file of Python's own; None for streams that may count their calls."""
        return self._write_joined if type(self._stream) is TextIOWrapper else None

    def _write_joined(self, messages: list[Message]) -> None:
        self.write("".join(messages))

    def flush(self) -> None:
        """Have nothing in buffers."""
        if self._flush is not None:
            self._flush()

    def complete(self) -> Awaitable[object] | None:
        """What the stream has to be awaited, if its `complete` is a coroutine function."""
        complete = getattr(self._stream, "complete", None)
        if complete is None:
            return None
        from inspect import iscoroutinefunction

        return complete() if iscoroutinefunction(complete) else None

    def stop(self) -> None:
        """Tell the stream that nothing more comes, if it wants to know (it is not closed: it is the user's)."""
        stop = getattr(self._stream, "stop", None)
        if callable(stop):
            stop()

    def __reduce__(self) -> tuple[Any, ...]:
        return StreamSink, (self._stream,)

    def __repr__(self) -> str:
        name = getattr(self._stream, "name", None)
        return str(name) if name else repr(self._stream)


class ConsoleSink:
    """Standard error or output, whatever it is at each write: swapped, captured or gone (features.md 1.7, 1.24).

    colorize: True or False; None means on terminals that show colours.
    stream: "stderr" or "stdout". ValueError, TypeError: a mistake in one of them.
    """

    __slots__ = ("colorize", "stream")

    def __init__(self, colorize: bool | None = None, stream: Literal["stderr", "stdout"] = "stderr") -> None:
        if colorize is not None and not isinstance(colorize, bool):
            msg = f"colorize must be a bool or None, got {colorize!r}"  # type: ignore[unreachable]
            raise TypeError(msg)
        if stream not in ("stderr", "stdout"):
            msg = f"stream must be 'stderr' or 'stdout', got {stream!r}"
            raise ValueError(msg)
        self.colorize = colorize
        self.stream = stream

    @property
    def target(self) -> Any:
        """The stream of now; None in a process without one."""
        return getattr(sys, self.stream)

    @property
    def is_terminal(self) -> bool:
        """Whether the stream of now shows colours."""
        return is_terminal(self.target)

    @property
    def encoding(self) -> str | None:
        """The encoding of the stream of now."""
        encoding = getattr(self.target, "encoding", None)
        return encoding if isinstance(encoding, str) else None

    def write(self, message: str) -> None:
        """Write and flush one rendered message."""
        target = self.target
        if target is not None:
            target.write(message)
            target.flush()

    def flush(self) -> None:
        """Have nothing in buffers."""
        target = self.target
        if target is not None:
            target.flush()

    def stop(self) -> None:
        """The stream is the program's."""

    def __reduce__(self) -> tuple[Any, ...]:
        return ConsoleSink, (self.colorize, self.stream)

    def __repr__(self) -> str:
        return f"<{self.stream}>"


def external(target: str) -> ConsoleSink | None:
    """The stream that `ext://stderr`, `ext://stdout` or `ext://sys.stderr` means, as in a dict for `logging.config`.

    None for what is not of that form. ValueError: `ext://` and anything else.
    """
    if not target.startswith("ext://"):
        return None
    stream = _EXTERNAL.get(target)
    if stream is None:
        msg = f"an external sink must be one of {', '.join(_EXTERNAL)}, got {target!r}"
        raise ValueError(msg)
    return ConsoleSink(stream=stream)  # type: ignore[arg-type]  # one of the two


def is_terminal(stream: object) -> bool:
    """Whether a stream shows colours.

    NO_COLOR, FORCE_COLOR (any value) and TERM=dumb decide first, which loguru does not ask; then as there: PyCharm's
    console and the logs of CI services (for the process's own streams), and terminals.
    """
    if not strict():
        if os.environ.get("NO_COLOR"):
            return False
        if os.environ.get("FORCE_COLOR"):
            return True
        if os.environ.get("TERM") == "dumb":
            return False
    if stream is not None and (stream is sys.__stderr__ or stream is sys.__stdout__) and _is_shown_in_color():
        return True
    isatty = getattr(stream, "isatty", None)
    try:
        return bool(callable(isatty) and isatty())
    except Exception:  # a closed stream
        return False


def _is_shown_in_color() -> bool:
    if "PYCHARM_HOSTED" in os.environ:
        return True
    if _CI in os.environ and any(name in os.environ for name in _COLORFUL_CI):
        return True
    return sys.platform == "win32" and "TERM" in os.environ


__all__ = ["ConsoleSink", "Stream", "StreamSink", "external", "is_terminal"]

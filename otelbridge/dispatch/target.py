"""What `add(sink, …)` may be, as a sink: the one place that sees all kinds of them (features.md 1.5)."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from otelbridge.sinks.asynchronous import AsyncSink
from otelbridge.sinks.console import ConsoleSink, StreamSink, external, is_terminal

if TYPE_CHECKING:
    from otelbridge.message import Message


class Sink(Protocol):
    """Where a handler's messages go."""

    def write(self, message: Message, /) -> object:
        """Take one rendered message."""

    def stop(self) -> object:
        """Nothing more comes."""


class Target(NamedTuple):
    """A sink, and what its kind decides where `add` was told nothing."""

    sink: Sink
    colorize: bool = False
    encoding: str | None = "utf8"
    is_terminal: bool = False
    # A JSON shape that the sink stands for.
    serialize: str | None = None
    # A background queue of the sink's own: its size.
    queue_size: int | None = None
    # logging.Handler: it ends lines itself.
    is_standard: bool = False
    is_coroutine: bool = False


class CallableSink:
    """Calls a function with each message."""

    def __init__(self, function: Callable[[Message], object]) -> None:
        self.write = function

    def stop(self) -> None:
        """A function has nothing to stop."""

    def __repr__(self) -> str:
        return getattr(self.write, "__name__", None) or repr(self.write)


def make_target(target: object, options: dict[str, Any], on_error: Callable[[Message | None], object]) -> Target:
    """The sink for what the user gave. TypeError, ValueError, OSError: it cannot be one, or an option is wrong."""
    if isinstance(target, AsyncSink):
        return make_target(target.sink, options, on_error)._replace(queue_size=target.buffer_size)
    stream = external(target) if isinstance(target, str) else None
    if stream is not None:
        target = stream
    if isinstance(target, str | os.PathLike):
        return _file(target, options)
    if not _is_stream(target) and is_coroutine_function(target):
        return _coroutine(target, options, on_error)
    if options:
        kind = type(target).__name__
        msg = f"add() got an unexpected keyword argument {next(iter(options))!r} for a sink of type {kind}"
        raise TypeError(msg)
    return _object(target)


def is_coroutine_function(target: object) -> bool:
    """Whether calling `target` makes a coroutine."""
    import inspect

    if inspect.iscoroutinefunction(target):
        return True
    return not inspect.isclass(target) and inspect.iscoroutinefunction(getattr(target, "__call__", None))  # noqa: B004


def _file(path: str | os.PathLike[str], options: dict[str, Any]) -> Target:
    from otelbridge.sinks.file import FileSink

    settings = {"buffering": 1, "encoding": "utf8", **options}
    try:
        return Target(FileSink(path, **settings), encoding=settings["encoding"])
    except TypeError as error:
        reason = str(error)
        if "keyword argument" not in reason:
            raise
        msg = f"add() {reason[reason.index('got') :] if 'got' in reason else reason}"
        raise TypeError(msg) from None


def _coroutine(target: Any, options: dict[str, Any], on_error: Callable[[Message | None], object]) -> Target:
    from otelbridge.sinks.coroutine import CoroutineSink

    loop = options.pop("loop", None)
    if options:
        msg = f"add() got an unexpected keyword argument {next(iter(options))!r} for a coroutine function"
        raise TypeError(msg)
    return Target(CoroutineSink(target, loop=loop, on_error=on_error), is_coroutine=True)


def _object(target: Any) -> Target:
    if isinstance(target, ConsoleSink):
        colorize = target.is_terminal if target.colorize is None else target.colorize
        return Target(target, colorize, target.encoding, is_terminal=target.is_terminal)
    if type(target).__module__.startswith("otelbridge.sinks."):
        return Target(target, serialize=getattr(target, "layout", None))
    if _is_stream(target):
        encoding = getattr(target, "encoding", None)
        return Target(StreamSink(target), is_terminal(target), encoding, is_terminal=_isatty(target))
    if _is_logging_handler(target):
        from otelbridge.sinks.stdlib import StandardSink

        return Target(StandardSink(target), encoding=getattr(target, "encoding", None), is_standard=True)
    if callable(target):
        return Target(CallableSink(target))
    msg = (
        "sink must be a path, a stream (an object with a write method), a callable, a coroutine function or a "
        f"logging.Handler, got {target!r} of type {type(target).__name__!r}"
    )
    raise TypeError(msg)


def _is_stream(target: object) -> bool:
    return callable(getattr(target, "write", None))


def _is_logging_handler(target: object) -> bool:
    logging = sys.modules.get("logging")  # a Handler cannot exist before its module
    return logging is not None and isinstance(target, logging.Handler)


def _isatty(stream: Any) -> bool:
    isatty = getattr(stream, "isatty", None)
    try:
        return bool(callable(isatty) and isatty())
    except Exception:  # a closed stream
        return False

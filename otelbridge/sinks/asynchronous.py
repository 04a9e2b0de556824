"""A sink whose messages wait in a queue while the caller goes on."""

from __future__ import annotations


class AsyncSink:
    """What `add(enqueue=True)` does, for one sink and with a limit: `logger.add(AsyncSink("app.log"))` (seed 1, 1.16).

    sink: anything that `logger.add` takes but a coroutine function: a path, a callable, a stream, a sink.
    buffer_size: how many messages may wait, before the next one lets its caller wait. The order is kept; everything is
    written by logger.complete(), remove() and the end of the program.
    TypeError, ValueError: a mistake in one of them.
    """

    __slots__ = ("buffer_size", "sink")

    def __init__(self, sink: object, buffer_size: int = 1000) -> None:
        from inspect import iscoroutinefunction

        if not isinstance(buffer_size, int) or isinstance(buffer_size, bool):
            msg = f"buffer_size must be an int, got {buffer_size!r}"
            raise TypeError(msg)
        if buffer_size < 1:
            msg = f"buffer_size must be 1 or more, got {buffer_size!r}"
            raise ValueError(msg)
        if isinstance(sink, AsyncSink):
            msg = f"sink must not be an AsyncSink itself, got {sink!r}"
            raise TypeError(msg)
        if iscoroutinefunction(sink):
            msg = f"sink must not be a coroutine function (those do not block: add them as they are), got {sink!r}"
            raise TypeError(msg)
        self.sink = sink
        self.buffer_size = buffer_size

    def __repr__(self) -> str:
        return f"AsyncSink({self.sink!r}, buffer_size={self.buffer_size})"


__all__ = ["AsyncSink"]

"""Handlers of Python's `logging` as sinks: each message becomes a LogRecord."""

from __future__ import annotations

from threading import get_ident
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import logging

    from otelbridge.message import Message


# Threads that are giving a record to a handler.
_handling: set[int] = set()


def is_handling() -> bool:
    """Whether this thread is giving a record to a handler: what it logs through `logging` now may be that record."""
    return get_ident() in _handling


class StandardSink:
    """Gives messages to a `logging.Handler` (features.md 1.5).

    The LogRecord has the call's name, level, place, time, thread and process, the rendered text as its message, and
    the record's extra as its attribute `extra`. The traceback is in the text already: a formatter adds no second one.
    """

    __slots__ = ("_handler",)

    def __init__(self, handler: logging.Handler) -> None:
        self._handler = handler

    def write(self, message: Message) -> None:
        """Handle one message; the handler's filters apply, its level does not (the sink has its own)."""
        from logging import getLogRecordFactory

        record = cast("dict[str, Any]", message.record)
        level, exception = record["level"], record["exception"]
        made = getLogRecordFactory()(
            record["name"],
            level.no,
            record["file"].path,
            record["line"],
            str(message),
            (),
            None if exception is None else tuple(exception),
            record["function"],
            None,
        )
        made.levelname = level.name
        made.extra = record["extra"]
        if made.exc_info:
            made.exc_text = "\n"  # what a formatter takes for a traceback that it has made before
        _set_origin(made, record)
        threads, thread = _handling, get_ident()
        if thread in threads:
            self._handler.handle(made)
            return
        threads.add(thread)
        try:
            self._handler.handle(made)
        finally:
            threads.discard(thread)

    def stop(self) -> None:
        """Close the handler."""
        self._handler.close()

    def __repr__(self) -> str:
        return repr(self._handler)


def _set_origin(made: logging.LogRecord, record: dict[str, Any]) -> None:
    """When and where the call was, which is not where this is with `enqueue=True`."""
    created = record["time"].timestamp()
    made.relativeCreated += (created - made.created) * 1000
    made.created = created
    made.msecs = float(record["time"].microsecond // 1000)
    made.thread, made.threadName = record["thread"].id, record["thread"].name
    made.process, made.processName = record["process"].id, record["process"].name


__all__ = ["StandardSink", "is_handling"]

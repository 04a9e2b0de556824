"""Access records on `logging`'s logger `otelbridge.access` (features.md 4.1-4.7), for those who listen there.

The logger has no handlers by default. OTLP and our own sinks do not come this way: handlers that lead back to them are
left out, so that a request is one record there, and one line on a terminal.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any, ClassVar

from otelbridge._export import otlp_level
from otelbridge._logger import Logger, logger
from otelbridge.access.console import is_claimed
from otelbridge.access.format import fields
from otelbridge.access.record import AccessRecord
from otelbridge.bridge import BridgeHandler
from otelbridge.record import RecordException
from otelbridge.text.policy import ACTIVE
from otelbridge.text.tracebacks import safe_render

LOGGER = logging.getLogger("otelbridge.access")

# Where an addition bears a name that a LogRecord has itself.
PREFIX = "access_"
_OWN_NAMES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def wants(level: str) -> bool:
    """Return whether a handler takes records of `level`, other than one that leads back to our own ways out."""
    number = _numbers.get(level) or _number(level)
    if not LOGGER.isEnabledFor(number):
        return False
    # Asked at each request: `handlers_of` would take thrice the time.
    current: logging.Logger | None = LOGGER
    while current is not None:
        for handler in current.handlers:
            if _takes(handler, current, number):
                return True
        current = current.parent if current.propagate else None
    return False


def emit(record: AccessRecord, line: str, level: str, exception: BaseException | None) -> None:
    """Hand the record to the handlers: `line` is its message, `fields` its attributes, now is its time.

    Names that a LogRecord has itself (`name`, `args`, ...) get `access_` before them.
    """
    number = _numbers.get(level) or _number(level)
    made = LOGGER.makeRecord(
        LOGGER.name, number, __file__, 0, ACTIVE.policy.text(line), (), None, func=record.event_name
    )
    made.levelname = level
    own = made.__dict__
    for name, value in fields(record, absent="-").items():
        own[PREFIX + name if name in _OWN_NAMES else name] = value
    if exception is not None:
        _set_exception(made, exception)
    # Since Python 3.12 a filter may give another record.
    kept: Any = LOGGER.filter(made)
    if kept:
        made = kept if isinstance(kept, logging.LogRecord) else made
        for owner, handler in handlers_of(LOGGER):
            if _takes(handler, owner, number):
                handler.handle(made)


def leads_back(handler: logging.Handler, number: int) -> bool:
    """Return whether what the handler gets ends in our own ways out.

    So do our bridge, an InterceptHandler as loguru's documentation has it, and OpenTelemetry's handler while we export.
    """
    kind: Any = type(handler)
    return _logs_to_us(kind) or (number >= otlp_level() and _is_opentelemetrys(kind))


@cache
def _logs_to_us(kind: type[logging.Handler]) -> bool:
    """Whether it is our bridge, or its `emit` hands the message to a global that is a logger of ours."""
    if issubclass(kind, BridgeHandler):
        return True
    names = getattr(getattr(kind.emit, "__code__", None), "co_names", ())
    values = getattr(kind.emit, "__globals__", {})
    return {"log", "getMessage"} <= {*names} and any(isinstance(values.get(name), Logger) for name in names)


@cache
def _is_opentelemetrys(kind: type) -> bool:
    return any(base.__module__.startswith("opentelemetry.") for base in kind.__mro__)


def stream_of(handler: logging.Handler) -> str | None:
    """Return which of the process's streams the handler writes to, `stderr` or `stdout`; None for other targets."""
    if not isinstance(handler, logging.StreamHandler) or isinstance(handler, logging.FileHandler):
        return None
    if handler.stream in (sys.stderr, sys.__stderr__):
        return "stderr"
    return "stdout" if handler.stream in (sys.stdout, sys.__stdout__) else None


def handlers_of(source: logging.Logger) -> Iterator[tuple[logging.Logger, logging.Handler]]:
    """Yield the handlers that get the records of `source`, each with the logger that has it."""
    current: logging.Logger | None = source
    while current is not None:
        for handler in current.handlers:
            yield current, handler
        current = current.parent if current.propagate else None


def printed_from(stream: str) -> int:
    """Return from which level on a sink of ours prints on that stream, `stderr` or `stdout`; sys.maxsize for none.

    A sink with a filter may print no access lines, and so does not count.
    """
    active = logger._family.handlers.active
    if active is not _console.active:
        unfiltered = [handler for handler in active if not handler.is_filtered]
        for name in _console.levels:
            levels = (handler.level_no for handler in unfiltered if f"<{name}>" in repr(handler.sink))
            _console.levels[name] = min(levels, default=sys.maxsize)
        _console.active = active
    return _console.levels[stream]


class _Console:
    """The answers of `printed_from`, and which handlers they are about: those are replaced when one changes."""

    active: object = None
    levels: ClassVar[dict[str, int]] = {"stderr": sys.maxsize, "stdout": sys.maxsize}


_console = _Console()


def _takes(handler: logging.Handler, owner: logging.Logger, number: int) -> bool:
    if number < handler.level or leads_back(handler, number):
        return False
    if owner is LOGGER:
        return True
    # The program's general handler, on a stream where our sink prints the line, or a server that was told to.
    stream = stream_of(handler)
    return stream is None or (number < printed_from(stream) and not is_claimed())


def _number(level: str) -> int:
    number = _numbers[level] = logger.level(level).no
    return number


_numbers: dict[str, int] = {}


def _set_exception(made: logging.LogRecord, exception: BaseException) -> None:
    """As `exc_info`; as text only, if a secret had to be taken out of it."""
    error = (type(exception), exception, exception.__traceback__)
    text = safe_render(RecordException(*error)).rstrip("\n")
    clean = ACTIVE.policy.text(text)
    if clean is text:
        made.exc_info = error
    else:
        made.exc_text = clean

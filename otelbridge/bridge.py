"""What other code logs through Python's `logging`, taken in by our logger (features.md 1.26).

Imported when a bridge is asked for: it needs `logging`.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, Protocol

from otelbridge.delivery.quiet import exporting
from otelbridge.sinks.stdlib import is_handling

if TYPE_CHECKING:
    from types import TracebackType

    _ExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]

# What our own loggers say is on its way already, or is about the export itself.
_OURS = "otelbridge"
# What `logging` sets on a record; anything else was given as `extra=`.
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class ForeignLogger(Protocol):
    """What the bridge needs of our logger."""

    def level(self, name: str) -> Any:
        """The level of that name. ValueError: there is none."""

    def _emit_foreign(
        self,
        level: str | int,
        message: str,
        *,
        site: tuple[str | None, str, int, str, str],
        exception: _ExcInfo | None,
        extra: dict[str, Any],
        time_ns: int,
    ) -> None: ...


class BridgeHandler(logging.Handler):
    """Passes records of `logging` on to our logger: with their own level, place, time, exception and `extra=`.

    Messages are not formatted again, so braces in them mean nothing. Records of `otelbridge` and its children are left
    out, and so is what the exporters log while they send, and what is logged while a record is being passed on.
    """

    def __init__(self, logger: ForeignLogger, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self._logger = logger
        self._threads: set[int] = set()  # those that are passing a record on

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on. What goes wrong is told as `logging` tells it (logging.raiseExceptions)."""
        thread = threading.get_ident()
        if thread in self._threads or is_handling() or exporting.get() or _is_ours(record.name):
            return
        self._threads.add(thread)
        try:
            self._pass_on(record)
        except Exception:
            self.handleError(record)
        finally:
            self._threads.discard(thread)

    def _pass_on(self, record: logging.LogRecord) -> None:
        function = record.funcName or "<unknown>"
        self._logger._emit_foreign(
            self._level_of(record),
            record.getMessage(),
            site=(record.name, function, record.lineno or 0, record.pathname, function),
            exception=_exception_of(record),
            extra=_extra_of(record),
            time_ns=round(record.created * 1_000_000) * 1000,
        )

    def _level_of(self, record: logging.LogRecord) -> str | int:
        try:
            self._logger.level(record.levelname)
        except ValueError:
            return record.levelno
        return record.levelname

    def createLock(self) -> None:  # noqa: N802 -- the name is logging's
        """Without a lock: a sink that logs through `logging`, on another thread, would wait for it for ever."""
        self.lock = _NoLock()  # type: ignore[assignment]  # all that logging does with one


class _NoLock:
    """Always free."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        return

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *_: object) -> None:
        return


def install(logger: ForeignLogger, level: str | int = "WARNING") -> None:
    """Pass what reaches the root logger of `logging`, from `level` on, to our logger. Again: replaces the former one.

    The root logger's level is lowered where it would hold such records back. Other handlers stay as they are.
    ValueError, TypeError: no such level.
    """
    level_no = _number(logger, level)
    uninstall()
    root = logging.getLogger()
    before = root.level
    if before > level_no:
        root.setLevel(level_no)
    handler = BridgeHandler(logger, level_no)
    root.addHandler(handler)
    _installed.append((handler, before, root.level))


def uninstall() -> None:
    """Take the bridge away, and give the root logger the level that it had (if nobody has changed it since)."""
    root = logging.getLogger()
    while _installed:
        handler, before, ours = _installed.pop()
        root.removeHandler(handler)
        if root.level == ours:
            root.setLevel(before)


# The bridge, the root logger's level before it came, and since.
_installed: list[tuple[BridgeHandler, int, int]] = []


def _number(logger: ForeignLogger, level: object) -> int:
    if isinstance(level, int) and not isinstance(level, bool):
        if level < 0:
            msg = f"level must not be negative, got {level}"
            raise ValueError(msg)
        return max(level, 1)  # 0 is "as the parent" to logging
    if not isinstance(level, str):
        msg = f"level must be a level's name or number, got {level!r}"
        raise TypeError(msg)
    try:
        return int(logger.level(level).no)
    except ValueError:
        known = logging.getLevelNamesMapping().get(level)
        if known is None:
            raise
        return known


def _is_ours(name: str | None) -> bool:
    return name is not None and (name == _OURS or name.startswith(f"{_OURS}."))


def _exception_of(record: logging.LogRecord) -> _ExcInfo | None:
    exception = record.exc_info
    return exception if exception and exception[0] is not None else None


def _extra_of(record: logging.LogRecord) -> dict[str, Any]:
    values = record.__dict__
    extra = {name: value for name, value in values.items() if name not in _STANDARD}
    if values.get("stack_info"):
        extra["stack_info"] = values["stack_info"]
    if values.get("exc_text") and not values.get("exc_info"):  # a record from another process
        extra["exc_text"] = values["exc_text"]
    return extra


__all__ = ["BridgeHandler", "install", "uninstall"]

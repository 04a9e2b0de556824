"""The record that Python sinks see: loguru's dict, made only if a sink wants one. Renders nothing."""

from __future__ import annotations

import os
import sys
import threading
from datetime import datetime, timedelta, timezone
from time import localtime
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from otelbridge._native import basename, now_ns

if TYPE_CHECKING:
    from types import TracebackType

    from otelbridge.levels import Level

_START_NS = now_ns()


class RecordLevel(NamedTuple):
    """record["level"]: formats as its name."""

    name: str
    no: int
    icon: str

    def __format__(self, spec: str) -> str:
        return self.name.__format__(spec)


class RecordFile(NamedTuple):
    """record["file"]: formats as its name."""

    name: str
    path: str

    def __format__(self, spec: str) -> str:
        return self.name.__format__(spec)


class RecordThread(NamedTuple):
    """record["thread"]: formats as its id."""

    id: int
    name: str

    def __format__(self, spec: str) -> str:
        return self.id.__format__(spec)


class RecordProcess(NamedTuple):
    """record["process"]: formats as its id."""

    id: int
    name: str

    def __format__(self, spec: str) -> str:
        return self.id.__format__(spec)


class RecordException(NamedTuple):
    """record["exception"]: what was being handled, as sys.exc_info() gives it."""

    type: type[BaseException] | None
    value: BaseException | None
    traceback: TracebackType | None


class Record(TypedDict):
    """One log call (features.md 1.28)."""

    elapsed: timedelta
    exception: RecordException | None
    extra: dict[Any, Any]
    file: RecordFile
    function: str
    level: RecordLevel
    line: int
    message: str
    module: str
    name: str | None
    process: RecordProcess
    thread: RecordThread
    time: datetime


class Site(NamedTuple):
    """Where the call stands, as the core describes it."""

    name: str | None
    function: str
    line: int
    path: str
    qualified_name: str


UNKNOWN_SITE = Site(None, "<unknown>", 0, "<unknown>", "<unknown>")


class Time(datetime):
    """A local time that keeps the nanoseconds it was made from; text/ knows how to format it."""

    time_ns: int
    offset_s: int

    def __format__(self, spec: str) -> str:
        from otelbridge.text.time import format_time

        return format_time(self, spec)


_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_offsets: tuple[int, int, timezone] = (-1, 0, timezone.utc)


def local_time(time_ns: int) -> Time:
    """The local time of an instant. One read of the clock gives it: fraction and offset cannot disagree."""
    global _offsets
    second = time_ns // 1_000_000_000
    # Offsets change on quarters of an hour at the finest, so one look-up serves until the next one.
    quarter = second // 900
    if _offsets[0] != quarter:
        local = localtime(second)
        _offsets = (quarter, local.tm_gmtoff, timezone(timedelta(seconds=local.tm_gmtoff), local.tm_zone))
    _, offset_s, zone = _offsets
    time = Time.fromtimestamp(second, zone).replace(microsecond=time_ns % 1_000_000_000 // 1000)
    time.time_ns = time_ns
    time.offset_s = offset_s
    return time


def make_record(
    time_ns: int, level: Level, message: str, site: Site, extra: dict[Any, Any], exception: RecordException | None
) -> Record:
    """loguru's record dict, keys in its order."""
    file_name = basename(site.path)
    module, dot, _ = file_name.rpartition(".")
    thread = threading.current_thread()
    return {
        "elapsed": timedelta(microseconds=(time_ns - _START_NS) // 1000),
        "exception": exception,
        "extra": extra,
        "file": RecordFile(file_name, site.path),
        "function": site.function,
        "level": RecordLevel(level.name, level.no, level.icon),
        "line": site.line,
        "message": message,
        "module": module if dot else file_name,
        "name": site.name,
        "process": RecordProcess(os.getpid(), _process_name()),
        "thread": RecordThread(thread.ident or 0, thread.name),
        "time": local_time(time_ns),
    }


def _process_name() -> str:
    # As stdlib logging does: multiprocessing is asked only if somebody has imported it.
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is None:
        return "MainProcess"
    try:
        name: str = multiprocessing.current_process().name
    except Exception:  # multiprocessing is half-way through its own import
        return "MainProcess"
    return name

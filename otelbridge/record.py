"""The record that Python sinks see: loguru's dict, made only if a sink wants one. Renders nothing."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from functools import lru_cache
from os import getpid
from os.path import splitext
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from otelbridge._native import basename, set_event_makers

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from types import TracebackType

    from otelbridge._native import Event


def _show(part: Any) -> str:
    """The fields in parentheses, as loguru shows the parts of a record."""
    return "(" + ", ".join(f"{name}={getattr(part, name)!r}" for name in part._fields) + ")"


class RecordLevel(NamedTuple):
    """record["level"]: formats as its name."""

    name: str
    no: int
    icon: str

    def __format__(self, spec: str) -> str:
        return self.name.__format__(spec)

    def __repr__(self) -> str:
        return _show(self)


class RecordFile(NamedTuple):
    """record["file"]: formats as its name."""

    name: str
    path: str

    def __format__(self, spec: str) -> str:
        return self.name.__format__(spec)

    def __repr__(self) -> str:
        return _show(self)


class RecordThread(NamedTuple):
    """record["thread"]: formats as its id."""

    id: int
    name: str

    def __format__(self, spec: str) -> str:
        return self.id.__format__(spec)

    def __repr__(self) -> str:
        return _show(self)


class RecordProcess(NamedTuple):
    """record["process"]: formats as its id."""

    id: int
    name: str

    def __format__(self, spec: str) -> str:
        return self.id.__format__(spec)

    def __repr__(self) -> str:
        return _show(self)


class RecordException(NamedTuple):
    """record["exception"]: what was being handled, as sys.exc_info() gives it.

    Pickled without its traceback, and without a value that cannot be pickled.
    """

    type: type[BaseException] | None
    value: BaseException | None
    traceback: TracebackType | None

    def __reduce__(self) -> tuple[Any, ...]:
        import pickle

        try:
            pickle.dumps(self.value)
        except Exception:  # whatever the value's own code raises
            return type(self), (self.type, None, None)
        return type(self), (self.type, self.value, None)

    def __repr__(self) -> str:
        return _show(self)


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


def make_record(event: Event, time: datetime) -> Record:
    """Loguru's record dict of an event, keys in loguru's order. `time` is the event's, local."""
    site = event.site or UNKNOWN_SITE
    file, module = _file(site[3])
    return {
        "elapsed": timedelta(microseconds=event.elapsed_ns // 1000),
        "exception": event.exception,
        "extra": event.extra,
        "file": file,
        "function": site[1],
        "level": event.level,
        "line": site[2],
        "message": event.message,
        "module": module,
        "name": site[0],
        "process": _process(*current_process()),
        "thread": _thread(event.thread_id, event.thread_name),
        "time": time,
    }


def install(local_time: Callable[[int], datetime]) -> None:
    """Show the core how records are made; `local_time` gives the local time of nanoseconds since 1970."""
    set_event_makers(lambda event: make_record(event, local_time(event.time_ns)), current_process, utc_offset)


def current_process() -> tuple[int, str]:
    """Id and name of this process."""
    return getpid(), _process_name()


def utc_offset(second: int) -> int:
    """Seconds east of UTC, here, at a second since 1970."""
    return time.localtime(second).tm_gmtoff


# Records of one place, thread and process share these parts.


@lru_cache(maxsize=1024)
def _file(path: str) -> tuple[RecordFile, str]:
    """The file, and the name of its module (the file's without its ending)."""
    name = basename(path)
    return RecordFile(name, path), splitext(name)[0]  # noqa: PTH122 -- a Path costs ten times as much


@lru_cache(maxsize=1024)
def _thread(ident: int, name: str) -> RecordThread:
    return RecordThread(ident, name)


@lru_cache(maxsize=16)
def _process(pid: int, name: str) -> RecordProcess:
    return RecordProcess(pid, name)


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

"""The record that Python sinks see: loguru's dict, made only if a sink wants one. Renders nothing."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from functools import lru_cache
from os import getpid
from threading import current_thread
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from otelbridge._native import basename

if TYPE_CHECKING:
    from types import TracebackType

    from otelbridge.levels import Level


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


def make_record(
    time: datetime,
    elapsed_ns: int,
    level: Level,
    message: str,
    site: Site,
    extra: dict[Any, Any],
    exception: RecordException | None,
) -> Record:
    """Loguru's record dict, keys in its order. `time` is the call's, `elapsed_ns` what had passed since the start."""
    file, module = _file(site.path)
    thread = current_thread()
    return {
        "elapsed": timedelta(microseconds=elapsed_ns // 1000),
        "exception": exception,
        "extra": extra,
        "file": file,
        "function": site.function,
        "level": _level(level),
        "line": site.line,
        "message": message,
        "module": module,
        "name": site.name,
        "process": _process(getpid(), _process_name()),
        "thread": _thread(thread.ident or 0, thread.name),
        "time": time,
    }


# Records of one place, thread and process share these parts.


@lru_cache(maxsize=1024)
def _file(path: str) -> tuple[RecordFile, str]:
    """The file, and the name of its module (the file's without its ending)."""
    name = basename(path)
    stem, dot, _ = name.rpartition(".")
    return RecordFile(name, path), stem if dot else name


@lru_cache(maxsize=128)
def _level(level: Level) -> RecordLevel:
    return RecordLevel(level.name, level.no, level.icon)


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

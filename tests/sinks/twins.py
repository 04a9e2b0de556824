"""loguru's file sink and ours, each in a folder of its own, under one frozen clock."""

from __future__ import annotations

import bz2
import datetime
import gzip
import lzma
import os
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import loguru._datetime
import loguru._file_sink

from otelbridge.sinks import creation_time
from otelbridge.sinks import file as our_module
from otelbridge.sinks.file import FileSink
from otelbridge.text.time import local_time

LoguruSink: Any = loguru._file_sink.FileSink

START_S = 1_774_535_400.123456  # Thursday, 2026-03-26 14:30:00.123456 UTC


class Message(str):
    """What a handler gives to a sink."""

    record: dict[str, Any]


class Clock:
    """A wall clock that stands until it is moved. The files' own times are set to it after each step."""

    def __init__(self, start_s: float = START_S) -> None:
        self.time_ns = round(start_s * 1e6) * 1000

    @property
    def time_s(self) -> float:
        return self.time_ns / 1e9

    def wait(self, seconds: float) -> None:
        self.time_ns += round(seconds * 1e6) * 1000

    def message(self, text: str) -> Message:
        message = Message(text)
        message.record = {"time": local_time(self.time_ns)}
        return message

    def loguru_now(self) -> Any:
        local = datetime.datetime.fromtimestamp(self.time_s).astimezone()
        fields = local.timetuple()[:6]
        return loguru._datetime.datetime(*fields, local.microsecond, tzinfo=local.tzinfo)

    def settle(self, folder: Path) -> None:
        """Give all files that were written since the last step the time of the clock."""
        for path in folder.rglob("*"):
            if path.is_file() and _is_real(path.stat().st_mtime):
                os.utime(path, ns=(self.time_ns, self.time_ns))


def _is_real(time_s: float) -> bool:
    return abs(time_s - time.time()) < 3600


@contextmanager
def zone(name: str) -> Iterator[None]:
    """The local time is that of a zone."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = name
    time.tzset()
    try:
        yield
    finally:
        if before is None:
            del os.environ["TZ"]
        else:
            os.environ["TZ"] = before
        time.tzset()


@contextmanager
def frozen(clock: Clock) -> Iterator[None]:
    """Both sinks read the clock; a file whose creation nobody noted was created now."""

    class Datetime(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return datetime.datetime.fromtimestamp(clock.time_s, tz)

    def noted(get: Callable[[Any], float]) -> Callable[[Any], float]:
        def get_ctime(path: Any) -> float:
            created_s = get(path)
            return clock.time_s if _is_real(created_s) else created_s

        return get_ctime

    theirs = loguru._file_sink
    names = {name: getattr(datetime, name) for name in ("timedelta", "timezone", "time", "date", "tzinfo")}
    with ExitStack() as stack:
        for owner, name, replacement in (
            (theirs, "aware_now", clock.loguru_now),
            (theirs, "datetime", SimpleNamespace(**names, datetime=Datetime)),
            (theirs, "get_ctime", noted(theirs.get_ctime)),  # type: ignore[attr-defined]
            (our_module, "now_ns", lambda: clock.time_ns),
            (creation_time, "get_ctime", noted(creation_time.get_ctime)),
        ):
            stack.enter_context(mock.patch.object(owner, name, replacement))
        stack.enter_context(mock.patch.dict(os.environ, OTELBRIDGE_LOGURU_STRICT="1"))
        yield


class Twins:
    """The same sink twice."""

    def __init__(self, folder: Path, clock: Clock, name: str, **options: Any) -> None:
        self.clock = clock
        self.folders = folder / "loguru", folder / "ours"
        for each in self.folders:
            each.mkdir(exist_ok=True)
        self._name = name
        self._options = {"buffering": 1, "encoding": "utf8", **options}
        self.start()

    def start(self) -> None:
        """A new session."""
        theirs, ours = self.folders
        self.sinks = (
            LoguruSink(str(theirs / self._name), **self._options),
            FileSink(str(ours / self._name), **self._options),
        )
        self._settle()

    def write(self, text: str) -> None:
        for sink in self.sinks:
            sink.write(self.clock.message(text))
        self._settle()

    def stop(self) -> None:
        for sink in self.sinks:
            sink.stop()
        self._settle()

    def wait(self, seconds: float) -> None:
        self.clock.wait(seconds)

    def check(self) -> None:
        """Both folders hold the same."""
        theirs, ours = (contents(folder) for folder in self.folders)
        assert ours == theirs

    def _settle(self) -> None:
        for folder in self.folders:
            self.clock.settle(folder)


@contextmanager
def twins(name: str, *, start_s: float = START_S, **options: Any) -> Iterator[Twins]:
    """Twins in a folder that is removed afterwards."""
    clock = Clock(start_s)
    with tempfile.TemporaryDirectory() as folder, frozen(clock):
        pair = Twins(Path(folder), clock, name, **options)
        try:
            yield pair
        finally:
            for sink in pair.sinks:
                with suppress(Exception):
                    sink.stop()


def contents(folder: Path) -> dict[str, bytes | dict[str, bytes]]:
    """All files below a folder: name -> bytes; of an archive, what is packed."""
    return {str(path.relative_to(folder)): unpacked(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def unpacked(path: Path) -> bytes | dict[str, bytes]:
    """The lines of a file or an archive; of an archive with members, by their names."""
    if ".tar" in path.name:
        with tarfile.open(path) as archive:
            return {member.name: _read(archive, member) for member in archive}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as packed:
            return {name: packed.read(name) for name in packed.namelist()}
    opens: dict[str, Callable[[Path], Any]] = {
        ".gz": gzip.open,
        ".bz2": bz2.open,
        ".xz": lzma.open,
        ".lzma": lzma.open,
    }
    opened: Any = opens[path.suffix](path) if path.suffix in opens else path.open("rb")
    with opened as file:
        data: bytes = file.read()
        return data


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    assert file is not None
    return file.read()

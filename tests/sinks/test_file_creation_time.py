"""When a file was begun: remembered with the file, and what hangs on it."""

from __future__ import annotations

import datetime
import os
import sys
from pathlib import Path

import loguru._ctime_functions
import pytest

from otelbridge.sinks import creation_time
from otelbridge.sinks.file import FileSink
from tests.sinks.twins import START_S, Clock, frozen, zone

linux = pytest.mark.skipif(sys.platform != "linux", reason="as Linux remembers it")


@linux
@pytest.mark.covers("1.12")
def test_a_creation_time_is_remembered(tmp_path: Path) -> None:
    """Through writes and renames, and by loguru as by us: changing the import changes no schedule."""
    path = tmp_path / "app.log"
    path.touch()
    creation_time.set_ctime(path, START_S)
    path.write_text("line\n")
    path = path.rename(tmp_path / "renamed.log")
    assert creation_time.get_ctime(path) == START_S
    assert loguru._ctime_functions.get_ctime(str(path)) == START_S
    loguru._ctime_functions.set_ctime(str(path), START_S + 1)
    assert creation_time.get_ctime(str(path)) == START_S + 1


@linux
@pytest.mark.covers("1.12")
def test_without_a_memory_the_last_change_counts(tmp_path: Path) -> None:
    """Of files that somebody else began, and where the file system keeps no attributes."""
    path = tmp_path / "app.log"
    path.touch()
    os.utime(path, (START_S, START_S))
    assert creation_time.get_ctime(path) == pytest.approx(START_S)


@linux
@pytest.mark.skipif(not Path("/proc/self/comm").exists(), reason="no /proc here")
def test_a_file_system_that_cannot_remember_is_no_error() -> None:
    """Nothing happens."""
    creation_time.set_ctime("/proc/self/comm", START_S)


@pytest.mark.covers("1.12")
def test_both_functions_may_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are looked up at each use."""
    noted: list[float] = []
    monkeypatch.setattr(creation_time, "get_ctime", lambda path: START_S)
    monkeypatch.setattr(creation_time, "set_ctime", lambda path, timestamp: noted.append(timestamp))
    clock = Clock(START_S + 86_399)
    with zone("UTC"), frozen(clock):
        sink = FileSink(tmp_path / "app.log", rotation="1 day", buffering=1)
        sink.write(clock.message("1\n"))
        clock.wait(2)
        sink.write(clock.message("2\n"))
        sink.stop()
    assert noted == [START_S, pytest.approx(START_S + 86_401)]
    assert (tmp_path / "app.2026-03-26_14-30-00_123456.log").read_text() == "1\n"


@pytest.mark.covers("1.13")
def test_a_rotated_file_is_named_for_its_beginning(tmp_path: Path) -> None:
    """Not for its end; a second one of the same time gets a number; so does a third."""
    clock = Clock()
    with zone("UTC"), frozen(clock):
        sink = FileSink(tmp_path / "app.log", rotation=1, delay=True, buffering=1)
        for text in ("1\n", "2\n", "3\n"):
            sink.write(clock.message(text))
            clock.settle(tmp_path)
        sink.stop()
    names = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert names == {
        "app.2026-03-26_14-30-00_123456.log": "",  # as in loguru: what is there at first is put aside, though empty
        "app.2026-03-26_14-30-00_123456.2.log": "1\n",
        "app.2026-03-26_14-30-00_123456.3.log": "2\n",
        "app.log": "3\n",
    }


@pytest.mark.covers("1.12")
def test_a_schedule_goes_on_after_a_restart(tmp_path: Path) -> None:
    """It counts from the beginning of the file, not of the process."""
    clock = Clock()
    with zone("UTC"), frozen(clock):
        for hours in (0, 9, 9, 9):
            clock.wait(hours * 3600)
            sink = FileSink(tmp_path / "app.log", rotation=datetime.timedelta(days=1), buffering=1)
            sink.write(clock.message(f"{hours}\n"))
            sink.stop()
            clock.settle(tmp_path)
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["0\n9\n9\n", "9\n"]

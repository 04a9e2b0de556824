"""How a log file is opened, closed, and followed when others move it away."""

from __future__ import annotations

import copy
import io
import os
import pickle
import stat
from pathlib import Path
from typing import Any

import pytest

from otelbridge.sinks import file as module
from otelbridge.sinks.file import FileSink


class Seconds:
    """What `monotonic` says."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> Seconds:
    """The clock by which a sink looks after its file."""
    clock = Seconds()
    monkeypatch.setattr(module, "monotonic", clock)
    return clock


@pytest.mark.covers("1.11")
def test_folders_are_made_as_needed(tmp_path: Path) -> None:
    """All of them."""
    sink = FileSink(tmp_path / "a" / "b" / "app.log")
    sink.stop()
    assert (tmp_path / "a" / "b" / "app.log").is_file()


@pytest.mark.covers("1.11")
def test_with_delay_nothing_is_made_before_the_first_message(tmp_path: Path) -> None:
    """Neither a folder nor a file."""
    sink = FileSink(tmp_path / "a" / "app.log", delay=True, buffering=1)
    assert not list(tmp_path.iterdir())
    sink.write("line\n")
    assert (tmp_path / "a" / "app.log").read_text() == "line\n"
    sink.stop()


@pytest.mark.covers("1.11")
@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"unknown": 1}, TypeError),
        ({"loop": None}, TypeError),
        ({"mode": 5}, TypeError),
        ({"mode": "q"}, ValueError),
        ({"mode": "r"}, ValueError),
        ({"mode": "ab"}, ValueError),
        ({"mode": "ab", "encoding": None}, ValueError),
        ({"encoding": "no such"}, LookupError),
        ({"buffering": 0}, ValueError),
        ({"newline": "x"}, ValueError),
        ({"closefd": False}, ValueError),
        ({"rotation": "never"}, ValueError),
        ({"retention": "for ever"}, ValueError),
        ({"compression": "rar"}, ValueError),
    ],
    ids=str,
)
@pytest.mark.parametrize("delay", [False, True])
def test_a_mistake_is_told_at_once(
    tmp_path: Path, options: dict[str, Any], error: type[Exception], delay: bool
) -> None:
    """Also when the file is opened later; and no file is made."""
    with pytest.raises(error):
        FileSink(tmp_path / "app.log", delay=delay, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.covers("1.11")
@pytest.mark.parametrize("name", ["{}.log", "{0}.log", "{user}.log", "{time.year}.log", "{time", "a}b"])
def test_only_time_may_stand_in_a_path(tmp_path: Path, name: str) -> None:
    """Another field is a mistake, told at once."""
    with pytest.raises((KeyError, ValueError, AttributeError)):
        FileSink(tmp_path / name, delay=True)


@pytest.mark.parametrize("path", [None, 5, b"app.log"])
def test_a_path_is_text(path: Any) -> None:
    """Str or os.PathLike of str."""
    with pytest.raises(TypeError):
        FileSink(path)


@pytest.mark.covers("1.11")
def test_a_relative_path_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that goes to another folder keeps its log, its rotation and its retention in the first."""
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    monkeypatch.chdir(tmp_path / "first")
    sink = FileSink("app.log", rotation=5, retention=1, buffering=1)
    monkeypatch.chdir(tmp_path / "second")
    for number in range(4):
        sink.write(f"{number}...\n")
    sink.stop()
    assert not list((tmp_path / "second").iterdir())
    assert len(list((tmp_path / "first").iterdir())) == 2


@pytest.mark.covers("1.11")
def test_an_opener_is_asked(tmp_path: Path) -> None:
    """With the path, at each file; here for files that nobody else may read, whose archives nobody else may read."""
    sink = FileSink(
        tmp_path / "app.log", rotation=5, compression="gz", opener=lambda path, flags: os.open(path, flags, 0o600)
    )
    sink.write("line\n")
    sink.write("line\n")
    sink.stop()
    assert [stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()] == [0o600, 0o600]


def test_a_sink_shows_its_path_as_it_was_given() -> None:
    """As loguru shows it in `repr(logger)`."""
    assert repr(FileSink("a_{time}.log", delay=True)) == "'a_{time}.log'"
    assert repr(FileSink(Path("b.log"), delay=True)) == "'b.log'"


def test_path_is_the_file_that_is_written_to(tmp_path: Path) -> None:
    """Before it is opened, the path as given."""
    sink = FileSink(tmp_path / "a.log", delay=True)
    assert sink.path == str(tmp_path / "a.log")
    sink.write("line\n")
    assert sink.path == str(tmp_path / "a.log")
    sink.stop()


@pytest.mark.covers("1.11")
def test_lines_wait_in_the_buffer(tmp_path: Path) -> None:
    """Whole lines, until there are enough of them, or `flush`, `complete` or `stop` is called."""
    sink = FileSink(tmp_path / "app.log", buffering=10)
    sink.write("1\n")
    assert (tmp_path / "app.log").read_text() == ""
    sink.flush()
    assert (tmp_path / "app.log").read_text() == "1\n"
    sink.write("2\n")
    sink.complete()
    assert (tmp_path / "app.log").read_text() == "1\n2\n"
    sink.write("345678\n")
    sink.write("9abcdef\n")
    assert (tmp_path / "app.log").read_text() == "1\n2\n345678\n9abcdef\n"
    sink.write("0\n")
    sink.stop()
    assert (tmp_path / "app.log").read_text().endswith("0\n")


def test_a_buffered_line_does_not_wait_long(tmp_path: Path, seconds: Seconds) -> None:
    """The next line, a second later, takes it along."""
    sink = FileSink(tmp_path / "app.log", buffering=8192)
    sink.write("1\n")
    seconds.now_s += 1.5
    sink.write("2\n")
    assert (tmp_path / "app.log").read_text() == "1\n2\n"
    sink.stop()


def test_a_sink_travels_without_its_file(tmp_path: Path) -> None:
    """Pickled or copied, it writes to the same file, opened by itself; what waited stays with the first."""
    first = FileSink(tmp_path / "app.log", mode="w", rotation="1 day", errors="replace")
    first.write("first\n")
    for other in (pickle.loads(pickle.dumps(first)), copy.deepcopy(first)):
        other.write("other\n")
        other.stop()
    first.stop()
    assert sorted((tmp_path / "app.log").read_text().split()) == ["first", "other", "other"]


@pytest.mark.covers("1.11")
@pytest.mark.parametrize("way", ["renamed", "deleted", "folder deleted", "replaced"])
@pytest.mark.parametrize("watch", [True, False])
def test_a_file_that_others_move_is_opened_anew(tmp_path: Path, seconds: Seconds, way: str, watch: bool) -> None:
    """Without `watch` within a second, with it at the next message."""
    folder = tmp_path / "logs"
    path = folder / "app.log"
    sink = FileSink(path, watch=watch, buffering=1)
    sink.write("before\n")
    if way == "folder deleted":
        path.unlink()
        folder.rmdir()
    elif way == "deleted":
        path.unlink()
    else:
        path.rename(folder / "app.log.1")
    if way == "replaced":
        path.write_text("of others\n")
    if not watch:
        seconds.now_s += 0.9
        sink.write("still there\n")
        assert path.exists() == (way == "replaced")
        seconds.now_s += 0.2
    sink.write("after\n")
    assert path.read_text() == ("of others\nafter\n" if way == "replaced" else "after\n")
    sink.stop()


def test_no_stat_is_made_for_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: Seconds) -> None:
    """One a second is enough."""
    sink = FileSink(tmp_path / "app.log", buffering=1, rotation="1 MB")
    asked: list[str] = []
    real = os.stat

    def counting(path: Any) -> os.stat_result:
        asked.append(path)
        return real(path)

    monkeypatch.setattr(os, "stat", counting)
    for _ in range(100):
        sink.write("line\n")
    assert not asked
    seconds.now_s += 1.5
    for _ in range(100):
        sink.write("line\n")
    monkeypatch.undo()
    assert len(asked) == 1
    sink.stop()


def test_a_device_is_not_rotated() -> None:
    """Nobody wants /dev/null renamed."""
    sink = FileSink("/dev/null", rotation=1, retention=0, buffering=1)
    sink.write("line\n")
    sink.write("line\n")
    sink.stop()
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_a_pipe_can_be_written_to(tmp_path: Path) -> None:
    """As any path."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    sink = FileSink(path, buffering=1, rotation="1 MB")
    sink.write("line\n")
    assert os.read(reader, 100) == b"line\n"
    sink.stop()
    os.close(reader)


def test_a_stopped_sink_that_is_written_to_begins_again(tmp_path: Path) -> None:
    """And empties nothing, whatever its mode."""
    sink = FileSink(tmp_path / "app.log", mode="w", buffering=1)
    sink.write("1\n")
    sink.stop()
    sink.write("2\n")
    sink.stop()
    assert (tmp_path / "app.log").read_text() == "1\n2\n"


def test_not_writable_is_loguru_s_error(tmp_path: Path) -> None:
    """Both an OSError and a ValueError."""
    with pytest.raises(io.UnsupportedOperation):
        FileSink(tmp_path / "app.log", mode="r")

"""A log file that cannot be written, renamed, packed or removed."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otelbridge.sinks import file as module
from otelbridge.sinks.file import FileSink

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sink looks after its file at each message."""
    monkeypatch.setattr(module, "_LOOK_S", -1.0)


def bad(*_: object) -> None:
    raise RuntimeError("as it should")


@pytest.mark.parametrize("option", ["compression", "retention"])
def test_what_fails_after_a_rotation_costs_no_line(tmp_path: Path, option: str) -> None:
    """The new file is open and has the line; then the error goes up to the handler."""
    options: dict[str, Any] = {option: bad}
    sink = FileSink(tmp_path / "app.log", rotation=5, buffering=1, **options)
    sink.write("1...\n")
    with pytest.raises(RuntimeError, match="as it should"):
        sink.write("2...\n")
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["1...\n", "2...\n"]
    sink.stop()


@pytest.mark.parametrize("option", ["compression", "retention"])
def test_in_loguru_what_fails_after_a_rotation_costs_a_line(
    tmp_path: Path, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With OTELBRIDGE_LOGURU_STRICT; the next one is written."""
    monkeypatch.setenv("OTELBRIDGE_LOGURU_STRICT", "1")
    options: dict[str, Any] = {option: bad}
    sink = FileSink(tmp_path / "app.log", rotation=5, buffering=1, **options)
    sink.write("1...\n")
    with pytest.raises(RuntimeError, match="as it should"):
        sink.write("2...\n")
    sink.write("3...\n")
    sink.stop()
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["1...\n", "3...\n"]


def test_a_condition_that_fails_costs_its_line_only(tmp_path: Path) -> None:
    """As in loguru: nobody knows where the line belongs."""
    answers: list[Callable[[], bool]] = [lambda: False, bad, lambda: False]  # type: ignore[list-item]
    sink = FileSink(tmp_path / "app.log", rotation=lambda *_: answers.pop(0)(), buffering=1)
    sink.write("1\n")
    with pytest.raises(RuntimeError):
        sink.write("2\n")
    sink.write("3\n")
    sink.stop()
    assert (tmp_path / "app.log").read_text() == "1\n3\n"


def test_a_file_that_cannot_be_renamed_is_written_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each message tries again and is written."""
    sink = FileSink(tmp_path / "app.log", rotation=5, buffering=1)
    sink.write("1...\n")
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", bad)
        with pytest.raises(RuntimeError):
            sink.write("2...\n")
    assert (tmp_path / "app.log").read_text() == "1...\n2...\n"
    sink.write("3...\n")
    sink.stop()
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["1...\n2...\n", "3...\n"]


def test_an_archive_that_cannot_be_made_leaves_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no half of an archive."""
    sink = FileSink(tmp_path / "app.log", rotation=5, compression="gz", buffering=1)
    sink.write("1...\n")
    with monkeypatch.context() as patch:
        patch.setattr("shutil.copyfileobj", bad)
        with pytest.raises(RuntimeError):
            sink.write("2...\n")
    sink.stop()
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["1...\n", "2...\n"]


def test_one_file_that_cannot_be_removed_spares_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error is told when the rest is gone."""
    for number in range(3):
        (tmp_path / f"app.{number}.log").touch()
    sink = FileSink(tmp_path / "app.log", retention=0, delay=True)
    real = os.remove

    def remove(path: str) -> None:
        if path.endswith("app.1.log"):
            raise PermissionError(errno.EACCES, "as it should", path)
        real(path)

    monkeypatch.setattr(os, "remove", remove)
    with pytest.raises(PermissionError):
        sink.stop()
    assert [path.name for path in tmp_path.iterdir()] == ["app.1.log"]


def test_a_folder_that_cannot_be_made_again_costs_lines_until_it_can(tmp_path: Path) -> None:
    """Each of them is told."""
    path = tmp_path / "logs" / "app.log"
    sink = FileSink(path, buffering=1)
    sink.write("1\n")
    path.unlink()
    path.parent.rmdir()
    path.parent.write_text("in the way")
    for _ in range(3):
        with pytest.raises(OSError, match="logs"):
            sink.write("2\n")
    path.parent.unlink()
    sink.write("3\n")
    sink.stop()
    assert path.read_text() == "3\n"


def test_a_closed_descriptor_is_opened_again(tmp_path: Path) -> None:
    """A daemon may have closed them all."""
    sink = FileSink(tmp_path / "app.log", buffering=1)
    sink.write("1\n")
    os.close(sink._fd)
    sink.write("2\n")
    sink.stop()
    assert (tmp_path / "app.log").read_text() == "1\n2\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("buffering", [1, 4])
def test_a_full_device_is_told_at_each_line(buffering: int) -> None:
    """OSError, and the sink lives."""
    sink = FileSink("/dev/full", buffering=buffering)
    for _ in range(3):
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            sink.write("line\n")
    sink.renew()  # forgets what waits


def test_a_buffer_does_not_grow_while_the_disk_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond a megabyte lines are lost, and said to be."""
    monkeypatch.setattr(module, "_BACKLOG_BYTES", 100)
    sink = FileSink("/dev/full", buffering=50)
    lost = 0
    for _ in range(100):
        try:
            sink.write("123456789\n")
        except OSError:
            lost += 1
    assert lost >= 80
    assert len(sink._buffer) <= 160
    sink.renew()


FILLED = """
import resource, sys
from otelbridge.sinks.file import FileSink
sink = FileSink(sys.argv[1], buffering=int(sys.argv[2]))
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
lost = 0
for number in range(60):
    try:
        sink.write(f"{number:02} {'x' * 26}\\n")
    except OSError:
        lost += 1
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
sink.write("resumed\\n")
sink.stop()
print(lost)
"""


@pytest.mark.parametrize("buffering", [1, 100])
def test_no_line_is_written_in_half(tmp_path: Path, buffering: int) -> None:
    """A file that may not grow ends with a whole line; when it may grow again, the next line is written."""
    path = tmp_path / "app.log"
    lost = int(subprocess.check_output([sys.executable, "-c", FILLED, str(path), str(buffering)], cwd=ROOT))
    lines = path.read_text().splitlines()
    assert lines[-1] == "resumed"
    assert all(len(line) == 29 for line in lines[:-1])
    assert len(set(lines)) == len(lines)
    if buffering == 1:
        assert lost == 60 - (len(lines) - 1) > 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, check=False, capture_output=True).returncode
    except FileNotFoundError:
        done = 1
    if done != 0:
        pytest.skip("may not mount a file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("rotation", [None, "20 KB"])
def test_a_full_disk_costs_what_does_not_fit(small_disk: Path, rotation: str | None) -> None:
    """Whole lines, once; when there is room again, all goes on by itself."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 30_000)
    sink = FileSink(small_disk / "app.log", rotation=rotation, buffering=1)
    written, room_at = [], None
    for number in range(1500):
        line = f"{number:04} {'x' * 94}"
        try:
            sink.write(f"{line}\n")
        except OSError:
            if room_at is None and number > 700:
                ballast.unlink()
                room_at = number
        else:
            written.append(line)
    sink.stop()
    files = sorted(small_disk.glob("app*.log"), key=lambda path: (path.name == "app.log", path.name))
    assert "".join(path.read_text() for path in files).splitlines() == written
    assert room_at is not None
    assert any(int(line[:4]) > room_at for line in written)


def test_limits_are_those_of_this_process() -> None:
    """The tests above have not changed them."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY

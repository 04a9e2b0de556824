"""Several processes write to one log file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otelbridge.sinks.file import FileSink
from otelbridge.sinks.locks import claimed
from tests.sinks.twins import unpacked

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="promised for POSIX only")

PROCESSES = 4
LINES = 4000


def write_together(path: Path, **options: Any) -> None:
    """Several processes write, all at the same time."""
    writers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.sinks.writer", f"w{number}", str(LINES), str(path), json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for number in range(PROCESSES)
    ]
    try:
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        assert [writer.wait(100) for writer in writers] == [0] * PROCESSES
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()


def lines_in(*folders: Path) -> list[str]:
    """All lines of all files and archives."""
    lines: list[str] = []
    for path in (path for folder in folders for path in sorted(folder.iterdir())):
        data = unpacked(path)
        for text in [data] if isinstance(data, bytes) else data.values():
            assert text == b"" or text.endswith(b"\n"), f"{path} ends within a line"
            lines += text.decode().splitlines()
    return lines


def check_lines(lines: list[str]) -> None:
    """Every line of every process, whole, once."""
    expected = {f"w{name} {number:06} {'x' * (number % 90)}" for name in range(PROCESSES) for number in range(LINES)}
    counted = Counter(lines)
    assert {line: times for line, times in counted.items() if times > 1 or line not in expected} == {}
    assert len(counted) == len(expected)


def check_order(lines_of_files: list[list[str]]) -> None:
    """In each file the lines of each process are in the order in which it wrote them."""
    for lines in lines_of_files:
        of_process = defaultdict(list)
        for line in lines:
            of_process[line.split()[0]].append(line)
        assert all(part == sorted(part) for part in of_process.values())


@pytest.mark.covers("1.12")
@pytest.mark.parametrize(
    "options",
    [
        {"buffering": 1},
        {"buffering": 8192},
        {"buffering": 1, "rotation": "20 KB"},
        {"buffering": 512, "rotation": "20 KB"},
        {"buffering": 1, "rotation": "30 KB", "compression": "gz", "retention": 10_000},
        {"buffering": 1, "mode": "w", "compression": "gz"},
    ],
    ids=lambda options: " ".join(f"{name}={value}" for name, value in options.items()),
)
def test_every_line_of_every_process_arrives_once(tmp_path: Path, options: dict[str, Any]) -> None:
    """With and without buffer, rotation, compression and retention: each line is there, whole, one time."""
    folder = tmp_path / "logs"
    write_together(folder / "app.log", **options)
    check_lines(lines_in(folder))


@pytest.mark.covers("1.14")
def test_no_file_is_taken_away_from_a_process_that_writes_to_it(tmp_path: Path) -> None:
    """A retention that moves files away, of all processes at once: each line is there, whole, one time."""
    folder, kept = tmp_path / "logs", tmp_path / "kept"
    kept.mkdir()
    write_together(folder / "app.log", buffering=1, rotation="20 KB", compression="gz", keep=str(kept))
    check_lines(lines_in(folder, kept))


@pytest.mark.covers("1.12")
def test_one_of_several_processes_rotates(tmp_path: Path) -> None:
    """There are as many files as one process would have made, none much smaller or larger than it should be."""
    write_together(tmp_path / "logs" / "app.log", buffering=1, rotation="50 KB")
    sizes = sorted(path.stat().st_size for path in (tmp_path / "logs").iterdir())
    # Each process may put one line into the file before: it learns of a rotation when that file is full.
    assert sizes[-1] <= 50_000 + PROCESSES * 110
    assert all(size >= 50_000 - 110 for size in sizes[1:])  # but the last file


@pytest.mark.covers("1.12")
def test_the_lines_of_a_process_keep_their_order_in_each_file(tmp_path: Path) -> None:
    """Whatever the others do."""
    write_together(tmp_path / "logs" / "app.log", buffering=1, rotation="50 KB")
    check_order([path.read_text().splitlines() for path in (tmp_path / "logs").iterdir()])


def forked(work: Callable[[], None]) -> int:
    """Start a forked child; its id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return child


@pytest.mark.covers("1.32")
@pytest.mark.parametrize("buffering", [1, 4096])
@pytest.mark.parametrize("renews", [True, False], ids=["renewed", "forked unnoticed"])
def test_forked_children_write_to_their_parents_file(tmp_path: Path, buffering: int, renews: bool) -> None:
    """Lines that waited in the parent at the fork arrive once, those of the children too, through all rotations."""
    folder = tmp_path / "logs"
    sink = FileSink(folder / "app.log", rotation="20 KB", compression="gz", buffering=buffering)
    sink.write("before the fork\n")

    def work(name: int) -> None:
        if renews:
            sink.renew()
        for number in range(LINES):
            sink.write(f"w{name} {number:06} {'x' * (number % 90)}\n")
        sink.stop()

    children = [forked(lambda name=name: work(name)) for name in range(PROCESSES)]  # type: ignore[misc]
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * PROCESSES
    sink.stop()
    lines = lines_in(folder)
    assert lines.count("before the fork") == 1
    check_lines([line for line in lines if line != "before the fork"])


@pytest.mark.covers("1.15")
def test_a_file_is_packed_when_its_last_writer_has_left(tmp_path: Path) -> None:
    """Not before; by whoever leaves it last."""
    path = tmp_path / "app.log"
    first = FileSink(path, rotation=10, compression="gz", buffering=1)
    second = FileSink(path, rotation=10, compression="gz", buffering=1)
    first.write("of first\n")
    first.write("too much\n")
    assert [name.suffix for name in sorted(tmp_path.iterdir())] == [".log", ".log"]
    second.write("of second\n")  # into the file that it has open
    first.stop()
    assert not list(tmp_path.glob("*.gz"))
    second.stop()
    assert sorted(lines_in(tmp_path)) == ["of first", "of second", "too much"]
    assert len(list(tmp_path.glob("*.gz"))) == 1


@pytest.mark.covers("1.14")
def test_retention_spares_a_file_that_another_process_has_open(tmp_path: Path) -> None:
    """It goes at a later rotation."""
    path = tmp_path / "app.log"
    idle = FileSink(path, rotation=10, buffering=1)
    busy = FileSink(path, rotation=10, retention=0, buffering=1)
    for number in range(5):
        busy.write(f"line {number}..\n")
    assert len(list(tmp_path.iterdir())) == 2  # the one that idle has open, and the present one
    idle.stop()
    busy.write("line 5..\n")
    busy.stop()
    assert list(tmp_path.iterdir()) == [path]


def test_whoever_stops_last_packs_a_file_without_rotation(tmp_path: Path) -> None:
    """The lines of the others are in the archive."""
    sinks = [FileSink(tmp_path / "app.log", compression="gz", buffering=1) for _ in range(3)]
    for number, sink in enumerate(sinks):
        sink.write(f"{number}\n")
        sink.stop()
        assert (tmp_path / "app.log").exists() == (number < 2)
    assert unpacked(tmp_path / "app.log.gz") == b"0\n1\n2\n"


def test_no_lock_files_are_left(tmp_path: Path) -> None:
    """Nor is anything locked after the end."""
    sink = FileSink(tmp_path / "app.log", rotation=10, compression="gz", retention=5)
    sink.write("line\n")
    sink.stop()
    assert [path.name for path in tmp_path.iterdir()] == ["app.log"]
    with claimed(str(tmp_path / "app.log")) as is_free:
        assert is_free

"""Retention: which files belong to a sink, and which of them go."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.hosts.files import Folder, local, when_asked
from tests.conformance.support import each

DAY = datetime.timedelta(days=1)

NAMES = [
    "a.log", "a.2020-01-01_10-00-00_000000.log", "a.1.log", "a.log.1", "a.log.gz", "a.2020.log.tar.gz", "a.old",
    "b.log", "aa.log", "xa.log", "a", "a.log.zip", "a1.log", "A.log", "a.txt.log", "a..log", "a.logx", "a.log2",
    "sub/a.1.log", "a.2020-01-01_10-00-00_000000.2.log", "a_1.log", "a-1.log", "a 1.log",
]  # fmt: skip
OWN = [
    "a.log", "a.2020-01-01_10-00-00_000000.log", "a.1.log", "a.log.1", "a.log.gz", "a.2020.log.tar.gz",
    "a.log.zip", "a.txt.log", "a..log", "a.2020-01-01_10-00-00_000000.2.log",
]  # fmt: skip


def collected(logger: Any, path: str) -> list[str]:
    """The names of the files that a retention function is given when the sink stops."""
    given: list[Any] = []
    number = logger.add(path, retention=given.extend)
    logger.remove(number)
    return sorted(Path(one).name for one in given)


@pytest.mark.covers("1.14")
def test_own_files(logger: Any, folder: Folder) -> None:
    """
    The files of a sink are `basename(.*).ext(.*)` in its folder: no subfolder, no other name.
    """
    for name in NAMES:
        folder.old(name, local(2020, 1, 1))
    (folder / "a.folder.log").mkdir()

    assert collected(logger, str(folder / "a.log")) == sorted(OWN)


@pytest.mark.covers("1.14")
@pytest.mark.parametrize(
    ("path", "names", "own"),
    [
        ("app", ["app", "app.1", "app.log", "app1", "other"], ["app", "app.1", "app.log"]),
        ("a.tar.log", ["a.tar.log", "a.tar.1.log", "a.log", "a.tar"], ["a.tar.log", "a.tar.1.log"]),
        ("[a].log", ["[a].log", "[a].1.log", "a.1.log"], ["[a].log", "[a].1.log"]),
        ("a*.log", ["a*.log", "a*.1.log", "ab.1.log"], ["a*.log", "a*.1.log"]),
    ],
)
def test_own_files_of_other_names(logger: Any, folder: Folder, path: str, names: list[str], own: list[str]) -> None:
    """
    Names with several dots, none, or characters that mean something elsewhere are taken as they are.
    """
    for name in names:
        folder.old(name, local(2020, 1, 1))

    assert collected(logger, str(folder / path)) == sorted(own)


@pytest.mark.covers("1.14")
def test_own_files_of_a_name_with_time(logger: Any, folder: Folder) -> None:
    """
    A time field of the path stands for anything.
    """
    for name in ("x-1-y.log", "x--y.log", "x-2020_01-y.1.log", "x-y.log", "z-1-y.log"):
        folder.old(name, local(2020, 1, 1))
    given: list[Any] = []
    number = logger.add(f"{folder.path}/x-{{time:YYYY}}-y.log", retention=given.extend)
    (current,) = set(folder.names()) - {
        "x-1-y.log",
        "x--y.log",
        "x-2020_01-y.1.log",
        "x-y.log",
        "z-1-y.log",
    }
    logger.remove(number)

    assert sorted(Path(one).name for one in given) == sorted(["x-1-y.log", "x--y.log", "x-2020_01-y.1.log", current])


@pytest.mark.covers("1.14")
@pytest.mark.parametrize(("count", "left"), [(10, 6), (6, 6), (3, 3), (2, 2), (1, 1)])
def test_count(logger: Any, folder: Folder, count: int, left: int) -> None:
    """
    A number keeps so many of the newest files, the current one included.
    """
    for day in range(1, 6):
        folder.old(f"a.{day}.log", local(2020, 1, day))
    number = logger.add(folder / "a.log", retention=count)
    logger.info("m")
    during = folder.names()
    logger.remove(number)

    assert len(during) == 6
    assert folder.names() == sorted(["a.log", *[f"a.{day}.log" for day in (5, 4, 3, 2, 1)][: left - 1]])


@pytest.mark.covers("1.14")
def test_count_of_none(logger: Any, folder: Folder) -> None:
    """
    Zero keeps nothing, the current file included.
    """
    folder.old("a.1.log", local(2020, 1, 1))
    folder.old("b.log", local(2020, 1, 1))
    number = logger.add(folder / "a.log", retention=0)
    logger.info("m")
    logger.remove(number)

    assert folder.names() == ["b.log"]


@pytest.mark.covers("1.14")
@pytest.mark.parametrize(
    ("age", "left"),
    [
        ("10 days", [0, 1, 2, 3, 4]),
        ("4 days", [0, 1, 2, 3]),
        ("1 day, 12 hours", [0, 1]),
        ("36h", [0, 1]),
        ("1 week", [0, 1, 2, 3, 4]),
        (3 * DAY, [0, 1, 2]),
        (datetime.timedelta(hours=12), [0]),
    ],
    ids=str,
)
def test_age(logger: Any, folder: Folder, age: Any, left: list[int]) -> None:
    """
    An age keeps the files that were changed within it.
    """
    now = datetime.datetime.now().astimezone()
    for days in range(5):
        folder.old(f"a.{days}.log", now - days * DAY - datetime.timedelta(minutes=1))
    number = logger.add(folder / "a.log", retention=age)
    logger.info("m")
    logger.remove(number)

    assert folder.names() == [*(f"a.{days}.log" for days in left), "a.log"]


@pytest.mark.covers("1.14")
def test_function(logger: Any, folder: Folder) -> None:
    """
    A function decides alone: nothing else is removed.
    """
    for day in range(1, 4):
        folder.old(f"a.{day}.log", local(2020, 1, day))

    def retention(files: list[Any]) -> None:
        for file in files:
            if "2" in os.path.basename(file):  # noqa: PTH119 -- paths as a program of 2019 treats them
                os.remove(file)  # noqa: PTH107

    number = logger.add(folder / "a.log", retention=retention)
    logger.remove(number)

    assert folder.names() == ["a.1.log", "a.3.log", "a.log"]


@pytest.mark.covers("1.14", note="paths as str, as loguru gives them")
def test_function_gets_texts(logger: Any, folder: Folder) -> None:
    """
    A function gets a list of paths as str, of absolute files when the sink's path is absolute.
    """
    given: list[Any] = []
    number = logger.add(folder / "a.log", retention=given.append)
    logger.remove(number)

    assert given == [[str(folder / "a.log")]]


@pytest.mark.covers("1.14")
def test_at_rotation(logger: Any, folder: Folder) -> None:
    """
    With a rotation, files are removed at each rotation, and not when the sink stops.
    """
    for day in range(1, 4):
        folder.old(f"a.{day}.log", local(2020, 1, day))
    number = logger.add(folder / "a.log", retention=2, rotation=when_asked)
    logger.info("m")
    before = folder.names()
    logger.info("rotate")
    after = folder.names()
    folder.old("a.4.log", local(2020, 1, 4))
    folder.old("a.5.log", local(2020, 1, 5))
    logger.remove(number)

    assert before == ["a.1.log", "a.2.log", "a.3.log", "a.log"]
    assert [name for name in after if name in before] == ["a.3.log", "a.log"]
    assert len(after) == 3  # two that are over, and the one that begins
    assert {"a.4.log", "a.5.log"} < set(folder.names())


@pytest.mark.covers("1.14")
def test_many_rotations(logger: Any, folder: Folder) -> None:
    """
    After any number of rotations there are so many old files, and the one that is written to.
    """
    logger.add(folder / "a.log", format="{message}", retention=3, rotation=when_asked)

    for number in range(10):
        logger.info("rotate {}", number)

    assert len(folder.names()) == 4
    assert folder.text("a.log") == "rotate 9\n"


@pytest.mark.covers("1.14", note="1.15")
def test_compressed_files_count(logger: Any, folder: Folder) -> None:
    """
    Compressed files are files.
    """
    logger.add(folder / "a.log", format="{message}", retention=2, rotation=when_asked, compression="gz")

    for number in range(5):
        logger.info("rotate {}", number)

    assert len(folder.names()) == 3
    assert sum(name.endswith(".log.gz") for name in folder.names()) == 2


@pytest.mark.covers("1.14")
def test_after_a_restart(logger: Any, folder: Folder) -> None:
    """
    Files of earlier runs are collected too.
    """
    for _ in range(4):
        number = logger.add(f"{folder.path}/{{time:YYYY-MM-DD_HH-mm-ss-SSSSSS}}.log", retention=2)
        logger.info("m")
        logger.remove(number)

    assert len(folder.names()) == 2


@pytest.mark.covers("1.14")
@pytest.mark.parametrize(
    "retention",
    ["1 week, 3 days", "2 months", "1 hour", "10 days", 0, 1, -1, DAY, lambda files: None, None],
    ids=ascii,
)
def test_accepted(logger: Any, folder: Folder, retention: Any) -> None:
    """
    Every documented way to say what stays is accepted.
    """
    logger.add(folder / "a.log", retention=retention)

    assert folder.names() == ["a.log"]


@pytest.mark.covers("1.14")
@each(
    ("retention", "error"),
    [
        ("", ValueError),
        ("lol", ValueError),
        ("10 MB", ValueError),
        ("monday", ValueError),
        ("12:00", ValueError),
        ("daily", ValueError),
        ("3 lol", ValueError),
        (1.5, TypeError),
        (datetime.time(1), TypeError),
        (datetime.date(2026, 1, 1), TypeError),
        ([], TypeError),
        (b"1 day", TypeError),
        (object(), TypeError),
    ],
)
def test_refused(logger: Any, folder: Folder, retention: Any, error: type[Exception]) -> None:
    """
    What means nothing is refused at `add()`: no handler, no file.
    """
    with pytest.raises(error):
        logger.add(folder / "a.log", retention=retention)

    assert "id=" not in repr(logger)
    assert folder.names() == []


def failing(files: Any) -> None:
    raise ValueError("no retention")


@pytest.mark.covers("1.14")
def test_failing_function(logger: Any, folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    """
    An error at a rotation is an error of the sink: reported, and later lines are written.
    """
    logger.add(folder / "a.log", format="{message}", retention=failing, rotation=when_asked)

    logger.info("rotate")
    logger.info("later")

    assert "later\n" in folder.text("a.log")
    assert "ValueError: no retention" in capsys.readouterr().err


@pytest.mark.covers("1.14")
def test_failing_function_uncaught(logger: Any, folder: Folder) -> None:
    """
    With `catch=False` the error at a rotation reaches the caller.
    """
    logger.add(folder / "a.log", retention=failing, rotation=when_asked, catch=False)

    with pytest.raises(ValueError, match="no retention"):
        logger.info("rotate")


@pytest.mark.covers("1.14")
def test_failing_function_at_removal(logger: Any, folder: Folder) -> None:
    """
    An error when the sink stops reaches who removes it.
    """
    number = logger.add(folder / "a.log", retention=failing)

    with pytest.raises(ValueError, match="no retention"):
        logger.remove(number)


@pytest.mark.covers("1.14")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_nothing_opened_nothing_collected(logger: Any, folder: Folder) -> None:
    """
    Other handlers' files of the same name in other folders are left alone.
    """
    folder.old("x/a.1.log", local(2020, 1, 1))
    folder.old("y/a.1.log", local(2020, 1, 1))
    number = logger.add(folder / "x/a.log", retention=1)
    logger.info("m")
    logger.remove(number)

    assert folder.names() == ["x/a.log", "y/a.1.log"]

"""Rotation: when a new file is begun, and what the old one is called."""

from __future__ import annotations

import datetime
import os
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conformance.hosts.files import Folder, local, say, when_asked
from tests.conformance.support import each

STAMP = r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_\d{6}"


@pytest.mark.covers("1.12", note="1.13")
def test_size(logger: Any, folder: Folder) -> None:
    """
    A line that would make the file longer than the limit goes to a new one; the old one is named by its date.
    """
    logger.add(folder / "a.log", format="{message}", rotation=10)

    for number in range(5):
        logger.info("{}", 1234 + number)  # 5 bytes with the end of the line

    assert folder.texts() == ["1234\n1235\n", "1236\n1237\n", "1238\n"]
    assert all(re.fullmatch(rf"a(\.{STAMP}(\.\d+)?)?\.log", name) for name in folder.names())


@pytest.mark.covers("1.12")
@pytest.mark.parametrize(("limit", "files"), [(9, 2), (10, 1), (11, 1)])
def test_boundary(logger: Any, folder: Folder, limit: int, files: int) -> None:
    """
    A file may be as long as the limit, and not a byte longer.
    """
    logger.add(folder / "a.log", format="{message}", rotation=limit)

    logger.info("1234")
    logger.info("1234")

    assert len(folder.names()) == files


@pytest.mark.covers("1.12")
def test_long_line(logger: Any, folder: Folder) -> None:
    """
    A line longer than the limit is written whole, into a file of its own.
    """
    logger.add(folder / "a.log", format="{message}", rotation=4)

    logger.info("a" * 100)
    logger.info("b" * 100)

    assert [text for text in folder.texts() if text] == ["a" * 100 + "\n", "b" * 100 + "\n"]


@pytest.mark.covers("1.12")
def test_size_of_an_existing_file(logger: Any, folder: Folder) -> None:
    """
    What a file had before the handler was added counts.
    """
    (folder / "a.log").write_text("12345678\n", "utf-8")
    logger.add(folder / "a.log", format="{message}", rotation=10)

    logger.info("a")

    assert folder.texts() == ["12345678\n", "a\n"]


@pytest.mark.covers("1.12")
@pytest.mark.parametrize(
    ("rotation", "limit"),
    [
        ("20 B", 20),
        ("160 b", 20),
        ("0.02 KB", 20),
        ("0.16 kb", 20),
        ("0.02 kB", 20),
        ("0.01953125 KiB", 20),
        ("20B", 20),
        ("  20   B ", 20),
        ("2e1 B", 20),
        ("0.00002 MB", 20),
        (20, 20),
        (20.5, 20),
    ],
)
def test_size_units(logger: Any, folder: Folder, rotation: Any, limit: int) -> None:
    """
    Sizes are numbers with units: bits in lower case, bytes in upper case, powers of 1000, or of 1024 with an i.
    """
    logger.add(folder / "a.log", format="{message}", rotation=rotation)

    logger.info("x" * (limit - 1))
    one = len(folder.names())
    logger.opt(raw=True).info("y")

    assert (one, len(folder.names())) == (1, 2)


GOOD: list[Any] = [
    "500 KB", "10 MB", "0.5 GB", "1 TB", "1 MiB", "1 Kib", "1 day", "12 hours", "1 week", "00:00", "0:00", "18:00",
    "11:30:25", "12:00:00.5", "monday at 12:00", "monday", "sunday", "MONDAY", "w0", "w6", "W2 at 00:00:01",
    "hourly", "daily", "weekly", "monthly", "yearly", "10h", "1 month 2 weeks", "4 days, 2 hours", "1 min",
    "1 s", "5 ms", "5 us", "1.5 days", "1 y", "1day", "  1 day  ", "1 hour, 2 minutes, 3 seconds",
    "06:15:00 PM",
    10, 10.5, datetime.timedelta(1), datetime.time(12), datetime.time(12, tzinfo=datetime.UTC), lambda m, f: False,
    None,
]  # fmt: skip


@pytest.mark.covers("1.12")
@each("rotation", GOOD)
def test_accepted(logger: Any, folder: Folder, rotation: Any) -> None:
    """
    Every documented way to say when is accepted.
    """
    logger.add(folder / "a.log", rotation=rotation)

    assert folder.names() == ["a.log"]


BAD: list[tuple[Any, type[Exception]]] = [
    *((text, ValueError) for text in [
        "", "lol", "w", "w7", "w8", "w10", "mon", "day", "annually", "biweekly", "3 lol", "1 mo", "1m", "1 octet",
        "2 quarter", "1 decade", "1 KBps", "1 GB 2 MB", "25:00", "24:00", "12:60", "13:00 PM",
        "monday at", "at 12:00", "12:00 at monday", "monday 12:00", "monday at lol",
        "lol at 12:00", "1 hour and 2 minutes", "2026-01-01", "1 day at 12:00", "e days", "1ee3 B",
    ]),
    *((value, TypeError) for value in [
        datetime.date(2026, 1, 1), [], ["1 day"], ("1 day",), set(), object(), {"size": 1}, b"1 day", os, 1j,
    ]),
]  # fmt: skip


@pytest.mark.covers("1.12")
@each(("rotation", "error"), BAD)
def test_refused(logger: Any, folder: Folder, rotation: Any, error: type[Exception]) -> None:
    """
    What means nothing is refused at `add()`: no handler, no file.
    """
    with pytest.raises(error):
        logger.add(folder / "a.log", rotation=rotation)

    assert "id=" not in repr(logger)
    assert folder.names() == []


START = local(2020, 1, 1, 10)  # a Wednesday

TIMES: list[tuple[Any, list[tuple[datetime.datetime, bool]]]] = [
    (
        "1 day",
        [
            (local(2020, 1, 1, 12), False),
            (local(2020, 1, 2, 9, 59, 59), False),
            (local(2020, 1, 2, 10), True),
            (local(2020, 1, 3, 9, 59, 59), False),
            (local(2020, 1, 3, 10), True),
            (local(2020, 1, 7), True),
            (local(2020, 1, 7, 9), False),
        ],
    ),
    (
        datetime.timedelta(hours=1),
        [
            (local(2020, 1, 1, 10, 59, 59), False),
            (local(2020, 1, 1, 11), True),
            (local(2020, 1, 1, 11, 30), False),
            (local(2020, 1, 1, 20), True),
            (local(2020, 1, 1, 20, 10), False),
        ],
    ),
    ("90 min", [(local(2020, 1, 1, 11, 29), False), (local(2020, 1, 1, 11, 30), True)]),
    (
        "00:00",
        [
            (local(2020, 1, 1, 23, 59, 59), False),
            (local(2020, 1, 2), True),
            (local(2020, 1, 2, 23), False),
            (local(2020, 1, 3, 1), True),
            (local(2020, 1, 3, 2), False),
        ],
    ),
    (
        "12:00",
        [(local(2020, 1, 1, 11, 59), False), (local(2020, 1, 1, 12), True), (local(2020, 1, 1, 13), False)],
    ),
    (
        datetime.time(9),
        [(local(2020, 1, 1, 23), False), (local(2020, 1, 2, 8, 59), False), (local(2020, 1, 2, 9), True)],
    ),
    (
        "hourly",
        [(local(2020, 1, 1, 10, 59), False), (local(2020, 1, 1, 11), True), (local(2020, 1, 1, 11, 1), False)],
    ),
    (
        "daily",
        [(local(2020, 1, 1, 23, 59), False), (local(2020, 1, 2), True), (local(2020, 1, 2, 1), False)],
    ),
    (
        "weekly",
        [(local(2020, 1, 5, 23, 59), False), (local(2020, 1, 6), True), (local(2020, 1, 13), True)],
    ),
    (
        "monthly",
        [
            (local(2020, 1, 31, 23, 59, 59), False),
            (local(2020, 2, 1), True),
            (local(2020, 2, 29), False),
            (local(2020, 3, 1), True),
        ],
    ),
    ("yearly", [(local(2020, 12, 31, 23, 59), False), (local(2021, 1, 1), True), (local(2021, 6, 1), False)]),
    (
        "wednesday at 09:00",
        [
            (local(2020, 1, 8, 8, 59), False),
            (local(2020, 1, 8, 9), True),
            (local(2020, 1, 15, 8, 59, 59), False),
            (local(2020, 1, 15, 9), True),
        ],
    ),
    ("friday", [(local(2020, 1, 2, 23, 59), False), (local(2020, 1, 3), True), (local(2020, 1, 9), False)]),
    ("w4", [(local(2020, 1, 2, 23, 59), False), (local(2020, 1, 3), True), (local(2020, 1, 10), True)]),
    ("wednesday", [(local(2020, 1, 7, 23, 59), False), (local(2020, 1, 8), True)]),
    ("1 week", [(local(2020, 1, 8, 9, 59), False), (local(2020, 1, 8, 10), True)]),
]


@pytest.mark.covers("1.12")
@pytest.mark.parametrize(("rotation", "steps"), TIMES, ids=[ascii(rotation) for rotation, _ in TIMES])
def test_time(logger: Any, folder: Folder, rotation: Any, steps: list[tuple[datetime.datetime, bool]]) -> None:
    """
    A file begun on Wednesday, the first of January, at ten, rotates at the first record on or after the due time.
    """
    path = folder.old("a.log", START, "")
    logger.add(path, format="{message}", rotation=rotation)

    rotated = []
    for when, _ in steps:
        before = len(folder.names())
        say(logger, when, "m")
        rotated.append(len(folder.names()) > before)

    assert rotated == [due for _, due in steps]


@pytest.mark.covers("1.12")
def test_time_of_another_zone(logger: Any, folder: Folder) -> None:
    """
    A `time` with a zone is due by that zone's clock.
    """
    zone = datetime.timezone(datetime.timedelta(hours=5))
    start = datetime.datetime(2020, 1, 1, 10, tzinfo=datetime.UTC)  # 15:00 there
    logger.add(folder.old("a.log", start), format="{message}", rotation=datetime.time(12, tzinfo=zone))

    say(logger, datetime.datetime(2020, 1, 2, 6, 59, tzinfo=datetime.UTC), "before")
    before = len(folder.names())
    say(logger, datetime.datetime(2020, 1, 2, 7, tzinfo=datetime.UTC), "due")

    assert (before, len(folder.names())) == (1, 2)


@pytest.mark.covers("1.13")
def test_name_is_the_date_of_creation(logger: Any, folder: Folder) -> None:
    """
    A rotated file is named by the moment at which it was begun, not by the one at which it ended.
    """
    path = folder.old("a.log", local(2020, 1, 2, 3, 4, 5))
    logger.add(path, format="{message}", rotation=when_asked)

    logger.info("rotate")

    assert folder.names() == ["a.2020-01-02_03-04-05_000000.log", "a.log"]
    assert folder.texts() == ["old\n", "rotate\n"]


@pytest.mark.covers("1.13")
def test_name_that_is_taken(logger: Any, folder: Folder) -> None:
    """
    When the dated name is taken, a number is added.
    """
    when = local(2020, 1, 2, 3, 4, 5)
    folder.old("a.2020-01-02_03-04-05_000000.log", when)
    folder.old("a.2020-01-02_03-04-05_000000.2.log", when)
    logger.add(folder.old("a.log", when, "mine\n"), format="{message}", rotation=when_asked)

    logger.info("rotate")

    assert folder.names() == [
        "a.2020-01-02_03-04-05_000000.2.log",
        "a.2020-01-02_03-04-05_000000.3.log",
        "a.2020-01-02_03-04-05_000000.log",
        "a.log",
    ]
    assert folder.text("a.2020-01-02_03-04-05_000000.3.log") == "mine\n"


@pytest.mark.covers("1.13")
@pytest.mark.parametrize(
    ("name", "rotated"),
    [
        ("app", "app.2020-01-02_03-04-05_000000"),
        ("a.tar.log", "a.tar.2020-01-02_03-04-05_000000.log"),
        (".hidden", ".hidden.2020-01-02_03-04-05_000000"),
        ("[x] y.log", "[x] y.2020-01-02_03-04-05_000000.log"),
    ],
)
def test_name_with_any_extension(logger: Any, folder: Folder, name: str, rotated: str) -> None:
    """
    The date stands before the last extension.
    """
    logger.add(folder.old(name, local(2020, 1, 2, 3, 4, 5)), rotation=when_asked)

    logger.info("rotate")

    assert folder.names() == sorted([name, rotated])


@pytest.mark.covers("1.13")
def test_name_with_time(logger: Any, folder: Folder) -> None:
    """
    A name that has the time in it is made anew, and the old file keeps its own.
    """
    logger.add(f"{folder.path}/{{time:YYYY-MM-DD_HH-mm-ss_SSSSSS}}.log", format="{message}", rotation=when_asked)

    logger.info("a")
    logger.info("rotate")

    assert folder.texts() == ["a\n", "rotate\n"]
    assert all(re.fullmatch(rf"{STAMP}\.log", name) for name in folder.names())


@pytest.mark.covers("1.13")
def test_name_with_time_that_stands_still(logger: Any, folder: Folder) -> None:
    """
    When the name made anew is the old one, the old file gets a date.
    """
    logger.add(f"{folder.path}/a_{{time:YYYY}}.log", format="{message}", rotation=when_asked)

    logger.info("a")
    logger.info("rotate")
    first, second = folder.names()

    assert re.fullmatch(rf"a_\d{{4}}\.{STAMP}\.log", first)
    assert re.fullmatch(r"a_\d{4}\.log", second)
    assert (folder.text(first), folder.text(second)) == ("a\n", "rotate\n")


@pytest.mark.covers("1.12")
def test_function(logger: Any, folder: Folder) -> None:
    """
    A function is asked before each line, with the message and the open file.
    """
    asked: list[Any] = []

    def rotation(message: Any, file: Any) -> bool:
        file.seek(0, 2)
        asked.append((str(message), message.record["message"], file.name, file.closed, file.tell()))
        return message.record["extra"].get("rotate", False)  # type: ignore[no-any-return]

    logger.add(folder / "a.log", format="<{message}>", rotation=rotation)

    logger.info("a")
    logger.info("b", rotate=True)
    logger.info("c")
    path = str(folder / "a.log")

    assert asked == [("<a>\n", "a", path, False, 0), ("<b>\n", "b", path, False, 4), ("<c>\n", "c", path, False, 4)]
    assert folder.texts() == ["<a>\n", "<b>\n<c>\n"]


@pytest.mark.covers("1.12")
@pytest.mark.parametrize("answer", [1, "yes", [0], object()], ids=["1", "str", "list", "object"])
def test_function_with_a_true_answer(logger: Any, folder: Folder, answer: Any) -> None:
    """
    Anything true rotates.
    """
    logger.add(folder / "a.log", rotation=lambda message, file: answer)

    logger.info("a")

    assert len(folder.names()) == 2


@pytest.mark.covers("1.12")
def test_failing_function(logger: Any, folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    """
    A rotation that raises is reported, and the next line is written.
    """

    def rotation(message: Any, file: Any) -> bool:
        if message.record["message"] == "bad":
            raise ValueError("no rotation")
        return False

    logger.add(folder / "a.log", format="{message}", rotation=rotation)

    logger.info("bad")
    logger.info("good")

    assert folder.texts()[-1].endswith("good\n")
    assert "ValueError: no rotation" in capsys.readouterr().err


@pytest.mark.covers("1.12")
def test_failing_function_uncaught(logger: Any, folder: Folder) -> None:
    """
    With `catch=False` its error reaches the caller.
    """

    def rotation(message: Any, file: Any) -> bool:
        raise ValueError("no rotation")

    logger.add(folder / "a.log", rotation=rotation, catch=False)

    with pytest.raises(ValueError, match="no rotation"):
        logger.info("a")


@pytest.mark.covers("1.12")
def test_nothing_rotates_at_removal(logger: Any, folder: Folder) -> None:
    """
    Removal leaves the last file under its name, so that the next start continues it.
    """
    for message in ("a", "b"):
        number = logger.add(folder / "a.log", format="{message}", rotation="1 GB")
        logger.info(message)
        logger.remove(number)

    assert folder.names() == ["a.log"]
    assert folder.texts() == ["a\nb\n"]


@pytest.mark.covers("1.12")
@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="this system keeps no attributes")
def test_creation_is_remembered(logger: Any, folder: Folder) -> None:
    """
    A later start counts from the file's creation, though the file was changed in between.
    """
    number = logger.add(folder / "a.log", rotation="1 hour")
    logger.info("first")
    logger.remove(number)
    try:
        os.setxattr(folder / "a.log", "user.conformance", b"1")
    except OSError:
        pytest.skip("this file system keeps no attributes")
    now = datetime.datetime.now().astimezone()
    changed = (now + datetime.timedelta(minutes=30)).timestamp()
    os.utime(folder / "a.log", (changed, changed))
    logger.add(folder / "a.log", rotation="1 hour")

    say(logger, now + datetime.timedelta(minutes=58), "before")
    before = len(folder.names())
    say(logger, now + datetime.timedelta(minutes=62), "due")

    assert (before, len(folder.names())) == (1, 2)


@pytest.mark.covers("1.12")
def test_restart_when_due(logger: Any, folder: Folder) -> None:
    """
    A file that is due when the program starts again is rotated before the first line, not before.
    """
    folder.old("a.log", local(2020, 1, 2, 3, 4, 5))
    logger.add(folder / "a.log", format="{message}", rotation="1 day")
    before = folder.names()
    logger.info("new")

    assert before == ["a.log"]
    assert folder.names() == ["a.2020-01-02_03-04-05_000000.log", "a.log"]
    assert folder.texts() == ["old\n", "new\n"]


@pytest.mark.covers("1.12")
def test_mode_w_holds_for_new_files(logger: Any, folder: Folder) -> None:
    """
    With `mode="w"` and rotation nothing of an older part is lost.
    """
    logger.add(folder / "a.log", format="{message}", rotation=when_asked, mode="w")

    for message in ("a", "rotate 1", "b", "rotate 2"):
        logger.info(message)

    assert folder.texts() == ["a\n", "rotate 1\nb\n", "rotate 2\n"]


@pytest.mark.covers("1.12")
def test_delayed_file(logger: Any, folder: Folder) -> None:
    """
    With `delay=True` rotation works from the first line on.
    """
    logger.add(folder / "a.log", format="{message}", rotation=4, delay=True)

    logger.info("abc")
    logger.info("def")

    assert [text for text in folder.texts() if text] == ["abc\n", "def\n"]


@pytest.mark.covers("1.12")
def test_watched_file(logger: Any, folder: Folder) -> None:
    """
    With `watch=True` rotation goes on in the file made anew.
    """
    logger.add(folder / "a.log", format="{message}", rotation=when_asked, watch=True)

    logger.info("a")
    (folder / "a.log").unlink()
    logger.info("b")
    logger.info("rotate")

    assert folder.texts() == ["b\n", "rotate\n"]


@pytest.mark.covers("1.12", note="1.20")
def test_raw_lines_rotate(logger: Any, folder: Folder) -> None:
    """
    Raw messages count as they are.
    """
    logger.add(folder / "a.log", rotation=4)

    logger.opt(raw=True).info("abcd")
    logger.opt(raw=True).info("e")
    logger.remove()

    assert [text for text in folder.texts() if text] == ["abcd", "e"]


@pytest.mark.covers("1.12")
@pytest.mark.parametrize("name", ["loguru", "otelbridge"])
@given(
    messages=st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=12), max_size=12),
    limit=st.integers(1, 40),
)
@settings(max_examples=15, deadline=None)
def test_no_line_is_lost(name: str, tmp_path_factory: pytest.TempPathFactory, messages: list[str], limit: int) -> None:
    """
    Whatever is written: all lines are there, whole, in order, and no file of more than one line exceeds the limit.
    """
    import importlib
    from unittest import mock

    path = tmp_path_factory.mktemp("rotation")
    with mock.patch.dict(os.environ, {"OTELBRIDGE_LOGURU_STRICT": "1"}):
        logger = importlib.import_module(name).logger
        number = logger.add(path / "a.log", format="{extra[number]:03} {message}", rotation=limit)
        for at, message in enumerate(messages):
            logger.bind(number=at).opt(colors=False).info("{}", message)
        logger.remove(number)
    parts = [file.read_bytes() for file in path.iterdir()]

    lines = sorted(line for part in parts for line in part.decode().split("\n") if line)
    assert lines == [f"{at:03} {message}" for at, message in enumerate(messages)]
    for part in parts:
        head, _, last = part.decode().rstrip("\n").rpartition("\n")
        # The length of the line that is to be written may be counted in characters.
        assert not head or len(head.encode()) + 1 + len(last) + 1 <= limit

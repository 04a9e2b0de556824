"""parse(): log files read back."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LINES = "10 - A debug message\n20 - Info\n30 - Warning\n"
PATTERN = r"(?P<lvl>[0-9]+) - (?P<msg>.*)"
EXPECTED = [{"lvl": "10", "msg": "A debug message"}, {"lvl": "20", "msg": "Info"}, {"lvl": "30", "msg": "Warning"}]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log file."""
    path = tmp_path / "file.log"
    path.write_text(LINES, encoding="utf-8")
    return path


@pytest.mark.covers("1.32")
@pytest.mark.parametrize("kind", ["str", "Path", "text file", "StringIO"])
@pytest.mark.parametrize("compiled", [False, True])
def test_files(logger: Any, path: Path, kind: str, compiled: bool) -> None:
    """A path or an open file, a pattern or a compiled one: each match is a dict of the named groups."""
    pattern = re.compile(PATTERN) if compiled else PATTERN
    file: Any = {"str": str(path), "Path": path, "StringIO": io.StringIO(LINES)}.get(kind)
    if file is None:
        with path.open() as file:
            assert list(logger.parse(file, pattern)) == EXPECTED
            assert not file.closed
    else:
        assert list(logger.parse(file, pattern)) == EXPECTED


@pytest.mark.covers("1.32")
@pytest.mark.parametrize("kind", ["file", "BytesIO"])
def test_binary_files(logger: Any, path: Path, kind: str) -> None:
    """A binary file is read with a pattern of bytes."""
    expected = [{name: value.encode() for name, value in each.items()} for each in EXPECTED]
    if kind == "BytesIO":
        assert list(logger.parse(io.BytesIO(LINES.encode()), PATTERN.encode())) == expected
        return
    with path.open("rb") as file:
        assert list(logger.parse(file, re.compile(PATTERN.encode()))) == expected


@pytest.mark.covers("1.32")
def test_it_is_a_generator(logger: Any, path: Path) -> None:
    """Entries come one by one."""
    entries = logger.parse(path, PATTERN)
    assert isinstance(entries, Iterator)
    assert [next(entries) for _ in range(3)] == EXPECTED
    with pytest.raises(StopIteration):
        next(entries)


@pytest.mark.covers("1.32")
def test_it_can_be_left(logger: Any, path: Path) -> None:
    """A generator that is left early closes its file."""
    entries = logger.parse(path, PATTERN)
    assert next(entries) == EXPECTED[0]
    entries.close()
    assert list(entries) == []


@pytest.mark.covers("1.32")
def test_on_the_class(logger: Any, path: Path) -> None:
    """It needs no logger: it is a static method."""
    assert list(type(logger).parse(path, PATTERN)) == EXPECTED
    assert list(logger.bind(a=1).parse(file=path, pattern=PATTERN)) == EXPECTED


# ------------------------------------------------------------------------------------------------------------ cast


@pytest.mark.covers("1.32")
def test_cast_dict(logger: Any, path: Path) -> None:
    """A dict converts the groups it names; those that a line does not have do not matter."""
    entries = list(logger.parse(path, PATTERN, cast={"lvl": int, "nope": int}))
    assert entries == [{**each, "lvl": int(each["lvl"])} for each in EXPECTED]


@pytest.mark.covers("1.32")
def test_cast_function(logger: Any, path: Path) -> None:
    """A function changes each dict in place; what it returns does not matter."""

    def cast(groups: dict[str, Any]) -> int:
        groups["lvl"] = int(groups["lvl"])
        groups["new"] = True
        return 5

    entries = list(logger.parse(path, PATTERN, cast=cast))
    assert entries == [{**each, "lvl": int(each["lvl"]), "new": True} for each in EXPECTED]


@pytest.mark.covers("1.32")
def test_cast_dates(logger: Any, tmp_path: Path) -> None:
    """The documented use: dates and numbers, from what the logger wrote itself."""
    path = tmp_path / "file.log"
    logger.add(path, format="{time:YYYY-MM-DD HH:mm:ss.SSSSSS} | {level.no} | {message}")
    times: list[datetime] = []
    logger.add(lambda message: times.append(message.record["time"].replace(tzinfo=None)))
    logger.info("one")
    logger.error("two")
    logger.remove()
    pattern = r"(?P<time>.*) \| (?P<no>\d+) \| (?P<message>.*)"
    cast = {"time": datetime.fromisoformat, "no": int}
    entries = list(logger.parse(path, pattern, cast=cast))
    assert entries == [
        {"time": times[0], "no": 20, "message": "one"},
        {"time": times[1], "no": 40, "message": "two"},
    ]


@pytest.mark.covers("1.32")
@pytest.mark.parametrize("kind", ["dict", "function"])
def test_cast_errors(logger: Any, path: Path, kind: str) -> None:
    """What a conversion raises comes out of the iteration."""
    cast: Any = {"msg": int} if kind == "dict" else lambda groups: int(groups["msg"])
    with pytest.raises(ValueError, match="A debug message"):
        next(logger.parse(path, PATTERN, cast=cast))


@pytest.mark.covers("1.32")
def test_cast_of_groups_that_did_not_match(logger: Any) -> None:
    """A group that took no part is None, and is converted as such."""
    pattern = r"(?P<a>\d+)(?P<b>x)?\n"
    assert list(logger.parse(io.StringIO("1\n2x\n"), pattern)) == [{"a": "1", "b": None}, {"a": "2", "b": "x"}]
    entries = logger.parse(io.StringIO("1\n2x\n"), pattern, cast={"b": bool})
    assert list(entries) == [{"a": "1", "b": False}, {"a": "2", "b": True}]


# ----------------------------------------------------------------------------------------------------- patterns


@pytest.mark.covers("1.32")
def test_no_match(logger: Any, path: Path) -> None:
    """What does not match is no entry."""
    assert list(logger.parse(path, r"(?P<a>nope)")) == []
    assert list(logger.parse(io.StringIO(""), PATTERN)) == []


@pytest.mark.covers("1.32")
def test_no_named_groups(logger: Any, path: Path) -> None:
    """A pattern without named groups gives empty dicts."""
    assert list(logger.parse(path, r"\d+ - (.*)")) == [{}, {}, {}]


@pytest.mark.covers("1.32")
def test_between_the_lines(logger: Any) -> None:
    """Lines that do not match are passed over, also between entries."""
    text = "junk\n10 - a\njunk\njunk\n20 - b\njunk"
    entries = logger.parse(io.StringIO(text), r"(?P<lvl>[0-9]+) - (?P<msg>.)")
    assert list(entries) == [{"lvl": "10", "msg": "a"}, {"lvl": "20", "msg": "b"}]


@pytest.mark.covers("1.32")
def test_multi_line_entries(logger: Any) -> None:
    """An entry may span lines."""
    text = "BEGIN a\nb\nc END\nBEGIN d END\n"
    pattern = re.compile(r"BEGIN (?P<body>.*?) END", re.DOTALL)
    assert list(logger.parse(io.StringIO(text), pattern)) == [{"body": "a\nb\nc"}, {"body": "d"}]


@pytest.mark.covers("1.32")
def test_flags(logger: Any) -> None:
    """A compiled pattern keeps its flags."""
    pattern = re.compile(r"^info: (?P<msg>.*)$", re.IGNORECASE | re.MULTILINE)
    assert list(logger.parse(io.StringIO("INFO: a\ninfo: b\n"), pattern)) == [{"msg": "a"}, {"msg": "b"}]


@pytest.mark.covers("1.32")
def test_several_entries_on_a_line(logger: Any) -> None:
    """Matches follow each other wherever they are."""
    assert list(logger.parse(io.StringIO("1a2b3c"), r"(?P<n>\d)(?P<l>\w)")) == [
        {"n": "1", "l": "a"},
        {"n": "2", "l": "b"},
        {"n": "3", "l": "c"},
    ]


@pytest.mark.covers("1.32")
def test_utf8(logger: Any, tmp_path: Path) -> None:
    """A file that the logger wrote is read with its encoding, opened by the user."""
    path = tmp_path / "file.log"
    logger.add(path, format="{message}")
    logger.info("été 日本")
    logger.remove()
    with path.open(encoding="utf-8") as file:
        assert list(logger.parse(file, r"(?P<a>.*) (?P<b>.*)\n")) == [{"a": "été", "b": "日本"}]


# ---------------------------------------------------------------------------------------------------------- chunks


@pytest.mark.covers("1.32")
@pytest.mark.parametrize("chunk", [-1, 1 << 20, 64, 30])
def test_chunks(logger: Any, path: Path, chunk: int) -> None:
    """The file is read in chunks of that size; -1 is all at once."""
    assert list(logger.parse(path, PATTERN + r"\n", chunk=chunk)) == EXPECTED


@pytest.mark.covers("1.32")
def test_chunk_zero(logger: Any, path: Path) -> None:
    """Chunks of nothing are the end of the file."""
    assert list(logger.parse(path, PATTERN, chunk=0)) == []


@pytest.mark.covers("1.32")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.text("abc", min_size=1, max_size=9), max_size=30), chunk=st.integers(1, 50))
def test_any_chunk(logger: Any, words: list[str], chunk: int) -> None:
    """With a pattern that ends with the line, the size of chunks does not matter."""
    text = "".join(f"<{word}>\n" for word in words)
    entries = logger.parse(io.StringIO(text), r"<(?P<word>\w+)>\n", chunk=chunk)
    assert [entry["word"] for entry in entries] == words


@pytest.mark.covers("1.32")
def test_reads_no_more_than_needed(logger: Any) -> None:
    """Only what is asked for is read."""

    class Endless(io.StringIO):
        reads = 0

        def read(self, size: int | None = -1) -> str:
            self.reads += 1
            return "10 - a\n" * 10

    file = Endless()
    entries = logger.parse(file, PATTERN + r"\n", chunk=70)
    for _ in range(5):
        next(entries)
    assert file.reads <= 2


# ---------------------------------------------------------------------------------------------------------- errors


@pytest.mark.covers("1.32")
@pytest.mark.parametrize("file", [5, None, [], object(), b"file.log"], ids=repr)
def test_file_of_another_type(logger: Any, file: object) -> None:
    """What can be no file is a TypeError, when the first entry is asked for."""
    with pytest.raises(TypeError):
        next(logger.parse(file, PATTERN))


@pytest.mark.covers("1.32")
@pytest.mark.parametrize("pattern", [5, None, [], object()], ids=repr)
def test_pattern_of_another_type(logger: Any, path: Path, pattern: object) -> None:
    """What can be no pattern is a TypeError."""
    with pytest.raises(TypeError):
        next(logger.parse(path, pattern))


@pytest.mark.covers("1.32")
@pytest.mark.parametrize("cast", [5, None, [], "int", object()], ids=repr)
def test_cast_of_another_type(logger: Any, path: Path, cast: object) -> None:
    """What can convert nothing is a TypeError."""
    with pytest.raises(TypeError):
        next(logger.parse(path, PATTERN, cast=cast))


@pytest.mark.covers("1.32")
def test_bad_pattern(logger: Any, path: Path) -> None:
    """A pattern that cannot be compiled is re's error."""
    with pytest.raises(re.error):
        next(logger.parse(path, "(?P<a"))


@pytest.mark.covers("1.32")
def test_missing_file(logger: Any, tmp_path: Path) -> None:
    """A file that is not there is the system's error."""
    with pytest.raises(FileNotFoundError):
        next(logger.parse(tmp_path / "nope.log", PATTERN))


@pytest.mark.covers("1.32")
def test_text_and_bytes(logger: Any) -> None:
    """A pattern of bytes does not match text."""
    with pytest.raises(TypeError):
        next(logger.parse(io.StringIO(LINES), PATTERN.encode()))


@pytest.mark.covers("1.32")
def test_options_go_by_keyword(logger: Any, path: Path) -> None:
    """Cast and chunk go by keyword."""
    with pytest.raises(TypeError):
        logger.parse(path, PATTERN, {})
    with pytest.raises(TypeError):
        logger.parse(path)

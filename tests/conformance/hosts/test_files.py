"""File sinks: names, opening, closing, encodings, files that somebody else moves."""

from __future__ import annotations

import datetime
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.hosts.files import Folder


@pytest.mark.covers("1.11")
@pytest.mark.parametrize("kind", [str, Path])
def test_path(logger: Any, folder: Folder, kind: Any) -> None:
    """
    A str and a `Path` name a file, which is there from `add()` on, and has each line when the call returns.
    """
    logger.add(kind(folder / "a.log"), format="{message}")
    empty = folder.text("a.log")
    logger.info("é日")

    assert (empty, folder.text("a.log")) == ("", "é日\n")


@pytest.mark.covers("1.11")
def test_default_format(logger: Any, folder: Folder) -> None:
    """
    A line has loguru's default shape, without colours.
    """
    logger.add(folder / "a.log")

    logger.warning("m")

    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} \| WARNING  \| "
        r"tests\.conformance\.hosts\.test_files:test_default_format:\d+ - m\n",
        folder.text("a.log"),
    )


@pytest.mark.covers("1.11")
def test_relative_path(logger: Any, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A relative path belongs to the folder that is current at `add()`.
    """
    monkeypatch.chdir(folder.path)
    logger.add("a.log", format="{message}")
    monkeypatch.chdir("/")

    logger.info("a")

    assert folder.texts() == ["a\n"]


@pytest.mark.covers("1.11")
def test_missing_folders(logger: Any, folder: Folder) -> None:
    """
    Missing folders are created.
    """
    logger.add(folder / "x/y/a.log", format="{message}")

    logger.info("a")

    assert folder.names() == ["x/y/a.log"]


@pytest.mark.covers("1.11")
def test_folder_in_the_way(logger: Any, folder: Folder) -> None:
    """
    A path that is a folder is the operating system's error at `add()`.
    """
    (folder / "a.log").mkdir()

    with pytest.raises(OSError, match=r"a\.log"):
        logger.add(folder / "a.log")

    assert "id=" not in repr(logger)


@pytest.mark.covers("1.11")
def test_appends(logger: Any, folder: Folder) -> None:
    """
    An existing file is appended to.
    """
    (folder / "a.log").write_text("old\n", "utf-8")
    logger.add(folder / "a.log", format="{message}")

    logger.info("new")

    assert folder.texts() == ["old\nnew\n"]


@pytest.mark.covers("1.11")
@pytest.mark.parametrize(
    ("mode", "expected"), [("a", "old\nnew\n"), ("w", "new\n"), ("a+", "old\nnew\n"), ("w+", "new\n")]
)
def test_mode(logger: Any, folder: Folder, mode: str, expected: str) -> None:
    """
    `mode` is that of `open`.
    """
    (folder / "a.log").write_text("old\n", "utf-8")
    logger.add(folder / "a.log", format="{message}", mode=mode)

    logger.info("new")

    assert folder.texts() == [expected]


@pytest.mark.covers("1.11")
def test_exclusive_mode(logger: Any, folder: Folder) -> None:
    """
    With `mode="x"` an existing file is an error at `add()`.
    """
    number = logger.add(folder / "a.log", mode="x")
    logger.remove(number)

    with pytest.raises(FileExistsError):
        logger.add(folder / "a.log", mode="x")


@pytest.mark.covers("1.11")
@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"mode": "nope"}, ValueError),
        ({"mode": "ab"}, ValueError),
        ({"encoding": "nope"}, LookupError),
        ({"nope": 1}, TypeError),
        ({"loop": None}, TypeError),
        ({"buffering": 0}, ValueError),
    ],
    ids=str,
)
def test_wrong_options_of_open(logger: Any, folder: Folder, options: dict[str, Any], error: type[Exception]) -> None:
    """
    What `open` refuses is refused at `add()`, with its error.
    """
    with pytest.raises(error):
        logger.add(folder / "a.log", **options)

    assert "id=" not in repr(logger)


@pytest.mark.covers("1.11")
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, b"\xc3\xa9\n"),
        ({"encoding": "utf8"}, b"\xc3\xa9\n"),
        ({"encoding": "latin-1"}, b"\xe9\n"),
        ({"encoding": "utf-16"}, b"\xff\xfe\xe9\x00\n\x00"),
        ({"encoding": "ascii", "errors": "backslashreplace"}, b"\\xe9\n"),
        ({"encoding": "ascii", "errors": "replace"}, b"?\n"),
        ({"newline": "\r\n"}, b"\xc3\xa9\r\n"),
        ({"newline": ""}, b"\xc3\xa9\n"),
    ],
    ids=str,
)
def test_encoding(logger: Any, folder: Folder, options: dict[str, Any], expected: bytes) -> None:
    """
    The file is written in UTF-8, or as `encoding`, `errors` and `newline` say.
    """
    logger.add(folder / "a.log", format="{message}", **options)

    logger.info("é")

    assert (folder / "a.log").read_bytes() == expected


@pytest.mark.covers("1.11")
def test_character_that_the_encoding_has_not(logger: Any, folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    """
    A line that cannot be encoded is reported, and the next is written.
    """
    logger.add(folder / "a.log", format="{message}", encoding="ascii")

    logger.info("é")
    logger.info("e")

    assert folder.texts() == ["e\n"]
    assert "UnicodeEncodeError" in capsys.readouterr().err


@pytest.mark.covers("1.11")
def test_lone_surrogate(logger: Any, folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    """
    A lone surrogate costs its own line at most.
    """
    logger.add(folder / "a.log", format="{message}")

    logger.info("\ud800")
    logger.info("next")

    assert folder.texts()[0].endswith("next\n")


@pytest.mark.covers("1.11")
@pytest.mark.parametrize(
    ("buffering", "before"), [(1, "a\n"), (-1, ""), (64 * 1024, "")], ids=["line", "default", "bytes"]
)
def test_buffering(logger: Any, folder: Folder, buffering: int, before: str) -> None:
    """
    `buffering` is that of `open`; whatever it is, nothing is missing after removal.
    """
    number = logger.add(folder / "a.log", format="{message}", buffering=buffering)

    logger.info("a")
    during = folder.text("a.log")
    logger.remove(number)

    assert (during, folder.text("a.log")) == (before, "a\n")


@pytest.mark.covers("1.11")
def test_raw_message_is_there_at_once(logger: Any, folder: Folder) -> None:
    """
    Parts of a line that `opt(raw=True)` writes are in the file at the latest when the line ends.
    """
    logger.add(folder / "a.log")

    logger.opt(raw=True).info("a ")
    logger.opt(raw=True).info("b\n")

    assert folder.texts() == ["a b\n"]


@pytest.mark.covers("1.11")
@pytest.mark.skipif(os.name != "posix", reason="permissions are what is tested")
def test_opener(logger: Any, folder: Folder) -> None:
    """
    `opener` opens the file.
    """
    before = os.umask(0o022)
    try:
        logger.add(folder / "a.log", opener=lambda path, flags: os.open(path, flags, 0o600))
    finally:
        os.umask(before)

    assert (folder / "a.log").stat().st_mode & 0o777 == 0o600


@pytest.mark.covers("1.11")
def test_delay(logger: Any, folder: Folder) -> None:
    """
    With `delay=True` the file appears with the first message.
    """
    logger.add(folder / "x/a.log", format="{message}", delay=True, level="INFO")
    logger.debug("below")
    before = folder.names()
    logger.info("a")

    assert (before, folder.names(), folder.text("x/a.log")) == ([], ["x/a.log"], "a\n")


@pytest.mark.covers("1.11")
@pytest.mark.parametrize(
    "options", [{}, {"rotation": "1 B"}, {"compression": "gz"}, {"retention": 1}, {"watch": True}], ids=str
)
def test_delay_without_a_message(logger: Any, folder: Folder, options: dict[str, Any]) -> None:
    """
    A delayed file that got no message leaves nothing behind.
    """
    number = logger.add(folder / "a.log", delay=True, **options)
    logger.remove(number)

    assert folder.names() == []


@pytest.mark.covers("1.11")
def test_two_handlers_on_one_file(logger: Any, folder: Folder) -> None:
    """
    Two handlers may append to one file.
    """
    logger.add(folder / "a.log", format="1 {message}")
    logger.add(folder / "a.log", format="2 {message}")

    logger.info("a")
    logger.info("b")

    assert folder.texts() == ["1 a\n2 a\n1 b\n2 b\n"]


@pytest.mark.covers("1.6")
def test_nothing_is_written_after_removal(logger: Any, folder: Folder) -> None:
    """
    After removal the file is closed: it may be moved, and stays as it is.
    """
    number = logger.add(folder / "a.log", format="{message}")
    logger.info("a")
    logger.remove(number)
    (folder / "a.log").rename(folder / "b.log")
    logger.info("b")

    assert folder.names() == ["b.log"]
    assert folder.texts() == ["a\n"]


@pytest.mark.covers("1.11")
@pytest.mark.parametrize(
    ("template", "pattern"),
    [
        ("{time}.log", r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_\d{6}\.log"),
        ("a_{time:YYYY-MM-DD}.log", r"a_\d{4}-\d\d-\d\d\.log"),
        ("{time:YYYY}/{time:MM}.log", r"\d{4}/\d\d\.log"),
        ("{time:%Y}.log", r"\d{4}\.log"),
        ("{time:[x]}.log", r"\[?x\]?\.log"),
        ("{{a}}.log", r"\{a\}\.log"),
    ],
)
def test_time_in_the_name(logger: Any, folder: Folder, template: str, pattern: str) -> None:
    """
    `{time}` in the path is the moment of opening, with or without tokens; without, it can stand in any name.
    """
    logger.add(f"{folder.path}/{template}", format="{message}")

    (name,) = folder.names()

    assert re.fullmatch(pattern, name)


@pytest.mark.covers("1.11")
def test_time_in_the_name_is_now(logger: Any, folder: Folder) -> None:
    """
    The moment in the name is local time.
    """
    before = datetime.datetime.now()
    logger.add(f"{folder.path}/{{time:YYYY-MM-DD HH-mm-ss-SSSSSS}}.log")
    after = datetime.datetime.now()

    (name,) = folder.names()

    assert before <= datetime.datetime.strptime(name, "%Y-%m-%d %H-%M-%S-%f.log") <= after


@pytest.mark.covers("1.11")
@pytest.mark.parametrize(
    ("template", "error"),
    [
        ("{nope}", KeyError),
        ("{level}", KeyError),
        ("{}", (ValueError, IndexError)),
        ("{0}", (ValueError, IndexError)),
        ("{time", ValueError),
        ("}", ValueError),
        ("{time:SSSSSSS}", ValueError),
    ],
)
def test_wrong_field_in_the_name(logger: Any, folder: Folder, template: str, error: Any) -> None:
    """
    Any other field in the path is an error at `add()`.
    """
    with pytest.raises(error):
        logger.add(f"{folder.path}/{template}.log")

    assert folder.names() == []


@pytest.mark.covers("1.11")
def test_delayed_name_is_made_when_opened(logger: Any, folder: Folder) -> None:
    """
    With `delay=True` the moment in the name is that of the first message.
    """
    logger.add(f"{folder.path}/{{time:SSSSSS x}}.log", delay=True)
    after_add = datetime.datetime.now().timestamp()
    logger.info("a")

    (name,) = folder.names()

    assert int(name.split(" ")[1].removesuffix(".log")) / 1_000_000 >= after_add - 0.001


@pytest.mark.covers("1.11")
def test_watch_moved(logger: Any, folder: Folder) -> None:
    """
    With `watch=True` a file that was moved away is made anew before the next line.
    """
    logger.add(folder / "a.log", format="{message}", watch=True)
    logger.info("1")
    (folder / "a.log").rename(folder / "b.log")
    logger.info("2")
    logger.info("3")

    assert (folder.text("b.log"), folder.text("a.log")) == ("1\n", "2\n3\n")


@pytest.mark.covers("1.11", note="F12 follows renames unless everything is as in loguru")
@pytest.mark.skipif(os.name != "posix", reason="open files can be moved")
def test_moved_without_watching(logger: Any, folder: Folder) -> None:
    """
    Without `watch`, lines follow the file that was opened, wherever it is moved.
    """
    logger.add(folder / "a.log", format="{message}")
    logger.info("1")
    (folder / "a.log").rename(folder / "b.log")
    logger.info("2")

    assert folder.names() == ["b.log"]
    assert folder.texts() == ["1\n2\n"]


@pytest.mark.covers("1.11")
@pytest.mark.skipif(os.name != "posix", reason="open files can be deleted")
def test_deleted_without_watching(logger: Any, folder: Folder) -> None:
    """
    Without `watch`, nothing is made anew after a deletion, and nothing fails.
    """
    number = logger.add(folder / "a.log", format="{message}", catch=False)
    (folder / "a.log").unlink()
    logger.info("1")
    logger.remove(number)

    assert folder.names() == []


@pytest.mark.covers("1.11")
def test_watch_replaced(logger: Any, folder: Folder) -> None:
    """
    With `watch=True` a file that took the place of ours gets the next lines.
    """
    logger.add(folder / "a.log", format="{message}", watch=True)
    logger.info("1")
    (folder / "new").write_text("new\n", "utf-8")
    (folder / "new").replace(folder / "a.log")
    logger.info("2")

    assert folder.texts() == ["new\n2\n"]


@pytest.mark.covers("1.11")
def test_watch_deleted(logger: Any, folder: Folder) -> None:
    """
    With `watch=True` a deleted file, and a deleted folder, are made anew.
    """
    logger.add(folder / "x/a.log", format="{message}", watch=True)
    logger.info("1")
    (folder / "x/a.log").unlink()
    logger.info("2")
    second = folder.texts()
    shutil.rmtree(folder / "x")
    logger.info("3")

    assert (second, folder.texts()) == (["2\n"], ["3\n"])


@pytest.mark.covers("1.11")
def test_watch_before_the_first_line(logger: Any, folder: Folder) -> None:
    """
    With `watch=True` a file deleted before the first line is made anew.
    """
    logger.add(folder / "a.log", format="{message}", watch=True)
    (folder / "a.log").unlink()
    logger.info("1")

    assert folder.texts() == ["1\n"]


@pytest.mark.covers("1.11")
def test_watch_deleted_at_removal(logger: Any, folder: Folder) -> None:
    """
    A deleted watched file is no obstacle to removal.
    """
    number = logger.add(folder / "a.log", watch=True)
    (folder / "a.log").unlink()
    logger.remove(number)

    assert "id=" not in repr(logger)


@pytest.mark.covers("1.11")
def test_watch_and_mode(logger: Any, folder: Folder) -> None:
    """
    A watched file that is left alone is not opened again: `mode="w"` keeps all lines.
    """
    logger.add(folder / "a.log", format="{message}", watch=True, mode="w")
    logger.info("1")
    logger.info("2")

    assert folder.texts() == ["1\n2\n"]


@pytest.mark.covers("1.11")
def test_odd_names(logger: Any, folder: Folder) -> None:
    """
    Names without an extension, with several, with blanks and brackets are names.
    """
    names = ["app", ".hidden", "a.tar.log", "with blank.log", "[a].log", "ü.log"]
    for name in names:
        logger.add(folder / name, format="{message}")

    logger.info("m")

    assert folder.names() == sorted(names)
    assert folder.texts() == ["m\n"] * len(names)


@pytest.mark.covers("1.11")
def test_serialized_file(logger: Any, folder: Folder) -> None:
    """
    Text and JSON of one call go to two files.
    """
    import json

    logger.add(folder / "a.log", format="{message}")
    logger.add(folder / "b.log", format="{message}", serialize=True)

    logger.info("é")

    assert folder.text("a.log") == "é\n"
    assert json.loads(folder.text("b.log"))["text"] == "é\n"


@pytest.mark.covers("1.11")
def test_many_lines(logger: Any, folder: Folder) -> None:
    """
    Thousands of lines are all there, in order.
    """
    logger.add(folder / "a.log", format="{message}")

    for number in range(3000):
        logger.info(number)

    assert folder.text("a.log") == "".join(f"{number}\n" for number in range(3000))


@pytest.mark.covers("1.11")
def test_line_of_a_megabyte(logger: Any, folder: Folder) -> None:
    """
    A long line is written whole.
    """
    logger.add(folder / "a.log", format="{message}")

    logger.info("é" * 1_000_000)

    assert folder.text("a.log") == "é" * 1_000_000 + "\n"


@pytest.mark.covers("1.11")
@pytest.mark.parametrize("message", ["", "\n", "a\r\nb", "\r", "\x00", "\u2028", "\x1b[31m", "a\tb", "\x85"], ids=ascii)
def test_characters_of_lines(logger: Any, folder: Folder, message: str) -> None:
    """
    A file has the message's characters as they are.
    """
    logger.add(folder / "a.log", format="{message}")

    logger.info(message)
    logger.info("{}", message)

    assert (folder / "a.log").read_bytes() == f"{message}\n{message}\n".encode()

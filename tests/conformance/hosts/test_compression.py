"""Compression: what a file becomes when it is over."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.hosts.files import Folder, local, when_asked
from tests.conformance.support import each

TEXT = b"a\n\xc3\xa9\n"


def _tar(path: Path) -> bytes:
    with tarfile.open(path) as archive:
        (member,) = archive.getmembers()
        assert member.name == "a.log"
        file = archive.extractfile(member)
        assert file is not None
        return file.read()


def _zip(path: Path) -> bytes:
    with zipfile.ZipFile(path) as archive:
        (member,) = archive.infolist()
        assert member.filename == "a.log"
        assert member.compress_type == zipfile.ZIP_DEFLATED
        return archive.read(member)


READ: dict[str, Callable[[Path], bytes]] = {
    "gz": lambda path: gzip.decompress(path.read_bytes()),
    "bz2": lambda path: bz2.decompress(path.read_bytes()),
    "xz": lambda path: lzma.decompress(path.read_bytes(), lzma.FORMAT_XZ),
    "lzma": lambda path: lzma.decompress(path.read_bytes(), lzma.FORMAT_ALONE),
    "tar": _tar,
    "tar.gz": _tar,
    "tar.bz2": _tar,
    "tar.xz": _tar,
    "zip": _zip,
}


@pytest.mark.covers("1.15")
@pytest.mark.parametrize("kind", READ)
def test_formats(logger: Any, folder: Folder, kind: str) -> None:
    """
    Without a rotation, a file is compressed when the sink stops: its text is in it, and the file itself is gone.
    """
    number = logger.add(folder / "a.log", format="{message}", compression=kind)
    logger.info("a")
    logger.info("é")
    during = folder.names()
    logger.remove(number)

    assert during == ["a.log"]
    assert folder.names() == [f"a.log.{kind}"]
    assert READ[kind](folder / f"a.log.{kind}") == TEXT


@pytest.mark.covers("1.15")
@pytest.mark.parametrize(("kind", "first"), [("tar.gz", b"\x1f\x8b"), ("tar.bz2", b"BZh"), ("tar.xz", b"\xfd7zXZ")])
def test_tar_is_compressed(logger: Any, folder: Folder, kind: str, first: bytes) -> None:
    """
    A compressed archive is compressed as its name says.
    """
    number = logger.add(folder / "a.log", compression=kind)
    logger.remove(number)

    assert (folder / f"a.log.{kind}").read_bytes().startswith(first)


@pytest.mark.covers("1.15")
@pytest.mark.parametrize("kind", [".gz", " gz", ".tar.gz"])
def test_leading_dot(logger: Any, folder: Folder, kind: str) -> None:
    """
    A format may be written with a dot before it.
    """
    number = logger.add(folder / "a.log", compression=kind)
    logger.remove(number)

    assert folder.names() == [f"a.log.{kind.strip(' .')}"]


@pytest.mark.covers("1.15")
@pytest.mark.parametrize("kind", ["gz", "tar.gz", "zip"])
def test_at_rotation(logger: Any, folder: Folder, kind: str) -> None:
    """
    With a rotation, each file that is over is compressed under its dated name; the last one stays as it is.
    """
    folder.old("a.log", local(2020, 1, 2, 3, 4, 5))
    number = logger.add(folder / "a.log", format="{message}", rotation=when_asked, compression=kind)
    logger.info("rotate")
    during = folder.names()
    logger.remove(number)

    assert during == folder.names() == [f"a.2020-01-02_03-04-05_000000.log.{kind}", "a.log"]
    assert folder.text("a.log") == "rotate\n"


@pytest.mark.covers("1.15")
def test_member_of_a_rotated_archive(logger: Any, folder: Folder) -> None:
    """
    The member of an archive has the dated name, without folders.
    """
    folder.old("a.log", local(2020, 1, 2, 3, 4, 5))
    logger.add(folder / "a.log", rotation=when_asked, compression="tar.gz")
    logger.info("rotate")

    with tarfile.open(folder / folder.names()[0]) as archive:
        assert archive.getnames() == ["a.2020-01-02_03-04-05_000000.log"]


@pytest.mark.covers("1.15")
def test_many_rotations(logger: Any, folder: Folder) -> None:
    """
    Each line is in one of the files.
    """
    logger.add(folder / "a.log", format="{message}", rotation=20, compression="gz")

    for number in range(20):
        logger.info("{:09}", number)

    packed = b"".join(gzip.decompress((folder / n).read_bytes()) for n in folder.names() if n.endswith(".gz"))
    lines = (packed.decode() + folder.text("a.log")).split()

    assert sorted(lines) == [f"{number:09}" for number in range(20)]
    assert len(folder.names()) == 10


@pytest.mark.covers("1.15")
def test_name_that_is_taken(logger: Any, folder: Folder) -> None:
    """
    A compressed file that is there already keeps its content, under a name with its date.
    """
    folder.old("a.log.gz", local(2020, 1, 2, 3, 4, 5), "earlier")
    number = logger.add(folder / "a.log", format="{message}", compression="gz")
    logger.info("a")
    logger.remove(number)

    assert folder.names() == ["a.2020-01-02_03-04-05_000000.log.gz", "a.log.gz"]
    assert folder.text("a.2020-01-02_03-04-05_000000.log.gz") == "earlier"
    assert gzip.decompress((folder / "a.log.gz").read_bytes()) == b"a\n"


@pytest.mark.covers("1.15")
def test_function(logger: Any, folder: Folder) -> None:
    """
    A function gets the path of the file, which is closed and complete, and does what it likes.
    """
    given: list[Any] = []

    def compression(path: Any) -> None:
        given.append((path, Path(path).read_text("utf-8")))
        os.replace(path, f"{path}.mine")  # noqa: PTH105 -- as programs do it

    number = logger.add(folder / "a.log", format="{message}", compression=compression, buffering=4096)
    logger.info("a")
    logger.remove(number)

    assert given == [(str(folder / "a.log"), "a\n")]
    assert folder.names() == ["a.log.mine"]


@pytest.mark.covers("1.15")
def test_function_at_rotation(logger: Any, folder: Folder) -> None:
    """
    At a rotation a function gets the renamed file, and what it leaves is left.
    """
    given: list[str] = []
    logger.add(folder / "a.log", rotation=when_asked, compression=given.append)

    logger.info("rotate")

    assert len(given) == 1
    assert re.fullmatch(r"a\.\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_\d{6}\.log", Path(given[0]).name)
    assert folder.names() == [Path(given[0]).name, "a.log"]


@pytest.mark.covers("1.15", note="1.14")
def test_before_retention(logger: Any, folder: Folder) -> None:
    """
    Files are compressed before retention looks at them.
    """
    order: list[Any] = []

    def retention(files: Any) -> None:
        order.append([Path(file).name for file in files])

    number = logger.add(folder / "a.log", compression="gz", retention=retention)
    logger.remove(number)

    assert order == [["a.log.gz"]]


@pytest.mark.covers("1.15")
@each(
    ("compression", "error"),
    [
        ("", ValueError),
        ("GZ", ValueError),
        ("rar", ValueError),
        ("tgz", ValueError),
        ("7z", ValueError),
        ("tar.lzma", ValueError),
        ("tar.zip", ValueError),
        ("__dict__", ValueError),
        (0, TypeError),
        (True, TypeError),
        ([], TypeError),
        (b"gz", TypeError),
        (object(), TypeError),
    ],
)
def test_refused(logger: Any, folder: Folder, compression: Any, error: type[Exception]) -> None:
    """
    What means nothing is refused at `add()`: no handler, no file.
    """
    with pytest.raises(error):
        logger.add(folder / "a.log", compression=compression)

    assert "id=" not in repr(logger)
    assert folder.names() == []


def failing(path: Any) -> None:
    raise ValueError("no compression")


@pytest.mark.covers("1.15")
def test_failing_function(logger: Any, folder: Folder, capsys: pytest.CaptureFixture[str]) -> None:
    """
    An error at a rotation is an error of the sink: reported, nothing is lost, later lines are written.
    """
    logger.add(folder / "a.log", format="{message}", compression=failing, rotation=when_asked)

    logger.info("early")
    logger.info("rotate")
    logger.info("later")

    assert "later\n" in folder.text("a.log")
    assert "early\n" in "".join(folder.texts())
    assert "ValueError: no compression" in capsys.readouterr().err


@pytest.mark.covers("1.15")
def test_failing_function_uncaught(logger: Any, folder: Folder) -> None:
    """
    With `catch=False` the error at a rotation reaches the caller.
    """
    logger.add(folder / "a.log", compression=failing, rotation=when_asked, catch=False)

    with pytest.raises(ValueError, match="no compression"):
        logger.info("rotate")


@pytest.mark.covers("1.15")
def test_failing_function_at_removal(logger: Any, folder: Folder) -> None:
    """
    An error when the sink stops reaches who removes it.
    """
    number = logger.add(folder / "a.log", compression=failing)

    with pytest.raises(ValueError, match="no compression"):
        logger.remove(number)


@pytest.mark.covers("1.15", note="1.16")
def test_behind_a_queue(logger: Any, folder: Folder) -> None:
    """
    With `enqueue=True` the file is complete before it is compressed.
    """
    number = logger.add(folder / "a.log", format="{message}", compression="gz", enqueue=True)
    for at in range(50):
        logger.info("{:03}", at)
    logger.remove(number)

    assert gzip.decompress((folder / "a.log.gz").read_bytes()).decode().split() == [f"{at:03}" for at in range(50)]


@pytest.mark.covers("1.15")
def test_at_exit(run: Any, tmp_path: Path) -> None:
    """
    The end of the program is the end of its files.
    """
    run("""
        logger.remove()
        logger.add("logs/a.log", format="{message}", compression="gz", retention=5)
        logger.info("a")
        """)

    assert gzip.decompress((tmp_path / "logs/a.log.gz").read_bytes()) == b"a\n"

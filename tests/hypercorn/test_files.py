"""Log files of Hypercorn's: found again after logrotate, and refused at once where they cannot be (pains.md F7)."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from otelbridge import _export
from tests.hypercorn.support import OK, http_scope, make_log


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is reported once, from the beginning."""
    monkeypatch.setattr(_export, "_reported", set())
    return []


@pytest.mark.covers("0.2")
def test_both_logs_to_files(tmp_path: Path) -> None:
    """
    Paths as targets: appended to, in UTF-8, whatever characters there are.
    """
    (tmp_path / "error.log").write_text("before\n")
    log = make_log(
        accesslog=str(tmp_path / "access.log"), errorlog=str(tmp_path / "error.log"), access_log_format="%(U)s"
    )

    log.error("naïve \udcff")
    log.access(http_scope(path="/日本"), OK, 0)

    first, second = (tmp_path / "error.log").read_text("utf-8").splitlines()
    assert first == "before"
    assert second.endswith("[ERROR] naïve \\udcff")
    assert (tmp_path / "access.log").read_text("utf-8").endswith("[INFO] /日本\n")
    assert log.access_logger is not None
    assert any(isinstance(handler, logging.FileHandler) for handler in log.access_logger.handlers)


@pytest.mark.covers("F7")
@pytest.mark.parametrize("create", [True, False])
def test_a_renamed_file_is_left_for_a_new_one(tmp_path: Path, create: bool) -> None:
    """
    The next line after logrotate's rename (with `create` or `nocreate`) is in the new file, and none is in both.
    """
    path, old = tmp_path / "error.log", tmp_path / "error.log.1"
    log = make_log(errorlog=str(path))
    log.error("one")

    path.rename(old)
    if create:
        path.touch()
    log.error("two")

    assert "one" in old.read_text()
    assert "two" not in old.read_text()
    assert path.read_text().count("\n") == 1


def test_a_removed_or_truncated_file_goes_on(tmp_path: Path) -> None:
    """
    `copytruncate` and `rm` cost no later line.
    """
    path = tmp_path / "error.log"
    log = make_log(errorlog=str(path))
    log.error("one")

    os.truncate(path, 0)
    log.error("two")
    assert path.read_text().startswith("[")
    path.unlink()
    log.error("three")

    assert path.read_text().endswith("three\n")


@pytest.mark.usefixtures("reports")
def test_a_file_that_cannot_be_opened_any_more_is_reported_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Where the folder has gone the server goes on, stderr says so once, and the file is found when it can be made again.
    """
    folder = tmp_path / "logs"
    folder.mkdir()
    log = make_log(errorlog=str(folder / "error.log"))
    log.error("one")
    moved = folder.rename(tmp_path / "old")

    for _ in range(3):
        log.error("two")

    assert capsys.readouterr().err.count("otelbridge: ") == 1
    # Nothing is lost meanwhile.
    assert (moved / "error.log").read_text().count("two") == 3
    folder.mkdir()
    log.error("three")
    assert (folder / "error.log").read_text().endswith("three\n")


@pytest.mark.usefixtures("reports")
def test_a_full_disk_is_reported_once(capsys: pytest.CaptureFixture[str]) -> None:
    """
    Lines that cannot be written are one sentence on stderr, not a traceback each.
    """
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    log = make_log(errorlog="/dev/full")

    for _ in range(3):
        log.error("lost")

    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "No space left on device" in shown
    make_log(errorlog="-")  # replaces it, whose buffer can never be written


@pytest.mark.covers("0.2", note="a log file that cannot be opened is refused in one sentence when the log is made")
@pytest.mark.parametrize("setting", ["accesslog", "errorlog"])
def test_a_file_that_cannot_be_opened_is_refused(tmp_path: Path, setting: str) -> None:
    """
    A missing folder, a folder in place of a file: an OSError of that kind that names the setting and the path.
    """
    missing = str(tmp_path / "none" / "x.log")

    with pytest.raises(FileNotFoundError, match=f"{setting} must be a file that can be written, got '{missing}'"):
        make_log(**{setting: missing})
    with pytest.raises(IsADirectoryError, match=setting):
        make_log(**{setting: str(tmp_path)})

"""A sink that cannot write for a while: told once, counted, resumed; the others lose nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from otelbridge._logger import Logger
from tests.logger.conftest import Lines


@pytest.mark.covers("1.11")
def test_folder_that_is_gone_and_comes_back(
    log: Logger, lines: Lines, stderr: Callable[[], str], tmp_path: Path
) -> None:
    """
    While a file's folder cannot be made, its records are lost, reported once and counted; when it can, it is made, the
    rest is written, and the number that was lost is said. Another sink has every record.
    """
    folder = tmp_path / "logs"
    log.add(folder / "app.log", format="{message}", watch=True)
    log.info("before")
    shutil.rmtree(folder)
    folder.write_text("in the way")
    for i in range(5):
        log.info("lost {}", i)
    complaint = stderr()
    folder.unlink()
    log.info("after")

    assert complaint.count("Logging error in otelbridge handler") == 1
    assert "works again; it could not write 5 records" in stderr()
    assert (folder / "app.log").read_text("utf-8") == "after\n"
    assert lines.messages() == ["before", *(f"lost {i}" for i in range(5)), "after"]


def test_full_disk(log: Logger, lines: Lines, stderr: Callable[[], str]) -> None:
    """
    A device without space costs one report, and no record of another sink.
    """
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    log.add("/dev/full", format="{message}")
    for i in range(5):
        log.info("{}", i)

    said = stderr()
    assert said.count("Logging error in otelbridge handler") == 1
    assert "No space left on device" in said
    assert lines.messages() == ["0", "1", "2", "3", "4"]


def test_strictly_each_failure_is_told(log: Logger, stderr: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    """
    With OTELBRIDGE_LOGURU_STRICT=1 each lost record is reported, as loguru does.
    """
    monkeypatch.setenv("OTELBRIDGE_LOGURU_STRICT", "1")

    def fail(_message: object) -> None:
        raise OSError("broken")

    log.add(fail)
    for i in range(3):
        log.info("{}", i)

    assert stderr().count("Logging error in otelbridge handler") == 3

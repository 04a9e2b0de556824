"""Files that are watched for changes, and the file that a process writes its id to."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path

import hypercorn.utils
import pytest

from otelbridge.hypercorn.utils import check_for_updates, files_to_watch, write_pid_file
from tests.hypercorn_utils.conftest import WriteModule


def touch_later(path: Path) -> None:
    """Let the file be a second newer than it is."""
    time_s = path.stat().st_mtime + 1
    os.utime(path, (time_s, time_s))


@pytest.mark.covers("2.4", note="templates, static and config files are watched when `extra` names them, not unasked")
def test_imported_modules_are_watched(write_module: WriteModule, folder: Path) -> None:
    """As Hypercorn finds them, with their times of change."""
    path = write_module("watched.py", "")
    sys.path.insert(0, str(folder))
    importlib.import_module("watched")

    files = files_to_watch()

    assert files[path] == path.stat().st_mtime
    assert files == hypercorn.utils.files_to_watch()


@pytest.mark.covers("2.4")
def test_extra_files_are_watched_too(folder: Path) -> None:
    """Files, folders with all below, and globs; as str or Path, one or many."""
    for name in ("app.toml", "templates/a.html", "templates/deep/b.html", "static/c.css", "static/d.js"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")

    many = files_to_watch(extra=["app.toml", folder / "templates", "static/*.css", "stat*", f"{folder}/none/**/*.css"])
    deep = files_to_watch(extra=f"{folder}/**/*.html")

    assert {folder / path for path in many.keys() - hypercorn.utils.files_to_watch().keys()} == {
        folder / name for name in ("app.toml", "templates/a.html", "templates/deep/b.html", "static/c.css")
    }
    assert deep.keys() >= {folder / "templates/a.html", folder / "templates/deep/b.html"}


@pytest.mark.covers("2.4")
def test_an_extra_file_that_is_not_there_is_an_error(folder: Path) -> None:
    """A mistyped path is not a file that never changes."""
    with pytest.raises(FileNotFoundError, match=r"extra must hold files, folders or globs that exist, got 'app\.tmol'"):
        files_to_watch(extra=["app.tmol"])


@pytest.mark.covers("2.5")
@pytest.mark.parametrize("change", [touch_later, Path.unlink])
def test_a_changed_file_is_noticed(change: object, folder: Path) -> None:
    """A newer time or a file that is gone, of an extra file as of a module; nothing before that."""
    path = folder / "app.toml"
    path.write_text("")
    files = {path: files_to_watch(extra=path)[path]}
    assert not check_for_updates(files)

    assert callable(change)
    change(path)

    assert check_for_updates(files)
    assert check_for_updates is hypercorn.utils.check_for_updates


@pytest.mark.covers("2.6")
def test_a_pid_file_holds_the_process_id(folder: Path) -> None:
    """The digits of the process that wrote it, without an end of line; what was there before is gone."""
    path = folder / "server.pid"
    path.write_text("1234567890 an old one")
    program = """
import os, sys
from otelbridge.hypercorn.utils import write_pid_file
write_pid_file(sys.argv[1])
print(os.getpid())
"""

    command = [sys.executable, "-c", program, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)

    assert path.read_text() == done.stdout.strip()


@pytest.mark.covers("2.6")
def test_a_pid_file_that_cannot_be_written_is_an_os_error(folder: Path) -> None:
    """It says which."""
    with pytest.raises(OSError, match=r"absent/server\.pid"):
        write_pid_file(str(folder / "absent" / "server.pid"))

"""Hypercorn's own tests of its logging and its utilities, from its sdist, against ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import pytest

FILES = ("test_logging.py", "test_utils.py")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "otelbridge" / "sdists"
_OURS = re.compile(r"^from hypercorn\.(config|logging|utils) import", re.MULTILINE)
_FOUND = re.compile(r"(\d+) tests? collected")


def sdist() -> Path:
    """The source of the installed version, fetched once; skipped only where there is no network."""
    wanted = CACHE / f"hypercorn-{version('hypercorn')}.tar.gz"
    if not wanted.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        command = ["pip", "download", f"hypercorn=={version('hypercorn')}", "--no-deps", "--no-binary", ":all:"]
        done = subprocess.run(
            [sys.executable, "-m", *command, "-d", str(CACHE)], capture_output=True, text=True, timeout=110, check=False
        )
        if done.returncode and re.search("NewConnectionError|name resolution|timed out|No route", done.stderr):
            pytest.skip("Hypercorn's sdist cannot be fetched: no network")
        assert done.returncode == 0, done.stderr
    return wanted


def run_pytest(folder: Path, *options: str) -> str:
    """Run Hypercorn's tests in a process and folder of their own; what pytest printed."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:otelbridge", *options, *FILES],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.required
@pytest.mark.covers("0.9")
@pytest.mark.covers("0.10")
@pytest.mark.covers("0.2")
@pytest.mark.covers("0.3")
def test_hypercorns_own_tests_pass(tmp_path: Path) -> None:
    """
    Its test_logging.py and test_utils.py pass, all of them, with only the import's prefix changed.
    """
    with tarfile.open(sdist()) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = tmp_path.glob("hypercorn-*/tests")
    folder = tmp_path / "moved"
    folder.mkdir()
    for name in ("conftest.py", *FILES):
        text, count = _OURS.subn(r"from otelbridge.hypercorn.\1 import", (source / name).read_text("utf-8"))
        assert count or name == "conftest.py"
        (folder / name).write_text(text, "utf-8")

    found = _FOUND.search(run_pytest(folder, "--collect-only", "-q"))
    printed = run_pytest(folder, "-q")

    assert found is not None
    assert int(found[1]) > 20
    assert f"{found[1]} passed" in printed

"""What the tests of sinks and hosts need besides the two loggers."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import loguru
import pytest

from tests.conformance.hosts.files import Folder
from tests.conformance.support import reset

ROOT = Path(__file__).parents[3]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def reference(logger: Any) -> Iterator[Any]:
    """Loguru's own logger, without handlers: what it does is what `logger` has to do."""
    reset(loguru.logger)
    try:
        yield loguru.logger
    finally:
        reset(loguru.logger)


@pytest.fixture
def run(implementation: str, tmp_path: Path) -> Run:
    """Run a program, which finds `logger` imported, in `tmp_path`, with a deadline; its output is text."""

    def run_program(
        source: str, *, env: dict[str, str] | None = None, check: bool = True, timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        main = tmp_path / "main.py"
        main.write_text(f"from {implementation} import logger\n{textwrap.dedent(source)}", "utf-8")
        done = subprocess.run(
            # Python 3.12 and later warn of each fork in a program with threads.
            [sys.executable, "-W", "ignore:This process:DeprecationWarning", str(main)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(ROOT), **(env or {})},
            capture_output=True,
            encoding="utf-8",
            timeout=timeout_s,
            check=False,
        )
        assert not check or done.returncode == 0, (done.returncode, done.stdout, done.stderr)
        return done

    return run_program


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An empty folder for log files."""
    path = tmp_path / "logs"
    path.mkdir()
    return Folder(path)

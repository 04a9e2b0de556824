"""`python3 -m tools` on machines that lack something."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tools import __main__ as door
from tools.places import ROOT

# What a Debian machine without python3-venv, and one with an old Python, answer.
WITHOUT_ENSUREPIP = "import sys; sys.modules['ensurepip'] = None\n"
OLD_PYTHON = "import sys; sys.version_info = (3, 8, 1)\n"


def run_door(tmp_path: Path, preamble: str) -> subprocess.CompletedProcess[str]:
    """Run `tools help` after *preamble*, where PATH holds no other Python."""
    run = f"import runpy; sys.argv = ['tools', 'help']; runpy.run_path({str(ROOT / 'tools')!r}, {{}}, '__main__')"
    command = [sys.executable, "-c", preamble + run]
    return subprocess.run(command, env={"PATH": str(tmp_path)}, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("preamble", "fix"),
    [(OLD_PYTHON, "apt install python3"), (WITHOUT_ENSUREPIP, "apt install python3-venv")],
    ids=["old", "no venv"],
)
def test_unfit_python_says_one_sentence(tmp_path: Path, preamble: str, fix: str) -> None:
    """A Python that is too old, or cannot make a virtual environment, costs one line with the fix, and no traceback."""
    done = run_door(tmp_path, preamble)

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert fix in done.stderr


def test_fit_python_on_path_takes_over(tmp_path: Path) -> None:
    """Where only the default Python is unfit, a fit one on PATH does the work."""
    (tmp_path / "python3.13").symlink_to(sys.executable)

    done = run_door(tmp_path, OLD_PYTHON)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: python3 -m tools")


def test_door_parses_on_old_pythons() -> None:
    """The file that must say the sentence is valid for Python 3.5, whose users need it most."""
    source = Path(door.__file__).read_text("utf-8")

    ast.parse(source, feature_version=(3, 5))


def test_makefile_only_calls_the_tools() -> None:
    """Each target of the Makefile is the one line that the README shows for machines without make."""
    lines = (ROOT / "Makefile").read_text("utf-8").splitlines()
    recipes = [line.strip() for line in lines if line.startswith("\t")]

    assert recipes
    assert all(recipe.startswith("@$(PYTHON) -m tools ") for recipe in recipes)

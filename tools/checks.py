"""`make check`: all that can be said of the code without its tests, and the native tests once more, on safe code."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from hatch_build import TARGETS
from tools import compatibility
from tools.command import environment
from tools.places import ROOT
from tools.progress import ToolError, duration, say

NATIVE = ROOT / "native"
Step = tuple[str, Callable[[], None]]


def run(python: Path, chosen: list[str]) -> int:
    """Run the steps whose names start with one of *chosen* (all if there is none); 0 if none failed.

    A failed step does not stop the others: one run shows all there is to mend.
    """
    steps = [step for step in _steps(python) if not chosen or step[0].startswith(tuple(chosen))]
    if not steps:
        raise ToolError(
            f"no check is called {' or '.join(chosen)}: there are {', '.join(n for n, _ in _steps(python))}"
        )
    failed = []
    for name, step in steps:
        started_s = time.monotonic()
        try:
            step()
        except ToolError as error:
            failed.append(name)
            print(error, file=sys.stderr)
        verdict = "FAILED" if name in failed else "ok"
        say(f"{name:28} {verdict} ({duration(time.monotonic() - started_s)})")
    if failed:
        raise ToolError(f"{len(failed)} of {len(steps)} checks failed: {', '.join(failed)}")
    say(f"all {len(steps)} checks passed")
    return 0


def _steps(python: Path) -> Iterator[Step]:
    names = ("otelbridge", "tests", "tools", "benchmarks", "examples", "hatch_build.py")
    paths = [name for name in names if (ROOT / name).exists()]
    packages = [name for name in paths if name != "examples"]

    def tool(*arguments: str | Path) -> Callable[[], None]:
        return lambda: _call(python, "-m", *arguments)

    yield "ruff check", tool("ruff", "check", "--quiet", *paths)
    yield "ruff format", tool("ruff", "format", "--check", "--quiet", *paths)
    yield "mypy", tool("mypy", "--strict", *packages)
    if "examples" in paths:  # scripts, each a program of its own, not a package
        for script in sorted((ROOT / "examples").rglob("*.py")):
            yield f"mypy {script.relative_to(ROOT)}", tool("mypy", "--strict", script)
    yield "stubtest", tool("mypy.stubtest", "otelbridge._native")
    yield "zig fmt", tool("ziglang", "fmt", "--check", NATIVE)
    for file in _pure_zig():
        yield f"zig test {file.name}", tool("ziglang", "test", "-lc", file)
    for target in TARGETS:
        yield f"compile for {target}", lambda target=target: _cross_compile(python, target)  # type: ignore[misc]  # bound now, not when called
    yield "docs/compatibility.md", lambda: compatibility.check(python)
    yield "dashboards", tool("otelbridge", "dashboards", "--check")
    yield "native tests, ReleaseSafe", lambda: _native_tests_with_safety(python)


def _call(*command: str | Path, cwd: Path = ROOT, changes: Mapping[str, str] | None = None) -> None:
    arguments = [str(part) for part in command]
    done = subprocess.run(
        arguments,
        cwd=cwd,
        env={**environment(), **(changes or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ToolError(f"$ {' '.join(arguments[1:])}\n{done.stdout}{done.stderr}".rstrip())


def _pure_zig() -> list[Path]:
    """The files with tests that do not reach the Python border: those run without an interpreter."""
    files = {path.name: path for path in sorted(NATIVE.rglob("*.zig"))}
    texts = {name: path.read_text("utf-8") for name, path in files.items()}
    imports = {name: set(re.findall(r'@import\("(?:[^"]*/)?([^"/]+\.zig)"\)', text)) for name, text in texts.items()}
    impure = {"py.zig"}
    while reached := {name for name, used in imports.items() if used & impure} - impure:
        impure |= reached
    return [path for name, path in files.items() if name not in impure and re.search(r"(?m)^test\b", texts[name])]


def _cross_compile(python: Path, target: str) -> None:
    """Some errors show only on another processor or system, so every one that we ship for is compiled for."""
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "module"
        _call(python, ROOT / "hatch_build.py", "--target", target, "--out", out)
        if not out.exists() or out.stat().st_size == 0:
            raise ToolError(f"hatch_build.py wrote no module for {target}")


def _native_tests_with_safety(python: Path) -> None:
    """Run tests/native on a core whose overflows, bad casts and unreachable code trap, in a copy of the package."""
    built = [path for path in (ROOT / "otelbridge").glob("_native.*") if path.suffix in (".so", ".pyd")]
    if len(built) != 1:
        raise ToolError(f"expected one native module, got {[path.name for path in built]}: run `make native`")
    with tempfile.TemporaryDirectory() as scratch:
        tree = Path(scratch)
        for path in ROOT.iterdir():
            if path.name not in ("otelbridge", "build") and not path.name.startswith("."):
                (tree / path.name).symlink_to(path)
        package = tree / "otelbridge"
        shutil.copytree(ROOT / "otelbridge", package, ignore=shutil.ignore_patterns("__pycache__", built[0].name))
        safe = package / built[0].name
        _call(python, ROOT / "hatch_build.py", "--mode", "ReleaseSafe", "--out", safe)
        changes = {"PYTHONPATH": str(tree)}
        is_it = f"import otelbridge._native as core; assert core.__file__ == {str(safe)!r}, core.__file__"
        _call(python, "-c", is_it, cwd=tree, changes=changes)
        _call(python, "-m", "pytest", "--quiet", "-p", "no:cacheprovider", "tests/native", cwd=tree, changes=changes)

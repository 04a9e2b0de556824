"""The checkout's virtual environment: made once, kept in step with pyproject.toml and native/. Runs nothing of ours."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tools.command import run_logged
from tools.places import ROOT, VENV, locked, venv_python
from tools.progress import ToolError, duration, say, stage

# They require 0.66b1 of everything else, with which no OpenTelemetry 1.45.2 can be installed; they work with it.
ALONE = ("opentelemetry-instrumentation-flask==0.66b1", "opentelemetry-instrumentation-starlette==0.66b1")

STAMP = VENV / "otelbridge.json"
LOG = VENV / "setup.log"
# Written into pyvenv.cfg of an environment that we made.
MARK_ROOT = "otelbridge-root"
MARK_BASE = "otelbridge-base"


@dataclass
class Stamp:
    """What .venv holds, as of the last run that ended well."""

    install: str = ""
    native: str = ""
    extras: list[str] = field(default_factory=list)

    @classmethod
    def read(cls) -> Stamp:
        """The stamp on disk; an empty one if there is none that can be read."""
        try:
            return cls(**json.loads(STAMP.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            return cls()

    def write(self) -> None:
        """Put the stamp on disk."""
        STAMP.write_text(json.dumps(asdict(self), indent=1), "utf-8")


def prepare(*extras: str) -> Path:
    """Make .venv fit for running the project with *extras*, doing only what is not done yet; return its Python."""
    with locked(VENV / ".lock", "setting up .venv"):
        started_s = time.monotonic()
        stamp = Stamp.read()
        if not _venv_fits():
            stamp = Stamp()
            _make_venv()
        worked = _install(stamp, extras) or _build_native(stamp)
        if worked:
            stamp.write()
            say(f"ready, after {duration(time.monotonic() - started_s)}")
    return venv_python()


def build_native(mode: str | None = None) -> None:
    """Compile native/ into the package, whether it changed or not.

    Another *mode* than users get (Debug compiles in a second, and checks itself) lasts until the next `prepare`.
    """
    stamp = Stamp.read()
    if stamp.native:
        stamp.native = ""
        stamp.write()
    if mode is None or not stamp.install:
        prepare()
    if mode is not None:
        _compile(venv_python(), "--mode", mode)
        stamp = Stamp.read()
        stamp.native = ""
        stamp.write()


def ensure_venv() -> None:
    """Make .venv if need be, with nothing installed in it: for its pip."""
    with locked(VENV / ".lock", "setting up .venv"):
        if not _venv_fits():
            _make_venv()


def _venv_fits() -> bool:
    """Whether .venv can be used.

    One of the user's own making is installed into and never removed, unless it is broken. Ours must be of the Python
    that asks, and must not have moved: a copied checkout carries scripts and an editable install of its old place.
    """
    if not venv_python().exists():
        return False
    config = _venv_config()
    if MARK_ROOT not in config:
        return _answers(venv_python())
    return config[MARK_ROOT] == str(ROOT) and config.get(MARK_BASE) == _base_python()


def _answers(python: Path) -> bool:
    code = "import sys, pip; sys.exit(sys.version_info < (3, 11))"
    return subprocess.run([python, "-c", code], capture_output=True, check=False).returncode == 0


def _base_python() -> str:
    return f"{sys.version.split()[0]} in {sys.base_prefix}"


def _venv_config() -> dict[str, str]:
    try:
        lines = (VENV / "pyvenv.cfg").read_text("utf-8").splitlines()
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in lines)}


def _make_venv() -> None:
    STAMP.unlink(missing_ok=True)
    for entry in VENV.iterdir():  # all but the lock, which we hold
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != ".lock":
            entry.unlink()
    with stage(f"making .venv with Python {sys.version.split()[0]}"):
        run_logged([sys.executable, "-m", "venv", VENV], LOG)
    with open(VENV / "pyvenv.cfg", "a", encoding="utf-8") as config:
        config.write(f"{MARK_ROOT} = {ROOT}\n{MARK_BASE} = {_base_python()}\n")


def _install(stamp: Stamp, extras: Iterable[str]) -> bool:
    """Install the project and *extras* if the stamp lacks them; whether anything was done."""
    wanted = sorted({*stamp.extras, *extras})
    install = _digest([ROOT / "pyproject.toml", ROOT / "hatch_build.py", Path(__file__), VENV / "pyvenv.cfg"])
    if stamp.install == install and stamp.extras == wanted:
        return False
    STAMP.unlink(missing_ok=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    compiler = next((r for r in project["build-system"]["requires"] if r.startswith("ziglang")), "ziglang")
    if not _compiler_is_there(compiler):
        say(f"one large download follows, once: the Zig compiler ({compiler}, about 100 MB, unless pip has it still)")
    with stage("installing the compiler and the build tools"):
        pip_install(*project["build-system"]["requires"], "editables")
    purpose = "what its tests need" if "dev" in wanted else "what it needs"
    with stage(f"installing otelbridge, {purpose}, and its native core"):
        # Not isolated: an isolated build would fetch and unpack the compiler a second time.
        extras_named = f"[{','.join(wanted)}]" if wanted else ""
        pip_install("--no-build-isolation", "--editable", f".{extras_named}")
        if "dev" in wanted:
            pip_install("--no-deps", *ALONE)
    stamp.install, stamp.extras, stamp.native = install, wanted, _native_digest()
    return True


def _build_native(stamp: Stamp) -> bool:
    """Compile native/ if its sources changed since the stamp, or its module is gone; whether anything was done."""
    digest = _native_digest()
    if stamp.native == digest and _native_modules():
        return False
    _compile(venv_python())
    stamp.native = digest
    return True


def _compile(python: Path, *options: str) -> None:
    with stage("building the native core"):
        run_logged([python, ROOT / "hatch_build.py", *options], LOG)


def _native_modules() -> list[Path]:
    return [path for path in (ROOT / "otelbridge").glob("_native.*") if path.suffix in (".so", ".pyd")]


def _native_digest() -> str:
    sources = sorted(path for path in (ROOT / "native").rglob("*") if path.suffix in (".zig", ".def"))
    return _digest([ROOT / "hatch_build.py", *sources])


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name}\0".encode())
        digest.update(path.read_bytes() if path.is_file() else b"")
    return digest.hexdigest()


def _compiler_is_there(requirement: str) -> bool:
    folder = requirement.replace("==", "-") + ".dist-info"
    return any(VENV.glob(f"lib*/python*/site-packages/{folder}")) or any(VENV.glob(f"Lib/site-packages/{folder}"))


def pip_install(*arguments: str) -> None:
    """Let the pip of .venv install *arguments*, quietly."""
    pip = (venv_python(), "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--quiet")
    try:
        run_logged([*pip, *arguments], LOG)
    except ToolError as error:
        msg = f"pip could not install {' '.join(arguments)}: {error}"
        raise ToolError(msg) from None

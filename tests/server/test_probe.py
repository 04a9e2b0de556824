"""Another Hypercorn than the tested one ends in a sentence at the start, never in a surprise under load."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

import otelbridge.server
from otelbridge.server.errors import StartError
from otelbridge.server.probe import LEANED_ON, LEANED_ON_TRIO, TESTED, check_hypercorn

FOLDER = Path(otelbridge.server.__file__).parent
EVERY = [*((*name, "asyncio") for name in LEANED_ON), *((*name, "trio") for name in LEANED_ON_TRIO)]
each_name = pytest.mark.parametrize(("module", "name", "worker_class"), EVERY)


def test_the_installed_hypercorn_is_the_tested_one() -> None:
    """
    What we lean on is there, and in the version that is named.
    """
    assert version("hypercorn") == TESTED
    for worker_class in ("asyncio", "uvloop", "trio"):
        check_hypercorn(worker_class)


@each_name
def test_each_name_that_is_missing_is_told(
    monkeypatch: pytest.MonkeyPatch, module: str, name: str, worker_class: str
) -> None:
    """
    A Hypercorn without one of the names is refused; the sentence says which, and what to install.
    """
    *holders, last = name.split(".")
    owner = import_module(module)
    for holder in holders:
        owner = getattr(owner, holder)
    # In a class it may be inherited, and its base's is what has gone then.
    owner = next((base for base in getattr(owner, "__mro__", ()) if last in vars(base)), owner)
    monkeypatch.delattr(owner, last)

    with pytest.raises(StartError, match=re.escape(f"got {TESTED} without {module}.{name}: pip install")):
        check_hypercorn(worker_class)


def test_trio_is_asked_for_by_its_users_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What only the worker class trio leans on keeps nobody else from starting.
    """
    monkeypatch.delattr("hypercorn.trio.run.trio")

    check_hypercorn("asyncio")
    with pytest.raises(StartError, match="trio"):
        check_hypercorn("trio")


def test_whatever_is_replaced_is_probed() -> None:
    """
    Each name of Hypercorn's that `server` assigns to stands in the list.
    """
    pattern = re.compile(r"^ *(hypercorn\.[\w.]+)\.(\w+) = ", re.MULTILINE)
    replaced = {found for path in FOLDER.glob("*.py") for found in pattern.findall(path.read_text())}
    probed = {(module, name.partition(".")[0]) for module, name in (*LEANED_ON, *LEANED_ON_TRIO)}

    assert replaced
    assert replaced <= probed


@pytest.mark.covers("3.10")
@pytest.mark.parametrize("words", ["run app:app", "run -k trio app:app"])
def test_the_command_tells_what_is_missing(tmp_path: Path, words: str) -> None:
    """
    `otelbridge run` with a Hypercorn of another make: the sentence, and code 1.
    """
    program = "import sys, hypercorn.protocol.ws_stream as s; del s.valid_server_name; "
    program += f"from otelbridge.cli import main; sys.exit(main({words.split()}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=30)

    assert done.returncode == 1
    assert done.stderr == (
        f"otelbridge run: Hypercorn must be like {TESTED}, got {TESTED} without "
        "hypercorn.protocol.ws_stream.valid_server_name: pip install 'otelbridge[server]'\n"
    )


@pytest.mark.parametrize("command", ["-m otelbridge run", "-m otelbridge.hypercorn.run"])
def test_without_hypercorn_the_command_says_what_to_install(tmp_path: Path, command: str) -> None:
    """
    Where Hypercorn is not installed the command line is still read (--help works), and a start asks for it.
    """
    # An installation as this one, but for Hypercorn.
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if not path.name.startswith("hypercorn") and path.name != "otelbridge":
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "otelbridge").symlink_to(FOLDER.parent)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        full = [sys.executable, "-S", *command.split(), *words]
        return subprocess.run(full, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=30)

    done = call("app:app")

    assert done.returncode == 1
    assert "Hypercorn is not installed, and serves here: pip install 'otelbridge[server]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert call("--help").returncode == 0

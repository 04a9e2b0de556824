"""Where things lie, and the lock between two runs."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tools.places import ROOT, cache_folder, locked

HOLDER = """
import sys
from pathlib import Path
from tools.places import locked
with locked(Path(sys.argv[1]), "working"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_second_run_waits_for_the_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two runs never build the same thing at once: the second says that it waits, and goes on when the first ends."""
    lock = tmp_path / "lock"
    entered = threading.Event()

    def second_run() -> None:
        with locked(lock, "working"):
            entered.set()

    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, lock], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        second = threading.Thread(target=second_run)
        second.start()
        entered_too_early = entered.wait(0.5)
        first.communicate()
    second.join(10)

    assert not entered_too_early
    assert entered.is_set()
    assert capsys.readouterr().out == "otelbridge: another run is working: waiting for it\n"


@pytest.mark.skipif(sys.platform == "win32", reason="the cache folder of Windows has no XDG")
def test_cache_is_the_users_unless_it_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What outlives a checkout lies in XDG_CACHE_HOME; where that is no folder to write to, inside the checkout."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "otelbridge"

    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    assert cache_folder() == ROOT / ".cache" / "otelbridge"

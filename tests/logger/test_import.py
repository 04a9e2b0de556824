"""Importing and bare use: standard error and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# Whatever an import must not bring along; opentelemetry's API comes with the first id, never before.
HEAVY = ("opentelemetry", "requests", "urllib3", "grpc", "google", "rich", "hypercorn", "asyncio", "orjson", "statsd")
# What only some options need is imported by them.
FOR_SOME = ("pathlib", "multiprocessing", "logging", "email", "zipfile", "tarfile", "socket", "importlib.metadata")

PROGRAM = """
import json, os, sys, threading
started, opened = [], []
begin = threading.Thread.start
threading.Thread.start = lambda thread: (started.append(thread.name), begin(thread))
def hook(event, args):
    if event.startswith("socket.") or event in ("os.fork", "subprocess.Popen", "os.mkdir", "os.rename"):
        opened.append([event, str(args)])
    if event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+"):
        opened.append([event, str(args)])
import signal
handlers = [signal.getsignal(number) for number in signal.valid_signals()]
sys.addaudithook(hook)
{use}
sys.stdout.write(json.dumps({{
    "modules": sorted(sys.modules), "threads": threading.active_count(), "started": started, "opened": opened,
    "signals": handlers == [signal.getsignal(number) for number in signal.valid_signals()],
}}))
"""

USES = {
    "import": "import otelbridge",
    "from import": "from otelbridge import logger",
    "bare use": """
from otelbridge import logger
logger.info("text {}", 1, user="u")
with logger.contextualize(a=1, trace_id="xyz"): logger.bind(b=2).warning("text")
try: 1 / 0
except ZeroDivisionError: logger.exception("text")
logger.remove(logger.add(lambda message: None))
""",
}


def run(use: str, folder: Path) -> tuple[dict[str, Any], str]:
    """What the program did, and what it wrote to standard error."""
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-B", "-c", PROGRAM.format(use=use)],
        env={**os.environ, "PYTHONPATH": root},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    return json.loads(done.stdout), done.stderr


@pytest.mark.parametrize("use", USES.values(), ids=USES.keys())
def test_nothing_heavy_is_imported_and_nothing_is_started(use: str, tmp_path: Path) -> None:
    """
    No thread, socket, file, signal handler or heavy module: neither by the import, nor by bare use of the logger.
    """
    did, _ = run(use, tmp_path)

    heavy = [name for name in did["modules"] if name.partition(".")[0] in HEAVY]
    assert heavy == []
    assert (did["threads"], did["started"], did["opened"]) == (1, [], [])
    assert did["signals"]
    assert list(tmp_path.iterdir()) == []


def test_bare_use_writes_to_standard_error(tmp_path: Path) -> None:
    """
    Unconfigured, a record is a line on standard error, at once.
    """
    _, written = run(USES["bare use"], tmp_path)

    lines = [line for line in written.splitlines() if " | " in line]
    assert [line.split(" | ")[1].strip() for line in lines] == ["INFO", "WARNING", "ERROR"]
    assert "ZeroDivisionError: division by zero" in written


def test_import_is_quick(tmp_path: Path) -> None:
    """
    The import of the logger brings fewer modules than loguru's, and none of Python's that loguru does without.
    """
    did, _ = run("from otelbridge import logger", tmp_path)
    loguru, _ = run("from loguru import logger", tmp_path)

    ours = {name for name in did["modules"] if name.partition(".")[0] == "otelbridge"}
    python = set(did["modules"]) - ours
    assert python - set(loguru["modules"]) <= {"__future__", "bisect", "_bisect"}
    assert python.isdisjoint(FOR_SOME)
    assert len(did["modules"]) < 130 < len(loguru["modules"]), did["modules"]
    assert not any(name.startswith(("otelbridge.delivery", "otelbridge.otlp", "otelbridge.access")) for name in ours)

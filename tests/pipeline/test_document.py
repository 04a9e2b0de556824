"""docs/requests.md, "Access records to a file, syslog, or another server": its code runs as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from otelbridge.integrations import chosen_sinks
from tests.pipeline.receiving import LogServer
from tools.places import ROOT

DOCUMENT = (ROOT / "docs" / "requests.md").read_text(encoding="utf-8")
SECTION = DOCUMENT.partition("## Access records to a file")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"^```python\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE)

PREAMBLE = """
import asyncio
import otelbridge
from tests.access.support import exchange, hello, http_scope
app = hello
"""


def run(code: str, folder: Path) -> list[str]:
    """As a program; what it wrote to stderr."""
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + code],
        env={**os.environ, "OTEL_SDK_DISABLED": "true", "PYTHONPATH": str(ROOT)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return done.stderr.splitlines()


@pytest.mark.covers("4.10")
@pytest.mark.covers("4.11")
def test_the_pipeline(tmp_path: Path, server: LogServer) -> None:
    """
    A request of the wrapped app is in the file and at the log server.
    """
    block = BLOCKS[0].replace("localhost:9000", server.host)
    run(f"{block}\nwith pipeline:\n    asyncio.run(exchange(app, http_scope('/tasks')))", tmp_path)

    (record,) = server.records
    assert record["path"] == "/tasks"
    assert (tmp_path / "access.log").read_text().startswith('203.0.113.42 "GET /tasks HTTP/1.1" 200 5 ')


@pytest.mark.covers("4.9")
def test_the_decorator(tmp_path: Path) -> None:
    """
    The call is printed as the comment says.
    """
    lines = run(f"{BLOCKS[1]}\nasyncio.run(pay(7, 'x'))", tmp_path)

    assert "DEBUG:__main__:pay((7, '[REDACTED]'), {})" in lines
    assert len(BLOCKS) == 2


@pytest.mark.covers("4.15")
def test_each_variable_is_documented() -> None:
    """
    The table has every variable that is read, with its default where it has one.
    """
    named = set(re.findall(r"`OTELBRIDGE_(\w+)=", SECTION))

    assert named == {"LOG_FILE", "SYSLOG_ADDR", "LOG_FORMAT", "ASYNC_LOGGING", "LOG_BATCH_SIZE", "LOG_BATCH_TIMEOUT_MS"}
    assert named == {name for name in named if f'"{name}"' in Path(chosen_sinks.__file__).read_text("utf-8")}
    assert f"LOG_BATCH_SIZE={chosen_sinks.BATCH_SIZE}`" in SECTION
    assert f"LOG_BATCH_TIMEOUT_MS={chosen_sinks.BATCH_TIMEOUT_MS:g}`" in SECTION

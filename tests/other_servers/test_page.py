"""What docs/servers.md shows beside its commands is true as well."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.other_servers.serving import COMMANDS, PAGE
from tests.stack.process import clean_environment

BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
CALLS = """
import asyncio
sent = []
async def send(message):
    sent.append(message)
scope = {"type": "http", "method": "GET", "path": "/asgi", "headers": [], "query_string": b""}
asyncio.run(app(scope, None, send))
environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/wsgi"}
body = wsgi_app(environ, lambda status, headers: sent.append(status))
assert (sent[0]["status"], sent[2], list(body)) == (200, "200 OK", [b"ok"]), sent
"""


def test_the_app_of_the_page_runs_as_shown() -> None:
    """
    The page's code serves a request of each kind, and each leaves its own line and its access line.
    """
    done = subprocess.run(
        [sys.executable, "-c", "".join(BLOCKS) + CALLS],
        env=clean_environment() | {"OTEL_SDK_DISABLED": "true"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert [done.stderr.count(f"Item {path}") for path in ("/asgi", "/wsgi")] == [1, 1]
    assert [done.stderr.count(f"GET {path}") for path in ("/asgi", "/wsgi")] == [1, 1]


@pytest.mark.parametrize("server", ["uvicorn", "gunicorn", "granian", "Hypercorn"])
def test_the_page_names_a_version_that_was_run(server: str) -> None:
    """
    Each server is named with a version, and tests run that one or a newer.
    """
    named = re.search(rf"^\*\*{server}\*\* ([\d.]*\d)", PAGE, re.MULTILINE)

    assert named is not None
    assert numbers(version(server)) >= numbers(named[1])


def numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(".") if number.isdigit()]


def test_every_server_has_a_command() -> None:
    """
    The commands that the other tests run are those of all servers of the page.
    """
    assert {Path(line.split()[0]).name for line in COMMANDS} == {"uvicorn", "gunicorn", "granian", "hypercorn"}

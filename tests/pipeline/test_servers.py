"""The chosen sink in the workers of real servers: each request is a line, whichever worker served it, and none is lost
when the server is told to end.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.pipeline.receiving import DEADLINE_S, wait_for
from tools.places import ROOT

COUNT = 200
SERVERS = {
    "hypercorn": "hypercorn --bind {bind} --workers 2 tests.pipeline.served:asgi",
    "uvicorn": "uvicorn --host 127.0.0.1 --port {port} --workers 2 tests.pipeline.served:asgi",
    "uvicorn, one process": "uvicorn --host 127.0.0.1 --port {port} tests.pipeline.served:asgi",
    "gunicorn": "gunicorn --bind {bind} --workers 2 tests.pipeline.served:wsgi",
    "gunicorn --preload": "gunicorn --preload --bind {bind} --workers 2 --threads 4 tests.pipeline.served:wsgi",
    "gunicorn, gevent": "gunicorn --preload --bind {bind} --workers 2 -k gevent tests.pipeline.served:wsgi",
}


def free_port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def answers(client: httpx.Client, path: str) -> bool:
    """Whether somebody does."""
    try:
        return client.get(path).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.covers("4.15")
@pytest.mark.parametrize("command", SERVERS.values(), ids=list(SERVERS))
def test_every_request_is_a_line(tmp_path: Path, command: str) -> None:
    """
    Two workers append to one file; after SIGTERM it has a line for each request that was answered.
    """
    path, port = tmp_path / "access.log", free_port()
    name, *arguments = command.format(bind=f"127.0.0.1:{port}", port=port).split()
    program = Path(sys.executable).with_name(name)
    env = {**os.environ, "OTEL_SDK_DISABLED": "true", "PYTHONPATH": str(ROOT), "BB_LOG_FILE": str(path)}
    env |= {"BB_LOG_BATCH_TIMEOUT_MS": "200"}
    with (tmp_path / "output").open("w") as output:
        process = subprocess.Popen([program, *arguments], cwd=ROOT, env=env, stdout=output, stderr=output)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client, ThreadPoolExecutor(8) as pool:
            wait_for(lambda: answers(client, "/ready"))
            assert all(pool.map(lambda i: answers(client, f"/{i}"), range(COUNT)))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(2 * DEADLINE_S)

    lines = path.read_text().splitlines()
    numbered = [line.split()[2] for line in lines if "/ready" not in line]
    assert sorted(numbered) == sorted(f"/{i}" for i in range(COUNT)), (tmp_path / "output").read_text()

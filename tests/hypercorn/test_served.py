"""A real Hypercorn on each of its loops, with our Logger as its `logger_class`."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from tests.hypercorn.support import DEADLINE_S, Agent
from tests.otlp.receivers import OtlpReceiver

APP = """
import otelbridge

async def bare(scope, receive, send):
    if scope["type"] == "lifespan":
        for word in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{word}.complete"})
        return
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        return
    if scope["path"] == "/raise":
        raise RuntimeError("broken")
    if scope["path"] == "/wait":
        while (await receive())["type"] != "http.disconnect":
            pass
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})

if INSTRUMENTED:
    app = otelbridge.instrument(bare)
else:
    otelbridge.configure()
    app = bare
"""
RUN = """
import json, sys
sys.path.insert(0, FOLDER)
from hypercorn.run import run
from otelbridge.hypercorn.config import Config

if __name__ == "__main__":
    config = Config.from_mapping(json.loads(sys.argv[1]))
    sys.exit(run(config))
"""


@dataclass
class Served:
    """A server under way, and what it printed when it has ended."""

    port: int
    out: str = ""
    err: str = ""


@contextmanager
def serving(folder: Path, receiver: OtlpReceiver, *, instrumented: bool = True, **settings: Any) -> Iterator[Served]:
    """Serve the app by Hypercorn in a process of its own; stopped by SIGTERM at the end."""
    fixed = f"INSTRUMENTED = {instrumented}\nFOLDER = {str(folder)!r}\n"
    (folder / "served_app.py").write_text(fixed + APP)
    (folder / "serve.py").write_text(fixed + RUN)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        chosen = {
            "bind": [f"fd://{listening.fileno()}"],
            "application_path": "served_app:app",
            "workers": 1,
            "graceful_timeout": 1,
            **settings,
        }
        process = subprocess.Popen(
            [sys.executable, str(folder / "serve.py"), json.dumps(chosen)],
            env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, "OTEL_SERVICE_NAME": "served"},
            pass_fds=[listening.fileno()],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        served = Served(listening.getsockname()[1])
        try:
            yield served
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                served.out, served.err = process.communicate(timeout=30)
            finally:
                process.kill()


class Client:
    """A client that hangs up last of all: on trio, Hypercorn takes one that does so at once for one that left early."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._held: list[socket.socket] = []

    def get(self, path: str, host: str = "shop") -> int:
        """The status of one GET."""
        connection = socket.create_connection(("127.0.0.1", self._port), 30)
        self._held.append(connection)
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: x\r\n\r\n".encode())
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(4096)
        return int(received.split()[1])

    def close(self) -> None:
        for connection in self._held:
            connection.close()


def access_records(receiver: OtlpReceiver) -> list[Any]:
    """What arrived of requests, by path and status."""
    return sorted(
        (
            record.attributes.get("url.path"),
            record.attributes.get("http.response.status_code"),
            record.attributes["otelbridge.ended_by"],
        )
        for record in receiver.logs()
        if record.item.event_name == "http.server.access"
    )


def messages(receiver: OtlpReceiver) -> list[str]:
    """What the server itself said."""
    return [record.item.body.string_value for record in receiver.logs() if not record.item.event_name]


@pytest.mark.required
@pytest.mark.covers("0.1")
@pytest.mark.covers("0.6")
@pytest.mark.parametrize("worker_class", ["asyncio", "uvloop", "trio"])
@pytest.mark.parametrize("instrumented", [True, False])
def test_every_request_is_a_line_and_a_record(
    tmp_path: Path, otlp_receiver: OtlpReceiver, worker_class: str, instrumented: bool
) -> None:
    """
    On each loop: the terminal has the server's lines as configured and none of ours, and OTLP one record per request,
    whoever answered it: the app, Hypercorn by itself (another host's name), or nobody (the client left).
    """
    agent = Agent()
    with serving(
        tmp_path,
        otlp_receiver,
        instrumented=instrumented,
        worker_class=worker_class,
        accesslog="-",
        access_log_format='%(m)s %(U)s %(s)s "%(a)s"',
        server_names=["shop"],
        statsd_host=agent.address,
    ) as served:
        client = Client(served.port)
        assert client.get("/a") == 200
        assert client.get("/%0d%0a%1b[31m") == 200
        assert client.get("/raise") == 500
        assert client.get("/refused", host="elsewhere") == 404
        with socket.create_connection(("127.0.0.1", served.port)) as leaving:
            leaving.sendall(b"GET /wait HTTP/1.1\r\nhost: shop\r\n\r\n")
        with connect("ws://shop/ws", sock=socket.create_connection(("127.0.0.1", served.port))) as ws:
            ws.close()
        assert len(agent.take(18)) == 18
        client.close()

    lines = [line.split("] ", 3)[3] for line in served.out.splitlines()]
    assert [re.sub('"Python[^"]*"', '"x"', line) for line in sorted(lines)] == [
        'GET /\\r\\n\\x1b[31m 200 "x"',
        'GET /a 200 "x"',
        'GET /raise 500 "x"',
        'GET /refused 404 "x"',
        'GET /wait - "-"',
        'GET /ws 101 "x"',
    ]
    assert "otelbridge.access" not in served.err
    assert "Running on http://" in served.err
    otlp_receiver.wait_for(lambda receiver: len(receiver.logs()) >= 8)
    records = access_records(otlp_receiver)
    by_app = "error" if instrumented else "app"
    expected = [
        ("/\r\n\x1b[31m", 200, "app"),
        ("/a", 200, "app"),
        ("/raise", None if instrumented else 500, by_app),
        ("/refused", 404, "app"),
        ("/wait", None, "client"),
    ]
    assert records == expected if instrumented else records == sorted([*expected, ("/ws", 101, "app")])
    assert sum(record.item.event_name == "websocket.session" for record in otlp_receiver.logs()) == instrumented
    assert sum(text.startswith("Running on http://") for text in messages(otlp_receiver)) == 1
    assert "Error in ASGI Framework" in messages(otlp_receiver)
    assert agent.is_silent()
    agent.close()


@pytest.mark.covers("F7")
@pytest.mark.required
@pytest.mark.covers("0.2")
def test_workers_and_files(tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    """
    Two worker processes append to one file, each line whole; it is renamed under way, and found again by both.
    """
    path = tmp_path / "access.log"
    with serving(tmp_path, otlp_receiver, workers=2, accesslog=str(path), access_log_format="%(U)s %(P)s") as served:
        for number in range(20):
            assert httpx.get(f"http://127.0.0.1:{served.port}/{number}", timeout=30).status_code == 200
        path.rename(tmp_path / "old.log")
        for number in range(20, 40):
            assert httpx.get(f"http://127.0.0.1:{served.port}/{number}", timeout=30).status_code == 200

    old, new = ((tmp_path / name).read_text().splitlines() for name in ("old.log", "access.log"))
    # A worker may still be writing when the other one has the next request.
    assert sorted(int(line.split()[-2][1:]) for line in [*old, *new]) == list(range(40))
    assert len(new) >= 20
    otlp_receiver.wait_for(lambda receiver: len(access_records(receiver)) == 40, DEADLINE_S)
    # Nobody claimed the terminal: there our own lines stand.
    assert served.err.count(" | otelbridge.access:") == 40

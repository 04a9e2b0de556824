"""The same promises over real sockets: wsgiref, gunicorn and Hypercorn, with httpx against them."""

from __future__ import annotations

import io
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx
import pytest

from tests.access import wsgi_support
from tests.access.support import TRACE_ID, TRACEPARENT
from tests.access.test_hypercorn import DEADLINE_S, hypercorn, wait_for
from tests.access.wsgi_support import WSGIHarness, shop

Records = Callable[[], list[dict[str, Any]]]
Server = tuple[int, Records]

FILE_SIZE = Path(wsgi_support.__file__).stat().st_size


class _Quiet(WSGIRequestHandler):
    def log_message(self, *args: object) -> None:
        pass

    def get_stderr(self) -> Any:
        return io.StringIO()


def _records(harness: WSGIHarness) -> list[dict[str, Any]]:
    return [{"trace_id": event.trace_id, **event.attributes} for event in harness.events]


@contextmanager
def simple_server(tmp_path: Path) -> Iterator[Server]:
    harness = WSGIHarness(shop)
    with make_server("127.0.0.1", 0, harness.wsgi, handler_class=_Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server.server_port, lambda: _records(harness)
        finally:
            server.shutdown()
            thread.join(DEADLINE_S)


@contextmanager
def hypercorn_server(tmp_path: Path) -> Iterator[Server]:
    harness = WSGIHarness(shop)
    with hypercorn(harness.wsgi) as port:  # type: ignore[arg-type]  # it knows a WSGI app when it sees one
        yield port, lambda: _records(harness)


@contextmanager
def gunicorn(tmp_path: Path, *options: str) -> Iterator[Server]:
    path = tmp_path / "records"
    path.touch()
    listener = socket.create_server(("127.0.0.1", 0))
    command = [sys.executable, "-m", "gunicorn", f"--bind=fd://{listener.fileno()}", "--log-level=critical", *options]
    process = subprocess.Popen(
        [*command, f"tests.access.wsgi_support:recorded({str(path)!r})"],
        pass_fds=[listener.fileno()],
        cwd=Path(__file__).parents[2],
    )
    try:
        yield listener.getsockname()[1], lambda: [json.loads(line) for line in path.read_text().splitlines()]
    finally:
        process.terminate()
        process.wait(DEADLINE_S)
        listener.close()


SERVERS = {
    "wsgiref": simple_server,
    "gunicorn-sync": lambda tmp_path: gunicorn(tmp_path, "--worker-class=sync"),
    "gunicorn-gthread": lambda tmp_path: gunicorn(tmp_path, "--worker-class=gthread", "--threads=2"),
    "hypercorn": hypercorn_server,
}


@pytest.mark.parametrize("server", SERVERS)
def test_requests_over_a_real_server(server: str, tmp_path: Path) -> None:
    """One record each with status, sizes and the caller's trace; the answers are the app's."""
    headers = {"traceparent": TRACEPARENT.decode()}
    with SERVERS[server](tmp_path) as (port, records), httpx.Client(headers=headers, timeout=DEADLINE_S) as client:
        base = f"http://127.0.0.1:{port}"
        assert client.post(f"{base}/items/1?q=1", content=b"12345678").text == "hello"
        assert len(client.get(f"{base}/stream").content) == 3000
        assert len(client.get(f"{base}/file").content) == FILE_SIZE
        assert client.head(f"{base}/items/1").status_code == 200
        assert client.get(f"{base}/raise").status_code == 500
        wait_for(lambda: len(records()) == 5)
        found = records()

    kept = ("url.path", "http.response.status_code", "http.request.body.size", "http.response.body.size")
    assert [tuple(record.get(name) for name in kept) for record in found] == [
        ("/items/1", 200, 8, 5),
        ("/stream", 200, 0, 3000),
        ("/file", 200, 0, FILE_SIZE),
        ("/items/1", 200, 0, 0),
        ("/raise", None, 0, 0),
    ]
    assert [record["otelbridge.ended_by"] for record in found] == ["app", "app", "app", "app", "error"]
    assert {record["client.address"] for record in found} == {"127.0.0.1"}
    assert {record["network.protocol.version"] for record in found} == {"1.1"}
    assert {record["trace_id"] for record in found} == {TRACE_ID}


@pytest.mark.parametrize("server", sorted(SERVERS.keys() - {"hypercorn"}))
def test_a_client_that_hangs_up_is_one_record(server: str, tmp_path: Path) -> None:
    """In the middle of a body: ended by the client, with the bytes up to there. (Hypercorn tells WSGI apps nothing.)"""
    with SERVERS[server](tmp_path) as (port, records):
        with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as client:
            client.sendall(b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.")
        wait_for(lambda: len(records()) == 1)
        (record,) = records()

    assert (record["otelbridge.ended_by"], record["http.response.status_code"]) == ("client", 200)
    assert "error.type" not in record
    assert record["http.response.body.size"] % 65536 == 0


@pytest.mark.parametrize("server", ["wsgiref", "gunicorn-sync"])
def test_a_server_still_derives_the_length_of_a_list(server: str, tmp_path: Path) -> None:
    """As without us: wsgiref sends a Content-Length for a list of one; gunicorn needs none and stays with chunks."""
    expected = {"wsgiref": ("5", None), "gunicorn-sync": (None, "chunked")}[server]
    with SERVERS[server](tmp_path) as (port, _):
        answer = httpx.get(f"http://127.0.0.1:{port}/items/1", timeout=DEADLINE_S)

    assert (answer.headers.get("content-length"), answer.headers.get("transfer-encoding")) == expected

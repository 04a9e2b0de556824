"""A log server that tests can look into, make fail, and hold up."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DEADLINE_S = 10.0


def wait_for(condition: Callable[[], object]) -> None:
    """Poll until it is so."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class LogServer:
    """What came, and how it is answered."""

    def __init__(self, port: int = 0) -> None:
        self.records: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.connections = 0
        self.status = 200
        # Cleared: nobody is answered.
        self.answers = threading.Event()
        self.answers.set()
        self.closes_after_each = False
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self) -> None:
                super().setup()
                outer.connections += 1

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.answers.wait(DEADLINE_S)
                outer.paths.append(self.path)
                outer.headers.append(dict(self.headers))
                outer.records.append(json.loads(body))
                self.send_response(outer.status)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")
                # Without a word to the client, as a server closes what is idle for too long.
                self.close_connection = outer.closes_after_each

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name is its own
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass  # clients hang up here

        self.server = Server(("127.0.0.1", port), Handler)
        self.port = self.server.server_address[1]
        self.host = f"127.0.0.1:{self.port}"


@contextmanager
def log_server(port: int = 0) -> Iterator[LogServer]:
    """Serve on 127.0.0.1 inside the block."""
    made = LogServer(port)
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.answers.set()
        made.server.shutdown()
        made.server.server_close()
        thread.join(DEADLINE_S)

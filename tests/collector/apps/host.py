"""Serves one host's application on a real server, and is its client; `python -m tests.collector.apps.host NAME`."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import httpx
from hypercorn.asyncio import serve
from hypercorn.config import Config

import otelbridge
from otelbridge import logger
from tests.collector.apps.report import report
from tests.integrations.hosts import HOSTS

BODY = b"x" * 300
# The script: method, path, body.
REQUESTS = (
    ("GET", "/items/7", b""),
    ("GET", "/sub/items/7", b""),
    ("GET", "/nothing/here", b""),
    ("DELETE", "/items/7", b""),
    ("GET", "/boom", b""),
    ("GET", "/stream", b""),
    ("HEAD", "/items/7", b""),
    ("POST", "/echo", BODY),
    ("GET", "/health", b""),
)


@contextmanager
def hypercorn(app: Any) -> Iterator[int]:
    """Serve an ASGI application; yield the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.loglevel = "CRITICAL"
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve(app, config, shutdown_trigger=stop.wait)))
    thread.start()
    yield listener.getsockname()[1]
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    listener.detach()  # closed by Hypercorn


class Quiet(WSGIRequestHandler):
    """Says nothing."""

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def wsgiref(app: Any) -> Iterator[int]:
    """Serve a WSGI application; yield the port."""
    with make_server("127.0.0.1", 0, app, handler_class=Quiet) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def main() -> None:
    """Serve the script, then report."""
    (host,) = [host for host in HOSTS if host.name == sys.argv[1]]
    logger.remove()
    otelbridge.configure(service_name=host.name)
    app = otelbridge.instrument(host.make(), exclude="/health")
    served = hypercorn(app) if host.interface == "asgi" else wsgiref(app)
    with served as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        for method, path, body in REQUESTS:
            client.request(method, path, content=body)
    report()


if __name__ == "__main__":
    main()

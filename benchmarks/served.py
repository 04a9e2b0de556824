"""One app on a real Hypercorn in a process of its own, and its client: what a request costs the server's process.

`python -m benchmarks.served LAYER ENDPOINT` prints its port, then answers each line of stdin: `flush` when everything
was exported, `cpu` with the CPU time of all its threads in ns. It serves until its stdin closes.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.hosts import ALONE, BODY, HEADERS, LAYERS, PATH, asgi_app
from benchmarks.timing import Contestant

# So many requests are under way at any time, each on a connection of its own: a server that is busy, not one that
# falls asleep after every answer.
CONNECTION_COUNT = 8
# About what otelbridge's delay of a second gathers; each block pays for one export of each signal.
BLOCK_COUNT = 4000
TIMEOUT_S = 60.0
REQUEST = (
    f"GET {PATH}?page=2 HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in HEADERS) + "\r\n"
).encode()


def hypercorn(
    name: str, layer: str, endpoint: str, *, count: Callable[[], int] | None = None, signals: int = 1
) -> Contestant:
    """A server of the app with one of LAYERS, or ALONE.

    `count` tells how many records and spans were delivered; there must be `signals` of them for each request.
    """
    server = _Server(layer, endpoint)
    client = Client(server.port)

    def finish() -> None:
        client.drain()
        server.ask("flush")

    def close() -> None:
        client.close()
        server.close()

    def arrived() -> int:
        # Divides evenly, or something was lost.
        assert count is not None
        items = count()
        return items // signals if items % signals == 0 else -1

    return Contestant(
        name,
        "request()",
        {"request": client.request},
        finish=finish,
        arrived=None if count is None else arrived,
        block_count=BLOCK_COUNT,
        cpu_ns=partial(server.ask, "cpu"),
        close=close,
    )


class _Server:
    """The server's process, seen from the benchmark."""

    def __init__(self, layer: str, endpoint: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.served", layer, endpoint],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = self._answer()

    def ask(self, question: str) -> int:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{question}\n")
        self._process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        self._process.communicate(timeout=TIMEOUT_S)

    def _answer(self) -> int:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.strip().isdigit():
            self._process.kill()
            self._process.communicate()
            msg = f"the server must answer with a number, got {line!r}; its stderr has more"
            raise RuntimeError(msg)
        return int(line)


class Client:
    """Keep-alive connections that take turns."""

    def __init__(self, port: int) -> None:
        self._connections = [socket.create_connection(("127.0.0.1", port), TIMEOUT_S) for _ in range(CONNECTION_COUNT)]
        for connection in self._connections:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._waiting = [False] * CONNECTION_COUNT
        self._next = 0

    def request(self) -> None:
        """Send one; the answer is read when its connection's turn comes again, or by `drain`."""
        index = self._next
        self._next = (index + 1) % CONNECTION_COUNT
        if self._waiting[index]:
            _read_answer(self._connections[index])
        self._connections[index].sendall(REQUEST)
        self._waiting[index] = True

    def drain(self) -> None:
        """Read what is still to come."""
        for index, connection in enumerate(self._connections):
            if self._waiting[index]:
                _read_answer(connection)
                self._waiting[index] = False

    def close(self) -> None:
        """Leave."""
        for connection in self._connections:
            connection.close()


def _read_answer(connection: socket.socket) -> None:
    data = b""
    while not data.endswith(b"\r\n\r\n" + BODY):
        chunk = connection.recv(65536)
        if not chunk:
            msg = f"the server closed the connection after {data!r}"
            raise ConnectionError(msg)
        data += chunk
    if not data.startswith(b"HTTP/1.1 200"):
        msg = f"expected an answer of 200, got {data!r}"
        raise ConnectionError(msg)


def _app(layer: str, endpoint: str) -> Any:
    if layer == ALONE:
        return asgi_app
    import otelbridge
    from otelbridge import logger

    logger.remove()
    otelbridge.configure(service_name="bench", endpoint=endpoint)
    return otelbridge.instrument(asgi_app, **LAYERS[layer])


def _answer(question: str, loop: asyncio.AbstractEventLoop) -> int:
    if question == "cpu":
        return time.process_time_ns()
    # The client may have its answer while the server still finishes the request.
    asyncio.run_coroutine_threadsafe(_settle(), loop).result(TIMEOUT_S)
    # Not loaded by the bare app, whose figures must not hold it.
    package = sys.modules.get("otelbridge")
    return int(package is None or package.flush(TIMEOUT_S))


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def _serve(app: Any) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    listener = socket.create_server(("127.0.0.1", 0))
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.loglevel = "CRITICAL"
    # Hypercorn hangs up after 1,000 requests, or 5 s without one, unless told otherwise.
    config.keep_alive_max_requests = sys.maxsize
    config.keep_alive_timeout = 3600.0
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def answer() -> None:
        for question in sys.stdin:
            print(_answer(question.strip(), loop), flush=True)
        loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=answer, daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    await serve(app, config, shutdown_trigger=stop.wait)


def main() -> None:
    """Serve until stdin closes."""
    app = _app(*sys.argv[1:])
    gc.collect()
    gc.freeze()
    asyncio.run(_serve(app))


if __name__ == "__main__":
    main()

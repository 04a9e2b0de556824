"""Clients that tests of a server need: raw ones that break off, and busy ones that keep their connections."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Self

ANSWER_TIMEOUT_S = 30.0


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    """A connection to a server of this machine, for as long as the block lasts."""
    with socket.create_connection(("127.0.0.1", port), ANSWER_TIMEOUT_S) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


def reset(connection: socket.socket) -> None:
    """Leave without a word, as a process that was killed does: the server reads a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def read_all(connection: socket.socket) -> bytes:
    """What comes until the server closes, or resets, the connection."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65536):
            data += part
    return data


def read_head(connection: socket.socket) -> bytes:
    """What comes until an answer's headers are there; less if the server closes before."""
    data = b""
    while b"\r\n\r\n" not in data and (part := connection.recv(65536)):
        data += part
    return data


class KeptConnection:
    """Asks one request after the other on one connection, and another one when the server has said `close`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: socket.socket | None = None
        self._rest = b""

    def get(self, path: str = "/") -> bytes:
        """The body of an answer of 200. ConnectionError: it broke off, or was something else."""
        if self._connection is None:
            self._connection = socket.create_connection(("127.0.0.1", self._port), ANSWER_TIMEOUT_S)
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._rest = b""
        self._connection.sendall(f"GET {path} HTTP/1.1\r\nHost: shop.example\r\n\r\n".encode())
        head = self._until(b"\r\n\r\n").lower()
        if not head.startswith(b"http/1.1 200"):
            raise ConnectionError(head)
        body = self._body(head)
        if b"connection: close" in head:
            self.close()
        return body

    def close(self) -> None:
        """Leave; the next request makes another connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _body(self, head: bytes) -> bytes:
        if b"content-length:" in head:
            return self._exactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))
        body = b""
        while size := int(self._until(b"\r\n"), 16):
            body += self._exactly(size)
            self._exactly(2)
        self._exactly(2)
        return body

    def _until(self, end: bytes) -> bytes:
        while end not in self._rest:
            self._more()
        found, _, self._rest = self._rest.partition(end)
        return found + end

    def _exactly(self, size: int) -> bytes:
        while len(self._rest) < size:
            self._more()
        found, self._rest = self._rest[:size], self._rest[size:]
        return found

    def _more(self) -> None:
        assert self._connection is not None
        part = self._connection.recv(65536)
        if not part:
            msg = f"the server closed the connection, after {self._rest!r} of an answer"
            raise ConnectionError(msg)
        self._rest += part


class Crowd:
    """Kept connections that ask for as long as the block lasts, each in a thread of its own.

    `answers`: how many requests each worker has answered, by the process id in the body. `failures`: what went wrong,
    each time one request; its client goes on.
    """

    def __init__(self, port: int, count: int) -> None:
        self.answers: Counter[str] = Counter()
        self.failures: list[str] = []
        self._enough = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask, args=(port,), daemon=True) for _ in range(count)]

    def __enter__(self) -> Self:
        self.started_s = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join(ANSWER_TIMEOUT_S + 5)
            assert not thread.is_alive(), "a client waits for its answer"
        self.lasted_s = time.monotonic() - self.started_s

    @property
    def answered(self) -> int:
        """How many requests were answered."""
        return self.answers.total()

    @property
    def failure_count(self) -> int:
        """How many were not."""
        return len(self.failures)

    def _ask(self, port: int) -> None:
        answers: Counter[str] = Counter()
        connection = KeptConnection(port)
        while not self._enough.is_set():
            try:
                answers[connection.get().decode()] += 1
            except OSError as error:
                with self._lock:
                    self.failures.append(repr(error))
                connection.close()
        connection.close()
        with self._lock:
            self.answers += answers

"""StatsD agents of this process on real sockets, a reader of lines that shares nothing with ours, and records."""

from __future__ import annotations

import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

Transport = Literal["udp", "tcp", "unix", "unixgram"]
DIALECTS = ("dogstatsd", "plain", "influx", "graphite")

_NAME = r"(?P<name>[A-Za-z0-9_.-]{1,200})"
_VALUE = r":(?P<value>[0-9]+(?:\.[0-9]{3})?)\|(?P<kind>c|g|ms|h)"
_KEY = r"[A-Za-z0-9_.-]{1,100}"
_BRACKETLESS = r"[!-~]{1,200}"
# name, separator of tags, separator of key and value, what a value may be; as the servers' documents have it.
_GRAMMARS = {
    "dogstatsd": (re.compile(rf"{_NAME}{_VALUE}(?:\|#(?P<tags>[^\n|]+))?"), ",", ":", r"[^,|#@;=\s]{1,200}"),
    "plain": (re.compile(rf"{_NAME}{_VALUE}(?P<tags>)"), ",", ":", r""),
    "influx": (re.compile(rf"{_NAME}(?:,(?P<tags>[^:|]+))?{_VALUE}"), ",", "=", r"[^,|#@;=:\[\]\s]{1,200}"),
    "graphite": (re.compile(rf"{_NAME}(?:;(?P<tags>[^:|]+))?{_VALUE}"), ";", "=", r"(?!~)[^,|#@;=:\[\]\s]{1,200}"),
}


class Line(NamedTuple):
    """A line as a server of its dialect reads it."""

    name: str
    kind: str
    value: float
    attributes: dict[str, str]


def read_line(dialect: str, line: str) -> Line:
    """Read a line by the dialect's grammar; fails on whatever does not fit it."""
    grammar, separator, equals, value = _GRAMMARS[dialect]
    assert line.isascii(), line
    match = grammar.fullmatch(line)
    assert match, (dialect, line)
    attributes: dict[str, str] = {}
    for tag in (match["tags"] or "").split(separator) if match["tags"] else ():
        key, found, text = tag.partition(equals)
        assert found, (dialect, line)
        assert re.fullmatch(_KEY, key), (dialect, line)
        assert re.fullmatch(value, text), (dialect, line)
        assert re.fullmatch(_BRACKETLESS, text), (dialect, line)
        attributes[key] = text
    return Line(match["name"], match["kind"], float(match["value"]), attributes)


def totals(lines: Iterable[Line]) -> dict[tuple[str, str], float]:
    """Counters summed, and measurements counted, by name and kind."""
    found: Counter[tuple[str, str]] = Counter()
    for line in lines:
        found[line.name, line.kind] += int(line.value) if line.kind == "c" else 1
    return dict(found)


class Agent:
    """An agent that keeps packets: what a datagram held, or what a stream held between two ends of lines."""

    def __init__(
        self, transport: Transport, path: Path | None = None, *, port: int = 0, host: str = "127.0.0.1"
    ) -> None:
        self.transport = transport
        self.path = path
        self._changed = threading.Condition()
        self.packets: list[bytes] = []
        self._connections: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._stopped = False
        is_unix = transport in ("unix", "unixgram")
        family = socket.AF_UNIX if is_unix else socket.AF_INET6 if ":" in host else socket.AF_INET
        self.is_stream = transport in ("tcp", "unix")
        self._socket = socket.socket(family, socket.SOCK_STREAM if self.is_stream else socket.SOCK_DGRAM)
        if not is_unix:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(str(path) if is_unix else (host, port))
        if self.is_stream:
            self._socket.listen()
        self.port = 0 if is_unix else int(self._socket.getsockname()[1])
        self.host = host
        self._begin(self._accept if self.is_stream else self._receive, self._socket)

    @property
    def url(self) -> str:
        """What `statsd` is set to."""
        if self.path is not None:
            return f"{self.transport}://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport}://{host}:{self.port}"

    @property
    def connection_count(self) -> int:
        """Connections accepted so far."""
        return len(self._connections)

    def lines(self) -> list[str]:
        """All lines so far."""
        with self._changed:
            return [line for packet in self.packets for line in packet.decode("ascii").split("\n")]

    def wait_lines(self, count: int, timeout_s: float = 10.0) -> list[str]:
        """All lines once there are `count` of them; fails at the deadline."""
        return self.wait_for(lambda lines: len(lines) >= count, timeout_s)

    def wait_for(self, predicate: Callable[[list[str]], bool], timeout_s: float = 10.0) -> list[str]:
        """All lines once they fulfil *predicate*; fails at the deadline."""
        with self._changed:
            fulfilled = self._changed.wait_for(lambda: predicate(self.lines()), timeout_s)
        found = self.lines()
        assert fulfilled, f"after {timeout_s:g} s: {found}"
        return found

    def wait_packets(self, count: int, timeout_s: float = 10.0) -> list[bytes]:
        """All packets once there are `count` of them; fails at the deadline."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.packets) >= count, timeout_s), self.packets
            return list(self.packets)

    def stop(self) -> None:
        """End as a process would: connections are closed, a socket's file is left behind."""
        self._stopped = True
        for thread in self._threads:
            thread.join()
        for one in (self._socket, *self._connections):
            one.close()

    def _begin(self, work: Callable[[socket.socket], None], one: socket.socket) -> None:
        # A thread that waits in a socket is not woken by its close.
        one.settimeout(0.05)
        self._threads.append(threading.Thread(target=work, args=(one,), daemon=True))
        self._threads[-1].start()

    def _accept(self, listener: socket.socket) -> None:
        while not self._stopped:
            with suppress(TimeoutError):
                connection, _ = listener.accept()
                self._connections.append(connection)
                self._begin(self._read, connection)

    def _read(self, connection: socket.socket) -> None:
        rest = b""
        for chunk in self._chunks(connection):
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                self._keep(line)

    def _receive(self, one: socket.socket) -> None:
        for packet in self._chunks(one):
            self._keep(packet)

    def _chunks(self, one: socket.socket) -> Iterator[bytes]:
        while not self._stopped:
            with suppress(TimeoutError):
                chunk = one.recv(1 << 16)
                if not chunk:
                    return
                yield chunk

    def _keep(self, packet: bytes) -> None:
        with self._changed:
            self.packets.append(packet)
            self._changed.notify_all()


@dataclass
class Request:
    """A finished request, as the metrics see it."""

    known_method: str = "GET"
    scheme: str = "http"
    http_version: str = "1.1"
    route: str | None = "/items/{id}"
    status: int | None = 200
    error_type: str | None = None
    request_body_size: int = 0
    response_body_size: int = 12
    duration_ns: int = 1_500_000


@dataclass
class Session(Request):
    """A finished WebSocket session, as the metrics see it."""

    scheme: str = "ws"
    closed_by: str = "client"
    messages_in: int = 3
    messages_out: int = 2

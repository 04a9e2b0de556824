"""Ways to a StatsD agent: the clients of the `statsd` package, which here send packets and say when they could not.

Each connects when it first sends, finds the agent again after it has moved or restarted, and belongs to one thread.
What a packet is, `lines` knows; what becomes of an error, `output`.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from statsd import StatsClient, TCPStatsClient, UnixSocketStatsClient

from otelbridge.metrics.statsd.lines import PACKET_SIZE_MAX

RESOLVE_INTERVAL_S = 30.0
TIMEOUT_S = 1.0

# UDP cannot say "wait": a server's default buffer holds some 90 packets, and a busy second has more. In this rhythm
# it has time to read them: 8,000 packets a second, of 20,000 requests.
_BURST_COUNT = 16
_BURST_PAUSE_S = 0.002


class UnreachableError(OSError):
    """No address, or no connection: to try again at once would only cost time."""


class PacketClient(Protocol):
    """A client as `output` sees it."""

    def deliver(self, packet: bytes) -> None:
        """Hand a packet to the kernel, lines without the last one's end; raises OSError."""

    def close(self) -> None:
        """Let go of the connection; the next packet makes another."""


class UdpClient(StatsClient):  # type: ignore[misc]  # statsd has no types
    """UDP to `host` and `port`; the name is looked up when a packet is sent, at most every `resolve_interval_s`."""

    def __init__(
        self,
        host: str,
        port: int,
        *,
        resolve_interval_s: float = RESOLVE_INTERVAL_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # Not the parent's, which looks the name up here and for good, and raises where it cannot.
        self._host, self._port = host, port
        self._prefix = None
        self._maxudpsize = PACKET_SIZE_MAX
        self._sock: socket.socket | None = None
        self._address: tuple[int, object] | None = None
        self._trouble = ""
        self._packet_count = 0
        self._resolve_interval_s = resolve_interval_s
        self._clock = clock
        self._look_up_at_s = float("-inf")

    def deliver(self, packet: bytes) -> None:
        """Send a datagram. A refusal means that nobody took an earlier one; this one is sent before it is raised."""
        self._find_host()
        if self._sock is None:
            raise UnreachableError(self._trouble)
        self._packet_count += 1
        if self._packet_count % _BURST_COUNT == 0:
            time.sleep(_BURST_PAUSE_S)
        try:
            self._sock.send(packet)
        except ConnectionRefusedError:
            with suppress(ConnectionRefusedError):
                self._sock.send(packet)
            raise

    def close(self) -> None:
        """Let go of the socket and of the address."""
        super().close()
        self._address = None
        self._look_up_at_s = float("-inf")

    def _send(self, data: str) -> None:
        with suppress(OSError):
            self.deliver(data.encode("utf-8", "replace"))

    def _find_host(self) -> None:
        now_s = self._clock()
        if now_s < self._look_up_at_s:
            return
        self._look_up_at_s = now_s + self._resolve_interval_s
        try:
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)
            # As the parent does: agents listen on IPv4 more often, and UDP does not tell that nobody is there.
            family, _, _, _, address = min(found, key=lambda info: info[0] != socket.AF_INET)
            if (family, address) != self._address:
                sock = _open(family, socket.SOCK_DGRAM, address, None)
                super().close()
                self._sock, self._address = sock, (family, address)
        except (OSError, UnicodeError) as error:
            # The address that it had, if any, is more than none.
            self._trouble = str(error)


class _StreamDelivery:
    """What the two stream clients share: packets end with a newline, and a connection that the agent left is remade."""

    _sock: socket.socket | None
    _timeout: float

    def deliver(self, packet: bytes) -> None:
        """Send the lines; what was under way when a connection broke is not sent twice."""
        if self._sock is not None and self._is_left(self._sock):
            self.close()
        sock = self._connected()
        try:
            sock.sendall(packet + b"\n")
        except OSError:
            self.close()
            raise

    def connect(self) -> None:
        """Set `_sock`, or raise UnreachableError."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the connection; the next packet makes another."""
        sock, self._sock = self._sock, None
        if sock is not None:
            sock.close()

    def _send(self, data: str) -> None:
        with suppress(OSError):
            self.deliver(data.encode("utf-8", "replace"))

    def _connected(self) -> socket.socket:
        if self._sock is None:
            self.connect()
        assert self._sock is not None
        return self._sock

    def _is_left(self, sock: socket.socket) -> bool:
        # The first write after an agent's restart succeeds, into nowhere. Agents say nothing: an end is all to read.
        sock.setblocking(False)
        try:
            return sock.recv(4096) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            sock.settimeout(self._timeout)


class TcpClient(_StreamDelivery, TCPStatsClient):  # type: ignore[misc]  # statsd has no types
    """TCP to `host` and `port`, over whichever address answers."""

    def __init__(self, host: str, port: int, *, timeout_s: float = TIMEOUT_S) -> None:
        TCPStatsClient.__init__(self, host, port, timeout=timeout_s)

    def connect(self) -> None:
        """Look the name up and connect."""
        try:
            self._sock = socket.create_connection((self._host, self._port), self._timeout)
        except (OSError, UnicodeError) as error:
            raise UnreachableError(str(error)) from error


class UnixClient(_StreamDelivery, UnixSocketStatsClient):  # type: ignore[misc]  # statsd has no types
    """The Unix socket at `path`: a stream, or where the agent's is one (DogStatsD's), a datagram socket."""

    def __init__(self, path: str, *, datagram: bool = False, timeout_s: float = TIMEOUT_S) -> None:
        UnixSocketStatsClient.__init__(self, path, timeout=timeout_s)
        self._is_stream = not datagram
        self._kinds = (socket.SOCK_DGRAM,) if datagram else (socket.SOCK_STREAM, socket.SOCK_DGRAM)

    def deliver(self, packet: bytes) -> None:
        """Send the lines as one datagram, or on the stream."""
        sock = self._connected()
        if self._is_stream:
            super().deliver(packet)
            return
        try:
            sock.send(packet)
        except TimeoutError:
            raise
        except OSError:
            # The agent has made its socket anew. A datagram goes whole or not at all, so it may be sent again.
            self.close()
            self._connected().send(packet)

    def connect(self) -> None:
        """Connect to what is there now."""
        for kind in self._kinds:
            try:
                self._sock = _open(socket.AF_UNIX, kind, self._socket_path, self._timeout)
            except OSError as error:
                if error.errno != errno.EPROTOTYPE or kind == self._kinds[-1]:
                    raise UnreachableError(str(error)) from error
            else:
                self._is_stream = kind == socket.SOCK_STREAM
                return


def _open(family: int, kind: int, address: Any, timeout_s: float | None) -> socket.socket:
    sock = socket.socket(family, kind)
    try:
        sock.settimeout(timeout_s)
        sock.connect(address)
    except BaseException:
        sock.close()
        raise
    return sock

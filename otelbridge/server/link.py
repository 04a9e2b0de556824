"""What the supervisor and a worker say to each other, over a pair of sockets that only they hold.

The supervisor says first what to serve (`Order`), later "stop"; a worker says what it has come to. When either dies,
the other reads the end: no worker outlives its supervisor.
"""

from __future__ import annotations

import json
import pickle
import socket
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hypercorn.config import Sockets

# From a worker. READY: it serves; FAILED: it cannot, and says why; SPENT: it has served max_requests, and wants to be
# replaced; STOPPING: it takes no more requests; SERVED: all requests and the lifespan have ended.
READY, FAILED, SPENT, STOPPING, SERVED = "ready", "failed", "spent", "stopping", "served"


@dataclass(frozen=True)
class Order:
    """What a worker is to serve: a Config's class and values, and the listening sockets by their descriptors."""

    config_class: type
    values: dict[str, Any]
    secure: tuple[int, ...]
    insecure: tuple[int, ...]
    quic: tuple[int, ...]
    sys_path: tuple[str, ...]

    def encode(self) -> bytes:
        """Return the order with its length before it. Raises what pickling raises."""
        # Between a process and its own child, on a socket that nobody else can open: never from disk or wire.
        body = pickle.dumps(self)
        return len(body).to_bytes(8, "big") + body


def make_order(config_class: type, values: dict[str, Any], sockets: Sockets) -> Order:
    """Return the order to serve on these sockets, for a process with this one's `sys.path`."""
    secure, insecure, quic = (
        tuple(sock.fileno() for sock in kind)
        for kind in (sockets.secure_sockets, sockets.insecure_sockets, sockets.quic_sockets)
    )
    return Order(config_class, values, secure, insecure, quic, tuple(sys.path))


def read_order(link: socket.socket) -> Order:
    """Return the order that stands first on a worker's link. EOFError: the supervisor is gone."""
    order = pickle.loads(_exactly(link, int.from_bytes(_exactly(link, 8), "big")))
    assert isinstance(order, Order)
    return order


def _exactly(link: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = link.recv(size - len(data))
        if not part:
            raise EOFError("the supervisor is gone")
        data += part
    return bytes(data)


def line(state: str, **more: object) -> bytes:
    """Return a message as one line."""
    return json.dumps({"state": state, **more}).encode() + b"\n"


class Lines:
    """Makes messages of what is read from a link, whatever pieces it comes in."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Return the messages that are complete now."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(text) for text in whole]

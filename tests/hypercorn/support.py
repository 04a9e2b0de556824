"""Scopes and answers as Hypercorn makes them, an agent of StatsD's, and records as OTLP has them."""

from __future__ import annotations

import socket
import time
from typing import Any, NamedTuple

from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from otelbridge.hypercorn import Logger
from otelbridge.hypercorn.config import Config
from tests.native.conftest import Exporting
from tests.otlp.receivers import attributes_of

DEADLINE_S = 10.0
OK: dict[str, Any] = {"status": 200, "headers": [(b"content-length", b"5")]}


def http_scope(**changes: Any) -> dict[str, Any]:
    """A request as Hypercorn gives it to `config.log.access`."""
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "asgi": {"spec_version": "2.1", "version": "3.0"},
        "method": "GET",
        "scheme": "http",
        "path": "/a",
        "raw_path": b"/a",
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost"), (b"user-agent", b"curl/8")],
        "client": ("127.0.0.1", 5),
        "server": ("127.0.0.1", 8000),
        "state": {},
        "extensions": {},
    }
    return {**scope, **changes}


def make_config(**settings: Any) -> Config:
    """A configuration whose logs are off, but for what the test asks."""
    config = Config()
    config.errorlog = None
    for name, value in settings.items():
        setattr(config, name, value)
    return config


def make_log(kind: type[Logger] = Logger, /, **settings: Any) -> Any:
    """A Logger of such a configuration, whose methods may go without `await`."""
    return kind(make_config(**settings))


class Sent(NamedTuple):
    """A record as OTLP has it."""

    body: str
    severity_number: int
    severity_text: str
    attributes: dict[str, Any]
    event_name: str
    item: LogRecord


def taken(exporting: Exporting) -> list[Sent]:
    """The records that were encoded since the last time."""
    found = []
    for data in exporting.take():
        item = LogRecord.FromString(data)
        found.append(
            Sent(
                item.body.string_value,
                item.severity_number,
                item.severity_text,
                attributes_of(item),
                item.event_name,
                item,
            )
        )
    return found


class Agent:
    """A StatsD agent: keeps datagrams in the order of their arrival."""

    def __init__(self, port: int = 0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", port))
        self.port: int = self._socket.getsockname()[1]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def take(self, count: int, timeout_s: float = DEADLINE_S) -> list[bytes]:
        """The next `count` datagrams; AssertionError if they do not come in time."""
        found: list[bytes] = []
        deadline = time.monotonic() + timeout_s
        while len(found) < count:
            self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                found.append(self._socket.recv(65536))
            except TimeoutError:
                msg = f"expected {count} datagrams, got {found}"
                raise AssertionError(msg) from None
        return found

    def is_silent(self) -> bool:
        """Whether nothing more has come."""
        self._socket.setblocking(False)
        try:
            self._socket.recv(65536)
        except BlockingIOError:
            return True
        return False

    def close(self) -> None:
        self._socket.close()

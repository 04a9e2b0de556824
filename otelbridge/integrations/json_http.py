"""A handler of `logging` that POSTs each record as one JSON object (features.md 4.11). Leaves waiting to `pipeline`.

`emit` talks to the network on the caller's thread: put it behind a queue, as `pipeline.LogPipeline` or the standard
library's QueueListener are.
"""

from __future__ import annotations

import io
import logging
import os
import re
import ssl
import sys
import threading
from collections.abc import Mapping
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from socket import socket
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from otelbridge._export import report_once
from otelbridge._native import encode_json
from otelbridge.delivery.quiet import exporting, quiet
from otelbridge.exceptions import ConfigError
from otelbridge.text.policy import ACTIVE

TIMEOUT_S = 2.0
# What a record may have beside created, level, logger, message and exception: BlackBull's names, and the ids.
FIELDS = (
    *("client_ip", "method", "path", "http_version", "status", "response_bytes", "duration_ms", "close_code"),
    *("request_id", "trace_id", "span_id"),
)

# What a server says to a record is not read beyond this.
_ANSWER_SIZE_MAX = 64 * 1024
# A server that took longer than this to fail is left alone as long again, lest a queue waits for it record by record.
_SLOW_S = 0.1
# What delivery says about itself would be about what this handler does.
_DELIVERY = "otelbridge.delivery"
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class JsonHTTPHandler(logging.Handler):
    """POSTs each record to `host` at `url`, as JSON, over one connection that is kept.

    host: `name`, `name:port`, `[::1]:port`; without a port 80, or 443 if `secure`. url: the path, with its query.
    timeout_s: for one record, from connecting to the end of the answer (the lookup of a name is the system's).
    secure: TLS, with `context` or the system's certificates. headers: sent with each record.
    TypeError, ConfigError: a mistake in one of them.

    The object: `created` (seconds since the epoch), `level`, `logger`, `message`, those of FIELDS that the record has,
    and `exception`, a traceback, if there is one; secrets are redacted, unserialisable values are their `str`. Override
    `mapLogRecord` to send something else.

    What cannot be sent, or is not answered by a 2xx, is counted in `failed`; the first failure goes to stderr in one
    line. Override `handleError` to hear of each. A kept connection that the server has closed is opened once more; if
    that happened in the middle of a record, this one may come twice.
    """

    def __init__(
        self,
        host: str,
        url: str = "/logs",
        *,
        timeout_s: float = TIMEOUT_S,
        secure: bool = False,
        context: ssl.SSLContext | None = None,
        headers: Mapping[str, str] | None = None,
        level: int | str = logging.NOTSET,
    ) -> None:
        super().__init__(level)
        self._host, self._port = _address(host)
        self._url = _path(url)
        self._timeout_s = _seconds(timeout_s)
        self._context = _context(secure, context)
        self._headers = {"Content-Type": "application/json", **_checked_headers(headers or {})}
        self._what = f"sending records to {'https' if self._context else 'http'}://{host}{self._url}"
        self._connection: HTTPConnection | None = None
        self._pid = os.getpid()
        self._rest_until = 0.0
        self._senders: set[int] = set()
        self.sent = 0
        self.failed = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record. Raises nothing; what is logged while records are sent is left out."""
        thread = threading.get_ident()
        if thread in self._senders or exporting.get() or record.name == _DELIVERY:
            return
        self._senders.add(thread)
        try:
            self._send(_encode(ACTIVE.policy.values(self.mapLogRecord(record))))
            self.sent += 1
        except Exception:
            self.handleError(record)
        finally:
            self._senders.discard(thread)

    def mapLogRecord(self, record: logging.LogRecord) -> dict[str, Any]:  # noqa: N802 -- as in logging's HTTPHandler
        """Return what is sent for a record, before redaction."""
        values = record.__dict__
        payload: dict[str, Any] = {
            "created": record.created,
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        payload |= {name: values[name] for name in FIELDS if name in values}
        if record.exc_info and not record.exc_text:
            record.exc_text = (self.formatter or logging.Formatter()).formatException(record.exc_info)
        if record.exc_text:
            payload["exception"] = record.exc_text
        return payload

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 -- as logging has it
        """Count a record that was not sent; say so once, whatever `logging.raiseExceptions` is."""
        self.failed += 1
        error = sys.exc_info()[1]
        if isinstance(error, Exception):
            report_once(self._what, error)

    def close(self) -> None:
        """Close the connection."""
        self._disconnect()
        super().close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._what.rpartition(' ')[2]} ({logging.getLevelName(self.level)})>"

    def _send(self, body: bytes) -> None:
        if self._pid != os.getpid():  # the connection is the parent's
            self._pid, self._connection = os.getpid(), None
        begun = monotonic()
        if begun < self._rest_until:
            msg = f"{self._host} did not answer in time a moment ago, so it was not asked"
            raise TimeoutError(msg)
        deadline = begun + self._timeout_s
        try:
            with quiet():
                status = self._ask(body, deadline)
        except (OSError, HTTPException):
            self._disconnect()
            took_s = monotonic() - begun
            if took_s > _SLOW_S:
                self._rest_until = begun + 2 * took_s
            raise
        if not 200 <= status < 300:
            msg = f"the log server must answer with 200 to 299, got {status}"
            raise HTTPException(msg)

    def _ask(self, body: bytes, deadline: float) -> int:
        """Return the status of the answer."""
        if self._connection is not None:
            try:
                return self._exchange(self._connection, body, deadline)
            except TimeoutError:
                raise
            except (OSError, HTTPException):  # closed by the server while it was idle, most likely
                self._disconnect()
        self._connection = self._connect(deadline)
        return self._exchange(self._connection, body, deadline)

    def _connect(self, deadline: float) -> HTTPConnection:
        timeout_s = max(deadline - monotonic(), 0.001)
        if self._context is None:
            connection = HTTPConnection(self._host, self._port, timeout=timeout_s)
        else:
            connection = HTTPSConnection(self._host, self._port, timeout=timeout_s, context=self._context)
        connection.connect()
        return connection

    def _exchange(self, connection: HTTPConnection, body: bytes, deadline: float) -> int:
        connection.sock.settimeout(max(deadline - monotonic(), 0.001))
        # Left to itself the response would begin its patience anew with each byte that comes.
        connection.response_class = partial(_response, deadline)  # type: ignore[assignment]  # called alike
        connection.request("POST", self._url, body, self._headers)
        with connection.getresponse() as response:
            response.read(_ANSWER_SIZE_MAX)
            if response.will_close or not response.isclosed():
                self._disconnect()
            return response.status

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _response(deadline: float, sock: socket, *args: Any, **kwargs: Any) -> HTTPResponse:
    return HTTPResponse(_Timed(sock, deadline), *args, **kwargs)  # type: ignore[arg-type]  # all that it asks a socket for


class _Timed(io.RawIOBase):
    """A socket as a file that is read until a deadline (of `time.monotonic`): TimeoutError."""

    def __init__(self, sock: socket, deadline: float) -> None:
        self._sock = sock
        self._deadline = deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        remaining_s = self._deadline - monotonic()
        if remaining_s <= 0:
            msg = "the log server did not answer in time"
            raise TimeoutError(msg)
        self._sock.settimeout(remaining_s)
        return self._sock.recv_into(buffer)


def _encode(payload: dict[str, Any]) -> bytes:
    import orjson

    try:
        return orjson.dumps(payload, default=str, option=orjson.OPT_NON_STR_KEYS)
    except Exception:  # lone surrogates, integers beyond 64 bits, a `__str__` that raises, a container in itself
        return encode_json(payload)


def _address(host: object) -> tuple[str, int | None]:
    """Return name and port. TypeError, ConfigError."""
    if not isinstance(host, str):
        msg = f"host must be a str such as 'localhost:9000', got {host!r}"
        raise TypeError(msg)
    try:
        parts = urlsplit(f"//{host}")
        name, port = parts.hostname, parts.port
    except ValueError:
        name = port = None
    if not name or not host.isprintable() or " " in host or parts.netloc != host or parts.username is not None:
        msg = f"host must be a name with or without a port, such as 'localhost:9000', got {host!r}"
        raise ConfigError(msg)
    return name, port


def _path(url: object) -> str:
    if not isinstance(url, str):
        msg = f"url must be a str, got {url!r}"
        raise TypeError(msg)
    if not url.startswith("/") or not url.isascii() or not url.isprintable() or " " in url:
        msg = f"url must be a path of ASCII characters that starts with /, got {url!r}"
        raise ConfigError(msg)
    return url


def _seconds(timeout_s: object) -> float:
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float):
        msg = f"timeout_s must be a number of seconds, got {timeout_s!r}"
        raise TypeError(msg)
    if not 0 < timeout_s < threading.TIMEOUT_MAX:
        msg = f"timeout_s must be a number of seconds above 0, got {timeout_s!r}"
        raise ConfigError(msg)
    return float(timeout_s)


def _context(secure: object, context: object) -> ssl.SSLContext | None:
    if not isinstance(secure, bool):
        msg = f"secure must be True or False, got {secure!r}"
        raise TypeError(msg)
    if context is None:
        return ssl.create_default_context() if secure else None
    if secure and isinstance(context, ssl.SSLContext):
        return context
    msg = f"context must be an ssl.SSLContext, and secure=True with it, got {context!r}"
    raise TypeError(msg)


def _checked_headers(headers: Mapping[Any, Any]) -> dict[str, str]:
    for name, value in headers.items():
        if not isinstance(name, str) or not isinstance(value, str):
            msg = f"headers must be of str to str, got {name!r}: {type(value).__name__}"
            raise TypeError(msg)
        if not _HEADER_NAME.fullmatch(name) or "\n" in value or "\r" in value:
            msg = f"headers must have names of HTTP, and values of one line, got {name!r}"
            raise ConfigError(msg)
    return dict(headers)


__all__ = ["FIELDS", "TIMEOUT_S", "JsonHTTPHandler"]

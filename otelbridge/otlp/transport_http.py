"""The seam over HTTP: the official exporter talks through a session of ours, which makes one attempt.

The exporter is given an `EncodedBatch` (a length, no items), so that what it encodes is nothing; the session puts the
encoded request in its place and hands back an answer on which the exporter neither retries nor logs. Only the public
`session=` is used. Retries, and what the answer means for the records, are `delivery`'s.
"""

from __future__ import annotations

import gzip
import http.client
import io
import os
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import requests
import urllib3.connection
import urllib3.connectionpool
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # generated, without stubs
from requests.adapters import HTTPAdapter

from otelbridge.otlp.outcome import ANSWER_SIZE_MAX, Outcome, Signal, judge_http, parse_retry_after, printable
from otelbridge.otlp.requests_pb import read_answer
from otelbridge.otlp.settings import SignalSettings

# Of an error's body only the reason is wanted.
_ERROR_SIZE_MAX = 16 * 1024
_CHUNK_SIZE = 64 * 1024


class EncodedBatch:
    """Stands for `count` items in a call of the official exporter, and has none to encode."""

    # What the metric exporter asks of a MetricsData.
    resource_metrics = ()

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        return iter(())


@dataclass(slots=True)
class _Attempt:
    """One request on its way: what to send, until when, and what came of it."""

    request: bytes
    deadline: float
    outcome: Outcome | None = None
    connection: http.client.HTTPConnection | None = None

    def remaining_s(self) -> float:
        """Seconds left; raises TimeoutError when there are none."""
        remaining_s = self.deadline - time.monotonic()
        if remaining_s <= 0:
            msg = "the attempt's whole time is over"
            raise TimeoutError(msg)
        return remaining_s


# The attempt of the current thread: the connections below are made by urllib3, which has no place for it.
_current = threading.local()


class _DeadlineFile(io.RawIOBase):
    """Reads from a socket until the attempt's deadline, however slowly the bytes drip in."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        attempt: _Attempt | None = getattr(_current, "attempt", None)
        if attempt is not None:
            self._sock.settimeout(attempt.remaining_s())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _DeadlineSocket:
    """The one thing that http.client asks of a socket to read an answer."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_DeadlineFile(self._sock.makefile("rb", buffering=0), self._sock))


class _DeadlineResponse(http.client.HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **kwargs: Any) -> None:
        super().__init__(_DeadlineSocket(sock), *args, **kwargs)  # type: ignore[arg-type]  # only makefile is used


class _DeadlineConnection:
    """Mixed into urllib3's connections: known to the attempt (so that it can be cut), and bound by its deadline."""

    response_class: Any = _DeadlineResponse
    sock: Any

    def connect(self) -> None:
        self._join_attempt()
        super().connect()  # type: ignore[misc]  # urllib3's, by the mix

    def send(self, data: Any) -> None:
        attempt = self._join_attempt()
        if attempt is None or self.sock is None or not isinstance(data, bytes):
            super().send(data)  # type: ignore[misc]  # urllib3's, by the mix
            return
        # TLS sockets take the timeout anew for each record that they write, so the whole is given in parts.
        for start in range(0, len(data), _CHUNK_SIZE):
            self.sock.settimeout(attempt.remaining_s())
            super().send(data[start : start + _CHUNK_SIZE])  # type: ignore[misc]  # urllib3's, by the mix

    def _join_attempt(self) -> _Attempt | None:
        attempt: _Attempt | None = getattr(_current, "attempt", None)
        if attempt is not None:
            attempt.connection = self  # type: ignore[assignment]  # it is one, by the mix
        return attempt


class _HTTPConnection(_DeadlineConnection, urllib3.connection.HTTPConnection):
    pass


class _HTTPSConnection(_DeadlineConnection, urllib3.connection.HTTPSConnection):
    pass


class _HTTPPool(urllib3.connectionpool.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.connectionpool.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


class _DeadlineAdapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}

    def proxy_manager_for(self, proxy: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        manager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
        return manager


class SeamSession(requests.Session):
    """A session that sends the current attempt's request once, and keeps the whole answer to itself."""

    def __init__(self, signal: Signal, settings: SignalSettings, foreign_headers: frozenset[str]) -> None:
        super().__init__()
        self._signal = signal
        self._compression = settings.compression
        self._foreign_headers = foreign_headers
        for prefix in ("http://", "https://"):
            self.mount(prefix, _DeadlineAdapter(pool_connections=1, pool_maxsize=1))

    def request(self, method: Any, url: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        """Make the attempt; called again for the same one (the exporter's own retries), refuse."""
        attempt: _Attempt | None = getattr(_current, "attempt", None)
        if attempt is not None and attempt.outcome is None:
            attempt.outcome = self._attempt(attempt, method, url, kwargs)
        delivered = attempt is not None and attempt.outcome is not None and attempt.outcome.kind == "delivered"
        return _answer_for_exporter(delivered=delivered)

    def _attempt(self, attempt: _Attempt, method: Any, url: Any, kwargs: dict[str, Any]) -> Outcome:
        try:
            kwargs["headers"] = self._complete_headers(kwargs.get("headers"))
            kwargs |= {"data": _compress(attempt.request, self._compression), "stream": True, "allow_redirects": False}
            kwargs["timeout"] = attempt.remaining_s()
            response = super().request(method, url, **kwargs)
            try:
                return _read_outcome(self._signal, response)
            finally:
                response.close()
        except Exception as error:
            return describe_failure(error)

    def _complete_headers(self, headers: Mapping[str, Any] | None) -> dict[str, Any]:
        # Where configure() was given headers, the exporter would still add those of the environment.
        # None takes a header of the session away.
        complete: dict[str, Any] = dict.fromkeys(self._foreign_headers)
        complete |= {name: text for name, text in (headers or {}).items() if name.lower() not in self._foreign_headers}
        complete["Content-Encoding"] = None if self._compression == "none" else self._compression
        complete["Content-Type"] = "application/x-protobuf"
        return complete


class HttpSender:
    """One signal's official HTTP exporter, driven one attempt at a time."""

    def __init__(self, signal: Signal, settings: SignalSettings, announce: Callable[[str], None]) -> None:
        self.endpoint = settings.endpoint
        self._signal = signal
        self._settings = settings
        self._announce = announce
        self._seam_gone = False
        self._aborted = threading.Event()
        self._attempt: _Attempt | None = None
        self._session = SeamSession(signal, settings, _foreign_headers(signal, settings.headers))
        self._exporter = _make_exporter(signal, settings, self._session)

    def send(self, request: bytes, count: int, timeout_s: float) -> Outcome:
        """Make exactly one attempt, of at most `timeout_s`; never raises."""
        attempt = _Attempt(request, time.monotonic() + timeout_s)
        self._attempt = attempt
        if self._aborted.is_set():
            return Outcome("retry", message="the attempt was cut short", cause="aborted")
        _current.attempt = attempt
        try:
            if not self._seam_gone:
                self._through_exporter(attempt, count)
            if attempt.outcome is None:
                self._post()
        finally:
            _current.attempt = None
            self._attempt = None
        outcome = attempt.outcome or Outcome("retry", message="no attempt was made", cause="internal")
        if self._aborted.is_set() and outcome.kind == "retry":
            return Outcome("retry", message="the attempt was cut short", cause="aborted")
        return outcome

    def abort(self) -> None:
        """End an attempt under way, at once, and refuse further ones."""
        self._aborted.set()
        attempt = self._attempt
        connection = attempt.connection if attempt else None
        sock = connection.sock if connection else None
        if sock is not None:
            with suppress(OSError, ValueError, AttributeError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connections."""
        with suppress(Exception):
            self._exporter.shutdown()
        with suppress(Exception):
            self._session.close()

    def _through_exporter(self, attempt: _Attempt, count: int) -> None:
        trouble = ""
        try:
            self._exporter.export(EncodedBatch(count))
        except Exception as error:
            trouble = f" ({type(error).__name__})"
        if attempt.outcome is None:
            # What the exporter sent, if anything, was empty: the request is still ours.
            self._seam_gone = True
            self._announce(
                f"this version of the OpenTelemetry {self._signal} exporter does not use the session it is given"
                f"{trouble}; otelbridge sends by itself from now on"
            )

    def _post(self) -> None:
        env = os.environ
        certificate = _first(env, self._signal, "CERTIFICATE")
        client, key = _first(env, self._signal, "CLIENT_CERTIFICATE"), _first(env, self._signal, "CLIENT_KEY")
        self._session.request(
            "POST",
            self._settings.endpoint,
            headers=dict(self._settings.headers),
            verify=certificate or True,
            cert=(client, key) if client and key else client,
        )


def _make_exporter(signal: Signal, settings: SignalSettings, session: requests.Session) -> Any:
    from opentelemetry.exporter.otlp.proto.http import Compression

    arguments: Any = {
        "endpoint": settings.endpoint,
        "headers": dict(settings.headers),
        "timeout": settings.timeout_s,
        # The session compresses: at a level that costs a tenth and saves nearly the same.
        "compression": Compression.NoCompression,
        "session": session,
    }
    if signal == "logs":
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter

        return OTLPLogExporter(**arguments)
    if signal == "traces":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter(**arguments)
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

    return OTLPMetricExporter(**arguments)


def _foreign_headers(signal: Signal, headers: Mapping[str, str]) -> frozenset[str]:
    """Header names that the environment would add to those which were decided."""
    text = _first(os.environ, signal, "HEADERS") or ""
    names = {part.partition("=")[0].strip().lower() for part in text.split(",") if "=" in part}
    return frozenset(names - {name.lower() for name in headers})


def _first(env: Mapping[str, str], signal: Signal, name: str) -> str | None:
    return env.get(f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}") or env.get(f"OTEL_EXPORTER_OTLP_{name}") or None


def _compress(data: bytes, compression: str) -> bytes:
    if compression == "gzip":
        return gzip.compress(data, 1)
    return zlib.compress(data, 1) if compression == "deflate" else data


def _answer_for_exporter(*, delivered: bool) -> requests.Response:
    """An answer on which the official exporter neither retries nor waits."""
    response = requests.Response()
    response.status_code = 200 if delivered else 400
    response.reason = "as otelbridge has it"
    response.raw = io.BytesIO(b"")
    return response


def _read_outcome(signal: Signal, response: requests.Response) -> Outcome:
    status = response.status_code
    kind = judge_http(status)
    if kind == "delivered":
        body = _read_body(response, ANSWER_SIZE_MAX)
        if body is None:
            message = f"its answer is larger than {ANSWER_SIZE_MAX // 2**20} MiB"
            return Outcome("failed", message=message, cause="answer_too_large")
        return read_answer(signal, body)
    retry_after_s = parse_retry_after(response.headers.get("Retry-After")) if kind == "retry" else None
    reason = printable(str(response.reason or http.client.responses.get(status, "")), 60)
    message = f"it answered {status} {reason}".rstrip()
    if kind == "failed":
        target = printable(response.headers.get("Location", ""))
        message += f" to {target}" if target else ""
        return Outcome("failed", message=message, cause="redirect")
    detail = _error_detail(response)
    message += f": {detail}" if detail else ""
    cause = "too_large" if status == 413 else f"http_{status}"
    return Outcome(kind, message=message, retry_after_s=retry_after_s, cause=cause)


def _error_detail(response: requests.Response) -> str:
    try:
        body = _read_body(response, _ERROR_SIZE_MAX) or b""
    except Exception:
        return ""
    if "protobuf" in response.headers.get("Content-Type", ""):
        try:
            return printable(Status.FromString(body).message)
        except DecodeError:
            return ""
    if "html" in response.headers.get("Content-Type", ""):
        return ""
    return printable(body.decode("utf-8", "replace"))


def _read_body(response: requests.Response, size_max: int) -> bytes | None:
    """Read and unpack an answer, or None when it is larger than `size_max`, packed or unpacked."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    unpack = zlib.decompressobj(zlib.MAX_WBITS | 32) if encoding in ("gzip", "deflate") else None
    body = bytearray()
    read_size = 0
    while chunk := response.raw.read(_CHUNK_SIZE, decode_content=False):
        read_size += len(chunk)
        body += unpack.decompress(chunk, size_max + 1 - len(body)) if unpack else chunk
        if read_size > size_max or len(body) > size_max:
            return None
    return bytes(body)


def describe_failure(error: BaseException) -> Outcome:
    """Say why there was no answer, from whatever requests, urllib3 and sockets wrapped around it."""
    chain = list(_causes(error))
    for kinds, cause, message in _FAILURES:
        found = [link for link in chain if isinstance(link, kinds)]
        if found:
            # The innermost says what happened, those around it only where.
            return Outcome("retry", message=message.format(printable(str(found[-1]), 120)), cause=cause)
    system = next((link for link in chain if isinstance(link, OSError) and link.errno), None)
    if system is not None:
        return Outcome("retry", message=f"the connection failed ({printable(str(system), 120)})", cause="connection")
    return Outcome("retry", message=f"{type(error).__name__}: {printable(str(error), 120)}", cause="internal")


_FAILURES: tuple[tuple[Any, str, str], ...] = (
    ((requests.exceptions.ProxyError,), "proxy", "the proxy failed ({})"),
    ((ConnectionRefusedError,), "refused", "the connection was refused"),
    ((socket.gaierror, requests.exceptions.InvalidURL), "unknown_host", "its host name could not be resolved"),
    ((requests.exceptions.SSLError, ssl.SSLError), "tls", "TLS failed ({})"),
    (
        (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError),
        "disconnected",
        "it closed the connection",
    ),
    (
        (TimeoutError, requests.exceptions.Timeout, urllib3.exceptions.TimeoutError),
        "timeout",
        "it gave no answer in time",
    ),
    ((http.client.IncompleteRead,), "disconnected", "it closed the connection"),
    ((http.client.HTTPException, zlib.error), "garbage", "it does not answer in HTTP ({})"),
)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The exception and all that it was raised from or carries, outermost first."""
    seen: list[BaseException] = []
    queue: list[Any] = [error]
    while queue and len(seen) < 20:
        link = queue.pop(0)
        if isinstance(link, BaseException) and not any(link is other for other in seen):
            seen.append(link)
            yield link
            queue += [link.__cause__, link.__context__, getattr(link, "reason", None), *link.args]

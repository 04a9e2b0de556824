"""OTLP over HTTP comes in here: checked, unpacked, decoded, handed on. What is kept of it is decided by the store.

Loopback only: whoever is on this machine may send, so everything that is read has a limit.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
import zlib
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Protocol, TypeVar
from urllib.parse import urlsplit

from google.protobuf.message import DecodeError, Message
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # its package has neither stubs nor py.typed
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

BODY_SIZE_MAX = 16 * 1024 * 1024  # bytes, before and after decompression
CONNECTION_COUNT_MAX = 64  # one thread each
DECODING_COUNT_MAX = 4  # requests that may hold a whole body at once
IDLE_TIMEOUT_S = 30.0  # per read; the official exporters keep a connection between two exports
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
PROTOBUF = "application/x-protobuf"

_GRPC_CODES = {HTTPStatus.BAD_REQUEST: 3, HTTPStatus.FORBIDDEN: 7, HTTPStatus.NOT_FOUND: 5}  # for google.rpc.Status
_GRPC_UNKNOWN = 2
_M = TypeVar("_M", bound=Message)


class Sink(Protocol):
    """Where decoded requests go; called from several threads."""

    def add_logs(self, request: ExportLogsServiceRequest) -> None:
        """Take the log records of one request."""

    def add_traces(self, request: ExportTraceServiceRequest) -> None:
        """Take the spans of one request."""

    def add_metrics(self, request: ExportMetricsServiceRequest) -> None:
        """Take the metric points of one request."""


class Receiver:
    """A loopback OTLP/HTTP server (protobuf, plain or gzip) that feeds a `Sink`.

    `port` 0 takes any free one; a taken port raises OSError. Use it as a context manager, or `start` and `stop` it.
    """

    def __init__(self, sink: Sink, *, port: int = 0) -> None:
        self._server = _Server(sink, port)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.2,), name="otelbridge-receiver", daemon=True
        )

    @property
    def port(self) -> int:
        """The TCP port on 127.0.0.1."""
        return self._server.server_address[1]

    @property
    def endpoint(self) -> str:
        """The base URL, as OTEL_EXPORTER_OTLP_ENDPOINT wants it."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and close every connection; a second call does nothing."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._server.close_connections()

    def __enter__(self) -> Receiver:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class RequestError(Exception):
    """A request that is not taken: the HTTP status, and one sentence for the sender."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # http.server's own True lets two demos on Windows share a port.
    allow_reuse_address = sys.platform != "win32"
    server_address: tuple[str, int]

    def __init__(self, sink: Sink, port: int) -> None:
        self.routes = _routes(sink)
        self.decoding = threading.BoundedSemaphore(DECODING_COUNT_MAX)
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def server_bind(self) -> None:
        """Bind without HTTPServer's reverse look-up of the host name, which can take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Serve a connection on a thread of its own, or close it when there are too many."""
        assert isinstance(request, socket.socket)
        with self._lock:
            if len(self._connections) >= CONNECTION_COUNT_MAX:
                self.shutdown_request(request)
                return
            thread = threading.Thread(
                target=self._serve, args=(request, client_address), name="otelbridge-receiver-connection", daemon=True
            )
            self._connections[request] = thread
        thread.start()

    def _serve(self, connection: socket.socket, client_address: object) -> None:
        try:
            self.finish_request(connection, client_address)
        except OSError:
            pass  # the sender went away, or we closed it in `close_connections`
        finally:
            self.shutdown_request(connection)
            with self._lock:
                self._connections.pop(connection, None)

    def close_connections(self) -> None:
        """Wake the threads that wait for a sender's next request, and see them off."""
        with self._lock:
            connections = dict(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in connections.values():
            thread.join(timeout=2.0)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "otelbridge"
    sys_version = ""
    timeout = IDLE_TIMEOUT_S
    disable_nagle_algorithm = True  # head and body leave in two writes
    server: _Server

    def do_POST(self) -> None:
        """One OTLP request: take it, or refuse it with a sentence."""
        try:
            answer = self._take()
        except RequestError as refusal:
            self._refuse(refusal)
        else:
            self._answer(HTTPStatus.OK, answer)

    def do_GET(self) -> None:
        """Nothing to read here yet."""
        self._refuse(
            RequestError(HTTPStatus.NOT_FOUND, f"this is an OTLP receiver: POST to {', '.join(self.server.routes)}")
        )

    def _take(self) -> Message:
        check_source(self.headers.get("Host"), self.headers.get("Origin"))
        path = urlsplit(self.path).path
        route = self.server.routes.get(path)
        if route is None:
            raise RequestError(
                HTTPStatus.NOT_FOUND, f"expected a POST to {', '.join(self.server.routes)}, got {path!a:.200}"
            )
        content_type = self.headers.get_content_type()
        if content_type != PROTOBUF:
            raise RequestError(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"expected Content-Type {PROTOBUF}, got {content_type!a:.200}"
            )
        size = body_size(self.headers.get("Content-Length"))
        encoding = self.headers.get("Content-Encoding", "identity").strip().lower()
        with self.server.decoding:
            return route(unpack(self._read(size), encoding))

    def _read(self, size: int) -> bytes:
        body = self.rfile.read(size)
        if len(body) != size:
            raise ConnectionAbortedError("the sender left within its request")
        return body

    def _refuse(self, refusal: RequestError) -> None:
        # The body may be unread, so the connection cannot be used again.
        self.close_connection = True
        code = _GRPC_CODES.get(refusal.status, _GRPC_UNKNOWN)
        self._answer(refusal.status, Status(code=code, message=refusal.reason))

    def _answer(self, status: HTTPStatus, message: Message) -> None:
        body = message.SerializeToString()
        self.send_response(status)
        self.send_header("Content-Type", PROTOBUF)
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class's name)
        """Say nothing: the screen belongs to what was received."""


def check_source(host: str | None, origin: str | None) -> None:
    """Refuse what a web page could send: a foreign Host (DNS rebinding), or a foreign Origin."""
    if _hostname(f"//{host or ''}") not in LOOPBACK_NAMES:
        raise RequestError(HTTPStatus.FORBIDDEN, f"expected a loopback Host header, got {host!a:.200}")
    if origin is not None and _hostname(origin) not in LOOPBACK_NAMES:
        raise RequestError(HTTPStatus.FORBIDDEN, f"expected no Origin header or a loopback one, got {origin!a:.200}")


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def body_size(content_length: str | None) -> int:
    """The size of the body in bytes; refused when unknown or beyond `BODY_SIZE_MAX`."""
    if content_length is None:
        raise RequestError(
            HTTPStatus.LENGTH_REQUIRED, "expected a Content-Length header, got none (chunked is not read)"
        )
    if not (content_length.isascii() and content_length.isdigit()):
        raise RequestError(HTTPStatus.BAD_REQUEST, f"expected a number in Content-Length, got {content_length!a:.200}")
    # More digits than the limit has cannot be within it, and int() of a long string is slow.
    if len(content_length) > 12 or int(content_length) > BODY_SIZE_MAX:
        raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected at most {BODY_SIZE_MAX} bytes")
    return int(content_length)


def unpack(body: bytes, encoding: str) -> bytes:
    """*body* without its Content-Encoding (`identity` or `gzip`); refused beyond `BODY_SIZE_MAX` bytes."""
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise RequestError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"expected Content-Encoding gzip or none, got {encoding!a:.200}"
        )
    decompressor = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        # One byte more than allowed tells "just fits" from "goes on": a bomb is never inflated further.
        unpacked = decompressor.decompress(body, BODY_SIZE_MAX + 1)
    except zlib.error as error:
        raise RequestError(HTTPStatus.BAD_REQUEST, f"expected a gzip body, got {error}") from error
    if len(unpacked) > BODY_SIZE_MAX:
        raise RequestError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected at most {BODY_SIZE_MAX} bytes after decompression"
        )
    if not decompressor.eof or decompressor.unused_data:
        raise RequestError(HTTPStatus.BAD_REQUEST, "expected one whole gzip stream, got a part of one or more than one")
    return unpacked


def _routes(sink: Sink) -> dict[str, Callable[[bytes], Message]]:
    """What each path does with a body, and its answer."""

    def logs(body: bytes) -> Message:
        sink.add_logs(_parsed(ExportLogsServiceRequest(), body))
        return ExportLogsServiceResponse()

    def traces(body: bytes) -> Message:
        sink.add_traces(_parsed(ExportTraceServiceRequest(), body))
        return ExportTraceServiceResponse()

    def metrics(body: bytes) -> Message:
        sink.add_metrics(_parsed(ExportMetricsServiceRequest(), body))
        return ExportMetricsServiceResponse()

    return {"/v1/logs": logs, "/v1/traces": traces, "/v1/metrics": metrics}


def _parsed(message: _M, body: bytes) -> _M:
    try:
        message.ParseFromString(body)
    except DecodeError as error:
        raise RequestError(
            HTTPStatus.BAD_REQUEST, f"expected a {message.DESCRIPTOR.name}, got undecodable bytes"
        ) from error
    return message

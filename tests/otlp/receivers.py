"""OTLP receivers for tests: one that answers as told, over HTTP and gRPC, and raw servers that misbehave."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

_METHODS = {
    "logs": ("/opentelemetry.proto.collector.logs.v1.LogsService/Export", "/v1/logs"),
    "traces": ("/opentelemetry.proto.collector.trace.v1.TraceService/Export", "/v1/traces"),
    "metrics": ("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export", "/v1/metrics"),
}
_REQUESTS: dict[str, Any] = {
    "logs": ExportLogsServiceRequest,
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
}
_RESPONSES: dict[str, Any] = {
    "logs": ExportLogsServiceResponse,
    "traces": ExportTraceServiceResponse,
    "metrics": ExportMetricsServiceResponse,
}
_REJECTED = {"logs": "rejected_log_records", "traces": "rejected_spans", "metrics": "rejected_data_points"}


class Received(NamedTuple):
    """One item, and who sent it."""

    item: Any  # LogRecord, Span, or a data point
    resource: dict[str, Any]
    scope: str
    metric: Any = None  # of a data point: the Metric that it belongs to

    @property
    def attributes(self) -> dict[str, Any]:
        return attributes_of(self.item)


class RawRequest(NamedTuple):
    """A request as it came."""

    signal: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What the receiver says to one request; only an accepted one is kept."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    rejected: int = 0
    message: str = ""
    delay_s: float = 0.0
    code: grpc.StatusCode | None = None  # gRPC: fail with this
    trailers: tuple[tuple[str, Any], ...] = ()


class OtlpReceiver:
    """An OTLP receiver on a free loopback port. `then(...)` scripts its next answers; after those it accepts."""

    def __init__(self, protocol: str = "http/protobuf", port: int = 0) -> None:
        self.protocol = protocol
        self.requests: list[RawRequest] = []
        self._accepted: list[tuple[str, Any]] = []
        self._script: deque[Answer] = deque()
        self._changed = threading.Condition()
        self._server: Any = self._serve_grpc(port) if protocol == "grpc" else self._serve_http(port)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def then(self, *answers: Answer) -> None:
        """Give these answers to the next requests (of any signal)."""
        self._script.extend(answers)

    def logs(self) -> list[Received]:
        return self._items("logs", "resource_logs", "scope_logs", "log_records")

    def spans(self) -> list[Received]:
        return self._items("traces", "resource_spans", "scope_spans", "spans")

    def points(self) -> list[Received]:
        found = []
        for received in self._items("metrics", "resource_metrics", "scope_metrics", "metrics"):
            metric = received.item
            data = metric.WhichOneof("data")
            found += [
                Received(point, received.resource, received.scope, metric)
                for point in (getattr(metric, data).data_points if data else ())
            ]
        return found

    def bodies(self) -> list[str]:
        """The text of each log record, in the order of arrival."""
        return [received.item.body.string_value for received in self.logs()]

    def wait_for(self, predicate: Callable[[OtlpReceiver], bool], timeout_s: float = 10.0) -> None:
        """Wait until the predicate holds (looked at after each request); AssertionError when it never does."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not predicate(self):
                remaining_s = deadline - time.monotonic()
                if remaining_s <= 0:
                    msg = f"not received in {timeout_s} s: {len(self.requests)} requests, {self.bodies()[:5]}"
                    raise AssertionError(msg)
                self._changed.wait(remaining_s)

    def close(self) -> None:
        if self.protocol == "grpc":
            self._server.stop(0).wait(5)
            return
        self._server.shutdown()
        self._server.server_close()

    def _items(self, signal: str, resources: str, scopes: str, items: str) -> list[Received]:
        with self._changed:
            messages = [message for kind, message in self._accepted if kind == signal]
        return [
            Received(item, attributes_of(part.resource), scope.scope.name)
            for message in messages
            for part in getattr(message, resources)
            for scope in getattr(part, scopes)
            for item in getattr(scope, items)
        ]

    def _handle(self, request: RawRequest) -> Answer:
        with self._changed:
            answer = self._script.popleft() if self._script else Answer()
            self.requests.append(request)
            if answer.status == 200 and answer.code is None:
                message = _REQUESTS[request.signal]()
                message.ParseFromString(request.body)
                self._accepted.append((request.signal, message))
            self._changed.notify_all()
        if answer.delay_s:
            time.sleep(answer.delay_s)
        return answer

    def _serve_http(self, port: int) -> Any:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                encoding = self.headers.get("Content-Encoding")
                body = gzip.decompress(body) if encoding == "gzip" else body
                body = zlib.decompress(body) if encoding == "deflate" else body
                signal = next((name for name, (_, path) in _METHODS.items() if self.path.endswith(path)), "logs")
                headers = {name.lower(): text for name, text in self.headers.items()}
                answer = receiver._handle(RawRequest(signal, self.path, headers, body))
                self._reply(answer, _response(signal, answer) if answer.body is None else answer.body)

            def _reply(self, answer: Answer, content: bytes) -> None:
                with contextlib.suppress(OSError):
                    self.send_response(answer.status)
                    self.send_header("Content-Type", "application/x-protobuf")
                    self.send_header("Content-Length", str(len(content)))
                    for name, text in answer.headers.items():
                        self.send_header(name, text)
                    self.end_headers()
                    self.wfile.write(content)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the standard library's name
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            allow_reuse_address = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass

        server = Server(("127.0.0.1", port), Handler)
        self.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    def _serve_grpc(self, port: int) -> Any:
        receiver = self

        def handler_for(signal: str) -> Any:
            def export(body: bytes, context: Any) -> bytes:
                headers = {str(name): str(text) for name, text in context.invocation_metadata()}
                answer = receiver._handle(RawRequest(signal, _METHODS[signal][0], headers, body))
                context.set_trailing_metadata(answer.trailers)
                if answer.code is not None:
                    context.abort(answer.code, answer.message)
                return _response(signal, answer) if answer.body is None else answer.body

            return grpc.unary_unary_rpc_method_handler(export)

        server = grpc.server(futures.ThreadPoolExecutor(4), options=(("grpc.so_reuseport", 0),))
        services = {signal: method.strip("/").partition("/")[0] for signal, (method, _) in _METHODS.items()}
        server.add_generic_rpc_handlers(
            tuple(
                grpc.method_handlers_generic_handler(service, {"Export": handler_for(signal)})
                for signal, service in services.items()
            )
        )
        self.port = server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()
        return server


class RawServer:
    """A TCP server that treats each connection as `behave(connection)` says, and not as OTLP."""

    def __init__(self, behave: Callable[[socket.socket], object]) -> None:
        self._behave = behave
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.connection_count = 0
        self.closing = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self.closing.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _accept(self) -> None:
        while not self.closing.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connection_count += 1
            threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self._behave(connection)


def read_request(connection: socket.socket) -> None:
    """Read one HTTP request and its body."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        body += connection.recv(65536)


def attributes_of(message: Any) -> dict[str, Any]:
    """The attributes of a record, span, point or resource, as Python values."""
    return {pair.key: value_of(pair.value) for pair in message.attributes}


def value_of(value: AnyValue) -> Any:
    """An AnyValue as a Python value."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [value_of(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: value_of(pair.value) for pair in value.kvlist_value.values}
    return getattr(value, kind) if kind else None


def _response(signal: str, answer: Answer) -> bytes:
    response = _RESPONSES[signal]()
    if answer.rejected or answer.message:
        setattr(response.partial_success, _REJECTED[signal], answer.rejected)
        response.partial_success.error_message = answer.message
    encoded: bytes = response.SerializeToString()
    return encoded


def free_port() -> int:
    """A loopback port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture
def otlp_receiver() -> Iterator[OtlpReceiver]:
    """An OTLP/HTTP receiver that accepts everything."""
    receiver = OtlpReceiver()
    yield receiver
    receiver.close()


@pytest.fixture
def otlp_grpc_receiver() -> Iterator[OtlpReceiver]:
    """An OTLP/gRPC receiver that accepts everything."""
    receiver = OtlpReceiver("grpc")
    yield receiver
    receiver.close()

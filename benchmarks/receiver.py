"""An OTLP/HTTP receiver that answers 200 and counts: a process of its own, so that its CPU is nobody's.

`python -m benchmarks.receiver` prints its port and serves until its stdin closes. `POST /<name>/v1/logs` stores a
body; `GET /<name>` answers how many records and spans came since the last GET (decoded only then, not while one
measures).
"""

from __future__ import annotations

import gzip
import subprocess
import sys
import threading
import urllib.request
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

START_TIMEOUT_S = 20.0


class Receiver:
    """The receiver's process, seen from the benchmark: a context manager."""

    def __enter__(self) -> Receiver:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.receiver"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        # communicate() closes its stdin, which is how it learns that nobody needs it any more.
        self._process.communicate(timeout=START_TIMEOUT_S)

    def arrived(self, name: str) -> int:
        """How many records and spans were posted below /<name> since the last question."""
        with urllib.request.urlopen(f"{self.url}/{name}", timeout=60.0) as answer:
            return int(answer.read())


class _Bodies:
    """What was posted, by name."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._posts: dict[str, list[tuple[str, bool, bytes]]] = defaultdict(list)

    def add(self, path: str, body: bytes, *, is_gzip: bool) -> None:
        name, _, signal = path.strip("/").partition("/")
        with self._lock:
            self._posts[name].append((signal, is_gzip, body))

    def count(self, path: str) -> int:
        with self._lock:
            posts = self._posts.pop(path.strip("/"), [])
        return sum(_count(signal, gzip.decompress(body) if is_gzip else body) for signal, is_gzip, body in posts)


def _count(signal: str, body: bytes) -> int:
    if signal == "v1/metrics":
        return 0
    if signal == "v1/traces":
        traces = ExportTraceServiceRequest.FromString(body)
        return sum(len(scope.spans) for resource in traces.resource_spans for scope in resource.scope_spans)
    logs = ExportLogsServiceRequest.FromString(body)
    return sum(len(scope.log_records) for resource in logs.resource_logs for scope in resource.scope_logs)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Otherwise Nagle holds the answer back, and the sender's waiting shows in its figures.
    disable_nagle_algorithm = True
    bodies = _Bodies()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.bodies.add(self.path, body, is_gzip=self.headers.get("Content-Encoding") == "gzip")
        self._answer(b"", "application/x-protobuf")

    def do_GET(self) -> None:
        self._answer(str(self.bodies.count(self.path)).encode(), "text/plain")

    def _answer(self, body: bytes, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Stay silent: the benchmark owns the terminal."""


def main() -> None:
    """Serve until stdin closes."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    main()

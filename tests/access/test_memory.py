"""What clients make up (paths, methods, agents) must not pile up: run in a process of its own, which measures itself.

TEST_MEMORY_REQUESTS=1000000 sends as many requests as issue 5 names; the default is a fifth.
"""

from __future__ import annotations

import gzip
import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

REQUEST_COUNT = int(os.environ.get("TEST_MEMORY_REQUESTS", "200000"))
# Delivered so often that what waits for the collector is not what is measured.
FLUSH_COUNT = 5_000
GROWTH_MAX_MIB = 5.0
TIMEOUT_S = 60.0 + REQUEST_COUNT / 2_000


class Forgetful(BaseHTTPRequestHandler):
    """An OTLP receiver that accepts everything and keeps only the last metrics."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    metrics = b""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/v1/metrics":
            type(self).metrics = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Forgetful)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.timeout(TIMEOUT_S)
def test_what_clients_make_up_costs_no_memory_and_no_series(endpoint: str) -> None:
    """Each request with a path, method and agent never seen before: memory stays where it was, one series in all."""
    environment = {**os.environ, "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}

    run = subprocess.run(
        [sys.executable, "-m", "tests.access.test_memory", endpoint, str(REQUEST_COUNT)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env=environment,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert report["end_mib"] - report["warm_mib"] < GROWTH_MAX_MIB, report
    assert report["delivered"] == REQUEST_COUNT
    points = _points(Forgetful.metrics)
    assert [point.count for point in points["http.server.request.duration"]] == [REQUEST_COUNT]
    assert [point.as_int for point in points["otelbridge.http.requests"]] == [REQUEST_COUNT]
    assert [point.as_int for point in points["http.server.active_requests"]] == [0]


def _points(body: bytes) -> dict[str, list[Any]]:
    """Data points by the name of their instrument."""
    return {
        metric.name: list(getattr(metric, metric.WhichOneof("data") or "").data_points)
        for resource_metrics in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope_metrics in resource_metrics.scope_metrics
        for metric in scope_metrics.metrics
    }


async def _app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


def _request(app: Any, number: int) -> None:
    """One that nobody has sent before; neither the app nor this driver ever waits, so no event loop is needed."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": f"M{number}",
        "scheme": "http",
        "path": f"/items/{number}",
        "query_string": b"page=%d" % number,
        "headers": [(b"user-agent", b"agent/%d" % number), (b"x-request-id", b"r-%d" % number)],
        "client": ("203.0.113.42", 50000),
        "state": {},
    }

    async def receive() -> Any:
        raise AssertionError

    async def send(message: Any) -> None:
        pass

    try:
        app(scope, receive, send).send(None)
    except StopIteration:
        return
    raise AssertionError


def _peak_mib() -> float:
    # In KiB, but in bytes on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _main(endpoint: str, count: int) -> None:
    import otelbridge

    otelbridge.logger.remove()
    otelbridge.configure(service_name="memory", endpoint=endpoint)
    app = otelbridge.instrument(_app)
    report: dict[str, float] = {}
    for number in range(count):
        _request(app, number)
        if number % FLUSH_COUNT == FLUSH_COUNT - 1 or number == count - 1:
            assert otelbridge.flush(TIMEOUT_S)
        if number == count // 4:
            report["warm_mib"] = _peak_mib()
    report["end_mib"] = _peak_mib()
    report["delivered"] = otelbridge.stats().delivered
    sys.stdout.write(json.dumps(report))


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))

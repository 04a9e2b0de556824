"""`python -m benchmarks.tiers [--write]`: what an agent and a gateway carry, per core, with the shipped configurations.

Each row is one real collector under a load that never ends, another one behind it that takes everything. What counts is
the CPU time of the collector in question, so that sender and receiver may share its cores. Needs `make collector`.
"""

from __future__ import annotations

import argparse
import gzip
import http.client
import random
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from benchmarks import machine
from tests.collector.real import SHIPPED, Collector, free_ports, wait_until
from tools.collector import binary

PAGE = Path(__file__).parent.parent / "docs" / "operations.md"
BEGIN, END = "<!-- tiers: begin -->\n", "<!-- tiers: end -->"

Started = TypeVar("Started", bound="Collector")

BATCH_SIZE = 512  # records in a request: what a service under load sends
BODIES = 64  # different requests, sent again and again
SENDERS = 4
SPANS_PER_TRACE = 8
WARM_UP_S, MEASURED_S, DRAIN_S = 5.0, 20.0, 60.0

# Takes what any tier sends, at the paths of Prometheus and Loki, and throws it away.
SINK = """\
receivers:
  otlp/backends:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{grpc}"}}
      http:
        endpoint: 127.0.0.1:{http}
        logs_url_path: /otlp/v1/logs
        metrics_url_path: /api/v1/otlp/v1/metrics
service:
  pipelines:
    logs: {{receivers: [otlp, otlp/backends]}}
    traces: {{receivers: [otlp, otlp/backends]}}
    metrics: {{receivers: [otlp, otlp/backends, forward/statsd]}}
"""


# For services that redact themselves.
UNREDACTED = """\
service: {pipelines: {logs: {processors: [memory_limiter, transform/size]}}}
"""


@dataclass(frozen=True, slots=True)
class Row:
    """One tier under one kind of load: items per second of CPU and of the clock, and the most memory it had."""

    tier: str
    load: str
    per_core: float
    per_second: float
    memory_mib: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with --write also put the table into docs/operations.md."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tiers", description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the table into docs/operations.md")
    options = parser.parse_args(arguments)
    if not binary().exists():
        print("the collector is not built: `make collector` builds it", file=sys.stderr)
        return 1
    logs, spans = list(log_requests(random.Random(1))), list(span_requests(random.Random(2)))
    rows = []
    for tier, kind, bodies, layer in (
        ("agent", "logs", logs, ""),
        ("agent, no redaction", "logs", logs, UNREDACTED),
        ("agent", "traces", spans, ""),
        ("gateway", "logs", logs, ""),
        ("gateway", "traces", spans, ""),
    ):
        rows.append(measure(tier, kind, bodies, layer))
        print(rows[-1], file=sys.stderr)
    text = table(rows)
    print(text)
    if options.write:
        page = PAGE.read_text("utf-8")
        before, after = page.partition(BEGIN)[0], page.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}{text}{END}{after}", "utf-8")
    return 0


def measure(tier: str, kind: str, bodies: Sequence[bytes], layer: str) -> Row:
    """Load a tier with `logs` or `traces` for a while, and wait until it has passed everything on."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sink = stack.enter_context(running(_sink(folder / "sink")))
        tested = stack.enter_context(running(_tier(tier.partition(",")[0], folder / "tier", sink, layer)))
        with load(tested.http_port, f"/v1/{kind}", bodies):
            time.sleep(WARM_UP_S)
            began, cpu_s, items = time.monotonic(), tested.cpu_s(), accepted(tested, kind)
            time.sleep(MEASURED_S)
            elapsed_s = time.monotonic() - began
            # What is still under way is a second's worth at most, the same at both ends.
            cpu_s, items = tested.cpu_s() - cpu_s, accepted(tested, kind) - items
        memory_mib = tested.memory_peak_mib()
        sent = accepted(tested, kind)
        if (tier, kind) != ("gateway", "traces"):  # which samples
            wait_until(
                lambda: accepted(sink, kind) >= sent, DRAIN_S, lambda: f"{accepted(sink, kind)} of {sent} passed on"
            )
    name = {"logs": "log records", "traces": f"spans, {SPANS_PER_TRACE} a trace"}[kind]
    return Row(tier, name, items / cpu_s, items / elapsed_s, memory_mib)


class Sink(Collector):
    """The collector behind: `backends` are its ports for what is meant for backends, gRPC and HTTP."""

    backends: tuple[int, int]


def _sink(folder: Path) -> Sink:
    folder.mkdir()
    grpc, http_port = free_ports(2)
    layer = folder / "sink.yaml"
    layer.write_text(SINK.format(grpc=grpc, http=http_port), "utf-8")
    sink = Sink(binary(), folder, layer, configs=(SHIPPED / "base.yaml",))
    sink.backends = (grpc, http_port)
    return sink


def _tier(tier: str, folder: Path, sink: Sink, layer: str) -> Collector:
    folder.mkdir()
    (folder / "layer.yaml").write_text(layer, "utf-8")
    grpc, http_port = sink.backends
    (peers,) = free_ports(1)
    names = {"agent": ("base", "agent"), "gateway": ("base", "backends", "gateway")}[tier]
    return Collector(
        binary(),
        folder,
        configs=(*(SHIPPED / f"{name}.yaml" for name in names), folder / "layer.yaml"),
        OTELBRIDGE_QUEUE_FOLDER=str(folder / "queue"),
        OTELBRIDGE_GATEWAY_ENDPOINT=f"127.0.0.1:{sink.grpc_port}",
        OTELBRIDGE_GATEWAY_INSECURE="true",
        OTELBRIDGE_GATEWAY_PEERS=f"127.0.0.1:{peers}",
        OTELBRIDGE_GATEWAY_PEER_PORT=str(peers),
        OTELBRIDGE_PROMETHEUS_URL=f"http://127.0.0.1:{http_port}",
        OTELBRIDGE_LOKI_URL=f"http://127.0.0.1:{http_port}",
        OTELBRIDGE_TRACES_ENDPOINT=f"127.0.0.1:{grpc}",
    )


@contextmanager
def running(collector: Started) -> Iterator[Started]:
    """Start it, and stop it at the end."""
    try:
        collector.start()
        yield collector
    finally:
        collector.stop()


@contextmanager
def load(port: int, path: str, bodies: Sequence[bytes]) -> Iterator[None]:
    """Send the bodies again and again, as fast as they are answered, while the block runs."""
    closing = threading.Event()
    threads = [threading.Thread(target=_send, args=(port, path, bodies[n::SENDERS], closing)) for n in range(SENDERS)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        closing.set()
        for thread in threads:
            thread.join()


def _send(port: int, path: str, bodies: Sequence[bytes], closing: threading.Event) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"content-type": "application/x-protobuf", "content-encoding": "gzip"}
    while not closing.is_set():
        for body in bodies:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:  # a full queue, or the memory limiter
                closing.wait(0.05)
    connection.close()


def accepted(collector: Collector, kind: str) -> int:
    """How many log records or spans its receivers have taken, the one between gateways left out."""
    name = {"logs": "log_records", "traces": "spans"}[kind]
    lines = re.findall(rf"^otelcol_receiver_accepted_{name}(?:_total)?{{(.*)}} (\S+)$", collector.own_metrics(), re.M)
    return sum(int(float(value)) for labels, value in lines if "otlp/peers" not in labels)


def log_requests(choice: random.Random) -> Iterator[bytes]:
    """Requests of access records like those of an instrumented app, compressed."""
    for _ in range(BODIES):
        request = ExportLogsServiceRequest()
        group = request.resource_logs.add()
        group.resource.attributes.extend(_resource())
        scope = group.scope_logs.add()
        for _ in range(BATCH_SIZE):
            record = scope.log_records.add(
                time_unix_nano=time.time_ns(), severity_number=9, severity_text="INFO", event_name="http.server.access"
            )
            record.trace_id, record.span_id = choice.randbytes(16), choice.randbytes(8)
            attributes = _request(choice)
            record.body.string_value = '203.0.113.42 "{} {} HTTP/1.1" {} 87 24ms'.format(*list(attributes.values())[:3])
            record.attributes.extend(_pairs(attributes))
        yield gzip.compress(request.SerializeToString(), 1)


def span_requests(choice: random.Random) -> Iterator[bytes]:
    """Requests of spans, whole traces of a few spans each, compressed."""
    for _ in range(BODIES):
        request = ExportTraceServiceRequest()
        group = request.resource_spans.add()
        group.resource.attributes.extend(_resource())
        scope = group.scope_spans.add()
        for number in range(BATCH_SIZE):
            if number % SPANS_PER_TRACE == 0:
                trace_id, parent = choice.randbytes(16), b""
            started = time.time_ns()
            span = scope.spans.add(name="GET /products/{name}", kind=2 if not parent else 1)
            span.trace_id, span.span_id, span.parent_span_id = trace_id, choice.randbytes(8), parent
            span.start_time_unix_nano, span.end_time_unix_nano = started, started + choice.randrange(1_000_000, 2**29)
            span.attributes.extend(_pairs(_request(choice)))
            parent = parent or span.span_id
        yield gzip.compress(request.SerializeToString(), 1)


def _request(choice: random.Random) -> dict[str, str | int | float]:
    name = choice.choice(("tea", "coffee", "honey", "salt"))
    return {
        "http.request.method": choice.choice(("GET", "POST")),
        "url.path": f"/products/{name}",
        "http.response.status_code": choice.choice((200, 200, 200, 404, 500)),
        "http.route": "/products/{name}",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "client.address": f"203.0.113.{choice.randrange(256)}",
        "user_agent.original": "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/140.0",
        "http.request.body.size": choice.randrange(2000),
        "http.response.body.size": choice.randrange(20000),
        "http.server.request.duration": choice.random(),
        "otelbridge.request_id": choice.randbytes(16).hex(),
    }


def _resource() -> list[KeyValue]:
    return _pairs({"service.name": "shop", "service.instance.id": "bench", "telemetry.sdk.language": "python"})


def _pairs(values: dict[str, str] | dict[str, str | int | float]) -> list[KeyValue]:
    kinds: dict[type, Callable[..., AnyValue]] = {
        str: lambda text: AnyValue(string_value=text),
        int: lambda number: AnyValue(int_value=number),
        float: lambda number: AnyValue(double_value=number),
    }
    return [KeyValue(key=key, value=kinds[type(value)](value)) for key, value in values.items()]


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown, with the machine that they belong to."""
    described = machine.describe()
    lines = [
        f"Measured on {time.strftime('%Y-%m-%d')} by `python -m benchmarks.tiers --write`: {described['CPU']},",
        f"shared with sender and receiver; {described['System']}. Requests over HTTP of {BATCH_SIZE} items of some 600",
        "bytes, gzipped.",
        "",
        "| tier | load | per second and core | per second, here | memory, most |",
        "|---|---|---:|---:|---:|",
        *(
            f"| {row.tier} | {row.load} | {rounded(row.per_core)} | {rounded(row.per_second)} "
            f"| {row.memory_mib:.0f} MiB |"
            for row in rows
        ),
    ]
    return "\n".join(lines) + "\n"


def rounded(number: float) -> str:
    """Two digits: the rest is the machine's mood."""
    return f"{float(f'{number:.2g}'):,.0f}"


if __name__ == "__main__":
    sys.exit(main())

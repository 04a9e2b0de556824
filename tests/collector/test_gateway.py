"""Gateways: whole traces are kept or dropped, whichever of them its spans came to first, and all spans are counted."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.collector import sender
from tests.collector.real import LAYERS, SHIPPED, Collector, free_ports, values

pytestmark = pytest.mark.required

GATEWAY = tuple(SHIPPED / f"{layer}.yaml" for layer in ("base", "backends", "gateway"))
TRACES = range(1, 201)
SPANS = 5
FAILED = range(1, 201, 40)  # these have one span that failed
PERCENT = 30


@pytest.fixture
def gateways(collector_binary: Path, tmp_path: Path, backends: Collector, count: int) -> Iterator[list[Collector]]:
    """So many running gateways."""
    ports = free_ports(count)
    peers = ",".join(f"127.0.0.1:{port}" for port in ports)
    running = [
        Collector(
            collector_binary,
            tmp_path / f"gateway{index}",
            LAYERS / "hasty.yaml",
            configs=GATEWAY,
            OTELBRIDGE_PROMETHEUS_URL=f"http://127.0.0.1:{backends.http_port}",
            OTELBRIDGE_LOKI_URL=f"http://127.0.0.1:{backends.http_port}",
            OTELBRIDGE_TRACES_ENDPOINT=f"127.0.0.1:{backends.grpc_port}",
            OTELBRIDGE_GATEWAY_PEERS=peers,
            OTELBRIDGE_GATEWAY_PEER_PORT=str(port),
            OTELBRIDGE_QUEUE_FOLDER=str(tmp_path / f"gateway{index}" / "queue"),
            OTELBRIDGE_SAMPLING_WAIT="3s",
            OTELBRIDGE_SAMPLING_PERCENT=str(PERCENT),
        )
        for index, port in enumerate(ports)
    ]
    try:
        for gateway in running:
            gateway.start()
        yield running
    finally:
        for gateway in running:
            gateway.stop()


@pytest.mark.parametrize("count", [1, 2], ids=["one gateway", "two gateways"])
def test_whole_traces_are_sampled_after_they_were_counted(gateways: list[Collector], backends: Collector) -> None:
    """Spans of a trace that came to all gateways are kept or dropped together; errors are kept; all are counted."""
    for number in range(1, SPANS + 1):
        # Each next span of a trace comes to the next gateway.
        front = gateways[number % len(gateways)]
        spans = [sender.span(trace, number, failed=trace in FAILED and number == SPANS) for trace in TRACES]
        assert sender.post(front.http_port, sender.traces(spans)) == 200

    backends.wait_for(lambda c: counted(c) == len(TRACES) * SPANS)
    backends.wait_for(lambda c: decided(gateways, "true|false") == len(TRACES))
    kept_count = decided(gateways, "true")
    backends.wait_for(lambda c: len(c.spans()) == kept_count * SPANS)
    kept = Counter(span["traceId"] for span in backends.spans())
    failed = {sender.trace_id(trace).hex() for trace in FAILED}
    assert kept == dict.fromkeys(kept, SPANS)
    assert failed <= set(kept)
    # About three in ten of the rest, by a hash of the trace id: the same ones in every run.
    assert 0.2 < (kept_count - len(failed)) / (len(TRACES) - len(failed)) < 0.4


def counted(backends: Collector) -> int:
    """How many spans the span metrics of all gateways have counted."""
    totals: dict[tuple[object, ...], int] = {}
    for metric in backends.metrics("traces.span.metrics.calls"):
        for point in metric["sum"]["dataPoints"]:
            attributes = values(point["attributes"])
            series = (attributes["collector.instance.id"], attributes["status.code"])
            totals[series] = int(point["asInt"])
    return sum(totals.values())


def decided(gateways: list[Collector], kept: str) -> int:
    """On how many traces the gateways have decided, to keep (`true`) or to drop (`false`) them."""
    pages = "\n".join(gateway.own_metrics() for gateway in gateways)
    name = "otelcol_processor_tail_sampling_global_count_traces_sampled"
    found = re.findall(rf'(?m)^{name}\S*\{{.*sampled="(?:{kept})".*\}} (\S+)$', pages)
    return int(sum(map(float, found)))


@pytest.mark.parametrize("count", [2])
def test_logs_and_metrics_go_straight(gateways: list[Collector], backends: Collector) -> None:
    """Log records and points that come to any gateway arrive once at the backends."""
    for index, gateway in enumerate(gateways):
        assert sender.post(gateway.http_port, sender.numbered([index])) == 200
        assert sender.post(gateway.http_port, sender.counter(f"visits{index}", [(1, {})])) == 200

    backends.wait_for(lambda c: len(c.records()) == 2 and all(c.metrics(f"visits{index}") for index in range(2)))
    for gateway in gateways:
        gateway.stop()  # whatever it still holds is sent now: a duplicate would show
    assert sorted(record.attributes["number"] for record in backends.records()) == [0, 1]  # type: ignore[type-var]  # numbers


@pytest.mark.parametrize("count", [1])
def test_accepted_logs_survive_the_gateway(gateways: list[Collector], backends: Collector) -> None:
    """With the backends down, records that a gateway accepted arrive once after it was killed and started again."""
    (gateway,) = gateways
    backends.stop()
    for start in range(0, 1_000, 100):
        assert sender.post(gateway.http_port, sender.numbered(range(start, start + 100))) == 200
    gateway.kill()
    backends.start()
    gateway.start()

    backends.wait_for(lambda c: len(c.records()) >= 1_000)
    gateway.stop()
    assert sorted(record.attributes["number"] for record in backends.records()) == list(range(1_000))  # type: ignore[type-var]  # numbers

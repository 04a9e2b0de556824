"""Agent, a real Kafka broker, gateway, backend: what the agent accepted arrives, also through a broker's restart."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.collector import sender
from tests.collector.broker import Broker
from tests.collector.real import SHIPPED, Collector
from tools.kafka import libraries

pytestmark = [pytest.mark.full, pytest.mark.timeout(400)]

COUNT = 100_000
REQUEST_SIZE = 1_000
SERVICES = 8  # each to one of the four partitions


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A running broker; without its jars the test is skipped."""
    if not libraries().exists():
        pytest.skip("Kafka is not there: `make full` fetches it")
    running = Broker(libraries(), tmp_path / "broker")
    try:
        running.start()
        yield running
    finally:
        running.kill()


@pytest.fixture
def agent(collector_binary: Path, tmp_path: Path, broker: Broker) -> Iterator[Collector]:
    """A running agent that sends to the broker."""
    running = Collector(
        collector_binary,
        tmp_path / "agent",
        configs=tuple(SHIPPED / f"{layer}.yaml" for layer in ("base", "agent", "kafka")),
        OTELBRIDGE_AGENT_EXPORTER="kafka",
        OTELBRIDGE_KAFKA_BROKERS=f"127.0.0.1:{broker.port}",
        OTELBRIDGE_QUEUE_FOLDER=str(tmp_path / "agent" / "queue"),
    )
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def gateway(collector_binary: Path, tmp_path: Path, broker: Broker, backends: Collector) -> Iterator[Collector]:
    """A running gateway that reads from the broker."""
    running = Collector(
        collector_binary,
        tmp_path / "gateway",
        configs=tuple(SHIPPED / f"{layer}.yaml" for layer in ("base", "backends", "gateway", "kafka")),
        OTELBRIDGE_GATEWAY_RECEIVER="kafka",
        OTELBRIDGE_KAFKA_BROKERS=f"127.0.0.1:{broker.port}",
        OTELBRIDGE_QUEUE_FOLDER=str(tmp_path / "gateway" / "queue"),
        OTELBRIDGE_PROMETHEUS_URL=f"http://127.0.0.1:{backends.http_port}",
        OTELBRIDGE_LOKI_URL=f"http://127.0.0.1:{backends.http_port}",
        OTELBRIDGE_TRACES_ENDPOINT=f"127.0.0.1:{backends.grpc_port}",
        OTELBRIDGE_SAMPLING_WAIT="1s",
    )
    try:
        running.start()
        yield running
    finally:
        running.kill()


def received(backends: Collector) -> int:
    """How many log records the backend has taken, as it counts them itself."""
    found = re.findall(r"(?m)^otelcol_receiver_accepted_log_records\{.*\} (\S+)$", backends.own_metrics())
    return int(sum(map(float, found)))


def arrivals(backends: Collector) -> Counter[object]:
    """How often each number has arrived."""
    return Counter(record.attributes["number"] for record in backends.records())


def send(agent: Collector, numbers: range) -> None:
    """Have the agent accept records with these numbers, a thousand at a time, of several services."""
    for start in numbers[::REQUEST_SIZE]:
        service = f"shop{start // REQUEST_SIZE % SERVICES}"
        assert sender.post(agent.http_port, sender.numbered(range(start, start + REQUEST_SIZE), service)) == 200


def test_records_arrive_once_through_a_broker_restart(
    agent: Collector,
    broker: Broker,
    gateway: Collector,
    backends: Collector,
    measured: Callable[[str, float, str], None],
) -> None:
    """100,000 records, some of them sent while the broker is away, arrive each exactly once."""
    began_s = time.monotonic()
    send(agent, range(COUNT // 2))
    backends.wait_for(lambda c: received(c) == COUNT // 2, timeout_s=100)
    # A gateway notes what it has read before it reads on: with this one here, all before it is noted.
    assert sender.post(agent.http_port, sender.numbered([COUNT])) == 200
    backends.wait_for(lambda c: received(c) == COUNT // 2 + 1, timeout_s=30)
    broker.stop()
    send(agent, range(COUNT // 2, COUNT * 7 // 10))
    broker.start()
    send(agent, range(COUNT * 7 // 10, COUNT))
    backends.wait_for(lambda c: received(c) >= COUNT + 1, timeout_s=100)
    took_s = time.monotonic() - began_s

    agent.stop()
    gateway.stop()  # whatever it still holds is sent now: a duplicate would show
    found = arrivals(backends)
    found.pop(COUNT)
    duplicates, losses = found.total() - len(found), COUNT - len(found)
    assert (duplicates, losses) == (0, 0)
    measured("records through Kafka, its restart in the middle: lost", losses, "records")
    measured("the same: arrived twice", duplicates, "records")
    measured("the same: all, the restart included", COUNT / took_s, "records/s")


def test_no_record_is_lost_with_a_broker_that_is_killed(
    agent: Collector,
    broker: Broker,
    gateway: Collector,
    backends: Collector,
    measured: Callable[[str, float, str], None],
) -> None:
    """Of 100,000 records, with the broker killed while they flow, none is lost; only some sent before come twice."""
    send(agent, range(COUNT // 2))
    backends.wait_for(lambda c: received(c) > 0, timeout_s=100)
    broker.kill()
    send(agent, range(COUNT // 2, COUNT * 7 // 10))
    broker.start()
    send(agent, range(COUNT * 7 // 10, COUNT))

    backends.wait_for(lambda c: received(c) >= COUNT, timeout_s=100)
    backends.wait_for(lambda c: len(arrivals(c)) == COUNT, timeout_s=100)
    agent.stop()
    gateway.stop()  # whatever it still holds is sent now: a duplicate would show
    duplicates = arrivals(backends).total() - COUNT
    assert duplicates <= COUNT // 2
    measured("records through Kafka, killed while they flow: lost", 0, "records")
    measured("the same: arrived twice", duplicates, "records")


def test_three_signals_pass_the_broker(agent: Collector, gateway: Collector, backends: Collector) -> None:
    """A log record, a point and a failed span reach the backends by way of the topics."""
    assert sender.post(agent.http_port, sender.numbered([7])) == 200
    assert sender.post(agent.http_port, sender.counter("visits", [(1, {})])) == 200
    assert sender.post(agent.http_port, sender.traces([sender.span(1, 1, failed=True)])) == 200

    backends.wait_for(lambda c: len(c.records()) == len(c.spans()) == 1 and bool(c.metrics("visits")), timeout_s=60)
    assert backends.records()[0].attributes["number"] == 7

"""Each backend has a queue of its own: what one of them does is nothing to the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.collector import sender
from tests.collector.real import SHIPPED, Collector, free_ports

pytestmark = pytest.mark.required

# The variable with a backend's address, and what of it arrives.
BACKENDS: dict[str, Callable[[Collector], bool]] = {
    "OTELBRIDGE_PROMETHEUS_URL": lambda backends: bool(backends.metrics("visits")),
    "OTELBRIDGE_LOKI_URL": lambda backends: bool(backends.records()),
    "OTELBRIDGE_TRACES_ENDPOINT": lambda backends: bool(backends.spans()),
}


@pytest.mark.parametrize("down", BACKENDS)
def test_a_backend_that_is_down_leaves_the_others(
    collector_binary: Path, tmp_path: Path, backends: Collector, down: str
) -> None:
    """With one backend down, all signals are accepted, and the other two have theirs at once."""
    (closed_port,) = free_ports(1)
    addresses = {
        "OTELBRIDGE_PROMETHEUS_URL": f"http://127.0.0.1:{backends.http_port}",
        "OTELBRIDGE_LOKI_URL": f"http://127.0.0.1:{backends.http_port}",
        "OTELBRIDGE_TRACES_ENDPOINT": f"127.0.0.1:{backends.grpc_port}",
    }
    addresses[down] = addresses[down].rpartition(":")[0] + f":{closed_port}"
    configs = (SHIPPED / "base.yaml", SHIPPED / "backends.yaml")
    collector = Collector(collector_binary, tmp_path / "collector", configs=configs, **addresses)
    try:
        collector.start()
        requests = (
            sender.numbered([1]),
            sender.traces([sender.span(1, 1)]),
            sender.counter("visits", [(1, {})]),
        )
        assert [sender.post(collector.http_port, request) for request in requests] == [200] * 3
        up = [arrived for name, arrived in BACKENDS.items() if name != down]
        backends.wait_for(lambda backends: all(arrived(backends) for arrived in up))
    finally:
        collector.kill()  # asked to stop, it would wait for the one that is down
    assert not BACKENDS[down](backends)

"""The collector that `make collector` built, running; and programs that send to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.collector.real import LAYERS, Collector, Program
from tools.collector import binary


@pytest.fixture(scope="session")
def collector_binary() -> Path:
    """The built collector; without it the test is skipped."""
    path = binary()
    if not path.exists():
        pytest.skip("the OpenTelemetry Collector is not built: `make backends` builds it")
    return path


@pytest.fixture
def collector(collector_binary: Path, tmp_path: Path) -> Iterator[Collector]:
    """A running collector, of this test alone."""
    running = Collector(collector_binary, tmp_path)
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def backends(collector_binary: Path, tmp_path: Path) -> Iterator[Collector]:
    """A running collector that stands for Prometheus, Loki and Jaeger."""
    running = Collector(collector_binary, tmp_path / "backends", LAYERS / "backends.yaml")
    try:
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def program(collector: Collector) -> Iterator[Callable[..., Program]]:
    """Start a program of tests/collector/apps by its name, speaking *protocol* to the collector."""
    started: list[Program] = []

    def start(name: str, protocol: str = "http/protobuf", **settings: str) -> Program:
        started.append(Program(name, collector, protocol, **settings))
        return started[-1]

    yield start
    for one in started:
        one.kill()

"""What series, streams and lines are called, and when they were: what queries and links rely on."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.stack.conftest import CLASSIC, MARKS, NATIVE, STATSD, Visited
from tests.stack.process import clean_environment, eventually
from tests.stack.services import Line, Stack
from tools.places import ROOT

pytestmark = MARKS

INDEX_LABELS = {"service_name", "service_namespace", "deployment_environment_name"}
LINE_COUNT = 200
STEP_NS = 1_000_001  # a little more than a millisecond, so that each digit counts
LOG_LINES = """
import sys, time
now_ns, step_ns, count = map(int, sys.argv[1:])
import otelbridge, otelbridge.testing
from otelbridge import logger
otelbridge.configure(service_name="watchmaker")
logger.remove()
time.time_ns = lambda: now_ns
otelbridge.testing.python_clock(True)
for tick in range(count):
    logger.info("Tick {tick}", tick=tick)
    now_ns += step_ns
otelbridge.testing.python_clock(False)
assert otelbridge.flush(20)
"""


@pytest.mark.parametrize("service", [CLASSIC, NATIVE, STATSD])
def test_every_series_says_whose_it_is(service: str, visited: Visited) -> None:
    """All series of a shop carry its name, as `job` and as `service_name`; over OTLP also which process it was."""
    measured = f'{{job="{service}", __name__=~"http_server_.+|otelbridge_.+"}}'

    metrics = [sample.labels for sample in visited.stack.prometheus.query(measured, time_s=visited.end_s)]

    assert metrics
    assert {labels.get("service_name") for labels in metrics} == {service}
    if service != STATSD:
        assert len({labels["instance"] for labels in metrics}) == 1


def test_no_series_is_nobodys(visited: Visited) -> None:
    """There is no metric of otelbridge's without a service."""
    prometheus = visited.stack.prometheus

    assert prometheus.query('{__name__=~"http_server_.+|otelbridge_.+", job=""}', time_s=visited.end_s) == []
    assert prometheus.query('{__name__=~"http_server_.+|otelbridge_.+", job=~"unknown.*"}', time_s=visited.end_s) == []


def test_loki_has_few_index_labels(visited: Visited) -> None:
    """The index has the service's name and at most two more labels: ids and routes are no streams of their own."""
    labels = visited.stack.loki.index_labels(visited.start_s)

    assert "service_name" in labels
    assert labels <= INDEX_LABELS


def test_a_line_keeps_its_nanosecond(stack: Stack) -> None:
    """Loki has each line at the very nanosecond at which the program logged it."""
    start_ns = time.time_ns() - LINE_COUNT * STEP_NS
    numbers = [str(number) for number in (start_ns, STEP_NS, LINE_COUNT)]
    environ = clean_environment() | {"OTEL_EXPORTER_OTLP_ENDPOINT": stack.collector.endpoint}
    subprocess.run([sys.executable, "-c", LOG_LINES, *numbers], cwd=ROOT, env=environ, check=True, timeout=60)

    def lines() -> list[Line]:
        return stack.loki.lines('{service_name="watchmaker"}', stack.started_s)

    eventually(lambda: len(lines()) >= LINE_COUNT)

    assert [(line.time_ns, line.text) for line in lines()] == [
        (start_ns + tick * STEP_NS, f"Tick {tick}") for tick in range(LINE_COUNT)
    ]

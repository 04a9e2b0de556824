"""The whole stack, once for all tests of this room; and what the same customers did in shops that report to it."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.collector.real import wait_until
from tests.stack.services import PROGRAMS, Stack
from tests.stack.shops import Shop, play, played
from tools import backends

# Every test of this room needs the real servers; whichever comes first starts them, and waits for the visits.
MARKS = [pytest.mark.required, pytest.mark.timeout(240)]
VISITS = 25
CLASSIC, STATSD, NATIVE, TROUBLED = "shop", "shop-statsd", "shop-native", "shop-troubled"

# The shop that each board is to find: the variants of the Service board are about series of other names.
JOBS = {"service": CLASSIC, "service-native": NATIVE, "service-statsd": STATSD, "logs": CLASSIC}
# An access record in Loki.
ACCESS = 'event_name=~"http.server.access|websocket.session"'
# How many requests and sessions have ended, as each way of metrics says it.
REQUESTS_AND_SESSIONS = {
    CLASSIC: "sum(otelbridge_http_requests_total{JOB}) + sum(otelbridge_websocket_session_duration_seconds_count{JOB})",
    STATSD: "sum(otelbridge_http_requests_total{JOB}) + sum(otelbridge_websocket_session_duration_count{JOB})",
    NATIVE: (
        "sum(otelbridge_http_requests_total{JOB})"
        " + sum(histogram_count(otelbridge_websocket_session_duration_seconds{JOB}))"
    ),
}


@dataclass(frozen=True)
class Visited:
    """The stack after the scripted visits: from when to when they were, and how many requests and sessions each was."""

    stack: Stack
    start_s: float
    end_s: float
    act_count: int

    @property
    def failed_trace_id(self) -> str:
        """The trace of an order that was not paid."""
        expression = f'{{service_name="{CLASSIC}"}} |= "was not paid"'
        return self.stack.loki.lines(expression, self.start_s)[0].labels["trace_id"]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All servers, ready; without one of the programs the test is skipped."""
    missing = [name for name in PROGRAMS if not backends.binary(name).exists()]
    if missing:
        pytest.skip(f"not built: {', '.join(missing)}; `make backends` builds them")
    with ExitStack() as at_end:
        whole = Stack(tmp_path_factory.mktemp("stack"))
        at_end.callback(whole.stop)
        whole.start()
        yield whole


@pytest.fixture(scope="session")
def visited(stack: Stack) -> Iterator[Visited]:
    """The same customers, in a shop for each way of metrics; and others in a shop whose collector has troubles."""
    statsd = {"OTELBRIDGE_METRICS": "statsd", "OTELBRIDGE_STATSD": f"udp://127.0.0.1:{stack.collector.statsd_port}"}
    native = {"OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION": "base2_exponential_bucket_histogram"}
    endpoint = stack.collector.endpoint
    shops = [
        Shop(CLASSIC, stack.folder, endpoint),
        Shop(STATSD, stack.folder, endpoint, **statsd),
        Shop(NATIVE, stack.folder, endpoint, **native),
    ]
    # Few spans at a time, so that they fill the queue to its brim.
    troubled = Shop(TROUBLED, stack.folder, stack.troubled.endpoint, OTEL_BSP_MAX_EXPORT_BATCH_SIZE="8")
    with ExitStack() as at_end:
        start_s = time.time()
        for shop in (*shops, troubled):
            at_end.callback(shop.stop)
            shop.launch()
        for shop in (*shops, troubled):
            shop.await_ready()
        others = play(troubled.url, visits=VISITS, seed=2)
        at_end.callback(others.communicate)
        at_end.callback(others.kill)
        (act_count,) = {played(customer) for customer in [play(shop.url, visits=VISITS) for shop in shops]}
        for service in (CLASSIC, STATSD, NATIVE):
            await_arrival(stack, service, act_count)
        yield Visited(stack, start_s, time.time(), act_count)


def await_arrival(stack: Stack, service: str, act_count: int) -> None:
    """Return when everything that was done in a shop has arrived, once."""
    wait_until(
        lambda: arrived(stack, service) == (act_count, act_count),
        30.0,
        lambda: (
            f"{arrived(stack, service)} requests and sessions of {service} are in Prometheus and Loki, of {act_count}"
        ),
    )


def arrived(stack: Stack, service: str) -> tuple[int, int]:
    """How many requests and sessions of a shop have arrived in Prometheus, and how many in Loki."""
    counted = stack.prometheus.query(REQUESTS_AND_SESSIONS[service].replace("JOB", f'job="{service}"'))
    records = f'{{service_name="{service}"}} | {ACCESS}'
    return int(sum(sample.value for sample in counted)), len(stack.loki.lines(records, stack.started_s))


@pytest.fixture
def shop(stack: Stack, request: pytest.FixtureRequest) -> Iterator[Shop]:
    """A shop of this test alone, under a name that no other has."""
    name = re.sub(r"[^a-z]+", "-", f"shop of {request.node.name}").strip("-")
    one = Shop(name, stack.folder, stack.collector.endpoint)
    try:
        one.start()
        yield one
    finally:
        one.stop()

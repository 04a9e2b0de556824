"""Whatever is down, the rest goes on, and nothing is lost: backends at start and later, and the collector itself."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.collector.real import wait_until
from tests.dashboards.queries import board_queries, substitute
from tests.stack.conftest import ACCESS, MARKS
from tests.stack.process import ask, eventually
from tests.stack.services import Jaeger, Loki, Prometheus, Stack
from tests.stack.shops import Shop, play, played

pytestmark = MARKS

BACKENDS = ("prometheus", "loki", "jaeger")
# Nothing can be asked of Prometheus while that is down.
BOARD_SAYS = ("loki", "jaeger")
VISITS = 4


class Arrived:
    """How much of what a shop did has arrived in each backend."""

    def __init__(self, stack: Stack, service: str) -> None:
        self._stack = stack
        self._service = service

    def counts(self, *backends: str) -> dict[str, int]:
        """Requests and sessions, by backend: points, access records, and the spans of the server."""
        return {name: getattr(self, f"_{name}")() for name in backends}

    def await_all(self, count: int, *backends: str, timeout_s: float = 40.0) -> None:
        """Return when each of the backends has everything, once."""
        expected = dict.fromkeys(backends, count)
        wait_until(
            lambda: self.counts(*backends) == expected,
            timeout_s,
            lambda: f"{self.counts(*backends)} have arrived of {self._service}, and not {expected}",
        )

    def _prometheus(self) -> int:
        requests = "otelbridge_http_requests_total", "otelbridge_websocket_session_duration_seconds_count"
        samples = [self._stack.prometheus.query(f'sum({name}{{job="{self._service}"}})') for name in requests]
        return int(sum(sample.value for found in samples for sample in found))

    def _loki(self) -> int:
        return len(self._stack.loki.lines(f'{{service_name="{self._service}"}} | {ACCESS}', self._stack.started_s))

    def _jaeger(self) -> int:
        return sum(not span["references"] for span in self._stack.jaeger.spans(self._service))


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_that_is_down_costs_nothing(
    name: str, stack: Stack, shop: Shop, measured: Callable[[str, float, str], None]
) -> None:
    """While one is down, at the start or later, the others get all there is; and so does it when it is back."""
    server = getattr(stack, name)
    others = [other for other in BACKENDS if other != name]
    arrived = Arrived(stack, shop.name)

    stack.collector.stop()
    server.stop()
    stack.collector.start()
    count = played(play(shop.url, visits=VISITS))
    arrived.await_all(count, *others)
    server.start()
    arrived.await_all(count, *BACKENDS)

    server.stop()
    count += played(play(shop.url, visits=VISITS, seed=2))
    arrived.await_all(count, *others)
    if name in BOARD_SAYS:
        eventually(lambda: any(is_about(target, server) for target in failed_attempts(stack)))
    server.start()
    arrived.await_all(count, *BACKENDS)
    measured(f"arrived in all backends though {name} was down twice", count, "requests and sessions")


def failed_attempts(stack: Stack) -> list[dict[str, str]]:
    """What the Collector board's panel of failed exports shows now, by its labels."""
    (query,) = [query for query in board_queries() if (query.board, query.panel) == ("collector", "Failed attempts")]
    instance = f"127.0.0.1:{stack.collector.metrics_port}"
    samples = stack.prometheus.query(substitute(query.expression, __rate_interval="10s", instance=instance))
    return [sample.labels for sample in samples if sample.value]


def is_about(target: dict[str, str], server: Loki | Jaeger | Prometheus) -> bool:
    """Whether labels of the panel are those of a server; gRPC knows no address before it is connected."""
    return target.get("server.port") == str(server.ingest_port) or (
        isinstance(server, Jaeger) and "TraceService" in target.get("rpc.method", "")
    )


def test_a_collector_that_restarts_costs_nothing(stack: Stack, shop: Shop) -> None:
    """What a shop does while its collector is away arrives when it is back: logs, spans and points, none twice.

    A backend may hide a copy that is exactly the same; tests/collector looks at what the collector itself received.
    """
    arrived = Arrived(stack, shop.name)
    customer = play(shop.url, visits=3 * VISITS)
    eventually(lambda: arrived.counts("loki")["loki"])

    stack.collector.stop()
    time.sleep(3.0)  # an outage takes its time: nothing is waited for
    stack.collector.start()

    arrived.await_all(played(customer), *BACKENDS)


def test_a_collector_that_is_down_is_noticed(stack: Stack) -> None:
    """The alert CollectorDown is pending once the collector cannot be scraped."""
    stack.troubled.stop()
    try:
        eventually(lambda: [alert for alert in alerts(stack) if alert == "CollectorDown"])
    finally:
        stack.troubled.start()


def alerts(stack: Stack) -> list[str]:
    """The alerts that are pending or firing."""
    active = ask(f"{stack.prometheus.url}/api/v1/alerts")["data"]["alerts"]
    return [alert["labels"]["alertname"] for alert in active]

"""StatsD into real servers: the collector's receiver and Prometheus's statsd_exporter count what OTLP counts."""

from __future__ import annotations

import re
import socket
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from otelbridge.metrics.instruments import (
    REQUEST_BODY_SIZE,
    REQUEST_DURATION,
    RESPONSE_BODY_SIZE,
    SESSION_DURATION,
    Instrument,
)
from tests.collector.apps.both_ways import REQUESTS
from tests.collector.real import Collector, Program, StatsdExporter, values, wait_until
from tools.collector import statsd_exporter

pytestmark = pytest.mark.required

CUMULATIVE = 2
# What the two dialects cannot have in a value.
NOT_IN_DOGSTATSD, NOT_IN_INFLUX = "[|,#@;=]", r"[|,#@;=:\[\]]"

Totals = dict[tuple[str, int], float]


class Read(NamedTuple):
    """What a server has of the requests, by route and status."""

    requests: Totals
    durations: Totals
    sizes: Totals
    size_sums: Totals


def served(not_in_routes: str) -> Read:
    """What was served, with the characters of routes replaced that cannot be in a value."""
    keys = [(re.sub(not_in_routes, "_", route), status) for route, status, _, _ in REQUESTS]
    counts = {key: float(count) for key, (_, _, _, count) in zip(keys, REQUESTS, strict=True)}
    sums = {key: float(count * size) for key, (_, _, size, count) in zip(keys, REQUESTS, strict=True)}
    return Read(requests=counts, durations=counts, sizes=counts, size_sums=sums)


@pytest.fixture
def exporter() -> Iterator[StatsdExporter]:
    """A running statsd_exporter; without a built one the test is skipped."""
    binary = statsd_exporter()
    if not binary.exists():
        pytest.skip("statsd_exporter is not built: `make collector` builds it")
    running = StatsdExporter(binary)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def run_both_ways(collector: Collector, url: str, dialect: str) -> None:
    """Serve the requests, once into OTLP and once into StatsD at `url`."""
    settings = {"OTELBRIDGE_STATSD": url, "OTELBRIDGE_STATSD_DIALECT": dialect}
    program = Program("both_ways", collector, "http/protobuf", **settings)
    try:
        assert program.result()["flushed"]
        assert program.errors == ""
    finally:
        program.kill()


def read_collector(collector: Collector, prefix: str) -> Read:
    """What the collector has under names that begin with *prefix*."""
    return Read(
        requests=added(collector, f"{prefix}otelbridge.http.requests", "asInt"),
        durations=added(collector, f"{prefix}http.server.request.duration", "count"),
        sizes=added(collector, f"{prefix}http.server.response.body.size", "count"),
        size_sums=added(collector, f"{prefix}http.server.response.body.size", "sum"),
    )


def added(collector: Collector, name: str, field: str) -> Totals:
    """A metric's totals, as they were told last."""
    totals: Totals = {}
    for metric in collector.metrics(name):
        ((_, data),) = ((kind, content) for kind, content in metric.items() if kind in ("sum", "histogram"))
        assert data["aggregationTemporality"] == CUMULATIVE
        for point in data["dataPoints"]:
            attributes = values(point["attributes"])
            key = str(attributes["http.route"]), int(str(attributes["http.response.status_code"]))
            totals[key] = float(point.get(field, 0))
    return totals


def read_exporter(exporter: StatsdExporter) -> Read:
    """What statsd_exporter shows under names that begin with `statsd`."""
    page = exporter.page()
    return Read(
        requests=shown(page, "statsd_otelbridge_http_requests"),
        durations=shown(page, "statsd_http_server_request_duration_count"),
        sizes=shown(page, "statsd_http_server_response_body_size_count"),
        size_sums=shown(page, "statsd_http_server_response_body_size_sum"),
    )


def shown(page: str, name: str) -> Totals:
    """The samples of a name in Prometheus's text format."""
    totals: Totals = {}
    for labels, number in re.findall(rf"(?m)^{name}{{(.*)}} (\S+)$", page):
        found = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels))
        totals[found["http_route"], int(found["http_response_status_code"])] = float(number)
    return totals


def test_collectors_receiver_counts_what_otlp_counts(collector: Collector) -> None:
    """The same requests give the same totals by route and status, over OTLP and through the `statsd` receiver."""
    run_both_ways(collector, f"udp://127.0.0.1:{collector.statsd_port}", "dogstatsd")

    expected = served(NOT_IN_DOGSTATSD)
    collector.wait_for(lambda c: read_collector(c, "statsd.") == expected)
    collector.stop()  # whatever it still holds is written now: a duplicate would show
    assert read_collector(collector, "statsd.") == expected
    assert read_collector(collector, "") == served("(?!)")


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (REQUEST_DURATION, "ms"),
        (SESSION_DURATION, "ms"),
        (REQUEST_BODY_SIZE, "h"),
        (RESPONSE_BODY_SIZE, "ms"),  # where a dialect has no `|h`
    ],
)
def test_lines_come_into_the_tables_buckets(collector: Collector, row: Instrument, kind: str) -> None:
    """Values below and above each bound of the metrics' table are in its buckets; times are milliseconds."""
    assert row.buckets is not None
    bounds = [bound * (1000 if row.unit == "s" else 1) for bound in row.buckets]
    sent = [bound * factor for bound in bounds for factor in (0.9, 1.1)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for number in sent:
            sender.sendto(f"shop.{row.name}:{number}|{kind}".encode(), ("127.0.0.1", collector.statsd_port))

    collector.wait_for(lambda c: bool(c.metrics(f"shop.{row.name}")) and last_count(c, row) == len(sent))
    (point,) = collector.metrics(f"shop.{row.name}")[-1]["histogram"]["dataPoints"]
    expected = Counter(bisect_left(bounds, number) for number in sent)
    assert point["explicitBounds"] == bounds
    assert [int(count) for count in point["bucketCounts"]] == [expected[index] for index in range(len(bounds) + 1)]


def last_count(collector: Collector, row: Instrument) -> int:
    """How many values the histogram had when it was told last."""
    (point,) = collector.metrics(f"shop.{row.name}")[-1]["histogram"]["dataPoints"]
    return int(point["count"])


def send_orders(collector: Collector) -> None:
    """Count two orders each from three sockets."""
    for _ in range(3):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"orders:2|c", ("127.0.0.1", collector.statsd_port))


def orders(collector: Collector) -> list[str]:
    """The running total of each series of orders."""
    told = collector.metrics("orders")
    return [point["asInt"] for point in told[-1]["sum"]["dataPoints"]] if told else []


def test_senders_share_a_series_with_a_service(collector: Collector) -> None:
    """Lines of several sockets are one running total, which rises only and bears a service's name and instance."""
    send_orders(collector)
    collector.wait_for(lambda c: orders(c) == ["6"])
    send_orders(collector)
    collector.wait_for(lambda c: orders(c) == ["12"])

    last = collector.metrics("orders")[-1]["sum"]
    (resource,) = {tuple(values(group["resource"]["attributes"])) for group in collector.groups("resourceMetrics")}
    assert (last["isMonotonic"], last["aggregationTemporality"]) == (True, CUMULATIVE)
    assert resource == ("service.name", "service.instance.id")


@pytest.mark.parametrize(
    ("transport", "dialect", "not_in_routes"),
    [("udp", "dogstatsd", NOT_IN_DOGSTATSD), ("tcp", "influx", NOT_IN_INFLUX)],
)
def test_statsd_exporter_counts_what_was_served(
    collector: Collector, exporter: StatsdExporter, transport: str, dialect: str, not_in_routes: str
) -> None:
    """Prometheus's statsd_exporter has each request once, by route and status, and refused no line."""
    run_both_ways(collector, f"{transport}://127.0.0.1:{exporter.statsd_port}", dialect)

    expected = served(not_in_routes)
    wait_until(lambda: read_exporter(exporter) == expected, 15, lambda: f"{read_exporter(exporter)} != {expected}")
    page = exporter.page()
    assert not re.search(r"(?m)^statsd_exporter_(sample_errors|tag_errors)_total\S* [1-9]", page)
    assert re.findall(r"(?m)^statsd_http_server_active_requests\S* (\S+)$", page) == ["0"]

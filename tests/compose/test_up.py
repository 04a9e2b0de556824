"""docker-compose.yml brought up, asked through its published ports, and brought down.

The images are made here of the same versions' programs, and hold nothing else: no folders, no users. That these
programs run as the users which docker-compose.yml names, and may write their volumes, is proven; what the official
images add is not, nor is Grafana.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.collector.real import wait_until
from tests.compose.conftest import Stack, ask

# The first to use `stack` waits for images that may have to be made.
pytestmark = [pytest.mark.full, pytest.mark.timeout(900)]

POPULATED_TIMEOUT_S = 60.0
ARRIVED_TIMEOUT_S = 30.0
SERVERS = ("collector", "prometheus", "loki", "jaeger")
STAYING = ("shop", "customers", *SERVERS)
REQUESTS = 'http_server_request_duration_seconds_count{job="shop"}'
SEND_ONE = (
    "import otelbridge; otelbridge.configure(); otelbridge.logger.info('Hello'); "
    "assert otelbridge.flush(timeout_s=20.0), otelbridge.stats()"
)


@pytest.fixture(scope="module")
def running(stack: Stack) -> Iterator[Stack]:
    """The stack, brought up from nothing for the tests of this file."""
    started_s = time.monotonic()
    stack.up()
    stack.up_s = time.monotonic() - started_s
    yield stack
    stack.compose("down", "--volumes")


@pytest.fixture
def populated(running: Stack) -> Stack:
    """The stack, with the shop's telemetry in it."""
    wait_until(
        lambda: bool(series(REQUESTS) and lines('{service_name="shop"}') and traces("shop")),
        POPULATED_TIMEOUT_S,
        lambda: f"not all backends have the shop's telemetry:\n{running.compose('logs', '--tail=10')}",
    )
    return running


def test_populated_within_a_minute(running: Stack, measured: Callable[[str, float, str], None]) -> None:
    """
    A minute after the servers started, Prometheus, Loki and Jaeger have the shop's rates, records and traces.
    """
    started_s = time.monotonic()

    wait_until(
        lambda: bool(series(f"rate({REQUESTS}[1m]) > 0") and lines('{service_name="shop"}') and traces("shop")),
        POPULATED_TIMEOUT_S,
        lambda: f"not all backends have the shop's telemetry:\n{running.compose('logs', '--tail=10')}",
    )

    measured("`docker compose up` with images at hand", running.up_s, "s")
    measured("from then until logs, rates and traces of the shop can be asked for", time.monotonic() - started_s, "s")


def test_shop_is_healthy(populated: Stack) -> None:
    """
    Our image's own health check finds the shop alive.
    """
    wait_until(
        lambda: bool(populated.container("shop")["State"]["Health"]["Status"] == "healthy"),
        ARRIVED_TIMEOUT_S,
        lambda: f"the shop is not healthy: {populated.container('shop')['State']['Health']}",
    )


def test_nobody_is_root(populated: Stack) -> None:
    """
    No process that stays runs as root, and all of them run: those that write volumes may write them.
    """
    containers = {service: populated.container(service) for service in STAYING}
    print_uid = ("python", "-c", "import os; print(os.getuid())")

    assert {service: it["State"]["Status"] for service, it in containers.items()} == dict.fromkeys(STAYING, "running")
    assert not [service for service, it in containers.items() if it["Config"]["User"].partition(":")[0] in ("", "0")]
    assert populated.compose("exec", "--no-TTY", "shop", *print_uid).strip() == "10001"


def test_everybody_came_up_at_once(populated: Stack) -> None:
    """
    Nothing crashed and came back, and nothing met its memory limit.
    """
    containers = {service: populated.container(service) for service in (*STAYING, "owner")}

    assert {service: it["RestartCount"] for service, it in containers.items()} == dict.fromkeys(containers, 0)
    assert not [service for service, it in containers.items() if it["State"]["OOMKilled"]]
    assert containers["owner"]["State"]["ExitCode"] == 0


def test_image_is_small(running: Stack, measured: Callable[[str, float, str], None]) -> None:
    """
    Our image adds less than 60 MB to Python's, and has no installer in it.
    """
    base, ours = (int(running.docker.run("inspect", "--format={{.Size}}", image)) for image in running.images)
    find_pip = ("python", "-c", "import importlib.util as u; print(u.find_spec('pip'))")

    measured("what our image adds to Python's", (ours - base) / 1e6, "MB")
    assert ours - base < 60e6
    assert running.compose("exec", "--no-TTY", "shop", *find_pip).strip() == "None"


@pytest.mark.parametrize(("protocol", "port"), [("grpc", 4317), ("http/protobuf", 4318)])
def test_host_reaches_collector(running: Stack, protocol: str, port: int) -> None:
    """
    A service on this machine gets its records in through the published port of each protocol.
    """
    name = f"host-{port}"
    env = {**os.environ, **settings_of(name, protocol, f"http://127.0.0.1:{port}")}

    done = subprocess.run([sys.executable, "-c", SEND_ONE], env=env, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    wait_until(lambda: len(lines(f'{{service_name="{name}"}}')) == 1, ARRIVED_TIMEOUT_S, lambda: f"no {name} in Loki")


@pytest.mark.parametrize(("protocol", "port"), [("grpc", 4317), ("http/protobuf", 4318)])
def test_container_reaches_collector(running: Stack, protocol: str, port: int) -> None:
    """
    A service in another container gets its records in by each protocol: the receivers listen beyond localhost.
    """
    name = f"container-{port}"
    settings = settings_of(name, protocol, f"http://collector:{port}")
    env = [f"--env={key}={value}" for key, value in settings.items()]
    image = running.images[1]

    running.docker.run("run", "--rm", "--network=otelbridge_default", *env, image, "python", "-c", SEND_ONE)

    wait_until(lambda: len(lines(f'{{service_name="{name}"}}')) == 1, ARRIVED_TIMEOUT_S, lambda: f"no {name} in Loki")


def settings_of(name: str, protocol: str, endpoint: str) -> dict[str, str]:
    """The environment of a service that sends to *endpoint*."""
    return {
        "OTEL_SERVICE_NAME": name,
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
    }


def test_nothing_listens_beyond_loopback(running: Stack) -> None:
    """
    What is published can be reached from this machine, and on no other address of it.
    """
    bindings = [
        binding["HostIp"]
        for service in STAYING
        for published in (running.container(service)["NetworkSettings"]["Ports"] or {}).values()
        for binding in published or []
    ]

    assert len(bindings) == 7
    assert set(bindings) == {"127.0.0.1"}


def test_crowd_comes_with_its_profile(populated: Stack) -> None:
    """
    The profile `load` lets a crowd into the shop, and takes it out again.
    """
    assert "crowd" not in populated.compose("ps", "--services").split()

    populated.compose("--profile=load", "up", "--detach", "crowd")

    wait_until(
        lambda: bool(series(f"sum(rate({REQUESTS}[20s])) > 20")),
        POPULATED_TIMEOUT_S,
        lambda: f"not many requests: {series(f'sum(rate({REQUESTS}[20s]))')}",
    )
    populated.compose("--profile=load", "rm", "--stop", "--force", "crowd")
    assert "crowd" not in populated.compose("--profile=load", "ps", "--services").split()


def test_statsd_in_place_of_otlp(populated: Stack) -> None:
    """
    With SHOP_METRICS=statsd the shop's requests are counted over StatsD, under the shop's name.
    """
    over_statsd = 'http_server_request_duration_count{job="shop"}'
    assert series(over_statsd) == []

    populated.up(SHOP_METRICS="statsd")

    wait_until(
        lambda: bool(series(f"rate({over_statsd}[1m]) > 0")),
        POPULATED_TIMEOUT_S,
        lambda: f"Prometheus has nothing of it; it has {series('count by (__name__, job) ({job!=``})')}",
    )


def test_native_histograms(populated: Stack) -> None:
    """
    With SHOP_HISTOGRAMS=base2_exponential_bucket_histogram Prometheus keeps the shop's durations as native histograms.
    """
    populated.up(SHOP_HISTOGRAMS="base2_exponential_bucket_histogram")

    wait_until(
        lambda: bool(series('histogram_count(rate(http_server_request_duration_seconds{job="shop"}[1m])) > 0')),
        POPULATED_TIMEOUT_S,
        lambda: "Prometheus has no native histogram of the shop",
    )


def test_down_and_up_keeps_data(populated: Stack) -> None:
    """
    What was stored before `down` is there after the next `up`: every record, the totals, and traces.
    """
    until_s = time.time() - 10  # what happened before then has arrived
    records = lines('{service_name="shop"}', until_s)
    total = series(f"sum({REQUESTS})", until_s)
    (trace, *_) = traces("shop")
    assert records
    assert total

    populated.compose("down")
    populated.up()

    wait_until(
        lambda: bool(series("up") and lines('{service_name="shop"}') and ask(16686, "/api/services")),
        POPULATED_TIMEOUT_S,
        lambda: f"not all backends came back:\n{populated.compose('logs', '--tail=10')}",
    )
    assert lines('{service_name="shop"}', until_s) == records
    assert series(f"sum({REQUESTS})", until_s) == total
    assert ask(16686, f"/api/traces/{trace}")["data"][0]["traceID"] == trace


def test_down_with_volumes_forgets(running: Stack) -> None:
    """
    `down --volumes` leaves nothing: no container, no volume, no network.
    """
    running.compose("down", "--volumes")

    ours = "--filter=label=com.docker.compose.project=otelbridge"
    assert running.docker.run("ps", "--all", "--quiet", ours) == ""
    assert running.docker.run("volume", "ls", "--quiet", ours) == ""
    assert running.docker.run("network", "ls", "--quiet", ours) == ""


def series(expression: str, at_s: float | None = None) -> list[dict[str, Any]]:
    """What Prometheus answers to *expression*, now or at another time."""
    moment = {} if at_s is None else {"time": f"{at_s:.3f}"}
    answer = ask(9090, "/api/v1/query", query=expression, **moment)
    found: list[dict[str, Any]] = answer.get("data", {}).get("result", [])
    return found


def lines(selector: str, until_s: float | None = None) -> list[list[str]]:
    """Time and text of the newest thousand lines that Loki has of the last hour, newest first."""
    end_s = until_s or time.time()
    bounds = {"start": f"{end_s - 3600:.9f}", "end": f"{end_s:.9f}"}
    answer = ask(3100, "/loki/api/v1/query_range", query=selector, limit=1000, **bounds)
    found = [line for stream in answer.get("data", {}).get("result", []) for line in stream["values"]]
    return sorted(found, reverse=True)


def traces(service: str) -> list[str]:
    """Ids of twenty traces that Jaeger has of *service*."""
    return [trace["traceID"] for trace in ask(16686, "/api/traces", service=service, limit=20).get("data") or []]

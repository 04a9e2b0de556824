"""StatsD through the public names, in processes of their own that send to agents in this one."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.metrics.statsd_agents import Agent, Line, Transport, read_line
from tests.otlp.receivers import OtlpReceiver

_PREAMBLE = """
import ctypes, os, sys, threading, time
import otelbridge
from otelbridge import logger
from otelbridge.wiring import statsd_metrics
from tests.metrics.statsd_agents import Request
url, otlp = os.environ["AGENT"], os.environ["ENDPOINT"]
logger.remove()
def serve(route="/items/{id}"):
    metrics = statsd_metrics()
    metrics.started(Request(route=route))
    metrics.ended(Request(route=route), counted=True)
"""


class Ran(NamedTuple):
    output: str
    errors: str
    duration_s: float


def run(code: str, agent: str, *, endpoint: str = "http://127.0.0.1:1", **env: str) -> Ran:
    """Run a script in a fresh interpreter that knows an agent's URL and a collector's."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("OTEL", "LOGURU"))}
    clean |= {"AGENT": agent, "ENDPOINT": endpoint, "OTEL_SERVICE_NAME": "tested", "PYTHONWARNINGS": "error"} | env
    # Python 3.12 and later warn of any fork beside a thread.
    clean["PYTHONWARNINGS"] = "error,ignore:This process:DeprecationWarning"
    began_s = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _PREAMBLE + textwrap.dedent(code)],
        env=clean,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    return Ran(done.stdout.strip(), done.stderr, time.monotonic() - began_s)


@pytest.fixture
def agent() -> Iterator[Agent]:
    found = Agent("udp")
    yield found
    found.stop()


def counted(lines: list[str], dialect: str = "dogstatsd") -> dict[str, float]:
    """Requests by route, of all counters."""
    read = [read_line(dialect, line) for line in lines]
    return {
        route: sum(line.value for line in read if is_count(line) and line.attributes.get("http.route") == route)
        for route in {line.attributes["http.route"] for line in read if is_count(line)}
    }


def is_count(line: Line) -> bool:
    return line.name.endswith("otelbridge.http.requests")


@pytest.mark.parametrize("transport", ["udp", "tcp", "unix", "unixgram"])
def test_settings_reach_the_wire(transport: Transport, tmp_path: Path) -> None:
    """configure(metrics="statsd") sends requests to the agent of the URL, at exit at the latest, and no OTLP points."""
    agent = Agent(transport, tmp_path / "agent" if transport.startswith("unix") else None)
    receiver = OtlpReceiver()

    ran = run(
        """
        otelbridge.configure(endpoint=otlp, metrics="statsd", statsd=url, statsd_prefix="shop.")
        for _ in range(3):
            serve()
        logger.info("kept")
        """,
        agent.url,
        endpoint=receiver.endpoint,
    )

    lines = agent.wait_for(lambda lines: sum(counted(lines).values()) >= 3)
    assert {line.partition(".")[0] for line in lines} == {"shop"}
    assert counted(lines) == {"/items/{id}": 3}
    assert receiver.bodies() == ["kept"]
    assert receiver.points() == []
    assert ran.errors == ""
    receiver.close()
    agent.stop()


def test_variables_are_enough(agent: Agent) -> None:
    """OTELBRIDGE_METRICS, _STATSD, _STATSD_DIALECT and _STATSD_PREFIX say all, also with OTEL_SDK_DISABLED."""
    ran = run(
        'serve(); print(otelbridge.flush(5), sorted(t.name for t in threading.enumerate() if "bridge" in t.name))',
        agent.url,
        OTELBRIDGE_METRICS="statsd",
        OTELBRIDGE_STATSD=agent.url,
        OTELBRIDGE_STATSD_DIALECT="graphite",
        OTELBRIDGE_STATSD_PREFIX="shop",
        OTEL_SDK_DISABLED="true",
    )

    lines = [read_line("graphite", line) for line in agent.wait_lines(5)]
    assert {line.name.partition(".")[0] for line in lines} == {"shop"}
    assert (ran.output, ran.errors) == ("True ['otelbridge-statsd']", "")


def test_naming_an_agent_does_not_select_it(agent: Agent) -> None:
    """With statsd= alone there is no thread, no socket and no line: metrics go by OTLP, as ever."""
    ran = run(
        """
        otelbridge.configure(endpoint=otlp, logs="none", traces="none", metrics="none", statsd=url)
        print(otelbridge.flush(5), "otelbridge.metrics.statsd.clients" in sys.modules, threading.active_count())
        """,
        agent.url,
    )

    assert (ran.output, ran.errors) == ("True False 1", "")
    assert agent.packets == []


@pytest.mark.parametrize("disabled", ["false", "true"])
def test_another_configure_moves_the_lines(agent: Agent, disabled: str) -> None:
    """configure() again sends to another agent, in another dialect, whatever OTEL_SDK_DISABLED says."""
    second = Agent("tcp")

    run(
        """
        otelbridge.configure(endpoint=otlp, logs="none", metrics="statsd", statsd=url)
        serve("/first")
        assert otelbridge.flush(5)
        otelbridge.configure(endpoint=otlp, logs="none", metrics="statsd", statsd=os.environ["SECOND"],
                             statsd_dialect="influx")
        serve("/second")
        """,
        agent.url,
        SECOND=second.url,
        OTEL_SDK_DISABLED=disabled,
    )

    assert counted(second.wait_lines(5), "influx") == {"/second": 1}
    assert counted(agent.wait_lines(5)) == {"/first": 1}
    second.stop()


def test_shutdown_ends_and_configure_begins_again(agent: Agent) -> None:
    """After shutdown() nothing is sent and no thread runs; configure() revives it."""
    ran = run(
        """
        def begin():
            otelbridge.configure(endpoint=otlp, logs="none", traces="none", metrics="statsd", statsd=url)
        begin()
        serve("/before")
        print(otelbridge.shutdown(5), [t.name for t in threading.enumerate() if "bridge" in t.name])
        serve("/lost")
        begin()
        serve("/after")
        """,
        agent.url,
    )

    lines = agent.wait_for(lambda lines: sum(counted(lines).values()) >= 2)
    assert counted(lines) == {"/before": 1, "/after": 1}
    assert (ran.output, ran.errors) == ("True []", "")


FORKS = {
    "seen": "os.fork()",
    "unseen": "ctypes.PyDLL(None).fork()",
}


@pytest.mark.parametrize("transport", ["udp", "tcp"])
@pytest.mark.parametrize("fork", FORKS)
def test_forked_children_send_their_own(transport: Transport, fork: str) -> None:
    """Parent and child, forked by Python or past it, each send what they measured, once, over their own connections."""
    agent = Agent(transport)

    run(
        f"""
        otelbridge.configure(endpoint=otlp, logs="none", traces="none", metrics="statsd", statsd=url)
        serve("/connect")
        assert otelbridge.flush(5)
        for _ in range(5):
            serve("/parent")
        pid = {FORKS[fork]}
        if pid == 0:
            for _ in range(7):
                serve("/child")
            assert otelbridge.flush(5)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        assert status == 0
        """,
        agent.url,
    )

    lines = agent.wait_for(lambda lines: sum(counted(lines).values()) >= 13)
    assert counted(lines) == {"/connect": 1, "/parent": 5, "/child": 7}
    assert agent.connection_count == (2 if agent.is_stream else 0)
    agent.stop()


def test_forked_child_begins_by_itself(agent: Agent) -> None:
    """Where all metrics go to StatsD, a child's thread does not wait for a first request: log records are counted."""
    ran = run(
        """
        otelbridge.configure(endpoint=otlp, logs="none", traces="none", metrics="statsd", statsd=url)
        if os.fork() == 0:
            print([t.name for t in threading.enumerate() if "statsd" in t.name], flush=True)
            os._exit(0)
        os.wait()
        """,
        agent.url,
    )

    assert ran.output == "['otelbridge-statsd']"


@pytest.mark.parametrize(
    "url", ["udp://127.0.0.1:1", "udp://agent.invalid", "tcp://127.0.0.1:1", "unix:///nowhere/agent"]
)
def test_absent_agent_is_harmless(url: str) -> None:
    """Nobody at the address: the app runs, ends in time, and stderr has at most one line that says where and why."""
    ran = run(
        """
        otelbridge.configure(endpoint=otlp, logs="none", traces="none", metrics="statsd", statsd=url)
        for _ in range(3):
            serve()
            otelbridge.flush(5)
        """,
        url,
    )

    (line,) = ran.errors.splitlines()
    assert line.startswith(f"otelbridge: cannot send metrics to {url}")
    assert ran.duration_s < 20


def test_users_client(agent: Agent) -> None:
    """A `statsd.StatsClient` of the user's own is taken as the way out, in the plain dialect."""
    run(
        """
        import statsd
        _, host, port = url.replace("//", "").split(":")
        client = statsd.StatsClient(host, int(port), prefix="mine")
        otelbridge.configure(endpoint=otlp, logs="none", traces="none", metrics="statsd", statsd=client)
        serve()
        assert otelbridge.flush(5)
        """,
        agent.url,
    )

    assert "mine.otelbridge.http.requests:1|c" in agent.wait_lines(5)


def test_example(agent: Agent) -> None:
    """examples/with_statsd.py serves, and its requests reach the agent by route."""
    ran = run(
        """
        import asyncio, httpx, runpy
        way = httpx.ASGITransport(runpy.run_path("examples/with_statsd.py")["app"])
        async def visit():
            async with httpx.AsyncClient(transport=way, base_url="http://shop") as client:
                return [(await client.get(path)).status_code for path in ("/items/7", "/items/8", "/nothing")]
        print(asyncio.run(visit()))
        """,
        agent.url,
        OTELBRIDGE_STATSD=agent.url,
        OTEL_LOGS_EXPORTER="none",
        OTEL_TRACES_EXPORTER="none",
    )

    lines = [read_line("dogstatsd", line) for line in agent.wait_for(lambda lines: any("404" in one for one in lines))]
    requests = {line.attributes.get("http.route"): line.value for line in lines if is_count(line)}
    assert ran.output == "[200, 200, 404]"
    assert requests == {"/items/{id}": 2, None: 1}

"""The sender's rounds: what a request measured is sent once, by a thread of its own; what is not sent is counted."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import statsd

from otelbridge.metrics.statsd.clients import UdpClient, UnreachableError
from otelbridge.metrics.statsd.lines import DIALECTS
from otelbridge.metrics.statsd.output import ClientOutput, Output, PacketOutput
from otelbridge.metrics.statsd.sender import THREAD_NAME, Route, StatsdSender
from otelbridge.metrics.statsd.sources import StatsdLogRecords, StatsdRequestMetrics
from tests.metrics.statsd_agents import Agent, Line, Request, Session, read_line, totals

# Rounds come when they are asked for: the interval is a day.
NEVER_S = 86_400.0


class Client:
    """A way to an agent that keeps packets, fails or hangs as the test says."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []
        self.error: OSError | None = None
        self.closed_count = 0
        self.go = threading.Event()
        self.go.set()
        self.threads: set[str] = set()

    def deliver(self, packet: bytes) -> None:
        self.threads.add(threading.current_thread().name)
        self.go.wait(10)
        if self.error is not None:
            raise self.error
        self.packets.append(packet)

    def close(self) -> None:
        self.closed_count += 1

    def take(self, dialect: str = "dogstatsd") -> list[Line]:
        """The lines since the last call."""
        packets, self.packets = self.packets, []
        return [read_line(dialect, line) for packet in packets for line in packet.decode("ascii").split("\n")]


class Bench:
    """A sender with request metrics, whose rounds are flushes."""

    def __init__(self, output: Output | None = None, *, dialect: str = "dogstatsd", **options: Any) -> None:
        self.client = Client()
        self.told: list[tuple[str, str]] = []
        output = PacketOutput(self.client, "udp://agent") if output is None else output
        self.sender = StatsdSender(
            Route(output, DIALECTS[dialect], "shop"),
            tell=lambda key, text: self.told.append((key, text)),
            interval_s=NEVER_S,
        )
        self.metrics = StatsdRequestMetrics(self.sender, **options)
        self.sender.set_sources(self.metrics)

    def request(self, **fields: Any) -> None:
        """One request from start to end."""
        self.metrics.started(Request(**fields))
        self.metrics.ended(Request(**fields), counted=True)

    def flush(self, timeout_s: float = 10.0) -> bool:
        """A round."""
        return self.sender.wait_flush(self.sender.ask_flush(), time.monotonic() + timeout_s)


MakeBench = Callable[..., Bench]


@pytest.fixture
def make_bench() -> Iterator[MakeBench]:
    made: list[Bench] = []

    def make(*arguments: Any, **options: Any) -> Bench:
        made.append(Bench(*arguments, **options))
        return made[-1]

    yield make
    for bench in made:
        bench.client.go.set()
        bench.sender.stop(time.monotonic() + 10)


def test_request_becomes_the_table(make_bench: MakeBench) -> None:
    """A request is a duration in milliseconds, two sizes and a count, all with the attributes of OpenTelemetry's."""
    bench = make_bench()

    bench.request(duration_ns=1_234_567, request_body_size=0, response_body_size=99)

    assert bench.flush()
    attributes = {
        "http.request.method": "GET",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "http.response.status_code": "200",
        "http.route": "/items/{id}",
    }
    active = {"http.request.method": "GET", "url.scheme": "http"}
    assert bench.client.take() == [
        Line("shop.http.server.active_requests", "g", 0, active),
        Line("shop.http.server.request.duration", "ms", 1.235, attributes),
        Line("shop.http.server.request.body.size", "h", 0, attributes),
        Line("shop.http.server.response.body.size", "h", 99, attributes),
        Line("shop.otelbridge.http.requests", "c", 1, attributes),
    ]


def test_session_becomes_the_table(make_bench: MakeBench) -> None:
    """A WebSocket session is its own duration, messages and bytes each way, and nothing of a request's."""
    bench = make_bench()

    bench.metrics.session_started(Session())
    bench.metrics.session_ended(Session(request_body_size=5, response_body_size=0), counted=True)

    assert bench.flush()
    way = {"url.scheme": "ws", "http.route": "/items/{id}"}
    whole = way | {"network.protocol.version": "1.1", "websocket.closed_by": "client"}
    assert bench.client.take() == [
        Line("shop.otelbridge.websocket.active_sessions", "g", 0, {"url.scheme": "ws"}),
        Line("shop.otelbridge.websocket.session.duration", "ms", 1.5, whole),
        Line("shop.otelbridge.websocket.messages", "c", 3, way | {"network.io.direction": "receive"}),
        Line("shop.otelbridge.websocket.messages", "c", 2, way | {"network.io.direction": "transmit"}),
        Line("shop.otelbridge.websocket.io", "c", 5, way | {"network.io.direction": "receive"}),
    ]


def test_counters_are_deltas_summed_between_rounds(make_bench: MakeBench) -> None:
    """A hundred requests are one line of a hundred, and the next round counts from zero."""
    bench = make_bench()
    counts = []

    for number in (100, 7, 0):
        for _ in range(number):
            bench.request()
        assert bench.flush()
        counts.append([line.value for line in bench.client.take() if line.kind == "c"])

    assert counts == [[100], [7], []]


def test_level_is_sent_when_it_changed(make_bench: MakeBench) -> None:
    """active_requests is absolute: sent in the round after a change, and not while it stays."""
    bench = make_bench()
    levels = []

    for rises, falls in ((1, 0), (0, 0), (1, 0), (1, 1), (0, 2)):
        for _ in range(rises):
            bench.metrics.started(Request())
        for _ in range(falls):
            bench.metrics.ended(Request(), counted=True)
        assert bench.flush()
        levels.append([line.value for line in bench.client.take() if line.kind == "g"])

    assert levels == [[1], [], [2], [], [0]]


def test_level_is_never_below_zero(make_bench: MakeBench) -> None:
    """A request that ended here but began before a fork makes no minus, which StatsD would subtract."""
    bench = make_bench()

    bench.metrics.ended(Request(), counted=True)

    assert bench.flush()
    assert [line.value for line in bench.client.take() if line.kind == "g"] == [0]


def test_level_is_told_again_after_a_failure(make_bench: MakeBench) -> None:
    """A level that may not have arrived is sent in the next round; deltas of a failed round are lost and counted."""
    bench = make_bench()
    bench.client.error = ConnectionRefusedError("nobody")
    bench.metrics.started(Request())
    bench.metrics.ended(Request(), counted=False)

    assert not bench.flush()
    bench.client.error = None
    assert bench.flush()

    assert [(line.kind, line.value) for line in bench.client.take()] == [("g", 1)]
    assert bench.sender.counts().lost["send_failed"] == 5


def test_levels_of_threads_add_up(make_bench: MakeBench) -> None:
    """Requests that begin and end on many threads at once leave no level and lose no count."""
    bench = make_bench()

    def work() -> None:
        for _ in range(500):
            bench.request()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert bench.flush()
    lines = bench.client.take()
    assert [line.value for line in lines if line.kind == "g"] == [0]
    assert sum(line.value for line in lines if line.kind == "c") == 4000


def test_full_buffer_drops_the_newest(make_bench: MakeBench) -> None:
    """What finds no room is counted; what was kept is sent; the level is right all the same."""
    bench = make_bench(capacity=3)

    for number in range(5):
        bench.request(response_body_size=number)

    assert bench.flush()
    lines = bench.client.take()
    sizes = [line.value for line in lines if line.name.endswith("response.body.size")]
    assert sizes == [0, 1, 2]
    assert [line.value for line in lines if line.kind == "g"] == [0]
    assert bench.sender.counts().lost["no_room"] == 2


def test_series_are_capped(make_bench: MakeBench) -> None:
    """Routes beyond the cap share one series, named as the SDK names it, and no count is lost."""
    bench = make_bench(groups_max=10)

    for number in range(1_000):
        bench.request(route=f"/{number}")

    assert bench.flush()
    counted = [line for line in bench.client.take() if line.kind == "c"]
    assert len(counted) == 11
    assert sum(line.value for line in counted) == 1_000
    assert counted[-1].attributes == {"otel.metric.overflow": "true"}
    assert counted[-1].value == 990


def test_thread_is_started_by_the_first_measurement(make_bench: MakeBench) -> None:
    """A sender costs no thread until something is measured; then it sends from a thread named otelbridge-statsd."""
    bench = make_bench()
    before = [thread.name for thread in threading.enumerate()]

    bench.request()
    assert bench.flush()

    assert THREAD_NAME not in before
    assert bench.client.threads == {"otelbridge-statsd"}


def test_rounds_come_by_themselves() -> None:
    """Nobody has to flush: within the interval what was measured is sent."""
    agent = Agent("udp")
    sender = StatsdSender(
        Route(PacketOutput(UdpClient("127.0.0.1", agent.port), agent.url), DIALECTS["plain"], ""), interval_s=0.01
    )
    metrics = StatsdRequestMetrics(sender)
    sender.set_sources(metrics)

    metrics.ended(Request(), counted=False)

    assert totals(read_line("plain", line) for line in agent.wait_lines(4)) == {
        ("http.server.request.duration", "ms"): 1,
        ("http.server.request.body.size", "ms"): 1,
        ("http.server.response.body.size", "ms"): 1,
        ("otelbridge.http.requests", "c"): 1,
    }
    sender.stop(time.monotonic() + 10)
    agent.stop()


def test_many_requests_share_a_packet(make_bench: MakeBench) -> None:
    """Hundreds of requests take a packet for several each, not several for each."""
    bench = make_bench()

    for _ in range(300):
        bench.request()

    assert bench.flush()
    counts = bench.sender.counts()
    assert counts.lines == 300 * 3 + 2
    assert counts.packets < 300 / 2


def test_failure_is_told_once_and_counted(make_bench: MakeBench) -> None:
    """An agent that cannot be reached makes flush say False, is counted, and is named with one key and sentence."""
    bench = make_bench()
    bench.client.error = UnreachableError("no such host")

    for _ in range(2):
        bench.request()
        assert not bench.flush()

    sentence = "cannot send metrics to udp://agent: no such host; what does not arrive is lost"
    assert set(bench.told) == {("statsd udp://agent", sentence)}
    counts = bench.sender.counts()
    assert (counts.errors, counts.lines, counts.lost["send_failed"]) == (2, 0, 10)


def test_mistake_in_a_source_does_not_end_the_thread(make_bench: MakeBench) -> None:
    """An exception in a round is counted and told; the next round is sent."""
    bench = make_bench()

    def fail() -> dict[str, int]:
        raise RuntimeError("boom")

    bench.sender.set_sources(StatsdLogRecords(fail), bench.metrics)
    assert not bench.flush()
    bench.sender.set_sources(bench.metrics)
    bench.request()

    assert bench.flush()
    assert len(bench.client.take()) == 5
    assert "boom" in bench.told[0][1]


def test_flush_keeps_its_deadline(make_bench: MakeBench) -> None:
    """A name server or an agent that hangs makes flush late by nothing: it says False in time."""
    bench = make_bench()
    bench.client.go.clear()
    bench.request()
    began_s = time.monotonic()

    assert not bench.flush(timeout_s=0.05)

    assert time.monotonic() - began_s < 5
    bench.client.go.set()
    assert bench.flush()


def test_stop_sends_what_is_left(make_bench: MakeBench) -> None:
    """After stop all is sent and the connection closed; what is measured later is counted, and starts no thread."""
    bench = make_bench()
    bench.request()

    bench.sender.stop(time.monotonic() + 10)
    bench.request()

    assert [line.kind for line in bench.client.take()] == ["g", "ms", "h", "h", "c"]
    assert bench.client.closed_count == 1
    assert bench.sender.counts().lost["no_room"] == 1
    assert THREAD_NAME not in [thread.name for thread in threading.enumerate()]


def test_stopped_sender_stays_so_in_a_child(make_bench: MakeBench) -> None:
    """A process forked after shutdown sends as little as its parent."""
    bench = make_bench()
    bench.sender.stop(time.monotonic() + 10)

    bench.sender.after_fork()
    bench.request()

    assert bench.sender.is_stopped
    assert bench.sender.counts().lost["no_room"] == 1


def test_change_of_route_revives_and_tells_levels_again(make_bench: MakeBench) -> None:
    """A new route takes over from the next round on, with its dialect and prefix, also after stop."""
    bench, other = make_bench(), Client()
    bench.metrics.started(Request())
    assert bench.flush()
    bench.sender.stop(time.monotonic() + 10)

    bench.sender.change_route(Route(PacketOutput(other, "udp://other"), DIALECTS["influx"], "new"))
    bench.metrics.ended(Request(), counted=False)

    assert bench.flush()
    assert other.take("influx")[0] == Line(
        "new.http.server.active_requests", "g", 1, {"http.request.method": "GET", "url.scheme": "http"}
    )


def test_change_of_route_closes_the_former(make_bench: MakeBench) -> None:
    """The connection to the agent before is closed once a round has gone the new way, and not sooner."""
    bench, other = make_bench(), Client()
    bench.request()
    assert bench.flush()

    bench.sender.change_route(Route(PacketOutput(other, "udp://other"), DIALECTS["plain"], ""))
    closed_before = bench.client.closed_count
    bench.request()
    assert bench.flush()

    assert (closed_before, bench.client.closed_count, other.closed_count) == (0, 1, 0)
    assert len(other.take("plain")) == 5


def test_flush_works_where_no_thread_can_be_made(make_bench: MakeBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """While Python ends, threads are refused: whoever flushes does the round."""
    bench = make_bench()

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    bench.request()

    assert bench.flush()
    assert len(bench.client.take()) == 5
    assert bench.client.threads == {threading.current_thread().name}


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        ("plain", ["shop.http.server.request.duration:1.500000|ms", "shop.otelbridge.http.requests:1|c"]),
        (
            "influx",
            [
                "shop.http.server.request.duration,http.request.method=GET,url.scheme=http,"
                "network.protocol.version=1.1:1.500000|ms",
                "shop.otelbridge.http.requests,http.request.method=GET,url.scheme=http,"
                "network.protocol.version=1.1:1|c",
            ],
        ),
    ],
)
def test_users_own_client(make_bench: MakeBench, dialect: str, expected: list[str]) -> None:
    """A `statsd.StatsClient` gets the same by its public methods, attributes in the name; its prefix comes first."""
    agent = Agent("udp")
    client = statsd.StatsClient("127.0.0.1", agent.port, prefix="mine")
    bench = make_bench(ClientOutput(client), dialect=dialect)

    bench.request(status=None, route=None)

    assert bench.flush()
    lines = agent.wait_lines(5)
    assert {f"mine.{line}" for line in expected} < set(lines)
    client.close()
    agent.stop()


def test_users_own_client_that_raises(make_bench: MakeBench) -> None:
    """A TCP client of the user's whose agent is away raises into nothing but our count, and works once it is back."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    client = statsd.TCPStatsClient("127.0.0.1", port, timeout=1)
    bench = make_bench(ClientOutput(client), dialect="plain")

    bench.request()
    assert not bench.flush()
    agent = Agent("tcp", port=port)
    bench.request()
    assert bench.flush()

    assert len(agent.wait_lines(5)) == 5
    assert bench.sender.counts().errors == 1
    client.close()
    agent.stop()


def test_log_records_are_deltas_by_level(make_bench: MakeBench) -> None:
    """The counts of levels go out as what they have grown by; a forked child's begin at zero again."""
    bench = make_bench()
    counts = {"INFO": 2}
    bench.sender.set_sources(StatsdLogRecords(lambda: counts))
    sent = []

    for now in ({"INFO": 2}, {"INFO": 2, "Ünsinn": 1}, {"INFO": 1}):
        counts.clear()
        counts.update(now)
        assert bench.flush()
        sent.append([(line.name, line.value, line.attributes["log.level"]) for line in bench.client.take()])

    name = "shop.otelbridge.log.records"
    assert sent == [[(name, 2, "INFO")], [(name, 1, "_nsinn")], [(name, 1, "INFO")]]

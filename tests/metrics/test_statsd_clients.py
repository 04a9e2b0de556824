"""Ways to an agent on real sockets: each transport, agents that restart, move or are not there, hosts that move."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from otelbridge.metrics.instruments import REQUESTS
from otelbridge.metrics.statsd.clients import PacketClient, TcpClient, UdpClient, UnixClient, UnreachableError
from otelbridge.metrics.statsd.lines import DIALECTS, make_series
from otelbridge.metrics.statsd.output import PacketOutput, SendCounts
from tests.metrics.statsd_agents import Agent, Transport

StartAgent = Callable[..., Agent]


@pytest.fixture
def start_agent(tmp_path: Path) -> Iterator[StartAgent]:
    """Start an agent; one on a Unix socket takes the place of the one before."""
    started: list[Agent] = []

    def start(transport: Transport, **options: Any) -> Agent:
        path = tmp_path / "agent" if transport in ("unix", "unixgram") else None
        if path is not None:
            path.unlink(missing_ok=True)
        started.append(Agent(transport, path, **options))
        return started[-1]

    yield start
    for agent in started:
        agent.stop()


def make_client(agent: Agent, scheme: str | None = None) -> PacketClient:
    """A client for the agent, as its URL (or another scheme) asks for."""
    scheme = scheme or agent.transport
    if scheme == "udp":
        return UdpClient(agent.host, agent.port)
    if scheme == "tcp":
        return TcpClient(agent.host, agent.port)
    return UnixClient(str(agent.path), datagram=scheme == "unixgram")


WAYS = [("udp", "udp"), ("tcp", "tcp"), ("unix", "unix"), ("unixgram", "unixgram"), ("unixgram", "unix")]


@pytest.mark.parametrize(("transport", "scheme"), WAYS)
def test_packet_arrives(start_agent: StartAgent, transport: Transport, scheme: str) -> None:
    """Over each transport, and over `unix://` to a datagram socket, lines arrive as they were given."""
    agent = start_agent(transport)
    client = make_client(agent, scheme)

    client.deliver(b"a:1|c\nb:2|c")
    client.deliver(b"c:3|c")

    assert agent.wait_lines(3) == ["a:1|c", "b:2|c", "c:3|c"]
    client.close()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_ipv6(start_agent: StartAgent, transport: Transport) -> None:
    """An IPv6 address works as an IPv4 one."""
    agent = start_agent(transport, host="::1")
    client = make_client(agent)

    client.deliver(b"a:1|c")

    assert agent.wait_lines(1) == ["a:1|c"]
    client.close()


@pytest.mark.parametrize(("transport", "scheme"), WAYS)
def test_restarted_agent_is_found_again(start_agent: StartAgent, transport: Transport, scheme: str) -> None:
    """What is sent while an agent is gone is lost with an error at most; what is sent once it is back arrives."""
    former = start_agent(transport)
    client = make_client(former, scheme)
    client.deliver(b"before:1|c")
    former.wait_lines(1)

    former.stop()
    try_to_deliver(client, b"meanwhile:1|c")
    agent = start_agent(transport, port=former.port)
    try_to_deliver(client, b"after:1|c")
    client.deliver(b"later:1|c")

    assert agent.wait_lines(2)[-2:] == ["after:1|c", "later:1|c"]
    client.close()


@pytest.mark.parametrize("transport", ["tcp", "unix", "unixgram"])
def test_restart_between_two_packets_costs_none(start_agent: StartAgent, transport: Transport) -> None:
    """Where there is a connection, an agent that restarts while nothing is sent gets the very next packet."""
    former = start_agent(transport)
    client = make_client(former)
    client.deliver(b"before:1|c")
    former.wait_lines(1)

    former.stop()
    agent = start_agent(transport, port=former.port)
    client.deliver(b"after:1|c")

    assert agent.wait_lines(1) == ["after:1|c"]
    client.close()


def try_to_deliver(client: PacketClient, packet: bytes) -> None:
    """Deliver, where an error is as good."""
    try:
        client.deliver(packet)
    except OSError:
        return


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: TcpClient("127.0.0.1", 1),
        lambda folder: TcpClient("agent.invalid", 8125),
        lambda folder: UdpClient("agent.invalid", 8125),
        lambda folder: UdpClient("a" * 70 + ".test", 8125),
        lambda folder: UnixClient(str(folder / "nothing")),
        lambda folder: UnixClient(str(folder / "nothing"), datagram=True),
        lambda folder: UnixClient(str(folder / ("long" * 50))),
    ],
    ids=["tcp", "tcp-name", "udp-name", "udp-odd-name", "unix", "unixgram", "unix-long"],
)
def test_agent_that_cannot_be_reached(make: Callable[[Path], PacketClient], tmp_path: Path) -> None:
    """A client can be made for what is not there; sending says that it cannot be reached, once per packet."""
    client = make(tmp_path)

    for _ in range(2):
        with pytest.raises(UnreachableError) as caught:
            client.deliver(b"a:1|c")
        assert str(caught.value)
    client.close()


def test_absent_udp_agent_is_noticed() -> None:
    """The second packet says that nobody took the first, where the kernel knows."""
    client = UdpClient("127.0.0.1", 1)
    client.deliver(b"a:1|c")

    with pytest.raises(ConnectionRefusedError):
        client.deliver(b"b:1|c")
    client.close()


class Names:
    """A resolver: what each look-up answers, and how many there were."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.answer: tuple[str, int] | None = None
        self.count = 0
        monkeypatch.setattr(socket, "getaddrinfo", self.look_up)

    def look_up(self, host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
        self.count += 1
        assert (host, port) == ("agent.test", 8125)
        if self.answer is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            (socket.AF_INET6, socket.SOCK_DGRAM, 17, "", ("::1", 9, 0, 0)),
            (socket.AF_INET, socket.SOCK_DGRAM, 17, "", self.answer),
        ]


def test_host_is_looked_up_now_and_then(start_agent: StartAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that is unknown at first is found later; one that moves is followed; no packet is looked up for."""
    first, second = start_agent("udp"), start_agent("udp")
    names, now_s = Names(monkeypatch), [0.0]
    client = UdpClient("agent.test", 8125, resolve_interval_s=30, clock=lambda: now_s[0])

    with pytest.raises(UnreachableError, match="Name or service not known"):
        client.deliver(b"lost:1|c")
    names.answer, now_s[0] = ("127.0.0.1", first.port), 30.0
    for _ in range(100):
        client.deliver(b"one:1|c")
    names.answer, now_s[0] = ("127.0.0.1", second.port), 59.0
    client.deliver(b"still:1|c")
    now_s[0] = 60.0
    client.deliver(b"two:1|c")
    names.answer, now_s[0] = None, 90.0
    client.deliver(b"three:1|c")

    assert first.wait_lines(101) == ["one:1|c"] * 100 + ["still:1|c"]
    assert second.wait_lines(2) == ["two:1|c", "three:1|c"]
    assert names.count == 4
    client.close()


def test_unreachable_agent_costs_a_round_one_attempt() -> None:
    """The packets of a round after the first that found no connection are counted as lost, and not tried."""

    class Gone:
        attempts = 0

        def deliver(self, packet: bytes) -> None:
            self.attempts += 1
            raise UnreachableError("gone")

        def close(self) -> None:
            pass

    client, counts = Gone(), SendCounts()
    output = PacketOutput(client, "test")
    series = make_series(DIALECTS["dogstatsd"], "", REQUESTS, {"http.route": "/" + "a" * 150})

    output.begin(counts)
    for _ in range(100):
        output.add(series, 1)
    failure = output.finish()

    assert str(failure) == "gone"
    assert (client.attempts, counts.errors, counts.lines, counts.lost["send_failed"]) == (1, 1, 0, 100)


def test_hanging_stream_agent_ends_in_a_timeout(start_agent: StartAgent) -> None:
    """An agent that accepts and reads nothing costs the timeout, and the connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    client = TcpClient("127.0.0.1", listener.getsockname()[1], timeout_s=0.1)

    with pytest.raises(TimeoutError):
        client.deliver(b"x" * (1 << 24))

    listener.close()
    client.close()


def test_methods_of_the_statsd_package_work(start_agent: StartAgent) -> None:
    """Our clients are the package's: incr and the others send through them, Unicode too."""
    agent = start_agent("udp")
    client = UdpClient("127.0.0.1", agent.port)

    client.incr("é", 2)
    client.timing("t", 1.5)

    assert [packet.decode() for packet in agent.wait_packets(2)] == ["é:2|c", "t:1.500000|ms"]
    client.close()

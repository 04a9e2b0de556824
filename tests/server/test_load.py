"""Two workers at full speed, while they are replaced and killed, and while agent and collector restart.

Each promise twice: in a few seconds with a client of our own, and (marked full) for 30 s with wrk.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest

from tests.otlp.receivers import OtlpReceiver
from tests.server.clients import Crowd, connected, read_all, reset
from tests.server.serving import Served, is_alive, serving, wait_until

Measured = Callable[[str, float, str], None]

CONNECTIONS = 8
# How long a record waits for its batch, and how long that may then be on its way here, where two cores do everything.
BATCH_DELAY_S, SENDING_S = 1.0, 2.0

# Counts what it answers where it is not lost when the worker is killed.
COUNTING = """
import mmap, os, struct
from otelbridge import logger

logger.remove()

class Count:
    def __init__(self):
        path = os.path.join(os.environ["COUNTS"], str(os.getpid()))
        with open(path, "w+b") as file:
            file.write(bytes(8))
            file.flush()
            self.memory = mmap.mmap(file.fileno(), 8)
        self.value = 0

    def up(self):
        self.value += 1
        struct.pack_into("Q", self.memory, 0, self.value)

count = Count()
body = str(os.getpid()).encode()
headers = [(b"content-length", str(len(body)).encode())]

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        for word in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{word}.complete"})
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    if scope["path"] == "/":
        count.up()
    await send({"type": "http.response.body", "body": body})
"""


class Load(Protocol):
    """Requests at full speed for as long as the block lasts; afterwards, what became of them."""

    def __enter__(self) -> Load: ...
    def __exit__(self, *_: object) -> None: ...
    @property
    def answered(self) -> int: ...
    @property
    def lasted_s(self) -> float: ...
    @property
    def failure_count(self) -> int: ...
    @property
    def unread(self) -> int:
        """Answers that it may not have waited for, at most."""


class Own(Crowd):
    """Our own client; it waits for every answer."""

    unread = 0

    def __init__(self, port: int) -> None:
        super().__init__(port, CONNECTIONS)


class Wrk:
    """wrk, which leaves in the middle of its last requests."""

    unread = CONNECTIONS

    def __init__(self, port: int) -> None:
        self._command = ["wrk", "-t2", f"-c{CONNECTIONS}", "-d600s", "--timeout", "60s", f"http://127.0.0.1:{port}/"]
        self.answered = self.failure_count = 0
        self.lasted_s = 0.0

    def __enter__(self) -> Wrk:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGINT)  # it ends, and says what it has done
        said = self._process.communicate(timeout=60)[0]
        found = re.search(r"(\d+) requests in ([\d.]+)(s|m)", said)
        assert found is not None, said
        self.answered = int(found[1])
        self.lasted_s = float(found[2]) * (60 if found[3] == "m" else 1)
        errors = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", said)
        refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
        self.failure_count = sum(map(int, errors.groups())) if errors else 0
        self.failure_count += int(refused[1]) if refused else 0


class Kind(NamedTuple):
    """A client, and for how long it runs."""

    start: Callable[[int], Load]
    lasts_s: float


@pytest.fixture(params=["own", pytest.param("wrk", marks=pytest.mark.full)])
def kind(request: pytest.FixtureRequest) -> Kind:
    if request.param == "own":
        return Kind(Own, 4.0)
    if shutil.which("wrk") is None:
        pytest.skip("wrk is not installed (Debian, Ubuntu: apt install wrk)")
    return Kind(Wrk, 30.0)


class Site:
    """A server of the app that counts, and its collector."""

    def __init__(self, served: Served, collector: Collector, counts: Path) -> None:
        self.served = served
        self.collector = collector
        self._counts = counts

    def counted(self) -> int:
        """How many requests the apps have answered, in all their processes."""
        return sum(int.from_bytes(path.read_bytes(), "little") for path in self._counts.iterdir())

    def end(self) -> None:
        """Stop the server: what it still has to send, it sends."""
        assert self.served.stop() == 0
        assert "Traceback" not in self.served.err


class Collector:
    """A collector that can be down, all its connections with it, and come back on the same port."""

    def __init__(self) -> None:
        self._receivers = [OtlpReceiver()]
        self._port = self._receivers[0].port
        self._connections: list[socket.socket] = []
        self._follow()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def stop(self) -> None:
        self._receivers[-1].close()
        for connection in self._connections:
            with contextlib.suppress(OSError):  # closed by the other end
                connection.shutdown(socket.SHUT_RDWR)
        self._connections.clear()

    def start(self) -> None:
        self._receivers.append(OtlpReceiver(port=self._port))
        self._follow()

    def records(self, path: str = "/") -> int:
        """How many requests for *path* have a record here; one that came twice, as its batch was cut off, is one."""
        found = set()
        for receiver in self._receivers:
            for received in receiver.logs():
                if received.item.event_name == "http.server.access":
                    attributes = received.attributes
                    if attributes["url.path"] == path:
                        found.add(attributes["otelbridge.request_id"])
        return len(found)

    def _follow(self) -> None:
        server, connections = self._receivers[-1]._server, self._connections
        process = server.process_request

        def follow(connection: socket.socket, address: object) -> None:
            connections.append(connection)
            process(connection, address)

        server.process_request = follow


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.stop()


@contextlib.contextmanager
def site(folder: Path, collector: Collector, *options: str) -> Iterator[Site]:
    """The server, for as long as the block lasts."""
    counts = folder / "counts"
    counts.mkdir()
    variables: dict[str, Any] = {
        "OTEL_SDK_DISABLED": "false",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
        "OTEL_BLRP_SCHEDULE_DELAY": str(int(BATCH_DELAY_S * 1000)),
        "OTEL_TRACES_EXPORTER": "none",
        "COUNTS": str(counts),
    }
    with serving(folder, *options, app=COUNTING, workers=2, **variables) as served:
        yield Site(served, collector, counts)


def replace_until(site: Site, end_s: float, pause_s: float) -> int:
    """Replace the workers again and again, until it is so late; return how often."""
    count = 0
    while time.monotonic() < end_s:
        count += 1
        site.served.send(signal.SIGHUP)
        site.served.await_running(2 + 2 * count)
        time.sleep(pause_s)
    return count


@pytest.mark.covers("3.9")
@pytest.mark.timeout(180)
def test_all_is_answered_and_recorded_while_workers_are_replaced(
    tmp_path: Path, collector: Collector, kind: Kind, measured: Measured
) -> None:
    """
    SIGHUP after SIGHUP under full load: no request fails, and there are exactly as many records as answers.
    """
    with site(tmp_path, collector) as place:
        load = kind.start(place.served.port)
        with load:
            count = replace_until(place, time.monotonic() + kind.lasts_s, kind.lasts_s / 8)
        place.end()

    assert load.failure_count == 0
    assert load.answered <= place.counted() <= load.answered + load.unread
    assert collector.records() == place.counted()
    measured(f"requests answered and recorded while workers were replaced {count} times", load.answered, "requests")


@pytest.mark.covers("3.8")
@pytest.mark.timeout(180)
def test_a_killed_worker_costs_its_own_requests_only(
    tmp_path: Path, collector: Collector, kind: Kind, measured: Measured
) -> None:
    """
    Workers killed at random, and SIGHUP, under full load: a kill costs the requests in flight and the records unsent.
    """
    chance = random.Random(7)
    kills = 0
    with site(tmp_path, collector) as place:
        load = kind.start(place.served.port)
        with load:
            end_s = time.monotonic() + kind.lasts_s
            while time.monotonic() < end_s:
                os.kill(chance.choice(sorted(place.served.workers())), signal.SIGKILL)
                kills += 1
                if chance.random() < 0.3:
                    place.served.send(signal.SIGHUP)
                time.sleep(chance.uniform(0.5, 2.5))
            wait_until(lambda: len(place.served.workers()) == 2, "there are no two workers")
        place.served.await_line("killed by SIGKILL")
        place.end()

    in_flight = CONNECTIONS * kills
    rate = load.answered / load.lasted_s
    unsent = kills * rate * (BATCH_DELAY_S + SENDING_S)
    lost = place.counted() - collector.records()
    assert load.failure_count <= in_flight
    assert load.answered <= place.counted() <= load.answered + in_flight + load.unread
    assert 0 <= lost <= in_flight + unsent
    measured("requests answered while workers were killed", load.answered, "requests")
    measured("kills under full load", kills, "kills")
    measured("requests that failed at them", load.failure_count, "requests")
    measured("access records lost at them", lost, "records")


@pytest.mark.covers("0.14")
@pytest.mark.timeout(180)
def test_agent_and_collector_restart_under_load(
    tmp_path: Path, collector: Collector, kind: Kind, measured: Measured
) -> None:
    """
    A StatsD agent and a collector that are away for a while: no request fails, all records arrive, and lines again.
    """
    agent = Agent()
    address = f"127.0.0.1:{agent.port}"
    with site(tmp_path, collector, "--statsd-host", address, "--metrics", "statsd") as place:
        load = kind.start(place.served.port)
        with load:
            agent.await_line("hypercorn.requests:1|c")
            agent.stop()
            collector.stop()
            time.sleep(kind.lasts_s / 2)  # an outage takes its time: nothing is waited for
            agent.start()
            collector.start()
            agent.await_line("hypercorn.requests:1|c")
            agent.await_line("http.server.request")
            time.sleep(kind.lasts_s / 4)
        wait_until(lambda: collector.records() == place.counted(), "not all records have arrived")
        place.end()
        agent.stop()

    assert load.failure_count == 0
    assert load.answered <= place.counted() <= load.answered + load.unread
    assert collector.records() == place.counted()
    measured("records that all arrived though the collector was away", load.answered, "records")


class Agent:
    """A StatsD agent that can be away, and come back on the same port."""

    def __init__(self) -> None:
        self.port = 0
        self.start()

    def start(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", self.port))
        self._socket.settimeout(30)
        self.port = self._socket.getsockname()[1]

    def stop(self) -> None:
        self._socket.close()

    def await_line(self, beginning: str) -> None:
        """Return when such a line has come."""
        while not any(line.startswith(beginning) for line in self._socket.recv(65536).decode().splitlines()):
            pass


@pytest.mark.timeout(180)
def test_bad_clients_among_good_ones(tmp_path: Path, collector: Collector, kind: Kind, measured: Measured) -> None:
    """
    Slow clients, aborted uploads and request lines of 200 KB under full load: one record each, and all others answered.
    """
    with site(tmp_path, collector) as place:
        port = place.served.port
        load = kind.start(port)
        bad = [Bad(port, way) for way in (ask_slowly, abort_upload, say_200_kb)]
        with load:
            for each in bad:
                each.start()
            time.sleep(kind.lasts_s)
            counts = [each.end() for each in bad]
        place.end()

    assert load.failure_count == 0
    assert min(counts) > 0
    assert collector.records() == place.counted()
    assert [collector.records(path) for path in ("/slowly", "/upload", "")] == counts
    measured("bad requests among good ones, one record each", sum(counts), "requests")


class Bad(threading.Thread):
    """A client that does the same bad thing again and again."""

    def __init__(self, port: int, way: Callable[[int], None]) -> None:
        super().__init__(daemon=True)
        self._port, self._way = port, way
        self._count = 0
        self._is_enough = threading.Event()

    def run(self) -> None:
        while not self._is_enough.is_set():
            self._way(self._port)
            self._count += 1

    def end(self) -> int:
        """Stop; return how often it was done."""
        self._is_enough.set()
        self.join(30)
        assert not self.is_alive()
        return self._count


def ask_slowly(port: int) -> None:
    """A byte at a time."""
    with connected(port) as connection:
        for byte in b"GET /slowly HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n":
            connection.sendall(bytes([byte]))
            time.sleep(0.002)
        assert read_all(connection).startswith(b"HTTP/1.1 200")


def abort_upload(port: int) -> None:
    """A body that never comes."""
    with connected(port) as connection:
        connection.sendall(b"POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nthe first")
        time.sleep(0.1)  # read it must be: what is reset at once never came
        reset(connection)


def say_200_kb(port: int) -> None:
    """A request line without an end in sight."""
    with connected(port) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(b"GET /" + b"a" * 200_000)
        read_all(connection)


def await_end(workers: set[int]) -> None:
    """Return when none of these processes is left."""
    wait_until(lambda: not any(map(is_alive, workers)), "old workers are still there")


@pytest.mark.covers("3.9")
@pytest.mark.covers("3.6")
@pytest.mark.covers("3.3")
@pytest.mark.parametrize("worker_class", ["asyncio", "uvloop", "trio"])
def test_kept_connections_lose_nothing_when_workers_are_replaced(
    tmp_path: Path, collector: Collector, worker_class: str
) -> None:
    """
    Clients that ask back to back on kept connections, over SIGHUP, SIGUSR1 and --max-requests: no request fails.
    """
    with site(tmp_path, collector, "-k", worker_class, "--max-requests", "50") as place:
        with Own(place.served.port) as load:
            for number in (signal.SIGHUP, signal.SIGUSR1):
                before = place.served.workers()
                place.served.send(number)
                await_end(before)
        place.end()

    assert load.failures == []
    assert len(load.answers) > 2
    assert collector.records() == place.counted() == load.answered

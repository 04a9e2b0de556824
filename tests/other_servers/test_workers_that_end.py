"""Workers that are replaced, used up or killed (pains.md A5): what they had to say, and those who come after them."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.collector.real import wait_until
from tests.other_servers.serving import Running, command, instances, is_alive, name_of, request_counts, running
from tests.other_servers.test_every_server import paths
from tests.otlp.receivers import OtlpReceiver, Received

GUNICORN = command("gunicorn", "myshop:wsgi_app")
UVICORN = command("uvicorn", "--workers")
GRANIAN = command("granian", "asgi")


def access_records(receiver: OtlpReceiver) -> list[Received]:
    """The access records that came so far."""
    return [record for record in receiver.logs() if record.item.event_name == "http.server.access"]


def await_end(server: Running, pids: set[int]) -> None:
    """Return when these processes are gone."""
    wait_until(lambda: not any(map(is_alive, pids)), 20, lambda: f"of {pids} some still run:\n{server.said()}")


@pytest.mark.parametrize(
    "line",
    [
        f"{GUNICORN} --preload",
        command("gunicorn", "uvicorn_worker.UvicornWorker"),
        UVICORN,
        f"{GRANIAN} --respawn-interval 0.5",
    ],
    ids=name_of,
)
def test_replaced_workers_lose_nothing(line: str, otlp_receiver: OtlpReceiver, tmp_path: Path) -> None:
    """
    SIGHUP to the master replaces its workers: what the old ones had to say has arrived, from the new ones the rest.
    """
    with running(line, otlp_receiver.endpoint, tmp_path) as server:
        server.request_of(2)
        old = set(server.pids)
        server.process.send_signal(signal.SIGHUP)
        await_end(server, old)
        server.await_start()  # granian's old workers do not wait for the new ones to listen
        server.request_of(4)
        server.stop()

        expected = Counter(f"/items/{number}" for number in range(server.request_count))
    assert paths(access_records(otlp_receiver)) == expected
    assert paths(otlp_receiver.spans()) == expected
    assert request_counts(otlp_receiver.points()) == server.pids
    assert len(set.union(*instances(otlp_receiver.logs()).values())) == len(server.pids) == 4


@pytest.mark.parametrize("options", [["--preload"], ["--worker-class", "gthread"]])
def test_used_up_workers_lose_nothing(options: list[str], otlp_receiver: OtlpReceiver, tmp_path: Path) -> None:
    """
    With --max-requests gunicorn's workers end all the time; each record arrives, each from the process that served.
    """
    options = [*options, "--max-requests", "15"]
    with running(GUNICORN, otlp_receiver.endpoint, tmp_path, *options) as server:
        server.request_of(4, count=60)
        server.stop()

        expected = Counter(f"/items/{number}" for number in range(server.request_count))
    assert paths(access_records(otlp_receiver)) == expected
    assert request_counts(otlp_receiver.points()) == server.pids
    assert {pid: len(ids) for pid, ids in instances(otlp_receiver.logs()).items()} == dict.fromkeys(server.pids, 1)


@pytest.mark.parametrize("line", [f"{GUNICORN} --preload", UVICORN, f"{GRANIAN} --respawn-failed-workers"], ids=name_of)
def test_a_killed_worker_costs_its_unsent_records_at_most(
    line: str, otlp_receiver: OtlpReceiver, tmp_path: Path
) -> None:
    """
    SIGKILL of a worker: only what that worker had not sent may be missing, nothing is there twice, another one serves.
    """
    with running(line, otlp_receiver.endpoint, tmp_path) as server:
        server.request_of(2)
        sent = server.request_count
        otlp_receiver.wait_for(lambda receiver: len(access_records(receiver)) == sent)
        server.request(20)
        victim = max(server.pids, key=server.pids.__getitem__)
        killed_after = server.request_count
        os.kill(victim, signal.SIGKILL)
        await_end(server, {victim})
        wait_until(lambda: len(children_of(server.process.pid)) >= 2, 20, lambda: f"no other worker:\n{server.said()}")
        server.request_of(3)
        server.stop()

    arrived = paths(access_records(otlp_receiver))
    lost = {f"/items/{number}" for number in range(server.request_count)} - set(arrived)
    assert set(arrived.values()) == {1}
    assert lost <= {f"/items/{number}" for number in range(sent, killed_after)}
    served = Counter(record.resource["process.pid"] for record in access_records(otlp_receiver))
    assert served + Counter({victim: len(lost)}) == server.pids


def children_of(pid: int) -> set[int]:
    """The processes that a process has started, and that run."""
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return {int(word) for path in found for word in path.read_text().split() if is_alive(int(word))}

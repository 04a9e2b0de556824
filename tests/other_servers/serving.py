"""Runs a command of docs/servers.md and is its client and its collector. Leaves what must have arrived to the tests."""

from __future__ import annotations

import http.client
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.collector.real import wait_until
from tests.otlp.receivers import OtlpReceiver, Received, free_port
from tests.stack.process import clean_environment
from tools.places import ROOT

PAGE = (ROOT / "docs" / "servers.md").read_text("utf-8")
APPS = Path(__file__).parent / "apps"
COMMANDS: list[str] = [
    line for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE) for line in block.splitlines()
]

CLIENT_COUNT = 8
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 20.0


def command(*words: str) -> str:
    """The shortest command of the page that has all these words."""
    found = [line for line in COMMANDS if set(words) <= set(line.split())]
    assert found, f"docs/servers.md has no command with {words}"
    return min(found, key=len)


def name_of(line: object) -> str | None:
    """A short name of a command, for a test's own name: `gunicorn-gevent-preload`."""
    if not isinstance(line, str):
        return None
    words = [word.rpartition(".")[2].strip("-") for word in line.split()]
    telling = {"asgi", "wsgi", "workers", "reload", "preload", "gthread", "gevent", "UvicornWorker"}
    return "-".join([words[0], *(word for word in words if word in telling)])


def worker_count(line: str) -> int:
    """How many processes serve."""
    found = re.search(r"--workers (\d+)", line)
    return int(found.group(1)) if found else 1


class Running:
    """A command of the page, typed in a folder with `myshop.py`; only port and program folder are replaced."""

    def __init__(self, line: str, endpoint: str, folder: Path, *options: str, **environ: str) -> None:
        self.port = free_port()
        self.pids: Counter[int] = Counter()
        self._log = folder / f"{self.port}.log"
        program, *words = shlex.split(line.replace("8000", str(self.port)))
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [str(Path(sys.executable).parent / program), *words, *options],
                cwd=APPS,
                env={
                    **clean_environment(),
                    "OTEL_SERVICE_NAME": "myshop",
                    "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
                    "HOME": str(folder),  # gunicorn's control socket
                    "PYTHONDONTWRITEBYTECODE": "1",
                    **environ,
                },
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def request_count(self) -> int:
        """Requests that were answered so far."""
        return self.pids.total()

    def await_start(self) -> None:
        """Return when it takes connections."""
        wait_until(self._listens, START_TIMEOUT_S, lambda: f"the server takes no connections:\n{self.said()}")

    def get(self, path: str, timeout_s: float = 10.0) -> int:
        """The process that answered a request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            assert answer.status == 200, (path, answer.status, body)
            return int(body)
        finally:
            connection.close()

    def request(self, count: int) -> None:
        """Ask for the next *count* items, several at a time."""
        first = self.request_count
        with ThreadPoolExecutor(CLIENT_COUNT) as clients:
            self.pids.update(clients.map(lambda number: self.get(f"/items/{number}"), range(first, first + count)))

    def request_of(self, workers: int, count: int = 40) -> None:
        """Ask until there were *count* answers, and *workers* processes had their share."""
        self.request(count)
        deadline = time.monotonic() + START_TIMEOUT_S
        while len(self.pids) < workers:
            assert time.monotonic() < deadline, f"of {workers} workers served only {dict(self.pids)}:\n{self.said()}"
            self.request(CLIENT_COUNT)

    def stop(self) -> float:
        """Send SIGTERM to the command's process; seconds until it had ended."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            msg = f"not ended {STOP_TIMEOUT_S} s after SIGTERM:\n{self.said()}"
            raise AssertionError(msg) from None
        return time.monotonic() - began

    def kill(self) -> None:
        """End whatever is left of it, workers included."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def said(self) -> str:
        """All it printed."""
        return self._log.read_text("utf-8", "replace")

    def _listens(self) -> bool:
        assert self.process.poll() is None, f"the server ended at once:\n{self.said()}"
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


@contextmanager
def running(line: str, endpoint: str, folder: Path, *options: str, **environ: str) -> Iterator[Running]:
    """The server of a command, which takes connections; nothing of it is left afterwards."""
    server = Running(line, endpoint, folder, *options, **environ)
    try:
        server.await_start()
        yield server
    finally:
        server.kill()


@dataclass(frozen=True)
class Story:
    """What became of one run: `pids` counts the answers of each process; `master` is the process of the command."""

    master: int
    pids: Counter[int]
    master_thread_count: int
    master_reaches_collector: bool
    exit_code: int
    stop_s: float
    said: str
    logs: list[Received]
    spans: list[Received]
    points: list[Received]

    def access(self) -> list[Received]:
        """The access records."""
        return [record for record in self.logs if record.item.event_name == "http.server.access"]


def story_of(line: str, folder: Path, *options: str, **environ: str) -> Story:
    """Start, request until each worker had its share, stop by SIGTERM."""
    receiver = OtlpReceiver(environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"))
    try:
        with running(line, receiver.endpoint, folder, *options, **environ) as server:
            server.request_of(worker_count(line))
            master = server.process.pid
            threads = thread_count(master)
            reaches = receiver.port in remote_ports(master)
            stop_s = server.stop()
            found = receiver.logs(), receiver.spans(), receiver.points()
            code = server.process.returncode
            return Story(master, server.pids, threads, reaches, code, stop_s, server.said(), *found)
    finally:
        receiver.close()


def request_counts(points: list[Received]) -> dict[int, int]:
    """Requests that were counted, by process id: the last word on each series, summed up."""
    last = {
        (point.resource["process.pid"], point.resource["service.instance.id"], str(point.attributes)): point.item.count
        for point in points
        if point.metric.name == "http.server.request.duration"
    }
    counts: dict[int, int] = {}
    for (pid, _, _), count in last.items():
        counts[pid] = counts.get(pid, 0) + count
    return counts


def instances(received: list[Received]) -> dict[int, set[str]]:
    """The `service.instance.id`s under which each process spoke."""
    found: dict[int, set[str]] = {}
    for item in received:
        found.setdefault(item.resource["process.pid"], set()).add(item.resource["service.instance.id"])
    return found


def thread_count(pid: int) -> int:
    """Threads that a process has, as the kernel counts them."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def remote_ports(pid: int) -> set[int]:
    """Ports to which a process has TCP connections."""
    inodes = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes.add(str(path.readlink()))
        except OSError:
            continue  # closed meanwhile
    rows: list[Any] = [row.split() for row in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return {int(row[2].partition(":")[2], 16) for row in rows if f"socket:[{row[9]}]" in inodes}


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be taken note of does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False

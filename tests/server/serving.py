"""`otelbridge run` as a child process, and what serves in it: started, asked, signalled, and stopped by the test."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

DEADLINE_S = 30.0

# An application of everything that a test asks for; it answers with the process id of its worker.
APP = """
import os
from pathlib import Path

import sniffio

async def sleep(seconds):
    if sniffio.current_async_library() == "trio":
        import trio
        await trio.sleep(seconds)
    else:
        import asyncio
        await asyncio.sleep(seconds)

def note(word):
    if "NOTES" in os.environ:
        with open(os.environ["NOTES"], "a") as notes:
            notes.write(f"{word} {os.getpid()}\\n")

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["type"] == "websocket":
        await echo(receive, send)
    elif scope["type"] == "http":
        await answer(scope, receive, send)

async def lifespan(receive, send):
    for word in ("startup", "shutdown"):
        assert (await receive())["type"] == f"lifespan.{word}"
        note(word)
        await send({"type": f"lifespan.{word}.complete"})

async def echo(receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    message = await receive()
    while message["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message["text"]})
        message = await receive()

async def answer(scope, receive, send):
    path = scope["path"]
    if path == "/body":
        while (await receive()).get("more_body"):
            pass
    elif path == "/slow":
        note("slow")
        await sleep(1.0)
    elif path == "/stuck":
        note("stuck")
        await sleep(600)
    elif path == "/die":
        os._exit(3)
    elif path == "/raise":
        raise RuntimeError("broken")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(os.getpid()).encode()})
"""


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def wait_until(condition: Callable[[], object], what: str, timeout_s: float = DEADLINE_S) -> None:
    """Return when it holds; fail at the deadline, saying *what* did not."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, what
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Whether such a process runs (a dead one that nobody has waited for does not)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def children(pid: int) -> set[int]:
    """The processes that *pid* has started and that run."""
    found = set()
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = place.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[1]) == pid and words[0] != "Z":
            found.add(int(place.parent.name))
    return found


class Served:
    """One `otelbridge run`, with its output in files; `port` is where it was told to listen."""

    def __init__(self, folder: Path, *options: str, program: str = "-m otelbridge run", **variables: str) -> None:
        self.folder = folder
        self.port = free_port()
        self._out, self._err = folder / "stdout.txt", folder / "stderr.txt"
        words = [word.replace("{port}", str(self.port)) for word in options]
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, *program.split(), *words],
                cwd=folder,
                env={**os.environ, "OTEL_SDK_DISABLED": "true", "PYTHONUNBUFFERED": "1", **variables},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        self.pid = self.process.pid

    @property
    def out(self) -> str:
        return self._out.read_text("utf-8", "replace")

    @property
    def err(self) -> str:
        return self._err.read_text("utf-8", "replace")

    def await_running(self, count: int = 1) -> None:
        """Return when so many workers have said that they serve."""
        self.await_line(r"Running on", count)

    def await_line(self, pattern: str, count: int = 1) -> None:
        """Return when stderr has so many lines like *pattern*; fail if it ends before."""

        def is_there() -> bool:
            assert self.process.poll() is None or len(re.findall(pattern, self.err)) >= count, self.err
            return len(re.findall(pattern, self.err)) >= count

        wait_until(is_there, f"no {count} lines {pattern!r} in:\n{self.err if self._err.exists() else ''}")

    def workers(self) -> set[int]:
        """The processes that serve."""
        return children(self.pid)

    def get(self, path: str = "/", timeout_s: float = DEADLINE_S) -> str:
        """The body of an answer to one request, on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout_s)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def fails(self, path: str) -> bool:
        """Whether a request gets no answer."""
        try:
            self.get(path)
        except OSError:
            return True
        return False

    def send(self, number: int) -> None:
        """Send the supervisor a signal."""
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it, and return its exit code."""
        self.send(number)
        return self.process.wait(DEADLINE_S)

    def kill(self) -> None:
        """Leave nothing of it behind, whatever state it is in."""
        pids = {self.pid, *self.workers()}
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.wait()


@contextmanager
def serving(folder: Path, *options: str, app: str = APP, workers: int = 1, **variables: str) -> Iterator[Served]:
    """`otelbridge run app:app`, ready, for as long as the block lasts. `{port}` in an option is its port."""
    (folder / "app.py").write_text(app)
    served = Served(folder, "--bind", "127.0.0.1:{port}", "--workers", str(workers), *options, "app:app", **variables)
    try:
        served.await_running(max(workers, 1))
        yield served
    finally:
        served.kill()


def certify(folder: Path, name: str = "cert") -> None:
    """Make a certificate for localhost, {name}.pem, and its key, {name}-key.pem."""
    words = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost -days 1"
    names = ("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    files = ("-keyout", f"{name}-key.pem", "-out", f"{name}.pem")
    subprocess.run([*words.split(), *names, *files], cwd=folder, check=True, capture_output=True, timeout=30)


def marked(mark: str) -> set[int]:
    """The processes that run with such a text in their environment, whoever their parent is by now."""
    found = set()
    for place in Path("/proc").glob("[0-9]*/environ"):
        try:
            environment = place.read_bytes()
        except OSError:
            continue
        if mark.encode() in environment and is_alive(int(place.parent.name)):
            found.add(int(place.parent.name))
    return found


def can_listen(port: int) -> bool:
    """Whether nobody listens on the port."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True

"""`--daemon`: the command returns when the server answers, or has failed, and leaves it alone with itself."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.server.serving import APP, can_listen, children, free_port, is_alive, marked, wait_until

each_count = pytest.mark.parametrize("workers", [0, 2])


class Daemon:
    """A server that was started with --daemon in `folder`; what the calling process came to is `called`."""

    def __init__(self, folder: Path, workers: int, mark: str, *more: str) -> None:
        self.folder = folder
        self.port = free_port()
        options = ["-b", f"127.0.0.1:{self.port}", "-b", "unix:x.sock", "-w", str(workers), "-p", "x.pid"]
        # Whoever reads the caller's output waits for its end: of everybody who holds it.
        self.called = subprocess.run(
            [sys.executable, "-m", "otelbridge", "run", "--daemon", *options, *more, "app:app"],
            cwd=folder,
            env={**os.environ, "OTEL_SDK_DISABLED": "true", "MARK": mark},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )

    @property
    def pid(self) -> int:
        return int((self.folder / "x.pid").read_text())

    def get(self) -> str:
        """The body of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", "/")
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def has_left(self) -> bool:
        """Whether nothing of it is there any more."""
        return can_listen(self.port) and not {path.name for path in self.folder.iterdir()} & {"x.sock", "x.pid"}


@contextmanager
def detached(folder: Path, workers: int, *more: str, app: str = APP) -> Iterator[Daemon]:
    """A server as a daemon, whatever becomes of it, for as long as the block lasts."""
    (folder / "app.py").write_text(app)
    mark = uuid.uuid4().hex
    try:
        yield Daemon(folder, workers, mark, *more)
    finally:
        for pid in marked(mark):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not marked(mark), "a killed daemon is still there")


def status_of(pid: int) -> tuple[int, int, int]:
    """Its parent, its session and its terminal (0: none)."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(words[1]), int(words[3]), int(words[4])


@pytest.mark.covers("3.4", note="it really detaches; Hypercorn stays in the foreground")
@each_count
def test_the_server_is_alone_with_itself(tmp_path: Path, workers: int) -> None:
    """
    When the command returns the server answers, in a session of its own, without terminal, parent or our streams.
    """
    with detached(tmp_path, workers) as daemon:
        assert daemon.called.returncode == 0
        assert daemon.called.stdout == ""
        worker = int(daemon.get())

        family = {daemon.pid} | children(daemon.pid)
        assert worker in family
        assert len(family) == workers + 1
        for pid in family:
            parent, session, terminal = status_of(pid)
            assert parent != os.getpid()
            assert session != os.getsid(0)
            assert terminal == 0
            assert {Path(f"/proc/{pid}/fd/{stream}").readlink() for stream in (0, 1, 2)} == {Path(os.devnull)}
        assert status_of(daemon.pid)[1] != daemon.pid  # a leader of a session could get a terminal again


@pytest.mark.covers("3.4")
@pytest.mark.covers("2.6")
@each_count
def test_the_pid_file_is_how_it_is_ended(tmp_path: Path, workers: int) -> None:
    """
    SIGTERM to the number in the pid file (digits, and nothing else) ends it; the file, the port and the socket go.
    """
    with detached(tmp_path, workers) as daemon:
        pid = daemon.pid
        assert (tmp_path / "x.pid").read_text() == str(pid)
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not is_alive(pid), "it has not ended")

        assert daemon.has_left()


@pytest.mark.covers("3.4")
@pytest.mark.covers("3.10")
@pytest.mark.parametrize(
    ("workers", "app", "words"),
    [(0, "1 / 0", "ZeroDivision"), (2, "1 / 0", "ZeroDivision"), (2, "import os; os._exit(3)", "exit code 3")],
)
def test_a_failing_start_is_the_callers_business(tmp_path: Path, workers: int, app: str, words: str) -> None:
    """
    A server that cannot start fails the command that was called, with its sentence; nothing is left.
    """
    with detached(tmp_path, workers, app=app) as daemon:
        assert daemon.called.returncode == 1
        assert re.fullmatch(rf"otelbridge run: .*{words}.*\n", daemon.called.stderr)
        wait_until(daemon.has_left, "something of it is left")


@pytest.mark.covers("3.4")
@each_count
def test_mistakes_before_detaching_are_told_as_ever(tmp_path: Path, workers: int) -> None:
    """
    A mistake that shows at once is told by the command itself.
    """
    with detached(tmp_path, workers, "--certfile", "no.pem") as daemon:
        assert daemon.called.returncode == 1
        assert daemon.called.stderr == (
            "otelbridge run: TLS needs both certfile and keyfile, got a certfile without a keyfile\n"
        )


@pytest.mark.covers("3.4")
@each_count
def test_relative_paths_mean_the_callers_folder(tmp_path: Path, workers: int) -> None:
    """
    Log files, the pid file and the application are found where the command was called.
    """
    logs = ("--access-logfile", "access.log", "--error-logfile", "error.log")
    with detached(tmp_path, workers, *logs) as daemon:
        daemon.get()

        assert daemon.called.stderr == ""
        assert "Running on http://127.0.0.1:" in (tmp_path / "error.log").read_text()
        wait_until(lambda: '"GET / 1.1" 200' in (tmp_path / "access.log").read_text(), "no access line")


@pytest.mark.covers("3.4")
def test_it_obeys_signals_as_in_the_foreground(tmp_path: Path) -> None:
    """
    SIGHUP replaces a daemon's workers, too.
    """
    with detached(tmp_path, 1) as daemon:
        before = daemon.get()
        os.kill(daemon.pid, signal.SIGHUP)

        wait_until(lambda: daemon.get() != before, "no other worker answers")


@pytest.mark.covers("3.10")
def test_the_end_of_a_daemon_is_in_its_log(tmp_path: Path) -> None:
    """
    Why a daemon ended by itself stands in its log: there is nobody else to tell.
    """
    with detached(tmp_path, 1, "--error-logfile", "error.log") as daemon:
        pid = daemon.pid
        (tmp_path / "app.py").write_text("1 / 0\n")
        os.kill(int(daemon.get()), signal.SIGKILL)
        wait_until(lambda: not is_alive(pid), "it goes on", 60)

        assert "[CRITICAL] 5 workers in a row have died" in (tmp_path / "error.log").read_text()
        assert daemon.has_left()

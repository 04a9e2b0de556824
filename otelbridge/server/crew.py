"""One worker's process as its supervisor sees it: started, listened to, told to stop, and what it died of."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any, Literal

from otelbridge.server.link import FAILED, READY, SERVED, SPENT, STOPPING, Lines, Order, line

State = Literal["starting", "ready", "stopping", "gone"]

# How long a worker that was told to stop may take beyond what its Config gives it: its event loop may be blocked.
SLACK_S = 2.0
# How long its interpreter may take to end when all is served: the flush of telemetry (2 s), threads of the application.
EXIT_S = 5.0


class WorkerProcess:
    """A worker's process, of which `order` is what it serves; `generation` tells of which Config it is.

    `kill_at_s`: when its time is over (monotonic); None: it may go on.
    """

    def __init__(
        self, order: Order, descriptors: tuple[int, ...], generation: int, variables: Mapping[str, str]
    ) -> None:
        self.generation = generation
        self.state: State = "starting"
        self._leave_s = float(order.values["graceful_timeout"]) + float(order.values["shutdown_timeout"])
        self.is_spent = False
        self.was_killed = False
        self.failure: str | None = None
        self.files: dict[str, float] = {}
        self.started_s = time.monotonic()
        self.kill_at_s: float | None = None
        self._lines = Lines()
        self.link, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, *_flags(), "-m", "otelbridge.server.worker", str(theirs.fileno())],
                pass_fds=(theirs.fileno(), *descriptors),
                env={**os.environ, **variables},
            )
        self.pid = self._process.pid
        with contextlib.suppress(OSError):  # one that is dead already says nothing of it
            self.link.sendall(order.encode())
        self.link.setblocking(False)

    def listen(self) -> bool:
        """Take in what it says; return False when its end of the link is closed, which is when it dies."""
        try:
            data = self.link.recv(65536)
        except BlockingIOError:
            return True
        except OSError:
            return False
        for message in self._lines.feed(data):
            self._obey(message)
        return bool(data)

    def stop(self) -> None:
        """Tell it to stop; one that does not serve yet is ended at once."""
        self.kill_at_s = time.monotonic() + SLACK_S
        if self.state == "starting":
            self._signal(signal.SIGTERM)
        else:
            with contextlib.suppress(OSError):
                self.link.sendall(line("stop"))
        self.state = "stopping"

    def kill(self) -> None:
        """End it without any more ado."""
        self.kill_at_s = None
        self._signal(signal.SIGKILL)

    def poll(self) -> int | None:
        """Return its exit code, once; None while it runs, and after that."""
        if self.state == "gone":
            return None
        code = self._process.poll()
        if code is not None:
            self.listen()  # its last words
            self.state = "gone"
            self.link.close()
        return code

    def cause_of(self, code: int) -> str:
        """Return what it died of, as the end of a sentence."""
        if self.failure is not None:
            return self.failure
        if code >= 0:
            return f"exit code {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        return f"killed by {name}" + (", which is also how a system out of memory ends processes" if code == -9 else "")

    def _obey(self, message: dict[str, Any]) -> None:
        match message["state"]:
            case state if state == READY:
                self.files = message["files"]
                if self.state == "starting":
                    self.state = "ready"
            case state if state == FAILED:
                self.failure, self.files = message["why"], message["files"]
            case state if state == SPENT:
                self.is_spent = True
            case state if state == STOPPING:
                # By us, or by a SIGTERM of somebody's.
                self.state, self.kill_at_s = "stopping", time.monotonic() + self._leave_s + SLACK_S
            case state if state == SERVED:
                self.kill_at_s = time.monotonic() + EXIT_S

    def _signal(self, number: int) -> None:
        with contextlib.suppress(OSError):
            self._process.send_signal(number)


def _flags() -> list[str]:
    """Return the interpreter's own options (-W, -X, -O, ...), which its children are to have too."""
    return list(subprocess._args_from_interpreter_flags())  # type: ignore[attr-defined]  # as multiprocessing does

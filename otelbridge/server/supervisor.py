"""The supervisor: keeps as many workers serving as its Config says, and the sockets open while they come and go.

It decides by one rule, whatever happened (`_balance`): there shall be so many workers of the newest generation; those
of older ones leave as their successors become ready; at the end nobody stays. It never loads the application.
"""

from __future__ import annotations

import contextlib
import logging
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otelbridge.server.crew import WorkerProcess
from otelbridge.server.errors import StartError, sentence_of
from otelbridge.server.link import Order, make_order

if TYPE_CHECKING:
    from hypercorn.config import Config, Sockets

# A worker that dies before it has served so long is one of a row of failures.
STEADY_S = 5.0
# The pause before a dead worker's successor: doubled with each failure in a row.
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 30.0
# So many failures in a row, with nobody left who serves, are the end.
FAILURES_MAX = 5
WATCH_INTERVAL_S = 1.0


class Supervisor:
    """Serves `config` on `sockets` by worker processes.

    reread: returns the Config anew, for SIGHUP; None: there is nothing to read. watched: a file of that Config.
    variables: for the workers' environment. on_ready: called once, when the first worker of all serves.
    """

    def __init__(
        self,
        config: Config,
        sockets: Sockets,
        *,
        reread: Callable[[], Config] | None = None,
        watched: str | None = None,
        variables: Mapping[str, str] | None = None,
        on_ready: Callable[[], object] = lambda: None,
    ) -> None:
        self._config = config
        self._sockets = sockets
        self._reread = reread
        self._watched = watched
        self._variables = dict(variables or {})
        self._on_ready = on_ready
        self._workers: list[WorkerProcess] = []
        self._generation = 0
        self._asked: list[str] = []  # by signals: "stop", "reread", "replace"
        self._is_stopping = False
        self._has_served = False
        self._failures = 0
        self._next_start_s = 0.0
        self._end: str | None = None  # the sentence that ends it all
        self._files: dict[Path, float | None] = {}
        self._next_watch_s = 0.0
        self._order = self._make_order(config)
        self._before = config, self._order  # what those serve by who are being replaced

    def run(self) -> None:
        """Serve until told to stop. StartError: it could not begin, or not go on; nothing is left running."""
        with self._signals() as wakeup, selectors.DefaultSelector() as selector:
            selector.register(wakeup, selectors.EVENT_READ)
            try:
                while not (self._is_stopping and not self._workers):
                    self._balance(selector)
                    for key, _ in selector.select(self._pause_s()):
                        if key.data is None:
                            wakeup.recv(4096)
                        elif not key.data.listen():
                            selector.unregister(key.fileobj)
                    self._obey_signals()
                    self._bury(selector)
                    self._watch()
                    self._hurry()
            finally:
                for worker in self._workers:
                    worker.kill()
        if self._end is not None:
            raise StartError(self._end)

    # -- what shall be --

    def _balance(self, selector: selectors.BaseSelector) -> None:
        """Start and stop workers until there are those that there shall be."""
        if self._is_stopping:
            for worker in self._workers:
                if worker.state in ("starting", "ready"):
                    worker.stop()
            return
        fresh = [worker for worker in self._workers if self._is_fresh(worker)]
        old = [worker for worker in self._workers if worker.state in ("starting", "ready") and worker not in fresh]
        ready = [worker for worker in fresh if worker.state == "ready"]
        if ready and not self._has_served:
            self._has_served = True
            self._on_ready()
        # Successors come one by one, so that a bad one costs nothing; those who replace nobody come at once.
        room = self._config.workers - len(fresh)
        if old:
            room = min(room, 1 - (len(fresh) - len(ready)))
        else:
            self._before = self._config, self._order
        if time.monotonic() >= self._next_start_s:
            for _ in range(room):
                worker = WorkerProcess(self._order, self._descriptors(), self._generation, self._variables)
                self._workers.append(worker)
                selector.register(worker.link, selectors.EVENT_READ, worker)
        # The oldest first: where workers are soon spent, it would otherwise stay for ever.
        for worker in old[: max(0, len(old) + min(0, len(ready) - self._config.workers))]:
            worker.stop()
        for worker in ready[self._config.workers :]:
            worker.stop()

    def _is_fresh(self, worker: WorkerProcess) -> bool:
        alive = worker.state in ("starting", "ready")
        return alive and worker.generation == self._generation and not worker.is_spent

    def _pause_s(self) -> float | None:
        """Return how long nothing has to be done unless something happens; None: for ever."""
        times = [worker.kill_at_s for worker in self._workers if worker.kill_at_s is not None]
        if not self._is_stopping:
            if self._next_start_s > time.monotonic():
                times.append(self._next_start_s)
            if self._config.use_reloader:
                times.append(self._next_watch_s)
        return max(0.0, min(times) - time.monotonic()) if times else None

    # -- what has happened --

    def _bury(self, selector: selectors.BaseSelector) -> None:
        """Take leave of workers that have ended."""
        for worker in list(self._workers):
            was, link = worker.state, worker.link
            descriptor = link.fileno()
            code = worker.poll()
            if code is None:
                continue
            with contextlib.suppress(KeyError, ValueError):
                selector.unregister(descriptor)
            self._workers.remove(worker)
            self._learn_files(worker)
            if was != "stopping":
                self._mourn(worker, code, was == "ready")
            elif code != 0 and not worker.was_killed and worker.failure is not None:
                self._say(logging.ERROR, f"worker {worker.pid} ended badly: {worker.failure}")
                self._end = self._end or (worker.failure if self._is_stopping else None)

    def _mourn(self, worker: WorkerProcess, code: int, had_served: bool) -> None:
        """Say why a worker died that nobody had stopped, and when its successor comes."""
        cause = worker.cause_of(code)
        if not self._has_served:
            self._end = self._end or cause
            self._is_stopping = True
            return
        if self._is_stopping:
            return
        if had_served and time.monotonic() - worker.started_s >= STEADY_S:
            self._failures = 0
        self._failures += 1
        if not had_served and any(other.state == "ready" and not self._is_fresh(other) for other in self._workers):
            self._give_up_replacing(worker, cause)
            return
        if self._failures >= FAILURES_MAX and not any(other.state == "ready" for other in self._workers):
            self._end = f"{self._failures} workers in a row have died, the last of: {cause}"
            self._is_stopping = True
            return
        pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (self._failures - 1))
        self._next_start_s = time.monotonic() + pause_s
        self._say(logging.ERROR, f"worker {worker.pid} died: {cause}; another one starts in {pause_s:g} s")

    def _give_up_replacing(self, worker: WorkerProcess, cause: str) -> None:
        """Keep the old workers: their successors cannot start."""
        self._say(
            logging.ERROR,
            f"worker {worker.pid} could not take over: {cause}; the {len(self._serving())} before it stay",
        )
        self._config, self._order = self._before
        newest = max(other.generation for other in self._serving())
        for other in self._workers:
            if other.state == "starting":
                other.stop()
        self._generation = newest
        for other in self._serving():
            # One that is spent has said so once, and goes on.
            other.generation, other.is_spent = newest, False
        self._failures = 0

    def _serving(self) -> list[WorkerProcess]:
        return [worker for worker in self._workers if worker.state == "ready"]

    def _obey_signals(self) -> None:
        asked, self._asked = self._asked, []
        for what in asked:
            if what == "stop":
                self._stop()
            elif not self._is_stopping:
                self._replace(reread=what == "reread")

    def _stop(self) -> None:
        if self._is_stopping:
            # Whoever asks twice does not want to wait.
            for worker in self._workers:
                worker.was_killed = True
                worker.kill()
            return
        self._is_stopping = True
        # Nobody will accept what still comes: refused at once is better than accepted for nothing.
        for sock in (*self._sockets.secure_sockets, *self._sockets.insecure_sockets, *self._sockets.quic_sockets):
            sock.close()

    def _replace(self, *, reread: bool) -> None:
        """Begin a new generation of workers, by a Config that is read again if there is one."""
        self._before = self._config, self._order
        if reread and self._reread is not None:
            try:
                config = self._reread()
                order = self._make_order(config)
            except Exception as error:
                self._say(logging.ERROR, f"the configuration stays as it was: {sentence_of(error)}")
                return
            if (config.bind, config.insecure_bind, config.quic_bind) != (
                self._config.bind,
                self._config.insecure_bind,
                self._config.quic_bind,
            ):
                self._say(logging.WARNING, "where to listen cannot change while serving: restart for that")
            self._config, self._order = config, order
        self._say(logging.INFO, f"replacing {len(self._serving())} workers")
        self._generation += 1
        self._next_start_s, self._failures = 0.0, 0

    def _learn_files(self, worker: WorkerProcess) -> None:
        for name, changed_s in worker.files.items():
            self._files.setdefault(Path(name), changed_s)

    def _watch(self) -> None:
        """Replace the workers when a file of theirs has changed.

        One that is away, or that workers could not import, stays in mind: it may come back mended.
        """
        if not self._config.use_reloader or self._is_stopping or time.monotonic() < self._next_watch_s:
            return
        self._next_watch_s = time.monotonic() + WATCH_INTERVAL_S
        for worker in self._workers:
            self._learn_files(worker)
        if self._watched is not None:
            self._files.setdefault(Path(self._watched), _changed_s(Path(self._watched)))
        now = {path: _changed_s(path) for path in self._files}
        if now != self._files:
            self._files = now
            self._replace(reread=True)

    def _hurry(self) -> None:
        """Kill those whose time is over."""
        for worker in self._workers:
            if worker.kill_at_s is not None and time.monotonic() >= worker.kill_at_s:
                worker.was_killed = True
                worker.kill()
                self._say(logging.WARNING, f"worker {worker.pid} did not end in time, and was killed")

    # -- what it takes --

    def _make_order(self, config: Config) -> Order:
        from hypercorn.config import Config as Known

        # A configuration written in Python brings along whatever else stands in its file.
        values = {name: value for name, value in vars(config).items() if hasattr(Known, name) and name != "_log"}
        for name in ("application_path", "graceful_timeout", "shutdown_timeout"):
            values[name] = getattr(config, name)
        for name, value in {"class": type(config), **values}.items():
            if "__main__" in (getattr(value, "__module__", None), getattr(type(value), "__module__", None)):
                msg = f"config.{name} must be importable by workers, got one of the main script: define it in a module"
                raise StartError(msg)
        order = make_order(type(config), values, self._sockets)
        try:
            order.encode()
        except Exception as error:
            msg = f"the configuration must be picklable for workers, got: {sentence_of(error)}"
            raise StartError(msg) from error
        return order

    def _descriptors(self) -> tuple[int, ...]:
        return (*self._order.secure, *self._order.insecure, *self._order.quic)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[socket.socket]:
        """Note signals as long as the block lasts; what is yielded becomes readable when one came."""
        wishes = {
            "SIGTERM": "stop",
            "SIGINT": "stop",
            "SIGBREAK": "stop",
            "SIGHUP": "reread",
            "SIGUSR1": "replace",
            "SIGCHLD": None,
        }
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        previous: dict[int, Any] = {}

        def note(wish: str | None) -> Callable[..., None]:
            return lambda *_: None if wish is None else self._asked.append(wish)

        wakeup = signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
        try:
            for name, wish in wishes.items():
                if hasattr(signal, name):
                    number = getattr(signal, name)
                    previous[number] = signal.signal(number, note(wish))
            yield ours
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(wakeup)
            ours.close()
            theirs.close()

    def _say(self, level: int, text: str) -> None:
        """Write a line to the server's log."""
        target = getattr(self._config.log, "error_logger", None)
        if isinstance(target, logging.Logger):
            target.log(level, text)


def _changed_s(path: Path) -> float | None:
    """Return when a file was changed; None: it is not there."""
    try:
        return path.stat().st_mtime
    except OSError:
        return None

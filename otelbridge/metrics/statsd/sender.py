"""The rhythm of StatsD: each second, on a thread of its own, what was measured is fetched, written and sent.

One per process, made anew in a forked one. What is measured, its sources know; where lines go, the route's output.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from otelbridge.metrics.instruments import Instrument
from otelbridge.metrics.statsd.lines import Dialect, Series, make_series
from otelbridge.metrics.statsd.output import Output, SendCounts

INTERVAL_S = 1.0
THREAD_NAME = "otelbridge-statsd"


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """Where lines go and how they are written: what `configure()` may change at any time."""

    output: Output
    dialect: Dialect
    prefix: str

    def series(self, row: Instrument, attributes: Mapping[str, str | int]) -> Series:
        """A row of the table with attributes, as this route writes it."""
        return make_series(self.dialect, self.prefix, row, attributes)


class Source(Protocol):
    """Where measurements come from."""

    def take(self, route: Route) -> Iterator[tuple[Series, float]]:
        """Remove and give what was measured; called by one thread at a time."""

    def sent(self, *, complete: bool) -> None:
        """Learn whether all that `take` gave last was handed to the kernel."""

    def dropped(self) -> int:
        """Measurements that found no room until now."""

    def after_fork(self) -> None:
        """Forget what is the parent's."""


@dataclass(slots=True)
class Ticket:
    """A flush that waits for the next round."""

    ok: bool = False
    done: threading.Event = field(default_factory=threading.Event)


class StatsdSender:
    """Sends what its sources have, for as long as the process lives. Safe to call from any thread.

    tell: takes a key and a sentence; called when a route fails for the first time.
    interval_s: seconds between rounds.
    """

    def __init__(
        self,
        route: Route,
        *,
        tell: Callable[[str, str], object] = lambda _key, _text: None,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._sources: tuple[Source, ...] = ()
        self._tell = tell
        self._interval_s = interval_s
        self._route = self._current = route
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._counts = SendCounts()
        self._asked: deque[Ticket] = deque()
        self._bell = threading.Event()
        self._stopping = threading.Event()
        self._gone = threading.Event()
        # Held by whoever starts the thread, and by whoever does a round.
        self._starting = threading.Lock()
        self._at_work = threading.Lock()
        self._running = False

    def set_sources(self, *sources: Source) -> None:
        """Ask these from the next round on."""
        self._sources = sources

    def ensure_running(self) -> bool:
        """Start the thread unless it runs; False after `stop`. Called for each measurement: never blocks or raises."""
        if self._pid != os.getpid():
            # A fork that Python did not see.
            self.after_fork()
        return self._running or self._start()

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called: nothing is sent any more."""
        return self._stopping.is_set()

    def change_route(self, route: Route) -> None:
        """Send to somewhere else from the next round on; a stopped sender begins again."""
        self._route = route
        if self.is_stopped and not self._running:
            counts = self._counts
            self._reset()
            self._counts = counts

    def ask_flush(self) -> Ticket:
        """Have everything that was measured until now sent; wait for the ticket by `wait_flush`."""
        self.ensure_running()
        ticket = Ticket()
        self._asked.append(ticket)
        self._bell.set()
        return ticket

    def wait_flush(self, ticket: Ticket, deadline: float) -> bool:
        """Whether everything before the ticket was handed to the kernel until the deadline (of `time.monotonic`)."""
        if not self._running and not ticket.done.is_set():
            # No thread can be made any more, at Python's end: this one does the work.
            self._serve_asked()
        ticket.done.wait(max(deadline - time.monotonic(), 0))
        return ticket.ok

    def stop(self, deadline: float) -> None:
        """Stop the thread by the deadline, after a last round."""
        self._stopping.set()
        self._bell.set()
        if self._running:
            self._gone.wait(max(deadline - time.monotonic(), 0))
        if self._at_work.acquire(blocking=False):
            self._current.output.close()
            self._at_work.release()

    def counts(self) -> SendCounts:
        """What became of the lines so far, what found no room before included."""
        counts = self._counts
        found = SendCounts(counts.packets, counts.lines, counts.errors, counts.lost.copy())
        found.lost["no_room"] += sum(source.dropped() for source in self._sources)
        return found

    def after_fork(self) -> None:
        """In a forked child: the thread and the connection are the parent's, and what was measured it will send."""
        was_stopped = self.is_stopped
        self._reset()
        if was_stopped:
            self._stopping.set()
        self._current.output.close()
        for source in self._sources:
            source.after_fork()

    def _start(self) -> bool:
        if self.is_stopped:
            return False
        if not self._starting.acquire(blocking=False):
            return True
        try:
            if not self._running:
                self._gone.clear()
                self._running = True
                threading.Thread(target=self._run, name=THREAD_NAME, daemon=True).start()
        except RuntimeError:
            # Python has begun to end.
            self._running = False
        finally:
            self._starting.release()
        return True

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._serve_asked()
                self._bell.wait(self._interval_s)
                self._bell.clear()
            self._serve_asked()
        finally:
            self._running = False
            self._gone.set()

    def _serve_asked(self) -> None:
        """Do a round, and tell those who asked for one before it began."""
        with self._at_work:
            tickets = [self._asked.popleft() for _ in range(len(self._asked))]
            complete = self._do_round()
            for ticket in tickets:
                ticket.ok = complete
                ticket.done.set()

    def _do_round(self) -> bool:
        failure: Exception | None
        route = self._route
        if route is not self._current:
            self._current.output.close()
            self._current = route
        try:
            route.output.begin(self._counts)
            for source in self._sources:
                for series, value in source.take(route):
                    route.output.add(series, value)
            failure = route.output.finish()
        except Exception as error:
            self._counts.errors += 1
            failure = error
        for source in self._sources:
            source.sent(complete=failure is None)
        if failure is not None:
            name = route.output.name
            self._tell(f"statsd {name}", f"cannot send metrics to {name}: {failure}; what does not arrive is lost")
        return failure is None

"""The export worker: one thread per signal that takes batches, makes attempts and waits between them.

What a batch is, its source knows; what an attempt is, its sender. Here is only when, how often, and until when.
"""

from __future__ import annotations

import _thread
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from otelbridge.delivery.accounting import Account
from otelbridge.delivery.quiet import quiet
from otelbridge.delivery.report import Reporter, public_url
from otelbridge.delivery.retry import delay_s
from otelbridge.otlp.outcome import Outcome, Sender, Signal
from otelbridge.types import Batch

# Each attempt, for who looks for its trouble (features.md 4.8).
_debug = logging.getLogger("otelbridge.delivery")

# How long `stop` waits for a thread whose attempt was cut.
_STOP_GRACE_S = 0.25
# Nobody is at the endpoint: what outcomes say when the very connection is refused.
_NOBODY_THERE = frozenset({"refused", "unavailable"})


class Source(Protocol):
    """Where a worker's items come from. `take` and `refill` are called on the worker's thread only."""

    signal: Signal

    def refill(self) -> None:
        """Fetch what has to be fetched (metrics are collected); called at each delay and at each flush."""

    def take(self) -> Batch | None:
        """Remove the oldest items and encode them as one request."""

    def pending(self) -> int:
        """Items that `take` would still give."""

    def dropped(self) -> int:
        """Items that were lost before they could be taken."""

    def halve(self, batch: Batch) -> tuple[Batch, Batch] | None:
        """Split a request that is too large; None when it holds one item."""

    def after_fork(self) -> None:
        """Forget what is the parent's."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a worker sends to, and how it batches: what `configure()` may change at any time."""

    make_sender: Callable[[], Sender]
    protocol: str
    timeout_s: float
    delay_s: float


@dataclass(slots=True)
class _Ticket:
    """A flush that waits: until `remaining` items (those before it) were answered.

    One that is not patient has failed as soon as nobody is at the endpoint.
    """

    is_patient: bool = True
    remaining: int = 0
    ok: bool = True
    has_thread: bool = True
    done: threading.Event = field(default_factory=threading.Event)


class Worker:
    """Sends what `source` gives, for as long as the process lives. Safe to call from any thread, except `_`methods."""

    def __init__(self, name: str, source: Source, route: Route, account: Account, reporter: Reporter) -> None:
        self._name = name
        self._source = source
        self._route = route
        self._account = account
        self._reporter = reporter
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._hang_bell()
        self._starting = _thread.allocate_lock()
        self._running = False
        self._gone = threading.Event()
        self._stopping = threading.Event()
        self._asked: deque[_Ticket] = deque()
        self._tickets: list[_Ticket] = []
        self._batches: deque[Batch] = deque()
        self._sender: Sender | None = None
        self._sender_route: Route | None = None
        self._failure_count = 0

    def _hang_bell(self) -> None:
        # A lock as a binary semaphore: releasing it takes no other lock, so that a logging call may do it
        # anywhere, in a signal handler or a finaliser too.
        self._bell_maker = _thread.allocate_lock
        self._bell = self._bell_maker()
        self._bell.acquire()

    def after_fork(self) -> None:
        """In a forked child: the thread, the connections and the batches are the parent's."""
        # Dropping the sender would run finalisers (gRPC's waits for its own threads): it is kept, unused.
        self._inherited = (getattr(self, "_inherited", None), self._sender)
        self._source.after_fork()
        self._account.reset()
        self._reset()

    def wake(self) -> None:
        """Start the thread if there is none, else tell it that a batch is full. Blocks never, raises never."""
        if self._pid != os.getpid():
            # A fork that Python did not see.
            self.after_fork()
        if self._running:
            self._ring()
        else:
            self.start()

    def start(self) -> bool:
        """Start the thread unless it runs; False where Python makes no threads any more (at its end)."""
        if self._running:
            return True
        # Whoever finds it taken is beaten by the other starter.
        if not self._starting.acquire(blocking=False):
            return True
        try:
            if not self._running and not self._stopping.is_set():
                # Not Thread.start() from here: it takes locks, which the code that this interrupted may hold.
                self._gone = threading.Event()
                if self._bell_maker is not _thread.allocate_lock:
                    # gevent has patched it: with a lock from before, who waits would keep all greenlets waiting.
                    self._hang_bell()
                self._running = True
                try:
                    _thread.start_new_thread(self._start_thread, ())
                except RuntimeError:
                    self._running = False
        finally:
            self._starting.release()
        return self._running

    def change_route(self, route: Route) -> None:
        """Send to somewhere else from the next attempt on."""
        former = self._sender
        self._route = route
        if former is not None:
            former.abort()
        self._ring()

    def ask_flush(self, *, is_patient: bool = True) -> _Ticket:
        """Have everything that is pending sent at once; wait for the ticket by `wait_flush`.

        is_patient: False gives up as soon as the endpoint refuses a connection.
        """
        if self._pid != os.getpid():
            self.after_fork()
        ticket = _Ticket(is_patient)
        self._asked.append(ticket)
        ticket.has_thread = self.start()
        self._ring()
        return ticket

    def wait_flush(self, ticket: _Ticket, deadline: float) -> bool:
        """Whether everything before the ticket was answered until the deadline."""
        if self.is_stopped:
            return self._source.pending() + self._account.in_flight == 0
        if ticket.has_thread:
            ticket.done.wait(max(deadline - time.monotonic(), 0))
        if not ticket.has_thread:
            # No thread can be made: this one does the work. It is as good as any.
            ticket.done.clear()
            self._serve_here(ticket, deadline)
        return ticket.done.is_set() and ticket.ok

    def ask_stop(self) -> None:
        """Begin to stop: no further batch is taken."""
        self._stopping.set()
        self._ring()

    def stop(self, deadline: float) -> None:
        """Stop the thread by the deadline, cutting an attempt under way; what is left is dropped and counted."""
        self.ask_stop()
        if self._running and not self._gone.wait(max(deadline - time.monotonic(), 0)):
            sender = self._sender
            if sender is not None:
                sender.abort()
            self._gone.wait(_STOP_GRACE_S)
        self._drop_rest()

    def flush(self, timeout_s: float) -> bool:
        """Ask and wait in one."""
        return self.wait_flush(self.ask_flush(), time.monotonic() + timeout_s)

    def revive(self) -> bool:
        """Make a stopped worker fit to start again; False when its thread hangs, and it never will be."""
        if self.is_stopped:
            self._reset()
        return not self._stopping.is_set()

    @property
    def is_stopped(self) -> bool:
        """Whether `stop` was called and the thread is gone."""
        return self._stopping.is_set() and not self._running

    @property
    def is_running(self) -> bool:
        """Whether the thread runs, or is being started."""
        return self._running

    def lost(self) -> int:
        """Items that will never be delivered: refused, given up, or without room."""
        return self._source.dropped() + self._account.lost()

    def _ring(self) -> None:
        # Releasing what is not held: the bell has rung already.
        with suppress(RuntimeError):
            self._bell.release()

    def _start_thread(self) -> None:
        try:
            threading.Thread(target=self._run, name=self._name, daemon=True).start()
        except RuntimeError:
            # Python has begun to end (3.12 and later refuse new threads then): who waits does the work itself.
            self._running = False
            for ticket in tuple(self._asked):
                ticket.has_thread = False
                ticket.done.set()
            self._gone.set()

    def _run(self) -> None:
        try:
            with quiet():
                self._serve()
        except BaseException as error:
            # Not through logging or sys.excepthook: an app may have bent both towards us.
            self._reporter.once(f"worker {self._name}", f"{self._name} ended by {error!r}, please report this")
        finally:
            self._end()

    def _end(self) -> None:
        self._close_sender()
        self._running = False
        for ticket in (*self._tickets, *self._asked):
            ticket.ok = False
            ticket.done.set()
        self._tickets = []
        self._asked.clear()
        self._gone.set()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            self._await_bell(self._route.delay_s)
            if self._stopping.is_set() and not self._asked:
                return
            if not self._admit_tickets():
                self._source.refill()
            self._drain(deadline=None)

    def _serve_here(self, ticket: _Ticket, deadline: float) -> None:
        with quiet():
            self._admit_tickets()
            self._drain(deadline)
        if not ticket.done.is_set():
            ticket.ok = False
        self._tickets.clear()
        self._close_sender()

    def _await_bell(self, delay_s: float) -> bool:
        return self._bell.acquire(timeout=max(delay_s, 0.0))

    def _admit_tickets(self) -> bool:
        """Look at the flushes that were asked for; True when there are new ones."""
        admitted = False
        while self._asked:
            ticket = self._asked.popleft()
            self._source.refill()
            ticket.remaining = self._source.pending() + self._account.in_flight
            self._tickets.append(ticket)
            admitted = True
        self._settle_tickets(0)
        return admitted

    def _settle_tickets(self, count: int, *, ok: bool = True) -> None:
        for ticket in self._tickets:
            ticket.remaining -= count
            ticket.ok = ticket.ok and ok
            if ticket.remaining <= 0:
                ticket.done.set()
        self._tickets = [ticket for ticket in self._tickets if not ticket.done.is_set()]

    def _disappoint(self) -> None:
        """Fail the flushes that are not patient."""
        for ticket in self._tickets:
            if not ticket.is_patient:
                ticket.ok = False
                ticket.done.set()
        self._settle_tickets(0)

    def _drain(self, deadline: float | None) -> None:
        """Send until nothing is left (or the deadline is over)."""
        while True:
            if not self._batches:
                batch = self._account.take(self._source.take)
                if batch is None:
                    # What was counted as pending may have been dropped meanwhile by a full queue.
                    for ticket in self._tickets:
                        ticket.remaining = 0
                    self._settle_tickets(0)
                    return
                self._batches.append(batch)
            batch = self._batches[0]
            outcome = self._attempt(batch, deadline)
            if outcome.kind != "retry":
                self._batches.popleft()
                self._failure_count = 0
                self._account_for(batch, outcome)
            elif not self._pause(outcome, deadline):
                return
            if deadline is not None and time.monotonic() >= deadline:
                return
            if self._stopping.is_set() and not self._tickets:
                return
            if self._asked:
                self._admit_tickets()

    def _attempt(self, batch: Batch, deadline: float | None) -> Outcome:
        route = self._route
        try:
            if self._sender is None or self._sender_route is not route:
                self._close_sender()
                self._sender, self._sender_route = route.make_sender(), route
            timeout_s = route.timeout_s if deadline is None else min(route.timeout_s, deadline - time.monotonic())
            outcome = self._sender.send(batch.request, batch.count, max(timeout_s, 0.01))
        except Exception as error:
            outcome = Outcome("retry", message=f"{type(error).__name__}: {error}", cause="internal")
        if _debug.isEnabledFor(logging.DEBUG):
            where = "nowhere" if self._sender is None else public_url(self._sender.endpoint)
            _debug.debug(
                "%d %s (%d bytes) to %s: %s%s",
                *(batch.count, self._source.signal, len(batch.request), where, outcome.kind),
                f" ({outcome.message})" if outcome.message else "",
            )
        if outcome.cause != "aborted":
            self._report(outcome)
        return outcome

    def _report(self, outcome: Outcome) -> None:
        sender = self._sender
        if sender is None:
            return
        signal, endpoint, shown = self._source.signal, sender.endpoint, public_url(sender.endpoint)
        lost = self.lost()
        if outcome.kind == "delivered":
            self._reporter.success(signal, endpoint, self._source.pending() + self._account.in_flight, lost)
            if outcome.rejected:
                text = f"{shown} rejected {outcome.rejected} of {signal}: {outcome.message or 'it gave no reason'}"
                self._reporter.once(f"partial {endpoint}", text)
            elif outcome.message:
                self._reporter.once(f"warning {endpoint}", f"{shown} says about {signal}: {outcome.message}")
        elif outcome.cause != "too_large" and not (outcome.cause == "disconnected" and self._failure_count == 0):
            # A kept-alive connection that was closed while idle is tried again at once, and not worth a line.
            self._reporter.trouble(signal, endpoint, self._route.protocol, outcome, lost)
        if signal == "logs":
            self._reporter.losses(lost)

    def _account_for(self, batch: Batch, outcome: Outcome) -> None:
        """Settle a batch that will not be sent again as it is."""
        if outcome.cause == "too_large":
            halves = self._source.halve(batch)
            if halves is not None:
                self._batches.extendleft(reversed(halves))
                return
            self._account.dropped("too_large", batch.count)
        elif outcome.kind == "failed":
            self._account.dropped("export_failed", batch.count)
        else:
            rejected = batch.count if outcome.kind == "rejected" else outcome.rejected
            self._account.answered(batch.count, rejected)
        answered = outcome.kind != "failed" and outcome.cause != "too_large"
        self._settle_tickets(batch.count, ok=answered)

    def _pause(self, outcome: Outcome, deadline: float | None) -> bool:
        """Wait before the next attempt; a new flush or a new route ends it. False: the time is over."""
        if outcome.cause == "aborted":
            self._failure_count = 0
            return not self._stopping.is_set() and deadline is None
        self._failure_count += 1
        if outcome.cause in _NOBODY_THERE:
            self._disappoint()
        until = time.monotonic() + delay_s(outcome, self._failure_count)
        if deadline is not None and until >= deadline:
            return False
        while (remaining_s := until - time.monotonic()) > 0:
            self._await_bell(remaining_s)
            if self._route is not self._sender_route or self._admit_tickets():
                return True
            if self._stopping.is_set():
                return False
        return True

    def _drop_rest(self) -> None:
        """Count what will not be sent any more, so that the account stays whole."""
        if self._running:
            # The thread hangs where nobody can cut it (name resolution); it holds its batch, and so does the account.
            return
        while self._batches:
            self._account.dropped("shutdown", self._batches.popleft().count)
        while (batch := self._account.take(self._source.take)) is not None:
            self._account.dropped("shutdown", batch.count)

    def _close_sender(self) -> None:
        sender, self._sender, self._sender_route = self._sender, None, None
        if sender is not None:
            sender.close()

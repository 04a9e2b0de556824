"""Where items went, by count. Every item that was taken from its source ends in exactly one of these numbers."""

from __future__ import annotations

import threading
from collections.abc import Callable

from otelbridge.types import Batch, CoreCounters, LogSource, Stats


class Account:
    """The fate of one signal's items since the process (or its fork) began."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew, as a forked child does: the inherited numbers are its parent's, and so is who holds the lock."""
        self._lock = threading.RLock()
        self._delivered = 0
        self._rejected = 0
        self._in_flight = 0
        self._dropped: dict[str, int] = {}

    def take(self, take: Callable[[], Batch | None]) -> Batch | None:
        """Take a batch and count it as under way, in one step for those who look on."""
        with self._lock:
            batch = take()
            if batch is not None:
                self._in_flight += batch.count
            return batch

    def answered(self, count: int, rejected: int) -> None:
        """Count a batch that the collector answered, with `rejected` of its items refused."""
        rejected = min(rejected, count)
        with self._lock:
            self._in_flight -= count
            self._delivered += count - rejected
            self._rejected += rejected

    def dropped(self, reason: str, count: int) -> None:
        """Count a batch that was under way and will not be sent."""
        with self._lock:
            self._in_flight -= count
            self._dropped[reason] = self._dropped.get(reason, 0) + count

    @property
    def in_flight(self) -> int:
        """Items taken and not answered yet."""
        return self._in_flight

    def lost(self) -> int:
        """Items taken and given up, or refused by the collector."""
        with self._lock:
            return self._rejected + sum(self._dropped.values())

    def stats(self, core: LogSource) -> Stats:
        """The account of log records as a whole, together with what the core counted."""
        with self._lock:
            counters = CoreCounters(*core.counters())
            delivered, rejected, in_flight = self._delivered, self._rejected, self._in_flight
            dropped = dict(self._dropped)
        for reason, count in (
            ("buffer_full", counters.dropped_buffer_full),
            ("too_large", counters.dropped_too_large),
            ("internal", counters.dropped_internal),
            ("shutdown", counters.dropped_shutdown),
        ):
            if count:
                dropped[reason] = dropped.get(reason, 0) + count
        return Stats(
            emitted=counters.emitted,
            delivered=delivered,
            spooled=counters.pending + in_flight,
            rejected=rejected,
            dropped=dropped,
        )

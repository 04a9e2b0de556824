"""Measurements on their way out: packed into packets for our own clients, or told to the user's own `StatsClient`.

Counts what became of each line; leaves the rhythm to `sender`. Both classes belong to one thread.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from otelbridge.metrics.statsd.clients import PacketClient, UnreachableError
from otelbridge.metrics.statsd.lines import PACKET_SIZE_LEAST, PACKET_SIZE_MAX, Series, make_line

Loss = Literal["no_room", "send_failed", "too_large"]


@dataclass(slots=True)
class SendCounts:
    """What became of the lines so far: handed to the kernel, or lost and why. UDP may lose more; nobody can know."""

    packets: int = 0
    lines: int = 0
    errors: int = 0
    lost: Counter[Loss] = field(default_factory=Counter)


class Output(Protocol):
    """Where a round of lines goes."""

    name: str

    def begin(self, counts: SendCounts) -> None:
        """Begin a round, counted in `counts`."""

    def add(self, series: Series, value: float) -> None:
        """Take a line."""

    def finish(self) -> Exception | None:
        """Send what is left; the round's first failure."""

    def close(self) -> None:
        """Let go of the connection, for good or after a fork."""


class PacketOutput:
    """Packs lines into packets of at most `size_max` bytes (508 to 1432): never a split line, many in one packet."""

    def __init__(self, client: PacketClient, name: str, *, size_max: int = PACKET_SIZE_MAX) -> None:
        if not PACKET_SIZE_LEAST <= size_max <= PACKET_SIZE_MAX:
            msg = f"size_max must be from {PACKET_SIZE_LEAST} to {PACKET_SIZE_MAX} bytes, got {size_max!r}"
            raise ValueError(msg)
        self.name = name
        self._client = client
        self._size_max = size_max
        self._lines: list[str] = []
        # With the newline that each line brings along; the last one's is room for a stream's.
        self._size = 0
        self.begin(SendCounts())

    def begin(self, counts: SendCounts) -> None:
        """Begin a round without the failure of the last."""
        self._counts, self._is_down = counts, False
        self._failure: Exception | None = None

    def add(self, series: Series, value: float) -> None:
        """Put a line into the packet, sending the one before when it is full."""
        line = make_line(series, value)
        size = len(line) + 1
        if size > self._size_max:
            self._counts.lost["too_large"] += 1
            return
        if self._size + size > self._size_max:
            self._send()
        self._lines.append(line)
        self._size += size

    def finish(self) -> Exception | None:
        """Send the last packet."""
        if self._lines:
            self._send()
        return self._failure

    def close(self) -> None:
        """Close the client; lines that a forked child inherited are the parent's."""
        self._lines, self._size = [], 0
        self._client.close()

    def _send(self) -> None:
        lines, self._lines, self._size = self._lines, [], 0
        if self._is_down:
            self._counts.lost["send_failed"] += len(lines)
            return
        try:
            self._client.deliver("\n".join(lines).encode("ascii"))
        except OSError as error:
            # Waiting for each packet of a round to fail would take as many timeouts.
            self._is_down = isinstance(error, UnreachableError | TimeoutError)
            self._failure = self._failure or error
            self._counts.errors += 1
            self._counts.lost["send_failed"] += len(lines)
        else:
            self._counts.packets += 1
            self._counts.lines += len(lines)


class ClientOutput:
    """Tells a `statsd.StatsClient` of the user's, by its `incr`, `timing` and `gauge` alone."""

    def __init__(self, client: Any) -> None:
        self.name = type(client).__name__
        self._client = client
        self._acts: dict[str, Callable[[str, float], object]] = {
            "c": client.incr,
            "g": client.gauge,
            "ms": client.timing,
            "h": client.timing,
        }
        self.begin(SendCounts())

    def begin(self, counts: SendCounts) -> None:
        """Begin a round without the failure of the last."""
        self._counts, self._is_down = counts, False
        self._failure: Exception | None = None

    def add(self, series: Series, value: float) -> None:
        """Tell of one measurement."""
        if self._is_down:
            self._counts.lost["send_failed"] += 1
            return
        try:
            self._acts[series.kind](series.stat, value)
        except Exception as error:
            self._is_down = True
            self._failure = error
            self._counts.errors += 1
            self._counts.lost["send_failed"] += 1
            self.close()
        else:
            self._counts.packets += 1
            self._counts.lines += 1

    def finish(self) -> Exception | None:
        """The round's failure."""
        return self._failure

    def close(self) -> None:
        """Have a stream client connect anew for the next line; others have nothing that must be."""
        if hasattr(self._client, "reconnect"):
            self._client.close()

"""The words that rooms hand each other: plain data and Protocols, no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class Stats:
    """Where the log records of this process went (`otelbridge.stats()`).

    Identity, at any quiet moment: emitted = delivered + spooled + rejected + sum(dropped.values()).
    All are counts of log records since the process (or its fork) began.
    """

    emitted: int = 0
    delivered: int = 0
    spooled: int = 0
    rejected: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Batch:
    """One OTLP request, encoded, and the number of items in it."""

    request: bytes
    count: int


class CoreCounters(NamedTuple):
    """What the core has counted since the process (or its fork) began; records, except `pending_size` in bytes."""

    emitted: int
    pending: int
    pending_size: int
    dropped_buffer_full: int
    dropped_too_large: int
    dropped_internal: int
    dropped_shutdown: int


class LogSource(Protocol):
    """What delivery sees of the core: encoded records, taken oldest first."""

    def take(self, resource: bytes, scope: bytes, size_max: int, count_max: int) -> tuple[bytes, int] | None:
        """Remove the oldest records and return them as one ExportLogsServiceRequest, and their number.

        `resource` and `scope` are encoded protobuf *fields* (tag and length included) of ResourceLogs and ScopeLogs.
        At least one record is taken; None when nothing is pending.
        """

    def counters(self) -> tuple[int, int, int, int, int, int, int]:
        """The values of CoreCounters, in its order."""

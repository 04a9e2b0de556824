"""What StatsD sends: the table's measurements, kept from the request's thread until the sender asks for them.

The same attributes and cap as OpenTelemetry's. In a request: no lock, and no system call but the one that notices a
fork.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Protocol, TypeVar

from otelbridge.metrics.instruments import (
    ACTIVE_REQUESTS,
    ACTIVE_SESSIONS,
    LOG_RECORDS,
    REQUEST_BODY_SIZE,
    REQUEST_DURATION,
    REQUESTS,
    RESPONSE_BODY_SIZE,
    SESSION_DURATION,
    SESSION_IO,
    SESSION_MESSAGES,
    Attributes,
    Instrument,
    Measured,
    MeasuredSession,
    active_attributes,
    known_scheme,
    known_version,
    request_attributes,
    session_active_attributes,
    session_attributes,
    session_io_attributes,
)
from otelbridge.metrics.statsd.lines import Series
from otelbridge.metrics.statsd.sender import Route

# Measurements of a second: more than one process of Python makes, in some 10 MB.
CAPACITY = 32_768
# The SDK's limit; all that comes after it shares one series, named as the SDK's.
GROUPS_MAX = 2_000
_OVERFLOW: Attributes = {"otel.metric.overflow": "true"}

RecordT = TypeVar("RecordT")
Rows = tuple[tuple[Instrument, Attributes], ...]


class Sender(Protocol):
    """What a measurement needs of `StatsdSender`."""

    def ensure_running(self) -> bool:
        """Begin to send, unless that was done; False: nothing is sent any more."""


class StatsdRequestMetrics:
    """Requests and sessions for `sender`. Measurements beyond `capacity` in a round are dropped and counted.

    Levels (`active_requests`) are absolute: of several processes that send to one agent, the last to speak sets it.
    """

    def __init__(self, sender: Sender, *, capacity: int = CAPACITY, groups_max: int = GROUPS_MAX) -> None:
        self._sender = sender
        self._capacity = capacity
        self._groups_max = groups_max
        self._reset()

    def _reset(self) -> None:
        self._kept: deque[tuple[_Group, tuple[float, ...]]] = deque()
        self._groups: dict[tuple[object, ...], _Group] = {}
        self._levels: dict[tuple[str, ...], _Level] = {}
        self._drops = itertools.count(1)
        self._dropped = 0

    def started(self, record: Measured) -> None:
        """Count a request in."""
        self._sender.ensure_running()
        self._request_level(record).rise()

    def ended(self, record: Measured, *, counted: bool) -> None:
        """Keep what a finished request measured; `counted`: it was counted in, and is to be counted out."""
        is_sending = self._sender.ensure_running()
        if counted:
            self._request_level(record).fall()
        key = (
            record.known_method,
            known_scheme(record.scheme),
            known_version(record.http_version),
            record.status,
            record.route,
            record.error_type,
        )
        group = self._groups.get(key) or self._new_group(key, _request_rows, record)
        sizes = record.request_body_size, record.response_body_size
        self._keep(group, (record.duration_ns / 1e6, *sizes, 1), is_sending)

    def session_started(self, record: MeasuredSession) -> None:
        """Count a WebSocket session in."""
        self._sender.ensure_running()
        self._session_level(record).rise()

    def session_ended(self, record: MeasuredSession, *, counted: bool) -> None:
        """Keep what a finished session measured."""
        is_sending = self._sender.ensure_running()
        if counted:
            self._session_level(record).fall()
        key = (
            "session",
            known_scheme(record.scheme),
            known_version(record.http_version),
            record.route,
            record.closed_by,
            record.error_type,
        )
        group = self._groups.get(key) or self._new_group(key, _session_rows, record)
        messages = record.messages_in, record.messages_out
        sizes = record.request_body_size, record.response_body_size
        self._keep(group, (record.duration_ns / 1e6, *messages, *sizes), is_sending)

    def take(self, route: Route) -> Iterator[tuple[Series, float]]:
        """Give levels that have changed, times and sizes one by one, and counters summed."""
        for level in tuple(self._levels.values()):
            yield from level.changes(route)
        sums: dict[Series, float] = {}
        for _ in range(len(self._kept)):
            group, values = self._kept.popleft()
            for series, value in zip(group.written(route), values, strict=True):
                if series.kind == "c":
                    sums[series] = sums.get(series, 0) + value
                else:
                    yield series, value
        yield from ((series, count) for series, count in sums.items() if count)

    def sent(self, *, complete: bool) -> None:
        """Tell levels again that may not have arrived."""
        if not complete:
            for level in tuple(self._levels.values()):
                level.forget()

    def dropped(self) -> int:
        """Requests and sessions whose measurements found no room, or came after the end."""
        return self._dropped

    def after_fork(self) -> None:
        """The parent's measurements are the parent's, and so are its active requests."""
        self._reset()

    def _keep(self, group: _Group, values: tuple[float, ...], is_sending: bool) -> None:
        if is_sending and len(self._kept) < self._capacity:
            self._kept.append((group, values))
        else:
            # One step, where += would be several and lose counts to other threads.
            self._dropped = next(self._drops)

    def _new_group(self, key: tuple[object, ...], rows: Callable[[RecordT], Rows], record: RecordT) -> _Group:
        made = rows(record)
        if len(self._groups) < self._groups_max:
            return self._groups.setdefault(key, _Group(made))
        overflow = tuple((row, _OVERFLOW) for row, _ in made)
        return self._groups.setdefault((rows,), _Group(overflow))

    def _request_level(self, record: Measured) -> _Level:
        key = (record.known_method, known_scheme(record.scheme))
        return self._levels.get(key) or self._levels.setdefault(key, _Level(ACTIVE_REQUESTS, active_attributes(record)))

    def _session_level(self, record: MeasuredSession) -> _Level:
        key = (known_scheme(record.scheme),)
        attributes = session_active_attributes(record)
        return self._levels.get(key) or self._levels.setdefault(key, _Level(ACTIVE_SESSIONS, attributes))


class StatsdLogRecords:
    """`otelbridge.log.records` for the sender: what `counts()` (level's name to total) has grown by since the last."""

    def __init__(self, counts: Callable[[], Mapping[str, int]]) -> None:
        self._counts = counts
        self._told: Mapping[str, int] = {}

    def take(self, route: Route) -> Iterator[tuple[Series, float]]:
        """Give each level's growth."""
        before, self._told = self._told, dict(self._counts())
        for level, total in self._told.items():
            growth = total - before.get(level, 0)
            if growth:
                # Less than before: a forked child counts from zero.
                yield route.series(LOG_RECORDS, {"log.level": level}), growth if growth > 0 else total

    def sent(self, *, complete: bool) -> None:
        """Growth that was not sent is lost: sent again, part of it might count twice."""

    def dropped(self) -> int:
        """None: nothing is kept."""
        return 0

    def after_fork(self) -> None:
        """Begin where the counts are now: what is before is the parent's to tell."""
        self._told = dict(self._counts())


class _Group:
    """Series that are always measured together, written once for a route."""

    __slots__ = ("_route", "_rows", "_written")

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._route: Route | None = None
        self._written: tuple[Series, ...] = ()

    def written(self, route: Route) -> tuple[Series, ...]:
        if route is not self._route:
            self._written = tuple(route.series(row, attributes) for row, attributes in self._rows)
            self._route = route
        return self._written


class _Level:
    """How many there are now: changed by any thread in one step, read by the sender's."""

    __slots__ = ("_attributes", "_route", "_row", "_series", "_told", "fall", "rise")

    def __init__(self, row: Instrument, attributes: Attributes) -> None:
        self._row, self._attributes = row, attributes
        # A count's next step is one, which an addition is not; reading takes one of each, so that it is no change.
        self.rise, self.fall = itertools.count().__next__, itertools.count().__next__
        self._route: Route | None = None
        self._told: int | None = None

    def changes(self, route: Route) -> Iterator[tuple[Series, float]]:
        # In this order: what rises and falls in between must not look like less than nothing.
        falls, rises = self.fall(), self.rise()
        # Below 0 only for requests that began before a fork; a leading minus would make plain StatsD subtract.
        value = max(rises - falls, 0)
        if route is not self._route:
            self._route, self._series, self._told = route, route.series(self._row, self._attributes), None
        if value != self._told:
            self._told = value
            yield self._series, value

    def forget(self) -> None:
        self._told = None


def _request_rows(record: Measured) -> Rows:
    attributes = request_attributes(record)
    return tuple((row, attributes) for row in (REQUEST_DURATION, REQUEST_BODY_SIZE, RESPONSE_BODY_SIZE, REQUESTS))


def _session_rows(record: MeasuredSession) -> Rows:
    received, transmitted = session_io_attributes(record, "receive"), session_io_attributes(record, "transmit")
    return (
        (SESSION_DURATION, session_attributes(record)),
        (SESSION_MESSAGES, received),
        (SESSION_MESSAGES, transmitted),
        (SESSION_IO, received),
        (SESSION_IO, transmitted),
    )

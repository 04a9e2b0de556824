"""When is a log file full, or its day over? Decides; touches no file (features.md 1.12)."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, time, timedelta, tzinfo
from typing import Any

from otelbridge.departures import strict
from otelbridge.sinks.grammar import parse_daytime, parse_duration, parse_size

# Offsets from UTC change at these moments only: between them the order of wall times is the order of instants.
_QUARTER_NS = 15 * 60 * 1_000_000_000

Next = Callable[[datetime], datetime]


class SizeLimit:
    """A file is full when the next message would make it larger than `limit` bytes."""

    def __init__(self, limit: float) -> None:
        self.limit = limit


class Condition:
    """The user's function (message, file) -> whether to rotate."""

    def __init__(self, function: Callable[[Any, Any], object]) -> None:
        self.function = function


class Schedule:
    """Rotation at moments on the wall clock of the records: a daily rotation is one of 23 or 25 hours now and then.

    `step` says the next moment after one; with `is_periodic` moments are counted from the file's creation, else they
    are the calendar's. `zone` is whose wall clock counts; None: the record's.
    """

    def __init__(self, step: Next, *, is_periodic: bool = False, zone: tzinfo | None = None) -> None:
        self._step = step
        self._is_periodic = is_periodic
        self._zone = zone
        self._limit: datetime | None = None
        # No record of an earlier instant than this is due.
        self.guard_ns = 0

    @property
    def has_begun(self) -> bool:
        """Whether the creation time of the file is known."""
        return self._limit is not None

    def begin(self, created_s: float, moment: datetime) -> None:
        """Count from the creation of the file; `moment` is the time of a record, whose zone is used."""
        created = self._created(created_s, moment.tzinfo)
        self._limit = self._first_in_loguru(created) or self._after(created)
        self.guard_ns = 0

    def follow(self, created_s: float) -> None:
        """Another process, or a person, began a new file: it gets its full time."""
        if self._limit is None:
            return
        created = self._created(created_s, None)
        self._limit = max(self._limit, self._after(created))
        self.guard_ns = 0

    def is_due(self, moment: datetime, time_ns: int | None = None) -> bool:
        """Whether a record of this time begins a new file. `time_ns`: the same time, if that is known."""
        assert self._limit is not None  # begun
        wall = self._wall(moment)
        if wall >= self._limit:
            return True
        if time_ns is not None:
            left_ns = (self._limit - wall) // timedelta(microseconds=1) * 1000
            self.guard_ns = min(time_ns + left_ns, (time_ns // _QUARTER_NS + 1) * _QUARTER_NS)
        return False

    def advance(self, moment: datetime) -> None:
        """The record of this time begins a new file: from now on the next moment counts."""
        assert self._limit is not None  # begun
        self._limit = self._following(self._limit, self._wall(moment))

    def _first_in_loguru(self, created: datetime) -> datetime | None:
        # "sunday at 18:00", begun on a Thursday at 14:30: loguru rotates on this Thursday, then on Sundays.
        if not strict() or not isinstance(self._step, _Daytime):
            return None
        today = datetime.combine(created, self._step.at)
        return today if today > created else None

    def _wall(self, moment: datetime) -> datetime:
        return (moment if self._zone is None else moment.astimezone(self._zone)).replace(tzinfo=None)

    def _created(self, created_s: float, zone: tzinfo | None) -> datetime:
        return datetime.fromtimestamp(created_s, tz=self._zone or zone).replace(tzinfo=None)

    def _following(self, limit: datetime, wall: datetime) -> datetime:
        if not self._is_periodic:
            return self._after(wall)
        period = self._after(limit) - limit
        try:
            return limit + period * ((wall - limit) // period + 1)
        except (OverflowError, ZeroDivisionError):
            return datetime.max

    def _after(self, moment: datetime) -> datetime:
        try:
            return self._step(moment)
        except OverflowError:  # beyond the calendar's end
            return datetime.max


Rotation = SizeLimit | Schedule | Condition


def make_rotation(spec: object) -> Rotation | None:
    """The rotation that `spec` asks for; None: never.

    Takes bytes as a number, a `timedelta`, a `time` of the day, a function (message, file) -> bool, or a str for one of
    these: "10 MB", "1 week", "18:00", "monday at 12:00", "daily". TypeError, ValueError: it is none of them.
    """
    if spec is None:
        return None
    if isinstance(spec, str):
        return _read(spec)
    if isinstance(spec, timedelta):
        return _every(spec)
    if isinstance(spec, time):
        return Schedule(_Daytime(None, spec.replace(tzinfo=None)), zone=spec.tzinfo)
    if callable(spec):
        return Condition(spec)
    if hasattr(spec, "as_integer_ratio"):  # what int, float, Decimal and Fraction share
        return _sized(spec)
    raise TypeError(
        "rotation must be a str, a number of bytes, a timedelta, a time, a callable(message, file) or None, "
        f"got {type(spec).__name__}"
    )


def _read(text: str) -> Rotation:
    size = parse_size(text)
    if size is not None:
        return _sized(size)
    step = _FREQUENCIES.get(text.strip().lower())
    if step is not None:
        return Schedule(step)
    daytime = parse_daytime(text)
    if daytime is not None:
        return Schedule(_Daytime(*daytime))
    duration = parse_duration(text)
    if duration is not None:
        return _every(duration)
    raise ValueError(
        f"rotation not understood: {text!r}; expected a size as '10 MB', a duration as '1 week', a time as '18:00', "
        f"a day as 'monday at 12:00', or one of {', '.join(_FREQUENCIES)}"
    )


def _sized(limit: Any) -> SizeLimit:
    if math.isnan(limit):
        raise ValueError(f"rotation must be a number of bytes, got {limit!r}")
    return SizeLimit(limit if isinstance(limit, int) else float(limit))


def _every(period: timedelta) -> Schedule:
    if period <= timedelta(0):
        raise ValueError(f"rotation must be a duration longer than nothing, got {period}")
    return Schedule(_Period(period), is_periodic=True)


class _Period:
    """The moment a fixed time later."""

    def __init__(self, length: timedelta) -> None:
        self._length = length

    def __call__(self, moment: datetime) -> datetime:
        return moment + self._length


class _Daytime:
    """The next time it is `at` o'clock, on `weekday` or on any day."""

    def __init__(self, weekday: int | None, at: time) -> None:
        self._weekday = weekday
        self.at = at

    def __call__(self, moment: datetime) -> datetime:
        day = moment if self._weekday is None else moment + timedelta(days=(self._weekday - moment.weekday()) % 7)
        due = datetime.combine(day, self.at)
        if due > moment:
            return due
        return due + timedelta(days=1 if self._weekday is None else 7)


def _next_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


def _next_month(moment: datetime) -> datetime:
    first = datetime(moment.year, moment.month, 1)
    return (first + timedelta(days=31)).replace(day=1)


def _next_year(moment: datetime) -> datetime:
    return (datetime(moment.year, 12, 31) + timedelta(days=1)).replace(day=1)


_FREQUENCIES: dict[str, Next] = {
    "hourly": _next_hour,
    "daily": _Daytime(None, time()),
    "weekly": _Daytime(0, time()),
    "monthly": _next_month,
    "yearly": _next_year,
}

"""Sizes, durations, days and times as people write them: loguru's grammar (features.md 1.12, 1.14).

Each `parse_` returns None for text of another kind, and raises ValueError for its own kind said wrong.
"""

from __future__ import annotations

import re
from datetime import time, timedelta

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?"
_SIZE = re.compile(rf"\s*({_NUMBER})\s*([kmgtpezy]?)(i?)([bB])\s*", re.IGNORECASE)
_TERM = re.compile(rf"({_NUMBER})\s*([a-z]+)[\s,]*", re.IGNORECASE)
_TIME = re.compile(r"(\d{1,2})(?::(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,6}))?)?)?(?:\s*(am|pm))?", re.IGNORECASE | re.ASCII)
_AT = re.compile(r"\s+at\s+", re.IGNORECASE)

_HOUR_S = 3600.0
_DAY_S = 24 * _HOUR_S
_YEAR_S = 365 * _DAY_S
_UNITS_S = {
    ("us", "microsecond", "microseconds"): 1e-6,
    ("ms", "millisecond", "milliseconds"): 1e-3,
    ("s", "sec", "secs", "second", "seconds"): 1.0,
    ("min", "mins", "minute", "minutes"): 60.0,
    ("h", "hour", "hours"): _HOUR_S,
    ("d", "day", "days"): _DAY_S,
    ("w", "week", "weeks"): 7 * _DAY_S,
    ("month", "months"): _YEAR_S / 12,
    ("y", "year", "years"): _YEAR_S,
}
_UNIT_S = {name: seconds for names, seconds in _UNITS_S.items() for name in names}
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def parse_size(text: str) -> float | None:
    """A size in bytes. `10 MB` is decimal, `10 MiB` binary; a small `b` means bits, eight to the byte."""
    match = _SIZE.fullmatch(text)
    if match is None:
        return None
    number, prefix, binary, unit = match.groups()
    power = " kmgtpezy".index(prefix.lower() or " ")
    base = 1024.0 if binary else 1000.0
    return float(number) * base**power / (8 if unit == "b" else 1)


def parse_duration(text: str) -> timedelta | None:
    """A sum of lengths of time, as `1 week, 3 days` or `1h 30min`. A month is a twelfth of a year of 365 days."""
    text = text.strip()
    total_s, end = 0.0, 0
    while match := _TERM.match(text, end):
        number, unit = match.groups()
        if unit.lower() not in _UNIT_S:
            raise ValueError(f"unknown unit of time {unit!r} in {text!r}; known: {', '.join(sorted(_UNIT_S))}")
        total_s += float(number) * _UNIT_S[unit.lower()]
        end = match.end()
    if end == 0 or end != len(text):
        return None
    try:
        return timedelta(seconds=total_s)
    except OverflowError:
        raise ValueError(f"{text!r} is longer than a duration can be") from None


def parse_daytime(text: str) -> tuple[int | None, time] | None:
    """A weekday (0: Monday; None: every day) and a time of the day, as `monday at 12:00`, `w0`, `18:00`, `6 pm`."""
    text = text.strip()
    day_text, at, time_text = _partition_at(text)
    if at:
        day, moment = _parse_day(day_text), _parse_time(time_text)
        if day is None:
            raise ValueError(f"unknown day {day_text!r} in {text!r}; expected one of {', '.join(DAYS)} or w0 to w6")
        if moment is None:
            raise ValueError(f"unknown time of day {time_text!r} in {text!r}; expected one as '18:00' or '6 pm'")
        return day, moment
    day = _parse_day(text)
    if day is not None:
        return day, time()
    moment = _parse_time(text)
    return None if moment is None else (None, moment)


def _partition_at(text: str) -> tuple[str, bool, str]:
    parts = _AT.split(text, maxsplit=1)
    return (parts[0], True, parts[1]) if len(parts) == 2 else (text, False, "")


def _parse_day(text: str) -> int | None:
    name = text.lower()
    if name in DAYS:
        return DAYS.index(name)
    if not re.fullmatch(r"w\d+", name):
        return None
    day = int(name[1:])
    if day > 6:
        raise ValueError(f"no such weekday: {text!r}; w0 is Monday, w6 is Sunday")
    return day


def _parse_time(text: str) -> time | None:
    match = _TIME.fullmatch(text)
    if match is None:
        return None
    hour, minute, second = (int(part or 0) for part in match.group(1, 2, 3))
    half = (match[5] or "").lower()
    if half and not 1 <= hour <= 12:
        raise ValueError(f"no such time of day: {text!r}; with am and pm hours go from 1 to 12")
    if half:
        hour = hour % 12 + (12 if half == "pm" else 0)
    try:
        return time(hour, minute, second, int((match[4] or "").ljust(6, "0")))
    except ValueError as error:
        raise ValueError(f"no such time of day: {text!r} ({error})") from None

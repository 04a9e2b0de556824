"""`{time:…}`: the local time of a record, and loguru's tokens that format it (features.md 1.29)."""

from __future__ import annotations

import re
from calendar import day_abbr, day_name, month_abbr, month_name
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from time import localtime
from typing import TYPE_CHECKING, NamedTuple

from otelbridge._native import time_text

if TYPE_CHECKING:
    from collections.abc import Callable

DEFAULT_SPEC = "YYYY-MM-DD HH:mm:ss.SSS"


class Time(datetime):
    """A local time that keeps the nanoseconds it was made from, and formats by loguru's tokens."""

    time_ns: int
    offset_s: int

    def __format__(self, spec: str) -> str:
        return format_time(self, spec)


class _Second(NamedTuple):
    """The local time of a whole second: consecutive records mostly share it."""

    number: int
    fields: tuple[int, int, int, int, int, int]
    offset_s: int
    zone: timezone


_second = _Second(-1, (1970, 1, 1, 0, 0, 0), 0, UTC)


def local_time(time_ns: int) -> Time:
    """The local time of an instant. One read of the clock gives it: fraction and offset cannot disagree."""
    global _second
    number, fraction_ns = divmod(time_ns, 1_000_000_000)
    second = _second
    if second.number != number:
        local = localtime(number)
        zone = timezone(timedelta(seconds=local.tm_gmtoff), local.tm_zone)
        second = _second = _Second(number, local[:6], local.tm_gmtoff, zone)
    time = Time(*second.fields, fraction_ns // 1000, second.zone)
    time.time_ns = time_ns
    time.offset_s = second.offset_s
    return time


def format_time(time: Time, spec: str) -> str:
    """Format by loguru's tokens; empty: ISO 8601; a spec with `%`: strftime; a spec ending in `!UTC`: in UTC."""
    if spec == DEFAULT_SPEC and hasattr(time, "time_ns"):
        return time_text(time.time_ns, time.offset_s)
    moment: datetime = time
    if spec.endswith("!UTC"):
        moment = time.astimezone(UTC)
        spec = spec[:-4]
    if not spec:
        spec = "YYYY-MM-DDTHH:mm:ss.SSSSSSZZ"
    if "%" in spec:
        return datetime.strftime(moment, spec)
    return "".join(part if isinstance(part, str) else part(moment) for part in _compile(spec))


_TOKENS = re.compile(
    r"\[(?:\\S\s*)?(?P<escaped>[^\]]*)\]|"
    r"YYYY|YY|Q|MMMM|MMM|MM|M|DDDD|DDD|DD|D|dddd|ddd|d|E|HH|H|hh|h|mm|m|ss|s|S{1,6}|A|ZZ|Z|zz|X|x"
)

_FIELDS: dict[str, Callable[[datetime], str]] = {
    "YYYY": lambda t: f"{t.year:04d}",
    "YY": lambda t: f"{t.year % 100:02d}",
    "Q": lambda t: str((t.month - 1) // 3 + 1),
    "MMMM": lambda t: month_name[t.month],
    "MMM": lambda t: month_abbr[t.month],
    "MM": lambda t: f"{t.month:02d}",
    "M": lambda t: str(t.month),
    "DDDD": lambda t: f"{t.timetuple().tm_yday:03d}",
    "DDD": lambda t: str(t.timetuple().tm_yday),
    "DD": lambda t: f"{t.day:02d}",
    "D": lambda t: str(t.day),
    "dddd": lambda t: day_name[t.weekday()],
    "ddd": lambda t: day_abbr[t.weekday()],
    "d": lambda t: str(t.weekday()),
    "E": lambda t: str(t.isoweekday()),
    "HH": lambda t: f"{t.hour:02d}",
    "H": lambda t: str(t.hour),
    "hh": lambda t: f"{(t.hour - 1) % 12 + 1:02d}",
    "h": lambda t: str((t.hour - 1) % 12 + 1),
    "mm": lambda t: f"{t.minute:02d}",
    "m": lambda t: str(t.minute),
    "ss": lambda t: f"{t.second:02d}",
    "s": lambda t: str(t.second),
    "A": lambda t: "AM" if t.hour < 12 else "PM",
    "Z": lambda t: _offset(t, ":"),
    "ZZ": lambda t: _offset(t, ""),
    "zz": lambda t: t.tzname() or "",
    "X": lambda t: str(int(t.timestamp())),
    "x": lambda t: str(int(t.timestamp()) * 1_000_000 + t.microsecond),
    **{"S" * n: (lambda t, n=n: f"{t.microsecond:06d}"[:n]) for n in range(1, 7)},  # type: ignore[misc]  # n: default
}


def _offset(time: datetime, separator: str) -> str:
    offset = time.utcoffset()
    seconds = int(offset.total_seconds()) if offset is not None else 0
    hours, minutes = divmod(abs(seconds) // 60, 60)
    return f"{'-' if seconds < 0 else '+'}{hours:02d}{separator}{minutes:02d}"


@lru_cache(maxsize=128)
def _compile(spec: str) -> tuple[str | Callable[[datetime], str], ...]:
    parts: list[str | Callable[[datetime], str]] = []
    end = 0
    for match in _TOKENS.finditer(spec):
        parts.append(spec[end : match.start()])
        escaped = match["escaped"]
        # Brackets shield tokens only: loguru leaves `[T]` as it is.
        if escaped is None:
            parts.append(_FIELDS[match[0]])
        else:
            parts.append(escaped if not escaped or _TOKENS.search(escaped) else match[0])
        end = match.end()
    parts.append(spec[end:])
    return tuple(part for part in parts if part != "")

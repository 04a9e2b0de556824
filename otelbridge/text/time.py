"""`{time:…}`: the local time of a record, and loguru's tokens that format it (features.md 1.29)."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from otelbridge.departures import strict

if TYPE_CHECKING:
    from collections.abc import Callable

# `{time}` in a file's name: no colons, which Windows forbids.
PATH_SPEC = "%Y-%m-%d_%H-%M-%S_%f"


class _Second(NamedTuple):
    """The local time of a whole second, which consecutive records mostly share, and where that was learnt."""

    number: int
    fields: tuple[int, int, int, int, int, int]
    zone: timezone
    localtime: Callable[[float], time.struct_time] | None
    tzname: tuple[str, str] | None


class Time(datetime):
    """A time that formats by loguru's tokens. One from `local_time` keeps the nanoseconds it was made from."""

    __slots__ = ("_second", "time_ns")

    time_ns: int
    _second: _Second

    def __format__(self, spec: str) -> str:
        return _compile(spec)(self)


class PathTime:
    """What `{time}` and `{time:…}` stand for in a file's name."""

    __slots__ = ("datetime",)

    def __init__(self, time: Time) -> None:
        self.datetime = time

    def __format__(self, spec: str) -> str:
        return path_time(self.datetime, spec)


_EPOCH = datetime(1970, 1, 1)
_latest = _Second(-1, (1970, 1, 1, 0, 0, 0), UTC, None, None)
_is_cached = True


def set_uncached(flag: bool) -> None:
    """True: ask `time.localtime` for each time, as under a clock that a test moves; False: once per second."""
    global _is_cached
    _is_cached = not flag


def local_time(time_ns: int) -> Time:
    """The local time of an instant. One read of the clock gives it: fraction and offset cannot disagree."""
    global _latest
    number, fraction_ns = divmod(time_ns, 1_000_000_000)
    second = _latest
    if second.number != number or not _is_cached or not _is_current(second):
        second = _latest = _read_second(number)
    local = Time(*second.fields, fraction_ns // 1000, second.zone)
    local.time_ns = time_ns
    local._second = second
    return local


def _is_current(second: _Second) -> bool:
    # A test may have replaced localtime; time.tzset() replaces tzname.
    return second.localtime is time.localtime and second.tzname is time.tzname


def _read_second(number: int) -> _Second:
    local = time.localtime(number)
    offset_s: int | None = getattr(local, "tm_gmtoff", None)
    if offset_s is None:  # a clock of a test's own
        offset_s = round((datetime(*local[:6]) - _EPOCH).total_seconds()) - number
    name: str | None = getattr(local, "tm_zone", None)
    offset = timedelta(seconds=offset_s)
    zone = timezone(offset) if name is None else timezone(offset, name)
    year, month, day, hour, minute, whole = (_EPOCH + timedelta(seconds=number) + offset).timetuple()[:6]
    return _Second(number, (year, month, day, hour, minute, whole), zone, time.localtime, time.tzname)


def path_time(moment: Time, spec: str = "") -> str:
    """`{time:spec}` in a file's name; `{time}` is `2026-03-26_14-30-00_123456`."""
    return format_time(moment, spec or PATH_SPEC)


def format_time(moment: Time, spec: str) -> str:
    """Format by loguru's tokens; empty: ISO 8601; a spec with `%`: strftime; a spec ending in `!UTC`: in UTC.

    ValueError: more than six `S` in a row.
    """
    return _compile(spec)(moment)


# ---------------------------------------------------------------------------------------------------- tokens

_TOKEN = "YYYY|YY|Q|M{1,4}|D{1,4}|dddd|ddd|d|E|HH?|hh?|mm?|ss?|S+|A|ZZ?|zz|X|x"
# Brackets shield one token, `!UTC` or nothing; other brackets are text.
_TOKENS = re.compile(rf"(?P<token>{_TOKEN})|\[(?P<shielded>{_TOKEN}|!UTC|)\]")
_FRACTION_DIGITS_MAX = 6

_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def _month(moment: datetime) -> str:
    return moment.strftime("%B") if strict() else _MONTHS[moment.month - 1]


def _short_month(moment: datetime) -> str:
    return moment.strftime("%b") if strict() else _MONTHS[moment.month - 1][:3]


def _day(moment: datetime) -> str:
    return moment.strftime("%A") if strict() else _DAYS[moment.weekday()]


def _short_day(moment: datetime) -> str:
    return moment.strftime("%a") if strict() else _DAYS[moment.weekday()][:3]


def _offset(moment: datetime, separator: str) -> str:
    """Hours, minutes, and seconds where there are some."""
    offset = moment.utcoffset() or timedelta()
    total_s = offset.total_seconds()
    # Loguru's reading of an offset west of Greenwich that has seconds: minutes are rounded up, seconds are not.
    hours, minutes = divmod(abs(total_s // 60), 60)
    seconds = abs(total_s) % 60
    text = f"{'-' if total_s < 0 else '+'}{hours:02.0f}{separator}{minutes:02.0f}"
    if not seconds:
        return text
    return f"{text}{separator}{seconds:02.0f}" if seconds.is_integer() else f"{text}{separator}{seconds:09.6f}"


_Gap: TypeAlias = "tuple[str, Callable[[datetime], float]]"

# What stays the same for a second.
_OF_SECOND: dict[str, Callable[[datetime], str]] = {
    "YYYY": lambda t: f"{t.year:04d}",
    "YY": lambda t: f"{t.year % 100:02d}",
    "Q": lambda t: str((t.month + 2) // 3),
    "MMMM": _month,
    "MMM": _short_month,
    "MM": lambda t: f"{t.month:02d}",
    "M": lambda t: str(t.month),
    "DDDD": lambda t: f"{t.timetuple().tm_yday:03d}",
    "DDD": lambda t: str(t.timetuple().tm_yday),
    "DD": lambda t: f"{t.day:02d}",
    "D": lambda t: str(t.day),
    "dddd": _day,
    "ddd": _short_day,
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
    "zz": lambda t: (t.tzinfo or UTC).tzname(t) or "",
}


def _microseconds(moment: datetime) -> int:
    """Since 1970, as loguru's document says; loguru itself adds the microseconds of the second twice."""
    if strict():
        return int(moment.timestamp() * 1_000_000 + moment.microsecond)
    return int(moment.replace(microsecond=0).timestamp()) * 1_000_000 + moment.microsecond


def _fraction(unit_us: int, moment: datetime) -> int:
    return moment.microsecond // unit_us


# What differs within it: how it is printed, and what is printed.
_WITHIN_SECOND: dict[str, _Gap] = {
    **{"S" * n: (f"%0{n}d", partial(_fraction, 10 ** (_FRACTION_DIGITS_MAX - n))) for n in range(1, 7)},
    "X": ("%d", lambda t: t.timestamp()),
    "x": ("%d", _microseconds),
}

_Part: TypeAlias = "str | _Gap | Callable[[datetime], str]"

_ISO: tuple[_Part, ...] = (
    lambda t: t.strftime("%Y-%m-%dT%H:%M:%S."),
    _WITHIN_SECOND["SSSSSS"],
    lambda t: t.strftime("%z"),
)


def _formatter(parts: tuple[_Part, ...], *, is_utc: bool) -> Callable[[Any], str]:
    """A function for a spec of tokens: the text of a second with gaps is made once, the gaps are filled each time."""
    gaps = [part[1] for part in parts if isinstance(part, tuple)]
    only_gap = gaps[0] if len(gaps) == 1 else None
    latest: tuple[_Second | None, str] = (None, "")

    def format_derived(moment: datetime) -> str:
        local = moment.astimezone(UTC) if is_utc else moment
        return _with_gaps(parts, local) % tuple([gap(local) for gap in gaps])

    def format_moment(moment: Time) -> str:
        nonlocal latest
        try:
            second = moment._second
        except AttributeError:  # not from local_time: made by the user, or derived from one
            return format_derived(moment)
        known, text = latest
        if known is not second:
            text = _with_gaps(parts, moment.astimezone(UTC) if is_utc else moment)
            latest = second, text
        return text % (tuple([gap(moment) for gap in gaps]) if only_gap is None else only_gap(moment))

    return format_moment


def _with_gaps(parts: tuple[_Part, ...], moment: datetime) -> str:
    return "".join([_text(part, moment) for part in parts])


def _text(part: _Part, moment: datetime) -> str:
    if isinstance(part, tuple):
        return part[0]
    return (part if isinstance(part, str) else part(moment)).replace("%", "%%")


@lru_cache(maxsize=128)
def _compile(spec: str) -> Callable[[Any], str]:
    is_utc = spec.endswith("!UTC")
    spec = spec.removesuffix("!UTC")
    if not spec:
        return _formatter(_ISO, is_utc=is_utc)
    if "%" in spec:
        return lambda moment: (moment.astimezone(UTC) if is_utc else moment).strftime(spec)
    if "S" * (_FRACTION_DIGITS_MAX + 1) in spec:
        msg = f"time must have at most {_FRACTION_DIGITS_MAX} digits after the second (no nanoseconds), got {spec!r}"
        raise ValueError(msg)
    return _formatter(tuple(_parts(spec)), is_utc=is_utc)


def _parts(spec: str) -> list[_Part]:
    parts: list[_Part] = []
    end = 0
    for match in _TOKENS.finditer(spec):
        token = match["token"]
        parts.append(spec[end : match.start()])
        if token is None:
            parts.append(match["shielded"])
        else:
            parts.append(_OF_SECOND.get(token) or _WITHIN_SECOND[token])
        end = match.end()
    parts.append(spec[end:])
    return parts

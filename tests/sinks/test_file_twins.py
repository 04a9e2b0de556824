"""loguru's file sink and ours leave the same files behind."""

from __future__ import annotations

import datetime
import string
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sinks.twins import START_S, twins, zone

quick = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])

ZONES = st.sampled_from(["UTC", "Europe/Paris", "America/New_York", "Asia/Kathmandu"])
# Days before, at and after the changes of the clocks in these zones, a leap day, and the end of a year.
STARTS_S = st.sampled_from([START_S, 1_774_659_600.0, 1_792_800_000.5, 1_709_164_800.25, 1_798_758_000.0])
NAMES = st.sampled_from(["app.log", "deep/er/app.log", "noext", ".hidden", "a.b.c.log", "a[1]b.log", "a{{b}}.log"])
TIMED_NAMES = st.sampled_from(
    [
        "{time}.log",
        "app_{time:YYYY-MM-DD}.log",
        "{time:YYYY}/{time:MM}/{time:DD}.log",
        "app.{time:HH}",
        "{time:%H%M}_x.log",
    ]
)
SCHEDULES: Any = st.one_of(
    st.sampled_from(["hourly", "daily", "weekly", "monthly", "yearly"]),
    st.sampled_from(["1 day", "12 hours", "1 week", "1 month 2 days", "1h 30 minutes", "10h", "0.5 d, 3 min", "2w"]),
    st.sampled_from(["00:00", "18:30", "02:30", "12:00:00.5", "23:59:59.999999", "monday", "w3 at 14:30"]),
    st.builds(
        "{} at {}".format,
        st.sampled_from(["sunday", "Thursday", "w0", "W4"]),
        st.sampled_from(["00:00", "6 pm", "14:30"]),
    ),
    st.timedeltas(datetime.timedelta(minutes=7), datetime.timedelta(days=40)),
    st.times(),
    st.times(timezones=st.sampled_from([datetime.UTC, ZoneInfo("Asia/Tokyo"), ZoneInfo("America/New_York")])),
)
SIZES: Any = st.one_of(st.integers(-1, 60), st.floats(0, 60), st.sampled_from(["20 B", "300 b", "0.03 KiB", "+1e1 B"]))
COMPRESSIONS = st.sampled_from(["gz", ".bz2", "xz", "lzma", "zip", "tar", "tar.gz", "tar.bz2", " tar.xz"])
RETENTIONS: Any = st.one_of(
    st.integers(-1, 4),
    st.sampled_from(["1 h", "2 days", "1 month"]),
    st.timedeltas(datetime.timedelta(), datetime.timedelta(40)),
)
TEXTS = st.text(st.sampled_from(string.ascii_letters + "é€😀"), max_size=30).map(lambda text: f"{text}\n")
WAITS_S = st.one_of(
    st.integers(0, 7200),
    st.integers(0, 40 * 24).map(lambda hours: hours * 3600),
    st.floats(0, 100_000).map(lambda s: round(s, 6)),
)
STEPS = st.lists(st.one_of(TEXTS, WAITS_S, st.just("restart")), min_size=3, max_size=25)


def play(name: str, zone_name: str, start_s: float, steps: list[Any], **options: Any) -> None:
    with zone(zone_name), twins(name, start_s=start_s, **options) as pair:
        for step in steps:
            if step == "restart":
                pair.stop()
                pair.start()
            elif isinstance(step, str):
                pair.write(step)
            else:
                pair.wait(step)
            pair.check()
        pair.stop()
        pair.check()


@pytest.mark.covers("1.12")
@quick
@given(NAMES, ZONES, STARTS_S, STEPS, SCHEDULES)
def test_a_schedule_rotates_as_logurus_does(
    name: str, zone_name: str, start_s: float, steps: list[Any], rotation: Any
) -> None:
    """At any hour of any zone, across restarts: the same files with the same lines."""
    play(name, zone_name, start_s, steps, rotation=rotation)


@pytest.mark.covers("1.13")
@quick
@given(st.one_of(NAMES, TIMED_NAMES), ZONES, STARTS_S, STEPS, st.one_of(SIZES, SCHEDULES))
def test_rotated_files_are_named_as_logurus_are(
    name: str, zone_name: str, start_s: float, steps: list[Any], rotation: Any
) -> None:
    """Whatever the name, with or without time in it: the same new names."""
    play(name, zone_name, start_s, steps, rotation=rotation)


@pytest.mark.covers("1.14")
@quick
@given(st.one_of(NAMES, TIMED_NAMES), STEPS, st.one_of(st.none(), SIZES), RETENTIONS)
def test_retention_keeps_what_loguru_keeps(name: str, steps: list[Any], rotation: Any, retention: Any) -> None:
    """By number or by age, at rotation or at the end: the same files stay."""
    play(name, "UTC", START_S, steps, rotation=rotation, retention=retention)


@pytest.mark.covers("1.15")
@quick
@given(
    st.one_of(NAMES, TIMED_NAMES), STEPS, st.one_of(st.none(), SIZES), COMPRESSIONS, st.one_of(st.none(), RETENTIONS)
)
def test_archives_hold_what_logurus_hold(
    name: str, steps: list[Any], rotation: Any, compression: str, retention: Any
) -> None:
    """The same archives of the same members, and the packed files are gone."""
    play(name, "UTC", START_S, steps, rotation=rotation, compression=compression, retention=retention)


@pytest.mark.covers("1.11")
@quick
@given(
    st.one_of(NAMES, TIMED_NAMES),
    STEPS,
    st.booleans(),
    st.booleans(),
    st.sampled_from(["a", "w", "a+", "w+"]),
    st.sampled_from(["utf8", "utf-16", "utf-8-sig", "utf-32-be", "cp1252", "ascii"]),
    st.sampled_from([None, "", "\n", "\r\n", "\r"]),
    st.sampled_from(["replace", "backslashreplace", "xmlcharrefreplace"]),
    st.sampled_from([1, -1, 16, 4096]),
)
def test_a_file_is_opened_as_loguru_opens_it(
    name: str,
    steps: list[Any],
    delay: bool,
    watch: bool,
    mode: str,
    encoding: str,
    newline: str | None,
    errors: str,
    buffering: int,
) -> None:
    """With any delay, mode, encoding, newline, error handler and buffer: the same bytes at the end."""
    options: dict[str, Any] = {
        "encoding": encoding,
        "newline": newline,
        "errors": errors,
        "buffering": buffering,
        "mode": mode,
    }
    with twins(name, delay=delay, watch=watch, **options) as pair:
        for step in steps:
            if step == "restart":
                pair.stop()
                pair.check()
                pair.start()
            elif isinstance(step, str):
                pair.write(step)
            else:
                pair.wait(step)
        pair.stop()
        pair.check()

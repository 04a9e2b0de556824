"""`{time:…}`: every token is loguru's, and record["time"] is a datetime like any other."""

from __future__ import annotations

import copy
import locale
import pickle
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from otelbridge.text import time as subject
from otelbridge.text.time import PathTime, Time, format_time, local_time, path_time
from tests.text.loguru_alone import loguru_alone


def _loguru_time() -> Any:
    """The class of record["time"] in loguru."""
    logger = loguru_alone()
    records: list[Any] = []
    logger.add(lambda message: records.append(message.record))
    logger.info("")
    return type(records[0]["time"])


TheirTime: Any = _loguru_time()

TOKENS = [
    *("YYYY", "YY", "Q", "MMMM", "MMM", "MM", "M", "DDDD", "DDD", "DD", "D", "dddd", "ddd", "d", "E"),
    *(
        "HH",
        "H",
        "hh",
        "h",
        "mm",
        "m",
        "ss",
        "s",
        "S",
        "SS",
        "SSS",
        "SSSS",
        "SSSSS",
        "SSSSSS",
        "A",
        "Z",
        "ZZ",
        "zz",
        "X",
    ),
]
PARTS = [
    *TOKENS,
    *(f"[{token}]" for token in TOKENS),
    *("[", "]", "[]", "[[]]", "[!UTC]", "[T]", "[YYYY-MM]", "[[HH]]", "!UTC", "T", "a", "B", "é", "{", "}", "\\", "\n"),
    *(
        "-",
        ":",
        ".",
        " ",
        "/",
        "YYY",
        "Y",
        "MMMMM",
        "DDDDD",
        "ZZZ",
        "z",
        "ddddd",
        "SSSSSSS",
        "[SSSSSSS]",
        "EE",
        "AA",
        "XX",
    ),
]
specs = st.one_of(
    st.sampled_from(["", "!UTC", "YYYY-MM-DD HH:mm:ss.SSS", "YYYY-MM-DD HH:mm:ss.SSS!UTC", "HH:mm:ss"]),
    st.lists(st.sampled_from(PARTS), max_size=8).map("".join),
    st.lists(st.sampled_from([*PARTS, "%Y", "%d", "%%", "%H:%M", "%f", "%j", "%Z", "%z"]), max_size=5).map("".join),
    st.text(alphabet="YMDQdEHhmsSAZzX[]!UTC :-.T", max_size=12),
)
specs = st.builds("{}{}".format, specs, st.sampled_from(["", "", "!UTC"]))
offsets = st.one_of(
    st.integers(-14 * 4, 14 * 4).map(lambda quarters: timedelta(minutes=15 * quarters)),
    st.integers(-86_399, 86_399).map(lambda seconds: timedelta(seconds=seconds)),
    st.integers(-86_399_999_999, 86_399_999_999).map(lambda us: timedelta(microseconds=us)),
)
zones = st.one_of(
    st.builds(timezone, offsets),
    st.builds(timezone, offsets, st.sampled_from(["CET", "+0330", "%", "é", ""])),
    st.just(UTC),
)
moments = st.datetimes(datetime(1000, 1, 2), datetime(9998, 12, 30), timezones=zones)


def as_their_time(moment: datetime) -> Any:
    """The same moment, as loguru has it in its records."""
    return TheirTime.combine(moment.date(), moment.timetz())


def outcome(moment: datetime, spec: str) -> str | type[Exception]:
    """A moment formatted, or the type of the error."""
    try:
        return format(moment, spec)
    except Exception as error:
        return type(error)


@pytest.fixture(autouse=True)
def departing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Departures from loguru are on unless a test says otherwise."""
    monkeypatch.delenv("OTELBRIDGE_LOGURU_STRICT", raising=False)


@pytest.fixture
def strictly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Departures from loguru are undone."""
    monkeypatch.setenv("OTELBRIDGE_LOGURU_STRICT", "1")


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Sets the process's time zone; it is put back at the end."""

    def put(name: str) -> None:
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield put
    monkeypatch.undo()
    time.tzset()


@pytest.mark.covers("1.29")
@settings(deadline=None, max_examples=800)
@given(moments, specs)
@example(datetime(2026, 3, 7, 0, 5, 9, 7, UTC), " ".join(TOKENS))
@example(datetime(2026, 12, 31, 12, 0, 0, 999_999, UTC), "[[YYYY]] [T] [] [YYYY] [!UTC] HH[h] [[]] [YYYY")
@example(datetime(2026, 3, 7, tzinfo=timezone(-timedelta(seconds=561))), "Z ZZ")
@example(datetime(1969, 12, 31, 23, 59, 59, 500_000, UTC), "X")
def test_time_is_formatted_as_in_loguru(moment: datetime, spec: str) -> None:
    """
    Any spec at any moment in any zone gives loguru's text (tokens, shields, `!UTC`, strftime, none), or its error.
    """
    ours = Time.combine(moment.date(), moment.timetz())

    assert outcome(ours, spec) == outcome(as_their_time(moment), spec)


@pytest.mark.covers("1.29")
@settings(deadline=None, max_examples=300)
@given(
    st.lists(st.integers(0, 253_370_764_800 * 10**9), min_size=1, max_size=3),
    st.lists(st.integers(0, 999_999_999), min_size=1, max_size=3),
    specs,
)
def test_local_time_is_formatted_as_in_loguru(seconds_ns: list[int], fractions_ns: list[int], spec: str) -> None:
    """
    What is remembered of a second is right for each moment of it, and gone in the next.
    """
    for second_ns in seconds_ns:
        for fraction_ns in fractions_ns:
            ours = local_time(second_ns // 10**9 * 10**9 + fraction_ns)

            assert outcome(ours, spec) == outcome(as_their_time(ours), spec)


def test_naive_time_is_formatted_as_in_loguru() -> None:
    """
    A patcher may take the zone away: it counts as local, and as UTC where an offset is printed.
    """
    moment = datetime(2026, 3, 7, 14, 5, 9, 123_456)

    for spec in ("YYYY-MM-DD HH:mm:ss.SSS Z ZZ zz X", "HH:mm!UTC", "", "%c"):
        ours = Time.combine(moment.date(), moment.timetz())
        assert outcome(ours, spec) == outcome(as_their_time(moment), spec), spec


def test_offset_of_a_named_zone_is_printed() -> None:
    """
    A time moved to a zone of zoneinfo formats as well.
    """
    moved = local_time(1_772_892_309 * 10**9).astimezone(ZoneInfo("Europe/Berlin"))

    assert format(moved, "HH:mm:ss Z zz") == "15:05:09 +01:00 CET"


def test_more_than_six_digits_are_an_error() -> None:
    """
    Seven `S` or more say that there are no nanoseconds.
    """
    with pytest.raises(ValueError, match=r"at most 6 digits .* got 'SSSSSSS'"):
        format(local_time(0), "SSSSSSS")


@pytest.mark.covers("1.29", note="`x` is the microsecond timestamp; loguru 0.7.3 adds the microseconds twice")
@given(st.integers(0, 4 * 10**18))
def test_microsecond_timestamp_is_exact(time_ns: int) -> None:
    """
    `x` counts the microseconds since 1970.
    """
    assert format(local_time(time_ns), "x") == str(time_ns // 1000)


@settings(deadline=None)
@given(moments)
def test_strictly_the_microsecond_timestamp_is_loguru_s(moment: datetime) -> None:
    """
    With OTELBRIDGE_LOGURU_STRICT `x` is what loguru prints.
    """
    ours = Time.combine(moment.date(), moment.timetz())

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTELBRIDGE_LOGURU_STRICT", "1")
        assert format(ours, "x") == format(as_their_time(moment), "x")


class _German(datetime):
    """As under a German LC_TIME, which few machines have."""

    def strftime(self, spec: str) -> str:
        return {"%B": "März", "%b": "Mär", "%A": "Samstag", "%a": "Sa"}[spec]


def test_names_do_not_depend_on_the_locale() -> None:
    """
    Months and days have their English names, whatever the program's locale: other programs read these lines.
    """
    names = _German(2026, 3, 7)

    assert subject._compile("MMMM MMM dddd ddd")(names) == "March Mar Saturday Sat"


def test_names_are_those_of_the_c_locale() -> None:
    """
    The English names are strftime's in the locale of every program that has set none.
    """
    assert locale.setlocale(locale.LC_TIME) in ("C", "en_US.UTF-8", "C.UTF-8")
    for day in range(400):
        moment = local_time(day * 86_400 * 10**9)
        assert format(moment, "MMMM MMM dddd ddd") == moment.strftime("%B %b %A %a")


def test_strictly_names_follow_the_locale(strictly: None) -> None:
    """
    With OTELBRIDGE_LOGURU_STRICT the names are the locale's, as in loguru.
    """
    assert subject._compile("MMMM MMM dddd ddd")(_German(2026, 3, 7)) == "März Mär Samstag Sa"


# ------------------------------------------------------------------------------------------------ a datetime


@given(st.integers(0, 4 * 10**18))
def test_local_time_is_the_instant(time_ns: int) -> None:
    """
    A local time is aware, and is the instant that it was made from, to the microsecond.
    """
    local: Any = local_time(time_ns)

    assert local.utcoffset() is not None
    assert local - datetime(1970, 1, 1, tzinfo=UTC) == timedelta(microseconds=time_ns // 1000)
    assert local.time_ns == time_ns


@pytest.mark.parametrize(
    ("name", "second", "expected"),
    [
        ("Europe/Berlin", 1_774_745_999, "2026-03-29 01:59:59 +01:00 CET"),
        ("Europe/Berlin", 1_774_746_000, "2026-03-29 03:00:00 +02:00 CEST"),
        ("Europe/Berlin", 1_792_889_999, "2026-10-25 02:59:59 +02:00 CEST"),
        ("Europe/Berlin", 1_792_890_000, "2026-10-25 02:00:00 +01:00 CET"),
        ("Asia/Kathmandu", 0, "1970-01-01 05:30:00 +05:30 +0530"),
        ("America/St_Johns", 1_772_892_309, "2026-03-07 10:35:09 -03:30 NST"),
    ],
)
def test_zone_is_that_of_the_second(zone: Any, name: str, second: int, expected: str) -> None:
    """
    Offset and name are those in force at the instant, on both sides of a change of the clocks.
    """
    zone(name)

    assert format(local_time(second * 10**9 + 1), "YYYY-MM-DD HH:mm:ss Z zz") == expected


def test_new_time_zone_is_noticed_at_once(zone: Any) -> None:
    """
    After time.tzset() the next record has the new zone, within the same second too.
    """
    zone("Asia/Tokyo")
    before = format(local_time(1_000_000_000), "HH:mm Z")
    zone("America/New_York")

    assert (before, format(local_time(1_000_000_000), "HH:mm Z")) == ("09:00 +09:00", "19:00 -05:00")


def test_replaced_localtime_is_asked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Who replaces time.localtime, as frozen clocks do, sees it used for the very next time.
    """
    local_time(1_000_000_000)
    monkeypatch.setattr(
        time, "localtime", lambda second: time.struct_time((2001, 2, 3, 4, 5, 6, 5, 34, 0, "XYZ", 7200))
    )

    assert format(local_time(1_000_000_000), "HH:mm:ss Z zz") == "02:00:01 +02:00 XYZ"


def test_moving_clock_is_asked_for_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Under `set_uncached(True)` one second may have two zones, as a test's clock moves from zone to zone.
    """
    offsets_s = iter([3600, 7200, 7200])
    monkeypatch.setattr(
        time, "localtime", lambda second: time.struct_time((2001, 2, 3, 4, 5, 6, 5, 34, 0, "XYZ", next(offsets_s)))
    )
    subject.set_uncached(True)
    try:
        assert [format(local_time(0), "HH") for _ in range(2)] == ["01", "02"]
    finally:
        subject.set_uncached(False)
    assert format(local_time(1), "HH") == "02"


def test_clock_without_offset_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A replaced localtime that tells no offset tells it by its fields.
    """
    monkeypatch.setattr(time, "localtime", lambda second: (1970, 1, 1, 5, 30, 0, 3, 1, 0))

    assert format(local_time(0), "HH:mm Z") == "05:30 +05:30"


def test_time_is_a_datetime() -> None:
    """
    record["time"] compares, subtracts, moves and prints as a datetime of the same moment does, and stays one of ours.
    """
    ours: Any = local_time(1_772_892_309_123_456_789)
    plain: Any = datetime.combine(ours.date(), ours.timetz())

    assert isinstance(ours, datetime)
    assert ours == plain
    assert hash(ours) == hash(plain)
    assert ours.isoformat() == plain.isoformat()
    assert str(ours) == str(plain)
    assert ours.strftime("%c %f %z") == plain.strftime("%c %f %z")
    assert ours - plain == timedelta()
    assert ours + timedelta(days=1) == plain + timedelta(days=1)
    assert ours.replace(hour=3) == plain.replace(hour=3)
    assert ours.astimezone(UTC) == plain.astimezone(UTC)
    for derived in (ours + timedelta(days=1), ours.replace(hour=3), ours.astimezone(UTC)):
        assert format(derived, "YYYY-MM-DD HH:mm:ss.SSS Z") == format(
            as_their_time(derived), "YYYY-MM-DD HH:mm:ss.SSS Z"
        )


@pytest.mark.parametrize("copied", [lambda t: pickle.loads(pickle.dumps(t)), copy.copy, copy.deepcopy])
def test_time_can_be_copied_and_pickled(copied: Any) -> None:
    """
    A copy is the same moment in the same zone, and formats alike.
    """
    ours = local_time(1_772_892_309_123_456_789)

    again = copied(ours)

    assert type(again) is Time
    assert again == ours
    assert again.tzname() == ours.tzname()
    for spec in ("", "YYYY-MM-DD HH:mm:ss.SSS", "x zz", "HH!UTC"):
        assert format(again, spec) == format(ours, spec)


def test_time_of_a_file_name_has_no_colons() -> None:
    """
    `{time}` in a path is loguru's, which every file system takes; a spec is obeyed.
    """
    ours = local_time(1_772_892_309_123_456_789)

    assert path_time(ours) == f"{PathTime(ours)}" == ours.strftime("%Y-%m-%d_%H-%M-%S_%f")
    assert path_time(ours, "YYYY") == f"{PathTime(ours):YYYY}" == format_time(ours, "YYYY")


def test_time_of_a_file_name_is_loguru_s(tmp_path: Any) -> None:
    """
    Loguru gives a file the same name at the same moment.
    """
    logger = loguru_alone()
    logger.add(tmp_path / "{time}.log")
    logger.remove()
    (path,) = tmp_path.iterdir()
    moment = datetime.strptime(path.stem, "%Y-%m-%d_%H-%M-%S_%f")

    assert path.stem == path_time(Time.combine(moment.date(), moment.timetz()))

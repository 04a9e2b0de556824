"""What may be said to rotation, retention and compression, and what it means."""

from __future__ import annotations

import copy
import datetime
import decimal
import fractions
import os
import pickle
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from otelbridge.sinks.compression import make_compression
from otelbridge.sinks.file import FileSink
from otelbridge.sinks.grammar import parse_daytime, parse_duration, parse_size
from otelbridge.sinks.paths import LogPath
from otelbridge.sinks.retention import make_retention
from otelbridge.sinks.rotation import Schedule, SizeLimit, make_rotation
from tests.sinks.twins import START_S, LoguruSink, twins, zone

NUMBERS = st.sampled_from(["1", "0.5", ".5", "5.", "-1", "+2", "10", "1.2.3", "", "x", "1e2"])
UNITS = st.sampled_from(
    [
        *("b", "B", "kb", "KB", "Kib", "MiB", "GB", "tb", "PiB", "YB", "iB", "k", "M", "Ki", "bits", "bytes"),
        *(
            "us",
            "ms",
            "s",
            "sec",
            "secs",
            "seconds",
            "min",
            "mins",
            "minute",
            "m",
            "h",
            "hr",
            "hour",
            "hours",
            "H",
            "d",
        ),
        *("day", "DAYS", "w", "week", "weeks", "month", "months", "mo", "y", "year", "years", "yr", "pm"),
    ]
)
JOINTS = st.sampled_from([" ", "", ", ", ",", "  ", " and ", ";", "\t"])
SUMS = st.lists(st.tuples(NUMBERS, st.sampled_from(["", " "]), UNITS, JOINTS), min_size=1, max_size=3).map(
    lambda terms: "".join("".join(term) for term in terms)
)
DAYS = st.sampled_from(["monday", "Tuesday", "SUNDAY", "w0", "W6", "w7", "w10", "w00", "mon", "w", "noday"])
TIMES = st.sampled_from(
    [
        *(
            "00:00",
            "18:00",
            "6",
            "06",
            "24:00",
            "12:60",
            "1:2:3",
            "12:00:00.5",
            "12:00:00.1234567",
            "9.5",
            "25",
            "noon",
        ),
        *("12h", "6:00:00pm", "12:00+01:00", "12 am", "6:00:00 pm", "13 pm", "0 am", "6 PM"),
    ]
)
DAYTIMES = st.one_of(
    DAYS,
    TIMES,
    st.builds("{}{}{}".format, DAYS, st.sampled_from([" at ", " AT ", "at", " ", "  at  ", " at at "]), TIMES),
)
EXTENSIONS = st.sampled_from(
    ["gz", "GZ", "bz2", "xz", "lzma", "zip", "tar", "tar.gz", "tar.bz2", "tar.xz", "tgz", "7z", "zst", "rar", ""]
)
OTHERS = st.sampled_from(
    ["", " ", "daily", " Hourly ", "WEEKLY", "monthly", "yearly", "secondly", "annually", "at", "day"]
)


def theirs(**options: Any) -> bool:
    """Whether loguru takes it."""
    try:
        LoguruSink("never.log", delay=True, **options)
    except (TypeError, ValueError):
        return False
    return True


def ours(**options: Any) -> bool:
    """Whether we take it."""
    try:
        FileSink("never.log", delay=True, **options)
    except (TypeError, ValueError):
        return False
    return True


# Loguru takes the last letter of "minute" for a number, and what comes then for its unit.
CARELESS = re.compile(r"e\s+[a-z]", re.IGNORECASE)
# Beyond loguru: hours of the clock as people write them. Less than loguru: a period of nothing, with which it hangs.
MORE = re.compile(r"(.*at\s+)?\d{1,2}(:\d{1,2}){0,2}(\.\d+)?\s*[ap]m\s*", re.IGNORECASE)


@pytest.mark.covers("1.12")
@settings(max_examples=300, deadline=None)
@given(st.one_of(SUMS, DAYTIMES, OTHERS))
def test_rotation_takes_the_words_that_loguru_takes(text: str) -> None:
    """And refuses the others: ValueError, at once; nothing that is not understood means never."""
    assume(not CARELESS.search(text))
    duration = theirs(retention=text) and parse_duration(text)
    if isinstance(duration, datetime.timedelta) and duration <= datetime.timedelta(0):
        assert not ours(rotation=text)
    elif not MORE.fullmatch(text):
        assert ours(rotation=text) == theirs(rotation=text)


@pytest.mark.covers("1.14")
@settings(max_examples=200, deadline=None)
@given(st.one_of(SUMS, DAYTIMES, OTHERS))
def test_retention_takes_the_words_that_loguru_takes(text: str) -> None:
    """And refuses the others."""
    assume(not CARELESS.search(text))
    assert ours(retention=text) == theirs(retention=text)


@pytest.mark.covers("1.15")
@settings(max_examples=200, deadline=None)
@given(
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["", ".", " "]),
        EXTENSIONS,
        st.sampled_from(["", " ", "."]),
    )
)
def test_compression_takes_the_words_that_loguru_takes(text: str) -> None:
    """And refuses the others."""
    assert ours(compression=text) == theirs(compression=text)


OBJECTS: list[Any] = [
    *(
        0,
        1,
        -1,
        1.5,
        True,
        float("inf"),
        1j,
        decimal.Decimal(5),
        fractions.Fraction(1, 2),
        b"1 day",
        object(),
        int,
        print,
    ),
    *([], ["1 day"], ("1 day", "10 MB"), {"gz"}, datetime.timedelta(1), datetime.time(1), datetime.date(2026, 1, 1)),
    *(datetime.time(1, tzinfo=datetime.UTC), datetime.datetime(2026, 1, 1), None),
]


@pytest.mark.covers("1.4")
@pytest.mark.parametrize("option", ["rotation", "retention", "compression"])
@pytest.mark.parametrize("value", OBJECTS, ids=repr)
def test_objects_are_taken_as_loguru_takes_them(option: str, value: Any) -> None:
    """By their kind; others are a TypeError."""
    assert ours(**{option: value}) == theirs(**{option: value})


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        decimal.Decimal("nan"),
        datetime.timedelta(0),
        datetime.timedelta(-1),
        "0 s",
        "-1 day",
        "1e30 years",
    ],
)
def test_a_rotation_that_could_never_be_is_refused(value: Any) -> None:
    """Loguru takes these, and then never rotates, or for ever."""
    with pytest.raises(ValueError, match=r"rotation|longer"):
        make_rotation(value)


@pytest.mark.covers("1.12")
@pytest.mark.parametrize(
    ("text", "size"),
    [
        *(
            ("500 KB", 500e3),
            ("10 MB", 10e6),
            ("0.5 GB", 500e6),
            ("1 KiB", 1024),
            ("1MiB", 1024**2),
            ("2 tib", 2 * 1024**4 / 8),
        ),
        *(("100 b", 12.5), ("100 B", 100), ("1 kb", 125), ("3 YB", 3e24), ("1e3 B", 1000), ("1 ZiB", 1024**7)),
    ],
)
def test_sizes(text: str, size: float) -> None:
    """Decimal and binary prefixes, bytes and bits."""
    assert parse_size(text) == pytest.approx(size)
    assert isinstance(make_rotation(text), SizeLimit)


@pytest.mark.covers("1.14")
@pytest.mark.parametrize(
    ("text", "hours"),
    [
        *(
            ("1 day", 24),
            ("12 hours", 12),
            ("1 week", 168),
            ("1 month", 730),
            ("1 year", 8760),
            ("1 week, 3 days", 240),
        ),
        *(("1h 30 minutes", 1.5), ("2w", 336), ("0.5 d,3min", 12.05), ("90 s 1000 ms", 91 / 3600), ("-1 day", -24)),
    ],
)
def test_durations(text: str, hours: float) -> None:
    """All units, whole and in part, with and without blanks and commas between."""
    duration = parse_duration(text)
    assert duration is not None
    assert duration.total_seconds() == pytest.approx(hours * 3600)


@pytest.mark.covers("1.12")
@pytest.mark.parametrize("text", ["6pm", "6 pm", "6PM", "6:00pm", "6:00:00 pm", "18:00", "18", "18:00:00.000"])
def test_times_of_day(text: str) -> None:
    """As people write them."""
    assert parse_daytime(text) == (None, datetime.time(18))
    assert isinstance(make_rotation(text), Schedule)


def test_the_first_rotation_on_a_weekday_is_on_that_day() -> None:
    """Begun on a Thursday before six; in loguru (and with OTELBRIDGE_LOGURU_STRICT) it is on that Thursday."""
    schedule = make_rotation("sunday at 6 pm")
    assert isinstance(schedule, Schedule)
    thursday = datetime.datetime(2026, 3, 26, 14, 30, tzinfo=datetime.UTC)
    schedule.begin(thursday.timestamp(), thursday)
    assert not schedule.is_due(thursday + datetime.timedelta(days=3, hours=3))
    assert schedule.is_due(thursday + datetime.timedelta(days=3, hours=4))


@pytest.mark.covers("1.12")
@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["hourly", "daily", "weekly", "monthly", "00:00", "90 min", "5 days", "w2 at 13:00"]),
    st.sampled_from(["UTC", "Europe/Paris", "Australia/Lord_Howe", "America/St_Johns"]),
    st.integers(1_760_000_000, 1_800_000_000),
    st.lists(st.integers(0, 40_000), max_size=30),
)
def test_a_schedule_need_not_be_asked_before_its_guard(
    words: str, place: str, start_s: int, waits_s: list[int]
) -> None:
    """The guard spares the reading of a wall clock, and changes no answer: also when the clocks change."""
    with zone(place):
        guarded, asked = make_rotation(words), make_rotation(words)
        assert isinstance(guarded, Schedule)
        assert isinstance(asked, Schedule)
        now_s = start_s
        for schedule in (guarded, asked):
            schedule.begin(start_s, datetime.datetime.fromtimestamp(start_s).astimezone())
        for wait_s in waits_s:
            now_s += wait_s
            moment = datetime.datetime.fromtimestamp(now_s).astimezone()
            is_due = asked.is_due(moment)
            if now_s * 1_000_000_000 < guarded.guard_ns:
                assert not is_due
            else:
                assert guarded.is_due(moment, now_s * 1_000_000_000) == is_due
            if is_due:
                guarded.advance(moment)
                asked.advance(moment)


def test_a_long_pause_costs_no_time() -> None:
    """However short the period is."""
    schedule = make_rotation("1 us")
    assert isinstance(schedule, Schedule)
    begun = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    schedule.begin(begun.timestamp(), begun)
    later = begun + datetime.timedelta(days=3000)
    assert schedule.is_due(later)
    schedule.advance(later)
    assert not schedule.is_due(later)


@pytest.mark.covers("1.14")
def test_a_duration_keeps_by_age_and_never_by_number() -> None:
    """A month is not one file: all younger files stay, all older ones go."""
    with twins("app.log", retention="1 month", rotation=1) as pair:
        for _ in range(40):
            pair.write("line\n")
            pair.wait(86_400)
        pair.check()
        assert len(list(pair.folders[1].iterdir())) in (31, 32)


@pytest.mark.covers("1.14")
@pytest.mark.parametrize(
    "name",
    ["app.log", "a_{time}.log", "noext", ".hid", "x[1].log", "{time}", "app.{time:YY}", "{time:YYYY}/app.log", "*.log"],
)
@pytest.mark.parametrize("made_of", ["path", "relative path"])
def test_retention_is_given_the_files_that_loguru_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, made_of: str
) -> None:
    """`basename(.*).ext(.*)`, with the time in the name standing for anything."""
    others = [
        *(
            "app.log",
            "app.x.log",
            "app.log.gz",
            "app.log.1",
            "app.x.log.gz",
            "apps.log",
            "app_x.log",
            "app",
            "app.logx",
        ),
        *("xapp.log", "app..log", "app.log.", "app-1.log", "a_2026.log", "a_.log", "a_x.y.log.zip", "noext.1", ".hid"),
        *(".hid.1", ".hid.log", "x[1].2.log", "x1.log", "app.26", "sub/app.log"),
    ]
    for other in others:
        (tmp_path / other).parent.mkdir(exist_ok=True)
        (tmp_path / other).touch()
    (tmp_path / "app.d.log").mkdir()
    monkeypatch.chdir(tmp_path)
    path = str(tmp_path / name) if made_of == "path" else name
    given: list[list[str]] = []
    for kind in (LoguruSink, FileSink):
        sink = kind(path, delay=True, retention=lambda paths: given.append(sorted(map(os.path.abspath, paths))))
        sink.stop()
    assert given[1] == given[0]


@pytest.mark.covers("1.14")
def test_files_are_given_as_text_that_can_do_what_a_path_does(tmp_path: Path) -> None:
    """Loguru's users call `os` functions and str methods on them, the seed's those of `pathlib.Path`."""
    path = LogPath(tmp_path / "app.1.log")
    path.write_text("line\n")
    assert isinstance(path, str)
    assert path.endswith(".log")
    assert (path.suffix, path.name, path.parent) == (".log", "app.1.log", tmp_path)
    assert path.stat().st_size == 5
    assert path.parent / "x" == tmp_path / "x"
    assert path / "x" == tmp_path / "app.1.log" / "x"
    assert path.replace("1", "2").endswith("app.2.log")
    path.replace(tmp_path / "moved")
    assert (tmp_path / "moved").read_text() == "line\n"
    assert copy.deepcopy(path) == pickle.loads(pickle.dumps(path)) == path


@pytest.mark.covers("1.12")
def test_a_condition_is_given_the_message_and_an_open_file(tmp_path: Path) -> None:
    """The file knows its name and its end; what the function writes to it stands before the message."""
    seen = []

    def condition(message: str, file: Any) -> bool:
        seen.append((message, file.name, file.tell()))
        if file.tell() == 0:
            file.write("header\n")
        file.seek(0, 2)
        return False

    sink = FileSink(tmp_path / "app.log", rotation=condition, buffering=4096)
    sink.write("1\n")
    sink.write("2\n")
    sink.stop()
    path = str(tmp_path / "app.log")
    assert seen == [("1\n", path, 0), ("2\n", path, 9)]
    assert (tmp_path / "app.log").read_text() == "header\n1\n2\n"


def test_nothing_is_made_of_nothing() -> None:
    """None is no rotation, no retention, no compression."""
    assert make_rotation(None) is None
    assert make_retention(None) is None
    assert make_compression(None) is None


@pytest.mark.covers("1.12")
def test_a_message_without_a_record_is_of_now(tmp_path: Path) -> None:
    """A sink may be used by hand."""
    sink = FileSink(tmp_path / "app.log", rotation="1 day")
    sink.write("line\n")
    sink.stop()
    assert time.time() > START_S


@pytest.mark.covers("1.12")
def test_the_time_of_a_call_does_not_need_its_record(tmp_path: Path) -> None:
    """A message that has no record yet is rotated by, without making one."""

    class Source:
        has_record = False
        time_ns = time.time_ns()

    class Message(str):
        _source = Source()

        @property
        def record(self) -> Any:
            pytest.fail("made a record")

    message = Message("line\n")
    sink = FileSink(tmp_path / "app.log", rotation="1 day", buffering=1)
    sink.write(message)
    message._source.time_ns += 3 * 86_400_000_000_000
    sink.write(message)
    sink.stop()
    assert len(list(tmp_path.iterdir())) == 2

"""The tokens of `{time:…}`, on moments whose fields all differ."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conformance.support import each

PARIS = datetime.timezone(datetime.timedelta(hours=1), "CET")
ODD = datetime.timezone(-datetime.timedelta(hours=9, minutes=30), "HST")
MOMENT = datetime.datetime(2018, 6, 9, 1, 2, 3, 45006, ODD)  # a Saturday
AFTERNOON = datetime.datetime(2023, 11, 5, 16, 30, 0, 999999, PARIS)  # a Sunday


def shown(logger: Any, template: str, moment: datetime.datetime) -> str:
    """What `template` makes of a record of `moment`."""
    kept: list[str] = []
    number = logger.add(kept.append, format=template, catch=False)

    def freeze(record: Any) -> None:
        names = ("year", "month", "day", "hour", "minute", "second", "microsecond", "tzinfo")
        record["time"] = record["time"].replace(**{name: getattr(moment, name) for name in names})

    logger.patch(freeze).info("m")
    logger.remove(number)
    return kept[0].removesuffix("\n")


TOKENS = [
    ("YYYY", "2018", "2023"),
    ("YY", "18", "23"),
    ("Q", "2", "4"),
    ("MMMM", "June", "November"),
    ("MMM", "Jun", "Nov"),
    ("MM", "06", "11"),
    ("M", "6", "11"),
    ("DDDD", "160", "309"),
    ("DDD", "160", "309"),
    ("DD", "09", "05"),
    ("D", "9", "5"),
    ("dddd", "Saturday", "Sunday"),
    ("ddd", "Sat", "Sun"),
    ("d", "5", "6"),
    ("E", "6", "7"),
    ("HH", "01", "16"),
    ("H", "1", "16"),
    ("hh", "01", "04"),
    ("h", "1", "4"),
    ("mm", "02", "30"),
    ("m", "2", "30"),
    ("ss", "03", "00"),
    ("s", "3", "0"),
    ("S", "0", "9"),
    ("SS", "04", "99"),
    ("SSS", "045", "999"),
    ("SSSS", "0450", "9999"),
    ("SSSSS", "04500", "99999"),
    ("SSSSSS", "045006", "999999"),
    ("A", "AM", "PM"),
    ("Z", "-09:30", "+01:00"),
    ("ZZ", "-0930", "+0100"),
    ("zz", "HST", "CET"),
    ("X", "1528540323", "1699198200"),
]


@pytest.mark.covers("1.29")
@each(("token", "first", "second"), TOKENS)
def test_tokens(logger: Any, token: str, first: str, second: str) -> None:
    """
    Each token is replaced by its field.
    """
    assert shown(logger, f"{{time:{token}}}", MOMENT) == first
    assert shown(logger, f"{{time:{token}}}", AFTERNOON) == second


@pytest.mark.covers("1.29")
def test_microseconds_since_the_epoch(logger: Any) -> None:
    """
    `x` counts microseconds since the epoch.
    """
    assert shown(logger, "{time:x}", MOMENT.replace(microsecond=0)) == "1528540323000000"


@pytest.mark.covers("1.29")
@each(
    ("spec", "expected"),
    [
        ("YYYY-MM-DD HH:mm:ss.SSS", "2018-06-09 01:02:03.045"),
        ("ddd D MMMM YYYY, h:mm A", "Sat 9 June 2018, 1:02 AM"),
        ("HH:mm:ssZZ", "01:02:03-0930"),
        ("[YYYY] YYYY", "YYYY 2018"),
        ("[YY", "[18"),
        ("YY]", "18]"),
        ("[", "["),
        ("[]", ""),
        ("[YYYY] MM [DD]", "YYYY 06 DD"),
        ("[[YY]]", "[YY]"),
        ("[]YY[]", "18"),
        ("YYYYY", "2018Y"),
        ("YYY", "18Y"),
        ("-", "-"),
        ("é日", "é日"),
        ("YYYY%%MM", "YYYY%MM"),
        ("  HH  ", "  01  "),
        ("h o u r", "1 o u r"),
        ("\\YY", "\\18"),
        ("HH:mm!UTC", "10:32"),
        ("YYYY-MM-DDTHH:mm:ssZ!UTC", "2018-06-09T10:32:03+00:00"),
        ("zz ZZ Z!UTC", "UTC +0000 +00:00"),
        ("!UTC HH", "!UTC 01"),
        ("HH !UTC", "10 "),
        ("X!UTC", "1528540323"),
        ("HH!utc", "01!utc"),
        ("!UTC", "2018-06-09T10:32:03.045006+0000"),
        ("", "2018-06-09T01:02:03.045006-0930"),
    ],
)
def test_specs(logger: Any, spec: str, expected: str) -> None:
    """
    Anything else is literal; brackets protect a token; `!UTC` at the end converts first; the default is ISO 8601.
    """
    assert shown(logger, f"{{time:{spec}}}", MOMENT) == expected


@pytest.mark.covers("1.29")
def test_default(logger: Any) -> None:
    """
    Without a spec the time is ISO 8601 with microseconds and offset.
    """
    assert shown(logger, "{time}", MOMENT) == "2018-06-09T01:02:03.045006-0930"


@pytest.mark.covers("1.29")
@pytest.mark.parametrize(
    ("spec", "expected"),
    [("%Y-%m-%d", "2018-06-09"), ("%H:%M:%S.%f", "01:02:03.045006"), ("%d YYYY", "09 YYYY"), ("%z", "-0930")],
)
def test_strftime(logger: Any, spec: str, expected: str) -> None:
    """
    A spec with a `%` is one of `strftime`.
    """
    assert shown(logger, f"{{time:{spec}}}", MOMENT) == expected


@pytest.mark.covers("1.29")
@pytest.mark.parametrize("spec", ["SSSSSSS", "HH:mm:ss.SSSSSSSSS"])
def test_too_precise(logger: Any, spec: str) -> None:
    """
    More than six S are refused by a ValueError.
    """
    kept: list[str] = []
    logger.add(kept.append, format=f"{{time:{spec}}}", catch=False)

    with pytest.raises(ValueError, match="S"):
        logger.info("m")


@pytest.mark.covers("1.29")
@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        (datetime.timedelta(0), "+00:00 +0000"),
        (datetime.timedelta(hours=14), "+14:00 +1400"),
        (-datetime.timedelta(minutes=1), "-00:01 -0001"),
        (datetime.timedelta(hours=5, minutes=45), "+05:45 +0545"),
        (datetime.timedelta(hours=1, seconds=2), "+01:00:02 +010002"),
    ],
    ids=str,
)
def test_offsets(logger: Any, offset: datetime.timedelta, expected: str) -> None:
    """
    Offsets of any sign and precision are shown.
    """
    moment = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone(offset))

    assert shown(logger, "{time:Z ZZ}", moment) == expected


@pytest.mark.covers("1.29")
@pytest.mark.parametrize(
    ("hour", "expected"), [(0, "00 0 12 12 AM"), (11, "11 11 11 11 AM"), (12, "12 12 12 12 PM"), (23, "23 23 11 11 PM")]
)
def test_half_days(logger: Any, hour: int, expected: str) -> None:
    """
    Midnight is 12 AM, noon is 12 PM.
    """
    assert shown(logger, "{time:HH H hh h A}", MOMENT.replace(hour=hour)) == expected


@pytest.mark.covers("1.29")
def test_time_of_a_record(logger: Any) -> None:
    """
    The record's time is an aware local datetime, between the moments before and after the call.
    """
    kept: list[Any] = []
    logger.add(lambda message: kept.append(message.record["time"]))

    before = datetime.datetime.now(datetime.UTC)
    logger.info("m")
    after = datetime.datetime.now(datetime.UTC)
    (time,) = kept

    assert isinstance(time, datetime.datetime)
    assert before <= time <= after
    assert time.utcoffset() == datetime.datetime.now().astimezone().utcoffset()
    assert time.tzinfo is not None


@pytest.mark.covers("1.29")
def test_format_of_a_record(logger: Any) -> None:
    """
    The record's time formats by tokens wherever it is formatted, and remains a datetime under arithmetic.
    """
    kept: list[Any] = []
    logger.add(lambda message: kept.append(message.record["time"]))
    logger.info("m")
    (time,) = kept

    assert f"{time:YYYY-MM-DD}" == time.strftime("%Y-%m-%d")
    assert f"{time.replace(year=2000):YYYY}" == "2000"
    assert "{:%Y}".format(time) == time.strftime("%Y")  # noqa: UP032
    assert (time - time) == datetime.timedelta(0)
    assert str(time) == time.isoformat(" ")


@pytest.mark.covers("1.29")
def test_zone_of_the_process(run: Any) -> None:
    """
    Local time is that of the process's zone, summer time included; `!UTC` is not.
    """
    done = run(
        """
        import sys
        logger.remove()
        logger.add(sys.stdout, format="{time:ZZ zz} {time:ZZ zz!UTC} {time:X}")
        logger.info("m")
        """,
        env={"TZ": "XYZ-05:45"},
    )

    assert done.stdout.startswith("+0545 XYZ +0000 UTC ")


@pytest.mark.covers("1.29")
@pytest.mark.parametrize(
    ("spec", "expected"),
    [("{elapsed}", "1 day, 2:03:04.000005"), ("{elapsed.days}", "1"), ("{elapsed.seconds}", "7384")],
)
def test_elapsed(logger: Any, spec: str, expected: str) -> None:
    """
    The elapsed time is a timedelta, with its attributes.
    """
    kept: list[str] = []
    logger.add(kept.append, format=spec)
    elapsed = datetime.timedelta(1, 7384, 5)

    logger.patch(lambda record: record.update(elapsed=elapsed)).info("m")

    assert kept == [expected + "\n"]


spec_texts = st.lists(
    st.sampled_from([token for token, *_ in TOKENS] + ["[", "]", " ", "-", ":", "!UTC", "T", "é", ".", "/", "'"]),
    max_size=8,
).map("".join)
moments = st.datetimes(
    min_value=datetime.datetime(1971, 1, 1),
    max_value=datetime.datetime(2100, 1, 1),
    timezones=st.integers(-1439, 1439).map(
        lambda minutes: datetime.timezone(datetime.timedelta(minutes=minutes), "ZONE")
    ),
)


@pytest.mark.covers("1.29")
@given(spec=spec_texts.filter(lambda text: "SSSSSSS" not in text), moment=moments)
@settings(max_examples=120, deadline=None)
def test_any_spec(spec: str, moment: datetime.datetime) -> None:
    """
    Any mixture of tokens and characters, at any time, in any zone, gives the reference's text.
    """
    import os
    from unittest import mock

    import loguru

    import otelbridge

    with mock.patch.dict(os.environ, {"OTELBRIDGE_LOGURU_STRICT": "1"}):
        template = f"{{time:{spec}}}"
        assert shown(otelbridge.logger, template, moment) == shown(loguru.logger, template, moment)

"""The logger with no sink but a test's own, and loguru itself beside it: its behaviour is the contract."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import loguru
import pytest

from otelbridge import _native
from otelbridge._logger import Logger, logger
from otelbridge.record import Record
from tests.native.conftest import Exporting, exporting, untouched

__all__ = ["Both", "Exporting", "Lines", "both", "exporting", "lines"]

# A moment whose every field differs from the others, west of UTC.
MOMENT = datetime(2026, 3, 7, 16, 5, 9, 123456, tzinfo=timezone(timedelta(hours=-9, minutes=-30), "HST"))


class Lines:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.records: list[Record] = []

    def __call__(self, message: Any) -> None:
        self.texts.append(str(message))
        self.records.append(message.record)

    @property
    def text(self) -> str:
        """The only text."""
        assert len(self.texts) == 1, self.texts
        return self.texts[0]

    @property
    def record(self) -> Record:
        """The only record."""
        assert len(self.records) == 1, self.records
        return self.records[0]

    def messages(self) -> list[str]:
        """What was said, without its line."""
        return [record["message"] for record in self.records]


@pytest.fixture
def log() -> Iterator[Logger]:
    """The logger without any sink and with loguru's levels only; as it was afterwards."""
    with untouched(logger):
        yield logger


@pytest.fixture
def lines(log: Logger) -> Lines:
    """What a callable sink for all levels gets, with the message alone as its text."""
    kept = Lines()
    log.add(kept, level=0, format="{message}")
    return kept


class Both:
    """Our logger and loguru's, asked the same things."""

    def __init__(self, ours: Logger) -> None:
        self.loggers: tuple[Any, Any] = (ours, loguru.logger)

    def lines(self, call: Callable[[Any], object], **options: Any) -> tuple[Lines, Lines]:
        """What a sink that is added with `options` gets of `call(logger)`, from each logger."""
        results = []
        for each in self.loggers:
            kept = Lines()
            number = each.add(kept, **{"level": 0, **options})
            try:
                call(each)
            finally:
                each.remove(number)
            results.append(kept)
        return results[0], results[1]

    def errors(self, call: Callable[[Any], object]) -> tuple[type[BaseException] | None, type[BaseException] | None]:
        """The type of the error that `call(logger)` raises, from each logger."""
        found: list[type[BaseException] | None] = []
        for each in self.loggers:
            try:
                call(each)
            except Exception as error:
                found.append(type(error))
            else:
                found.append(None)
        return found[0], found[1]


@pytest.fixture
def both(log: Logger, monkeypatch: pytest.MonkeyPatch) -> Iterator[Both]:
    """Both loggers without sinks, at the same moment; loguru's levels are given their looks back."""
    loguru.logger.remove()
    zone = MOMENT.tzinfo
    time_ns = int(MOMENT.timestamp()) * 1_000_000_000 + MOMENT.microsecond * 1000
    monkeypatch.setattr("time.localtime", lambda second=None: _LocalTime(datetime.fromtimestamp(second or 0, zone)))
    _native.set_clock(lambda: time_ns)

    def freeze(record: Any) -> None:
        record["time"] = record["time"].replace(
            **{name: getattr(MOMENT, name) for name in ("year", "month", "day", "hour", "minute", "second")},
            microsecond=MOMENT.microsecond,
            tzinfo=zone,
        )

    loguru.logger.configure(patcher=freeze)
    try:
        yield Both(log)
    finally:
        _native.set_clock(None)
        loguru.logger.remove()
        loguru.logger.configure(patcher=lambda record: None)


class _LocalTime(tuple[int, ...]):
    """What `time.localtime` gives, of a moment anywhere."""

    tm_gmtoff: int
    tm_zone: str | None

    def __new__(cls, moment: datetime) -> _LocalTime:
        made = super().__new__(cls, moment.timetuple())
        offset = moment.utcoffset()
        assert offset is not None
        made.tm_gmtoff = int(offset.total_seconds())
        made.tm_zone = moment.tzname()
        return made


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """What was written to standard error since the last call."""
    assert sys.stderr is not None
    return lambda: capsys.readouterr().err

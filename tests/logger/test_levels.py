"""Levels: their methods, names and numbers, on sinks and on the wire."""

from __future__ import annotations

import loguru
import pytest

from otelbridge._logger import Logger
from otelbridge.levels import severity_number
from tests.logger.conftest import Both, Exporting, Lines
from tests.native.oracle import parse

NAMES = ("TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL")


@pytest.mark.covers("1.1")
@pytest.mark.parametrize("name", NAMES)
def test_method_logs_at_its_level(log: Logger, lines: Lines, name: str) -> None:
    """
    Each method logs at the level of its name, with loguru's number and icon.
    """
    getattr(log, name.lower())("said")

    level = lines.record["level"]
    theirs = loguru.logger.level(name)
    assert (level.name, level.no, level.icon) == (name, theirs.no, theirs.icon)


@pytest.mark.covers("1.1")
def test_log_takes_a_name_or_a_number(both: Both) -> None:
    """
    `log` takes the name of a level, however the string was made, or any number from 0 on.
    """

    def call(log: object) -> None:
        log.log("INFO", "by name")  # type: ignore[attr-defined]
        log.log("".join(("IN", "FO")), "by a name made at run time")  # type: ignore[attr-defined]
        log.log(33, "by number")  # type: ignore[attr-defined]
        log.log(20, "by the number of a name")  # type: ignore[attr-defined]
        log.log(0, "zero")  # type: ignore[attr-defined]

    ours, theirs = both.lines(call, format="{level}|{level.no}|{level.icon}|{message}")

    assert ours.texts == theirs.texts


@pytest.mark.parametrize("is_heard", [True, False])
@pytest.mark.parametrize("level", ["no such level", "info", -1, None, 1.5, b"INFO", "\ud800"])
def test_wrong_level_raises_as_in_loguru(both: Both, level: object, is_heard: bool) -> None:
    """
    `log` with a level that does not exist raises loguru's type of error if anybody listens, and nothing if nobody does.
    """
    for log in both.loggers if is_heard else ():
        log.add(lambda _: None)

    ours, theirs = both.errors(lambda log: log.log(level, "text"))

    assert ours is theirs
    assert (ours is not None) == is_heard


@pytest.mark.covers("1.3")
def test_level_is_made_asked_for_and_dressed_anew(both: Both) -> None:
    """
    `level` creates with a number, answers without, changes colour and icon, and gives loguru's namedtuple.
    """
    name = "OTELBRIDGE-TEST-LEVEL"

    for log in both.loggers:
        assert tuple(log.level(name, no=34)) == (name, 34, "", " ")
        assert tuple(log.level(name, color="<red><bold>")) == (name, 34, "<red><bold>", " ")
        assert tuple(log.level(name, icon="!")) == (name, 34, "<red><bold>", "!")
        assert tuple(log.level(name)) == (name, 34, "<red><bold>", "!")
        assert log.level(name)._fields == ("name", "no", "color", "icon")
    for standard in NAMES:
        assert tuple(both.loggers[0].level(standard)) == tuple(both.loggers[1].level(standard))


@pytest.mark.covers("1.3")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": "NEW"}, "Level 'NEW' does not exist; those that do: TRACE, DEBUG"),
        ({"name": "NEW", "color": "<red>"}, "Level 'NEW' does not exist; give its number with no=…"),
        ({"name": "INFO", "no": 20}, "Level 'INFO' already exists with number 20, which cannot be changed, got no=20"),
        ({"name": "INFO", "no": 21}, "Level 'INFO' already exists with number 20, which cannot be changed, got no=21"),
        ({"name": "NEW", "no": "a"}, "level no must be an integer, got 'a' of type 'str'"),
        ({"name": "NEW", "no": 1.5}, "level no must be an integer, got 1.5 of type 'float'"),
        ({"name": "NEW", "no": -1}, "level no must be a positive integer, got -1"),
        ({"name": 5}, "level name must be a str, got 5"),
        ({"name": "NEW", "no": 34, "color": "<nope>"}, r"markup must use known colour tags, got <nope>"),
    ],
)
def test_mistake_in_level_says_what_was_expected(both: Both, arguments: dict[str, object], said: str) -> None:
    """
    A mistake raises the type of error that loguru raises, and says in one sentence what was expected and got.
    """
    with pytest.raises((TypeError, ValueError)) as caught:
        both.loggers[0].level(**arguments)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    ours, theirs = both.errors(lambda log: log.level(**arguments))
    assert ours is theirs


def test_failed_level_changes_nothing(log: Logger) -> None:
    """
    A level that was refused does not exist afterwards, and a refused colour leaves the old one.
    """
    with pytest.raises(ValueError, match="known colour tags"):
        log.level("NEW", no=34, color="<nope>")
    with pytest.raises(ValueError, match="known colour tags"):
        log.level("INFO", color="<nope>")

    assert log.level("INFO").color == "<bold>"
    with pytest.raises(ValueError, match="does not exist"):
        log.level("NEW")


def test_sink_gets_its_level_and_above(log: Logger) -> None:
    """
    A sink sees records from its level on, given as a name or a number, own levels included.
    """
    log.level("NOTICE", no=25)
    by_name, by_number = Lines(), Lines()
    log.add(by_name, level="NOTICE", format="{level}")
    log.add(by_number, level=31, format="{level}")

    for name in (*NAMES, "NOTICE"):
        log.log(name, "text")

    assert by_name.messages() == ["text"] * 5
    assert by_number.texts == ["ERROR\n", "CRITICAL\n"]


def test_enabled_for_knows_every_listener(log: Logger) -> None:
    """
    `enabled_for` is True from the lowest level on that any sink wants, and False without sinks.
    """
    assert not log.enabled_for("CRITICAL")
    number = log.add(lambda _: None, level="WARNING")

    assert log.enabled_for("WARNING")
    assert not log.enabled_for("SUCCESS")
    assert not log.enabled_for(29)
    log.remove(number)
    assert not log.enabled_for("CRITICAL")


@pytest.mark.covers("1.33")
@pytest.mark.parametrize(
    ("name", "number"),
    [("TRACE", 1), ("DEBUG", 5), ("INFO", 9), ("SUCCESS", 10), ("WARNING", 13), ("ERROR", 17), ("CRITICAL", 21)],
)
@pytest.mark.parametrize("python_way", [False, True])
def test_severity_on_the_wire(exporting: Exporting, name: str, number: int, python_way: bool) -> None:
    """
    A level's severity number is OpenTelemetry's for it, and the text is the level's own name.
    """
    log = exporting.logger.opt(depth=0) if python_way else exporting.logger

    getattr(log, name.lower())("text")

    (record,) = map(parse, exporting.take())
    assert (record.severity_number, record.severity_text) == (number, name)


@pytest.mark.covers("1.33")
def test_level_of_the_users_keeps_its_name(exporting: Exporting, log: Logger) -> None:
    """
    An own level and a bare number reach the wire with the user's name for them and a number between their neighbours.
    """
    log.level("NOTICE", no=35)

    log.log("NOTICE", "own")
    log.log(33, "bare")

    own, bare = map(parse, exporting.take())
    assert (own.severity_text, own.severity_number) == ("NOTICE", 15)
    assert (bare.severity_text, bare.severity_number) == ("Level 33", 14)


def test_severity_is_monotonic() -> None:
    """
    A higher level number never has a lower severity, and all are OpenTelemetry's (1 to 24).
    """
    numbers = [severity_number(no) for no in (*range(0, 200), 10**6, 10**30)]

    assert numbers == sorted(numbers)
    assert min(numbers) == 1
    assert max(numbers) == 24

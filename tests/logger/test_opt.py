"""opt: exceptions, the caller's depth and lazy arguments; and `exception`, which is one of them."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from otelbridge._logger import Logger
from tests.logger.conftest import Both, Exporting, Lines
from tests.native.oracle import attributes_of, parse


class OwnError(Exception):
    """An error with a module."""


def boom(error: type[Exception] = OwnError) -> Any:
    """Raise and catch: the exception with a traceback."""
    try:
        raise error("what happened")
    except error as caught:
        return caught


@pytest.mark.covers("1.20", note="exception, depth and lazy so far")
@pytest.mark.parametrize("how", ["method", "true", "instance", "tuple"])
def test_exception_is_on_the_wire(exporting: Exporting, how: str) -> None:
    """
    The exception being handled, one given, or an exc_info tuple: type with module, message and a plain traceback.
    """
    log = exporting.logger
    try:
        raise OwnError("what happened")
    except OwnError as error:
        if how == "method":
            log.exception("text {}", 1)
        elif how == "true":
            log.opt(exception=True).error("text {}", 1)
        elif how == "tuple":
            log.opt(exception=sys.exc_info()).error("text {}", 1)
        given = error
    if how == "instance":
        log.opt(exception=given).error("text {}", 1)

    (record,) = map(parse, exporting.take())
    attributes = attributes_of(record)
    assert (record.body.string_value, record.severity_text) == ("text 1", "ERROR")
    assert attributes["exception.type"] == f"{__name__}.OwnError"
    assert attributes["exception.message"] == "what happened"
    stacktrace = attributes["exception.stacktrace"]
    assert stacktrace.startswith("Traceback (most recent call last):\n")
    assert stacktrace.endswith(f"{__name__}.OwnError: what happened\n")
    assert "in test_exception_is_on_the_wire" in stacktrace


@pytest.mark.covers("1.33")
def test_builtin_exception_has_no_module(exporting: Exporting) -> None:
    """
    A builtin's type is its bare name, as OpenTelemetry writes it; causes are in the traceback, values never.
    """
    secret = "s3cret-value"
    try:
        try:
            dict[str, str]()[secret.upper()]
        except KeyError as cause:
            raise ValueError("wrong") from cause
    except ValueError:
        exporting.logger.exception("text")

    (record,) = map(parse, exporting.take())
    attributes = attributes_of(record)
    assert attributes["exception.type"] == "ValueError"
    assert "direct cause" in attributes["exception.stacktrace"]
    assert secret not in attributes["exception.stacktrace"].replace('secret = "s3cret-value"', "")


@pytest.mark.covers("1.1")
@pytest.mark.parametrize("backtrace", [True, False])
def test_exception_reaches_the_sinks(both: Both, backtrace: bool) -> None:
    """
    A sink's line ends with the traceback, and its record has the exception, as in loguru.
    """

    def call(log: Any) -> None:
        try:
            raise OwnError("what happened")
        except OwnError:
            log.exception("text")

    ours, theirs = both.lines(call, format="{level} {message}", backtrace=backtrace, diagnose=False)

    assert ours.text == theirs.text
    mine, other = ours.record["exception"], theirs.record["exception"]
    assert mine is not None
    assert other is not None
    assert (mine.type, str(mine.value), mine.traceback is None) == (other.type, str(other.value), False)
    assert ours.record["level"].name == theirs.record["level"].name == "ERROR"


@pytest.mark.parametrize("value", [None, False, 0, "", ()])
def test_no_exception_is_none(both: Both, value: Any) -> None:
    """
    A false `exception` adds nothing.
    """
    ours, theirs = both.lines(lambda log: log.opt(exception=value).info("text"), format="{message}")

    assert ours.record["exception"] is theirs.record["exception"] is None
    assert ours.texts == theirs.texts == ["text\n"]


@pytest.mark.parametrize("value", [True, 1, "text", ValueError, object(), ("a", "b", None), (None, None, None)])
@pytest.mark.parametrize("name", ["info", "exception"])
def test_no_exception_to_add_hurts_nobody(exporting: Exporting, lines: Lines, value: Any, name: str) -> None:
    """
    Outside of an exception, or with a value that is none, the record is made all the same, without attributes for it.
    """
    getattr(exporting.logger.opt(exception=value), name)("text")

    (record,) = map(parse, exporting.take())
    assert record.body.string_value == "text"
    assert not any(key.startswith("exception.") for key in attributes_of(record))
    assert len(lines.records) == 1


@pytest.mark.parametrize("value", [(1,), (1, 2), (1, 2, 3, 4)])
def test_exc_info_of_another_length_is_a_value_error(both: Both, value: Any) -> None:
    """
    A tuple that is no exc_info raises loguru's type of error.
    """
    for log in both.loggers:
        log.add(lambda _: None)

    ours, theirs = both.errors(lambda log: log.opt(exception=value).info("text"))

    assert ours is theirs is ValueError


def test_exception_that_cannot_be_shown_is_named(exporting: Exporting, lines: Lines) -> None:
    """
    An exception whose `__str__` raises, or whose traceback is very long, is logged as far as it can be.
    """

    class MuteError(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    def dive(n: int) -> None:
        dive(n - 1) if n else exec("raise MuteError", {"MuteError": MuteError})

    try:
        dive(500)
    except MuteError:
        exporting.logger.exception("text")

    (record,) = map(parse, exporting.take())
    attributes = attributes_of(record)
    assert attributes["exception.type"].endswith("MuteError")
    assert attributes["exception.message"] == "<unprintable MuteError object>"
    assert "in dive" in attributes["exception.stacktrace"]
    assert "in dive" in lines.texts[0]


def test_group_notes_and_cycles_are_rendered(exporting: Exporting) -> None:
    """
    Exception groups, notes, and a cause that leads back to itself are rendered as Python renders them.
    """
    error = ExceptionGroup("several", [ValueError("one"), OwnError("two")])
    error.add_note("a note")
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one

    exporting.logger.opt(exception=error).error("text")
    exporting.logger.opt(exception=one).error("text")

    first, second = (attributes_of(parse(record))["exception.stacktrace"] for record in exporting.take())
    assert "a note" in first
    assert "OwnError: two" in first
    assert second.count("ValueError: one") == 1


@pytest.mark.covers("1.20", note="exception, depth and lazy so far")
def test_depth_names_a_caller_further_out(both: Both) -> None:
    """
    `depth` counts frames outwards from the call: function, line, module and file are that frame's.
    """

    def wrapper(log: Any, depth: int) -> None:
        log.opt(depth=depth).info("text")

    def caller(log: Any) -> None:
        for depth in (0, 1, 2):
            wrapper(log, depth)

    ours, theirs = both.lines(caller, format="{name}:{module}:{function}:{line}:{file}")

    assert ours.texts == theirs.texts
    assert [record["function"] for record in ours.records] == ["wrapper", "caller", "lines"]


def test_depth_on_the_wire(exporting: Exporting) -> None:
    """
    The wire names the caller further out, too; beyond the last frame there is no site, and no error.
    """

    def helper(depth: int) -> None:
        exporting.logger.opt(depth=depth).info("text")

    helper(1)
    helper(10_000)

    near, far = (attributes_of(parse(record)) for record in exporting.take())
    assert near["code.function.name"] == f"{__name__}.test_depth_on_the_wire"
    assert near["code.file.path"] == __file__
    assert not any(key.startswith("code.") for key in far)


def test_depth_beyond_the_last_frame_reaches_sinks(log: Logger, lines: Lines) -> None:
    """
    Where loguru raises for a depth that no stack has, the record is written with an unknown place.
    """
    log.opt(depth=10_000).info("text")

    assert (lines.record["function"], lines.record["name"]) == ("<unknown>", None)


@pytest.mark.covers("1.20", note="exception, depth and lazy so far")
def test_lazy_arguments_are_called_only_if_needed(log: Logger) -> None:
    """
    Lazy arguments are functions, called once if somebody wants the level, and not at all otherwise.
    """
    calls: list[str] = []

    def value(name: str) -> Any:
        def read() -> str:
            calls.append(name)
            return name

        return read

    kept = Lines()
    log.add(kept, level="INFO", format="{message}")
    log.add(lambda _: None, level="INFO")
    lazy = log.opt(lazy=True)

    lazy.debug("{} {b}", value("a"), b=value("b"))
    assert calls == []
    lazy.info("{} {b}", value("a"), b=value("b"))

    assert sorted(calls) == ["a", "b"]
    assert kept.messages() == ["a b"]
    assert kept.record["extra"] == {"b": "b"}


def test_lazy_arguments_are_called_for_otlp_alone(exporting: Exporting) -> None:
    """
    Without any Python sink an exported record has the values that the functions return.
    """
    exporting.logger.opt(lazy=True).info("{} {b}", lambda: 1, b=lambda: 2)

    (record,) = map(parse, exporting.take())
    assert record.body.string_value == "1 2"
    assert attributes_of(record)["b"] == 2


def test_options_and_bound_values_go_together(log: Logger, lines: Lines) -> None:
    """
    `opt` keeps what was bound, `bind` keeps the options, and neither changes its parent.
    """
    lazy = log.bind(a=1).opt(lazy=True).bind(b=2)

    lazy.info("{}", lambda: "called")
    log.info("{}", "plain")

    assert lines.messages() == ["called", "plain"]
    assert [record["extra"] for record in lines.records] == [{"a": 1, "b": 2}, {}]


def test_unknown_option_is_a_type_error(log: Logger) -> None:
    """
    An option that does not exist says so at once.
    """
    with pytest.raises(TypeError, match="nope"):
        log.opt(nope=1)  # type: ignore[call-arg]

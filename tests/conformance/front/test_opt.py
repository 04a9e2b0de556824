"""opt(): record, lazy, raw, capture and exception; alone, together, and one after the other."""

# mypy: disable-error-code="untyped-decorator, unreachable"

from __future__ import annotations

import sys
import threading
from typing import Any

import pytest

from tests.conformance.support import Kept, add, each, error_of


def raised(error: BaseException) -> Any:
    """The error with a traceback."""
    try:
        raise error
    except BaseException as caught:
        return caught


# ------------------------------------------------------------------------------------------------------ in general


@pytest.mark.covers("1.20")
def test_opt_of_nothing(logger: Any, kept: Kept) -> None:
    """opt() without options is another logger that says the same."""
    other = logger.opt()
    assert other is not logger
    assert type(other) is type(logger)
    other.info("said {}", 1, a=2)
    assert (kept.text, kept.extra) == ("said 1\n", {"a": 2})


@pytest.mark.covers("1.20")
def test_options_go_by_keyword(logger: Any) -> None:
    """Options go by keyword; an unknown one is a TypeError."""
    with pytest.raises(TypeError):
        logger.opt(True)
    with pytest.raises(TypeError):
        logger.opt(nope=True)


@pytest.mark.covers("1.20")
def test_the_logger_does_not_change(logger: Any, kept: Kept) -> None:
    """Options are the returned logger's only."""
    logger.opt(raw=True, capture=False, lazy=True, record=True, depth=3, colors=True, exception=True)
    logger.info("said {record}", record=1)
    assert (kept.text, kept.extra, kept.record["exception"]) == ("said 1\n", {"record": 1}, None)


@pytest.mark.covers("1.20")
def test_last_opt_wins(logger: Any, kept: Kept) -> None:
    """A second opt() resets what the first one set."""
    logger.opt(raw=True, capture=False, lazy=True).opt().info("{a}", a=1)
    logger.opt(raw=True).opt(capture=False).info("{a}", a=1)
    logger.opt(exception=ValueError()).opt(record=True).info("{record[level]}")
    assert kept.texts == ["1\n", "1\n", "INFO\n"]
    assert kept.extras == [{"a": 1}, {}, {}]


@pytest.mark.covers("1.20")
def test_options_survive_bind_and_patch(logger: Any, kept: Kept) -> None:
    """bind() and patch() keep options, opt() keeps what was bound and patched."""
    chained = logger.bind(a=1).patch(lambda record: record["extra"].update(p=1)).opt(raw=True).bind(b=2)
    chained.patch(lambda record: record["extra"].update(q=2)).info("said")
    assert (kept.text, kept.extra) == ("said", {"a": 1, "b": 2, "p": 1, "q": 2})


@pytest.mark.covers("1.20")
def test_options_are_kept_for_many_calls(logger: Any, kept: Kept) -> None:
    """A logger with options can be kept and used again."""
    raw = logger.opt(raw=True)
    for n in range(3):
        raw.info("{}", n)
    assert kept.texts == ["0", "1", "2"]


@pytest.mark.covers("1.20")
@each("name", ["record", "lazy", "colors", "raw"])
@each("value", [0, "", None, [], False])
def test_switches_off(logger: Any, kept: Kept, name: str, value: object) -> None:
    """What is false is off."""
    logger.opt(**{name: value}).info("<red> {}", 1)
    assert kept.text == "<red> 1\n"


# ---------------------------------------------------------------------------------------------------------- record


@pytest.mark.covers("1.20")
@each(
    ("message", "expected"),
    [
        ("{record[level]}", "WARNING"),
        ("{record[level].name} {record[level].no} {record[level].icon}", "WARNING 30 ⚠️"),
        ("{record[function]}", "test_record"),
        ("{record[name]} {record[module]}", f"{__name__} test_opt"),
        ("{record[file]} {record[file].name}", "test_opt.py test_opt.py"),
        ("{record[extra][a]} {record[extra]}", "1 {'a': 1}"),
        ("{record[exception]}", "None"),
        ("{record[message]}", "{record[message]}"),
        ("{record[thread].name} {record[process].name}", "MainThread MainProcess"),
        ("{record[level]: >9}|", "  WARNING|"),
        ("{{}}", "{}"),
        ("plain", "plain"),
    ],
)
def test_record(logger: Any, kept: Kept, message: str, expected: str) -> None:
    """With record=True a message may use the record of the call, without any argument too."""
    logger.bind(a=1).opt(record=True).warning(message)
    assert kept.message == expected
    assert kept.extra == {"a": 1}


@pytest.mark.covers("1.20")
def test_record_and_arguments(logger: Any, kept: Kept) -> None:
    """The record goes together with other arguments, which it shows in extra."""
    logger.opt(record=True).info("{} {b} {record[extra]}", "a", b=2)
    assert kept.message == "a 2 {'b': 2}"
    assert kept.extra == {"b": 2}


@pytest.mark.covers("1.20")
def test_record_line(logger: Any, kept: Kept) -> None:
    """The record's line is the call's."""
    logger.opt(record=True).info("{record[line]}")
    assert kept.message == str(kept.record["line"])
    assert kept.record["line"] == test_record_line.__code__.co_firstlineno + 3


@pytest.mark.covers("1.20")
def test_record_is_taken(logger: Any, kept: Kept) -> None:
    """With record=True, `record` cannot be a keyword argument: a TypeError."""
    with pytest.raises(TypeError, match="record"):
        logger.opt(record=True).info("{record}", record=1)
    assert not kept.texts


@pytest.mark.covers("1.20")
def test_unused_record_is_taken(logger: Any) -> None:
    """It is one for a call that somebody hears."""
    logger.opt(record=True).info("said", record=1)
    add(logger)
    with pytest.raises(TypeError, match="record"):
        logger.opt(record=True).info("said", record=1)


@pytest.mark.covers("1.20")
def test_record_and_braces(logger: Any, kept: Kept) -> None:
    """With record=True the message is always formatted."""
    with pytest.raises(IndexError):
        logger.opt(record=True).info("{}")
    with pytest.raises(KeyError):
        logger.opt(record=True).info("{a}")
    with pytest.raises(KeyError):
        logger.opt(record=True).info("{record[nope]}")
    assert not kept.texts


# ------------------------------------------------------------------------------------------------------------ lazy


@pytest.mark.covers("1.20")
def test_lazy(logger: Any, kept: Kept) -> None:
    """With lazy=True all arguments are functions, which are called without arguments."""
    logger.opt(lazy=True).info("{} {b}", lambda: 1, b=lambda: 2)
    assert (kept.message, kept.extra) == ("1 2", {"b": 2})


@pytest.mark.covers("1.20")
def test_lazy_is_once(logger: Any) -> None:
    """Each function is called once, however many handlers and fields there are."""
    calls: list[str] = []
    sinks = [add(logger), add(logger)]
    logger.opt(lazy=True).info("{0} {0} {b} {b}", lambda: calls.append("a"), b=lambda: calls.append("b"))
    assert calls == ["a", "b"]
    assert [sink.message for sink in sinks] == ["None None None None"] * 2


@pytest.mark.covers("1.20")
def test_lazy_only_when_needed(logger: Any) -> None:
    """No function is called for a call that no handler's level wants."""
    lazy = logger.opt(lazy=True)
    lazy.info("{}", lambda: 1 / 0)
    kept = add(logger, level="WARNING")
    lazy.info("{a}", a=lambda: 1 / 0)
    lazy.warning("{}", lambda: 5)
    assert kept.message == "5"


@pytest.mark.covers("1.20")
def test_lazy_below_one_of_two_levels(logger: Any) -> None:
    """One handler that wants the record is enough."""
    low, high = add(logger, level="INFO"), add(logger, level="ERROR")
    logger.opt(lazy=True).info("{}", lambda: 5)
    assert (low.messages, high.messages) == (["5"], [])


@pytest.mark.covers("1.20")
def test_lazy_is_called_though_filtered(logger: Any) -> None:
    """A filter comes after the message is made."""
    calls: list[int] = []
    add(logger, filter=lambda record: False)
    logger.opt(lazy=True).info("{}", lambda: calls.append(1))
    assert calls == [1]


@pytest.mark.covers("1.20")
def test_unused_lazy_arguments(logger: Any, kept: Kept) -> None:
    """Functions that the message does not use are called too: their values are extra."""
    logger.opt(lazy=True).info("said", a=lambda: 1)
    assert (kept.message, kept.extra) == ("said", {"a": 1})


@pytest.mark.covers("1.20")
@pytest.mark.parametrize("value", [5, "text", None])
def test_lazy_of_values(logger: Any, kept: Kept, value: object) -> None:
    """An argument that is no function is a TypeError of the call."""
    with pytest.raises(TypeError):
        logger.opt(lazy=True).info("{}", value)
    with pytest.raises(TypeError):
        logger.opt(lazy=True).info("{a}", a=value)
    assert not kept.texts


@pytest.mark.covers("1.20")
def test_lazy_errors(logger: Any, kept: Kept) -> None:
    """What a function raises is raised by the call."""
    with pytest.raises(ZeroDivisionError):
        logger.opt(lazy=True).info("{}", lambda: 1 / 0)
    assert not kept.texts


@pytest.mark.covers("1.20")
def test_lazy_without_arguments(logger: Any, kept: Kept) -> None:
    """Without arguments a lazy call is a plain one."""
    logger.opt(lazy=True).info("{said}")
    assert kept.message == "{said}"


@pytest.mark.covers("1.20")
def test_lazy_and_bound(logger: Any, kept: Kept) -> None:
    """Bound and contextualized functions are values."""

    def value() -> int:
        raise AssertionError

    with logger.contextualize(c=value):
        logger.bind(b=value).opt(lazy=True).info("{a}", a=lambda: 1)
    assert kept.extra == {"b": value, "c": value, "a": 1}


@pytest.mark.covers("1.20")
def test_lazy_and_record(logger: Any, kept: Kept) -> None:
    """Lazy and record go together; the record is no function."""
    logger.opt(lazy=True, record=True).info("{record[level]} {a}", a=lambda: 1)
    assert kept.message == "INFO 1"


@pytest.mark.covers("1.20")
def test_lazy_in_order(logger: Any, kept: Kept) -> None:
    """Positional functions are called first, then keywords, in their order."""
    order: list[int] = []
    logger.opt(lazy=True).info("{}", *(lambda n=n: order.append(n) for n in range(3)), k=lambda: order.append(3))
    assert order == [0, 1, 2, 3]


@pytest.mark.covers("1.20")
def test_lazy_that_logs(logger: Any, kept: Kept) -> None:
    """A function may log: its record comes first."""

    def value() -> int:
        logger.info("inner")
        return 5

    logger.opt(lazy=True).info("outer {}", value)
    assert kept.messages == ["inner", "outer 5"]


# ------------------------------------------------------------------------------------------------------------- raw


@pytest.mark.covers("1.20")
@pytest.mark.parametrize("format_", ["{message}", "{time} | {level} | {message}", lambda record: "{level}\n", ""])
def test_raw(logger: Any, format_: Any) -> None:
    """With raw=True the text is the formatted message alone, whatever the handler's format."""
    kept = add(logger, format=format_)
    logger.opt(raw=True).info("a {} {b}", 1, b=2)
    logger.opt(raw=True).info("no line break")
    logger.opt(raw=True).info("{literal}\n")
    assert kept.texts == ["a 1 2", "no line break", "{literal}\n"]
    assert kept.messages == kept.texts
    assert kept.extras == [{"b": 2}, {}, {}]


@pytest.mark.covers("1.20")
def test_raw_is_filtered(logger: Any) -> None:
    """Levels, filters and activation count for raw messages."""
    high = add(logger, level="ERROR")
    none = add(logger, filter=lambda record: False)
    logger.opt(raw=True).info("said")
    assert (high.texts, none.texts) == ([], [])
    kept = add(logger)
    logger.disable(__name__)
    logger.opt(raw=True).info("said")
    assert not kept.texts


@pytest.mark.covers("1.20")
def test_raw_has_no_exception(logger: Any, kept: Kept) -> None:
    """A raw text has no traceback; the record has the exception."""
    error = raised(LookupError("why"))
    logger.opt(raw=True, exception=error).info("said\n")
    assert kept.text == "said\n"
    assert kept.record["exception"].value is error


@pytest.mark.covers("1.20")
def test_raw_markup(logger: Any) -> None:
    """Markup in a raw message is text, unless colors=True asks for it."""
    plain, colored = add(logger, colorize=False), add(logger, colorize=True)
    logger.opt(raw=True).info("<red>a</red>")
    logger.opt(raw=True, colors=True).info("<red>a</red>")
    assert plain.texts == ["<red>a</red>", "a"]
    assert colored.texts == ["<red>a</red>", "\x1b[31ma\x1b[0m"]
    assert plain.messages[1] == colored.messages[1] == "a"


@pytest.mark.covers("1.20")
def test_raw_and_serialized(logger: Any) -> None:
    """A serialized raw message has the message as its text."""
    kept = add(logger, serialize=True)
    logger.opt(raw=True).info("said")
    assert kept.text.startswith('{"text": "said", "record": {') or kept.text.startswith('{"text":"said","record":{')


@pytest.mark.covers("1.20")
@pytest.mark.parametrize("message", [5, None, [1]])
def test_raw_of_another_type(logger: Any, kept: Kept, message: object) -> None:
    """A raw message that is no str is turned into one."""
    logger.opt(raw=True).info(message)
    assert kept.text == str(message)


# --------------------------------------------------------------------------------------------------------- capture


@pytest.mark.covers("1.20")
def test_capture(logger: Any, kept: Kept) -> None:
    """With capture=False keyword arguments are for formatting only."""
    logger.bind(b=0).opt(capture=False).info("{a} {b}", a=1, b=2)
    assert (kept.message, kept.extra) == ("1 2", {"b": 0})


@pytest.mark.covers("1.20")
def test_capture_and_others(logger: Any, kept: Kept) -> None:
    """capture=False goes together with lazy and record."""
    logger.opt(capture=False, lazy=True, record=True).info("{a} {record[extra]}", a=lambda: 1)
    assert (kept.message, kept.extra) == ("1 {}", {})


@pytest.mark.covers("1.20")
@pytest.mark.parametrize("value", [0, None, "", False], ids=repr)
def test_capture_is_a_truth_value(logger: Any, kept: Kept, value: object) -> None:
    """What is false switches capturing off."""
    logger.opt(capture=value).info("{a}", a=1)
    assert kept.extra == {}


@pytest.mark.covers("1.20")
def test_capture_later(logger: Any, kept: Kept) -> None:
    """What was bound before or after is there."""
    logger.opt(capture=False).bind(b=1).info("{a}", a=1)
    assert kept.extra == {"b": 1}


# ------------------------------------------------------------------------------------------------------- exception


@pytest.mark.covers("1.20")
@each("level", ["DEBUG", "INFO", "CRITICAL"])
@each("value", [True, 1, "yes", LookupError, [1], 5.0])
def test_exception_being_handled(logger: Any, kept: Kept, level: str, value: object) -> None:
    """What is true, but neither an exception nor a tuple, asks for the exception that is being handled."""
    try:
        raise ValueError("why")
    except ValueError as error:
        logger.opt(exception=value).log(level, "said")
        expected = (ValueError, error, error.__traceback__)
    assert tuple(kept.record["exception"]) == expected
    assert kept.text.startswith("said\nTraceback (most recent call last):\n")
    assert kept.text.endswith("\nValueError: why\n")


@pytest.mark.covers("1.20")
@pytest.mark.parametrize("value", [False, None, 0, "", (), []], ids=repr)
def test_no_exception(logger: Any, kept: Kept, value: object) -> None:
    """What is false asks for none."""
    try:
        raise ValueError("why")
    except ValueError:
        logger.opt(exception=value).info("said")
    assert (kept.text, kept.record["exception"]) == ("said\n", None)


@pytest.mark.covers("1.20")
def test_no_exception_being_handled(logger: Any, kept: Kept) -> None:
    """Where none is handled, the record says so."""
    logger.opt(exception=True).info("said")
    assert tuple(kept.record["exception"]) == (None, None, None)
    assert kept.text == "said\nNoneType: None\n"


@pytest.mark.covers("1.20")
@pytest.mark.parametrize("error", [ValueError("why"), KeyboardInterrupt(), SystemExit(3), GeneratorExit()], ids=repr)
@pytest.mark.parametrize("traceback", [True, False])
def test_exception_instance(logger: Any, kept: Kept, error: BaseException, traceback: bool) -> None:
    """An exception is logged, with or without a traceback, of whatever kind."""
    error = raised(error) if traceback else error.with_traceback(None)
    logger.opt(exception=error).info("said")
    assert tuple(kept.record["exception"]) == (type(error), error, error.__traceback__)
    assert ("Traceback" in kept.text) is traceback
    shown = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    assert kept.text.endswith(f"\n{shown}\n")


@pytest.mark.covers("1.20")
def test_exception_tuple(logger: Any, kept: Kept) -> None:
    """A tuple as of sys.exc_info() is logged."""
    try:
        raise ValueError("why")
    except ValueError:
        info = sys.exc_info()
    logger.opt(exception=info).info("one")
    logger.opt(exception=(info[0], info[1], None)).info("two")
    logger.opt(exception=(None, None, None)).info("three")
    assert [tuple(record["exception"]) for record in kept.records] == [info, (*info[:2], None), (None, None, None)]
    assert kept.texts[0].endswith("ValueError: why\n")
    assert kept.texts[1:] == ["two\nValueError: why\n", "three\nNoneType: None\n"]


@pytest.mark.covers("1.20")
@pytest.mark.parametrize("value", [(1, 2), (1,), (1, 2, 3, 4)])
def test_exception_tuple_of_another_length(logger: Any, kept: Kept, value: tuple[int, ...]) -> None:
    """A tuple that does not have three items is a ValueError of the call."""
    with pytest.raises(ValueError, match="unpack"):
        logger.opt(exception=value).info("said")
    assert not kept.texts


@pytest.mark.covers("1.20")
def test_exception_of_another_thread(logger: Any, kept: Kept) -> None:
    """An exception may be logged where it was not raised."""
    errors: list[BaseException] = []
    thread = threading.Thread(target=lambda: errors.append(error_of(lambda: 1 / 0)))
    thread.start()
    thread.join()
    logger.opt(exception=errors[0]).info("said")
    assert kept.text.endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.covers("1.20")
def test_exception_record_is_a_named_tuple(logger: Any, kept: Kept) -> None:
    """The record's exception is a namedtuple of type, value and traceback, with a repr of these."""
    error = ValueError("why")
    logger.opt(exception=error).info("said")
    exception = kept.record["exception"]
    assert exception._fields == ("type", "value", "traceback")
    assert issubclass(type(exception), tuple)
    assert (exception.type, exception.value, exception.traceback) == (ValueError, error, None)
    assert repr(exception) == str(exception) == "(type=<class 'ValueError'>, value=ValueError('why'), traceback=None)"


@pytest.mark.covers("1.20")
def test_lazy_exception(logger: Any, kept: Kept) -> None:
    """Exception goes together with lazy, record and capture."""
    try:
        raise ValueError("why")
    except ValueError:
        logger.opt(exception=True, lazy=True, record=True, capture=False).info(
            "{a} {record[exception].value}", a=lambda: 1
        )
    assert kept.text.startswith("1 why\nTraceback")
    assert kept.extra == {}


@pytest.mark.covers("1.20")
def test_exception_method_overrides(logger: Any, kept: Kept) -> None:
    """exception() asks for the exception that is being handled, whatever opt() said before."""
    try:
        raise ValueError("why")
    except ValueError:
        logger.opt(exception=LookupError("other")).exception("said")
        logger.opt(exception=False).exception("said")
    assert [record["exception"].type for record in kept.records] == [ValueError, ValueError]


@pytest.mark.covers("1.20")
def test_exception_method_keeps_other_options(logger: Any, kept: Kept) -> None:
    """exception() keeps the other options."""
    try:
        raise ValueError("why")
    except ValueError:
        logger.opt(raw=True, capture=False, lazy=True).exception("{a}", a=lambda: 1)
    assert (kept.text, kept.extra) == ("1", {})
    assert kept.record["exception"].type is ValueError


@pytest.mark.covers("1.20")
def test_deprecated_ansi(logger: Any) -> None:
    """opt(ansi=True) is colors=True, and warns."""
    kept = add(logger, colorize=True)
    with pytest.warns(DeprecationWarning, match="ansi"):
        logger.opt(ansi=True).info("<red>a</red>")
    assert kept.text == "\x1b[31ma\x1b[0m\n"


@pytest.mark.covers("1.20")
def test_all_at_once(logger: Any) -> None:
    """All options work together."""
    kept = add(logger, colorize=True)
    error = ValueError("why")

    def wrapped() -> None:
        options = {"exception": error, "record": True, "lazy": True, "colors": True, "capture": False, "depth": 1}
        logger.opt(**options).info("<red>{record[function]} {a}</red>", a=lambda: "<b>")

    wrapped()
    assert kept.text.startswith("\x1b[31mtest_all_at_once <b>\x1b[0m\n")
    assert kept.message == "test_all_at_once <b>"
    assert (kept.record["function"], kept.extra) == ("test_all_at_once", {})
    assert kept.record["exception"].value is error

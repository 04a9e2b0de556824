"""The level methods and log(): what is said, at which level, with which extra; and what a bad call raises."""

from __future__ import annotations

import string
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.conformance.support import LEVELS, Kept, add, each, new_name

METHODS = [(name.lower(), name, no) for name, no, _, _ in LEVELS]


@pytest.mark.covers("1.1")
@pytest.mark.parametrize(("method", "name", "no"), METHODS)
def test_level_methods(logger: Any, kept: Kept, method: str, name: str, no: int) -> None:
    """Each documented level has a method of its name, whose records carry that level's name and severity."""
    getattr(logger, method)("said")
    assert kept.texts == ["said\n"]
    assert (kept.record["level"].name, kept.record["level"].no) == (name, no)


@pytest.mark.covers("1.1")
@pytest.mark.parametrize(("method", "name", "no"), METHODS)
def test_level_methods_return_nothing(logger: Any, kept: Kept, method: str, name: str, no: int) -> None:
    """A call returns None, whether it is logged or not."""
    assert getattr(logger, method)("said") is None
    logger.remove()
    assert getattr(logger, method)("said") is None
    assert logger.log(name, "said") is None


@pytest.mark.covers("1.1")
@pytest.mark.parametrize(("method", "name", "no"), METHODS)
def test_log_by_name(logger: Any, kept: Kept, method: str, name: str, no: int) -> None:
    """log() with a level's name does what its method does."""
    logger.log(name, "{} {b}", 1, b=2)
    assert kept.message == "1 2"
    level = kept.record["level"]
    assert (level.name, level.no, level.icon) == (name, no, logger.level(name).icon)


@pytest.mark.covers("1.1")
@pytest.mark.parametrize("number", [0, 1, 5, 20, 33, 50, 100, 10**6])
def test_log_by_number(logger: Any, number: int) -> None:
    """A severity is not linked back to a level's name: it is called `Level N` and has a blank icon."""
    kept = add(logger, format="{level} {level.name} {level.no} {level.icon}|")
    logger.log(number, "said")
    assert kept.text == f"Level {number} Level {number} {number}  |\n"


@pytest.mark.covers("1.1")
@pytest.mark.parametrize("level", ["nope", "info", "Info", "INFO ", "20", "Level 20"])
def test_log_unknown_level(logger: Any, kept: Kept, level: str) -> None:
    """A name that is no level is a ValueError, upper and lower case being different."""
    with pytest.raises(ValueError, match="does not exist"):
        logger.log(level, "said")
    assert not kept.texts


@pytest.mark.covers("1.1")
@pytest.mark.parametrize("number", [-1, -20, -(10**9)])
def test_log_negative_level(logger: Any, kept: Kept, number: int) -> None:
    """A negative severity is a ValueError."""
    with pytest.raises(ValueError, match=str(number)):
        logger.log(number, "said")
    assert not kept.texts


@pytest.mark.covers("1.1")
@pytest.mark.parametrize("level", [0.5, 20.5, None, [], (), {}, b"INFO", object(), str], ids=repr)
def test_log_level_of_another_type(logger: Any, kept: Kept, level: object) -> None:
    """A level that is neither an int nor a str is a TypeError."""
    with pytest.raises(TypeError):
        logger.log(level, "said")
    assert not kept.texts


@pytest.mark.covers("1.1")
def test_log_takes_no_level_tuple(logger: Any, kept: Kept) -> None:
    """What level() returns is no level for log()."""
    with pytest.raises(TypeError):
        logger.log(logger.level("INFO"), "said")


@pytest.mark.covers("1.1")
@pytest.mark.parametrize("level", ["nope", -1, 1.5])
def test_bad_levels_are_nobodys_business_without_handlers(logger: Any, level: object) -> None:
    """Without any handler, log() does not look at the level."""
    logger.log(level, "said")


@pytest.mark.covers("1.1")
@each(
    ("message", "args", "kwargs", "expected"),
    [
        ("{}", (1,), {}, "1"),
        ("{} {}", (1, "two"), {}, "1 two"),
        ("{0} {1} {0}", ("a", "b"), {}, "a b a"),
        ("{a}", (), {"a": 1}, "1"),
        ("{} {a}", (0,), {"a": 1}, "0 1"),
        ("{0} {a} {0}", (0,), {"a": 1}, "0 1 0"),
        ("{!r}", ("a",), {}, "'a'"),
        ("{!s}", ("a",), {}, "a"),
        ("{!a}", ("é",), {}, "'\\xe9'"),
        ("{:>5}|", ("a",), {}, "    a|"),
        ("{:*^7}", ("a",), {}, "***a***"),
        ("{:05.1f}", (3.14159,), {}, "003.1"),
        ("{:,}", (1234567,), {}, "1,234,567"),
        ("{:#x} {:b} {:o} {:e}", (255, 5, 8, 12345.678), {}, "0xff 101 10 1.234568e+04"),
        ("{:%}", (0.5,), {}, "50.000000%"),
        ("{:{width}}|", ("a",), {"width": 4}, "a   |"),
        ("{:{}}|", ("a", 3), {}, "a  |"),
        ("{:{}.{}f}", (3.14159, 8, 2), {}, "    3.14"),
        ("{a.real} {a.imag}", (), {"a": 3}, "3 0"),
        ("{a[k]} {a[0]}", (), {"a": {"k": "v", 0: "zero"}}, "v zero"),
        ("{0[1]}", ([1, 2],), {}, "2"),
        ("{{}} {}", (1,), {}, "{} 1"),
        ("{{a}}", (), {"a": 1}, "{a}"),
        ("{:%Y-%m-%d}", (datetime(2020, 1, 2),), {}, "2020-01-02"),
        ("{}", (timedelta(days=1),), {}, "1 day, 0:00:00"),
        ("{}", (None,), {}, "None"),
        ("{}", ({"a": 1},), {}, "{'a': 1}"),
        ("{}", ("{}",), {}, "{}"),
        ("{}", ("{a}",), {"a": 1}, "{a}"),
        ("{}", ("<red>",), {}, "<red>"),
        ("{}", ("%s",), {}, "%s"),
        ("no field", (1, 2), {}, "no field"),
        ("no field", (), {"a": 1}, "no field"),
        ("", (1,), {}, ""),
        ("{self} {message} {level} {record}", (), {"self": 1, "message": 2, "level": 3, "record": 4}, "1 2 3 4"),
        ("{_} {__message} {__self}", (), {"_": 1, "__message": 2, "__self": 3}, "1 2 3"),
        ("{args} {kwargs} {exception} {extra}", (), {"args": 1, "kwargs": 2, "exception": 3, "extra": 4}, "1 2 3 4"),
        ("été {}", ("日本",), {}, "été 日本"),
        ("line\n{}", ("two\nthree",), {}, "line\ntwo\nthree"),
        ("\t{}\r", ("\x1b[0m",), {}, "\t\x1b[0m\r"),
    ],
)
def test_formatting(
    logger: Any, kept: Kept, message: str, args: tuple[object, ...], kwargs: dict[str, object], expected: str
) -> None:
    """With arguments, the message is `message.format(*args, **kwargs)`, and the text ends with one line break."""
    logger.info(message, *args, **kwargs)
    logger.log("INFO", message, *args, **kwargs)
    assert kept.messages == [expected, expected]
    assert kept.texts == [expected + "\n"] * 2


@pytest.mark.covers("1.1")
@each(
    "message",
    ["{}", "{0}", "{a}", "{", "}", "{{", "}}", "{{}}", "{!x}", "{:d}", "{a.b[c]}", "{a", '{"json": 1}', "%s %d"],
)
def test_no_formatting_without_arguments(logger: Any, kept: Kept, message: str) -> None:
    """Without arguments a message is taken as it is, braces included."""
    logger.info(message)
    logger.bind(a=1).info(message)
    with logger.contextualize(a=1):
        logger.info(message)
    assert kept.messages == [message] * 3


@pytest.mark.covers("1.1")
@each(
    ("message", "args", "kwargs", "error"),
    [
        ("{a}", (), {"b": 1}, KeyError),
        ("{a}", (1,), {}, KeyError),
        ("{not a field}", (1,), {}, KeyError),
        ('{"json": 1}', (), {"b": 1}, KeyError),
        ("{} {}", (1,), {}, IndexError),
        ("{1}", (1,), {}, IndexError),
        ("{}", (), {"a": 1}, IndexError),
        ("{", (1,), {}, ValueError),
        ("}", (1,), {}, ValueError),
        ("{} {0}", (1,), {}, ValueError),
        ("{0} {}", (1,), {}, ValueError),
        ("{!x}", (1,), {}, ValueError),
        ("{!}", (1,), {}, ValueError),
        ("{:d}", ("a",), {}, ValueError),
        ("{:{", ("a",), {}, ValueError),
        ("{0.nope}", (1,), {}, AttributeError),
        ("{a[k]}", (), {"a": {}}, KeyError),
        ("{a[0]}", (), {"a": []}, IndexError),
        ("{a[0]}", (), {"a": 1}, TypeError),
        ("{:>5}", (None,), {}, TypeError),
    ],
)
def test_formatting_errors_reach_the_caller(
    logger: Any, kept: Kept, message: str, args: tuple[object, ...], kwargs: dict[str, object], error: type[Exception]
) -> None:
    """What str.format() raises is raised by the call, and nothing is logged."""
    with pytest.raises(error) as ours:
        logger.info(message, *args, **kwargs)
    with pytest.raises(error) as plain:
        message.format(*args, **kwargs)
    assert type(ours.value) is type(plain.value)
    assert str(ours.value) == str(plain.value)
    assert not kept.texts


@pytest.mark.covers("1.1")
@pytest.mark.parametrize("method", ["__str__", "__repr__", "__format__"])
def test_errors_of_arguments_reach_the_caller(logger: Any, kept: Kept, method: str) -> None:
    """What an argument's own formatting raises is raised by the call."""

    def fail(*_: object) -> str:
        raise LookupError(method)

    value = type("Failing", (), {method: fail})()
    conversion = {"__str__": "{!s}", "__repr__": "{!r}", "__format__": "{}"}[method]
    with pytest.raises(LookupError, match=method):
        logger.info(conversion, value)
    assert not kept.texts


@pytest.mark.covers("1.1")
@pytest.mark.parametrize("message", ["{a}", "{", "{} {}"])
def test_no_formatting_below_the_level(logger: Any, message: str) -> None:
    """A call that no handler wants is not formatted: what is wrong with it stays unnoticed."""
    kept = add(logger, level="ERROR")
    logger.info(message, 1)
    logger.remove()
    logger.critical(message, 1)
    assert not kept.texts


@pytest.mark.covers("1.1")
def test_arguments_are_formatted_once(logger: Any) -> None:
    """However many handlers there are, an argument is formatted once, at the call."""
    calls = []

    class Counting:
        def __format__(self, spec: str) -> str:
            calls.append(spec)
            return "counted"

    sinks = [add(logger) for _ in range(3)]
    logger.info("{:spec}", Counting())
    assert calls == ["spec"]
    assert [sink.message for sink in sinks] == ["counted"] * 3


@pytest.mark.covers("1.1")
@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (5, "5"),
        (None, "None"),
        (1.5, "1.5"),
        ([1, "a"], "[1, 'a']"),
        ({"a": 1}, "{'a': 1}"),
        (b"bytes", "b'bytes'"),
        (ValueError("why"), "why"),
        (True, "True"),
        ((), "()"),
        (int, "<class 'int'>"),
    ],
)
def test_message_of_another_type(logger: Any, kept: Kept, message: object, expected: str) -> None:
    """A message that is no string is turned into one."""
    logger.info(message)
    assert kept.text == expected + "\n"
    assert type(kept.message) is str
    assert kept.message == expected


@pytest.mark.covers("1.1")
def test_message_of_another_type_is_not_formatted(logger: Any, kept: Kept) -> None:
    """A message is formatted by its own `format` method: an object that has none is an error of the call."""
    with pytest.raises(AttributeError):
        logger.info(5, 1)

    class Own:
        def format(self, *args: object, **kwargs: object) -> str:
            return f"own {args} {kwargs}"

    logger.info(Own(), 1, a=2)
    assert kept.message == "own (1,) {'a': 2}"


@pytest.mark.covers("1.1")
def test_str_subclass_message(logger: Any, kept: Kept) -> None:
    """A subclass of str is a message like any other."""

    class Text(str):
        __slots__ = ()

    logger.info(Text("a {}"))
    logger.info(Text("a {}"), 1)
    assert kept.messages == ["a {}", "a 1"]


@pytest.mark.covers("1.1")
def test_kwargs_are_extra(logger: Any, kept: Kept) -> None:
    """Keyword arguments of a call are in its record's extra, whether the message uses them or not."""
    value = object()
    logger.info("{a}", a=1, b=value)
    logger.info("next")
    assert kept.extras == [{"a": 1, "b": value}, {}]
    assert kept.extras[0]["b"] is value


@pytest.mark.covers("1.1")
def test_positional_arguments_are_not_extra(logger: Any, kept: Kept) -> None:
    """Positional arguments are for formatting only."""
    logger.info("{} {}", 1, 2)
    assert kept.extra == {}


@pytest.mark.covers("1.1")
def test_kwargs_do_not_stay(logger: Any, kept: Kept) -> None:
    """Keyword arguments belong to their call, not to the logger they are said through."""
    bound = logger.bind(a=1)
    bound.info("one", a=2, b=3)
    bound.info("two")
    assert kept.extras == [{"a": 2, "b": 3}, {"a": 1}]


@pytest.mark.covers("1.1")
@pytest.mark.parametrize("method", ["trace", "debug", "info", "success", "warning", "error", "critical", "exception"])
def test_message_is_needed(logger: Any, kept: Kept, method: str) -> None:
    """A call without a message is a TypeError, whatever the handlers."""
    with pytest.raises(TypeError):
        getattr(logger, method)()
    logger.remove()
    with pytest.raises(TypeError):
        getattr(logger, method)()


@pytest.mark.covers("1.1")
@pytest.mark.parametrize("arguments", [(), ("INFO",)])
def test_log_needs_level_and_message(logger: Any, kept: Kept, arguments: tuple[str, ...]) -> None:
    """log() without a level or a message is a TypeError."""
    with pytest.raises(TypeError):
        logger.log(*arguments)


@pytest.mark.covers("1.1")
@pytest.mark.parametrize("method", ["info", "exception"])
def test_message_is_positional(logger: Any, kept: Kept, method: str) -> None:
    """`message=` is an argument for formatting, not the message."""
    with pytest.raises(TypeError):
        getattr(logger, method)(message="m")
    with pytest.raises(TypeError):
        logger.log(level="INFO", message="m")
    assert not kept.texts


@pytest.mark.covers("1.1")
@each("name", ["self", "message", "level", "args", "kwargs", "exception", "record", "options", "depth"])
@each("how", ["method", "log", "exception"])
def test_any_keyword_is_an_argument(logger: Any, kept: Kept, name: str, how: str) -> None:
    """No name of a parameter of ours is taken from the user."""
    message = f"<{{{name}}}>"
    if how == "method":
        logger.info(message, **{name: "v"})
    elif how == "log":
        logger.log("INFO", message, **{name: "v"})
    else:
        logger.exception(message, **{name: "v"})
    assert kept.message == "<v>"
    assert kept.extra == {name: "v"}


@pytest.mark.covers("1.1")
def test_exception_method(logger: Any, kept: Kept) -> None:
    """exception() is an ERROR with the exception that is being handled, after the formatted message."""
    try:
        raise ValueError("what")
    except ValueError as error:
        logger.exception("said {} {a}", 1, a=2)
        raised = error
    record = kept.record
    assert (record["message"], record["level"].name, record["level"].no) == ("said 1 2", "ERROR", 40)
    assert record["extra"] == {"a": 2}
    assert tuple(record["exception"]) == (ValueError, raised, raised.__traceback__)
    assert kept.text.startswith("said 1 2\nTraceback (most recent call last):\n")
    assert kept.text.endswith("\nValueError: what\n")


@pytest.mark.covers("1.1")
def test_exception_method_outside_of_handling(logger: Any, kept: Kept) -> None:
    """exception() where none is handled says that there is none."""
    logger.exception("said")
    assert kept.text == "said\nNoneType: None\n"
    assert tuple(kept.record["exception"]) == (None, None, None)


@pytest.mark.covers("1.1")
def test_no_exception_without_asking(logger: Any, kept: Kept) -> None:
    """The other methods do not look for an exception."""
    try:
        raise ValueError("what")
    except ValueError:
        logger.error("said")
        logger.critical("said")
    assert [record["exception"] for record in kept.records] == [None, None]
    assert kept.texts == ["said\n", "said\n"]


@pytest.mark.covers("1.1")
def test_exception_method_below_the_level(logger: Any) -> None:
    """exception() obeys handlers' levels as error() does."""
    high, low = add(logger, level="CRITICAL"), add(logger, level="ERROR")
    logger.exception("said")
    assert (len(high.texts), len(low.texts)) == (0, 1)


@pytest.mark.covers("1.1")
@each("threshold", [0, 1, 5, 10, 15, 20, 25, 30, 40, 50, 51])
def test_thresholds(logger: Any, threshold: int) -> None:
    """A handler gets the records whose severity is its level's or more."""
    kept = add(logger, level=threshold, format="{level.no}")
    for number in range(0, 60, 5):
        logger.log(number, "")
    for _, name, _ in METHODS:
        logger.log(name, "")
    expected = [*range(0, 60, 5), *(no for _, _, no in METHODS)]
    assert kept.texts == [f"{no}\n" for no in expected if no >= threshold]


@pytest.mark.covers("1.1")
@pytest.mark.parametrize(("method", "name", "no"), METHODS)
def test_thresholds_by_name(logger: Any, method: str, name: str, no: int) -> None:
    """A handler's level may be a name."""
    kept = add(logger, level=name)
    for other, _, _ in METHODS:
        getattr(logger, other)(other)
    assert kept.messages == [other for other, _, other_no in METHODS if other_no >= no]


@pytest.mark.covers("1.1")
def test_each_handler_has_its_own_threshold(logger: Any) -> None:
    """Handlers of several levels get what they want, in any order of adding."""
    order = ["ERROR", "TRACE", "WARNING", "INFO"]
    sinks = {name: add(logger, level=name) for name in order}
    for method, _, _ in METHODS:
        getattr(logger, method)(method)
    assert {name: len(sink.texts) for name, sink in sinks.items()} == {"ERROR": 2, "TRACE": 7, "WARNING": 3, "INFO": 5}


@pytest.mark.covers("1.1")
def test_default_threshold_is_debug(logger: Any) -> None:
    """A handler without a level gets DEBUG and above."""
    kept = Kept()
    logger.add(kept, format="{message}")
    logger.trace("no")
    logger.log(9, "no")
    logger.debug("yes")
    logger.log(10, "yes")
    assert kept.messages == ["yes", "yes"]


@pytest.mark.covers("1.1")
def test_threshold_of_a_removed_handler_is_gone(logger: Any) -> None:
    """After the most talkative handler left, the others get what they got before."""
    high = add(logger, level="ERROR")
    number = logger.add(Kept(), level=0)
    logger.remove(number)
    logger.debug("{nope}", a=1)
    logger.error("yes")
    assert high.messages == ["yes"]


@pytest.mark.covers("1.1")
def test_handlers_are_served_in_order(logger: Any) -> None:
    """Handlers get a record in the order in which they were added."""
    order: list[int] = []
    for number in range(5):
        logger.add(lambda _, number=number: order.append(number), level=number)
    logger.info("said")
    assert order == [0, 1, 2, 3, 4]


@pytest.mark.covers("1.1")
def test_records_are_complete_strings(logger: Any, kept: Kept) -> None:
    """A sink's message is a str that has a `record`."""
    seen: list[Any] = []
    logger.add(seen.append, format="{message}")
    logger.info("said")
    assert isinstance(seen[0], str)
    assert seen[0] == "said\n"
    assert seen[0].record["message"] == "said"  # type: ignore[attr-defined]


@pytest.mark.covers("1.1")
def test_big_messages(logger: Any, kept: Kept) -> None:
    """A message may be long, in text, arguments and count of arguments."""
    big = string.ascii_letters * 20_000
    logger.info(big)
    logger.info("{}", big)
    logger.info("{}" * 500, *range(500))
    logger.info("{a0}{a499}", **{f"a{i}": i for i in range(500)})
    assert kept.messages == [big, big, "".join(map(str, range(500))), "0499"]
    assert len(kept.extras[3]) == 500


@pytest.mark.covers("1.1")
@pytest.mark.parametrize("text", ["\ud800", "\x00", "\u2028", "‮", "\U0001f600", "é", "\x1b[31m"])
def test_any_text(logger: Any, kept: Kept, text: str) -> None:
    """Any str is a message, as it is."""
    logger.info(text)
    logger.info("{}", text)
    logger.info("{t}", t=text)
    assert kept.messages == [text] * 3
    assert kept.texts == [text + "\n"] * 3


@pytest.mark.covers("1.1")
def test_methods_can_be_kept(logger: Any, kept: Kept) -> None:
    """A bound method is a function that can be passed on."""
    say = logger.bind(a=1).info
    list(map(say, ["one", "two"]))
    assert kept.messages == ["one", "two"]
    assert kept.extras == [{"a": 1}, {"a": 1}]


@pytest.mark.covers("1.1")
def test_custom_level_by_name(logger: Any, kept: Kept) -> None:
    """log() takes the name of a level of one's own."""
    name = new_name()
    logger.level(name, no=33, icon="@")
    logger.log(name, "said {}", 1)
    level = kept.record["level"]
    assert (level.name, level.no, level.icon) == (name, 33, "@")
    assert kept.message == "said 1"


@pytest.mark.covers("1.1")
def test_public_methods(logger: Any) -> None:
    """All of loguru's public methods are there, the deprecated ones as well."""
    sinks = {"add", "remove", "complete", "start", "stop"}
    calls = {"trace", "debug", "info", "success", "warning", "error", "critical", "exception", "log"}
    others = {"bind", "catch", "configure", "contextualize", "disable", "enable", "level", "opt", "parse", "patch"}
    names = sinks | calls | others
    assert names <= set(dir(logger))
    assert all(callable(getattr(logger, name)) for name in names)
    assert all(getattr(logger, name).__doc__ for name in names - {"start", "stop"})


@pytest.mark.covers("1.1")
def test_unknown_attribute(logger: Any) -> None:
    """What the logger has not is an AttributeError."""
    with pytest.raises(AttributeError):
        logger.nope  # noqa: B018
    with pytest.raises(AttributeError):
        logger.warn  # noqa: B018

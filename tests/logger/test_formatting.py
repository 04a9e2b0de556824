"""Messages: templates and their arguments, as loguru formats them, and what happens when they do not fit."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from otelbridge import _logger
from otelbridge._logger import Logger
from tests.logger.conftest import Both, Exporting, Lines
from tests.native.oracle import attributes_of, parse


class Kind(enum.Enum):
    """Formats as `Kind.ONE`."""

    ONE = 1


class Thing:
    """Has a format and attributes of its own."""

    name = "thing"

    def __format__(self, spec: str) -> str:
        return f"thing<{spec}>"


CALLS: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = [
    ("plain", (), {}),
    ("{not a field} {}", (), {}),
    ("{} and {}", ("a", 1), {}),
    ("{1} {0} {1}", ("a", "b"), {}),
    ("{name} {n}", (), {"name": "é", "n": 7}),
    ("{} {name}", (1.5,), {"name": None}),
    ("{:>8}|{:<8}|{:^8}|{:08.3f}", ("a", "b", "c", 3.14159), {}),
    ("{n:,} {n:x} {n!r} {s!r} {s!s:>6} {s!a}", (), {"n": 123456, "s": "é"}),
    ("{t.name} {l[1]} {d[key]}", (), {"t": Thing(), "l": [1, 2], "d": {"key": "v"}}),
    ("{:{width}}|", ("a",), {"width": 5}),
    ("{{}} {} {{x}}", (1,), {}),
    ("{}", (Thing(),), {}),
    ("{:spec}", (Thing(),), {}),
    ("{} {} {} {}", (True, None, Kind.ONE, b"b"), {}),
    ("{} {} {}", (Decimal("1.10"), date(2026, 3, 7), 2**80), {}),
    ("{} {} {} {}", (float("nan"), float("inf"), -0.0, 1e16), {}),
    ("100 %", (1,), {}),
    ("too many", (1, 2), {}),
    ("unused", (), {"name": 1}),
    ("{message} {level} {self}", (), {"message": "m", "level": "l", "self": "s"}),
    ("日本語 {}", ("🎉",), {}),
    ("", (), {}),
    ("", (1,), {}),
    ("tabs\tand\nlines {}", ("x",), {}),
]


@pytest.mark.covers("1.1")
@pytest.mark.parametrize(("template", "args", "kwargs"), CALLS)
def test_message_is_what_loguru_makes_of_it(both: Both, template: str, args: Any, kwargs: Any) -> None:
    """
    Templates are filled as loguru fills them: only when there are arguments, and with all of str.format.
    """
    ours, theirs = both.lines(lambda log: log.info(template, *args, **kwargs), format="{message}")

    assert ours.record["message"] == theirs.record["message"]
    assert ours.texts == theirs.texts


@pytest.mark.covers("1.1")
@pytest.mark.parametrize(("template", "args", "kwargs"), CALLS)
def test_body_on_the_wire_is_the_message(exporting: Exporting, template: str, args: Any, kwargs: Any) -> None:
    """
    The body is the same text; a template that differs from it, the arguments and the keyword values go beside it.
    """
    exporting.logger.info(template, *args, **kwargs)

    (record,) = map(parse, exporting.take())
    expected = template.format(*args, **kwargs) if args or kwargs else template
    attributes = attributes_of(record)
    assert record.body.string_value == expected
    assert attributes.get("message.template", expected) == template
    assert ("message.template" in attributes) == (expected != template)
    assert len(attributes.get("message.args", [])) == len(args)
    assert set(kwargs) <= set(attributes)


@pytest.mark.covers("1.1")
def test_keyword_arguments_land_in_extra(both: Both) -> None:
    """
    Keyword arguments are values of the record as well, whether the template names them or not.
    """
    ours, theirs = both.lines(lambda log: log.bind(a=0, b=1).info("{a}", a=2, c=3))

    assert ours.record["extra"] == theirs.record["extra"] == {"a": 2, "b": 1, "c": 3}


@pytest.mark.parametrize("message", [5, None, 1.5, ["a"], ValueError("wrong"), b"bytes"])
def test_message_may_be_any_object(both: Both, message: object) -> None:
    """
    An object as message is shown as its str().
    """
    ours, _ = both.lines(lambda log: log.info(message), format="{message}")

    assert ours.text == f"{message}\n"


class Raising:
    """Cannot be shown."""

    def __init__(self, error: type[BaseException] = ValueError) -> None:
        self.error = error

    def __str__(self) -> str:
        raise self.error("no text")

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        raise self.error("no text")


@pytest.fixture(params=["core alone", "with a sink"])
def way(request: pytest.FixtureRequest, exporting: Exporting) -> Iterator[Exporting]:
    """Exporting, with and without a Python sink."""
    number = exporting.logger.add(lambda _: None, level=0) if request.param == "with a sink" else None
    yield exporting
    if number is not None:
        exporting.logger.remove(number)


@pytest.mark.parametrize(
    ("template", "args", "kwargs", "complaint"),
    [
        ("{} {}", (1,), {}, "IndexError: "),
        ("{missing}", (), {"name": 1}, "KeyError: 'missing'"),
        ('{"json": 1}', (), {"name": 1}, "KeyError: "),
        ("{", (1,), {}, "ValueError: Single '{' encountered in format string"),
        ("}", (1,), {}, "ValueError: Single '}' encountered in format string"),
        ("{} {0}", (1,), {}, "ValueError: cannot switch"),
        ("{:d}", ("text",), {}, "ValueError: Unknown format code 'd'"),
        ("{a.b}", (), {"a": 1}, "AttributeError: 'int' object has no attribute 'b'"),
        ("{}", (Raising(),), {}, "ValueError: no text"),
        ("{}", (Raising(RecursionError),), {}, "RecursionError: no text"),
        ("{a!r}", (), {"a": Raising(MemoryError)}, "MemoryError: no text"),
    ],
)
def test_wrong_template_is_logged_and_marked(
    way: Exporting, template: str, args: Any, kwargs: Any, complaint: str
) -> None:
    """
    A template that does not fit its arguments never raises: the text is logged as it stands, with what was wrong.
    """
    way.logger.info(template, *args, **kwargs)

    (record,) = map(parse, way.take())
    attributes = attributes_of(record)
    assert record.body.string_value == template
    assert attributes["otelbridge.format_error"].startswith(complaint)
    assert set(kwargs) <= set(attributes)
    assert "message.template" not in attributes


def test_wrong_template_reaches_the_sinks_verbatim(log: Logger, lines: Lines) -> None:
    """
    A Python sink gets the same text, with the keyword values in extra.
    """
    log.info('{"json": "{}"}', 1, user="u")

    assert lines.messages() == ['{"json": "{}"}']
    assert lines.record["extra"] == {"user": "u"}


def test_format_errors_raise_when_asked(way: Exporting) -> None:
    """
    With format_errors="raise" a wrong template raises into the caller, as in loguru.
    """
    _logger.set_format_raises(True)
    try:
        with pytest.raises(KeyError, match="missing"):
            way.logger.info("{missing}", name=1)
    finally:
        _logger.set_format_raises(False)
    way.logger.info("{missing}", name=1)

    assert len(way.take()) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("template", ["{}", "no field"])
def test_interrupt_inside_an_argument_is_not_swallowed(
    way: Exporting, error: type[BaseException], template: str
) -> None:
    """
    Ctrl-C during a `__str__` reaches the program, and the record is there all the same.
    """
    with pytest.raises(error):
        way.logger.info(template, Raising(error))

    (record,) = map(parse, way.take())
    assert record.body.string_value == template


def test_message_is_positional_only(log: Logger, lines: Lines) -> None:
    """
    Every name may be a keyword argument: `message`, `level`, `self`.
    """
    log.info("text", message=1, level=2, self=3)
    log.log("INFO", "text", level=2, message=1, self=3)

    assert [record["extra"] for record in lines.records] == [{"message": 1, "level": 2, "self": 3}] * 2


@pytest.mark.parametrize("name", ["info", "exception", "log"])
def test_call_without_message_is_a_type_error(log: Logger, lines: Lines, name: str) -> None:
    """
    A call without its message says so.
    """
    with pytest.raises(TypeError, match=r"missing .*required positional argument"):
        getattr(log, name)()

"""`serialize=True`: the documented JSON of each record."""

from __future__ import annotations

import datetime
import decimal
import enum
import json
import pathlib
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conformance.support import each


class Shown:
    def __str__(self) -> str:
        return "shown é"


class Number(enum.IntEnum):
    ONE = 1


class Colour(enum.Enum):
    RED = 1


class Text(str):
    __slots__ = ()


def logged(logger: Any, call: Any, **options: Any) -> tuple[str, Any]:
    """The text that a serialising sink gets of `call`, and the record of the message."""
    kept: list[Any] = []
    number = logger.add(kept.append, **{"format": "{message}", "serialize": True, "catch": False, **options})
    call(logger)
    logger.remove(number)
    (message,) = kept
    return str(message), message.record


@pytest.mark.covers("1.10")
def test_shape(logger: Any) -> None:
    """
    One JSON object with `text` and `record`, and every field of the record, in one line.
    """
    text, record = logged(logger, lambda log: log.bind(a=[1]).info("m"), format="{level}|{message}")
    thread, process = record["thread"], record["process"]

    assert text.endswith("}\n")
    assert text.count("\n") == 1
    assert json.loads(text) == {
        "text": "INFO|m\n",
        "record": {
            "elapsed": {"repr": str(record["elapsed"]), "seconds": record["elapsed"].total_seconds()},
            "exception": None,
            "extra": {"a": [1]},
            "file": {"name": pathlib.Path(__file__).name, "path": __file__},
            "function": "<lambda>",
            "level": {"icon": "ℹ️", "name": "INFO", "no": 20},
            "line": record["line"],
            "message": "m",
            "module": "test_serialize",
            "name": __name__,
            "process": {"id": process.id, "name": process.name},
            "thread": {"id": thread.id, "name": thread.name},
            "time": {"repr": str(record["time"]), "timestamp": record["time"].timestamp()},
        },
    }


@pytest.mark.covers("1.10")
def test_order_of_keys(logger: Any) -> None:
    """
    Keys stand in the documented order, the text first.
    """
    text, _ = logged(logger, lambda log: log.info("m"))
    parsed = json.loads(text)

    assert list(parsed) == ["text", "record"]
    assert list(parsed["record"]) == sorted(parsed["record"])


VALUES: list[tuple[Any, Any]] = [
    ('é\u2028\n"\\\x00\x1f\x7f', 'é\u2028\n"\\\x00\x1f\x7f'),
    (2**80, 2**80),
    (-(2**63) - 1, -(2**63) - 1),
    (1.5, 1.5),
    (1e300, 1e300),
    (True, True),
    (None, None),
    (b"x", "b'x'"),
    ((1, (2,)), [1, [2]]),
    ({1}, "{1}"),
    (frozenset(), "frozenset()"),
    ({"a": {"b": [1, None]}}, {"a": {"b": [1, None]}}),
    ({1: 2, None: 3, 1.5: 4}, {"1": 2, "null": 3, "1.5": 4}),
    ({True: 1, False: 2}, {"true": 1, "false": 2}),
    (Shown(), "shown é"),
    ([Shown()], ["shown é"]),
    (datetime.datetime(2026, 1, 2, 3), "2026-01-02 03:00:00"),
    (datetime.date(2026, 1, 2), "2026-01-02"),
    (datetime.timedelta(1), "1 day, 0:00:00"),
    (decimal.Decimal("1.10"), "1.10"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (pathlib.PurePosixPath("/a"), "/a"),
    (Number.ONE, 1),
    (Colour.RED, "Colour.RED"),
    (Text("x"), "x"),
    (len, "<built-in function len>"),
    (int, "<class 'int'>"),
    (ValueError("v"), "v"),
    (1 + 2j, "(1+2j)"),
    (range(3), "range(0, 3)"),
    ("", ""),
    ([], []),
    ({}, {}),
]


@pytest.mark.covers("1.10")
@each(("value", "expected"), VALUES)
def test_values(logger: Any, value: Any, expected: Any) -> None:
    """
    Any value of extra survives: as JSON where JSON has it, else as its str.
    """
    text, _ = logged(logger, lambda log: log.info("m", a=value))

    assert json.loads(text)["record"]["extra"] == {"a": expected}


@pytest.mark.covers("1.10")
@pytest.mark.parametrize(
    ("value", "shown"), [(float("nan"), "NaN"), (float("inf"), "Infinity"), (-float("inf"), "-Infinity")]
)
def test_numbers_that_are_none(logger: Any, value: float, shown: str) -> None:
    """
    NaN and the infinities are written as Python's `json` writes and reads them.
    """
    text, _ = logged(logger, lambda log: log.info("m", a=value))

    assert f'"a": {shown}' in text


@pytest.mark.covers("1.10")
def test_characters_are_not_escaped(logger: Any) -> None:
    """
    Characters beyond ASCII are written as they are.
    """
    text, _ = logged(logger, lambda log: log.info("é日😀", a="ü"))

    assert "é日😀" in text
    assert "ü" in text


@pytest.mark.covers("1.10")
def test_separators(logger: Any) -> None:
    """
    A blank follows each comma and colon, as programs that cut the text apart expect.
    """
    text, _ = logged(logger, lambda log: log.info("m", a=1, b=[1, 2]))

    assert text.startswith('{"text": "m\\n", "record": {"elapsed": {"repr": ')
    assert '"extra": {"a": 1, "b": [1, 2]}, "file": ' in text


@pytest.mark.covers("1.10")
@pytest.mark.parametrize("value", [{(1, 2): 3}, [lambda: None]], ids=["tuple key", "function"])
def test_awkward_values_cost_nothing_else(logger: Any, value: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """
    A value that cannot be written costs at most its own line: nothing is raised, and the next line is there.
    """
    kept: list[str] = []
    logger.add(kept.append, serialize=True, format="{message}")

    logger.info("bad", a=value)
    logger.info("good")

    assert json.loads(kept[-1])["text"] == "good\n"
    assert len(kept) == 2 or "Record was" in capsys.readouterr().err or len(kept) == 2


@pytest.mark.covers("1.10")
def test_cycle_costs_nothing_else(logger: Any) -> None:
    """
    A value that contains itself costs at most its own line.
    """
    cycle: list[Any] = []
    cycle.append(cycle)
    kept: list[str] = []
    logger.add(kept.append, serialize=True, format="{message}")

    logger.info("bad", a=cycle)
    logger.info("good")

    assert json.loads(kept[-1])["text"] == "good\n"


@pytest.mark.covers("1.10")
def test_exception(logger: Any) -> None:
    """
    An exception is its type's name, its value's str and whether it has a traceback; its text stands in `text`.
    """

    def call(log: Any) -> None:
        try:
            raise ValueError("v")
        except ValueError:
            log.exception("m")

    text, record = logged(logger, call)
    parsed = json.loads(text)

    assert parsed["record"]["exception"] == {"type": "ValueError", "value": "v", "traceback": True}
    assert parsed["text"].startswith("m\nTraceback (most recent call last):\n")
    assert parsed["text"].endswith("\nValueError: v\n")
    assert isinstance(record["exception"].value, ValueError)


@pytest.mark.covers("1.10")
@pytest.mark.parametrize(
    ("exception", "expected"),
    [
        (ValueError("v"), {"type": "ValueError", "value": "v", "traceback": False}),
        (KeyError("k"), {"type": "KeyError", "value": "'k'", "traceback": False}),
        ((None, None, None), {"type": None, "value": None, "traceback": False}),
        ((ValueError, ValueError("v"), None), {"type": "ValueError", "value": "v", "traceback": False}),
        (False, None),
        (None, None),
    ],
    ids=ascii,
)
def test_given_exceptions(logger: Any, exception: Any, expected: Any) -> None:
    """
    What `opt(exception=)` gives is written by its parts.
    """
    text, _ = logged(logger, lambda log: log.opt(exception=exception).info("m"))

    assert json.loads(text)["record"]["exception"] == expected


@pytest.mark.covers("1.10", note="1.20")
def test_raw(logger: Any) -> None:
    """
    `opt(raw=True)` holds for the text: the message alone, without an end.
    """
    text, _ = logged(logger, lambda log: log.opt(raw=True).info("m {}", 1), format="unused")

    assert json.loads(text)["text"] == "m 1"
    assert text.endswith("}\n")


@pytest.mark.covers("1.10")
def test_colours(logger: Any) -> None:
    """
    Colours are in `text` only, and only when they are asked for.
    """
    plain, _ = logged(logger, lambda log: log.opt(colors=True).info("<red>m</red>"), format="<b>{message}</b>")
    coloured, _ = logged(
        logger, lambda log: log.opt(colors=True).info("<red>m</red>"), format="{message}", colorize=True
    )

    assert json.loads(plain)["text"] == "m\n"
    assert json.loads(coloured)["text"] == "\x1b[31mm\x1b[0m\n"
    assert json.loads(coloured)["record"]["message"] == "m"


@pytest.mark.covers("1.10")
def test_format_function(logger: Any) -> None:
    """
    A format function makes `text`, with nothing appended; the object still ends its line.
    """
    text, _ = logged(logger, lambda log: log.info("m"), format=lambda record: "<{message}>")

    assert json.loads(text)["text"] == "<m>"
    assert text.endswith("}\n")


@pytest.mark.covers("1.10", note="1.19")
def test_patched_record(logger: Any) -> None:
    """
    What a patcher changes is what is written.
    """
    text, _ = logged(
        logger, lambda log: log.patch(lambda r: r.update(message="p", line=7, name=None, function="f")).info("m")
    )
    parsed = json.loads(text)

    assert parsed["text"] == "p\n"
    assert {key: parsed["record"][key] for key in ("message", "line", "name", "function")} == {
        "message": "p",
        "line": 7,
        "name": None,
        "function": "f",
    }


@pytest.mark.covers("1.10", note="1.29")
def test_time_with_an_offset(logger: Any) -> None:
    """
    The time is written as its str and as its timestamp.
    """
    zone = datetime.timezone(datetime.timedelta(hours=-9, minutes=-30))

    def freeze(record: Any) -> None:
        record["time"] = datetime.datetime(2026, 3, 7, 16, 5, 9, 123456, zone)

    text, _ = logged(logger, lambda log: log.patch(freeze).info("m"))

    assert json.loads(text)["record"]["time"] == {
        "repr": "2026-03-07 16:05:09.123456-09:30",
        "timestamp": 1772933709.123456,
    }


@pytest.mark.covers("1.10")
def test_to_a_file(logger: Any, tmp_path: Any) -> None:
    """
    A file gets one object per line, whatever the messages contain.
    """
    path = tmp_path / "a.jsonl"
    logger.add(path, serialize=True)
    messages = ["a", "two\nlines", "\u2028", '"', "{}", "\x1b[31m"]

    for message in messages:
        logger.info(message)

    with path.open(encoding="utf-8", newline="\n") as file:
        assert [json.loads(line)["record"]["message"] for line in file] == messages


@pytest.mark.covers("1.10")
def test_other_options_of_the_handler(logger: Any) -> None:
    """
    Level and filter hold for a serialising sink as for any other.
    """
    kept: list[str] = []
    logger.add(kept.append, serialize=True, level="INFO", filter=lambda record: record["message"] != "no")

    logger.debug("below")
    logger.info("no")
    logger.info("yes")

    assert [json.loads(line)["record"]["message"] for line in kept] == ["yes"]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.covers("1.10")
@given(extra=st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), json_values, max_size=3))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("name", ["loguru", "otelbridge"])
def test_any_json_value_comes_back(name: str, extra: dict[str, Any]) -> None:
    """
    Whatever JSON can say comes back from the line as it went in.
    """
    import importlib
    import os
    from unittest import mock

    with mock.patch.dict(os.environ, {"OTELBRIDGE_LOGURU_STRICT": "1"}):
        logger = importlib.import_module(name).logger
        text, _ = logged(logger.bind(**extra), lambda log: log.info("m"))

    assert json.loads(text)["record"]["extra"] == extra


@pytest.mark.covers("1.10")
@each(("value", "expected"), VALUES)
def test_same_text_as_the_reference(logger: Any, reference: Any, value: Any, expected: Any) -> None:
    """
    The line is the reference's, character for character, but for the process's clock.
    """

    def freeze(record: Any) -> None:
        record.update(
            time=datetime.datetime(2026, 3, 7, 16, 5, 9, 120000, datetime.UTC), elapsed=datetime.timedelta(seconds=1.25)
        )

    def call(log: Any) -> None:
        log.patch(freeze).bind(a=value).warning("message <{}> é", value)

    assert logged(logger, call)[0] == logged(reference, call)[0]

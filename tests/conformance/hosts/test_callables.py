"""Functions as sinks, and what a message is."""

from __future__ import annotations

import functools
import pickle
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.support import each


class Kept:
    """Ways of being called, all of which keep what they are given."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def __call__(self, message: Any) -> None:
        self.messages.append(message)

    def method(self, message: Any) -> None:
        self.messages.append(message)

    def with_default(self, message: Any, other: int = 0) -> None:
        self.messages.append(message)

    def with_rest(self, *messages: Any) -> None:
        self.messages.extend(messages)

    def two(self, other: int, message: Any) -> None:
        self.messages.append(message)


WAYS: dict[str, Callable[[Kept], Any]] = {
    "object": lambda kept: kept,
    "method": lambda kept: kept.method,
    "list.append": lambda kept: kept.messages.append,
    "lambda": lambda kept: lambda message: kept.method(message),
    "partial": lambda kept: functools.partial(kept.two, 1),
    "default": lambda kept: kept.with_default,
    "rest": lambda kept: kept.with_rest,
    "wrapped": lambda kept: functools.wraps(print)(lambda message: kept(message)),
}


@pytest.mark.covers("1.5")
@pytest.mark.parametrize("way", WAYS)
def test_every_kind_of_function(logger: Any, way: str) -> None:
    """
    Anything that can be called with one argument is a sink, and gets each message once, in order.
    """
    kept = Kept()
    logger.add(WAYS[way](kept), format="{message}", catch=False)

    for number in range(3):
        logger.info("{}", number)

    assert kept.messages == ["0\n", "1\n", "2\n"]


@pytest.mark.covers("1.5")
def test_class_is_called(logger: Any) -> None:
    """
    A class is a function too: each message makes an instance.
    """
    made: list[str] = []

    class Line:
        def __init__(self, message: str) -> None:
            made.append(message)

    logger.add(Line, format="{message}")

    logger.info("a")

    assert made == ["a\n"]


@pytest.mark.covers("1.5")
def test_builtin_methods(logger: Any) -> None:
    """
    Methods of built-in containers are sinks.
    """
    kept: deque[str] = deque(maxlen=1)
    logger.add(kept.append, format="{message}")

    logger.info("a")
    logger.info("b")

    assert list(kept) == ["b\n"]


@pytest.mark.covers("1.5")
def test_returned_value(logger: Any) -> None:
    """
    What a sink returns is ignored.
    """
    kept: list[Any] = []

    def sink(message: Any) -> bool:
        kept.append(message)
        return False

    logger.add(sink, format="{message}")

    assert logger.info("a") is None
    assert kept == ["a\n"]


@pytest.mark.covers("1.5")
@each(
    "shown",
    [
        "{}",
        "{message}",
        "<red>",
        "%s",
        "\\n",
        "\n",
        "",
        " ",
        "é日😀",
        "\x00",
        "\x1b[31m",
        "a" * 100_000,
        "{{}}",
        "\r\n",
    ],
)
def test_message_is_passed_as_it_is(logger: Any, shown: str) -> None:
    """
    A message without arguments reaches the sink character for character.
    """
    kept: list[Any] = []
    logger.add(kept.append, format="{message}")

    logger.info(shown)

    assert kept == [shown + "\n"]
    assert kept[0].record["message"] == shown


@pytest.mark.covers("1.5")
def test_message_is_a_string(logger: Any) -> None:
    """
    A message has the methods of a str, and those give plain strings.
    """
    kept: list[Any] = []
    logger.add(kept.append, format="{level}: {message}")

    logger.info("text")
    (message,) = kept

    assert isinstance(message, str)
    assert message == "INFO: text\n"
    assert hash(message) == hash("INFO: text\n")
    assert message.rstrip() == "INFO: text"
    assert message.split(": ") == ["INFO", "text\n"]
    assert f"{message:>12}" == " INFO: text\n"
    assert type(message + "") is str


@pytest.mark.covers("1.28")
def test_record_has_the_documented_keys(logger: Any) -> None:
    """
    The record of a message has the thirteen documented keys and no other.
    """
    kept: list[Any] = []
    logger.add(kept.append)

    logger.info("a")

    assert sorted(kept[0].record) == [
        "elapsed", "exception", "extra", "file", "function", "level", "line", "message",
        "module", "name", "process", "thread", "time",
    ]  # fmt: skip


@pytest.mark.covers("1.5")
def test_record_is_shared_by_sinks(logger: Any) -> None:
    """
    All sinks get the same record of a call, and see what an earlier one changed in it.
    """
    first: list[Any] = []
    second: list[Any] = []

    def change(message: Any) -> None:
        message.record["extra"]["changed"] = True
        first.append(message.record)

    logger.add(change)
    logger.add(lambda message: second.append(message.record))

    logger.info("a")

    assert first[0] is second[0]
    assert second[0]["extra"] == {"changed": True}


@pytest.mark.covers("1.5")
def test_records_of_two_calls_are_two(logger: Any) -> None:
    """
    Each call has its own record and its own extra, also with a bound logger.
    """
    kept: list[Any] = []
    logger.add(lambda message: kept.append(message.record))
    bound = logger.bind(a=1)

    bound.info("a")
    bound.info("b")
    kept[0]["extra"]["b"] = 2

    assert kept[1]["extra"] == {"a": 1}


@pytest.mark.covers("1.28")
def test_record_can_be_pickled(logger: Any) -> None:
    """
    A record survives pickling, as the recipe for sending records over the network needs it.
    """
    kept: list[Any] = []
    logger.add(kept.append)

    try:
        raise ValueError("v")
    except ValueError:
        logger.bind(a=[1]).exception("m {}", 1)
    record = kept[0].record
    again = pickle.loads(pickle.dumps(record))

    assert sorted(again) == sorted(record)
    for name in ("elapsed", "extra", "function", "line", "message", "module", "name", "time"):
        assert again[name] == record[name]
    for name, attributes in {
        "level": ("name", "no", "icon"),
        "file": ("name", "path"),
        "process": ("id", "name"),
        "thread": ("id", "name"),
    }.items():
        for attribute in attributes:
            assert getattr(again[name], attribute) == getattr(record[name], attribute)
    assert again["exception"].type is ValueError
    assert again["exception"].value.args == ("v",)
    assert again["exception"].traceback is None


@pytest.mark.covers("1.20")
def test_raw_message(logger: Any) -> None:
    """
    With `opt(raw=True)` a sink gets the formatted message alone, with no end of line.
    """
    kept: list[Any] = []
    logger.add(kept.append, format="unused")

    logger.opt(raw=True).info("{} <red>", 1)

    assert kept == ["1 <red>"]
    assert kept[0].record["message"] == "1 <red>"


@pytest.mark.covers("1.4")
def test_format_function_gets_the_record(logger: Any) -> None:
    """
    A format function gets the record that the sink gets, and its template is used as it is: no end, no exception.
    """
    kept: list[Any] = []
    seen: list[Any] = []

    def template(record: Any) -> str:
        seen.append(record)
        return "<{level.no}> {message}|{extra[a]}"

    logger.add(kept.append, format=template)

    logger.info("m", a=1)

    assert kept == ["<20> m|1"]
    assert seen[0] is kept[0].record


@pytest.mark.covers("1.5")
def test_order_of_sinks(logger: Any) -> None:
    """
    Sinks get a message in the order in which they were added.
    """
    order: list[int] = []
    for number in range(5):
        logger.add(lambda message, number=number: order.append(number))

    logger.info("a")

    assert order == [0, 1, 2, 3, 4]


@pytest.mark.covers("1.5")
def test_sink_that_adds_and_removes_others(logger: Any) -> None:
    """
    A handler may be added inside of a sink's call; it gets the messages from the next call on.
    """
    later: list[str] = []
    added: list[int] = []

    def adding(message: str) -> None:
        if not added:
            added.append(logger.add(later.append, format="{message}"))

    logger.add(adding, format="{message}", catch=False)

    logger.info("a")
    logger.info("b")

    assert later == ["b\n"]

"""The logger as an object: pickled, copied, patched in tests, subclassed."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
import weakref
from typing import Any
from unittest import mock

import pytest

import otelbridge
from otelbridge import _logger
from otelbridge._logger import Logger
from tests.logger.conftest import Both, Exporting, Lines
from tests.native.oracle import attributes_of, parse


class Own(Logger):
    """A subclass with a method and an attribute of its own."""

    name = "class"

    def notice(self, message: str, *args: Any, **kwargs: Any) -> None:
        """Log one frame further out."""
        self.opt(depth=1).info(message, *args, **kwargs)


_taken: list[Any] = []


def take(message: Any) -> None:
    """A sink that can be pickled: by its name."""
    _taken.append(message)


def add_one(record: Any) -> None:
    """A patcher that can be pickled."""
    record["extra"]["patched"] = 1


def is_loud(record: Any) -> bool:
    """A filter that can be pickled."""
    return bool(record["level"].no >= 30)


@pytest.fixture
def taken(log: Logger) -> list[Any]:
    """What `take` got, as a sink of the logger and of its copies."""
    _taken.clear()
    log.add(take, level=0, format="{message}")
    return _taken


def duplicates(log: Any) -> list[Any]:
    """The logger pickled by each protocol, and its deep copy."""
    pickled = [pickle.loads(pickle.dumps(log, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    return [*pickled, copy.deepcopy(log)]


@pytest.mark.covers("1.32")
def test_duplicate_has_values_options_and_sinks(log: Logger, taken: list[Any]) -> None:
    """
    A pickled logger, and a deep copy, has the bound values and options, and a copy of each sink.
    """
    bound = log.bind(a=1, b=[2]).opt(lazy=True)

    for again in duplicates(bound):
        again.info("{}", lambda: "called")
        assert type(again) is Logger

    assert taken == ["called\n"] * 7
    assert all(message.record["extra"] == {"a": 1, "b": [2]} for message in taken)


@pytest.mark.covers("1.32")
def test_duplicate_has_all_that_was_configured(log: Logger, taken: list[Any]) -> None:
    """
    Levels, default extra, patcher, activation, filters and the next id of a sink go with the logger.
    """
    log.configure(extra={"configured": 1}, patcher=add_one, activation=[("elsewhere", False), (__name__, True)])
    log.level("NOTICE", no=33, color="<red>", icon="!")
    number = log.add(take, filter=is_loud, format="<level>{level.icon}</level>{level}", colorize=True)
    log.add(take, filter={__name__: "NOTICE", "": False}, format="by level", serialize=False)
    log.add(take, filter="elsewhere", format="by name")

    for again in duplicates(log):
        taken.clear()
        again.log("NOTICE", "said")
        assert taken == ["said\n", "\x1b[31m!\x1b[0mNOTICE\n", "by level\n"]
        assert taken[0].record["extra"] == {"configured": 1, "patched": 1}
        assert again.add(take) == number + 3
        again.remove()
        again.disable(__name__)
    taken.clear()
    log.log("NOTICE", "said")
    assert len(taken) == 3


@pytest.mark.covers("1.32")
def test_duplicate_is_a_logger_of_its_own(both: Both, taken: list[Any]) -> None:
    """
    What is added, removed, configured or disabled on a duplicate leaves the logger alone, and the other way round.
    """
    results = []
    for log in both.loggers:
        log.configure(handlers=[{"sink": take, "format": "{message} {extra}"}], patcher=add_one)
        for again in duplicates(log):
            taken.clear()
            again.configure(extra={"own": 1})
            again.level("OWN", no=35)
            log.info("first")
            again.info("first of the duplicate")
            again.remove()
            again.info("never")
            log.info("second")
            with pytest.raises(ValueError, match="does not exist"):
                log.level("OWN")
            results.append(list(map(str, taken)))

    assert results[:7] == results[7:]
    assert results[0] == [
        "first {'patched': 1}\n",
        "first of the duplicate {'own': 1, 'patched': 1}\n",
        "second {'patched': 1}\n",
    ]


@pytest.mark.covers("1.32")
def test_logger_with_a_sink_that_cannot_be_pickled_cannot_be(both: Both) -> None:
    """
    A local function as a sink makes pickling fail, with loguru's type of error.
    """
    for log in both.loggers:
        log.add(lambda _: None)

    ours, theirs = both.errors(pickle.dumps)

    assert ours is theirs
    assert ours is not None


def test_shallow_copy_shares_the_sinks(log: Logger, lines: Lines) -> None:
    """
    `copy.copy` gives another logger of the same family: its sinks, and the very values that were bound.
    """
    values = [1]
    shallow = copy.copy(log.bind(values=values))
    values.append(2)

    shallow.info("text")
    log.remove()
    shallow.info("text")

    assert lines.record["extra"] == {"values": [1, 2]}


def test_deep_copy_has_values_of_its_own(log: Logger, taken: list[Any]) -> None:
    """
    A deep copy carries copies of what was bound.
    """
    values = [1]
    deep = copy.deepcopy({"logger": log.bind(values=values)})["logger"]
    values.append(2)

    deep.info("text")

    assert taken[0].record["extra"] == {"values": [1]}


def test_function_of_the_logger_can_be_pickled(log: Logger, taken: list[Any]) -> None:
    """
    A bound method goes to a worker process and back.
    """
    pickle.loads(pickle.dumps(log.bind(a=1).info))("text")

    assert taken[0].record["extra"] == {"a": 1}


@pytest.mark.covers("1.32")
def test_reinstall_makes_the_logger_what_the_other_is(log: Logger, taken: list[Any]) -> None:
    """
    A logger that a parent process passed installs its sinks, levels and the rest as this process's.
    """
    log.configure(extra={"a": 1}, patcher=add_one)
    log.level("NOTICE", no=33)
    passed = pickle.loads(pickle.dumps(log))
    log.remove()
    log.configure(extra={}, patcher=lambda _: None)

    passed.reinstall()
    log.log("NOTICE", "here")

    assert taken == ["here\n"]
    assert taken[0].record["extra"] == {"a": 1, "patched": 1}


@pytest.mark.parametrize("name", ["info", "exception", "log", "bind", "opt", "contextualize", "add"])
def test_method_can_be_patched(log: Logger, lines: Lines, name: str) -> None:
    """
    `mock.patch.object(logger, …)` replaces any method of the one logger, and gives it back.
    """
    with mock.patch.object(otelbridge.logger, name) as patched:
        getattr(log, name)("text", a=1)
    log.info("after")

    patched.assert_called_once_with("text", a=1)
    assert name not in vars(log)
    assert lines.messages() == ["after"]


def test_autospec_knows_the_methods(log: Logger) -> None:
    """
    `mock.create_autospec(logger)` has the logger's methods, and no others.
    """
    double = mock.create_autospec(log)

    double.info("text", a=1)

    double.info.assert_called_once_with("text", a=1)
    with pytest.raises(AttributeError):
        double.nope()


def test_subclass_keeps_its_kind(exporting: Exporting) -> None:
    """
    A subclass's children are of the subclass, with its attributes, and its own methods work.
    """
    own = Own(_logger.logger._dispatcher)
    own.name = "instance"

    child: Any = own.bind(a=1).opt(depth=0)
    child.notice("text {}", 1)
    again = pickle.loads(pickle.dumps(own))

    assert type(child) is Own
    assert (child.name, again.name, type(again)) == ("instance", "instance", Own)
    (record,) = map(parse, exporting.take())
    assert record.body.string_value == "text 1"
    assert attributes_of(record)["code.function.name"] == f"{__name__}.test_subclass_keeps_its_kind"


def test_loggers_are_garbage_like_others(log: Logger) -> None:
    """
    A child that nobody holds is freed, also in a cycle with what it has bound.
    """

    class Holder:
        logger: Logger

    holder = Holder()
    holder.logger = log.bind(holder=holder)
    gone = weakref.ref(holder.logger), weakref.ref(holder)
    del holder
    gc.collect()

    assert [reference() for reference in gone] == [None, None]


def test_repr_names_the_sinks(both: Both) -> None:
    """
    The logger's repr says where records go, in loguru's form.
    """
    shown = []
    for log in both.loggers:
        log.remove()
        numbers = [log.add(sys.stderr), log.add(take, level="ERROR"), log.add(Stream(), level=33)]
        text = repr(log)
        for place, number in enumerate(numbers):
            text = text.replace(f"(id={number},", f"(id=#{place},")
        shown.append(text.replace("<loguru.", "<otelbridge."))

    assert shown[0] == shown[1]
    assert shown[0].startswith("<otelbridge.logger handlers=[(id=#0, level=10, sink=")
    assert shown[0].endswith("sink=take), (id=#2, level=33, sink=<a stream>)]>")


class Stream:
    """A stream with a repr."""

    def write(self, text: str) -> None:
        """Forget it."""

    def __repr__(self) -> str:
        return "<a stream>"

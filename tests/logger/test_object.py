"""The logger as an object: pickled, copied, patched in tests, subclassed."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from typing import Any
from unittest import mock

import pytest

import otelbridge
from otelbridge import _logger
from otelbridge._logger import Logger
from tests.logger.conftest import Exporting, Lines
from tests.native.oracle import attributes_of, parse


class Own(Logger):
    """A subclass with a method and an attribute of its own."""

    name = "class"

    def notice(self, message: str, *args: Any, **kwargs: Any) -> None:
        """Log one frame further out."""
        self.opt(depth=1).info(message, *args, **kwargs)


@pytest.mark.covers("1.32", note="pickling, deepcopy and fork safety so far; parse and reinstall come later")
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickled_logger_is_the_same_logger(log: Logger, lines: Lines, protocol: int) -> None:
    """
    A pickled logger comes back with its bound values and options, and logs to this process's sinks.
    """
    again = pickle.loads(pickle.dumps(log.bind(a=1, b=[2]).opt(lazy=True), protocol))

    again.info("{}", lambda: "called")

    assert lines.record["extra"] == {"a": 1, "b": [2]}
    assert lines.messages() == ["called"]
    assert type(pickle.loads(pickle.dumps(log, protocol))) is Logger


@pytest.mark.covers("1.32", note="pickling, deepcopy and fork safety so far; parse and reinstall come later")
def test_copies_are_loggers(log: Logger, lines: Lines) -> None:
    """
    Both copy and deepcopy give loggers with the same values; a deep copy's are its own.
    """
    values = [1]
    bound = log.bind(values=values)
    shallow, deep = copy.copy(bound), copy.deepcopy({"logger": bound})["logger"]
    values.append(2)

    shallow.info("text")
    deep.info("text")

    assert [record["extra"]["values"] for record in lines.records] == [[1, 2], [1]]


def test_function_of_the_logger_can_be_pickled(log: Logger, lines: Lines) -> None:
    """
    A bound method goes to a worker process and back.
    """
    pickle.loads(pickle.dumps(log.bind(a=1).info))("text")

    assert lines.record["extra"] == {"a": 1}


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
    own = Own(_logger.core)
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


def test_repr_names_the_sinks(log: Logger, lines: Lines) -> None:
    """
    The logger's repr says where records go.
    """
    assert repr(log) == "<otelbridge.logger handlers=[<function Lines>]>"

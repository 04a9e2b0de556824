"""bind: a child logger with values of its own."""

from __future__ import annotations

from typing import Any

import pytest

from otelbridge._logger import Logger
from tests.logger.conftest import Both, Exporting, Lines
from tests.native.oracle import attributes_of, parse


@pytest.mark.covers("1.18")
def test_child_has_the_values_and_its_parent_does_not(log: Logger, lines: Lines) -> None:
    """
    `bind` returns a child; its parent, and a child's child, keep their own values.
    """
    child = log.bind(user="u", n=1)
    grandchild = child.bind(n=2)

    for each in (log, child, grandchild):
        each.info("text")

    assert [record["extra"] for record in lines.records] == [{}, {"user": "u", "n": 1}, {"user": "u", "n": 2}]


@pytest.mark.covers("1.18")
def test_nearer_values_win(both: Both) -> None:
    """
    A call's own values win over bound ones, these over those of contextualize, as in loguru.
    """

    def call(log: Any) -> None:
        with log.contextualize(a="context", b="context", c="context"):
            log.bind(b="bind", c="bind").info("{c}", c="call")

    ours, theirs = both.lines(call)

    assert ours.record["extra"] == theirs.record["extra"] == {"a": "context", "b": "bind", "c": "call"}


@pytest.mark.covers("1.18")
@pytest.mark.parametrize("python_way", [False, True])
def test_nearer_values_win_on_the_wire(exporting: Exporting, python_way: bool) -> None:
    """
    The wire has each name once, with the value that wins.
    """
    log = exporting.logger.opt(depth=0) if python_way else exporting.logger

    with exporting.logger.contextualize(a="context", b="context", c="context"):
        log.bind(b="bind", c="bind").info("{c}", c="call")

    (record,) = map(parse, exporting.take())
    attributes = attributes_of(record)
    assert {name: attributes[name] for name in "abc"} == {"a": "context", "b": "bind", "c": "call"}


@pytest.mark.covers("1.18")
def test_value_of_ours_gives_way_to_the_users(exporting: Exporting) -> None:
    """
    A user's attribute of the same name replaces one that we would give.
    """
    values: dict[str, Any] = {"thread.name": "mine", "code.line.number": -1}

    exporting.logger.bind(**values).info("text")
    with exporting.logger.contextualize(**values):
        exporting.logger.info("text")
    exporting.logger.info("text", **values)

    for record in map(parse, exporting.take()):
        attributes = attributes_of(record)
        assert (attributes["thread.name"], attributes["code.line.number"]) == ("mine", -1)


@pytest.mark.parametrize("python_way", [False, True])
def test_mutable_value_is_read_at_each_call(exporting: Exporting, python_way: bool) -> None:
    """
    A bound list or dict is what it is at the time of the call, not of `bind`; a later change harms no earlier record.
    """
    values: list[Any] = [1]
    log = exporting.logger.bind(values=values, nested={"in": values})
    log = log.opt(depth=0) if python_way else log

    log.info("first")
    values.append(2)
    log.info("second")
    values.clear()

    first, second = (attributes_of(parse(record)) for record in exporting.take())
    assert (first["values"], first["nested"]) == ([1], {"in": [1]})
    assert (second["values"], second["nested"]) == ([1, 2], {"in": [1, 2]})


def test_names_that_are_no_identifiers_are_kept(exporting: Exporting) -> None:
    """
    `bind(**{…})` and `contextualize(**{…})` take any name.
    """
    names = {"http.route": "/a", "": "nameless", "é 1": 2, "self": 3, "values": 4}

    with exporting.logger.contextualize(**names):
        exporting.logger.bind(**{"x-y": 5}).info("text")

    (record,) = map(parse, exporting.take())
    attributes = attributes_of(record)
    assert {name: attributes[name] for name in names if name} == {name: names[name] for name in names if name}
    assert attributes["x-y"] == 5
    assert record.dropped_attributes_count == 1  # the nameless one

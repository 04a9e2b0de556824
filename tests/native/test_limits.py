"""What a record may hold: limits of attributes, cuts of long texts, and what is too large for any record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from tests.native.conftest import Exporting
from tests.native.oracle import attributes_of, cyclic, deep, parse

MIB = 1 << 20
MARK = "… [truncated]"
WAYS: list[Callable[[Any], Any]] = [lambda log: log, lambda log: log.opt(depth=0)]
both_ways = pytest.mark.parametrize("way", WAYS, ids=["core alone", "python way"])


def one(exporting: Exporting) -> LogRecord:
    """The only record."""
    (record,) = exporting.take()
    return parse(record)


@both_ways
@pytest.mark.parametrize("limit", [0, 1, 4, 9, 10, 11, 128])
def test_attributes_beyond_the_limit_are_counted(exporting: Exporting, way: Callable[[Any], Any], limit: int) -> None:
    """
    A record has at most so many attributes, ours among them, and says how many were left out.
    """
    exporting.core.set_limits(limit, 0)
    values = {f"k{i}": i for i in range(6)}
    ours = 7  # template, args, three of the place, two of the thread

    with exporting.logger.contextualize(c=1):
        way(exporting.logger.bind(b=1)).info("{} of many", 1, **values)

    record = one(exporting)
    total = ours + len(values) + 2
    assert len(record.attributes) == min(limit, total)
    assert record.dropped_attributes_count == max(0, total - limit)
    assert record.body.string_value == "1 of many"


@both_ways
@pytest.mark.parametrize("limit", [1, 3, 5, 100])
def test_values_are_cut_in_characters(exporting: Exporting, way: Callable[[Any], Any], limit: int) -> None:
    """
    A text value keeps so many characters, whole ones, inside containers too; numbers and the body are not cut.
    """
    exporting.core.set_limits(128, limit)
    text = "aé€🎉zz"

    way(exporting.logger.bind(bound=text)).info("the body is long", text=text, inner=[text, {"k": text}], number=123456)

    record = one(exporting)
    attributes = attributes_of(record)
    cut = text[:limit]
    assert (attributes["text"], attributes["bound"], attributes["inner"]) == (cut, cut, [cut, {"k": cut}])
    assert attributes["number"] == 123456
    assert record.body.string_value == "the body is long"


@both_ways
@pytest.mark.parametrize("size", [MIB - 1, MIB, MIB + 1, 2 * MIB])
def test_long_text_is_cut_and_marked(exporting: Exporting, way: Callable[[Any], Any], size: int) -> None:
    """
    A text of more than 1 MiB is cut there and marked, as body and as a value; a shorter one is whole.
    """
    text = "x" * size

    way(exporting.logger).info(text)
    way(exporting.logger).info("text", value=text, inner=[text[:MIB]])

    body, value = (parse(record) for record in exporting.take())
    expected = text if size <= MIB else text[:MIB] + MARK
    assert body.body.string_value == expected
    assert attributes_of(value)["value"] == expected


@both_ways
def test_cut_falls_between_characters(exporting: Exporting, way: Callable[[Any], Any]) -> None:
    """
    The cut never leaves half a character.
    """
    text = "x" + "🎉" * (MIB // 4)

    way(exporting.logger).info("text", value=text)

    assert attributes_of(one(exporting))["value"] == text[: MIB // 4] + MARK


HUGE: dict[str, tuple[str, tuple[Any, ...]]] = {
    "message": ("x" * (5 * MIB), ()),
    "argument": ("{}", ("x" * (5 * MIB),)),
    "two arguments": ("{} {}", ("x" * (2 * MIB), "y" * (2 * MIB))),
    "list as argument": ("text {0[0]:.5}", (["x" * MIB] * 5,)),
}


@pytest.mark.parametrize("case", HUGE.values(), ids=HUGE.keys())
def test_huge_message_is_cut_not_lost(exporting: Exporting, request: pytest.FixtureRequest, case: Any) -> None:
    """
    However long a message or its arguments are, there is a record, with what fits.
    """
    template, args = case

    exporting.logger.info(template, *args)

    assert exporting.dropped() == 0
    assert len(one(exporting).body.string_value) <= MIB + len(MARK)


@both_ways
def test_value_that_is_too_large_costs_itself_only(exporting: Exporting, way: Callable[[Any], Any]) -> None:
    """
    A container of several MiB is left out and counted; its neighbours are there.
    """
    way(exporting.logger).info("text", before=1, large=["x" * 1000] * 4000, after=2)

    record = one(exporting)
    attributes = attributes_of(record)
    assert (attributes["before"], attributes["after"]) == (1, 2)
    assert "large" not in attributes
    assert record.dropped_attributes_count == 1


@both_ways
def test_container_may_have_one_mib(exporting: Exporting, way: Callable[[Any], Any]) -> None:
    """
    The limit of a container is the limit, not twice as much.
    """
    way(exporting.logger).info("text", large=["x" * 1000] * 1150)

    assert one(exporting).dropped_attributes_count == 1


@both_ways
def test_record_has_room_in_a_request(exporting: Exporting, way: Callable[[Any], Any]) -> None:
    """
    No stored record needs more than 3 MiB.
    """
    way(exporting.logger).info("text", **{f"k{i}": "x" * 800_000 for i in range(5)})

    assert all(len(record) <= 3 * MIB for record in exporting.take())


@both_ways
def test_record_that_is_too_large_is_counted(exporting: Exporting, way: Callable[[Any], Any]) -> None:
    """
    Many values that are each allowed make a record that no receiver takes: values or the record are given up and
    counted, and the next record is there.
    """
    way(exporting.logger).info("text", **{f"k{i}": "x" * MIB for i in range(8)})
    way(exporting.logger).info("next")

    counters = exporting.core.counters()
    records = [parse(record) for record in exporting.take()]
    assert counters[0] == 2
    assert len(records) + counters[4] == 2
    assert records[-1].body.string_value == "next"
    assert counters[4] or records[0].dropped_attributes_count
    assert all(record.ByteSize() <= 4 * MIB for record in records)


@both_ways
@pytest.mark.parametrize("value", [cyclic(), deep(40), deep(20_000)], ids=["cyclic", "deep", "very deep"])
def test_nesting_is_bounded(exporting: Exporting, way: Callable[[Any], Any], value: Any) -> None:
    """
    A cycle or a deep nest is a record that the official parser reads.
    """
    way(exporting.logger.bind(bound=value)).info("{}", 1, value=value)

    assert {"value", "bound"} <= set(attributes_of(one(exporting)))


def test_value_that_grows_while_it_is_read_ends(exporting: Exporting) -> None:
    """
    A list and a dict whose items add further items when they are shown do not keep the call for ever.
    """
    grows: list[Any] = []
    maps: dict[Any, Any] = {}

    class Item:
        def __str__(self) -> str:
            grows.append(Item())
            maps[str(len(maps))] = Item()
            return "an item of some length, to come to an end soon" * 20

    grows.append(Item())
    maps["0"] = Item()
    exporting.logger.info("text", grows=grows, neighbour=1)
    exporting.logger.info("text", maps=maps, neighbour=1)

    for record in exporting.take():
        assert attributes_of(parse(record))["neighbour"] == 1

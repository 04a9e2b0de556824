"""encode_json: whatever a user logs is one JSON value, spelled as orjson spells it."""

from __future__ import annotations

import enum
import json
import math
import random
import struct
import sys
import uuid
from collections import OrderedDict, namedtuple
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbridge._native import encode_json
from tests.native.oracle import Colour, Named, Number, Raising, Share, Text

WELL_KNOWN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.text('\x00\x08\t\n\x0b\x0c\r\x1f"\\/\x7fé\u2028😀abcdefghijklmnop', max_size=60),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=20,
)


@given(WELL_KNOWN)
def test_values_of_json_are_spelled_as_orjson_does(value: Any) -> None:
    """
    Strings, numbers, lists and dicts come out byte for byte as orjson writes them.
    """
    assert encode_json(value) == orjson.dumps(value)


def test_floats_are_spelled_as_orjson_does() -> None:
    """
    Doubles of any bits, and those that people write, keep their value and orjson's spelling.
    """
    chance = random.Random(11)
    numbers: list[float] = [struct.unpack("d", chance.randbytes(8))[0] for _ in range(20_000)]
    numbers += [chance.random() * 10 ** chance.randint(-9, 20) for _ in range(20_000)]
    numbers += [float(10**n) for n in range(25)] + [10.0**-n for n in range(25)]
    for number in numbers:
        assert encode_json(number) == orjson.dumps(number)


Point = namedtuple("Point", "x y")


class Flag(enum.Enum):
    UP = "up"


class HashRaises(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise ValueError("never")


@pytest.mark.parametrize(
    "value",
    [
        Text("subclass"),
        Colour.RED,
        Number.ONE,
        Share(0.5),
        Flag.UP,
        Point(1, "2"),
        OrderedDict(a=1),
        True,
        b"bytes",
        {1, 2},
        datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
        uuid.UUID(int=7),
        10**30,
        -(10**30),
        2**63,
        {2: 1, None: 2, True: 3, 1.5: 4, "x": 5},
        ValueError("wrong"),
        3 + 4j,
        iter(()),
        int,
    ],
)
def test_other_values_are_what_the_stdlib_makes_of_them(value: Any) -> None:
    """
    Subclasses, huge integers, keys that are no strings, and objects with a text: as json.dumps(default=str).
    """
    assert json.loads(encode_json(value)) == json.loads(json.dumps(value, default=str))


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def cycle() -> dict[str, Any]:
    value: dict[str, Any] = {"list": []}
    value["list"].append(value)
    value["tuple"] = (value["list"],)
    return value


def test_poison_survives_as_something() -> None:
    """
    Cycles, NaN, surrogates, objects whose text raises, depth: one valid JSON document, and its neighbours whole.
    """
    poison = {
        "cycle": cycle(),
        "nan": math.nan,
        "inf": -math.inf,
        "surrogate": "a\ud800b",
        "raising": Raising(),
        "keys": {Raising(): 1, (1, 2): 2, Named("key"): 3, math.nan: 4, "\udfff": 5},
        "deep": nested(5000),
        "digits": 10**5000,
        "unhashed": HashRaises("text"),
        "after": "whole",
    }

    found = json.loads(encode_json(poison))

    assert found["cycle"] == {"list": ["{...}"], "tuple": [["{...}"]]}
    assert (found["nan"], found["inf"], found["surrogate"]) == (None, None, "a\ufffdb")
    assert found["raising"] == "<unprintable Raising object>"
    assert found["keys"] == {"<unprintable Raising object>": 1, "(1, 2)": 2, "key": 3, "null": 4, "\ufffd": 5}
    assert found["digits"].startswith("0x")
    assert (found["unhashed"], found["after"]) == ("text", "whole")


def test_same_object_twice_is_no_cycle() -> None:
    """
    Only a container inside itself is cut.
    """
    shared = [1]

    assert encode_json([shared, shared, {"a": shared}]) == b'[[1],[1],{"a":[1]}]'


def test_values_that_change_while_they_are_encoded() -> None:
    """
    A `__str__` that empties the containers around it breaks nothing.
    """
    values: dict[str, Any] = {}
    items: list[Any] = []

    class Clears:
        def __str__(self) -> str:
            values.clear()
            items.clear()
            return "cleared"

    for _ in range(50):
        items += [Clears(), "x" * 100, ["y" * 100]]
        values |= {"items": items, **{f"k{i}": "z" * 100 for i in range(20)}}
        json.loads(encode_json(values))


def test_interrupt_goes_on() -> None:
    """
    Ctrl-C while a value is asked for its text is raised.
    """

    class Interrupted:
        def __str__(self) -> str:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_json([Interrupted()])


def test_references_are_flat() -> None:
    """
    Nothing is kept.
    """
    text, odd, shared = "".join(("te", "xt")), Named("n"), [1, 2]
    value = {"a": text, "b": [odd, shared, cycle()], odd: 10**30, text: Raising(), 5: (shared,)}
    counted = [text, odd, shared, value, None]
    for _ in range(10):
        encode_json(value)
    before = [sys.getrefcount(each) for each in counted]

    for _ in range(5000):
        encode_json(value)

    assert [abs(sys.getrefcount(each) - old) < 100 for each, old in zip(counted, before, strict=True)] == [True] * 5

"""Scope: contextualize blocks that Python has no part in."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import threading
import weakref
from typing import Any

import pytest

from otelbridge import _native
from otelbridge._native import AttrSet, Scope
from otelbridge.context import CURRENT, Contextualized, enter, leave
from tests.native.conftest import Exporting
from tests.native.families import Family
from tests.native.oracle import attributes_of, parse

IDS = {"trace_id": "0" * 31 + "1", "span_id": "0" * 15 + "2"}


def current() -> dict[str, Any]:
    """What surrounds the caller."""
    found = CURRENT.get()
    return {} if found is None else found.values


def seen_by_python(values: list[dict[str, Any]]) -> AttrSet | None:
    """The AttrSet inside nested blocks, as Python's enter makes it."""
    entries = [enter(each) for each in values]
    found = CURRENT.get()
    for entry in reversed(entries):
        leave(entry)
    return found


@pytest.mark.covers("1.19")
@pytest.mark.parametrize(
    "blocks",
    [
        [{}],
        [{"a": 1}],
        [{"a": 1}, {"b": [2]}, {"a": 3}],
        [{"trace_id": "0" * 31 + "1"}, {"a": 1}],
        [{"a": 1}, IDS, {"b": 2, "a": 2}],
        [{"span": "auth"}, {"a": 1}],
        [{"a": 1}, {"trace_id": "no id"}, {"b": 2}],
    ],
)
def test_blocks_are_those_that_python_makes(blocks: list[dict[str, Any]]) -> None:
    """
    Values, hidden names and marks inside nested blocks are the same with and without the core's short cut.
    """
    expected = seen_by_python(blocks)

    scopes = [Contextualized(each) for each in blocks]
    for scope in scopes:
        scope.__enter__()
    found = CURRENT.get()
    for scope in reversed(scopes):
        scope.__exit__(None, None, None)

    assert found is not None
    assert expected is not None
    assert list(found.values.items()) == list(expected.values.items())
    assert (found.hidden, found.mark) == (expected.hidden, expected.mark)
    assert current() == {}


def test_records_carry_what_surrounds_them(exporting: Exporting) -> None:
    """
    Attributes of a native block are encoded like others, and end with it.
    """
    log = exporting.logger

    with log.contextualize(a=1, b="x"):
        log.info("inside")
        with log.contextualize(b=[2]):
            log.info("deeper")
    log.info("outside")

    found = [attributes_of(parse(record)) for record in exporting.take()]
    assert [{name: value for name, value in each.items() if len(name) == 1} for each in found] == [
        {"a": 1, "b": "x"},
        {"a": 1, "b": [2]},
        {},
    ]


def test_exception_goes_through_a_block(exporting: Exporting) -> None:
    """
    A block swallows nothing, and ends.
    """
    with pytest.raises(KeyError), exporting.logger.contextualize(a=1):
        raise KeyError
    assert current() == {}


def test_one_object_may_be_entered_again_and_inside_itself() -> None:
    """
    Blocks of one object end in the reverse order of their beginning; an end too many is none.
    """
    scope = Contextualized({"a": 1})

    with scope, Contextualized({"a": 2}):
        with scope:
            assert current() == {"a": 1}
        assert current() == {"a": 2}
    with scope:
        assert current() == {"a": 1}
    scope.__exit__(None, None, None)
    assert current() == {}


def test_block_left_in_another_context_is_left_alone() -> None:
    """
    A block that is closed from another task or thread changes nothing there, and raises nothing.
    """
    scope = Contextualized({"a": 1})
    contextvars.copy_context().run(scope.__enter__)

    scope.__exit__(None, None, None)
    assert current() == {}


def test_tasks_and_threads_have_their_own() -> None:
    """
    Tasks inherit the block they were made in and see no other's; threads see none.
    """
    seen: list[dict[str, Any]] = []

    async def one(number: int) -> None:
        with Contextualized({"number": number}):
            await asyncio.sleep(0)
            seen.append(dict(current()))

    async def all_of_them() -> None:
        with Contextualized({"outer": True}):
            await asyncio.gather(*map(one, range(3)))

    asyncio.run(all_of_them())
    with Contextualized({"a": 1}):
        thread = threading.Thread(target=lambda: seen.append(dict(current())))
        thread.start()
        thread.join()

    assert seen == [*({"outer": True, "number": number} for number in range(3)), {}]


def test_open_blocks_are_garbage_like_others() -> None:
    """
    A block that was never left, in a cycle with its values, is freed with its context.
    """

    class Held:
        scope: Scope

    def open_and_forget() -> weakref.ref[Held]:
        held = Held()
        held.scope = Contextualized({"held": held})
        held.scope.__enter__()
        return weakref.ref(held)

    gone = [contextvars.Context().run(open_and_forget) for _ in range(50)]
    gc.collect()

    assert [each() for each in gone] == [None] * 50


def test_references_are_flat() -> None:
    """
    Nothing is kept of blocks of either kind.
    """
    value = "".join(("va", "lue"))
    counted: list[Any] = [value, Contextualized, Scope, AttrSet]
    if sys.version_info < (3, 12):  # then None is immortal, and extensions for older Pythons make its count drift
        counted.append(None)

    def run() -> None:
        for _ in range(2000):
            with Contextualized({"a": value}), Contextualized({"b": value, "a": 1}), Contextualized(IDS):
                pass

    run()
    before = [sys.getrefcount(each) for each in counted]
    run()
    after = [sys.getrefcount(each) for each in counted]

    assert [a - b if abs(a - b) > 100 else 0 for a, b in zip(after, before, strict=True)] == [0] * len(counted)


@pytest.mark.parametrize("arguments", [(), (None,), ([],), ({}, {})])
def test_wrong_scope_raises(arguments: tuple[Any, ...]) -> None:
    """
    A scope takes a dict.
    """
    with pytest.raises(TypeError):
        Scope(*arguments)
    with pytest.raises(TypeError):
        Scope(values={})  # type: ignore[call-arg]


def test_wrong_settings_raise() -> None:
    """
    set_scope takes a kind of Scope and a ContextVar; contextualize takes names only.
    """
    log = Family().log
    set_scope: Any = _native.set_scope

    for wrong in ((), (int, CURRENT, enter, leave), (5, CURRENT, enter, leave), (Contextualized, 5, enter, leave)):
        with pytest.raises(TypeError):
            set_scope(*wrong)
    with pytest.raises(TypeError):
        log.contextualize({"a": 1})  # type: ignore[call-arg]
    assert isinstance(log.contextualize(a=1), Contextualized)

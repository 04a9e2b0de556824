"""When delivery is called: at the first record, and once for each full batch."""

from __future__ import annotations

from typing import Any

import pytest

from tests.native.conftest import Exporting

NEVER = 1 << 40


class Wakes:
    """Counts its calls, and what waited then."""

    def __init__(self, exporting: Exporting) -> None:
        self.exporting = exporting
        self.pending: list[int] = []

    def __call__(self) -> None:
        self.pending.append(self.exporting.core.counters()[1])


@pytest.fixture
def wakes(exporting: Exporting) -> Wakes:
    """The callback of the exporting core."""
    return Wakes(exporting)


def test_first_record_wakes_once(exporting: Exporting, wakes: Wakes) -> None:
    """
    The first record wakes, with itself waiting already; the following do not, also after a take.
    """
    exporting.core.set_wake(wakes, NEVER, NEVER)
    assert wakes.pending == []

    for _ in range(10):
        exporting.logger.info("text")
    exporting.take()
    exporting.logger.info("text")

    assert wakes.pending == [1]


def test_full_batch_wakes_once_until_it_is_taken(exporting: Exporting, wakes: Wakes) -> None:
    """
    When so many records wait it wakes once; the next time only after a take.
    """
    exporting.core.set_wake(wakes, 5, NEVER)
    for _ in range(12):
        exporting.logger.info("text")
    assert wakes.pending == [1, 5]

    exporting.take()
    for _ in range(12):
        exporting.logger.info("text")

    assert wakes.pending == [1, 5, 5]


def test_batch_may_be_full_of_bytes(exporting: Exporting, wakes: Wakes) -> None:
    """
    The same for so many bytes.
    """
    exporting.core.set_wake(wakes, NEVER, 10_000)
    exporting.logger.info("text")
    exporting.logger.info("x" * 9_000)
    assert wakes.pending == [1]

    exporting.logger.info("x" * 2_000)
    exporting.logger.info("x" * 2_000)

    assert wakes.pending == [1, 3]


def test_records_of_the_python_way_wake_as_well(exporting: Exporting, wakes: Wakes) -> None:
    """
    emit() counts for a batch as a plain call does.
    """
    exporting.core.set_wake(wakes, 3, NEVER)
    for _ in range(3):
        exporting.logger.opt(depth=0).info("text")

    assert wakes.pending == [1, 3]


@pytest.mark.parametrize("error", [RuntimeError, ValueError, MemoryError])
def test_error_of_the_callback_is_swallowed(exporting: Exporting, error: type[Exception]) -> None:
    """
    A callback that raises (releasing a free lock does) costs neither the caller nor the record anything.
    """

    def fail() -> None:
        raise error("no")

    exporting.core.set_wake(fail, 1, NEVER)
    for _ in range(3):
        exporting.logger.info("text")
    exporting.logger.opt(depth=0).info("text")

    assert len(exporting.take()) == 4


def test_callback_may_take_and_log(exporting: Exporting) -> None:
    """
    A callback that takes the records, or logs itself, is called no deeper for it.
    """
    taken: list[bytes] = []

    def take() -> None:
        taken.extend(exporting.take())
        exporting.logger.info("from the callback")

    exporting.core.set_wake(take, 3, NEVER)
    for i in range(20):
        exporting.logger.info("{}", i)
    taken.extend(exporting.take())

    assert len(taken) == exporting.core.counters()[0]


def test_callback_may_replace_itself(exporting: Exporting, wakes: Wakes) -> None:
    """
    set_wake within the callback takes effect, and the old callback may go.
    """

    class Once:
        def __call__(self) -> None:
            exporting.core.set_wake(wakes, 1, NEVER)

    exporting.core.set_wake(Once(), 1, NEVER)
    for _ in range(3):
        exporting.logger.info("text")

    assert len(wakes.pending) >= 1
    assert len(exporting.take()) == 3


@pytest.mark.parametrize("arguments", [(), (5, 1, 1), (print, -1, 1), (print, 1), (print, "1", 1)])
def test_wrong_callback_raises(exporting: Exporting, arguments: tuple[Any, ...]) -> None:
    """
    What cannot be called, and a size that is none, raise at once.
    """
    with pytest.raises((TypeError, ValueError)):
        exporting.core.set_wake(*arguments)

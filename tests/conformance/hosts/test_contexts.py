"""Context-local values in asyncio tasks, generators and copied contexts."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest


@pytest.fixture
def extras(logger: Any) -> list[Any]:
    """The message and the extra of each record."""
    kept: list[Any] = []
    logger.add(lambda message: kept.append((message.record["message"], message.record["extra"])), catch=False)
    return kept


@pytest.mark.covers("1.18")
def test_tasks_inherit(logger: Any, extras: list[Any]) -> None:
    """
    A task has what was contextualized where it was created, for as long as it runs.
    """

    async def child() -> None:
        logger.info("before")
        await asyncio.sleep(0)
        logger.info("after")

    async def work() -> None:
        with logger.contextualize(a=1):
            task = asyncio.create_task(child())
        logger.info("outside")
        await task

    asyncio.run(work())

    assert sorted(extras) == [("after", {"a": 1}), ("before", {"a": 1}), ("outside", {})]


@pytest.mark.covers("1.18")
def test_tasks_do_not_leak(logger: Any, extras: list[Any]) -> None:
    """
    What a task contextualizes stays in it, however tasks take turns.
    """

    async def one(name: str) -> None:
        with logger.contextualize(name=name):
            for _ in range(5):
                await asyncio.sleep(0)
                logger.info(name)

    async def work() -> None:
        await asyncio.gather(*(one(name) for name in "abc"))
        logger.info("end")

    asyncio.run(work())

    assert len(extras) == 16
    assert all(extra == ({"name": message} if message != "end" else {}) for message, extra in extras)


@pytest.mark.covers("1.18")
def test_to_thread_keeps(logger: Any, extras: list[Any]) -> None:
    """
    `asyncio.to_thread` takes the context along, `run_in_executor` does not.
    """

    async def work() -> None:
        with logger.contextualize(a=1):
            await asyncio.to_thread(logger.info, "to_thread")
            await asyncio.get_running_loop().run_in_executor(None, logger.info, "executor")

    asyncio.run(work())

    assert extras == [("to_thread", {"a": 1}), ("executor", {})]


@pytest.mark.covers("1.18")
def test_callbacks_keep(logger: Any, extras: list[Any]) -> None:
    """
    A callback of the loop has the context in which it was scheduled.
    """

    async def work() -> None:
        with logger.contextualize(a=1):
            asyncio.get_running_loop().call_soon(logger.info, "callback")
        await asyncio.sleep(0)

    asyncio.run(work())

    assert extras == [("callback", {"a": 1})]


@pytest.mark.covers("1.18")
def test_decorated_coroutine_function(logger: Any, extras: list[Any]) -> None:
    """
    As a decorator of a function, the values hold while the function runs.
    """

    @logger.contextualize(a=1)  # type: ignore[untyped-decorator]
    def decorated(number: int) -> int:
        logger.info("in")
        return number + 1

    assert decorated(1) == 2
    logger.info("out")

    assert extras == [("in", {"a": 1}), ("out", {})]


@pytest.mark.covers("1.18")
def test_async_with_is_not_needed(logger: Any, extras: list[Any]) -> None:
    """
    A plain `with` holds across awaits.
    """

    async def work() -> None:
        with logger.contextualize(a=1):
            await asyncio.sleep(0)
            logger.info("in")
        await asyncio.sleep(0)
        logger.info("out")

    asyncio.run(work())

    assert extras == [("in", {"a": 1}), ("out", {})]


@pytest.mark.covers("1.18")
def test_copied_context(logger: Any, extras: list[Any]) -> None:
    """
    A copied context keeps its values after the block, and changes nothing outside.
    """
    with logger.contextualize(a=1):
        copied = contextvars.copy_context()

    def inside() -> None:
        with logger.contextualize(b=2):
            logger.info("copied")

    copied.run(inside)
    logger.info("outside")

    assert extras == [("copied", {"a": 1, "b": 2}), ("outside", {})]


@pytest.mark.covers("1.18")
def test_async_generator(logger: Any, extras: list[Any]) -> None:
    """
    A block around an async generator's loop holds in the generator.
    """

    async def numbers() -> AsyncIterator[int]:
        for number in range(2):
            logger.info("in {}", number)
            yield number

    async def work() -> None:
        with logger.contextualize(a=1):
            async for _ in numbers():
                pass

    asyncio.run(work())

    assert extras == [("in 0", {"a": 1}), ("in 1", {"a": 1})]


@pytest.mark.covers("1.18")
def test_exception_leaves_the_block(logger: Any, extras: list[Any]) -> None:
    """
    The values are gone after an exception, a cancellation included.
    """

    async def cancelled() -> None:
        with logger.contextualize(a=1):
            await asyncio.sleep(60)

    async def work() -> None:
        task = asyncio.create_task(cancelled())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        logger.info("m")

    asyncio.run(work())
    with pytest.raises(ValueError, match="v"), logger.contextualize(a=1):
        raise ValueError("v")
    logger.info("n")

    assert extras == [("m", {}), ("n", {})]


@pytest.mark.covers("1.18")
def test_generator_between_two_blocks(logger: Any, extras: list[Any]) -> None:
    """
    A plain generator sees the values of whoever advances it.
    """

    def numbers() -> Iterator[int]:
        logger.info("first")
        yield 1
        logger.info("second")
        yield 2

    running = numbers()
    with logger.contextualize(a=1):
        next(running)
    with logger.contextualize(b=2):
        next(running)

    assert extras == [("first", {"a": 1}), ("second", {"b": 2})]


@pytest.mark.covers("1.18")
def test_nested_blocks(logger: Any, extras: list[Any]) -> None:
    """
    An inner block adds and overrides; at its end the outer values are back.
    """
    with logger.contextualize(a=1, b=1):
        with logger.contextualize(b=2, c=2):
            logger.info("inner")
        logger.info("outer")

    assert extras == [("inner", {"a": 1, "b": 2, "c": 2}), ("outer", {"a": 1, "b": 1})]


@pytest.mark.covers("1.21")
def test_catch_in_a_task(logger: Any) -> None:
    """
    `catch` around a coroutine function logs the error of its task, which then ends with the default.
    """
    records: list[Any] = []
    logger.add(lambda message: records.append(message.record), catch=False)

    @logger.catch(default=-1)  # type: ignore[untyped-decorator]
    async def failing() -> int:
        await asyncio.sleep(0)
        raise ValueError("v")

    async def work() -> int:
        return await asyncio.create_task(failing())

    assert asyncio.run(work()) == -1
    assert [record["exception"].type for record in records] == [ValueError]
    assert records[0]["function"] != "failing" or records[0]["line"] > 0

"""contextualize(): as with block and as decorator, in functions, generators, tasks, threads and executors."""

# mypy: disable-error-code="untyped-decorator, unreachable"

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.conformance.support import Kept, add


@pytest.mark.covers("1.18")
def test_with_block(logger: Any, kept: Kept) -> None:
    """Inside of the block all records have the values, afterwards none has."""
    with logger.contextualize(a=1, b=2):
        logger.info("")
        logger.bind(c=3).info("")
    logger.info("")
    assert kept.extras == [{"a": 1, "b": 2}, {"a": 1, "b": 2, "c": 3}, {}]


@pytest.mark.covers("1.18")
def test_nothing_before_the_block(logger: Any, kept: Kept) -> None:
    """contextualize() alone does nothing until its block is entered."""
    manager = logger.contextualize(a=1)
    logger.info("")
    with manager:
        logger.info("")
    assert kept.extras == [{}, {"a": 1}]


@pytest.mark.covers("1.18")
def test_block_gives_nothing(logger: Any) -> None:
    """There is no logger of its own: the block's target is None."""
    with logger.contextualize(a=1) as target:
        assert target is None


@pytest.mark.covers("1.18")
def test_nested(logger: Any, kept: Kept) -> None:
    """Inner blocks add to outer ones and win; leaving one restores what was."""
    with logger.contextualize(a=1, b=1):
        with logger.contextualize(b=2, c=2):
            logger.info("")
        logger.info("")
        with logger.contextualize():
            logger.info("")
    logger.info("")
    assert kept.extras == [{"a": 1, "b": 2, "c": 2}, {"a": 1, "b": 1}, {"a": 1, "b": 1}, {}]


@pytest.mark.covers("1.18")
def test_every_logger(logger: Any, kept: Kept) -> None:
    """The values belong to the context, not to the logger: parents, children and the others see them."""
    child = logger.bind(x=1)
    with child.contextualize(a=1):
        logger.info("")
        child.info("")
        logger.bind(y=2).info("")
    assert kept.extras == [{"a": 1}, {"a": 1, "x": 1}, {"a": 1, "y": 2}]


@pytest.mark.covers("1.18")
def test_exception_leaves_the_block(logger: Any, kept: Kept) -> None:
    """An exception passes, and ends the block."""
    with pytest.raises(LookupError), logger.contextualize(a=1):
        raise LookupError
    logger.info("")
    assert kept.extra == {}


@pytest.mark.covers("1.18")
@pytest.mark.parametrize("name", ["self", "message", "level", "record", "func", "kwargs", "__self"])
def test_any_name(logger: Any, kept: Kept, name: str) -> None:
    """Any keyword is a value's name."""
    with logger.contextualize(**{name: 1}):
        logger.info("")
    assert kept.extra == {name: 1}


@pytest.mark.covers("1.18")
def test_positional_values(logger: Any) -> None:
    """Values go by keyword."""
    with pytest.raises(TypeError):
        logger.contextualize({"a": 1})


@pytest.mark.covers("1.18")
def test_values_are_kept_as_they_are(logger: Any, kept: Kept) -> None:
    """A value is the object itself."""
    value: list[int] = []
    with logger.contextualize(value=value):
        logger.info("")
    assert kept.extra["value"] is value


@pytest.mark.covers("1.18")
def test_extra_is_each_records_own(logger: Any) -> None:
    """What a sink does to a record's extra does not reach the context."""
    logger.add(lambda message: message.record["extra"].update(a=9, b=9))
    with logger.contextualize(a=1):
        logger.info("")
        logger.remove()
        kept = add(logger)
        logger.info("")
    assert kept.extra == {"a": 1}


# ----------------------------------------------------------------------------------------------------- decorator


@pytest.mark.covers("1.18")
def test_decorator(logger: Any, kept: Kept) -> None:
    """A decorated function runs in the context, each time it is called; it keeps its name, arguments and result."""

    @logger.contextualize(a=1)
    def function(x: int, *, y: int = 2) -> int:
        """Says something."""
        logger.info("")
        return x + y

    assert function(1) == 3
    assert function(1, y=5) == 6
    logger.info("")
    assert kept.extras == [{"a": 1}, {"a": 1}, {}]
    assert (function.__name__, function.__doc__) == ("function", "Says something.")
    assert list(inspect.signature(function).parameters) == ["x", "y"]


@pytest.mark.covers("1.18")
def test_decorator_is_recursive(logger: Any, kept: Kept) -> None:
    """A decorated function may call itself."""

    @logger.contextualize(a=1)
    def countdown(n: int) -> None:
        logger.info("{}", n)
        if n:
            countdown(n - 1)
        logger.info("{}", n)

    countdown(2)
    logger.info("")
    assert kept.extras == [{"a": 1}] * 6 + [{}]


@pytest.mark.covers("1.18")
def test_decorated_method(logger: Any, kept: Kept) -> None:
    """Methods can be decorated."""

    class Server:
        @logger.contextualize(a=1)
        def call(self, x: int) -> tuple[object, int]:
            logger.info("")
            return self, x

    server = Server()
    assert server.call(5) == (server, 5)
    assert kept.extra == {"a": 1}


@pytest.mark.covers("1.18")
def test_decorated_function_that_raises(logger: Any, kept: Kept) -> None:
    """An exception passes, and ends the context."""

    @logger.contextualize(a=1)
    def function() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        function()
    logger.info("")
    assert kept.extra == {}


@pytest.mark.covers("1.18")
def test_one_manager_for_many(logger: Any, kept: Kept) -> None:
    """One decorator may decorate several functions."""
    decorate = logger.contextualize(a=1)

    @decorate
    def one() -> None:
        logger.info("")

    @decorate
    def two() -> None:
        one()
        logger.info("")

    one()
    two()
    logger.info("")
    assert kept.extras == [{"a": 1}] * 3 + [{}]


# ------------------------------------------------------------------------------------------ tasks, threads, contexts


@pytest.mark.covers("1.18")
def test_coroutine(logger: Any, kept: Kept) -> None:
    """In a coroutine the block holds across awaits."""

    async def work() -> None:
        with logger.contextualize(a=1):
            logger.info("before")
            await asyncio.sleep(0)
            logger.info("after")
        logger.info("outside")

    asyncio.run(work())
    assert kept.extras == [{"a": 1}, {"a": 1}, {}]


@pytest.mark.covers("1.18")
def test_tasks_do_not_see_each_other(logger: Any, kept: Kept) -> None:
    """Each task has its own context, however they interleave."""

    async def work(n: int, gate: asyncio.Barrier) -> None:
        with logger.contextualize(n=n):
            for _ in range(3):
                await gate.wait()
                logger.info("{}", n)

    async def main() -> None:
        gate = asyncio.Barrier(4)
        await asyncio.gather(*(work(n, gate) for n in range(4)))
        logger.info("-")

    asyncio.run(main())
    assert len(kept.records) == 13
    assert all(record["extra"] == {"n": int(record["message"])} for record in kept.records[:-1])
    assert kept.extras[-1] == {}


@pytest.mark.covers("1.18")
def test_tasks_inherit(logger: Any, kept: Kept) -> None:
    """A task starts with the context in which it was made, and keeps it."""

    async def work() -> None:
        await asyncio.sleep(0)
        logger.info("task")
        with logger.contextualize(b=2):
            logger.info("inner")

    async def main() -> None:
        with logger.contextualize(a=1):
            task = asyncio.create_task(work())
        logger.info("main")
        await task
        logger.info("main")

    asyncio.run(main())
    assert kept.extras == [{}, {"a": 1}, {"a": 1, "b": 2}, {}]


@pytest.mark.covers("1.18")
def test_threads_start_empty(logger: Any, kept: Kept) -> None:
    """A new thread does not inherit the context."""

    def work() -> None:
        logger.info("thread")
        with logger.contextualize(b=2):
            logger.info("inner")

    with logger.contextualize(a=1):
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        logger.info("main")
    assert kept.extras == [{}, {"b": 2}, {"a": 1}]


@pytest.mark.covers("1.18")
def test_threads_do_not_see_each_other(logger: Any, kept: Kept) -> None:
    """Each thread has its own context, however they interleave."""
    gate = threading.Barrier(4)

    def work(n: int) -> None:
        with logger.contextualize(n=n):
            for _ in range(20):
                gate.wait(timeout=30)
                logger.info("{}", n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept.records) == 80
    assert all(record["extra"] == {"n": int(record["message"])} for record in kept.records)


@pytest.mark.covers("1.18")
def test_executors(logger: Any, kept: Kept) -> None:
    """An executor's threads have no context of the caller's; asyncio.to_thread() takes it along."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with logger.contextualize(a=1):
            with ThreadPoolExecutor(1) as pool:
                await loop.run_in_executor(pool, logger.info, "executor")
            await asyncio.to_thread(logger.info, "to_thread")

    asyncio.run(main())
    assert kept.extras == [{}, {"a": 1}]


@pytest.mark.covers("1.18")
def test_copied_context(logger: Any, kept: Kept) -> None:
    """The values travel with contextvars: a copied context has them wherever it is run."""
    with logger.contextualize(a=1):
        context = contextvars.copy_context()
    logger.info("")
    context.run(logger.info, "")
    thread = threading.Thread(target=context.run, args=(logger.info, ""))
    thread.start()
    thread.join()
    assert kept.extras == [{}, {"a": 1}, {"a": 1}]


@pytest.mark.covers("1.18")
def test_callbacks(logger: Any, kept: Kept) -> None:
    """call_soon() runs a callback in the context in which it was asked for."""

    async def main() -> None:
        done = asyncio.Event()
        with logger.contextualize(a=1):
            asyncio.get_running_loop().call_soon(logger.info, "")
        asyncio.get_running_loop().call_soon(done.set)
        await done.wait()

    asyncio.run(main())
    assert kept.extra == {"a": 1}


@pytest.mark.covers("1.18")
def test_values_of_the_call_with_a_queue(logger: Any) -> None:
    """With enqueue=True the values are those of the call, not those of the time of writing."""
    kept = add(logger, enqueue=True, format="{extra}")
    with logger.contextualize(a=1):
        logger.info("")
    with logger.contextualize(b=2):
        logger.complete()
    assert kept.text == "{'a': 1}\n"


@pytest.mark.covers("1.18")
def test_generator_leaks_as_in_python(logger: Any, kept: Kept) -> None:
    """A block in a generator ends when the generator leaves it."""

    def numbers() -> Iterator[int]:
        with logger.contextualize(a=1):
            logger.info("inside")
            yield 1
            logger.info("inside")

    for _ in numbers():
        pass
    logger.info("outside")
    assert kept.extras == [{"a": 1}, {"a": 1}, {}]


@pytest.mark.covers("1.18")
def test_reentered_out_of_order(logger: Any, kept: Kept) -> None:
    """Two blocks that are left in the order in which they were entered: the last one left decides."""
    one, two = logger.contextualize(a=1), logger.contextualize(b=2)
    one.__enter__()
    two.__enter__()
    logger.info("")
    two.__exit__(None, None, None)
    logger.info("")
    one.__exit__(None, None, None)
    logger.info("")
    assert kept.extras == [{"a": 1, "b": 2}, {"a": 1}, {}]


@pytest.mark.covers("1.18")
def test_block_and_catch(logger: Any, kept: Kept) -> None:
    """What catch() logs inside of a block has its values, what it logs outside has not."""
    with logger.contextualize(a=1), logger.catch():
        raise LookupError
    with logger.catch(), logger.contextualize(a=1):
        raise LookupError
    assert kept.extras == [{"a": 1}, {}]


@pytest.mark.covers("1.18")
def test_documented_example(logger: Any) -> None:
    """The example of contextualize()'s documentation."""
    kept = add(logger, format="{message} | {extra}")

    def task() -> None:
        logger.info("Processing!")

    with logger.contextualize(task_id=123):
        task()
    logger.info("Done.")
    assert kept.texts == ["Processing! | {'task_id': 123}\n", "Done. | {}\n"]

"""contextualize: values for everything inside, in every kind of function, and nowhere else."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
from collections.abc import AsyncGenerator, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from otelbridge._logger import Logger
from tests.logger.conftest import Lines

pytestmark = pytest.mark.covers("1.18")


def extras(lines: Lines) -> list[dict[Any, Any]]:
    return [record["extra"] for record in lines.records]


def test_with_block_surrounds_what_is_inside(log: Logger, lines: Lines) -> None:
    """
    Records made inside a block, also by a bound logger or a function called there, carry its values; blocks nest.
    """
    with log.contextualize(a=1, b=1):
        log.info("one")
        with log.contextualize(b=2):
            log.bind(c=3).info("two")
        log.info("three")
    log.info("four")

    assert extras(lines) == [{"a": 1, "b": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 1}, {}]


def test_block_ends_with_an_exception(log: Logger, lines: Lines) -> None:
    """
    An exception leaves the block, unchanged.
    """
    with pytest.raises(ValueError, match="wrong"), log.contextualize(a=1):
        raise ValueError("wrong")
    log.info("after")

    assert extras(lines) == [{}]


def test_one_object_serves_again(log: Logger, lines: Lines) -> None:
    """
    A block object may be entered again after it was left, and within itself.
    """
    block = log.contextualize(a=1)

    with block, block:
        log.info("inside")
    with block:
        log.info("inside")
    log.info("outside")

    assert extras(lines) == [{"a": 1}, {"a": 1}, {}]


def test_function(log: Logger, lines: Lines) -> None:
    """
    A decorated function runs inside the block, keeps its name and result, and may recurse.
    """

    @log.contextualize(a=1)
    def count(n: int) -> int:
        """Say n."""
        log.info(str(n))
        return count(n - 1) + 1 if n else 0

    assert count(2) == 2
    log.info("outside")

    assert (count.__name__, count.__doc__) == ("count", "Say n.")
    assert extras(lines) == [{"a": 1}] * 3 + [{}]


def test_method(log: Logger, lines: Lines) -> None:
    """
    Methods, static methods and class methods can be decorated.
    """

    class Service:
        @log.contextualize(kind="method")
        def run(self) -> None:
            log.info("text")

        @staticmethod
        @log.contextualize(kind="static")
        def static() -> None:
            log.info("text")

        @classmethod
        @log.contextualize(kind="class")
        def make(cls) -> type:
            log.info("text")
            return cls

    Service().run()
    Service.static()
    assert Service.make() is Service

    assert extras(lines) == [{"kind": "method"}, {"kind": "static"}, {"kind": "class"}]


def test_coroutine_function(log: Logger, lines: Lines) -> None:
    """
    A decorated coroutine function has the values across its awaits, and its neighbours never do.
    """

    @log.contextualize(a=1)
    async def work() -> int:
        log.info("before")
        await asyncio.sleep(0)
        log.info("after")
        return 7

    async def main() -> int:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        log.info("neighbour")
        return await task

    assert asyncio.iscoroutinefunction(work)
    assert asyncio.run(main()) == 7
    assert dict(zip(lines.messages(), extras(lines), strict=True)) == {
        "before": {"a": 1},
        "neighbour": {},
        "after": {"a": 1},
    }


def test_calls_at_the_same_time_do_not_mix(log: Logger, lines: Lines) -> None:
    """
    One decorated coroutine function, called many times at once, keeps each call's nested values apart.
    """

    @log.contextualize(outer=True)
    async def work(n: int) -> None:
        with log.contextualize(n=n):
            for _ in range(3):
                await asyncio.sleep(0)
                log.info(str(n))

    async def main() -> None:
        await asyncio.gather(*(work(n) for n in range(20)))
        log.info("end")

    asyncio.run(main())

    for record in lines.records[:-1]:
        assert record["extra"] == {"outer": True, "n": int(record["message"])}
    assert len(lines.records) == 61
    assert lines.records[-1]["extra"] == {}


def test_generator_function(log: Logger, lines: Lines) -> None:
    """
    A decorated generator has the values while it runs; its consumer never has them. send, throw and return work.
    """

    @log.contextualize(a=1)
    def steps() -> Generator[int, str, str]:
        log.info("in")
        got = yield 1
        log.info("got " + got)
        try:
            yield 2
        except KeyError:
            log.info("caught")
        with log.contextualize(b=2):
            yield 3
            log.info("in")
        return "result"

    generator = steps()
    assert next(generator) == 1
    log.info("out")
    assert generator.send("x") == 2
    log.info("out")
    assert generator.throw(KeyError("k")) == 3
    with pytest.raises(StopIteration) as stopped:
        next(generator)
    log.info("out")

    assert stopped.value.value == "result"
    inside = [record["extra"].get("a") for record in lines.records if record["message"] != "out"]
    assert inside == [1, 1, 1, 1]
    assert all("a" not in record["extra"] for record in lines.records if record["message"] == "out")


def test_generator_left_early(log: Logger, lines: Lines) -> None:
    """
    Closing a generator runs its `finally` inside the block; two generators that take turns do not mix.
    """

    @log.contextualize(kind="generator")
    def steps(name: str) -> Generator[int, None, None]:
        try:
            for i in range(5):
                with log.contextualize(name=name):
                    log.info(name)
                yield i
        finally:
            log.info("finally")

    one, other = steps("one"), steps("other")
    next(one), next(other), next(one)
    one.close()
    del other
    gc.collect()
    log.info("after")

    assert [record["extra"] for record in lines.records] == [
        {"kind": "generator", "name": "one"},
        {"kind": "generator", "name": "other"},
        {"kind": "generator", "name": "one"},
        {"kind": "generator"},
        {"kind": "generator"},
        {},
    ]


def test_async_generator_function(log: Logger, lines: Lines) -> None:
    """
    A decorated async generator has the values while it runs and awaits; its consumer never has them.
    """

    @log.contextualize(a=1)
    async def steps() -> AsyncGenerator[int, str]:
        try:
            await asyncio.sleep(0)
            log.info("in")
            got = yield 1
            log.info("in " + str(got))
            try:
                yield 2
            except KeyError:
                await asyncio.sleep(0)
                log.info("in caught")
            yield 3
        finally:
            await asyncio.sleep(0)
            log.info("in finally")

    async def main() -> None:
        generator = steps()
        assert await generator.asend(None) == 1  # type: ignore[arg-type]
        log.info("out")
        assert await generator.asend("x") == 2
        log.info("out")
        assert await generator.athrow(KeyError("k")) == 3
        log.info("out")
        await generator.aclose()
        log.info("out")
        assert [item async for item in steps()] == [1, 2, 3]
        log.info("out")

    asyncio.run(main())

    for record in lines.records:
        assert record["extra"] == ({} if record["message"] == "out" else {"a": 1}), record["message"]
    assert lines.messages().count("in finally") == 2


def test_async_generator_that_is_forgotten(log: Logger, lines: Lines) -> None:
    """
    An async generator that its consumer breaks out of is finished by the loop, without a complaint.
    """

    @log.contextualize(a=1)
    async def steps() -> AsyncGenerator[int, None]:
        try:
            yield 1
            yield 2
        finally:
            log.info("finally")

    complaints: list[Any] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        async for _ in steps():
            break
        gc.collect()
        await asyncio.sleep(0)
        log.info("after")

    asyncio.run(main())

    assert complaints == []
    by_message = dict(zip(lines.messages(), extras(lines), strict=True))
    assert by_message == {"finally": {"a": 1}, "after": {}}


def test_block_across_the_steps_of_a_bare_generator(log: Logger, lines: Lines) -> None:
    """
    A `with` inside an undecorated generator that is closed in another context raises nothing.
    """

    def steps() -> Generator[int, None, None]:
        with log.contextualize(a=1, traceparent="00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"):
            yield 1

    generator = steps()
    contextvars.copy_context().run(next, generator)
    generator.close()
    log.info("after")

    assert extras(lines) == [{}]


def test_values_stay_in_their_thread(log: Logger, lines: Lines) -> None:
    """
    A thread starts without the values of whoever started it; asyncio.to_thread takes them along.
    """
    with log.contextualize(a=1), ThreadPoolExecutor(1) as pool:
        thread = threading.Thread(target=log.info, args=("thread",))
        thread.start()
        thread.join()
        pool.submit(log.info, "pool").result()

        async def main() -> None:
            await asyncio.to_thread(log.info, "to_thread")

        asyncio.run(main())
        pool.submit(contextvars.copy_context().run, log.info, "copied").result()

    by_message = dict(zip(lines.messages(), extras(lines), strict=True))
    assert by_message == {"thread": {}, "pool": {}, "to_thread": {"a": 1}, "copied": {"a": 1}}


def test_pool_thread_that_is_used_again_remembers_nothing(log: Logger, lines: Lines) -> None:
    """
    Many jobs on few threads, each with its own block: a record never has another job's values.
    """

    def job(n: int) -> None:
        log.info("before")
        with log.contextualize(n=n):
            log.info("inside {}", n)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(job, range(200)))

    for record in lines.records:
        message, extra = record["message"], record["extra"]
        assert extra == ({} if message == "before" else {"n": int(message.split()[1])})
    assert len(lines.records) == 400


def test_task_that_outlives_the_block_keeps_its_values(log: Logger, lines: Lines) -> None:
    """
    A task started inside a block has its values to the end; tasks started outside never do.
    """

    async def main() -> None:
        started = asyncio.Event()
        go_on = asyncio.Event()

        async def late(name: str) -> None:
            started.set()
            await go_on.wait()
            log.info(name)

        with log.contextualize(a=1):
            inside = asyncio.create_task(late("inside"))
            await started.wait()
        outside = asyncio.create_task(late("outside"))
        go_on.set()
        await asyncio.gather(inside, outside)

    asyncio.run(main())

    assert dict(zip(lines.messages(), extras(lines), strict=True)) == {"inside": {"a": 1}, "outside": {}}

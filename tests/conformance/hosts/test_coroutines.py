"""Coroutine functions as sinks, and `complete()`."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest


class Kept:
    """Coroutine functions of all kinds, which keep what they are given after other tasks had their turn."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    async def __call__(self, message: str) -> None:
        await self.method(message)

    async def method(self, message: str) -> None:
        await asyncio.sleep(0)
        self.lines.append(str(message))

    async def two(self, other: int, message: str) -> None:
        await self.method(message)


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def function(kept: Kept) -> Callable[[str], Any]:
    async def sink(message: str) -> None:
        await kept.method(message)

    return sink


WAYS: dict[str, Callable[[Kept], Any]] = {
    "function": function,
    "object": lambda kept: kept,
    "method": lambda kept: kept.method,
    "partial": lambda kept: functools.partial(kept.two, 1),
}


@pytest.mark.covers("1.5")
@pytest.mark.parametrize("way", WAYS)
def test_every_kind_of_coroutine_function(logger: Any, way: str) -> None:
    """
    Anything whose call gives a coroutine is a sink; its work is done when `complete()` has been awaited.
    """
    kept = Kept()
    logger.add(WAYS[way](kept), format="{message}")

    async def work() -> list[str]:
        logger.info("a")
        logger.info("b")
        before = list(kept.lines)
        await logger.complete()
        return before

    assert asyncio.run(work()) == []
    assert kept.lines == ["a\n", "b\n"]


@pytest.mark.covers("1.5")
def test_message_has_its_record(logger: Any) -> None:
    """
    A coroutine function gets a message with its record, as any sink.
    """
    kept: list[Any] = []

    async def sink(message: Any) -> None:
        kept.append(message.record["extra"])

    logger.add(sink)

    async def work() -> None:
        logger.info("a", a=1)
        await logger.complete()

    asyncio.run(work())

    assert kept == [{"a": 1}]


@pytest.mark.covers("1.5")
def test_without_a_loop(logger: Any) -> None:
    """
    Where no loop runs, a message to a coroutine function is discarded without an error.
    """
    kept = Kept()
    logger.add(kept.method, format="{message}", catch=False)

    logger.info("lost")

    async def work() -> None:
        logger.info("kept")
        await logger.complete()

    asyncio.run(work())

    assert kept.lines == ["kept\n"]


@pytest.mark.covers("1.5")
def test_given_loop(logger: Any, loop: asyncio.AbstractEventLoop) -> None:
    """
    With `loop=`, the task belongs to that loop, wherever the call was made.
    """
    kept = Kept()
    logger.add(kept.method, format="{message}", loop=loop)

    logger.info("outside")
    before = list(kept.lines)

    async def work() -> None:
        await logger.complete()

    loop.run_until_complete(work())

    assert (before, kept.lines) == ([], ["outside\n"])


@pytest.mark.covers("1.5", note="1.17")
def test_each_loop_completes_its_own(logger: Any, loop: asyncio.AbstractEventLoop) -> None:
    """
    `complete()` awaits the tasks of the running loop, and leaves those of other loops alone.
    """
    kept = Kept()
    logger.add(kept.method, format="{message}", loop=loop)
    logger.info("a")

    async def work() -> list[str]:
        await logger.complete()
        return list(kept.lines)

    assert asyncio.run(work()) == []
    assert loop.run_until_complete(work()) == ["a\n"]


@pytest.mark.covers("1.5")
def test_loops_one_after_the_other(logger: Any) -> None:
    """
    A handler works in one loop after another.
    """
    kept = Kept()
    logger.add(kept.method, format="{message}")

    async def work(number: int) -> None:
        logger.info("{}", number)
        await logger.complete()

    for number in range(3):
        asyncio.run(work(number))

    assert kept.lines == ["0\n", "1\n", "2\n"]


@pytest.mark.covers("1.5")
def test_from_a_thread(logger: Any, loop: asyncio.AbstractEventLoop) -> None:
    """
    A call in another thread schedules its task in the given loop.
    """
    kept = Kept()
    logger.add(kept.method, format="{message}", loop=loop)
    thread = threading.Thread(target=logger.info, args=("from a thread",))
    thread.start()
    thread.join()

    async def work() -> None:
        await logger.complete()

    loop.run_until_complete(work())

    assert kept.lines == ["from a thread\n"]


@pytest.mark.covers("1.17")
def test_sync_complete_gives_an_awaitable(logger: Any) -> None:
    """
    `complete()` returns an object that may be awaited or thrown away without a warning.
    """
    result = logger.complete()

    assert hasattr(result, "__await__")
    assert not asyncio.iscoroutine(result)


@pytest.mark.covers("1.17")
def test_complete_without_handlers(logger: Any) -> None:
    """
    Awaiting `complete()` gives None, also when there is nothing to do.
    """

    async def work() -> object:
        return await logger.complete()

    assert asyncio.run(work()) is None


@pytest.mark.covers("1.17")
def test_complete_takes_no_arguments(logger: Any) -> None:
    """
    `complete` takes no argument.
    """
    with pytest.raises(TypeError):
        logger.complete(1)


@pytest.mark.covers("1.17")
def test_messages_after_the_call_of_complete(logger: Any) -> None:
    """
    What is logged between the call of `complete()` and its await is awaited too.
    """
    kept = Kept()
    logger.add(kept.method, format="{message}")

    async def work() -> None:
        logger.info("a")
        completing = logger.complete()
        logger.info("b")
        await completing

    asyncio.run(work())

    assert kept.lines == ["a\n", "b\n"]


@pytest.mark.covers("1.17")
def test_complete_with_bound_logger(logger: Any) -> None:
    """
    `complete()` of a bound logger completes the same handlers.
    """
    kept = Kept()
    logger.add(kept.method, format="{message} {extra}")

    async def work() -> None:
        logger.bind(a=1).info("m")
        await logger.bind(b=2).complete()

    asyncio.run(work())

    assert kept.lines == ["m {'a': 1}\n"]


@pytest.mark.covers("1.17")
def test_many_tasks(logger: Any) -> None:
    """
    Each of many messages of many tasks arrives once, those of one task in order.
    """
    kept = Kept()
    logger.add(kept.method, format="{message}")

    async def one(name: str) -> None:
        for number in range(20):
            logger.info("{} {}", name, number)
            await asyncio.sleep(0)

    async def work() -> None:
        await asyncio.gather(*(one(name) for name in "abcde"))
        await logger.complete()

    asyncio.run(work())

    assert sorted(kept.lines) == sorted(f"{name} {number}\n" for name in "abcde" for number in range(20))
    for name in "abcde":
        own = [line for line in kept.lines if line.startswith(name)]
        assert own == [f"{name} {number}\n" for number in range(20)]


@pytest.mark.covers("1.17")
def test_tasks_that_complete_at_once(logger: Any) -> None:
    """
    Several tasks may await `complete()` at the same time.
    """
    kept = Kept()
    logger.add(kept.method, format="{message}")

    async def one(number: int) -> None:
        logger.info("{}", number)
        await logger.complete()
        assert f"{number}\n" in kept.lines

    async def work() -> None:
        await asyncio.gather(*(one(number) for number in range(10)))

    asyncio.run(work())

    assert len(kept.lines) == 10


@pytest.mark.covers("1.17")
def test_stream_with_complete(logger: Any) -> None:
    """
    The coroutine method `complete` of a stream is awaited by `await logger.complete()`, and only then.
    """
    calls: list[str] = []

    class Stream:
        def write(self, message: str) -> None:
            calls.append(message)

        async def complete(self) -> None:
            await asyncio.sleep(0)
            calls.append("complete")

    logger.add(Stream(), format="{message}")

    async def work() -> None:
        logger.info("a")
        await logger.complete()
        await logger.complete()

    asyncio.run(work())

    assert calls == ["a\n", "complete", "complete"]


@pytest.mark.covers("1.17")
def test_stream_whose_complete_is_no_coroutine(logger: Any) -> None:
    """
    A `complete` that is no coroutine function is not called.
    """
    calls: list[str] = []

    class Stream:
        def write(self, message: str) -> None:
            calls.append(message)

        def complete(self) -> None:
            calls.append("complete")

    logger.add(Stream(), format="{message}", catch=False)

    async def work() -> None:
        logger.info("a")
        await logger.complete()

    asyncio.run(work())

    assert calls == ["a\n"]


@pytest.mark.covers("1.4")
@pytest.mark.parametrize("when", ["at once", "later"])
def test_error_is_reported(logger: Any, capsys: pytest.CaptureFixture[str], when: str) -> None:
    """
    An error in a coroutine is reported on stderr with `catch=True`; awaiting `complete()` does not raise it.
    """
    kept = Kept()

    async def failing(message: str) -> None:
        if when == "later":
            await asyncio.sleep(0)
        msg = f"no {message.strip()}"
        raise ValueError(msg)

    logger.add(failing, format="{message}", catch=True)
    logger.add(kept.method, format="{message}")

    async def work() -> None:
        logger.info("a")
        logger.info("b")
        await logger.complete()

    asyncio.run(work())
    err = capsys.readouterr().err

    assert kept.lines == ["a\n", "b\n"]
    assert "ValueError: no a" in err
    assert "ValueError: no b" in err


@pytest.mark.covers("1.4")
def test_error_belongs_to_the_loop(logger: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """
    With `catch=False` an error in a coroutine goes to the loop's exception handler, and nothing is printed by us.
    """
    contexts: list[Any] = []

    async def failing(message: str) -> None:
        msg = "no"
        raise ValueError(msg)

    logger.add(failing, format="{message}", catch=False)

    async def work() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: contexts.append(context["exception"]))
        logger.info("a")
        await logger.complete()

    asyncio.run(work())

    assert [repr(error) for error in contexts] == ["ValueError('no')"]
    assert capsys.readouterr().err == ""


@pytest.mark.covers("1.6")
def test_removed_before_its_tasks_ran(logger: Any, loop: asyncio.AbstractEventLoop) -> None:
    """
    Removing the handler cancels the tasks that have not run.
    """
    kept = Kept()
    number = logger.add(kept.method, format="{message}", loop=loop)
    logger.info("a")
    logger.remove(number)

    async def work() -> None:
        await logger.complete()

    loop.run_until_complete(work())

    assert kept.lines == []


@pytest.mark.covers("1.16")
def test_enqueued_coroutine_function(logger: Any) -> None:
    """
    With `enqueue=True` the tasks run in the loop that was running when the handler was added.
    """
    kept = Kept()

    async def work() -> None:
        logger.add(kept.method, format="{message}", enqueue=True)
        for number in range(10):
            logger.info("{}", number)
        await logger.complete()

    asyncio.run(work())

    assert kept.lines == [f"{number}\n" for number in range(10)]


@pytest.mark.covers("1.16")
def test_enqueued_with_given_loop(logger: Any, loop: asyncio.AbstractEventLoop) -> None:
    """
    With `enqueue=True` and `loop=`, the tasks run in the given loop.
    """
    kept = Kept()
    logger.add(kept.method, format="{message}", enqueue=True, loop=loop)
    logger.info("a")

    async def work() -> None:
        await logger.complete()

    loop.run_until_complete(work())

    assert kept.lines == ["a\n"]


@pytest.mark.covers("1.16")
def test_enqueued_without_a_loop(logger: Any) -> None:
    """
    A coroutine function with `enqueue=True` needs a loop: without one `add()` says so by a ValueError.
    """
    with pytest.raises(ValueError, match="loop"):
        logger.add(Kept().method, enqueue=True)


@pytest.mark.covers("1.5")
@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_closed_loop(logger: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """
    A message for a loop that is closed is reported, and other sinks get it.
    """
    closed = asyncio.new_event_loop()
    closed.close()
    kept: list[str] = []
    logger.add(Kept().method, loop=closed)
    logger.add(kept.append, format="{message}")

    logger.info("a")

    assert kept == ["a\n"]
    assert "RuntimeError" in capsys.readouterr().err


@pytest.mark.covers("1.5")
def test_generator_functions_are_functions(logger: Any) -> None:
    """
    A generator function is called, and its generator thrown away.
    """
    ran: list[str] = []

    def sink(message: str) -> Iterator[None]:
        ran.append(message)
        yield

    logger.add(sink, catch=False)

    logger.info("a")

    assert ran == []


@pytest.mark.covers("1.18")
def test_context_of_the_call(logger: Any) -> None:
    """
    The coroutine sees the context variables of the call that it was made by.
    """
    import contextvars

    variable = contextvars.ContextVar("variable", default="none")
    seen: list[tuple[str, str]] = []

    async def sink(message: Any) -> None:
        await asyncio.sleep(0)
        seen.append((message.record["message"], variable.get()))

    logger.add(sink)

    async def one(name: str) -> None:
        variable.set(name)
        logger.info(name)

    async def work() -> None:
        await asyncio.gather(one("a"), one("b"))
        await logger.complete()

    asyncio.run(work())

    assert sorted(seen) == [("a", "a"), ("b", "b")]


@pytest.mark.covers("1.10")
def test_serialized(logger: Any) -> None:
    """
    `serialize=True` holds for coroutine functions.
    """
    import json

    kept = Kept()
    logger.add(kept.method, format="{message}", serialize=True)

    async def work() -> None:
        logger.info("a")
        await logger.complete()

    asyncio.run(work())

    assert json.loads(kept.lines[0])["text"] == "a\n"


@pytest.mark.covers("1.17")
def test_complete_in_a_sync_program(logger: Any) -> None:
    """
    Without a loop, `complete()` of a program with coroutine sinks does nothing and raises nothing.
    """
    kept = Kept()
    logger.add(kept.method)

    logger.complete()

    assert kept.lines == []


@pytest.mark.covers("1.17")
def test_sink_that_logs(logger: Any) -> None:
    """
    A coroutine may log: it runs when the call that made it is over, so there is nothing to deadlock.
    """
    kept: list[str] = []

    async def sink(message: Any) -> None:
        kept.append(str(message))
        if "again" not in message.record["extra"]:
            logger.bind(again=True).info("from the sink")

    logger.add(sink, format="{message}", catch=False)

    async def work() -> None:
        logger.info("a")
        await logger.complete()
        await logger.complete()

    asyncio.run(work())

    assert kept == ["a\n", "from the sink\n"]

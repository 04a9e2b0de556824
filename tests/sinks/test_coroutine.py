"""Sinks that are coroutine functions: a task for each message, on the right loop, and none is lost."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import pickle
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import loguru
import pytest

from otelbridge.message import Message, make_message
from otelbridge.sinks.coroutine import CoroutineSink, loop_for_queue, running_loop

pytestmark = [pytest.mark.covers("1.5"), pytest.mark.covers("1.17")]


def message(text: str) -> Message:
    return make_message(text, {})  # type: ignore[arg-type]  # no sink here looks at the record


class Kept:
    """What tasks were given, and the errors told of them."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.errors: list[tuple[Message | None, BaseException | None]] = []

    async def sink(self, given: Message) -> None:
        await asyncio.sleep(0.001)
        self.texts.append(str(given))

    def on_error(self, given: Message | None) -> None:
        self.errors.append((given, sys.exc_info()[1]))


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def make(kept: Kept) -> Callable[..., CoroutineSink]:
    def factory(function: Any = None, **options: Any) -> CoroutineSink:
        return CoroutineSink(function or kept.sink, **{"on_error": kept.on_error, **options})

    return factory


Make = Callable[..., CoroutineSink]


@pytest.fixture
def loop_elsewhere() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop that runs in another thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_complete_waits_for_the_tasks(make: Make, kept: Kept) -> None:
    """
    Tasks start in the order of the messages, and awaiting complete() lets all of them end, also those begun since.
    """
    sink = make()

    async def main() -> None:
        sink.write(message("one"))
        completion = sink.complete()
        sink.write(message("two"))
        await completion

    asyncio.run(main())

    assert kept.texts == ["one", "two"]


def test_no_loop_discards(make: Make, kept: Kept) -> None:
    """
    Without a running loop a message is discarded in silence, as by loguru.
    """
    sink = make()

    sink.write(message("lost"))

    async def main() -> None:
        await sink.complete()

    asyncio.run(main())

    assert kept.texts == []
    assert kept.errors == []


def test_given_loop_is_used_from_other_threads(
    make: Make, kept: Kept, loop_elsewhere: asyncio.AbstractEventLoop
) -> None:
    """
    With `loop=` messages of any thread become tasks there, at once, and complete() on that loop waits for them.
    """
    sink = make(loop=loop_elsewhere)

    async def complete() -> None:
        await sink.complete()

    for number in range(10):
        sink.write(message(str(number)))
    asyncio.run_coroutine_threadsafe(complete(), loop_elsewhere).result(60)

    assert kept.texts == [str(number) for number in range(10)]


def test_given_loop_is_woken(make: Make, loop_elsewhere: asyncio.AbstractEventLoop) -> None:
    """
    A loop that sleeps in another thread starts the task without having anything else to do.
    """
    done = threading.Event()

    async def work(given: Message) -> None:
        done.set()

    make(work, loop=loop_elsewhere).write(message("x"))

    assert done.wait(60)


def test_given_loop_that_does_not_run_yet(make: Make, kept: Kept) -> None:
    """
    What is logged before the given loop runs is done when it runs.
    """
    loop = asyncio.new_event_loop()
    sink = make(loop=loop)

    async def complete() -> None:
        await sink.complete()

    sink.write(message("early"))
    loop.run_until_complete(complete())
    loop.close()

    assert kept.texts == ["early"]


def test_complete_leaves_other_loops_alone(make: Make, kept: Kept, loop_elsewhere: asyncio.AbstractEventLoop) -> None:
    """
    complete() awaits the tasks of the loop it is awaited on only, so a busy other loop cannot hold it.
    """
    gate = asyncio.Event()

    async def wait(given: Message) -> None:
        await gate.wait()
        kept.texts.append(str(given))

    sink = make(wait, loop=loop_elsewhere)

    async def complete() -> None:
        await sink.complete()

    sink.write(message("elsewhere"))
    asyncio.run(complete())
    before = list(kept.texts)
    loop_elsewhere.call_soon_threadsafe(gate.set)
    asyncio.run_coroutine_threadsafe(complete(), loop_elsewhere).result(60)

    assert before == []
    assert kept.texts == ["elsewhere"]


def test_errors_are_told_not_raised(make: Make, kept: Kept) -> None:
    """
    What a task raises is told with its message; complete() raises nothing, and later messages are written.
    """
    error = ValueError("no")

    async def fail(given: Message) -> None:
        if given == "bad":
            raise error
        await kept.sink(given)

    sink = make(fail)

    async def main() -> None:
        for text in ("one", "bad", "two"):
            sink.write(message(text))
        await sink.complete()

    asyncio.run(main())

    assert kept.texts == ["one", "two"]
    assert kept.errors == [("bad", error)]


def test_errors_that_are_not_caught_reach_the_loop(make: Make) -> None:
    """
    With catch=False (on_error raises) the loop's exception handler is told, as by loguru.
    """
    told: list[BaseException] = []

    async def fail(given: Message) -> None:
        raise ValueError("no")

    def on_error(given: Message | None) -> None:
        raise

    sink = make(fail, on_error=on_error)

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context["exception"]))
        sink.write(message("x"))
        await sink.complete()
        await asyncio.sleep(0)

    asyncio.run(main())

    assert [str(error) for error in told] == ["no"]


def test_closed_loop(make: Make, kept: Kept) -> None:
    """
    A message for a loop that was closed raises (to the handler, which reports it), and leaves no coroutine behind.
    """
    loop = asyncio.new_event_loop()
    loop.close()
    sink = make(loop=loop)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeError, match="closed"):
            sink.write(message("x"))
        gc.collect()


def test_garbage_collection_takes_no_task(make: Make, kept: Kept) -> None:
    """
    A task that nobody but its sink knows survives the garbage collector: the loop has weak references only.
    """
    futures: list[weakref.ref[asyncio.Future[None]]] = []

    async def wait(given: Message) -> None:
        future = asyncio.get_running_loop().create_future()
        futures.append(weakref.ref(future))
        await future
        kept.texts.append(str(given))

    sink = make(wait)

    async def main() -> None:
        sink.write(message("x"))
        await asyncio.sleep(0)
        gc.collect()
        future = futures[0]()
        assert future is not None
        future.set_result(None)
        await sink.complete()

    asyncio.run(main())

    assert kept.texts == ["x"]


def test_loops_that_are_gone_are_forgotten(make: Make) -> None:
    """
    Tasks that a loop left unfinished when it was closed are not kept for ever.
    """

    async def wait(given: Message) -> None:
        await asyncio.sleep(3600)

    sink = make(wait)

    for _ in range(5):
        loop = asyncio.new_event_loop()

        async def main() -> None:
            sink.write(message("x"))

        loop.run_until_complete(main())
        loop._ready.clear()  # type: ignore[attr-defined]  # nothing is to warn of what this test leaves behind
        for task in sink._tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            task.get_coro().close()
        loop.close()

    assert len(sink._tasks) == 1


def test_stop_cancels(make: Make, kept: Kept) -> None:
    """
    A sink that is removed cancels what it has not done, as loguru's does.
    """
    sink = make()

    async def main() -> None:
        sink.write(message("not begun"))
        sink.stop()
        await asyncio.sleep(0.01)
        sink.write(message("begun"))
        await asyncio.sleep(0)
        sink.stop()
        await asyncio.sleep(0.01)
        await sink.complete()

    asyncio.run(main())

    assert kept.texts == []
    assert kept.errors == []


def test_stop_from_another_thread(make: Make, kept: Kept, loop_elsewhere: asyncio.AbstractEventLoop) -> None:
    """
    Tasks are cancelled on their own loop, whoever stops the sink.
    """
    ended = threading.Event()
    begun = threading.Event()

    async def wait(given: Message) -> None:
        begun.set()
        try:
            await asyncio.sleep(3600)
        finally:
            ended.set()

    sink = make(wait, loop=loop_elsewhere)
    sink.write(message("x"))
    assert begun.wait(60)

    sink.stop()

    assert ended.wait(60)


def test_cancelled_task_does_not_cancel_complete(make: Make) -> None:
    """
    Somebody who cancels a sink's task does not cancel those who wait in complete().
    """

    async def wait(given: Message) -> None:
        await asyncio.sleep(3600)

    sink = make(wait)

    async def main() -> str:
        sink.write(message("x"))
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            assert task is not None
            task.cancel()
        await sink.complete()
        return "went on"

    assert asyncio.run(main()) == "went on"


def test_cancelled_complete_cancels_no_task(make: Make, kept: Kept) -> None:
    """
    Giving up on complete() loses no message.
    """
    gate = asyncio.Event()

    async def wait(given: Message) -> None:
        await gate.wait()
        kept.texts.append(str(given))

    sink = make(wait)

    async def main() -> None:
        sink.write(message("x"))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(_awaiting(sink), 0.01)
        gate.set()
        await sink.complete()

    asyncio.run(main())

    assert kept.texts == ["x"]


async def _awaiting(sink: CoroutineSink) -> None:
    await sink.complete()


def test_sink_that_completes(make: Make, kept: Kept) -> None:
    """
    Sinks that await complete() themselves do not wait for each other for ever.
    """

    async def complete(given: Message) -> None:
        await sink.complete()
        kept.texts.append(str(given))

    sink = make(complete)

    async def main() -> None:
        sink.write(message("one"))
        sink.write(message("two"))
        await asyncio.wait_for(_awaiting(sink), 60)

    asyncio.run(main())

    assert kept.texts == ["one", "two"]


def test_context_is_the_caller_s(make: Make, kept: Kept) -> None:
    """
    A task sees the context variables of its call.
    """
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")

    async def look(given: Message) -> None:
        kept.texts.append(f"{given} {variable.get()}")

    sink = make(look)

    async def main() -> None:
        variable.set("then")
        sink.write(message("x"))
        variable.set("now")
        await sink.complete()

    asyncio.run(main())

    assert kept.texts == ["x then"]


def test_objects_with_an_async_call(make: Make, kept: Kept) -> None:
    """
    An object whose `__call__` is a coroutine function is a sink, too.
    """

    class Sink:
        async def __call__(self, given: Message) -> None:
            kept.texts.append(str(given))

    sink = make(Sink())

    async def main() -> None:
        sink.write(message("x"))
        await sink.complete()

    asyncio.run(main())

    assert kept.texts == ["x"]


@pytest.mark.parametrize("loop", [5, "loop", object()])
def test_a_loop_that_is_none(make: Make, loop: Any) -> None:
    """
    What cannot be an event loop is refused at once.
    """
    with pytest.raises(TypeError):
        make(loop=loop)


def test_queued_sink_needs_a_loop() -> None:
    """
    With enqueue=True the loop is the one given or running when the sink is added; without, it is loguru's ValueError.
    """
    loop = asyncio.new_event_loop()

    async def running() -> bool:
        return loop_for_queue(None) is asyncio.get_running_loop()

    async def sink(given: Any) -> None:
        return

    with pytest.raises(ValueError, match="event loop"):
        loguru.logger.add(sink, enqueue=True)
    with pytest.raises(ValueError, match="event loop"):
        loop_for_queue(None)
    assert loop_for_queue(loop) is loop
    assert asyncio.run(running())
    assert running_loop() is None
    loop.close()


async def _module_level(given: Message) -> None:
    return


def _on_error(given: Message | None) -> None:
    return


def test_copies_have_no_tasks(make: Make) -> None:
    """
    A sink can be pickled while its tasks are under way; they are not part of it.
    """
    sink = CoroutineSink(_module_level, on_error=_on_error)

    async def main() -> CoroutineSink:
        sink.write(message("x"))
        copy: CoroutineSink = pickle.loads(pickle.dumps(sink))
        await sink.complete()
        return copy

    copy = asyncio.run(main())

    assert copy._tasks == set()
    assert repr(copy) == "_module_level"

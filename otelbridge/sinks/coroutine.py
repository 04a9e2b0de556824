"""Sinks that are coroutine functions: a task of the event loop for each message."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Awaitable, Callable, Generator

    from otelbridge.message import Message


class CoroutineSink:
    """Starts `function(message)` as a task (features.md 1.5, 1.17).

    function: returns a coroutine. loop: where the tasks run, from whatever thread the messages come; None: on the loop
    that runs where the message is written, and without one the message is discarded.
    on_error: told of what a task raises, inside `except`.
    """

    def __init__(
        self,
        function: Callable[[Message], Any],
        *,
        loop: AbstractEventLoop | None = None,
        on_error: Callable[[Message | None], object],
    ) -> None:
        if loop is not None and not callable(getattr(loop, "create_task", None)):
            msg = f"loop must be an event loop or None, got {loop!r}"
            raise TypeError(msg)
        self.on_error = on_error
        self._function = function
        self._loop = loop
        self._tasks: set[Task[Any]] = set()  # the loop itself would let the garbage collector have them
        self._latest_loop: AbstractEventLoop | None = None

    def write(self, message: Message) -> None:
        """Start a task. RuntimeError: the given loop is closed."""
        running = running_loop()
        loop = running if self._loop is None else self._loop
        if loop is None:
            return
        if loop is running or not loop.is_running():
            self._start(loop, message)
        else:
            loop.call_soon_threadsafe(self._start, loop, message)

    def complete(self) -> Awaitable[None]:
        """To be awaited: ends with the tasks that the running loop has by then. Raises none of their errors."""
        return _Completion(self)

    def stop(self) -> None:
        """Cancel what has not finished."""
        running = running_loop()
        for task in list(self._tasks):
            loop = task.get_loop()
            if loop.is_closed():
                continue
            if loop is running or not loop.is_running():
                task.cancel()
            else:
                loop.call_soon_threadsafe(task.cancel)
        self._tasks.clear()

    def renew(self) -> None:
        """After a fork, in the child: the tasks are the parent's."""
        self._tasks.clear()

    def _start(self, loop: AbstractEventLoop, message: Message) -> None:
        if loop is not self._latest_loop:  # tasks of a loop that was closed over them will never be done
            self._latest_loop = loop
            self._tasks = {task for task in self._tasks if not task.get_loop().is_closed()}
        coroutine = self._function(message)
        try:
            task = loop.create_task(coroutine)
        except BaseException:
            coroutine.close()  # nobody is to be warned that it was not awaited
            raise
        self._tasks.add(task)
        task.add_done_callback(lambda done: self._end(done, message))

    def _end(self, task: Task[Any], message: Message) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None:
            return
        try:
            raise error
        except BaseException:
            self.on_error(message)  # what it raises goes to the loop's exception handler

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tasks": set(), "_latest_loop": None}

    def __repr__(self) -> str:
        return getattr(self._function, "__name__", None) or repr(self._function)


class _Completion:
    """The end of the tasks that the running loop has when it is awaited."""

    __slots__ = ("_sink",)

    def __init__(self, sink: CoroutineSink) -> None:
        self._sink = sink

    def __await__(self) -> Generator[Any, Any, None]:
        return self._wait().__await__()

    async def _wait(self) -> None:
        import asyncio

        loop = asyncio.get_running_loop()
        tasks = self._sink._tasks
        if asyncio.current_task() in tasks:  # a sink that waits for itself would wait for ever
            return
        if self._sink._loop is loop:
            await asyncio.sleep(0)  # for what other threads have asked the loop to start
        waiting = [task for task in self._sink._tasks if task.get_loop() is loop]
        if waiting:
            await asyncio.wait(waiting)


def running_loop() -> AbstractEventLoop | None:
    """The event loop that runs in this thread, if any; asyncio is not imported for the question."""
    asyncio = sys.modules.get("asyncio")
    try:
        return None if asyncio is None else asyncio.get_running_loop()
    except (RuntimeError, AttributeError):  # none, or asyncio is half-way through its own import
        return None


def loop_for_queue(loop: AbstractEventLoop | None) -> AbstractEventLoop:
    """The loop of a coroutine sink with `enqueue=True`, whose thread has none. ValueError: none is given or running."""
    found = running_loop() if loop is None else loop
    if found is None:
        msg = (
            "a coroutine sink with enqueue=True needs an event loop: add it while one is running, or give loop=; "
            "got neither"
        )
        raise ValueError(msg)
    return found


__all__ = ["CoroutineSink", "loop_for_queue", "running_loop"]

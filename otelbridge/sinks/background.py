"""The queue behind `add(enqueue=True)` and AsyncSink: one thread of the process that added the sink writes.

A call takes no lock here that a signal handler, a destructor or a forked child could find taken: the queue is a deque,
and who waits is woken by a lock that only says "look again".
"""

from __future__ import annotations

import sys
import threading
import time
import weakref
from collections import deque
from functools import partial
from itertools import count
from os import getpid, urandom
from typing import TYPE_CHECKING, Any, Literal

from otelbridge.message import Message
from otelbridge.sinks.answers import NAME_SIZE
from otelbridge.sinks.channel import MARK, MESSAGE, QUESTION, open_channel
from otelbridge.sinks.travel import decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from otelbridge.sinks.channel import Channel

CAPACITY = 10_000

# How many messages are written at once, where a sink can.
_BATCH_COUNT = 64
# A caller that waits for room looks this often, should the worker be slow on the way to half of the capacity.
_LOOK_S = 0.01
# A sink that finishes no message in this time may be waiting for what the caller holds (say, a signal handler has
# interrupted it): the caller goes on, and its message waits beyond the capacity. So does a child that waits for it.
_STUCK_S = 5.0
# How long a fork waits for the write under way, lest the child has a sink that is half-way through it.
_FORK_WAIT_S = 1.0
# How long the worker lets go of its lock when a fork waits for that.
_GIVE_WAY_S = 0.001


class Background:
    """Writes messages in the order of their `put`, on a daemon thread that the first of them starts (features.md 1.16).

    In the process that made it messages are handed over as they are. Its children send theirs to it: those that are
    forked (call `before_fork`, `after_fork_parent` and `after_fork_child` around each fork), and those that are spawned
    with the Background among their arguments; unpicklable values as their repr, exceptions without their traceback.

    sink_write: writes one message; called by one thread at a time. on_error: told of what it raises, inside `except`,
    with the message (None: it could not be read from a child). sink_write_many: writes several at once, or raises for
    all of them; for sinks where that is cheaper. capacity: how many messages may wait.
    overflow: what happens to one more: "block" lets its caller wait, "drop" counts it in `dropped`.
    context: see `check_context`. is_strict: messages are pickled within the process too, and what cannot be pickled
    raises from `put`, as in loguru.
    ValueError, TypeError: a mistake in one of them.
    """

    def __init__(
        self,
        sink_write: Callable[[Message], object] | None,
        *,
        on_error: Callable[[Message | None], object],
        sink_write_many: Callable[[list[Message]], object] | None = None,
        capacity: int = CAPACITY,
        overflow: Literal["block", "drop"] = "block",
        context: Any = None,
        is_strict: bool = False,
    ) -> None:
        if not isinstance(capacity, int) or capacity < 1:
            msg = f"capacity must be an int from 1 on, got {capacity!r}"
            raise ValueError(msg)
        if overflow not in ("block", "drop"):
            msg = f"overflow must be 'block' or 'drop', got {overflow!r}"
            raise ValueError(msg)
        check_context(context)
        self.on_error = on_error
        self._sink_write = sink_write or bool
        self._sink_write_many = sink_write_many
        self._has_sink = sink_write is not None
        self._capacity = capacity
        self._drops = overflow == "drop"
        self._is_strict = is_strict
        self._is_stopped = False
        self._parent: Channel | None = None  # who writes, if not this process
        self._children: Channel | None = None  # who sends to this process
        self._renew()

    def _renew(self) -> None:
        """What belongs to the threads of a process."""
        self._pid = getpid()
        self._messages: deque[Any] = deque()
        self._work = _Wakeup()
        self._needs_wakeup = self._work.is_awaited
        self._room = _Wakeup()
        self._is_full = False
        self._starting = threading.Lock()
        self._writing = threading.RLock()  # a write is under way: forks wait for its end
        self._forks: list[int] = []  # threads that wait for that
        self._holders: set[int] = set()  # threads that keep the worker from writing, as they fork
        self._worker: threading.Thread | None = None
        self._reader: threading.Thread | None = None
        self._marks: dict[bytes, _Mark] = {}
        self._mark_numbers = count()
        self._counting = threading.RLock()
        self._written = 0
        self.dropped = 0

    # --- putting -----------------------------------------------------------------------------------------------

    def put(self, message: Message) -> None:
        """Hand a message over."""
        if getpid() != self._pid:
            self.after_fork_child()
        if self._parent is not None:
            self._send(message)
            return
        if self._drops and len(self._messages) >= self._capacity:
            self._drop()
            return
        self._messages.append(encode(message, lenient=False) if self._is_strict else message)
        if self._needs_wakeup():
            self._wake()
        if len(self._messages) > self._capacity:
            self._wait_for_room()

    def _wake(self) -> None:
        if self._worker is None:
            self._start()  # a worker begins with what waits
        else:
            self._work.wake()

    def _start(self) -> None:
        if self._is_stopped:
            while self._messages:
                self._messages.popleft()
                self._drop()
            return
        if not self._starting.acquire(blocking=False):  # another call is at it
            return
        try:
            if self._worker is None:
                self._worker = threading.Thread(target=self._run, name="otelbridge-writer", daemon=True)
                self._worker.start()
                _complete_at_child_exit(self)
        except RuntimeError:  # the interpreter ends, and starts no thread any more
            self._worker = None
            self._write_waiting()
        finally:
            self._starting.release()

    def _wait_for_room(self) -> None:
        if self._worker is None or self._is_worker():
            return
        progress = _Progress(self)
        while len(self._messages) > self._capacity and progress.idle_s() < _STUCK_S:
            self._is_full = True
            self._room.wait(_LOOK_S)

    def _drop(self) -> None:
        with self._counting:
            self.dropped += 1

    # --- writing -----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        worker = threading.current_thread()
        while self._worker is worker:  # not so after a fork within a write, which has made this a thread of the child
            try:
                self._write_waiting()
                if self._worker is worker:
                    self._work.wait()
            except BaseException:  # one that another thread has raised in this one
                continue

    def _write_waiting(self) -> None:
        while self._messages:
            if self._forks:
                time.sleep(_GIVE_WAY_S)
            with self._writing:
                self._write_some()

    def _write_some(self) -> None:
        """Write until nothing waits, or a fork does."""
        messages, half, many = self._messages, self._capacity // 2, self._sink_write_many
        message: Any = None
        while messages and not self._forks:
            if many is not None and len(messages) > 1 and (batch := _take_batch(messages)):
                self._write_batch(many, batch)
                if self._is_full:
                    self._wake_caller(half)
                continue
            try:
                message = messages.popleft()
                if type(message) is Message:
                    self._sink_write(message)
                elif type(message) is _Mark:
                    self._reach(message)
                else:
                    data, message = message, None  # which is what on_error is told of a message that is none
                    message = decode(data, lenient=not self._is_strict)
                    self._sink_write(message)
            except BaseException:  # whatever a sink does, the next message is written
                self._report(message)
            self._written += 1
            if self._children is not None:
                self._children.answers.progress(self._written)
            if self._is_full:
                self._wake_caller(half)

    def _wake_caller(self, half: int) -> None:
        if len(self._messages) <= half:
            self._is_full = False
            self._room.wake()

    def _write_batch(self, write_many: Callable[[list[Message]], object], batch: list[Message]) -> None:
        try:
            write_many(batch)
        except BaseException:
            for message in batch:
                self._report(message)
        self._written += len(batch)
        if self._children is not None:
            self._children.answers.progress(self._written)

    def _report(self, message: Message | None) -> None:
        try:
            self.on_error(message)
        except BaseException:  # nobody is left to tell
            return

    def _reach(self, mark: _Mark) -> None:
        if mark.is_end:
            self._is_stopped = True
            self._worker = None
        mark.reached.wake()
        if mark.then is not None:
            mark.then()

    def _is_worker(self) -> bool:
        worker = self._worker
        return worker is not None and worker.ident == threading.get_ident()

    # --- waiting -----------------------------------------------------------------------------------------------

    def complete(self) -> None:
        """Return when everything put before is written, also what children had sent.

        In a child: when its parent has written what the child had sent, unless that is gone, or finishes no message in
        five seconds. Returns at once on the thread that writes.
        """
        if getpid() != self._pid:
            self.after_fork_child()
        if self._is_stopped or self._is_worker():
            return
        if self._parent is not None:
            self._wait_for_parent(self._parent)
            return
        if self._reader is not None and threading.get_ident() != self._reader.ident:
            self._wait_for_children(_Mark(), None)
        if self._worker is None and self._messages:
            self._wake()
        self._wait_for_worker(_Mark(), None)

    def stop(self, *, stuck_s: float | None = None, then: Callable[[], object] | None = None) -> bool:
        """Write what waits, end the threads, and call `then`; messages that are put later are dropped.

        On the thread that writes (a sink removes itself) it returns before that, and `then` is called when the rest is
        written. In a child nothing is written, and `then` is not called: the sink is the parent's.
        stuck_s: give up when no message was finished in that time, and return False.
        """
        if getpid() != self._pid:
            self.after_fork_child()
        if self._is_stopped:
            return True
        if self._parent is not None:
            self._is_stopped = True
            return True
        if self._is_worker():
            self._messages.append(_Mark(is_end=True, then=then))
            return True
        if self._reader is not None and not self._wait_for_children(_Mark(is_end=True), stuck_s):
            return False
        worker = self._worker
        if worker is None:
            self._write_waiting()
            self._is_stopped = True
        else:
            if not self._wait_for_worker(_Mark(is_end=True), stuck_s):
                return False
            worker.join(stuck_s)
        if then is not None:
            then()
        return True

    def _wait_for_worker(self, mark: _Mark, stuck_s: float | None) -> bool:
        worker = self._worker
        if worker is None:  # it could not be started: what there was is written
            return True
        self._messages.append(mark)
        self._work.wake()
        return self._wait_for(mark, worker, stuck_s)

    def _wait_for_children(self, mark: _Mark, stuck_s: float | None) -> bool:
        """Wait until everything that children had sent is in the queue; with an end mark, listen no more."""
        channel, reader = self._children, self._reader
        if channel is None or reader is None:
            return True
        progress = _Progress(self)
        while stuck_s is not None and not channel.has_room():
            if progress.idle_s() > stuck_s:
                return False
            time.sleep(_LOOK_S)
        name = str(next(self._mark_numbers)).encode()
        self._marks[name] = mark
        channel.send(MARK, name)
        return self._wait_for(mark, reader, stuck_s)

    def _wait_for_parent(self, parent: Channel) -> None:
        name = urandom(NAME_SIZE)
        try:
            parent.send(QUESTION, name)
        except OSError:  # it is gone, and what it had not written with it
            return
        parent.answers.wait(name, parent.is_read, _STUCK_S)

    def _wait_for(self, mark: _Mark, thread: threading.Thread, stuck_s: float | None) -> bool:
        progress = _Progress(self)
        while not mark.reached.wait(0.1):
            if not thread.is_alive():
                return mark.reached.wait(0)
            if stuck_s is not None and progress.idle_s() > stuck_s:
                return False
        return True

    # --- children ----------------------------------------------------------------------------------------------

    def before_fork(self, timeout_s: float = _FORK_WAIT_S) -> None:
        """Be ready for messages of the child, and let no write be under way, should that end within the time."""
        if self._is_stopped or self._parent is not None:
            return
        self._open_for_children()
        ident = threading.get_ident()
        self._forks.append(ident)
        if self._writing.acquire(timeout=timeout_s):
            self._holders.add(ident)
        self._forks.remove(ident)

    def after_fork_parent(self) -> None:
        """Listen to the child, and write again."""
        self._let_go()
        self._listen()

    def after_fork_child(self) -> None:
        """Send messages to the parent. Without a way to it, write them here.

        A fork that nobody announced, as one in C, is noticed at the next call.
        """
        is_whole = threading.get_ident() in self._holders or self._worker is None
        self._messages.clear()  # the parent writes them
        self._renew()
        if self._parent is None:
            self._parent, self._children = self._children, None
        if self._parent is not None:
            self._parent.forget_reader()
            self._has_sink = self._has_sink and is_whole

    def _let_go(self) -> None:
        if threading.get_ident() in self._holders:
            self._holders.discard(threading.get_ident())
            self._writing.release()

    def _open_for_children(self) -> None:
        if self._children is None:
            try:
                self._children = open_channel()
            except OSError:  # no descriptor is left: the child will write by itself
                return

    def _listen(self) -> None:
        channel = self._children
        if channel is None or self._reader is not None or self._is_stopped:
            return
        try:
            self._reader = threading.Thread(target=self._read, args=(channel,), name="otelbridge-reader", daemon=True)
            self._reader.start()
        except RuntimeError:  # the interpreter ends: the child will write by itself
            self._reader = self._children = None
            channel.close_reader()

    def _read(self, channel: Channel) -> None:
        try:
            for kind, data in channel.frames():
                if kind == MESSAGE:
                    self._take(data)
                    continue
                if kind == QUESTION:
                    self._append(_Mark(then=partial(channel.answers.answer, data)))
                    continue
                mark = self._marks.pop(data)
                mark.reached.wake()
                if mark.is_end:
                    return
        finally:
            channel.close_reader()

    def _take(self, data: bytes) -> None:
        if self._drops and len(self._messages) >= self._capacity:
            self._drop()
            return
        self._append(data)
        self._wait_for_room()

    def _append(self, given: bytes | _Mark) -> None:
        self._messages.append(given)
        if self._needs_wakeup():
            self._wake()

    def _send(self, message: Message) -> None:
        """Send a message to the parent, or take over from a parent that is gone."""
        parent = self._parent
        if parent is None or self._is_stopped:
            self._drop()
            return
        if self._drops and not parent.has_room():
            self._drop()
            return
        data = encode(message, lenient=not self._is_strict)
        try:
            parent.send(MESSAGE, data)
        except OSError:
            if not self._has_sink:
                self._drop()
                return
            self._parent = None
            self.put(message)

    def __reduce__(self) -> tuple[Any, ...]:
        from multiprocessing.context import assert_spawning

        assert_spawning(self)  # RuntimeError: pickled for anything but a process that is being started
        if self._parent is None:
            self._open_for_children()
            self._listen()
        return _inherit, (self._parent or self._children, self._capacity, self._drops, self._is_strict)


def _take_batch(messages: deque[Any]) -> list[Message]:
    """Messages from the front, up to one that is none."""
    batch: list[Message] = []
    while messages and type(messages[0]) is Message and len(batch) < _BATCH_COUNT:
        batch.append(messages.popleft())
    return batch


class _Wakeup:
    """One thread waits, any may wake it: before it waits too, and more than once."""

    __slots__ = ("_lock", "is_awaited")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        # True until somebody calls `wake`.
        self.is_awaited = self._lock.locked

    def wake(self) -> None:
        """End the wait, or the next one."""
        try:
            self._lock.release()
        except RuntimeError:  # another thread was quicker
            return

    def wait(self, timeout_s: float = -1) -> bool:
        """Wait to be woken; False when it took too long."""
        return self._lock.acquire(timeout=timeout_s)


class _Mark:
    """A place in the queue that somebody waits for."""

    __slots__ = ("is_end", "reached", "then")

    def __init__(self, *, is_end: bool = False, then: Callable[[], object] | None = None) -> None:
        self.is_end = is_end
        self.then = then
        self.reached = _Wakeup()


class _Progress:
    """How long a worker has finished nothing."""

    def __init__(self, background: Background) -> None:
        self._background = background
        self._written = background._written
        self._since_s = time.monotonic()

    def idle_s(self) -> float:
        """Seconds since the last message that was seen to be finished."""
        now_s = time.monotonic()
        if self._background._written != self._written:
            self._written, self._since_s = self._background._written, now_s
        return now_s - self._since_s


def check_context(context: Any) -> Any:
    """What `add(context=…)` names: None, a start method, or a multiprocessing context (which is returned).

    Children reach a Background whatever started them. TypeError, ValueError: it is none of these.
    """
    if context is None:
        return None
    import multiprocessing
    from multiprocessing.context import BaseContext

    if isinstance(context, str):
        return multiprocessing.get_context(context)
    if isinstance(context, BaseContext):
        return context
    kind = type(context).__name__
    msg = f"context must be a start method's name, a multiprocessing context or None, got {context!r} of type {kind!r}"
    raise TypeError(msg)


def _inherit(parent: Channel | None, capacity: int, drops: bool, is_strict: bool) -> Background:
    background = Background(
        None, on_error=bool, capacity=capacity, overflow="drop" if drops else "block", is_strict=is_strict
    )
    background._parent = parent
    background._is_stopped = parent is None
    return background


def _complete_at_child_exit(background: Background) -> None:
    """Children of multiprocessing leave past atexit: one that has a worker of its own lets it finish first."""
    process = sys.modules.get("multiprocessing.process")
    if process is None or process.parent_process() is None:
        return
    from multiprocessing.util import Finalize

    reference = weakref.ref(background)

    def complete() -> None:
        found = reference()
        if found is not None:
            found.complete()

    Finalize(background, complete, exitpriority=0)

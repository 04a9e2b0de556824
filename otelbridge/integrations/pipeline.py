"""A bounded queue between `logging` and handlers that may be slow, tied to an app's lifespan (features.md 4.10).

The standard library's QueueHandler and QueueListener do the same with a queue that knows no end. Which handlers, its
user says: a `JsonHTTPHandler`, a RotatingFileHandler, any; those that the environment asks for are `chosen_sinks`'.
"""

from __future__ import annotations

import asyncio
import atexit
import copy
import logging
import os
import queue
import threading
import weakref
from collections.abc import Iterator
from time import monotonic
from typing import Any, Self

from otelbridge._export import report_once
from otelbridge.access import backends
from otelbridge.access.asgi import ASGIApp, Message, Receive, Scope, Send
from otelbridge.access.lifespan import serve_lifespan
from otelbridge.access.options import interface_of
from otelbridge.access.stdlib import LOGGER, leads_back

CAPACITY = 10_000
THREAD_NAME = "otelbridge-pipeline"
STOP_TIMEOUT_S = 5.0

_EXIT_TIMEOUT_S = 2.0
# After these the server goes on to end: what waits must have gone.
_ENDS = ("lifespan.startup.failed", "lifespan.shutdown.complete", "lifespan.shutdown.failed")


class LogPipeline:
    """Hands what a logger of `logging` gets to handlers, on a thread of its own: who logs never waits for them.

        pipeline = LogPipeline(JsonHTTPHandler("localhost:9000"))
        app = pipeline.around(otelbridge.instrument(app))

    handlers: each gets the records from its own level on, in order; what one raises is counted in `failed`, reported
        once, and nobody else's trouble. One that has `handle_batch(records)` gets several at once.
    logger: whose records; a name or a `logging.Logger`. level: if that logger takes no records of this level, it does
        until `stop`.
    capacity: how many records may wait. One more is counted in `dropped`, reported once, and lost.
    batch_size, batch_delay_s: up to so many records are taken together, and so long is waited for more.
    TypeError, ValueError: a mistake in one of them.

    Records are made ready where they are logged (message and traceback are text by then). A forked child begins with an
    empty queue and a thread of its own. At exit what waits is handed over, for 2 s at most.
    """

    def __init__(
        self,
        handler: logging.Handler,
        *more: logging.Handler,
        logger: str | logging.Logger = LOGGER,
        level: int = logging.INFO,
        capacity: int = CAPACITY,
        batch_size: int = 1,
        batch_delay_s: float = 0.0,
    ) -> None:
        self._handlers = (handler, *more)
        _check(self._handlers, logger, capacity, batch_size)
        self._logger = logging.getLogger(logger) if isinstance(logger, str) else logger
        self._level = level
        self._capacity = capacity
        self._batch_size = batch_size
        self._batch_delay_s = batch_delay_s
        self._intake = _Intake(self._put)
        self._is_started = False
        self._levels: tuple[int, int] | None = None  # of the logger: before `start`, and since
        self._renew()

    def _renew(self) -> None:
        """What belongs to a process."""
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._work = _Work()
        self.dropped = 0
        self.failed = 0

    # --- from start to stop ------------------------------------------------------------------------------------

    def start(self) -> None:
        """Take records from now on; the thread is started by the first. Again: nothing happens."""
        with self._lock:
            if self._is_started:
                return
            self._is_started = True
            if not self._logger.isEnabledFor(self._level):
                self._levels = self._logger.level, self._level
                self._logger.setLevel(self._level)
            self._logger.addHandler(self._intake)
            _running.add(self)
            _hook()

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """Take no more records, hand over those that wait, flush the handlers (they are not closed).

        False: a handler took longer than `timeout_s`; what waited behind it is counted in `dropped`. May be started
        again.
        """
        with self._lock:
            if not self._is_started:
                return True
            self._is_started = False
            _running.discard(self)
            self._logger.removeHandler(self._intake)
            if self._levels is not None and self._logger.level == self._levels[1]:
                self._logger.setLevel(self._levels[0])
            self._levels = None
            with self._intake.between_records():
                work, self._work = self._work, _Work()
        if self._pid != os.getpid() or work.thread is None:
            return True
        work.waiting.put(None)
        if work.is_this_thread():
            return True
        work.thread.join(timeout_s)
        if not work.thread.is_alive():
            return True
        work.is_given_up = True
        if work.handler is not None:
            # The thread holds its lock, for which `logging` would wait at exit without an end.
            work.handler.createLock()
        self._drop(sum(isinstance(item, logging.LogRecord) for item in _rest(work.waiting)))
        report_once("stopping a log pipeline", TimeoutError(f"a handler took longer than {timeout_s} s"))
        return False

    def flush(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """Wait until what was logged before has been handed over, and the handlers flushed; False: it took too long."""
        work = self._work
        if self._pid != os.getpid() or work.thread is None or work.is_this_thread():
            return True
        done = threading.Event()
        work.waiting.put(done)
        return done.wait(timeout_s)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return `app`, with this started before the app's startup and stopped after its shutdown.

        An app that knows no lifespan will do. TypeError: it is no ASGI app; call `start` and `stop` yourself.
        """
        if interface_of(app) != "asgi":
            msg = f"app must be an ASGI 3 application `async def app(scope, receive, send)`, got {app!r}"
            raise TypeError(msg)
        return _Around(app, self)

    # --- records -----------------------------------------------------------------------------------------------

    def _put(self, record: logging.LogRecord) -> None:
        """Take a record; called under the intake's lock. Never waits."""
        if self._pid != os.getpid():
            self._renew()
        work = self._work
        if work.is_this_thread():
            return  # a handler logs: that would never end
        if not self._is_started or work.waiting.qsize() >= self._capacity:
            self._drop(1)
            report_once("a log pipeline", OverflowError(f"more than {self._capacity} records waited, one was lost"))
            return
        work.waiting.put(_ready(record))
        if work.thread is None:
            self._start_thread(work)

    def _start_thread(self, work: _Work) -> None:
        work.thread = threading.Thread(target=self._serve, args=(work,), name=THREAD_NAME, daemon=True)
        try:
            work.thread.start()
        except RuntimeError:  # Python has begun to end, and makes no threads: then this one does the work
            work.thread = None
            self._hand_over([item for item in _rest(work.waiting) if isinstance(item, logging.LogRecord)], work)

    def _serve(self, work: _Work) -> None:
        is_last = False
        while not is_last and not work.is_given_up:
            batch, marker, is_last = self._gather(work.waiting)
            self._hand_over(batch, work)
            if marker is not None or is_last:
                self._flush_handlers()
            if marker is not None:
                marker.set()

    def _gather(self, waiting: queue.SimpleQueue[Any]) -> tuple[list[logging.LogRecord], threading.Event | None, bool]:
        """Wait for the next records; return them, who waits for them, and whether they are the last."""
        batch: list[logging.LogRecord] = []
        item = waiting.get()
        deadline = monotonic() + self._batch_delay_s
        while isinstance(item, logging.LogRecord):
            batch.append(item)
            if len(batch) >= self._batch_size:
                return batch, None, False
            try:
                item = waiting.get(timeout=max(deadline - monotonic(), 0))
            except queue.Empty:
                return batch, None, False
        return batch, item, item is None

    def _hand_over(self, batch: list[logging.LogRecord], work: _Work) -> None:
        for handler in self._handlers:
            work.handler = handler
            wanted = [record for record in batch if _takes(handler, record)]
            handle_batch = getattr(handler, "handle_batch", None)
            if handle_batch is not None:
                self._try(handle_batch, wanted, len(wanted))
                continue
            for i, record in enumerate(wanted):
                if work.is_given_up:
                    self._drop(len(wanted) - i)
                    break
                self._try(handler.handle, record, 1)

    def _try(self, handle: Any, what: object, count: int) -> None:
        if not count:
            return
        try:
            handle(what)
        except BaseException as error:  # also what would end the thread: records go on to come
            self.failed += count
            report_once(
                f"the handler {type(handle.__self__).__name__} of a log pipeline",
                error if isinstance(error, Exception) else RuntimeError(type(error).__name__),
            )

    def _flush_handlers(self) -> None:
        for handler in self._handlers:
            try:
                handler.flush()
            except Exception as error:
                report_once(f"flushing {type(handler).__name__}", error)

    def _drop(self, count: int) -> None:
        self.dropped += count


class _Work:
    """What a thread has before it: records, flushes that wait (Events), and None as the end."""

    def __init__(self) -> None:
        # By its module: gevent may have replaced it since.
        self.waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.thread: threading.Thread | None = None
        self.handler: logging.Handler | None = None  # that is at work
        self.is_given_up = False

    def is_this_thread(self) -> bool:
        """Whether the caller is the thread that does the work."""
        return self.thread is not None and self.thread.ident == threading.get_ident()


class _Intake(logging.Handler):
    """Stands on the logger, and passes records on at once."""

    def __init__(self, put: Any) -> None:
        super().__init__()
        self._put = put

    def emit(self, record: logging.LogRecord) -> None:
        """Pass a record on. Raises nothing."""
        try:
            self._put(record)
        except Exception as error:
            report_once("a log pipeline", error)

    def between_records(self) -> Any:
        """A block in which no record is on its way in."""
        return self.lock


class _Around:
    """An ASGI app whose lifespan is a pipeline's; unknown attributes are the app's."""

    def __init__(self, app: ASGIApp, pipeline: LogPipeline) -> None:
        self.app = app
        self._pipeline = pipeline

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return

        async def stop_and_send(message: Message) -> None:
            if message["type"] in _ENDS:
                await _off_the_loop(self._pipeline.stop)
            await send(message)

        self._pipeline.start()
        await serve_lifespan(self.app, scope, receive, stop_and_send)

    def __getattr__(self, name: str) -> Any:
        if name == "app" or name.startswith("__"):  # there is nothing yet while it is copied
            raise AttributeError(name)
        return getattr(self.app, name)


async def _off_the_loop(stop: Any) -> None:
    try:
        await asyncio.get_running_loop().run_in_executor(None, stop)
    except RuntimeError:  # trio, or a loop that takes no more work: no request is under way that would have to wait
        stop()


def _ready(record: logging.LogRecord) -> logging.LogRecord:
    """Return a copy that holds no object of the caller's call: its message and traceback are text."""
    made = copy.copy(record)
    made.msg = made.message = record.getMessage()
    made.args = None
    if record.exc_info and not record.exc_text:
        made.exc_text = logging.Formatter().formatException(record.exc_info)
    made.exc_info = None
    return made


def _takes(handler: logging.Handler, record: logging.LogRecord) -> bool:
    """Whether it wants the record; what is ours, and was sent already, does not come back to us."""
    if record.levelno < handler.level:
        return False
    return record.name.partition(".")[0] != "otelbridge" or not leads_back(handler, record.levelno)


def _rest(waiting: queue.SimpleQueue[Any]) -> Iterator[Any]:
    while True:
        try:
            yield waiting.get_nowait()
        except queue.Empty:
            return


def _check(handlers: tuple[Any, ...], logger: Any, capacity: Any, batch_size: Any) -> None:
    for handler in handlers:
        if not isinstance(handler, logging.Handler):
            msg = f"handlers must be logging.Handlers, got {handler!r}"
            raise TypeError(msg)
    if not isinstance(logger, str | logging.Logger):
        msg = f"logger must be a name or a logging.Logger, got {logger!r}"
        raise TypeError(msg)
    for name, count in (("capacity", capacity), ("batch_size", batch_size)):
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            msg = f"{name} must be an int from 1 on, got {count!r}"
            raise ValueError(msg)


# --- the end of the process ----------------------------------------------------------------------------------------

_running: weakref.WeakSet[LogPipeline] = weakref.WeakSet()
_hooked: list[bool] = []


def _hook() -> None:
    """Hand over what waits when the process ends, in each of the ways in which it may."""
    if _hooked:
        return
    _hooked.append(True)
    atexit.register(_stop_all)
    backends.before_end(_flush_all)
    from multiprocessing import parent_process, util

    # Children of multiprocessing leave by os._exit, past atexit.
    def at_child_exit(_anchor: object = None) -> None:
        util.Finalize(None, _stop_all, exitpriority=10)

    util.register_after_fork(_running, at_child_exit)
    if parent_process() is not None:
        at_child_exit()


def _stop_all() -> None:
    deadline = monotonic() + _EXIT_TIMEOUT_S
    for pipeline in list(_running):
        pipeline.stop(max(deadline - monotonic(), 0))


def _flush_all() -> None:
    deadline = monotonic() + _EXIT_TIMEOUT_S
    for pipeline in list(_running):
        pipeline.flush(max(deadline - monotonic(), 0))


__all__ = ["CAPACITY", "STOP_TIMEOUT_S", "LogPipeline"]

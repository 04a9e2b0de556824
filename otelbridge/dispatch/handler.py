"""One `add()`: decides whether a record is wanted, renders it, and is where a sink's errors land."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from otelbridge.departures import strict
from otelbridge.dispatch.errors import SinkErrors
from otelbridge.dispatch.filters import Unless
from otelbridge.dispatch.render import PLAIN, How, Renderer
from otelbridge.message import Message, make_message
from otelbridge.sinks.console import StreamSink

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from otelbridge._native import Event
    from otelbridge.dispatch.filters import Filter
    from otelbridge.dispatch.target import Sink
    from otelbridge.sinks.background import Background


_REUSED = (
    "deadlock avoided: a sink, a signal handler or a __del__ method used the handler that was writing; "
    "do not log from there, or add the sink with enqueue=True"
)


class _ParentsSink:
    """Stands for a sink of the parent process."""

    def __init__(self, name: str) -> None:
        self._name = name

    def write(self, message: Message) -> None:
        """Nothing is written here."""

    def stop(self) -> None:
        """Nor stopped."""

    def __repr__(self) -> str:
        return self._name


class Handler:
    """A level, a filter, a rendering and a sink. Writes under its own lock, or through a queue of its own."""

    def __init__(
        self,
        handler_id: int,
        sink: Sink,
        renderer: Renderer,
        *,
        level_no: int,
        level_name: str,
        filter: Filter | None,  # noqa: A002 -- loguru's name
        catch: bool,
        errors: SinkErrors,
        background: Background | None = None,
    ) -> None:
        self.handler_id = handler_id
        self.level_no = level_no
        self.level_name = level_name
        self.sink = sink
        self.renderer = renderer
        self.errors = errors
        self.count = 0
        self._filter = filter
        self._catch = catch
        self._background = background
        self._stopped = False
        self._bind()
        self.renew_lock()

    def _bind(self) -> None:
        """What each record needs, at hand."""
        self._render = self.renderer.render
        self._sink_write = getattr(self.sink, "write_rendered", None) or self.sink.write
        self._write = self._write_now if self._background is None else self._write_later

    def renew_lock(self) -> None:
        """A lock of this process: in a forked child the old one may be held by a thread that is gone."""
        # Re-entrant, as a signal handler or a destructor may log at any moment while this thread holds it.
        self._lock = threading.RLock()
        self._is_writing = False

    # --- a record ----------------------------------------------------------------------------------------------

    def emit(self, event: Event) -> None:
        """Render and write a plain call; errors are reported on stderr, or raised with catch=False."""
        try:
            if self._filter is not None and not self._filter(event):
                return
            self._write(make_message(self._render(event), event))
        except Exception:
            self._fail(event)
            if not self._catch:
                raise

    def emit_how(self, event: Event, how: How) -> None:
        """The same for a call with options, and for a record that a patcher may have changed."""
        try:
            if self._filter is not None and not self._filter(event):
                return
            self._write(make_message(self.renderer.render_record(event, how), event))
        except Exception:
            self._fail(event)
            if not self._catch:
                raise

    def _write_now(self, message: Message) -> None:
        with self._lock:
            if self._is_writing:
                raise RuntimeError(_REUSED)
            if self._stopped:  # removed while this call was under way
                return
            self._is_writing = True
            try:
                self._sink_write(message)
            finally:
                self._is_writing = False
            self.count += 1
        if self.errors.in_row:
            self.errors.over()

    def _write_later(self, message: Message) -> None:
        if not self._stopped:
            assert self._background is not None  # then it would be the other one
            self._background.put(message)
            self.count += 1

    def _fail(self, event: Event) -> None:
        if self._catch:
            self.errors.tell(event.record)

    # --- what it leaves out ------------------------------------------------------------------------------------

    @property
    def is_filtered(self) -> bool:
        """Whether the user has given it a filter."""
        found = self._filter
        return found is not None and not (isinstance(found, Unless) and found.inner is None)

    @property
    def is_on_terminal(self) -> bool:
        """Whether it writes text for people to one of the process's streams."""
        return repr(self.sink) in ("<stderr>", "<stdout>") and not self.renderer.is_json

    def leave_out(self, name: str, is_left_out: Callable[[], bool]) -> None:
        """Leave out the records of module `name` whenever `is_left_out()` from now on; again: nothing changes."""
        if not isinstance(self._filter, Unless):
            self._filter = Unless(self._filter, name, is_left_out)

    # --- its end, and waiting ----------------------------------------------------------------------------------

    def complete(self) -> None:
        """Wait until what the queue and the sink's buffer hold is written."""
        self._refuse_reuse()
        if self._background is not None:
            self._background.complete()
        flush = getattr(self.sink, "flush", None)
        if flush is not None and not isinstance(self.sink, StreamSink):
            with self._lock:
                flush()

    def awaitable(self) -> Awaitable[object] | None:
        """What a coroutine sink has under way, to be awaited; None for other sinks."""
        complete = getattr(self.sink, "complete", None)
        return None if complete is None else complete()

    @property
    def has_queue(self) -> bool:
        """Whether a thread of its own, or of the parent process, writes."""
        return self._background is not None

    def stop(self, *, stuck_s: float | None = None) -> None:
        """Let the sink finish; nothing is written afterwards. Also from within its own write.

        stuck_s: give the queue up when the sink finishes no message in that time.
        """
        self._refuse_reuse()
        with self._lock:
            self._stopped = True
            background = self._background
        if background is None:
            self.sink.stop()
        else:
            background.stop(stuck_s=stuck_s, then=self.sink.stop)

    def _refuse_reuse(self) -> None:
        """As loguru does, where a sink waits for itself or removes itself."""
        if strict() and self._lock.acquire(blocking=False):
            try:
                if self._is_writing:
                    raise RuntimeError(_REUSED)
            finally:
                self._lock.release()

    # --- forks and copies --------------------------------------------------------------------------------------

    def hold(self, timeout_s: float) -> bool:
        """Before a fork: keep other threads out until `release`; False if a write of theirs takes longer."""
        if not self._lock.acquire(timeout=timeout_s):
            return False
        if self._background is not None:
            self._background.before_fork()
        flush = getattr(self.sink, "flush", None)
        if flush is not None:
            try:
                flush()
            except Exception:  # its next write will tell
                self.errors.count += 0
        return True

    def release(self) -> None:
        """After a fork, in the parent."""
        if self._background is not None:
            self._background.after_fork_parent()
        self._lock.release()

    def renew(self) -> None:
        """After a fork, in the child."""
        self.renew_lock()
        if self._background is not None:
            self._background.after_fork_child()
        renew = getattr(self.sink, "renew", None)
        if renew is not None:
            renew()

    def __getstate__(self) -> dict[str, Any]:
        own = ("_lock", "_is_writing", "_render", "_sink_write", "_write")
        state = {name: value for name, value in self.__dict__.items() if name not in own}
        if self._background is not None:
            state["sink"] = _ParentsSink(repr(self.sink))  # the parent process writes
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._bind()
        self.renew_lock()

    def __repr__(self) -> str:
        return f"(id={self.handler_id}, level={self.level_no}, sink={self.sink!r})"


__all__ = ["PLAIN", "Handler"]

"""Who wants a record? Renders it once for each Python sink, and is the one place where a sink's errors land.

OTLP is no handler: the core (or the user's LoggerProvider) gets its record first, whatever the sinks do.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from otelbridge.sinks.console import StreamSink, is_terminal
from otelbridge.text.markup import compile_markup
from otelbridge.text.sanitise import Inert, inert
from otelbridge.text.tracebacks import safe_render

if TYPE_CHECKING:
    from otelbridge.levels import Level
    from otelbridge.record import Record

DEFAULT_FORMAT = (
    "<green>{time:YYYY-MM-DD HH:mm:ss.SSS}</green> | <level>{level: <8}</level> | "
    "<cyan>{name}</cyan>:<cyan>{function}</cyan>:<cyan>{line}</cyan> - <level>{message}</level>"
)

# Fields other than the message in which a user's text can stand.
_FOREIGN_FIELDS = ("extra", "file", "process", "thread")

# How long a fork waits for writes under way: a pipe that nobody reads must not stop it for ever.
_FORK_WAIT_S = 1.0

Format = str | Callable[["Record"], str]
Filter = Callable[["Record"], bool]


class Message(str):
    """What a callable sink gets: the rendered text, and the record it was rendered from."""

    __slots__ = ("record",)
    record: Record


class Sink(Protocol):
    """Where a handler's messages go."""

    def write(self, message: str, /) -> object:
        """Take one rendered message (a Message)."""

    def stop(self) -> None:
        """Nothing more comes."""


class CallableSink:
    """Calls a function with each message."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[[Message], object]) -> None:
        self._function = function

    def write(self, message: str) -> None:
        """Call the function."""
        self._function(message)  # type: ignore[arg-type]  # a handler writes Messages

    def stop(self) -> None:
        """A function has nothing to stop."""

    def __repr__(self) -> str:
        return f"<function {getattr(self._function, '__name__', type(self._function).__name__)}>"


def make_sink(target: object) -> Sink:
    """The sink for what the user gave to `add`: a stream (has `write`) or a callable."""
    if callable(getattr(target, "write", None)):
        return StreamSink(target)  # type: ignore[arg-type]  # just checked
    if callable(target):
        return CallableSink(target)
    msg = f"sink must be a stream (an object with a write method) or a callable, got {target!r}"
    raise TypeError(msg)


class Handler:
    """One `add()`: a level, a filter, a format and a sink. Renders under its own lock."""

    def __init__(
        self,
        handler_id: int,
        sink: Sink,
        *,
        level_no: int,
        format: Format,  # noqa: A002 -- loguru's name
        filter: Filter | None,  # noqa: A002
        colorize: bool,
        catch: bool,
        level_colors: Callable[[str], str],
    ) -> None:
        self.handler_id = handler_id
        self.level_no = level_no
        self.sink = sink
        self._filter = filter
        self._colorize = colorize
        self._catch = catch
        self._level_colors = level_colors
        self._format = format
        self._stopped = False
        self._wrapped = [n for n in _FOREIGN_FIELDS if not isinstance(format, str) or f"{{{n}" in format]
        self._templates: dict[str, str] = {}
        if isinstance(format, str):
            self._template("")  # a wrong tag raises now
        self.renew_lock()

    def renew_lock(self) -> None:
        """A lock of this process: in a forked child the old one may be held by a thread that is gone."""
        # Re-entrant, as a signal handler or a destructor may log at any moment while this thread holds it.
        self._lock = threading.RLock()
        self._is_writing = False

    def hold(self, timeout_s: float) -> bool:
        """Keep other threads out until `release`; False if a write of theirs takes longer."""
        return self._lock.acquire(timeout=timeout_s)

    def release(self) -> None:
        """Let other threads in again."""
        self._lock.release()

    def forget_colors(self) -> None:
        """A level's colour has changed."""
        self._templates.clear()

    def emit(self, record: Record) -> None:
        """Render and write, if the filter agrees; errors are reported on stderr, or raised with catch=False."""
        try:
            if self._filter is not None and not self._filter(record):
                return
            message = Message(self._render(record))
            message.record = record
            self._write(message)
        except Exception:
            if not self._catch:
                raise
            report_sink_error(self.handler_id, record)

    def stop(self) -> None:
        """Let the sink finish; nothing is written afterwards. Also from within its own write."""
        with self._lock:
            self._stopped = True
            self.sink.stop()

    def _write(self, message: Message) -> None:
        with self._lock:
            if self._is_writing:
                msg = (
                    "a sink logged to its own handler, which would go on for ever; "
                    "do not log from within a sink, a filter or a format"
                )
                raise RuntimeError(msg)
            if self._stopped:  # removed while this call was under way
                return
            self._is_writing = True
            try:
                self.sink.write(message)
            finally:
                self._is_writing = False

    def _render(self, record: Record) -> str:
        fields: dict[str, Any] = {**record, "message": inert(record["message"])}
        for name in self._wrapped:
            fields[name] = Inert(fields[name])
        exception = record["exception"]
        fields["exception"] = "" if exception is None else inert(safe_render(exception))
        if isinstance(self._format, str):
            return self._template(record["level"].name).format_map(fields)
        template = self._format(record)
        color = self._level_colors(record["level"].name) if self._colorize else None
        return compile_markup(template, level_color=color).format_map(fields)

    def _template(self, level_name: str) -> str:
        template = self._templates.get(level_name)
        if template is None:
            assert isinstance(self._format, str)  # a callable has no template
            color = self._level_colors(level_name) if self._colorize else None
            template = compile_markup(self._format, level_color=color) + "\n{exception}"
            self._templates[level_name] = template
        return template


class Handlers:
    """The handlers of the process, by id. Adding and removing never disturbs a call that is under way."""

    def __init__(self, on_change: Callable[[], object]) -> None:
        self._on_change = on_change
        self._lock = threading.RLock()
        self._held: dict[int, list[Handler]] = {}
        self._next_id = 0
        self.active: tuple[Handler, ...] = ()

    def add(self, make: Callable[[int], Handler]) -> int:
        """Add the handler that `make` makes of a new id; ids are never used again."""
        with self._lock:
            handler_id = self._next_id
            self._next_id += 1
            handler = make(handler_id)  # may raise: then nothing but the id is gone
            self._publish((*self.active, handler))
        return handler_id

    def remove(self, handler_id: int | None) -> None:
        """Remove one handler, or all with None. ValueError: no such id."""
        with self._lock:
            gone = [h for h in self.active if handler_id is None or h.handler_id == handler_id]
            if handler_id is not None and not gone:
                msg = (
                    f"there is no handler with id {handler_id}; those that exist: {[h.handler_id for h in self.active]}"
                )
                raise ValueError(msg)
            self._publish(tuple(h for h in self.active if h not in gone))
        for handler in gone:
            handler.stop()

    def hold(self) -> None:
        """Before a fork: no thread is inside a stream, whose own lock would never be free again in the child."""
        held = self._held.setdefault(threading.get_ident(), [])
        deadline_s = time.monotonic() + _FORK_WAIT_S
        for handler in self.active:
            if handler.hold(max(0.0, deadline_s - time.monotonic())):
                held.append(handler)

    def release(self) -> None:
        """After a fork, in the parent."""
        for handler in self._held.pop(threading.get_ident(), ()):
            handler.release()

    def renew(self) -> None:
        """After a fork, in the child: fresh locks; a sink that was stuck in a write of another thread is given up."""
        held = self._held.get(threading.get_ident(), [])
        self.active = tuple(h for h in self.active if h in held)
        self._held = {}
        self._lock = threading.RLock()
        for handler in self.active:
            handler.renew_lock()
        self._on_change()

    def forget_colors(self) -> None:
        """A level's colour has changed."""
        for handler in self.active:
            handler.forget_colors()

    def _publish(self, handlers: tuple[Handler, ...]) -> None:
        self.active = handlers
        self._on_change()


def make_handler(
    handler_id: int,
    target: object,
    *,
    level: Level,
    format: Format,  # noqa: A002
    filter: Filter | None,  # noqa: A002
    colorize: bool | None,
    catch: bool,
    level_colors: Callable[[str], str],
) -> Handler:
    """Check what the user gave to `add`, and make the handler. Says what, expected and got."""
    sink = make_sink(target)
    if not isinstance(format, str) and not callable(format):
        msg = f"format must be a str or a callable(record), got {format!r}"  # type: ignore[unreachable]
        raise TypeError(msg)
    if filter is not None and not callable(filter):
        msg = f"filter must be a callable(record) or None, got {filter!r}"  # type: ignore[unreachable]
        raise TypeError(msg)
    return Handler(
        handler_id,
        sink,
        level_no=level.no,
        format=format,
        filter=filter,
        colorize=is_terminal(target) if colorize is None else colorize,
        catch=catch,
        level_colors=level_colors,
    )


def report_sink_error(handler_id: int, record: Record) -> None:
    """Say on stderr that a sink failed, with its traceback. Never raises, never logs."""
    stream = sys.stderr
    if stream is None:
        return
    try:
        head = f"--- otelbridge: handler #{handler_id} could not write a record ---\nrecord was: {_summary(record)}\n"
        stream.write(inert(head + traceback.format_exc()) + "--- end of report ---\n")
    except Exception:  # stderr itself is broken: there is nobody left to tell
        return


def _summary(record: Record) -> str:
    try:
        return f"{record['level'].name} {record['name']}:{record['function']}:{record['line']} {record['message']!r}"
    except Exception as error:
        return f"<record could not be shown: {type(error).__name__}>"


__all__ = ["DEFAULT_FORMAT", "Handler", "Handlers", "Message", "make_handler"]

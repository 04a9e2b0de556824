"""The handlers of one family of loggers, by id; and what `add()` makes of its arguments."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from otelbridge.departures import strict
from otelbridge.dispatch.errors import SinkErrors
from otelbridge.dispatch.filters import make_filter
from otelbridge.dispatch.handler import Handler
from otelbridge.dispatch.render import PRESETS, How, Renderer, Rendering
from otelbridge.dispatch.target import Target, make_target

if TYPE_CHECKING:
    from otelbridge._native import Event
    from otelbridge.levels import Level
    from otelbridge.message import Message

# How long a fork waits for writes under way: a pipe that nobody reads must not stop it for ever.
_FORK_WAIT_S = 1.0


class Handlers:
    """Adding and removing never disturbs a call that is under way."""

    def __init__(self) -> None:
        self.on_change: Callable[[], object] = bool  # told of every change
        self._lock = threading.RLock()
        self._held: dict[int, list[Handler]] = {}
        self._next_id = 0
        self.active: tuple[Handler, ...] = ()

    @property
    def level_no(self) -> int | None:
        """The lowest level that any of them wants; None without any."""
        return min((handler.level_no for handler in self.active), default=None)

    def deliver(self, event: Event) -> None:
        """Give a plain call to each handler that wants its level."""
        level_no = event.level.no
        for handler in self.active:
            if level_no >= handler.level_no:
                handler.emit(event)

    def deliver_how(self, event: Event, how: How) -> None:
        """Give a call with options, or a patched record."""
        level_no = event.level.no
        for handler in self.active:
            if level_no >= handler.level_no:
                handler.emit_how(event, how)

    def deliver_below(self, event: Event, how: How) -> None:
        """Give a call to the handlers that its level alone keeps it from."""
        level_no = event.level.no
        for handler in self.active:
            if level_no < handler.level_no:
                handler.emit_how(event, how)

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
                ids = [handler.handler_id for handler in self.active]
                msg = f"There is no existing handler with id {handler_id}; those that exist: {ids}"
                raise ValueError(msg)
        for handler in gone:
            with self._lock:
                self._publish(tuple(h for h in self.active if h is not handler))
            handler.stop()

    def stop_all(self, stuck_s: float) -> None:
        """At exit: remove all, whatever one of them raises."""
        for handler in self.active:
            self._publish(tuple(h for h in self.active if h is not handler))
            try:
                handler.stop(stuck_s=stuck_s)
            except Exception:
                handler.errors.tell(None)

    def replace(self, handlers: tuple[Handler, ...], next_id: int) -> None:
        """Take over handlers that come from another process or family."""
        with self._lock:
            self._next_id = max(self._next_id, next_id)
            self._publish(handlers)

    @property
    def next_id(self) -> int:
        """The id that the next handler will have."""
        return self._next_id

    def forget_colors(self) -> None:
        """A level's colour has changed."""
        for handler in self.active:
            handler.renderer.forget_colors()

    # --- forks -------------------------------------------------------------------------------------------------

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
        self.active = tuple(h for h in self.active if h in held or h.has_queue)
        self._held = {}
        self._lock = threading.RLock()
        for handler in self.active:
            handler.renew()
        self.on_change()

    def _publish(self, handlers: tuple[Handler, ...]) -> None:
        self.active = handlers
        self.on_change()


def make_handler(
    handler_id: int,
    sink: object,
    *,
    level: Level,
    find_level: Callable[[str | int], Level],
    level_color: Callable[[str], str],
    format: Any,  # noqa: A002 -- loguru's names
    filter: Any,  # noqa: A002
    colorize: bool | None,
    serialize: Any,
    backtrace: bool,
    diagnose: bool | None,
    enqueue: bool,
    context: Any,
    catch: bool,
    sanitize: bool | None,
    overflow: str,
    options: dict[str, Any],
) -> Handler:
    """Check what the user gave to `add`, and make the handler. Says what, expected and got."""
    wanted = make_filter(filter, find_level)
    errors = SinkErrors(handler_id)

    def on_error(message: Message | None) -> None:
        if not catch and target.is_coroutine:
            raise  # to the event loop's exception handler
        errors.tell(None if message is None else message.record)

    if context is not None:
        from otelbridge.sinks.background import check_context

        check_context(context)
    if overflow not in ("block", "drop"):
        msg = f"overflow must be 'block' or 'drop', got {overflow!r}"
        raise ValueError(msg)
    target = make_target(sink, dict(options), on_error)
    rendering = _rendering(target, format, colorize, serialize, backtrace, diagnose, sanitize)
    renderer = Renderer(rendering, level_color)
    background = None
    if enqueue or target.queue_size is not None:
        from otelbridge.sinks.background import CAPACITY, Background

        if target.is_coroutine:
            from otelbridge.sinks.coroutine import loop_for_queue

            options = {**options, "loop": loop_for_queue(options.get("loop"))}
            target = make_target(sink, options, on_error)
        background = Background(
            target.sink.write,
            on_error=on_error,
            capacity=CAPACITY if target.queue_size is None else target.queue_size,
            overflow=overflow,  # type: ignore[arg-type]  # checked above
            is_strict=strict() and target.queue_size is None,
            sink_write_many=getattr(target.sink, "write_many", None),
        )
    return Handler(
        handler_id,
        target.sink,
        renderer,
        level_no=level.no,
        level_name=level.name,
        filter=wanted,
        catch=catch,
        errors=errors,
        background=background,
    )


def _rendering(
    target: Target,
    format: Any,  # noqa: A002
    colorize: bool | None,
    serialize: Any,
    backtrace: bool,
    diagnose: bool | None,
    sanitize: bool | None,
) -> Rendering:
    if target.serialize is not None and not serialize:
        serialize = target.serialize
    if colorize is None:
        colorize = target.colorize and not serialize
    return Rendering(
        format,
        bool(colorize),
        _serialize(serialize),
        sanitize=not strict() if sanitize is None else bool(sanitize),
        backtrace=bool(backtrace),
        diagnose=(strict() or target.is_terminal) if diagnose is None else bool(diagnose),
        encoding=target.encoding,
        exception_prefix="\n" if target.is_standard else "",
        terminator="" if target.is_standard else "\n",
    )


def _serialize(setting: Any) -> Any:
    if callable(setting) or (isinstance(setting, str) and setting and (setting in PRESETS or not strict())):
        return setting
    return bool(setting)

"""The front end: `logger`, over the core's level methods. Formats nothing, encodes nothing, writes nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from threading import current_thread
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from otelbridge._native import AttrSet, Core, LoggerBase, now_ns
from otelbridge.context import CURRENT, Contextualized
from otelbridge.dispatch import DEFAULT_FORMAT, Filter, Format, Handlers, make_handler
from otelbridge.levels import DEFAULT_LEVELS, Level, severity_number, severity_text
from otelbridge.record import UNKNOWN_SITE, RecordException, Site, make_record
from otelbridge.text.markup import level_ansi
from otelbridge.text.time import local_time
from otelbridge.text.tracebacks import safe_str, wire_parts

if TYPE_CHECKING:
    from types import TracebackType

    from otelbridge.record import Record

    ExcInfo = (
        tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None]
        | tuple[type[BaseException] | None, BaseException | None, TracebackType | None]
    )

ProviderEmitter = Callable[[dict[str, Any]], object]


class Options(NamedTuple):
    """What opt() asks of a call."""

    exception: bool | BaseException | ExcInfo | None = None
    depth: int = 0
    lazy: bool = False


_NO_OPTIONS = Options()
_START_NS = now_ns()


class Logger(LoggerBase):
    """loguru's logger on OpenTelemetry's wire; use the one that otelbridge exports.

    `trace debug info success warning error critical exception log` take `{}`-style templates with positional and
    keyword arguments; the latter become attributes as well. A call whose level nobody wants returns at once.
    """

    # --- sinks -------------------------------------------------------------------------------------------------

    def add(
        self,
        sink: object,
        *,
        level: str | int = "DEBUG",
        format: Format = DEFAULT_FORMAT,  # noqa: A002 -- loguru's names
        filter: Filter | None = None,  # noqa: A002
        colorize: bool | None = None,
        catch: bool = True,
    ) -> int:
        """Add a Python sink and return its id (features.md 1.4, 1.5).

        sink: a stream (has `write`) or a callable, which gets the message as a str with a `record`.
        level: records from this level on. format: markup and `{fields}`, or a callable(record).
        filter: callable(record) -> bool. colorize: None is "on terminals". catch: report errors instead of raising.
        TypeError, ValueError: a mistake in one of them.
        """
        found = _levels.find(level)

        def make(handler_id: int) -> Any:
            return make_handler(
                handler_id,
                sink,
                level=found,
                format=format,
                filter=filter,
                colorize=colorize,
                catch=catch,
                level_colors=_levels.ansi,
            )

        return _handlers.add(make)

    def remove(self, handler_id: int | None = None) -> None:
        """Remove one sink, or all with None (OTLP is none of them). ValueError: no such id."""
        if handler_id is not None and not isinstance(handler_id, int):
            msg = f"handler_id must be an int or None, got {handler_id!r}"  # type: ignore[unreachable]
            raise TypeError(msg)
        _handlers.remove(handler_id)

    # --- levels ------------------------------------------------------------------------------------------------

    def level(self, name: str, no: int | None = None, color: str | None = None, icon: str | None = None) -> Level:
        """Create a level (with `no`), change its colour or icon, or ask for it (features.md 1.3).

        ValueError: an unknown name without `no`, or `no` for a level that exists.
        """
        level = _levels.define(name, no, color, icon)
        _handlers.forget_colors()
        return level

    def enabled_for(self, level: str | int) -> bool:
        """Whether a call of this level reaches OTLP or any sink."""
        return _levels.find(level).no >= core.threshold

    # --- context -----------------------------------------------------------------------------------------------

    def bind(self, /, **values: Any) -> Logger:
        """A child whose records carry `values` as well (features.md 1.18)."""
        merged = {**self._bound.values, **values} if self._bound is not None else values
        return self._copy(AttrSet(merged), self._options)

    def contextualize(self, /, **values: Any) -> Contextualized:
        """`with` block or decorator: all records made inside carry `values`, in this task or thread only.

        Valid `trace_id` and `span_id` (hex or int), `traceparent` (W3C) or `span` (an OpenTelemetry span) become the
        current OpenTelemetry context; a `trace_id` alone marks records only; what is no valid id is an attribute.
        """
        return Contextualized(values)

    def opt(
        self,
        *,
        exception: bool | BaseException | ExcInfo | None = None,
        depth: int = 0,
        lazy: bool = False,
    ) -> Logger:
        """Options for the calls of the logger it returns (features.md 1.20).

        exception: add the traceback of True (the one being handled), an exception, or an exc_info tuple.
        depth: report the caller that many frames further out. lazy: arguments are functions, called if needed.
        """
        return self._copy(self._bound, Options(exception, depth, lazy))

    # --- what other rooms use ----------------------------------------------------------------------------------

    def event(
        self,
        level: str,
        event_name: str,
        body: str,
        attributes: Mapping[str, object],
        *,
        exception: BaseException | None = None,
    ) -> None:
        """Emit an event: a record with a name, and no call site of its own. Never raises.

        Python sinks see `attributes` as extra, below what contextualize set.
        """
        try:
            _emit_event(self, _levels.find(level), event_name, body, attributes, exception)
        except Exception as error:
            _report_once("event", error)

    def set_provider_emitter(self, emitter: ProviderEmitter | None, level_no: int = 0) -> None:
        """Send records from `level_no` on to `emitter(parts)` (the user's LoggerProvider); None: to the core."""
        _provider.emitter = emitter
        _provider.level_no = level_no
        _apply_thresholds()

    def _copy(self, bound: AttrSet | None, options: Options | None) -> Logger:
        copy = type(self)(self._core, bound, options)
        if self.__dict__:
            copy.__dict__.update(self.__dict__)
        return copy

    def __reduce__(self) -> tuple[Any, ...]:
        bound = self._bound
        arguments = type(self), None if bound is None else bound.values, self._options
        return _rebuild, arguments, self.__dict__ or None

    def __repr__(self) -> str:
        return f"<otelbridge.logger handlers={[handler.sink for handler in _handlers.active]!r}>"


def _rebuild(kind: type[Logger], values: dict[str, Any] | None, options: Options | None) -> Logger:
    return kind(core, None if values is None else AttrSet(values), options)


# ------------------------------------------------------------------------------------------------------- a call


def _dispatch(
    caller: Logger, level: str | int, message: Any, args: tuple[Any, ...], kwargs: dict[str, Any], exception: bool
) -> None:
    """The Python way of a call: whatever the core does not do itself. Depth 1 is the caller's frame."""
    found = _levels.find(level)
    if found.no < core.threshold:
        return
    time_ns = now_ns()
    options: Options = caller._options or _NO_OPTIONS
    site = core.site(1 + options.depth)
    if options.lazy:
        args = tuple(value() for value in args)
        kwargs = {name: value() for name, value in kwargs.items()}
    body, template, format_error, interrupt = _format(message, args, kwargs)
    extra: dict[str, Any] = {}
    for attributes in (CURRENT.get(), caller._bound):
        if attributes is not None:
            extra.update(attributes.values)
    extra.update(kwargs)
    error = _exception_of(True if exception else options.exception)
    place = UNKNOWN_SITE if site is None else Site(*site)
    if found.no >= _otlp_level():
        parts = None if error is None or error.type is None else wire_parts(error)
        name = severity_text(found.name, found.no)
        _send(time_ns, found.no, name, body, template, args, format_error, site, parts, extra, None)
    _write(found, lambda: _make_record(time_ns, found, body, place, extra, error))
    if interrupt is not None:
        raise interrupt


def _emit_event(
    caller: Logger,
    level: Level,
    event_name: str,
    body: str,
    attributes: Mapping[str, object],
    exception: BaseException | None,
) -> None:
    if level.no < core.threshold:
        return
    time_ns = now_ns()
    extra: dict[str, Any] = dict(attributes)
    for surrounding in (CURRENT.get(), caller._bound):
        if surrounding is not None:
            extra.update(surrounding.values)
    error = _exception_of(exception)
    if level.no >= _otlp_level():
        parts = None if error is None else wire_parts(error)
        _send(time_ns, level.no, level.name, body, None, (), None, None, parts, extra, event_name)
    site = Site("otelbridge.access", event_name, 0, "access", event_name)
    _write(level, lambda: _make_record(time_ns, level, body, site, extra, error))


def _make_record(
    time_ns: int, level: Level, body: str, site: Site, extra: dict[str, Any], exception: RecordException | None
) -> Record:
    return make_record(local_time(time_ns), time_ns - _START_NS, level, body, site, extra, exception)


def _write(level: Level, make: Callable[[], Record]) -> None:
    """Give the record to each Python sink that wants its level; it is made when the first one does."""
    record = None
    for handler in _handlers.active:
        if level.no >= handler.level_no:
            if record is None:
                record = make()
            handler.emit(record)


def _send(
    time_ns: int,
    level_no: int,
    level_name: str,
    body: str,
    template: str | None,
    args: tuple[Any, ...],
    format_error: str | None,
    site: tuple[str | None, str, int, str, str] | None,
    exception: tuple[str, str, str] | None,
    extra: dict[str, Any],
    event_name: str | None,
) -> None:
    severity = severity_number(level_no)
    if _provider.emitter is None:
        core.emit(time_ns, severity, level_name, body, template, args, format_error, site, exception, extra, event_name)
        return
    attributes: dict[str, Any] = {}
    if template is not None:
        attributes["message.template"] = template
    if args:
        attributes["message.args"] = args
    if format_error is not None:
        attributes["otelbridge.format_error"] = format_error
    if site is not None:
        attributes |= {"code.file.path": site[3], "code.function.name": site[4], "code.line.number": site[2]}
    thread = current_thread()
    attributes |= {"thread.id": thread.ident, "thread.name": thread.name}
    parts = {
        "time_ns": time_ns,
        "severity_number": severity,
        "severity_text": level_name,
        "body": body,
        "attributes": attributes | _visible(extra),
        "event_name": event_name,
        "exception": exception,
    }
    try:
        _provider.emitter(parts)
    except Exception as error:
        _report_once("provider", error)


def _visible(extra: dict[str, Any]) -> dict[str, Any]:
    """Without the ids that are id fields of the record."""
    surrounding = CURRENT.get()
    if surrounding is None or not surrounding.hidden:
        return extra
    hidden = {name: surrounding.values[name] for name in surrounding.hidden}
    return {name: value for name, value in extra.items() if name not in hidden or hidden[name] is not value}


def _format(
    message: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[str, str | None, str | None, BaseException | None]:
    """(body, template if it differs, what was wrong with it, an interrupt to raise when the record is out)."""
    template = message if isinstance(message, str) else safe_str(message)
    if not args and not kwargs:
        return template, None, None, None
    try:
        body = template.format(*args, **kwargs)
    except BaseException as error:
        if _format_raises.on:
            raise
        interrupt = None if isinstance(error, Exception) else error
        text = safe_str(error)
        complaint = f"{type(error).__name__}: {text}" if text else type(error).__name__
        return template, None, complaint, interrupt
    return body, (template if body != template else None), None, None


def _exception_of(option: bool | BaseException | ExcInfo | None) -> RecordException | None:
    if not option:
        return None
    if isinstance(option, BaseException):
        return RecordException(type(option), option, option.__traceback__)
    if isinstance(option, tuple) and len(option) == len(RecordException._fields):
        kind, error, trace = option
        if kind is None or isinstance(kind, type):
            return RecordException(kind, error, trace)
    return RecordException(*sys.exc_info())  # True, and in loguru whatever else is true


# ------------------------------------------------------------------------------------------------------- state


class _Levels:
    """The levels by name."""

    def __init__(self) -> None:
        self._by_name = {level.name: level for level in DEFAULT_LEVELS}

    def find(self, level: str | int) -> Level:
        if isinstance(level, str):
            found = self._by_name.get(level)
            if found is None:
                msg = f"level {level!r} does not exist; those that do: {', '.join(self._by_name)}"
                raise ValueError(msg)
            return found
        if isinstance(level, int) and not isinstance(level, bool):
            if level < 0:
                msg = f"level must be a name or a number from 0 on, got {level}"
                raise ValueError(msg)
            return Level(f"Level {level}", level, "", " ")
        msg = f"level must be a str or an int, got {level!r}"
        raise TypeError(msg)

    def define(self, name: str, no: int | None, color: str | None, icon: str | None) -> Level:
        if not isinstance(name, str):
            msg = f"level name must be a str, got {name!r}"  # type: ignore[unreachable]
            raise TypeError(msg)
        old = self._by_name.get(name)
        if no is None and color is None and icon is None:
            return self.find(name)
        if old is None:
            if no is None:
                msg = f"level {name!r} does not exist; give its number with no=…"
                raise ValueError(msg)
            if isinstance(no, bool) or not isinstance(no, int):
                msg = f"level no must be an int from 0 on, got {no!r}"
                raise TypeError(msg)
            if no < 0:
                msg = f"level no must be an int from 0 on, got {no}"
                raise ValueError(msg)
            old = Level(name, no, "", " ")
        elif no is not None:
            msg = f"level {name!r} exists with number {old.no}, which cannot be set again, got no={no!r}"
            raise ValueError(msg)
        new = Level(name, old.no, old.color if color is None else color, old.icon if icon is None else icon)
        level_ansi(new.color)  # an unknown tag raises now
        self._by_name[name] = new
        return new

    def ansi(self, name: str) -> str:
        level = self._by_name.get(name)
        return "" if level is None else level.color


class _Provider:
    """The user's LoggerProvider, when it takes the records instead of the core."""

    emitter: ProviderEmitter | None = None
    level_no = 0


class _FormatRaises:
    on = False


def set_format_raises(flag: bool) -> None:
    """configure(format_errors=…): whether a template that cannot be formatted raises, as in loguru."""
    _format_raises.on = flag
    core.set_format_raises(flag)


def _otlp_level() -> int:
    return core.otlp_level if _provider.emitter is None else _provider.level_no


def _apply_thresholds() -> None:
    """Tell the core from which level a call needs Python."""
    lowest = min((handler.level_no for handler in _handlers.active), default=None)
    if _provider.emitter is not None:
        lowest = _provider.level_no if lowest is None else min(lowest, _provider.level_no)
    core.set_sink_level(lowest)


_reported: set[str] = set()


def _report_once(what: str, error: Exception) -> None:
    """Say on stderr, once per place, that something of ours failed. Never raises, never logs."""
    if what in _reported or sys.stderr is None:
        return
    _reported.add(what)
    try:
        sys.stderr.write(f"otelbridge: {what} failed with {type(error).__name__}: {safe_str(error)}\n")
    except Exception:  # nobody left to tell
        return


_levels = _Levels()
_provider = _Provider()
_format_raises = _FormatRaises()
core = Core(CURRENT, _dispatch)
_handlers = Handlers(_apply_thresholds)
logger = Logger(core)


def _after_fork_in_child() -> None:
    core.after_fork()
    _handlers.renew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_handlers.hold, after_in_parent=_handlers.release, after_in_child=_after_fork_in_child)

if sys.stderr is not None and os.environ.get("LOGURU_AUTOINIT", "True").lower() not in ("0", "false", "no", "off"):
    logger.add(
        sys.stderr,
        level=cast("str | int", os.environ.get("LOGURU_LEVEL", "DEBUG")),
        format=os.environ.get("LOGURU_FORMAT", DEFAULT_FORMAT),
    )

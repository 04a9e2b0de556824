"""The front end: `logger`, over the core's level methods. Formats nothing, encodes nothing, writes nothing."""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from otelbridge import _catch
from otelbridge._call import emit_event, emit_foreign
from otelbridge._export import FORMAT_RAISES, ProviderEmitter, core, report_once
from otelbridge._family import (
    NO_OPTIONS,
    Family,
    Options,
    Patcher,
    hold_all,
    make_family,
    release_all,
    renew_all,
    set_provider,
    stop_all,
)
from otelbridge._hold import Hold
from otelbridge._native import AttrSet, LoggerBase
from otelbridge.defaults import read_defaults, read_levels
from otelbridge.departures import strict
from otelbridge.dispatch import render
from otelbridge.dispatch.handlers import Handlers, make_handler
from otelbridge.levels import DEFAULT_LEVELS, Level, Levels
from otelbridge.text.markup import parse_level_color

if TYPE_CHECKING:
    from otelbridge._export import CallSite
    from otelbridge._family import ExcInfo
    from otelbridge._native import AccessBase
    from otelbridge._parse import Cast
    from otelbridge._span import SpanBlock
    from otelbridge.dispatch.filters import FilterSetting
    from otelbridge.dispatch.render import FormatSetting, Serialize

F = TypeVar("F", bound=Callable[..., Any])

_DEFAULTS = read_defaults()
# Levels that nobody can change.
_PLAIN_LEVELS = {level.name: level.no for level in DEFAULT_LEVELS}


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
        level: str | int = _DEFAULTS.level,
        format: FormatSetting = _DEFAULTS.format,  # noqa: A002 -- loguru's names
        filter: FilterSetting | None = _DEFAULTS.filter,  # noqa: A002
        colorize: bool | None = _DEFAULTS.colorize,
        serialize: Serialize = _DEFAULTS.serialize,
        backtrace: bool = _DEFAULTS.backtrace,
        diagnose: bool | None = _DEFAULTS.diagnose,
        enqueue: bool = _DEFAULTS.enqueue,
        context: Any = _DEFAULTS.context,
        catch: bool = _DEFAULTS.catch,
        sanitize: bool | None = None,
        overflow: Literal["block", "drop"] = "block",
        **options: Any,
    ) -> int:
        """Add a sink and return its id (features.md 1.4, 1.5).

        sink: a path, a stream (has `write`; also "ext://stderr"), a callable, which gets the message as a str with a
        `record`, a coroutine function, a logging.Handler, or ConsoleSink, FileSink, JsonSink, AsyncSink.
        level: records from this level on. format: markup and `{fields}`, or a callable(record) that returns such a
        template. filter: callable(record) -> bool, a module's name, or a dict of modules and levels.
        colorize: None is "on terminals". serialize: JSON lines, True in loguru's shape, "otel", "ecs" or "flat", or a
        callable(record) that returns what is to be written. backtrace: tracebacks go up past the place that caught.
        diagnose: they show the values of variables; None is "on terminals". enqueue: write on a thread of the sink's
        own, in all processes; overflow: when its 10,000 places are taken, "block" or "drop". context: the start method
        or multiprocessing context of that. catch: report errors of the sink on stderr instead of raising them.
        sanitize: spell control characters out, and line breaks in arguments; None is True.
        Further options are those of files (rotation, retention, compression, delay, watch, mode, buffering, encoding,
        and what open() takes) and of coroutine functions (loop).
        TypeError, ValueError, OSError: a mistake in one of them.
        """
        family = self._family
        found = family.levels.find(level)

        def make(handler_id: int) -> Any:
            return make_handler(
                handler_id,
                sink,
                level=found,
                find_level=family.levels.find,
                level_color=family.levels.color,
                format=format,
                filter=filter,
                colorize=colorize,
                serialize=serialize,
                backtrace=backtrace,
                diagnose=diagnose,
                enqueue=enqueue,
                context=context,
                catch=catch,
                sanitize=sanitize,
                overflow=overflow,
                options=options,
            )

        return family.handlers.add(make)

    def remove(self, handler_id: int | None = None) -> None:
        """Remove one sink, or all with None (OTLP is none of them). ValueError: no such id."""
        if handler_id is not None and not isinstance(handler_id, int):
            msg = f"handler_id must be an integer or None, got {handler_id!r} of type {type(handler_id).__name__!r}"  # type: ignore[unreachable]
            raise TypeError(msg)
        self._family.handlers.remove(handler_id)

    def complete(self) -> _Completion:
        """Wait until everything logged so far with enqueue=True is written; awaited, also what coroutine sinks do."""
        for handler in self._family.handlers.active:
            handler.complete()
        return _Completion(self._family.handlers)

    def stats(self) -> dict[int, dict[str, Any]]:
        """Each sink's id, level (by name), sink (as text) and how many records it was given (features.md 1.25)."""
        return {
            handler.handler_id: {
                "id": handler.handler_id,
                "level": handler.level_name,
                "sink": repr(handler.sink),
                "count": handler.count,
            }
            for handler in self._family.handlers.active
        }

    # --- levels and modules ------------------------------------------------------------------------------------

    def level(self, name: str, no: int | None = None, color: str | None = None, icon: str | None = None) -> Level:
        """Create a level (with `no`), change its colour or icon, or ask for it (features.md 1.3).

        ValueError: an unknown name without `no`, or `no` for a level that exists.
        """
        if not isinstance(name, str):
            msg = f"level name must be a str, got {name!r} of type {type(name).__name__!r}"  # type: ignore[unreachable]
            raise TypeError(msg)
        family = self._family
        if no is None and color is None and icon is None:
            return family.levels.find(name)
        if color is not None:
            parse_level_color(color)  # an unknown tag raises before anything has changed
        level = family.levels.define(name, no, color, icon)
        family.apply_levels()
        return level

    def enabled_for(self, level: str | int) -> bool:
        """Whether a call of this level reaches OTLP or any sink."""
        return self._family.wants(self._family.levels.find(level).no)

    def enable(self, name: str | None) -> None:
        """Let a module and all below it log again; None is code without a `__name__`."""
        self._family.change_activation(_module_name(name), True)

    def disable(self, name: str | None) -> None:
        """Silence a module and all below it, for sinks and OTLP alike (features.md 1.22)."""
        self._family.change_activation(_module_name(name), False)

    # --- loggers made from this one ----------------------------------------------------------------------------

    def bind(self, /, **values: Any) -> Logger:
        """A child whose records carry `values` as well (features.md 1.18)."""
        merged = {**self._bound.values, **values} if self._bound is not None else values
        return self._copy(AttrSet(merged), self._options)

    def patch(self, patcher: Patcher) -> Logger:
        """A child whose every record is given to `patcher`, which may change it, before anybody sees it."""
        options: Options = self._options or NO_OPTIONS
        return self._copy(self._bound, options._replace(patchers=(*options.patchers, patcher)))

    def opt(
        self,
        *,
        exception: bool | BaseException | ExcInfo | None = None,
        record: bool = False,
        lazy: bool = False,
        colors: bool = False,
        raw: bool = False,
        capture: bool = True,
        depth: int = 0,
        once: bool = False,
        every: int | None = None,
        ansi: bool = False,
    ) -> Logger:
        """Set options for the calls of the logger that it returns (features.md 1.20); those of an earlier one end.

        exception: add the traceback of True (the one being handled), an exception, or an exc_info tuple.
        record: `{record[…]}` in the message is the record. lazy: arguments are functions, called if needed.
        colors: the message has markup (arguments never do). raw: sinks get the bare message, without format and end.
        capture: False keeps keyword arguments out of `extra`. depth: report the caller that many frames further out.
        once: each place in the code says its message once; every=n: it says the first of each n, with the number of
        those left out as `suppressed_count`. ansi: the old name of colors.
        """
        if every is not None and (not isinstance(every, int) or every < 1):
            msg = f"every must be an int from 1 on, got {every!r}"
            raise ValueError(msg)
        if ansi:
            import warnings

            warnings.warn("opt(ansi=True) is called opt(colors=True) now", DeprecationWarning, stacklevel=2)
        old: Options = self._options or NO_OPTIONS
        options = Options(exception, record, lazy, colors or ansi, raw, capture, depth, once, every or 0, old.patchers)
        return self._copy(self._bound, options)

    def span(self, name: str, /, **attributes: Any) -> SpanBlock:
        """`with logger.span("charge", order=7) as span:`: an OpenTelemetry span, current inside the block.

        `attributes` stand on the span and on every record made inside. An exception marks the span as failed and goes
        on. Also `async with`, and a decorator. Without otelbridge.configure() or a TracerProvider it records nothing.
        """
        from otelbridge._span import SpanBlock

        return SpanBlock(name, attributes)

    def hold(self, level: str | int | None, *, size: int = 200) -> Hold:
        """Keep records from `level` on that are too low for a sink (or OTLP) until their trace logs an ERROR.

        Then the last `size` of that trace go out, oldest first, with the times they were made at. As a statement it
        holds by the current trace id, everywhere, until hold(None) or `.stop()`; as `with logger.hold("DEBUG"):` it
        holds what the block (a request, a job) logs, with or without a trace.
        """
        holds = self._family.holds
        if level is None:
            holds.end(None)
            return Hold(holds, 0, size)
        if not isinstance(size, int) or size < 1:
            msg = f"size must be an int from 1 on, got {size!r}"
            raise ValueError(msg)
        return holds.begin(self._family.levels.find(level).no, size)

    # --- catching ----------------------------------------------------------------------------------------------

    def catch(
        self,
        exception: Any = Exception,
        *,
        level: str | int = "ERROR",
        reraise: bool = False,
        onerror: Callable[[BaseException], object] | None = None,
        exclude: _catch.Caught | None = None,
        default: Any = None,
        message: str = _catch.MESSAGE,
    ) -> Any:
        """Log what a function or a `with` block raises; `@logger.catch`, `@logger.catch(...)`, `with logger.catch():`.

        exception, exclude: types to catch, and to let pass. onerror: called with the exception. reraise: raise it all
        the same. default: what a decorated function returns then. message: with `{record[…]}` fields (1.21).
        """
        settings = _catch.Settings(exception, level, reraise, onerror, exclude, default, message)
        return _catch.make_catcher(self, settings)

    # --- all at once, and elsewhere ----------------------------------------------------------------------------

    def configure(
        self,
        *,
        handlers: Sequence[Mapping[str, Any]] | None = None,
        levels: Sequence[Mapping[str, Any]] | None = None,
        extra: Mapping[str, Any] | None = None,
        patcher: Patcher | None = None,
        activation: Sequence[tuple[str | None, bool]] | None = None,
    ) -> list[int]:
        """Set what is given, leave the rest; return the ids of `handlers`, which replace the old ones (1.23).

        handlers: arguments of add(). levels: arguments of level(). extra: what every record carries. patcher: changes
        every record, before those of patch(). activation: (module, whether it may log).
        """
        if handlers is not None:
            self.remove()
        for each in levels or ():
            self.level(**each)
        if extra is not None:
            self._family.use_extra(extra)
        if patcher is not None:
            self._family.use_patcher(patcher)
        for name, state in activation or ():
            if state:
                self.enable(name)
            else:
                self.disable(name)
        return [self.add(**each) for each in handlers or ()]

    @staticmethod
    def parse(
        file: Any,
        pattern: Any,
        *,
        cast: Cast = {},  # noqa: B006 -- never changed
        chunk: int = 2**16,
    ) -> Iterator[dict[str, Any]]:
        """Each match of a regular expression in a log file, as a dict of its named groups (1.32).

        file: a path or a readable object. cast: functions for groups by name, or one that changes the dict.
        chunk: characters read at a time; -1 reads all.
        """
        from otelbridge._parse import parse

        return parse(file, pattern, cast, chunk)

    def reinstall(self) -> None:
        """Make otelbridge.logger of this process do what this logger does: one that a parent process passed."""
        if self._family is not logger._family:
            logger._family.adopt(self._family)

    def add_stdlib_bridge(self, level: str | int = "WARNING") -> None:
        """Take in what is logged through Python's `logging`, from `level` on (features.md 1.26). Again: replaces."""
        from otelbridge import bridge

        bridge.install(self, level)

    def start(self, *args: Any, **kwargs: Any) -> int:
        """Old name of add()."""
        _warn_old_name("start", "add")
        return self.add(*args, **kwargs)

    def stop(self, *args: Any, **kwargs: Any) -> None:
        """Old name of remove()."""
        _warn_old_name("stop", "remove")
        self.remove(*args, **kwargs)

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
            emit_event(self, self._family.levels.find(level), event_name, body, attributes, exception)
        except Exception as error:
            report_once("event", error)

    def access(self, level: str, record: AccessBase, event_name: str, body: str | None) -> bool:
        """Emit a request's record as the core does it, which is for OTLP alone; `body` None: its line. Never raises.

        False: nothing was done, and `event` has to.
        """
        level_no = _PLAIN_LEVELS.get(level)
        try:
            return level_no is not None and self._dispatcher.emit_access(record, level_no, event_name, body)
        except Exception as error:
            report_once("access", error)
            return True

    def _emit_foreign(
        self,
        level: str | int,
        message: str,
        *,
        site: CallSite,
        exception: ExcInfo | None = None,
        extra: Mapping[str, Any],
        time_ns: int,
    ) -> None:
        emit_foreign(self, level, message, site=site, exception=exception, extra=extra, time_ns=time_ns)

    def set_provider_emitter(self, emitter: ProviderEmitter | None, level_no: int = 0) -> None:
        """Send records from `level_no` on to `emitter(parts)` (the user's LoggerProvider); None: to the core."""
        set_provider(emitter, level_no)

    @property
    def _family(self) -> Family:
        family = self._dispatcher
        assert isinstance(family, Family)
        return family

    def _copy(self, bound: AttrSet | None, options: Options | None) -> Logger:
        copy = type(self)(self._dispatcher, bound, options)
        if self.__dict__:
            copy.__dict__.update(self.__dict__)
        return copy

    def __reduce__(self) -> tuple[Any, ...]:
        bound = self._bound
        arguments = type(self), self._dispatcher, None if bound is None else bound.values, self._options
        return _rebuild, arguments, self.__dict__ or None

    def __repr__(self) -> str:
        return f"<otelbridge.logger handlers={list(self._family.handlers.active)!r}>"


class _Completion:
    """What complete() returns: nothing is left to do, but for what coroutine sinks have under way."""

    __slots__ = ("_handlers",)

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    def __await__(self) -> Generator[Any, Any, None]:
        for handler in self._handlers.active:
            awaitable = handler.awaitable()
            if awaitable is not None:
                yield from awaitable.__await__()


def _rebuild(kind: type[Logger], family: Family, values: dict[str, Any] | None, options: Options | None) -> Logger:
    return kind(family, None if values is None else AttrSet(values), options)


def _module_name(name: object) -> str | None:
    if name is None or isinstance(name, str):
        return name
    msg = f"name must be a module's name or None, got {name!r} of type {type(name).__name__!r}"
    raise TypeError(msg)


def _warn_old_name(old: str, new: str) -> None:
    import warnings

    warnings.warn(f"logger.{old}() is called logger.{new}() now", DeprecationWarning, stacklevel=3)


def set_format_raises(flag: bool) -> None:
    """configure(format_errors=…): whether a template that cannot be formatted raises, as in loguru."""
    FORMAT_RAISES.on = flag
    core.set_format_raises(flag)


__all__ = ["Logger", "core", "logger", "set_format_raises"]

render.HIDDEN_FILES = frozenset({_catch.__file__})
set_format_raises(strict())

_levels = Levels(read_levels())
for _level in _levels:
    if _level not in DEFAULT_LEVELS:
        parse_level_color(_level.color)  # a wrong LOGURU_INFO_COLOR raises now
logger = Logger(make_family(_levels))

atexit.register(stop_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=hold_all, after_in_parent=release_all, after_in_child=renew_all)

if sys.stderr is not None and _DEFAULTS.autoinit:
    logger.add(sys.stderr)

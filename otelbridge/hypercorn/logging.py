"""Hypercorn's logger, with its documents' promises kept: `config.logger_class = otelbridge.hypercorn.Logger`.

What the server says and the requests that it answers become lines of text, as `config` asks, and OpenTelemetry records
of their own; with StatsD, measurements as well. In place of `hypercorn.logging`.
"""

from __future__ import annotations

import inspect
import json
import logging
import os
import sys
import tomllib
from collections.abc import Awaitable, Coroutine, Generator, Mapping, Sequence
from functools import cache
from logging.config import dictConfig, fileConfig
from typing import TYPE_CHECKING, Any, NoReturn

from hypercorn.logging import Logger as _HypercornLogger

from otelbridge._export import CallSite, Wording, core, otlp_level, report_once
from otelbridge.access.servers import claim_console
from otelbridge.access.stdlib import handlers_of, leads_back, stream_of
from otelbridge.hypercorn.atoms import STYLES, AccessLogAtoms
from otelbridge.hypercorn.files import make_handler, put_handler
from otelbridge.hypercorn.format import access_format
from otelbridge.hypercorn.records import tell, tell_access
from otelbridge.hypercorn.statsd import (
    INSTRUMENTS,
    POSTMAN,
    Kind,
    Tags,
    make_line,
    negated,
    number_text,
    read_address,
    read_tags,
)
from otelbridge.record import UNKNOWN_SITE, RecordException
from otelbridge.text.policy import ACTIVE
from otelbridge.text.tracebacks import safe_str

if TYPE_CHECKING:
    from hypercorn.config import Config
    from hypercorn.typing import ResponseSummary, WWWScope

__all__ = ["AccessLogAtoms", "Logger", "StatsdLogger"]

# Between the method that was called and the user's call: the method itself, `_say`, and for `logging` the frame below.
_SITE_DEPTH = 2
_STACKLEVEL = 3


class Done(Coroutine[Any, Any, None]):
    """What a method gives back that has done its work: may be awaited, on any loop, or thrown away."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, Any, None]:
        return iter(())  # type: ignore[return-value]  # an iterator will do

    def send(self, value: Any, /) -> NoReturn:  # noqa: ARG002
        """End at once."""
        raise StopIteration

    def throw(self, kind: Any, value: Any = None, traceback: Any = None, /) -> NoReturn:  # noqa: ARG002
        """Raise it: nothing is under way that could catch it."""
        raise kind

    def close(self) -> None:
        """There is nothing to stop."""


DONE = Done()


class Logger(_HypercornLogger):
    """Hypercorn's Logger, as its documents describe it (features.md 0.1-0.13), over OpenTelemetry.

    Targets `config.accesslog`, `config.errorlog`: None, "-", a path, or a `logging.Logger`, used as it is. Every
    message also becomes one OTLP record, whatever the targets, from `config.loglevel` on. The methods act at once: they
    may be awaited or not. With `config.statsd_host` set this is a StatsdLogger.
    ValueError: an unknown level or style of atoms. OSError: a file that cannot be written.
    """

    # What access formats mean: "hypercorn" or "apache" (see `atoms`); `config.atoms_style` wins.
    atoms_style: str = "hypercorn"

    access_logger: logging.Logger | None
    error_logger: logging.Logger | None

    def __new__(cls, config: Config, *args: Any, **kwargs: Any) -> Logger:  # noqa: ARG004
        """Make a StatsdLogger where the configuration names an agent: Hypercorn itself forgets it (T6)."""
        wants_statsd = getattr(config, "statsd_host", None) is not None and not issubclass(cls, StatsdLogger)
        return object.__new__(_with_statsd(cls) if wants_statsd else cls)  # type: ignore[arg-type]  # types are hashable

    def __init__(self, config: Config) -> None:
        # Not Hypercorn's own, which throws away the handlers that others have put on its loggers (pains.md F6).
        self.access_log_format = config.access_log_format
        self.level_no = _level_number(config.loglevel)
        style = getattr(config, "atoms_style", None)
        if style is not None:
            self.atoms_style = style
        if self.atoms_style not in STYLES:
            msg = f"atoms_style must be one of {', '.join(STYLES)}, got {self.atoms_style!r}"
            raise ValueError(msg)
        self.access_logger = self._open("accesslog", "hypercorn.access", config.accesslog, sys.stdout, propagate=False)
        self.error_logger = self._open("errorlog", "hypercorn.error", config.errorlog, sys.stderr, propagate=True)
        self._owns_error_logger = self.error_logger is not config.errorlog
        _configure_logging(config)
        if self.access_logger is not None:
            claim_console(self)

    def _open(self, setting: str, name: str, target: Any, stream: Any, *, propagate: bool) -> logging.Logger | None:
        if isinstance(target, logging.Logger):
            return target
        if not target:
            return None
        handler = make_handler(setting, target, stream)
        found = logging.getLogger(name)
        put_handler(found, handler)
        found.propagate = propagate
        if self.level_no is not None:
            found.setLevel(self.level_no)
        return found

    @property
    def handlers(self) -> list[logging.Handler]:
        """What writes lines now: the error log's handlers, then the access log's; none when both are off."""
        sources = [source for source in (self.error_logger, self.access_logger) if source is not None]
        return list(dict.fromkeys(handler for source in sources for handler in source.handlers))

    def terminal_logger(self) -> logging.Logger | None:
        """The access logger, if its lines stand on a terminal; None if not (see `access.console`)."""
        source = self.access_logger
        if source is None or not source.isEnabledFor(logging.INFO):
            return None
        return source if any(stream_of(handler) is not None for _, handler in handlers_of(source)) else None

    # --- what the server says ----------------------------------------------------------------------------------

    def critical(self, message: str, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, None]:
        """Log with severity CRITICAL; `%`-formatting, `exc_info`, `extra`, `stack_info`, `stacklevel` as in logging."""
        return self._say(logging.CRITICAL, message, args, kwargs, "critical")

    def error(self, message: str, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, None]:
        """Log with severity ERROR."""
        return self._say(logging.ERROR, message, args, kwargs, "error")

    def warning(self, message: str, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, None]:
        """Log with severity WARNING."""
        return self._say(logging.WARNING, message, args, kwargs, "warning")

    def info(self, message: str, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, None]:
        """Log with severity INFO."""
        return self._say(logging.INFO, message, args, kwargs)

    def debug(self, message: str, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, None]:
        """Log with severity DEBUG."""
        return self._say(logging.DEBUG, message, args, kwargs)

    def exception(self, message: str, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, None]:
        """Log with severity ERROR, with the exception that is being handled."""
        return self._say(logging.ERROR, message, args, {"exc_info": True, **kwargs}, "exception")

    def log(self, level: int, message: str, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, None]:
        """Log at a level of `logging`, by number."""
        return self._say(level, message, args, kwargs)

    def _say(
        self, level: int, message: Any, args: tuple[Any, ...], kwargs: dict[str, Any], counted_as: str | None = None
    ) -> Coroutine[Any, Any, None]:
        """Write the line and send the record; `counted_as`: see `_count`. Never raises."""
        try:
            stacklevel = kwargs.get("stacklevel", 1)
            source = self.error_logger
            is_sent = level >= otlp_level() and level >= self._threshold() and not self._is_told(level)
            if is_sent or (source is not None and source.isEnabledFor(level)):
                text = _wording(message, args)
                if is_sent:
                    site = core.site(_SITE_DEPTH - 1 + stacklevel)
                    tell(level, text, site=site or _NO_SITE, exception=_exception(kwargs), extra=_extra(kwargs))
                if source is not None:
                    _write(source, level, text, message, args, {**kwargs, "stacklevel": _STACKLEVEL + stacklevel})
        except Exception as error:
            report_once("the server's log", error)
        return DONE if counted_as is None else self._count(counted_as)

    def _count(self, name: str) -> Coroutine[Any, Any, None]:  # noqa: ARG002
        """Count a message, as StatsdLogger does."""
        return DONE

    def _threshold(self) -> int:
        """The level from which records are sent: what was configured, or what the user has set since."""
        if self.error_logger is not None and self._owns_error_logger:
            return self.error_logger.getEffectiveLevel()
        return self.level_no or logging.NOTSET

    def _is_told(self, level: int) -> bool:
        """Whether somebody brings the line to OTLP anyway: our bridge on the root logger, OpenTelemetry's handler."""
        source = self.error_logger
        if source is None or source.disabled or not source.isEnabledFor(level):
            return False
        back = [each for _, each in handlers_of(source) if level >= each.level and leads_back(each, level)]
        if not back:
            return False
        # What their filters say, they say of a record.
        made = source.makeRecord(source.name, level, "", 0, "", (), None)
        return bool(source.filter(made)) and any(handler.filter(made) for handler in back)

    # --- the requests that it answers --------------------------------------------------------------------------

    def access(
        self, request: WWWScope, response: ResponseSummary | None, request_time: float
    ) -> Coroutine[Any, Any, None]:
        """Write the access line of a request, and see that it is one record altogether. Never raises.

        request: its scope; response: None if the client left before the answer; request_time: seconds.
        """
        source = self.access_logger
        try:
            if source is not None and source.isEnabledFor(logging.INFO):
                self._write_line(source, request, response, request_time)
        except Exception as error:
            report_once("the access line", error)
        try:
            tell_access(request, None if response is None else response["status"], request_time)  # type: ignore[arg-type]
        except Exception as error:
            report_once("the access record", error)
        return DONE

    def _write_line(self, source: logging.Logger, request: Any, response: Any, request_time: float) -> None:
        try:
            atoms: Any = self.atoms(request, response, request_time)
        except Exception as error:
            report_once("atoms()", error)
            atoms = AccessLogAtoms(request, response, request_time)
        line = access_format(self.access_log_format)
        if not any(leads_back(handler, logging.INFO) for _, handler in handlers_of(source)):
            source.info(line, atoms)
            return
        # The record of the request is on its way already.
        made = source.makeRecord(source.name, logging.INFO, __file__, 0, line, (atoms,), None)
        if source.filter(made):
            for _, handler in handlers_of(source):
                if handler.level <= logging.INFO and not leads_back(handler, logging.INFO):
                    handler.handle(made)

    def atoms(self, request: WWWScope, response: ResponseSummary | None, request_time: float) -> Mapping[str, Any]:
        """Return what an access format may name. May be overridden: any mapping will do, and is escaped on its way."""
        return STYLES[self.atoms_style](request, response, request_time)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in ("access_logger", "error_logger"):
            raise AttributeError(name)
        return getattr(self.error_logger, name)


class StatsdLogger(Logger):
    """A Logger that measures requests, their durations (ms) and statuses, messages by severity (features.md 0.14-0.20).

    One UDP datagram per measurement to `statsd_host`, `statsd_port`: the arguments, else `config.statsd_host`, else
    localhost:8125. Names stand behind `config.statsd_prefix`, `config.dogstatsd_tags` behind every line. Where metrics
    go to OTLP, the same are OpenTelemetry instruments of the same names. Values go out as they are given; StatsD takes
    those of `histogram` for milliseconds. The methods act at once, never block and never raise; they may be awaited.
    ValueError: a port that is none.
    """

    def __init__(self, config: Config, statsd_host: str | None = None, statsd_port: int | None = None) -> None:
        super().__init__(config)
        self.address = read_address(config.statsd_host, statsd_host, statsd_port)
        self.dogstatsd_tags = config.dogstatsd_tags
        self.prefix = f"{config.statsd_prefix.rstrip('.')}." if config.statsd_prefix else ""

    def increment(
        self,
        name: str,
        value: float = 1,
        sampling_rate_or_tags: float | Tags | None = None,
        *,
        sampling_rate: float = 1.0,
        tags: Tags | None = None,
    ) -> Awaitable[None]:
        """Count up. The third argument: Hypercorn's sampling rate, or the tags of its document.

        The rate is passed on; it is the caller who samples.
        """
        return self._measure_safely("c", name, value, *_rate_and_tags(sampling_rate_or_tags, sampling_rate, tags))

    def decrement(
        self,
        name: str,
        value: float = 1,
        sampling_rate_or_tags: float | Tags | None = None,
        *,
        sampling_rate: float = 1.0,
        tags: Tags | None = None,
    ) -> Awaitable[None]:
        """Count down; arguments as for `increment`."""
        rate, own = _rate_and_tags(sampling_rate_or_tags, sampling_rate, tags)
        return self._measure_safely("c", name, value, rate, own, is_negated=True)

    def histogram(self, name: str, value: float, tags: Tags | None = None) -> Awaitable[None]:
        """Measure a time in milliseconds, or whatever else has a distribution."""
        return self._measure_safely("ms", name, value, None, tags)

    def gauge(self, name: str, value: float, tags: Tags | None = None) -> Awaitable[None]:
        """Say what a value is now."""
        return self._measure_safely("g", name, value, None, tags)

    def log(self, level: int, message: str, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, None]:
        """Log at a level; `extra` of `metric`, `value`, `mtype` (gauge, counter, histogram) is a measurement as well.

        With an empty message it is that alone. What is wrong with it becomes a warning.
        """
        pending: Awaitable[None] = DONE
        try:
            extra = kwargs.get("extra")
            if extra is not None:
                pending = self._measure_extra(extra)
        except Exception:
            return super()._say(logging.WARNING, "Failed to log to statsd", (), {"exc_info": True})
        return _both(pending, self._say(level, message, args, kwargs) if message else DONE)

    def _measure_extra(self, extra: Mapping[str, Any]) -> Awaitable[None]:
        metric, value, kind = extra.get("metric"), extra.get("value"), extra.get("mtype")
        if not metric or value is None or kind not in ("gauge", "counter", "histogram"):
            return DONE
        number_text(value)  # raises here, and not in the method, what makes the warning
        if kind == "gauge":
            return self.gauge(metric, value)
        return self.increment(metric, value) if kind == "counter" else self.histogram(metric, value)

    def access(
        self, request: WWWScope, response: ResponseSummary | None, request_time: float
    ) -> Coroutine[Any, Any, None]:
        """As Logger's, and measure the request."""
        pending = _both(
            super().access(request, response, request_time),
            self.histogram("hypercorn.request.duration", request_time * 1_000),
            self.increment("hypercorn.requests", 1),
        )
        if response is None:
            return pending
        return _both(pending, self.increment(f"hypercorn.request.status.{response['status']}", 1))

    def _count(self, name: str) -> Coroutine[Any, Any, None]:
        return _both(self.increment(f"hypercorn.log.{name}", 1))

    def _measure_safely(
        self, kind: Kind, name: str, value: Any, rate: float | None, tags: Tags | None, *, is_negated: bool = False
    ) -> Awaitable[None]:
        try:
            self._measure(kind, name, value, rate, tags, is_negated)
        except Exception as error:
            report_once("a measurement", error)
        return DONE

    def _measure(
        self, kind: Kind, name: str, value: Any, rate: float | None, tags: Tags | None, is_negated: bool
    ) -> None:
        number = number_text(value)
        if is_negated:
            number = negated(number)
        suffix = f"|{kind}" if rate is None else f"|{kind}|@{number_text(rate)}"
        POSTMAN.post(self.address, make_line(self.prefix, name, number, suffix, self.dogstatsd_tags, tags))
        INSTRUMENTS.record(kind, name, float(number), read_tags(self.dogstatsd_tags, tags))


@cache
def _with_statsd(kind: type[Logger]) -> type[Logger]:
    """Return the class that is both `kind`, whose methods win, and a StatsdLogger."""
    if kind is Logger:
        return StatsdLogger
    return type(kind.__name__, (kind, StatsdLogger), {"__module__": kind.__module__, "__doc__": kind.__doc__})


def _both(*steps: Awaitable[None]) -> Coroutine[Any, Any, None]:
    """Return what waits for all of them: for nothing, unless a subclass has made a coroutine function of a method."""
    waiting = [step for step in steps if step is not DONE and inspect.isawaitable(step)]
    if not waiting:
        return DONE
    return _each(waiting)


async def _each(steps: Sequence[Awaitable[None]]) -> None:
    for step in steps:
        await step


def _rate_and_tags(third: float | Tags | None, rate: float, tags: Tags | None) -> tuple[float, Tags | None]:
    if isinstance(third, Mapping):
        return rate, {**third, **tags} if isinstance(tags, Mapping) else third
    return (rate if third is None else third), tags


# ------------------------------------------------------------------------------------------------------------- messages

_NO_SITE: CallSite = UNKNOWN_SITE


def _wording(message: Any, args: tuple[Any, ...]) -> Wording:
    """Return what a call says, by logging's rules; one that cannot be formatted is verbatim, and marked."""
    said = message if isinstance(message, str) else safe_str(message)
    if not args:
        said = ACTIVE.policy.text(said)
        return Wording(said, said)
    values: Any = args[0] if len(args) == 1 and isinstance(args[0], Mapping) and args[0] else args
    try:
        body, failure = said % values, None
    except Exception as error:
        body, failure = said, f"{type(error).__name__}: {safe_str(error)}"
    body = ACTIVE.policy.text(body)
    return Wording(body, body, said, args, failure)


def _write(
    source: logging.Logger, level: int, text: Wording, message: Any, args: tuple[Any, ...], options: dict[str, Any]
) -> None:
    """Log one line; what `logging` would fail at is written as far as it goes."""
    if text.format_error is not None or not (isinstance(message, str) or args):
        message, args = "%s", (text.body,)
    try:
        source.log(level, message, *args, **options)
    except (KeyError, TypeError):
        # Names in `extra` that a LogRecord has itself, or options that it does not know.
        source.log(level, message, *args, exc_info=options.get("exc_info"), stacklevel=options["stacklevel"])


def _exception(kwargs: Mapping[str, Any]) -> RecordException | None:
    given = kwargs.get("exc_info")
    if not given:
        return None
    if isinstance(given, BaseException):
        return RecordException(type(given), given, given.__traceback__)
    found = given if isinstance(given, tuple) and len(given) == 3 else sys.exc_info()
    return None if found[0] is None else RecordException(*found)


def _extra(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    given = kwargs.get("extra")
    extra = {str(name): value for name, value in given.items()} if isinstance(given, Mapping) else {}
    if kwargs.get("stack_info"):
        extra["stack_info"] = logging.Logger("").findCaller(True, _STACKLEVEL + kwargs.get("stacklevel", 1))[3]
    return extra


# -------------------------------------------------------------------------------------------------------- configuration


def _level_number(name: str | int | None) -> int | None:
    if name is None or isinstance(name, int):
        return name
    found = logging.getLevelNamesMapping().get(name.upper())
    if found is None:
        known = ", ".join(sorted(logging.getLevelNamesMapping()))
        msg = f"loglevel must be one of {known} (in any case), got {name!r}"
        raise ValueError(msg)
    return found


def _configure_logging(config: Config) -> None:
    """Apply `logconfig` (an ini file, `json:file`, `toml:file`) or `logconfig_dict`, as Hypercorn does."""
    path = config.logconfig
    if path is None:
        if config.logconfig_dict is not None:
            dictConfig(config.logconfig_dict)
    elif path.startswith("json:"):
        with open(path[5:], encoding="utf-8") as file:  # noqa: PTH123 -- a name, perhaps relative
            dictConfig(json.load(file))
    elif path.startswith("toml:"):
        with open(path[5:], "rb") as binary:  # noqa: PTH123
            dictConfig(tomllib.load(binary))
    else:
        defaults = {"__file__": path, "here": os.path.dirname(path)}  # noqa: PTH120
        fileConfig(path, defaults=defaults, disable_existing_loggers=False)

"""What loggers share that come from one another by bind, opt and patch; and the Python way of their calls.

A plain call is the core's. What it leaves to Python (options, patchers, exceptions, levels of the user, arguments that
need care) comes to `dispatch`, and makes the same record.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Mapping
from threading import current_thread
from typing import TYPE_CHECKING, Any, NamedTuple

from otelbridge._hold import Held, Holds
from otelbridge._native import AttrSet, Core, Dispatcher, Event, now_ns
from otelbridge.context import CURRENT, ids_attached
from otelbridge.departures import strict
from otelbridge.dispatch.handlers import Handlers
from otelbridge.dispatch.render import PLAIN, How
from otelbridge.levels import DEFAULT_LEVELS, Level, Levels, severity_number, severity_text
from otelbridge.record import RecordException, RecordLevel, install
from otelbridge.text.policy import ACTIVE
from otelbridge.text.sanitise import format_inert, has_breaks
from otelbridge.text.time import local_time
from otelbridge.text.tracebacks import safe_str, wire_parts

if TYPE_CHECKING:
    from types import TracebackType

    from otelbridge.dispatch.handler import Handler
    from otelbridge.record import Record
    from otelbridge.text.markup import ColoredMessage
    from otelbridge.text.redaction import Redaction

    ExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]

Patcher = Callable[["Record"], object]
ProviderEmitter = Callable[[dict[str, Any]], object]
CallSite = tuple[str | None, str, int, str, str]

_BUILTIN = ("TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL")
# A module that cannot be switched off: ours speaks of what went wrong.
_ALWAYS_ENABLED = "otelbridge"
_ENABLED_SIZE_MAX = 4096
# How long the end of the process waits for a sink that finishes no message.
_EXIT_STUCK_S = 2.0


class Options(NamedTuple):
    """What opt() and patch() ask of a call."""

    exception: bool | BaseException | ExcInfo | None = None
    record: bool = False
    lazy: bool = False
    colors: bool = False
    raw: bool = False
    capture: bool = True
    depth: int = 0
    once: bool = False
    every: int = 0
    patchers: tuple[Patcher, ...] = ()


NO_OPTIONS = Options()


class Activation:
    """Which modules may log: rules for dotted prefixes, the longest of which decides (features.md 1.22)."""

    def __init__(self) -> None:
        self._rules: dict[str, bool] = {}
        self._nameless = True  # code without `__name__`
        self.found: dict[str | None, bool] = {}

    @property
    def has_rules(self) -> bool:
        """Whether anything is switched off."""
        return not self._nameless or bool(self._rules)

    def change(self, name: str | None, status: bool) -> None:
        """Switch a module, and all below it, on or off; None is code without a name."""
        if name is None:
            self._nameless = status
        elif name != _ALWAYS_ENABLED and not name.startswith(f"{_ALWAYS_ENABLED}."):
            below = f"{name}." if name else ""
            self._rules = {n: s for n, s in self._rules.items() if n != name and not n.startswith(below)}
            if self._decide(name) != status:
                self._rules[name] = status
        self.found = {}

    def is_enabled(self, name: str | None) -> bool:
        """Whether a module may log."""
        if (found := self.found.get(name)) is not None:
            return found
        decided = self._nameless if name is None else self._decide(name)
        if len(self.found) < _ENABLED_SIZE_MAX:
            self.found[name] = decided
        return decided

    def _decide(self, name: str) -> bool:
        while True:
            if name in self._rules:
                return self._rules[name]
            if not name:
                return True
            name = name.rpartition(".")[0]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "found": {}}


class Family(Dispatcher):
    """Handlers, levels, default extra, patcher and activation of loggers that belong together."""

    handlers: Handlers
    levels: Levels
    activation: Activation
    default_extra: dict[str, Any]
    patcher: Patcher | None
    holds: Holds
    sinks_level_no: int | None

    def apply(self) -> None:
        """Tell the core from which level a call needs Python."""
        provider_level = None if PROVIDER.emitter is None else PROVIDER.level_no
        held_level = self.holds.level_no
        wanted = [no for no in (self.handlers.level_no, provider_level, held_level) if no is not None]
        self.sinks_level_no = min(wanted, default=None)
        is_renumbered = any(self.levels.find(level.name).no != level.no for level in DEFAULT_LEVELS)
        # The core knows loguru's own numbers only (LOGURU_INFO_NO and its like change them).
        self.set_sink_level(0 if is_renumbered and wanted else self.sinks_level_no)
        others = (self.patcher, held_level, provider_level)
        self.set_python_way(is_renumbered or any(other is not None for other in others))

    def wants(self, level_no: int) -> bool:
        """Whether OTLP, or any sink, wants records of a level."""
        return level_no >= otlp_level() or (self.sinks_level_no is not None and level_no >= self.sinks_level_no)

    def apply_levels(self) -> None:
        """Tell the core how loguru's own levels look."""
        known = {level.name: level for level in self.levels}
        self.set_levels(tuple(RecordLevel(name, known[name].no, known[name].icon) for name in _BUILTIN))
        self.handlers.forget_colors()

    def use_extra(self, extra: Mapping[str, Any]) -> None:
        """Set what every record carries."""
        self.default_extra = dict(extra)
        self.set_extra(AttrSet(self.default_extra) if extra else None)

    def use_patcher(self, patcher: Patcher | None) -> None:
        """Set what changes every record."""
        self.patcher = patcher
        self.apply()

    def change_activation(self, name: str | None, status: bool) -> None:
        """Switch modules on or off."""
        self.activation.change(name, status)
        activation = self.activation
        self.set_activation(activation.found if activation.has_rules else None, activation.is_enabled)

    def adopt(self, other: Family) -> None:
        """Become what another family is (a logger that came from another process)."""
        self._restore(other._state())

    def _state(self) -> dict[str, Any]:
        return {
            "handlers": self.handlers.active,
            "next_id": self.handlers.next_id,
            "levels": self.levels,
            "activation": self.activation,
            "extra": self.default_extra,
            "patcher": self.patcher,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.levels = state["levels"]
        self.activation = state["activation"]
        self.patcher = state["patcher"]
        self.use_extra(state["extra"])
        handlers: tuple[Handler, ...] = state["handlers"]
        for handler in handlers:
            handler.renderer.use_colors(self.levels.color)
        self.handlers.replace(handlers, state["next_id"])
        self.apply_levels()
        self.change_activation(None, self.activation.is_enabled(None))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_family, (), self._state()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._restore(state)


def make_family(levels: Levels) -> Family:
    """A family without handlers, on the process's core."""
    handlers = Handlers()
    family = Family(core, dispatch, handlers.deliver)
    family.handlers = handlers
    family.levels = levels
    family.activation = Activation()
    family.default_extra = {}
    family.patcher = None
    family.holds = Holds(family.apply)
    family.sinks_level_no = None
    handlers.on_change = family.apply
    family.apply_levels()
    family.apply()
    _families.add(family)
    return family


def _rebuild_family() -> Family:
    return make_family(Levels())


# ------------------------------------------------------------------------------------------------------- a call


def dispatch(
    caller: Any, level: str | int, message: Any, args: tuple[Any, ...], kwargs: dict[str, Any], exception: bool
) -> None:
    """A call that the core leaves to Python."""
    options: Options = caller._options or NO_OPTIONS
    if exception:
        options = options._replace(exception=True)
    emit(caller, options, level, message, args, kwargs, depth=2)


def emit(
    caller: Any,
    options: Options,
    level: str | int,
    message: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    depth: int,
    from_decorator: bool = False,
) -> None:
    """One call, from its arguments to OTLP and the sinks. `depth` frames above this one stands the call."""
    family: Family = caller._dispatcher
    site = core.site(depth + options.depth)
    found = family.levels.find(level)
    if not family.wants(found.no) or not family.activation.is_enabled(None if site is None else site[0]):
        return
    suppressed = 0
    if options.once or options.every:
        suppressed = REPEATS.count(site, message, options)
        if suppressed < 0:
            return
    time_ns = now_ns()
    error = _exception_of(options.exception)
    extra = _extra(family, caller, kwargs if options.capture else {})
    if suppressed:
        extra["suppressed_count"] = suppressed
    said = message if isinstance(message, str) else safe_str(message)
    event = Event(family, time_ns, RecordLevel(found.name, found.no, found.icon), said, said, site, extra, error)
    text = _text_of(message, args, kwargs, options, event)
    event.message = text.body
    event.shown = text.shown
    colored = text.colored
    is_patched = family.patcher is not None or bool(options.patchers)
    if event.has_record:
        event.record["message"] = text.body
    if is_patched:
        _patch(event, family.patcher, options.patchers)
        if colored is not None and colored.plain != event.record["message"]:
            colored = None
    how = PLAIN
    if options.raw or colored is not None or from_decorator:
        how = How(options.raw, colored, text.colored_shown if colored is not None else None, from_decorator)
    if family.holds.level_no is not None:
        for held in family.holds.keep(Held(event, text, how)):
            _release(family, held)
    if event.level.no >= otlp_level():
        _send_event(event, text)
    if is_patched or how is not PLAIN:
        family.handlers.deliver_how(event, how)
    else:
        family.handlers.deliver(event)
    if text.interrupt is not None:
        raise text.interrupt


def _release(family: Family, held: Held) -> None:
    """A held call goes where its level alone kept it from going."""
    if held.event.level.no < otlp_level():
        with ids_attached(held.event.ids):
            _send_event(held.event, held.text)
    family.handlers.deliver_below(held.event, held.how)


def emit_foreign(
    caller: Any,
    level: str | int,
    message: str,
    *,
    site: CallSite,
    exception: ExcInfo | None,
    extra: Mapping[str, Any],
    time_ns: int,
) -> None:
    """A record that another library made: its text is finished and its call stands elsewhere."""
    family: Family = caller._dispatcher
    if not family.activation.is_enabled(site[0]):
        return
    found = family.levels.find(level)
    if not family.wants(found.no):
        return
    merged = _extra(family, caller, extra)
    level_seen = RecordLevel(found.name, found.no, found.icon)
    event = Event(family, time_ns, level_seen, message, message, site, merged, _exception_of(exception))
    if family.patcher is not None:
        _patch(event, family.patcher, ())
    if event.level.no >= otlp_level():
        _send_event(event, _Text(message, message))
    if family.patcher is not None:
        family.handlers.deliver_how(event, PLAIN)
    else:
        family.handlers.deliver(event)


def emit_event(
    caller: Any,
    level: Level,
    event_name: str,
    body: str,
    attributes: Mapping[str, object],
    exception: BaseException | None,
) -> None:
    """An event: a record with a name, and no call site of its own."""
    family: Family = caller._dispatcher
    if not family.wants(level.no):
        return
    extra = {**attributes, **_extra(family, caller, {})}
    site = ("otelbridge.access", event_name, 0, "access", event_name)
    seen = RecordLevel(level.name, level.no, level.icon)
    event = Event(family, now_ns(), seen, body, body, site, extra, _exception_of(exception))
    if family.patcher is not None:
        _patch(event, family.patcher, ())
    if event.level.no >= otlp_level():
        _send_event(event, _Text(body, body), event_name=event_name, has_site=False)
    family.handlers.deliver(event)


def _extra(family: Family, caller: Any, own: Mapping[str, Any]) -> dict[str, Any]:
    """{**configured, **contextualized, **bound, **own}."""
    extra = dict(family.default_extra)
    for attributes in (CURRENT.get(), caller._bound):
        if attributes is not None:
            extra.update(attributes.values)
    extra.update(own)
    return ACTIVE.policy.values(extra)


def _patch(event: Event, first: Patcher | None, others: tuple[Patcher, ...]) -> None:
    record = event.record
    if first is not None:
        first(record)
    for patcher in others:
        patcher(record)
    # A patcher may put anything anywhere: what makes no sense is for the sinks to report, and costs no exported record.
    message, level, extra, exception = (record.get(name) for name in ("message", "level", "extra", "exception"))
    if message is not event.message:
        if isinstance(message, str):
            record["message"] = ACTIVE.policy.text(message)
        event.message = event.shown = record["message"] if isinstance(message, str) else safe_str(message)
    if isinstance(level, RecordLevel | Level):  # logger.level(name) gives the latter
        event.level = RecordLevel(level.name, level.no, level.icon)
    if isinstance(extra, dict):
        event.extra = record["extra"] = ACTIVE.policy.values(extra)
    if type(exception) is tuple and len(exception) == 3:  # as sys.exc_info() gives it
        exception = record["exception"] = RecordException(*exception)
    event.exception = exception if isinstance(exception, RecordException) else None


# ------------------------------------------------------------------------------------------------------- its text


class _Text(NamedTuple):
    """What a call says."""

    body: str
    # With the line breaks inside arguments spelled out; what text sinks show.
    shown: str
    template: str | None = None
    args: tuple[Any, ...] = ()
    format_error: str | None = None
    colored: ColoredMessage | None = None
    colored_shown: ColoredMessage | None = None
    # Ctrl-C while an argument was formatted: raised when the record is out.
    interrupt: BaseException | None = None


def _text_of(message: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options, event: Event) -> _Text:
    if options.lazy:
        args = tuple(value() for value in args)
        called = {name: value() for name, value in kwargs.items()}
        if options.capture:
            event.extra.update(ACTIVE.policy.values(called))
        kwargs = called
    template = message if type(message) is str else safe_str(message)
    args, kwargs = ACTIVE.policy.arguments(args, kwargs)
    if options.record:
        if "record" in kwargs:
            msg = "a keyword argument must not be called 'record' with opt(record=True), which is what it passes itself"
            raise TypeError(msg)
        kwargs = {**kwargs, "record": event.record}
    if options.colors:
        return _colored_text(template, args, kwargs)
    if not args and not kwargs:
        body = ACTIVE.policy.text(template)
        return _Text(body, body)
    try:
        body = (message if strict() else template).format(*args, **kwargs)
        shown = format_inert(template, args, kwargs) if has_breaks(body) else body
    except BaseException as error:
        if FORMAT_RAISES.on or strict():
            raise
        text = ACTIVE.policy.text(template)
        return _Text(text, text, args=args, format_error=_complaint(error), interrupt=_interrupt(error))
    clean = ACTIVE.policy.text(body)
    if clean is not body:
        shown = ACTIVE.policy.text(shown)
    template = ACTIVE.policy.text(template)
    return _Text(clean, shown, template if clean != template else None, args)


def _colored_text(template: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Text:
    from otelbridge.text.markup import color_message

    failure: BaseException | None = None
    try:
        colored = color_message(template, args, kwargs)
    except BaseException as error:
        if FORMAT_RAISES.on or strict():
            raise
        failure = error
        colored = color_message(template, (), {})  # wrong markup raises here, too, as in loguru
    body, shown = colored.plain, colored.shown()
    plain = colored.template if failure is None and (args or kwargs) else body
    clean = ACTIVE.policy.text(body)
    text = _Text(clean, shown.plain, plain if plain != body else None, args, None, colored, shown)
    if failure is not None:
        text = text._replace(format_error=_complaint(failure), interrupt=_interrupt(failure))
    if clean is not body:  # a secret may have tags inside: it loses its colours
        text = text._replace(
            shown=ACTIVE.policy.text(text.shown), template=ACTIVE.policy.text(plain), colored=None, colored_shown=None
        )
    return text


def _complaint(error: BaseException) -> str:
    text = safe_str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _interrupt(error: BaseException) -> BaseException | None:
    return None if isinstance(error, Exception) else error


def _exception_of(option: bool | BaseException | ExcInfo | None) -> RecordException | None:
    if not option:
        return None
    if isinstance(option, BaseException):
        return RecordException(type(option), option, option.__traceback__)
    if isinstance(option, tuple):
        kind, error, trace = option
        return RecordException(kind, error, trace)
    return RecordException(*sys.exc_info())  # True, and in loguru whatever else is true


class _Repeats:
    """opt(once=True) and opt(every=n): how often each call site was passed over."""

    def __init__(self) -> None:
        self._calls: dict[Any, int] = {}

    def count(self, site: CallSite | None, message: object, options: Options) -> int:
        """How many were suppressed since the last one that went out; -1 if this one is suppressed."""
        key = (None if site is None else (site[3], site[2]), str(message))
        calls = self._calls.get(key, 0)
        if calls or len(self._calls) < _REPEATS_MAX:
            self._calls[key] = calls + 1
        if options.once:
            return -1 if calls else 0
        return (options.every - 1 if calls else 0) if calls % options.every == 0 else -1


_REPEATS_MAX = 10_000


# ------------------------------------------------------------------------------------------------------- to OTLP


def _send_event(event: Event, text: _Text, *, event_name: str | None = None, has_site: bool = True) -> None:
    """The record as it is now, to the core's buffer or the user's LoggerProvider."""
    error = event.exception
    parts = None
    if error is not None and isinstance(error.type, type):  # opt(exception=) takes any tuple of three
        kind, message, trace = wire_parts(error)
        parts = kind, ACTIVE.policy.text(message), ACTIVE.policy.text(trace)
    time_ns, site = event.time_ns, event.site if has_site else None
    if event.has_record:
        time_ns, site = _patched_time(event), _patched_site(event, site)
    template = text.template
    body = event.message if isinstance(event.message, str) else safe_str(event.message)
    if template is None and text.args and body != text.body:
        template = text.body
    level = event.level
    _send(
        time_ns,
        level.no,
        severity_text(level.name, level.no),
        body,
        template if template != body else None,
        ACTIVE.policy.positional(text.args),
        text.format_error,
        site,
        parts,
        event.extra,
        event_name,
    )


def _patched_time(event: Event) -> int:
    time: Any = event.record.get("time")
    time_ns = getattr(time, "time_ns", None)
    if isinstance(time_ns, int):
        return time_ns
    try:
        return int(int(time.timestamp()) * 1_000_000_000 + time.microsecond * 1000)
    except Exception:  # a patcher put something else there
        return event.time_ns


def _patched_site(event: Event, site: CallSite | None) -> CallSite | None:
    if site is None:
        return None
    record = event.record
    try:
        name, function, line, path = record["name"], record["function"], record["line"], record["file"].path
        if (name, function, line, path) == site[:4]:
            return site
        own = site[4].removeprefix(f"{site[0]}.") if function == site[1] else str(function)
        return name, str(function), int(line), str(path), own if name is None else f"{name}.{own}"
    except Exception:  # as above
        return site


def _send(
    time_ns: int,
    level_no: int,
    level_name: str,
    body: str,
    template: str | None,
    args: tuple[Any, ...],
    format_error: str | None,
    site: CallSite | None,
    exception: tuple[str, str, str] | None,
    extra: dict[str, Any],
    event_name: str | None,
) -> None:
    severity = severity_number(level_no)
    if PROVIDER.emitter is None:
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
        PROVIDER.emitter(parts)
    except Exception as error:
        report_once("provider", error)


def _visible(extra: dict[str, Any]) -> dict[str, Any]:
    """Without the ids that are id fields of the record."""
    surrounding = CURRENT.get()
    if surrounding is None or not surrounding.hidden:
        return extra
    hidden = {name: surrounding.values[name] for name in surrounding.hidden}
    return {name: value for name, value in extra.items() if name not in hidden or hidden[name] is not value}


# ------------------------------------------------------------------------------------------------------- state


class _Provider:
    """The user's LoggerProvider, when it takes the records instead of the core."""

    emitter: ProviderEmitter | None = None
    level_no = 0


class _FormatRaises:
    on = False


def otlp_level() -> int:
    """The level from which OTLP, or the user's provider, gets records."""
    return core.otlp_level if PROVIDER.emitter is None else PROVIDER.level_no


def set_provider(emitter: ProviderEmitter | None, level_no: int) -> None:
    """Send records from `level_no` on to `emitter(parts)`; None: to the core."""
    PROVIDER.emitter = emitter
    PROVIDER.level_no = level_no
    for family in list(_families):
        family.apply()


def set_redaction(policy: Redaction) -> None:
    """configure(redact=…): what no sink and no export may show."""
    ACTIVE.policy = policy
    core.set_redaction(*policy.for_core())


_reported: set[str] = set()


def report_once(what: str, error: Exception) -> None:
    """Say on stderr, once per place, that something of ours failed. Never raises, never logs."""
    if what in _reported or sys.stderr is None:
        return
    _reported.add(what)
    try:
        sys.stderr.write(f"otelbridge: {what} failed with {type(error).__name__}: {safe_str(error)}\n")
    except Exception:  # nobody left to tell
        return


PROVIDER = _Provider()
FORMAT_RAISES = _FormatRaises()
REPEATS = _Repeats()
core = Core(CURRENT)
set_redaction(ACTIVE.policy)
install(local_time)
_families: weakref.WeakSet[Family] = weakref.WeakSet()


def stop_all() -> None:
    """At exit: everything that waits is written, and files are closed. A sink that is stuck is given up."""
    for family in list(_families):
        family.handlers.stop_all(_EXIT_STUCK_S)


def hold_all() -> None:
    """Before a fork."""
    for family in list(_families):
        family.handlers.hold()


def release_all() -> None:
    """After a fork, in the parent."""
    for family in list(_families):
        family.handlers.release()


def renew_all() -> None:
    """After a fork, in the child."""
    core.after_fork()
    for family in list(_families):
        family.handlers.renew()

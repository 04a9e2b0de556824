"""The Python way of a call.

A plain call is the core's. What it leaves to Python (options, patchers, exceptions, levels of the user, arguments that
need care) comes to `dispatch`, and makes the same record. Begin reading at `emit`.
"""

from __future__ import annotations

import atexit
import sys
from collections.abc import Iterator, Mapping
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from otelbridge._export import CallSite, Wording, core, otlp_level, send_event
from otelbridge._family import NO_OPTIONS, PYTHON_WAY, Family, Options, Patcher
from otelbridge._hold import Held
from otelbridge._native import Event, now_ns
from otelbridge._wording import wording_of
from otelbridge.context import CURRENT, ids_attached
from otelbridge.dispatch.render import PLAIN, How
from otelbridge.levels import Level
from otelbridge.record import UNKNOWN_SITE, RecordException, RecordLevel
from otelbridge.text.policy import ACTIVE
from otelbridge.text.tracebacks import safe_str

if TYPE_CHECKING:
    from otelbridge._family import ExcInfo


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
        untold = REPEATS.count(caller, found, site, message, options)
        if untold is None:
            return
        suppressed = untold
    time_ns = now_ns()
    error = _exception_of(options.exception)
    extra = merged_extra(family, caller, kwargs if options.capture else {})
    if suppressed:
        extra["suppressed_count"] = suppressed
    said = message if isinstance(message, str) else safe_str(message)
    event = Event(family, time_ns, RecordLevel(found.name, found.no, found.icon), said, said, site, extra, error)
    text = wording_of(message, args, kwargs, options, event)
    event.message = text.body
    event.shown = text.shown
    colored = text.colored
    is_patched = family.patcher is not None or bool(options.patchers)
    if event.has_record:
        event.record["message"] = text.body
    if is_patched:
        apply_patchers(event, family.patcher, options.patchers)
        if colored is not None and colored.plain != event.record["message"]:
            colored = None
    how = PLAIN
    if options.raw or colored is not None or from_decorator:
        how = How(options.raw, colored, text.colored_shown if colored is not None else None, from_decorator)
    if family.holds.level_no is not None:
        for held in family.holds.keep(Held(event, text, how)):
            _release(family, held)
    _count(family, event)
    if event.level.no >= otlp_level():
        send_event(event, text)
    if is_patched or how is not PLAIN:
        family.handlers.deliver_how(event, how)
    else:
        family.handlers.deliver(event)
    if text.interrupt is not None:
        raise text.interrupt


def _count(family: Family, event: Event) -> None:
    """Count a record that OTLP or a sink wants; once, also if it is held and goes to others later."""
    level_no = event.level.no
    if level_no >= otlp_level() or any(level_no >= handler.level_no for handler in family.handlers.active):
        core.count_event(event)


def _release(family: Family, held: Held) -> None:
    """A held call goes where its level alone kept it from going."""
    core.count_event(held.event)
    if held.event.level.no < otlp_level():
        with ids_attached(held.event.ids):
            send_event(held.event, held.text)
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
    message = ACTIVE.policy.text(message)
    merged = merged_extra(family, caller, extra)
    level_seen = RecordLevel(found.name, found.no, found.icon)
    event = Event(family, time_ns, level_seen, message, message, site, merged, _exception_of(exception))
    if family.patcher is not None:
        apply_patchers(event, family.patcher, ())
    _count(family, event)
    if event.level.no >= otlp_level():
        send_event(event, Wording(message, message))
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
    extra = {**ACTIVE.policy.values(dict(attributes)), **merged_extra(family, caller, {})}
    body = ACTIVE.policy.text(body)
    site = ("otelbridge.access", event_name, 0, "access", event_name)
    seen = RecordLevel(level.name, level.no, level.icon)
    event = Event(family, now_ns(), seen, body, body, site, extra, _exception_of(exception))
    if family.patcher is not None:
        apply_patchers(event, family.patcher, ())
    _count(family, event)
    if event.level.no >= otlp_level():
        send_event(event, Wording(body, body), event_name=event_name, has_site=False)
    family.handlers.deliver(event)


def merged_extra(family: Family, caller: Any, own: Mapping[str, Any]) -> dict[str, Any]:
    """{**configured, **contextualized, **bound, **own}."""
    extra = dict(family.default_extra)
    for attributes in (CURRENT.get(), caller._bound):
        if attributes is not None:
            extra.update(attributes.values)
    extra.update(own)
    return ACTIVE.policy.values(extra)


def apply_patchers(event: Event, first: Patcher | None, others: tuple[Patcher, ...]) -> None:
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


def _exception_of(option: bool | BaseException | ExcInfo | None) -> RecordException | None:
    if not option:
        return None
    if isinstance(option, BaseException):
        return RecordException(type(option), option, option.__traceback__)
    if isinstance(option, tuple):
        kind, error, trace = option
        return RecordException(kind, error, trace)
    return RecordException(*sys.exc_info())  # True, and in loguru whatever else is true


class _Place(NamedTuple):
    """A place in the code that repeats itself, and how its end is to be told."""

    calls: Iterator[int]  # counts from 0; in one step, whatever other threads do
    period: int  # of so many calls the first is said; 0: of all
    caller: Any
    level: Level
    site: CallSite | None


class _Repeats:
    """opt(once=True) and opt(every=n): how often each place was passed over, told by its next record or at exit."""

    def __init__(self) -> None:
        self._places: dict[Any, _Place] = {}
        self._tells_at_exit = False

    def count(self, caller: Any, level: Level, site: CallSite | None, message: object, options: Options) -> int | None:
        """How many were left out since the last one that went out; None if this one is left out."""
        period = 0 if options.once else options.every
        key = (None if site is None else (site[3], site[2]), safe_str(message), period)
        place = self._places.get(key)
        if place is None:
            if len(self._places) >= _PLACES_MAX:
                return 0
            place = self._places.setdefault(key, _Place(count(), period, caller, level, site))
        earlier = next(place.calls)
        if earlier == 0:
            return 0
        if period and earlier % period == 0:
            return period - 1
        if not self._tells_at_exit:  # registered late, so that it runs before delivery ends
            self._tells_at_exit = True
            atexit.register(self.tell)
        return None

    def tell(self) -> None:
        """Say what was left out and not told yet."""
        places, self._places = self._places, {}
        for (_, text, period), place in places.items():
            left_out = next(place.calls) - 1
            if period:
                left_out %= period
            if left_out > 0:
                _tell(text, place, left_out)


def _tell(text: str, place: _Place, left_out: int) -> None:
    emit_foreign(
        place.caller,
        place.level.name if place.level.name in place.caller._dispatcher.levels else place.level.no,
        f"{text} [{left_out} more left out]",
        site=place.site or UNKNOWN_SITE,
        exception=None,
        extra={"suppressed_count": left_out},
        time_ns=now_ns(),
    )


# Beyond that many places none is remembered: each of its calls goes out.
_PLACES_MAX = 10_000

REPEATS = _Repeats()
PYTHON_WAY.dispatch = dispatch

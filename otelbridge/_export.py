"""A call's way to OTLP: to the core's buffer, or to the user's LoggerProvider. Also the core itself."""

from __future__ import annotations

import sys
from collections.abc import Callable
from threading import current_thread
from typing import TYPE_CHECKING, Any, NamedTuple

from otelbridge._native import Core
from otelbridge.context import CURRENT
from otelbridge.levels import severity_number, severity_text
from otelbridge.record import install
from otelbridge.text.policy import ACTIVE
from otelbridge.text.time import local_time
from otelbridge.text.tracebacks import safe_str, wire_parts

if TYPE_CHECKING:
    from otelbridge._native import Event
    from otelbridge.text.markup import ColoredMessage
    from otelbridge.text.redaction import Redaction

ProviderEmitter = Callable[[dict[str, Any]], object]
CallSite = tuple[str | None, str, int, str, str]


class Wording(NamedTuple):
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


def send_event(event: Event, text: Wording, *, event_name: str | None = None, has_site: bool = True) -> None:
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


class _Provider:
    """The user's LoggerProvider, when it takes the records instead of the core."""

    emitter: ProviderEmitter | None = None
    level_no = 0


class _FormatRaises:
    on = False


def otlp_level() -> int:
    """The level from which OTLP, or the user's provider, gets records."""
    return core.otlp_level if PROVIDER.emitter is None else PROVIDER.level_no


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
core = Core(CURRENT)
set_redaction(ACTIVE.policy)
install(local_time)

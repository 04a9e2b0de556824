"""What a server says, and the requests that it answers by itself, on their way to OTLP alone: the text is written.

Patchers, redaction, `contextualize` and `disable` apply as to any record. Knows nothing of Hypercorn's logger.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from functools import cache
from typing import Any

from otelbridge._call import apply_patchers, merged_extra
from otelbridge._export import CallSite, Wording, core, otlp_level, report_once, send_event
from otelbridge._logger import logger
from otelbridge._native import Event, now_ns
from otelbridge.access.observe import STATE_KEY, Observer
from otelbridge.access.options import Settings
from otelbridge.access.record import AccessRecord
from otelbridge.access.servers import newest
from otelbridge.levels import severity_text
from otelbridge.record import RecordException, RecordLevel
from otelbridge.text.policy import ACTIVE

_INFO_NO = 20


def tell(
    level_no: int,
    text: Wording,
    *,
    site: CallSite,
    exception: RecordException | None,
    extra: Mapping[str, Any],
) -> None:
    """Send one record of the server's log, if OTLP wants its level, in the context of now. Never raises."""
    try:
        if level_no >= otlp_level() and logger._family.activation.is_enabled(site[0]):
            _send(_level(level_no), text, extra, site=site, exception=exception)
    except Exception as error:
        report_once("a record of the server's log", error)  # a patcher of the user's


def tell_access(scope: MutableMapping[str, Any], status: int | None, duration_s: float) -> None:
    """Make the one record of a request that the server has answered, unless the app has done so.

    status: None if there was no answer. The newest instrumented app of this process observes it as its own: record,
    span and points. Without one it is a record for OTLP.
    """
    state = scope.get("state")
    if state and isinstance(state.get(STATE_KEY), AccessRecord):
        return
    observer = newest()
    seen = scope
    if observer is None:
        if otlp_level() > _INFO_NO:
            return
        observer = _lone_observer()
        # Of a WebSocket nobody knows more than the handshake.
        seen = {**scope, "type": "http", "method": scope.get("method", "GET")}
    elif observer.has_environs or status is None:
        # Hypercorn keeps a WSGI app's environ to itself: the app has told of all that it was asked. And where there was
        # no answer, the app is only about to hear of the request.
        return
    duration_ns = max(round(duration_s * 1e9), 0)
    observation = observer.open_asgi(seen, start_ns=now_ns() - duration_ns)
    if observation is None:
        return
    # Hypercorn tells of a refused handshake twice.
    scope["state"] = seen["state"]
    record: AccessRecord = observation.record
    record.status = status
    record.duration_ns = duration_ns
    observation.end(client_left=status is None)


@cache
def _lone_observer() -> Observer:
    return Observer(Settings(traces=False), logger=_OtlpAlone(), tracer=None, metrics=None)


class _OtlpAlone:
    """The logger of an observer without an app: its records reach no sink."""

    def event(
        self,
        level: str,
        event_name: str,
        body: str,
        attributes: Mapping[str, object],
        *,
        exception: BaseException | None = None,
    ) -> None:
        """Send one event."""
        error = None if exception is None else RecordException(type(exception), exception, exception.__traceback__)
        said = ACTIVE.policy.text(body)
        found = logger.level(level)
        seen = RecordLevel(found.name, found.no, found.icon)
        _send(seen, Wording(said, said), attributes, event_name=event_name, exception=error)

    def access(self, level: str, record: AccessRecord, event_name: str, body: str | None) -> bool:  # noqa: ARG002
        """Leave it to `event`."""
        return False

    def enabled_for(self, level: str) -> bool:
        """Whether OTLP takes it."""
        return logger.level(level).no >= otlp_level()


def _send(
    level: RecordLevel,
    text: Wording,
    own: Mapping[str, Any],
    *,
    site: CallSite | None = None,
    exception: RecordException | None = None,
    event_name: str | None = None,
) -> None:
    family = logger._family
    extra = merged_extra(family, logger, own)
    event = Event(family, now_ns(), level, text.body, text.body, site, extra, exception)
    if family.patcher is not None:
        apply_patchers(event, family.patcher, ())
    core.count_event(event)
    send_event(event, text, event_name=event_name, has_site=site is not None)


@cache
def _level(level_no: int) -> RecordLevel:
    import logging

    name = logging.getLevelName(level_no)
    return RecordLevel(severity_text(name, level_no), level_no, " ")

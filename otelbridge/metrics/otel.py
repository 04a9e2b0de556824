"""The table of instruments as OpenTelemetry instruments. Knows the API only: whoever set the MeterProvider sends.

With no MeterProvider, or OTEL_SDK_DISABLED=true, the API's own no-ops do nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

from opentelemetry.metrics import (
    CallbackOptions,
    Counter,
    Histogram,
    Meter,
    Observation,
    UpDownCounter,
    get_meter,
)

from otelbridge.metrics.instruments import (
    ACTIVE_REQUESTS,
    ACTIVE_SESSIONS,
    LOG_RECORDS,
    OLD_DURATION,
    OLD_REQUEST_SIZE,
    OLD_RESPONSE_SIZE,
    OVERFLOW,
    REQUEST_ATTRIBUTES,
    REQUEST_BODY_SIZE,
    REQUEST_DURATION,
    REQUESTS,
    RESPONSE_BODY_SIZE,
    SESSION_ATTRIBUTES,
    SESSION_DURATION,
    SESSION_IO,
    SESSION_MESSAGES,
    SETS_MAX,
    Instrument,
    Measured,
    MeasuredSession,
    active_attributes,
    named,
    old_active_attributes,
    old_request_attributes,
    request_words,
    session_active_attributes,
    session_words,
)
from otelbridge.scope import SCOPE_NAME, scope_version

_Attributes = Mapping[str, str | int | bool]


class OtelRequestMetrics:
    """Records requests and WebSocket sessions into instruments of `meter` (default: the global MeterProvider's).

    old_names: `http.server.duration` and its like are recorded, too (see `instruments.old_names_wanted`).
    """

    def __init__(self, meter: Meter | None = None, *, old_names: bool = False) -> None:
        meter = get_meter(SCOPE_NAME, scope_version()) if meter is None else meter
        self._active = _updowncounter(meter, ACTIVE_REQUESTS)
        self._duration = _histogram(meter, REQUEST_DURATION)
        self._request_size = _histogram(meter, REQUEST_BODY_SIZE)
        self._response_size = _histogram(meter, RESPONSE_BODY_SIZE)
        self._requests = _counter(meter, REQUESTS)
        self._old = _OldInstruments(meter) if old_names else None
        self._active_sessions = _updowncounter(meter, ACTIVE_SESSIONS)
        self._session_duration = _histogram(meter, SESSION_DURATION)
        self._session_messages = _counter(meter, SESSION_MESSAGES)
        self._session_io = _counter(meter, SESSION_IO)
        self._request_sets = _Sets(REQUEST_ATTRIBUTES)
        self._session_sets = _Sets(SESSION_ATTRIBUTES)
        self._io_sets = _Sets(SESSION_IO.attributes)

    def started(self, record: Measured) -> None:
        """Count a request in."""
        self._active.add(1, self._active_attributes(record))

    def ended(self, record: Measured, *, counted: bool) -> None:
        """Record a finished request. Exemplars take their trace id from the current span."""
        if counted:
            # First: a failure of the others must not leave the request active for ever.
            self._active.add(-1, self._active_attributes(record))
        words = request_words(record)
        attributes = self._request_sets.get(words)
        self._duration.record(record.duration_ns / 1e9, attributes)
        self._request_size.record(record.request_body_size, attributes)
        self._response_size.record(record.response_body_size, attributes)
        self._requests.add(1, attributes)
        if self._old is not None:
            self._old.ended(record, OVERFLOW if attributes is OVERFLOW else old_request_attributes(words))

    def session_started(self, record: MeasuredSession) -> None:
        """Count a WebSocket session in."""
        self._active_sessions.add(1, session_active_attributes(record))

    def session_ended(self, record: MeasuredSession, *, counted: bool) -> None:
        """Record a finished WebSocket session."""
        if counted:
            self._active_sessions.add(-1, session_active_attributes(record))
        words = session_words(record)
        self._session_duration.record(record.duration_ns / 1e9, self._session_sets.get(words))
        scheme, route, *_ = words
        self._add_io((scheme, route, "receive"), record.messages_in, record.request_body_size)
        self._add_io((scheme, route, "transmit"), record.messages_out, record.response_body_size)

    def _add_io(
        self, words: tuple[str, str | None, Literal["receive", "transmit"]], message_count: int, size: int
    ) -> None:
        attributes = self._io_sets.get(words)
        self._session_messages.add(message_count, attributes)
        self._session_io.add(size, attributes)

    def _active_attributes(self, record: Measured) -> _Attributes:
        attributes = active_attributes(record)
        return attributes if self._old is None else attributes | old_active_attributes(record)


class _OldInstruments:
    """What `http/dup` asks for beside the stable instruments; active requests are one instrument under both."""

    def __init__(self, meter: Meter) -> None:
        self._duration = _histogram(meter, OLD_DURATION)
        self._request_size = _histogram(meter, OLD_REQUEST_SIZE)
        self._response_size = _histogram(meter, OLD_RESPONSE_SIZE)

    def ended(self, record: Measured, attributes: _Attributes) -> None:
        self._duration.record(record.duration_ns / 1e6, attributes)
        self._request_size.record(record.request_body_size, attributes)
        self._response_size.record(record.response_body_size, attributes)


class _Sets:
    """The attributes of each series, made once. Past SETS_MAX it is OVERFLOW: SDKs before 1.45.2 have no such limit."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names
        self._sets: dict[tuple[str | int | None, ...], _Attributes] = {}

    def get(self, words: tuple[str | int | None, ...]) -> _Attributes:
        attributes = self._sets.get(words)
        if attributes is None:
            if len(self._sets) >= SETS_MAX:
                return OVERFLOW
            attributes = self._sets[words] = named(self._names, words)
        return attributes


def register_log_records(meter: Meter, level_counts: Callable[[], Mapping[str, int]]) -> None:
    """Observe LOG_RECORDS in `meter`: `level_counts()` is the total by level's name since the process began.

    The SDK keeps one instrument per meter: registering again changes nothing.
    """

    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        (name,) = LOG_RECORDS.attributes
        return [Observation(count, {name: level}) for level, count in level_counts().items()]

    meter.create_observable_counter(
        LOG_RECORDS.name, [observe], unit=LOG_RECORDS.unit, description=LOG_RECORDS.description
    )


def _counter(meter: Meter, row: Instrument) -> Counter:
    return meter.create_counter(row.name, unit=row.unit, description=row.description)


def _updowncounter(meter: Meter, row: Instrument) -> UpDownCounter:
    return meter.create_up_down_counter(row.name, unit=row.unit, description=row.description)


def _histogram(meter: Meter, row: Instrument) -> Histogram:
    return meter.create_histogram(
        row.name, unit=row.unit, description=row.description, explicit_bucket_boundaries_advisory=row.buckets
    )

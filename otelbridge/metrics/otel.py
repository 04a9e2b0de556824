"""The table of instruments as OpenTelemetry instruments. Knows the API only: whoever set the MeterProvider sends.

With no MeterProvider, or OTEL_SDK_DISABLED=true, the API's own no-ops do nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry.metrics import Counter, Histogram, Meter, UpDownCounter, get_meter

from otelbridge.metrics.instruments import ACTIVE_REQUESTS, REQUEST_DURATION, REQUESTS, Instrument
from otelbridge.scope import SCOPE_NAME, scope_version


class OtelRequestMetrics:
    """Records requests into the instruments of `meter` (default: the global MeterProvider's)."""

    __slots__ = ("_active", "_duration", "_requests")

    def __init__(self, meter: Meter | None = None) -> None:
        meter = get_meter(SCOPE_NAME, scope_version()) if meter is None else meter
        self._active = _updowncounter(meter, ACTIVE_REQUESTS)
        self._duration = _histogram(meter, REQUEST_DURATION)
        self._requests = _counter(meter, REQUESTS)

    def started(self, attributes: Mapping[str, str | int]) -> None:
        """Count a request in; `ended` must follow with the same attributes as `active`."""
        self._active.add(1, attributes)

    def ended(
        self, duration_s: float, attributes: Mapping[str, str | int], active: Mapping[str, str | int] | None
    ) -> None:
        """Record a finished request; `active` is what it was counted in with, None if it was not.

        Call it while the request's span is current: exemplars take their trace id from there.
        """
        if active is not None:
            # First: a failure of the others must not leave the request active for ever.
            self._active.add(-1, active)
        self._duration.record(duration_s, attributes)
        self._requests.add(1, attributes)


def _counter(meter: Meter, row: Instrument) -> Counter:
    return meter.create_counter(row.name, unit=row.unit, description=row.description)


def _updowncounter(meter: Meter, row: Instrument) -> UpDownCounter:
    return meter.create_up_down_counter(row.name, unit=row.unit, description=row.description)


def _histogram(meter: Meter, row: Instrument) -> Histogram:
    return meter.create_histogram(
        row.name, unit=row.unit, description=row.description, explicit_bucket_boundaries_advisory=row.buckets
    )

"""The table's HTTP instruments, summed up by the core: the points that the SDK's instruments would make, at about a
hundredth of their cost per request.

Used where the MeterProvider is ours: its reader asks `collect` for them, next to its own. A MeterProvider of the user's
gets real instruments instead (`otel`). Leaves sending to `delivery/`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from otelbridge._native import Core, Traffic
from otelbridge.metrics.instruments import (
    ACTIVE_REQUESTS,
    KNOWN_SCHEMES,
    KNOWN_VERSIONS,
    OVERFLOW,
    REQUEST_ATTRIBUTES,
    REQUEST_BODY_SIZE,
    REQUEST_DURATION,
    REQUESTS,
    RESPONSE_BODY_SIZE,
    SETS_MAX,
    Instrument,
    Measured,
    RequestMetrics,
    known_scheme,
    named,
    request_words,
)

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics import Exemplar
    from opentelemetry.sdk.metrics.export import AggregationTemporality, Metric

_Attributes = Mapping[str, Any]


def make_traffic(core: Core, environ: Mapping[str, str] = os.environ, sets_max: int = SETS_MAX) -> Traffic:
    """Return what sums up: the table's buckets, and the exemplars that OTEL_METRICS_EXEMPLAR_FILTER asks for.

    ValueError: that variable is none of `trace_based` (the default), `always_on`, `always_off`.
    """
    exemplars: Any = environ.get("OTEL_METRICS_EXEMPLAR_FILTER", "trace_based")
    bounds = REQUEST_DURATION.buckets or (), REQUEST_BODY_SIZE.buckets or ()
    return Traffic(core, *bounds, sets_max, exemplars, KNOWN_SCHEMES, KNOWN_VERSIONS)


class AggregatedRequestMetrics:
    """Sums requests up in `traffic`; the rarer WebSocket sessions go to the instruments of `sessions`.

    `temporality`: the reader's preference by class of instrument, as the official exporter has it; cumulative where it
    says nothing.
    """

    def __init__(
        self,
        traffic: Traffic,
        sessions: RequestMetrics,
        temporality: Mapping[type, AggregationTemporality] | None = None,
    ) -> None:
        from opentelemetry.sdk.metrics import Counter, Histogram, UpDownCounter, export

        cumulative = export.AggregationTemporality.CUMULATIVE
        kinds = (Histogram, Counter, UpDownCounter)
        self._histograms, self._counters, self._active = ((temporality or {}).get(kind, cumulative) for kind in kinds)
        self.traffic = traffic
        self.session_started = sessions.session_started
        self.session_ended = sessions.session_ended

    def started(self, record: Measured) -> None:
        """Count a request in."""
        if not self.traffic.started_record(record):
            self.traffic.started(record.known_method, known_scheme(record.scheme))

    def ended(self, record: Measured, *, counted: bool) -> None:
        """Record a finished request. Exemplars take their trace id from the current span."""
        if not self.traffic.ended_record(record, counted):
            sizes = record.request_body_size, record.response_body_size
            self.traffic.ended(*request_words(record), record.duration_ns, *sizes, counted)

    def collect(self) -> list[Metric]:
        """Return the points since the last call, or (cumulative) since the beginning; no metric without a point.

        RuntimeError: another thread is collecting.
        """
        delta = 1  # AggregationTemporality.DELTA
        time_ns, requests, active = self.traffic.snapshot(
            self._histograms == delta, self._counters == delta, self._active == delta
        )
        sets = [(_attributes(REQUEST_ATTRIBUTES, words), points) for words, *points in requests]
        durations, request_sizes, response_sizes, counts = (
            [(attributes, points[index]) for attributes, points in sets if points[index] is not None]
            for index in range(4)
        )
        underway = [(_attributes(ACTIVE_REQUESTS.attributes, words), point) for words, point in active]
        metrics = [
            _sum_metric(ACTIVE_REQUESTS, underway, time_ns, self._active),
            _histogram_metric(REQUEST_DURATION, durations, time_ns, self._histograms),
            _histogram_metric(REQUEST_BODY_SIZE, request_sizes, time_ns, self._histograms),
            _histogram_metric(RESPONSE_BODY_SIZE, response_sizes, time_ns, self._histograms),
            _sum_metric(REQUESTS, counts, time_ns, self._counters),
        ]
        return [metric for metric in metrics if metric.data.data_points]


def _attributes(names: tuple[str, ...], words: tuple[Any, ...] | None) -> _Attributes:
    return OVERFLOW if words is None else named(names, words)


def _histogram_metric(
    row: Instrument, points: Sequence[tuple[_Attributes, Any]], time_ns: int, temporality: AggregationTemporality
) -> Metric:
    from opentelemetry.sdk.metrics import export

    data_points = [
        export.HistogramDataPoint(
            attributes=attributes,
            start_time_unix_nano=start_ns,
            time_unix_nano=time_ns,
            count=sum(counts),
            sum=total,
            bucket_counts=counts,
            explicit_bounds=row.buckets or (),
            min=least,
            max=most,
            exemplars=_exemplars(exemplars),
        )
        for attributes, (start_ns, counts, total, least, most, exemplars) in points
    ]
    return export.Metric(row.name, row.description, row.unit, export.Histogram(data_points, temporality))


def _sum_metric(
    row: Instrument, points: Sequence[tuple[_Attributes, Any]], time_ns: int, temporality: AggregationTemporality
) -> Metric:
    from opentelemetry.sdk.metrics import export

    data_points = [
        export.NumberDataPoint(
            attributes=attributes,
            start_time_unix_nano=start_ns,
            time_unix_nano=time_ns,
            value=value,
            exemplars=_exemplars(exemplars),
        )
        for attributes, (start_ns, value, exemplars) in points
    ]
    data = export.Sum(data_points, temporality, is_monotonic=row.kind == "counter")
    return export.Metric(row.name, row.description, row.unit, data)


def _exemplars(found: Sequence[tuple[float, int, bytes | None, bytes | None]]) -> list[Exemplar]:
    from opentelemetry.sdk.metrics import Exemplar

    return [
        Exemplar(
            filtered_attributes={},
            value=value,
            time_unix_nano=time_ns,
            span_id=None if span_id is None else int.from_bytes(span_id, "big"),
            trace_id=None if trace_id is None else int.from_bytes(trace_id, "big"),
        )
        for value, time_ns, trace_id, span_id in found
    ]

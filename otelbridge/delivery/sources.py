"""The three sources of a worker: log records from the core, ended spans, collected points. Sends nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from opentelemetry.context import Context
from opentelemetry.sdk.metrics import Histogram
from opentelemetry.sdk.metrics.export import Metric, MetricReader, MetricsData, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otelbridge.otlp.outcome import Signal
from otelbridge.otlp.providers import MetricPreferences
from otelbridge.otlp.requests_pb import encode_points, encode_spans, halve
from otelbridge.otlp.settings import BatchSettings
from otelbridge.scope import SCOPE_NAME, scope_version
from otelbridge.types import Batch, CoreCounters, LogSource

# Collections that wait while the collector is away; cumulative points make the older ones the cheaper loss.
_SNAPSHOT_COUNT_MAX = 64


class LogRecords:
    """The core's pending records, as a worker takes them."""

    signal: Signal = "logs"

    def __init__(self, core: LogSource, scope: bytes) -> None:
        self._core = core
        self._scope = scope
        self.resource_field: Callable[[], bytes] = bytes
        self.batch: BatchSettings | None = None

    def refill(self) -> None:
        """Nothing to fetch: the core has them."""

    def take(self) -> Batch | None:
        """Remove the oldest records as one request."""
        if self.batch is None:
            return None
        taken = self._core.take(self.resource_field(), self._scope, self.batch.size_max, self.batch.count_max)
        return Batch(*taken) if taken is not None else None

    def pending(self) -> int:
        """Records that wait in the core."""
        return CoreCounters(*self._core.counters()).pending

    def dropped(self) -> int:
        """Records that never came as far as a batch."""
        counters = CoreCounters(*self._core.counters())
        return counters.dropped_buffer_full + counters.dropped_too_large + counters.dropped_internal

    def halve(self, batch: Batch) -> tuple[Batch, Batch] | None:
        """Split a request in two."""
        return halve("logs", batch)

    def after_fork(self) -> None:
        """The core forgets its pending records by itself."""


class EndedSpans(SpanProcessor):
    """A bounded queue of ended spans, filled by the SDK on the threads of the app."""

    signal: Signal = "traces"

    def __init__(self, batch: BatchSettings, stamp: Callable[[Any], None]) -> None:
        self._stamp = stamp
        self.batch = batch
        self.on_first: Callable[[], object] = bool
        self.on_flush: Callable[[float], bool] = bool
        self._closed = False
        self._started = False
        self.after_fork()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """A span is ours when it has ended."""

    def on_end(self, span: ReadableSpan) -> None:
        """Store a sampled span, or count it as dropped."""
        context = span.context
        if not context.trace_flags.sampled or self._closed:
            return
        if len(self._spans) >= self.batch.queue_count_max:
            self._dropped += 1
            return
        self._spans.append(span)
        # On the first the worker starts; on a full batch it need not wait for its delay.
        if not self._started or len(self._spans) == self.batch.count_max:
            self._started = True
            self.on_first()

    def open(self) -> None:
        """Take spans (again)."""
        self._closed = False

    def shutdown(self) -> None:
        """Take no further spans."""
        self._closed = True

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send the spans that ended so far (called by the provider's `force_flush`)."""
        return self.on_flush(timeout_millis / 1000)

    def refill(self) -> None:
        """Nothing to fetch: the SDK brings them."""

    def take(self) -> Batch | None:
        """Remove the oldest spans as one request."""
        while self._spans:
            spans: list[ReadableSpan] = []
            while self._spans and len(spans) < self.batch.count_max:
                spans.append(self._spans.popleft())
            batch = self._encode(spans) or self._encode([span for span in spans if self._encode([span])])
            self._dropped += len(spans) - (batch.count if batch else 0)
            if batch:
                return batch
        return None

    def _encode(self, spans: list[ReadableSpan]) -> Batch | None:
        """None if there are none, or one has a value that the official encoder cannot take (it does not say which)."""
        try:
            return encode_spans(spans, self._stamp) if spans else None
        except Exception:
            return None

    def pending(self) -> int:
        """Spans that wait."""
        return len(self._spans)

    def dropped(self) -> int:
        """Spans that found the queue full, or could not be encoded."""
        return self._dropped

    def halve(self, batch: Batch) -> tuple[Batch, Batch] | None:
        """Split a request in two."""
        return halve("traces", batch)

    def after_fork(self) -> None:
        """The spans that were waiting are the parent's."""
        self._spans: deque[ReadableSpan] = deque()
        self._dropped = 0
        self._started = False


class CollectedPoints(MetricReader):
    """The reader of our meter provider: what its instruments hold, collected at each interval and at each flush.

    Metrics that are summed up elsewhere join them, in our own scope: `producers` are asked at each collection.
    """

    signal: Signal = "metrics"

    def __init__(self, preferences: MetricPreferences, stamp: Callable[[Any], None], resource: Resource) -> None:
        super().__init__(preferences.temporality, preferences.aggregation)
        self.producers: list[Callable[[], Sequence[Metric]]] = []
        self.temporality = preferences.temporality
        aggregation = (preferences.aggregation or {}).get(Histogram)
        self.has_plain_histograms = not isinstance(aggregation, ExponentialBucketHistogramAggregation)
        self._resource = resource
        self._stamp = stamp
        self._has_received = False
        self._waiting: deque[Batch] = deque()
        self._dropped = 0

    def refill(self) -> None:
        """Collect all points now."""
        # The app's own callbacks are called in there.
        self._has_received = False
        with suppress(Exception):
            self.collect()
        if not self._has_received:  # no instrument has anything
            with suppress(Exception):
                self._receive_metrics(MetricsData([]))

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> None:  # noqa: ARG002
        self._has_received = True
        batch = encode_points(self._with_produced(metrics_data), self._stamp)
        if batch is None:
            return
        if len(self._waiting) >= _SNAPSHOT_COUNT_MAX:
            self._dropped += self._waiting.popleft().count
        self._waiting.append(batch)

    def _with_produced(self, data: MetricsData) -> MetricsData:
        produced: list[Metric] = []
        for produce in self.producers:
            with suppress(Exception):
                produced += produce()
        if not produced:
            return data
        known = [scope for part in data.resource_metrics for scope in part.scope_metrics]
        ours = InstrumentationScope(SCOPE_NAME, scope_version())
        # One entry per scope: of two that are equal the official encoder keeps the last.
        produced += [metric for scope in known if scope.scope == ours for metric in scope.metrics]
        others = [scope for scope in known if scope.scope != ours]
        scopes = [*others, ScopeMetrics(ours, produced, ours.schema_url or "")]
        return MetricsData([ResourceMetrics(self._resource, scopes, self._resource.schema_url)])

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:  # the SDK's words
        """Nothing to do: the worker is stopped by `otelbridge.shutdown`."""

    def take(self) -> Batch | None:
        """Remove the oldest collection."""
        return self._waiting.popleft() if self._waiting else None

    def pending(self) -> int:
        """Points that wait."""
        return sum(batch.count for batch in tuple(self._waiting))

    def dropped(self) -> int:
        """Points of collections that waited too long."""
        return self._dropped

    def halve(self, batch: Batch) -> tuple[Batch, Batch] | None:
        """Split a request in two."""
        return halve("metrics", batch)

    def after_fork(self) -> None:
        """The points that were waiting are the parent's."""
        self._waiting.clear()
        self._dropped = 0

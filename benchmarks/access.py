"""Instrumented apps as contestants: the bare app, otelbridge around it, OpenTelemetry's own instrumentation around it.

Both sides get the same request and the same kind of span processor: one that queues a sampled span and lets it fall.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import NoOpTracerProvider, SpanKind

from benchmarks.hosts import HOSTS
from benchmarks.timing import Contestant, LostRecordsError

NEVER_MS = "3600000"
DURATION = "http.server.request.duration"


class FallingSpans(SpanProcessor):
    """A batch processor whose batches go nowhere: queues a sampled span, as the SDK's does, and nothing else."""

    def __init__(self) -> None:
        # As long as the SDK's queue.
        self._queue: deque[ReadableSpan] = deque(maxlen=2048)
        self._count = 0

    def on_end(self, span: ReadableSpan) -> None:
        """Queue it."""
        if span.context is not None and span.context.trace_flags.sampled:
            self._queue.append(span)

    def drop(self) -> None:
        """Empty the queue, and count the requests in it (not the spans of single messages)."""
        self._count += sum(span.kind is SpanKind.SERVER for span in self._queue)
        self._queue.clear()

    def arrived(self) -> int:
        """Requests since the last question."""
        count, self._count = self._count, 0
        return count


def bare(name: str, host: str) -> Contestant:
    """The app alone."""
    kind = HOSTS[host]
    return Contestant(name, "request()", {"request": kind.client(kind.make())}, scope=_no_context)


def ours(
    name: str, host: str, *, endpoint: str, traces: bool = True, access_log: bool = True, metrics: str = "otlp"
) -> Contestant:
    """`otelbridge.instrument(app)`; access records end as OTLP bytes in the core's buffer, which no worker empties."""
    import otelbridge
    from benchmarks import ours as logs

    spans = _global_spans()
    kind = HOSTS[host]
    _export.open(endpoint)
    try:
        app = otelbridge.instrument(kind.make(), traces=traces, access_log=access_log, metrics=metrics)
    except BaseException:
        _export.close()
        raise
    drain = logs.Drain()
    counters = [*([drain.arrived] if access_log else []), *([spans.arrived] if traces else [])]

    @contextmanager
    def scope() -> Iterator[None]:
        logs.export()
        with _no_context():
            yield

    def finish() -> None:
        drain.take()
        spans.drop()

    def close() -> None:
        otelbridge.uninstrument(app)
        _export.close()

    return Contestant(
        name,
        "request()",
        {"request": kind.client(app)},
        scope=scope,
        finish=finish,
        arrived=all_of(counters) if counters else None,
        close=close,
    )


def theirs(name: str, host: str, *, traces: bool = True, **options: Any) -> Contestant:
    """OpenTelemetry's instrumentation with stable names, the SDK's meters and one reader."""
    kind = HOSTS[host]
    reader = InMemoryMetricReader()
    meters = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    spans = FallingSpans()
    tracers: trace.TracerProvider = _sdk_tracers(spans) if traces else NoOpTracerProvider()
    app = kind.theirs(kind.make(), tracer_provider=tracers, meter_provider=meters, **options)
    counters = [_Measured(reader).arrived, *([spans.arrived] if traces else [])]
    return Contestant(
        name,
        "request()",
        {"request": kind.client(app)},
        scope=_no_context,
        finish=spans.drop,
        arrived=all_of(counters),
        close=meters.shutdown,
    )


class _Export:
    """otelbridge's settings, while at least one contestant needs them."""

    def __init__(self) -> None:
        self._users = 0

    def open(self, endpoint: str) -> None:
        import otelbridge

        self._users += 1
        if self._users > 1:
            return
        os.environ["OTEL_METRIC_EXPORT_INTERVAL"] = NEVER_MS
        try:
            # No worker for logs: as in `ours`, the benchmark takes what is in the buffer.
            otelbridge.configure(service_name="bench", endpoint=endpoint, logs="none", metrics="otlp", traces="otlp")
        finally:
            del os.environ["OTEL_METRIC_EXPORT_INTERVAL"]

    def close(self) -> None:
        import otelbridge

        self._users -= 1
        if self._users == 0:
            otelbridge.shutdown()


_export = _Export()


class _Measured:
    """How many requests a reader of theirs has seen under the stable name."""

    def __init__(self, reader: InMemoryMetricReader) -> None:
        self._reader = reader
        self._seen = 0

    def arrived(self) -> int:
        data: Any = self._reader.get_metrics_data()
        total = sum(
            int(point.count)
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
            if metric.name == DURATION
            for point in metric.data.data_points
        )
        new, self._seen = total - self._seen, total
        return new


def all_of(counters: list[Callable[[], int]]) -> Callable[[], int]:
    """One count, on which all signals agree."""

    def arrived() -> int:
        counts = [count() for count in counters]
        if len(set(counts)) > 1:
            msg = f"the signals must agree on how many requests there were, got {counts}"
            raise LostRecordsError(msg)
        return counts[0]

    return arrived


@contextmanager
def _no_context() -> Iterator[None]:
    """A server's task begins outside of every span; the benchmark itself runs inside one."""
    token = attach(Context())
    try:
        yield
    finally:
        detach(token)


def _sdk_tracers(spans: SpanProcessor) -> TracerProvider:
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(spans)
    return tracers


@cache
def _global_spans() -> FallingSpans:
    """A user's TracerProvider, which otelbridge then uses."""
    spans = FallingSpans()
    trace.set_tracer_provider(_sdk_tracers(spans))
    return spans

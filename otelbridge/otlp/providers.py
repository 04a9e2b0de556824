"""The process's OpenTelemetry providers: ours where there is none, the user's left alone. Exports nothing itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from opentelemetry import _logs, metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import MetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider

from otelbridge.otlp.settings import SignalSettings
from otelbridge.scope import SCOPE_NAME, scope_version

_EXCEPTION_ATTRIBUTES = ("exception.type", "exception.message", "exception.stacktrace")


def set_tracer_provider(resource: Resource, processor: SpanProcessor) -> bool:
    """Set an SDK TracerProvider that feeds `processor`; False when the user has one."""
    if not _is_unset(trace.get_tracer_provider(), "ProxyTracerProvider"):
        return False
    # otelbridge.shutdown() ends it, in its own bounded time.
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)
    return trace.get_tracer_provider() is provider


def set_meter_provider(resource: Resource, reader: MetricReader) -> bool:
    """Set an SDK MeterProvider that `reader` collects from; False when the user has one."""
    if not _is_unset(metrics.get_meter_provider(), "_ProxyMeterProvider"):
        return False
    provider = MeterProvider(metric_readers=[reader], resource=resource, shutdown_on_exit=False)
    metrics.set_meter_provider(provider)
    return metrics.get_meter_provider() is provider


class MetricPreferences(NamedTuple):
    """How the points of each kind of instrument are to be summed up."""

    temporality: Any
    aggregation: Any


def metric_preferences(settings: SignalSettings) -> MetricPreferences:
    """What the official exporter reads from OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE and its sister."""
    exporter: Any
    if settings.protocol == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter

        exporter = GrpcExporter(endpoint=settings.endpoint)
    else:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter

        exporter = HttpExporter(endpoint=settings.endpoint)
    exporter.shutdown()
    # Where the SDK's own periodic reader finds them, too.
    return MetricPreferences(
        getattr(exporter, "_preferred_temporality", None), getattr(exporter, "_preferred_aggregation", None)
    )


def make_provider_emitter() -> Callable[[Mapping[str, Any]], None]:
    """What `logs="provider"` calls for each record: it goes to the LoggerProvider that the user set."""
    # The user's provider may be set later than this: the API's proxy finds it.
    logger = _logs.get_logger(SCOPE_NAME, scope_version())

    def emit(parts: Mapping[str, Any]) -> None:
        logger.emit(_make_record(parts))  # what the user's processors raise is the caller's to report

    return emit


def _make_record(parts: Mapping[str, Any]) -> _logs.LogRecord:
    attributes = dict(parts.get("attributes") or {})
    # As text already: the record must not change when the exception does.
    for name, value in zip(_EXCEPTION_ATTRIBUTES, parts.get("exception") or (), strict=False):
        attributes.setdefault(name, value)
    return _logs.LogRecord(
        timestamp=parts.get("time_ns"),
        observed_timestamp=parts.get("time_ns"),
        severity_text=parts.get("severity_text"),
        severity_number=_severity(parts.get("severity_number")),
        body=parts.get("body"),
        attributes=attributes,
        event_name=parts.get("event_name") or None,
    )


def _severity(number: Any) -> _logs.SeverityNumber:
    try:
        return _logs.SeverityNumber(number)
    except ValueError:
        return _logs.SeverityNumber.UNSPECIFIED


def _is_unset(provider: object, proxy: str) -> bool:
    # The API's stand-ins are not all public; their names have been these since 1.0.
    return type(provider).__name__ in (proxy, "_DefaultTracerProvider", "NoOpTracerProvider", "NoOpMeterProvider")

"""Keeps delivery out of what it delivers: on export threads, nothing is instrumented and nothing of ours is logged."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# True on export threads; bridges from other logging libraries ignore what is logged there.
exporting: ContextVar[bool] = ContextVar("otelbridge_exporting", default=False)

# What the exporters and the libraries below them log while they send. A logger's filter sees only what is logged on
# that very logger, so each is named.
_LOGGERS = (
    "charset_normalizer",
    "grpc",
    "grpc._channel",
    "grpc._common",
    "grpc._cython.cygrpc",
    "grpc._plugin_wrapping",
    "opentelemetry.attributes",
    "opentelemetry.exporter.otlp.common.http",
    "opentelemetry.exporter.otlp.proto.common._internal",
    "opentelemetry.exporter.otlp.proto.common._internal._log_encoder",
    "opentelemetry.exporter.otlp.proto.common._internal.metrics_encoder",
    "opentelemetry.exporter.otlp.proto.common._internal.trace_encoder",
    "opentelemetry.exporter.otlp.proto.grpc",
    "opentelemetry.exporter.otlp.proto.grpc._log_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
    "opentelemetry.exporter.otlp.proto.grpc.metric_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.trace_exporter",
    "opentelemetry.exporter.otlp.proto.http",
    "opentelemetry.exporter.otlp.proto.http._common",
    "opentelemetry.exporter.otlp.proto.http._log_exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "requests",
    "urllib3",
    "urllib3.connection",
    "urllib3.connectionpool",
    "urllib3.poolmanager",
    "urllib3.response",
    "urllib3.util.retry",
)


def _is_elsewhere(_record: logging.LogRecord) -> bool:
    return not exporting.get()


def mute_export_loggers() -> None:
    """Make the exporters' loggers silent on export threads (and only there); adding a filter twice is no matter."""
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_is_elsewhere)


@contextmanager
def quiet() -> Iterator[None]:
    """Mark the current thread as exporting, and its requests as none for instrumentations to trace."""
    from opentelemetry import context

    values = context.get_current()
    for name, fallback in (
        ("_SUPPRESS_INSTRUMENTATION_KEY", "suppress_instrumentation"),
        ("_SUPPRESS_HTTP_INSTRUMENTATION_KEY", "suppress_http_instrumentation"),
    ):
        values = context.set_value(getattr(context, name, fallback), True, values)
    mark = exporting.set(True)
    token = context.attach(values)
    try:
        yield
    finally:
        context.detach(token)
        exporting.reset(mark)

"""The OTel SDK as a contestant: stdlib logging, LoggingHandler, BatchLogRecordProcessor; and its tracer, for everybody.

Its worker thread never has a reason to wake: the delay is an hour and no block reaches a batch. The benchmark calls
`force_flush` between blocks instead, which does the same work on the calling thread; so the caller's figure holds
nothing of the worker, and the CPU figures hold all of it, once, without the two fighting for the GIL.
"""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Sequence
from typing import Any

from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

from benchmarks.timing import Contestant

BATCH_COUNT = 512
NEVER_MS = 3_600_000.0
# As many calls as fit in the SDK's default batch (a block is a multiple of ten calls).
BLOCK_COUNT = 510

STATEMENT = 'logger.{}("user %s logged in", user, extra={{"user": user, "user_id": 3}})'


class NullExporter:
    """Takes any batch and does nothing: what is measured is the way to here."""

    def export(self, batch: Sequence[Any]) -> None:
        """Accept."""

    def shutdown(self) -> None:
        """Nothing to stop."""

    def force_flush(self, timeout_millis: int = 0) -> bool:  # noqa: ARG002  the SDK's signature
        """Nothing is held back."""
        return True


class EncodingExporter(NullExporter):
    """Ends where the bytes of the request are ready."""

    def __init__(self) -> None:
        self._count = 0

    def export(self, batch: Sequence[Any]) -> None:
        """Encode as the official OTLP exporter does."""
        encode_logs(batch).SerializeToString()
        self._count += len(batch)

    def arrived(self) -> int:
        """Records encoded since the last question."""
        count, self._count = self._count, 0
        return count


def tracer() -> Tracer:
    """A recording tracer; the span of every contestant."""
    return TracerProvider(resource=Resource.create({"service.name": "bench"})).get_tracer("benchmarks")


def provider(exporter: Any) -> LoggerProvider:
    """The SDK's pipeline with its default batch and queue."""
    logs = LoggerProvider(resource=Resource.create({"service.name": "bench"}), shutdown_on_exit=False)
    processor = BatchLogRecordProcessor(
        exporter, schedule_delay_millis=NEVER_MS, max_export_batch_size=BATCH_COUNT, max_queue_size=4 * BATCH_COUNT
    )
    logs.add_log_record_processor(processor)
    return logs


def handler(logs: LoggerProvider) -> logging.Handler:
    """The bridge from stdlib logging: the SDK's own, or contrib's where the SDK no longer has it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            kind = importlib.import_module("opentelemetry.sdk._logs").LoggingHandler
        except AttributeError:
            kind = importlib.import_module("opentelemetry.instrumentation.logging.handler").LoggingHandler
        bridge = kind(logger_provider=logs)
    assert isinstance(bridge, logging.Handler)
    return bridge


def stdlib_logger(name: str, level: int, *handlers: logging.Handler) -> logging.Logger:
    """A logger of its own: nothing propagates."""
    logger = logging.getLogger(f"benchmarks.{name}")
    logger.propagate = False
    logger.setLevel(level)
    logger.handlers[:] = handlers
    return logger


def caller(name: str, *more: logging.Handler, level: int = logging.DEBUG, method: str = "info") -> Contestant:
    """A call, up to the queue of the batch processor."""
    logs = provider(NullExporter())
    logger = stdlib_logger(name, level, handler(logs), *more)
    return Contestant(
        name,
        STATEMENT.format(method),
        {"logger": logger, "user": "ada"},
        finish=logs.force_flush,
        close=logs.shutdown,
    )


def encoded(name: str) -> Contestant:
    """A call, up to the bytes of the export request."""
    exporter = EncodingExporter()
    logs = provider(exporter)
    logger = stdlib_logger(name, logging.DEBUG, handler(logs))
    return Contestant(
        name,
        STATEMENT.format("info"),
        {"logger": logger, "user": "ada"},
        finish=logs.force_flush,
        arrived=exporter.arrived,
        block_count=BLOCK_COUNT,
        close=logs.shutdown,
    )


def posting_provider(endpoint: str, compression: Compression) -> LoggerProvider:
    """The pipeline with the official exporter at its end."""
    return provider(OTLPLogExporter(endpoint=f"{endpoint}/v1/logs", compression=compression))


def posted(name: str, endpoint: str, compression: str) -> Contestant:
    """A call, up to the collector's answer."""
    logs = posting_provider(endpoint, Compression(compression))
    logger = stdlib_logger(name, logging.DEBUG, handler(logs))
    return Contestant(
        name,
        STATEMENT.format("info"),
        {"logger": logger, "user": "ada"},
        finish=logs.force_flush,
        block_count=BLOCK_COUNT,
        close=logs.shutdown,
    )

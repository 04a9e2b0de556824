"""Requests and sessions as the backends see them, and what a reader of the SDK collects."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Metric


@dataclass
class Request:
    """A finished request; only what a test is about is named there."""

    known_method: str = "GET"
    scheme: str = "http"
    http_version: str = "1.1"
    route: str | None = "/items/{id}"
    status: int | None = 200
    error_type: str | None = None
    request_body_size: int = 0
    response_body_size: int = 5
    duration_ns: int = 30_000_000


@dataclass
class Session(Request):
    """A finished WebSocket session."""

    scheme: str = "ws"
    route: str | None = "/ws/{room}"
    status: int | None = 101
    closed_by: str = "client"
    messages_in: int = 3
    messages_out: int = 2


def make_provider(*readers: InMemoryMetricReader, **options: Any) -> MeterProvider:
    """Return a MeterProvider of a user's; `options` are the SDK's."""
    return MeterProvider(metric_readers=readers, shutdown_on_exit=False, **options)


def collect(reader: InMemoryMetricReader) -> dict[str, Metric]:
    """Collect: name -> metric."""
    data = reader.get_metrics_data()
    return {
        metric.name: metric
        for resource in (data.resource_metrics if data else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def points_of(reader: InMemoryMetricReader, name: str) -> list[Any]:
    """Collect, and return the points of one instrument."""
    metrics = collect(reader)
    return list(metrics[name].data.data_points) if name in metrics else []

"""Gives an Observer the process's own ways out: its logger, its tracer, its metrics."""

from __future__ import annotations

from opentelemetry.trace import get_tracer

from otelbridge._logger import logger
from otelbridge.access.observe import Observer
from otelbridge.access.options import Settings
from otelbridge.access.servers import install
from otelbridge.metrics.instruments import RequestMetrics
from otelbridge.scope import SCOPE_NAME, scope_version


def make_observer(settings: Settings, *, metrics: str | None) -> Observer:
    """Return an Observer of the process's logger and providers.

    metrics: one of `options.METRICS`; None: what `configure()` or the environment says, and exporting begins.
    """
    observer = Observer(
        settings,
        logger=logger,
        tracer=get_tracer(SCOPE_NAME, scope_version()),
        metrics=request_metrics(metrics),
    )
    install(observer)
    return observer


def request_metrics(name: str | None) -> RequestMetrics | None:
    """Return the backend of that name; None for "none"."""
    from otelbridge import wiring

    match wiring.metrics_backend() if name is None else name:
        case "otlp":
            return wiring.otlp_metrics()
        case "statsd":
            return wiring.statsd_metrics()
        case _:
            return None


def ensure_configured() -> None:
    """Begin exporting, if nobody did."""
    # `wiring` imports everything, this package too.
    from otelbridge.wiring import ensure_configured

    ensure_configured()

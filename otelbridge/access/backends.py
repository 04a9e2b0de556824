"""Gives an Observer the process's own ways out: its logger, its tracer, its metrics."""

from __future__ import annotations

import sys
from collections.abc import Callable

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
    backend = request_metrics(metrics)
    observer = Observer(
        settings,
        logger=logger,
        tracer=get_tracer(SCOPE_NAME, scope_version()),
        metrics=backend,
        # Not now: this may be a master, which only forks those who serve.
        on_first=None if backend is None else _begin,
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


def before_end(action: Callable[[], object]) -> None:
    """Have `flush_at_end` call this as well; it must be bounded."""
    _before_end.append(action)


def flush_at_end() -> bool:
    """Flush, bounded: the process may be gone next. True if everything was answered, or nothing was ever sent."""
    for action in _before_end:
        action()
    wiring = sys.modules.get("otelbridge.wiring")
    return wiring is None or bool(wiring.flush_at_end())


def _begin() -> None:
    from otelbridge import wiring

    wiring.begin()


_before_end: list[Callable[[], object]] = []

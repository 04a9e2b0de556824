"""`instrument()` with its three signals kept in memory, whatever the framework."""

from __future__ import annotations

import pytest

from otelbridge.access.observe import Observer
from otelbridge.access.options import Settings
from otelbridge.integrations import apps
from tests.access.support import Harness, hello


@pytest.fixture
def harness(monkeypatch: pytest.MonkeyPatch) -> Harness:
    """What `instrument()` makes in this test goes to this harness."""
    memory = Harness(hello)

    def observer(settings: Settings, *, metrics: str | None) -> Observer:
        backend = memory.observer.metrics if metrics in (None, "otlp") else None
        return Observer(settings, logger=memory.logger, tracer=memory.tracer, metrics=backend)

    monkeypatch.setattr(apps, "make_observer", observer)
    monkeypatch.setattr(apps, "ensure_configured", lambda: None)
    return memory

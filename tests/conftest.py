"""What holds for all tests: markers, fixtures that several rooms use, and no environment of the user's."""

from __future__ import annotations

import os

import pytest

from tests.otlp.receivers import otlp_receiver

__all__ = ["otlp_receiver"]

pytest_plugins = ["tests.plugins.components", "tests.plugins.covers", "tests.plugins.measured"]

_PREFIXES = ("OTEL_", "OTELBRIDGE_", "LOGURU_", "BB_")
_OURS = ("OTELBRIDGE_EXAMPLES",)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the developer's shell reaches a test."""
    for name in os.environ:
        if name.startswith(_PREFIXES) and name not in _OURS:
            monkeypatch.delenv(name)

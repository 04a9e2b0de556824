"""A log server for each test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from otelbridge import _export
from tests.pipeline.receiving import LogServer, log_server


@pytest.fixture
def server() -> Iterator[LogServer]:
    """A log server that takes everything."""
    with log_server() as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_reported_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is reported once in a process is reported once in each test."""
    monkeypatch.setattr(_export, "_reported", set())

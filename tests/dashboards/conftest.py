"""The servers that know the grammars: Prometheus and Loki as they are shipped, without data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stack.services import Loki, Prometheus
from tools import backends


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A running Prometheus."""
    server = Prometheus(built("prometheus"), tmp_path_factory.mktemp("prometheus"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def loki(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loki]:
    """A running Loki."""
    server = Loki(built("loki"), tmp_path_factory.mktemp("loki"))
    try:
        server.start()
        yield server
    finally:
        server.stop()


def built(name: str) -> Path:
    """The program *name*; without it the test is skipped."""
    path = backends.binary(name)
    if not path.exists():
        pytest.skip(f"{name} is not built: `make backends` builds it")
    return path

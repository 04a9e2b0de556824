"""Hypercorn's loggers are the process's: each test finds them bare, and leaves them so."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from otelbridge.access import servers
from otelbridge.access.console import CLAIMS
from tests.native.conftest import exporting

__all__ = ["exporting"]


@pytest.fixture(autouse=True)
def bare_loggers() -> Iterator[None]:
    """No handler, level or filter on Hypercorn's loggers; no app but the test's."""
    names = ("hypercorn.access", "hypercorn.error")
    found = [logging.getLogger(name) for name in names]
    servers._filter.observers.clear()
    CLAIMS.claimants.clear()
    CLAIMS.handlers = None
    for log in found:
        log.removeFilter(servers._filter)
    yield
    for log in found:
        for handler in log.handlers[:]:
            if type(handler).__module__.startswith("_pytest"):
                continue  # it watches loggers that do not propagate
            log.removeHandler(handler)
            handler.close()
        log.setLevel(logging.NOTSET)
        log.propagate = True
        log.disabled = False
        log.filters.clear()

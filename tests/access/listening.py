"""Somebody who listens on the standard library's logger, and a record as a request leaves it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from otelbridge.access.record import AccessRecord

NAME = "otelbridge.access"
# 2026-11-21 18:00:00 UTC
START_NS = 1_795_284_000_000_000_000


class Listener(logging.Handler):
    """Keeps what it gets."""

    def __init__(self, level: int = logging.NOTSET) -> None:
        super().__init__(level)
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def record(self) -> Any:
        """The only record."""
        assert len(self.records) == 1, self.records
        return self.records[0]


@contextmanager
def attached(handler: logging.Handler, name: str | None = NAME, level: int = logging.INFO) -> Iterator[None]:
    """The handler alone on a logger of that level, or among others on the root logger (None); as it was afterwards."""
    log = logging.getLogger(name)
    before, propagates = log.level, log.propagate
    log.addHandler(handler)
    log.setLevel(level)
    log.propagate = name is None  # pytest listens on the root logger
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(before)
        log.propagate = propagates


def a_record(**changes: Any) -> AccessRecord:
    """A finished request; `changes` are fields, or additions."""
    record = AccessRecord(
        method="GET",
        known_method="GET",
        path="/api/users",
        query="page=2",
        client_address="203.0.113.42",
        status=200,
        response_body_size=87,
        start_ns=START_NS,
        duration_ns=3_212_345,
        user_agent="curl/8",
        referer="https://example.com/",
    )
    for name, value in changes.items():
        setattr(record, name, value)
    return record

"""Where records wait: bounded, taken oldest first in whole requests, every one accounted for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otelbridge.types import CoreCounters
from tests.native.conftest import SIZE, Exporting

RESOURCE = Resource(attributes=[KeyValue(key="service.name", value=AnyValue(string_value="shop"))])
SCOPE = InstrumentationScope(name="otelbridge", version="1")
RESOURCE_FIELD = ResourceLogs(resource=RESOURCE).SerializeToString()
SCOPE_FIELD = ScopeLogs(scope=SCOPE).SerializeToString()


def requests(exporting: Exporting, size_max: int, count_max: int) -> Iterator[tuple[ExportLogsServiceRequest, int]]:
    """Take until nothing waits."""
    while (taken := exporting.core.take(RESOURCE_FIELD, SCOPE_FIELD, size_max, count_max)) is not None:
        yield ExportLogsServiceRequest.FromString(taken[0]), taken[1]


def counters(exporting: Exporting) -> CoreCounters:
    return CoreCounters(*exporting.core.counters())


@pytest.mark.parametrize(
    ("size_max", "count_max"),
    [(1 << 30, 1 << 30), (1 << 30, 1), (1 << 30, 7), (1, 1 << 30), (0, 0), (1000, 3), (5000, 1 << 30)],
)
def test_take_splits_on_size_and_count(exporting: Exporting, size_max: int, count_max: int) -> None:
    """
    Each request is well-formed, has resource and scope, at most so many records and bytes (but one record always), and
    all records come once, in order.
    """
    for i in range(50):
        exporting.logger.info("{} {}", i, "x" * (i * 20))

    seen: list[int] = []
    for request, count in requests(exporting, size_max, count_max):
        (resource_logs,) = request.resource_logs
        (scope_logs,) = resource_logs.scope_logs
        assert resource_logs.resource == RESOURCE
        assert scope_logs.scope == SCOPE
        assert count == len(scope_logs.log_records) >= 1
        assert count <= max(1, count_max)
        framed = sum(len(record.SerializeToString()) + 2 for record in scope_logs.log_records)
        assert count == 1 or framed <= size_max
        seen += [int(record.body.string_value.split()[0]) for record in scope_logs.log_records]

    assert seen == list(range(50))
    assert (counters(exporting).pending, counters(exporting).pending_size) == (0, 0)


def test_take_of_nothing_is_none(exporting: Exporting) -> None:
    """
    Without records there is no request.
    """
    assert exporting.core.take(RESOURCE_FIELD, SCOPE_FIELD, 1000, 1000) is None


def test_full_buffer_counts_and_takes_again(exporting: Exporting) -> None:
    """
    A record that does not fit is counted as dropped, at no cost to those that wait; once they are taken, new ones fit.
    """
    exporting.core.set_export("on", 0, 10_000)
    for i in range(200):
        exporting.logger.info("{}", i)

    full = counters(exporting)
    assert full.emitted == 200
    assert 0 < full.pending < 200
    assert full.pending_size <= 10_000
    assert full.dropped_buffer_full == 200 - full.pending
    kept = len(exporting.take())
    exporting.logger.info("after")

    assert kept == full.pending
    assert counters(exporting).pending == 1
    assert counters(exporting).dropped_buffer_full == full.dropped_buffer_full


def test_smaller_buffer_keeps_what_waits(exporting: Exporting) -> None:
    """
    Making the buffer smaller loses no record that waits already.
    """
    for _ in range(100):
        exporting.logger.info("text")
    exporting.core.set_export("on", 0, 100)
    exporting.logger.info("too much")

    assert len(exporting.take()) == 100
    assert counters(exporting).dropped_buffer_full == 1


def test_many_blocks(exporting: Exporting) -> None:
    """
    Records of very different sizes, many MiB of them, taken while others come, are all there once.
    """
    sizes = [1, 100, 70_000, 300_000, 1_000_000, 5]
    seen: list[int] = []
    for i in range(120):
        exporting.logger.info("{}", i, pad="x" * sizes[i % len(sizes)])
        if i % 10 == 9:
            taken = exporting.core.take(b"", b"", 2 << 20, 5)
            assert taken is not None
            request = ExportLogsServiceRequest.FromString(taken[0])
            seen += [int(record.body.string_value) for record in request.resource_logs[0].scope_logs[0].log_records]
    for request, _ in requests(exporting, SIZE, 1 << 20):
        seen += [int(record.body.string_value) for record in request.resource_logs[0].scope_logs[0].log_records]

    assert seen == list(range(120))


def test_every_record_is_accounted_for(exporting: Exporting) -> None:
    """
    Emitted = taken + waiting + dropped, whatever happens to records.
    """
    taken = 0
    modes: list[Literal["on", "off", "shutdown"]] = ["on", "shutdown", "off", "on"]
    for mode in modes:
        exporting.core.set_export(mode, 0, 20_000)
        for i in range(100):
            exporting.logger.info("{}", i)
            exporting.logger.opt(depth=0).info("{}", i, large=["x" * 5_000] * (i % 10))
            now = counters(exporting)
            assert now.emitted == taken + now.pending + sum(now[3:])
        if mode != "shutdown":
            taken += len(exporting.take())

    now = counters(exporting)
    assert now.emitted == 600
    assert now.dropped_shutdown == 200
    assert now.emitted == taken + now.pending + sum(now[3:])


@pytest.mark.parametrize("python_way", [False, True])
def test_shutdown_counts_what_comes_later(exporting: Exporting, python_way: bool) -> None:
    """
    After shutdown a record at or above the level is counted as dropped, and none below it is.
    """
    exporting.core.set_export("shutdown", 20, SIZE)
    log = exporting.logger.opt(depth=0) if python_way else exporting.logger

    log.debug("below")
    log.info("at")
    log.error("above")

    now = counters(exporting)
    assert (now.emitted, now.dropped_shutdown, now.pending) == (2, 2, 0)


def test_level_of_otlp_is_its_own(exporting: Exporting) -> None:
    """
    OTLP has a level apart from every sink's.
    """
    exporting.core.set_export("on", 30, SIZE)
    texts: list[str] = []
    number = exporting.logger.add(texts.append, level=10, format="{message}")

    exporting.logger.debug("debug")
    exporting.logger.warning("warning")
    exporting.logger.remove(number)
    exporting.logger.info("nobody")

    assert texts == ["debug\n", "warning\n"]
    assert len(exporting.take()) == 1
    assert counters(exporting).emitted == 1


@pytest.mark.parametrize(
    "arguments", [(), ("on",), ("nope", 0, 0), (5, 0, 0), ("on", "x", 0), ("on", 0, -1), ("on", 2**70, 0)]
)
def test_wrong_settings_raise(exporting: Exporting, arguments: tuple[object, ...]) -> None:
    """
    The settings of the core say what is wrong, and stay as they were.
    """
    with pytest.raises((TypeError, ValueError, OverflowError)):
        exporting.core.set_export(*arguments)  # type: ignore[arg-type]

    exporting.logger.info("text")
    assert len(exporting.take()) == 1


@pytest.mark.parametrize(
    "arguments", [(), (b"", b"", 1), ("", b"", 1, 1), (b"", None, 1, 1), (b"", b"", -1, 1), (b"", b"", 1, "1")]
)
def test_wrong_take_loses_nothing(exporting: Exporting, arguments: tuple[object, ...]) -> None:
    """
    A wrong call of take raises, and the records still wait.
    """
    exporting.logger.info("text")
    with pytest.raises((TypeError, ValueError)):
        exporting.core.take(*arguments)  # type: ignore[arg-type]

    assert len(exporting.take()) == 1

"""Blocks that are entered in a request are its record's, though they were left before it is written."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry import context as otel
from opentelemetry import trace

from otelbridge._export import core
from otelbridge._logger import logger
from otelbridge.access.record import AccessRecord
from otelbridge.context import CURRENT, attach
from otelbridge.context import enter as enter_block
from otelbridge.context import leave as leave_block
from tests.native.conftest import Exporting
from tests.native.oracle import parse


@contextmanager
def request(record: AccessRecord, otel_context: Any = None) -> Iterator[None]:
    entry = core.enter_request(record, otel_context)
    try:
        yield
    finally:
        core.leave_request(entry)


def values_of(record: AccessRecord) -> dict[str, Any] | None:
    return None if record.context is None else record.context.values


def test_a_block_that_was_left_is_the_records() -> None:
    """
    What a middleware contextualized, whatever it encloses, is the record's context afterwards.
    """
    record = AccessRecord()
    with request(record), logger.contextualize(user="ada"), logger.contextualize(step=2):
        pass

    assert values_of(record) == {"user": "ada", "step": 2}
    assert CURRENT.get() is None


def test_the_block_that_was_entered_last_counts() -> None:
    """
    Of two blocks, one after the other, the second.
    """
    record = AccessRecord()
    with request(record):
        with logger.contextualize(user="ada"):
            pass
        with logger.contextualize(user="grace"):
            pass

    assert values_of(record) == {"user": "grace"}


def test_a_request_without_blocks_has_no_context() -> None:
    """
    What surrounds the request is not the record's, but is inherited by blocks in it.
    """
    record = AccessRecord()
    with logger.contextualize(worker=1):
        with request(record):
            assert CURRENT.get().values == {"worker": 1}  # type: ignore[union-attr]
            assert record.context is None
            with logger.contextualize(user="ada"):
                pass
        with logger.contextualize(after=1):
            pass

    assert values_of(record) == {"worker": 1, "user": "ada"}


def test_a_block_with_ids_is_the_records_too() -> None:
    """
    Blocks that Python enters, as those that name ids, count like all others.
    """
    attach(core)
    record = AccessRecord()
    with request(record), logger.contextualize(trace_id="0af7651916cd43dd8448eb211c80319c", user="ada"):
        pass
    assert record.context is not None
    assert (record.context.hidden, record.context.values["user"]) == (("trace_id",), "ada")

    with request(record):
        leave_block(enter_block({"user": "grace"}))

    assert record.context.values["user"] == "grace"


def test_a_request_that_is_entered_again_has_its_context() -> None:
    """
    At the end of a request its last block surrounds what is logged, although it was left.
    """
    record = AccessRecord()
    with request(record), logger.contextualize(user="ada"):
        pass

    with request(record):
        assert CURRENT.get() is record.context

    assert CURRENT.get() is None


def test_tasks_and_threads_of_a_request_are_its_own() -> None:
    """
    A block in a child task, or in a thread with a copy of the context, is the record's.
    """
    record = AccessRecord()

    async def child(name: str) -> None:
        with logger.contextualize(**{name: 1}):
            await asyncio.sleep(0)

    async def serve() -> None:
        with request(record), logger.contextualize(user="ada"):
            await asyncio.create_task(child("task"))

    asyncio.run(serve())
    assert values_of(record) == {"user": "ada", "task": 1}

    with request(record):
        thread = threading.Thread(target=contextvars.copy_context().run, args=(asyncio.run, child("thread")))
        thread.start()
        thread.join()
    assert values_of(record) == {"user": "ada", "task": 1, "thread": 1}


def test_requests_do_not_see_one_another() -> None:
    """
    Of two requests at once each has its own blocks.
    """
    records = [AccessRecord(), AccessRecord()]

    async def serve(record: AccessRecord, user: str) -> None:
        with request(record):
            await asyncio.sleep(0)
            with logger.contextualize(user=user):
                await asyncio.sleep(0)

    async def both() -> None:
        await asyncio.gather(serve(records[0], "ada"), serve(records[1], "grace"))

    asyncio.run(both())

    assert [values_of(record) for record in records] == [{"user": "ada"}, {"user": "grace"}]


def test_a_closed_record_keeps_nothing() -> None:
    """
    After `closed` the context is let go, and later blocks (of a child task that goes on) are not the record's.
    """
    record = AccessRecord()
    with request(record):
        with logger.contextualize(user="ada"):
            pass

        record.closed = True
        assert record.context is None
        with logger.contextualize(late=1):
            pass

    assert record.context is None


def test_records_are_let_go() -> None:
    """
    A record that was closed is freed at once with its request; one that was not, by the garbage collector.
    """

    class Held(AccessRecord):
        pass  # with room for a weak reference

    for closed in (True, False):
        record = Held()
        with request(record), logger.contextualize(user="ada"):
            pass
        record.closed = closed
        reference = weakref.ref(record)

        del record
        if not closed:
            gc.collect()

        assert reference() is None


def test_otel_context_is_entered_with_the_request() -> None:
    """
    The given OpenTelemetry context is current until the request is left; None leaves it as it is.
    """
    attach(core)
    span = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=True))
    before = otel.get_current()

    with request(AccessRecord(), trace.set_span_in_context(span)):
        assert trace.get_current_span() is span
        with request(AccessRecord()):
            assert trace.get_current_span() is span

    assert otel.get_current() is before


def test_leaving_in_another_context_changes_nothing() -> None:
    """
    A request that is left elsewhere than it was entered (a task closed from outside) raises nothing.
    """
    attach(core)
    entry = contextvars.copy_context().run(core.enter_request, AccessRecord(), otel.Context())
    before = otel.get_current()

    core.leave_request(entry)

    assert (CURRENT.get(), otel.get_current()) == (None, before)


class Reversed(tuple[int, int, bool, int]):
    """A span's context that is a tuple, but not as OpenTelemetry's is."""

    __slots__ = ()
    trace_id = property(lambda self: self[1])
    span_id = property(lambda self: self[0])
    trace_flags = property(lambda self: self[3])


class Foreign(trace.NonRecordingSpan):
    """A span of somebody else's making."""

    def get_span_context(self) -> Any:
        return Reversed((7, 9, True, 1))


def test_ids_are_what_the_span_says_they_are(exporting: Exporting) -> None:
    """
    The tuple of OpenTelemetry's SpanContext is taken apart; another one is asked by name, before and after that.
    """
    own = trace.NonRecordingSpan(trace.SpanContext(3, 5, is_remote=False, trace_flags=trace.TraceFlags(1)))
    spans = [Foreign(trace.INVALID_SPAN_CONTEXT), own, Foreign(trace.INVALID_SPAN_CONTEXT), own]
    for span in spans:
        with request(AccessRecord(), trace.set_span_in_context(span)):
            exporting.logger.info("text")

    records = list(map(parse, exporting.take()))

    ids = [(int.from_bytes(record.trace_id, "big"), int.from_bytes(record.span_id, "big")) for record in records]
    assert ids == [(9, 7), (3, 5), (9, 7), (3, 5)]
    assert [record.flags for record in records] == [1, 1, 1, 1]


@pytest.mark.parametrize("arguments", [(), (AccessRecord(),), (1, None)])
def test_what_is_no_request_is_refused(arguments: tuple[Any, ...]) -> None:
    """
    TypeError for wrong arguments, and nothing is entered.
    """
    with pytest.raises(TypeError):
        core.enter_request(*arguments)
    with pytest.raises(TypeError):
        core.leave_request(arguments)
    assert CURRENT.get() is None

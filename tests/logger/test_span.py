"""span: an OpenTelemetry span and its context in one with."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from otelbridge._logger import Logger
from tests.logger.conftest import Exporting, Lines
from tests.native.oracle import attributes_of, parse


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """The spans that ended, of a provider that is the process's for this test."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "get_tracer", lambda *args, **kwargs: provider.get_tracer("test"))
    return exporter


def test_records_inside_belong_to_the_span(exporting: Exporting, spans: InMemorySpanExporter) -> None:
    """
    Inside the block, records have the span's ids and its attributes; afterwards neither.
    """
    with exporting.logger.span("charge", order=7) as span:
        exporting.logger.info("inside")
    exporting.logger.info("outside")

    inside, outside = (parse(data) for data in exporting.take())
    (ended,) = spans.get_finished_spans()
    assert (ended.name, dict(ended.attributes or {})) == ("charge", {"order": 7})
    assert inside.span_id.hex() == trace.format_span_id(span.get_span_context().span_id)
    assert attributes_of(inside)["order"] == 7
    assert (outside.span_id, "order" in attributes_of(outside)) == (b"", False)


def test_spans_nest(spans: InMemorySpanExporter, log: Logger) -> None:
    """
    A block inside a block is its child.
    """
    with log.span("outer"), log.span("inner"):
        pass

    inner, outer = spans.get_finished_spans()
    assert inner.parent is not None
    assert inner.parent.span_id == outer.context.span_id


def test_exception_marks_the_span_and_goes_on(spans: InMemorySpanExporter, log: Logger) -> None:
    """
    What the block raises is raised, and the span says so.
    """
    with pytest.raises(ZeroDivisionError), log.span("divide"):
        _ = 1 / 0

    (ended,) = spans.get_finished_spans()
    assert not ended.status.is_ok
    assert ended.status.description == "ZeroDivisionError: division by zero"
    assert [event.name for event in ended.events] == ["exception"]


def test_decorates_functions_and_coroutines(spans: InMemorySpanExporter, log: Logger, lines: Lines) -> None:
    """
    Each call of a decorated function is a span of its own.
    """

    @log.span("plain", kind="a")
    def plain(x: int) -> int:
        log.info("in plain")
        return x + 1

    @log.span("awaited", kind="b")
    async def awaited(x: int) -> int:
        await asyncio.sleep(0)
        log.info("in awaited")
        return x + 2

    async def main() -> list[int]:
        return list(await asyncio.gather(awaited(1), awaited(2)))

    assert (plain(1), plain(2)) == (2, 3)
    assert asyncio.run(main()) == [3, 4]
    assert [span.name for span in spans.get_finished_spans()] == ["plain", "plain", "awaited", "awaited"]
    assert [record["extra"] for record in lines.records] == [{"kind": "a"}] * 2 + [{"kind": "b"}] * 2


def test_async_with(spans: InMemorySpanExporter, log: Logger) -> None:
    """
    The block may be an `async with`.
    """

    async def main() -> None:
        async with log.span("asynchronous"):
            await asyncio.sleep(0)

    asyncio.run(main())

    assert [span.name for span in spans.get_finished_spans()] == ["asynchronous"]


def test_objects_become_text_on_the_span_and_stay_objects_in_extra(
    spans: InMemorySpanExporter, log: Logger, lines: Lines
) -> None:
    """
    A span takes plain values only; sinks see the object.
    """
    thing = object()
    with log.span("work", thing=thing, items=[1, 2], mixed=[1, "a"]):
        log.info("inside")

    (ended,) = spans.get_finished_spans()
    assert dict(ended.attributes or {}) == {"thing": str(thing), "items": (1, 2), "mixed": "[1, 'a']"}
    assert lines.record["extra"]["thing"] is thing


def test_without_a_provider_it_is_a_block_of_context(log: Logger, lines: Lines) -> None:
    """
    When nobody records spans, records inside have the attributes all the same.
    """
    with log.span("work", order=1):
        log.info("inside")

    assert lines.record["extra"] == {"order": 1}


def test_mistakes_raise(log: Logger) -> None:
    """
    A name that is no text, and a generator to decorate, raise at once.
    """

    def generator() -> Any:
        yield 1

    with pytest.raises(TypeError, match="span name must be a str"):
        log.span(7)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must decorate a function"):
        log.span("x")(generator)

"""Trace and span ids of a record: from the active span, or from contextualize, through OpenTelemetry's own context."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.sdk.trace import TracerProvider, sampling
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otelbridge.context import read_ids
from tests.logger.conftest import Exporting, Lines
from tests.native.oracle import attributes_of, parse

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
OTHER_TRACE, OTHER_SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACER = TracerProvider().get_tracer("test")
UNSAMPLED = TracerProvider(sampler=sampling.ALWAYS_OFF).get_tracer("test")

Ids = tuple[str, str, int]
NONE: Ids = ("", "", 0)


@pytest.fixture(params=["core alone", "python way"])
def log(request: pytest.FixtureRequest, exporting: Exporting) -> Any:
    """The exporting logger, by both ways to a record."""
    return exporting.logger.opt(depth=0) if request.param == "python way" else exporting.logger


def ids_of(record: LogRecord) -> Ids:
    return record.trace_id.hex(), record.span_id.hex(), record.flags


def ids(exporting: Exporting) -> list[Ids]:
    return [ids_of(parse(record)) for record in exporting.take()]


def span_ids(span: trace.Span) -> Ids:
    context = span.get_span_context()
    return trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id), int(context.trace_flags)


@pytest.mark.covers("1.33")
def test_record_has_the_ids_of_the_active_span(exporting: Exporting, log: Any) -> None:
    """
    Inside a span a record has its trace id, span id and flags; outside the fields are absent, not zeros.
    """
    log.info("outside")
    with TRACER.start_as_current_span("outer") as outer:
        log.info("in outer")
        with TRACER.start_as_current_span("inner") as inner:
            log.info("in inner")
        log.info("in outer")
    log.info("outside")

    assert ids(exporting) == [NONE, span_ids(outer), span_ids(inner), span_ids(outer), NONE]


@pytest.mark.covers("1.33")
@pytest.mark.parametrize(
    ("values", "flags"),
    [
        ({"trace_id": TRACE, "span_id": SPAN}, 1),
        ({"trace_id": TRACE.upper(), "span_id": SPAN.upper()}, 1),
        ({"trace_id": int(TRACE, 16), "span_id": int(SPAN, 16)}, 1),
        ({"trace_id": TRACE, "span_id": int(SPAN, 16)}, 1),
        ({"traceparent": f"00-{TRACE}-{SPAN}-01"}, 1),
        ({"traceparent": f"00-{TRACE}-{SPAN}-00"}, 0),
        ({"traceparent": f" 00-{TRACE}-{SPAN}-03\t"}, 3),
        ({"traceparent": f"cc-{TRACE}-{SPAN}-01-what-the-future-brings"}, 1),
        ({"traceparent": f"00-{TRACE}-{SPAN}-01", "trace_id": OTHER_TRACE}, 1),
    ],
)
def test_ids_of_a_block_become_the_records(exporting: Exporting, log: Any, values: dict[str, Any], flags: int) -> None:
    """
    Valid ids, hex or int, and a traceparent become the id fields of the records, exactly, and no attributes.
    """
    with exporting.logger.contextualize(user="u", **values):
        log.info("text")
    log.info("after")

    inside, after = map(parse, exporting.take())
    assert ids_of(inside) == (TRACE, SPAN, flags)
    attributes = attributes_of(inside)
    moved = {"traceparent"} if "traceparent" in values else {"trace_id", "span_id"}
    assert not moved & set(attributes)
    assert attributes["user"] == "u"
    assert ids_of(after) == NONE


def test_ids_stay_in_extra_for_python_sinks(exporting: Exporting, lines: Lines) -> None:
    """
    A Python sink sees what the user gave, in extra.
    """
    with exporting.logger.contextualize(trace_id=TRACE, span_id=SPAN):
        exporting.logger.info("text")

    assert lines.record["extra"] == {"trace_id": TRACE, "span_id": SPAN}
    assert ids(exporting) == [(TRACE, SPAN, 1)]


@pytest.mark.covers("T12")
@pytest.mark.parametrize(
    "values",
    [
        {"trace_id": "xyz-789", "span": "auth"},
        {"trace_id": "xyz-789", "span_id": SPAN},
        {"trace_id": "0" * 32, "span_id": SPAN},
        {"trace_id": 0, "span_id": 1},
        {"trace_id": TRACE[:-1]},
        {"trace_id": TRACE + "0"},
        {"trace_id": TRACE + "\n"},
        {"trace_id": "0x" + TRACE[2:]},
        {"trace_id": "-" + TRACE[1:]},
        {"trace_id": "٣" * 32},
        {"trace_id": -1},
        {"trace_id": 1 << 128},
        {"trace_id": True},
        {"trace_id": 1.5},
        {"trace_id": None, "span_id": None},
        {"trace_id": TRACE.encode()},
        {"trace_id": ["a"]},
        {"span_id": SPAN},
        {"span": 5},
        {"span": None},
        {"span": trace.INVALID_SPAN},
        {"traceparent": ""},
        {"traceparent": None},
        {"traceparent": f"00-{TRACE}-{SPAN}"},
        {"traceparent": f"00-{'0' * 32}-{SPAN}-01"},
        {"traceparent": f"00-{TRACE}-{'0' * 16}-01"},
        {"traceparent": f"ff-{TRACE}-{SPAN}-01"},
        {"traceparent": f"00-{TRACE}-{SPAN}-01-extra"},
        {"traceparent": f"00-{TRACE.upper()}-{SPAN}-01"},
        {"traceparent": f"00-{TRACE}-{SPAN}-1"},
        {"traceparent": f"00-{TRACE}-{SPAN}-01\n"},
        {"traceparent": "00-" + "a" * 100_000},
    ],
)
def test_what_is_no_valid_id_stays_an_attribute(exporting: Exporting, log: Any, values: dict[str, Any]) -> None:
    """
    Anything that is not a valid id is a value like any other, and leaves the active span's ids alone.
    """
    with exporting.logger.contextualize(**values):
        log.info("text")
    with TRACER.start_as_current_span("span") as span, exporting.logger.contextualize(**values):
        log.info("text")

    outside, inside = map(parse, exporting.take())
    assert ids_of(outside) == NONE
    assert ids_of(inside) == span_ids(span)
    for record in (outside, inside):
        assert set(values) <= set(attributes_of(record))


HEADERS = [
    f"00-{TRACE}-{SPAN}-01",
    f"00-{TRACE}-{SPAN}-00",
    f"00-{TRACE}-{SPAN}-ff",
    f"01-{TRACE}-{SPAN}-01",
    f"01-{TRACE}-{SPAN}-01-more",
    f"01-{TRACE}-{SPAN}-01more",
    f"00-{TRACE}-{SPAN}-01-",
    f"ff-{TRACE}-{SPAN}-01",
    f"FE-{TRACE}-{SPAN}-01",
    f"00-{TRACE}-{SPAN}-0",
    f"00-{TRACE}-{SPAN}-001",
    f"00_{TRACE}_{SPAN}_01",
    f"0-{TRACE}-{SPAN}-01",
    f"00-{TRACE[1:]}-{SPAN}-01",
    f"00-{TRACE}-{SPAN[1:]}-01",
    f"00-{TRACE}-{SPAN}-0g",
    f"00-{TRACE}-{SPAN}-01 ",
    f"\t00-{TRACE}-{SPAN}-01",
    f"\u00a000-{TRACE}-{SPAN}-01",
    "garbage",
]


@pytest.mark.parametrize("header", HEADERS)
def test_traceparent_is_read_as_opentelemetry_reads_it(header: str) -> None:
    """
    What OpenTelemetry's own propagator accepts as a traceparent is valid here, with the same ids, and nothing else is.
    """
    theirs = trace.get_current_span(
        TraceContextTextMapPropagator().extract({"traceparent": header}, otel_context.Context())
    ).get_span_context()

    ours = read_ids({"traceparent": header})

    if not theirs.is_valid:
        assert ours is None
    else:
        assert ours is not None
        assert (ours.trace_id, ours.span_id, ours.flags) == (theirs.trace_id, theirs.span_id, theirs.trace_flags)


@pytest.mark.covers("1.33")
@pytest.mark.parametrize(
    "values",
    [{"trace_id": TRACE, "span_id": SPAN}, {"traceparent": f"00-{TRACE}-{SPAN}-01"}],
    ids=["ids", "traceparent"],
)
def test_child_spans_and_headers_see_the_ids(exporting: Exporting, log: Any, values: dict[str, str]) -> None:
    """
    Inside a block with ids, a new span is a child of them, and outgoing headers carry them.
    """
    headers: dict[str, str] = {}

    with exporting.logger.contextualize(**values):
        TraceContextTextMapPropagator().inject(headers)
        with TRACER.start_as_current_span("child") as child:
            log.info("in child")
        log.info("in block")
    after: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(after)

    assert headers["traceparent"] == f"00-{TRACE}-{SPAN}-01"
    assert after == {}
    assert span_ids(child)[0] == TRACE
    assert child.parent is not None  # type: ignore[attr-defined]
    assert trace.format_span_id(child.parent.span_id) == SPAN  # type: ignore[attr-defined]
    assert ids(exporting) == [span_ids(child), (TRACE, SPAN, 1)]


@pytest.mark.covers("1.33")
def test_span_of_a_block_becomes_the_current_one(exporting: Exporting, log: Any) -> None:
    """
    `span=` with an OpenTelemetry span makes it current, ended or not, recording or not.
    """
    span = TRACER.start_span("elsewhere")
    remote = trace.NonRecordingSpan(trace.SpanContext(int(TRACE, 16), int(SPAN, 16), is_remote=True))

    with exporting.logger.contextualize(span=span):
        log.info("text")
        assert trace.get_current_span() is span
    span.end()
    with exporting.logger.contextualize(span=remote):
        log.info("text")
    log.info("after")

    records = list(map(parse, exporting.take()))
    assert [ids_of(record) for record in records] == [span_ids(span), (TRACE, SPAN, 0), NONE]
    assert all("span" not in attributes_of(record) for record in records)


@pytest.mark.covers("1.33")
def test_trace_id_alone_marks_the_records_only(exporting: Exporting, log: Any) -> None:
    """
    A trace id without a span id is on the records; OpenTelemetry's context, headers and new spans do not see it.
    """
    headers: dict[str, str] = {}

    with exporting.logger.contextualize(trace_id=TRACE):
        log.info("in block")
        TraceContextTextMapPropagator().inject(headers)
        with TRACER.start_as_current_span("new") as span:
            log.info("in span")
        log.info("in block")
        with exporting.logger.contextualize(user="u"):
            log.info("in inner block")
    log.info("after")

    records = list(map(parse, exporting.take()))
    marked = (TRACE, "", 0)
    assert [ids_of(record) for record in records] == [marked, span_ids(span), marked, marked, NONE]
    assert headers == {}
    assert span_ids(span)[0] != TRACE
    assert all("trace_id" not in attributes_of(record) for record in records)


def test_trace_id_with_an_invalid_span_id_marks_the_records(exporting: Exporting, log: Any) -> None:
    """
    What is wrong with the span id does not cost the trace id; the wrong one stays an attribute.
    """
    with exporting.logger.contextualize(trace_id=TRACE, span_id="nope"):
        log.info("text")

    (record,) = map(parse, exporting.take())
    assert ids_of(record) == (TRACE, "", 0)
    assert attributes_of(record)["span_id"] == "nope"


@pytest.mark.covers("1.33")
def test_same_trace_as_the_recording_span_changes_nothing(exporting: Exporting, log: Any) -> None:
    """
    Ids of the trace we are in already leave the recording span current: it knows better where in the trace we are.
    """
    with TRACER.start_as_current_span("span") as span:
        trace_id = span_ids(span)[0]
        for values in ({"trace_id": trace_id}, {"trace_id": trace_id, "span_id": SPAN}):
            with exporting.logger.contextualize(**values):
                assert trace.get_current_span() is span
                log.info("text")
        with exporting.logger.contextualize(traceparent=f"00-{trace_id}-{SPAN}-01"):
            assert trace.get_current_span() is span
            log.info("text")

    records = list(map(parse, exporting.take()))
    assert [ids_of(record) for record in records] == [span_ids(span)] * 3
    assert all({"trace_id", "span_id", "traceparent"}.isdisjoint(attributes_of(record)) for record in records)


@pytest.mark.covers("1.33")
def test_another_trace_wins_over_the_recording_span(exporting: Exporting, log: Any) -> None:
    """
    Ids of another trace replace the current span inside the block, and give it back at its end.
    """
    with TRACER.start_as_current_span("span") as span:
        with exporting.logger.contextualize(trace_id=TRACE, span_id=SPAN):
            log.info("in block")
            with exporting.logger.contextualize(trace_id=OTHER_TRACE, span_id=OTHER_SPAN):
                log.info("in inner block")
            log.info("in block")
        with exporting.logger.contextualize(trace_id=TRACE):
            log.info("marked")
        log.info("in span")

    assert ids(exporting) == [
        (TRACE, SPAN, 1),
        (OTHER_TRACE, OTHER_SPAN, 1),
        (TRACE, SPAN, 1),
        (TRACE, "", 0),
        span_ids(span),
    ]


def test_span_that_does_not_record_gives_way(exporting: Exporting, log: Any) -> None:
    """
    A current span that was not sampled does not keep ids of its own trace out: they say more than it does.
    """
    with UNSAMPLED.start_as_current_span("unsampled") as span:
        log.info("text")
        trace_id, span_id, flags = span_ids(span)
        with exporting.logger.contextualize(trace_id=trace_id, span_id=SPAN):
            log.info("text")

    assert not flags & trace.TraceFlags.SAMPLED
    assert ids(exporting) == [(trace_id, span_id, flags), (trace_id, SPAN, 1)]


def test_value_given_anew_is_an_attribute_again(exporting: Exporting, log: Any) -> None:
    """
    A call, or an inner block, that gives the same name another value has it as an attribute; the ids stay.
    """
    with exporting.logger.contextualize(trace_id=TRACE, span_id=SPAN):
        log.info("text", trace_id="of the call")
        log.bind(span_id="bound").info("text")
        with exporting.logger.contextualize(trace_id="of the block"):
            log.info("text")

    records = list(map(parse, exporting.take()))
    assert [ids_of(record) for record in records] == [(TRACE, SPAN, 1)] * 3
    shown = [{name: a[name] for name in ("trace_id", "span_id") if name in a} for a in map(attributes_of, records)]
    assert shown == [{"trace_id": "of the call"}, {"span_id": "bound"}, {"trace_id": "of the block"}]


@pytest.mark.covers("1.33")
def test_decorated_coroutines_and_generators_have_the_ids(exporting: Exporting, log: Any) -> None:
    """
    As a decorator the ids hold across awaits and steps, and the consumer of a generator never has them.
    """
    block = exporting.logger.contextualize(trace_id=TRACE, span_id=SPAN)

    @block
    async def work() -> None:
        await asyncio.sleep(0)
        log.info("in")

    @block
    def steps() -> Any:
        log.info("in")
        yield trace.get_current_span().get_span_context().trace_id
        log.info("in")

    asyncio.run(work())
    for trace_id in steps():
        log.info("out")
        assert trace_id == int(TRACE, 16)
        assert not trace.get_current_span().get_span_context().is_valid

    expected = (TRACE, SPAN, 1)
    assert ids(exporting) == [expected, expected, NONE, expected]


def test_ids_never_reach_another_task_or_thread(exporting: Exporting, log: Any) -> None:
    """
    Many tasks and threads at once, each with ids of its own: every record has its maker's.
    """

    def trace_of(n: int) -> str:
        return f"{n + 1:032x}"

    async def task(n: int) -> None:
        with exporting.logger.contextualize(trace_id=trace_of(n), span_id=SPAN):
            for _ in range(5):
                await asyncio.sleep(0)
                log.info(str(n))
        log.info("none")

    async def main() -> None:
        await asyncio.gather(*(task(n) for n in range(30)))

    def job(n: int) -> None:
        log.info("none")
        with exporting.logger.contextualize(trace_id=trace_of(n), span_id=SPAN):
            log.info(str(n))

    asyncio.run(main())
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(job, range(100)))
    with exporting.logger.contextualize(trace_id=TRACE, span_id=SPAN):
        thread = threading.Thread(target=log.info, args=("none",))
        thread.start()
        thread.join()

    records = list(map(parse, exporting.take()))
    assert len(records) == 30 * 6 + 200 + 1
    for record in records:
        text = record.body.string_value
        assert ids_of(record)[0] == ("" if text == "none" else trace_of(int(text)))


def test_span_whose_context_raises_harms_nothing(exporting: Exporting, log: Any) -> None:
    """
    A span of somebody else's making that raises costs the ids, not the record.
    """

    class Broken(trace.NonRecordingSpan):
        def get_span_context(self) -> trace.SpanContext:
            raise RuntimeError("no context")

    token = otel_context.attach(trace.set_span_in_context(Broken(trace.INVALID_SPAN_CONTEXT)))
    try:
        log.info("text")
    finally:
        otel_context.detach(token)

    assert ids(exporting) == [NONE]


def test_broken_span_in_a_block_harms_nothing(exporting: Exporting, log: Any) -> None:
    """
    The same for `span=` and for ids given while such a span is current.
    """

    class Broken(trace.NonRecordingSpan):
        def get_span_context(self) -> trace.SpanContext:
            raise RuntimeError("no context")

        def is_recording(self) -> bool:
            return True

    broken = Broken(trace.INVALID_SPAN_CONTEXT)
    with exporting.logger.contextualize(span=broken):
        log.info("text")
    token = otel_context.attach(trace.set_span_in_context(broken))
    try:
        with exporting.logger.contextualize(trace_id=TRACE, span_id=SPAN):
            log.info("text")
    finally:
        otel_context.detach(token)

    assert ids(exporting) == [NONE, (TRACE, SPAN, 1)]


def test_another_runtime_context_is_asked_through_the_api(exporting: Exporting, log: Any) -> None:
    """
    Where OpenTelemetry keeps its context in no ContextVar (OTEL_PYTHON_CONTEXT), records have the ids all the same.
    """
    from otelbridge import context

    exporting.core.attach_otel(context._ApiContext(), context._span_key())  # type: ignore[arg-type]
    try:
        with TRACER.start_as_current_span("span") as span:
            log.info("text")
    finally:
        context.attach(exporting.core)

    assert ids(exporting) == [span_ids(span)]


def test_values_without_ids_do_not_import_opentelemetry() -> None:
    """
    A block with plain values, or an invalid id, costs no import of opentelemetry.
    """
    program = (
        "import sys\nfrom otelbridge import logger\n"
        "with logger.contextualize(user='u', trace_id='xyz-789', span='auth', traceparent='no'): logger.info('x')\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])\n"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)

    assert done.stdout == "[]\n"

"""Ended spans: the core's bytes against the official encoder's, of spans that the SDK itself has made."""

from __future__ import annotations

import gc
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from http import HTTPMethod, HTTPStatus
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.attributes import BoundedAttributes
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans as official
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import ScopeSpans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, SpanLimits, SpanProcessor, Tracer, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceState,
    set_span_in_context,
)

from otelbridge._native import encode_span, set_span_types
from otelbridge.otlp import requests_pb
from otelbridge.otlp.requests_pb import encode_spans
from otelbridge.types import Batch
from tests.native.oracle import Named, Raising, Share, Text, cyclic
from tests.native.test_leaks import resident_size


class Ended(SpanProcessor):
    """What the SDK hands over."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


class Sources(NamedTuple):
    """Tracers of several providers, scopes and limits, and where their spans end."""

    ended: Ended
    tracers: tuple[Tracer, ...]


class Counting(IdGenerator):
    """Ids with all their bits in use."""

    def __init__(self) -> None:
        self.number = 0xFEDCBA9876543210

    def generate_span_id(self) -> int:
        self.number += 1
        return self.number

    def generate_trace_id(self) -> int:
        return self.generate_span_id() << 64 | 0x8123456789ABCDEF


def make_sources() -> Sources:
    """Two of the resources, and two of the scopes, are equal but not the same; two scopes differ by attributes only."""
    ended = Ended()
    few = SpanLimits(1, 1, 1, 2, 1, 1, 5, 3)
    tracers: list[Any] = []
    for name, schema_url, limits in (("a", None, SpanLimits()), ("b", "https://x/1", few), ("a", None, few)):
        resource = Resource({"service.name": name, "numbers": [1, 2]}, schema_url)
        provider = TracerProvider(ALWAYS_ON, resource, False, id_generator=Counting(), span_limits=limits)
        provider.add_span_processor(ended)
        tracers += [
            provider.get_tracer("one", "1"),
            provider.get_tracer("one", "1"),
            provider.get_tracer("one", "1", attributes={"a": "b"}),
            provider.get_tracer("two", None, "https://x/2"),
        ]
    return Sources(ended, tuple(tracers))


def encoded(encode: Callable[[], bytes]) -> bytes | type[Exception]:
    """What an encoder made, or the kind of its complaint."""
    try:
        return encode()
    except Exception as error:
        return type(error)


def expected(spans: Sequence[ReadableSpan]) -> bytes | type[Exception]:
    """The request as the official encoder makes it."""
    return encoded(lambda: official(spans).SerializePartialToString())


def ours(spans: Sequence[ReadableSpan]) -> bytes | type[Exception]:
    """The request as it is sent, but for what completes the resources."""
    return encoded(lambda: encode_spans(spans, lambda _resource: None).request)


def is_plain(span: ReadableSpan) -> bool:
    """Whether the core encodes it."""
    assert requests_pb._core_knows_spans()
    return encode_span(span) is not None


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10)
INTS = st.integers(-(2**63), 2**63 - 1)
SCALARS = st.one_of(
    TEXTS, INTS, st.booleans(), st.floats(), st.sampled_from([HTTPStatus.OK, HTTPMethod.GET, Share(0.5)])
)
PLAIN = st.one_of(SCALARS, st.lists(st.booleans()), st.lists(INTS), st.lists(TEXTS, max_size=5), st.lists(st.floats()))
ODD = st.one_of(
    st.integers(),
    st.text(),
    st.binary(),
    st.none(),
    st.lists(st.none() | SCALARS | st.binary()),
    st.dictionaries(st.text(), st.lists(SCALARS)),
    st.builds(Text, TEXTS),
    st.builds(Named, TEXTS),
)
TIMES = st.integers(0, 2**64 - 1)
STATES = st.dictionaries(
    st.from_regex(r"[a-z][a-z0-9_]{0,9}", fullmatch=True), st.from_regex("[!-+.-<>-~]{1,9}", fullmatch=True), max_size=3
)
CONTEXTS = st.builds(
    lambda trace_id, span_id, is_remote, state: SpanContext(
        trace_id, span_id, is_remote, trace_state=TraceState(list(state.items()))
    ),
    st.integers(0, 2**128 - 1),
    st.integers(0, 2**64 - 1),
    st.booleans(),
    STATES,
)


def attributes(values: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(KEYS, values, max_size=5)


@st.composite
def spans(draw: st.DrawFn, values: st.SearchStrategy[Any], texts: st.SearchStrategy[str]) -> list[ReadableSpan]:
    """A few ended spans, made by the SDK's tracers."""
    sources = make_sources()
    for _ in range(draw(st.integers(0, 6))):
        tracer = draw(st.sampled_from(sources.tracers))
        parent = draw(st.none() | CONTEXTS)
        span = tracer.start_span(
            draw(texts),
            context=set_span_in_context(NonRecordingSpan(parent)) if parent else None,
            kind=draw(st.sampled_from(SpanKind)),
            attributes=draw(attributes(values)),
            links=[Link(context, draw(attributes(values))) for context in draw(st.lists(CONTEXTS, max_size=3))],
            start_time=draw(st.none() | TIMES),
        )
        span.set_attributes(draw(attributes(values)))
        for name in draw(st.lists(texts, max_size=3)):
            span.add_event(name, draw(attributes(values)), draw(st.none() | TIMES))
        if draw(st.booleans()):
            span.record_exception(ValueError(draw(texts)))
        span.set_status(draw(st.sampled_from(StatusCode)), draw(st.none() | texts))
        span.end(draw(st.none() | TIMES))
    return sources.ended.spans


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=60, deadline=None)
@given(spans(PLAIN, TEXTS))
def test_plain_spans_are_encoded_by_the_core(ended: list[ReadableSpan]) -> None:
    """
    Whatever the SDK makes of strings, numbers, truths and sequences of them, the core encodes; byte for byte the same.
    """
    assert all(is_plain(span) for span in ended)

    assert ours(ended) == expected(ended)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=60, deadline=None)
@given(spans(PLAIN | ODD, st.text(max_size=20)))
def test_any_spans_are_encoded_alike(ended: list[ReadableSpan]) -> None:
    """
    With odd values among plain ones a request is byte for byte the official one, or both encoders complain.
    """
    assert ours(ended) == expected(ended)


CONTEXT = SpanContext(2**127 + 1, 2**63 + 1, is_remote=False)


def made(**fields: Any) -> ReadableSpan:
    """A span as the SDK makes it, but for `fields`: its private attributes."""
    span = ReadableSpan(
        "name",
        CONTEXT,
        attributes=BoundedAttributes(8, {"key": "value"}),
        events=BoundedList(8),
        links=BoundedList(8),
        resource=Resource({"service.name": "a"}),
        instrumentation_scope=InstrumentationScope("one"),
        start_time=1,
        end_time=2,
    )
    vars(span).update(fields)
    return span


def bounded(kind: Any, **fields: Any) -> Any:
    """A container of the SDK's with other private attributes."""
    container = kind(8)
    vars(container).update(fields)
    return container


def listed(*items: Any) -> Any:
    """Events or links."""
    return BoundedList.from_seq(8, items)


class OwnSpan(ReadableSpan):
    """A span that has another name than it says."""

    @property
    def name(self) -> str:
        return "mine"


class OwnContext(SpanContext):
    """A context that has another id than it holds."""

    @property
    def span_id(self) -> int:
        return 5


class OwnEvent(Event):
    """An event that has another name than it says."""

    @property
    def name(self) -> str:
        return "mine"


class OwnLink(Link):
    """A link that leads elsewhere than it says."""

    @property
    def context(self) -> SpanContext:
        return SpanContext(5, 6, is_remote=False)


class OwnAttributes(BoundedAttributes):
    """Attributes that show others than they hold."""

    def __iter__(self) -> Iterator[str]:
        return iter(())


def deep() -> Any:
    """A tuple in many others."""
    value: Any = ()
    for _ in range(30):
        value = (value,)
    return value


ODD_SPANS: dict[str, Callable[[], Any]] = {
    "subclass": lambda: OwnSpan("name", CONTEXT),
    "name": lambda: made(_name=b"name"),
    "no name": lambda: made(_name=Text("name")),
    "half a character": lambda: made(_name="\ud800"),
    "no context": lambda: made(_context=None),
    "own context": lambda: made(_context=OwnContext(1, 2, is_remote=False)),
    "short context": lambda: made(_context=tuple.__new__(SpanContext, (1, 2))),
    "wide trace id": lambda: made(_context=SpanContext(2**128, 1, is_remote=False)),
    "wide span id": lambda: made(_context=SpanContext(1, 2**64, is_remote=False)),
    "negative id": lambda: made(_context=SpanContext(-1, 1, is_remote=False)),
    "id as text": lambda: made(_context=tuple.__new__(SpanContext, ("1", 2, False, 0, TraceState(), True))),
    "own parent": lambda: made(_parent=OwnContext(1, 2, is_remote=True)),
    "odd is_remote": lambda: made(_parent=SpanContext(1, 2, is_remote=7)),  # type: ignore[arg-type]
    "no trace state": lambda: made(_context=tuple.__new__(SpanContext, (1, 2, False, 0, None, True))),
    "ordered trace state": lambda: made(
        _context=SpanContext(1, 2, is_remote=False, trace_state=with_entries(OrderedDict([("a", "b")])))
    ),
    "numbers in trace state": lambda: made(
        _context=SpanContext(1, 2, is_remote=False, trace_state=with_entries({"a": 1}))
    ),
    "kind": lambda: made(_kind=1),
    "negative time": lambda: made(_start_time=-1),
    "late time": lambda: made(_end_time=2**64),
    "broken time": lambda: made(_end_time=0.5),
    "status": lambda: made(_status=None),
    "status code": lambda: made(_status=with_fields(Status(), _status_code=1)),
    "description": lambda: made(_status=with_fields(Status(), _description=b"no")),
    "own attributes": lambda: made(_attributes=OwnAttributes(8, {"a": 1})),
    "ordered attributes": lambda: made(_attributes=bounded(BoundedAttributes, _dict=OrderedDict(a=1))),
    "foreign attributes": lambda: made(_attributes=7),
    "empty key": lambda: made(_attributes={"": 1}),
    "number as key": lambda: made(_attributes={1: 1}),
    "dropped too many": lambda: made(_attributes=bounded(BoundedAttributes, dropped=2**32)),
    "dropped negative": lambda: made(_events=bounded(BoundedList, dropped=-1)),
    "missing dropped": lambda: made(_links=missing(BoundedList(8), "dropped")),
    "missing field": lambda: missing(made(), "_kind"),
    "events": lambda: made(_events=[]),
    "queue": lambda: made(_events=bounded(BoundedList, _dq=[])),
    "own event": lambda: made(_events=listed(OwnEvent("e"))),
    "no event": lambda: made(_events=listed(7)),
    "event's name": lambda: made(_events=listed(Event("\ud800"))),
    "event's value": lambda: made(_events=listed(Event("e", {"a": b"b"}))),
    "own link": lambda: made(_links=listed(OwnLink(CONTEXT))),
    "no link": lambda: made(_links=listed(7)),
    "link's context": lambda: made(_links=listed(Link(None))),  # type: ignore[arg-type]
    "huge number": lambda: made(_attributes={"a": 2**64}),
    "huge numbers": lambda: made(_attributes={"a": (1, 2**64)}),
    "long text": lambda: made(_attributes={"a": "x" * ((1 << 20) + 1)}),
    "deep": lambda: made(_attributes={"a": deep()}),
    "cycle": lambda: made(_attributes={"a": cyclic()}),
    "raising": lambda: made(_attributes={"a": Raising()}),
    "nothing": lambda: made(_attributes={"a": None}),
}


def with_fields(thing: Any, **fields: Any) -> Any:
    """The same object with other private attributes."""
    vars(thing).update(fields)
    return thing


def with_entries(entries: Any) -> TraceState:
    """A trace state that holds this."""
    state: TraceState = with_fields(TraceState(), _dict=entries)
    return state


def missing(thing: Any, name: str) -> Any:
    """The same object without one of its attributes."""
    del vars(thing)[name]
    return thing


@pytest.mark.parametrize("name", ODD_SPANS)
def test_odd_span_is_left_to_the_official_encoder(name: str) -> None:
    """
    What the core does not know it does not guess, and no error stays behind; the spans beside it are sent in order.
    """
    batch = [made(), ODD_SPANS[name](), made(_name="last")]

    assert [is_plain(span) for span in batch] == [True, False, True]
    assert ours(batch) == expected(batch)


def test_anything_may_be_asked() -> None:
    """
    What is no span at all is none for the core.
    """
    assert [encode_span(thing) for thing in (None, 1, ReadableSpan, object())] == [None] * 4


def test_groups_stand_in_the_official_order() -> None:
    """
    Spans of several resources and scopes, mixed, some of them odd: equal ones come together where the first one stood.
    """
    sources = make_sources()
    for number, tracer in enumerate(sources.tracers * 3):
        tracer.start_span(f"span {number}", attributes={"a": None if number % 5 == 0 else number}).end()
    batch = [*sources.ended.spans, ReadableSpan("no scope", CONTEXT, resource=Resource({})), *sources.ended.spans[::-1]]

    assert ours(batch) == expected(batch)


def test_every_resource_is_stamped() -> None:
    """
    `stamp` completes each resource once, and what it writes is sent.
    """
    sources = make_sources()
    for tracer in sources.tracers * 2:
        tracer.start_span("span").end()
    message = official(sources.ended.spans)
    for part in message.resource_spans:
        part.resource.attributes.append(KeyValue(key="pid", value=AnyValue(int_value=1)))

    batch = encode_spans(
        sources.ended.spans,
        lambda resource: resource.attributes.append(KeyValue(key="pid", value=AnyValue(int_value=1))),
    )

    assert batch == Batch(message.SerializeToString(), len(sources.ended.spans))


def test_other_sdk_is_left_to_the_official_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    If the core writes a span otherwise than the installed encoder, it is not asked any more.
    """
    asked = []

    def other(span: Any) -> bytes:
        asked.append(span)
        return ScopeSpans(schema_url="other").SerializeToString()

    monkeypatch.setattr(requests_pb, "encode_span", other)
    requests_pb._core_knows_spans.cache_clear()
    try:
        first = ours([made()])
        count = len(asked)
        second = ours([made()])
    finally:
        requests_pb._core_knows_spans.cache_clear()

    assert first == second == expected([made()])
    assert len(asked) == count


@pytest.mark.parametrize("types", [(), (int,) * 10, (int,) * 12, (*(int,) * 10, 1)])
def test_types_are_checked(types: tuple[Any, ...]) -> None:
    """
    Anything else than eleven classes raises, and leaves those that were set.
    """
    with pytest.raises(TypeError):
        set_span_types(*types)
    assert is_plain(made())


@pytest.mark.timeout(120)
def test_spans_are_flat() -> None:
    """
    Encoding plain and odd spans keeps no reference and no memory.
    """
    attributes: dict[str, Any] = {"".join(("ke", "y")): ("".join(("va", "lue")), 10**9), "b": 1.5, "c": "x" * 5000}
    state = TraceState([("a", "b")])
    context = SpanContext(2**100, 2**50, is_remote=True, trace_state=state)
    event, link = Event("e" * 200, attributes), Link(context, attributes)
    name, time, dropped = "".join(("sp", "an")), 10**15, 10**6
    values = bounded(BoundedAttributes, _dict=attributes, dropped=dropped)
    plain = made(_context=context, _parent=context, _events=listed(event), _links=listed(link), _attributes=values)
    vars(plain).update(_name=name, _start_time=time, _end_time=time)
    odd = [make() for name, make in ODD_SPANS.items() if name != "long text"]
    counted = [attributes, *attributes, *attributes.values(), state, context, event, link, plain, *odd]
    counted += [name, time, dropped, values, *context, *vars(plain).values(), StatusCode.UNSET, StatusCode.UNSET.value]
    counted += [None, True, False, ReadableSpan, SpanContext, Event, Link, BoundedList, SpanKind.INTERNAL, Status]
    assert is_plain(plain)

    def run(rounds: int) -> None:
        for _ in range(rounds):
            encode_spans([plain] * 5, lambda _resource: None)
            for span in (*[plain] * 60, *odd):
                encode_span(span)

    run(500)
    gc.collect()
    resident_before = resident_size()
    before = [sys.getrefcount(each) for each in counted]

    run(3000)

    gc.collect()
    after = [sys.getrefcount(each) for each in counted]
    grown = {repr(each)[:40]: b - a for each, a, b in zip(counted, before, after, strict=True) if abs(b - a) > 300}
    assert grown == {}
    assert resident_size() - resident_before < 6 << 20

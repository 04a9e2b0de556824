"""Whose trace a request belongs to."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry import trace
from opentelemetry.context import get_current

from otelbridge.access.asgi import Receive, Scope, Send
from otelbridge.access.options import Settings
from tests.access.support import (
    SPAN_ID,
    TRACE_ID,
    TRACEPARENT,
    Harness,
    answer,
    exchange,
    hello,
    http_scope,
)


def test_an_incoming_traceparent_is_continued() -> None:
    """The remote span becomes the parent; tracestate comes along."""
    harness = Harness(hello)

    harness.get(headers=[(b"traceparent", TRACEPARENT), (b"tracestate", b"vendor=1")])

    span = harness.span
    assert span.context is not None
    assert span.parent is not None
    assert (span.context.trace_id, span.parent.span_id, span.parent.is_remote) == (TRACE_ID, SPAN_ID, True)
    assert span.context.trace_state.get("vendor") == "1"


def test_an_untrusted_traceparent_begins_a_new_trace() -> None:
    """With trust_traceparent=False nothing of the incoming trace is taken over."""
    harness = Harness(hello, Settings(trust_traceparent=False))

    harness.get(headers=[(b"traceparent", TRACEPARENT)])

    assert harness.span.parent is None
    assert harness.span.context is not None
    assert harness.span.context.trace_id != TRACE_ID


@pytest.mark.parametrize(
    "value", [b"", b"00-xyz", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01", b"\xff" * 1000, b"00-" * 400]
)
def test_a_malformed_traceparent_begins_a_new_trace(value: bytes) -> None:
    """Hostile trace headers neither raise nor end up anywhere."""
    harness = Harness(hello)

    result = harness.get(headers=[(b"traceparent", value), (b"tracestate", b"\x00=,;"), (b"baggage", b"=%%%")])

    assert result.error is None
    assert harness.span.parent is None


def test_without_traces_the_incoming_ids_still_reach_the_log() -> None:
    """traces=False makes no span, yet the access record belongs to the caller's trace."""
    harness = Harness(hello, Settings(traces=False))

    harness.get(headers=[(b"traceparent", TRACEPARENT)])

    assert not harness.spans
    assert (harness.event.trace_id, harness.event.span_id) == (TRACE_ID, SPAN_ID)


def test_the_span_is_current_inside_the_app_and_gone_after_it() -> None:
    """Logs and child spans of the app belong to the request; the server's own context is left as it was."""
    inside: list[int] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        inside.append(trace.get_current_span().get_span_context().span_id)
        await answer(send)

    async def serve() -> bool:
        before = get_current()
        await exchange(harness.app, http_scope())
        return get_current() is before

    harness = Harness(app)

    assert asyncio.run(serve())
    assert harness.span.context is not None
    assert inside == [harness.span.context.span_id]


def test_signals_carry_the_server_span_though_the_app_answers_inside_a_child() -> None:
    """The last body is sent by a task inside a child span; record and exemplar still carry the SERVER span's ids."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with trace.use_span(trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False))):
            await asyncio.create_task(answer(send))

    harness = Harness(app)

    harness.get()

    assert harness.span.context is not None
    assert harness.event.span_id == harness.span.context.span_id
    assert harness.duration_point().exemplars[0].span_id == harness.span.context.span_id


def test_a_current_span_of_the_process_is_the_parent() -> None:
    """Inside somebody else's span (another middleware, a test) the request joins that trace."""
    harness = Harness(hello)
    outer = harness.tracer.start_span("outer")

    with trace.use_span(outer):
        harness.get()

    assert harness.span.parent == outer.get_span_context()


def test_an_untrusted_caller_s_trace_is_linked_not_joined() -> None:
    """trust_traceparent=False: a new trace, sampled by us and not by strangers, with a link to theirs."""
    harness = Harness(hello, Settings(trust_traceparent=False))

    harness.get(headers=[(b"traceparent", TRACEPARENT), (b"baggage", b"user=eve")])

    span = harness.span
    assert span.parent is None
    assert span.context is not None
    assert span.context.trace_id != TRACE_ID
    assert [link.context.trace_id for link in span.links] == [TRACE_ID]


def test_an_untrusted_malformed_header_is_no_link() -> None:
    """Nothing that can be read: nothing to link to."""
    harness = Harness(hello, Settings(trust_traceparent=False))

    harness.get(headers=[(b"traceparent", b"00-zz-yy-01")])

    assert harness.span.links == ()


def test_old_names_stand_beside_the_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """OTEL_SEMCONV_STABILITY_OPT_IN=http/dup puts both families of attributes on the span; `http` is the default."""
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "database, http/dup")
    both = Harness(hello)
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
    new = Harness(hello)

    for harness in (both, new):
        harness.get("/a", headers=[(b"user-agent", b"curl/8")])

    old_names = {
        "http.method": "GET",
        "http.target": "/a",
        "http.scheme": "http",
        "http.flavor": "1.1",
        "http.status_code": 200,
        "http.user_agent": "curl/8",
        "net.peer.ip": "203.0.113.42",
    }
    assert dict(both.span.attributes or {}) == dict(new.span.attributes or {}) | old_names

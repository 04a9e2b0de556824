"""One request: one span, one record, the right points."""

from __future__ import annotations

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from tests.access.support import (
    ACTIVE,
    DURATION,
    REQUESTS,
    Harness,
    hello,
)


def test_one_request_has_one_trace_id_on_all_signals() -> None:
    """Span, access record, exemplars, counter and active requests tell of the same request, by one trace id."""
    harness = Harness(hello)

    result = harness.get("/items/1")

    span = harness.span
    assert span.context is not None
    assert result.body == b"hello"
    assert (harness.event.trace_id, harness.event.span_id) == (span.context.trace_id, span.context.span_id)
    points = harness.points()
    assert points[DURATION][0].exemplars[0].trace_id == span.context.trace_id
    assert points[REQUESTS][0].exemplars[0].trace_id == span.context.trace_id
    assert points[REQUESTS][0].value == 1
    assert points[ACTIVE][0].value == 0


def test_the_span_is_a_server_span_by_stable_conventions() -> None:
    """One SERVER span, no receive or send noise, named by the method when there is no route."""
    harness = Harness(hello)

    harness.get("/items/1", headers=[(b"user-agent", b"curl/8")])

    span = harness.span
    assert (span.kind, span.name, span.status.status_code) == (SpanKind.SERVER, "GET", StatusCode.UNSET)
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "url.path": "/items/1",
        "url.scheme": "http",
        "network.protocol.version": "1.1",
        "client.address": "203.0.113.42",
        "user_agent.original": "curl/8",
        "http.response.status_code": 200,
    }


def test_duration_is_the_same_on_all_signals() -> None:
    """Span, record and histogram do not each time the request for themselves."""
    harness = Harness(hello)

    harness.get()

    span = harness.span
    assert span.start_time is not None
    assert span.end_time is not None
    duration_s = harness.event.attributes["http.server.request.duration"]
    assert (span.end_time - span.start_time) / 1e9 == pytest.approx(duration_s)
    assert harness.duration_point().sum == pytest.approx(duration_s)


def test_the_duration_point_has_the_conventions_attributes_and_nothing_else() -> None:
    """No path, host, user agent or query ever becomes a label."""
    harness = Harness(hello)

    harness.get("/items/1?x=1", headers=[(b"user-agent", b"curl/8"), (b"host", b"evil")])

    assert dict(harness.duration_point().attributes or {}) == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "http.response.status_code": 200,
        "network.protocol.version": "1.1",
    }

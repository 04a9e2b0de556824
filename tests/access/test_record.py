"""The record's two views."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbridge.access.record import TEXT_SIZE_MAX, AccessRecord, client_text, escape


def a_record(**changes: Any) -> AccessRecord:
    record = AccessRecord(
        method="POST",
        known_method="POST",
        path="/tasks",
        client_address="203.0.113.42",
        status=201,
        response_body_size=87,
        duration_ns=3_400_000,
        ttfb_ns=1_000_000,
        user_agent="curl/8",
        route="/tasks",
    )
    for name, value in changes.items():
        setattr(record, name, value)
    return record


@pytest.mark.covers("4.2")
def test_the_line_is_the_documented_one() -> None:
    """The body reads as BlackBull's documentation shows it."""
    assert a_record().line() == '203.0.113.42 "POST /tasks HTTP/1.1" 201 87 3ms'


@pytest.mark.covers("4.4")
def test_unknown_values_are_dashes_in_the_line() -> None:
    """A request without client and without an answer has `-` in their places."""
    line = a_record(client_address=None, status=None, response_body_size=0).line()

    assert line == '- "POST /tasks HTTP/1.1" - 0 3ms'


@pytest.mark.covers("4.16")
@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ('a"b', r"a\"b"),
        ("a\\b", r"a\\b"),
        ("a b", r"a\x20b"),
        ("a\r\nb", r"a\x0d\x0ab"),
        ("\x1b[31m\x9b", r"\x1b[31m\x9b"),
        ("a\u202eb\u2066", r"a\u202eb\u2066"),
        ("a\u2028b\u00a0", r"a\u2028b\xa0"),
        ("\udc80", r"\udc80"),
        ("\U000e0001", r"\U000e0001"),
        ("/grüße/日本", "/grüße/日本"),
    ],
)
def test_dangerous_characters_are_escaped(text: str, escaped: str) -> None:
    """Quotes, backslashes, blanks, control and bidi characters cannot act in the line; letters stay readable."""
    assert escape(text) == escaped


@given(text=st.text())
def test_no_field_can_leave_its_place(text: str) -> None:
    """Whatever a client sends, the line is one line with the same seven fields."""
    line = a_record(method=text or "GET", path="/" + text, http_version="1" + text).line()

    fields = re.fullmatch(
        r'203\.0\.113\.42 "(?:[^"\\ ]|\\.)+ /(?:[^"\\ ]|\\.)* HTTP/1(?:[^"\\ ]|\\.)*" 201 87 3ms', line
    )
    assert fields
    assert line.isprintable()


def test_attributes_follow_semantic_conventions() -> None:
    """The attributes carry the names of the conventions, numbers typed, durations in seconds."""
    assert a_record(request_id="r-1", error_type=None).attributes() == {
        "http.request.method": "POST",
        "url.path": "/tasks",
        "url.scheme": "http",
        "http.route": "/tasks",
        "http.response.status_code": 201,
        "network.protocol.version": "1.1",
        "client.address": "203.0.113.42",
        "user_agent.original": "curl/8",
        "http.request.body.size": 0,
        "http.response.body.size": 87,
        "http.server.request.duration": 0.0034,
        "otelbridge.ttfb_s": 0.001,
        "otelbridge.ended_by": "app",
        "otelbridge.request_id": "r-1",
    }


def test_unknown_values_are_absent_from_the_attributes() -> None:
    """What is not known is left out, never None or empty."""
    attributes = AccessRecord(method="GET", path="/").attributes()

    assert None not in attributes.values()
    assert "http.response.status_code" not in attributes
    assert "otelbridge.ttfb_s" not in attributes


def test_an_unknown_method_is_other_and_kept_beside() -> None:
    """`http.request.method` is bounded; what the client said stands in `http.request.method_original`."""
    attributes = a_record(method="BREW", known_method="_OTHER").attributes()

    assert attributes["http.request.method"] == "_OTHER"
    assert attributes["http.request.method_original"] == "BREW"


def test_client_text_is_bounded() -> None:
    """A 1 MB header costs a record no more than TEXT_SIZE_MAX characters."""
    assert len(client_text(b"x" * 1_000_000)) == TEXT_SIZE_MAX
    assert len(client_text("x" * 1_000_000)) == TEXT_SIZE_MAX


@given(value=st.one_of(st.text(), st.binary(), st.none(), st.integers()))
def test_client_text_can_always_be_encoded(value: object) -> None:
    """Any bytes and any text become text that UTF-8 can carry."""
    client_text(value).encode()


def test_lone_surrogates_are_spelled_out() -> None:
    """Bytes of a path that were no UTF-8 stay visible."""
    assert client_text("/\udc80") == "/\\udc80"
    assert client_text(b"\xff\xfe") == "\\xff\\xfe"

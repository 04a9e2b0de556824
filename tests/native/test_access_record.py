"""AccessBase: the fields of a request, typed; its line, escaped; its attributes."""

from __future__ import annotations

import copy
import gc
import pickle
import re
import weakref
from http import HTTPStatus
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbridge._native import AccessBase, client_text, escape
from otelbridge.access.record import TEXT_SIZE_MAX, AccessRecord, WebSocketRecord

TEXTS = ["method", "path", "query", "scheme", "http_version", "known_method", "ended_by"]
OPTIONAL_TEXTS = ["client_address", "user_agent", "referer", "request_id", "route", "error_type"]
NUMBERS = ["request_body_size", "response_body_size", "start_ns", "duration_ns"]
OPTIONAL_NUMBERS = ["status", "ttfb_ns"]
FLAGS = ["log_query", "echo_request_id", "closed"]


class Sub(str):
    """A str subclass."""

    __slots__ = ()


def test_a_new_record_has_the_defaults() -> None:
    """
    Unknown texts are empty or None, numbers 0 or None, and nothing was added.
    """
    record = AccessRecord()

    assert (record.method, record.path, record.query) == ("", "", "")
    assert (record.scheme, record.http_version, record.known_method, record.ended_by) == (
        "http",
        "1.1",
        "_OTHER",
        "app",
    )
    assert [getattr(record, name) for name in OPTIONAL_TEXTS + OPTIONAL_NUMBERS] == [None] * 8
    assert [getattr(record, name) for name in NUMBERS] == [0] * 4
    assert [getattr(record, name) for name in FLAGS] == [False] * 3
    assert (record.headers, record.context, record.additions()) == ({}, None, {})


@pytest.mark.parametrize("name", TEXTS + OPTIONAL_TEXTS)
def test_a_text_keeps_what_it_is_given(name: str) -> None:
    """
    Any str is kept as it is; one of a subclass becomes a str.
    """
    record = AccessRecord(**{name: "ü\ud800"})
    assert getattr(record, name) == "ü\ud800"

    setattr(record, name, Sub("x"))

    assert type(getattr(record, name)) is str
    assert getattr(record, name) == "x"


@pytest.mark.parametrize("name", NUMBERS + OPTIONAL_NUMBERS)
def test_a_number_keeps_64_bits(name: str) -> None:
    """
    Integers of 64 bits are kept, enums among them as plain int; more is an OverflowError.
    """
    record = AccessRecord(**{name: 2**63 - 1})
    assert getattr(record, name) == 2**63 - 1

    setattr(record, name, HTTPStatus.NOT_FOUND)

    assert type(getattr(record, name)) is int
    assert getattr(record, name) == 404
    with pytest.raises(OverflowError):
        setattr(record, name, 2**63)


@pytest.mark.parametrize(
    ("names", "wrong", "wanted"),
    [
        (TEXTS, None, "a str"),
        (OPTIONAL_TEXTS, b"x", "a str or None"),
        (NUMBERS, None, "an int"),
        (OPTIONAL_NUMBERS, "200", "an int or None"),
        (FLAGS, 1, "a bool"),
        (["headers"], [], "a dict"),
    ],
)
def test_another_type_is_refused(names: list[str], wrong: object, wanted: str) -> None:
    """
    TypeError names the field, what it takes, and what it got; the field keeps its value.
    """
    record = AccessRecord()
    for name in names:
        before = getattr(record, name)

        with pytest.raises(TypeError, match=f"^{name} must be {wanted}, got {re.escape(repr(wrong))}$"):
            setattr(record, name, wrong)

        assert getattr(record, name) == before


@pytest.mark.parametrize("name", ["path", "status", "duration_ns", "log_query", "headers"])
def test_a_field_cannot_be_deleted(name: str) -> None:
    """
    TypeError, as of a wrong value.
    """
    with pytest.raises(TypeError, match=f"{name} must be .*, it cannot be deleted"):
        delattr(AccessRecord(), name)


def test_optional_fields_take_none_back() -> None:
    """
    What was known can become unknown again.
    """
    record = AccessRecord(status=200, ttfb_ns=1, route="/a")

    record.status = record.ttfb_ns = record.route = None

    assert record == AccessRecord()


def test_unknown_fields_are_refused() -> None:
    """
    A record is made with fields only: a typing mistake is no addition.
    """
    with pytest.raises(TypeError, match="no field 'metod'"):
        AccessRecord(metod="GET")
    with pytest.raises(TypeError, match="by keyword"):
        AccessRecord("GET")  # type: ignore[call-arg]  # the point


def test_other_attributes_are_additions() -> None:
    """
    What is no field is kept beside, and stands last among the attributes.
    """
    record = AccessRecord(method="GET", known_method="GET")

    record.tenant = "acme"  # type: ignore[attr-defined]

    assert record.additions() == {"tenant": "acme"}
    assert list(record.attributes().items())[-1] == ("tenant", "acme")


@pytest.mark.parametrize("kind", [AccessRecord, WebSocketRecord])
def test_records_are_copied_with_all_they_hold(kind: type[AccessRecord]) -> None:
    """
    copy, deepcopy and pickle make an equal record, additions and fields of sessions included.
    """
    record = kind(method="GET", status=200, headers={"x-a": ["1"]}, ttfb_ns=5)
    record.tenant = "acme"  # type: ignore[attr-defined]
    if isinstance(record, WebSocketRecord):
        record.close_code, record.closed_by, record.messages_in = 1001, "client", 3

    for copied in (copy.copy(record), copy.deepcopy(record), pickle.loads(pickle.dumps(record))):
        assert copied == record
        assert copied.additions() == {"tenant": "acme"}
    assert record != kind(method="GET")


def test_the_repr_names_what_is_known() -> None:
    """
    Fields that differ from a new record's, and additions.
    """
    record = AccessRecord(method="GET", status=200)
    record.tenant = "acme"  # type: ignore[attr-defined]

    assert repr(record) == "AccessRecord(method='GET', status=200, tenant='acme')"


def test_a_record_in_a_circle_is_collected() -> None:
    """
    Additions and headers that lead back to the record do not keep it.
    """

    class Held(AccessRecord):
        pass  # with room for a weak reference

    record = Held()
    record.me, record.headers = record, {"x": [record]}  # type: ignore[attr-defined,list-item]
    reference = weakref.ref(record)

    del record
    gc.collect()

    assert reference() is None


def a_record(**changes: Any) -> AccessRecord:
    fields: dict[str, Any] = {
        "method": "POST",
        "known_method": "POST",
        "path": "/tasks",
        "client_address": "203.0.113.42",
        "status": 201,
        "response_body_size": 87,
        "duration_ns": 3_400_000,
    }
    return AccessRecord(**fields | changes)


def python_escape(text: str) -> str:
    """Escape one character after the other."""
    escaped = ""
    for character in text:
        code = ord(character)
        if character in '"\\':
            escaped += "\\" + character
        elif character != " " and character.isprintable():
            escaped += character
        else:
            escaped += f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return escaped


ODD = st.text(st.characters() | st.sampled_from("\"\\ '\n\r\t\x00\x7f\u202e\ud800ü\U000e0001x"), max_size=30)


@given(text=ODD)
def test_escape_is_pythons_idea_of_printable(text: str) -> None:
    r"""
    Quotes and backslashes get a backslash; blanks and what is not printable becomes \xNN, \uNNNN or \UNNNNNNNN.
    """
    assert escape(text) == python_escape(text)


def test_escape_gives_a_harmless_text_back() -> None:
    """
    Nothing is copied that need not be.
    """
    for text in ("/items/17", "/grüße/日本"):
        assert escape(text) is text


@given(method=ODD, path=ODD, version=ODD, client=st.none() | ODD, status=st.none() | st.integers(100, 599))
def test_the_line_has_its_fields_whatever_they_are(
    method: str, path: str, version: str, client: str | None, status: int | None
) -> None:
    """
    Each field stands escaped in its place, or as `-`.
    """
    record = a_record(method=method, path=path, http_version=version, client_address=client, status=status)

    expected = (
        f'{python_escape(client or "") or "-"} "{python_escape(method) or "-"} {python_escape(path)} '
        f'HTTP/{python_escape(version)}" {"-" if status is None else status} 87 3ms'
    )
    assert record.line() == expected


@given(duration_ns=st.integers(0, 2**62) | st.integers(0, 2000).map(lambda n: n * 500_000))
def test_milliseconds_are_rounded_as_by_python(duration_ns: int) -> None:
    """
    `%.0f` of the milliseconds, half of one to the even one.
    """
    line = a_record(duration_ns=duration_ns).line()

    assert line.rpartition(" ")[2] == f"{duration_ns / 1e6:.0f}ms"


@given(size=st.integers(0, 2**62), duration_ns=st.integers(0, 2**62), ttfb_ns=st.integers(0, 2**62))
def test_durations_are_seconds_to_the_last_bit(size: int, duration_ns: int, ttfb_ns: int) -> None:
    """
    Numbers in the attributes are those of the record, times divided as Python divides.
    """
    attributes = a_record(request_body_size=size, duration_ns=duration_ns, ttfb_ns=ttfb_ns).attributes()

    assert attributes["http.request.body.size"] == size
    assert attributes["http.server.request.duration"] == duration_ns / 1e9
    assert attributes["otelbridge.ttfb_s"] == ttfb_ns / 1e9


def test_attributes_with_everything() -> None:
    """
    All names of the conventions, in this order; headers by their own.
    """
    record = a_record(
        known_method="_OTHER",
        query="a=1",
        log_query=True,
        user_agent="curl",
        route="/tasks",
        request_id="r-1",
        error_type="ValueError",
        ttfb_ns=1_000_000,
        request_body_size=5,
        headers={"x-a": ["1", "2"]},
    )

    assert list(record.attributes().items()) == [
        ("http.request.method", "_OTHER"),
        ("http.request.method_original", "POST"),
        ("url.path", "/tasks"),
        ("url.query", "a=1"),
        ("url.scheme", "http"),
        ("network.protocol.version", "1.1"),
        ("http.route", "/tasks"),
        ("http.response.status_code", 201),
        ("client.address", "203.0.113.42"),
        ("user_agent.original", "curl"),
        ("error.type", "ValueError"),
        ("otelbridge.request_id", "r-1"),
        ("http.request.header.x-a", ["1", "2"]),
        ("http.request.body.size", 5),
        ("http.response.body.size", 87),
        ("http.server.request.duration", 0.0034),
        ("otelbridge.ttfb_s", 0.001),
        ("otelbridge.ended_by", "app"),
    ]


def test_a_query_is_no_attribute_unless_asked_for() -> None:
    """
    Neither without `log_query`, nor when there is none.
    """
    assert "url.query" not in a_record(query="a=1").attributes()
    assert "url.query" not in a_record(log_query=True).attributes()


def python_client_text(value: object) -> str:
    """Do it in three lines of Python."""
    if isinstance(value, str):
        return value[:TEXT_SIZE_MAX].encode("utf-8", "backslashreplace").decode()
    return value[:TEXT_SIZE_MAX].decode("utf-8", "backslashreplace") if isinstance(value, bytes | bytearray) else ""


long = st.sampled_from(["x", "ü", "日", "\ud800", "x\udfff"]).flatmap(
    lambda text: st.sampled_from([TEXT_SIZE_MAX - 1, TEXT_SIZE_MAX, TEXT_SIZE_MAX + 1, 10_000]).map(lambda n: text * n)
)


@given(
    value=st.one_of(
        ODD, st.binary(), st.binary().map(bytearray), long, long.map(lambda t: t.encode("utf-8", "surrogatepass"))
    )
    | st.none()
    | st.integers()
    | st.just(memoryview(b"x"))
)
def test_client_text_takes_anything(value: object) -> None:
    r"""
    Text and bytes, bounded, with `\xNN` and `\uNNNN` for what cannot be encoded; "" for all else.
    """
    assert client_text(value) == python_client_text(value)


def test_a_session_has_a_line_of_its_own() -> None:
    """
    That of a request, with `WS/` and its code; its sizes are bytes of messages.
    """
    session = WebSocketRecord(method="GET", path="/ws", status=101, close_code=1000, response_body_size=5)

    assert session.line() == '- "GET /ws WS/1.1" 101 5 0ms close=1000'
    assert isinstance(session, AccessBase)
    assert (session.bytes_out, session.messages_in, session.closed_by) == (5, 0, "server")

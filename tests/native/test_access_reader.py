"""AccessReader: whatever a client or a server sends becomes a record."""

from __future__ import annotations

import os
import re
from collections import UserDict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbridge import _native
from otelbridge._native import AccessBase, AccessReader, client_text
from otelbridge.access.record import TEXT_SIZE_MAX, AccessRecord, WebSocketRecord

METHODS = frozenset({"GET", "POST"})
CAPTURED = {b"x-tenant": "x-tenant", b"content-type": "content-type", b"user-agent": "user-agent"}
FIELDS = frozenset({b"traceparent", b"tracestate", b"baggage"})
READER = AccessReader(AccessRecord, WebSocketRecord, METHODS, CAPTURED, FIELDS)


def a_scope(**changes: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "path": "/items/ü",
        "query_string": b"page=2",
        "scheme": "https",
        "http_version": "2",
        "client": ("203.0.113.42", 5555),
        "headers": [
            (b"host", b"x"),
            (b"user-agent", b"curl/8"),
            (b"referer", b"https://a/"),
            (b"x-request-id", b"r-1"),
        ],
        **changes,
    }


def an_environ(**changes: Any) -> dict[str, Any]:
    return {
        "REQUEST_METHOD": "GET",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/items/\xc3\xbc",
        "QUERY_STRING": "page=2",
        "wsgi.url_scheme": "https",
        "SERVER_PROTOCOL": "HTTP/2",
        "REMOTE_ADDR": "203.0.113.42",
        "HTTP_USER_AGENT": "curl/8",
        "HTTP_REFERER": "https://a/",
        "HTTP_X_REQUEST_ID": "r-1",
        **changes,
    }


@pytest.mark.parametrize(("read", "source"), [(READER.asgi, a_scope()), (READER.wsgi, an_environ())])
def test_both_hosts_make_the_same_record(read: Any, source: dict[str, Any]) -> None:
    """
    The same request gives the same fields, from a scope and from an environ.
    """
    record, carrier = read(source)

    assert type(record) is AccessRecord
    assert carrier is None
    assert record == AccessRecord(
        method="GET",
        known_method="GET",
        path="/items/ü",
        query="page=2",
        scheme="https",
        http_version="2",
        client_address="203.0.113.42",
        user_agent="curl/8",
        referer="https://a/",
        request_id="r-1",
        echo_request_id=True,
        headers={"user-agent": ["curl/8"]},
        start_ns=record.start_ns,
    )


def test_what_is_missing_has_its_default() -> None:
    """
    An empty scope and an empty environ make a record with an id and a time, and nothing else.
    """
    for read in (READER.asgi, READER.wsgi):
        record, carrier = read({})

        assert carrier is None
        assert record == AccessRecord(request_id=record.request_id, start_ns=record.start_ns)
        assert (record.status, record.ttfb_ns) == (None, None)


def test_a_session_is_a_get() -> None:
    """
    A websocket scope has no method; its handshake is a GET.
    """
    record, _ = READER.asgi(a_scope(type="websocket", method=None))

    assert type(record) is WebSocketRecord
    assert (record.method, record.known_method, record.close_code) == ("GET", "GET", None)


def test_the_time_is_the_clocks() -> None:
    """
    start_ns is the wall clock, or the clock that was set.
    """
    _native.set_clock(lambda: 42)
    try:
        times = READER.asgi({})[0].start_ns, READER.wsgi({})[0].start_ns
    finally:
        _native.set_clock(None)

    assert times == (42, 42)


def test_an_unknown_method_is_other() -> None:
    """
    known_method is one of those that the reader was given, or _OTHER.
    """
    assert READER.asgi(a_scope(method="BREW"))[0].known_method == "_OTHER"
    assert READER.wsgi(an_environ(REQUEST_METHOD="POST"))[0].known_method == "POST"


def test_the_carrier_has_the_propagators_headers() -> None:
    """
    Every header that the propagator wants, in order, byte by byte; None without any.
    """
    headers = [(b"baggage", b"a=1"), (b"traceparent", b"00-\xff"), (b"x-tenant", b"t"), (b"baggage", b"b=2")]

    _, carrier = READER.asgi(a_scope(headers=headers))
    _, carrier_wsgi = READER.wsgi(an_environ(HTTP_TRACEPARENT="00-\xff", HTTP_BAGGAGE="a=1,b=2"))

    assert carrier == {"baggage": ["a=1", "b=2"], "traceparent": ["00-\xff"]}
    assert carrier_wsgi == {"baggage": ["a=1,b=2"], "traceparent": ["00-\xff"]}


def test_duplicate_headers_are_all_captured() -> None:
    """
    `headers` has all of them, the record's own fields the first.
    """
    headers = [(b"x-tenant", b"a"), (b"user-agent", b"one"), (b"x-tenant", b"b"), (b"user-agent", b"two")]

    record, _ = READER.asgi(a_scope(headers=headers))

    assert record.headers == {"x-tenant": ["a", "b"], "user-agent": ["one", "two"]}
    assert record.user_agent == "one"


def test_captured_headers_have_their_environ_names() -> None:
    """
    `x-tenant` is HTTP_X_TENANT; content-type stands there without HTTP_.
    """
    record, _ = READER.wsgi(an_environ(HTTP_X_TENANT="\xc3\xbc", CONTENT_TYPE="text/plain"))

    assert record.headers == {"user-agent": ["curl/8"], "x-tenant": ["ü"], "content-type": ["text/plain"]}


@pytest.mark.parametrize(
    "given_id", ["a", "0" * 128, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "A.b_c:d+e/f=g@h-i"]
)
def test_a_harmless_request_id_is_kept(given_id: str) -> None:
    """
    Letters, digits and ._:+/=@- after a letter or digit, up to 128 characters; it is the client's.
    """
    for record, _ in (
        READER.asgi(a_scope(headers=[(b"x-request-id", given_id.encode())])),
        READER.wsgi(an_environ(HTTP_X_REQUEST_ID=given_id)),
    ):
        assert record.request_id == given_id
        assert record.echo_request_id


@pytest.mark.parametrize("given_id", ["", "-a", "a b", "a\n", "a\x00", 'a"', "0" * 129, "\xff", "a;b"])
def test_another_request_id_is_made_anew(given_id: str) -> None:
    """
    An id that might harm somebody's system is replaced; the client is still told.
    """
    for record, _ in (
        READER.asgi(a_scope(headers=[(b"x-request-id", given_id.encode("latin-1"))])),
        READER.wsgi(an_environ(HTTP_X_REQUEST_ID=given_id)),
    ):
        assert re.fullmatch("[0-9a-f]{32}", record.request_id)
        assert record.echo_request_id


def test_of_several_request_ids_the_first_acceptable_counts() -> None:
    """
    One that is not acceptable does not hide one that is.
    """
    headers = [(b"x-request-id", b"-"), (b"x-request-id", b"good"), (b"x-request-id", b"late")]

    assert READER.asgi(a_scope(headers=headers))[0].request_id == "good"


def test_ids_are_made_once() -> None:
    """
    A thousand requests have a thousand ids.
    """
    made = [READER.asgi({})[0] for _ in range(1000)]

    assert len({record.request_id for record in made}) == 1000
    assert not any(record.echo_request_id for record in made)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_makes_other_ids() -> None:
    """
    Parent and child, which had the same generator, do not make the same ids.
    """
    READER.asgi({})
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, READER.asgi({})[0].request_id.encode())
        os._exit(0)
    os.waitpid(child, 0)

    made = os.read(reading, 100).decode()
    os.close(reading)
    os.close(writing)

    assert re.fullmatch("[0-9a-f]{32}", made)
    assert made != READER.asgi({})[0].request_id


def test_the_path_has_the_mount_point() -> None:
    """
    SCRIPT_NAME stands before PATH_INFO, each read as UTF-8.
    """
    assert READER.wsgi(an_environ(SCRIPT_NAME="/\xc3\xa4", PATH_INFO="/b"))[0].path == "/ä/b"


@pytest.mark.parametrize(
    ("protocol", "version"),
    [("HTTP/1.1", "1.1"), ("HTTP/1.0", "1.0"), ("HTTP/3", "3"), ("INCLUDED", "INCLUDED"), ("", "1.1")],
)
def test_the_version_is_the_protocols(protocol: str, version: str) -> None:
    """
    `HTTP/` is left out; without a protocol it is 1.1.
    """
    assert READER.wsgi(an_environ(SERVER_PROTOCOL=protocol))[0].http_version == version


anything = st.one_of(
    st.none(),
    st.integers(),
    st.text(max_size=20),
    st.text(st.characters(max_codepoint=255), max_size=20),
    st.binary(max_size=20),
    st.binary(max_size=20).map(bytearray),
    st.lists(st.integers(), max_size=2),
    st.just(object()),
)
header_names = st.sampled_from([b"user-agent", b"referer", b"x-request-id", b"traceparent", b"x-tenant", b"X-Tenant"])
pair = st.tuples(header_names | st.binary(max_size=80), st.binary(max_size=20))
junk_header = pair | pair.map(list) | st.tuples(anything, anything) | st.tuples(anything) | anything
scopes = st.dictionaries(
    st.sampled_from(["type", "method", "path", "query_string", "scheme", "http_version", "client"]), anything
).flatmap(
    lambda scope: st.one_of(
        st.just({}), (st.lists(junk_header, max_size=6) | anything).map(lambda h: {"headers": h})
    ).map(lambda headers: scope | headers)
)
environs = st.dictionaries(st.sampled_from(list(an_environ())) | st.text(max_size=5) | st.integers(), anything)


def check(record: AccessRecord, carrier: dict[str, list[str]] | None) -> None:
    """A record that any encoder takes."""
    for name in ("method", "path", "query", "scheme", "http_version", "client_address", "user_agent", "referer"):
        value = getattr(record, name)
        if value is not None:
            value.encode()
            assert len(value) <= 4 * TEXT_SIZE_MAX
    for values in record.headers.values():
        assert all(client_text(value) == value for value in values)
    assert record.request_id
    assert carrier is None or all(carrier.values())
    record.line().encode()


@given(scope=scopes)
def test_any_scope_makes_a_record(scope: dict[str, Any]) -> None:
    """
    Whatever stands in a scope: a record, with texts that can be encoded, and no exception.
    """
    check(*READER.asgi(scope))


@given(environ=environs)
def test_any_environ_makes_a_record(environ: dict[Any, Any]) -> None:
    """
    The same of an environ.
    """
    check(*READER.wsgi(environ))


@given(name=header_names, values=st.lists(st.binary(max_size=40), min_size=1, max_size=3), path=st.binary(max_size=30))
def test_texts_are_read_as_client_text(name: bytes, values: list[bytes], path: bytes) -> None:
    """
    A header's bytes are the same text from both hosts, and so are a path's.
    """
    record, _ = READER.asgi(a_scope(headers=[(name, value) for value in values]))
    environ_name = "HTTP_" + name.decode().upper().replace("-", "_")
    of_environ, _ = READER.wsgi({environ_name: values[0].decode("latin-1"), "PATH_INFO": path.decode("latin-1")})

    assert of_environ.path == client_text(path)
    if name == b"user-agent":
        assert record.user_agent == of_environ.user_agent == client_text(values[0])
    if name == b"x-tenant":
        assert record.headers == {"x-tenant": [client_text(value) for value in values]}
        assert of_environ.headers == {"x-tenant": [client_text(values[0])]}


def test_a_huge_header_is_cut() -> None:
    """
    A text of a client is kept up to 4096 characters, in every field.
    """
    huge = b"\xc3\xbc" * 100_000
    record, _ = READER.asgi(
        a_scope(path="x" * 100_000, query_string=huge, headers=[(b"user-agent", huge), (b"x-tenant", huge)])
    )

    assert len(record.path) == TEXT_SIZE_MAX
    assert max(map(len, (record.query, record.user_agent, *record.headers["x-tenant"]))) <= TEXT_SIZE_MAX


def test_other_mappings_are_read() -> None:
    """
    A scope need not be a dict; one that fails has no fields.
    """

    class Failing(UserDict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            raise RuntimeError

    assert READER.asgi(UserDict(a_scope()))[0].path == "/items/ü"
    assert READER.asgi(Failing())[0].path == ""
    assert READER.wsgi(UserDict(an_environ()))[0].path == "/items/ü"


def test_an_interrupt_while_reading_is_raised() -> None:
    """
    Ctrl-C in a scope's own code belongs to the program.
    """

    class Interrupted(UserDict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        READER.asgi(Interrupted())


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (AccessRecord, WebSocketRecord, METHODS, {}),
        (AccessRecord, dict, METHODS, {}, FIELDS),
        (AccessRecord(), WebSocketRecord, METHODS, {}, FIELDS),
        (AccessRecord, WebSocketRecord, {"GET"}, {}, FIELDS),
        (AccessRecord, WebSocketRecord, METHODS, {"x": "x"}, FIELDS),
        (AccessRecord, WebSocketRecord, METHODS, {b"x": b"x"}, FIELDS),
        (AccessRecord, WebSocketRecord, METHODS, {}, frozenset({"traceparent"})),
    ],
)
def test_a_reader_says_what_it_takes(arguments: tuple[Any, ...]) -> None:
    """
    TypeError for anything but two record types, a frozenset, a dict from bytes to str, a frozenset of bytes.
    """
    with pytest.raises(TypeError, match="AccessReader takes"):
        AccessReader(*arguments)


def test_a_plain_base_will_do() -> None:
    """
    The reader needs no more of a record type than the base itself.
    """
    record, _ = AccessReader(AccessBase, AccessBase, METHODS, {}, FIELDS).asgi(a_scope())

    assert type(record) is AccessBase
    assert record.path == "/items/ü"

"""Headers: which forms are taken, what is refused, and where Hypercorn's function is the same."""

from __future__ import annotations

from typing import Any

import hypercorn.utils
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelbridge.hypercorn.utils import build_and_validate_headers, filter_pseudo_headers, suppress_body

TOKEN = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
CONNECTION = ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]

spaces = st.sampled_from([b"", b" ", b"\t", b" \t "])
names = st.text(TOKEN, min_size=1).filter(lambda name: name.lower() not in CONNECTION).map(str.encode)
values = st.binary().filter(lambda value: not set(value) & set(b"\r\n\0"))
padded_names = st.builds(lambda before, name, after: before + name + after, spaces, names, spaces)


@pytest.mark.covers("2.9")
@settings(deadline=None)
@given(st.lists(st.tuples(padded_names, values)))
def test_well_formed_pairs_come_out_as_hypercorn_gives_them(headers: list[tuple[bytes, bytes]]) -> None:
    """Same order, same case, space around name and value removed."""
    ours = build_and_validate_headers(headers)

    assert ours == hypercorn.utils.build_and_validate_headers(headers)


@pytest.mark.covers("2.9")
@settings(deadline=None)
@given(st.lists(st.tuples(st.binary(), st.binary())))
def test_whatever_comes_out_is_safe_to_send(headers: list[tuple[bytes, bytes]]) -> None:
    """Any bytes are either refused with ValueError or hold no end of line, nor a name that is none."""
    try:
        built = build_and_validate_headers(headers)
    except ValueError:
        return

    assert not any(set(name + value) & set(b"\r\n\0") for name, value in built)
    assert all(set(name) <= set(TOKEN.encode()) for name, _ in built)


@pytest.mark.covers("2.9", note="a mapping of str is taken and sent as Latin-1; Hypercorn takes pairs of bytes only")
@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/html", "x-name": " é "},
        {b"content-type": b"text/html", b"x-name": b"\xe9"},
        {"content-type": b"text/html", b"x-name": "é"},
        [(b"content-type", b"text/html"), [bytearray(b"x-name"), memoryview(b" \xe9")]],
        ((name, value) for name, value in [(b"content-type", b"text/html"), (b"x-name", b"\xe9")]),
    ],
)
def test_mappings_and_pairs_become_pairs_of_bytes(headers: Any) -> None:
    """The document's dict, bytes in any container, and a generator."""
    built = build_and_validate_headers(headers)

    assert built == [(b"content-type", b"text/html"), (b"x-name", b"\xe9")]
    assert {type(part) for pair in built for part in pair} == {bytes}


@pytest.mark.covers("2.9", note="connection-specific headers are refused here; the server itself still sends its own")
@pytest.mark.parametrize("name", [*CONNECTION, "Connection", "UPGRADE"])
def test_headers_about_the_connection_are_refused(name: str) -> None:
    """They are the server's to send, in any case of letters and either form."""
    with pytest.raises(ValueError, match=rf"must not be about the connection.*got b'{name}'"):
        build_and_validate_headers([(name.encode(), b"close")])
    with pytest.raises(ValueError, match="must not be about the connection"):
        build_and_validate_headers({name: "close"})


@pytest.mark.covers("2.9")
@pytest.mark.parametrize("name", [b"", b" ", b"a b", b"a:b", b"a\r\nb", b"a\0", b"\xe9", b'"a"', b"(a)"])
def test_a_name_that_is_no_token_is_refused(name: bytes) -> None:
    """RFC 9110's token, and never an empty one."""
    with pytest.raises(ValueError, match="a header's name must be a token"):
        build_and_validate_headers([(name, b"")])


@pytest.mark.covers("2.9")
@pytest.mark.parametrize("name", [b":authority", b":status", b" :path", b":"])
def test_a_pseudo_header_is_refused(name: bytes) -> None:
    """As Hypercorn refuses them, and also behind space."""
    with pytest.raises(ValueError, match="must not be a pseudo-header"):
        build_and_validate_headers([(name, b"")])


@pytest.mark.covers("2.9")
@pytest.mark.parametrize("value", [b"canary\r\nset-cookie: a=b", b"canary\nx", b"canary\rx", b"canary\0x"])
def test_an_end_of_line_in_a_value_is_refused(value: bytes) -> None:
    """No response is split; and the error does not repeat the value, which may be a secret."""
    with pytest.raises(ValueError, match=r"the value of b'x' must hold no CR, LF or NUL, got .* at 6$") as refused:
        build_and_validate_headers([(b"x", value)])

    assert "canary" not in str(refused.value)


@pytest.mark.covers("2.9")
@pytest.mark.parametrize(
    ("headers", "expected", "message"),
    [
        ([("string", "string")], TypeError, "must be bytes, got str and str"),
        ([(b"a", "string")], TypeError, "must be bytes, got bytes and str"),
        ([(b"a", None)], TypeError, "must be bytes, got bytes and NoneType"),
        ([(b"a", 5)], TypeError, "must be bytes, got bytes and int"),
        ({"a": 5}, TypeError, "must be bytes, got bytes and int"),
        ({"a": ["b"]}, TypeError, "must be bytes, got bytes and list"),
        (["ab"], TypeError, "must be a pair of bytes, got str"),
        ([(b"a",)], ValueError, "must be a pair of bytes, got 1 items"),
        ([(b"a", b"b", b"c")], ValueError, "must be a pair of bytes, got 3 items"),
        ("a: b", TypeError, "headers must be pairs of bytes or a mapping, got str"),
        (b"a: b", TypeError, "headers must be pairs of bytes or a mapping, got bytes"),
        (None, TypeError, "headers must be pairs of bytes or a mapping, got NoneType"),
        ({"a": "€"}, ValueError, "must be Latin-1, got '€'"),
    ],
)
def test_another_type_is_a_type_error(headers: Any, expected: type[Exception], message: str) -> None:
    """Pairs of str are refused as Hypercorn does; so is what are no pairs."""
    with pytest.raises(expected, match=message):
        build_and_validate_headers(headers)


@pytest.mark.covers(
    "2.10", note="host stays, first, with :authority's value: HTTP/1 needs it. The document leaves it out"
)
def test_pseudo_headers_go_and_host_stays() -> None:
    """Hypercorn's own function: :authority becomes host and wins over one that was sent."""
    request = [(b":method", b"GET"), (b":authority", b"a.example"), (b"host", b"b.example"), (b"user-agent", b"test")]

    filtered = filter_pseudo_headers(request)

    assert filtered == [(b"host", b"a.example"), (b"user-agent", b"test")]
    assert filter_pseudo_headers is hypercorn.utils.filter_pseudo_headers


@pytest.mark.covers("2.11")
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("status", [100, 101, 199, 200, 201, 204, 205, 206, 304, 404, 500])
def test_responses_that_have_no_body(method: str, status: int) -> None:
    """To HEAD, and with 1xx, 204 and 304."""
    assert suppress_body(method, status) is (method == "HEAD" or status in (100, 101, 199, 204, 304))

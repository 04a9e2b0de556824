"""Apache's directives of a record."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbridge.access.atoms import AccessAtoms, escape_item, time_text
from otelbridge.access.record import AccessRecord, WebSocketRecord
from tests.access.listening import START_NS, a_record


@pytest.fixture
def east() -> Iterator[None]:
    """Five and a half hours east of Greenwich."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "IST-05:30"
    time.tzset()
    time_text.cache_clear()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()
    time_text.cache_clear()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("h", "203.0.113.42"),
        ("a", "203.0.113.42"),
        ("l", "-"),
        ("u", "-"),
        ("r", "GET /api/users HTTP/1.1"),
        ("s", "200"),
        (">s", "200"),
        ("b", "87"),
        ("B", "87"),
        ("f", "-"),
        ("D", "3212"),
        ("T", "0"),
        ("{s}T", "0"),
        ("{ms}T", "3"),
        ("{us}T", "3212"),
        ("U", "/api/users"),
        ("q", ""),
        ("m", "GET"),
        ("H", "HTTP/1.1"),
        ("X", "+"),
        ("P", str(os.getpid())),
        ("I", "12"),
        ("O", "87"),
        ("{Referer}i", "https://example.com/"),
        ("{USER-AGENT}i", "curl/8"),
        ("{X-Tenant}i", "a, b"),
        ("{X-Other}i", "-"),
        ("{tenant}n", "acme"),
        ("{request_id}n", "r-1"),
        ("{nothing}n", "-"),
    ],
)
def test_a_directive_means_what_it_means_to_apache(name: str, value: str) -> None:
    """
    Each directive gives what mod_log_config's table says of it.
    """
    record = a_record(request_body_size=12, headers={"x-tenant": ["a", "b"]}, tenant="acme", request_id="r-1")

    assert AccessAtoms(record)[name] == value


def test_what_is_unknown_is_a_dash() -> None:
    """
    A record of nothing has a dash for each text, as Apache prints it.
    """
    atoms = AccessAtoms(AccessRecord())

    dashes = [atoms[name] for name in ("h", "s", ">s", "b", "U", "m", "{Referer}i", "{User-Agent}i")]
    assert dashes == ["-"] * 8
    assert (atoms["B"], atoms["r"]) == ("0", "- - HTTP/1.1")


def test_the_time_is_the_start_in_apaches_spelling() -> None:
    """
    `%t` is the start of the request, with English months and the local zone.
    """
    zone = time.strftime("%z", time.localtime(START_NS // 10**9))

    assert re.fullmatch(rf"\[2[012]/Nov/2026:\d\d:\d\d:00 {re.escape(zone)}\]", AccessAtoms(a_record())["t"])


def test_the_time_has_the_zones_offset(east: None) -> None:
    """
    The offset from UTC stands behind the local time.
    """
    assert AccessAtoms(a_record())["t"] == "[21/Nov/2026:23:30:00 +0530]"


@pytest.mark.parametrize(
    ("changes", "ending"),
    [
        ({}, "+"),
        ({"ended_by": "client"}, "X"),
        ({"ended_by": "error"}, "-"),
        ({"http_version": "1.0"}, "-"),
        ({"http_version": "2"}, "+"),
    ],
)
def test_x_says_how_the_connection_ended(changes: dict[str, str], ending: str) -> None:
    """
    X is a client that left before the end, - a connection that ends with the answer.
    """
    assert AccessAtoms(a_record(**changes))["X"] == ending


@pytest.mark.parametrize(("version", "protocol"), [("1.0", "HTTP/1.0"), ("2", "HTTP/2.0"), ("3", "HTTP/3.0")])
def test_protocols_have_apaches_names(version: str, protocol: str) -> None:
    """
    HTTP/2 is HTTP/2.0 to Apache, and to what reads its logs.
    """
    assert AccessAtoms(a_record(http_version=version))["H"] == protocol


def test_a_websocket_has_the_same_directives() -> None:
    """
    A session is a request with status 101 whose bytes are those of its messages.
    """
    record = WebSocketRecord(method="GET", path="/live", status=101, response_body_size=9, close_code=1000)

    atoms = AccessAtoms(record)

    assert (atoms["r"], atoms[">s"], atoms["b"]) == ("GET /live HTTP/1.1", "101", "9")


def test_the_query_is_shown_only_where_the_record_is_to_show_it() -> None:
    """
    Without log_query neither `%r` nor `%q` has the query; with it both have it, without its secrets.
    """
    record = a_record(query="page=2&token=canary")
    hidden = AccessAtoms(record)["r"], AccessAtoms(record)["q"]
    record.log_query = True

    assert hidden == ("GET /api/users HTTP/1.1", "")
    assert AccessAtoms(record)["q"] == "?page=2&token=REDACTED"
    assert AccessAtoms(record)["r"] == "GET /api/users?page=2&token=REDACTED HTTP/1.1"


def test_a_path_stands_in_the_request_line_as_it_came() -> None:
    """
    Blanks, quotes and letters beyond ASCII are percent-encoded in `%r`, and escaped bytes in `%U`.
    """
    atoms = AccessAtoms(a_record(path='/a b/ü"'))

    assert atoms["r"] == "GET /a%20b/%C3%BC%22 HTTP/1.1"
    assert atoms["U"] == r"/a b/\xc3\xbc\""


@pytest.mark.parametrize("name", ["", "Z", "{}T", "{h}T", "{x}o", "{x}C", "<s", "%", "{Referer}"])
def test_an_unknown_directive_is_a_key_error(name: str) -> None:
    """
    There is nothing where Apache has something that a record does not know.
    """
    atoms = AccessAtoms(a_record())

    assert name not in atoms
    with pytest.raises(KeyError, match=re.escape(repr(name))):
        atoms[name]


def test_atoms_are_a_mapping_of_the_plain_directives() -> None:
    """
    `"%(h)s" % atoms` works, and iterating gives what has no name in braces.
    """
    atoms = AccessAtoms(a_record())

    text = "%(h)s %(>s)s %({Referer}i)s"

    assert text % atoms == "203.0.113.42 200 https://example.com/"
    assert len(dict(atoms)) == len(atoms) == 21


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ('a"b\\', r"a\"b\\"),
        ("\b\n\r\t\v", r"\b\n\r\t\v"),
        ("\x00\x1b\x7f", r"\x00\x1b\x7f"),
        ("ü\u202e", r"\xc3\xbc\xe2\x80\xae"),
        ("\udc80", r"\xed\xb2\x80"),
        ("plain text", "plain text"),
    ],
)
def test_items_are_escaped_as_apache_does(text: str, escaped: str) -> None:
    """
    Quotes, backslashes, control characters and bytes beyond ASCII are spelled as ap_escape_logitem spells them.
    """
    assert escape_item(text) == escaped


@given(st.text())
def test_an_escaped_item_can_be_read_back(text: str) -> None:
    """
    Any text is printable ASCII without a bare quote, and comes back byte for byte.
    """
    escaped = escape_item(text)

    assert re.fullmatch(r'(?:[ !#-\[\]-~]|\\["\\bnrtv]|\\x[0-9a-f]{2})*', escaped)
    assert unescape(escaped) == text.encode("utf-8", "surrogatepass")


def unescape(item: str) -> bytes:
    """What a reader of Apache's logs makes of an item."""
    letters = {"b": 8, "n": 10, "r": 13, "t": 9, "v": 11, '"': 34, "\\": 92}

    def byte(found: re.Match[str]) -> str:
        spelled = found[1]
        return chr(int(spelled[1:], 16) if spelled[0] == "x" else letters[spelled])

    return re.sub(r'\\(x[0-9a-f]{2}|["\\bnrtv])', byte, item).encode("latin-1")

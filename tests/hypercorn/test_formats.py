"""Access lines: one line per request whatever a client sends, and JSON where the format is JSON."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otelbridge.hypercorn.atoms import AccessLogAtoms
from otelbridge.hypercorn.format import access_format, escape, make_line
from tests.hypercorn.support import OK, http_scope

DEFAULT = '%(h)s %(l)s %(l)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
JSON = (
    '{"remote_addr": "%(h)s", "request": "%(r)s", "status": %(s)s, "bytes": %(b)s, "duration": %(T)s, '
    '"agent": %(a)s, "when": "%(t)s", "x": %({X-Id}i)s, "length": %({Content-Length}o)s}'
)
# As log readers have it: host, two words, time, request, status, bytes, referer, agent.
COMBINED = re.compile(
    r'(\S+) (\S+) (\S+) \[([^\]]+)\] "((?:[^"\\]|\\.)*)" (\d{3}|-) (\d+|-) "((?:[^"\\]|\\.)*)" "((?:[^"\\]|\\.)*)"'
)


def line(text: str, scope: dict[str, Any] | None = None, response: Any = OK, seconds: float = 0.0) -> str:
    """The line of a request."""
    return make_line(text)(AccessLogAtoms(http_scope() if scope is None else scope, response, seconds))


@pytest.mark.covers("F3")
@pytest.mark.covers("0.8")
@pytest.mark.parametrize(
    ("changes", "response", "words"),
    [
        ({}, OK, ("127.0.0.1:5", "GET /a 1.1", "200", "5")),
        ({"client": None}, OK, ("-", "GET /a 1.1", "200", "5")),
        ({"client": ("::1", 9), "http_version": "2"}, OK, ("::1:9", "GET /a 2", "200", "5")),
        ({}, {"status": 200, "headers": []}, ("127.0.0.1:5", "GET /a 1.1", "200", "-")),
        ({}, None, ("127.0.0.1:5", "GET /a 1.1", "-", "-")),
    ],
)
def test_the_default_line_is_the_combined_format(
    changes: dict[str, Any], response: Any, words: tuple[str, ...]
) -> None:
    """
    A combined-log reader finds its fields, over HTTP/2, on a Unix socket, while streaming, without an answer (F3).
    """
    found = COMBINED.fullmatch(line(DEFAULT, http_scope(**changes), response))

    assert found is not None
    assert (found[1], found[5], found[6], found[7], found[9]) == (*words, "curl/8")


@pytest.mark.covers("0.8")
def test_a_websocket_is_a_line_of_the_same_kind() -> None:
    """
    A handshake is `GET / ws` and 101.
    """
    scope = http_scope(type="websocket", scheme="ws")
    del scope["http_version"], scope["method"]

    found = COMBINED.fullmatch(line(DEFAULT, scope, {"status": 101, "headers": []}))

    assert found is not None
    assert (found[5], found[6]) == ("GET /a ws", "101")


@pytest.mark.covers("F1")
@pytest.mark.covers("0.8", note="what a client sends is escaped in the line: quotes, backslashes, control characters")
@given(path=st.text(), agent=st.binary(), query=st.binary())
@example(path='/x\r\n127.0.0.1 - - "GET /" 200\x1b[31m\u2028\u202e', agent=b'a" 200 5 "b\\', query=b"\xff\x85")
def test_no_client_forges_a_line(path: str, agent: bytes, query: bytes) -> None:
    """
    Whatever path, query and headers hold: one printable line, each field where it belongs (pains.md F1, F8).
    """
    scope = http_scope(path=path, query_string=query, headers=[(b"user-agent", agent)])

    text = line(DEFAULT.replace("%(r)s", "%(R)s"), scope)

    assert text.isprintable()
    assert COMBINED.fullmatch(text)


def test_what_can_be_read_stays_readable() -> None:
    """
    Letters of any script stand in the line as they are.
    """
    assert line("%(U)s", http_scope(path="/日本/é")) == "/日本/é"
    assert escape('a"b\\c\n\x1b\x7f\x9b\u2028\u202e') == r"a\"b\\c\n\x1b\x7f\x9b\u2028\u202e"


@pytest.mark.covers("T8")
@pytest.mark.covers("0.13")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("100% %(m)s", "100% GET"),
        ("%%(m)s %% %", "%(m)s % %"),
        ("%(m)s %h %(", "GET %h %("),
        ("%(m)", "%(m)"),
        ("%(nothing)s %(u)s", "- -"),
        ("%(s)d|%(T)d|%(m)5s|%(T)03d|%(L).3f", "200|1|  GET|001|1.500000"),
        ("[%(m)s]", "[GET]"),
        ("", ""),
    ],
)
def test_a_broken_format_costs_no_line(text: str, shown: str) -> None:
    """
    A literal `%`, an unknown atom, a conversion that does not fit: the line is printed (T8).
    """
    assert line(text, seconds=1.5) == shown


@pytest.mark.covers("T4")
def test_the_time_has_one_pair_of_brackets() -> None:
    """
    `[%(t)s]`, as the documents have it, and `%(t)s` print the same.
    """
    once, twice = line("%(t)s"), line("[%(t)s]")

    assert re.fullmatch(r"\[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]", once)
    assert re.fullmatch(r"\[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]", twice)
    assert re.match(r"\[\d", line('[%(t)s] "%(r)s"'))


@pytest.mark.covers("T4")
@pytest.mark.covers(
    "0.13", note="JSON formats give valid JSON: a missing number is null, quotes in headers are escaped"
)
@given(
    path=st.text(),
    values=st.lists(st.binary(), min_size=3, max_size=3),
    response=st.sampled_from([OK, None, {"status": 441, "headers": []}]),
)
@example(path='/"\\\x7f\ud800', values=[b'"}, {"x": "', b"1e999", b"5x"], response=OK)
def test_a_json_format_gives_json(path: str, values: list[bytes], response: Any) -> None:
    """
    Whatever is in the request, the line is one JSON object with the same keys and kinds of values (T4).
    """
    names = (b"user-agent", b"x-id", b"referer")
    scope = http_scope(path=path, headers=list(zip(names, values, strict=True)))

    text = line(JSON, scope, response, 0.5)

    found = json.loads(text)
    assert text.isascii()
    assert text.isprintable()
    assert found["status"] == (None if response is None else response["status"])
    assert found["bytes"] == found["length"] == (5 if response is OK else None)
    assert found["duration"] == 0
    assert {type(found[name]) for name in ("remote_addr", "request", "when")} == {str}
    assert {type(found[name]) for name in ("agent", "x")} <= {str, type(None)}


@pytest.mark.parametrize("text", ["[%(s)s, %(b)s]", ' {"a": [%(s)s, {"b": "%(m)s!"}], "c": %(L)s, "d": %(T)5d}'])
def test_json_of_any_shape(text: str) -> None:
    """
    Lists, nested values, blanks in front: still JSON.
    """
    assert json.loads(line(text))


@pytest.mark.parametrize("text", ['{"a": %(m)s', "{%(m)s: 1}", '{"a": 1%(s)s}', "{%(m)s}"])
def test_what_is_no_json_is_text(text: str) -> None:
    """
    A format that merely begins like JSON is printed as it stands.
    """
    assert line(text) == text.replace("%(m)s", "GET").replace("%(s)s", "200")


def test_secrets_are_left_out() -> None:
    """
    A password in a query, a cookie, and a variable with a secret's name are redacted, in text and in JSON.
    """
    scope = http_scope(query_string=b"page=2&password=hunter2", headers=[(b"cookie", b"session=hunter2")])

    for text in ("%(R)s|%(q)s|%(Uq)s|%({Cookie}i)s", '{"a": "%(R)s", "b": "%({cookie}i)s"}'):
        shown = line(text, scope)
        assert "hunter2" not in shown
        assert "page=2" in shown
        assert "[REDACTED]" in shown


def test_logging_takes_the_format_for_a_message() -> None:
    """
    On the LogRecord stand the format and the atoms, as with Hypercorn, and its message is the safe line (row 0.6).
    """
    atoms = AccessLogAtoms(http_scope(path="/\n"), OK, 0)
    made = logging.LogRecord("hypercorn.access", logging.INFO, "", 0, access_format("%(U)s %"), (atoms,), None)

    assert made.getMessage() == "/\\n %"
    assert made.msg == "%(U)s %"
    assert made.args is atoms


@pytest.mark.covers("F2")
def test_only_what_is_named_is_asked_for() -> None:
    """
    A format of one atom asks for one atom.
    """
    asked: list[str] = []

    class Watched(dict[str, str]):
        def __getitem__(self, name: str) -> str:
            asked.append(name)
            return "x"

    assert make_line("%(h)s %({X-Id}i)s")(Watched()) == "x x"
    assert asked == ["h", "{X-Id}i"]

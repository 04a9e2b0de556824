"""One record as text in every form."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otelbridge.access.format import has_slow_mark, make_line
from otelbridge.access.record import AccessRecord, WebSocketRecord
from otelbridge.exceptions import ConfigError
from otelbridge.text.policy import ACTIVE
from tests.access.listening import a_record
from tests.access.test_atoms import unescape

STYLES = ("request", "access", "common", "combined", "json", '%h "%r" %U %q %m %H "%{X-Tenant}i" "%{tenant}n"')


@pytest.mark.parametrize(
    ("style", "line"),
    [
        ("request", "200 GET /api/users?page=2 3.2ms"),
        ("access", '203.0.113.42 "GET /api/users HTTP/1.1" 200 87 3ms'),
        ("common", '203.0.113.42 - - [TIME] "GET /api/users?page=2 HTTP/1.1" 200 87'),
        (
            "combined",
            '203.0.113.42 - - [TIME] "GET /api/users?page=2 HTTP/1.1" 200 87 "https://example.com/" "curl/8"',
        ),
        ("%a %D %X %% 100", "203.0.113.42 3212 + % 100"),
        (r"\"%m\"\t%>s", '"GET"\t200'),
    ],
)
def test_a_style_has_its_line(style: str, line: str) -> None:
    """
    The styles read as seed 1, seed 4 and Apache show them.
    """
    made = make_line(style)(a_record(log_query=True))

    assert re.sub(r"\[\d[^]]*\]", "[TIME]", made) == line


@pytest.mark.parametrize("style", ["request", "common", "combined"])
def test_the_query_is_left_out_by_default(style: str) -> None:
    """
    No style shows the query of a record that is not to show it.
    """
    assert "page=2" not in make_line(style)(a_record())


def test_a_request_line_without_an_answer() -> None:
    """
    What is unknown is a dash.
    """
    assert make_line("request")(a_record(status=None)) == "- GET /api/users 3.2ms"
    assert make_line("request")(AccessRecord()) == "- - - 0.0ms"


def test_a_session_s_request_line_has_its_close_code() -> None:
    """
    A WebSocket session is a line of its own kind.
    """
    record = WebSocketRecord(method="GET", path="/live", status=101, close_code=1001, duration_ns=5_000_000)

    assert make_line("request")(record) == "101 GET /live 5.0ms close=1001"


def test_json_has_typed_values_under_both_names() -> None:
    """
    The JSON line has BlackBull's names and OpenTelemetry's, numbers as numbers, what is unknown as null or not at all.
    """
    found = json.loads(make_line("json")(a_record(client_address=None, tenant="acme")))

    assert found["time"] == "2026-11-21T18:00:00.000000+00:00"
    assert (found["client_ip"], found["status"], found["response_bytes"]) == (None, 200, 87)
    assert (found["duration_ms"], found["http.server.request.duration"]) == (3.212345, 0.003212345)
    assert (found["event_name"], found["url.path"]) == ("http.server.access", "/api/users")
    assert (found["user_agent.original"], found["tenant"]) == ("curl/8", "acme")
    assert "client.address" not in found
    assert "url.query" not in found


def test_a_forged_user_agent_stays_one_json_value() -> None:
    """
    Quotes, line breaks and braces of a client neither break the object nor add a member.
    """
    forged = 'x", "status": 500}\n{"client_ip": "\u2028\x85\x7f'

    line = make_line("json")(a_record(user_agent=forged))

    assert line.isprintable()
    assert json.loads(line)["user_agent.original"] == forged
    assert json.loads(line)["status"] == 200


TEXT = st.text() | st.sampled_from(["a?token=b", 'https://u:p"w@h/?sig=x"y', "&key=\\", '"', "\\"])


def hostile(texts: list[str]) -> AccessRecord:
    method, path, query, version, client, agent, referer, header, addition = texts
    return a_record(
        method=method,
        path=path,
        query=query,
        log_query=True,
        http_version=version,
        client_address=client,
        user_agent=agent,
        referer=referer,
        headers={"x-tenant": [header]},
        tenant=addition,
    )


@given(st.lists(TEXT, min_size=9, max_size=9))
def test_whatever_a_client_sends_is_one_line(texts: list[str]) -> None:
    """
    In no style does any text break the line, or bring a control or bidi character into it.
    """
    record = hostile(texts)

    for style in STYLES:
        line = make_line(style)(record)
        assert line.splitlines() == [line]
        assert line.isprintable()


COMBINED = re.compile(
    r'(?P<client>\S*) - - \[[^]]*\] "(?P<method>\S+) (?P<target>\S+) (?P<protocol>\S+)" (?P<status>\d+) (?P<size>\d+) '
    r'"(?P<referer>(?:[^"\\]|\\.)*)" "(?P<agent>(?:[^"\\]|\\.)*)"'
)


@given(st.lists(TEXT, min_size=9, max_size=9))
def test_a_combined_line_is_read_back(texts: list[str]) -> None:
    """
    Readers of Apache's combined format find the fields that were sent.
    """
    record = hostile(texts)

    found = COMBINED.fullmatch(make_line("combined")(record))

    assert found is not None
    assert (found["status"], found["size"]) == ("200", "87")
    assert unescape(found["agent"]) == ACTIVE.policy.text(record.user_agent or "").encode("utf-8", "surrogatepass")


@given(st.lists(TEXT, min_size=9, max_size=9))
def test_a_json_line_is_one_object_also_after_redaction(texts: list[str]) -> None:
    """
    The line is an object whose values are the record's, and the logger's redaction of its text leaves it one.
    """
    record = hostile(texts)

    line = make_line("json")(record)

    found = json.loads(line)
    assert found["user_agent.original"] == well_formed(ACTIVE.policy.text(record.user_agent or ""))
    assert json.loads(ACTIVE.policy.text(line)).keys() == found.keys()


def well_formed(text: str) -> str:
    """JSON has no lone surrogates."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def test_a_callable_makes_the_line() -> None:
    """
    A function of the record is a format, too; a line break of a client is escaped in what it returns.
    """

    def line(record: AccessRecord) -> str:
        return f"{record.status} {record.user_agent}"

    assert make_line(line)(a_record(user_agent="a\nb")) == r"200 a\nb"


def test_a_callable_that_fails_costs_no_record(capsys: pytest.CaptureFixture[str]) -> None:
    """
    When the user's function raises, the line is the usual one, and stderr says so once.
    """

    def line(record: AccessRecord) -> str:
        raise ValueError("oops")

    made = make_line(line)

    assert made(a_record()) == made(a_record()) == a_record().line()
    assert capsys.readouterr().err.count("oops") == 1


@pytest.mark.parametrize(
    ("style", "kind", "message"),
    [
        ("nginx", ConfigError, "format must be one of request, access, common, combined, json"),
        ("%h %Z", ConfigError, "got '%Z'"),
        ("%h %", ConfigError, "got '%'"),
        ("%{x", ConfigError, "got '%{x'"),
        ("%{Cookie}C", ConfigError, "got '%{Cookie}C'"),
        ("%h\n%r", ConfigError, "one line"),
        (None, TypeError, "format must be a str or a callable"),
        (b"%h", TypeError, "format must be a str or a callable"),
    ],
)
def test_a_mistake_is_said_at_once(style: Any, kind: type[Exception], message: str) -> None:
    """
    What is no format raises before any request, and says what was expected and what was got.
    """
    with pytest.raises(kind, match=re.escape(message)):
        make_line(style)


def test_only_lines_for_people_are_marked_slow() -> None:
    """
    Nothing is appended to formats that programs read.
    """
    assert [style for style in STYLES if has_slow_mark(style)] == ["request", "access"]

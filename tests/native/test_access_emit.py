"""emit_access against the Python way: the same bytes, for any record and whatever surrounds it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from otelbridge import _native
from otelbridge._export import core, set_redaction
from otelbridge.access.record import AccessRecord, WebSocketRecord
from otelbridge.text.redaction import Redaction
from tests.native.conftest import Exporting, untouched
from tests.native.oracle import Named, Raising, anything, attributes_of, parse, texts

TRACER = TracerProvider().get_tracer("test")
EVENT = "http.server.access"
LEVELS = {20: "INFO", 30: "WARNING", 40: "ERROR"}


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """A clock that stands still; afterwards the default policy and the real clock."""
    _native.set_clock(lambda: 1_700_000_000_123_456_789)
    yield
    _native.set_clock(None)
    set_redaction(Redaction.from_setting())


def a_record(**changes: Any) -> AccessRecord:
    fields: dict[str, Any] = {
        "method": "POST",
        "known_method": "POST",
        "path": "/tasks/17",
        "query": "page=2",
        "client_address": "203.0.113.42",
        "user_agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
        "request_id": "0123456789abcdef",
        "route": "/tasks/{id}",
        "status": 201,
        "response_body_size": 87,
        "duration_ns": 3_400_000,
        "ttfb_ns": 1_000_000,
    }
    return AccessRecord(**fields | changes)


def emit(exporting: Exporting, record: AccessRecord, level_no: int = 20, body: str | None = None) -> list[bytes] | None:
    """What the native way stores; None: it left the record to Python."""
    is_done = exporting.logger._dispatcher.emit_access(record, level_no, EVENT, body)
    records = exporting.take()
    assert is_done or records == []
    return records if is_done else None


def python_way(exporting: Exporting, record: AccessRecord, level_no: int = 20, body: str | None = None) -> list[bytes]:
    """What `Logger.event` stores of the same."""
    line = record.line() if body is None else body
    exporting.logger.event(LEVELS[level_no], EVENT, line, record.attributes())
    return exporting.take()


def learn(exporting: Exporting) -> None:
    """Let Python judge the names of a record's attributes."""
    every_field = a_record(error_type="x", known_method="_OTHER", headers={"x-tenant": ["a"]}, log_query=True)
    python_way(exporting, every_field)


def test_an_ordinary_record_is_encoded_without_python(exporting: Exporting) -> None:
    """
    Once its names are judged, a record with every field goes the native way, and says what `attributes` says.
    """
    learn(exporting)
    record = a_record(error_type="500", known_method="_OTHER", headers={"x-tenant": ["a", "b"]}, log_query=True)
    record.tenant, record.items = "acme", [1, 2]  # type: ignore[attr-defined]
    python_way(exporting, record)

    stored = emit(exporting, record)

    assert stored is not None
    (encoded,) = map(parse, stored)
    thread = threading.current_thread()
    expected = {"thread.id": thread.ident, "thread.name": thread.name, **record.attributes()}
    assert attributes_of(encoded) == expected
    assert list(attributes_of(encoded)) == list(expected)
    assert encoded.body.string_value == record.line()
    assert (encoded.severity_number, encoded.severity_text, encoded.event_name) == (9, "INFO", EVENT)


class Kind(NamedTuple):
    """What generated records are made of."""

    text: st.SearchStrategy[str]
    headers: st.SearchStrategy[Any]
    # Of additions, configure(extra=…), and contextualize around the request and in it.
    names: tuple[st.SearchStrategy[str], ...]
    values: tuple[st.SearchStrategy[Any], ...]

    def fields(self) -> st.SearchStrategy[dict[str, Any]]:
        sizes = st.integers(0, 2**40)
        required = dict.fromkeys(("method", "path", "query", "scheme", "http_version", "ended_by"), self.text)
        optional = ("client_address", "user_agent", "request_id", "route", "error_type")
        return st.fixed_dictionaries(
            required,
            optional={
                **{name: st.none() | self.text for name in optional},
                **dict.fromkeys(("request_body_size", "response_body_size", "duration_ns"), sizes),
                "log_query": st.booleans(),
                "known_method": st.sampled_from(["GET", "_OTHER"]),
                "headers": self.headers,
                "status": st.none() | st.integers(100, 599),
                "ttfb_ns": st.none() | sizes,
            },
        )

    def surroundings(self) -> st.SearchStrategy[list[dict[str, Any]]]:
        pairs = zip(self.names, self.values, strict=True)
        return st.tuples(*(st.dictionaries(names, values, max_size=3) for names, values in pairs)).map(list)


plain_values = st.one_of(
    st.integers(-(2**63), 2**63 - 1), st.floats(), st.booleans(), st.none(), st.sampled_from(["", "ü", "a b"])
)
# What the native way has to do by itself.
TAME = Kind(
    text=st.text(st.characters(categories=["L", "N", "Zs", "Cc"], include_characters='"\\/\u202e'), max_size=20),
    headers=st.dictionaries(st.sampled_from(["x-tenant", "x-zone"]), st.lists(texts.filter(str.isalpha), max_size=3)),
    names=tuple(
        st.sampled_from(names) for names in (["tenant", "é"], ["extra", "a.b"], ["outer", "é2"], ["inner", "outer"])
    ),
    values=(plain_values | st.lists(plain_values, max_size=2), plain_values, plain_values, plain_values),
)
wild_text = st.one_of(
    texts,
    st.text(max_size=20),
    st.sampled_from(["/a?token=abc", "https://u:p@host/", "/x;sig=1", "me@example.com", "a" * 200, "4111111111111111"]),
)
wild_names = st.one_of(
    st.sampled_from(["tenant", "user", "password", "api_key", "url.path", "thread.name", "x.y", ""]),
    st.sampled_from(["http.request.header.x-tenant", "http.route", "query", "card"]),
    texts,
)
wild_values = st.one_of(wild_text, plain_values, anything)
WILD = Kind(
    text=wild_text,
    headers=st.dictionaries(
        st.sampled_from(["x-tenant", "x-api-key", "é"]) | wild_text, st.lists(wild_text, max_size=3) | anything
    ),
    names=(wild_names,) * 4,
    values=(wild_values,) * 4,
)
policies = st.sampled_from(
    [None, (), ("value:*",), ("value:email",), ("tenant", "http.route"), ("*path",), (lambda name: "user" in name,)]
)
many = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
levels = st.sampled_from(list(LEVELS))


def both_ways(
    exporting: Exporting,
    fields: dict[str, Any],
    surroundings: list[dict[str, Any]],
    body: str | None,
    level_no: int,
    has_span: bool,
) -> tuple[list[bytes], list[bytes] | None]:
    """What Python stores of the record, and what the native way stores of it then."""
    additions, extra, outer, inner = surroundings
    record = AccessRecord(**fields)
    for name, value in additions.items():
        if not hasattr(AccessRecord, name):
            setattr(record, name, value)
    context = trace.set_span_in_context(TRACER.start_span("request")) if has_span else None
    log = exporting.logger
    with untouched(log), log.contextualize(**outer):
        log._family.use_extra(extra)
        entry = core.enter_request(record, context)
        if inner:
            with log.contextualize(**inner):
                pass
        core.leave_request(entry)
        entry = core.enter_request(record, context)
        expected = python_way(exporting, record, level_no, body)
        stored = emit(exporting, record, level_no, body)
        core.leave_request(entry)
    return expected, stored


@many
@given(fields=TAME.fields(), surroundings=TAME.surroundings(), level_no=levels, has_span=st.booleans())
def test_the_native_way_makes_the_record_that_python_makes(
    exporting: Exporting, fields: dict[str, Any], surroundings: list[dict[str, Any]], level_no: int, has_span: bool
) -> None:
    """
    A record without secrets is encoded natively, byte for byte as `Logger.event` encodes its line and attributes.
    """
    expected, stored = both_ways(exporting, fields, surroundings, None, level_no, has_span)

    assert stored == expected


@many
@given(
    fields=WILD.fields(),
    surroundings=WILD.surroundings(),
    body=st.none() | wild_text,
    policy=policies,
    limits=st.sampled_from([(128, 0)] * 4 + [(5, 0), (128, 3)]),
)
def test_no_record_differs_from_pythons(
    exporting: Exporting,
    fields: dict[str, Any],
    surroundings: list[dict[str, Any]],
    body: str | None,
    policy: Any,
    limits: tuple[int, int],
) -> None:
    """
    Whatever clients and programs put into a record, under any policy and limit: the same bytes, or left to Python.
    """
    set_redaction(Redaction.from_setting(policy))
    core.set_limits(*limits)

    expected, stored = both_ways(exporting, fields, surroundings, body, 20, has_span=True)

    assert stored is None or stored == expected


@pytest.mark.parametrize(
    "changes",
    [
        {"path": "/a?token=abc"},
        {"user_agent": "https://me:secret@host/"},
        {"headers": {"x-api-key": ["abc"]}},
        {"headers": {"x-tenant": ["https://me:secret@host/"]}},
        {"log_query": True, "query": "token=abc"},
        {"route": "\ud800"},
    ],
)
def test_what_is_to_be_redacted_is_left_to_python(exporting: Exporting, changes: dict[str, Any]) -> None:
    """
    A record with a secret in it, or a text that cannot be encoded, is not stored by the native way.
    """
    learn(exporting)

    assert emit(exporting, a_record(**changes)) is None


@pytest.mark.parametrize("name", ["password", "http.route", "thread.id", "never_seen_before"])
def test_additions_that_python_has_to_judge_are_left_to_it(exporting: Exporting, name: str) -> None:
    """
    Secret and unknown names, and those that a record has anyway, are not for the native way.
    """
    learn(exporting)
    record = a_record()
    setattr(record, name, "x")

    assert emit(exporting, record) is None


def test_a_query_is_shown_only_if_asked_for(exporting: Exporting) -> None:
    """
    `url.query` stands in the record with `log_query`, not without.
    """
    learn(exporting)

    shown, hidden = emit(exporting, a_record(log_query=True)), emit(exporting, a_record())

    assert shown is not None
    assert hidden is not None
    assert attributes_of(parse(shown[0]))["url.query"] == "page=2"
    assert "url.query" not in attributes_of(parse(hidden[0]))


def test_names_are_judged_anew_by_another_policy(exporting: Exporting) -> None:
    """
    A name that was open is not taken for open after configure(redact=…).
    """
    learn(exporting)
    assert emit(exporting, a_record()) is not None

    set_redaction(Redaction.from_setting(("*address",)))
    learn(exporting)

    assert emit(exporting, a_record()) is None
    assert attributes_of(parse(python_way(exporting, a_record())[0]))["client.address"] == "[REDACTED]"


def test_sinks_and_patchers_get_the_record_by_python(exporting: Exporting) -> None:
    """
    False while a sink wants the level or a patcher is set.
    """
    learn(exporting)
    log = exporting.logger
    with untouched(log):
        identifier = log.add(lambda message: None, level="INFO")
        assert emit(exporting, a_record()) is None
        log.remove(identifier)
        log._family.use_patcher(lambda record: None)
        assert emit(exporting, a_record()) is None


def test_a_record_that_nobody_wants_is_done(exporting: Exporting) -> None:
    """
    Below the level of OTLP, and without sinks, there is nothing to do.
    """
    core.set_export("on", 30, 1 << 20)

    assert emit(exporting, a_record()) == []


def test_after_shutdown_records_are_counted_as_dropped(exporting: Exporting) -> None:
    """
    A record after shutdown is lost, done, and counted.
    """
    core.set_export("shutdown", 0, 1 << 20)
    before = exporting.dropped()

    assert emit(exporting, a_record()) == []
    assert exporting.dropped() == before + 1


def test_other_views_are_pythons(exporting: Exporting) -> None:
    """
    A record whose class shows it otherwise is left to Python, as WebSocket sessions are.
    """

    class Own(AccessRecord):
        def line(self) -> str:
            return "mine"

    learn(exporting)

    assert emit(exporting, Own(method="GET")) is None
    assert emit(exporting, WebSocketRecord(method="GET")) is None


def test_an_addition_may_change_the_record_while_it_is_shown(exporting: Exporting) -> None:
    """
    Additions whose text is made by code that sets and deletes additions cost nobody the record.
    """
    record = a_record()

    class Meddling(Named):
        def __str__(self) -> str:
            vars(record).clear()
            for i in range(100):
                setattr(record, f"k{i}", i)
            record.path = "changed"
            record.headers = {}
            return "meddled"

    set_redaction(Redaction.from_setting(()))
    vars(record).update(a=Meddling(""), b="text", c=Raising())

    stored = emit(exporting, record)

    assert stored is not None
    attributes = attributes_of(parse(stored[0]))
    assert (attributes["a"], attributes["b"], attributes["url.path"]) == ("meddled", "text", "/tasks/17")


def test_an_interrupt_is_not_swallowed(exporting: Exporting) -> None:
    """
    Ctrl-C while an addition is shown is raised, after the record was stored.
    """

    class Interrupting:
        def __str__(self) -> str:
            raise KeyboardInterrupt

    set_redaction(Redaction.from_setting(()))
    record = a_record()
    record.it = Interrupting()  # type: ignore[attr-defined]

    with pytest.raises(KeyboardInterrupt):
        emit(exporting, record)

    assert len(exporting.take()) == 1


@pytest.mark.parametrize(
    "arguments", [(), (1, 20, EVENT, None), ("r", "x", EVENT, None), ("r", 20, 1, None), ("r", 20, EVENT, 1)]
)
def test_wrong_arguments_are_said(exporting: Exporting, arguments: tuple[Any, ...]) -> None:
    """
    TypeError for anything but (record, level_no, event_name, body).
    """
    arguments = tuple(a_record() if argument == "r" else argument for argument in arguments)

    with pytest.raises(TypeError):
        exporting.logger._dispatcher.emit_access(*arguments)

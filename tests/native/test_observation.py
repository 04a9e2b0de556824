"""A plain request that the core serves from end to end, against the same request by way of Python."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from otelbridge import _native
from otelbridge._export import core, set_redaction
from otelbridge.access.observe import ENVIRON_KEY, EXCEPTION_KEY, STATE_KEY, Neighbour, Observation, Observer
from otelbridge.access.options import PathRules, Settings
from otelbridge.access.record import AccessRecord
from otelbridge.access.stdlib import LOGGER
from otelbridge.metrics.aggregated import AggregatedRequestMetrics, make_traffic
from otelbridge.metrics.instruments import Measured, MeasuredSession, request_words
from otelbridge.text.redaction import Redaction
from tests.access.support import TRACEPARENT, MemoryLogger, http_scope
from tests.access.wsgi_support import make_environ
from tests.native.conftest import Exporting
from tests.native.oracle import parse
from tests.native.test_leaks import resident_size

TRACER = TracerProvider(shutdown_on_exit=False).get_tracer("test")
HOST = Literal["asgi", "wsgi"]


@pytest.fixture(autouse=True)
def nothing_around() -> Iterator[None]:
    """A request begins with nothing current and nobody listening, whatever tests before have left."""
    before = LOGGER.level
    # By the level: pytest puts handlers of its own on each logger that does not propagate.
    LOGGER.setLevel(logging.CRITICAL + 1)
    token = otel_context.attach(otel_context.Context())
    yield
    otel_context.detach(token)
    LOGGER.setLevel(before)


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Afterwards the default policy and the real clock."""
    yield
    _native.set_clock(None)
    set_redaction(Redaction.from_setting())


class Idle:
    """No sessions come here."""

    def started(self, record: Measured) -> None: ...
    def ended(self, record: Measured, *, counted: bool) -> None: ...
    def session_started(self, record: MeasuredSession) -> None: ...
    def session_ended(self, record: MeasuredSession, *, counted: bool) -> None: ...


class PythonObserver(Observer):
    """For whom no request is plain."""

    def _plain(self) -> None:
        return None


class Way:
    """An observer whose points and records stay here."""

    def __init__(
        self, kind: type[Observer], exporting: Exporting, given: Settings, neighbour: Neighbour | None = None
    ) -> None:
        self.exporting = exporting
        self.metrics = AggregatedRequestMetrics(make_traffic(core, {}), Idle())
        self.observer = kind(given, logger=exporting.logger, tracer=None, metrics=self.metrics)
        self.observer.neighbour = neighbour

    def open(self, host: HOST, request: dict[str, Any]) -> Observation | None:
        return self.observer.open_asgi(request) if host == "asgi" else self.observer.open_wsgi(request)

    def points(self) -> Any:
        return self.metrics.traffic.snapshot(False, False, False)


def plain(exporting: Exporting, **changes: Any) -> Way:
    return Way(Observer, exporting, Settings(traces=False, **changes))


def request_of(host: HOST, headers: dict[str, str], **changes: Any) -> dict[str, Any]:
    """A request to /items/1 with these headers (`x-tenant`)."""
    if host == "asgi":
        pairs = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
        return dict(http_scope("/items/1", headers=pairs, **changes))
    names: dict[str, Any] = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    return make_environ("/items/1", **names, **changes)


class Course(NamedTuple):
    """What happens in a request and around it."""

    host: HOST
    headers: dict[str, str]
    changes: dict[str, Any]
    fields: dict[str, Any]
    additions: dict[str, Any]
    bound: dict[str, Any]
    end: dict[str, Any]
    outer: str
    inner: str
    ends_inside: bool
    swallowed: BaseException | None


def spans(name: str) -> Any:
    """The context around the request."""
    if name == "recording":
        return trace.set_span_in_context(TRACER.start_span("outer"))
    if name == "remote":
        return trace.set_span_in_context(trace.NonRecordingSpan(trace.SpanContext(5, 6, is_remote=True)))
    return otel_context.Context({"a": 1} if name == "no span" else {})


def run(way: Way, course: Course, outer: Any, within: Any) -> Any:
    """Serve the request; return what the app and its surroundings see."""
    seen: list[Any] = []
    ticks = count(1_700_000_000_000_000_000, 1000)
    _native.set_clock(lambda: next(ticks) // 10_000 * 10_000)
    request = request_of(course.host, course.headers, **course.changes)
    shared = request.get("state")
    token = otel_context.attach(outer)
    log = way.exporting.logger
    try:
        observation = way.open(course.host, request)
        if observation is None:
            return ["untouched", sorted(request)]
        record = observation.record
        state = request.get("state")
        place = request.get(ENVIRON_KEY) if course.host == "wsgi" else state and dict(state).get(STATE_KEY)
        seen += [sorted(request), place is record, state is shared, way.open(course.host, request) is None]

        def end() -> None:
            inner = otel_context.attach(within) if course.inner else None
            observation.end(**course.end)
            if inner is not None:
                otel_context.detach(inner)

        with ExitStack() as inside:
            entry = observation.enter()
            seen.append(trace.get_current_span().get_span_context())
            log.info("inside")
            if course.bound:
                inside.enter_context(log.contextualize(**course.bound))
                log.info("bound")
            for name, value in {**course.fields, **course.additions}.items():
                setattr(record, name, value)
            if course.swallowed is not None:
                request[EXCEPTION_KEY] = course.swallowed
            if course.ends_inside:
                end()
        if not course.ends_inside:
            observation.leave(entry)
            end()
        else:
            observation.leave(entry)
        seen.append(otel_context.get_current() is outer)
        observation.end(raised=RuntimeError("again"))
        log.info("after")
        seen += [observation.ended, repr(record), record.context, sorted(request, key=str), way.observer.error_count]
    finally:
        otel_context.detach(token)
    return seen


texts = st.sampled_from(["", "/items/{id}", "ü" * 300, "r" * 255, "\ud800", "/a?token=abc"])
courses = st.builds(
    Course,
    host=st.sampled_from(["asgi", "wsgi"]),
    headers=st.sampled_from(
        [{}] * 2
        + [{"traceparent": TRACEPARENT.decode(), "user-agent": "curl/8"}] * 5
        + [
            {"traceparent": "00-0-0-01"},
            {"traceparent": TRACEPARENT.decode(), "tracestate": "v=1"},
            {"traceparent": TRACEPARENT.decode(), "baggage": "a=b"},
            {"baggage": "a=b", "user-agent": "https://u:secret@host/", "x-tenant": "acme"},
        ]
    ).map(lambda headers: {**headers, "x-request-id": "abc"}),
    changes=st.just({}),
    fields=st.fixed_dictionaries(
        {
            "duration_ns": st.sampled_from([0, 1000, 10**9, 10**9 + 1]),
            "status": st.sampled_from([None, 200, 200, 200, 404, 500, 7, 999]),
        },
        optional={
            "route": texts,
            "ttfb_ns": st.integers(0, 1000),
            "request_body_size": st.integers(-1, 2000),
            "response_body_size": st.integers(0, 2000),
            "scheme": st.sampled_from(["https", "gopher"]),
            "http_version": st.sampled_from(["2", "7", "\ud800"]),
            "known_method": st.sampled_from(["_OTHER", "\ud800"]),
            "error_type": st.just("Stale"),
            "ended_by": st.just("client"),
        },
    ),
    additions=st.dictionaries(
        st.sampled_from(["tenant", "password", "url.path"]), st.sampled_from(["a", 1]), max_size=2
    ),
    bound=st.dictionaries(st.sampled_from(["user", "tenant", "token"]), st.sampled_from(["a", 1]), max_size=2),
    end=st.sampled_from(
        [{}] * 6 + [{"raised": ValueError("x")}, {"client_left": True}, {"complete": False}, {"client_left": 1}]
    ),
    outer=st.sampled_from(["empty"] * 4 + ["no span", "remote", "recording"]),
    inner=st.sampled_from([""] * 4 + ["empty", "no span", "remote", "recording"]),
    ends_inside=st.booleans(),
    swallowed=st.sampled_from([None] * 5 + [KeyError("x")]),
)
options = st.sampled_from(
    [{}] * 5
    + [{"slow_s": 1.0}] * 3
    + [
        {"log_query": True},
        {"trust_traceparent": False},
        {"exclude": PathRules(frozenset({"/items/2"}))},
        {"exclude_ok": PathRules(frozenset({"/items/1"}))},
        {"exclude_ok": PathRules(frozenset({"/items/2"}))},
        {"include_headers": ("x-tenant",)},
        {"level": "WARNING"},
        {"level": "DEBUG"},
        {"line": lambda record: f"mine {record.path}"},
        {"access_log": False},
    ]
)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(course=courses, chosen=options)
def test_the_core_makes_of_a_request_what_python_makes(
    exporting: Exporting, course: Course, chosen: dict[str, Any]
) -> None:
    """
    Records byte for byte, points with their exemplars, and all that the app sees: the same, whichever way is taken.
    """
    set_redaction(Redaction.from_setting())
    outer, within = spans(course.outer), spans(course.inner)
    given = Settings(traces=False, **chosen)
    # Twice: Python judges the names of attributes at their first sight.
    for _ in range(2):
        results = []
        for kind in (PythonObserver, Observer):
            way = Way(kind, exporting, given)
            seen = run(way, course, outer, within)
            results.append((seen, exporting.take(), way.points()[1:]))
        by_python, by_core = results

        assert by_core == by_python


@pytest.mark.parametrize("host", ["asgi", "wsgi"])
def test_a_plain_request_needs_no_python(exporting: Exporting, host: HOST, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Neither `start` nor `_end` nor the metrics' own methods run for a request with a plain traceparent and an answer.
    """
    way = plain(exporting)
    headers = {"traceparent": TRACEPARENT.decode()}

    def serve() -> None:
        observation = way.open(host, request_of(host, headers))
        assert observation is not None
        observation.record.status = 200
        entry = observation.enter()
        observation.leave(entry)
        observation.end()

    serve()
    exporting.take()
    called: list[str] = []
    for owner, name in ((Observation, "start"), (Observation, "_end"), (Observation, "_log_only")):
        monkeypatch.setattr(owner, name, lambda *_: called.append("python"))
    monkeypatch.setattr(AggregatedRequestMetrics, "started", lambda *_: called.append("started"))
    serve()

    assert (len(exporting.take()), called) == (1, [])


def test_another_logger_or_backend_is_served_by_python(exporting: Exporting) -> None:
    """
    A logger that is not ours gets its event.
    """
    logger = MemoryLogger()
    observer = Observer(Settings(traces=False), logger=logger, tracer=None, metrics=None)

    observation = observer.open_wsgi(make_environ())
    assert observation is not None
    observation.record.status = 200
    observation.end()

    assert [event.name for event in logger.events] == ["http.server.access"]


class Asked:
    """A neighbour that makes spans as it was told, or fails."""

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def makes_span(self, request: Any) -> bool:
        if isinstance(self.answer, Exception):
            raise type(self.answer)  # anew: one that is raised again keeps its frames
        return bool(self.answer)

    def span_of(self, request: Any) -> None:
        return None


@pytest.mark.parametrize(("answer", "counted"), [(False, 1), (True, 0), (RuntimeError("no"), 0)])
def test_a_neighbour_is_asked(exporting: Exporting, answer: object, counted: int) -> None:
    """
    One that makes points of its own leaves none to us; one that fails is reported, and the request goes on.
    """
    way = Way(Observer, exporting, Settings(traces=False), Asked(answer))

    observation = way.open("wsgi", make_environ())

    assert observation is not None
    assert len(way.points()[2]) == counted
    assert way.observer.error_count == isinstance(answer, Exception)


def test_what_is_excluded_passes_untouched(exporting: Exporting) -> None:
    """
    No record is put into an excluded request.
    """
    way = plain(exporting, exclude=PathRules(frozenset({"/items/1"})))
    environ, scope = request_of("wsgi", {}), request_of("asgi", {}, state={"a": 1})
    names = set(environ)

    assert (way.open("wsgi", environ), way.open("asgi", scope)) == (None, None)
    assert (set(environ), scope["state"]) == (names, {"a": 1})


@pytest.mark.parametrize("request_", [None, 1, [], {}, {"state": 1}, {"state": None}, {"headers": 1}])
def test_no_request_of_any_server_raises(exporting: Exporting, request_: Any) -> None:
    """
    Whatever is given as scope or environ, opening and ending it raises nothing.
    """
    way = plain(exporting)
    for open_one in (way.observer.open_asgi, way.observer.open_wsgi):
        observation = open_one(dict(request_) if isinstance(request_, dict) else request_)
        if observation is not None:
            observation.end()
        assert (observation is None) == (not isinstance(request_, dict))


words = st.sampled_from(
    ["", "GET", "http", "1.1", "/a/{id}", "x" * 255, "x" * 256, "ü", "500", "600", "1011", "\ud800"]
)


@settings(max_examples=300, deadline=None)
@given(
    fields=st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(("known_method", "scheme", "http_version"), words),
            **dict.fromkeys(("route", "error_type"), st.none() | words),
            "status": st.sampled_from([None, 7, 99, 100, 200, 599, 600]),
            **dict.fromkeys(("duration_ns", "request_body_size", "response_body_size"), st.integers(-1, 10**9)),
        },
    ),
    counted=st.booleans(),
)
def test_a_record_adds_up_as_its_words_do(fields: dict[str, Any], counted: bool) -> None:
    """
    What a record is counted as natively is what `request_words` says of it.
    """
    _native.set_clock(lambda: 1_700_000_000_000_000_000)
    record = AccessRecord(**fields)
    by_record, by_words = make_traffic(core, {}), make_traffic(core, {})
    sizes = record.request_body_size, record.response_body_size

    if by_record.started_record(record) and by_record.ended_record(record, counted):
        by_words.started(*request_words(record)[:2])
        by_words.ended(*request_words(record), record.duration_ns, *sizes, counted)
        assert by_record.snapshot(False, False, False) == by_words.snapshot(False, False, False)
    else:
        assert any(len(str(value)) > 255 or not str(value).isascii() for value in fields.values())


def test_a_slow_request_is_said_to_be_slow(exporting: Exporting) -> None:
    """
    From `slow_s` on, and not before, the record is a warning with the mark in its line.
    """
    way = plain(exporting, slow_s=1.0)
    bodies = []
    for duration_ns in (10**9, 10**9, 10**9 + 1):
        observation = way.open("wsgi", request_of("wsgi", {}))
        assert observation is not None
        observation.record.status, observation.record.duration_ns = 200, duration_ns
        observation.end()
        (record,) = map(parse, exporting.take())
        bodies.append((record.severity_text, record.body.string_value.endswith("[SLOW]")))

    assert bodies == [("INFO", False), ("INFO", False), ("WARNING", True)]


def test_what_an_addition_logs_belongs_to_the_request(exporting: Exporting) -> None:
    """
    A record made while an addition is shown has the request's ids, though the request ends outside of its context.
    """

    class Logging:
        def __str__(self) -> str:
            exporting.logger.info("shown")
            return "it"

    set_redaction(Redaction.from_setting(()))
    observation = plain(exporting).open("wsgi", request_of("wsgi", {"traceparent": TRACEPARENT.decode()}))
    assert observation is not None
    observation.record.status = 200
    vars(observation.record)["it"] = Logging()
    observation.end()

    assert {parse(record).trace_id.hex() for record in exporting.take()} == {TRACEPARENT.decode()[3:35]}


def test_an_interrupt_passes_and_the_record_is_closed(exporting: Exporting) -> None:
    """
    Ctrl-C while an addition is shown is raised from `end`, after the context was put back.
    """

    class Interrupting:
        def __str__(self) -> str:
            raise KeyboardInterrupt

    set_redaction(Redaction.from_setting(()))
    way = plain(exporting)
    observation = way.open("wsgi", request_of("wsgi", {"traceparent": TRACEPARENT.decode()}))
    assert observation is not None
    observation.record.status = 200
    vars(observation.record)["it"] = Interrupting()
    before = otel_context.get_current()

    with pytest.raises(KeyboardInterrupt):
        observation.end()

    assert otel_context.get_current() is before
    assert observation.record.closed


@pytest.mark.parametrize("arguments", [(), (1, 2, 3, 4, 5), (None,) * 5])
def test_wrong_arguments_are_said(arguments: tuple[Any, ...]) -> None:
    """
    TypeError for anything but what the stub says.
    """
    for kind in (_native.Gate, _native.ObservationBase):
        with pytest.raises(TypeError):
            kind(*arguments)


def test_end_takes_keywords_only(exporting: Exporting) -> None:
    """
    TypeError for positional and unknown arguments, and then nothing has ended.
    """
    observation: Any = plain(exporting).open("wsgi", make_environ())
    with pytest.raises(TypeError):
        observation.end(None)
    with pytest.raises(TypeError):
        observation.end(rised=None)
    assert not observation.ended


def test_words_that_are_not_plain_are_left_to_python() -> None:
    """
    A Traffic without words to tell apart takes no record, nor does any take what is none, or is too long.
    """
    blind = _native.Traffic(core, (1.0,), (1.0,))
    traffic = make_traffic(core, {})

    assert not blind.started_record(AccessRecord())
    assert not traffic.started_record(object())
    assert not traffic.ended_record(AccessRecord(route="x" * 256), True)
    assert not traffic.ended_record(AccessRecord(error_type="٣"), True)
    assert traffic.snapshot(False, False, False)[1:] == ([], [])


@pytest.mark.timeout(120)
def test_requests_are_flat(exporting: Exporting, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Over many requests of all kinds no reference is kept, and memory is flat.
    """
    # pytest keeps what is logged.
    monkeypatch.setattr(LOGGER, "disabled", True)
    way, python = plain(exporting), Way(PythonObserver, exporting, Settings(traces=False))
    excluded = plain(exporting, exclude=PathRules(frozenset({"/items/1"})))
    failing = Way(Observer, exporting, Settings(traces=False), Asked(RuntimeError("no")))
    failing.observer.error_count = 1
    error, outer = ValueError("x"), spans("recording")
    gate = way.observer._gate
    counted: list[Any] = [way.observer, gate, error, outer, Observation, AccessRecord, None, True, False, TRACEPARENT]
    counted += [otel_context.get_current(), core, way.metrics.traffic, str, dict, tuple]

    hosts: tuple[HOST, ...] = ("asgi", "wsgi")

    def serve(rounds: int) -> None:
        for i in range(rounds):
            for one in (way, python, excluded, failing):
                for host in hosts:
                    headers = {"traceparent": TRACEPARENT.decode()} if i % 2 else {"traceparent": "x"}
                    request = request_of(host, headers)
                    token = otel_context.attach(outer) if i % 5 == 0 else None
                    observation = one.open(host, request)
                    if observation is not None:
                        observation.record.status = 200 if i % 7 else 500
                        if i % 3 == 0:
                            vars(observation.record).update(tenant="a", me=observation)
                        entry = observation.enter()
                        if i % 2:
                            observation.leave(entry)
                        observation.end(raised=error if i % 11 == 0 else None)
                        if not i % 2:
                            observation.leave(entry)
                    if token is not None:
                        otel_context.detach(token)
            exporting.take()

    serve(300)
    gc.collect()
    resident_before = resident_size()
    before = [sys.getrefcount(each) for each in counted]

    serve(1500)

    gc.collect()
    after = [sys.getrefcount(each) for each in counted]
    grown = {repr(each)[:40]: b - a for each, a, b in zip(counted, before, after, strict=True) if abs(b - a) > 100}
    assert grown == {}
    assert resident_size() - resident_before < 6 << 20

"""The options of `instrument()`, at work; and telemetry that fails."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from otelbridge.access.asgi import Instrumented, Message, Receive, Scope, Send
from otelbridge.access.observe import Observer
from otelbridge.access.options import PathRules, Settings
from otelbridge.access.record import AccessRecord
from tests.access.support import (
    Harness,
    MemoryLogger,
    answer,
    exchange,
    hello,
    http_scope,
)


def test_an_excluded_path_leaves_nothing() -> None:
    """No log, metric or span; other paths do."""
    harness = Harness(hello, Settings(exclude=PathRules(frozenset({"/health"}), (re.compile("^/internal/"),))))

    harness.get("/health")
    harness.get("/internal/metrics")

    assert (harness.events, harness.spans, harness.points()) == ([], (), {})

    harness.get("/healthy")
    assert len(harness.events) == 1


def test_exclude_ok_keeps_failures() -> None:
    """200 leaves nothing; 503 leaves log and metric, without a span."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, status=status)

    harness = Harness(app, Settings(exclude_ok=PathRules(frozenset({"/health"}))))

    status = 200
    harness.get("/health")
    assert (harness.events, harness.spans, harness.points()) == ([], (), {})

    status = 503
    harness.get("/health")
    assert harness.event.level == "ERROR"
    assert harness.spans == ()
    assert harness.duration_point().count == 1
    assert harness.active() == []


def test_a_slow_request_is_a_warning() -> None:
    """Above slow_s the level is WARNING and the line ends with [SLOW]; a slow failure stays an ERROR."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, status=int(scope["path"][1:]))

    harness = Harness(app, Settings(slow_s=0.0))

    harness.get("/200")
    harness.get("/500")

    assert [event.level for event in harness.events] == ["WARNING", "ERROR"]
    assert harness.events[0].body.endswith("ms [SLOW]")


def test_included_headers_stand_on_record_and_span() -> None:
    """A named header is kept with all its values; others are not."""
    harness = Harness(hello, Settings(include_headers=("x-tenant",)))

    harness.get(headers=[(b"x-tenant", b"a"), (b"x-tenant", b"b"), (b"authorization", b"secret")])

    assert harness.event.attributes["http.request.header.x-tenant"] == ["a", "b"]
    assert (harness.span.attributes or {})["http.request.header.x-tenant"] == ("a", "b")
    assert "secret" not in repr((harness.event, harness.span.attributes))


MADE = re.compile("[0-9a-f]{32}")


@pytest.mark.parametrize(
    "value", [b"req-1.a", b"0af7651916cd43dd8448eb211c80319c", b"a", b"x" * 128, b"A/b+c=@d:e_f-g"]
)
def test_a_harmless_request_id_is_kept_and_echoed(value: bytes) -> None:
    """X-Request-ID in strict form is the request's id, and the answer says so."""
    harness = Harness(hello)

    result = harness.get(headers=[(b"x-request-id", value)])

    assert harness.event.attributes["otelbridge.request_id"] == value.decode()
    assert result.sent[0]["headers"] == [(b"x-request-id", value)]


@pytest.mark.parametrize("value", [b"a b", b"a\r\nset-cookie: y", b"x" * 129, b"", b"\xff", b"-a", b"<script>"])
def test_any_other_request_id_is_replaced(value: bytes) -> None:
    """Blanks, control characters, markup and long ids never come back: the request gets an id of our making."""
    harness = Harness(hello)

    result = harness.get(headers=[(b"x-request-id", value)])

    made = str(harness.event.attributes["otelbridge.request_id"])
    assert MADE.fullmatch(made)
    assert result.sent[0]["headers"] == [(b"x-request-id", made.encode())]


def test_a_request_that_sent_no_id_gets_one_in_its_record_only() -> None:
    """Every record has an id, each its own; the answer to a client that did not ask is unchanged."""
    harness = Harness(hello)

    results = [harness.get(), harness.get()]

    ids = [event.attributes["otelbridge.request_id"] for event in harness.events]
    assert all(MADE.fullmatch(str(made)) for made in ids)
    assert len(set(ids)) == 2
    assert [result.sent[0]["headers"] for result in results] == [[], []]


def test_an_app_s_own_request_id_header_stays_the_only_one() -> None:
    """What the app answers is not doubled."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, headers=[(b"X-Request-ID", b"mine")])

    harness = Harness(app)

    result = harness.get(headers=[(b"x-request-id", b"theirs")])

    assert result.sent[0]["headers"] == [(b"X-Request-ID", b"mine")]


@pytest.mark.covers("4.13")
def test_on_request_gets_each_record() -> None:
    """The callback sees the finished record, with the request's span current."""
    seen: list[AccessRecord] = []
    harness = Harness(hello, Settings(on_request=seen.append, access_log=False))

    harness.get("/a")

    assert [(record.path, record.status, record.response_body_size) for record in seen] == [("/a", 200, 5)]
    assert harness.events == []


def test_a_failing_callback_is_counted_and_reported_once(capsys: pytest.CaptureFixture[str]) -> None:
    """What on_request raises never reaches the app: one line on stderr, then a count."""

    def broken(record: AccessRecord) -> None:
        raise RuntimeError("mine")

    harness = Harness(hello, Settings(on_request=broken))

    results = [harness.get(), harness.get()]

    assert [result.error for result in results] == [None, None]
    assert len(harness.events) == 2
    assert harness.observer.error_count == 2
    assert capsys.readouterr().err.splitlines() == [
        "otelbridge: on_request failed (RuntimeError('mine')); the request went on, further failures are counted"
    ]


class Broken:
    """A logger, metrics backend and tracer of which nothing works."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


def test_broken_telemetry_never_hurts_the_request(capsys: pytest.CaptureFixture[str]) -> None:
    """With logger, tracer and metrics all raising the answer is the same."""
    broken: Any = Broken()
    app = Instrumented(hello, Observer(Settings(), logger=broken, tracer=broken, metrics=broken))

    result = asyncio.run(exchange(app, http_scope()))

    assert (result.error, result.body) == (None, b"hello")
    assert len(capsys.readouterr().err.splitlines()) == 1


async def _pass(harness: Harness, scope: Scope) -> None:
    await harness.app(scope, _never, _nowhere)


async def _never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


async def _nowhere(message: Message) -> None:
    return None


def test_a_level_that_nobody_takes_makes_no_record() -> None:
    """When neither OTLP nor a sink wants INFO, nothing is formatted; span and metrics go on."""

    class Deaf(MemoryLogger):
        def enabled_for(self, level: str) -> bool:
            return level == "ERROR"

    harness = Harness(hello)
    harness.observer.logger = deaf = Deaf()

    harness.get()

    assert deaf.events == []
    assert harness.duration_point().count == 1

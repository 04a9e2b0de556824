"""The request's ids and `contextualize` blocks: there whenever its code runs, never in the server's thread after."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import get_current_span

from otelbridge import logger
from otelbridge.access.options import Settings
from otelbridge.access.wsgi import Environ, StartResponse
from otelbridge.context import CURRENT
from tests.access.wsgi_support import TEXT, Closable, WSGIHarness, answering, make_environ


def bound() -> Mapping[str, Any]:
    attributes = CURRENT.get()
    return {} if attributes is None else dict(attributes.values)


def span_id() -> int:
    return get_current_span().get_span_context().span_id


def ignore(status: str, headers: list[tuple[str, str]]) -> Callable[[bytes], None]:
    return lambda data: None


def test_the_request_s_span_is_current_in_each_step() -> None:
    """In the call, in every step of the body and in its closing; in none of them does the server's thread keep it."""
    seen: list[int] = []

    class Body(Closable):
        def __iter__(self) -> Iterator[bytes]:
            for chunk in (b"1", b"2"):
                seen.append(span_id())
                yield chunk
            seen.append(span_id())

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        seen.append(span_id())
        start_response("200 OK", [TEXT])
        return Body([], lambda: seen.append(span_id()))

    harness = WSGIHarness(app)
    outside = []

    body = harness.wsgi(make_environ(), ignore)
    outside.append(span_id())
    for _ in body:
        outside.append(span_id())
    body.close()  # type: ignore[attr-defined]  # it has one
    outside.append(span_id())

    context = harness.span.context
    assert context is not None
    assert seen == [context.span_id] * 5
    assert outside == [0] * 4


@pytest.mark.parametrize("ending", ["whole", "raised", "hung up"])
def test_nothing_leaks_to_the_next_request_of_the_thread(ending: str) -> None:
    """However a request ends, and though its app binds without ever unbinding: the thread is as it was."""
    blocks: list[Any] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        block = logger.contextualize(user="ada")
        block.__enter__()
        blocks.append(block)  # else it would be undone when thrown away
        start_response("200 OK", [TEXT])
        if ending == "raised":
            raise RuntimeError("broke")
        return step()

    def step() -> Iterator[bytes]:
        with logger.contextualize(step=1), trace.use_span(trace.NonRecordingSpan(_SOME)):
            yield b"1"
            yield b"2"

    harness = WSGIHarness(app)

    try:
        body = harness.wsgi(make_environ(), ignore)
        assert (bound(), span_id()) == ({}, 0)
        for _ in body:
            assert (bound(), span_id()) == ({}, 0)
            if ending == "hung up":
                break
        body.close()  # type: ignore[attr-defined]  # it has one
    except RuntimeError:
        assert ending == "raised"

    assert (bound(), span_id()) == ({}, 0)


def test_blocks_of_a_generator_stay_open_between_its_steps() -> None:
    """What it binds and the span that it makes current before a yield are there after it, until it leaves them."""
    seen: list[Any] = []

    def step() -> Iterator[bytes]:
        with logger.contextualize(step=1), trace.use_span(trace.NonRecordingSpan(_SOME)):
            yield b"1"
            seen.append((bound(), span_id()))
        yield b"2"
        seen.append((bound(), span_id()))

    harness = WSGIHarness(answering(step))

    harness.fetch()

    context = harness.span.context
    assert context is not None
    assert seen == [({"step": 1}, _SOME.span_id), ({}, context.span_id)]


def test_what_a_middleware_binds_is_in_the_body_and_in_the_record() -> None:
    """Its block is over when the body runs, but it surrounded `start_response`. (features.md 1.30)"""
    seen: list[Mapping[str, Any]] = []

    def body() -> Iterator[bytes]:
        seen.append(bound())
        yield b"1"

    def middleware(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        with logger.contextualize(tenant="acme"):
            return answering(body)(environ, start_response)

    harness = WSGIHarness(middleware, Settings(on_request=lambda record: seen.append(bound())))

    harness.fetch()

    assert seen == [{"tenant": "acme"}, {"tenant": "acme"}]


def test_the_block_of_a_generating_middleware_is_in_the_record() -> None:
    """A middleware that is a generator has left its block when the body ends; the answer began inside of it."""
    seen: list[Mapping[str, Any]] = []

    def middleware(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        with logger.contextualize(tenant="acme"):
            yield from answering()(environ, start_response)

    harness = WSGIHarness(middleware, Settings(on_request=lambda record: seen.append(bound())))

    harness.fetch()

    assert seen == [{"tenant": "acme"}]


def test_what_surrounds_the_server_s_call_stays() -> None:
    """A block and a span of the server's (or the test's) own are there again after every step."""
    harness = WSGIHarness(answering(lambda: iter([b"1", b"2"])))

    with logger.contextualize(worker=7), trace.use_span(trace.NonRecordingSpan(_SOME)):
        for _ in harness.wsgi(make_environ(), ignore):
            assert (bound(), span_id()) == ({"worker": 7}, _SOME.span_id)
        assert (bound(), span_id()) == ({"worker": 7}, _SOME.span_id)


def test_each_step_may_run_in_another_thread() -> None:
    """Servers that hand requests about between threads: the span follows, no thread keeps it, one record."""
    seen: list[int] = []
    left: list[int] = []

    def step() -> Iterator[bytes]:
        for chunk in (b"1", b"2"):
            seen.append(span_id())
            yield chunk

    def elsewhere(act: Callable[[], object]) -> None:
        def work() -> None:
            act()
            left.append(span_id())

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()

    harness = WSGIHarness(answering(step))
    bodies: list[Any] = []
    elsewhere(lambda: bodies.append(harness.wsgi(make_environ(), ignore)))
    (body,) = bodies

    for _ in range(3):
        elsewhere(lambda: next(body, None))
    elsewhere(body.close)

    context = harness.span.context
    assert context is not None
    assert seen == [context.span_id] * 2
    assert left == [0] * 5
    assert harness.event.attributes["http.response.body.size"] == 2


def test_a_request_leaves_nothing_for_the_garbage_collector() -> None:
    """Nothing of ours is in a cycle: memory is free again when the answer is closed."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ["wsgi.input"].read(5)
        start_response("200 OK", [TEXT])
        return iter([b"1"])

    harness = WSGIHarness(app)

    def request() -> None:
        body: Any = harness.wsgi(make_environ(body=b"12345"), ignore)
        assert list(body) == [b"1"]
        body.close()

    request()
    gc.collect()
    gc.disable()
    try:
        request()
        left_count = gc.collect()
    finally:
        gc.enable()

    assert left_count == 0


def test_the_late_record_of_a_thrown_away_body_leaves_the_thread_clean() -> None:
    """The garbage collector may end a request in the middle of another one."""
    harness = WSGIHarness(answering(lambda: iter([b"1"])))

    with logger.contextualize(other=1):
        body = harness.wsgi(make_environ(), ignore)
        del body
        assert bound() == {"other": 1}

    assert harness.event.span_id != 0


_SOME = trace.SpanContext(0x1234, 0x5678, is_remote=False, trace_flags=trace.TraceFlags(1))

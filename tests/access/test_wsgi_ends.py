"""However a WSGI request ends, it is one record, and the app and the server notice nothing."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from opentelemetry.trace import StatusCode

from otelbridge.access.wsgi import Environ, StartResponse
from tests.access.wsgi_support import TEXT, Closable, WSGIHarness, answering, make_environ, serve


def generated(*chunks: bytes) -> Iterator[bytes]:
    yield from chunks


@pytest.mark.parametrize(
    "body", [[b"hello"], (b"hel", b"lo"), generated, Closable([b"hello"])], ids=["list", "tuple", "generator", "object"]
)
def test_an_answer_is_one_record(body: Any) -> None:
    """Status, bytes, both times, one span, one point, and the answer is what the app made."""
    harness = WSGIHarness(answering(lambda: generated(b"hel", b"lo") if body is generated else body))

    served = harness.fetch("/items/1")

    assert (served.error, served.status, served.body) == (None, "200 OK", b"hello")
    attributes = harness.event.attributes
    assert (harness.event.level, attributes["otelbridge.ended_by"]) == ("INFO", "app")
    assert (attributes["http.response.status_code"], attributes["http.response.body.size"]) == (200, 5)
    assert 0 < attributes["otelbridge.ttfb_s"] <= attributes["http.server.request.duration"]
    assert harness.span.status.status_code is StatusCode.UNSET
    assert (harness.duration_point().count, harness.active()) == (1, [0])


@pytest.mark.parametrize("started", [False, True])
def test_a_raising_app_is_recorded_and_its_exception_passes_unchanged(started: bool) -> None:
    """Before `start_response` there is no status, after it there is; an error either way, active back to 0."""
    error = KeyError("missing")

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if started:
            start_response("200 OK", [TEXT])
        raise error

    harness = WSGIHarness(app)

    served = harness.fetch()

    assert served.error is error
    event = harness.event
    assert (event.level, event.exception, event.attributes["error.type"]) == ("ERROR", error, "KeyError")
    assert event.attributes["otelbridge.ended_by"] == "error"
    assert event.attributes.get("http.response.status_code") == (200 if started else None)
    assert harness.span.status.status_code is StatusCode.ERROR
    assert harness.active() == [0]


@pytest.mark.parametrize("chunks", [[], [b"half"]])
def test_a_body_that_raises_is_an_error_of_the_app(chunks: list[bytes]) -> None:
    """At the first step or midway: what was sent counts, the exception passes to the server."""

    def body() -> Iterator[bytes]:
        yield from chunks
        raise RuntimeError("broke")

    harness = WSGIHarness(answering(body))

    served = harness.fetch()

    assert isinstance(served.error, RuntimeError)
    assert (harness.event.level, harness.event.attributes["error.type"]) == ("ERROR", "RuntimeError")
    assert harness.event.attributes["http.response.body.size"] == sum(map(len, chunks))
    assert harness.event.attributes["http.response.status_code"] == 200


def test_an_app_that_is_a_generator_may_raise_before_it_answers() -> None:
    """Its first step calls `start_response`, or raises: then there is no status."""

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        if environ["PATH_INFO"] == "/":
            raise RuntimeError("early")
        yield b""

    harness = WSGIHarness(app)

    harness.fetch()

    assert harness.event.attributes["error.type"] == "RuntimeError"
    assert "http.response.status_code" not in harness.event.attributes


def test_an_error_page_shown_by_the_app_keeps_its_reason() -> None:
    """`start_response` again with exc_info: the second status, and the exception that PEP 3333 has the app name."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        try:
            raise ValueError("why")
        except ValueError:
            start_response("500 Oops", [TEXT], sys.exc_info())
        return [b"sorry"]

    harness = WSGIHarness(app)

    served = harness.fetch()

    assert (served.error, served.status) == (None, "500 Oops")
    assert harness.event.attributes["http.response.status_code"] == 500
    assert harness.event.attributes["error.type"] == "ValueError"
    assert isinstance(harness.event.exception, ValueError)


def test_exc_info_may_be_named() -> None:
    """PEP 3333 passes it by position, but servers take it by its name, and so apps have come to."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("503 Busy", [TEXT], exc_info=(ValueError, ValueError("why"), None))
        return [b"sorry"]

    harness = WSGIHarness(app)

    served = serve(harness.wsgi, make_environ(), strict=False)

    assert (served.error, served.status) == (None, "503 Busy")
    assert harness.event.attributes["error.type"] == "ValueError"


def test_an_error_page_after_the_headers_is_refused_by_the_server() -> None:
    """The server raises the app's own exception then; the status stays what the client saw."""

    def app(environ: Environ, start_response: StartResponse) -> Iterator[bytes]:
        start_response("200 OK", [TEXT])
        yield b"half"
        try:
            raise ValueError("why")
        except ValueError:
            start_response("500 Oops", [TEXT], sys.exc_info())

    harness = WSGIHarness(app)

    served = harness.fetch()

    assert isinstance(served.error, ValueError)
    assert harness.event.attributes["http.response.status_code"] == 200
    assert harness.event.attributes["error.type"] == "ValueError"


@pytest.mark.parametrize("body", [[], [b"hello"], "generator"])
def test_an_app_that_never_starts_an_answer_is_an_error(body: Any) -> None:
    """The server will say 500 for it; it is the app that has not answered, not the client that left."""
    harness = WSGIHarness(lambda environ, start_response: generated(b"x") if body == "generator" else body)

    served = serve(harness.wsgi, make_environ(), strict=False)

    assert isinstance(served.error, AssertionError)
    assert harness.event.level == "ERROR"
    assert harness.event.attributes["error.type"] == "incomplete_response"
    assert harness.event.attributes["otelbridge.ended_by"] == "app"


def test_an_app_that_returns_no_body_is_an_error() -> None:
    """None cannot be iterated: the server gets the TypeError that it would get from the app itself."""
    harness = WSGIHarness(answering(lambda: None))  # type: ignore[arg-type, return-value]  # that is the point

    served = serve(harness.wsgi, make_environ(), strict=False)

    assert isinstance(served.error, TypeError)
    assert (harness.event.level, harness.event.attributes["error.type"]) == ("ERROR", "TypeError")


@pytest.mark.parametrize("make", [list, iter], ids=["list", "iterator"])
def test_a_body_of_text_is_not_blamed_on_the_client(make: Callable[[list[Any]], Any]) -> None:
    """The server refuses what is no bytes, and closes: the answer is incomplete by the app's fault."""
    harness = WSGIHarness(answering(lambda: make(["hello"])))

    served = serve(harness.wsgi, make_environ(), strict=False)

    assert isinstance(served.error, AssertionError)
    assert (harness.event.level, harness.event.attributes["error.type"]) == ("ERROR", "incomplete_response")


def test_what_an_app_writes_is_counted() -> None:
    """The `write` of PEP 3333: its bytes are body, and the first of them is the first byte."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        write = start_response("200 OK", [TEXT])
        write(b"12345")
        time.sleep(0.01)
        return [b"678"]

    harness = WSGIHarness(app)

    served = harness.fetch()

    assert served.body == b"12345678"
    assert harness.event.attributes["http.response.body.size"] == 8
    assert (
        harness.event.attributes["otelbridge.ttfb_s"] < harness.event.attributes["http.server.request.duration"] - 0.01
    )


@pytest.mark.parametrize("body", ["list", "generator"])
@pytest.mark.parametrize("taken", [0, 1])
def test_a_client_that_leaves_is_no_error(body: str, taken: int) -> None:
    """The server closes the body early: ended by the client, only the bytes that were sent, INFO."""
    chunks = [b"12345", b"678"]
    harness = WSGIHarness(answering(lambda: chunks if body == "list" else generated(*chunks)))

    served = serve(harness.wsgi, make_environ(), hang_up_after=taken)

    assert isinstance(served.error, BrokenPipeError)
    event = harness.event
    assert (event.level, event.attributes["otelbridge.ended_by"]) == ("INFO", "client")
    assert event.attributes["http.response.body.size"] == 5 * taken
    assert "error.type" not in event.attributes
    assert harness.active() == [0]


@pytest.mark.parametrize("by", ["read", "write"])
def test_a_server_that_loses_the_client_while_the_app_runs_raises_in_the_app(by: str) -> None:
    """From `wsgi.input` or `write`: its OSError passes through the app, and the record says who left."""

    class Broken:
        def read(self, size: int) -> bytes:
            raise ConnectionResetError("gone")

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if by == "read":
            environ["wsgi.input"].read(5)
        start_response("200 OK", [TEXT])(b"hello")
        return []

    harness = WSGIHarness(app)
    environ = {**make_environ(CONTENT_LENGTH="5"), "wsgi.input": Broken()}

    served = serve(harness.wsgi, environ, hang_up_after=0, strict=False)

    assert isinstance(served.error, OSError)
    assert (harness.event.level, harness.event.attributes["otelbridge.ended_by"]) == ("INFO", "client")
    assert harness.span.status.status_code is StatusCode.UNSET


@pytest.mark.parametrize("hang_up_after", [None, 0, 1])
def test_the_body_of_the_app_is_closed_exactly_once(hang_up_after: int | None) -> None:
    """Taken whole or not, and though the server closes twice."""
    body = Closable([b"1", b"2"])
    harness = WSGIHarness(answering(body))

    served = serve(harness.wsgi, make_environ(), hang_up_after=hang_up_after, strict=False)
    served.result.close()  # type: ignore[attr-defined]  # it has one

    assert body.closed_count == 1
    assert len(harness.events) == 1


class ClosableList(list[bytes]):
    """A list with an end of its own."""

    closed_count = 0

    def close(self) -> None:
        self.closed_count += 1


def test_a_list_that_has_a_close_is_closed() -> None:
    """It is no plain list, whatever it inherits from."""
    body = ClosableList([b"hello"])

    served = WSGIHarness(answering(body)).fetch()

    assert (served.body, body.closed_count) == (b"hello", 1)


def test_a_body_asked_again_after_its_end_stays_at_its_end() -> None:
    """Nothing is counted twice, and the app is not begun anew."""
    harness = WSGIHarness(answering(lambda: Closable([b"hello"])))

    body: Any = harness.wsgi(make_environ(), lambda status, headers: lambda data: None)
    taken = [*body, *body, *body]
    body.close()

    assert taken == [b"hello"]
    assert harness.event.attributes["http.response.body.size"] == 5


def test_an_empty_answer_has_a_time_to_first_byte() -> None:
    """Its headers are sent at the end at the latest."""
    harness = WSGIHarness(answering(lambda: iter([])))

    harness.fetch()

    assert harness.event.attributes["otelbridge.ttfb_s"] > 0


def test_a_close_that_raises_is_an_error_of_the_app() -> None:
    """The client has its answer, the server gets the exception, and the record tells of both."""
    error = RuntimeError("close")

    def fail() -> None:
        raise error

    harness = WSGIHarness(answering(Closable([b"hello"], fail)))

    served = harness.fetch()

    assert (served.error, served.body) == (error, b"hello")
    assert (harness.event.level, harness.event.exception) == ("ERROR", error)
    assert harness.event.attributes["http.response.body.size"] == 5


def test_a_close_that_raises_after_a_body_that_raised_has_a_record_of_its_own() -> None:
    """One access record with the first exception; the second is not lost, and has the same trace."""

    class Body(Closable):
        def __iter__(self) -> Iterator[bytes]:
            raise KeyError("first")

    def fail() -> None:
        raise RuntimeError("second")

    harness = WSGIHarness(answering(Body([], fail)))

    harness.fetch()

    access, late = harness.events
    assert (access.name, access.attributes["error.type"]) == ("http.server.access", "KeyError")
    assert (late.name, late.attributes["error.type"]) == ("http.server.request.exception", "RuntimeError")
    assert late.trace_id == access.trace_id


@pytest.mark.parametrize("taken", [False, True])
def test_a_body_that_is_never_closed_is_one_record_all_the_same(taken: bool) -> None:
    """Many a test client takes what it wants and forgets the rest: the record comes when the body is thrown away."""
    harness = WSGIHarness(answering(lambda: Closable([b"hello"])))

    body = harness.wsgi(make_environ(), lambda status, headers: lambda data: None)
    if taken:
        assert list(body) == [b"hello"]
    assert harness.events == []
    del body
    gc.collect()

    ended_by = "app" if taken else "client"
    assert harness.event.attributes["otelbridge.ended_by"] == ended_by
    assert harness.active() == [0]


@pytest.mark.parametrize("make", [list, iter], ids=["list", "iterator"])
def test_a_body_without_close_ends_with_its_last_step(make: Callable[[list[bytes]], Any]) -> None:
    """Nothing of the app can follow."""
    harness = WSGIHarness(answering(lambda: make([b"hello"])))

    body = harness.wsgi(make_environ(), lambda status, headers: lambda data: None)
    assert list(body) == [b"hello"]

    assert harness.event.attributes["http.response.body.size"] == 5


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(1)])
def test_an_interrupted_request_is_recorded(error: BaseException) -> None:
    """As gunicorn ends one that takes too long: the server gets the exception, the record is an error."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        raise error

    harness = WSGIHarness(app)

    served = harness.fetch()

    assert served.error is error
    assert (harness.event.level, harness.event.attributes["otelbridge.ended_by"]) == ("ERROR", "error")


@pytest.mark.parametrize("status", ["OK", "", "20", "2000 OK", "²00 OK", "٢٠٠ OK", b"200 OK", None, 200])
def test_a_status_that_is_none_reaches_the_server_as_it_is(status: Any) -> None:
    """What the server says to it is the server's affair."""
    seen: list[object] = []
    harness = WSGIHarness(_started_with(status))

    list(harness.wsgi(make_environ(), lambda *arguments: seen.append(arguments[0])))  # type: ignore[arg-type]

    assert seen == [status]
    assert "http.response.status_code" not in harness.event.attributes


def _started_with(status: Any) -> Any:
    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response(status, [TEXT])
        return []

    return app

"""Real times and real bytes of a WSGI request, and what a wrapper must not change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO, FileIO
from pathlib import Path
from typing import Any
from wsgiref.util import FileWrapper

import pytest
from opentelemetry.trace import get_current_span

from otelbridge.access.wsgi import Environ, StartResponse
from tests.access.wsgi_support import TEXT, Closable, WSGIHarness, answering, make_environ, serve


def test_a_body_counts_until_it_is_closed() -> None:
    """Duration covers every step and the closing (pains.md C3), time to first byte only the first step."""

    def body() -> Iterator[bytes]:
        time.sleep(0.01)
        yield b"12"
        time.sleep(0.01)
        yield b"34"

    class Body(Closable):
        def __iter__(self) -> Iterator[bytes]:
            return body()

    harness = WSGIHarness(answering(Body([], lambda: time.sleep(0.02))))

    harness.fetch()

    attributes = harness.event.attributes
    assert attributes["http.server.request.duration"] >= 0.04
    assert 0.01 <= attributes["otelbridge.ttfb_s"] <= attributes["http.server.request.duration"] - 0.03
    assert attributes["http.response.body.size"] == 4


def test_the_first_byte_is_not_an_empty_chunk() -> None:
    """A server sends the headers with the first chunk that holds something."""

    def body() -> Iterator[bytes]:
        yield b""
        time.sleep(0.01)
        yield b"1"

    harness = WSGIHarness(answering(body))

    harness.fetch()

    assert harness.event.attributes["otelbridge.ttfb_s"] >= 0.01


@pytest.mark.parametrize(("method", "status"), [("HEAD", "200 OK"), ("GET", "204 No Content"), ("GET", "304 Same")])
@pytest.mark.parametrize("hang_up_after", [None, 0])
def test_a_body_that_is_never_sent_has_no_size(method: str, status: str, hang_up_after: int | None) -> None:
    """HEAD, 204, 304: nothing of it is on the wire, and a server that does not ask for it has not lost the client."""
    harness = WSGIHarness(answering(lambda: iter([b"dropped"]), status))

    serve(harness.wsgi, make_environ(REQUEST_METHOD=method), hang_up_after=hang_up_after, strict=False)

    assert harness.event.attributes["http.response.body.size"] == 0
    assert harness.event.attributes["http.response.status_code"] == int(status[:3])
    assert harness.event.attributes["otelbridge.ended_by"] == "app"


@pytest.mark.parametrize("body", [[b"hello"], (b"a", b"b"), []])
def test_a_list_keeps_its_length(body: Any) -> None:
    """Servers derive a Content-Length from the length of what the app returned."""
    harness = WSGIHarness(answering(body))

    served = serve(harness.wsgi, make_environ(), strict=False)

    assert len(served.result) == len(body)  # type: ignore[arg-type]  # that is the question


def test_a_generator_gets_no_length() -> None:
    """Servers ask with hasattr, too."""
    harness = WSGIHarness(answering(lambda: iter([b"hello"])))

    served = serve(harness.wsgi, make_environ(), strict=False)

    assert not hasattr(served.result, "__len__")


READS: dict[str, Callable[[Any], bytes]] = {
    "read": lambda source: source.read(100),
    "read all": lambda source: source.read(),
    "readline": lambda source: b"".join(iter(source.readline, b"")),
    "readlines": lambda source: b"".join(source.readlines()),
    "iteration": lambda source: b"".join(source),
    "next": lambda source: next(source) + next(source),
    "read1": lambda source: source.read1(100),
    "readinto": lambda source: _into(source, source.readinto),
}


@pytest.mark.parametrize("way", READS)
def test_the_request_body_is_counted_as_it_is_read(way: str) -> None:
    """The size of the request is what the app got, by whatever method."""
    seen: list[bytes] = []

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        seen.append(READS[way](environ["wsgi.input"]))
        start_response("200 OK", [TEXT])
        return []

    harness = WSGIHarness(app)

    served = serve(harness.wsgi, make_environ(body=b"first\nlast"), strict=False)

    assert (served.error, seen) == (None, [b"first\nlast"])
    assert harness.event.attributes["http.request.body.size"] == 10


def test_a_request_body_that_is_not_read_has_no_size() -> None:
    """What counts is not the Content-Length."""
    harness = WSGIHarness(answering())

    serve(harness.wsgi, make_environ(body=b"unread"))

    assert harness.event.attributes["http.request.body.size"] == 0


@pytest.mark.parametrize("changes", [{}, {"CONTENT_LENGTH": ""}, {"CONTENT_LENGTH": "0"}])
def test_without_a_request_body_the_input_is_the_server_s_own(changes: dict[str, str]) -> None:
    """Nothing is wrapped that can bring nothing."""
    environ = {**make_environ(), **changes}
    source = environ["wsgi.input"]

    WSGIHarness(answering()).wsgi(environ, lambda status, headers: lambda data: None)

    assert environ["wsgi.input"] is source


def test_a_chunked_request_body_is_counted() -> None:
    """It has no length, but servers that read such bodies show its Transfer-Encoding."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        return [environ["wsgi.input"].read()]

    harness = WSGIHarness(app)
    environ = {**make_environ(HTTP_TRANSFER_ENCODING="chunked"), "wsgi.input": BytesIO(b"12345")}

    serve(harness.wsgi, environ, strict=False)

    assert harness.event.attributes["http.request.body.size"] == 5


def test_the_counted_input_has_what_the_server_s_has() -> None:
    """Attributes that only some servers offer are there, and those that it lacks are not."""
    environ = make_environ(body=b"x")

    WSGIHarness(answering()).wsgi(environ, lambda status, headers: lambda data: None)

    assert environ["wsgi.input"].getvalue() == b"x"
    assert not hasattr(environ["wsgi.input"], "fileno_or_so")


def test_a_file_stays_the_server_s_own_wrapper(tmp_path: Path) -> None:
    """Servers send it by themselves if they know its type; its size counts, from where the file stands, and its end."""
    path = tmp_path / "page"
    path.write_bytes(b"0123456789")
    opened = path.open("rb")
    opened.seek(4)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](opened)
        return wrapped

    harness = WSGIHarness(app)

    served = serve(harness.wsgi, {**make_environ(), "wsgi.file_wrapper": FileWrapper}, strict=False)

    assert (type(served.result), served.body, opened.closed) == (FileWrapper, b"456789", True)
    assert harness.event.attributes["http.response.body.size"] == 6
    assert harness.event.attributes["otelbridge.ended_by"] == "app"


def test_a_file_is_closed_inside_of_its_request(tmp_path: Path) -> None:
    """With the request's span, and an exception is the app's error."""
    seen: list[int] = []

    class Page(FileIO):
        def close(self) -> None:
            if not self.closed:
                super().close()
                seen.append(get_current_span().get_span_context().span_id)
                raise RuntimeError("close")

    (tmp_path / "page").touch()

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        return FileWrapper(Page(tmp_path / "page"))

    harness = WSGIHarness(app)

    served = serve(harness.wsgi, {**make_environ(), "wsgi.file_wrapper": FileWrapper}, strict=False)

    assert isinstance(served.error, RuntimeError)
    assert (harness.event.level, harness.event.exception) == ("ERROR", served.error)
    assert seen == [harness.event.span_id]


def test_a_wrapped_buffer_is_a_body_like_any_other() -> None:
    """What has no file descriptor no server can send by itself: its chunks are counted."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", [TEXT])
        wrapped: Iterable[bytes] = environ["wsgi.file_wrapper"](BytesIO(b"0123456789"))
        return wrapped

    harness = WSGIHarness(app)

    served = serve(harness.wsgi, {**make_environ(), "wsgi.file_wrapper": FileWrapper}, strict=False)

    assert served.body == b"0123456789"
    assert harness.event.attributes["http.response.body.size"] == 10


def test_interleaved_requests_share_no_state() -> None:
    """Of 100 requests in ten threads each has its own size, status, path and trace (pains.md C5)."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        number = int(environ["PATH_INFO"][1:])
        start_response(f"{300 + number} N", [TEXT])
        for _ in range(number):
            yield b"x"

    def work(first: int) -> None:
        # Ten bodies at once in each thread, too.
        bodies = [
            iter(harness.wsgi(make_environ(f"/{number}"), lambda status, headers: lambda data: None))
            for number in range(first, first + 10)
        ]
        while bodies:
            bodies = [body for body in bodies if next(body, None) is not None or body.close()]  # type: ignore[attr-defined]

    harness = WSGIHarness(app)
    threads = [threading.Thread(target=work, args=(first,)) for first in range(0, 100, 10)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    seen = {event.attributes["url.path"]: event for event in harness.events}
    assert len(harness.events) == len(seen) == len({event.trace_id for event in harness.events}) == 100
    for number in range(100):
        attributes = seen[f"/{number}"].attributes
        size = 0 if number == 4 else number  # 304 has no body
        assert (attributes["http.response.status_code"], attributes["http.response.body.size"]) == (300 + number, size)
    assert sum(harness.active()) == 0


def _into(source: Any, readinto: Callable[[bytearray], int]) -> bytes:
    buffer = bytearray(100)
    return bytes(buffer[: readinto(buffer)])

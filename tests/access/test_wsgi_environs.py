"""Whatever a client or a server puts into an environ: one record, no exception; and what passes untouched."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelbridge.access.options import Settings, path_rules
from otelbridge.access.wsgi import Environ, InstrumentedWSGI, StartResponse
from tests.access.support import TRACE_ID, TRACEPARENT
from tests.access.wsgi_support import TEXT, WSGIHarness, answering, make_environ, serve

KEYS = st.sampled_from(
    [
        *("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "SERVER_PROTOCOL", "REMOTE_ADDR"),
        *("CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_TRANSFER_ENCODING", "HTTP_USER_AGENT", "HTTP_X_REQUEST_ID"),
        *("HTTP_TRACEPARENT", "HTTP_TRACESTATE", "HTTP_BAGGAGE", "HTTP_REFERER", "HTTP_", "HTTP___"),
        *("wsgi.url_scheme", "wsgi.file_wrapper", "otelbridge.route", "otelbridge.access_log"),
    ]
)
# As servers decode what came in: any byte as the character of the same number; and what no server should make.
BYTES = st.binary(max_size=100).map(lambda raw: raw.decode("latin-1"))
VALUES = st.one_of(BYTES, st.text(max_size=100), st.none(), st.integers(), st.binary(max_size=20), st.just([]))


@settings(max_examples=300, deadline=None)
@given(changes=st.dictionaries(KEYS, VALUES))
def test_any_environ_makes_exactly_one_record(changes: dict[str, Any]) -> None:
    """One record, one span, one point; a single printable line; attributes that any encoder takes."""
    harness = WSGIHarness(answering([b"hello"]))

    served = serve(harness.wsgi, {**make_environ(), **changes}, strict=False)

    assert (served.error, served.body) == (None, b"hello")
    assert harness.observer.error_count == 0
    assert harness.event.body.isprintable()
    json.dumps(dict(harness.event.attributes), ensure_ascii=False).encode()
    assert harness.span.attributes is not None
    assert harness.duration_point().count == 1


def test_an_empty_environ_is_enough() -> None:
    """Not even a method: the app answers, and the record says what is known."""
    harness = WSGIHarness(answering())

    served = serve(harness.wsgi, {}, strict=False)

    assert served.body == b"hello"
    assert harness.event.body.startswith('- "- ')


def test_an_excluded_path_passes_untouched() -> None:
    """The app gets the very objects that the server gave, the server the very body, and nothing is recorded."""
    seen: list[object] = []
    body = [b"hello"]

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        seen.extend((environ, start_response))
        return body

    harness = WSGIHarness(app, Settings(exclude=path_rules("exclude", "/health")))
    environ, start_response = make_environ("/health"), answering
    before = dict(environ)

    result = harness.wsgi(environ, start_response)  # type: ignore[arg-type]  # never called

    assert (seen[0] is environ, seen[1] is start_response, result is body) == (True, True, True)
    assert environ == before
    assert (harness.events, harness.spans, harness.points()) == ([], (), {})


def test_an_instrumented_app_inside_of_another_is_one_record() -> None:
    """Twice is once: also where a mounted app was instrumented by itself."""
    inner = WSGIHarness(answering())
    outer = WSGIHarness(inner.wsgi)

    outer.fetch()

    assert (len(outer.events), len(inner.events)) == (1, 0)


def test_the_record_is_in_the_environ() -> None:
    """What middleware sets on it arrives in the access record."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ["otelbridge.access_log"].tenant = "acme"
        return answering()(environ, start_response)

    harness = WSGIHarness(app)

    harness.fetch()

    assert harness.event.attributes["tenant"] == "acme"


@pytest.mark.parametrize(
    ("script_name", "route", "expected"),
    [
        ("", "/items/{id}", "/items/{id}"),
        ("/shop", "/items/{id}", "/shop/items/{id}"),
        ("/shop/", "/items/{id}", "/shop/items/{id}"),
        ("/caf\u00c3\u00a9", "/", "/caf\u00e9/"),
        ("/shop", None, None),
        ("/shop", 7, None),
    ],
)
def test_a_route_is_what_the_app_names_below_its_mount(script_name: str, route: Any, expected: str | None) -> None:
    """`environ["otelbridge.route"]`, where the app is mounted when the request ends; never the raw path."""

    def mount(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = script_name, "/items/7"
        environ["otelbridge.route"] = route
        return answering()(environ, start_response)

    harness = WSGIHarness(mount)

    served = serve(harness.wsgi, make_environ(), strict=False)

    assert served.error is None
    assert harness.event.attributes.get("http.route") == expected
    assert harness.span.name == ("GET" if expected is None else f"GET {expected}")


def test_a_route_on_the_record_wins() -> None:
    """What middleware has put into the record is not asked for again."""

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ["otelbridge.access_log"].route = "/mine"
        environ["otelbridge.route"] = "/other"
        return answering()(environ, start_response)

    harness = WSGIHarness(app)

    harness.fetch()

    assert harness.event.attributes["http.route"] == "/mine"


def test_a_finder_of_routes_that_raises_costs_only_the_route() -> None:
    """The answer and the record come all the same; the failure is counted."""

    def fail(environ: Environ) -> str:
        raise LookupError

    harness = WSGIHarness(answering())
    harness.wsgi.route_of = fail

    served = harness.fetch()

    assert (served.body, harness.observer.error_count) == (b"hello", 1)
    assert "http.route" not in harness.event.attributes


def test_the_caller_s_trace_goes_on() -> None:
    """The span is a child of the one in the headers."""
    harness = WSGIHarness(answering())

    harness.fetch(HTTP_TRACEPARENT=TRACEPARENT.decode())

    assert harness.event.trace_id == TRACE_ID


@pytest.mark.parametrize(
    ("sent", "set_by_app", "expected"),
    [("abc-1", None, ["abc-1"]), ("abc-1", "mine", ["mine"]), (None, None, []), (None, "mine", ["mine"])],
)
def test_a_client_that_names_a_request_id_is_told_which_it_got(
    sent: str | None, set_by_app: str | None, expected: list[str]
) -> None:
    """Unless the app tells it itself; and one that named none is told nothing."""
    headers = [TEXT, *([("x-request-id", set_by_app)] if set_by_app else [])]
    given = list(headers)

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", headers)
        return [b"hello"]

    harness = WSGIHarness(app)

    served = harness.fetch(**({"HTTP_X_REQUEST_ID": sent} if sent else {}))

    assert served.header("x-request-id") == expected
    assert headers == given


def test_headers_that_are_none_reach_the_server_as_they_are() -> None:
    """What the server says to them is the server's affair."""
    seen: list[object] = []
    headers = [("a",), None]

    def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", headers)
        return []

    harness = WSGIHarness(app)

    list(harness.wsgi(make_environ(HTTP_X_REQUEST_ID="abc"), lambda *given: seen.append(given[1])))  # type: ignore[arg-type]

    assert seen == [headers]
    assert seen[0] is headers


class Framework:
    """An app with something to it."""

    config = "mine"

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return answering()(environ, start_response)


def test_unknown_attributes_are_the_app_s() -> None:
    """A wrapped app can be used as before."""
    wrapped = WSGIHarness(Framework()).wsgi

    assert wrapped.config == "mine"
    with pytest.raises(AttributeError, match="nothing_of_that_name"):
        _ = wrapped.nothing_of_that_name


def test_a_wrapped_app_is_copied_like_any_object() -> None:
    """A copy shares the app and the observer; while it is being made, nothing is asked of an app that is not there."""
    wrapped = WSGIHarness(Framework()).wsgi

    copied = copy.copy(wrapped)

    assert (copied.app, copied.observer) == (wrapped.app, wrapped.observer)
    with pytest.raises(AttributeError):
        _ = InstrumentedWSGI.__new__(InstrumentedWSGI).anything
    assert pickle.loads(pickle.dumps(InstrumentedWSGI(answering, None))).app is answering  # type: ignore[arg-type]

"""AccessLogMiddleware: seed 1's access log, on ASGI, WSGI and `(request, handler)`."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import otelbridge
from otelbridge import AccessLogMiddleware, ConfigError, logger
from otelbridge.access import backends, middleware
from otelbridge.access.asgi import Receive, Scope, Send
from tests.access.support import SPAN_ID, TRACE_ID, TRACEPARENT, Exchange, Harness, answer, exchange, hello, http_scope
from tests.logger.conftest import Lines, lines, log

__all__ = ["lines", "log"]


def get(app: Any, path: str = "/api/users", /, **changes: Any) -> Exchange:
    return asyncio.run(exchange(app, http_scope(path, **{"query_string": b"page=2", **changes})))


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("broken")


async def ill(scope: Scope, receive: Receive, send: Send) -> None:
    await answer(send, status=500)


def wsgi_app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


def shape(text: str) -> str:
    """A line without its duration."""
    return re.sub(r"\d+\.\dms", "3.2ms", text)


@pytest.mark.covers("1.30")
def test_a_request_is_the_documented_line(lines: Lines) -> None:
    """
    `200 GET /api/users?page=2 3.2ms` at INFO, and the answer goes through unchanged.
    """
    result = get(AccessLogMiddleware(hello))

    assert shape(lines.text) == "200 GET /api/users?page=2 3.2ms\n"
    assert lines.record["level"].name == "INFO"
    assert result.body == b"hello"


@pytest.mark.covers("1.30")
@pytest.mark.parametrize(("threshold_s", "level", "mark"), [(0, "WARNING", " [SLOW]"), (60.0, "INFO", "")])
def test_above_the_threshold_a_request_is_marked_slow(lines: Lines, threshold_s: float, level: str, mark: str) -> None:
    """
    From slow_request_threshold seconds on, the record is a WARNING whose line ends with [SLOW].
    """
    get(AccessLogMiddleware(hello, slow_request_threshold=threshold_s))

    assert shape(lines.text) == f"200 GET /api/users?page=2 3.2ms{mark}\n"
    assert lines.record["level"].name == level


@pytest.mark.covers("1.30")
def test_context_that_an_inner_middleware_has_bound_appears_in_extra(lines: Lines) -> None:
    """
    What `contextualize` bound around the handler is in the record's extra, though the block has been left.
    """

    async def inner(request: Any) -> Any:
        with logger.contextualize(user="ann"):
            return SimpleNamespace(status=200)

    asyncio.run(AccessLogMiddleware()(SimpleNamespace(method="GET", path="/"), inner))

    assert lines.record["extra"]["user"] == "ann"


@pytest.mark.covers("1.30")
def test_context_bound_while_the_answer_is_sent_appears_in_extra(lines: Lines) -> None:
    """
    The same of an ASGI middleware whose block encloses the sending of the answer.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        with logger.contextualize(user="ann"):
            await answer(send)

    get(AccessLogMiddleware(app))

    assert lines.record["extra"]["user"] == "ann"


@pytest.mark.covers("1.30")
def test_included_headers_are_in_extra(lines: Lines) -> None:
    """
    Headers named by include_headers stand in the record, in any spelling of their name.
    """
    get(AccessLogMiddleware(hello, include_headers=["X-Tenant"]), headers=[(b"x-tenant", b"acme"), (b"x-other", b"o")])

    extra = lines.record["extra"]
    assert extra["http.request.header.x-tenant"] == ["acme"]
    assert "http.request.header.x-other" not in extra


@pytest.mark.covers("1.30")
def test_excluded_paths_are_not_logged(lines: Lines) -> None:
    """
    exclude_paths leaves requests alone: equal paths, and globs.
    """
    app = AccessLogMiddleware(hello, exclude_paths=["/health", "/static/*"])

    bodies = [get(app, path).body for path in ("/health", "/static/app.js", "/healthy")]

    assert bodies == [b"hello"] * 3
    assert shape(lines.text) == "200 GET /healthy?page=2 3.2ms\n"


@pytest.mark.covers("1.30", note="secrets in the query are redacted")
def test_the_query_can_be_left_out_and_never_shows_secrets(lines: Lines) -> None:
    """
    log_query_params=False leaves the query out of line and extra; otherwise its secrets are redacted in both.
    """
    get(AccessLogMiddleware(hello, log_query_params=False), query_string=b"token=canary")
    get(AccessLogMiddleware(hello), query_string=b"page=2&token=canary")

    without, shown = lines.texts
    assert shape(without) == "200 GET /api/users 3.2ms\n"
    assert "url.query" not in lines.records[0]["extra"]
    assert shape(shown) == "200 GET /api/users?page=2&token=REDACTED 3.2ms\n"
    assert lines.records[1]["extra"]["url.query"] == "page=2&token=REDACTED"


@pytest.mark.parametrize("app", [failing, ill])
def test_failures_are_no_level_of_their_own(lines: Lines, app: Any) -> None:
    """
    A raise or a 500 is logged at `level`, and as WARNING when it was slow: this log knows no ERROR.
    """
    get(AccessLogMiddleware(app, level="DEBUG"))
    get(AccessLogMiddleware(app, slow_request_threshold=0))

    assert [record["level"].name for record in lines.records] == ["DEBUG", "WARNING"]


def test_what_the_app_raises_passes_on(lines: Lines) -> None:
    """
    The exception reaches the server, and stands on the record.
    """
    result = get(AccessLogMiddleware(failing))

    assert isinstance(result.error, RuntimeError)
    exception = lines.record["exception"]
    assert exception is not None
    assert exception.value is result.error


def test_ids_of_the_caller_are_in_the_record_and_no_span_is_made(lines: Lines) -> None:
    """
    The incoming trace id is the record's; the span id stays the caller's, as there is no span of ours.
    """
    ids: list[tuple[int, int]] = []

    def noting(message: Any) -> None:
        from opentelemetry.trace import get_current_span

        current = get_current_span().get_span_context()
        ids.append((current.trace_id, current.span_id))

    number = logger.add(noting, format="{message}")
    get(AccessLogMiddleware(hello), headers=[(b"traceparent", TRACEPARENT)])
    logger.remove(number)

    assert ids == [(TRACE_ID, SPAN_ID)]


def test_wsgi_apps_are_served(lines: Lines) -> None:
    """
    A WSGI app is wrapped the same way; its record is written when the body is closed.
    """
    app: Any = AccessLogMiddleware(wsgi_app)
    environ: dict[str, Any] = {"PATH_INFO": "/api/users", "QUERY_STRING": "page=2"}
    setup_testing_defaults(environ)

    body = app(environ, lambda status, headers, error=None: None)

    assert b"".join(body) == b"hello"
    body.close()
    assert shape(lines.text) == "200 GET /api/users?page=2 3.2ms\n"


@pytest.mark.parametrize("app", [hello, wsgi_app])
def test_options_first_and_the_app_later(lines: Lines, app: Any) -> None:
    """
    `AccessLogMiddleware(**options)(app)` is `AccessLogMiddleware(app, **options)`, for as many apps as one likes.
    """
    wrap = AccessLogMiddleware(level="DEBUG")

    first, second = wrap(app), wrap(app)

    assert type(first) is type(second) is type(AccessLogMiddleware(app))
    if app is hello:
        get(first)
        get(second)
        assert [record["level"].name for record in lines.records] == ["DEBUG", "DEBUG"]


class Quiet(AccessLogMiddleware):
    """A user's own."""

    def __init__(self, app: Any = None, **options: Any) -> None:
        super().__init__(app, level="DEBUG", **options)


@pytest.mark.parametrize("make", [Quiet, Quiet()])
def test_a_subclass_serves_as_well(lines: Lines, make: Any) -> None:
    """
    A subclass with defaults of its own wraps an app, however it is given one.
    """
    wrapped = make(hello)

    get(wrapped)

    assert isinstance(wrapped, Quiet)
    assert lines.record["level"].name == "DEBUG"


def test_servers_can_tell_what_it_is() -> None:
    """
    Hypercorn and uvicorn look whether `__call__` is a coroutine function: it is for an ASGI app, and not for WSGI.
    """
    assert inspect.iscoroutinefunction(AccessLogMiddleware(hello).__call__)
    assert not inspect.iscoroutinefunction(AccessLogMiddleware(wsgi_app).__call__)


def test_starlettes_add_middleware(lines: Lines) -> None:
    """
    `add_middleware(AccessLogMiddleware, **options)` logs each request.
    """

    async def users(request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    app = Starlette(routes=[Route("/api/users", users)])
    app.add_middleware(AccessLogMiddleware, exclude_paths=["/health"])

    assert get(app).body == b"hello"

    assert shape(lines.text) == "200 GET /api/users?page=2 3.2ms\n"


def test_an_instrumented_request_is_logged_once(lines: Lines) -> None:
    """
    Inside an app that `instrument` observes, the middleware leaves its requests alone.
    """
    harness = Harness(AccessLogMiddleware(hello))

    harness.get()

    assert len(harness.events) == 1
    assert lines.texts == []


def test_formats(lines: Lines) -> None:
    """
    format= is any form that make_line knows; [SLOW] does not follow those that programs read.
    """
    get(AccessLogMiddleware(hello, format="json", slow_request_threshold=0))
    get(AccessLogMiddleware(hello, format='%h "%r" %>s', slow_request_threshold=0))
    get(AccessLogMiddleware(hello, format=lambda record: f"served {record.path}", slow_request_threshold=0))

    assert json.loads(lines.texts[0])["url.query"] == "page=2"
    assert lines.texts[1:] == ['203.0.113.42 "GET /api/users?page=2 HTTP/1.1" 200\n', "served /api/users\n"]


@pytest.mark.parametrize("name", ["OTELBRIDGE_ACCESS_LOG", "BB_ACCESS_LOG"])
def test_the_access_log_can_be_switched_off(lines: Lines, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The variable that switches `instrument`'s record off switches this one off.
    """
    monkeypatch.setenv(name, "0")

    assert get(AccessLogMiddleware(hello)).body == b"hello"

    assert lines.texts == []


# ---------------------------------------------------------------------------------------------- metrics


def test_without_metrics_it_only_logs() -> None:
    """
    By default nothing is configured: no thread, no exporter, one line on standard error.
    """
    code = """
import asyncio, sys, threading
from otelbridge import AccessLogMiddleware
from tests.access.support import exchange, hello, http_scope
asyncio.run(exchange(AccessLogMiddleware(hello), http_scope("/served")))
assert threading.active_count() == 1, threading.enumerate()
assert "otelbridge.wiring" not in sys.modules or sys.modules["otelbridge.wiring"]._runtime.settings is None
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    (line,) = done.stderr.splitlines()
    assert "200 GET /served " in line


@pytest.mark.parametrize(("option", "backend"), [("otel", "otlp"), ("otlp", "otlp"), ("statsd", "statsd")])
def test_with_metrics_requests_are_measured(
    lines: Lines, option: Any, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    metrics= counts each request in and out through that backend, and exporting begins.
    """
    calls: list[str] = []
    measuring = SimpleNamespace(
        started=lambda record: calls.append("started"), ended=lambda record, *, counted: calls.append("ended")
    )

    def request_metrics(name: str) -> Any:
        calls.append(name)
        return measuring

    monkeypatch.setattr(backends, "request_metrics", request_metrics)
    monkeypatch.setattr(middleware, "ensure_configured", lambda: calls.append("configured"))

    get(AccessLogMiddleware(hello, metrics=option))

    assert calls == ["configured", backend, "started", "ended"]
    assert len(lines.texts) == 1


# ------------------------------------------------------------------------------------- (request, handler)


def serve(request: Any, handler: Callable[[Any], Any], **options: Any) -> Any:
    async def run() -> Any:
        return await AccessLogMiddleware(**options)(request, handler)

    return asyncio.run(run())


def a_request(**changes: Any) -> Any:
    """A request as aiohttp has it."""
    attributes = {
        "method": "GET",
        "path": "/api/users",
        "query_string": "page=2",
        "headers": {"User-Agent": "curl/8", "X-Tenant": "acme"},
        "remote": "203.0.113.42",
        "scheme": "https",
        "version": SimpleNamespace(major=1, minor=1),
    }
    return SimpleNamespace(**{**attributes, **changes})


RESPONSE = SimpleNamespace(status=201, body=b"abc")


async def asynchronous(request: Any) -> Any:
    await asyncio.sleep(0)
    return RESPONSE


def synchronous(request: Any) -> Any:
    return RESPONSE


@pytest.mark.covers("1.30")
@pytest.mark.parametrize("handler", [asynchronous, synchronous])
def test_request_and_handler(lines: Lines, handler: Any) -> None:
    """
    `await middleware(request, handler)` returns the handler's response, and logs what the request and it say.
    """
    assert serve(a_request(), handler, include_headers=["X-Tenant"]) is RESPONSE

    assert shape(lines.text) == "201 GET /api/users?page=2 3.2ms\n"
    extra = lines.record["extra"]
    assert (extra["client.address"], extra["user_agent.original"]) == ("203.0.113.42", "curl/8")
    assert (extra["url.scheme"], extra["network.protocol.version"]) == ("https", "1.1")
    assert extra["http.request.header.x-tenant"] == ["acme"]
    assert extra["http.response.body.size"] == 3


def test_an_exception_of_a_handler_passes_on(lines: Lines) -> None:
    """
    A raise is logged without a status, and raised.
    """

    def handler(request: Any) -> Any:
        raise KeyError("x")

    with pytest.raises(KeyError, match="x"):
        serve(a_request(), handler)

    assert shape(lines.text).startswith("- GET /api/users?page=2 3.2ms\nTraceback")
    assert lines.record["extra"]["error.type"] == "KeyError"


def test_an_answer_that_is_raised_is_an_answer(lines: Lines) -> None:
    """
    Frameworks raise their 404s: the record has that status, and no exception.
    """

    def handler(request: Any) -> Any:
        raise HTTPException(404)

    with pytest.raises(HTTPException):
        serve(a_request(), handler)

    assert shape(lines.text) == "404 GET /api/users?page=2 3.2ms\n"
    assert lines.record["exception"] is None


def test_a_cancelled_handler_is_a_client_that_left(lines: Lines) -> None:
    """
    Cancellation passes on, and the record says who ended the request.
    """

    async def handler(request: Any) -> Any:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        serve(a_request(), handler)

    assert lines.record["extra"]["otelbridge.ended_by"] == "client"


@pytest.mark.parametrize(
    ("request_", "line"),
    [
        (a_request(path=None, query_string=None, url="https://example.com/a/b?page=2"), "200 GET /a/b?page=2 3.2ms\n"),
        (a_request(path=None, query_string=None, url="/a?page=2"), "200 GET /a?page=2 3.2ms\n"),
        (a_request(path="/a?page=2", query_string=None), "200 GET /a?page=2 3.2ms\n"),
        (a_request(query_string=b"page=2"), "200 GET /api/users?page=2 3.2ms\n"),
        (SimpleNamespace(method=None, headers=7, remote=object(), client=(), version="HTTP/1.0"), "200 - - 3.2ms\n"),
        (object(), "200 - - 3.2ms\n"),
        (None, "200 - - 3.2ms\n"),
    ],
)
def test_requests_of_all_kinds(lines: Lines, request_: Any, line: str) -> None:
    """
    Whatever a request has or lacks, it is served, and is one line.
    """
    assert serve(request_, lambda _: "hello") == "hello"

    assert shape(lines.text) == line
    assert lines.record["extra"]["http.response.body.size"] == 5


def test_a_starlette_request_is_read_by_its_scope(lines: Lines) -> None:
    """
    A request with an ASGI scope has its record in the scope's state, where the handler can add to it.
    """

    async def handler(request: Request) -> PlainTextResponse:
        request.state.access_log.tenant = "acme"
        return PlainTextResponse("hello")

    serve(Request(dict(http_scope("/api/users"))), handler)

    assert shape(lines.text) == "200 GET /api/users 3.2ms\n"
    assert lines.record["extra"]["tenant"] == "acme"


class Hostile:
    """Raises whatever it is asked for."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


def test_hostile_requests_and_responses_are_served(lines: Lines) -> None:
    """
    A request or response whose attributes raise is passed on, and is one line.
    """
    response = Hostile()

    assert serve(Hostile(), lambda _: response) is response

    assert shape(lines.text) == "- - - 3.2ms\n"


def test_excluded_and_repeated_requests_are_only_served(lines: Lines) -> None:
    """
    An excluded path, and a second middleware around the same handler, leave no second record.
    """
    assert serve(a_request(path="/health"), synchronous, exclude_paths=["/health"]) is RESPONSE

    class MappedRequest(dict[str, Any]):
        method, path = "GET", "/twice"

    async def twice(request: Any) -> Any:
        return await AccessLogMiddleware()(request, synchronous)

    assert serve(MappedRequest(), twice) is RESPONSE

    assert shape(lines.text) == "201 GET /twice 3.2ms\n"


def test_it_is_called_as_aiohttp_calls_its_middleware(lines: Lines) -> None:
    """
    The mark that aiohttp looks for is there, and the handler may be given by its name.
    """
    wrapped: Any = AccessLogMiddleware()

    async def run() -> Any:
        return await wrapped(a_request(), handler=asynchronous)

    assert wrapped.__middleware_version__ == 1
    assert asyncio.run(run()) is RESPONSE
    assert len(lines.texts) == 1


# ----------------------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"level": "LOUD"}, ConfigError, "level must be the name of a level such as INFO, got 'LOUD'"),
        ({"level": 20}, TypeError, "level must be the name of a level, got 20"),
        ({"include_headers": ["Authorization"]}, ConfigError, "include_headers must not name headers that carry cred"),
        ({"exclude_paths": ["health"]}, ConfigError, "exclude_paths must hold paths that start with /"),
        ({"exclude_paths": 7}, TypeError, "exclude_paths must be a sequence, got 7"),
        ({"log_query_params": "no"}, TypeError, "log_query_params must be True or False, got 'no'"),
        ({"slow_request_threshold": "1"}, TypeError, "slow_request_threshold must be a number of seconds"),
        ({"slow_request_threshold": -1}, ConfigError, "slow_request_threshold must be a number of seconds from 0"),
        ({"metrics": "prometheus"}, ConfigError, 'metrics must be "otel", "statsd" or None, got \'prometheus\''),
        ({"metrics": True}, TypeError, 'metrics must be "otel", "statsd" or None, got True'),
        ({"format": "nginx"}, ConfigError, "format must be one of"),
        ({"verbose": True}, TypeError, "verbose"),
    ],
)
def test_a_mistake_is_said_at_once(options: dict[str, Any], kind: type[Exception], message: str) -> None:
    """
    A wrong option raises when the middleware is made: TypeError for its type, ConfigError for its value.
    """
    with pytest.raises(kind, match=re.escape(message)):
        AccessLogMiddleware(**options)


@pytest.mark.parametrize("app", [7, "app:app", Starlette, lambda request: None])
def test_what_is_no_app_is_a_type_error(app: Any) -> None:
    """
    Something else than an app is said at once, however it is given.
    """
    with pytest.raises(TypeError, match="app must be an ASGI application"):
        AccessLogMiddleware(app)
    with pytest.raises(TypeError, match="app must be an ASGI application"):
        AccessLogMiddleware()(app)


def test_it_is_a_public_name() -> None:
    """
    `from otelbridge import AccessLogMiddleware` is the documented import.
    """
    assert otelbridge.AccessLogMiddleware is middleware.AccessLogMiddleware

"""`instrument()` and `uninstrument()`: what they take, refuse, replace and undo."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from flask import Blueprint
from hypercorn.utils import is_asgi

from otelbridge.access.asgi import Instrumented, Receive, Scope, Send
from otelbridge.access.observe import Observer
from otelbridge.access.options import Settings
from otelbridge.exceptions import ConfigError
from otelbridge.integrations import apps
from otelbridge.integrations.apps import instrument, uninstrument
from tests.access.support import Harness, exchange, hello, http_scope
from tests.integrations.hosts import call_wsgi


@pytest.fixture(autouse=True)
def harness(monkeypatch: pytest.MonkeyPatch) -> Harness:
    """Make `instrument()` keep its three signals in memory."""
    memory = Harness(hello)

    def observer(settings: Settings, *, metrics: str | None) -> Observer:
        backend = memory.observer.metrics if metrics in (None, "otlp") else None
        return Observer(settings, logger=memory.logger, tracer=memory.tracer, metrics=backend)

    monkeypatch.setattr(apps, "make_observer", observer)
    monkeypatch.setattr(apps, "ensure_configured", lambda: None)
    return memory


def serve(app: Any, path: str = "/") -> None:
    assert asyncio.run(exchange(app, http_scope(path))).body == b"hello"


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [])
    return [b"hello"]


class AsgiObject:
    """An app with state, as frameworks have."""

    def __init__(self) -> None:
        self.title = "shop"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await hello(scope, receive, send)


def test_instrument_makes_every_signal(harness: Harness) -> None:
    """An instrumented app answers as before, and leaves a record, a span and a point."""
    serve(instrument(hello))

    assert harness.span.context is not None
    assert harness.event.trace_id == harness.span.context.trace_id
    assert harness.duration_point().count == 1


def test_instrument_begins_exporting_if_nobody_did(monkeypatch: pytest.MonkeyPatch) -> None:
    """`instrument()` configures from the environment, after its options were found good."""
    calls: list[str] = []
    monkeypatch.setattr(apps, "ensure_configured", lambda: calls.append("configured"))

    with pytest.raises(TypeError):
        instrument(hello, slow_s="soon")  # type: ignore[arg-type]  # the mistake
    assert calls == []

    instrument(hello)
    assert calls == ["configured"]


def test_instrumenting_twice_replaces_the_options_and_doubles_nothing(harness: Harness) -> None:
    """The second call changes the same object."""
    once = instrument(hello, exclude=["/a"])

    twice = instrument(once, exclude=["/b"])

    serve(twice, "/a")
    serve(twice, "/b")
    assert twice is once
    assert [event.attributes["url.path"] for event in harness.events] == ["/a"]


def test_uninstrument_gives_the_app_back() -> None:
    """Undone it is the very object again; an app that was not instrumented stays itself."""
    app = AsgiObject()

    assert uninstrument(instrument(app)) is app
    assert uninstrument(app) is app
    assert uninstrument(uninstrument(instrument(instrument(app)))) is app


@pytest.mark.parametrize(
    "app",
    [
        AsgiObject(),
        AsgiObject().__call__,
        functools.partial(hello),
        lambda scope, receive, send: hello(scope, receive, send),
    ],
)
def test_every_shape_of_asgi_app_is_understood(app: Any, harness: Harness) -> None:
    """Coroutine functions, objects, methods, partials and plain functions that return the coroutine."""
    serve(instrument(app))

    assert len(harness.events) == 1


def test_the_wrapper_looks_like_the_app() -> None:
    """Servers recognise it as ASGI, and the app's own attributes are there."""
    app = instrument(AsgiObject())

    assert is_asgi(app)
    assert app.title == "shop"
    assert not hasattr(app, "no_such_thing")


class WsgiObject:
    """A WSGI app with state."""

    title = "shop"

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        return wsgi(environ, start_response)


@pytest.mark.parametrize("app", [wsgi, functools.partial(wsgi), WsgiObject(), WsgiObject().__call__])
def test_every_shape_of_wsgi_app_is_understood(app: Any, harness: Harness) -> None:
    """Functions, partials, objects and methods that take an environ and `start_response`."""
    assert call_wsgi(instrument(app), "/").body == b"hello"

    assert len(harness.events) == 1


async def no_arguments() -> None:
    return None


def made_by_coroutine() -> Any:
    coroutine = no_arguments()
    coroutine.close()
    return coroutine


@pytest.mark.parametrize(
    ("app", "got"),
    [
        (None, "got None"),
        (7, "got 7"),
        ("app:app", "got the text 'app:app'; import the application"),
        (apps, "got the module otelbridge.integrations.apps; pass the application in it"),
        (AsgiObject, "got the class AsgiObject; pass an instance of it"),
        (FastAPI, "got the class FastAPI; pass an instance of it"),
        (made_by_coroutine(), "; pass the function, without calling it"),
        (APIRouter(), "; pass the FastAPI application that includes it"),
        (Blueprint("part", "shop"), "; pass the application that it is registered with"),
        (no_arguments, "got <function no_arguments"),
        (lambda: None, "got <function <lambda>"),
        (lambda one: None, "got <function <lambda>"),
    ],
)
def test_what_is_no_app_is_refused(app: Any, got: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A TypeError says what is understood, what was got and what to do; nothing has been started by then."""
    monkeypatch.setattr(apps, "ensure_configured", pytest.fail)

    with pytest.raises(TypeError) as caught:
        instrument(app)

    for word in ("Starlette", "FastAPI", "Litestar", "Quart", "Flask", "Django", "ASGI", "WSGI", got):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"metrics": "prometheus"}, ConfigError, "metrics must be"),
        ({"metrics": True}, TypeError, "metrics must be"),
        ({"traces": 1}, TypeError, "traces must be True or False, got 1"),
        ({"access_log": None}, TypeError, "access_log must be"),
        ({"trust_traceparent": "no"}, TypeError, "trust_traceparent must be"),
        ({"exclude": ["health"]}, ConfigError, "exclude must hold paths that start with /"),
        ({"exclude": 7}, TypeError, "exclude must be a sequence"),
        ({"exclude": b"/health"}, TypeError, "exclude must hold paths"),
        ({"exclude_ok": [re.compile(b"/x")]}, TypeError, "exclude_ok must hold paths"),
        ({"slow_s": -1}, ConfigError, "slow_s must be"),
        ({"slow_s": float("nan")}, ConfigError, "slow_s must be"),
        ({"slow_s": "1"}, TypeError, "slow_s must be"),
        ({"include_headers": ["x tenant"]}, ConfigError, "include_headers must hold names"),
        ({"include_headers": [b"x-tenant"]}, TypeError, "include_headers must hold names"),
        ({"include_headers": ["Authorization"]}, ConfigError, "credentials"),
        ({"include_headers": None}, TypeError, "include_headers must be a sequence"),
        ({"on_request": "callback"}, TypeError, "on_request must be a plain function"),
        ({"on_request": hello}, TypeError, "on_request must be a plain function"),
        ({"unknown": 1}, TypeError, "unexpected keyword argument"),
    ],
)
def test_a_mistake_in_an_option_raises_at_once(options: dict[str, Any], error: type[Exception], sentence: str) -> None:
    """One sentence: what, expected, got."""
    with pytest.raises(error, match=re.escape(sentence)):
        instrument(hello, **options)


@pytest.mark.parametrize(
    ("rules", "path", "excluded"),
    [
        (["/health"], "/health", True),
        (["/health"], "/healthy", False),
        ("/health", "/health", True),
        (["/static/*"], "/static/a/b.css", True),
        (["/static/*"], "/x/static/a", False),
        (["*/ping"], "/v1/ping", True),
        (["*/ping"], "/v1/ping\n", False),
        (["/a.b*"], "/axb", False),
        ([re.compile(r"ping$")], "/v1/ping", True),
        (re.compile("ping"), "/v1/pinged", True),
        ([], "/health", False),
    ],
)
def test_exclude_takes_exact_paths_globs_and_patterns(rules: Any, path: str, excluded: bool, harness: Harness) -> None:
    """A string is the whole path, `*` any characters in it; a pattern is searched."""
    serve(instrument(hello, exclude=rules), path)

    assert (harness.events == []) is excluded


@pytest.mark.covers("4.5")
@pytest.mark.parametrize(
    ("environ", "records"),
    [
        ({}, 1),
        ({"OTELBRIDGE_ACCESS_LOG": "0"}, 0),
        ({"BB_ACCESS_LOG": "0"}, 0),
        ({"BB_ACCESS_LOG": "1"}, 1),
        ({"OTELBRIDGE_ACCESS_LOG": "1", "BB_ACCESS_LOG": "0"}, 1),
    ],
)
def test_the_environment_switches_the_record_off(
    environ: dict[str, str], records: int, monkeypatch: pytest.MonkeyPatch, harness: Harness
) -> None:
    """OTELBRIDGE_ACCESS_LOG=0 and BB_ACCESS_LOG=0 leave metrics and spans; they are read at `instrument()`."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    app = instrument(hello)
    monkeypatch.undo()

    serve(app)

    assert (len(harness.events), len(harness.spans)) == (records, 1)


def test_metrics_none_and_traces_false_switch_those_off(harness: Harness) -> None:
    """Each signal is optional by itself."""
    serve(instrument(hello, metrics="none", traces=False))

    assert (harness.points(), harness.spans) == ({}, ())
    assert len(harness.events) == 1


def test_known_methods_can_be_replaced(monkeypatch: pytest.MonkeyPatch, harness: Harness) -> None:
    """OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS is the whole list."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "PROPFIND, MKCOL")
    app = instrument(hello)

    asyncio.run(exchange(app, http_scope(method="PROPFIND")))
    asyncio.run(exchange(app, http_scope(method="GET")))

    assert [event.attributes["http.request.method"] for event in harness.events] == ["PROPFIND", "_OTHER"]
    assert [span.name for span in harness.spans] == ["PROPFIND", "HTTP"]


def test_the_wrapper_is_typed_as_the_app() -> None:
    """`app = instrument(app)` keeps the app's type; at run time it is ours."""
    app: AsgiObject = instrument(AsgiObject())

    assert isinstance(app, Instrumented)

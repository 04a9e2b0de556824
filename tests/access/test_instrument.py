"""`instrument()` and `uninstrument()`: what they take, refuse, replace and undo."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypercorn.utils import is_asgi

from otelbridge import access
from otelbridge.access import instrument, uninstrument
from otelbridge.access.asgi import Instrumented, Receive, Scope, Send
from otelbridge.access.observe import Observer, Settings
from otelbridge.exceptions import ConfigError
from tests.access.support import Harness, exchange, hello, http_scope


@pytest.fixture(autouse=True)
def harness(monkeypatch: pytest.MonkeyPatch) -> Harness:
    """Make `instrument()` keep its three signals in memory."""
    memory = Harness(hello)

    def observer(settings: Settings, *, with_metrics: bool) -> Observer:
        metrics = memory.observer.metrics if with_metrics else None
        return Observer(settings, logger=memory.logger, tracer=memory.tracer, metrics=metrics)

    monkeypatch.setattr(access, "_observer", observer)
    monkeypatch.setattr(access, "_ensure_configured", lambda: None)
    return memory


def serve(app: Any, path: str = "/") -> None:
    assert asyncio.run(exchange(app, http_scope(path))).body == b"hello"


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
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
    monkeypatch.setattr(access, "_ensure_configured", lambda: calls.append("configured"))

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


@pytest.mark.parametrize("app", [wsgi, functools.partial(wsgi)])
def test_wsgi_is_refused_in_one_sentence(app: Any) -> None:
    """A WSGI app is told that it has to wait."""
    with pytest.raises(TypeError, match="WSGI is not available in this version"):
        instrument(app)


async def no_arguments() -> None:
    return None


@pytest.mark.parametrize("app", [None, "app:app", AsgiObject, 7, no_arguments, lambda: None])
def test_what_is_no_app_is_refused(app: Any) -> None:
    """A TypeError says what is understood and what was got."""
    with pytest.raises(TypeError, match=r"app must be an ASGI 3 application .*, got "):
        instrument(app)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"metrics": "statsd"}, ConfigError, 'metrics="statsd" is not available yet'),
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


def test_statsd_by_the_environment_is_refused_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """OTELBRIDGE_METRICS=statsd is not silently taken for something else."""
    monkeypatch.setenv("OTELBRIDGE_METRICS", "statsd")

    with pytest.raises(ConfigError, match='OTELBRIDGE_METRICS="statsd" is not available yet'):
        instrument(hello)


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

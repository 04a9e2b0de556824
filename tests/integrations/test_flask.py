"""Flask: blueprints, dispatchers, middleware put on the application, and pages for errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Blueprint, Flask, request, stream_with_context
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from otelbridge.integrations.apps import instrument, uninstrument
from tests.access.support import Harness
from tests.integrations.hosts import SEEN, BrokenError, call_wsgi, look


@pytest.fixture
def app() -> Flask:
    """An application with one route of each kind."""
    shop = Flask("shop")
    inner = Blueprint("inner", "shop", url_prefix="/inner/<int:n>")
    outer = Blueprint("outer", "shop", url_prefix="/outer")

    @inner.get("/items/<id>")
    @shop.get("/items/<id>")
    @shop.get("/slash/")
    def item(id: str = "", n: int = 0) -> str:  # noqa: A002
        return "hello"

    @shop.get("/boom")
    def boom() -> str:
        raise BrokenError("broken")

    @shop.get("/stream")
    def stream() -> Any:
        def parts() -> Iterator[str]:
            yield "a"
            look()
            yield request.path

        return stream_with_context(parts())

    outer.register_blueprint(inner)
    shop.register_blueprint(outer)
    return shop


def route_of(app: Any, harness: Harness, path: str, method: str = "GET") -> object:
    call_wsgi(app, path, method)
    return harness.event.attributes.get("http.route")


@pytest.mark.parametrize(
    ("path", "method", "rule"),
    [
        ("/items/7", "GET", "/items/<id>"),
        ("/outer/inner/7/items/8", "GET", "/outer/inner/<int:n>/items/<id>"),
        ("/outer/inner/x/items/8", "GET", None),
        ("/items/7", "PUT", "/items/<id>"),
        ("/items/7", "OPTIONS", "/items/<id>"),
        ("/slash", "GET", None),
        ("/static/a.css", "GET", "/static/<path:filename>"),
        ("/nothing", "GET", None),
    ],
)
def test_rules(app: Flask, path: str, method: str, rule: str | None, harness: Harness) -> None:
    """The rule as it was written, the prefixes of nested blueprints included; a redirect to the slash has none."""
    assert route_of(instrument(app), harness, path, method) == rule


@pytest.mark.parametrize("whole", [True, False])
def test_below_a_dispatcher(app: Flask, whole: bool, harness: Harness) -> None:
    """The dispatcher's mount is part of the rule, whether the part or the whole is instrumented, or both."""
    dispatcher: Any = DispatcherMiddleware(
        Flask("other"), {"/shop": instrument(app).wsgi_app if whole else instrument(app)}
    )

    assert route_of(instrument(dispatcher) if whole else dispatcher, harness, "/shop/items/7") == "/shop/items/<id>"


@pytest.mark.parametrize("wrap", [ProxyFix, lambda app: ProxyFix(ProxyFix(app))])
def test_middleware_around_the_application(app: Flask, wrap: Callable[[Any], Any], harness: Harness) -> None:
    """What is inside of middleware says its rule, and is left as it was afterwards."""
    wrapped = wrap(app)
    instrumented = instrument(wrapped)

    assert route_of(instrumented, harness, "/items/7") == "/items/<id>"
    assert uninstrument(instrumented) is wrapped
    assert type(app) is Flask


def test_middleware_that_is_put_on_later_is_inside(app: Flask, harness: Harness) -> None:
    """`app.wsgi_app = …` after instrumenting leaves one record, and can be there when we go."""
    instrument(app)
    app.wsgi_app = ProxyFix(app.wsgi_app)  # type: ignore[method-assign]  # Flask's own advice

    assert route_of(app, harness, "/items/7") == "/items/<id>"
    assert type(uninstrument(app)) is Flask


def test_an_error_page_is_the_applications_and_the_exception_ours(app: Flask, harness: Harness) -> None:
    """A handler for 500 answers as before, inside of the request's trace."""

    @app.errorhandler(500)
    def page(error: Exception) -> tuple[str, int]:
        look()
        return "sorry", 503

    SEEN.clear()
    answer = call_wsgi(instrument(app), "/boom")

    assert (answer.status, answer.body) == (503, b"sorry")
    assert isinstance(harness.event.exception, BrokenError)
    assert set(SEEN) == {harness.event.trace_id}


def test_an_exception_that_becomes_a_4xx_is_no_failure(app: Flask, harness: Harness) -> None:
    """The application has handled it: INFO, no error.type."""

    @app.errorhandler(500)
    def page(error: Exception) -> tuple[str, int]:
        return "not here", 404

    call_wsgi(instrument(app), "/boom")

    assert (harness.event.level, harness.event.exception) == ("INFO", None)
    assert "error.type" not in harness.event.attributes


def test_an_exception_that_flask_lets_through_is_recorded_once(app: Flask, harness: Harness) -> None:
    """With PROPAGATE_EXCEPTIONS, as in tests, it reaches the server."""
    app.config["PROPAGATE_EXCEPTIONS"] = True

    answer = call_wsgi(instrument(app), "/boom")

    assert isinstance(answer.error, BrokenError)
    assert harness.event.exception is answer.error
    assert "http.response.status_code" not in harness.event.attributes


def test_a_streamed_body_is_inside(app: Flask, harness: Harness) -> None:
    """Each step has the ids and Flask's request; its bytes count."""
    SEEN.clear()
    answer = call_wsgi(instrument(app), "/stream")

    assert answer.body == b"a/stream"
    assert harness.event.attributes["http.response.body.size"] == 8
    assert set(SEEN) == {harness.event.trace_id}


def test_the_test_client_makes_records(app: Flask, harness: Harness) -> None:
    """`app.test_client()` is a server as any other; `environ["otelbridge.access_log"]` is the record."""

    @app.before_request
    def tenant() -> None:
        request.environ["otelbridge.access_log"].tenant = "acme"

    assert instrument(app).test_client().get("/items/7").text == "hello"

    assert harness.event.attributes["tenant"] == "acme"

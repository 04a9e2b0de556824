"""Flask: the rule that a request matched, and the exception behind its page for status 500."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any

from otelbridge.access.observe import ENVIRON_KEY, EXCEPTION_KEY
from otelbridge.access.wsgi import ROUTE_KEY, Environ, route_template
from otelbridge.integrations.frameworks import Framework, Overrides, RouteOf

# Where an application leaves its request for `route_of`: Flask's own key is empty again before the body is sent.
REQUEST_KEY = "otelbridge.request"


def rule_of(app: Any, request: Any) -> str | None:
    """Return the rule that a request of Werkzeug matched, with another method if that is what was wrong (405)."""
    rule = request.url_rule
    if rule is None:
        methods = getattr(request.routing_exception, "valid_methods", None)
        if not methods:
            return None
        rule = app.create_url_adapter(request).match(method=next(iter(methods)), return_rule=True)[0]
    return str(rule.rule)


def handling_exceptions(kind: type, name: str, current: Callable[[], MutableMapping[str, Any]]) -> Callable[..., Any]:
    """Return the method `name` of `kind`, which is told the exceptions nobody handled, noting them in `current()`."""

    def handle_exception(self: Any, *arguments: Any) -> Any:
        with suppress(LookupError, RuntimeError):  # somebody else's call, outside of a request
            current()[EXCEPTION_KEY] = arguments[-1]
        return getattr(kind, name)(self, *arguments)

    return handle_exception


def _route_of(app: Any) -> RouteOf:
    def route_of(environ: Environ) -> str | None:
        if ROUTE_KEY not in environ:
            # The request holds the environ: taken out, so that both go at once.
            request = environ.pop(REQUEST_KEY, None)
            rule = None if request is None else rule_of(app, request)
            if rule is None:
                return None
            environ[ROUTE_KEY] = rule
        return route_template(environ)

    return route_of


def _overrides(kind: type) -> Overrides:
    base: Any = kind

    def request_context(self: Any, environ: Environ) -> Any:
        context = base.request_context(self, environ)
        if ENVIRON_KEY in environ:
            environ[REQUEST_KEY] = context.request
        return context

    def environ() -> Environ:
        from flask import request

        found: Environ = request.environ
        return found

    return {
        "request_context": request_context,
        "handle_exception": handling_exceptions(kind, "handle_exception", environ),
    }


FLASK = Framework(
    classes=frozenset({"flask.app.Flask"}),
    interface="wsgi",
    # The method itself, as it is looked up, would be another object each time.
    stack=lambda app: vars(app).get("wsgi_app"),
    route_of=_route_of,
    overrides=_overrides,
)

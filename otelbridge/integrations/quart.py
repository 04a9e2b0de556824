"""Quart: the rule that a request or socket matched, and the exception behind its page for status 500."""

from __future__ import annotations

from typing import Any, cast

from otelbridge.access.asgi import Scope, route_template
from otelbridge.access.observe import STATE_KEY
from otelbridge.integrations.flask import REQUEST_KEY, handling_exceptions, rule_of
from otelbridge.integrations.frameworks import Framework, Overrides, RouteOf


def _route_of(app: Any) -> RouteOf:
    def route_of(scope: Scope) -> str | None:
        request = scope.pop(REQUEST_KEY, None)
        rule = None if request is None else rule_of(app, request)
        if rule is not None and "route" not in scope:
            scope["route"] = rule
        return route_template(scope)

    return route_of


def _overrides(kind: type) -> Overrides:
    base: Any = kind

    def request_context(self: Any, request: Any) -> Any:
        _leave(request)
        return base.request_context(self, request)

    def websocket_context(self: Any, websocket: Any) -> Any:
        _leave(websocket)
        return base.websocket_context(self, websocket)

    def scope() -> Scope:
        from quart import request

        return cast("Scope", request.scope)

    return {
        "request_context": request_context,
        "websocket_context": websocket_context,
        "handle_exception": handling_exceptions(kind, "handle_exception", scope),
    }


def _leave(request: Any) -> None:
    """Leave a request or socket for `route_of`, if it is observed."""
    if STATE_KEY in (request.scope.get("state") or ()):
        request.scope[REQUEST_KEY] = request


QUART = Framework(
    classes=frozenset({"quart.app.Quart"}),
    interface="asgi",
    stack=lambda app: vars(app).get("asgi_app"),
    route_of=_route_of,
    overrides=_overrides,
)

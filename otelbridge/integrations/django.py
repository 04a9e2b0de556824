"""Django: the route that a request matched, and the exception behind its page for status 500."""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from typing import Any
from weakref import WeakSet

from opentelemetry.trace import get_current_span

from otelbridge.access.observe import EXCEPTION_KEY
from otelbridge.access.wsgi import ROUTE_KEY
from otelbridge.integrations.frameworks import Framework, Overrides
from otelbridge.integrations.opentelemetry import SPAN_KEY

_connected: WeakSet[Any] = WeakSet()


def _mapping(request: Any) -> MutableMapping[str, Any]:
    """Return the scope, or the environ."""
    found: MutableMapping[str, Any] = getattr(request, "scope", None) or request.META
    return found


def _overrides(kind: type) -> Overrides:
    base: Any = kind

    def resolve_request(self: Any, request: Any) -> Any:
        mapping = _mapping(request)
        # OpenTelemetry's own middleware is around this, and its span is nowhere to be found afterwards.
        mapping[SPAN_KEY] = get_current_span()
        match = base.resolve_request(self, request)
        mapping["route" if hasattr(request, "scope") else ROUTE_KEY] = _template(match.route, request)
        return match

    return {"resolve_request": resolve_request}


def _template(route: str, request: Any) -> str:
    """Return what `path()` was given, with a slash before it only where a prefix will stand before that."""
    return f"/{route}" if not route or request.META.get("SCRIPT_NAME") else route


def _note_exception(sender: object, *, request: Any = None, **rest: object) -> None:  # noqa: ARG001
    try:
        if request is not None:
            _mapping(request)[EXCEPTION_KEY] = sys.exc_info()[1]
    except Exception:
        return  # a request of somebody's own making


def _connect(app: Any) -> None:
    from django.core.signals import got_request_exception

    _connected.add(app)
    got_request_exception.connect(_note_exception, dispatch_uid="otelbridge")


def _disconnect(app: Any) -> None:
    from django.core.signals import got_request_exception

    _connected.discard(app)
    if not _connected:
        got_request_exception.disconnect(dispatch_uid="otelbridge")


DJANGO = Framework(
    classes=frozenset({"django.core.handlers.wsgi.WSGIHandler"}),
    interface="wsgi",
    stack=lambda app: getattr(app, "_middleware_chain", None),
    overrides=_overrides,
    connect=_connect,
    disconnect=_disconnect,
)
DJANGO_ASGI = Framework(
    classes=frozenset({"django.core.handlers.asgi.ASGIHandler"}),
    interface="asgi",
    stack=lambda app: getattr(app, "_middleware_chain", None),
    overrides=_overrides,
    connect=_connect,
    disconnect=_disconnect,
)

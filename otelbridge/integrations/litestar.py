"""Litestar: the template that its router puts into the scope, and the exceptions that it answers itself."""

from __future__ import annotations

from typing import Any

from otelbridge.access.asgi import Scope
from otelbridge.access.observe import EXCEPTION_KEY, STATE_KEY
from otelbridge.access.record import client_text
from otelbridge.integrations.frameworks import Framework

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD")


class Templates:
    """The templates of an application's routes."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._route_count = 0
        self._plain: set[str] = set()
        self._mounts: dict[int, list[str]] = {}

    def __call__(self, scope: Scope) -> str | None:
        """Return the template of the route that this request took, the server's root path in front of it."""
        template = scope.get("path_template")
        if not isinstance(template, str):
            template = _other_method(self._app, scope)
        elif not template:
            template = self._unsaid(scope)
        if template is None:
            return None
        root = scope.get("root_path")
        return client_text(root.rstrip("/") + template if isinstance(root, str) else template)

    def _unsaid(self, scope: Scope) -> str | None:
        """Return what Litestar says of no mount, and old ones of no route without parameters: its path."""
        routes = self._app.routes
        if len(routes) != self._route_count:
            self._route_count = len(routes)
            self._plain = {route.path_format for route in routes if "{" not in route.path_format}
            self._mounts = {}
            for route in routes:
                handler = getattr(route, "route_handler", None)
                if getattr(handler, "is_mount", False):
                    self._mounts.setdefault(id(handler), []).append(route.path_format)
        path = _path(scope)
        mounts = [mount for mount in self._mounts.get(id(scope.get("route_handler")), ()) if path.startswith(mount)]
        return max(mounts, key=len, default=path if path in self._plain else None)


def _other_method(app: Any, scope: Scope) -> str | None:
    """Return the template of the route that would have taken another method: Litestar forgets it (405)."""
    if scope["state"][STATE_KEY].status != 405:
        return None
    path = _path(scope)
    for method in _METHODS:
        try:
            return str(app.asgi_router.handle_routing(path=path, method=method)[-1])
        except Exception:
            continue  # the answer of Litestar: not this method either
    return None


def _path(scope: Scope) -> str:
    """Return the path as Litestar's router sees it; the one in the scope may be what a mount has left of it."""
    path: str = scope["state"][STATE_KEY].path
    return "/" + path.removeprefix(scope.get("root_path") or "").strip("/")


async def _note_exception(error: Exception, scope: Scope) -> None:
    # Those with a status are answers that somebody chose.
    if not hasattr(error, "status_code"):
        scope[EXCEPTION_KEY] = error


def _connect(app: Any) -> None:
    if _note_exception not in app.after_exception:
        app.after_exception.append(_note_exception)


def _disconnect(app: Any) -> None:
    if _note_exception in app.after_exception:
        app.after_exception.remove(_note_exception)


LITESTAR = Framework(
    classes=frozenset({"litestar.app.Litestar"}),
    interface="asgi",
    stack=lambda app: app.asgi_handler,
    route_of=Templates,
    connect=_connect,
    disconnect=_disconnect,
)

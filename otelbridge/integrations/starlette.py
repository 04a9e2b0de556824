"""Starlette and FastAPI: the template of the route that a request took, mounts and included routers in front of it.

Old Starlettes leave the endpoint in the scope, newer ones the route; FastAPI a context per inclusion of a router. None
of them knows what it is mounted below, so each application has an index, made when a request ends at an unknown route.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from otelbridge.access.asgi import Scope, route_template
from otelbridge.access.record import client_text
from otelbridge.integrations.frameworks import Framework

# Routes that are made while the application runs cost a new index each; after so many, the scope alone has to do.
_INDEX_COUNT_MAX = 64
_DEPTH_MAX = 16
_SPANNING_SIZE_MAX = 256
_EXCLUDE_BEFORE = "otelbridge.exclude_before"
_PARAMETER = re.compile(r"{\w+}")


@dataclass(frozen=True, slots=True)
class _Place:
    """One way to a route. `key` is held so that no other object gets its id; `prefix` are the mounts in front of it."""

    key: object
    template: str | None
    prefix: str
    is_mount: bool = False

    def fits(self, path: str, parameter: str) -> bool:
        """Return whether the template could have matched `path`, with each parameter as the pattern `parameter`."""
        if self.template is None:
            return False
        template, rest = (self.template.rstrip("/"), "(?:/.*)?") if self.is_mount else (self.template, "")
        pattern = parameter.join(map(re.escape, _PARAMETER.split(template)))
        return re.fullmatch(pattern + rest, path, re.DOTALL) is not None


class Templates:
    """The templates of an application's routes."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._places: dict[int, list[_Place]] = {}
        self._unknown: list[object] = []
        self._index_count = 0

    def __call__(self, scope: Scope) -> str | None:
        """Return the template of the route that this request took, what is in front of the application included."""
        route = scope.get("route")
        if isinstance(route, str):
            return route_template(scope)  # a mounted application of another kind has said it
        key = _included(scope, route) or route or scope.get("endpoint")
        if key is None:
            return None
        place = self._find(key, scope, is_route=route is not None)
        if place is None:
            # A mount of others' is in the scope before we are: we found nothing of our own.
            return None if hasattr(key, "routes") else route_template(scope)
        if place.template is None:
            return None
        root = scope.get("root_path")
        if not root or root == place.prefix:
            return place.template
        return _above(scope, place) + place.template

    def _find(self, key: object, scope: Scope, *, is_route: bool) -> _Place | None:
        for _ in range(2):
            places = self._places.get(id(key))
            if places is not None:
                place = places[0] if is_route and len(places) == 1 else _choose(places, scope)
                # An endpoint may have got another route since.
                if place is not None or is_route:
                    return place
            if self._index_count == _INDEX_COUNT_MAX:
                break
            self._make_index(key)
        return None

    def _make_index(self, key: object) -> None:
        self._index_count += 1
        index: dict[int, list[_Place]] = {}
        for place in _places(self._app.routes, "", 0):
            index.setdefault(id(place.key), []).append(place)
        if id(key) not in index:
            self._unknown.append(key)  # so that nothing else gets its id
        index.update((id(unknown), []) for unknown in self._unknown if id(unknown) not in index)
        self._places = index


def _included(scope: Scope, route: object) -> object | None:
    """Return FastAPI's context of a route that came by `include_router`: the route itself does not know the prefix."""
    fastapi = scope.get("fastapi")
    context = fastapi.get("effective_route_context") if isinstance(fastapi, dict) else None
    return context if context is not None and getattr(context, "original_route", None) is route else None


def _places(routes: Any, prefix: str, depth: int) -> Iterator[_Place]:
    for route in list(routes or ()) if depth < _DEPTH_MAX else ():
        contexts = getattr(route, "effective_route_contexts", None)
        if contexts is not None:
            for context in contexts():
                inner = getattr(context, "starlette_route", None)
                if getattr(inner, "path_format", None) is not None:
                    yield from _route_places(inner, prefix, depth, key=getattr(context, "original_route", inner))
                    yield from _route_places(inner, prefix, depth, key=context)
                    yield from _route_places(inner, prefix, depth, key=inner)
                else:
                    yield from _route_places(context, prefix, depth, key=context)
        else:
            yield from _route_places(route, prefix, depth, key=route)


def _route_places(route: Any, prefix: str, depth: int, *, key: object) -> Iterator[_Place]:
    path = getattr(route, "path_format", None)
    if hasattr(route, "host_format"):
        yield _Place(key, None, prefix)
        yield from _places(getattr(route, "routes", ()), prefix, depth + 1)
    elif isinstance(path, str) and hasattr(route, "routes"):  # a mount, whose format ends in the rest of the path
        mounted = prefix + path.removesuffix("/{path}")
        inner = list(route.routes or ())
        # A request that ends at a mount with routes found none of them.
        template = None if inner else mounted or "/"
        yield _Place(key, template, mounted, is_mount=True)
        yield _Place(route.app, template, mounted, is_mount=True)
        yield from _places(inner, mounted, depth + 1)
    elif isinstance(path, str):
        yield _Place(key, prefix + path, prefix)
        yield _Place(getattr(route, "endpoint", None), prefix + path, prefix)


def _choose(places: list[_Place], scope: Scope) -> _Place | None:
    """Return the place that this request came by, when a router is mounted twice or an endpoint has several routes."""
    path = scope.get("path")
    if not isinstance(path, str):
        return None
    # A parameter may span segments (`{rest:path}`), which is the rarer case, and slow to find in a path made for that.
    for parameter in ("[^/]+", ".+") if len(path) <= _SPANNING_SIZE_MAX else ("[^/]+",):
        for place in places:
            if place.fits(path.removeprefix("/".join(_segments_above(scope, place))), parameter):
                return place
    return None


def _segments_above(scope: Scope, place: _Place) -> list[str]:
    """Return what of the root path is in front of the application: the rest is mounts of its own."""
    root = scope.get("root_path")
    segments = root.rstrip("/").split("/") if isinstance(root, str) else []
    depth = place.prefix.count("/")
    return segments[: len(segments) - depth] if len(segments) > depth else []


def _above(scope: Scope, place: _Place) -> str:
    """Return what is in front of the application: the server's root path, and mounts of others as templates."""
    segments = _segments_above(scope, place)
    parameters = scope.get("path_params")
    if isinstance(parameters, Mapping):
        names = {str(value): name for name, value in parameters.items() if f"{{{name}}}" not in (place.template or "")}
        segments = [f"{{{names[segment]}}}" if segment in names else segment for segment in segments]
    return client_text("/".join(segments))


def _stack(app: Any) -> object:
    """Return the middleware; it is made before the first request, as Starlette would."""
    if getattr(app, "middleware_stack", None) is None:
        app.middleware_stack = app.build_middleware_stack()
    return app.middleware_stack


def _every(scope: Scope) -> bool:  # noqa: ARG001
    """Exclude every request from FastAPI's own telemetry."""
    return True


def _connect(app: Any) -> None:
    # FastAPI's own spans and metrics, of requests that we were told to exclude, too.
    telemetry = getattr(app, "_telemetry", None)
    if isinstance(telemetry, dict) and telemetry.get("exclude") is not _every:
        telemetry[_EXCLUDE_BEFORE], telemetry["exclude"] = telemetry.get("exclude"), _every


def _disconnect(app: Any) -> None:
    telemetry = getattr(app, "_telemetry", None)
    if isinstance(telemetry, dict) and _EXCLUDE_BEFORE in telemetry:
        telemetry["exclude"] = telemetry.pop(_EXCLUDE_BEFORE)


STARLETTE = Framework(
    classes=frozenset({"starlette.applications.Starlette"}),
    interface="asgi",
    stack=_stack,
    route_of=Templates,
    connect=_connect,
    disconnect=_disconnect,
)

"""Side by side with other instrumentation of the same request: exactly one SERVER span and one set of points.

OpenTelemetry's own, around the application or inside it, makes both; we keep the access record, which gets that span's
ids. What FastAPI and Starlette bring themselves gives way to us: it would begin as soon as we set the providers.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, MutableMapping
from typing import Any

from opentelemetry.trace import Span

# Where hooks leave the span that was made inside, in the scope or environ.
SPAN_KEY = "otelbridge.span"

_CONTRIB = "opentelemetry.instrumentation."
# Where applications and middleware keep what they call next.
_INWARD = (
    "app",
    "asgi_app",
    "wsgi_app",
    "application",
    "wsgi",
    "open_telemetry_middleware",
    "get_response",
    "func",
    "__wrapped__",
)
_VISITED_MAX = 200
# The hook with which the middleware tells of its span: (span, scope or environ).
_HOOKS = ("server_request_hook", "request_hook")
_FLASK_SPAN_KEY = "opentelemetry-flask.span_key"
_UNSEEN = object()


class Inside:
    """Watches what is inside an application, its `stack`: looked at again when that is another object.

    around: middleware that is around the application, but inside of us.
    """

    def __init__(self, app: Any, stack: Callable[[Any], object], *, around: object = None) -> None:
        self._app = app
        self._stack = stack
        self._around = around
        self._seen: object = _UNSEEN
        self._is_found = False
        self._hooked: list[tuple[Any, str, _Hook]] = []

    def makes_span(self, request: MutableMapping[str, Any]) -> bool:
        """Return whether span and points of a request (scope or environ) will be made inside. Raises nothing."""
        try:
            if "type" in request and "starlette" in sys.modules:
                request.setdefault("fastapi.telemetry", None)
                request.setdefault("starlette.opentelemetry", True)
            stack = self._stack(self._app)
            if stack is not self._seen:
                self._seen = stack
                self._look(stack)
            # Flask's instrumentor leaves plain functions, and this mark.
            return self._is_found or ("wsgi.version" in request and _is_marked(self._app))
        except Exception:
            return False

    def span_of(self, request: MutableMapping[str, Any]) -> Span | None:
        """Return the span that was made inside for a request; None if there is none."""
        span = request.get(SPAN_KEY) or request.get(_FLASK_SPAN_KEY)
        return span if isinstance(span, Span) and span.get_span_context().is_valid else None

    def close(self) -> None:
        """Take our hooks out of the middleware again."""
        for middleware, name, hook in self._hooked:
            if getattr(middleware, name, None) is hook:
                setattr(middleware, name, hook.before)
        self._hooked.clear()
        self._seen = _UNSEEN

    def _look(self, stack: object) -> None:
        self.close()
        self._seen = stack
        self._is_found = False
        waiting, visited = deque([self._around, stack]), set[int]()
        while waiting and len(visited) < _VISITED_MAX:
            layer = waiting.popleft()
            if layer is None or id(layer) in visited:
                continue
            visited.add(id(layer))
            if type(layer).__module__.startswith(_CONTRIB):
                self._is_found = True
                self._listen(layer)
            waiting.extend(getattr(layer, name, None) for name in _INWARD)

    def _listen(self, middleware: Any) -> None:
        for name in _HOOKS:
            before = getattr(middleware, name, _UNSEEN)
            if before is not _UNSEEN and not isinstance(before, _Hook):
                hook = _Hook(before)
                setattr(middleware, name, hook)
                self._hooked.append((middleware, name, hook))


class _Hook:
    """Leaves the span in the scope or environ, and calls the hook that was there before."""

    __slots__ = ("before",)

    def __init__(self, before: Any) -> None:
        self.before = before

    def __call__(self, span: Span, request: MutableMapping[str, Any]) -> None:
        request[SPAN_KEY] = span
        if callable(self.before):
            self.before(span, request)


def _is_marked(app: Any) -> bool:
    return bool(getattr(app, "_is_instrumented_by_opentelemetry", False))

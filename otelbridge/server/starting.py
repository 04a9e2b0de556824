"""An application that is instrumented when it has started: what it configures while it starts comes first."""

from __future__ import annotations

from typing import Any

from otelbridge.access.asgi import ASGIApp, Message, Receive, Scope, Send
from otelbridge.access.lifespan import serve_lifespan
from otelbridge.access.servers import is_observed
from otelbridge.integrations.apps import instrument


class StartingApp:
    """An ASGI application, instrumented at the end of its startup, or with its first request, unless it has done so."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._is_begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a scope of any type."""
        if scope["type"] != "lifespan":
            if not self._is_begun:
                self._begin()
            await self._app(scope, receive, send)
            return

        async def begin_and_send(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._begin()
            await send(message)

        await serve_lifespan(self._app, scope, receive, begin_and_send)

    def _begin(self) -> None:
        self._is_begun = True
        if not is_observed():
            self._app = instrument(self._app)


def instrumented(app: Any, mode: str) -> Any:
    """Return an application, loaded, to be served instrumented. TypeError, ConfigError: as `instrument`."""
    if is_observed():
        return app
    return StartingApp(app) if mode == "asgi" else instrument(app)

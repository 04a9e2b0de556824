"""WSGI applications on Hypercorn, where it fails them: on trio at the start, and with answers that have no body."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import hypercorn.utils
from hypercorn.app_wrappers import WSGIWrapper

from otelbridge.server.broken import record


class ServedWSGIWrapper(WSGIWrapper):
    """Hypercorn's bridge from ASGI to a WSGI app, which serves the lifespan and passes on empty answers, too.

    Hypercorn's own leaves the lifespan at once, which its trio worker takes for a failure; and it sends headers with
    the first piece of a body: an answer without one (to HEAD, of 204) becomes a 500.
    """

    async def __call__(self, scope: Any, receive: Any, send: Any, sync_spawn: Any, call_soon: Any) -> None:
        """Serve a scope of any type."""
        if scope["type"] == "lifespan":
            for word in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{word}.complete"})
        elif scope["type"] == "http":
            await self._serve_request(scope, receive, send, sync_spawn, call_soon)
        else:
            await super().__call__(scope, receive, send, sync_spawn, call_soon)

    async def _serve_request(self, scope: Any, receive: Any, send: Any, sync_spawn: Any, call_soon: Any) -> None:
        """Serve a request; one that Hypercorn answers before the app is asked (a body too large) is recorded here."""
        began_s = time.monotonic()
        is_asked = False

        def ask(*work: Any) -> Any:
            nonlocal is_asked
            is_asked = True
            return sync_spawn(*work)

        async def send_recorded(message: Any) -> None:
            if not is_asked and message["type"] == "http.response.start":
                record(scope, message["status"], time.monotonic() - began_s)
            await send(message)

        await super().__call__(scope, receive, send_recorded, ask, call_soon)

    def run_app(self, environ: Any, send: Any) -> None:
        """Call the app, in a thread."""
        WSGIWrapper(partial(_answer, self.app), self.max_body_size).run_app(environ, send)


def _answer(app: Any, environ: Any, start_response: Any) -> Iterable[bytes]:
    return _Body(app(environ, start_response))


class _Body:
    """A body of at least one piece."""

    def __init__(self, body: Iterable[bytes]) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        has_begun = False
        for piece in self._body:
            has_begun = True
            yield piece
        if not has_begun:
            yield b""

    def close(self) -> None:
        """Close it, if it can be closed."""
        close = getattr(self._body, "close", None)
        if close is not None:
            close()


def install() -> None:
    """Have this process's Hypercorn serve WSGI apps by `ServedWSGIWrapper`."""
    hypercorn.utils.WSGIWrapper = ServedWSGIWrapper  # type: ignore[attr-defined]

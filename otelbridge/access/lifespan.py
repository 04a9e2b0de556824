"""ASGI's lifespan: what is pending is sent before the server hears that the app has ended. Observes nothing.

That is the last moment there is: uvicorn ends its processes by the signal that stopped them, past all exit handlers.
An app that knows no lifespan would lose this moment, so its lifespan is served here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from otelbridge.access.backends import flush_at_end

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]

_ENDS = ("lifespan.shutdown.complete", "lifespan.shutdown.failed")


async def serve_lifespan(
    app: Callable[[Any, _Receive, _Send], Awaitable[None]], scope: object, receive: _Receive, send: _Send
) -> None:
    """Serve a scope of type lifespan.

    Raises what the app raises, unless it did so before it asked for a message: then it knows no lifespan. Where the
    server insists on one (`uvicorn --lifespan on`), that is raised as well.
    """
    lifespan = _Lifespan(receive, send)
    try:
        await app(scope, lifespan.receive, lifespan.send)
    except Exception:
        if lifespan.is_known or _insists(receive):
            raise
    if not lifespan.is_known:
        await lifespan.answer()


class _Lifespan:
    """One lifespan between server and app."""

    def __init__(self, receive: _Receive, send: _Send) -> None:
        self._receive = receive
        self._send = send
        self.is_known = False

    async def receive(self) -> _Message:
        """Pass a message from the server on."""
        self.is_known = True
        return await self._receive()

    async def send(self, message: _Message) -> None:
        """Pass a message from the app on; the last one waits until what is pending was sent, for 2 s at most.

        ValueError: an answer, by an app that takes every scope for a request.
        """
        if not str(message.get("type")).startswith("lifespan."):
            msg = f"a lifespan must be answered by lifespan messages, got {message.get('type')!r}"
            raise ValueError(msg)
        self.is_known = True
        if message.get("type") in _ENDS:
            await _flush()
        await self._send(message)

    async def answer(self) -> None:
        """Say on the app's behalf that it has started, and that it has ended."""
        for word in ("startup", "shutdown"):
            if (await self._receive()).get("type") != f"lifespan.{word}":
                return
            await self.send({"type": f"lifespan.{word}.complete"})


async def _flush() -> None:
    try:
        await asyncio.get_running_loop().run_in_executor(None, flush_at_end)
    except RuntimeError:
        # trio, or a loop that takes no more work. No request is under way any more that would have to wait.
        flush_at_end()


def _insists(receive: _Receive) -> bool:
    config = getattr(getattr(receive, "__self__", None), "config", None)
    return getattr(config, "lifespan", None) == "on"

"""How a worker leaves without losing a request: it accepts no connection any more, and its answers end theirs.

Hypercorn closes connections without a request at once when it ends, and clients that have sent their next one just then
lose it. So a worker first stops accepting, and tells HTTP/1 clients with each answer that it was the connection's last.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import hypercorn.config


class Drain:
    """Whether this worker is leaving, and the doors that are closed then."""

    def __init__(self) -> None:
        self.has_begun = False
        self._doors: list[Callable[[], object]] = []

    def add_door(self, close: Callable[[], object]) -> None:
        """Have `close` called when the worker leaves."""
        self._doors.append(close)

    def begin(self) -> None:
        """Accept no more connections; end the others with their next answer."""
        self.has_begun = True
        for close in self._doors:
            close()


def draining_config(kind: type[hypercorn.config.Config], drain: Drain) -> type[hypercorn.config.Config]:
    """Return a subclass of a Config's class, whose HTTP/1 answers say `connection: close` once `drain` has begun."""

    class Draining(kind):  # type: ignore[misc, valid-type]  # the base is a value
        def response_headers(self, protocol: str) -> list[tuple[bytes, bytes]]:
            headers: list[tuple[bytes, bytes]] = super().response_headers(protocol)
            if drain.has_begun and protocol == "h11":
                headers.append((b"connection", b"close"))
            return headers

    Draining.__name__, Draining.__qualname__ = kind.__name__, kind.__qualname__
    return Draining


class _Door:
    """A listening server as Hypercorn sees it.

    `wait_closed` does not wait: since Python 3.12 it does so for connections, which are given the graceful timeout only
    after it.
    """

    def __init__(self, server: asyncio.Server) -> None:
        self._server = server

    async def wait_closed(self) -> None:
        return

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)


def loop_class(base: type[Any], drain: Drain, descriptors: frozenset[int]) -> type[Any]:
    """Return an event loop's class whose servers on the sockets `descriptors` close when `drain` begins."""

    class Loop(base):  # type: ignore[misc]  # the base is a value
        async def create_server(self, *arguments: Any, **options: Any) -> Any:
            server = await super().create_server(*arguments, **options)
            sock = options.get("sock")
            if sock is None or sock.fileno() not in descriptors:
                return server
            # asyncio loses connections that it has accepted a moment before a server is closed; so that comes later.
            is_plain = isinstance(self, asyncio.SelectorEventLoop)
            drain.add_door(partial(self.remove_reader, sock) if is_plain else server.close)
            return _Door(server)

    return Loop


def install_trio(drain: Drain) -> None:
    """Have Hypercorn's trio worker stop accepting when `drain` begins, which it offers no way to ask for."""
    import hypercorn.trio.run
    import trio

    class Trio(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            return getattr(trio, name)

        @staticmethod
        async def serve_listeners(handler: Callable[..., Awaitable[object]], listeners: Any, **options: Any) -> None:
            with trio.CancelScope() as accepting:
                drain.add_door(accepting.cancel)
                await trio.serve_listeners(handler, listeners, **options)
            await trio.sleep_forever()

    hypercorn.trio.run.trio = Trio("trio")  # type: ignore[attr-defined]

"""Requests that go wrong, recorded once each.

Hypercorn answers a request line of 200 KB, or drops one that stays incomplete, without a word to its access log; of
others it tells twice: of a client that leaves in the middle of its answer, and again when the app has ended. In our
workers each is one line and one access record.
"""

from __future__ import annotations

import time
from typing import Any

import h11
import hypercorn.protocol
import hypercorn.protocol.h2
import hypercorn.protocol.h11
import hypercorn.protocol.http_stream
import hypercorn.protocol.ws_stream
from hypercorn.events import Closed, Event, RawData
from hypercorn.protocol.events import EndBody, StreamClosed
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream

from otelbridge.access.servers import newest


class RecordedH11Protocol(H11Protocol):
    """HTTP/1 whose unusable requests reach `config.log.access`, with an empty method and path.

    With a status where Hypercorn has answered (400 and its like), without a response where the client left, or was
    too slow, before its request was complete.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._began_s = 0.0
        self._is_told = False

    async def handle(self, event: Event) -> None:
        """Pass an event on; note when a request begins, and whether the connection ended within one."""
        if isinstance(event, RawData):
            if not self.connection.trailing_data[0]:
                self._began_s = time.monotonic()
        elif isinstance(event, Closed) and self._has_part_of_request():
            await self._tell(None)
        await super().handle(event)

    def _has_part_of_request(self) -> bool:
        # After an error the rest is that of a request which was told of.
        has_failed = self.connection.their_state is h11.ERROR
        return self.stream is None and not has_failed and bool(self.connection.trailing_data[0])

    async def _send_error_response(self, status_code: int) -> None:
        await super()._send_error_response(status_code)
        if self.stream is None:
            await self._tell({"status": status_code, "headers": []})

    async def _tell(self, response: Any) -> None:
        if self._is_told:
            return
        self._is_told = True
        scope: Any = {
            "type": "http",
            "asgi": {"spec_version": "2.1", "version": "3.0"},
            "http_version": "1.1",
            "method": "",
            "scheme": "https" if self.ssl else "http",
            "path": "",
            "raw_path": b"",
            "query_string": b"",
            "root_path": self.config.root_path,
            "headers": [],
            "client": self.client,
            "server": self.server,
            "state": {},
            "extensions": {},
        }
        duration_s = time.monotonic() - self._began_s
        record(scope, None if response is None else response["status"], duration_s)
        await self.config.log.access(scope, response, duration_s)


class RecordedH2Protocol(H2Protocol):
    """HTTP/2 whose apps learn that their client is gone, and so end, though the answer had no room on its way.

    Hypercorn's own have them wait for ever, unrecorded, for a client that reset its stream to read on.
    """

    async def _close_stream(self, stream_id: int) -> None:
        await super()._close_stream(stream_id)
        buffer = self.stream_buffers.get(stream_id)
        if buffer is not None:
            await buffer.close()


class RecordedHTTPStream(HTTPStream):
    """A request that is told of once, whether its client or the app ends it, or both at the same time.

    One that the server refuses by itself is over when it is complete: Hypercorn would keep its connection for ever.
    """

    async def handle(self, event: Any) -> None:
        """Take what comes from the client."""
        is_refused = self.closed
        await super().handle(event)
        if is_refused and isinstance(event, EndBody):
            await self.send(StreamClosed(stream_id=self.stream_id))

    async def _send_closed(self) -> None:
        if self.closed:
            # Its line was written when the client left; one that has only stopped sending still gets the end.
            await self.send(EndBody(stream_id=self.stream_id))
            self.state = ASGIHTTPState.CLOSED
            await self.send(StreamClosed(stream_id=self.stream_id))
            return
        # Before the last bytes, not after: a client that has them may leave while we still wait.
        self.state = ASGIHTTPState.CLOSED
        await super()._send_closed()

    async def _send_error_response(self, status_code: int) -> None:
        self.state = ASGIHTTPState.CLOSED
        if getattr(self, "app_put", None) is None:  # no app was asked
            record(self.scope, status_code, time.time() - self.start_time)
        await super()._send_error_response(status_code)


class RecordedWSStream(WSStream):
    """A WebSocket session that is told of once, though the app fails in its handshake."""

    async def app_send(self, message: Any) -> None:
        """Pass on what the app says; None: it has ended."""
        if message is None and not self.closed and self.state is ASGIWebsocketState.HANDSHAKE:
            self.state = ASGIWebsocketState.HTTPCLOSED
            await self._send_error_response(500)
        await super().app_send(message)


def record(scope: Any, status: int | None, duration_s: float) -> None:
    """Make the record of a request that no app hears of, as one of this process's app. `status`: None without answer.

    The logger cannot tell: of others that were not answered it is the app that tells.
    """
    observer = newest()
    observation = None if observer is None else observer.open_asgi(scope)
    if observation is None:
        return
    observation.record.status = status
    observation.record.duration_ns = max(round(duration_s * 1e9), 0)
    observation.record.start_ns -= observation.record.duration_ns
    observation.end(client_left=status is None)


def install() -> None:
    """Have this process's Hypercorn speak HTTP by the classes of this module."""
    hypercorn.protocol.H11Protocol = RecordedH11Protocol  # type: ignore[attr-defined]
    hypercorn.protocol.H2Protocol = RecordedH2Protocol  # type: ignore[attr-defined]
    # `http_stream` and `ws_stream`, too, for HTTP/3, which is loaded only when it is served.
    for module in (hypercorn.protocol.h11, hypercorn.protocol.h2, hypercorn.protocol.http_stream):
        module.HTTPStream = RecordedHTTPStream  # type: ignore[attr-defined]
    for module in (hypercorn.protocol.h11, hypercorn.protocol.h2, hypercorn.protocol.ws_stream):
        module.WSStream = RecordedWSStream  # type: ignore[attr-defined]

"""ASGI's WebSocket sessions: one record for each, from the handshake to the close. Changes no message."""

from __future__ import annotations

from time import perf_counter_ns

from otelbridge.access.asgi import Instrumented, Message, Receive, Responder, Scope, Send, size_of, status_of
from otelbridge.access.observe import Observation
from otelbridge.access.record import WebSocketRecord

_NORMAL, _NO_CODE, _ABNORMAL, _INTERNAL_ERROR = 1000, 1005, 1006, 1011
_SWITCHING, _FORBIDDEN = 101, 403


class WebSocketResponder(Responder):
    """One session: wraps `receive` and `send`."""

    __slots__ = ("_client_left", "_is_over", "_session")

    def __init__(
        self, host: Instrumented, observation: Observation, scope: Scope, receive: Receive, send: Send
    ) -> None:
        super().__init__(host, observation, scope, receive, send)
        assert isinstance(observation.record, WebSocketRecord)
        self._session = observation.record
        self._client_left = False
        self._is_over = False

    async def receive(self) -> Message:
        """Pass a message from the client on; count it, note its close."""
        message = await self._receive()
        kind = message.get("type")
        if kind == "websocket.receive":
            self._session.messages_in += 1
            self._session.request_body_size += _message_size(message)
        elif kind == "websocket.disconnect" and not self._is_over:
            self._client_left = True
            code = message.get("code")
            self._session.close_code = code if isinstance(code, int) else _NO_CODE
            self._over()
        return message

    async def send(self, message: Message) -> None:
        """Pass a message from the app on; count it once the server has taken it, note its close."""
        kind = message.get("type")
        try:
            await self._send(message)
        except OSError as error:
            self._client_left = self._client_left or not self._is_over
            self._send_error = error
            raise
        if self._is_over:
            return
        session = self._session
        if kind == "websocket.send":
            session.messages_out += 1
            session.response_body_size += _message_size(message)
        elif kind == "websocket.accept":
            session.status = _SWITCHING
            session.ttfb_ns = perf_counter_ns() - self._start_ns
        elif kind == "websocket.close":
            if session.status is None:
                session.status = _FORBIDDEN  # what servers answer when a handshake is refused
                session.ttfb_ns = perf_counter_ns() - self._start_ns
            else:
                code = message.get("code", _NORMAL)
                session.close_code = code if isinstance(code, int) else _NORMAL
            self._over()
        elif kind == "websocket.http.response.start":
            session.status = status_of(message)
            session.ttfb_ns = perf_counter_ns() - self._start_ns
        elif kind == "websocket.http.response.body":
            session.response_body_size += size_of(message.get("body"))
            if not message.get("more_body", False):
                self._over()

    def _over(self) -> None:
        """Take the duration, and end: what the app does afterwards is no part of the session."""
        self._is_over = True
        self._session.duration_ns = perf_counter_ns() - self._start_ns
        self.conclude(None)

    def conclude(self, error: BaseException | None) -> None:
        """Complete the record and end its observation."""
        session = self._session
        stopped = error is not None and self.is_stopped_by(error)
        self._client_left = self._client_left or stopped
        if not self._is_over:
            # The app went away without a close: the server closes for it.
            session.duration_ns = perf_counter_ns() - self._start_ns
            if session.status == _SWITCHING:
                session.close_code = _ABNORMAL if stopped else _NORMAL if error is None else _INTERNAL_ERROR
        self.take_route()
        raised = None if stopped else error
        self.observation.end(raised=raised, client_left=self._client_left)


def _message_size(message: Message) -> int:
    """Bytes of a message's payload; text counts as the UTF-8 that is on the wire."""
    text = message.get("text")
    if isinstance(text, str):
        return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    return size_of(message.get("bytes"))

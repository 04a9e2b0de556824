"""What is known of a request or WebSocket session, and its views: attributes and a line. Knows no framework or clock.

The fields and both views of a request are the core's (native/src/access.zig), which reads and encodes them.
"""

from __future__ import annotations

from inspect import isdatadescriptor
from reprlib import recursive_repr
from typing import Any, ClassVar

from otelbridge._native import AccessBase, client_text, escape

__all__ = ["TEXT_SIZE_MAX", "AccessRecord", "WebSocketRecord", "client_text", "error_type", "escape"]

# A value that a client chose is kept up to this many characters: a 1 MB user agent must not cost 1 MB per record.
TEXT_SIZE_MAX = 4096

# No part of what a record says.
_PASSING = ("context", "closed", "__dict__")
_FIELDS = tuple(name for name, value in vars(AccessBase).items() if isdatadescriptor(value) and name not in _PASSING)


class AccessRecord(AccessBase):
    """One HTTP request, whatever its end. Sizes in bytes of body, as they passed through the server; times in ns.

    method, path, scheme ("http"), http_version ("1.1"), client_address, user_agent, referer: as the client sent them
        (escaped only in `line`), up to 4096 characters; what may be missing is None.
    query: without the `?`; in no log unless `log_query` is set, and then redacted (`url.query`).
    known_method: the method, or "_OTHER"; what metrics are told apart by.
    request_id: the client's X-Request-ID if it is harmless, else one of our own making.
    echo_request_id: the client sent one, and so is told which one it got.
    headers: the request headers named by `include_headers`, lower case.
    route: the template, mount prefix included; never the raw path.
    status: None if the app sent no answer.
    start_ns: since the epoch. ttfb_ns: from the start until the headers were sent; None if they never were.
    duration_ns: from the start until the last body message was sent, or the request ended otherwise.
    ended_by: "app" (answered, or returned), "client" (left before the end), "error" (the app raised).
    error_type: the exception's full name, the status of a 5xx, or "client_disconnected", "incomplete_response".

    An attribute that is no field is an addition (features.md 4.6): `record.tenant = "acme"` arrives wherever the record
    does. A field takes its own type only: TypeError.
    """

    __slots__ = ()
    event_name: ClassVar[str] = "http.server.access"

    def additions(self) -> dict[str, Any]:
        """What middleware has set on the record beside its fields."""
        return vars(self)

    def close(self, *, raised: BaseException | None, client_left: bool, complete: bool) -> bool:
        """Set `ended_by` and `error_type`; return whether the request failed (by the app's fault, not the client's)."""
        self.ended_by = "client" if client_left else "app" if raised is None else "error"
        if raised is not None:
            self.error_type = error_type(raised)
            return True
        if self.status is not None and self.status >= 500:
            self.error_type = str(self.status)
            return True
        if client_left:
            # With a status the answer had begun, and a client may well leave a stream: that is no error.
            self.error_type = "client_disconnected" if self.status is None else None
            return False
        self.error_type = None if complete else "incomplete_response"
        return not complete

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self._state() == other._state()

    __hash__ = None  # type: ignore[assignment]  # as of everything that is equal by what it holds, and changes

    @recursive_repr()
    def __repr__(self) -> str:
        fresh = type(self)()._state()
        fields = ", ".join(f"{name}={value!r}" for name, value in self._state().items() if fresh.get(name) != value)
        return f"{type(self).__name__}({fields})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), self._state())

    def _state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _FIELDS} | vars(self)


class WebSocketRecord(AccessRecord):
    """One WebSocket session, from its handshake to its end; body sizes are the bytes of its messages.

    close_code: what the closing side said; 1006: nothing; None: the handshake was refused, with `status`.
    closed_by: "client", "server", "error" (the app raised).
    """

    __slots__ = ("close_code", "closed_by", "messages_in", "messages_out")
    event_name: ClassVar[str] = "websocket.session"

    def __init__(self, **fields: Any) -> None:
        self.close_code: int | None = fields.get("close_code")
        self.closed_by: str = fields.get("closed_by", "server")
        self.messages_in: int = fields.get("messages_in", 0)
        self.messages_out: int = fields.get("messages_out", 0)

    @property
    def bytes_in(self) -> int:
        """Bytes of all messages from the client."""
        return self.request_body_size

    @property
    def bytes_out(self) -> int:
        """Bytes of all messages to the client."""
        return self.response_body_size

    def close(self, *, raised: BaseException | None, client_left: bool, complete: bool) -> bool:  # noqa: ARG002
        """Set `closed_by`, `ended_by` and `error_type`; return whether the session failed by the app's fault."""
        if raised is not None:
            self.closed_by = "error"
            self.error_type = error_type(raised)
        elif client_left:
            self.closed_by = "client"
        elif self.status is not None and self.status >= 500:
            self.error_type = str(self.status)
        elif self.close_code == 1011:
            self.error_type = "1011"
        self.ended_by = "app" if self.closed_by == "server" else self.closed_by
        return self.error_type is not None

    def line(self) -> str:
        """As a request's, with `WS/` for the protocol and ` close={code}` at the end."""
        code = "-" if self.close_code is None else self.close_code
        return f"{self._line('WS')} close={code}"

    def attributes(self) -> dict[str, Any]:
        """By semantic conventions and `websocket.*`, additions last."""
        attributes = self._common_attributes()
        if self.close_code is not None:
            attributes["websocket.close_code"] = self.close_code
        attributes["websocket.closed_by"] = self.closed_by
        attributes["websocket.messages_in"] = self.messages_in
        attributes["websocket.messages_out"] = self.messages_out
        attributes["websocket.bytes_in"] = self.bytes_in
        attributes["websocket.bytes_out"] = self.bytes_out
        attributes["websocket.duration"] = self.duration_ns / 1e9
        if self.ttfb_ns is not None:
            attributes["otelbridge.ttfb_s"] = self.ttfb_ns / 1e9
        return attributes | self.additions()

    def _state(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in WebSocketRecord.__slots__} | super()._state()


def _restore(kind: type[AccessRecord], state: dict[str, Any]) -> AccessRecord:
    record = kind()
    for name, value in state.items():
        setattr(record, name, value)
    return record


def error_type(exception: BaseException) -> str:
    """Return the exception's full name by semantic conventions: `builtins.` is left out."""
    kind = type(exception)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"

"""What is known of one finished request, and its two views: attributes and a line. Knows no framework and no clock."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from otelbridge.metrics.instruments import KNOWN_METHODS, OTHER

EVENT_NAME = "http.server.access"

# A value that a client chose is kept up to this many characters: a 1 MB user agent must not cost 1 MB per record.
TEXT_SIZE_MAX = 4096


@dataclass(slots=True)
class AccessRecord:
    """One request, whatever its end. Sizes in bytes of body, as they passed through the server; times in nanoseconds.

    Text from the client is as it was sent (escaped only in `access_line`), up to TEXT_SIZE_MAX characters.
    """

    method: str = ""
    path: str = ""
    scheme: str = "http"
    http_version: str = "1.1"
    client_address: str | None = None
    user_agent: str | None = None
    request_id: str | None = None
    headers: dict[str, list[str]] = field(default_factory=dict)
    """The request headers named by `include_headers`, lower case."""
    route: str | None = None
    """The route's template, mount prefix included; never the raw path."""
    status: int | None = None
    """None: the app sent no answer."""
    request_body_size: int = 0
    response_body_size: int = 0
    start_ns: int = 0
    """Since the epoch."""
    ttfb_ns: int | None = None
    """From the start until the headers were sent; None if they never were."""
    duration_ns: int = 0
    """From the start until the last body message was sent, or the request ended otherwise."""
    ended_by: str = "app"
    """`app` (answered, or returned), `client` (left before the end), `error` (the app raised)."""
    error_type: str | None = None
    """The exception's full name, the status of a 5xx, or `client_disconnected`, `incomplete_response`."""

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


def access_attributes(record: AccessRecord, known_methods: Collection[str] = KNOWN_METHODS) -> dict[str, object]:
    """Return the record by semantic conventions and `otelbridge.*`; unknown values are absent, durations in seconds."""
    known = record.method in known_methods
    attributes: dict[str, object] = {
        "http.request.method": record.method if known else OTHER,
        "url.path": record.path,
        "url.scheme": record.scheme,
        "network.protocol.version": record.http_version,
        "http.request.body.size": record.request_body_size,
        "http.response.body.size": record.response_body_size,
        "http.server.request.duration": record.duration_ns / 1e9,
        "otelbridge.ended_by": record.ended_by,
    }
    if not known:
        attributes["http.request.method_original"] = record.method
    if record.route is not None:
        attributes["http.route"] = record.route
    if record.status is not None:
        attributes["http.response.status_code"] = record.status
    if record.client_address is not None:
        attributes["client.address"] = record.client_address
    if record.user_agent is not None:
        attributes["user_agent.original"] = record.user_agent
    if record.error_type is not None:
        attributes["error.type"] = record.error_type
    if record.ttfb_ns is not None:
        attributes["otelbridge.ttfb_s"] = record.ttfb_ns / 1e9
    if record.request_id is not None:
        attributes["otelbridge.request_id"] = record.request_id
    for name, values in record.headers.items():
        attributes[f"http.request.header.{name}"] = values
    return attributes


def access_line(record: AccessRecord) -> str:
    """Return `{client_ip} "{method} {path} HTTP/{version}" {status} {bytes} {duration}ms`, `-` for what is unknown.

    What a client chose cannot leave its field: see `escape`.
    """
    client = escape(record.client_address) if record.client_address else "-"
    method = record.method if record.method in KNOWN_METHODS else escape(record.method) or "-"
    status = "-" if record.status is None else record.status
    return (
        f'{client} "{method} {escape(record.path)} HTTP/{escape(record.http_version)}" '
        f"{status} {record.response_body_size} {record.duration_ns / 1e6:.0f}ms"
    )


def error_type(exception: BaseException) -> str:
    """Return the exception's full name by semantic conventions: `builtins.` is left out."""
    kind = type(exception)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def escape(text: str) -> str:
    r"""Return `text` with quotes, backslashes, blanks, control, format (bidi) and lone surrogate characters escaped.

    Quotes and backslashes as `\"` and `\\`, the others as `\xNN`, `\uNNNN`, `\UNNNNNNNN`; other letters stay readable.
    """
    if text.isprintable() and " " not in text and '"' not in text and "\\" not in text:
        return text
    return "".join(_escape_character(character) for character in text)


def _escape_character(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    # Unicode calls exactly the other separators, controls, formats, surrogates and unassigned characters unprintable.
    if character != " " and character.isprintable():
        return character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def client_text(value: object) -> str:
    r"""Return text that any encoder takes, from what a client or server gave; bounded, "" for what is no text.

    Bytes are read as UTF-8; what is none, and lone surrogates, become `\xNN` and `\uNNNN`.
    """
    if type(value) is str and len(value) <= TEXT_SIZE_MAX and value.isascii():
        return value  # nearly always
    if isinstance(value, str):
        text = value if len(value) <= TEXT_SIZE_MAX else value[:TEXT_SIZE_MAX]
        return text.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, bytes | bytearray):
        return value[:TEXT_SIZE_MAX].decode("utf-8", "backslashreplace")
    return ""

"""The one table of everything otelbridge measures: name, kind, unit, buckets, attributes. Nobody else spells them.

Values that a client can choose are bounded here, so that no request can make a new time series of its own.
Leaves creating and recording to the backends (`otel`, `aggregated`, `statsd`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

OTHER = "_OTHER"

# Semantic conventions, HTTP: everything else is `_OTHER`.
KNOWN_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
# ASGI's schemes: a proxy header may have put anything there.
KNOWN_SCHEMES = frozenset({"http", "https", "ws", "wss"})
KNOWN_VERSIONS = frozenset({"0.9", "1.0", "1.1", "2", "2.0", "3", "3.0"})

# OpenTelemetry's specification: so many sets of attributes per instrument, and OVERFLOW for all that come later.
SETS_MAX = 2000
OVERFLOW: Mapping[str, bool] = {"otel.metric.overflow": True}

# No template and no class name is as long; what an app makes up at run time may be.
WORD_SIZE_MAX = 255
# Statuses of a server's failure, and the WebSocket close code for one.
_ERROR_NUMBERS = frozenset({*map(str, range(500, 600)), "1011"})

Attributes = dict[str, str | int]
RequestWords = tuple[str, str, int | None, str | None, str, str | None]
SessionWords = tuple[str, str | None, str, str, str | None]


class Measured(Protocol):
    """What the backends see of an AccessRecord."""

    known_method: str
    scheme: str
    http_version: str
    route: str | None
    status: int | None
    error_type: str | None
    request_body_size: int
    response_body_size: int
    duration_ns: int


class MeasuredSession(Measured, Protocol):
    """What the backends see of a WebSocketRecord; its body sizes are the bytes of its messages."""

    closed_by: str
    messages_in: int
    messages_out: int


class RequestMetrics(Protocol):
    """A way out for the numbers of requests. Called inside the request's span, for exemplars. Raises nothing."""

    def started(self, record: Measured) -> None:
        """Count an HTTP request in."""

    def ended(self, record: Measured, *, counted: bool) -> None:
        """Record a finished HTTP request; `counted`: it was counted in, and is to be counted out."""

    def session_started(self, record: MeasuredSession) -> None:
        """Count a WebSocket session in."""

    def session_ended(self, record: MeasuredSession, *, counted: bool) -> None:
        """Record a finished WebSocket session."""


@dataclass(frozen=True, slots=True)
class Instrument:
    """One instrument, as every backend, the docs and the dashboards see it; `buckets` are in its unit."""

    name: str
    kind: Literal["counter", "histogram", "updowncounter"]
    unit: str
    description: str
    attributes: tuple[str, ...]
    buckets: tuple[float, ...] | None = None


# In the order of `request_words`, `session_words`.
REQUEST_ATTRIBUTES = (
    "http.request.method",
    "url.scheme",
    "http.response.status_code",
    "http.route",
    "network.protocol.version",
    "error.type",
)
SESSION_ATTRIBUTES = ("url.scheme", "http.route", "network.protocol.version", "websocket.closed_by", "error.type")
DIRECTION = "network.io.direction"

# Semantic conventions have no advice for sizes; the SDK's default ends at 10 kB.
_SIZE_BUCKETS = (0.0, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9)

REQUEST_DURATION = Instrument(
    name="http.server.request.duration",
    kind="histogram",
    unit="s",
    description="Duration of HTTP server requests.",
    attributes=REQUEST_ATTRIBUTES,
    # Semantic conventions' advice; the SDK's default buckets are meant for milliseconds.
    buckets=(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
ACTIVE_REQUESTS = Instrument(
    name="http.server.active_requests",
    kind="updowncounter",
    unit="{request}",
    description="Number of active HTTP server requests.",
    attributes=("http.request.method", "url.scheme"),
)
REQUEST_BODY_SIZE = Instrument(
    name="http.server.request.body.size",
    kind="histogram",
    unit="By",
    description="Size of HTTP server request bodies, as they passed through the server.",
    attributes=REQUEST_ATTRIBUTES,
    buckets=_SIZE_BUCKETS,
)
RESPONSE_BODY_SIZE = Instrument(
    name="http.server.response.body.size",
    kind="histogram",
    unit="By",
    description="Size of HTTP server response bodies, as they passed through the server.",
    attributes=REQUEST_ATTRIBUTES,
    buckets=_SIZE_BUCKETS,
)
REQUESTS = Instrument(
    name="otelbridge.http.requests",
    kind="counter",
    unit="{request}",
    description="Number of HTTP server requests that have ended.",
    attributes=REQUEST_ATTRIBUTES,
)
LOG_RECORDS = Instrument(
    name="otelbridge.log.records",
    kind="counter",
    unit="{record}",
    description="Number of log records that went to OTLP or a sink.",
    attributes=("log.level",),
)
SESSION_DURATION = Instrument(
    name="otelbridge.websocket.session.duration",
    kind="histogram",
    unit="s",
    description="Duration of WebSocket sessions.",
    attributes=SESSION_ATTRIBUTES,
    buckets=(1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0, 86400.0),
)
ACTIVE_SESSIONS = Instrument(
    name="otelbridge.websocket.active_sessions",
    kind="updowncounter",
    unit="{session}",
    description="Number of WebSocket sessions that are open, or being opened.",
    attributes=("url.scheme",),
)
SESSION_MESSAGES = Instrument(
    name="otelbridge.websocket.messages",
    kind="counter",
    unit="{message}",
    description="Number of WebSocket messages of sessions that have ended.",
    attributes=("url.scheme", "http.route", DIRECTION),
)
SESSION_IO = Instrument(
    name="otelbridge.websocket.io",
    kind="counter",
    unit="By",
    description="Bytes of WebSocket messages of sessions that have ended.",
    attributes=("url.scheme", "http.route", DIRECTION),
)

INSTRUMENTS: tuple[Instrument, ...] = (
    REQUEST_DURATION,
    ACTIVE_REQUESTS,
    REQUEST_BODY_SIZE,
    RESPONSE_BODY_SIZE,
    REQUESTS,
    LOG_RECORDS,
    SESSION_DURATION,
    ACTIVE_SESSIONS,
    SESSION_MESSAGES,
    SESSION_IO,
)


# OTEL_SEMCONV_STABILITY_OPT_IN=http/dup: the names before the stable ones, as OpenTelemetry's own instrumentation has
# them. Host and server name are the client's word (`Host:`), and left out; its `http.target` is the route.
OLD_REQUEST_ATTRIBUTES = ("http.method", "http.scheme", "http.status_code", "http.target", "http.flavor")
OLD_ACTIVE_ATTRIBUTES = ("http.method", "http.scheme", "http.flavor")

# The SDK's default ones, which dashboards for these names expect.
_OLD_BUCKETS = (0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1e3, 2.5e3, 5e3, 7.5e3, 1e4)

OLD_DURATION = Instrument(
    name="http.server.duration",
    kind="histogram",
    unit="ms",
    description="Measures the duration of inbound HTTP requests.",
    attributes=OLD_REQUEST_ATTRIBUTES,
    buckets=_OLD_BUCKETS,
)
OLD_REQUEST_SIZE = Instrument(
    name="http.server.request.size",
    kind="histogram",
    unit="By",
    description="Measures the size of HTTP request messages (compressed).",
    attributes=OLD_REQUEST_ATTRIBUTES,
    buckets=_OLD_BUCKETS,
)
OLD_RESPONSE_SIZE = Instrument(
    name="http.server.response.size",
    kind="histogram",
    unit="By",
    description="measures the size of HTTP response messages (compressed).",
    attributes=OLD_REQUEST_ATTRIBUTES,
    buckets=_OLD_BUCKETS,
)

OLD_INSTRUMENTS: tuple[Instrument, ...] = (OLD_DURATION, OLD_REQUEST_SIZE, OLD_RESPONSE_SIZE)


def old_names_wanted(environ: Mapping[str, str] = os.environ) -> bool:
    """Return whether OTEL_SEMCONV_STABILITY_OPT_IN (`http,database`) asks for the old names beside the stable ones.

    `http/dup` does, and wins over `http`. Without either there are the stable names only: this is no instrumentation
    that had others before.
    """
    return "http/dup" in {word.strip() for word in environ.get("OTEL_SEMCONV_STABILITY_OPT_IN", "").split(",")}


def known_methods(environ: Mapping[str, str] = os.environ) -> frozenset[str]:
    """Return the methods that are told apart; OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS (`A,B`) replaces the default."""
    methods = {word.strip() for word in environ.get("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "").split(",")}
    return frozenset(methods - {""}) or KNOWN_METHODS


def known_scheme(scheme: str) -> str:
    """Return the scheme, or `_OTHER`."""
    return scheme if scheme in KNOWN_SCHEMES else OTHER


def known_version(version: str) -> str:
    """Return the protocol's version, or `_OTHER`."""
    return version if version in KNOWN_VERSIONS else OTHER


def known_error(error_type: str) -> str:
    """Return an exception's name, bounded; a number only if it is one that a server or a WebSocket means."""
    if error_type.isdigit():
        return error_type if error_type in _ERROR_NUMBERS else OTHER
    return bounded_word(error_type)


def bounded_word(word: str) -> str:
    """Return the app's word, not too long, and such that every encoder takes it (no lone surrogates)."""
    if len(word) <= WORD_SIZE_MAX and word.isascii():
        return word
    return word[:WORD_SIZE_MAX].encode("utf-8", "backslashreplace").decode()


def request_words(record: Measured) -> RequestWords:
    """Return what tells requests apart, bounded, in the order of REQUEST_ATTRIBUTES: the key of a series."""
    scheme, status, route = record.scheme, record.status, record.route
    version, error_type = record.http_version, record.error_type
    return (
        record.known_method,
        scheme if scheme in KNOWN_SCHEMES else OTHER,
        # An app may send any integer.
        status if status is None or 100 <= status <= 599 else None,
        None if route is None else bounded_word(route),
        version if version in KNOWN_VERSIONS else OTHER,
        None if error_type is None else known_error(error_type),
    )


def session_words(record: MeasuredSession) -> SessionWords:
    """Return what tells sessions apart, bounded, in the order of SESSION_ATTRIBUTES."""
    _, scheme, _, route, version, error_type = request_words(record)
    return scheme, route, version, record.closed_by, error_type


def named(names: Iterable[str], words: Iterable[str | int | None]) -> Attributes:
    """Return the words by their names; what is unknown is left out."""
    return {name: word for name, word in zip(names, words, strict=True) if word is not None}


def active_attributes(record: Measured) -> Attributes:
    """Return the attributes of ACTIVE_REQUESTS."""
    return {"http.request.method": record.known_method, "url.scheme": known_scheme(record.scheme)}


def old_active_attributes(record: Measured) -> Attributes:
    """Return what `http/dup` adds to the attributes of ACTIVE_REQUESTS, of which there is one under both names."""
    words = (record.known_method, known_scheme(record.scheme), known_version(record.http_version))
    return named(OLD_ACTIVE_ATTRIBUTES, words)


def request_attributes(record: Measured) -> Attributes:
    """Return the attributes of REQUEST_DURATION and all others with REQUEST_ATTRIBUTES."""
    return named(REQUEST_ATTRIBUTES, request_words(record))


def old_request_attributes(words: RequestWords) -> Attributes:
    """Return the attributes of OLD_DURATION and all others with OLD_REQUEST_ATTRIBUTES; they have no error."""
    return named(OLD_REQUEST_ATTRIBUTES, words[:-1])


def session_attributes(record: MeasuredSession) -> Attributes:
    """Return the attributes of SESSION_DURATION."""
    return named(SESSION_ATTRIBUTES, session_words(record))


def session_active_attributes(record: MeasuredSession) -> Attributes:
    """Return the attributes of ACTIVE_SESSIONS."""
    return {"url.scheme": known_scheme(record.scheme)}


def session_io_attributes(record: MeasuredSession, direction: Literal["receive", "transmit"]) -> Attributes:
    """Return the attributes of SESSION_MESSAGES and SESSION_IO."""
    scheme, route, *_ = session_words(record)
    return named(SESSION_MESSAGES.attributes, (scheme, route, direction))

"""The one table of everything otelbridge measures: name, kind, unit, buckets, attributes. Nobody else spells them.

Values that a client can choose are bounded here, so that no request can make a new time series of its own.
Leaves creating and recording to the backends (`metrics/otel.py`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

OTHER = "_OTHER"

# Semantic conventions, HTTP: everything else is `_OTHER`.
KNOWN_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
# ASGI's schemes: a proxy header may have put anything there.
KNOWN_SCHEMES = frozenset({"http", "https", "ws", "wss"})
KNOWN_VERSIONS = frozenset({"0.9", "1.0", "1.1", "2", "2.0", "3", "3.0"})


@dataclass(frozen=True, slots=True)
class Instrument:
    """One instrument, as every backend, the docs and the dashboards see it; `buckets` are in its unit."""

    name: str
    kind: Literal["counter", "histogram", "updowncounter"]
    unit: str
    description: str
    attributes: tuple[str, ...]
    buckets: tuple[float, ...] | None = None


REQUEST_ATTRIBUTES = (
    "http.request.method",
    "url.scheme",
    "http.response.status_code",
    "http.route",
    "network.protocol.version",
    "error.type",
)

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
REQUESTS = Instrument(
    name="otelbridge.http.requests",
    kind="counter",
    unit="{request}",
    description="Number of HTTP server requests that have ended.",
    attributes=REQUEST_ATTRIBUTES,
)

INSTRUMENTS: tuple[Instrument, ...] = (REQUEST_DURATION, ACTIVE_REQUESTS, REQUESTS)


def known_methods(environ: Mapping[str, str] = os.environ) -> frozenset[str]:
    """Return the methods that are told apart; OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS (`A,B`) replaces the default."""
    methods = {word.strip() for word in environ.get("OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS", "").split(",")}
    return frozenset(methods - {""}) or KNOWN_METHODS


def active_attributes(*, method: str, scheme: str) -> dict[str, str | int]:
    """Return the attributes of ACTIVE_REQUESTS; `method` is a known one or `_OTHER`."""
    return {
        "http.request.method": method,
        "url.scheme": scheme if scheme in KNOWN_SCHEMES else OTHER,
    }


def request_attributes(
    *, method: str, scheme: str, status: int | None, route: str | None, version: str, error_type: str | None
) -> dict[str, str | int]:
    """Return the attributes of REQUEST_DURATION and REQUESTS; `method` is a known one or `_OTHER`, None is left out."""
    attributes: dict[str, str | int] = {
        "http.request.method": method,
        "url.scheme": scheme if scheme in KNOWN_SCHEMES else OTHER,
        "network.protocol.version": version if version in KNOWN_VERSIONS else OTHER,
    }
    if status is not None:
        attributes["http.response.status_code"] = status
    if route is not None:
        attributes["http.route"] = route
    if error_type is not None:
        attributes["error.type"] = error_type
    return attributes

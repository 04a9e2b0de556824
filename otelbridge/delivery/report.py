"""What the user is told of delivery: a line when it stops, a line when it goes on, on the real stderr."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from otelbridge.otlp.outcome import Outcome, printable

_DROP_LINE_INTERVAL_S = 30.0
# An answer came, so the trouble is with one path or one signal; without one it is with the whole address.
_NO_ANSWER = frozenset(
    {"refused", "unknown_host", "proxy", "tls", "disconnected", "timeout", "connection", "garbage", "unavailable"}
)


def write_line(text: str) -> None:
    """Write one line to the process's own stderr, past sys.stderr and every logging library."""
    stream = sys.__stderr__
    if stream is None:
        return
    try:
        # One write, no buffer and no lock: safe after a fork and inside a signal handler.
        os.write(stream.fileno(), f"otelbridge: {text}\n".encode("utf-8", "replace"))
    except (OSError, ValueError):
        return


_CERTIFICATE_HINT = "a private CA goes into OTEL_EXPORTER_OTLP_CERTIFICATE"


@dataclass(slots=True)
class _Outage:
    since: float
    lost_before: int


class Reporter:
    """Tells of outages and losses, once each. Used by all workers of a process."""

    def __init__(self, write: Callable[[str], None] = write_line, clock: Callable[[], float] = time.monotonic) -> None:
        self._write = write
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Begin anew, as a forked child does."""
        self._lock = threading.Lock()
        self._outages: dict[str, _Outage] = {}
        self._told: set[str] = set()
        self._lost_told = 0
        self._lost_told_at = float("-inf")

    def trouble(self, signal: str, endpoint: str, protocol: str, outcome: Outcome, lost: int) -> None:
        """Tell that an attempt failed, if it begins an outage."""
        key = _outage_key(signal, endpoint, outcome)
        with self._lock:
            if key in self._outages:
                return
            self._outages[key] = _Outage(self._clock(), lost)
        advice = hint(outcome.cause, endpoint, protocol, outcome.message)
        message = outcome.message or outcome.cause
        fate = "waiting in memory, trying again" if outcome.kind == "retry" else "what it does not accept is lost"
        self._write(f"cannot deliver {signal} to {public_url(endpoint)}: {message}{advice}; {fate}")

    def success(self, signal: str, endpoint: str, waiting: int, lost: int) -> None:
        """Tell that an outage is over, if there was one."""
        if not self._outages:
            return
        with self._lock:
            ended = [self._outages.pop(key, None) for key in _outage_keys(signal, endpoint)]
        outages = [outage for outage in ended if outage is not None]
        if outages:
            first = min(outages, key=lambda outage: outage.since)
            duration_s = self._clock() - first.since
            self._write(
                f"{public_url(endpoint)} accepts {signal} again after {duration_s:.0f} s; "
                f"{waiting:,} items waited, {max(lost - first.lost_before, 0):,} were lost"
            )

    def once(self, key: str, text: str) -> None:
        """Tell something once in a process."""
        with self._lock:
            if key in self._told:
                return
            self._told.add(key)
        self._write(text)

    def losses(self, lost: int, *, final: bool = False) -> None:
        """Tell of records lost since the last time, at most every 30 s (and at the end)."""
        if lost <= self._lost_told:
            return
        with self._lock:
            now = self._clock()
            if not final and now - self._lost_told_at < _DROP_LINE_INTERVAL_S:
                return
            count, self._lost_told, self._lost_told_at = lost - self._lost_told, lost, now
        self._write(f"log records lost: {count:,} (otelbridge.stats() tells why)")


def hint(cause: str, endpoint: str, protocol: str, message: str = "") -> str:
    """The likely fix, in brackets; empty when there is none better than the cause itself."""
    parts = urlsplit(endpoint)
    port = parts.port
    advice = ""
    if protocol == "grpc" and port == 4318:
        advice = "port 4318 is OTLP over HTTP: use port 4317, or protocol='http/protobuf'"
    elif protocol != "grpc" and port == 4317:
        advice = "port 4317 is OTLP over gRPC: use port 4318, or protocol='grpc'"
    elif cause in ("refused", "unavailable", "connection"):
        advice = "is a collector listening there? 4318 is the usual port of OTLP over HTTP, 4317 that of gRPC"
    elif cause == "http_404" or cause == "http_405":
        advice = _path_hint(parts.path)
    elif cause in ("http_401", "http_403", "unauthenticated", "permission_denied"):
        advice = "check headers (OTEL_EXPORTER_OTLP_HEADERS)"
    elif cause == "unimplemented":
        advice = "this gRPC server has no OTLP service for this signal"
    elif cause == "redirect":
        advice = "redirects are not followed: give the address that it leads to"
    elif cause == "tls":
        is_plain = "wrong_version" in message.lower() or "wrong version" in message.lower()
        advice = "the server does not speak TLS: use http://" if is_plain else _CERTIFICATE_HINT
    elif cause in ("garbage", "disconnected", "odd_answer"):
        advice = "is this an OTLP receiver, and is the scheme (http, https) right?"
    return f" ({advice})" if advice else ""


def _path_hint(path: str) -> str:
    if path.count("/v1/") > 1:
        return "the path is doubled: give the base URL, without /v1/logs"
    return f"is {printable(path, 60)} the receiver's path? the endpoint is a base URL, to which /v1/logs is added"


def _outage_key(signal: str, endpoint: str, outcome: Outcome) -> str:
    # An address that does not answer is one outage, whichever signal notices it.
    return urlsplit(endpoint).netloc if outcome.cause in _NO_ANSWER else f"{signal} {endpoint}"


def _outage_keys(signal: str, endpoint: str) -> tuple[str, str]:
    return urlsplit(endpoint).netloc, f"{signal} {endpoint}"


def public_url(endpoint: str) -> str:
    """The endpoint without a user's name, password or query, fit for a terminal."""
    parts = urlsplit(endpoint)
    return printable(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl())

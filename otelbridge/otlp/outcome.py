"""What came of one attempt to send one request, and the tables by which OTLP judges an answer. Opens no socket."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal, Protocol

Signal = Literal["logs", "traces", "metrics"]
Kind = Literal["delivered", "rejected", "retry", "failed"]

# An answer may be of any size; this much of it is read (the specification's own figure).
ANSWER_SIZE_MAX = 4 * 1024 * 1024
# A collector (or whoever answers in its place) may not mute a process for longer than this.
RETRY_AFTER_MAX_S = 300.0

# https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes
HTTP_RETRYABLE = frozenset({429, 502, 503, 504})
# https://opentelemetry.io/docs/specs/otlp/#failures (RESOURCE_EXHAUSTED: only with RetryInfo, see `judge_grpc`)
GRPC_RETRYABLE = frozenset({"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to one attempt.

    `delivered`: accepted, except `rejected` items of it. `rejected`: the answer says that the whole request will never
    be accepted. `retry`: send the same again, not before `retry_after_s`. `failed`: given up, and the collector never
    said a word on it.
    `cause` is one word for machines (`refused`, `http_404`, `too_large` …), `message` a clause for people.
    """

    kind: Kind
    rejected: int = 0
    message: str = ""
    retry_after_s: float | None = None
    cause: str = ""


class Sender(Protocol):
    """One signal's way to the collector, used by one thread (`abort` and `close` by any)."""

    endpoint: str

    def send(self, request: bytes, count: int, timeout_s: float) -> Outcome:
        """Make exactly one attempt, of at most `timeout_s`; never raises."""

    def abort(self) -> None:
        """End an attempt under way, at once, and refuse further ones."""

    def close(self) -> None:
        """Let go of the connections."""


def judge_http(status: int) -> Kind:
    """Say what an HTTP status means for the request that it answers."""
    if 200 <= status < 300:
        return "delivered"
    if status in HTTP_RETRYABLE:
        return "retry"
    # A redirect is nobody's word on the records: whoever answered is not the collector.
    return "failed" if 300 <= status < 400 else "rejected"


def judge_grpc(code: str, *, has_retry_info: bool) -> Kind:
    """Say what a gRPC status name means for the request that it answers."""
    if code == "OK":
        return "delivered"
    if code in GRPC_RETRYABLE or (code == "RESOURCE_EXHAUSTED" and has_retry_info):
        return "retry"
    return "rejected"


def parse_retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Read Retry-After (seconds or an HTTP date), capped; None when absent or unreadable."""
    if not value:
        return None
    text = value.strip()
    try:
        delay_s = float(text)
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except (TypeError, ValueError, OverflowError):
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        delay_s = (moment - (now or datetime.now(UTC))).total_seconds()
    if math.isnan(delay_s):
        return None
    return min(max(delay_s, 0.0), RETRY_AFTER_MAX_S)


def printable(text: str, size_max: int = 200) -> str:
    """Make another party's text fit for one line of a terminal."""
    clean = "".join(char if char.isprintable() else " " for char in text[: size_max * 2])
    clean = " ".join(clean.split())
    return clean if len(clean) <= size_max else clean[: size_max - 1] + "…"

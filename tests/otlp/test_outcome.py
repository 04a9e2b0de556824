"""OTLP's tables: what an answer means, and when one may ask again."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus

import grpc
import pytest

from otelbridge.otlp.outcome import judge_grpc, judge_http, parse_retry_after, printable


@pytest.mark.parametrize("status", [status.value for status in HTTPStatus if status.value >= 200])
def test_http_table(status: int) -> None:
    """
    Of all HTTP statuses 429, 502, 503 and 504 are tried again, 2xx is success, a redirect a failure, the rest refusal.
    """
    kind = judge_http(status)

    if status < 300:
        assert kind == "delivered"
    elif status < 400:
        assert kind == "failed"
    else:
        assert kind == ("retry" if status in (429, 502, 503, 504) else "rejected")


@pytest.mark.parametrize("code", [code.name for code in grpc.StatusCode])
def test_grpc_table(code: str) -> None:
    """
    Of all gRPC codes the seven of the specification are tried again, RESOURCE_EXHAUSTED only when asked to.
    """
    retryable = {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
    expected = "delivered" if code == "OK" else "retry" if code in retryable else "rejected"

    assert judge_grpc(code, has_retry_info=False) == expected
    assert judge_grpc(code, has_retry_info=True) == ("retry" if code == "RESOURCE_EXHAUSTED" else expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        (" 0.5 ", 0.5),
        ("-3", 0.0),
        ("99999999", 300.0),
        ("inf", 300.0),
        ("nan", None),
        ("soon", None),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30.0),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0.0),
    ],
)
def test_retry_after(value: str | None, expected: float | None) -> None:
    """
    Retry-After is read as seconds or as a date, and nobody can mute us for more than five minutes.
    """
    assert parse_retry_after(value, datetime(2026, 11, 21, 12, tzinfo=UTC)) == expected


def test_printable() -> None:
    """
    A collector's text cannot move the cursor or make a second line.
    """
    assert printable("a\x1b[2Jb\nc‮") == "a [2Jb c"
    assert len(printable("x" * 1000)) == 200

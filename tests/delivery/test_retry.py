"""When to try again."""

from __future__ import annotations

import pytest

from otelbridge.delivery.retry import backoff_s, delay_s
from otelbridge.otlp.outcome import Outcome


@pytest.mark.parametrize(
    ("failure_count", "expected"), [(1, 0.5), (2, 1.0), (3, 2.0), (6, 16.0), (7, 30.0), (9999, 30.0)]
)
def test_backoff_doubles_to_a_cap(failure_count: int, expected: float) -> None:
    """
    The pause doubles from half a second to thirty, and jitter keeps it within a fifth of that.
    """
    assert backoff_s(failure_count, lambda low, high: (low + high) / 2) == expected
    assert backoff_s(failure_count, lambda low, high: low) == pytest.approx(expected * 0.8)
    assert all(expected * 0.8 <= backoff_s(failure_count) <= expected * 1.2 for _ in range(100))


def test_retry_after_wins() -> None:
    """
    What the collector asks for is the least pause.
    """
    assert delay_s(Outcome("retry", retry_after_s=7.0), 1, lambda low, high: low) == 7.0
    assert 7.0 <= delay_s(Outcome("retry", retry_after_s=7.0), 5) <= 7.1


def test_idle_connection() -> None:
    """
    A connection that was closed while idle is replaced at once; a second time it is trouble like any other.
    """
    assert delay_s(Outcome("retry", cause="disconnected"), 1) == 0.0
    assert delay_s(Outcome("retry", cause="disconnected"), 2) > 0.5

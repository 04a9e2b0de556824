"""When to try again: pure functions of what happened. Reads no clock and waits for nobody."""

from __future__ import annotations

import random
from collections.abc import Callable

from otelbridge.otlp.outcome import Outcome

FIRST_DELAY_S = 0.5
DELAY_MAX_S = 30.0
# A restarted collector must not meet all its clients in the same instant (the specification demands jitter).
JITTER = 0.2


def backoff_s(failure_count: int, uniform: Callable[[float, float], float] = random.uniform) -> float:
    """Seconds to wait after the `failure_count`-th failure in a row (from 1): doubling, capped, with jitter."""
    doubled = FIRST_DELAY_S * 2.0 ** min(failure_count - 1, 16)
    return min(doubled, DELAY_MAX_S) * uniform(1 - JITTER, 1 + JITTER)


def delay_s(outcome: Outcome, failure_count: int, uniform: Callable[[float, float], float] = random.uniform) -> float:
    """Seconds to wait before the request is sent again."""
    if outcome.retry_after_s is not None:
        # What the collector asks for is a least time; many clients were told the same.
        return outcome.retry_after_s + FIRST_DELAY_S * uniform(0.0, JITTER)
    if outcome.cause == "disconnected" and failure_count == 1:
        # Most likely a kept-alive connection that the collector closed while it was idle.
        return 0.0
    return backoff_s(failure_count, uniform)

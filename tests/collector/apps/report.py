"""The last act of each program: flush, and print what became of its records, for the test to read."""

from __future__ import annotations

import json
import sys

import otelbridge


def report(timeout_s: float = 30.0) -> None:
    """Flush and print the outcome as one line of JSON."""
    flushed = otelbridge.flush(timeout_s)
    stats = otelbridge.stats()
    account = {
        "flushed": flushed,
        "emitted": stats.emitted,
        "delivered": stats.delivered,
        "spooled": stats.spooled,
        "rejected": stats.rejected,
        "dropped": dict(stats.dropped),
    }
    sys.stdout.write(f"{json.dumps(account)}\n")

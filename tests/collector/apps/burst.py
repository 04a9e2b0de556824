"""Logs 10,000 orders as fast as it can."""

from __future__ import annotations

import otelbridge
from otelbridge import logger
from tests.collector.apps.report import report

COUNT = 10_000


def main() -> None:
    """Log, then report."""
    logger.remove()
    otelbridge.configure(service_name="burst")
    for number in range(COUNT):
        logger.info("Order {number} placed", number=number)
    report()


if __name__ == "__main__":
    main()

"""Logs a heartbeat every 10 ms until its standard input is closed, whatever the collector does meanwhile."""

from __future__ import annotations

import sys
import threading

import otelbridge
from otelbridge import logger
from tests.collector.apps.report import report


def main() -> None:
    """Log, then report."""
    logger.remove()
    otelbridge.configure(service_name="steady")
    told_to_end = threading.Event()

    def listen() -> None:
        sys.stdin.read()
        told_to_end.set()

    threading.Thread(target=listen, daemon=True).start()
    beat = 0
    while not told_to_end.wait(0.01):
        logger.info("Beat {beat}", beat=beat)
        beat += 1
    report()


if __name__ == "__main__":
    main()

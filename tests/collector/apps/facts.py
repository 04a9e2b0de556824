"""Logs one record for each fact that must arrive unchanged: severity, types, ids."""

from __future__ import annotations

import otelbridge
from otelbridge import logger
from tests.collector.apps.report import report

LEVELS = ("TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL")
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN_ID = "00f067aa0ba902b7"


def main() -> None:
    """Log, then report."""
    logger.remove()
    otelbridge.configure(service_name="facts", level="TRACE", resource={"deployment.environment.name": "test"})
    for level in LEVELS:
        logger.log(level, "severity")
    logger.info(
        "types",
        text="Grüße, 東京 🗼",
        yes=True,
        whole=-(2**53) - 1,
        real=0.1,
        raw=b"\x00\xff",
        many=["a", 1, False],
        nested={"inner": {"deep": 2.5}},
    )
    with logger.contextualize(trace_id=TRACE_ID, span_id=SPAN_ID):
        logger.info("ids")
    with logger.contextualize(trace_id="xyz-789"):
        logger.info("no id")
    report()


if __name__ == "__main__":
    main()

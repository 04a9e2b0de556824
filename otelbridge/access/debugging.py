"""What otelbridge says of itself at DEBUG, through Python's `logging` (features.md 4.8): `otelbridge.delivery` of each
attempt to send, `otelbridge.instrument` of each app.

It must not come back to us: a record about a batch would be the next batch. So it goes to plain streams and files, and
to whatever handler somebody has put on these loggers themselves.
"""

from __future__ import annotations

import io
import logging

from otelbridge._export import report_once
from otelbridge.access.stdlib import handlers_of, leads_back

NAMES = ("otelbridge.delivery", "otelbridge.instrument")


def install() -> None:
    """Make these loggers safe to listen to; again changes nothing."""
    for name in NAMES:
        logging.getLogger(name).addFilter(_filter)


class _AllButOurselves(logging.Filter):
    """Hands the record to the handlers itself, and so leaves out those from which it may come back."""

    def filter(self, record: logging.LogRecord) -> bool:
        try:
            for owner, handler in handlers_of(logging.getLogger(record.name)):
                if record.levelno >= handler.level and _is_an_end(owner, handler, record.levelno):
                    handler.handle(record)
        except Exception as error:
            report_once(f"logging to {record.name}", error)
        return False


def _is_an_end(owner: logging.Logger, handler: logging.Handler, number: int) -> bool:
    if leads_back(handler, number):
        return False
    if owner.name.partition(".")[0] == "otelbridge":
        return True
    # Other handlers, and objects that pretend to be streams, may well be bridges to us.
    if not isinstance(handler, logging.StreamHandler) or not type(handler).__module__.startswith("logging"):
        return False
    return isinstance(handler.stream, io.TextIOBase)


_filter = _AllButOurselves()

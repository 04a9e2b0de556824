"""A server's own access line is left out where ours stands: a request is one line on a terminal (pains.md C9).

Files, sockets and other targets of the server's access log get what they always got.
"""

from __future__ import annotations

import logging
import weakref

from otelbridge._logger import logger
from otelbridge.access.console import Claimant, claim, is_claimed, is_claimed_by
from otelbridge.access.observe import Observer
from otelbridge.access.stdlib import handlers_of, leads_back, printed_from, stream_of

SERVERS = ("uvicorn.access", "hypercorn.access", "gunicorn.access", "granian.access")


class ServerLineFilter(logging.Filter):
    """Drops a server's access line if an app's own is printed, and nobody but a terminal would get the server's."""

    def __init__(self) -> None:
        super().__init__()
        # By age, the newest last.
        self.observers: weakref.WeakKeyDictionary[Observer, None] = weakref.WeakKeyDictionary()

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the server's line is to be written. Never raises."""
        try:
            return not self._is_repeated(record)
        except Exception:
            return True

    def _is_repeated(self, record: logging.LogRecord) -> bool:
        levels = {observer.settings.level for observer in list(self.observers) if observer.logger is not None}
        if not levels or is_claimed_by(record.name):
            return False
        # Containers show both streams as one, and so do terminals.
        printed_no = min(printed_from("stderr"), printed_from("stdout"))
        is_printed = is_claimed() or any(_number(level) >= printed_no for level in levels)
        targets = [handler for _, handler in handlers_of(logging.getLogger(record.name))]
        return bool(targets) and all(
            (is_printed and stream_of(handler) is not None) or leads_back(handler, record.levelno)
            for handler in targets
        )


def install(observer: Observer) -> None:
    """Leave the servers' own access lines out for as long as `observer`, which writes them, lives."""
    _filter.observers.pop(observer, None)
    _filter.observers[observer] = None
    for name in SERVERS:
        logging.getLogger(name).addFilter(_filter)  # once, whatever is added again


def uninstall(observer: Observer) -> None:
    """Let the servers write again, when no observer is left."""
    _filter.observers.pop(observer, None)
    if not _filter.observers:
        for name in SERVERS:
            logging.getLogger(name).removeFilter(_filter)


def is_observed() -> bool:
    """Return whether an app of this process is instrumented."""
    return bool(_filter.observers)


def newest() -> Observer | None:
    """Return the observer of the app that was instrumented last; None without any."""
    return next(iter(reversed(list(_filter.observers))), None)


def claim_console(claimant: Claimant | None = None) -> None:
    """Have our access line leave the terminal to `claimant`, as long as it lives and writes there; None: for good."""
    claim(claimant)


def _number(level: str) -> int:
    try:
        return logger.level(level).no
    except ValueError:
        return -1  # a level that is gone prints nothing


_filter = ServerLineFilter()

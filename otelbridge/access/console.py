"""Whose access line stands on the terminal: ours, or one that the user asked for (Hypercorn's `accesslog = "-"`).

Where somebody has claimed the terminal, our sinks on it leave access records out. Files, JSON, OTLP and the logger
`otelbridge.access` get them as ever.
"""

from __future__ import annotations

import logging
import weakref
from typing import Protocol

from otelbridge._logger import logger

# What our access records are called in a sink.
RECORD_NAME = "otelbridge.access"


class Claimant(Protocol):
    """Whoever writes access lines of its own."""

    def terminal_logger(self) -> logging.Logger | None:
        """The logger whose access lines stand on a terminal now; None: none does."""


class _Claims:
    """Who has claimed the terminal. `were_made` is for those who ask at each request."""

    def __init__(self) -> None:
        self.were_made = False
        self.is_lasting = False
        self.claimants: weakref.WeakSet[Claimant] = weakref.WeakSet()
        self.handlers: object = None

    def loggers(self) -> list[logging.Logger]:
        """The loggers that have the terminal now."""
        found = (claimant.terminal_logger() for claimant in list(self.claimants))
        return [each for each in found if each is not None]


def claim(claimant: Claimant | None = None) -> None:
    """Have our access line leave the terminal to `claimant`, as long as it lives and writes there; None: for good."""
    if claimant is None:
        CLAIMS.is_lasting = True
    else:
        CLAIMS.claimants.add(claimant)
    CLAIMS.were_made = True


def is_claimed() -> bool:
    """Return whether somebody else's access line stands on the terminal."""
    return CLAIMS.were_made and (CLAIMS.is_lasting or bool(CLAIMS.loggers()))


def is_claimed_by(name: str) -> bool:
    """Return whether it is that of the logger of this name."""
    return CLAIMS.were_made and any(each.name == name for each in CLAIMS.loggers())


def leave_terminal() -> None:
    """Have our sinks on a terminal look at the claims from now on, those added since the last time included."""
    active = logger._family.handlers.active
    if active is CLAIMS.handlers:
        return
    for handler in active:
        if handler.is_on_terminal:
            handler.leave_out(RECORD_NAME, is_claimed)
    CLAIMS.handlers = active


CLAIMS = _Claims()

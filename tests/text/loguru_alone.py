"""A loguru of a test's own: what it adds and defines is nobody else's."""

from __future__ import annotations

import copy
from typing import Any

import loguru


def loguru_alone() -> Any:
    """A logger without handlers, apart from `loguru.logger`, which loses its own (they hold pytest's streams)."""
    loguru.logger.remove()
    return copy.deepcopy(loguru.logger)

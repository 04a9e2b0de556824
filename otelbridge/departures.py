"""Where otelbridge departs from loguru, for safety, and the variable that undoes all of it (design.md 4.11)."""

from __future__ import annotations

import os

_TRUE = ("1", "true", "yes", "y", "on")


def strict() -> bool:
    """OTELBRIDGE_LOGURU_STRICT: be loguru in everything, its unsafe defaults included."""
    return os.environ.get("OTELBRIDGE_LOGURU_STRICT", "").strip().lower() in _TRUE

"""Hypercorn's import paths, with its documents' promises kept: `.logging`, `.utils`, `.run`, `.config`.

Each is Hypercorn's own module with ours in front of it, so that `from hypercorn.logging import Logger` moves over by
its prefix. The three classes of `.logging` stand here as well. Loaded lazily: this needs the extra `server`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otelbridge.hypercorn.logging import AccessLogAtoms as AccessLogAtoms
    from otelbridge.hypercorn.logging import Logger as Logger
    from otelbridge.hypercorn.logging import StatsdLogger as StatsdLogger

__all__ = ["AccessLogAtoms", "Logger", "StatsdLogger"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        msg = f"module 'otelbridge.hypercorn' has no attribute {name!r}"
        raise AttributeError(msg)
    from otelbridge.hypercorn import logging

    value: object = getattr(logging, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""The instrumentation scope that our records, spans and points bear. Imports nothing of ours."""

from __future__ import annotations

from functools import cache
from importlib import metadata

SCOPE_NAME = "otelbridge"


@cache
def scope_version() -> str:
    """The installed version of otelbridge; `0` in a checkout that was never installed."""
    try:
        return metadata.version("otelbridge")
    except metadata.PackageNotFoundError:
        return "0"

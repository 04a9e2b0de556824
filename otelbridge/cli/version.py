"""`otelbridge version`: what is installed, for a bug report. Reads package data only: starts and sends nothing."""

from __future__ import annotations

import argparse
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

HELP = "print the version of otelbridge and of what it stands on"

# The distributions whose version decides how otelbridge behaves.
BASES = ("opentelemetry-sdk", "opentelemetry-exporter-otlp", "hypercorn", "statsd")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--json", action="store_true", help="as one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Print the versions."""
    known = versions()
    if arguments.json:
        import orjson

        print(orjson.dumps(known).decode())
    else:
        for name, number in known.items():
            print(f"{name} {number or 'not installed'}")
    return 0


def versions() -> dict[str, str | None]:
    """Return each part's version, None where it is not installed; ours first."""
    return {
        "otelbridge": _version("otelbridge"),
        "python": platform.python_version(),
        "platform": f"{sys.platform}-{platform.machine()}",
        **{name: _version(name) for name in BASES},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None

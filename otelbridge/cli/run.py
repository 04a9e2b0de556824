"""`otelbridge run`: an application on Hypercorn, instrumented, logged and supervised. `server` does it."""

from __future__ import annotations

import argparse

from otelbridge.cli import CliError
from otelbridge.server import options
from otelbridge.server.errors import StartError

HELP = "serve an application on Hypercorn, with its telemetry"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options: Hypercorn's, and ours."""
    options.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to end."""
    from otelbridge.server.serving import run_command

    try:
        run_command(options.read(arguments))
    except (StartError, ValueError) as error:
        raise CliError(str(error)) from error
    return 0

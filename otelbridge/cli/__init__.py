"""The command `otelbridge`: finds the verb and runs it. What a verb does stands in the module of its name.

Exit codes, for all verbs: 0 done, 1 could not be done (one sentence on stderr says why), 2 wrong usage.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, cast

# A verb's module is light at the top (its options); what it needs to run is imported when it runs.
VERBS = ("collector", "dashboards", "demo", "run", "version")


class Verb(Protocol):
    """What a verb's module offers."""

    HELP: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the options."""

    def run(self, arguments: argparse.Namespace) -> int:
        """Do it, and return the exit code."""


class CliError(Exception):
    """A verb cannot go on; the text is one sentence for the user, with the fix where there is one."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code; wrong usage raises SystemExit(2), as argparse does."""
    parser = argparse.ArgumentParser(prog="otelbridge", description="Logs, metrics and traces of a Python service.")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for name in VERBS:
        verb = cast("Verb", import_module(f"otelbridge.cli.{name}"))
        verb_parser = verbs.add_parser(name, help=verb.HELP, description=verb.HELP)
        verb.add_arguments(verb_parser)
        verb_parser.set_defaults(run=verb.run, name=name)
    arguments = parser.parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        # A terminal or pipe that knows fewer letters than we use gets escapes, not a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        return cast("int", arguments.run(arguments))
    except CliError as error:
        print(f"otelbridge {arguments.name}: {error}", file=sys.stderr)
        return 1

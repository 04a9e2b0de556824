"""`otelbridge dashboards`: writes Grafana's boards and Prometheus's rules, or checks those that are there."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from otelbridge.cli import CliError

HELP = "write Grafana boards and Prometheus rules for what otelbridge measures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--output", type=Path, default=Path("dashboards"), metavar="FOLDER", help="where to; %(default)s by default"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 if a file would change")
    parser.add_argument("--statsd-prefix", default="", metavar="PREFIX", help="statsd_prefix of the services, if any")
    parser.add_argument(
        "--runbooks",
        default="docs/runbooks",
        metavar="BASE",
        help="path or URL of the folder with the alerts' pages, for runbook_url; %(default)s by default",
    )
    parser.add_argument("--json", action="store_true", help="say what was done as one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Write or check the files."""
    try:
        from otelbridge.dashboards.files import drift, make_files, write
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "grafana_foundation_sdk":
            raise
        raise CliError("grafana-foundation-sdk is not installed: pip install 'otelbridge[dashboards]'") from error

    files = make_files(runbooks=arguments.runbooks, prefix=arguments.statsd_prefix)
    try:
        changed = drift(arguments.output, files)
        if not arguments.check:
            write(arguments.output, {name: files[name] for name in changed})
    except OSError as error:
        raise CliError(f"cannot use the folder {arguments.output}: {error}") from error
    if arguments.json:
        print(json.dumps({"output": str(arguments.output), "changed": changed, "written": not arguments.check}))
    else:
        for name, parts in changed.items():
            print(_sentence(arguments.output / name, parts, check=arguments.check))
        if not changed:
            print(f"{arguments.output}: nothing to change in {len(files)} files")
    return 1 if arguments.check and changed else 0


def _sentence(path: Path, parts: list[str], *, check: bool) -> str:
    """One line about a file that differs."""
    concerned = f": {', '.join(parts)}" if parts else ""
    if not check:
        return f"wrote {path}{concerned}"
    state = "differs from what is generated now" if parts else "is missing"
    return f"{path} {state}{concerned} (`otelbridge dashboards` writes it)"

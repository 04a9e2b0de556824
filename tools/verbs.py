"""The verbs of `python3 -m tools`: each prepares what it needs, then runs it. The work itself is elsewhere."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable

from tools import backends, checks, compatibility, debian, kafka
from tools.command import become
from tools.environment import build_native, prepare
from tools.places import ROOT, VENV
from tools.progress import ToolError, say

USAGE = """\
usage: python3 -m tools VERB

  demo [SECONDS]     a small shop service, instrumented, and its telemetry live (no SECONDS: until Ctrl-C)
  test [PYTEST ...]  all tests (those against real servers only after `backends`)
  check              linters, types, native checks, cross-compiling, generated documents
  bench              the comparison table with other loggers and instrumentation
  native [MODE]      rebuild the native core; MODE Debug or ReleaseSafe lasts until the next verb that runs it
  collector          build the OpenTelemetry Collector and a StatsD server for the tests into the user's cache
  backends           those two, Prometheus, Loki, Jaeger and Docker Compose
  full               `backends`, Kafka, and the tests that need any of these or Docker; rewrites docs/proof.md
  docs               rewrite docs/compatibility.md from the tests, dashboards/ from the table of metrics
  clean              remove .venv and everything else that was built or cached in this folder

Each sets up .venv first, if it has to. The same as `make VERB`.
"""


def run(arguments: list[str]) -> int:
    """Run the verb named by the first of *arguments*; the exit code."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0 if arguments else 2
    verb, rest = arguments[0], arguments[1:]
    if verb not in VERBS:
        print(f"otelbridge: no such verb: {verb!r}\n\n{USAGE}", end="", file=sys.stderr)
        return 2
    try:
        return VERBS[verb](rest)
    except ToolError as error:
        print(f"otelbridge: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\notelbridge: stopped", file=sys.stderr)
        return 130


def demo(arguments: list[str]) -> int:
    """Run the demo, for a number of seconds if one is given."""
    if arguments and not _is_number(arguments[0]):
        raise ToolError(f"demo takes a number of seconds, as in `make demo SECONDS=20`, got {arguments[0]!r}")
    return become([prepare("cli"), "-m", "otelbridge", "demo", *(["--seconds", arguments[0]] if arguments else [])])


def test(arguments: list[str]) -> int:
    """Run the tests, all or those that pytest's *arguments* choose."""
    return become([prepare("dev"), "-m", "pytest", *arguments])


def check(arguments: list[str]) -> int:
    """Run every check, or those whose names start with one of *arguments*."""
    return checks.run(prepare("dev"), arguments)


def bench(arguments: list[str]) -> int:
    """Print the comparison table."""
    return become([prepare("dev", "bench"), "-m", "benchmarks", *arguments])


def native(arguments: list[str]) -> int:
    """Rebuild the native core, as users get it or in another mode of the compiler."""
    if len(arguments) > 1 or not {*arguments} <= {"Debug", "ReleaseSafe", "ReleaseFast"}:
        raise ToolError(f"native takes Debug, ReleaseSafe or ReleaseFast, got {' '.join(arguments)!r}")
    build_native(*arguments)
    return 0


def build_collector(arguments: list[str]) -> int:
    """Build the collector and statsd_exporter, unless the cache has them."""
    _takes_nothing("collector", arguments)
    backends.build(("otelcol", "statsd_exporter"))
    return 0


def build_backends(arguments: list[str]) -> int:
    """Build all real servers that tests run, unless the cache has them."""
    _takes_nothing("backends", arguments)
    backends.build()
    return 0


def full(arguments: list[str]) -> int:
    """Fetch and build every real component, run every test that needs one, and write docs/proof.md."""
    _takes_nothing("full", arguments)
    python = prepare("dev")
    debian.ensure({"wrk": "wrk"})
    say(f"Kafka is ready: {kafka.fetch()}")
    backends.build()
    return become([python, "-m", "pytest", "--full", "--write-results", "-m", "full or required"])


def docs(arguments: list[str]) -> int:
    """Rewrite the generated documents."""
    _takes_nothing("docs", arguments)
    python = prepare("dev")
    compatibility.write(python)
    return become([python, "-m", "otelbridge", "dashboards"])


def clean(arguments: list[str]) -> int:
    """Remove what was built or cached inside the checkout; the user's cache folder stays."""
    _takes_nothing("clean", arguments)
    names = (".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".zig-cache", "zig-out", ".cache")
    found = [ROOT / name for name in (*names, "build", "dist", "__pycache__")]
    found += [path for path in (ROOT / "otelbridge").glob("_native.*") if path.suffix in (".so", ".pyd", ".pdb")]
    for folder in ("otelbridge", "tests", "tools", "benchmarks", "examples"):
        found += (ROOT / folder).rglob("__pycache__")
    for path in [*found, VENV]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    say("removed .venv, the built core and all caches in this folder")
    return 0


VERBS: dict[str, Callable[[list[str]], int]] = {
    "demo": demo,
    "test": test,
    "check": check,
    "bench": bench,
    "native": native,
    "collector": build_collector,
    "backends": build_backends,
    "full": full,
    "docs": docs,
    "clean": clean,
}


def _is_number(text: str) -> bool:
    try:
        return 0 < float(text) < float("inf")
    except ValueError:
        return False


def _takes_nothing(verb: str, arguments: list[str]) -> None:
    if arguments:
        raise ToolError(f"{verb} takes no arguments, got {' '.join(arguments)!r}")

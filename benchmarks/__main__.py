"""`python -m benchmarks [--quick] [--write]`: one table on stdout, progress on stderr.

Exits 0 whatever the times are; 1 if a row could not run (with `--write` also if a contestant is not installed: a table
with holes is not worth committing).
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks import machine, table
from benchmarks.cases import TARGETS, Case, cases
from benchmarks.receiver import Receiver
from benchmarks.timing import Contestant, measure_cpu, measure_wall, note

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
NOT_INSTALLED = "not installed"


class Effort(NamedTuple):
    """How long to measure."""

    wall_rounds: int
    cpu_rounds: int
    process_rounds: int
    server_rounds: int
    block_s: float


FULL = Effort(wall_rounds=500, cpu_rounds=30, process_rounds=8, server_rounds=15, block_s=1e-3)
QUICK = Effort(wall_rounds=10, cpu_rounds=2, process_rounds=1, server_rounds=1, block_s=2e-4)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and with --write also commit to docs/benchmarks.md."""
    options = _parser().parse_args(arguments)
    effort = QUICK if options.quick else FULL
    _forget_settings()
    described = machine.describe()
    results = _run(effort, only=options.only)
    judgements = table.judge(TARGETS, results)

    print(table.as_text(results, judgements))
    reasons = [reason for result in results for reason in result.reasons.values()]
    failed = any(reason != NOT_INSTALLED for reason in reasons)
    if options.write:
        if reasons or options.only:
            note(f"{PAGE.name} not written: it must hold every row; pip install -e .[bench] brings the missing ones")
            return 1
        blocks = f"{effort.wall_rounds} rounds of {effort.block_s * 1e3:g} ms blocks"
        rounds = (
            f"{blocks}, CPU rows {effort.cpu_rounds}, import {effort.process_rounds}, servers {effort.server_rounds}"
        )
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(table.as_markdown(results, judgements, described, rounds=rounds), encoding="utf-8")
        note(f"wrote {PAGE}")
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="every row, in seconds; too short for numbers to quote")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument("--only", metavar="CASE", action="append", help="one block of the table (repeatable)")
    return parser


def _forget_settings() -> None:
    """The reader's environment must not steer the contestants."""
    for name in list(os.environ):
        if name.startswith(("OTEL_", "OTELBRIDGE_", "LOGURU_", "LOGFIRE_")):
            del os.environ[name]


def _run(effort: Effort, *, only: Sequence[str] | None) -> list[table.Result]:
    with ExitStack() as stack:
        receiver = stack.enter_context(Receiver())
        stream = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        binary = stack.enter_context(Path(os.devnull).open("wb"))
        folder = Path(stack.enter_context(TemporaryDirectory()))
        chosen = cases(stream, binary, receiver, folder)
        if only:
            chosen = [case for case in chosen if case.key in only]
        _prepare()
        # Deprecations of the competitors are their users' affair.
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        from benchmarks import otel

        stack.enter_context(otel.tracer().start_as_current_span("benchmark"))
        # Requests first: logfire sets the MeterProvider of the process, and requests would be measured into that.
        first = sorted(chosen, key=lambda case: case.floor is None)
        results = {case.key: _run_case(case, effort) for case in first}
        return [results[case.key] for case in chosen]


def _prepare() -> None:
    try:
        from benchmarks import ours

        ours.prepare()
    except Exception as error:
        # The rows of otelbridge will say so, each for itself; the others can still be measured.
        _failure(error)


def _run_case(case: Case, effort: Effort) -> table.Result:
    note(f"… {case.title}")
    reasons: dict[str, str] = {}
    contestants = [built for entry in case.entries if (built := _build(entry.name, entry.build, reasons)) is not None]
    measure, rounds = {
        "wall": (measure_wall, effort.wall_rounds),
        "cpu": (measure_cpu, effort.cpu_rounds),
        "process": (measure_wall, effort.process_rounds),
        "server": (measure_cpu, effort.server_rounds),
    }[case.clock]
    try:
        outcome = measure(contestants, rounds=rounds, block_s=effort.block_s)
    finally:
        for contestant in contestants:
            contestant.close()
    for name, error in outcome.errors.items():
        reasons[name] = _failure(error)
    return table.Result(case, outcome.timings, reasons)


def _build(name: str, build: object, reasons: dict[str, str]) -> Contestant | None:
    assert callable(build)
    try:
        contestant = build()
    except ModuleNotFoundError as error:
        ours = (error.name or "").partition(".")[0] in {"otelbridge", "benchmarks"}
        reasons[name] = _failure(error) if ours else NOT_INSTALLED
        return None
    except Exception as error:
        reasons[name] = _failure(error)
        return None
    assert isinstance(contestant, Contestant)
    return contestant


def _failure(error: Exception) -> str:
    """The reason for a row's absence; where it came from goes to stderr."""
    traceback.print_exception(error, limit=-2)
    return f"failed: {error}"


if __name__ == "__main__":
    sys.exit(main())

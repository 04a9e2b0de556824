"""Runs one row for a while, for a profiler to look at: `python -m benchmarks.profile ROW [--seconds N] [--python]`.

Native code, where the time of otelbridge is:

    perf record -g -- python -m benchmarks.profile otelbridge
    valgrind --tool=callgrind -- python -m benchmarks.profile otelbridge --seconds 60

The shipped core has no symbols: `python hatch_build.py --mode ReleaseSafe` makes one with names (about half as fast),
`make native` the fast one again. `--python` uses cProfile instead, for what is written in Python. ROW is a name of the
table, or the beginning of one; the first that fits runs.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.cases import Case, Entry, cases
from benchmarks.receiver import Receiver
from benchmarks.timing import UNROLL, Contestant, compile_block, note

# Short enough that no queue overflows between two drains.
LOOPS = 20


def main(arguments: Sequence[str] | None = None) -> int:
    """Find the row, run it, say how often it ran."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("row", help="name of a row, or its beginning")
    parser.add_argument("--case", help="block of the table (enabled, console, disabled, encoded, posted, …)")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--python", action="store_true", help="profile with cProfile")
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        receiver = stack.enter_context(Receiver())
        stream = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        binary = stack.enter_context(Path(os.devnull).open("wb"))
        folder = Path(stack.enter_context(TemporaryDirectory()))
        entry = _find(cases(stream, binary, receiver, folder), options.row, options.case)
        if entry is None:
            note(f"no row begins with {options.row!r}; python -m benchmarks --quick prints them all")
            return 2
        from benchmarks import otel, ours

        ours.prepare()
        stack.enter_context(otel.tracer().start_as_current_span("profile"))
        contestant = entry.build()
        stack.callback(contestant.close)
        stack.enter_context(contestant.scope())
        if options.python:
            with cProfile.Profile() as profile:
                count = _run(contestant, options.seconds)
            profile.print_stats("tottime")
        else:
            count = _run(contestant, options.seconds)
        note(f"{entry.name}: {count:,} calls")
    return 0


def _find(every: Sequence[Case], row: str, key: str | None) -> Entry | None:
    for case in every:
        if key in (None, case.key):
            for entry in case.entries:
                if entry.name.startswith(row):
                    return entry
    return None


def _run(contestant: Contestant, seconds: float) -> int:
    block = compile_block(contestant)
    count = 0
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        block(repeat(None, LOOPS))
        count += LOOPS * UNROLL
        contestant.finish()
    return count


if __name__ == "__main__":
    sys.exit(main())

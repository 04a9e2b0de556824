"""The benchmark runs; what it measures is not asserted anywhere."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import access
from benchmarks.cases import TARGETS, Case, Entry, Target, cases
from benchmarks.receiver import Receiver
from benchmarks.table import Result, judge, rows
from benchmarks.timing import Contestant, LostRecordsError, Timing, measure_cpu

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(260)
def test_quick_run_prints_every_row() -> None:
    """`python -m benchmarks --quick` prints each row and each target, and no row of what is installed fails."""
    expected = cases(io.StringIO(), io.BytesIO(), Receiver(), Path())

    run = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    lines = run.stdout.splitlines()
    for case in expected:
        block = lines[lines.index(case.title) + 1 :][: len(case.entries)]
        assert len(block) == len(case.entries)
        for line, entry in zip(block, case.entries, strict=True):
            assert line.strip().startswith(f"{entry.name} ")
            assert "failed" not in line
    assert all(any(target.text in line for line in lines) for target in TARGETS)


def test_lost_records_disqualify() -> None:
    """A contestant whose records do not all arrive has an error instead of a time."""
    honest = Contestant("honest", "pass", {})
    lossy = Contestant("lossy", "pass", {}, arrived=lambda: 1, block_count=10)

    outcome = measure_cpu([honest, lossy], rounds=1, block_s=1e-5)

    assert list(outcome.timings) == ["honest"]
    assert isinstance(outcome.errors["lossy"], LostRecordsError)


def test_targets_are_judged_by_the_fastest_blocks() -> None:
    """A target is reached, not reached, or not measured; the slower one's time is divided by the faster one's."""
    timings = {"a": Timing(100.0, 100.0), "b": Timing(1000.0, 100.0)}
    result = Result(Case("case", "a case", "wall", []), timings)
    targets = [
        Target("at least", "case", "b", "a", 10.0),
        Target("more than that", "case", "b", "a", 10.1),
        Target("at most", "case", "a", "b", 0.1, at_most=True),
        Target("absent", "case", "c", "a", 1.0),
    ]

    verdicts = [item.verdict for item in judge(targets, [result])]

    assert verdicts == ["reached", "NOT reached", "reached", "not measured"]


def test_a_case_with_a_floor_is_judged_by_what_is_added_to_it() -> None:
    """Where all rows contain the floor's work, it is taken from both sides before they are compared."""
    timings = {"ours": Timing(110.0, 120.0), "bare": Timing(100.0, 100.0), "theirs": Timing(250.0, 260.0)}
    entries = [Entry(name, lambda: Contestant("", "pass", {})) for name in timings]
    result = Result(Case("case", "a case", "wall", entries, floor="bare"), timings)

    (judgement,) = judge([Target("added", "case", "theirs", "ours", 15)], [result])

    assert (judgement.ratio_min, judgement.ratio_median) == (15.0, 8.0)
    assert [row.ratio_min for row in rows([result])][1:] == ["1.00×", "0.00×", "15.0×"]


def test_a_contestant_may_bring_the_clock_of_another_process() -> None:
    """CPU rows are measured by the contestant's own clock, until `finish` has returned."""
    ticks = iter(range(0, 1_000_000, 700))
    contestant = Contestant("served", "pass", {}, block_count=10, cpu_ns=lambda: next(ticks))

    outcome = measure_cpu([contestant], rounds=3, block_s=1e-5)

    assert outcome.timings["served"] == Timing(70.0, 70.0)


def test_signals_that_disagree_disqualify() -> None:
    """A row that makes spans and records, and loses one of either, has an error instead of a time."""
    counts = [3, 3, 2]
    arrived = access.all_of([counts.pop, lambda: 3])

    with pytest.raises(LostRecordsError, match=re.escape("[2, 3]")):
        arrived()
    assert arrived() == 3

"""Takes turns: short blocks of each contestant, shuffled, and the fastest and the middle one of each.

Knows two clocks and no library. What a contestant does between blocks (`finish`) is outside the wall clock
and inside the CPU clock.
"""

from __future__ import annotations

import gc
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any, NamedTuple

# Runs a statement UNROLL times per item.
Block = Callable[[Iterable[None]], object]

# The statement is written out this often in the body of the loop, so that the loop itself weighs ~1 ns per call.
UNROLL = 10


def _nothing() -> None:
    pass


@dataclass(slots=True)
class Contestant:
    """One statement, and what it needs around it."""

    name: str
    statement: str
    names: Mapping[str, object]
    """Globals that the statement sees."""
    scope: Callable[[], AbstractContextManager[object]] = nullcontext
    """Entered before each block, outside the clock: the `contextualize` of this library."""
    finish: Callable[[], object] = _nothing
    """Called after each block: empties queues (wall clock: not timed), or encodes and sends (CPU clock: timed)."""
    arrived: Callable[[], int] | None = None
    """How many records came out at the far end since the last call; asked after each block: none may be missing."""
    block_count: int | None = None
    """Records per block; None: as many as fill a block's time."""
    cpu_ns: Callable[[], int] = time.process_time_ns
    """What the CPU clock reads: this process, unless the work is done in another one."""
    close: Callable[[], object] = _nothing


class Timing(NamedTuple):
    """Nanoseconds per call of one contestant: the fastest block and the middle one."""

    min_ns: float
    median_ns: float


class Outcome(NamedTuple):
    """What `measure_*` answers: by contestant's name, a timing or the reason for its absence."""

    timings: Mapping[str, Timing]
    errors: Mapping[str, Exception]


@dataclass(slots=True)
class _Runner:
    contestant: Contestant
    block: Block
    loops: int = 1
    emitted: int = 0
    arrived: int = 0
    samples_ns: list[float] = field(default_factory=list)
    error: Exception | None = None


class LostRecordsError(Exception):
    """A contestant was fast because it threw records away."""


def measure_wall(contestants: Sequence[Contestant], *, rounds: int, block_s: float) -> Outcome:
    """Time on the calling thread: queues are emptied between the blocks, no other thread of ours has work meanwhile.

    The collector of garbage rests during a block: it would bill its work to whoever happens to be running.
    """
    return _measure(contestants, _sample_wall, rounds=rounds, block_s=block_s)


def measure_cpu(contestants: Sequence[Contestant], *, rounds: int, block_s: float) -> Outcome:
    """CPU time of a whole process, all threads, from the first call until `finish` has returned."""
    return _measure(contestants, _sample_cpu, rounds=rounds, block_s=block_s)


def _measure(
    contestants: Sequence[Contestant], sample: Callable[[_Runner], float], *, rounds: int, block_s: float
) -> Outcome:
    runners = [_Runner(contestant, compile_block(contestant)) for contestant in contestants]
    # Shuffled, because in a fixed order each would always run in the caches that the same neighbour left behind.
    order = random.Random(0)
    gc.collect()
    gc.freeze()
    try:
        for runner in runners:
            _attempt(runner, lambda runner: _choose_loops(runner, block_s))
        for _ in range(rounds):
            order.shuffle(runners)
            for runner in runners:
                _attempt(runner, lambda runner: runner.samples_ns.append(sample(runner)))
            gc.collect()
    finally:
        gc.unfreeze()
    for runner in runners:
        _attempt(runner, _check_arrived)
    return Outcome(
        {runner.contestant.name: _timing(runner.samples_ns) for runner in runners if runner.error is None},
        {runner.contestant.name: runner.error for runner in runners if runner.error is not None},
    )


def _attempt(runner: _Runner, step: Callable[[_Runner], object]) -> None:
    """One contestant that fails is out; the others go on."""
    if runner.error is not None:
        return
    try:
        step(runner)
        if runner.contestant.arrived is not None:
            runner.arrived += runner.contestant.arrived()
    except Exception as error:
        runner.error = error


def _timing(samples_ns: Sequence[float]) -> Timing:
    return Timing(min(samples_ns), statistics.median(samples_ns))


def _sample_wall(runner: _Runner) -> float:
    contestant = runner.contestant
    with contestant.scope():
        _warm(runner)
        gc.disable()
        try:
            started_ns = time.perf_counter_ns()
            runner.block(repeat(None, runner.loops))
            elapsed_ns = time.perf_counter_ns() - started_ns
        finally:
            gc.enable()
        contestant.finish()
    runner.emitted += runner.loops * UNROLL
    return elapsed_ns / (runner.loops * UNROLL)


def _sample_cpu(runner: _Runner) -> float:
    contestant = runner.contestant
    with contestant.scope():
        _warm(runner)
        started_ns = contestant.cpu_ns()
        runner.block(repeat(None, runner.loops))
        contestant.finish()
        elapsed_ns = contestant.cpu_ns() - started_ns
    runner.emitted += runner.loops * UNROLL
    return elapsed_ns / (runner.loops * UNROLL)


def _warm(runner: _Runner) -> None:
    """One pass that is not timed: a fresh scope fills caches once, and a program logs more than once in it."""
    runner.block(repeat(None, 1))
    runner.contestant.finish()
    runner.emitted += UNROLL


def _choose_loops(runner: _Runner, block_s: float) -> None:
    if runner.contestant.block_count is not None:
        runner.loops = max(1, runner.contestant.block_count // UNROLL)
        return
    while (elapsed_ns := _sample_wall(runner) * runner.loops * UNROLL) < block_s * 1e9 / 2:
        runner.loops *= 2
    runner.loops = max(1, round(runner.loops * block_s * 1e9 / elapsed_ns))


def compile_block(contestant: Contestant) -> Block:
    """The statement in a loop, as `timeit` does it: every contestant gets the same one, with no call around it."""
    body = "\n".join([f"        {contestant.statement}"] * UNROLL)
    namespace: dict[str, Any] = {"__name__": "benchmarks.app", **contestant.names}
    exec(compile(f"def handle(loops):\n    for _ in loops:\n{body}\n", "benchmarks/app.py", "exec"), namespace)
    block: Block = namespace["handle"]
    return block


def _check_arrived(runner: _Runner) -> None:
    if runner.contestant.arrived is not None and runner.arrived != runner.emitted:
        msg = f"{runner.contestant.name}: {runner.emitted} records were emitted, {runner.arrived} arrived"
        raise LostRecordsError(msg)


def note(message: str) -> None:
    """Progress, for whoever is waiting; the table alone goes to stdout."""
    print(message, file=sys.stderr, flush=True)

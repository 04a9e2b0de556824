"""Where the time of an instrumented request goes: `python -m benchmarks.profile_access [HOST ...]`.

Layer by layer: the app alone, `instrument()` with everything off, then each signal by itself and all of them, taking
turns in one run; what a layer adds is a subtraction of minima. HOST is asgi, wsgi, fastapi, flask, all in process; or
hypercorn: the bare ASGI app on a real server, where the same code costs about a third more than in a hot loop.

`--python LAYER` runs one layer under cProfile instead, which tells the functions by name and makes small ones look
dear; `--allocations LAYER` tells which lines leave memory behind (tracemalloc, 10,000 requests).
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import repeat

from benchmarks.hosts import ALONE, HOSTS, LAYERS
from benchmarks.receiver import Receiver
from benchmarks.timing import UNROLL, Contestant, Outcome, compile_block, measure_cpu, measure_wall

ROUNDS = 200
BLOCK_S = 2e-3
SERVED = "hypercorn"
SERVED_ROUNDS = 8
LOOPS = 50


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one table per host, or one profile."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.profile_access", description=__doc__)
    parser.add_argument("hosts", nargs="*", metavar="HOST", help="|".join([*HOSTS, SERVED]))
    parser.add_argument("--rounds", type=int, help=f"{ROUNDS}, or {SERVED_ROUNDS} of {SERVED}")
    parser.add_argument("--python", choices=LAYERS, metavar="LAYER", help="|".join(LAYERS))
    parser.add_argument("--allocations", choices=LAYERS, metavar="LAYER")
    options = parser.parse_args(arguments)
    if unknown := sorted({*options.hosts} - {*HOSTS, SERVED}):
        parser.error(f"HOST must be one of {', '.join([*HOSTS, SERVED])}, got {unknown[0]!r}")
    with ExitStack() as stack:
        from benchmarks import ours

        receiver = stack.enter_context(Receiver())
        ours.prepare()
        for host in options.hosts or ("asgi", "wsgi"):
            builders = _builders(host, f"{receiver.url}/profile")
            if host == SERVED:
                _layers(host, builders, partial(measure_cpu, rounds=options.rounds or SERVED_ROUNDS, block_s=BLOCK_S))
            elif options.python:
                _functions(builders[options.python]())
            elif options.allocations:
                _allocations(builders[options.allocations]())
            else:
                _layers(host, builders, partial(measure_wall, rounds=options.rounds or ROUNDS, block_s=BLOCK_S))
    return 0


def _builders(host: str, endpoint: str) -> dict[str, Callable[[], Contestant]]:
    from benchmarks import access, served

    if host == SERVED:
        return {layer: partial(served.hypercorn, layer, layer, endpoint) for layer in (ALONE, *LAYERS)}
    layers = {name: partial(access.ours, name, host, endpoint=endpoint, **on) for name, on in LAYERS.items()}
    return {ALONE: partial(access.bare, ALONE, host), **layers}


def _layers(host: str, builders: dict[str, Callable[[], Contestant]], measure: Callable[..., Outcome]) -> None:
    contestants = [build() for build in builders.values()]
    try:
        outcome = measure(contestants)
    finally:
        for contestant in contestants:
            contestant.close()
    for error in outcome.errors.values():
        raise error
    alone, nothing = outcome.timings[ALONE], outcome.timings["nothing on"]
    print(f"\n{host:<16} {'µs (min)':>9} {'(median)':>9} {'over the app':>13} {'over nothing on':>16}")
    for name in builders:
        timing = outcome.timings[name]
        over_app, over_nothing = timing.min_ns - alone.min_ns, timing.min_ns - nothing.min_ns
        numbers = [timing.min_ns, timing.median_ns, over_app, over_nothing]
        print(
            f"{name:<16} "
            + " ".join(f"{ns / 1e3:>{width}.2f}" for ns, width in zip(numbers, (9, 9, 13, 16), strict=True))
        )


def _functions(contestant: Contestant) -> None:
    with contestant.scope(), cProfile.Profile() as profile:
        for _ in range(20):
            _run(contestant)
    contestant.close()
    pstats.Stats(profile).sort_stats("tottime").print_stats(40)


def _allocations(contestant: Contestant) -> None:
    with contestant.scope():
        _run(contestant)
        tracemalloc.start(5)
        before = tracemalloc.take_snapshot()
        for _ in range(10_000 // (LOOPS * UNROLL)):
            _run(contestant)
        after = tracemalloc.take_snapshot()
        tracemalloc.stop()
    contestant.close()
    for line in after.compare_to(before, "lineno")[:15]:
        print(line)


def _run(contestant: Contestant) -> None:
    compile_block(contestant)(repeat(None, LOOPS))
    contestant.finish()


if __name__ == "__main__":
    sys.exit(main())

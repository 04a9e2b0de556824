"""The real servers behind the tests, and Docker Compose: which versions, made how. Tests and `make full` run them.

Tempo and Grafana are missing: no version of either can be built from what Go's module proxy has.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tools import collector
from tools.golang import Program
from tools.progress import ToolError, say

PROMETHEUS = "github.com/prometheus/prometheus@v0.315.0"  # 3.15
LOKI = "github.com/grafana/loki/v3@v3.7.8"
# What Loki's own go.mod takes from a folder beside it, which is a module of its own.
LOKI_PUSH = "github.com/grafana/loki/pkg/push@v0.0.0-20250630054201-94c0ba7b0952"
JAEGER = "github.com/jaegertracing/jaeger@v1.76.0"
COMPOSE = "github.com/docker/compose/v2@v2.40.3"  # the newest that Go 1.26 compiles

PROGRAMS = {
    program.name: program
    for program in (
        # Without its service discoveries, which are most of its size: ours names its targets.
        Program("prometheus", PROMETHEUS, "./cmd/prometheus", tags="remove_all_sd"),
        Program("promtool", PROMETHEUS, "./cmd/promtool", tags="remove_all_sd"),
        Program("loki", LOKI, "./cmd/loki", grafts={"pkg/push": LOKI_PUSH}),
        Program("jaeger", JAEGER, "./cmd/jaeger", proof="version"),
        Program("docker-compose", COMPOSE, "./cmd", proof="version"),
        collector.STATSD_EXPORTER,
    )
}
BUILDS: dict[str, Callable[[], Path]] = {
    "otelcol": collector.build,
    **{name: program.build for name, program in PROGRAMS.items()},
}
NAMES = tuple(BUILDS)
# Minutes on two idle cores, and GB that Go's own caches then have more, where they were empty before.
COSTS = {
    "otelcol": (4, 3),
    "prometheus": (2, 2),
    "promtool": (1, 1),
    "loki": (5, 3),
    "jaeger": (4, 2),
    "docker-compose": (2, 1),
    "statsd_exporter": (1, 0),
}


def binary(name: str) -> Path:
    """Where the program *name* lies once it is built."""
    return collector.binary() if name == "otelcol" else PROGRAMS[name].binary()


def build(names: Sequence[str] = NAMES) -> None:
    """Build those of *names* that the cache lacks. One that cannot be built keeps none of the others from it."""
    missing = [name for name in names if not binary(name).exists()]
    if missing:
        minutes, gigabytes = (sum(costs) for costs in zip(*(COSTS[name] for name in missing), strict=True))
        say(f"building {', '.join(missing)}, once")
        say(f"about {minutes} min on two cores and {gigabytes} GB in Go's own caches; less where they have some of it")
    failed = []
    for name in names:
        try:
            say(f"{name} is ready: {BUILDS[name]()}")
        except ToolError as error:
            failed.append(name)
            print(f"otelbridge: {name} could not be built: {error}", file=sys.stderr, flush=True)
    if failed:
        raise ToolError(f"{len(failed)} of {len(names)} programs could not be built: {', '.join(failed)}")

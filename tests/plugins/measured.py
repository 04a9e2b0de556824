"""Numbers that tests prove: the fixture `measured`, and the page that `--write-results` makes of them (`make full`)."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

PAGE = Path("docs") / "proof.md"
HEADER = """\
# Proof: what `make full` last measured

Written by `make full` when all its tests passed: {date}, on {machine}. Each number comes from the test beside it, which
ran the real programs on loopback: the Collector, Prometheus, Loki, Jaeger, Kafka, Docker, wrk.

| what | number | unit | test |
|---|---:|---|---|
"""


class Result(NamedTuple):
    """One number and the test that proved it."""

    name: str
    value: float
    unit: str
    test: str


_RESULTS = pytest.StashKey[list[Result]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--write-results`."""
    parser.addoption("--write-results", action="store_true", help=f"write what the tests measured to {PAGE}")


def pytest_configure(config: pytest.Config) -> None:
    """Begin with no results."""
    config.stash[_RESULTS] = []


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[str, float, str], None]:
    """
    Keep a number that this test proved, with its unit: `measured("records kept over a restart", 100_000, "records")`.
    """
    results = request.config.stash[_RESULTS]
    return lambda name, value, unit: results.append(Result(name, value, unit, request.node.nodeid))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Write the page, if that was asked for and every test passed: a number of a broken run proves nothing."""
    results = session.config.stash[_RESULTS]
    if session.config.getoption("--write-results") and exitstatus == pytest.ExitCode.OK and results:
        page = session.config.rootpath / PAGE
        page.parent.mkdir(exist_ok=True)
        page.write_text(render(results, time.strftime("%Y-%m-%d"), machine()), "utf-8")


def render(results: list[Result], date: str, machine: str) -> str:
    """The page: one line per number, in the order of their tests."""
    rows = [
        f"| {result.name} | {number(result.value)} | {result.unit} | `{result.test}` |\n"
        for result in sorted(results, key=lambda result: result.test)
    ]
    return HEADER.format(date=date, machine=machine) + "".join(rows)


def number(value: float) -> str:
    """Whole numbers in full, others to three digits: more were chance."""
    if value == int(value) or abs(value) >= 1000:
        return f"{round(value):,}"
    return f"{value:.3g}"


def machine() -> str:
    """The machine in a few words: numbers of another one differ."""
    memory = ""
    if hasattr(os, "sysconf"):
        memory = f", {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB of memory"
    return f"{platform.system()} {platform.machine()} with {os.cpu_count()} cores{memory}"

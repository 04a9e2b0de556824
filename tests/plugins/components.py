"""What the markers `required` and `full` do, for tests that need real components. Says nothing of what is tested.

`required`: on a developer's machine they may skip, with CI=true a skip of theirs is a failure. `full`: they are too
heavy for every run; they are left out, and one line at the end counts them, unless `--full` is given (`make full`
does). With it a skip of either is a failure: all that they need was fetched before.
"""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

_LEFT_OUT = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--full`."""
    parser.addoption("--full", action="store_true", help="run the tests marked full, too; none may be skipped")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the tests marked full out, unless they were asked for."""
    if config.getoption("--full"):
        return
    heavy = [item for item in items if item.get_closest_marker("full")]
    config.stash[_LEFT_OUT] = len(heavy)
    if heavy:
        items[:] = [item for item in items if not item.get_closest_marker("full")]
        config.hook.pytest_deselected(items=heavy)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say how many tests were left out, and how they are run."""
    count = config.stash.get(_LEFT_OUT, 0)
    if count:
        terminalreporter.write_line(f"tests left out because they are marked full: {count} (`make full` runs them)")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a test that needs a real component into a failure where nothing may be missing."""
    report = yield
    expected_failure = hasattr(report, "wasxfail")
    if report.skipped and not expected_failure and (needed := _why_needed(item)):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} is {needed}, and may not be skipped: {why}"
    return report


def _why_needed(item: pytest.Item) -> str:
    """Why *item* may not be skipped; empty if it may."""
    full = bool(item.config.getoption("--full"))
    if full and item.get_closest_marker("full"):
        return "part of --full"
    if item.get_closest_marker("required") and (full or os.environ.get("CI") == "true"):
        return "required with --full" if full else "required with CI=true"
    return ""

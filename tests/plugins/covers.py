"""What the markers `covers` and `required` do. Says nothing of what is tested.

`covers("1.18", note=…)` ties a test to a row of docs/rows.toml; `--covers FILE` writes all ties down, from which
`tools/compatibility.py` makes docs/compatibility.md. `required` marks tests that need a real component: on a
developer's machine they may skip, with CI=true a skip of theirs is a failure.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--covers FILE`."""
    parser.addoption("--covers", metavar="FILE", help="write which test covers which row to FILE, as JSON")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write the ties of all collected tests, each test once however often it is parametrised."""
    target: str | None = session.config.getoption("--covers")
    if target is None:
        return
    ties: dict[tuple[str, str], dict[str, str]] = {}
    for item in session.items:
        test = item.nodeid.partition("[")[0]
        for marker in item.iter_markers("covers"):
            row, note = _read(marker, test)
            ties[row, test] = {"row": row, "test": test, "note": note}
    Path(target).write_text(json.dumps(list(ties.values()), indent=1), "utf-8")


def _read(marker: pytest.Mark, test: str) -> tuple[str, str]:
    note = marker.kwargs.get("note") or ""
    if len(marker.args) != 1 or not isinstance(marker.args[0], str) or set(marker.kwargs) - {"note"}:
        msg = f'expected covers("ROW") or covers("ROW", note="…"), got {marker} at {test}'
        raise pytest.UsageError(msg)
    return marker.args[0], note


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn the skip of a required test into a failure where nothing may be missing."""
    report = yield
    expected_failure = hasattr(report, "wasxfail")
    if (
        report.skipped
        and not expected_failure
        and os.environ.get("CI") == "true"
        and item.get_closest_marker("required")
    ):
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} is required, and with CI=true it may not be skipped: {why}"
    return report

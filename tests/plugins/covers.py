"""What the marker `covers` does. Says nothing of what is tested.

`covers("1.18", note=…)` ties a test to a row of docs/rows.toml; `--covers FILE` writes all ties down, from which
`tools/compatibility.py` makes docs/compatibility.md.
"""

from __future__ import annotations

import json
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

"""The page that says what is covered."""

from __future__ import annotations

import pytest

from tools.compatibility import render
from tools.progress import ToolError


def tie(row: str, test: str, note: str = "") -> dict[str, str]:
    """A tie as the plugin writes it."""
    return {"row": row, "test": test, "note": note}


def test_rows_come_in_the_order_of_their_numbers() -> None:
    """Row 1.10 stands after 1.9, with all its tests and what differs."""
    names = {"1.10": "serialize | json", "1.9": "JsonSink"}

    page = render(names, [tie("1.10", "t.py::b"), tie("1.10", "t.py::a", note="keys\nsorted"), tie("1.9", "t.py::c")])

    assert page.splitlines()[-2:] == [
        "| 1.9 | JsonSink | `t.py::c` |  |",
        r"| 1.10 | serialize \| json | `t.py::a`<br>`t.py::b` | keys sorted |",
    ]


def test_row_without_name_or_test_is_an_error() -> None:
    """A tie to an unnamed row, and a named row without a test, are said, not hidden."""
    with pytest.raises(ToolError, match=r"does not name: 9\.9"):
        render({}, [tie("9.9", "t.py::a")])
    with pytest.raises(ToolError, match=r"no test covers: 1\.1"):
        render({"1.1": "levels"}, [])

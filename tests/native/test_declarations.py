"""What native/src/py.zig declares by hand, against the import library that a Windows build is given."""

from __future__ import annotations

import re
from pathlib import Path

NATIVE = Path(__file__).parents[2] / "native"


def test_windows_import_library_has_what_is_declared() -> None:
    """
    native/python3.def names exactly the functions and variables of the stable ABI that py.zig declares.
    """
    declared = (NATIVE / "src" / "py.zig").read_text("utf-8")
    functions = set(re.findall(r"(?m)^pub extern fn (\w+)", declared))
    variables = {f"{name} DATA" for name in re.findall(r"(?m)^pub extern var (\w+)", declared)}

    exported = (NATIVE / "python3.def").read_text("utf-8").partition("EXPORTS\n")[2]

    assert {line.strip() for line in exported.splitlines()} == functions | variables

"""What the workshop says when a program that it runs fails."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools.command import reason, run_logged
from tools.progress import ToolError


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (["go: dial tcp: lookup proxy: no such host"], "check the network"),
        (["ERROR: Could not find a version of hatchling (from versions: none)"], "check the network"),
        (["write /x: No space left on device", "error: linker failed"], "the disk is full"),
        (["working", "main.zig:1:1: error: expected ';'", "note: here"], "main.zig:1:1: error: expected ';'"),
        (["[ERROR] Could not find artifact kafka -> [Help 1]", "[ERROR] [Help 1] http://x"], "Could not find artifact"),
        (["it went wrong", ""], "it went wrong"),
    ],
)
def test_reason_is_the_likeliest_cause(output: list[str], told: str) -> None:
    """A failed download and a full disk are named as such; else the first error, else the last line."""
    assert told in reason(output)


def test_failed_program_is_one_sentence_and_a_log(tmp_path: Path) -> None:
    """A program that fails costs one sentence; all it printed, both streams, is in the log that the sentence names."""
    log = tmp_path / "work.log"
    code = "import sys; print('first'); print('fatal error: no luck', file=sys.stderr); sys.exit(3)"

    with pytest.raises(ToolError, match="no luck") as caught:
        run_logged([sys.executable, "-c", code], log)

    assert len(str(caught.value).splitlines()) == 1
    assert str(log) in str(caught.value)
    assert {"first", "fatal error: no luck"} <= set(log.read_text("utf-8").splitlines())

"""`make native MODE=…`: what it refuses."""

from __future__ import annotations

import pytest

from tools import verbs


@pytest.mark.parametrize("arguments", [["Fast"], ["debug"], ["Debug", "ReleaseFast"]])
def test_unknown_mode_is_said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """
    A mode that the compiler does not have builds nothing: one sentence names those it has.
    """
    assert verbs.run(["native", *arguments]) == 1

    assert "native takes Debug, ReleaseSafe or ReleaseFast, got" in capsys.readouterr().err

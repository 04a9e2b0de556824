"""The marker `required`."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

SKIPPING = """
    import pytest

    @pytest.mark.required
    def test_needs_a_collector():
        pytest.skip("not built: `make collector` builds it")

    def test_needs_nothing():
        pytest.skip("optional")
"""


@pytest.mark.parametrize(("ci", "outcome"), [("", {"skipped": 2}), ("true", {"failed": 1, "skipped": 1})])
def test_required_test_may_skip_only_outside_ci(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ci: str, outcome: dict[str, int]
) -> None:
    """With CI=true the skip of a required test is a failure that repeats the reason; any other skip stays one."""
    monkeypatch.setenv("CI", ci)
    pytester.makepyfile(SKIPPING)

    done = pytester.runpytest_inprocess("-p", "tests.plugins.covers", "-W", "ignore")

    done.assert_outcomes(**outcome)
    if "failed" in outcome:
        done.stdout.fnmatch_lines(["*may not be skipped: *make collector*"])

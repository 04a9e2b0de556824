"""The markers `required` and `full`."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

SKIPPING = """
    import pytest

    @pytest.mark.required
    def test_needs_a_collector():
        pytest.skip("not built: `make collector` builds it")

    @pytest.mark.full
    def test_needs_a_broker():
        pytest.skip("not fetched: `make full` fetches it")

    def test_needs_nothing():
        pytest.skip("optional")
"""


def outcome_of(pytester: pytest.Pytester, *options: str) -> pytest.RunResult:
    """Run three tests that skip: one required, one full, one neither."""
    pytester.makepyfile(SKIPPING)
    pytester.makeini("[pytest]\nmarkers =\n  required\n  full\n")
    return pytester.runpytest_inprocess("-p", "tests.plugins.components", "-W", "ignore", *options)


@pytest.mark.parametrize(("ci", "outcome"), [("", {"skipped": 2}), ("true", {"failed": 1, "skipped": 1})])
def test_required_test_may_skip_only_outside_ci(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, ci: str, outcome: dict[str, int]
) -> None:
    """
    With CI=true the skip of a required test is a failure that repeats the reason; any other skip stays one.
    """
    monkeypatch.setenv("CI", ci)

    done = outcome_of(pytester)

    done.assert_outcomes(**outcome, deselected=1)
    if "failed" in outcome:
        done.stdout.fnmatch_lines(["*may not be skipped: *make collector*"])


def test_full_test_is_left_out_and_counted(pytester: pytest.Pytester) -> None:
    """
    Without --full a test marked full does not run, not even to skip, and one line says what runs it.
    """
    done = outcome_of(pytester, "-k", "broker")

    done.assert_outcomes(deselected=3)
    done.stdout.fnmatch_lines(["tests left out because they are marked full: 1 (`make full` runs them)"])


def test_with_full_no_real_component_may_be_missing(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    With --full the skip of a test marked full or required is a failure that repeats the reason, on any machine.
    """
    monkeypatch.setenv("CI", "")

    done = outcome_of(pytester, "--full")

    done.assert_outcomes(failed=2, skipped=1)
    done.stdout.fnmatch_lines(["*may not be skipped: *make collector*", "*may not be skipped: *make full*"])

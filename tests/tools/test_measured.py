"""The fixture `measured` and the page made of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugins.measured import number

pytest_plugins = ["pytester"]

MEASURING = """
    def test_replay(measured):
        measured("records kept over a restart", 100_000, "records")

    def test_other():
        assert {good}
"""


def page_of(pytester: pytest.Pytester, *options: str, good: bool = True) -> Path:
    """Where the page of a run of two tests lies, if it wrote one."""
    pytester.makepyfile(MEASURING.format(good=good))
    pytester.runpytest_inprocess("-p", "tests.plugins.measured", "-W", "ignore", *options)
    return pytester.path / "docs" / "proof.md"


def test_measured_number_stands_on_the_page(pytester: pytest.Pytester) -> None:
    """
    What a test measured stands on the page with its unit and the test's name.
    """
    page = page_of(pytester, "--write-results").read_text("utf-8")

    row = "| records kept over a restart | 100,000 | records |"
    assert page.splitlines()[-1].startswith(row)
    assert "::test_replay" in page.splitlines()[-1]


def test_only_a_good_run_that_was_asked_writes(pytester: pytest.Pytester) -> None:
    """
    Without --write-results, or where any test failed, the page stays as it was.
    """
    assert not page_of(pytester).exists()
    assert not page_of(pytester, "--write-results", good=False).exists()


@pytest.mark.parametrize(
    ("value", "shown"), [(100_000, "100,000"), (12345.6, "12,346"), (2.0, "2"), (0.123456, "0.123"), (45.678, "45.7")]
)
def test_numbers_have_no_digits_of_chance(value: float, shown: str) -> None:
    """
    Whole numbers stand in full, others with three digits.
    """
    assert number(value) == shown

"""The rules: what they make of known series, and what a person finds who is woken by one."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from otelbridge.dashboards.rules import SLOW_S
from otelbridge.metrics.instruments import REQUEST_DURATION
from tests.dashboards.conftest import built
from tests.dashboards.queries import RULES, metric, rules, selectors
from tests.dashboards.test_expressions import labels_of
from tools.places import ROOT

RUNBOOKS = ROOT / "docs" / "runbooks"
ALERTS = [rule for rule in rules() if "alert" in rule]
PAGES = sorted(RUNBOOKS.glob("*.md"))
PARTS = ["**What it means.**", "**See it.**", "**Likely causes.**", "**What to do.**"]


def promtool(*arguments: str | Path) -> None:
    """Run promtool, and fail with its words."""
    done = subprocess.run(
        [built("promtool"), *arguments], capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.required
def test_prometheus_loads_the_rules() -> None:
    """
    Prometheus's own tool takes the rules, and finds none twice.
    """
    promtool("check", "rules", "--lint=all", "--lint-fatal", *sorted(RULES.glob("*.yaml")))


@pytest.mark.required
def test_rules_do_what_they_say() -> None:
    """
    Fed with series whose answer is known, each alert fires for the one that is ill and for no other.
    """
    promtool("test", "rules", Path(__file__).parent / "rules_test.yaml")


def test_every_alert_is_tested() -> None:
    """
    `rules_test.yaml` names each alert.
    """
    text = (Path(__file__).parent / "rules_test.yaml").read_text("utf-8")

    assert [rule["alert"] for rule in ALERTS if rule["alert"] not in text] == []


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_alert_says_what_to_do(alert: dict[str, dict[str, str]]) -> None:
    """
    Each alert has a severity, a summary, a description, a board, and a page in the repository.
    """
    assert alert["labels"]["severity"] in ("page", "ticket")
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url", "dashboard_uid"}
    assert all(alert["annotations"].values())
    assert (ROOT / alert["annotations"]["runbook_url"]).is_file()


def test_every_page_is_of_an_alert() -> None:
    """
    Nothing is written about an alert that is no more.
    """
    assert [page.stem for page in PAGES] == sorted(alert["alert"] for alert in ALERTS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_answers_the_four_questions(page: Path) -> None:
    """
    A page has its alert's name, four parts, at least one query, and links that lead somewhere.
    """
    text = page.read_text("utf-8")

    assert text.splitlines()[0] == f"# {page.stem}"
    assert re.findall(r"(?m)^\*\*[A-Z][a-z ]+\.\*\*", text) == PARTS
    assert queries(text)
    assert [link for link in re.findall(r"\]\(([^)]+)\)", text) if not (RUNBOOKS / link).is_file()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_queries_of_a_page_ask_for_what_is_measured(page: Path) -> None:
    """
    The queries that a page shows are PromQL, and name metrics that are there.
    """
    for query in queries(page.read_text("utf-8")):
        assert [metric(selector) for selector in selectors(query) if not labels_of(metric(selector))] == []


def queries(text: str) -> list[str]:
    return re.findall(r"```promql\n(.*?)\n```", text, re.DOTALL)


def test_slow_is_a_bucket() -> None:
    """
    What counts as slow is one of the histogram's bounds: between them nobody knows.
    """
    assert SLOW_S in (REQUEST_DURATION.buckets or ())

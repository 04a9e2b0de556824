"""Recording rules record, and alerts see what they are about, in a real Prometheus with traffic and troubles."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest

from tests.dashboards.queries import rules
from tests.stack.conftest import CLASSIC, MARKS, NATIVE, STATSD, Visited
from tests.stack.process import ask, eventually

pytestmark = MARKS

RECORDS = sorted({rule["record"] for rule in rules() if "record" in rule})
ALERTS = {rule["alert"]: rule["expr"] for rule in rules() if "alert" in rule}
# What the visits do not cause: a service or collector that is gone (for that, see test_when_down.py), and that as many
# requests as it takes are slow.
NOT_CAUSED = {"ServiceSilent", "CollectorDown", "LatencyBudgetBurnsFast", "LatencyBudgetBurnsSlowly"}
COMPARISONS = {"==", "!=", ">", "<", ">=", "<="}


def loaded(visited: Visited) -> dict[str, dict[str, Any]]:
    """Prometheus's own view of each rule, by name."""
    groups = ask(f"{visited.stack.prometheus.url}/api/v1/rules")["data"]["groups"]
    return {rule["name"]: rule for group in groups for rule in group["rules"]}


def test_every_rule_is_loaded_and_evaluated(visited: Visited) -> None:
    """Prometheus has each rule of the files, and none failed."""

    def rules_in_prometheus() -> dict[str, str]:
        return {name: rule["health"] for name, rule in loaded(visited).items()}

    expected = dict.fromkeys((*RECORDS, *ALERTS), "ok")
    eventually(lambda: "unknown" not in rules_in_prometheus().values())

    assert rules_in_prometheus() == expected


@pytest.mark.parametrize("record", RECORDS)
def test_every_recording_rule_has_data(record: str, visited: Visited) -> None:
    """Each rule recorded numbers of each shop, whichever way its metrics travel."""
    samples = visited.stack.prometheus.query_range(record, visited.start_s, visited.end_s)

    assert {sample.labels["job"] for sample in samples} >= {CLASSIC, STATSD, NATIVE}


@pytest.mark.parametrize("alert", sorted(set(ALERTS) - NOT_CAUSED))
def test_alerts_see_the_troubles(alert: str, visited: Visited) -> None:
    """With one order in four declined, and a collector that cannot deliver, each alert is active; some fire at once."""

    def states() -> set[str]:
        return {active["state"] for active in loaded(visited)[alert]["alerts"]}

    expected = "pending" if loaded(visited)[alert]["duration"] else "firing"
    assert eventually(lambda: states() & {expected, "firing"})


@pytest.mark.parametrize("alert", sorted(NOT_CAUSED))
def test_alerts_look_at_something(alert: str, visited: Visited) -> None:
    """What the other alerts compare is there: with another threshold, each would be active."""
    compared = list(parts(promql_parser.parse(ALERTS[alert])))

    assert compared
    for part in compared:
        assert visited.stack.prometheus.query(part, time_s=visited.end_s), f"{alert} compares nothing: {part}"


def parts(expression: object) -> Iterator[str]:
    """What an alert's expression compares or combines, as far as it is no number."""
    match expression:
        case promql_parser.ParenExpr():
            yield from parts(expression.expr)
        case promql_parser.BinaryExpr() if str(expression.op) in {"and", "or", "unless"}:
            yield from parts(expression.lhs)
            yield from parts(expression.rhs)
        case promql_parser.BinaryExpr() if str(expression.op) in COMPARISONS:
            yield expression.lhs.prettify()
        case promql_parser.Expr():
            yield expression.prettify()

"""What the boards and rules ask: in the servers' own grammars, and of nothing that nobody measures."""

from __future__ import annotations

from collections.abc import Iterator

import promql_parser
import pytest

from otelbridge.dashboards import otelcol
from otelbridge.dashboards.names import NATIVE, OTLP, Way, label_name, metric_name, statsd
from otelbridge.metrics.instruments import INSTRUMENTS, Instrument
from tests.dashboards.queries import (
    Query,
    board_queries,
    boards,
    metric,
    nodes,
    rule_queries,
    rules,
    selectors,
    substitute,
)
from tests.stack.process import ask
from tests.stack.services import Loki, Prometheus

QUERIES = board_queries()
PROMETHEUS = [*(query for query in QUERIES if query.kind == "prometheus"), *rule_queries()]
LOKI = [query for query in QUERIES if query.kind == "loki"]

# What Prometheus adds to each series, and what is promoted from the resource (backends/prometheus.yaml).
COMMON_LABELS = {"job", "instance", "service_name"}
COLLECTOR_LABELS = {
    *COMMON_LABELS,
    *otelcol.TARGET,
    *(otelcol.RECEIVER, otelcol.EXPORTER, otelcol.DATA_TYPE, otelcol.SIGNAL, otelcol.OUTCOME, otelcol.VERSION),
    *("transport", "le", "http.response.status_code", "rpc.response.status_code"),
}
COLLECTOR_METRICS = ("otelcol_", "http.client.", "rpc.client.", "target_info", "up")


@pytest.mark.parametrize("query", PROMETHEUS, ids=lambda query: query.where)
def test_promql_asks_for_what_is_measured(query: Query) -> None:
    """
    Each metric and label of a query is one of the table's, in a way that it can come by; or the Collector's own, or
    recorded.
    """
    expression = substitute(query.expression)

    for selector in selectors(expression):
        known = labels_of(metric(selector))
        assert known, f"{query.where}: nobody measures {metric(selector)}"
        assert {matcher.name for matcher in selector.matchers.matchers} - {"__name__"} <= known
    everything = set[str]().union(*(labels_of(metric(selector)) for selector in selectors(expression)))
    assert grouped_by(expression) <= everything


def labels_of(name: str) -> set[str]:
    """The labels of a metric's series; none: there is no such metric."""
    if name in {rule.get("record") for rule in rules()}:
        return {"job"}
    if name.startswith(COLLECTOR_METRICS):
        return COLLECTOR_LABELS
    return MEASURED.get(name, set())


def measured() -> Iterator[tuple[str, set[str]]]:
    """Every metric that the table's instruments become, with its labels."""
    for way in (OTLP, NATIVE, statsd()):
        for row in INSTRUMENTS:
            labels = {*COMMON_LABELS, *map(label_name, row.attributes)}
            yield from ((name, labels | ({"le"} if "_bucket" in name else set())) for name in names(row, way))


def names(row: Instrument, way: Way) -> list[str]:
    """The metrics that one instrument becomes."""
    parts = ("_bucket", "_count", "_sum") if row.kind == "histogram" and way.has_buckets else ("",)
    return [metric_name(row, way) + part for part in parts]


MEASURED = dict(measured())


def grouped_by(expression: str) -> set[str]:
    """The labels of all `by (...)`."""
    modifiers = [node.modifier for node in nodes(expression) if isinstance(node, promql_parser.AggregateExpr)]
    return {label for modifier in modifiers if modifier is not None for label in modifier.labels}


def test_every_instrument_is_on_each_board() -> None:
    """
    Whatever the table has is shown, by whatever way it comes.
    """
    for board, way in (("service", OTLP), ("service-native", NATIVE), ("service-statsd", statsd())):
        asked = [substitute(query.expression) for query in QUERIES if query.board == board]
        shown = {metric(selector) for expression in asked for selector in selectors(expression)}

        assert [row.name for row in INSTRUMENTS if not shown & set(names(row, way))] == []


@pytest.mark.required
def test_prometheus_takes_every_query(prometheus: Prometheus) -> None:
    """
    Prometheus's own grammar has no objection to any query of a board or rule.
    """
    for query in PROMETHEUS:
        answer = ask(f"{prometheus.url}/api/v1/format_query", query=substitute(query.expression))

        assert answer["status"] == "success", query.where


@pytest.mark.required
def test_loki_takes_every_query(loki: Loki) -> None:
    """
    Loki's own grammar has no objection to any query of a board: target-logql-rule of the linter.
    """
    assert LOKI
    for query in LOKI:
        answer = ask(f"{loki.url}/loki/api/v1/format_query", query=substitute(query.expression))

        assert answer["status"] == "success", query.where


@pytest.mark.required
@pytest.mark.parametrize("expression", ['{service_name="shop"', "sum by (x) {}", '{service_name=~".*"} | level >'])
def test_loki_refuses_what_is_none(loki: Loki, expression: str) -> None:
    """
    The grammar that is asked does refuse.
    """
    with pytest.raises(AssertionError, match=r"400|parse error"):
        assert ask(f"{loki.url}/loki/api/v1/format_query", query=expression)["status"] == "success", "parse error"


def test_latencies_have_exemplars() -> None:
    """
    Each latency by route carries the dots that open a trace, but over StatsD, which knows none.
    """
    marked = {(query.board, query.panel) for query in QUERIES if query.exemplar}

    panels = {"Median by route", "95th percentile by route", "99th percentile by route"}
    assert marked == {(board, panel) for board in ("service", "service-native") for panel in panels}


def test_boards_have_a_name_each() -> None:
    """
    Uids and titles are told apart, and the uids are those that links and alerts name.
    """
    found = boards()

    assert {name: board["uid"] for name, board in found.items()} == {name: f"otelbridge-{name}" for name in found}
    assert len({board["title"] for board in found.values()}) == len(found) == 5
    assert {board["schemaVersion"] for board in found.values()} == {41}
    assert {rule["annotations"]["dashboard_uid"] for rule in rules() if "alert" in rule} <= {
        board["uid"] for board in found.values()
    }

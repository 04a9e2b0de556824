"""No panel is empty: each query of each board has data in the real Prometheus or Loki after the shop was visited."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from tests.dashboards.queries import Query, board_queries, boards, substitute
from tests.stack.conftest import JOBS, MARKS, Visited
from tests.stack.services import Line, Sample

pytestmark = MARKS

# What Grafana makes of its own variables when a panel shows a few minutes and points come each second.
WINDOWS = {"__rate_interval": "10s", "__interval": "5s", "__auto": "10s", "__range": "2m"}


# Something may be open at the moment of a scrape, or nothing.
MOMENTARY = re.compile(r"\w+_active_\w+")
LABEL_VALUES = re.compile(r"label_values\((?:(?P<selector>.+), )?(?P<label>\w+)\)")
QUERIES = board_queries()
VARIABLES = [
    (name, variable["name"], variable["query"])
    for name, board in boards().items()
    for variable in board["templating"]["list"]
    if variable["type"] == "query"
]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.where)
def test_every_query_of_every_panel_has_data(query: Query, visited: Visited) -> None:
    """After visits with errors, slow requests and WebSocket sessions, each query returns lines, or more than zeros."""
    expression, samples = ask(query, visited)

    assert samples, f"{query.where} is empty: {expression}"
    if not MOMENTARY.search(expression):
        assert any(isinstance(sample, Line) or sample.value for sample in samples), f"{query.where} is zero throughout"


@pytest.mark.parametrize("query", [query for query in QUERIES if "{{" in query.legend], ids=lambda query: query.where)
def test_every_legend_has_its_labels(query: Query, visited: Visited) -> None:
    """What a legend names is a label of what its query returns: else Grafana shows nothing there."""
    _, samples = ask(query, visited)

    named = set(re.findall(r"{{\s*([\w.]+)\s*}}", query.legend))

    assert named <= {label for sample in samples for label in sample.labels}


@pytest.mark.parametrize(("board", "name", "query"), VARIABLES, ids=str)
def test_every_variable_has_values(board: str, name: str, query: str, visited: Visited) -> None:
    """The lists at the top of a board have entries, those of services the shop among them."""
    job = JOBS.get(board, ".+")
    asked = LABEL_VALUES.fullmatch(substitute(query, job=job))
    assert asked, f"this test does not know how Grafana reads {query!r}"
    if board == "logs":
        values = visited.stack.loki.label_values(asked["label"], visited.start_s)
    else:
        values = visited.stack.prometheus.label_values(asked["label"], asked["selector"])

    assert values
    if name in ("job", "service") and board in JOBS:
        assert job in values


def ask(query: Query, visited: Visited) -> tuple[str, Sequence[Sample | Line]]:
    """A query as Grafana would send it, and what it returns."""
    job = JOBS.get(query.board, ".+")
    expression = substitute(query.expression, **WINDOWS, job=job, service=job, trace_id=visited.failed_trace_id)
    return expression, found(query, expression, visited)


def found(query: Query, expression: str, visited: Visited) -> Sequence[Sample | Line]:
    """What a query returns for the time of the visits."""
    prometheus, loki = visited.stack.prometheus, visited.stack.loki
    start_s, end_s = visited.start_s, visited.end_s
    if query.kind == "prometheus":
        return (
            prometheus.query(expression, time_s=end_s)
            if query.instant
            else prometheus.query_range(expression, start_s, end_s)
        )
    if "{" in expression.split("(")[0]:  # a selector of lines, and no sum over them
        return loki.lines(expression, start_s, end_s)
    return loki.query(expression, end_s) if query.instant else loki.query_range(expression, start_s, end_s)

"""The rules of grafana/dashboard-linter 0.2.0 under their own names, ours being boards of Grafana's schema 41.

The program itself cannot be built from what Go's module proxy has. Its rule for LogQL's grammar is left to Loki.
Stricter than there: rules for panels hold for every kind of panel, heatmaps and logs too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeGuard

import promql_parser

from tests.dashboards.queries import metric, nodes, panels, selectors, substitute

Board = dict[str, Any]
Complaints = Iterator[str]
Rule = Callable[[Board], Complaints]

# Told from any range that somebody might write.
_RATE_INTERVAL, _RATE_INTERVAL_S = "8869991s", 8869991
# Grafana's words for units, as far as boards here use them.
UNITS = {"none", "short", "percentunit", "bytes", "binBps", "s", "ms", "cps", "reqps"}
_VARIABLE_FUNCTIONS = ("label_names", "label_values", "metrics", "query_result")


def template_datasource(board: Board) -> Complaints:
    """Data sources are variables, with the names and labels that are usual."""
    sources = _variables(board, "datasource")
    if not sources:
        yield "no variable for the data source"
    for source in sources:
        if source["name"] != f"{source['query']}_datasource":
            yield f"data source {source['name']}"
        if source["label"] != f"{source['query'].title()} data source":
            yield f"data source's label {source['label']}"


def template_job(board: Board) -> Complaints:
    """There is a choice of jobs."""
    yield from _label_variable(board, "job")


def template_instance(board: Board) -> Complaints:
    """There is a choice of instances."""
    yield from _label_variable(board, "instance")


def template_label_promql(board: Board) -> Complaints:
    """Choices are queries that Grafana and Prometheus understand."""
    for variable in _variables(board, "query") if _asks_prometheus(board) else []:
        function, _, arguments = variable["query"].partition("(")
        selector = arguments.removesuffix(")").rpartition(",")[0]
        if function not in _VARIABLE_FUNCTIONS:
            yield f"{variable['name']}: {function}"
        if problem := _problem(selector):
            yield f"{variable['name']}: {problem}"


def template_on_time_change_reload(board: Board) -> Complaints:
    """Choices are those of the time range that is shown."""
    yield from (variable["name"] for variable in _variables(board, "query") if variable.get("refresh") != 2)


def panel_datasource(board: Board) -> Complaints:
    """Each panel asks the data source that is chosen."""
    chosen = {f"${{{variable['name']}}}" for variable in _variables(board, "datasource")}
    for panel in panels(board):
        asked = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        if not {source["uid"] for source in asked} <= chosen:
            yield panel["title"]


def panel_title_description(board: Board) -> Complaints:
    """Each panel says what it shows."""
    for panel in panels(board):
        if not panel.get("title") or not panel.get("description"):
            yield panel.get("title") or f"panel {panel['id']}"


def panel_units(board: Board) -> Complaints:
    """Each number has a unit."""
    for panel in panels(board):
        if panel["type"] == "heatmap":
            unit = panel["options"]["yAxis"].get("unit")
        else:
            unit = "none" if panel["type"] == "logs" else panel["fieldConfig"]["defaults"].get("unit")
        if unit not in UNITS:
            yield f"{panel['title']}: {unit}"


def panel_no_targets(board: Board) -> Complaints:
    """Each panel asks something."""
    yield from (panel["title"] for panel in panels(board) if not panel.get("targets"))


def target_logql_auto(board: Board) -> Complaints:
    """Log records are counted over what the panel's resolution asks for."""
    for title, expression in _expressions(board, "loki"):
        if "_over_time(" in expression and "[$__auto]" not in expression:
            yield title


def target_promql(board: Board) -> Complaints:
    """Each query is PromQL."""
    for title, expression in _expressions(board, "prometheus"):
        if problem := _problem(expression):
            yield f"{title}: {problem}"


def target_rate_interval(board: Board) -> Complaints:
    """Rates are taken over $__rate_interval."""
    for title, expression in _expressions(board, "prometheus"):
        for node in _nodes(expression):
            if isinstance(node, promql_parser.MatrixSelector) and node.range.total_seconds() != _RATE_INTERVAL_S:
                yield title


def target_job(board: Board) -> Complaints:
    """Each selector has the chosen jobs."""
    yield from _without_matcher(board, "job")


def target_instance(board: Board) -> Complaints:
    """Each selector has the chosen instances."""
    yield from _without_matcher(board, "instance")


def target_counter_agg(board: Board) -> Complaints:
    """Of a counter only its growth is shown."""
    for title, expression in _expressions(board, "prometheus"):
        grown = [call.args[0] for call in nodes(substitute(expression)) if _grows(call)]
        inside = {str(part.vector_selector) for part in grown if isinstance(part, promql_parser.MatrixSelector)}
        for selector in selectors(substitute(expression)):
            if metric(selector).endswith("_total") and str(selector) not in inside:
                yield f"{title}: {selector}"


def uneditable_dashboard(board: Board) -> Complaints:
    """What is generated is not edited in the browser."""
    if board.get("editable", True):
        yield "editable"


RULES: Mapping[str, Rule] = {
    "template-datasource-rule": template_datasource,
    "template-job-rule": template_job,
    "template-instance-rule": template_instance,
    "template-label-promql-rule": template_label_promql,
    "template-on-time-change-reload-rule": template_on_time_change_reload,
    "panel-datasource-rule": panel_datasource,
    "panel-title-description-rule": panel_title_description,
    "panel-units-rule": panel_units,
    "panel-no-targets-rule": panel_no_targets,
    "target-logql-auto-rule": target_logql_auto,
    "target-promql-rule": target_promql,
    "target-rate-interval-rule": target_rate_interval,
    "target-job-rule": target_job,
    "target-instance-rule": target_instance,
    "target-counter-agg-rule": target_counter_agg,
    "uneditable-dashboard": uneditable_dashboard,
}


def _variables(board: Board, kind: str) -> list[dict[str, Any]]:
    return [variable for variable in board["templating"]["list"] if variable["type"] == kind]


def _asks_prometheus(board: Board) -> bool:
    return any(variable["query"] == "prometheus" for variable in _variables(board, "datasource")[:1])


def _label_variable(board: Board, name: str) -> Complaints:
    if not _asks_prometheus(board):
        return
    found = [variable for variable in _variables(board, "query") if variable["name"] == name]
    if not found:
        yield f"no variable {name}"
    for variable in found:
        wanted = {"label": name.title(), "multi": True, "includeAll": True, "allValue": ".+"}
        got = {key: variable.get(key) for key in wanted}
        if got != wanted or variable["datasource"]["uid"] != "${prometheus_datasource}":
            yield f"{name}: {got}"


def _expressions(board: Board, kind: str) -> Iterator[tuple[str, str]]:
    for panel in panels(board):
        for target in panel["targets"]:
            if target["datasource"]["type"] == kind:
                yield panel["title"], target["expr"]


def _problem(expression: str) -> str:
    try:
        _nodes(expression)
    except ValueError as error:
        return str(error)
    return ""


def _nodes(expression: str) -> list[promql_parser.Expr]:
    return nodes(substitute(expression, __rate_interval=_RATE_INTERVAL))


def _without_matcher(board: Board, name: str) -> Complaints:
    for title, expression in _expressions(board, "prometheus"):
        # The variables of choices stay as they are: they are what is looked for.
        for selector in selectors(expression.replace("$__rate_interval", _RATE_INTERVAL)):
            if not any(
                matcher.name == name and matcher.op == promql_parser.MatchOp.Re and matcher.value == f"${name}"
                for matcher in selector.matchers.matchers
            ):
                yield f"{title}: {selector}"


def _grows(node: promql_parser.Expr) -> TypeGuard[promql_parser.Call]:
    return isinstance(node, promql_parser.Call) and node.func.name in ("rate", "irate", "increase")

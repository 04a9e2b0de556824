"""What the committed boards and rules ask for: every query, with where it stands; with Grafana's variables filled in.

Reads files only. Leaves asking a real Prometheus or Loki, and judging the answer, to the tests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import promql_parser
import yaml

from tools.places import ROOT

BOARDS = ROOT / "dashboards"
RULES = BOARDS / "rules"

Kind = Literal["prometheus", "loki"]

# What Grafana would put in when nothing is selected: "All", and the defaults of the text boxes. The trace is none's.
DEFAULTS = {
    "__rate_interval": "4m",  # four times the data source's timeInterval
    "__interval": "15s",
    "__auto": "15m",
    "__range": "15m",
    "job": ".+",
    "instance": ".+",
    "route": ".*",
    "service": ".+",
    "level": ".*",
    "search": "",
    "slow_s": "0.5",
    "trace_id": "0af7651916cd43dd8448eb211c80319c",
}
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))")


class Query(NamedTuple):
    """One query of a panel or a rule, as it stands in the file: `board` is the file's name without its ending."""

    board: str
    panel: str
    kind: Kind
    expression: str
    legend: str = ""
    exemplar: bool = False
    instant: bool = False

    @property
    def where(self) -> str:
        """For messages, and as a test's id."""
        return f"{self.board}: {self.panel}"


def boards() -> dict[str, dict[str, Any]]:
    """Every board, by its file's name without the ending."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(BOARDS.glob("*.json"))}


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All panels of a board that show something; rows do not."""
    for panel in board["panels"]:
        if panel["type"] == "row":
            yield from panel.get("panels", [])
        else:
            yield panel


def board_queries() -> list[Query]:
    """Every query of every panel of every board."""
    return [
        Query(
            board=name,
            panel=panel["title"],
            kind=target["datasource"]["type"],
            expression=target["expr"],
            legend=target.get("legendFormat", ""),
            exemplar=target.get("exemplar", False),
            instant=target.get("instant", False) or target.get("queryType") == "instant",
        )
        for name, board in boards().items()
        for panel in panels(board)
        for target in panel["targets"]
    ]


def rules() -> list[dict[str, Any]]:
    """Every recording rule and alert, with the name of its file as `file`."""
    return [
        {**rule, "file": path.stem}
        for path in sorted(RULES.glob("*.yaml"))
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]
        for rule in group["rules"]
    ]


def rule_queries() -> list[Query]:
    """Every rule's expression. An alert's has data only while it fires: see `selectors` for what it looks at."""
    return [
        Query(rule["file"], rule.get("alert") or rule["record"], "prometheus", rule["expr"], instant=True)
        for rule in rules()
    ]


def substitute(expression: str, **values: str) -> str:
    """Fill in Grafana's variables: `values` by name, else DEFAULTS. KeyError: a variable in neither."""
    known = DEFAULTS | values
    return _VARIABLE.sub(lambda found: known[found[1] or found[2]], expression)


def selectors(expression: str) -> list[promql_parser.VectorSelector]:
    """The series that a PromQL expression (variables filled in) looks at."""
    return [node for node in nodes(expression) if isinstance(node, promql_parser.VectorSelector)]


def metric(selector: promql_parser.VectorSelector) -> str:
    """The name of a selector's metric, also of one that stands in quotes inside the braces."""
    (name,) = (
        [selector.name] if selector.name else [m.value for m in selector.matchers.matchers if m.name == "__name__"]
    )
    return name


def nodes(expression: str) -> list[promql_parser.Expr]:
    """All parts of a PromQL expression (variables filled in), each before what is inside it."""
    found: list[promql_parser.Expr] = []
    promql_parser.walk(promql_parser.parse(expression), found.append)
    return found

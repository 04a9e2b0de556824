"""The boards and the rules that boards are commonly held to."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.dashboards.lint import RULES
from tests.dashboards.queries import boards, panels

BOARDS = boards()


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("board", BOARDS)
def test_board_keeps_every_rule(board: str, rule: str) -> None:
    """
    No rule of the linter has anything to say of a board.
    """
    assert list(RULES[rule](BOARDS[board])) == []


def variable(board: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in board["templating"]["list"] if one["name"] == name)


def target(board: dict[str, Any], title: str) -> dict[str, Any]:
    found: dict[str, Any] = panel(board, title)["targets"][0]
    return found


def panel(board: dict[str, Any], title: str) -> dict[str, Any]:
    return next(one for one in panels(board) if one["title"] == title)


def edit(pattern: str, replacement: str, *, board: str = "service", title: str = "Requests by route") -> Any:
    def spoil(all_boards: dict[str, Any]) -> None:
        query = target(all_boards[board], title)
        query["expr"], count = re.subn(pattern, replacement, query["expr"])
        assert count > 0, f"{title} has no {pattern} any more"

    return spoil


FAULTS: list[tuple[str, Callable[[dict[str, Any]], object]]] = [
    ("template-datasource-rule", lambda all_: variable(all_["logs"], "loki_datasource").update(name="logs")),
    ("template-datasource-rule", lambda all_: variable(all_["service"], "prometheus_datasource").update(label="P")),
    ("template-job-rule", lambda all_: variable(all_["service"], "job").update(multi=False)),
    ("template-job-rule", lambda all_: variable(all_["service"], "job").update(name="work")),
    ("template-instance-rule", lambda all_: variable(all_["collector"], "instance").update(allValue=".*")),
    ("template-label-promql-rule", lambda all_: variable(all_["service"], "job").update(query="values(up, job)")),
    (
        "template-label-promql-rule",
        lambda all_: variable(all_["service"], "job").update(query="label_values(up{, job)"),
    ),
    ("template-on-time-change-reload-rule", lambda all_: variable(all_["logs"], "service").update(refresh=1)),
    ("panel-datasource-rule", lambda all_: panel(all_["logs"], "Live")["datasource"].update(uid="otelbridge-loki")),
    ("panel-title-description-rule", lambda all_: panel(all_["service"], "Durations").update(description="")),
    ("panel-units-rule", lambda all_: panel(all_["service"], "Errors")["fieldConfig"]["defaults"].update(unit="%")),
    ("panel-no-targets-rule", lambda all_: panel(all_["service"], "Errors").update(targets=[])),
    ("target-logql-auto-rule", edit(r"\$__auto", "5m", board="logs", title="Records by level")),
    ("target-promql-rule", edit(r"\)$", "")),
    ("target-rate-interval-rule", edit(r"\$__rate_interval", "5m")),
    ("target-job-rule", edit(r'job=~"\$job", ', "")),
    ("target-instance-rule", edit(r'instance=~"\$instance"', 'instance="$instance"')),
    ("target-counter-agg-rule", edit(r"rate\((.*)\[\$__rate_interval\]\)", r"(\1)")),
    ("uneditable-dashboard", lambda all_: all_["service"].update(editable=True)),
]


@pytest.mark.parametrize(("rule", "spoil"), FAULTS, ids=[f"{rule}-{index}" for index, (rule, _) in enumerate(FAULTS)])
def test_rule_finds_the_fault(rule: str, spoil: Callable[[dict[str, Any]], object]) -> None:
    """
    Each rule complains of a board that has the fault it is there for.
    """
    spoiled = copy.deepcopy(BOARDS)

    spoil(spoiled)

    assert [complaint for board in spoiled.values() for complaint in RULES[rule](board)] != []


def test_every_rule_is_known_to_find_something() -> None:
    """
    There is a planted fault for each rule.
    """
    assert {rule for rule, _ in FAULTS} == set(RULES)

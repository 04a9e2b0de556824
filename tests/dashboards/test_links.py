"""Where the boards lead: to each other, and to traces."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from tests.dashboards.queries import boards, panels
from tools.places import ROOT

BOARDS = boards()
LINKS = [
    (name, panel, link["url"])
    for name, board in BOARDS.items()
    for panel in panels(board)
    for link in panel.get("fieldConfig", {}).get("defaults", {}).get("links", [])
]


def variables(uid: str) -> set[str]:
    """The names of a board's variables."""
    (board,) = [board for board in BOARDS.values() if board["uid"] == uid]
    return {variable["name"] for variable in board["templating"]["list"]}


@pytest.mark.parametrize(("name", "panel", "url"), LINKS, ids=[f"{name}: {panel['title']}" for name, panel, _ in LINKS])
def test_link_leads_somewhere(name: str, panel: dict[str, Any], url: str) -> None:
    """
    A link names a board and a variable of it, or a data source that is provisioned; and only labels that the panel's
    series have.
    """
    parts = urlsplit(url)

    if parts.path == "/explore":
        (pane,) = json.loads(parse_qs(parts.query)["panes"][0]).values()
        assert pane["datasource"] in provisioned()
    else:
        uid = parts.path.removeprefix("/d/")
        named = {key.removeprefix("var-") for key in parse_qs(parts.query) if key.startswith("var-")}
        assert named
        assert named <= variables(uid)
    labels = set(re.findall(r"\$\{__field\.labels\.(\w+)", url))
    assert labels
    for target in panel["targets"]:
        grouped = re.findall(r"by \(([^)]*)\)", target["expr"])
        assert labels <= {label.strip() for group in grouped for label in group.split(",")}, target["expr"]


def test_rates_errors_and_durations_lead_to_logs_and_traces() -> None:
    """
    From each panel by route one gets to the logs of the service and to the traces of the route.
    """
    for title in ("Requests by route", "Errors by route", "Median by route", "99th percentile by route"):
        urls = [url for name, panel, url in LINKS if (name, panel["title"]) == ("service", title)]

        assert [urlsplit(url).path for url in urls] == ["/d/otelbridge-logs", "/explore"]


def test_boards_list_each_other() -> None:
    """
    Each board has the menu of the others, which find each other by a tag.
    """
    for board in BOARDS.values():
        (menu,) = board["links"]
        assert (menu["type"], menu["tags"], menu["keepTime"]) == ("dashboards", board["tags"], True)


def provisioned() -> set[str]:
    """The uids of the data sources that compose brings."""
    files = (ROOT / "dashboards" / "provisioning" / "datasources").glob("*.yaml")
    return {source["uid"] for path in files for source in yaml.safe_load(path.read_text("utf-8"))["datasources"]}

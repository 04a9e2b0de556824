"""Grafana's provisioning files, against what its documentation says they may hold. Grafana itself cannot be run here.

The tables are of the pages "Provision Grafana" and "Configure the … data source" of Grafana 12's documentation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml

from tests.compose.files import BASE, PROVISIONING, datasources
from tools.places import ROOT

UIDS = {"otelbridge-prometheus", "otelbridge-loki", "otelbridge-traces"}

# A table says which keys there may be, and of what type; a table in a list: each element is such a one.
Table = Mapping[str, Any]
TAG: Table = {"key": str, "value": str}
LINK: Table = {"datasourceUid": str, "spanStartTimeShift": str, "spanEndTimeShift": str, "tags": [TAG]}
TRACES: Table = {
    "tracesToLogsV2": {**LINK, "filterByTraceID": bool, "filterBySpanID": bool, "customQuery": bool, "query": str},
    "tracesToMetrics": {**LINK, "queries": [{"name": str, "query": str}]},
    "nodeGraph": {"enabled": bool},
    "spanBar": {"type": str, "tag": str},
}
JSON_DATA: Mapping[str, Table] = {
    "prometheus": {
        "httpMethod": str,
        "manageAlerts": bool,
        "prometheusType": str,
        "prometheusVersion": str,
        "cacheLevel": str,
        "timeInterval": str,
        "exemplarTraceIdDestinations": [{"name": str, "datasourceUid": str, "url": str, "urlDisplayLabel": str}],
    },
    "loki": {
        "maxLines": int,
        "timeout": int,
        "derivedFields": [
            {
                "name": str,
                "matcherType": str,
                "matcherRegex": str,
                "datasourceUid": str,
                "url": str,
                "urlDisplayLabel": str,
            }
        ],
    },
    "$TRACES_TYPE": TRACES,
}
DATASOURCE: Table = {
    "name": str,
    "uid": str,
    "type": str,
    "access": str,
    "url": str,
    "isDefault": bool,
    "editable": bool,
    "version": int,
    "orgId": int,
}
PROVIDER: Table = {
    "name": str,
    "type": str,
    "orgId": int,
    "folder": str,
    "folderUid": str,
    "disableDeletion": bool,
    "allowUiUpdates": bool,
    "updateIntervalSeconds": int,
    "options": {"path": str, "foldersFromFilesStructure": bool},
}


def complaints(value: object, allowed: Any, place: str) -> Iterator[str]:
    """Where *value* is not as the table *allowed* has it."""
    if isinstance(allowed, Mapping):
        if not isinstance(value, dict):
            yield f"{place} is no mapping"
            return
        for key, content in value.items():
            if key in allowed:
                yield from complaints(content, allowed[key], f"{place}.{key}")
            else:
                yield f"{place}.{key} is unknown"
    elif isinstance(allowed, list):
        elements = value if isinstance(value, list) else [value]
        for index, element in enumerate(elements):
            yield from complaints(element, allowed[0], f"{place}[{index}]")
    elif type(value) is not allowed:
        yield f"{place} is no {allowed.__name__}"


def texts(value: object) -> Iterator[str]:
    """All texts in *value*, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for content in value.values():
            yield from texts(content)
    elif isinstance(value, list):
        for content in value:
            yield from texts(content)


@pytest.mark.parametrize("uid", sorted(UIDS))
def test_datasource_follows_documentation(uid: str) -> None:
    """
    Each data source has only settings that Grafana documents, of the types that it documents.
    """
    source = datasources()[uid]
    table = {**DATASOURCE, "jsonData": JSON_DATA[source["type"]]}

    assert list(complaints(source, table, uid)) == []
    assert source["access"] == "proxy"  # the server asks; a browser does not know these names


def test_every_datasource_is_provisioned() -> None:
    """
    There is one data source per uid that boards and links name, one of them the default.
    """
    sources = datasources()

    assert set(sources) == UIDS
    assert [uid for uid, source in sources.items() if source.get("isDefault")] == ["otelbridge-prometheus"]


def test_links_lead_to_datasources() -> None:
    """
    Every uid in a link is that of a provisioned data source.
    """
    named = re.findall(r"datasourceUid: (\S+)", (PROVISIONING / "datasources" / "otelbridge.yaml").read_text("utf-8"))

    assert set(named) == UIDS


def test_dollars_are_variables_or_escaped() -> None:
    """
    A $ that Grafana is to keep stands as $$, and a single one names a variable that docker-compose.yml sets.
    """
    compose = yaml.safe_load(BASE.read_text("utf-8"))["services"]["grafana"]["environment"]

    for text in texts(list(datasources().values())):
        single = re.findall(r"\$(\w*)", text.replace("$$", ""))
        assert set(single) <= set(compose), text


def test_log_links_to_its_trace_by_label() -> None:
    """
    The link from a log line takes trace_id from its structured metadata: a regular expression sees the line only.
    """
    (field,) = datasources()["otelbridge-loki"]["jsonData"]["derivedFields"]

    assert (field["matcherType"], field["matcherRegex"]) == ("label", "trace_id")
    assert field["url"] == "$${__value.raw}"


def test_boards_name_provisioned_datasources() -> None:
    """
    A board that names a data source by its uid names one that is provisioned; all others are variables.
    """
    boards = sorted((ROOT / "dashboards").glob("*.json"))
    named = {uid for board in boards for uid in datasource_uids(json.loads(board.read_text("utf-8")))}

    assert boards
    # Grafana's own: annotations and mixed panels
    assert {uid for uid in named if not uid.startswith("$")} <= UIDS | {"-- Grafana --", "grafana", "-- Mixed --"}


def datasource_uids(value: object) -> Iterator[str]:
    """The uids of all data sources that a board's JSON names, however deep."""
    if isinstance(value, dict):
        source = value.get("datasource")
        if isinstance(source, dict) and isinstance(source.get("uid"), str):
            yield source["uid"]
        for content in value.values():
            yield from datasource_uids(content)
    elif isinstance(value, list):
        for content in value:
            yield from datasource_uids(content)


def test_provider_follows_documentation() -> None:
    """
    The provider of boards has only documented settings, and its folder is where docker-compose.yml puts the boards.
    """
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "otelbridge.yaml").read_text("utf-8"))["providers"]
    mounts = yaml.safe_load(BASE.read_text("utf-8"))["services"]["grafana"]["volumes"]

    assert list(complaints(provider, PROVIDER, "provider")) == []
    assert f"./dashboards:{provider['options']['path']}:ro" in mounts


@pytest.mark.parametrize("folder", ["datasources", "dashboards"])
def test_files_name_their_version(folder: str) -> None:
    """
    Each file says that it is of the first version of Grafana's format: others are read by older rules.
    """
    for path in (PROVISIONING / folder).iterdir():
        assert yaml.safe_load(path.read_text("utf-8"))["apiVersion"] == 1, path.name

"""The links between the signals, as Grafana's provisioning has them, lead somewhere: followed without Grafana."""

from __future__ import annotations

import re
from typing import Any

import yaml

from tests.dashboards.queries import board_queries, substitute
from tests.stack.conftest import ACCESS, CLASSIC, JOBS, MARKS, Visited
from tools.places import ROOT

pytestmark = MARKS

SOURCES = ROOT / "dashboards" / "provisioning" / "datasources" / "otelbridge.yaml"


def data_source(uid: str) -> dict[str, Any]:
    """A data source's settings as Grafana has them once it has read the file: `$$` is a dollar."""
    sources = yaml.safe_load(SOURCES.read_text("utf-8").replace("$$", "$"))["datasources"]
    (found,) = [source for source in sources if source["uid"] == uid]
    settings: dict[str, Any] = found["jsonData"]
    return settings


def test_a_log_line_opens_its_trace(visited: Visited) -> None:
    """The derived field finds a trace id among the labels of a request's line, and Jaeger knows the trace."""
    (field,) = data_source("otelbridge-loki")["derivedFields"]
    assert (field["matcherType"], field["datasourceUid"]) == ("label", "otelbridge-traces")
    lines = visited.stack.loki.lines(f'{{service_name="{CLASSIC}"}} | {ACCESS}', visited.start_s)
    assert lines

    for line in lines[:3] + lines[-3:]:
        (label,) = [name for name in line.labels if re.fullmatch(field["matcherRegex"], name)]
        trace_id = field["url"].replace("${__value.raw}", line.labels[label])
        assert visited.stack.jaeger.trace(trace_id), f"Jaeger does not know {trace_id!r} of {line}"


def test_a_trace_opens_its_logs(visited: Visited) -> None:
    """The trace's query in Loki returns the lines of that request, and of no other."""
    link = data_source("otelbridge-traces")["tracesToLogsV2"]
    assert (link["datasourceUid"], link["customQuery"]) == ("otelbridge-loki", True)
    trace_id = visited.failed_trace_id
    expression = link["query"].replace("${__trace.traceId}", trace_id)
    assert "$" not in expression, f"nothing fills in what is left of {expression}"

    lines = visited.stack.loki.lines(expression, visited.start_s)

    assert {line.labels["trace_id"] for line in lines} == {trace_id}
    assert {line.labels["span_id"] for line in lines} <= {
        span["spanID"] for span in visited.stack.jaeger.trace(trace_id)
    }
    assert any("was not paid" in line.text for line in lines)


def test_an_exemplar_opens_its_trace(visited: Visited) -> None:
    """Each query that shows exemplars has some, with the label that the data source reads; Jaeger knows them."""
    (link,) = data_source("otelbridge-prometheus")["exemplarTraceIdDestinations"]
    assert link["datasourceUid"] == "otelbridge-traces"
    queries = [query for query in board_queries() if query.exemplar]
    assert queries

    for query in queries:
        expression = substitute(query.expression, __rate_interval="10s", job=JOBS[query.board])
        exemplars = visited.stack.prometheus.exemplars(expression, visited.start_s, visited.end_s)
        assert exemplars, f"{query.where} has no exemplars: {expression}"
        for exemplar in exemplars[:2]:
            trace_id = exemplar["labels"][link["name"]]
            assert visited.stack.jaeger.trace(trace_id), f"Jaeger does not know {trace_id!r} of {query.where}"


def test_a_trace_opens_its_metrics(visited: Visited) -> None:
    """A span's queries in Prometheus, with those of its tags filled in that it has, have data."""
    link = data_source("otelbridge-traces")["tracesToMetrics"]
    assert link["datasourceUid"] == "otelbridge-prometheus"

    for span in visited.stack.jaeger.trace(visited.failed_trace_id):
        tags = {tag["key"]: tag["value"] for tag in [*span["process"]["tags"], *span["tags"]]}
        filled = ", ".join(f'{tag["value"]}="{tags[tag["key"]]}"' for tag in link["tags"] if tag["key"] in tags)
        for query in link["queries"]:
            expression = query["query"].replace("$__tags", filled)
            samples = visited.stack.prometheus.query_range(expression, visited.start_s, visited.end_s)
            assert samples, f"the span {span['operationName']} finds no metrics: {expression}"

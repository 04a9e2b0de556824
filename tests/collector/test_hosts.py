"""The same requests through every host leave the same records, points and spans in a real collector."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tests.collector.apps.host import BODY
from tests.collector.real import Collector, Record, values
from tests.integrations.hosts import HOSTS, PARTS, BrokenError, Host
from tools.places import ROOT

pytestmark = pytest.mark.required

DURATION = "http.server.request.duration"
ERROR = f"{BrokenError.__module__}.{BrokenError.__qualname__}"
ITEM, SUB_ITEM = "/items/{id}", "/sub/items/{id}"
PAGE = "a page of the framework's"

# Method, path, status, route, error.type, bytes received, bytes sent, level.
EXPECTED = [
    ("GET", "/items/7", 200, ITEM, None, 0, 5, "INFO"),
    ("GET", "/sub/items/7", 200, SUB_ITEM, None, 0, 5, "INFO"),
    ("GET", "/nothing/here", 404, None, None, 0, PAGE, "INFO"),
    ("DELETE", "/items/7", 405, ITEM, None, 0, PAGE, "INFO"),
    ("GET", "/boom", 500, "/boom", ERROR, 0, PAGE, "ERROR"),
    ("GET", "/stream", 200, "/stream", None, 0, len("".join(PARTS)), "INFO"),
    ("HEAD", "/items/7", 200, ITEM, None, 0, 0, "INFO"),
    ("POST", "/echo", 200, "/echo", None, len(BODY), len(BODY), "INFO"),
]


def run(name: str, collector: Collector) -> dict[str, Any]:
    """Run the program to its end; return its report."""
    env = {key: text for key, text in os.environ.items() if not key.startswith(("OTEL_", "OTELBRIDGE_", "LOGURU_"))}
    env["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.endpoint("http/protobuf")
    command = [sys.executable, "-m", "tests.collector.apps.host", name]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report


def plain(route: object) -> object:
    """A template in one spelling: each framework has its own for parameters, and Django no slash in front."""
    return None if route is None else "/" + str(route).lstrip("/").replace("<id>", "{id}")


def row(record: Record) -> tuple[object, ...]:
    """A record as a row of EXPECTED."""
    found = record.attributes
    expected = next(row for row in EXPECTED if row[:2] == (found["http.request.method"], found["url.path"]))
    return (
        found["http.request.method"],
        found["url.path"],
        found.get("http.response.status_code"),
        plain(found.get("http.route")),
        found.get("error.type"),
        found["http.request.body.size"],
        PAGE if expected[6] == PAGE else found["http.response.body.size"],
        record.severity_text,
    )


def expected(host: Host) -> list[tuple[object, ...]]:
    """EXPECTED, as far as a bare application can know: what it raises has neither status nor route."""
    rows: list[tuple[object, ...]] = list(EXPECTED)
    if not host.in_place:
        rows[4] = ("GET", "/boom", None, None, ERROR, 0, PAGE, "ERROR")
    return rows


def series(attributes: dict[str, object]) -> tuple[object, ...]:
    """What tells a span or point from the others."""
    names = ("http.request.method", "http.response.status_code", "http.route", "error.type")
    method, status, route, error = (attributes.get(name) for name in names)
    return method, status, plain(route), error


@pytest.mark.parametrize("host", HOSTS, ids=str)
def test_the_same_requests_are_the_same_everywhere(host: Host, collector: Collector) -> None:
    """Records row by row, with a span each of the same ids, and a point for each series of them."""
    report = run(host.name, collector)
    collector.wait_for(lambda c: len(c.records()) >= len(EXPECTED) and bool(c.metrics(DURATION)))
    collector.stop()  # whatever it still holds is written now: a duplicate would show

    records = [record for record in collector.records() if record.event_name == "http.server.access"]
    spans = [span for span in collector.spans() if span.get("kind") == 2]
    rows = expected(host)
    assert sorted(map(row, records), key=str) == sorted(rows, key=str)
    assert {(record.trace_id, record.span_id) for record in records} == {(s["traceId"], s["spanId"]) for s in spans}
    told = [(row[0], row[2], row[3], row[4]) for row in rows]
    assert sorted((series(values(span["attributes"])) for span in spans), key=str) == sorted(told, key=str)
    points = collector.metrics(DURATION)[-1]["histogram"]["dataPoints"]
    assert {series(values(point["attributes"])): int(point["count"]) for point in points} == dict.fromkeys(told, 1)
    assert (report["rejected"], report["dropped"]) == (0, {})

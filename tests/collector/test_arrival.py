"""Records, spans and points of real programs in a real collector."""

from __future__ import annotations

import base64
import time
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest

from tests.collector.apps import burst, facts
from tests.collector.real import Collector, Program, Record

pytestmark = pytest.mark.required

StartProgram = Callable[..., Program]
NOTHING_LOST: dict[str, Any] = {"flushed": True, "spooled": 0, "rejected": 0, "dropped": {}}


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_each_record_arrives_once(collector: Collector, program: StartProgram, protocol: str) -> None:
    """10,000 records, logged as fast as one thread can, arrive each exactly once, over HTTP and over gRPC."""
    report = program("burst", protocol).result()
    collector.wait_for(lambda c: len(c.records()) >= burst.COUNT)
    collector.stop()  # whatever it still holds is written now: a duplicate would show

    counts = Counter(record.attributes["number"] for record in collector.records())
    assert counts == dict.fromkeys(range(burst.COUNT), 1)
    assert report == NOTHING_LOST | {"emitted": burst.COUNT, "delivered": burst.COUNT}


@pytest.mark.covers("1.33", note="severity_text is the level's own name (SUCCESS, CRITICAL), not OpenTelemetry's")
@pytest.mark.covers("T12")
def test_facts_arrive_unchanged(collector: Collector, program: StartProgram) -> None:
    """Severity, types, ids, resource and scope of a record are the collector's as they were the program's."""
    report = program("facts").result()
    collector.wait_for(lambda c: len(c.records()) >= report["emitted"])

    by_body: dict[object, list[Record]] = {}
    for record in collector.records():
        by_body.setdefault(record.body, []).append(record)
    check_severity(by_body["severity"])
    check_types(by_body["types"])
    check_ids(by_body["ids"], by_body["no id"])
    check_origin(collector.records())
    assert report == NOTHING_LOST | {"emitted": report["delivered"], "delivered": len(facts.LEVELS) + 3}


def check_severity(records: list[Record]) -> None:
    """The table of design.md §4.12, in the order of the calls."""
    assert [(record.severity_text, record.severity_number) for record in records] == [
        ("TRACE", 1),
        ("DEBUG", 5),
        ("INFO", 9),
        ("SUCCESS", 10),
        ("WARNING", 13),
        ("ERROR", 17),
        ("CRITICAL", 21),
    ]


def check_types(records: list[Record]) -> None:
    """Each keyword argument keeps its type."""
    (record,) = records
    typed = {
        "text": "Grüße, 東京 🗼",
        "yes": True,
        "whole": -(2**53) - 1,
        "real": 0.1,
        "raw": ("base64", base64.b64encode(b"\x00\xff").decode()),
        "many": ["a", 1, False],
        "nested": {"inner": {"deep": 2.5}},
    }
    arrived = {key: record.attributes[key] for key in typed}
    assert arrived == typed
    assert {key: type(value) for key, value in arrived.items()} == {key: type(value) for key, value in typed.items()}


def check_ids(with_ids: list[Record], without: list[Record]) -> None:
    """Valid ids fill the id fields and nothing else; what is no id stays an attribute."""
    (ids,) = with_ids
    assert (ids.trace_id, ids.span_id, ids.flags) == (facts.TRACE_ID, facts.SPAN_ID, 1)
    assert not {"trace_id", "span_id"} & set(ids.attributes)
    (no_id,) = without
    assert (no_id.trace_id, no_id.span_id) == ("", "")
    assert no_id.attributes["trace_id"] == "xyz-789"


def check_origin(records: list[Record]) -> None:
    """Every record says which service, which library and which line of code it is from."""
    for record in records:
        assert record.resource["service.name"] == "facts"
        assert record.resource["deployment.environment.name"] == "test"
        assert record.resource["telemetry.sdk.language"] == "python"
        assert record.scope == {"name": "otelbridge", "version": version("otelbridge")}
        assert str(record.attributes["code.file.path"]).endswith("facts.py")
        assert isinstance(record.attributes["code.line.number"], int)


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_three_signals_share_a_trace(collector: Collector, program: StartProgram, protocol: str) -> None:
    """One request's access record, log line, span and duration (by its exemplar) are of one trace."""
    report = program("request", protocol).result()
    collector.wait_for(lambda c: len(c.records()) >= report["emitted"])
    collector.wait_for(lambda c: bool(c.spans() and c.metrics("http.server.request.duration")))

    (span,) = [span for span in collector.spans() if span.get("kind") == 2]
    (access,) = [record for record in collector.records() if record.event_name == "http.server.access"]
    (line,) = [record for record in collector.records() if record.attributes.get("item") == "tea"]
    points = [
        point
        for metric in collector.metrics("http.server.request.duration")  # cumulative, and exported again at exit
        for point in metric["histogram"]["dataPoints"]
    ]
    exemplars = {exemplar["traceId"] for point in points for exemplar in point.get("exemplars", [])}
    assert exemplars == {span["traceId"]} == {access.trace_id} == {line.trace_id}
    assert {access.span_id} == {line.span_id} == {span["spanId"]}
    assert {int(point["count"]) for point in points} == {1}
    assert report == NOTHING_LOST | {"emitted": 2, "delivered": 2}


def test_outage_loses_nothing(collector: Collector, program: StartProgram) -> None:
    """A collector that is down for 5 s costs programs that keep logging no record, and each two lines on stderr."""
    outage_s = 5.0
    programs = [program("steady", "http/protobuf"), program("steady", "grpc")]
    collector.wait_for(lambda c: min(map(len, beats_by_process(c)), default=0) > 20 and len(beats_by_process(c)) == 2)

    collector.stop()
    time.sleep(outage_s)  # the scenario itself
    received_before = len(collector.records())
    collector.start()
    collector.wait_for(lambda c: len(c.records()) > received_before + outage_s * 50)
    reports = [steady.result() for steady in programs]
    collector.wait_for(lambda c: len(c.records()) >= sum(report["emitted"] for report in reports))

    for report in reports:
        assert report == NOTHING_LOST | {"emitted": report["delivered"], "delivered": report["emitted"]}
        assert report["emitted"] > outage_s * 50
    expected = [set(range(report["emitted"])) for report in reports]
    assert sorted(beats_by_process(collector), key=len) == sorted(expected, key=len)
    for steady in programs:
        assert len(steady.errors.splitlines()) == 2, steady.errors


def beats_by_process(collector: Collector) -> list[set[object]]:
    """The heartbeats of each process that sent any."""
    beats: dict[object, set[object]] = {}
    for record in collector.records():
        beats.setdefault(record.resource["service.instance.id"], set()).add(record.attributes["beat"])
    return list(beats.values())

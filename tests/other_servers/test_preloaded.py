"""Masters that load the app for their workers, with `configure()` in the app's module (pains.md A5)."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.other_servers.serving import instances, name_of, request_counts, story_of
from tests.other_servers.test_every_server import PRELOADED, paths


@pytest.mark.parametrize("line", PRELOADED, ids=name_of)
def test_configure_in_the_master_harms_no_worker(line: str, tmp_path: Path) -> None:
    """
    A master that was told to send sends what it logs itself, once; its workers send theirs, each as an own instance.
    """
    told = story_of(line, tmp_path, MYSHOP_CONFIGURES="1")

    expected = Counter(f"/items/{number}" for number in range(told.pids.total()))
    assert paths(told.access()) == expected
    assert paths(told.spans) == expected
    assert request_counts(told.points) == told.pids
    masters = [record.item.body.string_value for record in told.logs if record.resource["process.pid"] == told.master]
    assert masters == [f"configured in {told.master}"]
    found = instances([*told.logs, *told.spans, *told.points])
    assert {pid: len(ids) for pid, ids in found.items()} == dict.fromkeys([told.master, *told.pids], 1)
    assert told.exit_code == 0


@pytest.mark.parametrize(
    "line", [line for line in PRELOADED if "gevent" not in line and "gthread" not in line], ids=name_of
)
def test_grpc_works_in_workers_of_a_preloading_master(line: str, tmp_path: Path) -> None:
    """
    gRPC, which does not like forks, loses nothing either.
    """
    told = story_of(line, tmp_path, OTEL_EXPORTER_OTLP_PROTOCOL="grpc")

    assert paths(told.access()) == Counter(f"/items/{number}" for number in range(told.pids.total()))
    assert request_counts(told.points) == told.pids
    assert told.exit_code == 0

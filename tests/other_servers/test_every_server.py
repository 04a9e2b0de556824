"""What docs/servers.md promises of each of its commands (pains.md A5, A6, C9)."""

from __future__ import annotations

import signal
from collections import Counter

import pytest

from tests.other_servers.conftest import StoryOf
from tests.other_servers.serving import COMMANDS, command, instances, name_of, request_counts, story_of, worker_count
from tests.otlp.receivers import Received

PRELOADED = [f"{line} --preload" for line in COMMANDS if line.startswith("gunicorn ")]
ALL = [*COMMANDS, *PRELOADED]
STOP_MAX_S = 8.0

each_command = pytest.mark.parametrize("line", ALL, ids=name_of)


def paths(records: list[Received]) -> Counter[str]:
    """How many records each path has."""
    return Counter(str(record.attributes["url.path"]) for record in records)


@each_command
def test_every_request_leaves_each_signal_once(line: str, story: StoryOf) -> None:
    """
    Requests in are access records, the app's own records, spans and counts out; none is missing, none is there twice.
    """
    told = story(line)

    expected = Counter(f"/items/{number}" for number in range(told.pids.total()))
    own = [record for record in told.logs if record not in told.access()]
    assert paths(told.access()) == expected
    assert Counter(record.item.body.string_value for record in own) == Counter(f"Item {path}" for path in expected)
    assert paths(told.spans) == expected
    assert sum(request_counts(told.points).values()) == told.pids.total()


@each_command
def test_every_worker_is_an_instance_and_no_other_process_is(line: str, story: StoryOf) -> None:
    """
    Each process that served speaks under one service.instance.id and its real pid in all signals; nobody else speaks.
    """
    told = story(line)

    assert len(told.pids) == worker_count(line)
    for received in (told.access(), told.logs, told.spans, told.points):
        found = instances(received)
        assert set(found) == set(told.pids)
        assert all(len(ids) == 1 for ids in found.values())
    ids = instances([*told.logs, *told.spans, *told.points])
    assert len(set.union(*ids.values())) == len(told.pids)
    assert Counter(record.resource["process.pid"] for record in told.access()) == told.pids
    assert request_counts(told.points) == told.pids


@each_command
def test_a_request_is_one_access_line_on_the_terminal(line: str, story: StoryOf) -> None:
    """
    With the server's own access log on, each request has one access line, and it is ours.
    """
    told = story(line)

    lines = [text for text in told.said.splitlines() if "/items/" in text and " - Item /items/" not in text]
    assert len(lines) == told.pids.total(), lines[:6]
    assert all(" | otelbridge.access:" in text for text in lines)


@each_command
def test_sigterm_ends_it_in_time(line: str, story: StoryOf) -> None:
    """
    After SIGTERM the server ends as it does without us, soon, and with nothing to complain about.
    """
    told = story(line)

    # A single uvicorn ends by the signal that it got.
    alone = line.startswith("uvicorn") and worker_count(line) == 1 and "--reload" not in line
    assert told.exit_code == (-signal.SIGTERM if alone else 0)
    assert told.stop_s < STOP_MAX_S
    assert "Traceback" not in told.said
    assert "otelbridge:" not in told.said


@pytest.mark.parametrize("line", PRELOADED, ids=name_of)
def test_a_preloading_master_has_no_telemetry(line: str, story: StoryOf, bare_thread_count: int) -> None:
    """
    A master that has loaded an instrumented app has no thread more than without us, and no way to the collector.
    """
    told = story(line)

    assert told.master not in told.pids
    assert told.master_thread_count == bare_thread_count
    assert not told.master_reaches_collector


@pytest.fixture(scope="module")
def bare_thread_count(tmp_path_factory: pytest.TempPathFactory) -> int:
    """Threads of gunicorn's master where telemetry is off altogether."""
    line = command("gunicorn", "myshop:wsgi_app")
    told = story_of(line, tmp_path_factory.mktemp("bare"), OTEL_SDK_DISABLED="true")
    assert (told.logs, told.spans, told.points) == ([], [], [])
    return told.master_thread_count

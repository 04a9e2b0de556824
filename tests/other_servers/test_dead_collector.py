"""Servers whose collector is away: the requests do not notice, and the end comes in time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.other_servers.serving import command, name_of, running
from tests.otlp.receivers import RawServer

GEVENT = command("gunicorn", "gevent")
REQUEST_COUNT = 100
# Less than the 10 s that one attempt may take.
REQUESTS_MAX_S = 8.0
STOP_MAX_S = 8.0


@pytest.fixture
def black_hole() -> Iterator[RawServer]:
    """A collector that takes connections and says nothing."""
    server = RawServer(lambda _: server.closing.wait(60))
    yield server
    server.close()


@pytest.mark.parametrize(
    ("line", "environ"),
    [
        (f"{GEVENT} --preload", {"MYSHOP_CONFIGURES": "1"}),
        (command("uvicorn", "--workers"), {}),
    ],
    ids=name_of,
)
def test_a_silent_collector_stops_no_request(
    line: str, environ: dict[str, str], black_hole: RawServer, tmp_path: Path
) -> None:
    """
    While exports hang, requests are answered as fast as ever; after SIGTERM they hang for 2 s at most.
    """
    with running(line, black_hole.endpoint, tmp_path, **environ) as server:
        server.request_of(2)
        black_hole_was_met(black_hole)
        began = time.monotonic()
        server.request(REQUEST_COUNT)
        requests_s = time.monotonic() - began
        stop_s = server.stop()

    assert requests_s < REQUESTS_MAX_S
    assert stop_s < STOP_MAX_S
    assert server.process.returncode == 0, server.said()


def black_hole_was_met(black_hole: RawServer) -> None:
    """Return when an export hangs."""
    deadline = time.monotonic() + 10
    while not black_hole.connection_count:
        assert time.monotonic() < deadline, "nothing was exported"
        time.sleep(0.02)

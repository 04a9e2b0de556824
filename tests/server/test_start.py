"""A start that is told to end before it is over: nothing is served, and nothing left."""

from __future__ import annotations

import signal
import time
import uuid
from pathlib import Path

import pytest

from tests.server.serving import APP, Served, can_listen, marked, wait_until

IMPORTING = "open('began', 'w').close()\nimport time\ntime.sleep(60)\n" + APP
STARTING = APP + "\nasync def lifespan(receive, send):\n    open('began', 'w').close()\n    await sleep(60)\n"


@pytest.mark.covers("3.5")
@pytest.mark.parametrize(
    ("app", "worker_class", "workers", "number"),
    [
        (IMPORTING, "asyncio", 0, signal.SIGTERM),
        (IMPORTING, "asyncio", 0, signal.SIGINT),
        (IMPORTING, "asyncio", 2, signal.SIGINT),
        (STARTING, "asyncio", 0, signal.SIGINT),
        (STARTING, "asyncio", 2, signal.SIGTERM),
        (STARTING, "uvloop", 0, signal.SIGTERM),
        (STARTING, "trio", 0, signal.SIGHUP),
        (STARTING, "trio", 2, signal.SIGTERM),
    ],
)
def test_an_application_that_takes_long_does_not_hold_the_server(
    tmp_path: Path, app: str, worker_class: str, workers: int, number: int
) -> None:
    """
    While an application is still being imported, or starts up, a signal ends all at once, with code 0.
    """
    (tmp_path / "app.py").write_text(app)
    mark = uuid.uuid4().hex
    places = ("-b", "127.0.0.1:{port}", "-b", "unix:x.sock", "-p", "x.pid")
    served = Served(tmp_path, *places, "-k", worker_class, "-w", str(workers), "app:app", MARK=mark)
    try:
        wait_until((tmp_path / "began").exists, "it has not begun")
        time.sleep(0.1)  # so that a startup waits, as it mostly does; without it the test is as true
        began_s = time.monotonic()
        code = served.stop(number)

        assert time.monotonic() - began_s < 10
        assert code == 0
        assert served.err == ""
        assert marked(mark) == set()
        assert can_listen(served.port)
        assert not {path.name for path in tmp_path.iterdir()} & {"x.sock", "x.pid"}
    finally:
        served.kill()

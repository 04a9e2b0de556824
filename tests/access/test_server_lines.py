"""A server's own access line and ours: never two on a terminal, and none lost (pains.md C9)."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from otelbridge import logger
from otelbridge.access import servers
from otelbridge.access.observe import Observer
from otelbridge.access.options import Settings
from otelbridge.access.servers import SERVERS, install, uninstall
from otelbridge.bridge import BridgeHandler
from tests.access.listening import Listener
from tests.native.conftest import untouched

REQUEST_COUNT = 3
COMMANDS = {
    "uvicorn": ["-m", "uvicorn", "tests.access.served:app", "--fd", "{fd}"],
    "hypercorn": ["-m", "hypercorn", "tests.access.served:app", "--bind", "fd://{fd}", "--access-logfile", "{target}"],
    "gunicorn": [
        "-m",
        "gunicorn",
        "tests.access.served:make_wsgi()",
        "--bind",
        "fd://{fd}",
        "--access-logfile",
        "{target}",
    ],
    # Logging is configured when the app is instrumented already.
    "uvicorn.run": ["-c", "import uvicorn; from tests.access.served import app; uvicorn.run(app, fd={fd})"],
}


def terminal_lines(server: str, *options: str, target: str = "-", **environ: str) -> list[str]:
    """Have a real server answer REQUEST_COUNT requests; what it and the app print of them, on either stream."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        fd = listening.fileno()
        words = [word.format(fd=fd, target=target) for word in COMMANDS[server]]
        process = subprocess.Popen(
            [sys.executable, *words, *options],
            env={**os.environ, "OTEL_SDK_DISABLED": "true", **environ},
            pass_fds=[fd],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=30) as client:
                answers = [client.get("/tasks").text for _ in range(REQUEST_COUNT)]
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                printed, _ = process.communicate(timeout=30)
            finally:
                process.kill()
    assert answers == ["hello"] * REQUEST_COUNT, printed
    return [line for line in printed.splitlines() if "/tasks" in line]


@pytest.mark.parametrize("server", COMMANDS)
def test_a_request_is_one_line_on_the_terminal(server: str) -> None:
    """
    With the server's own access log on the terminal, each request is one line there: ours.
    """
    lines = terminal_lines(server)

    assert len(lines) == REQUEST_COUNT, lines
    assert all(" | INFO     | otelbridge.access:" in line for line in lines)


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])
def test_without_our_line_the_servers_stays(server: str) -> None:
    """
    Where the access log of the app is off, the server's line is there as ever.
    """
    lines = terminal_lines(server, OTELBRIDGE_TEST_BARE="1")

    assert len(lines) == REQUEST_COUNT, lines
    assert not any("otelbridge" in line for line in lines)


@pytest.mark.parametrize("server", ["hypercorn", "gunicorn"])
def test_a_servers_file_stays(server: str, tmp_path: Path) -> None:
    """
    An access log of the server that is a file gets every line, and the terminal ours.
    """
    target = tmp_path / "access.log"

    lines = terminal_lines(server, target=str(target))

    assert len(lines) == REQUEST_COUNT
    assert target.read_text().count("/tasks") == REQUEST_COUNT


def test_uvicorns_file_stays(tmp_path: Path) -> None:
    """
    The same of uvicorn, whose targets are those of a logging configuration.
    """
    target, config = tmp_path / "access.log", tmp_path / "logging.json"
    file = {"class": "logging.FileHandler", "filename": str(target)}
    access = {"handlers": ["file"], "level": "INFO", "propagate": False}
    config.write_text(
        json.dumps(
            {
                "version": 1,
                "disable_existing_loggers": False,
                "handlers": {"file": file},
                "loggers": {"uvicorn.access": access},
            }
        )
    )

    lines = terminal_lines("uvicorn", "--log-config", str(config))

    assert len(lines) == REQUEST_COUNT
    assert target.read_text().count("/tasks") == REQUEST_COUNT


# ------------------------------------------------------------------------------------------- what decides


each_server = pytest.mark.parametrize("server", SERVERS)


def an_observer(**settings: Any) -> Observer:
    return Observer(Settings(traces=False, **settings), logger=logger, tracer=None, metrics=None)


@contextmanager
def writing(name: str) -> Iterator[logging.Logger]:
    """A server's access logger that writes to standard output only."""
    log = logging.getLogger(name)
    before, propagates = log.level, log.propagate
    # pytest's own stands here when the logger does not propagate.
    handlers = log.handlers
    others = [handler for handler in handlers if not type(handler).__module__.startswith("_pytest")]
    log.handlers = [*others, logging.StreamHandler(sys.stdout)]
    log.setLevel(logging.INFO)
    log.propagate = False
    try:
        yield log
    finally:
        log.handlers = handlers
        log.setLevel(before)
        log.propagate = propagates


def is_written(name: str, capsys: pytest.CaptureFixture[str]) -> bool:
    """Whether a line of the server reaches its standard output."""
    with writing(name) as log:
        log.info("GET /tasks")
    return "GET /tasks" in capsys.readouterr().out


@pytest.fixture
def console() -> Iterator[None]:
    """A sink of ours on the terminal, and no other; no app but the test's."""
    servers._filter.observers.clear()
    loggers = [logging.getLogger(name) for name in SERVERS]
    before = [log.handlers for log in loggers]
    for log in loggers:
        log.handlers = []
        log.removeFilter(servers._filter)  # of an app that went without uninstrument()
    with untouched(logger):
        logger.add("ext://stderr", level="INFO")
        yield
    for log, handlers in zip(loggers, before, strict=True):
        log.handlers = handlers


@pytest.mark.usefixtures("console")
@each_server
def test_the_servers_line_is_left_out_until_the_last_app_is_gone(
    server: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Two apps, then one, then none: the server's line comes back with the last, and its logger is as it was.
    """
    first, second = an_observer(), an_observer()
    filters = list(logging.getLogger(server).filters)
    install(first)
    install(second)
    install(second)
    written = [is_written(server, capsys)]
    uninstall(first)
    written.append(is_written(server, capsys))
    uninstall(second)
    written.append(is_written(server, capsys))

    assert written == [False, False, True]
    assert logging.getLogger(server).filters == filters


@pytest.mark.usefixtures("console")
@each_server
def test_an_app_that_is_forgotten_counts_no_more(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    """
    An app that was dropped without uninstrument() does not silence the server for ever.
    """
    install(an_observer())
    gc.collect()

    assert is_written(server, capsys)


@pytest.mark.usefixtures("console")
@each_server
@pytest.mark.parametrize("settings", [{"access_log": False}, {"level": "DEBUG"}])
def test_an_app_without_a_line_of_its_own_silences_nobody(
    server: str, capsys: pytest.CaptureFixture[str], settings: dict[str, Any]
) -> None:
    """
    With our access log off, or below the level of our sink, the server's line stays.
    """
    observer = an_observer(**settings)
    install(observer)

    assert is_written(server, capsys)
    uninstall(observer)


@each_server
@pytest.mark.parametrize("options", [None, {"level": "ERROR"}, {"filter": "shop"}])
def test_without_a_sink_on_the_terminal_the_servers_line_stays(
    server: str, capsys: pytest.CaptureFixture[str], options: dict[str, Any] | None
) -> None:
    """
    No sink of ours on the terminal, one for errors only, or one with a filter: the server's line stays.
    """
    observer = an_observer()
    with untouched(logger):
        if options is not None:
            logger.add("ext://stderr", **options)
        install(observer)

        assert is_written(server, capsys)
    uninstall(observer)


@pytest.mark.usefixtures("console")
@each_server
def test_another_target_of_the_server_keeps_the_line(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    """
    A handler that is no terminal gets its line, and so the server's terminal does.
    """
    observer, listener = an_observer(), Listener()
    install(observer)
    logging.getLogger(server).addHandler(listener)

    assert is_written(server, capsys)

    logging.getLogger(server).removeHandler(listener)
    uninstall(observer)
    assert listener.record.getMessage() == "GET /tasks"


@pytest.mark.usefixtures("console")
@each_server
def test_our_own_bridge_is_no_other_target(server: str, capsys: pytest.CaptureFixture[str]) -> None:
    """
    A server's line that our stdlib bridge would take in as a second record is left out as well.
    """
    observer, bridge = an_observer(), BridgeHandler(logger)
    install(observer)
    with writing(server) as log:
        log.addHandler(bridge)

        log.info("GET /tasks")

        log.removeHandler(bridge)
    uninstall(observer)
    assert capsys.readouterr() == ("", "")

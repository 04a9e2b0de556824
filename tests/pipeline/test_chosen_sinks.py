"""BB_LOG_FILE and its kin: where access records go because the environment says so."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otelbridge.exceptions import ConfigError
from otelbridge.integrations.chosen_sinks import BATCH_SIZE, BATCH_SIZE_LEAST, Choice, read_choice

PREFIXES = ("BB_", "OTELBRIDGE_")
LINE = re.compile(r'203\.0\.113\.42 "GET /(\d+) HTTP/1\.1" 200 5 \d+ms')

# Instruments an app without any exporter, and has it asked `count` times.
PREAMBLE = """
import asyncio, logging, os, sys, time
import otelbridge
from otelbridge import logger
from tests.access.support import exchange, hello, http_scope
def ask(app, start, count):
    for i in range(start, start + count):
        asyncio.run(exchange(app, http_scope(f"/{i}")))
app = otelbridge.instrument(hello)
"""


def start(code: str, **env: str) -> subprocess.Popen[str]:
    """Run a program with these variables, and OpenTelemetry off."""
    return subprocess.Popen(
        [sys.executable, "-W", "ignore:This process", "-c", PREAMBLE + code],
        env={**os.environ, "OTEL_SDK_DISABLED": "true", **env},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(code: str, **env: str) -> list[str]:
    """The same to its end, which must be a good one; what it wrote to stderr."""
    process = start(code, **env)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (0, ""), stderr
    return stderr.splitlines()


def console_lines(stderr: list[str]) -> list[str]:
    """What our own console sink printed."""
    return [line for line in stderr if " | INFO " in line]


@pytest.mark.covers("4.15")
@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("is_async", ["0", "1"])
def test_log_file(tmp_path: Path, prefix: str, is_async: str) -> None:
    """
    LOG_FILE has each request's line at the end of the program, appended, with ASYNC_LOGGING or without.
    """
    path = tmp_path / "access {x}.log"
    path.write_text("before\n")

    run("ask(app, 0, 200)", **{f"{prefix}LOG_FILE": str(path), f"{prefix}ASYNC_LOGGING": is_async})

    first, *lines = path.read_text().splitlines()
    assert first == "before"
    assert [found[1] for line in lines if (found := LINE.fullmatch(line))] == [str(i) for i in range(200)]


@pytest.mark.covers("4.15")
@pytest.mark.parametrize("prefix", PREFIXES)
def test_log_format_json(tmp_path: Path, prefix: str) -> None:
    """
    LOG_FORMAT=json: each line is an object with timestamp, level, logger, message and the record's fields.
    """
    path = tmp_path / "access.log"

    run(
        "ask(app, 0, 3)\n"
        "async def failing(scope, receive, send): raise RuntimeError('broken\\u2028')\n"
        "ask(otelbridge.instrument(failing), 3, 1)",
        **{f"{prefix}LOG_FILE": str(path), f"{prefix}LOG_FORMAT": "JSON"},
    )

    lines = path.read_text().split("\n")
    *plain, failed = [json.loads(line) for line in lines[:-1]]
    assert [record["path"] for record in plain] == ["/0", "/1", "/2"]
    record = plain[0]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", record["timestamp"])
    assert (record["level"], record["logger"]) == ("INFO", "otelbridge.access")
    assert LINE.fullmatch(record["message"])
    assert (record["client_ip"], record["method"], record["http_version"]) == ("203.0.113.42", "GET", "1.1")
    assert (record["status"], record["response_bytes"]) == (200, 5)
    assert isinstance(record["duration_ms"], float)
    assert (failed["level"], failed["status"]) == ("ERROR", "-")
    assert failed["exception"].startswith("Traceback ")
    assert all(line.isprintable() for line in lines)


@pytest.mark.covers("F9")
@pytest.mark.parametrize("style", ["text", "json"])
def test_no_path_forges_a_line(tmp_path: Path, style: str) -> None:
    """
    A percent-decoded path with line breaks and escape sequences stays on its line, in its field.
    """
    path = tmp_path / "access.log"
    forged = '/x\r\n\x1b[31m203.0.113.9 "GET /admin HTTP/1.1" 200 5 1ms\n\u2028\x85\u202e'

    run(
        f"asyncio.run(exchange(app, http_scope({forged!r})))",
        BB_LOG_FILE=str(path),
        BB_LOG_FORMAT=style,
    )

    text = path.read_text()
    assert text.endswith("\n")
    assert text[:-1].isprintable()
    if style == "json":
        assert json.loads(text)["path"] == forged


def test_our_variable_wins(tmp_path: Path) -> None:
    """
    Where both are set, OTELBRIDGE_'s is obeyed; an empty one is as good as none.
    """
    ours, theirs = tmp_path / "ours.log", tmp_path / "theirs.log"
    run("ask(app, 0, 1)", BB_LOG_FILE=str(theirs), OTELBRIDGE_LOG_FILE=str(ours))
    assert (ours.exists(), theirs.exists()) == (True, False)

    run("ask(app, 0, 1)", BB_LOG_FILE=str(theirs), OTELBRIDGE_LOG_FILE="")
    assert theirs.exists()


@pytest.mark.covers("4.15")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_each_worker_opens_the_file_after_the_fork(tmp_path: Path) -> None:
    """
    A master that instruments, and forks, has neither thread nor file; its workers' lines arrive whole, none is lost.
    """
    path = tmp_path / "access.log"
    run(
        """
import threading
assert threading.active_count() == 1
assert not os.path.exists(os.environ["BB_LOG_FILE"])
children = []
for name in range(3):
    child = os.fork()
    if child == 0:
        ask(app, name * 1000, 300)
        sys.exit(0)
    children.append(child)
for child in children:
    assert os.waitpid(child, 0)[1] == 0
""",
        BB_LOG_FILE=str(path),
    )

    numbers = [int(found[1]) for line in path.read_text().splitlines() if (found := LINE.fullmatch(line))]
    assert sorted(numbers) == [name * 1000 + i for name in range(3) for i in range(300)]


@pytest.mark.covers("4.15")
def test_a_renamed_file_is_opened_anew(tmp_path: Path) -> None:
    """
    After logrotate the next line is in a new file under the old name.
    """
    path = tmp_path / "access.log"
    process = start(
        "for i in range(2):\n    ask(app, i, 1)\n    print(flush=True)\n    sys.stdin.readline()",
        BB_LOG_FILE=str(path),
        BB_ASYNC_LOGGING="0",
    )
    assert process.stdout is not None
    process.stdout.readline()
    path.rename(tmp_path / "access.log.1")
    process.communicate("\n\n", timeout=60)

    assert '"GET /0 ' in (tmp_path / "access.log.1").read_text()
    assert '"GET /1 ' in path.read_text()


@pytest.mark.covers("4.15", note="where our own console prints the line, it is not printed a second time")
@pytest.mark.parametrize("is_async", ["0", "1"])
def test_a_file_that_cannot_be_opened(tmp_path: Path, is_async: str) -> None:
    """
    It is said once, and the lines are on stderr: each request is one line there, with our console and without.
    """
    env = {"BB_LOG_FILE": str(tmp_path), "BB_ASYNC_LOGGING": is_async}

    with_console = run("ask(app, 0, 3)", **env)
    without = run("logger.remove()\nask(app, 0, 3)", **env)

    for lines in (with_console, without):
        assert len([line for line in lines if LINE.search(line)]) == 3
        (said,) = [line for line in lines if line.startswith("otelbridge: ")]
        assert said.startswith(f"otelbridge: writing the access log to {str(tmp_path)!r} (it goes to stderr instead)")


@pytest.fixture
def syslog() -> Iterator[socket.socket]:
    """A UDP port that waits for datagrams."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        yield receiver


@pytest.mark.covers("4.15")
@pytest.mark.parametrize("prefix", PREFIXES)
@pytest.mark.parametrize("is_async", ["0", "1"])
def test_syslog(syslog: socket.socket, tmp_path: Path, prefix: str, is_async: str) -> None:
    """
    SYSLOG_ADDR has one datagram per request, and wins over LOG_FILE.
    """
    path = tmp_path / "access.log"
    env = {
        f"{prefix}SYSLOG_ADDR": f"127.0.0.1:{syslog.getsockname()[1]}",
        f"{prefix}LOG_FILE": str(path),
        f"{prefix}ASYNC_LOGGING": is_async,
    }

    run("ask(app, 0, 2)", **env)

    datagrams = [syslog.recv(65536).decode() for _ in range(2)]
    for i, datagram in enumerate(datagrams):
        assert datagram.startswith("<14>")  # user, info
        found = LINE.fullmatch(datagram[4:].rstrip("\0"))
        assert found is not None
        assert found[1] == str(i)
    assert not path.exists()


@pytest.mark.covers("4.15")
def test_syslog_with_json(syslog: socket.socket) -> None:
    """
    The format goes with syslog as well.
    """
    run("ask(app, 7, 1)", BB_SYSLOG_ADDR=f"127.0.0.1:{syslog.getsockname()[1]}", BB_LOG_FORMAT="json")

    record = json.loads(syslog.recv(65536).decode()[4:].rstrip("\0"))
    assert (record["path"], record["status"]) == ("/7", 200)


@pytest.mark.covers("4.15")
@pytest.mark.parametrize("address", ["127.0.0.1:port", "127.0.0.1:99999", "no such host:514", "user@host:1"])
def test_a_syslog_address_that_is_none(address: str) -> None:
    """
    It is said, and the lines are on stderr, once each.
    """
    lines = run("logger.remove()\nask(app, 0, 2)", BB_SYSLOG_ADDR=address)

    assert len([line for line in lines if LINE.fullmatch(line)]) == 2
    (said,) = [line for line in lines if line.startswith("otelbridge: ")]
    assert said.startswith(f"otelbridge: syslog at {address!r} (access lines go to stderr instead) failed with ")


@pytest.mark.covers("4.15")
@pytest.mark.parametrize("is_async", ["0", "1"])
def test_json_alone_is_on_stderr_instead_of_our_line(is_async: str) -> None:
    """
    LOG_FORMAT=json by itself makes each request one JSON line on stderr; other lines of our console stay.
    """
    lines = run("ask(app, 0, 2)\nlogger.info('hello')", BB_LOG_FORMAT="json", BB_ASYNC_LOGGING=is_async)

    assert [json.loads(line)["path"] for line in lines if line.startswith("{")] == ["/0", "/1"]
    (line,) = console_lines(lines)
    assert line.endswith("hello")


def test_json_alone_without_a_console_sink() -> None:
    """
    The same when our sinks were removed.
    """
    lines = run("logger.remove()\nask(app, 0, 1)", BB_LOG_FORMAT="json")

    assert [json.loads(line)["path"] for line in lines] == ["/0"]


@pytest.mark.covers("4.15", note="BB_ASYNC_LOGGING alone changes nothing: our own ways out never wait for a disk")
@pytest.mark.parametrize("env", [{}, {"BB_ASYNC_LOGGING": "1"}, {"BB_LOG_FORMAT": "text"}, {"BB_LOG_BATCH_SIZE": "5"}])
def test_nothing_is_chosen(env: dict[str, str]) -> None:
    """
    Without a file, an address or JSON there is no sink: the logger `otelbridge.access` has no handlers.
    """
    lines = run("assert logging.getLogger('otelbridge.access').handlers == []\nask(app, 0, 1)", **env)

    assert len(console_lines(lines)) == 1


def test_instrumenting_again_makes_no_second_sink(tmp_path: Path) -> None:
    """
    However many apps there are, a request is one line.
    """
    path = tmp_path / "access.log"

    run("other = otelbridge.instrument(otelbridge.instrument(hello))\nask(other, 0, 1)", BB_LOG_FILE=str(path))

    assert len(path.read_text().splitlines()) == 1


def test_access_log_off_leaves_nothing_to_write(tmp_path: Path) -> None:
    """
    BB_ACCESS_LOG=0 wins: no line anywhere.
    """
    path = tmp_path / "access.log"

    run("ask(app, 0, 1)", BB_LOG_FILE=str(path), BB_ACCESS_LOG="0")

    assert not path.exists()


def test_lines_appear_while_the_program_runs(tmp_path: Path) -> None:
    """
    A part of a batch does not wait for the rest of it.
    """
    path = tmp_path / "access.log"
    waiting = "deadline = time.monotonic() + 10\n"
    waiting += "while not (os.path.exists(path) and os.path.getsize(path)): assert time.monotonic() < deadline"

    run(f"path = {str(path)!r}\nask(app, 0, 1)\n{waiting}", BB_LOG_FILE=str(path))


@pytest.mark.covers("4.15")
@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"LOG_FILE": "a"}, {"path": "a", "is_async": True, "batch_size": 64, "batch_delay_s": 0.005}),
        ({"LOG_FILE": "a", "LOG_BATCH_SIZE": "128"}, {"batch_size": 128}),
        ({"LOG_FILE": "a", "LOG_BATCH_SIZE": "1"}, {"batch_size": 2}),
        ({"LOG_FILE": "a", "LOG_BATCH_SIZE": "0"}, {"batch_size": 2}),
        ({"LOG_FILE": "a", "LOG_BATCH_TIMEOUT_MS": "250"}, {"batch_delay_s": 0.25}),
        ({"LOG_FILE": "a", "LOG_BATCH_TIMEOUT_MS": "0"}, {"batch_delay_s": 0.0}),
        ({"LOG_FILE": "a", "ASYNC_LOGGING": "off"}, {"is_async": False}),
        ({"LOG_FILE": "a", "ASYNC_LOGGING": "1"}, {"is_async": True}),
        ({"SYSLOG_ADDR": "h:1"}, {"syslog_addr": "h:1", "path": None}),
    ],
)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_what_is_read(prefix: str, env: dict[str, str], expected: dict[str, Any]) -> None:
    """
    Each variable and its default: BlackBull's.
    """
    choice = read_choice({prefix + name: value for name, value in env.items()})

    assert isinstance(choice, Choice)
    assert {name: getattr(choice, name) for name in expected} == expected
    assert (BATCH_SIZE, BATCH_SIZE_LEAST) == (64, 2)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LOG_BATCH_SIZE", "many"),
        ("LOG_BATCH_SIZE", "-1"),
        ("LOG_BATCH_SIZE", "1.5"),
        ("LOG_BATCH_TIMEOUT_MS", "5ms"),
        ("LOG_BATCH_TIMEOUT_MS", "nan"),
        ("LOG_BATCH_TIMEOUT_MS", "-1"),
        ("LOG_FORMAT", "xml"),
    ],
)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_wrong_values_are_said(prefix: str, name: str, value: str) -> None:
    """
    A value that is none raises, with the variable that has it, what it must be and what it is.
    """
    with pytest.raises(ConfigError, match=rf"^{prefix}{name} must be .*, got '{value}'$"):
        read_choice({"OTELBRIDGE_LOG_FILE": "a", prefix + name: value})


def test_wrong_values_are_said_by_instrument(tmp_path: Path) -> None:
    """
    It is `instrument()` that raises.
    """
    process = start("", BB_LOG_FILE=str(tmp_path / "a"), BB_LOG_BATCH_SIZE="many")
    _, stderr = process.communicate(timeout=60)

    assert process.returncode == 1
    assert stderr.splitlines()[-1].endswith("ConfigError: BB_LOG_BATCH_SIZE must be a number from 0 on, got 'many'")

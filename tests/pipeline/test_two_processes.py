"""The two programs of examples/logging: a web server, and the log server that keeps its records."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.receiving import DEADLINE_S, wait_for
from tools.places import ROOT

PROGRAMS = ROOT / "examples" / "logging"
# The documentation's own.
SELECT = "SELECT client_ip, method, path, status, duration_ms FROM access_logs;"


class Program:
    """One of the programs, running."""

    def __init__(self, name: str, *arguments: object, sentence: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAMS / f"{name}.py"), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        wait_for(lambda: self.find(sentence) or self.process.poll() is not None)
        found = self.find(sentence)
        assert found is not None, self.lines
        self.port = int(found[1])

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(self.process.stdout)

    def find(self, sentence: str) -> re.Match[str] | None:
        """What it has said, if it has."""
        return next((found for line in list(self.lines) if (found := re.search(sentence, line))), None)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end; its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        return code


@contextmanager
def running(name: str, *arguments: object, sentence: str) -> Iterator[Program]:
    """Killed at the end, if it is still there."""
    program = Program(name, *arguments, sentence=sentence)
    try:
        yield program
    finally:
        if program.process.poll() is None:
            program.process.kill()
            program.process.wait(DEADLINE_S)
        if program.process.stdout is not None:
            program._reader.join(DEADLINE_S)
            program.process.stdout.close()


def log_server(db: Path, port: int = 0) -> Any:
    """The log server, on a free port."""
    return running("log_server", "--port", port, "--db", db, sentence=r"listening on http://127\.0\.0\.1:(\d+)")


def web_server(log_port: int) -> Any:
    """The web server, on a free port."""
    arguments = ("--port", 0, "--log-server", f"localhost:{log_port}")
    return running("web_server", *arguments, sentence=r"Running on http://127\.0\.0\.1:(\d+)")


def ask(port: int, path: str) -> tuple[int, bytes]:
    """GET it."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()


def rows(db: Path, select: str = SELECT) -> list[tuple[Any, ...]]:
    """What the database has."""
    with closing(sqlite3.connect(db)) as connection:
        return connection.execute(select).fetchall()


@pytest.mark.covers("4.10")
@pytest.mark.covers("4.12")
def test_the_documented_session(tmp_path: Path) -> None:
    """
    Both are started, pages asked for, and the documented SELECT shows the requests; both end at a signal.
    """
    db = tmp_path / "logs.db"
    with log_server(db) as logs, web_server(logs.port) as web:
        assert ask(web.port, "/") == (200, b"Hello, world!\n")
        assert ask(web.port, "/tasks")[0] == 200
        assert ask(web.port, "/nothing")[0] == 404
        wait_for(lambda: len(rows(db)) == 3)
        assert web.stop(signal.SIGINT) == 0
        assert logs.stop() == 0

    found = rows(db)
    assert [row[:4] for row in found] == [
        ("127.0.0.1", "GET", "/", "200"),
        ("127.0.0.1", "GET", "/tasks", "200"),
        ("127.0.0.1", "GET", "/nothing", "404"),
    ]
    assert all(isinstance(row[4], float) and row[4] > 0 for row in found)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["logs.db"]  # no rest of a database that was not closed


@pytest.mark.covers("4.10")
def test_what_was_logged_last_is_stored_before_the_end(tmp_path: Path) -> None:
    """
    A web server that is stopped at once hands over what it has.
    """
    db = tmp_path / "logs.db"
    with log_server(db) as logs, web_server(logs.port) as web:
        for _ in range(50):
            ask(web.port, "/tasks")
        assert web.stop() == 0
        assert len(rows(db)) == 50


@pytest.mark.covers("4.10")
def test_the_web_server_does_not_care_for_the_log_server(tmp_path: Path) -> None:
    """
    With the log server killed it serves on and says so once; when there is one again, it gets the records.
    """
    db = tmp_path / "logs.db"
    with log_server(db) as logs, web_server(logs.port) as web:
        ask(web.port, "/")
        wait_for(lambda: len(rows(db)) == 1)
        logs.stop(signal.SIGKILL)
        for _ in range(20):
            assert ask(web.port, "/tasks")[0] == 200
        wait_for(lambda: web.find("otelbridge: sending records to "))
        with log_server(db, logs.port) as again:
            assert ask(web.port, "/")[0] == 200
            wait_for(lambda: rows(db)[-1][2] == "/" and len(rows(db)) > 1)
            assert again.stop() == 0
        assert web.stop() == 0

    assert len([line for line in web.lines if "sending records to" in line]) == 1


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """A log server's port and database."""
    db = tmp_path_factory.mktemp("logs") / "logs.db"
    with log_server(db) as program:
        yield program.port, db


def post(port: int, body: bytes, path: str = "/logs", method: str = "POST", **headers: str) -> int:
    """The status of the answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)) as connection:
        connection.request(method, path, body, headers)
        return connection.getresponse().status


@pytest.mark.covers("4.12")
def test_the_table_is_the_documented_one(logs: tuple[int, Path]) -> None:
    """
    Its columns, their types, and what must not be null.
    """
    columns = rows(logs[1], "SELECT name, type, \"notnull\", pk FROM pragma_table_info('access_logs')")

    assert columns == [
        ("id", "INTEGER", 0, 1),
        ("created_at", "REAL", 1, 0),
        ("client_ip", "TEXT", 0, 0),
        ("method", "TEXT", 0, 0),
        ("path", "TEXT", 0, 0),
        ("http_version", "TEXT", 0, 0),
        ("status", "TEXT", 0, 0),
        ("response_bytes", "INTEGER", 0, 0),
        ("duration_ms", "REAL", 0, 0),
        ("message", "TEXT", 0, 0),
    ]


@pytest.mark.covers("4.12")
@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b'"text"', b"null", b"\xff\xfe", b"[" * 60_000, b"{}", b'{"message": "no time"}'),
        *(b'{"created": null}', b'{"created": "1"}', b'{"created": true}', b'{"created": NaN}'),
        *(b'{"created": 1e999}', b'{"created": 1' + b"0" * 400 + b"}", b'{"created": 1' + b"0" * 5000 + b"}"),
        *(b'{"created": 1, "path": {}}', b'{"created": 1, "status": [1]}', b'{"created": 1, "response_bytes": 1e99}'),
    ],
)
def test_a_bad_record_is_400(logs: tuple[int, Path], body: bytes) -> None:
    """
    What is no JSON, no object, has no time, or has what no column takes; nothing is stored.
    """
    before = rows(logs[1])

    assert post(logs[0], body) == 400

    assert rows(logs[1]) == before


@pytest.mark.covers("4.12")
def test_a_good_record_is_stored(logs: tuple[int, Path]) -> None:
    """
    All columns, and only what is known; a status that is none is `-`.
    """
    record = {"created": 5, "status": "-", "path": "/\ud800", "message": "m", "other": [1]}

    assert post(logs[0], json.dumps(record).encode()) == 204

    select = "SELECT created_at, status, path, message, method, duration_ms FROM access_logs ORDER BY id DESC LIMIT 1"
    assert rows(logs[1], select) == [(5.0, "-", "/?", "m", None, None)]


@pytest.mark.covers("4.12")
@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/", b"{}", 404),
        ("POST", "/logs/", b"{}", 404),
        ("GET", "/logs", None, 405),
        ("PUT", "/logs", b"{}", 405),
        ("HEAD", "/logs", None, 405),
        ("POST", "/logs", b"x" * (64 * 1024), 400),
        ("POST", "/logs", b"x" * (64 * 1024 + 1), 413),
        ("POST", "/logs", b"x" * 500_000, 413),
    ],
)
def test_what_is_refused(logs: tuple[int, Path], method: str, path: str, body: bytes | None, status: int) -> None:
    """
    Other paths, other methods, and bodies of more than 64 KiB.
    """
    assert post(logs[0], body or b"", path, method) == status


def test_lengths_that_are_none(logs: tuple[int, Path]) -> None:
    """
    No length, one that is no number, and one beyond all numbers are answered, and the server lives.
    """
    assert post(logs[0], b"", **{"Content-Length": "-1"}) == 411
    assert post(logs[0], b"", **{"Content-Length": "x"}) == 411
    with socket.create_connection(("127.0.0.1", logs[0]), DEADLINE_S) as client:
        client.sendall(b"POST /logs HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(4096).startswith(b"HTTP/1.1 413 ")
    assert post(logs[0], b'{"created": 1}') == 204


@pytest.mark.covers("4.12")
def test_a_database_error_is_500(tmp_path: Path) -> None:
    """
    When the database refuses, the client hears 500, and the next record is stored.
    """
    db = tmp_path / "logs.db"
    with log_server(db) as program:
        with closing(sqlite3.connect(db, isolation_level=None)) as other:
            other.execute("ALTER TABLE access_logs RENAME TO away")
            assert post(program.port, b'{"created": 1}') == 500
            other.execute("ALTER TABLE away RENAME TO access_logs")
        assert post(program.port, b'{"created": 2}') == 204
        assert program.stop() == 0

    assert rows(db, "SELECT created_at FROM access_logs") == [(2.0,)]


def test_many_clients_at_once_lose_nothing(tmp_path: Path) -> None:
    """
    There is one writer, and all records are stored.
    """
    db = tmp_path / "logs.db"
    statuses: list[int] = []

    def work(port: int, name: int) -> None:
        statuses.extend(post(port, b'{"created": %d}' % (name * 100 + i)) for i in range(25))

    with log_server(db) as program:
        threads = [threading.Thread(target=work, args=(program.port, name)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert program.stop(signal.SIGINT) == 0

    assert set(statuses) == {204}
    assert len(set(rows(db, "SELECT created_at FROM access_logs"))) == 200


@pytest.mark.parametrize("what", ["port", "db"])
def test_what_cannot_be_served_is_one_sentence(tmp_path: Path, what: str) -> None:
    """
    A port in use, or a database that cannot be opened, ends it with a sentence.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1] if what == "port" else 0
        db = tmp_path / "logs.db" if what == "port" else tmp_path
        done = subprocess.run(
            [sys.executable, str(PROGRAMS / "log_server.py"), "--port", str(port), "--db", str(db)],
            capture_output=True,
            text=True,
            timeout=60,
        )

    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"log_server: cannot serve on 127.0.0.1:{port} with {db}: ")

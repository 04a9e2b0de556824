"""Takes access records over HTTP and keeps them in SQLite: python examples/logging/log_server.py [--port 9000]

POST /logs with one JSON object; 204 when it is stored. Nothing but the standard library.
"""

import argparse
import json
import math
import signal
import sqlite3
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

BODY_SIZE_MAX = 64 * 1024
READ_SIZE_MAX = 1024 * 1024
DATABASE = Path(__file__).with_name("logs.db")

TABLE = """
CREATE TABLE IF NOT EXISTS access_logs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at REAL NOT NULL,
    client_ip TEXT,
    method TEXT,
    path TEXT,
    http_version TEXT,
    status TEXT,
    response_bytes INTEGER,
    duration_ms REAL,
    message TEXT
)
"""
FIELDS = ("client_ip", "method", "path", "http_version", "status", "response_bytes", "duration_ms", "message")
INSERT = f"INSERT INTO access_logs (created_at, {', '.join(FIELDS)}) VALUES (?{', ?' * len(FIELDS)})"


class BadRecordError(Exception):
    """The body is no record."""


class Database:
    """One connection, and one writer at a time."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")  # a crash of this program loses nothing
        self._connection.execute(TABLE)

    def insert(self, row: tuple[Any, ...]) -> None:
        """Store a row. sqlite3.Error."""
        with self._lock:
            self._connection.execute(INSERT, row)

    def close(self) -> None:
        """Let the insert under way end; WAL and database become one file."""
        with self._lock:
            self._connection.close()


def read_row(body: bytes) -> tuple[Any, ...]:
    """Return the row of a record. BadRecordError: what is wrong with it."""
    try:
        record = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRecordError(f"the body must be JSON: {error}") from error
    if not isinstance(record, dict):
        raise BadRecordError(f"the body must be an object, got {type(record).__name__}")
    created = read_value(record, "created")
    if not isinstance(created, int | float) or not math.isfinite(created):
        raise BadRecordError(f"created must be the seconds since the epoch, got {created!r}")
    return float(created), *[read_value(record, name) for name in FIELDS]


def read_value(record: dict[str, Any], name: str) -> str | float | None:
    """Return what SQLite can keep. BadRecordError: it cannot."""
    value = record.get(name)
    if isinstance(value, str):
        return value.encode(errors="replace").decode()  # "\ud800" is JSON, and no text
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1 << 63):
        return value
    raise BadRecordError(f"{name} must be a text, null, or a number of 64 bits")


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"  # connections are kept
    timeout = 60.0  # for who connects, and says nothing
    database: Database

    def do_POST(self) -> None:
        """Store one record."""
        if self.path.partition("?")[0] != "/logs":
            self.refuse(404, "POST to /logs")
            return
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            self.refuse(411, "Content-Length is required")
        elif len(length) > 9 or int(length) > BODY_SIZE_MAX:
            self.rfile.read(min(int(length[:9]), READ_SIZE_MAX))  # who is still sending would not hear the answer
            self.refuse(413, f"a record may have {BODY_SIZE_MAX} bytes")
        else:
            self.store(self.rfile.read(int(length)))

    def store(self, body: bytes) -> None:
        """Answer for a body that has been read."""
        try:
            self.database.insert(read_row(body))
        except BadRecordError as error:
            self.answer(400, str(error))
        except sqlite3.Error as error:
            self.log_error("the database says: %s", error)
            self.answer(500, "the database does not take it")
        else:
            self.answer(204)

    def do_GET(self) -> None:
        """There is nothing to read here: ask the database."""
        self.refuse(405, "only POST is understood")

    do_HEAD = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def refuse(self, status: int, text: str) -> None:
        """Answer without having read the whole body, after which the connection is of no use."""
        self.close_connection = True
        self.answer(status, text)

    def answer(self, status: int, text: str = "") -> None:
        """Send the whole answer."""
        body = f"{text}\n".encode() if text else b""
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
        if status == 405:
            self.send_header("Allow", "POST")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """A line for each record would be a log of the log."""


class Server(ThreadingHTTPServer):
    """A thread per connection, none of which keeps the program from ending."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128


def serve(host: str, port: int, path: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    database = Database(path)
    handler = type("BoundHandler", (Handler,), {"database": database})
    with Server((host, port), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        sys.stdout.write(f"listening on http://{host}:{server.server_address[1]}, writing to {path}\n")
        sys.stdout.flush()
        stop.wait()
        server.shutdown()
    database.close()


def main() -> None:
    """Read the arguments, and serve."""
    parser = argparse.ArgumentParser(description="Keep access records in SQLite.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    parser.add_argument("--db", type=Path, default=DATABASE)
    options = parser.parse_args()
    try:
        serve(options.host, options.port, options.db)
    except (OSError, OverflowError, sqlite3.Error) as error:
        sys.exit(f"log_server: cannot serve on {options.host}:{options.port} with {options.db}: {error}")


if __name__ == "__main__":
    main()

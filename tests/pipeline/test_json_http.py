"""JsonHTTPHandler: each record one JSON object over HTTP, and no trouble of the log server is the app's."""

from __future__ import annotations

import json
import logging
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from otelbridge.delivery.quiet import quiet
from otelbridge.exceptions import ConfigError
from otelbridge.integrations.json_http import JsonHTTPHandler
from tests.access.listening import attached
from tests.access.support import TRACEPARENT, Harness, hello
from tests.pipeline.receiving import DEADLINE_S, LogServer, log_server, wait_for

TIMEOUT_S = 0.3


@contextmanager
def handling(host: str, *args: Any, **options: Any) -> Iterator[JsonHTTPHandler]:
    """A handler of that server, closed at the end."""
    with closing(JsonHTTPHandler(host, *args, **options)) as handler:
        yield handler


def made(message: object = "hello", **extra: object) -> logging.LogRecord:
    """A record."""
    return logging.makeLogRecord({"name": "shop", "levelno": 20, "levelname": "INFO", "msg": message, **extra})


def free_port() -> int:
    """A port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.mark.covers("4.11")
def test_an_access_record_is_one_json_object(server: LogServer) -> None:
    """
    POSTed to /logs: created, level, logger, message, BlackBull's seven fields with their types, and the ids.
    """
    with handling(server.host) as handler, attached(handler):
        before = time.time()
        Harness(hello).get("/tasks", headers=[(b"traceparent", TRACEPARENT)])

    (record,) = server.records
    assert server.paths == ["/logs"]
    assert server.headers[0]["Content-Type"] == "application/json"
    assert before <= record["created"] <= time.time()
    assert (record["level"], record["logger"]) == ("INFO", "otelbridge.access")
    assert record["message"].startswith('203.0.113.42 "GET /tasks HTTP/1.1" 200 5 ')
    fields = {name: record[name] for name in ("client_ip", "method", "path", "http_version", "status")}
    assert fields == {
        "client_ip": "203.0.113.42",
        "method": "GET",
        "path": "/tasks",
        "http_version": "1.1",
        "status": 200,
    }
    assert record["response_bytes"] == 5
    assert isinstance(record["duration_ms"], float)
    assert record["trace_id"] == TRACEPARENT.decode().split("-")[1]
    assert record["request_id"]


@pytest.mark.covers("4.11")
def test_a_plain_record_has_no_fields_of_requests(server: LogServer) -> None:
    """
    Any record can be sent; its %-arguments are in the message, and nothing is invented.
    """
    with handling(server.host) as handler:
        handler.handle(made("%s of %d", args=("a", 2)))

    (record,) = server.records
    assert set(record) == {"created", "level", "logger", "message"}
    assert record["message"] == "a of 2"


@pytest.mark.covers("4.11")
def test_another_url_and_own_headers(server: LogServer) -> None:
    """
    `url` is where it is POSTed, with its query; `headers` go along.
    """
    with handling(server.host, "/in?tenant=acme", headers={"Authorization": "Bearer x"}) as handler:
        handler.handle(made())

    assert server.paths == ["/in?tenant=acme"]
    assert server.headers[0]["Authorization"] == "Bearer x"


def test_a_traceback_comes_along(server: LogServer) -> None:
    """
    An exception is text, under `exception`.
    """
    with handling(server.host) as handler:
        try:
            raise RuntimeError("broken")
        except RuntimeError:
            handler.handle(made(exc_info=sys.exc_info()))

    assert server.records[0]["exception"].endswith("RuntimeError: broken")


class Odd:
    """Its str raises."""

    def __str__(self) -> str:
        raise RuntimeError("no str")


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        (Path("/a"), "/a"),
        (1 << 70, 1 << 70),
        (float("nan"), None),
        ("\ud800", "\ufffd"),
        (Odd(), None),
        (b"\xff", None),
    ],
)
def test_no_value_costs_a_record(server: LogServer, value: object, sent: object) -> None:
    """
    What JSON has no word for is sent as its text, and what has none either does not keep the record back.
    """
    with handling(server.host) as handler:
        handler.handle(made(path=value))

    (record,) = server.records
    assert record["message"] == "hello"
    assert handler.failed == 0
    if sent is not None:
        assert record["path"] in (sent, str(sent))


def test_secrets_are_redacted(server: LogServer) -> None:
    """
    Credentials in the message, a field and a traceback stay here.
    """
    with handling(server.host) as handler:
        try:
            raise RuntimeError("no answer of https://ann:canary@host/")
        except RuntimeError:
            handler.handle(made("GET https://h/?token=canary", path="/a?password=canary", exc_info=sys.exc_info()))

    assert "canary" not in json.dumps(server.records)
    assert len(server.records) == 1


def test_one_connection_serves_many_records(server: LogServer) -> None:
    """
    The connection is kept.
    """
    with handling(server.host) as handler:
        for i in range(20):
            handler.handle(made(i))

    assert [record["message"] for record in server.records] == [str(i) for i in range(20)]
    assert (server.connections, handler.sent) == (1, 20)


def test_a_connection_that_was_closed_is_opened_again(server: LogServer) -> None:
    """
    A server that closes idle connections loses no record.
    """
    server.closes_after_each = True
    with handling(server.host) as handler:
        for i in range(5):
            handler.handle(made(i))

    assert len(server.records) == 5
    assert (handler.sent, handler.failed) == (5, 0)


def test_a_server_that_restarts_is_found_again() -> None:
    """
    Records of the time without a server are counted; the next one after it arrives.
    """
    with log_server() as first, handling(first.host) as handler:
        handler.handle(made("before"))
        port = first.port
    handler.handle(made("meanwhile"))
    with log_server(port) as second:
        handler.handle(made("after"))
        handler.close()

    assert [record["message"] for record in second.records] == ["after"]
    assert (handler.sent, handler.failed) == (2, 1)


@pytest.mark.parametrize("status", [302, 400, 413, 500, 503])
def test_an_answer_that_is_no_success_is_counted(
    server: LogServer, capsys: pytest.CaptureFixture[str], status: int
) -> None:
    """
    It is said once on stderr, with the status, and nothing is raised; the next record is sent as if nothing was.
    """
    server.status = status
    with handling(server.host) as handler:
        handler.handle(made())
        handler.handle(made())
        server.status = 204
        handler.handle(made())

    assert (handler.failed, handler.sent) == (2, 1)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"otelbridge: sending records to http://{server.host}/logs failed with ")
    assert str(status) in line


def test_nobody_at_the_address(capsys: pytest.CaptureFixture[str]) -> None:
    """
    A refused connection is counted for each record, and said once.
    """
    with handling(f"127.0.0.1:{free_port()}") as handler:
        for _ in range(10):
            handler.handle(made())

    assert (handler.failed, handler.sent) == (10, 0)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_server_that_hangs_costs_a_bounded_time(server: LogServer) -> None:
    """
    A hundred records to a server that says nothing take about as long as one: it is left alone for a while.
    """
    server.answers.clear()
    with handling(server.host, timeout_s=TIMEOUT_S) as handler:
        begun = time.monotonic()
        for _ in range(100):
            handler.handle(made())
        took_s = time.monotonic() - begun

    assert handler.failed == 100
    assert took_s < 20 * TIMEOUT_S


def test_a_server_that_drips_costs_a_bounded_time() -> None:
    """
    An answer that comes byte by byte, each in time, is cut at the deadline.
    """
    stop = threading.Event()

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            while not stop.wait(TIMEOUT_S / 10):
                try:
                    connection.sendall(b"H")
                except OSError:
                    return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,), daemon=True)
        thread.start()
        with handling(f"127.0.0.1:{listener.getsockname()[1]}", timeout_s=TIMEOUT_S) as handler:
            begun = time.monotonic()
            handler.handle(made())
            took_s = time.monotonic() - begun
        stop.set()
        thread.join(DEADLINE_S)

    assert handler.failed == 1
    assert took_s < 10 * TIMEOUT_S


@pytest.mark.parametrize("answer", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 500])
def test_an_answer_that_is_none(answer: bytes) -> None:
    """
    Whatever a server says that is no answer, or a broken one, is a failure that is counted.
    """
    stop = threading.Event()

    def answering(listener: socket.socket) -> None:
        listener.settimeout(0.05)
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(DEADLINE_S)
                connection.recv(65536)
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answering, args=(listener,), daemon=True)
        thread.start()
        with handling(f"127.0.0.1:{listener.getsockname()[1]}", timeout_s=1) as handler:
            handler.handle(made())
        stop.set()
        thread.join(DEADLINE_S)

    assert handler.failed == 1


def test_what_sending_logs_is_not_sent(server: LogServer) -> None:
    """
    On the root logger at DEBUG, the handler does not send what is logged while it sends, nor what is said of delivery.
    """

    class Chatty(JsonHTTPHandler):
        def mapLogRecord(self, record: logging.LogRecord) -> dict[str, Any]:  # noqa: N802
            logging.getLogger("below").warning("about to send")
            return super().mapLogRecord(record)

    with closing(Chatty(server.host)) as handler, attached(handler, None, logging.DEBUG):
        logging.getLogger("shop").info("sold")
        logging.getLogger("otelbridge.delivery").debug("3 logs")
        with quiet():
            logging.getLogger("urllib3").info("exporting")

    assert [record["message"] for record in server.records] == ["sold"]


def test_an_overridden_handle_error_hears_of_each() -> None:
    """
    `handleError` is called for each record that was not sent, as `logging` has it.
    """
    lost: list[str] = []

    class Mine(JsonHTTPHandler):
        def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802
            lost.append(record.getMessage())

    with closing(Mine(f"127.0.0.1:{free_port()}")) as handler:
        handler.handle(made("a"))
        handler.handle(made("b"))

    assert lost == ["a", "b"]


def test_what_cannot_be_formatted_is_counted(server: LogServer) -> None:
    """
    A record whose arguments do not fit costs nothing but itself.
    """
    with handling(server.host) as handler:
        handler.handle(made("%d", args=("x",)))
        handler.handle(made())

    assert (handler.failed, handler.sent) == (1, 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_a_connection_of_its_own(server: LogServer) -> None:
    """
    Parent and child send at the same time, and no two records are mixed.
    """
    code = f"""
import logging, os
from otelbridge.integrations.json_http import JsonHTTPHandler
handler = JsonHTTPHandler({server.host!r})
def send(name):
    for i in range(50):
        handler.handle(logging.makeLogRecord({{"msg": f"{{name}} {{i}}"}}))
send("before")
child = os.fork()
send("child" if child == 0 else "parent")
if child == 0:
    os._exit(handler.failed)
assert os.waitpid(child, 0)[1] == 0
assert handler.failed == 0
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stderr) == (0, "")
    assert len({record["message"] for record in server.records}) == 150
    assert server.connections == 2


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a certificate of 127.0.0.1, signed by itself."""
    path = tmp_path / "server.pem"
    command = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        ["openssl", *command.split(), "-keyout", "key.pem", "-out", "cert.pem"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        timeout=60,
    )
    path.write_text((tmp_path / "key.pem").read_text() + (tmp_path / "cert.pem").read_text())
    return path


def test_tls(certificate: Path, server: LogServer) -> None:
    """
    With `secure`, the certificate is checked: a stranger's gets nothing, one that `context` trusts gets the record.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server.server.socket = context.wrap_socket(server.server.socket, server_side=True)
    trusting = ssl.create_default_context(cafile=certificate.with_name("cert.pem"))

    with handling(server.host, secure=True) as handler:
        handler.handle(made("to a stranger"))
    with handling(server.host, secure=True, context=trusting) as trusted:
        trusted.handle(made("hello"))

    assert (handler.failed, trusted.failed) == (1, 0)
    wait_for(lambda: [record["message"] for record in server.records] == ["hello"])


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        ((9000,), {}, TypeError),
        (("",), {}, ConfigError),
        (("http://localhost:9000",), {}, ConfigError),
        (("localhost:port",), {}, ConfigError),
        (("local host",), {}, ConfigError),
        (("localhost", "logs"), {}, ConfigError),
        (("localhost", "/a b\r\n"), {}, ConfigError),
        (("localhost", None), {}, TypeError),
        (("localhost",), {"timeout_s": 0}, ConfigError),
        (("localhost",), {"timeout_s": "1"}, TypeError),
        (("localhost",), {"secure": "yes"}, TypeError),
        (("localhost",), {"context": ssl.create_default_context()}, TypeError),
        (("localhost",), {"headers": {"A": 1}}, TypeError),
        (("localhost",), {"headers": {"A b": "1"}}, ConfigError),
        (("localhost",), {"headers": {"A": "1\r\nB: 2"}}, ConfigError),
    ],
)
def test_mistakes_are_said_at_once(arguments: Any, options: Any, error: type[Exception]) -> None:
    """
    A wrong argument raises where it is given, with what was expected and what was got.
    """
    with pytest.raises(error, match=r"must .*got "):
        JsonHTTPHandler(*arguments, **options)

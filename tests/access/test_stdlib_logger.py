"""Access records on the standard library's logger: for those who listen, and only for them."""

from __future__ import annotations

import io
import logging
import logging.handlers
import queue
import re
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from otelbridge import logger
from otelbridge.access import stdlib
from otelbridge.access.asgi import Receive, Scope, Send
from otelbridge.access.options import Settings
from tests.access.listening import NAME, Listener, a_record, attached
from tests.access.support import SPAN_ID, TRACE_ID, TRACEPARENT, Harness, answer, hello
from tests.access.test_hypercorn import hypercorn, shop, wait_for
from tests.native.conftest import Exporting, exporting, untouched

__all__ = ["exporting"]


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Listens on `otelbridge.access` at INFO."""
    handler = Listener()
    with attached(handler):
        yield handler


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError("broken")


@pytest.mark.covers("4.1")
def test_nothing_is_printed_until_somebody_listens() -> None:
    """
    The logger has no handlers, and not even a failed request's ERROR reaches `logging`'s handler of last resort.
    """
    code = """
import logging
from tests.access.support import Harness
async def app(scope, receive, send): raise RuntimeError("broken")
harness = Harness(app)
harness.get()
assert harness.event.level == "ERROR"
assert logging.getLogger("otelbridge.access").handlers == []
"""

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.covers("4.1")
def test_a_request_is_one_record_of_level_info(listener: Listener) -> None:
    """
    Each completed request is one INFO record on `otelbridge.access`, its line the message, made when it has ended.
    """
    Harness(hello).get("/100%/tasks")

    record = listener.record
    assert (record.name, record.levelno, record.levelname) == (NAME, logging.INFO, "INFO")
    assert record.getMessage().startswith('203.0.113.42 "GET /100%/tasks HTTP/1.1" 200 5 ')


@pytest.mark.covers("4.3")
def test_attributes_have_the_documented_names_and_types(listener: Listener) -> None:
    """
    The seven attributes of BlackBull's documentation are there, and its example of a custom format works.
    """
    Harness(hello).get("/tasks")

    record = listener.record
    found = {name: getattr(record, name) for name in ("client_ip", "method", "path", "http_version")}
    assert found == {"client_ip": "203.0.113.42", "method": "GET", "path": "/tasks", "http_version": "1.1"}
    assert (record.status, record.response_bytes) == (200, 5)
    assert isinstance(record.duration_ms, float)
    assert record.duration_ms > 0
    text = '%(client_ip)s "%(method)s %(path)s" %(status)s %(response_bytes)d %(duration_ms).0fms'
    record.duration_ms = 3.4
    assert logging.Formatter(text).format(record) == '203.0.113.42 "GET /tasks" 200 5 3ms'


@pytest.mark.covers("4.3")
def test_unknown_client_and_status_are_dashes(listener: Listener) -> None:
    """
    Without a client, and without an answer, client_ip and status are `-`, so that every format works.
    """
    Harness(failing).get(client=None)

    assert (listener.record.client_ip, listener.record.status) == ("-", "-")


@pytest.mark.covers("4.3", note="OpenTelemetry's names are there as well")
def test_attributes_of_semantic_conventions_are_there_too(listener: Listener) -> None:
    """
    What OTLP calls an attribute has the same name on the LogRecord.
    """
    harness = Harness(hello)
    harness.get("/tasks")

    event = harness.event
    assert len(event.attributes) > 8
    assert {name: getattr(listener.record, name) for name in event.attributes} == event.attributes


def test_ids_of_the_span_are_attributes(listener: Listener) -> None:
    """
    trace_id and span_id are the request's, in hexadecimal.
    """
    harness = Harness(hello)
    harness.get(headers=[(b"traceparent", TRACEPARENT)])

    assert listener.record.trace_id == f"{TRACE_ID:032x}"
    assert harness.span.context is not None
    assert listener.record.span_id == f"{harness.span.context.span_id:016x}"


def test_ids_of_the_caller_are_attributes_without_a_span_of_ours(listener: Listener) -> None:
    """
    With traces off, the ids that came with the request stand there.
    """
    Harness(hello, Settings(traces=False)).get(headers=[(b"traceparent", TRACEPARENT)])

    assert (listener.record.trace_id, listener.record.span_id) == (f"{TRACE_ID:032x}", f"{SPAN_ID:016x}")


def test_a_raise_is_an_error_with_its_traceback(listener: Listener) -> None:
    """
    The record of a request that raised is an ERROR that a Formatter prints with the traceback.
    """
    Harness(failing).get()

    record = listener.record
    assert record.levelname == "ERROR"
    assert record.exc_info[0] is RuntimeError
    assert logging.Formatter().format(record).endswith("RuntimeError: broken")


@pytest.mark.covers("4.5", note="the logger's level switches the logger off; OTELBRIDGE_ACCESS_LOG=0 the record")
def test_a_level_above_info_switches_the_logger_off(listener: Listener) -> None:
    """
    `setLevel` above INFO, on the logger or on the handler, keeps plain requests from it.
    """
    harness = Harness(hello)
    logging.getLogger(NAME).setLevel(logging.WARNING)
    harness.get()
    logging.getLogger(NAME).setLevel(logging.INFO)
    listener.setLevel(logging.WARNING)
    harness.get()

    assert listener.records == []
    assert len(harness.events) == 2


def test_levels_are_ours() -> None:
    """
    Nobody is asked to take a record whose level they do not want, and a level of our own keeps its name.
    """
    handler = Listener(level=25)
    with attached(handler):
        assert not stdlib.wants("INFO")
        assert stdlib.wants("SUCCESS")
        stdlib.emit(a_record(), "line", "SUCCESS", None)

    assert (handler.record.levelno, handler.record.levelname) == (25, "SUCCESS")


@pytest.mark.covers("4.7", note="BlackBull 0.81 leaves the attribute out")
def test_the_documented_filter_surfaces_an_addition() -> None:
    """
    BlackBull's example, literally: middleware sets request_id on the record, a Filter and a format show it.
    """
    made: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        req_id = uuid.uuid4().hex
        made.append(req_id)
        record = scope["state"].get("access_log")
        if record:
            record.request_id = req_id
        await answer(send)

    class AccessLogFilter(logging.Filter):
        def filter(self, record: Any) -> bool:
            record.request_id = getattr(record, "request_id", "-")
            return True

    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(AccessLogFilter())
    handler.setFormatter(logging.Formatter("%(message)s req_id=%(request_id)s"))
    with attached(handler):
        Harness(app).get()

    (line,) = stream.getvalue().splitlines()
    assert line.endswith(f"ms req_id={made[0]}")


def test_additions_named_like_a_records_own_attributes_are_kept(listener: Listener) -> None:
    """
    An addition called `name`, `msg` or `args` does not break the LogRecord: it stands there as `access_name`.
    """
    harness = Harness(adding(name="ann", msg="%s%s", args=(1,), message="m", exc_info=True))
    harness.get()

    record = listener.record
    assert (record.name, record.exc_info) == (NAME, None)
    assert record.getMessage() == harness.event.body
    found = (record.access_name, record.access_msg, record.access_args, record.access_message, record.access_exc_info)
    assert found == ("ann", "%s%s", (1,), "m", True)


def adding(**additions: object) -> Any:
    """An app that adds to its record."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for name, value in additions.items():
            setattr(scope["state"]["access_log"], name, value)
        await answer(send)

    return app


def test_attributes_survive_a_queue(listener: Listener) -> None:
    """
    A QueueHandler hands attributes and additions on to the handlers behind its queue.
    """
    waiting: queue.Queue[Any] = queue.Queue()
    behind = logging.handlers.QueueListener(waiting, listener, respect_handler_level=True)
    logging.getLogger(NAME).removeHandler(listener)
    with attached(logging.handlers.QueueHandler(waiting)):
        behind.start()
        Harness(adding(tenant="acme")).get("/tasks")
        behind.stop()

    record = listener.record
    assert (record.tenant, record.path, record.response_bytes) == ("acme", "/tasks", 5)


def test_a_filter_on_the_logger_decides(listener: Listener) -> None:
    """
    A Filter of the logger keeps records from every handler, as everywhere in `logging`.
    """

    def filtering(record: logging.LogRecord) -> bool:
        return getattr(record, "path", "") != "/health"

    log = logging.getLogger(NAME)
    log.addFilter(filtering)
    try:
        harness = Harness(hello)
        harness.get("/health")
        harness.get("/tasks")
    finally:
        log.removeFilter(filtering)

    assert listener.record.path == "/tasks"


def test_one_otlp_record_with_the_bridge_and_a_root_handler(exporting: Exporting) -> None:
    """
    With our stdlib bridge, and somebody else's handler, on the root logger, a request is one OTLP record; the other
    handler gets its LogRecord.
    """
    harness = Harness(hello)
    harness.observer.logger = logger
    root = Listener()
    logger.add_stdlib_bridge("TRACE")
    try:
        with attached(root, name=None):
            harness.get()
    finally:
        from otelbridge.bridge import uninstall

        uninstall()

    assert len(exporting.take()) == 1
    assert root.record.name == NAME


class InterceptHandler(logging.Handler):
    """Loguru's recipe, with our logger."""

    def emit(self, record: logging.LogRecord) -> None:
        logger.opt(depth=6, exception=record.exc_info).log(record.levelname, record.getMessage())


def test_loguru_s_intercept_handler_makes_no_second_record(exporting: Exporting) -> None:
    """
    With the InterceptHandler of loguru's documentation on the root logger, a request is one OTLP record; what others
    log still comes through it.
    """
    harness = Harness(hello)
    harness.observer.logger = logger
    with attached(InterceptHandler(), name=None):
        harness.get()
        logging.getLogger("shop").info("sold")

    assert len(exporting.take()) == 2


class OpenTelemetryHandler(Listener):
    """Stands for the SDK's LoggingHandler: known by its module."""

    __module__ = "opentelemetry.sdk._logs._internal"


def test_opentelemetrys_own_handler_gets_no_second_record(exporting: Exporting) -> None:
    """
    While we export, OpenTelemetry's LoggingHandler is left out, for it would export the request again.
    """
    handler = OpenTelemetryHandler()
    with attached(handler):
        assert not stdlib.wants("INFO")

        exporting.core.set_export("off", 0, 1 << 20)

        assert stdlib.wants("INFO")


def test_the_root_handler_on_our_sinks_terminal_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """
    Where our sink prints the line on standard error, `logging.basicConfig()`'s handler does not print it again; one
    that was put on `otelbridge.access` itself does as it was told.
    """
    with untouched(logger):
        logger.add("ext://stderr", format="ours {message}")
        harness = Harness(hello)
        harness.observer.logger = logger
        with attached(logging.StreamHandler(sys.stderr), name=None):
            harness.get("/once")
        with attached(logging.StreamHandler(sys.stderr)):
            harness.get("/twice")

    lines = capsys.readouterr().err.splitlines()
    assert [("/once" in line, line.startswith("ours")) for line in lines] == [
        (True, True),
        (False, True),
        (False, False),
    ]


@pytest.mark.parametrize("sink", [None, "ext://stdout"])
def test_the_root_handler_prints_what_our_sinks_do_not(capsys: pytest.CaptureFixture[str], sink: str | None) -> None:
    """
    Without a sink of ours on the same stream, the root logger's handler prints the line.
    """
    with untouched(logger), attached(logging.StreamHandler(sys.stderr), name=None):
        if sink is not None:
            logger.add(sink)
        Harness(hello).get("/once")

    (line,) = capsys.readouterr().err.splitlines()
    assert '"GET /once HTTP/1.1"' in line


def test_a_secret_in_an_exception_is_not_printed(listener: Listener) -> None:
    """
    A traceback whose text holds a secret is handed over as text only, without the secret.
    """

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError("no answer of https://user:canary@host/?token=canary")

    Harness(app).get()

    record = listener.record
    text = logging.Formatter().format(record)
    assert "RuntimeError: no answer of https://" in text
    assert "canary" not in text
    assert "canary" not in repr(vars(record))


@pytest.mark.covers("4.14")
def test_http1_http2_and_websocket_are_logged(listener: Listener) -> None:
    """
    Over a real server, requests of both HTTP versions and a WebSocket session are one line each.
    """
    with hypercorn(Harness(shop).app) as port:
        for http2 in (False, True):
            with httpx.Client(http1=not http2, http2=http2) as client:
                client.get(f"http://127.0.0.1:{port}/tasks")
        with connect(f"ws://127.0.0.1:{port}/live") as socket:
            socket.send("hi")
            socket.recv()
        wait_for(lambda: len(listener.records) == 3)

    lines = [record.getMessage() for record in listener.records]
    assert lines[0].startswith('127.0.0.1 "GET /tasks HTTP/1.1" 200 5 ')
    assert lines[1].startswith('127.0.0.1 "GET /tasks HTTP/2" 200 5 ')
    assert lines[2].startswith('127.0.0.1 "GET /live WS/1.1" 101 2 ')
    assert re.search(r" close=\d{4}$", lines[2])

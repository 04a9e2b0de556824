"""What the server says and answers becomes OpenTelemetry records: one each, whatever else takes the lines."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import textwrap
from typing import Any

import pytest
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, use_span

from otelbridge import logger
from otelbridge._export import core
from otelbridge.access import servers
from otelbridge.access.observe import Observer
from otelbridge.access.options import Settings, path_rules
from otelbridge.bridge import BridgeHandler
from otelbridge.testing import capture
from tests.access.listening import Listener, attached
from tests.hypercorn.support import OK, http_scope, make_log, taken
from tests.native.conftest import SIZE, Exporting
from tests.otlp.receivers import OtlpReceiver

SEVERITIES = {"debug": 5, "info": 9, "warning": 13, "error": 17, "critical": 21, "exception": 17}


class Broken:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


# ------------------------------------------------------------------------------------------------------------- messages


@pytest.mark.covers("0.4", note="every message also becomes one OpenTelemetry record, with `errorlog=None` as well")
@pytest.mark.parametrize("name", SEVERITIES)
def test_a_message_is_one_record(name: str, exporting: Exporting) -> None:
    """
    Severity, body, template, arguments, extra, the caller's place and the current ids; our sinks see nothing.
    """
    log = make_log(loglevel="debug")
    span = NonRecordingSpan(SpanContext(0xA1, 0xB2, is_remote=False, trace_flags=TraceFlags(1)))

    with capture() as captured, use_span(span), logger.contextualize(job="sweep"):
        getattr(log, name)("%s of %d", "one", 2, extra={"tenant": "acme", "password": "hunter2"})

    (sent,) = taken(exporting)
    assert (sent.body, sent.severity_number) == ("one of 2", SEVERITIES[name])
    assert sent.severity_text == ("ERROR" if name == "exception" else name.upper())
    expected = {
        "message.template": "%s of %d",
        "message.args": ["one", 2],
        "tenant": "acme",
        "password": "[REDACTED]",
        "job": "sweep",
        "code.file.path": __file__,
        "code.function.name": f"{__name__}.test_a_message_is_one_record",
    }
    assert expected.items() <= sent.attributes.items()
    assert sent.item.trace_id == (0xA1).to_bytes(16, "big")
    assert sent.item.span_id == (0xB2).to_bytes(8, "big")
    assert len(captured) == 0


def test_an_exception_comes_along(exporting: Exporting) -> None:
    """
    `exception()` and `exc_info=` send type, message and stack trace; `stack_info` is an attribute.
    """
    log = make_log()

    try:
        raise KeyError("lost")
    except KeyError as error:
        log.exception("caught")
        log.info("given", exc_info=error)
        log.warning("tuple", exc_info=sys.exc_info())
    log.info("none", exc_info=True, stack_info=True)

    *with_error, without = taken(exporting)
    assert [sent.attributes["exception.type"] for sent in with_error] == ["KeyError"] * 3
    assert all("test_an_exception_comes_along" in sent.attributes["exception.stacktrace"] for sent in with_error)
    assert "exception.type" not in without.attributes
    assert "test_an_exception_comes_along" in without.attributes["stack_info"]


@pytest.mark.parametrize("errorlog", [None, "-"])
@pytest.mark.parametrize(
    ("message", "args", "body"),
    [
        ("%d items", ("x",), "%d items"),
        ("%s", (Broken(),), "%s"),
        ("100%", (), "100%"),
        ("%(a)s", ({"a": 1},), "1"),
        (Broken(), (), "<unprintable Broken object>"),
    ],
)
def test_a_broken_message_is_still_one_record(
    message: Any, args: tuple[Any, ...], body: str, errorlog: str | None, exporting: Exporting
) -> None:
    """
    A format that does not fit and a `__str__` that raises: one record each, marked.
    """
    log = make_log(errorlog=errorlog)

    log.error(message, *args)

    (sent,) = taken(exporting)
    assert sent.body == body
    assert ("otelbridge.format_error" in sent.attributes) == (body in ("%d items", "%s"))


@pytest.mark.covers("0.3")
def test_levels(exporting: Exporting) -> None:
    """
    A record goes from `config.loglevel` and from OTLP's level on; the number is the call's own.
    """
    log = make_log(loglevel="warning")
    log.info("too low")
    log.warning("goes")
    log.log(35, "goes, too")
    core.set_export("on", 40, SIZE)
    log.warning("too low for OTLP")
    log.error("goes at last")

    found = [(sent.body, sent.severity_number, sent.severity_text) for sent in taken(exporting)]
    assert found == [("goes", 13, "WARNING"), ("goes, too", 15, "Level 35"), ("goes at last", 17, "ERROR")]


def test_a_logger_that_was_disabled_or_configured_away_still_sends(exporting: Exporting) -> None:
    """
    A `dictConfig` that silences Hypercorn's logger silences the text alone; a level that was set there counts for both.
    """
    log = make_log(errorlog="-")
    logging.getLogger("hypercorn.error").disabled = True  # as dictConfig does to loggers that it is not told of
    log.error("sent")
    logging.getLogger("hypercorn.error").disabled = False
    logging.getLogger("hypercorn.error").setLevel(logging.CRITICAL)
    log.error("not sent")

    assert [sent.body for sent in taken(exporting)] == ["sent"]


def test_disabled_modules_and_patchers_count(exporting: Exporting) -> None:
    """
    `logger.disable` and patchers apply as to any record.
    """
    log = make_log()
    logger.configure(patcher=lambda record: record["extra"].update(patched=True))
    log.error("patched")
    logger.disable(__name__)
    log.error("disabled")

    (sent,) = taken(exporting)
    assert (sent.body, sent.attributes["patched"]) == ("patched", True)


def test_a_patcher_that_raises_costs_no_line(exporting: Exporting, capsys: pytest.CaptureFixture[str]) -> None:
    """
    The server hears nothing of it, and its line is written.
    """
    log = make_log(errorlog="-")

    def patch(record: object) -> None:
        raise RuntimeError("no patch")

    logger.configure(patcher=patch)
    log.error("written")

    assert "[ERROR] written" in capsys.readouterr().err


class Intercepting(logging.Handler):
    """loguru's recipe."""

    def emit(self, record: logging.LogRecord) -> None:
        logger.opt(exception=record.exc_info).log(record.levelname, record.getMessage())


@pytest.mark.parametrize("handler", [BridgeHandler(logger), Intercepting()])
@pytest.mark.parametrize("errorlog", [None, "-"])
def test_a_bridge_makes_no_second_record(handler: logging.Handler, errorlog: str | None, exporting: Exporting) -> None:
    """
    With our bridge, or loguru's recipe, on the root logger: one record per message, and one per request.
    """
    given = logging.getLogger("tests.hypercorn.given")
    given.setLevel(logging.INFO)
    log = make_log(errorlog=errorlog, accesslog=given)

    with attached(handler, name=None):
        log.error("once %s", 1)
        log.access(http_scope(), OK, 0)

    bodies = [sent.body for sent in taken(exporting)]
    assert len(bodies) == 2, bodies
    assert bodies[0] == "once 1"


def test_a_bridge_that_does_not_take_the_line_costs_no_record(exporting: Exporting) -> None:
    """
    With a level or a filter that keeps the line from the bridge, we send the record.
    """
    log = make_log(errorlog="-")
    handler = BridgeHandler(logger)
    handler.addFilter(lambda record: "secret" not in record.name and record.levelno < logging.ERROR)

    with attached(handler, name=None):
        log.info("by the bridge")
        log.error("by us")

    assert [sent.body for sent in taken(exporting)] == ["by the bridge", "by us"]


# ------------------------------------------------------------------------------------------------------------- requests


@pytest.mark.covers(
    "0.6", note="every request is one OpenTelemetry record altogether, also those the server answers alone"
)
def test_without_an_instrumented_app_a_request_is_one_record(exporting: Exporting) -> None:
    """
    The server's own observation: event, line, attributes, and the caller's trace; in no sink of ours.
    """
    log = make_log()
    traced = [(b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"), (b"user-agent", b"curl/8")]

    with capture() as captured:
        log.access(http_scope(headers=traced, path="/ü"), {"status": 404, "headers": []}, 0.25)

    (sent,) = taken(exporting)
    assert (sent.event_name, sent.severity_text) == ("http.server.access", "INFO")
    assert sent.body == '127.0.0.1 "GET /ü HTTP/1.1" 404 0 250ms'
    expected = {
        "http.request.method": "GET",
        "url.path": "/ü",
        "http.response.status_code": 404,
        "user_agent.original": "curl/8",
        "http.server.request.duration": 0.25,
        "otelbridge.ended_by": "app",
    }
    assert expected.items() <= sent.attributes.items()
    assert sent.item.trace_id.hex() == "0af7651916cd43dd8448eb211c80319c"
    assert len(captured) == 0


def test_a_client_that_left_and_a_failure(exporting: Exporting) -> None:
    """
    Without an answer the client ended the request; a 500 is an error.
    """
    log = make_log()

    log.access(http_scope(), None, 0.1)
    log.access(http_scope(), {"status": 500, "headers": []}, 0.1)

    left, failed = taken(exporting)
    assert left.attributes["otelbridge.ended_by"] == "client"
    assert "http.response.status_code" not in left.attributes
    assert (failed.severity_text, failed.attributes["error.type"]) == ("ERROR", "500")


def test_a_handshake_that_is_told_of_twice_is_one_record(exporting: Exporting) -> None:
    """
    Hypercorn calls twice for a WebSocket whose app fails in the handshake.
    """
    log, scope = make_log(), http_scope(type="websocket", scheme="ws")

    for _ in range(2):
        log.access(scope, {"status": 500, "headers": []}, 0.1)

    (sent,) = taken(exporting)
    assert (sent.event_name, sent.attributes["http.response.status_code"]) == ("http.server.access", 500)


def test_a_request_that_cannot_be_read_is_one_record(exporting: Exporting) -> None:
    """
    The server's 400 for what is no request: no method, no path, no headers, and still a record.
    """
    scope = http_scope(method="", path="", raw_path=b"", headers=[], client=None)

    make_log().access(scope, {"status": 400, "headers": []}, 0.0)

    (sent,) = taken(exporting)
    assert sent.attributes["http.response.status_code"] == 400


class Points:
    """Request metrics that only count."""

    def __init__(self) -> None:
        self.ended_count = 0

    def started(self, record: Any) -> None:
        pass

    def ended(self, record: Any, *, counted: bool) -> None:
        self.ended_count += 1


def test_an_instrumented_app_takes_what_the_server_answers(exporting: Exporting) -> None:
    """
    A request that the app has recorded is left alone; one that only the server saw is observed as the app's, in all
    signals; an excluded one is none.
    """
    points: Any = Points()
    settings = Settings(exclude=path_rules("exclude", ["/health"]))
    observer = Observer(settings, logger=logger, tracer=None, metrics=points)
    servers.install(observer)
    log, served = make_log(), http_scope()
    observation = observer.open_asgi(served)
    assert observation is not None
    observation.record.status = 200
    observation.end()
    try:
        with capture() as captured:
            log.access(served, OK, 0.1)
            log.access(http_scope(path="/refused"), {"status": 404, "headers": []}, 0.25)
            log.access(http_scope(path="/health"), OK, 0.1)
            # Without an answer the app, which is told of the request in any case, is who tells of its end.
            log.access(http_scope(path="/left"), None, 0.1)
    finally:
        servers.uninstall(observer)

    assert [sent.attributes["url.path"] for sent in taken(exporting)] == ["/a", "/refused"]
    assert captured.messages == ['127.0.0.1 "GET /refused HTTP/1.1" 404 0 250ms']
    assert points.ended_count == 2


def test_a_wsgi_app_is_not_told_of_its_own_requests(exporting: Exporting) -> None:
    """
    Hypercorn shows a WSGI app no scope; its requests are one record all the same, and that is the app's.
    """
    observer = Observer(Settings(), logger=logger, tracer=None, metrics=None)
    servers.install(observer)
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/a", "SERVER_PROTOCOL": "HTTP/1.1", "wsgi.url_scheme": "http"}
    try:
        observation = observer.open_wsgi(environ)
        assert observation is not None
        observation.end()
        make_log().access(http_scope(), OK, 0.1)
    finally:
        servers.uninstall(observer)

    assert len(taken(exporting)) == 1


def test_nothing_is_made_while_nobody_exports() -> None:
    """
    Without OTLP and without an instrumented app a scope stays as it is.
    """
    scope = http_scope()

    make_log().access(scope, OK, 0.1)

    assert scope == http_scope()


# ------------------------------------------------------------------------------------------------------ on the terminal


def test_whoever_asks_for_the_servers_line_gets_it_alone(
    exporting: Exporting, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    With `accesslog="-"` the line on the terminal is Hypercorn's; JSON, files, OTLP and `otelbridge.access` get ours.
    """
    as_json: list[str] = []
    heard = Listener()
    logger.add("ext://stderr", format="ours {message}")
    logger.add(as_json.append, serialize=True)
    observer = Observer(Settings(traces=False), logger=logger, tracer=None, metrics=None)
    servers.install(observer)
    log = make_log(accesslog="-", access_log_format="theirs %(U)s")
    try:
        with attached(heard):
            scope = http_scope()
            observation = observer.open_asgi(scope)
            assert observation is not None
            observation.end()
            log.access(scope, OK, 0.1)
            logger.info("of the program")
        out, err = capsys.readouterr()
        del log
        logging.getLogger("hypercorn.access").handlers.clear()
        other = observer.open_asgi(http_scope(path="/later"))
        assert other is not None
        other.end()
    finally:
        servers.uninstall(observer)

    assert out.endswith("] theirs /a\n")
    assert err == "ours of the program\n"
    assert len(as_json) == 3
    assert len(heard.records) == 1
    assert len(taken(exporting)) == 3
    # The claim ends with whoever made it.
    assert "/later" in capsys.readouterr().err


def test_a_lasting_claim_and_sinks_that_come_later(capsys: pytest.CaptureFixture[str], exporting: Exporting) -> None:
    """
    `claim_console()` holds for sinks that are added after it, with their own filters kept; JSON on a stream still goes.
    """
    from otelbridge.access.console import CLAIMS

    servers.claim_console()
    try:
        logger.add("ext://stderr", filter=lambda record: record["message"] != "hidden", format="text {message}")
        logger.add(sys.stdout, serialize=True)
        observer = Observer(Settings(traces=False), logger=logger, tracer=None, metrics=None)
        observation = observer.open_asgi(http_scope())
        assert observation is not None
        observation.end()
        logger.info("hidden")
        logger.info("shown")
    finally:
        CLAIMS.is_lasting = False

    out, err = capsys.readouterr()
    assert err == "text shown\n"
    assert "GET /a" in json.loads(out.splitlines()[0])["record"]["message"]


# -------------------------------------------------------------------------------------------------------------- metrics


def test_measurements_are_instruments_as_well(otlp_receiver: OtlpReceiver) -> None:
    """
    With metrics to OTLP, the same measurements arrive there under the same names, without prefix, tags as attributes.
    """
    code = """
        import otelbridge
        from otelbridge.hypercorn import StatsdLogger
        from otelbridge.hypercorn.config import Config
        config = Config()
        config.errorlog = None
        config.statsd_host = "127.0.0.1:9"
        config.statsd_prefix = "shop"
        config.dogstatsd_tags = "env:test"
        early = StatsdLogger(config)
        early.increment("before.anything.was.configured")
        otelbridge.configure(service_name="shop", metrics="otlp")
        log = StatsdLogger(config)
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b"", "scheme": "http"}
        log.access(scope, {"status": 404, "headers": []}, 0.25)
        log.increment("orders", 3, tags={"kind": "new"})
        log.decrement("orders", 1, tags={"kind": "new"})
        log.gauge("7 queue/size", 5)
        log.histogram("basket", 2.5)
        log.error("x")
        otelbridge.flush()
    """
    env = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": otlp_receiver.endpoint}
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True, timeout=60, env=env)

    otlp_receiver.wait_for(lambda receiver: len(receiver.points()) >= 7)
    found = {point.metric.name: point for point in otlp_receiver.points() if not point.metric.name.startswith("otel")}
    assert {
        "hypercorn.request.duration",
        "hypercorn.requests",
        "hypercorn.request.status.404",
        "hypercorn.log.error",
        "orders",
        "statsd.7_queue/size",
        "basket",
    } == set(found) - {"http.server.request.duration"}
    assert found["orders"].item.as_double == 2
    assert found["orders"].attributes == {"env": "test", "kind": "new"}
    assert not found["orders"].metric.sum.is_monotonic
    assert found["hypercorn.requests"].metric.sum.is_monotonic
    assert found["hypercorn.request.duration"].metric.unit == "ms"
    assert found["hypercorn.request.duration"].item.sum == 250
    assert {point.scope for point in found.values()} == {"otelbridge"}

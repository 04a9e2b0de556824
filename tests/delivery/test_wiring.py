"""configure, flush, shutdown and stats, in processes of their own against receivers in this one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.otlp.receivers import Answer, OtlpReceiver, RawServer, free_port

_PREAMBLE = """
import json, os, sys, threading, time
import otelbridge
from otelbridge import logger
endpoint = os.environ["ENDPOINT"]
def check_identity():
    stats = otelbridge.stats()
    known = stats.delivered + stats.spooled + stats.rejected + sum(stats.dropped.values())
    assert stats.emitted == known, stats
    return stats
def show(**values):
    print(json.dumps(values))
"""


class Ran(NamedTuple):
    shown: list[dict[str, Any]]
    stderr: list[str]
    duration_s: float


def run(code: str, endpoint: str, *, timeout_s: float = 20.0, status: int = 0, **env: str) -> Ran:
    """Run a script in a fresh interpreter; its default stderr sink is off, so stderr shows our diagnostics only."""
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("OTEL", "LOGURU"))}
    clean |= {
        "ENDPOINT": endpoint,
        "LOGURU_AUTOINIT": "0",
        "OTEL_SERVICE_NAME": "tested",
        # Python 3.12 and later warn of any fork beside a thread.
        "PYTHONWARNINGS": "error,ignore:This process:DeprecationWarning",
    } | env
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", _PREAMBLE + "logger.remove()\n" + textwrap.dedent(code)],
        env=clean,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == status, done.stderr
    shown = [json.loads(line) for line in done.stdout.splitlines()]
    return Ran(shown, done.stderr.splitlines(), time.monotonic() - began)


@pytest.fixture(params=["http/protobuf", "grpc"])
def receiver(request: pytest.FixtureRequest) -> Iterator[OtlpReceiver]:
    found = OtlpReceiver(request.param)
    yield found
    found.close()


def test_three_signals(receiver: OtlpReceiver) -> None:
    """
    After configure(), a record, a span and a point reach the collector by flush, with the same resource and trace.
    """
    ran = run(
        """
        from opentelemetry import metrics, trace
        otelbridge.configure(endpoint=endpoint, protocol=os.environ["PROTOCOL"], resource={"team": "shop", "size": 3})
        with trace.get_tracer("t").start_as_current_span("work") as span:
            logger.info("hello {}", 1)
            metrics.get_meter("m").create_counter("c").add(2)
        complete = otelbridge.flush(5)
        stats = check_identity()
        names = sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("otelbridge"))
        show(complete=complete, delivered=stats.delivered, names=names)
        """,
        receiver.endpoint,
        PROTOCOL=receiver.protocol,
    )

    assert ran.shown == [
        {"complete": True, "delivered": 1, "names": ["otelbridge-logs", "otelbridge-points", "otelbridge-spans"]}
    ]
    assert ran.stderr == []
    (record,), (span,) = receiver.logs(), receiver.spans()
    point = receiver.points()[0]
    assert record.item.trace_id == span.item.trace_id != b""
    assert record.item.span_id == span.item.span_id
    assert (record.scope, record.item.body.string_value, point.item.as_int) == ("otelbridge", "hello 1", 2)
    assert record.resource == span.resource == point.resource
    assert (record.resource["service.name"], record.resource["team"], record.resource["size"]) == ("tested", "shop", 3)
    assert record.resource["service.instance.id"]


def test_collector_comes_late() -> None:
    """
    Records of an outage wait, and arrive once each when the collector is there; the user reads two lines.
    """
    port = free_port()
    script = """
        otelbridge.configure(endpoint=endpoint, traces="none", metrics="none")
        for index in range(500):
            logger.info("{}", index)
        assert not otelbridge.flush(0.3)
        assert check_identity().spooled == 500
        show(ready=True)
        print(flush=True, end="")
        deadline = time.monotonic() + 10
        while otelbridge.stats().delivered < 500 and time.monotonic() < deadline:
            time.sleep(0.02)
        check_identity()
        """
    env = {name: text for name, text in os.environ.items() if not name.startswith("OTEL")}
    env |= {"ENDPOINT": f"http://127.0.0.1:{port}", "OTEL_SERVICE_NAME": "tested"}
    with subprocess.Popen(
        [sys.executable, "-c", _PREAMBLE + "logger.remove()\n" + textwrap.dedent(script)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        receiver = OtlpReceiver(port=port)
        _, stderr = process.communicate(timeout=15)
    receiver.close()

    assert process.returncode == 0, stderr
    assert sorted(map(int, receiver.bodies())) == list(range(500))
    first, second = stderr.splitlines()
    assert re.match(r"otelbridge: cannot deliver logs to http://127.*: the connection was refused \(is a", first)
    assert re.match(r"otelbridge: http://127\S+ accepts logs again after \d+ s; 500 items waited, 0 were lost", second)


@pytest.mark.parametrize("kind", ["refused", "silent"])
def test_exit_with_dead_collector(kind: str) -> None:
    """
    At exit a dead collector costs two seconds and a moment, and the user reads what was not sent.
    """
    server = RawServer(lambda _: time.sleep(10))
    endpoint = server.endpoint if kind == "silent" else f"http://127.0.0.1:{free_port()}"

    ran = run(
        """
        import atexit
        otelbridge.configure(endpoint=endpoint)
        began = []
        def done():
            took_s = time.monotonic() - began[0]
            show(took_s=took_s, dropped=dict(check_identity().dropped))
        from otelbridge import wiring
        atexit.unregister(wiring.shutdown)
        atexit.register(done)
        atexit.register(wiring.shutdown, wiring.EXIT_TIMEOUT_S)
        for index in range(2000):
            logger.info("{}", index)
        time.sleep(0.2)
        began.append(time.monotonic())
        """,
        endpoint,
    )

    server.close()
    assert ran.shown[0]["took_s"] <= 2.5
    assert ran.shown[0]["dropped"] == {"shutdown": 2000}
    assert ran.stderr[-1].startswith("otelbridge: log records lost: 2,000 ")
    assert len(ran.stderr) <= 3


def test_short_script(otlp_receiver: OtlpReceiver) -> None:
    """
    A script that logs and ends loses nothing, without a word on flush.
    """
    ran = run("otelbridge.configure(endpoint=endpoint); logger.info('bye')", otlp_receiver.endpoint)

    assert otlp_receiver.bodies() == ["bye"]
    assert ran.stderr == []


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_fork(protocol: str) -> None:
    """
    Forked children send their own records, each once, with an identity of their own; so does the parent.
    """
    receiver = OtlpReceiver(protocol)

    run(
        """
        from opentelemetry import trace
        otelbridge.configure(endpoint=endpoint, protocol=os.environ["PROTOCOL"])
        tracer = trace.get_tracer("t")
        logger.info("warm")
        assert otelbridge.flush(5)
        logger.info("pending in the parent")
        children = []
        for number in range(3):
            pid = os.fork()
            if pid == 0:
                with tracer.start_as_current_span(f"child {number}"):
                    logger.info("child {}", number)
                complete = otelbridge.flush(8)
                stats = check_identity()
                os._exit(0 if complete and stats.emitted == stats.delivered == 1 else 1)
            children.append(pid)
        logger.info("parent")
        codes = [os.waitpid(pid, 0)[1] for pid in children]
        assert otelbridge.flush(5)
        assert codes == [0, 0, 0], codes
        assert check_identity().delivered == 3
        """,
        receiver.endpoint,
        PROTOCOL=protocol,
        GRPC_VERBOSITY="NONE",
    )

    receiver.close()
    received = receiver.logs()
    texts = sorted(record.item.body.string_value for record in received)
    assert texts == ["child 0", "child 1", "child 2", "parent", "pending in the parent", "warm"]
    assert len({record.resource["service.instance.id"] for record in received}) == 4
    assert len({record.resource["process.pid"] for record in received}) == 4
    owners = {record.item.body.string_value: record.resource for record in received}
    assert {span.item.name: span.resource for span in receiver.spans()} == {
        name: owners[name] for name in ("child 0", "child 1", "child 2")
    }


def test_multiprocessing_children_flush(otlp_receiver: OtlpReceiver) -> None:
    """
    Children of multiprocessing, which leave past atexit, flush on their way out.
    """
    run(
        """
        import multiprocessing
        def work(number):
            logger.info("task {}", number)
        otelbridge.configure(endpoint=endpoint)
        context = multiprocessing.get_context("fork")
        processes = [context.Process(target=work, args=(number,)) for number in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        """,
        otlp_receiver.endpoint,
    )

    assert sorted(otlp_receiver.bodies()) == ["task 0", "task 1"]


def test_no_feedback(otlp_receiver: OtlpReceiver) -> None:
    """
    A root handler at DEBUG that bridges stdlib logging into otelbridge hears nothing of our own sending: no loop.
    """
    otlp_receiver.then(Answer(503, headers={"Retry-After": "0"}), Answer(400))
    run(
        """
        import logging
        class Bridge(logging.Handler):
            def emit(self, record):
                logger.info("bridged {}", record.name)
        logging.basicConfig(handlers=[Bridge()], level=0)
        otelbridge.configure(endpoint=endpoint, traces="none", metrics="none")
        for _ in range(5):
            logging.getLogger("app").info("x")
            assert otelbridge.flush(5)
        time.sleep(0.3)
        assert check_identity().emitted == 5
        """,
        otlp_receiver.endpoint,
        OTEL_BLRP_SCHEDULE_DELAY="50",
    )

    assert set(otlp_receiver.bodies()) == {"bridged app"}
    assert len(otlp_receiver.requests) == 6


def test_disabled(otlp_receiver: OtlpReceiver) -> None:
    """
    OTEL_SDK_DISABLED=true: no request, no thread, no provider, no word; the calls are harmless.
    """
    ran = run(
        """
        otelbridge.configure(endpoint=endpoint)
        logger.info("x")
        assert otelbridge.flush(1) and otelbridge.shutdown(1)
        show(threads=threading.active_count(), sdk="opentelemetry.sdk" in sys.modules)
        """,
        otlp_receiver.endpoint,
        OTEL_SDK_DISABLED="true",
    )

    assert ran.shown == [{"threads": 1, "sdk": False}]
    assert ran.stderr == []
    assert otlp_receiver.requests == []


def test_nothing_configured() -> None:
    """
    Without configure(), flush, shutdown and stats answer and start nothing.
    """
    ran = run(
        """
        logger.info("x")
        assert otelbridge.flush(1) and otelbridge.shutdown(1)
        stats = check_identity()
        show(threads=threading.active_count(), emitted=stats.emitted, sdk="opentelemetry.sdk" in sys.modules)
        """,
        "",
    )

    assert ran.shown == [{"threads": 1, "emitted": 0, "sdk": False}]


def test_shutdown_and_revival(otlp_receiver: OtlpReceiver) -> None:
    """
    After shutdown, records are counted as dropped and nothing is sent; configure() begins again.
    """
    run(
        """
        otelbridge.configure(endpoint=endpoint)
        logger.info("one")
        assert otelbridge.shutdown(5)
        logger.info("two")
        assert otelbridge.flush(1) and otelbridge.shutdown(1)
        stats = check_identity()
        assert (stats.delivered, dict(stats.dropped)) == (1, {"shutdown": 1}), stats
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("otelbridge")]
        otelbridge.configure(endpoint=endpoint)
        logger.info("three")
        assert otelbridge.flush(5)
        assert check_identity().delivered == 2
        """,
        otlp_receiver.endpoint,
    )

    assert otlp_receiver.bodies() == ["one", "three"]


def test_configure_again(otlp_receiver: OtlpReceiver) -> None:
    """
    Endpoint and level may change at any time, and take records that wait along; the service's name may not.
    """
    run(
        f"""
        otelbridge.configure(endpoint="http://127.0.0.1:{free_port()}", service_name="a")
        logger.info("waiting")
        assert not otelbridge.flush(0.2)
        otelbridge.configure(endpoint=endpoint, level="WARNING", service_name="a")
        logger.info("too quiet")
        logger.warning("loud")
        assert otelbridge.flush(5)
        try:
            otelbridge.configure(endpoint=endpoint, service_name="b")
        except otelbridge.ConfigError as error:
            assert "service.name must stay 'a'" in str(error), error
        else:
            raise AssertionError
        """,
        otlp_receiver.endpoint,
    )

    assert otlp_receiver.bodies() == ["waiting", "loud"]


def test_providers_of_the_user(otlp_receiver: OtlpReceiver) -> None:
    """
    Providers that the user has set are left alone, and get no processor of ours.
    """
    run(
        """
        from opentelemetry import metrics, trace
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.trace import TracerProvider
        tracer_provider, meter_provider = TracerProvider(), MeterProvider()
        trace.set_tracer_provider(tracer_provider)
        metrics.set_meter_provider(meter_provider)
        otelbridge.configure(endpoint=endpoint)
        assert trace.get_tracer_provider() is tracer_provider
        assert metrics.get_meter_provider() is meter_provider
        with trace.get_tracer("t").start_as_current_span("theirs"):
            logger.info("ours")
        metrics.get_meter("m").create_counter("c").add(1)
        assert otelbridge.flush(5)
        otelbridge.configure(endpoint=endpoint, service_name="other")
        """,
        otlp_receiver.endpoint,
    )

    assert otlp_receiver.bodies() == ["ours"]
    assert len(otlp_receiver.logs()[0].item.trace_id) == 16
    assert otlp_receiver.spans() == otlp_receiver.points() == []


def test_logs_through_the_users_provider() -> None:
    """
    logs="provider": records become records of the LoggerProvider that the user has set.
    """
    ran = run(
        """
        from opentelemetry import _logs
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter, SimpleLogRecordProcessor
        exporter = InMemoryLogRecordExporter()
        provider = LoggerProvider()
        provider.add_log_record_processor(SimpleLogRecordProcessor(exporter))
        otelbridge.configure(logs="provider", traces="none", metrics="none")
        _logs.set_logger_provider(provider)
        logger.bind(user="x").warning("careful {}", 1)
        try:
            1 / 0
        except ZeroDivisionError:
            logger.exception("failed")
        first, second = [found.log_record for found in exporter.get_finished_logs()]
        assert otelbridge.stats().emitted == 0
        show(body=first.body, text=first.severity_text, number=first.severity_number.value,
             user=first.attributes["user"], time=first.timestamp > 10**18, error=second.attributes["exception.type"])
        """,
        "",
    )

    assert ran.shown == [
        {"body": "careful 1", "text": "WARNING", "number": 13, "user": "x", "time": True, "error": "ZeroDivisionError"}
    ]


def test_unnamed_service_is_told(otlp_receiver: OtlpReceiver) -> None:
    """
    A service without a name is told so, in one line.
    """
    ran = run(
        "otelbridge.configure(endpoint=endpoint); otelbridge.configure()", otlp_receiver.endpoint, OTEL_SERVICE_NAME=""
    )

    (line,) = ran.stderr
    assert "OTEL_SERVICE_NAME" in line


def test_wrong_path_is_told() -> None:
    """
    A collector that answers 404: one line with the likely fix, no traceback, records counted as rejected.
    """
    receiver = OtlpReceiver()
    receiver.then(*[Answer(404, body=b"")] * 20)
    ran = run(
        """
        otelbridge.configure(traces="none", metrics="none")
        for _ in range(3):
            logger.info("x")
            assert otelbridge.flush(5)
        assert check_identity().rejected == 3
        """,
        "",
        OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=f"{receiver.endpoint}/v1/logs/v1/logs",
    )

    receiver.close()
    assert "answered 404" in ran.stderr[0]
    assert "the path is doubled" in ran.stderr[0]
    assert sum("404" in line for line in ran.stderr) == 1


def test_app_is_not_slowed(otlp_receiver: OtlpReceiver) -> None:
    """
    A collector that is silent does not slow log calls.
    """
    server = RawServer(lambda _: time.sleep(10))
    ran = run(
        """
        otelbridge.configure(endpoint=endpoint, traces="none", metrics="none")
        logger.info("first")
        time.sleep(0.1)
        worst_s = 0.0
        for index in range(20000):
            began = time.perf_counter()
            logger.info("{}", index)
            worst_s = max(worst_s, time.perf_counter() - began)
        show(worst_s=worst_s)
        check_identity()
        otelbridge.shutdown(0.1)
        check_identity()
        """,
        server.endpoint,
        OTEL_BLRP_SCHEDULE_DELAY="50",
    )

    server.close()
    assert ran.shown[0]["worst_s"] < 0.5


def test_record_at_exit(otlp_receiver: OtlpReceiver) -> None:
    """
    A first record from an exit handler, when newer Pythons make no threads any more, is sent all the same.
    """
    run(
        """
        import atexit
        otelbridge.configure(endpoint=endpoint, traces="none", metrics="none")
        atexit.register(lambda: logger.info("late"))
        """,
        otlp_receiver.endpoint,
    )

    assert otlp_receiver.bodies() == ["late"]


def test_mistake_is_one_sentence(otlp_receiver: OtlpReceiver) -> None:
    """
    A mistake in configure() raises at once and leaves what was configured before as it was.
    """
    run(
        """
        otelbridge.configure(endpoint=endpoint)
        for wrong in ({"endpoint": "localhost:4318"}, {"protocol": "http"}, {"spool": "/tmp"}):
            try:
                otelbridge.configure(**wrong)
            except otelbridge.ConfigError as error:
                assert next(iter(wrong)) in str(error) and "\\n" not in str(error)
            else:
                raise AssertionError(wrong)
        try:
            otelbridge.configure(endpont=endpoint)
        except TypeError:
            pass
        else:
            raise AssertionError
        logger.info("still here")
        assert otelbridge.flush(5)
        """,
        otlp_receiver.endpoint,
    )

    assert otlp_receiver.bodies() == ["still here"]


def test_temporality_and_the_providers_own_flush(otlp_receiver: OtlpReceiver) -> None:
    """
    The environment's temporality is obeyed, and the SDK's own force_flush loses and doubles nothing.
    """
    run(
        """
        from opentelemetry import metrics, trace
        otelbridge.configure(endpoint=endpoint)
        counter = metrics.get_meter("m").create_counter("c")
        for amount in (1, 2, 3):
            counter.add(amount)
            metrics.get_meter_provider().force_flush()
        trace.get_tracer("t").start_span("s").end()
        assert trace.get_tracer_provider().force_flush(5000)
        show(sent=True)
        """,
        otlp_receiver.endpoint,
        OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE="delta",
    )

    assert [point.item.as_int for point in otlp_receiver.points()] == [1, 2, 3]
    assert {point.metric.sum.aggregation_temporality for point in otlp_receiver.points()} == {1}
    assert [span.item.name for span in otlp_receiver.spans()] == ["s"]

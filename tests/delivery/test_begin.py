"""When a process begins to send: `configure()` at once, `instrument()` with the first request, record or span."""

from __future__ import annotations

import time

import pytest

from tests.delivery.test_wiring import run
from tests.otlp.receivers import OtlpReceiver, RawServer, free_port

APP = """
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})
    def serve(app):
        import asyncio
        async def send(message):
            pass
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
        asyncio.run(app(scope, None, send))
    def threads():
        return sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("otelbridge"))
    def until(name):
        deadline = time.monotonic() + 5
        while name not in threads():
            assert time.monotonic() < deadline, threads()
            time.sleep(0.01)
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
"""


def test_instrument_starts_nothing(otlp_receiver: OtlpReceiver) -> None:
    """
    An app that is instrumented and serves nothing has no thread, and sends nothing, whatever forks from it.
    """
    ran = run(
        APP
        + """
    app = otelbridge.instrument(app)
    pid = os.fork()
    if not pid:
        os._exit(len(threads()))
    show(threads=threads(), child=os.waitpid(pid, 0)[1])
    """,
        otlp_receiver.endpoint,
    )

    assert ran.shown == [{"threads": [], "child": 0}]
    assert otlp_receiver.requests == []


@pytest.mark.parametrize(
    ("options", "first"),
    [
        ("access_log=False, traces=False", "serve(app)"),
        ("", "serve(app)"),
        ("metrics='none'", "logger.info('first')"),
        ("metrics='none'", "trace.get_tracer('t').start_span('first').end()"),
    ],
)
def test_the_first_that_happens_begins(options: str, first: str, otlp_receiver: OtlpReceiver) -> None:
    """
    With the first request, record or span the thread begins that sends all points at intervals, the app's own too.
    """
    ran = run(
        APP
        + f"""
    from opentelemetry import trace
    app = otelbridge.instrument(app, {options})
    before = threads()
    {first}
    until("otelbridge-points")
    show(before=before)
    """,
        otlp_receiver.endpoint,
    )

    assert ran.shown == [{"before": []}]


def test_configure_begins_at_once_and_so_do_children(otlp_receiver: OtlpReceiver) -> None:
    """
    After configure() points are sent before anything else happens, and in a forked child as well.
    """
    ran = run(
        APP
        + """
    otelbridge.configure(endpoint=endpoint)
    pid = os.fork()
    if not pid:
        until("otelbridge-points")
        os._exit(0)
    until("otelbridge-points")
    show(child=os.waitpid(pid, 0)[1], threads=threads())
    """,
        otlp_receiver.endpoint,
    )

    assert ran.shown == [{"child": 0, "threads": ["otelbridge-points"]}]


@pytest.mark.parametrize(
    ("begins", "expected"), [("otelbridge.instrument(app)", 0), ("otelbridge.configure(metrics='statsd')", 1)]
)
def test_statsd_begins_likewise(begins: str, expected: int, otlp_receiver: OtlpReceiver) -> None:
    """
    With StatsD configure() starts its thread, instrument() none; the first request does; a forked child does as its
    parent.
    """
    ran = run(
        APP
        + f"""
    os.environ["OTELBRIDGE_METRICS"] = "statsd"
    {begins}
    before = threads()
    pid = os.fork()
    if not pid:
        os._exit(len(threads()))
    child = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    serve(otelbridge.instrument(app))
    show(before=len(before), child=child, after="otelbridge-statsd" in threads())
    """,
        otlp_receiver.endpoint,
    )

    assert ran.shown == [{"before": expected, "child": expected, "after": True}]


def test_a_last_flush_waits_for_nobody_who_is_not_there() -> None:
    """
    Where the endpoint refuses connections, the flush of a host's end gives up at once; flush() goes on trying.
    """
    ran = run(
        """
        from otelbridge import wiring
        otelbridge.configure(endpoint=endpoint)
        logger.info("nobody hears")
        begun = time.monotonic()
        complete = wiring.flush_at_end(8.0)
        gave_up_s = time.monotonic() - begun
        begun = time.monotonic()
        patient = otelbridge.flush(1.0)
        show(complete=complete, gave_up_s=gave_up_s, patient=patient, waited_s=time.monotonic() - begun)
        os._exit(0)
        """,
        f"http://127.0.0.1:{free_port()}",
    )

    (shown,) = ran.shown
    assert (shown["complete"], shown["patient"]) == (False, False)
    assert shown["gave_up_s"] < 4.0
    assert shown["waited_s"] > 0.9


def test_the_last_flush_and_the_exit_share_their_time() -> None:
    """
    A collector that is silent costs the end of a process its time once (2 s; here 6), not again at its exit.
    """
    server = RawServer(lambda _: server.closing.wait(30))
    try:
        ran = run(
            """
            from otelbridge import wiring
            wiring.EXIT_TIMEOUT_S = 6.0
            otelbridge.configure(endpoint=endpoint)
            logger.info("nobody hears")
            begun = time.monotonic()
            complete = wiring.flush_at_end(6.0)
            show(complete=complete, waited_s=time.monotonic() - begun, ended=time.time())
            """,
            server.endpoint,
        )
        exit_s = time.time() - ran.shown[0]["ended"]
    finally:
        server.close()

    assert not ran.shown[0]["complete"]
    assert ran.shown[0]["waited_s"] > 5.9
    assert exit_s < 5.5


def test_a_last_flush_is_as_good_as_any(otlp_receiver: OtlpReceiver) -> None:
    """
    Where the collector answers, the flush of a host's end sends everything, as flush() does.
    """
    run(
        """
        from otelbridge import wiring
        otelbridge.configure(endpoint=endpoint)
        logger.info("last")
        assert wiring.flush_at_end()
        os._exit(0)
        """,
        otlp_receiver.endpoint,
    )

    assert otlp_receiver.bodies() == ["last"]

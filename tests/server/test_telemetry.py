"""What the workers of `otelbridge run` send: once, all of it, by themselves; and the supervisor nothing."""

from __future__ import annotations

import http.client
import signal
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.otlp.receivers import OtlpReceiver, Received
from tests.server.clients import connected, read_all
from tests.server.serving import APP, Served, is_alive, serving, wait_until

each_class = pytest.mark.parametrize("worker_class", ["asyncio", "uvloop", "trio"])

FLASK = """
import os
from flask import Flask

app = Flask("shop")

@app.get("/items/<number>")
def item(number):
    return str(os.getpid())
"""

DURATION = "http.server.request.duration"
SERVER = 2  # a span's kind


def exporting(receiver: OtlpReceiver, **variables: str) -> dict[str, Any]:
    """The environment of a server that exports to *receiver*, soon after it has something."""
    return {
        "OTEL_SDK_DISABLED": "false",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint,
        "OTEL_BLRP_SCHEDULE_DELAY": "100",
        **variables,
    }


def accesses(receiver: OtlpReceiver) -> list[Received]:
    """The access records that have arrived."""
    return [received for received in receiver.logs() if received.item.event_name == "http.server.access"]


def paths(receiver: OtlpReceiver) -> Counter[str]:
    """How many access records have arrived, by path."""
    return Counter(received.attributes["url.path"] for received in accesses(receiver))


def measured_requests(receiver: OtlpReceiver) -> int:
    """How many requests the points tell of: the newest of each process counts, they are sums since its start."""
    newest: dict[tuple[Any, ...], int] = {}
    for point in receiver.points():
        if point.metric.name == DURATION:
            key = (point.resource["service.instance.id"], *sorted(point.attributes.items()))
            newest[key] = point.item.count
    return sum(newest.values())


@pytest.mark.covers("3.1")
@pytest.mark.parametrize(("app", "route"), [(APP, None), (FLASK, "/items/<number>")], ids=["asgi", "flask"])
@each_class
def test_each_request_is_one_record_one_span_and_one_measurement(
    tmp_path: Path, otlp_receiver: OtlpReceiver, worker_class: str, app: str, route: str | None
) -> None:
    """
    An app that knows nothing of telemetry is instrumented in each worker; at SIGTERM everything has been delivered.
    """
    with serving(tmp_path, "-k", worker_class, app=app, workers=2, **exporting(otlp_receiver)) as served:
        workers = served.workers()
        answers = Counter(int(served.get("/items/7")) for _ in range(30))
        assert served.stop() == 0

    records = accesses(otlp_receiver)
    spans = [span for span in otlp_receiver.spans() if span.item.kind == SERVER]
    assert Counter(record.resource["process.pid"] for record in records) == answers
    assert Counter(span.resource["process.pid"] for span in spans) == answers
    assert measured_requests(otlp_receiver) == 30
    assert {span.item.span_id for span in spans} == {record.item.span_id for record in records}
    assert {record.attributes.get("http.route") for record in records} == {route}
    assert set(answers) <= workers


@pytest.mark.covers("3.1")
def test_each_worker_is_an_instance_of_its_own(tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    """
    Two workers have two service.instance.ids, and their real process ids; none is the supervisor's.
    """
    with serving(tmp_path, workers=2, **exporting(otlp_receiver)) as served:
        workers = served.workers()
        served.get()
        assert served.stop() == 0

    sent = [*otlp_receiver.logs(), *otlp_receiver.spans(), *otlp_receiver.points()]
    instances = {(each.resource["service.instance.id"], each.resource["process.pid"]) for each in sent}
    assert {pid for _, pid in instances} == workers
    assert len({instance for instance, _ in instances}) == len(instances) == 2


INSTRUMENTED = (
    APP
    + """
import otelbridge
app = otelbridge.instrument(app, exclude=["/health"])
"""
)

BELOW_MIDDLEWARE = (
    INSTRUMENTED
    + """
inner = app
async def app(scope, receive, send):
    await inner(scope, receive, send)
"""
)


@pytest.mark.parametrize("app", [INSTRUMENTED, BELOW_MIDDLEWARE], ids=["outermost", "below middleware"])
def test_what_the_author_has_instrumented_stays_as_it_is(tmp_path: Path, otlp_receiver: OtlpReceiver, app: str) -> None:
    """
    An app with its own `instrument()` keeps its options, and has one record and span per request, not two.
    """
    with serving(tmp_path, "--access-logfile", "access.log", app=app, **exporting(otlp_receiver)) as served:
        for path in ("/a", "/a", "/health", "/b"):
            served.get(path)
        assert served.stop() == 0

    assert paths(otlp_receiver) == {"/a": 2, "/b": 1}
    assert len(otlp_receiver.spans()) == 3
    assert len((tmp_path / "access.log").read_text().splitlines()) == 4


def test_the_command_line_names_the_service_and_its_collector(tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    """
    --service-name and --endpoint reach each worker.
    """
    options = ("--service-name", "shop", "--endpoint", otlp_receiver.endpoint)
    with serving(tmp_path, *options, workers=2, OTEL_SDK_DISABLED="false") as served:
        served.get()
        assert served.stop() == 0

    assert {record.resource["service.name"] for record in otlp_receiver.logs()} == {"shop"}
    assert len({record.resource["process.pid"] for record in otlp_receiver.logs()}) == 2


def test_an_app_may_configure_while_it_starts(tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    """
    What the lifespan's startup configures comes first: spans and points have that name, too. What was logged before it,
    at import, is sent as well, by the same instance.
    """
    app = f"""import otelbridge
{APP}
otelbridge.logger.info("imported")
starting = lifespan
async def lifespan(receive, send):
    otelbridge.configure(service_name="mine")
    otelbridge.logger.info("starting")
    await starting(receive, send)
"""
    with serving(tmp_path, app=app, **exporting(otlp_receiver, OTEL_BLRP_SCHEDULE_DELAY="2000")) as served:
        served.get()
        assert served.stop() == 0

    sent = [*otlp_receiver.logs(), *otlp_receiver.spans(), *otlp_receiver.points()]
    assert {each.resource["service.name"] for each in sent} == {"mine"}
    assert len({each.resource["service.instance.id"] for each in sent}) == 1
    assert "starting" in {received.item.body.string_value for received in otlp_receiver.logs()}
    assert (len(accesses(otlp_receiver)), len(otlp_receiver.spans())) == (1, 1)
    assert "otelbridge:" not in served.err


def test_what_the_app_configures_wins(tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    """
    An app that calls `configure(service_name=)` is called that, whatever --service-name says; nobody complains.
    """
    app = f'import otelbridge\notelbridge.configure(service_name="mine")\n{APP}'
    with serving(tmp_path, "--service-name", "other", app=app, **exporting(otlp_receiver)) as served:
        served.get()
        assert served.stop() == 0

    assert {record.resource["service.name"] for record in otlp_receiver.logs()} == {"mine"}
    assert len(accesses(otlp_receiver)) == 1
    assert "ERROR" not in served.err
    assert "otelbridge:" not in served.err


@pytest.mark.parametrize("metrics", ["otlp", "statsd", "none"])
def test_metrics_go_where_the_command_line_says(tmp_path: Path, otlp_receiver: OtlpReceiver, metrics: str) -> None:
    """
    --metrics otlp, statsd or none: requests are measured there, and nowhere else; records and spans stay.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
        agent.bind(("127.0.0.1", 0))
        agent.settimeout(0.5)
        variables = exporting(otlp_receiver, OTELBRIDGE_STATSD=f"udp://127.0.0.1:{agent.getsockname()[1]}")
        with serving(tmp_path, "--metrics", metrics, **variables) as served:
            served.get()
            assert served.stop() == 0
        lines = received_lines(agent)

    assert len(accesses(otlp_receiver)) == 1
    assert measured_requests(otlp_receiver) == (1 if metrics == "otlp" else 0)
    assert bool(otlp_receiver.points()) == (metrics == "otlp")
    assert any("request" in text for text in lines) == (metrics == "statsd")


def received_lines(agent: socket.socket) -> list[str]:
    """The StatsD lines that have come."""
    lines: list[str] = []
    while True:
        try:
            lines += agent.recv(65536).decode().splitlines()
        except TimeoutError:
            return lines


def test_the_supervisor_has_no_telemetry(tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    """
    The supervisor has one thread, and no connection: telemetry begins in the workers.
    """
    with serving(tmp_path, workers=2, **exporting(otlp_receiver)) as served:
        served.get()
        otlp_receiver.wait_for(lambda receiver: len(accesses(receiver)) == 1)

        assert len(list(Path(f"/proc/{served.pid}/task").iterdir())) == 1
        assert connections(served.pid) == []
        assert any(connections(worker) for worker in served.workers())


def connections(pid: int) -> list[str]:
    """Where a process is connected to over TCP, as the kernel writes it; listening sockets are no connections."""
    sockets = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        try:
            sockets.add(descriptor.readlink().name)
        except OSError:  # closed since
            continue
    rows = [row.split() for row in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    established = "01"
    return [row[2] for row in rows if row[3] == established and f"socket:[{row[9]}]" in sockets]


@pytest.mark.covers("0.4")
def test_what_the_server_says_is_sent_once(tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    """
    "Running on" is one line on stderr and one OTLP record of each worker.
    """
    with serving(tmp_path, workers=2, **exporting(otlp_receiver)) as served:
        workers = served.workers()
        assert served.stop() == 0

    said = [record for record in otlp_receiver.logs() if record.item.body.string_value.startswith("Running on")]
    assert {record.resource["process.pid"] for record in said} == workers
    assert len(said) == 2
    assert served.err.count("Running on") == 2


@each_class
def test_an_exception_of_the_app_is_one_record_of_the_server(
    tmp_path: Path, otlp_receiver: OtlpReceiver, worker_class: str
) -> None:
    """
    The server's word on an app that raised is sent once, with the exception; beside it is the request's own record.
    """
    with serving(tmp_path, "-k", worker_class, **exporting(otlp_receiver)) as served:
        served.get("/raise")
        assert served.stop() == 0

    said = [record for record in otlp_receiver.logs() if record.item.body.string_value == "Error in ASGI Framework"]
    assert [record.attributes["exception.type"] for record in said] == ["RuntimeError"]
    assert said[0].attributes["exception.message"] == "broken"
    (access,) = accesses(otlp_receiver)
    assert access.attributes["error.type"] == "RuntimeError"


@each_class
def test_a_replaced_worker_delivers_what_it_has(tmp_path: Path, otlp_receiver: OtlpReceiver, worker_class: str) -> None:
    """
    At SIGHUP the old workers send all they have before they end: records, spans, points.
    """
    # So slow that only the end of a worker sends anything.
    never = dict.fromkeys(("OTEL_BLRP_SCHEDULE_DELAY", "OTEL_BSP_SCHEDULE_DELAY"), "600000")
    options = ("-k", worker_class)
    with serving(tmp_path, *options, workers=2, **exporting(otlp_receiver, **never)) as served:
        before = served.workers()
        answers = Counter(int(served.get()) for _ in range(20))
        assert not accesses(otlp_receiver)
        served.send(signal.SIGHUP)
        served.await_running(4)
        wait_until(lambda: not any(map(is_alive, before)), "old workers are still there")

        assert Counter(record.resource["process.pid"] for record in accesses(otlp_receiver)) == answers
        assert len(otlp_receiver.spans()) == measured_requests(otlp_receiver) == 20


@pytest.mark.covers("3.13", note="answers of WSGI apps that have no body arrive; Hypercorn makes a 500 of them")
@each_class
def test_an_answer_of_a_wsgi_app_without_a_body_arrives(
    tmp_path: Path, otlp_receiver: OtlpReceiver, worker_class: str
) -> None:
    """
    HEAD, and a status without content: the client gets what the record says.
    """
    app = FLASK + '\n@app.get("/nothing")\ndef nothing():\n    return "", 204\n'
    with serving(tmp_path, "-k", worker_class, app=app, **exporting(otlp_receiver)) as served:
        answered = []
        for method, path in (("HEAD", "/items/7"), ("GET", "/nothing"), ("GET", "/nowhere")):
            connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
            connection.request(method, path)
            answered.append(connection.getresponse().status)
            connection.close()
        assert served.stop() == 0

    assert answered == [200, 204, 404]
    assert [record.attributes["http.response.status_code"] for record in accesses(otlp_receiver)] == answered


def test_what_the_server_refuses_for_a_wsgi_app_is_recorded(tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    """
    A WSGI app does not hear of requests for other names, or too broken to be read: one record each all the same.
    """
    options = ("--server-name", "127.0.0.1")
    with serving(tmp_path, *options, app=FLASK, **exporting(otlp_receiver)) as served:
        served.get("/items/1")
        for said in (b"GET / HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n", b"\x00 garbage\r\n\r\n"):
            with connected(served.port) as connection:
                connection.sendall(said)
                read_all(connection)
        assert served.stop() == 0

    # A WSGI request ends when its body is closed, which is after its client has it.
    said_of = Counter(record.attributes["http.response.status_code"] for record in accesses(otlp_receiver))
    assert said_of == {200: 1, 404: 1, 400: 1}


@each_class
def test_a_body_too_large_for_a_wsgi_app_is_recorded(
    tmp_path: Path, otlp_receiver: OtlpReceiver, worker_class: str
) -> None:
    """
    Above wsgi_max_body_size the server answers 400 before the app is asked, as the first request or a later one: one
    record each.
    """
    (tmp_path / "server.toml").write_text("wsgi_max_body_size = 10\n")
    options = ("-k", worker_class, "-c", "server.toml")
    large = b"POST /items/1 HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\nConnection: close\r\n\r\nmore than it"
    with serving(tmp_path, *options, app=FLASK, **exporting(otlp_receiver)) as served:
        for _ in range(2):
            with connected(served.port) as connection:
                connection.sendall(large[:-1])
                assert read_all(connection).startswith(b"HTTP/1.1 400")
            served.get("/items/1")
        assert served.stop() == 0

    found = [record.attributes for record in accesses(otlp_receiver)]
    statuses = Counter((each["http.request.method"], each["http.response.status_code"]) for each in found)
    assert statuses == {("POST", 400): 2, ("GET", 200): 2}
    assert len(otlp_receiver.spans()) == 4


def test_a_worker_alone_sends_what_it_has_when_it_ends(tmp_path: Path, otlp_receiver: OtlpReceiver) -> None:
    """
    Without a supervisor (--workers 0) it is the same: one record, span and measurement per request, all delivered.
    """
    (tmp_path / "app.py").write_text(APP)
    variables = exporting(otlp_receiver)
    served = Served(tmp_path, "--bind", "127.0.0.1:{port}", "--workers", "0", "app:app", **variables)
    try:
        served.await_running()
        assert int(served.get()) == served.pid
        assert served.stop() == 0
    finally:
        served.kill()

    assert [record.resource["process.pid"] for record in accesses(otlp_receiver)] == [served.pid]
    assert len(otlp_receiver.spans()) == measured_requests(otlp_receiver) == 1

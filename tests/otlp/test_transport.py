"""The seam: one attempt per call through the official exporters, and a true word on what came of it."""

from __future__ import annotations

import gzip
import logging
import socket
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # generated, without stubs
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from otelbridge.delivery.quiet import mute_export_loggers, quiet
from otelbridge.delivery.report import hint
from otelbridge.otlp.outcome import Outcome, Sender, Signal
from otelbridge.otlp.requests_pb import halve
from otelbridge.otlp.settings import resolve
from otelbridge.otlp.transport_grpc import GrpcSender
from otelbridge.otlp.transport_http import HttpSender
from otelbridge.types import Batch
from tests.otlp.receivers import Answer, OtlpReceiver, RawServer, free_port, read_request

PROTOCOLS = ("http/protobuf", "grpc")


def make_request(count: int = 3, size: int = 0) -> bytes:
    message = ExportLogsServiceRequest()
    scope = message.resource_logs.add().scope_logs.add()
    for index in range(count):
        scope.log_records.add().body.string_value = f"record {index}" + "x" * size
    encoded: bytes = message.SerializeToString()
    return encoded


def make_sender(endpoint: str, protocol: str = "http/protobuf", signal: Signal = "logs", **arguments: Any) -> Sender:
    settings = resolve({"endpoint": endpoint, "protocol": protocol, **arguments}, {}).signals[signal]
    announced: list[str] = arguments.get("announced", [])
    if protocol == "grpc":
        return GrpcSender(signal, settings, announced.append)
    return HttpSender(signal, settings, announced.append)


def send(sender: Sender, request: bytes | None = None, count: int = 3, timeout_s: float = 2.0) -> Outcome:
    mute_export_loggers()
    with quiet():
        return sender.send(make_request() if request is None else request, count, timeout_s)


@pytest.fixture(params=PROTOCOLS)
def receiver(request: pytest.FixtureRequest) -> Iterator[OtlpReceiver]:
    found = OtlpReceiver(request.param)
    yield found
    found.close()


@pytest.fixture
def misbehave() -> Iterator[Callable[[Callable[[socket.socket], object]], RawServer]]:
    servers = []

    def start(behave: Callable[[socket.socket], object]) -> RawServer:
        servers.append(RawServer(behave))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.mark.parametrize("signal", ["logs", "traces", "metrics"])
@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_bytes_arrive_as_they_are(receiver: OtlpReceiver, signal: Signal, compression: str) -> None:
    """
    The encoded request reaches the collector unchanged, packed or not, with our headers and the exporter's name.
    """
    headers = {"X-Token": "abc"}
    sender = make_sender(receiver.endpoint, receiver.protocol, signal, compression=compression, headers=headers)
    message = ExportLogsServiceRequest()
    message.resource_logs.add().resource.attributes.add(key="k").value.string_value = "the same field in all signals"
    encoded = message.SerializeToString()

    outcome = send(sender, encoded)

    assert outcome == Outcome("delivered")
    (request,) = receiver.requests
    assert (request.signal, request.body) == (signal, encoded)
    assert request.headers["x-token"] == "abc"
    assert "OTel-OTLP-Exporter-Python" in request.headers["user-agent"]
    if receiver.protocol != "grpc":
        assert request.headers.get("content-encoding") == (None if compression == "none" else "gzip")
        assert request.headers["content-type"] == "application/x-protobuf"
        assert request.path == f"/v1/{signal}"
    sender.close()


def test_deflate(otlp_receiver: OtlpReceiver) -> None:
    """
    Deflate, which the SDK offers over HTTP, works too.
    """
    assert send(make_sender(otlp_receiver.endpoint, compression="deflate")).kind == "delivered"
    assert otlp_receiver.requests[0].body == make_request()


def test_partial_success(receiver: OtlpReceiver) -> None:
    """
    A partial success tells how many were rejected, and why.
    """
    receiver.then(Answer(rejected=2, message="too old"))

    outcome = send(make_sender(receiver.endpoint, receiver.protocol))

    assert (outcome.kind, outcome.rejected, outcome.message) == ("delivered", 2, "too old")


def test_one_attempt_http(otlp_receiver: OtlpReceiver, caplog: pytest.LogCaptureFixture) -> None:
    """
    A busy collector is asked once, its Retry-After is handed on, and the exporter neither waits nor logs.
    """
    otlp_receiver.then(*[Answer(503, headers={"Retry-After": "7"})] * 9)
    sender = make_sender(otlp_receiver.endpoint)
    began = time.monotonic()

    with caplog.at_level(logging.DEBUG):
        outcome = send(sender)

    assert (outcome.kind, outcome.retry_after_s, outcome.cause) == ("retry", 7.0, "http_503")
    assert len(otlp_receiver.requests) == 1
    assert time.monotonic() - began < 1
    assert caplog.records == []


def test_one_attempt_grpc(otlp_grpc_receiver: OtlpReceiver, caplog: pytest.LogCaptureFixture) -> None:
    """
    Over gRPC too: one call, the server's RetryInfo handed on, nothing logged.
    """
    info = RetryInfo()
    info.retry_delay.seconds = 7
    trailers = (("google.rpc.retryinfo-bin", info.SerializeToString()),)
    otlp_grpc_receiver.then(*[Answer(code=grpc.StatusCode.RESOURCE_EXHAUSTED, trailers=trailers, message="quota")] * 9)

    with caplog.at_level(logging.DEBUG):
        outcome = send(make_sender(otlp_grpc_receiver.endpoint, "grpc"))

    assert (outcome.kind, outcome.retry_after_s, outcome.cause) == ("retry", 7.0, "resource_exhausted")
    assert len(otlp_grpc_receiver.requests) == 1
    assert caplog.records == []


@pytest.mark.parametrize(
    ("answer", "kind", "cause", "words"),
    [
        (Answer(404, body=b""), "rejected", "http_404", "it answered 404"),
        (Answer(400, body=b"\x12\x04nope"), "rejected", "http_400", "nope"),
        (Answer(413), "rejected", "too_large", "413"),
        (Answer(302, headers={"Location": "https://elsewhere/"}), "failed", "redirect", "https://elsewhere/"),
        (Answer(200, body=b"<html>\xff"), "delivered", "odd_answer", "not OTLP"),
    ],
)
def test_http_answers(otlp_receiver: OtlpReceiver, answer: Answer, kind: str, cause: str, words: str) -> None:
    """
    What the collector says decides, and its reason is kept.
    """
    otlp_receiver.then(answer)

    outcome = send(make_sender(otlp_receiver.endpoint))

    assert (outcome.kind, outcome.cause) == (kind, cause)
    assert words in outcome.message
    assert len(otlp_receiver.requests) == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_refused(protocol: str) -> None:
    """
    Nobody listening is a reason to try again, and is called by its name.
    """
    endpoint = f"http://127.0.0.1:{free_port()}"

    outcome = send(make_sender(endpoint, protocol))

    assert outcome.kind == "retry"
    assert outcome.message.startswith("the connection was refused")
    assert "is a collector listening" in hint(outcome.cause, endpoint, protocol)


def test_grpc_is_back_at_once() -> None:
    """
    After a refused call the next one connects, without gRPC's own pause.
    """
    port = free_port()
    sender = make_sender(f"http://127.0.0.1:{port}", "grpc")
    for _ in range(3):
        assert send(sender).kind == "retry"

    receiver = OtlpReceiver("grpc", port)
    outcome = send(sender)
    receiver.close()

    assert outcome.kind == "delivered"


def test_garbage(misbehave: Any) -> None:
    """
    A server that does not speak HTTP is found out.
    """

    def behave(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"\x00\x01garbage\r\n\r\n")

    server = misbehave(behave)

    outcome = send(make_sender(server.endpoint))

    assert (outcome.kind, outcome.cause) == ("retry", "garbage")


def test_http_to_grpc_port(otlp_grpc_receiver: OtlpReceiver) -> None:
    """
    HTTP spoken to a gRPC port fails soon, and is tried again.
    """
    outcome = send(make_sender(otlp_grpc_receiver.endpoint))

    assert outcome.kind == "retry"
    assert outcome.cause in ("garbage", "disconnected", "timeout")
    assert "use port 4318" in hint(outcome.cause, "http://h:4317/v1/logs", "http/protobuf")


def test_grpc_to_http_port(otlp_receiver: OtlpReceiver) -> None:
    """
    And gRPC spoken to an HTTP port.
    """
    outcome = send(make_sender(otlp_receiver.endpoint, "grpc"))

    assert outcome.kind == "retry"
    assert "use port 4317" in hint(outcome.cause, "http://h:4318", "grpc")


def test_tls_to_plain_port(otlp_receiver: OtlpReceiver) -> None:
    """
    TLS spoken to a plain port is named as such, with the fix.
    """
    endpoint = otlp_receiver.endpoint.replace("http", "https")

    outcome = send(make_sender(endpoint))

    assert (outcome.kind, outcome.cause) == ("retry", "tls")
    assert "use http://" in hint(outcome.cause, endpoint, "http/protobuf", outcome.message)


def test_disconnect_without_answer(misbehave: Any) -> None:
    """
    A connection closed before any answer means: send again.
    """
    server = misbehave(read_request)

    outcome = send(make_sender(server.endpoint))

    assert (outcome.kind, outcome.cause) == ("retry", "disconnected")
    assert server.connection_count == 1


@pytest.mark.parametrize("drip", ["head", "body"])
def test_total_deadline(misbehave: Any, drip: str) -> None:
    """
    An answer that drips in, a byte at a time, does not outlast the attempt's whole time.
    """

    def behave(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + (b"Content-Length: 1000\r\n\r\n" if drip == "body" else b"X-A: "))
        while not server.closing.wait(0.05):
            connection.sendall(b"x")

    server = misbehave(behave)
    began = time.monotonic()

    outcome = send(make_sender(server.endpoint), timeout_s=0.5)

    assert (outcome.kind, outcome.cause) == ("retry", "timeout")
    assert 0.4 < time.monotonic() - began < 1.0


def test_receiver_that_does_not_read(misbehave: Any) -> None:
    """
    A request that is not read does not hold the thread beyond its time.
    """
    server = misbehave(lambda _: time.sleep(5))
    began = time.monotonic()

    outcome = send(make_sender(server.endpoint, compression="none"), make_request(1, 16 << 20), timeout_s=0.5)

    assert outcome.cause == "timeout"
    assert time.monotonic() - began < 1.5


def test_endless_answer(misbehave: Any) -> None:
    """
    Of an answer without an end 4 MiB are read, and no more.
    """
    sent = []

    def behave(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        chunk = b"\x0a" * 65536
        for _ in range(16384):  # 1 GiB
            connection.sendall(chunk)
            sent.append(1)

    server = misbehave(behave)

    outcome = send(make_sender(server.endpoint), timeout_s=5.0)

    assert (outcome.kind, outcome.cause) == ("failed", "answer_too_large")
    assert len(sent) < 400  # what was read, and what the sockets buffer


def test_packed_bomb(misbehave: Any) -> None:
    """
    The cap holds after unpacking: 256 MiB of zeros in a small answer are not unpacked.
    """
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([packer.compress(bytes(1 << 20)) for _ in range(256)]) + packer.flush()

    def behave(connection: socket.socket) -> None:
        read_request(connection)
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
        connection.sendall(head.encode() + bomb)

    server = misbehave(behave)

    outcome = send(make_sender(server.endpoint), timeout_s=5.0)

    assert (outcome.kind, outcome.cause) == ("failed", "answer_too_large")


def test_packed_answer(misbehave: Any) -> None:
    """
    A packed answer of good size is read.
    """
    content = gzip.compress(b"")

    def behave(connection: socket.socket) -> None:
        read_request(connection)
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(content)}\r\n\r\n"
        connection.sendall(head.encode() + content)

    assert send(make_sender(misbehave(behave).endpoint)) == Outcome("delivered")


def test_large_grpc_answer(otlp_grpc_receiver: OtlpReceiver) -> None:
    """
    Over gRPC the same cap holds, and is not mistaken for the collector's own limit.
    """
    otlp_grpc_receiver.then(Answer(message="x" * (5 << 20)))

    outcome = send(make_sender(otlp_grpc_receiver.endpoint, "grpc"), timeout_s=5.0)

    assert (outcome.kind, outcome.cause) == ("failed", "answer_too_large")


def test_large_grpc_request(otlp_grpc_receiver: OtlpReceiver) -> None:
    """
    A request above a gRPC server's limit is recognised, so that it can be split.
    """
    request = make_request(2, 3 << 20)
    sender = make_sender(otlp_grpc_receiver.endpoint, "grpc")

    outcome = send(sender, request, count=2, timeout_s=5.0)
    halves = halve("logs", Batch(request, 2))

    assert (outcome.kind, outcome.cause) == ("rejected", "too_large")
    assert halves is not None
    assert [send(sender, half.request, half.count, timeout_s=5.0).kind for half in halves] == ["delivered"] * 2
    assert [body[:8] for body in otlp_grpc_receiver.bodies()] == ["record 0", "record 1"]


def test_abort(receiver: OtlpReceiver) -> None:
    """
    An attempt under way is cut at once from another thread, and none begins after it.
    """
    receiver.then(Answer(delay_s=1.0))
    sender = make_sender(receiver.endpoint, receiver.protocol)
    began = time.monotonic()
    timer = threading.Timer(0.2, sender.abort)
    timer.start()

    outcomes = [send(sender, timeout_s=5.0), send(sender, timeout_s=5.0)]

    timer.join()
    assert [outcome.cause for outcome in outcomes] == ["aborted", "aborted"]
    assert time.monotonic() - began < 0.9


def test_headers_of_the_environment_do_not_join(otlp_receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where headers were given to configure(), a token in the environment is not sent along to another address.
    """
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=old,x-shared=env")

    send(make_sender(otlp_receiver.endpoint, headers={"x-shared": "argument"}))

    headers = otlp_receiver.requests[0].headers
    assert headers["x-shared"] == "argument"
    assert "authorization" not in headers


def test_seam_gone(otlp_receiver: OtlpReceiver) -> None:
    """
    An exporter that no longer uses its session loses nothing: we send by ourselves, and say so once.
    """
    announced: list[str] = []
    sender = make_sender(otlp_receiver.endpoint, announced=announced, headers={"x-token": "1"})

    class Other:
        def export(self, batch: Any) -> str:
            return "SUCCESS"

    sender._exporter = Other()  # type: ignore[attr-defined]  # what a future version may do

    outcomes = [send(sender), send(sender)]

    assert [outcome.kind for outcome in outcomes] == ["delivered", "delivered"]
    assert otlp_receiver.bodies() == ["record 0", "record 1", "record 2"] * 2
    assert otlp_receiver.requests[0].headers["x-token"] == "1"
    assert len(announced) == 1


def test_channel_gone(otlp_grpc_receiver: OtlpReceiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A gRPC exporter that keeps its channel elsewhere: we open our own, and say so once.
    """
    monkeypatch.setattr("otelbridge.otlp.transport_grpc._make_exporter", lambda *_: object())
    announced: list[str] = []

    outcome = send(make_sender(otlp_grpc_receiver.endpoint, "grpc", announced=announced))

    assert outcome.kind == "delivered"
    assert len(announced) == 1


@pytest.mark.parametrize(
    ("cause", "endpoint", "protocol", "words"),
    [
        ("http_404", "http://h:4318/v1/logs/v1/logs", "http/protobuf", "the path is doubled"),
        ("http_404", "http://h:8080/wrong", "http/protobuf", "base URL"),
        ("refused", "http://h:4318/v1/logs", "http/protobuf", "is a collector listening"),
        ("garbage", "http://h:4317/v1/logs", "http/protobuf", "use port 4318"),
        ("unavailable", "http://h:4318", "grpc", "use port 4317"),
        ("http_401", "http://h:4318/v1/logs", "http/protobuf", "check headers"),
        ("redirect", "http://h/v1/logs", "http/protobuf", "not followed"),
        ("tls", "https://h/v1/logs", "http/protobuf", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
    ],
)
def test_hint(cause: str, endpoint: str, protocol: str, words: str) -> None:
    """
    Each common mistake is answered by its likely fix.
    """
    assert words in hint(cause, endpoint, protocol)

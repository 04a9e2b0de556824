"""The loopback OTLP receiver, over real sockets."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import socket
import threading
from collections.abc import Iterator, Mapping

import pytest
from google.protobuf.message import Message
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # its package has neither stubs nor py.typed
from hypothesis import given, settings
from hypothesis import strategies as st

from otelbridge.viewer import receive
from otelbridge.viewer.receive import Receiver
from otelbridge.viewer.store import Store
from tests.viewer.requests import TRACE_ID, duration_point, log_record, logs, metrics, span, traces

PROTOBUF = {"Content-Type": "application/x-protobuf"}


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def receiver(store: Store) -> Iterator[Receiver]:
    with Receiver(store) as running:
        yield running


def post(
    receiver: Receiver, path: str, body: bytes, headers: Mapping[str, str] | None = None, method: str = "POST"
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=10.0)
    try:
        connection.request(method, path, body, {**PROTOBUF, **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def reason(body: bytes) -> str:
    return str(Status.FromString(body).message)


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
@pytest.mark.parametrize(
    ("path", "request_message"),
    [
        ("/v1/logs", logs(log_record())),
        ("/v1/traces", traces(span())),
        ("/v1/metrics", metrics(duration_point(1, trace_id=TRACE_ID))),
    ],
)
def test_each_signal_is_taken(
    receiver: Receiver, store: Store, path: str, request_message: Message, encoding: str
) -> None:
    """Logs, spans and points are taken, plain and gzipped, and answered with an empty protobuf message."""
    body = request_message.SerializeToString()
    body = gzip.compress(body) if encoding == "gzip" else body

    status, answer = post(receiver, path, body, {"Content-Encoding": encoding})

    counts = store.counts()
    assert (status, answer) == (200, b"")
    assert counts.logs + counts.spans + counts.points == 1


def test_official_exporter_is_understood(receiver: Receiver, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the official exporter sends arrives, and it sees success."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=f"{receiver.endpoint}/v1/traces")))

    provider.get_tracer("test").start_span("official").end()
    provider.shutdown()

    assert store.counts().spans == 1


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:4318"}, 403),
        ({"Host": "[::1"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost:4318", "Origin": "http://localhost:3000"}, 200),
        ({"Host": "[::1]:4318"}, 200),
    ],
)
def test_web_pages_cannot_send(receiver: Receiver, headers: dict[str, str], expected: int) -> None:
    """A foreign Host (DNS rebinding) or Origin (a web page) is refused; loopback names are not."""
    status, _ = post(receiver, "/v1/logs", logs(log_record()).SerializeToString(), headers)

    assert status == expected


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "words"),
    [
        ("/v1/logs/v1/logs", b"", {}, 404, "/v1/logs, /v1/traces, /v1/metrics"),
        ("/v1/logs", b"{}", {"Content-Type": "application/json"}, 415, "application/x-protobuf"),
        ("/v1/logs", b"", {"Content-Encoding": "br"}, 415, "gzip"),
        ("/v1/logs", b"not gzip", {"Content-Encoding": "gzip"}, 400, "gzip"),
        ("/v1/logs", gzip.compress(b"x" * 99)[:-9], {"Content-Encoding": "gzip"}, 400, "whole"),
        ("/v1/logs", b"\xff\xff\xff", {}, 400, "ExportLogsServiceRequest"),
        ("/v1/logs", b"", {"Content-Length": "99999999999999999999"}, 413, "16777216"),
        ("/v1/logs", b"", {"Content-Length": "-1"}, 400, "Content-Length"),
    ],
)
def test_bad_request_is_refused_with_a_sentence(
    receiver: Receiver, store: Store, path: str, body: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    """A wrong path, type, encoding, length or content gets its HTTP status and a Status message; nothing is stored."""
    got, answer = post(receiver, path, body, headers)

    assert got == status
    assert words in reason(answer)
    assert store.counts().logs == 0


def test_get_says_what_this_is(receiver: Receiver) -> None:
    """Somebody who opens the address in a browser is told what it is."""
    status, answer = post(receiver, "/", b"", method="GET")

    assert status == 404
    assert "OTLP receiver" in reason(answer)


def test_bomb_is_not_inflated(receiver: Receiver, store: Store) -> None:
    """A body that would unpack to more than 16 MiB is refused with 413."""
    bomb = gzip.compress(bytes(64 * 1024 * 1024))

    status, answer = post(receiver, "/v1/logs", bomb, {"Content-Encoding": "gzip"})

    assert len(bomb) < 100_000
    assert status == 413
    assert "after decompression" in reason(answer)
    assert store.counts().logs == 0


def test_size_limit_is_exact() -> None:
    """A body of just 16 MiB passes; one byte more does not."""
    fits = bytes(receive.BODY_SIZE_MAX)

    assert len(receive.unpack(gzip.compress(fits), "gzip")) == receive.BODY_SIZE_MAX
    with pytest.raises(receive.RequestError) as caught:
        receive.unpack(gzip.compress(fits + b"\0"), "gzip")
    assert caught.value.status == 413


def test_connection_is_kept(receiver: Receiver, store: Store) -> None:
    """One connection serves many requests, as the official exporters use it."""
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=10.0)
    for _ in range(3):
        connection.request("POST", "/v1/logs", logs(log_record()).SerializeToString(), PROTOBUF)
        assert connection.getresponse().read() == b""
    connection.close()

    assert store.counts().logs == 3


def test_too_many_connections_are_closed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit a connection is closed at once, and those within it still work."""
    monkeypatch.setattr(receive, "CONNECTION_COUNT_MAX", 1)
    with Receiver(store) as receiver:
        kept = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=10.0)
        kept.request("POST", "/v1/logs", logs(log_record()).SerializeToString(), PROTOBUF)
        kept.getresponse().read()
        with socket.create_connection(("127.0.0.1", receiver.port), timeout=10.0) as second:
            assert second.recv(1) == b""
        kept.request("POST", "/v1/logs", logs(log_record()).SerializeToString(), PROTOBUF)
        kept.getresponse().read()
        kept.close()

    assert store.counts().logs == 2


def test_stop_leaves_nothing(store: Store) -> None:
    """After `stop` no thread of the receiver lives, though a sender kept its connection; a second one does nothing."""
    receiver = Receiver(store)
    receiver.start()
    connection = http.client.HTTPConnection("127.0.0.1", receiver.port, timeout=10.0)
    connection.request("POST", "/v1/logs", logs(log_record()).SerializeToString(), PROTOBUF)
    connection.getresponse().read()

    receiver.stop()
    receiver.stop()
    connection.close()

    assert not [thread for thread in threading.enumerate() if thread.name.startswith("otelbridge-receiver")]
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", receiver.port), timeout=10.0)


def test_sender_that_leaves_does_no_harm(receiver: Receiver, store: Store, capfd: pytest.CaptureFixture[str]) -> None:
    """A sender that dies within its request leaves no record, and no word on the screen."""
    with socket.create_connection(("127.0.0.1", receiver.port), timeout=10.0) as sender:
        sender.sendall(
            b"POST /v1/logs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n"
            b"Content-Type: application/x-protobuf\r\n\r\nhalf"
        )

    status, _ = post(receiver, "/v1/logs", logs(log_record()).SerializeToString())

    assert status == 200
    assert store.counts().logs == 1
    assert capfd.readouterr() == ("", "")


@settings(max_examples=200, deadline=None)
@given(body=st.binary(max_size=200))
def test_any_bytes_are_survived(body: bytes) -> None:
    """Whatever bytes are sent, they are taken or refused: nothing else is raised."""
    for route in receive._routes(Store()).values():
        with contextlib.suppress(receive.RequestError):
            route(body)

"""Requests that go wrong in every way a client can think of: one record, one line, and a server that goes on."""

from __future__ import annotations

import contextlib
import re
import ssl
import time
from collections.abc import Iterator

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ResponseReceived

from tests.otlp.receivers import OtlpReceiver, Received
from tests.server.clients import connected, read_all, read_head, reset
from tests.server.serving import APP, Served, serving, wait_until
from tests.server.test_telemetry import exporting

# How long the server keeps a connection that says nothing, or does not say all.
KEEP_ALIVE_S = 1.0

STREAMING = (
    APP
    + """
plain = app

async def app(scope, receive, send):
    if scope.get("path") == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(60):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            await sleep(0.01)
        await send({"type": "http.response.body", "body": b""})
    elif scope.get("path") == "/wait":
        while (await receive())["type"] != "http.disconnect":
            pass
    elif scope.get("path") == "/fail":
        raise RuntimeError("broken")
    else:
        await plain(scope, receive, send)
"""
)

# In an access line: `"GET / 1.1" 200 5 "-"`.
STATUS = re.compile(r'" (\S+) \S+ "')

# What an access record says of a request: method, path, status.
Told = tuple[str | None, str, int | None]


class Place:
    """A server, and what has been said of its requests: in records, and in the lines of its access log."""

    def __init__(self, served: Served, receiver: OtlpReceiver) -> None:
        self.served = served
        self.port = served.port
        self._receiver = receiver
        self._expected = 0
        (self._worker,) = served.workers()

    def records(self) -> list[Received]:
        kinds = ("http.server.access", "websocket.session")
        return [received for received in self._receiver.logs() if received.item.event_name in kinds]

    def lines(self) -> list[str]:
        return (self.served.folder / "access.log").read_text().splitlines()

    def begin(self) -> None:
        """Forget what has been said: a test that fails is not to take others with it."""
        self._expected = len(self.records())
        self._said_before = len(self.served.err)

    def expect(self, *told: Told, status: str, fails: bool = False) -> None:
        """Fail unless the records since the last time tell that, and the lines have *status*; the server goes on."""
        before = self._expected
        self._expected += len(told)
        wait_until(lambda: len(self.records()) >= self._expected, f"{told} is not recorded")
        wait_until(lambda: len(self.lines()) >= self._expected, f"{told} has no line")
        fine = f"/fine/{self._expected}"
        assert int(self.served.get(fine)) == self._worker
        self._expected += 1
        wait_until(lambda: self._said(before)[-1:] == [("GET", fine, 200)], "the next request is not recorded")

        assert self._said(before) == [*told, ("GET", fine, 200)]
        assert [STATUS.findall(line) for line in self.lines()[before:]] == [[each] for each in (*status.split(), "200")]
        assert ("Traceback" in self.served.err[self._said_before :]) == fails

    def check_end(self) -> None:
        """Fail if anything was told later, or more than once."""
        assert self.served.stop() == 0
        assert len(self.records()) == len(self.lines()) == self._expected

    def _said(self, since: int) -> list[Told]:
        records = [record.attributes for record in self.records()[since:]]
        return [
            (each.get("http.request.method"), each["url.path"], each.get("http.response.status_code"))
            for each in records
        ]


@pytest.fixture(scope="module", params=["asyncio", "uvloop", "trio"])
def shared_place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    receiver = OtlpReceiver()
    options = ["-k", request.param, "--access-logfile", "access.log", "--keep-alive", str(KEEP_ALIVE_S)]
    options += ["--server-name", "shop.example", "--server-name", "127.0.0.1"]
    folder = tmp_path_factory.mktemp(request.param)
    with serving(folder, *options, app=STREAMING, **exporting(receiver)) as served:
        place = Place(served, receiver)
        yield place
        place.check_end()
    receiver.close()


@pytest.fixture
def place(shared_place: Place) -> Place:
    """The server of a worker class, with whatever a test before has left behind forgotten."""
    shared_place.begin()
    return shared_place


def say(port: int, *parts: bytes, pause_s: float = 0.0) -> bytes:
    """Say it, and return what the server answers until it closes; it may well close before all was said."""
    with connected(port) as connection:
        with contextlib.suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
                time.sleep(pause_s)
        return read_all(connection)


def leave(port: int, *, how: str, said: bytes) -> None:
    """Say it, and leave."""
    with connected(port) as connection:
        connection.sendall(said)
        # Not before it was read: what is reset together with its connection never came.
        time.sleep(0.1)
        if how == "reset":
            reset(connection)


leaving = pytest.mark.parametrize("how", ["close", "reset"])
HOST = b"Host: shop.example\r\n"


def test_a_request_line_of_200_kb(place: Place) -> None:
    """
    It is refused before anybody knows its method and path.
    """
    say(place.port, b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n")
    place.expect(("_OTHER", "", 431), status="431")


def test_garbage(place: Place) -> None:
    """
    Bytes that are no HTTP at all.
    """
    assert say(place.port, b"\x00\xff\x13 garbage\r\n\r\n").startswith(b"HTTP/1.1 400")
    place.expect(("_OTHER", "", 400), status="400")


def test_tls_on_a_plain_port(place: Place) -> None:
    """
    A client that begins with a TLS handshake.
    """
    outgoing = ssl.MemoryBIO()
    handshake = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="shop.example")
    with contextlib.suppress(ssl.SSLWantReadError):
        handshake.do_handshake()
    say(place.port, outgoing.read())
    place.expect(("_OTHER", "", 400), status="400")


@leaving
def test_a_header_that_never_ends(place: Place, how: str) -> None:
    """
    A client that leaves in the middle of its headers.
    """
    leave(place.port, how=how, said=b"GET /items HTTP/1.1\r\n" + HOST + b"X-Long: aaaa")
    # Hypercorn answers one that has only stopped sending.
    place.expect(("_OTHER", "", 400 if how == "close" else None), status="400" if how == "close" else "-")


def test_a_slow_client_is_served(place: Place) -> None:
    """
    A byte at a time, but all of them: it is answered.
    """
    request = b"GET /slowly HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    answer = say(place.port, *(request[at : at + 1] for at in range(len(request))), pause_s=0.005)
    assert answer.startswith(b"HTTP/1.1 200")
    place.expect(("GET", "/slowly", 200), status="200")


def test_a_client_that_is_too_slow(place: Place) -> None:
    """
    One that has not said all when the time of idle connections is over is cut, however often it says another byte.
    """
    assert say(place.port, b"GET /too-slow HTTP/1.1\r\nX: ", *[b"a"] * 15, pause_s=KEEP_ALIVE_S / 10) == b""
    place.expect(("_OTHER", "", None), status="-")


@leaving
def test_an_aborted_upload(place: Place, how: str) -> None:
    """
    A client that leaves in the middle of its body, of an app that answers none the less.
    """
    leave(place.port, how=how, said=b"POST /body HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\nthe first")
    place.expect(("POST", "/body", 200), status="-")


def test_an_upload_in_broken_pieces(place: Place) -> None:
    """
    A chunked body whose chunks are none.
    """
    head = b"POST /body HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    assert say(place.port, head, b"no size\r\nno chunk\r\n", pause_s=0.1).startswith(b"HTTP/1.1 400")
    place.expect(("POST", "/body", 200), status="-")


@pytest.mark.covers("0.6", note="one line for a client that leaves; Hypercorn writes another when the app has ended")
@leaving
@pytest.mark.parametrize("path", ["/stream", "/wait"])
def test_a_client_that_leaves_its_answer(place: Place, how: str, path: str) -> None:
    """
    One that leaves in the middle of an answer that goes on, or before there is one.
    """
    with connected(place.port) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\n".encode() + HOST + b"\r\n")
        if path == "/stream":
            read_head(connection)
        else:
            time.sleep(0.1)
        if how == "reset":
            reset(connection)
    place.expect(("GET", path, 200 if path == "/stream" else None), status="-")


def test_a_client_that_only_stops_sending(place: Place) -> None:
    """
    One that closes its own direction and reads on, as `nc` does, gets the whole answer.
    """
    with connected(place.port) as connection:
        connection.sendall(b"GET /stream HTTP/1.1\r\n" + HOST + b"\r\n")
        connection.shutdown(1)
        answer = read_all(connection)
    assert answer.endswith(b"\r\n0\r\n\r\n")
    place.expect(("GET", "/stream", 200), status="-")


def test_an_app_that_fails(place: Place) -> None:
    """
    The server's 500 is one line, though the client leaves as soon as it has it.
    """
    assert say(place.port, b"GET /fail HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n").startswith(b"HTTP/1.1 500")
    place.expect(("GET", "/fail", None), status="500", fails=True)


@pytest.mark.covers("2.12")
def test_a_name_that_is_not_served(place: Place) -> None:
    """
    With --server-name, another Host gets 404 from the server itself: one record all the same.
    """
    answer = say(place.port, b"GET /items HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 404")
    place.expect(("GET", "/items", 404), status="404")


def test_garbage_after_a_good_request(place: Place) -> None:
    """
    On a kept connection, garbage after an answer is one more record.
    """
    with connected(place.port) as connection:
        connection.sendall(b"GET /good HTTP/1.1\r\n" + HOST + b"\r\n")
        assert read_head(connection).startswith(b"HTTP/1.1 200")
        time.sleep(0.1)
        connection.sendall(b"\x00\xff\x13 garbage\r\n\r\n")
        read_all(connection)
    place.expect(("GET", "/good", 200), ("_OTHER", "", 400), status="200 400")


@pytest.mark.parametrize("how", ["reset_stream", "leave"])
def test_http2_that_is_broken_off(place: Place, how: str) -> None:
    """
    HTTP/2: a stream that its client resets, or a connection that it drops, before there is an answer.
    """
    with connected(place.port) as connection:
        client = start_http2("/wait")
        connection.sendall(client.data_to_send())
        time.sleep(0.1)
        if how == "reset_stream":
            client.reset_stream(1)
            connection.sendall(client.data_to_send())
            time.sleep(0.1)
    place.expect(("GET", "/wait", None), status="-")


def test_http2_that_leaves_its_answer(place: Place) -> None:
    """
    HTTP/2: a stream that its client resets in the middle of the answer.
    """
    with connected(place.port) as connection:
        client = start_http2("/stream")
        connection.sendall(client.data_to_send())
        while not any(isinstance(event, ResponseReceived) for event in client.receive_data(connection.recv(65536))):
            pass
        client.reset_stream(1)
        connection.sendall(client.data_to_send())
        time.sleep(0.1)
    place.expect(("GET", "/stream", 200), status="-")


def start_http2(path: str) -> H2Connection:
    """A client of HTTP/2 without an upgrade, with one request on its way."""
    client = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    client.initiate_connection()
    headers = {":method": "GET", ":path": path, ":scheme": "http", ":authority": "shop.example"}
    client.send_headers(1, list(headers.items()), end_stream=True)
    return client


def test_a_websocket_handshake_without_a_key(place: Place) -> None:
    """
    The server refuses it by itself.
    """
    head = b"GET /echo HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    with connected(place.port) as connection:
        connection.sendall(head)
        assert read_head(connection).startswith(b"HTTP/1.1 400")
    place.expect(("GET", "/echo", 400), status="400")

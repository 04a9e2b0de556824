"""Where it listens and what it speaks: every kind of place, TLS, HTTP/2, WebSockets, WSGI, Hypercorn's middlewares."""

from __future__ import annotations

import asyncio
import functools
import http.client
import logging
import signal
import socket
import ssl
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import hypercorn.asyncio
import hypercorn.trio
import pytest
import trio
import websockets.sync.client

from otelbridge.hypercorn.config import Config
from otelbridge.hypercorn.logging import Logger
from otelbridge.server.checks import Listening
from tests.server.serving import APP, Served, certify, free_port, serving, wait_until

# Answers with what it was told of the request.
SCOPE_APP = (
    APP
    + """
import json

async def answer(scope, receive, send):
    names = ("root_path", "path", "scheme", "http_version", "client")
    seen = {"pid": os.getpid(), **{name: scope[name] for name in names}}
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(seen).encode()})
"""
)
HAS_IPV6 = socket.has_ipv6 and Path("/proc/net/if_inet6").exists() and Path("/proc/net/if_inet6").read_text() != ""


def ask(served: Served, path: str = "/", **options: Any) -> httpx.Response:
    """An answer; options are httpx.Client's, and `url`: scheme, host and port."""
    url = options.pop("url", f"http://127.0.0.1:{served.port}")
    headers = options.pop("headers", {})
    with httpx.Client(timeout=20, trust_env=False, **options) as client:
        return client.get(f"{url}{path}", headers=headers)


# -- places --


@pytest.fixture(scope="module", params=["asyncio", "uvloop", "trio"])
def places(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of each worker class that listens on TCP, on a Unix socket, and on IPv6 where there is any."""
    folder = tmp_path_factory.mktemp("places")
    more = ["-b", "[::1]:{port}"] if HAS_IPV6 else []
    with serving(folder, "-k", request.param, "-b", "unix:x.sock", "--umask", "63", *more, app=SCOPE_APP) as served:
        yield served


@pytest.mark.covers("3.3")
def test_every_place_is_served(places: Served) -> None:
    """
    Requests by TCP and by the Unix socket reach the same worker.
    """
    by_tcp = ask(places).json()
    by_unix = ask(places, transport=httpx.HTTPTransport(uds=str(places.folder / "x.sock"))).json()

    assert by_tcp["pid"] == by_unix["pid"]
    assert by_tcp["client"][0] == "127.0.0.1"
    assert by_unix["client"] is None


@pytest.mark.covers("3.3")
@pytest.mark.skipif(not HAS_IPV6, reason="there is no IPv6 here")
def test_ipv6_is_a_place(places: Served) -> None:
    """
    [::1]:port listens on IPv6.
    """
    assert ask(places, url=f"http://[::1]:{places.port}").json()["client"][0] == "::1"


@pytest.mark.covers("3.3")
def test_a_unix_socket_has_the_mode_that_was_asked_for(places: Served) -> None:
    """
    --umask 63 (octal 77) leaves a Unix socket to its owner.
    """
    assert stat.S_IMODE((places.folder / "x.sock").stat().st_mode) == 0o700


@pytest.mark.covers("3.13")
def test_websockets_are_echoed(places: Served) -> None:
    """
    WebSockets work by TCP and by the Unix socket.
    """
    connect, unix_connect = websockets.sync.client.connect, websockets.sync.client.unix_connect
    for socket_ in (connect(f"ws://127.0.0.1:{places.port}/"), unix_connect(str(places.folder / "x.sock"))):
        with socket_:
            socket_.send("tea")

            assert socket_.recv(timeout=20) == "tea"


@pytest.mark.covers("3.3")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_unix_socket_stays_until_the_end(tmp_path: Path, workers: int) -> None:
    """
    Its file outlives the workers that SIGHUP replaces, and is removed when the server ends.
    """
    path = tmp_path / "x.sock"
    with serving(tmp_path, "-b", "unix:x.sock", workers=workers) as served:
        before = path.stat().st_ino
        if workers:
            served.send(signal.SIGHUP)
            served.await_running(4)
        assert path.stat().st_ino == before
        assert served.stop() == 0

    assert not path.exists()


@pytest.mark.covers("3.3")
def test_an_old_sockets_file_is_replaced_and_a_new_ones_left(tmp_path: Path) -> None:
    """
    The file of a server that was killed is in nobody's way; that of a successor is not taken from it at the end.
    """
    path = tmp_path / "x.sock"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    with serving(tmp_path, "-b", "unix:x.sock") as served:
        assert ask(served, transport=httpx.HTTPTransport(uds=str(path))).status_code == 200
        path.unlink()
        path.touch()
        assert served.stop() == 0

    assert path.exists()


# What systemd does for a .socket unit: it listens, and hands the descriptor on.
ACTIVATE = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
os.set_inheritable(listener.fileno(), True)
places = ["-b", f"fd://{listener.fileno()}"]
os.execv(sys.executable, [sys.executable, "-m", "otelbridge", "run", *places, *sys.argv[2:]])
"""


@pytest.mark.covers("3.3")
@pytest.mark.parametrize(("worker_class", "workers"), [("asyncio", 0), ("asyncio", 2), ("uvloop", 1), ("trio", 1)])
def test_a_socket_that_somebody_else_opened(tmp_path: Path, worker_class: str, workers: int) -> None:
    """
    fd://N serves on a listening socket that was inherited, with workers and without.
    """
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "activate.py").write_text(ACTIVATE)
    options = ("{port}", "-k", worker_class, "-w", str(workers), "app:app")
    served = Served(tmp_path, *options, program="activate.py")
    try:
        served.await_running(max(workers, 1))

        assert int(served.get()) in (served.workers() or {served.pid})
        assert served.stop() == 0
    finally:
        served.kill()


@pytest.mark.covers("3.11")
@pytest.mark.parametrize(("workers", "expected"), [(0, False), (1, False), (2, True)])
def test_the_kernel_may_balance_with_several_workers(workers: int, expected: bool) -> None:
    """
    SO_REUSEPORT is set on what several workers listen on, and otherwise not.
    """
    config = Config()
    config.bind, config.workers = ["127.0.0.1:0"], workers
    with Listening(config) as sockets:
        (listener,) = sockets.insecure_sockets

        assert bool(listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)) is expected


# -- TLS --

REDIRECTING = (
    SCOPE_APP.replace("async def app(", "async def inner(")
    + """
from hypercorn.middleware import HTTPToHTTPSRedirectMiddleware
app = HTTPToHTTPSRedirectMiddleware(inner, host="localhost:" + os.environ["TLS_PORT"])
"""
)


@pytest.fixture(scope="module", params=["asyncio", "uvloop", "trio"])
def secured(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of each worker class with TLS on a port of its own, and without on `port`, which redirects there."""
    folder = tmp_path_factory.mktemp("secured")
    certify(folder)
    (folder / "app.py").write_text(REDIRECTING)
    tls_port = str(free_port())
    binds = ("-b", f"127.0.0.1:{tls_port}", "--insecure-bind", "127.0.0.1:{port}")
    files = ("--certfile", "cert.pem", "--keyfile", "cert-key.pem")
    served = Served(folder, "-k", request.param, *binds, *files, "app:app", TLS_PORT=tls_port)
    served.folder = folder
    try:
        served.await_running(2)
        yield served
    finally:
        served.kill()


def trusting(served: Served) -> ssl.SSLContext:
    """A client's TLS that trusts the server's certificate."""
    return ssl.create_default_context(cafile=served.folder / "cert.pem")


def secure_place(served: Served) -> str:
    """Host and port of TLS."""
    location = ask(served).headers["location"]
    return str(httpx.URL(location).netloc.decode())


@pytest.mark.covers("3.13")
@pytest.mark.parametrize(("http2", "version"), [(True, "HTTP/2"), (False, "HTTP/1.1")])
def test_tls_speaks_http_2_and_http_1(secured: Served, http2: bool, version: str) -> None:
    """
    With TLS a client gets HTTP/2 if it wants to, and HTTP/1.1 otherwise.
    """
    place = f"https://{secure_place(secured)}"
    answer = ask(secured, "/a", url=place, verify=trusting(secured), http2=http2)

    assert answer.http_version == version
    assert (answer.json()["scheme"], answer.json()["path"]) == ("https", "/a")


@pytest.mark.covers("3.13")
@pytest.mark.covers("3.3")
def test_the_insecure_place_redirects(secured: Served) -> None:
    """
    Beside TLS, --insecure-bind serves plain HTTP, which Hypercorn's middleware sends to the other.
    """
    answer = ask(secured, "/a?b=c")

    assert answer.status_code == 307
    assert answer.headers["location"] == f"https://{secure_place(secured)}/a?b=c"


@pytest.mark.covers("3.13")
def test_websockets_are_echoed_by_tls(secured: Served) -> None:
    """
    wss:// works as ws:// does.
    """
    with websockets.sync.client.connect(f"wss://{secure_place(secured)}/", ssl=trusting(secured)) as socket_:
        socket_.send("tea")

        assert socket_.recv(timeout=20) == "tea"


@pytest.mark.covers("3.3")
def test_clients_without_a_certificate_are_refused(tmp_path: Path) -> None:
    """
    --verify-mode CERT_REQUIRED with --ca-certs lets in who has a certificate, and nobody else.
    """
    certify(tmp_path)
    tls = ("--certfile", "cert.pem", "--keyfile", "cert-key.pem", "--ca-certs", "cert.pem")
    with serving(tmp_path, *tls, "--verify-mode", "CERT_REQUIRED") as served:
        place = f"https://localhost:{served.port}"
        known = trusting(served)
        known.load_cert_chain(tmp_path / "cert.pem", tmp_path / "cert-key.pem")

        assert ask(served, url=place, verify=known).status_code == 200
        with pytest.raises(httpx.TransportError):
            ask(served, url=place, verify=trusting(served))


# -- requests --


@pytest.fixture(scope="module", params=["asyncio", "uvloop", "trio"])
def restricted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of each worker class with a root path, names that it serves, and little patience."""
    folder = tmp_path_factory.mktemp("restricted")
    names = ("--server-name", "shop.example", "--server-name", "*.shop.example")
    options = ("--root-path", "/shop/", "--keep-alive", "0.3", *names)
    with serving(folder, "-k", request.param, *options, app=SCOPE_APP) as served:
        yield served


@pytest.mark.covers("3.3")
def test_a_root_path_is_told_to_the_application(restricted: Served) -> None:
    """
    --root-path is ASGI's root_path, without a slash at its end.
    """
    assert ask(restricted, headers={"host": "shop.example"}).json()["root_path"] == "/shop"


@pytest.mark.covers("3.3", note="--server-name takes wildcards, and a port in the Host header is no other host")
@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("shop.example", 200),
        ("shop.example:8000", 200),
        ("tea.shop.example", 200),
        ("example", 404),
        ("shop.example.org", 404),
        ("tea-shop.example", 404),
    ],
)
def test_other_hosts_get_404(restricted: Served, host: str, status: int) -> None:
    """
    Requests to hosts that --server-name does not name are not found.
    """
    assert ask(restricted, headers={"host": host}).status_code == status


@pytest.mark.covers("3.3")
def test_an_idle_connection_is_closed(restricted: Served) -> None:
    """
    --keep-alive S closes a connection that has been idle so long; the default is 5 s.
    """
    connection = http.client.HTTPConnection("127.0.0.1", restricted.port, timeout=20)
    connection.request("GET", "/", headers={"host": "shop.example"})
    connection.getresponse().read()
    began_s = time.monotonic()

    assert connection.sock.recv(1) == b""
    assert time.monotonic() - began_s < 4
    connection.close()


WSGI = """
import os

def app(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("content-type", "text/plain")])
    return [str(os.getpid()).encode(), b" ", str(len(body)).encode()]
"""


@pytest.mark.covers("3.13")
@pytest.mark.parametrize(
    ("worker_class", "application"),
    [("asyncio", "app:app"), ("asyncio", "wsgi:app:app"), ("uvloop", "wsgi:app:app"), ("trio", "wsgi:app:app")],
)
def test_wsgi_is_served_with_bodies_of_limited_size(tmp_path: Path, worker_class: str, application: str) -> None:
    """
    A WSGI application is served, told or recognised; a body above wsgi_max_body_size is answered by 400.
    """
    (tmp_path / "app.py").write_text(WSGI)
    (tmp_path / "server.toml").write_text("wsgi_max_body_size = 1000\n")
    served = Served(tmp_path, "-k", worker_class, "-c", "server.toml", "-b", "127.0.0.1:{port}", application)
    try:
        served.await_running()
        url = f"http://127.0.0.1:{served.port}/"
        answers = [httpx.post(url, content=b"x" * size, timeout=20, trust_env=False) for size in (1000, 1001, 1)]

        assert [answer.status_code for answer in answers] == [200, 400, 200]
        assert answers[0].text.split()[1] == "1000"
        assert served.stop() == 0
    finally:
        served.kill()


COMPOSED = (
    SCOPE_APP.replace("async def app(", "async def inner(")
    + """
from hypercorn.middleware import ProxyFixMiddleware
from hypercorn.middleware.dispatcher import KINDDispatcherMiddleware
app = KINDDispatcherMiddleware({"/fixed": ProxyFixMiddleware(inner, mode="legacy"), "/plain": inner})
"""
)


@pytest.mark.covers("3.13")
@pytest.mark.parametrize(("worker_class", "kind"), [("asyncio", "Asyncio"), ("trio", "Trio")])
def test_hypercorns_middlewares_work(tmp_path: Path, worker_class: str, kind: str) -> None:
    """
    Applications that Hypercorn's dispatcher and proxy middlewares compose are served as they are by Hypercorn.
    """
    forwarded = {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}
    with serving(tmp_path, "-k", worker_class, app=COMPOSED.replace("KIND", kind)) as served:
        fixed, plain = (ask(served, path, headers=forwarded).json() for path in ("/fixed/a", "/plain/a"))

        assert (fixed["client"][0], fixed["scheme"]) == ("192.0.2.7", "https")
        assert (plain["client"][0], plain["scheme"]) == ("127.0.0.1", "http")
        assert ask(served, "/other").status_code == 404


# -- serve() --


async def tea(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"tea"})


def wsgi_tea(environ: Any, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"tea"]


def run_asyncio(app: Any, config: Config, mode: Any, talk: Callable[[], None]) -> None:
    """Serve in this process with hypercorn.asyncio.serve as long as *talk* takes."""

    async def main() -> None:
        stop = asyncio.Event()
        served = asyncio.create_task(hypercorn.asyncio.serve(app, config, shutdown_trigger=stop.wait, mode=mode))
        await asyncio.to_thread(talk)
        stop.set()
        await served

    asyncio.run(main())


def run_trio(app: Any, config: Config, mode: Any, talk: Callable[[], None]) -> None:
    """The same with hypercorn.trio.serve."""

    async def main() -> None:
        stop = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                functools.partial(hypercorn.trio.serve, app, config, shutdown_trigger=stop.wait, mode=mode)
            )
            await trio.to_thread.run_sync(talk)
            stop.set()

    trio.run(main)


@pytest.mark.covers("3.14")
@pytest.mark.parametrize(
    ("serve", "app", "mode"),
    [
        (run_asyncio, tea, None),
        (run_asyncio, wsgi_tea, "wsgi"),  # with trio Hypercorn's serve() takes no WSGI: its bridge leaves the lifespan
        (run_trio, tea, "asgi"),
    ],
)
def test_serve_takes_our_config(serve: Callable[..., None], app: Any, mode: str | None) -> None:
    """
    Hypercorn's serve(), of asyncio and trio, serves with our Config and logs by our Logger until its trigger.
    """
    port = free_port()
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.Logger("of-this-test")
    log.addHandler(handler)
    config = Config()
    config.bind, config.errorlog, config.accesslog = [f"127.0.0.1:{port}"], log, log
    bodies: list[bytes] = []

    def talk() -> None:
        wait_until(lambda: any("Running on" in line for line in lines), "it does not run")
        bodies.append(httpx.get(f"http://127.0.0.1:{port}/", trust_env=False, timeout=20).content)

    serve(app, config, mode, talk)

    assert bodies == [b"tea"]
    assert isinstance(config.log, Logger)
    assert any('"GET / 1.1" 200' in line for line in lines)

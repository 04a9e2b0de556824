"""A worker: loads the application, instruments it, and has Hypercorn serve it until it is told to stop.

Run as `python -m otelbridge.server.worker DESCRIPTOR` by the supervisor, with its end of the link as DESCRIPTOR; or,
for `workers=0`, `serve_here` in the process that asked. Telemetry starts here, and nowhere left of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from random import randint
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from otelbridge.server.drain import Drain, draining_config, install_trio, loop_class
from otelbridge.server.errors import StartError, sentence_of
from otelbridge.server.link import FAILED, READY, SERVED, SPENT, STOPPING, Lines, Order, line, make_order, read_order

if TYPE_CHECKING:
    from hypercorn.config import Config, Sockets

# How long a leaving worker answers what has reached it: longer than a request needs that is under way to it already.
DRAIN_S = 0.5

Mode = Literal["asgi", "wsgi"]


class Loaded(NamedTuple):
    """An application, instrumented, and how it is called."""

    app: Any
    mode: Mode


class Shift(NamedTuple):
    """All that a worker's loop needs: what it serves, for whom, and which signals end it."""

    app: Any
    mode: Mode
    config: Config
    boss: Boss
    drain: Drain
    spent: _Spent
    signals: list[int]


class Boss(Protocol):
    """Whom a worker answers to."""

    def tell(self, state: str, **more: object) -> None:
        """Say what the worker has come to."""

    def fileno(self) -> int:
        """Return what becomes readable when there is something to be told; -1: never."""

    def is_over(self) -> bool:
        """Read it, and return whether it means the end."""


class Supervisor:
    """The supervisor, at the other end of the link."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._lines = Lines()
        link.setblocking(False)

    def tell(self, state: str, **more: object) -> None:
        """Say what the worker has come to; a supervisor that is gone hears nothing."""
        with contextlib.suppress(OSError):
            self._link.setblocking(True)
            self._link.sendall(line(state, **more))
            self._link.setblocking(False)

    def fileno(self) -> int:
        """Return the link's descriptor."""
        return self._link.fileno()

    def is_over(self) -> bool:
        """Return whether it says stop, or is gone."""
        try:
            data = self._link.recv(4096)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return not data or any(message["state"] == "stop" for message in self._lines.feed(data))


class Nobody:
    """For a worker that is its own master: all there is to be told is that it serves."""

    def __init__(self, on_ready: Callable[[], object]) -> None:
        self._on_ready = on_ready
        self.has_served = False

    def tell(self, state: str, **more: object) -> None:  # noqa: ARG002 -- as Boss has it
        """Call `on_ready` when it serves."""
        if state == READY:
            self.has_served = True
            self._on_ready()

    def fileno(self) -> int:
        """Return that there is nothing to read."""
        return -1

    def is_over(self) -> bool:
        """Return False."""
        return False


def main(descriptor: int) -> int:
    """Be a worker; return its exit code."""
    link = socket.socket(fileno=descriptor)
    link.set_inheritable(False)
    order = read_order(link)
    sys.path[:] = order.sys_path
    # A terminal's Ctrl-C reaches all processes of its group, and reloads are the supervisor's business.
    for name in ("SIGINT", "SIGHUP", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    boss = Supervisor(link)
    drain = Drain()
    config = _config_of(order, drain)
    is_verbose = config.debug or config.loglevel.upper() in ("DEBUG", "TRACE")
    try:
        _serve(config, boss, drain, frozenset((*order.secure, *order.insecure)), ("SIGTERM",))
    except BaseException as error:
        boss.tell(FAILED, why=why(error), files=_files(config))
        if is_verbose:
            traceback.print_exc()
        return 1
    return 0


def serve_here(config: Config, sockets: Sockets, on_ready: Callable[[], object]) -> None:
    """Serve in this process until SIGTERM, SIGINT or SIGHUP; StartError: it could not, or ended by an error."""
    drain, nobody = Drain(), Nobody(on_ready)
    order = make_order(type(config), dict(vars(config)), sockets)
    ends = ("SIGTERM", "SIGINT", "SIGHUP", "SIGBREAK")
    # While the application is being loaded, nobody else takes them.
    handlers: dict[str, Any] = {**dict.fromkeys(ends, _give_up), "SIGUSR1": signal.SIG_IGN}
    numbers = {getattr(signal, name): act for name, act in handlers.items() if hasattr(signal, name)}
    previous = {number: signal.signal(number, act) for number, act in numbers.items()}
    try:
        _serve(_config_of(order, drain), nobody, drain, frozenset((*order.secure, *order.insecure)), ends)
    except _ToldToEnd:
        return
    except (Exception, SystemExit) as error:  # an application may call sys.exit()
        raise StartError(why(error)) from error
    finally:
        if nobody.has_served:  # and Hypercorn has closed them
            for sock in (*sockets.secure_sockets, *sockets.insecure_sockets, *sockets.quic_sockets):
                sock.detach()
        for number, act in previous.items():
            signal.signal(number, act)


class _ToldToEnd(BaseException):
    """A signal came before the application was there."""


def _give_up(*_: object) -> None:
    raise _ToldToEnd


def _config_of(order: Order, drain: Drain) -> Config:
    """Return the Config of an order: as the user's, but that it listens on the descriptors, and in one process."""
    config: Config = draining_config(order.config_class, drain)()
    for name, value in order.values.items():
        if name != "_log":
            setattr(config, name, value)
    places = [f"fd://{descriptor}" for descriptor in order.secure or order.insecure]
    config.bind = places
    config.insecure_bind = [f"fd://{descriptor}" for descriptor in order.insecure] if order.secure else []
    config.quic_bind = [f"fd://{descriptor}" for descriptor in order.quic]
    config.workers = 1
    return config


def _serve(config: Config, boss: Boss, drain: Drain, descriptors: frozenset[int], signals: tuple[str, ...]) -> None:
    debug, config.debug = config.debug, False  # Hypercorn's `serve` leaves that to whoever makes the loop
    numbers = [getattr(signal, name) for name in signals if hasattr(signal, name)]
    loaded = _load(config)
    _prepare_hypercorn()
    spent = _Spent(config)
    app = spent.count(loaded)
    shift = Shift(app, loaded.mode, config, boss, drain, spent, numbers)
    if config.worker_class == "trio":
        _serve_trio(shift)
    else:
        factory = loop_class(_loop_base(config.worker_class), drain, descriptors)
        with asyncio.Runner(debug=debug, loop_factory=factory) as runner:
            runner.get_loop().set_exception_handler(_on_loop_error)
            runner.run(_serve_asyncio(shift))


def _loop_base(worker_class: str) -> type[Any]:
    if worker_class == "uvloop":
        import uvloop

        return uvloop.Loop
    return getattr(asyncio, "ProactorEventLoop", asyncio.SelectorEventLoop)  # Windows has one, and makes it by default


def _load(config: Config) -> Loaded:
    """Load the application; it is instrumented unless it has seen to that itself."""
    from otelbridge.hypercorn.utils import load_application
    from otelbridge.server.starting import instrumented
    from otelbridge.wiring import send_early_logs

    wrapper: Any = load_application(config.application_path, config.wsgi_max_body_size)
    mode: Mode = "wsgi" if hasattr(wrapper, "max_body_size") else "asgi"
    send_early_logs()
    return Loaded(instrumented(wrapper.app, mode), mode)


def _prepare_hypercorn() -> None:
    import hypercorn.protocol.http_stream
    import hypercorn.protocol.ws_stream

    from otelbridge.hypercorn.utils import valid_server_name
    from otelbridge.server import broken, wsgi

    broken.install()
    wsgi.install()
    hypercorn.protocol.http_stream.valid_server_name = valid_server_name  # type: ignore[attr-defined]
    hypercorn.protocol.ws_stream.valid_server_name = valid_server_name  # type: ignore[attr-defined]


class _Spent:
    """Counts requests for `max_requests`. Hypercorn would end at once; so the supervisor can find a successor first."""

    def __init__(self, config: Config) -> None:
        limit, config.max_requests = config.max_requests, None
        self._left = None if limit is None else limit + randint(0, config.max_requests_jitter)
        self._tell: Callable[[], object] | None = None

    def begin(self, tell: Callable[[], object]) -> None:
        """Have `tell` called, once, when so many requests have come."""
        self._tell = tell

    def count(self, loaded: Loaded) -> Any:
        """Return the application with its requests counted."""
        if self._left is None:
            return loaded.app
        app = loaded.app

        async def asgi(scope: Any, receive: Any, send: Any) -> None:
            if scope["type"] != "lifespan":
                self._mark()
            await app(scope, receive, send)

        def wsgi(environ: Any, start_response: Any) -> Any:
            self._mark()
            return app(environ, start_response)

        return asgi if loaded.mode == "asgi" else wsgi

    def _mark(self) -> None:
        assert self._left is not None
        self._left -= 1
        if self._left < 0 and self._tell is not None:
            tell, self._tell = self._tell, None
            tell()


async def _serve_asyncio(shift: Shift) -> None:
    from hypercorn.asyncio import serve

    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    has_begun = False

    def end() -> None:
        # A startup that is under way has no request to wait for.
        if has_begun:
            stop.set()
        else:
            serving.cancel()

    def listen() -> None:
        if shift.boss.is_over():
            loop.remove_reader(shift.boss.fileno())
            end()

    def tired() -> None:
        _say_spent(shift.boss, lambda: loop.call_soon_threadsafe(stop.set))

    async def trigger() -> None:
        # Hypercorn awaits this when it has begun to serve.
        nonlocal has_begun
        has_begun = True
        shift.spent.begin(tired)
        shift.boss.tell(READY, files=_files(shift.config))
        await stop.wait()
        shift.boss.tell(STOPPING)
        shift.drain.begin()
        await asyncio.sleep(DRAIN_S)

    serving = loop.create_task(serve(shift.app, shift.config, shutdown_trigger=trigger, mode=shift.mode))
    with _handled(loop, shift.signals, end):
        if shift.boss.fileno() >= 0:
            loop.add_reader(shift.boss.fileno(), listen)
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        _leave(shift.boss)


@contextlib.contextmanager
def _handled(loop: asyncio.AbstractEventLoop, numbers: list[int], act: Callable[[], object]) -> Iterator[None]:
    """Have signals do `act` as long as the block lasts, and what they did before after it."""
    previous = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        try:
            loop.add_signal_handler(number, act)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(act))
    try:
        yield
    finally:
        for number, handler in previous.items():
            with contextlib.suppress(NotImplementedError):
                loop.remove_signal_handler(number)
            signal.signal(number, handler)


def _serve_trio(shift: Shift) -> None:
    import trio
    from hypercorn.trio import serve

    install_trio(shift.drain)

    async def main() -> None:
        stop = trio.Event()
        token = trio.lowlevel.current_trio_token()
        has_begun = False

        def end() -> None:
            if has_begun:
                stop.set()
            else:
                serving.cancel()

        async def listen() -> None:
            while not shift.boss.is_over():
                await trio.lowlevel.wait_readable(shift.boss.fileno())
            end()

        async def obey_signals(task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
            with trio.open_signal_receiver(*shift.signals) as received:
                task_status.started()
                async for _ in received:
                    end()

        def tired() -> None:
            _say_spent(shift.boss, lambda: token.run_sync_soon(stop.set))

        async def trigger() -> None:
            nonlocal has_begun
            has_begun = True
            shift.spent.begin(tired)
            shift.boss.tell(READY, files=_files(shift.config))
            await stop.wait()
            shift.boss.tell(STOPPING)
            shift.drain.begin()
            await trio.sleep(DRAIN_S)

        serving = trio.CancelScope()
        async with trio.open_nursery() as nursery:
            await nursery.start(obey_signals)
            if shift.boss.fileno() >= 0:
                nursery.start_soon(listen)
            with serving:
                await serve(shift.app, shift.config, shutdown_trigger=trigger, mode=shift.mode)
            _leave(shift.boss)
            nursery.cancel_scope.cancel()

    trio.run(main)


def _say_spent(boss: Boss, stop: Callable[[], object]) -> None:
    """Ask for a successor; with nobody to ask, end."""
    if boss.fileno() < 0:
        stop()
    else:
        boss.tell(SPENT)


def _leave(boss: Boss) -> None:
    """Deliver before the interpreter's own end, which may wait long for threads of the application."""
    from otelbridge.access.backends import flush_at_end

    boss.tell(SERVED)
    flush_at_end()


def _files(config: Config) -> dict[str, float]:
    """Return the files whose change is to replace this worker, with their times of change."""
    if not config.use_reloader:
        return {}
    from hypercorn.utils import files_to_watch

    return {str(path): changed_s for path, changed_s in files_to_watch().items()}


def why(error: BaseException) -> str:
    """Return one sentence on why a worker ended: what failed, and where in the application that was."""
    from hypercorn.utils import LifespanFailureError, LifespanTimeoutError, NoAppError

    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    if isinstance(error, NoAppError | LifespanTimeoutError | LifespanFailureError | StartError):
        return " ".join(str(error).split())
    return f"{sentence_of(error)}{_place(error)}"


def _place(error: BaseException) -> str:
    """Return where in somebody's own file an error arose, in brackets; "" where that is no help."""
    if isinstance(error, SyntaxError) and error.filename:
        return ""  # its text says it
    paths = sysconfig.get_paths()
    others = (str(Path(__file__).parents[1]), paths["stdlib"], paths["purelib"], paths["platlib"], "<")
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(others)]
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""


def _on_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """As Hypercorn's workers have it: a failed TLS handshake is the client's business."""
    if not isinstance(context.get("exception"), ssl.SSLError):
        loop.default_exception_handler(context)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))

"""LogPipeline: records leave by a thread of their own, and whatever happens there, who logs never waits."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import trio

from otelbridge import logger
from otelbridge.access.asgi import Message, Receive, Scope, Send
from otelbridge.integrations import pipeline as module
from otelbridge.integrations.json_http import JsonHTTPHandler
from otelbridge.integrations.pipeline import THREAD_NAME, LogPipeline
from otelbridge.testing import capture
from tests.access.listening import Listener
from tests.access.support import Harness, answer, hello
from tests.access.test_hypercorn import hypercorn, shop
from tests.pipeline.receiving import DEADLINE_S, LogServer, wait_for

NAME = "tests.pipeline.some"
LOG = logging.getLogger(NAME)


@pytest.fixture(autouse=True)
def quiet_logger() -> Iterator[None]:
    """Records of this file's logger reach nobody but pipelines, and none is left behind."""
    LOG.propagate = False
    yield
    assert not [handler for handler in LOG.handlers if isinstance(handler, module._Intake)]
    assert LOG.level == logging.NOTSET
    assert not module._running


class Stuck(Listener):
    """Takes no record until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.entered = threading.Event()
        self.released = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.entered.set()
        self.released.wait(DEADLINE_S)
        super().emit(record)


@contextmanager
def stuck() -> Iterator[Stuck]:
    """Released at the end, whatever happens."""
    handler = Stuck()
    try:
        yield handler
    finally:
        handler.released.set()


def messages(handler: Listener) -> list[str]:
    """What has come."""
    return [record.getMessage() for record in handler.records]


def pipeline_threads() -> int:
    """How many threads of pipelines there are."""
    return sum(thread.name == THREAD_NAME for thread in threading.enumerate())


@pytest.mark.covers("4.10")
def test_records_arrive_in_order_and_all_before_stop_returns() -> None:
    """
    What was logged between start and stop reaches each handler in order, on another thread; the rest does not.
    """
    first, second = Listener(), Listener()
    pipeline = LogPipeline(first, second, logger=NAME)

    LOG.warning("too early")
    pipeline.start()
    for i in range(1000):
        LOG.info("%d", i)
    assert pipeline.stop()
    LOG.warning("too late")

    assert messages(first) == messages(second) == [str(i) for i in range(1000)]
    assert pipeline_threads() == 0


@pytest.mark.covers("4.10")
def test_handlers_have_their_own_levels() -> None:
    """
    As with `respect_handler_level=True`, a handler gets what its level lets through.
    """
    everything, warnings = Listener(), Listener(logging.WARNING)
    with LogPipeline(everything, warnings, logger=LOG):
        LOG.info("a")
        LOG.warning("b")

    assert (messages(everything), messages(warnings)) == (["a", "b"], ["b"])


def test_a_record_is_made_ready_where_it_is_logged() -> None:
    """
    An argument that changes afterwards does not change the record; attributes, extra and traceback come along.
    """
    handler = Listener()
    items = ["before"]
    with stuck() as first, LogPipeline(first, handler, logger=LOG):
        try:
            raise RuntimeError("broken")
        except RuntimeError:
            LOG.error("%s", items, exc_info=True, extra={"tenant": "acme"})
        items.append("after")
        first.released.set()

    record = handler.record
    assert (record.getMessage(), record.tenant, record.funcName) == (
        *("['before']", "acme", "test_a_record_is_made_ready_where_it_is_logged"),
    )
    assert logging.Formatter().format(record).endswith("RuntimeError: broken")
    assert record.args is None


@pytest.mark.covers("4.10", note="the queue is bounded: what finds no room is counted")
@pytest.mark.covers("F9")
def test_the_queue_has_an_end(capsys: pytest.CaptureFixture[str]) -> None:
    """
    With a handler that is stuck, `capacity` records wait; others are counted, which is said once, and nobody waits.
    """
    with stuck() as handler:
        pipeline = LogPipeline(handler, logger=LOG, capacity=10)
        pipeline.start()
        LOG.info("in the handler's hands")
        assert handler.entered.wait(DEADLINE_S)
        for i in range(100):
            LOG.info("%d", i)
        assert pipeline.dropped == 90
        handler.released.set()
        assert pipeline.stop()

    assert messages(handler)[1:] == [str(i) for i in range(10)]
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "otelbridge: a log pipeline failed with OverflowError: more than 10 records waited, one was lost"


@pytest.mark.covers("4.10")
def test_a_request_is_served_while_the_handler_is_stuck() -> None:
    """
    The event loop never waits for a handler: requests are answered while one holds the thread.
    """
    with stuck() as handler:
        harness = Harness(shop)
        with LogPipeline(handler), hypercorn(harness.app) as port:
            for _ in range(5):
                assert httpx.get(f"http://127.0.0.1:{port}/tasks").text == "hello"
            assert handler.entered.wait(DEADLINE_S)
            assert handler.records == []
            handler.released.set()

    assert len(handler.records) == 5


@pytest.mark.covers("4.10")
def test_a_request_is_served_while_the_log_server_hangs(server: LogServer) -> None:
    """
    The same with a real log server that takes the connection and says nothing.
    """
    server.answers.clear()
    handler = JsonHTTPHandler(server.host, timeout_s=DEADLINE_S)
    pipeline = LogPipeline(handler)
    pipeline.start()
    with hypercorn(Harness(shop).app) as port:
        for _ in range(5):
            assert httpx.get(f"http://127.0.0.1:{port}/tasks").text == "hello"
        wait_for(lambda: server.connections == 1)
        assert server.records == []
    server.answers.set()
    assert pipeline.stop()
    handler.close()

    assert [record["path"] for record in server.records] == ["/tasks"] * 5


def test_stop_is_bounded(capsys: pytest.CaptureFixture[str]) -> None:
    """
    A handler that does not come back costs `timeout_s`; what waited behind it is counted, and the thread ends with it.
    """
    with stuck() as handler:
        pipeline = LogPipeline(handler, logger=LOG)
        pipeline.start()
        LOG.info("in the handler's hands")
        assert handler.entered.wait(DEADLINE_S)
        for i in range(7):
            LOG.info("%d", i)

        assert not pipeline.stop(0.1)

        assert pipeline.dropped == 7
    wait_for(lambda: pipeline_threads() == 0)
    assert len(handler.records) == 1
    assert "stopping a log pipeline failed with TimeoutError" in capsys.readouterr().err


def test_a_handler_that_raises_is_counted_and_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """
    What one handler raises is nobody else's trouble: it is counted and said once.
    """
    good = Listener()

    class Bad(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise SystemExit(record.getMessage())

    pipeline = LogPipeline(Bad(), good, logger=LOG)
    with pipeline:
        LOG.info("a")
        LOG.info("b")

    assert (messages(good), pipeline.failed) == (["a", "b"], 2)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_handler_that_logs_makes_no_endless_loop() -> None:
    """
    What a handler logs on the pipeline's own logger does not come round again.
    """

    class Chatty(Listener):
        def emit(self, record: logging.LogRecord) -> None:
            super().emit(record)
            LOG.info("handled")

    handler = Chatty()
    with LogPipeline(handler, logger=LOG):
        LOG.info("a")

    assert messages(handler) == ["a"]


class InterceptHandler(Listener):
    """Loguru's recipe, with our logger."""

    def emit(self, record: logging.LogRecord) -> None:
        logger.log(record.levelname, record.getMessage())


def test_a_bridge_behind_it_makes_no_second_record() -> None:
    """
    An access record that was sent does not come back through a handler that logs to us; what others log does.
    """
    with capture() as records, LogPipeline(InterceptHandler(), logger=logging.getLogger()) as pipeline:
        Harness(hello).get("/tasks")
        LOG.propagate = True
        LOG.info("sold")
        assert pipeline.flush()

    assert [record["message"] for record in records] == ["sold"]


def test_start_and_stop_again() -> None:
    """
    Both do nothing the second time; a stopped pipeline can be started again; the logger's level is as it was.
    """
    handler = Listener()
    pipeline = LogPipeline(handler, logger=LOG)
    count = len(LOG.handlers)
    for message in ("a", "b"):
        pipeline.start()
        pipeline.start()
        assert len(LOG.handlers) == count + 1
        LOG.info(message)
        assert pipeline.stop()
        assert pipeline.stop()
        assert LOG.level == logging.NOTSET

    assert messages(handler) == ["a", "b"]


def test_a_level_that_somebody_else_set_stays() -> None:
    """
    A logger that takes the records already keeps its level, also afterwards.
    """
    LOG.setLevel(logging.DEBUG)
    try:
        with LogPipeline(Listener(), logger=LOG):
            assert LOG.level == logging.DEBUG
        assert LOG.level == logging.DEBUG
    finally:
        LOG.setLevel(logging.NOTSET)


def test_no_thread_before_the_first_record() -> None:
    """
    A master that starts a pipeline and logs nothing has no thread.
    """
    with LogPipeline(Listener(), logger=LOG):
        assert pipeline_threads() == 0
        LOG.info("a")
        assert pipeline_threads() == 1


def test_flush_waits_for_what_was_logged() -> None:
    """
    After `flush` the handlers have all that was logged before; with one that is stuck it is False in time.
    """
    handler = Listener()
    with LogPipeline(handler, logger=LOG) as pipeline:
        LOG.info("a")
        assert pipeline.flush()
        assert messages(handler) == ["a"]
    with stuck() as slow, LogPipeline(slow, logger=LOG) as pipeline:
        LOG.info("a")
        assert not pipeline.flush(0.05)
        slow.released.set()


def test_batches_are_filled_or_sent_in_time() -> None:
    """
    A handler with `handle_batch` gets at most `batch_size` records at once, and a part of that after `batch_delay_s`.
    """

    class Batches(Listener):
        def __init__(self) -> None:
            super().__init__()
            self.sizes: list[int] = []

        def handle_batch(self, records: list[logging.LogRecord]) -> None:
            self.sizes.append(len(records))
            self.records += records

    handler = Batches()
    with LogPipeline(handler, logger=LOG, batch_size=10, batch_delay_s=0.05):
        for i in range(25):
            LOG.info("%d", i)
        wait_for(lambda: len(handler.records) == 25)
        assert handler.sizes == [10, 10, 5]

    assert messages(handler) == [str(i) for i in range(25)]


def test_many_threads_lose_nothing() -> None:
    """
    Records of threads that log at once arrive whole and once, while start and stop come in between.
    """
    handler, count = Listener(), 8
    pipeline = LogPipeline(handler, logger=LOG)
    done = threading.Event()

    def work(name: int) -> None:
        for i in range(500):
            LOG.info("%d-%d", name, i)

    def restart() -> None:
        while not done.is_set():
            assert pipeline.stop()
            pipeline.start()

    pipeline.start()
    threads = [threading.Thread(target=work, args=(name,)) for name in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert pipeline.stop()
    assert len(set(messages(handler))) == count * 500

    handler.records.clear()
    pipeline.start()
    threads = [threading.Thread(target=work, args=(name,)) for name in range(count)]
    restarting = threading.Thread(target=restart)
    for thread in [restarting, *threads]:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    restarting.join()
    assert pipeline.stop()
    assert len(set(messages(handler))) == len(handler.records)
    assert pipeline_threads() == 0


# --- around an app ---------------------------------------------------------------------------------------------------


async def play(app: Callable[[Scope, Receive, Send], Awaitable[None]], said: list[str]) -> None:
    """Be a server: start the app, and shut it down."""
    words = iter(("startup", "shutdown"))

    async def receive() -> Message:
        word = next(words)
        LOG.info("before %s", word)
        return {"type": f"lifespan.{word}"}

    async def send(message: Message) -> None:
        said.append(message["type"])
        LOG.warning("after %s", message["type"])

    await app({"type": "lifespan", "asgi": {}, "state": {}}, receive, send)


async def knowing(scope: Scope, receive: Receive, send: Send) -> None:
    """Knows its lifespan, and logs in it."""
    for word in ("startup", "shutdown"):
        assert (await receive())["type"] == f"lifespan.{word}"
        LOG.info("app's %s", word)
        await send({"type": f"lifespan.{word}.complete"})


async def raising(scope: Scope, receive: Receive, send: Send) -> None:
    """Knows of requests only."""
    assert scope["type"] == "http"
    await answer(send)


async def returning(scope: Scope, receive: Receive, send: Send) -> None:
    """Has no interest in the lifespan."""


@pytest.mark.covers("4.10")
@pytest.mark.parametrize("run", [asyncio.run, lambda coroutine: trio.run(lambda: coroutine)])
def test_the_lifespan_starts_and_stops_it(run: Callable[[Any], Any]) -> None:
    """
    It takes records before the app's startup, and has handed all over when the server hears of the shutdown's end.
    """
    handler = Listener()
    said: list[str] = []

    run(play(LogPipeline(handler, logger=LOG).around(knowing), said))

    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert messages(handler) == [
        *("before startup", "app's startup", "after lifespan.startup.complete", "before shutdown", "app's shutdown"),
    ]


@pytest.mark.covers("4.10")
@pytest.mark.parametrize("app", [raising, returning])
def test_an_app_without_a_lifespan(app: Any) -> None:
    """
    One that raises at a lifespan, or returns, is served all the same: startup and shutdown are answered for it.
    """
    handler = Listener()
    said: list[str] = []

    asyncio.run(play(LogPipeline(handler, logger=LOG).around(app), said))

    assert said == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert messages(handler)[-1] == "before shutdown"


def test_a_startup_that_fails_stops_it() -> None:
    """
    When the app says that it cannot start, what was logged about it is out before the server hears it.
    """
    handler = Listener()
    said: list[str] = []

    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        LOG.error("no database")
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    asyncio.run(play(LogPipeline(handler, logger=LOG).around(failing), said))

    assert said == ["lifespan.startup.failed"]
    assert messages(handler)[-1] == "no database"


def test_an_app_that_raises_in_its_startup_is_heard() -> None:
    """
    What the app raises while it starts is the server's to judge.
    """

    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        raise RuntimeError("no database")

    pipeline = LogPipeline(Listener(), logger=LOG)
    with pytest.raises(RuntimeError, match="no database"):
        asyncio.run(play(pipeline.around(broken), []))
    assert pipeline.stop()


def test_requests_and_attributes_are_the_apps() -> None:
    """
    Other scopes pass, and what is asked of the wrapped app is asked of the app.
    """
    app: Any = LogPipeline(Listener(), logger=LOG).around(hello)

    assert Harness(app).get().body == b"hello"
    assert app.app is hello
    with pytest.raises(AttributeError):
        app.nothing  # noqa: B018


@pytest.mark.parametrize("app", [lambda environ, start_response: [b""], "shop:app", None])
def test_what_is_no_asgi_app_is_refused(app: Any) -> None:
    """
    Its lifespan is none: said at once.
    """
    with pytest.raises(TypeError, match="app must be an ASGI 3 application"):
        LogPipeline(Listener()).around(app)


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (("access.log",), {}, TypeError),
        ((Listener(), None), {}, TypeError),
        ((Listener(),), {"logger": None}, TypeError),
        ((Listener(),), {"capacity": 0}, ValueError),
        ((Listener(),), {"capacity": "10"}, ValueError),
        ((Listener(),), {"batch_size": 0}, ValueError),
    ],
)
def test_mistakes_are_said_at_once(arguments: Any, options: Any, error: type[Exception]) -> None:
    """
    A wrong argument raises where it is given, with what was expected and what was got.
    """
    with pytest.raises(error, match=r"must be .*got "):
        LogPipeline(*arguments, **options)


# --- processes -------------------------------------------------------------------------------------------------------

PREAMBLE = """
import logging, os, signal, sys, time
from otelbridge.integrations.pipeline import LogPipeline
class Printing(logging.Handler):
    def emit(self, record):
        time.sleep(0.001)
        os.write(1, (record.getMessage() + "\\n").encode())
log = logging.getLogger("some")
pipeline = LogPipeline(Printing(), logger="some")
pipeline.start()
def many(name):
    for i in range(100):
        log.info("%s %d", name, i)
"""


def run(code: str) -> subprocess.CompletedProcess[str]:
    """In a fresh interpreter."""
    return subprocess.run(
        [sys.executable, "-W", "ignore:This process", "-c", PREAMBLE + code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_end_of_the_program_waits_for_it() -> None:
    """
    Without a stop, what was logged is handed over at exit.
    """
    done = run("many('a')")

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"a {i}" for i in range(100)]


def test_what_is_logged_while_python_ends_is_handed_over() -> None:
    """
    An exit handler that runs after ours, where no thread can be made any more, loses no record silently.
    """
    done = run("import threading; threading._register_atexit(lambda: log.info('the end'))")

    assert (done.returncode, done.stderr, done.stdout) == (0, "", "the end\n")


def test_a_hung_handler_does_not_keep_the_program_from_ending() -> None:
    """
    Exit takes two seconds at most.
    """
    begun = time.monotonic()
    done = run("Printing.emit = lambda self, record: time.sleep(60)\nlog.info('x')")

    assert done.returncode == 0
    assert time.monotonic() - begun < 20
    assert "stopping a log pipeline failed with TimeoutError" in done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_a_thread_of_its_own() -> None:
    """
    Each process hands over what it logged itself, once, whether the parent had logged before the fork or not.
    """
    done = run(
        """
many("before")
child = os.fork()
many("child" if child == 0 else "parent")
if child == 0:
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
"""
    )

    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 300
    for name in ("before", "child", "parent"):
        assert [line for line in lines if line.startswith(name)] == [f"{name} {i}" for i in range(100)]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_children_of_multiprocessing_hand_over_at_their_end(method: str) -> None:
    """
    They leave past exit handlers, and lose nothing.
    """
    code = f"""
if __name__ == "__main__":
    import multiprocessing
    context = multiprocessing.get_context({method!r})
    child = context.Process(target=many, args=("child",))
    child.start()
    child.join()
    assert child.exitcode == 0
"""
    done = run(code) if method == "fork" else run_as_file(code)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"child {i}" for i in range(100)]


def run_as_file(code: str) -> subprocess.CompletedProcess[str]:
    """As a program that a spawned child can import."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "program.py")  # noqa: PTH118 -- a name for Python
        with open(path, "w") as file:  # noqa: PTH123
            file.write(PREAMBLE + code)
        return subprocess.run([sys.executable, path], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
def test_a_signal_handler_may_log() -> None:
    """
    A handler of a signal that interrupts a logging call logs as well, and nothing hangs.
    """
    done = run(
        """
signal.signal(signal.SIGALRM, lambda *_: log.info("alarm"))
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
for i in range(20_000):
    log.info("x")
signal.setitimer(signal.ITIMER_REAL, 0)
Printing.emit = lambda self, record: None
"""
    )

    assert done.returncode == 0, done.stderr

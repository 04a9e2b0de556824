"""`otelbridge demo`: a small shop on Hypercorn, customers that use it, and what it says over OTLP, live.

This process owns the terminal: it receives, stores and draws (`viewer`), and plays the `customers`. The shop is a child
process, so that everything shown here really came over a socket.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from otelbridge.cli import CliError

if TYPE_CHECKING:
    from otelbridge.viewer import render
    from otelbridge.viewer.screen import Screen
    from otelbridge.viewer.store import Store

HELP = "run a small instrumented shop, and show its logs, traces and metrics live"

SECONDS_WITHOUT_TERMINAL = 15.0
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 5.0
FRAME_S = 0.2
NEXT = (
    "Next: the five lines of README.md in an app of yours (the shop is examples/shop.py).",
    "They send to OTEL_EXPORTER_OTLP_ENDPOINT, by default to http://localhost:4318.",
)

# Signals that end the demo as Ctrl-C does, so that the shop is stopped then, too.
_ENDING_SIGNALS = ("SIGTERM", "SIGHUP")
_RUNNING = re.compile(r"Running on http://127\.0\.0\.1:(\d+)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "--seconds",
        type=_seconds,
        metavar="N",
        help=f"stop after N seconds (default: at Ctrl-C; without a terminal after {SECONDS_WITHOUT_TERMINAL:.0f})",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the demo; 0 also means, without a terminal, that the three signals came under one trace id."""
    if importlib.util.find_spec("hypercorn") is None:
        raise CliError("the demo's shop runs on Hypercorn, which is not installed: pip install 'otelbridge[cli]'")
    from otelbridge.cli.customers import Customers, Place
    from otelbridge.viewer import render
    from otelbridge.viewer.receive import Receiver
    from otelbridge.viewer.screen import open_screen
    from otelbridge.viewer.store import Store

    terminal = sys.stdout.isatty()
    limit_s: float | None = arguments.seconds
    if limit_s is None and not terminal:
        limit_s = SECONDS_WITHOUT_TERMINAL
    store = Store()
    with _interruptible():
        try:
            with Receiver(store) as receiver, Shop(receiver.endpoint) as shop:
                started_s = time.monotonic()
                with open_screen(store, sys.stdout) as screen:
                    with contextlib.suppress(KeyboardInterrupt), Customers(Place("127.0.0.1", shop.port), seed=0):
                        screen.say(*_introduction(shop.port, receiver.port))
                        _watch(shop, screen, limit_s)
                    screen.update("stopping the shop")
                    shop.stop()  # its exit delivers what is still pending
                    screen.update("the shop has stopped")
        except KeyboardInterrupt:
            # Before it began, or while it was stopping: whoever asks twice wants no summary.
            return 130
        except BrokenPipeError:
            _silence_stdout()
            return 1
    elapsed_s = time.monotonic() - started_s
    lack = render.missing(store.counts(), store.complete_trace())
    _summarise(store, elapsed_s)
    if lack is None:
        return 0
    sentence = f"the demo did not receive {lack} in {elapsed_s:.0f} s"
    if not terminal:
        raise CliError(sentence)
    print(sentence)
    return 0


class Shop:
    """The shop as a child process that exports to *endpoint*; a context manager that leaves no process behind."""

    def __init__(self, endpoint: str) -> None:
        self.port = 0
        self._endpoint = endpoint
        self._process: subprocess.Popen[str] | None = None
        self._said: deque[str] = deque(maxlen=20)
        self._ready = threading.Event()

    def __enter__(self) -> Shop:
        place = shop_file()
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "otelbridge.cli.hosted",
                f"{place.stem}:app",
                "--bind",
                "127.0.0.1:0",
                "--workers",
                "0",
            ],
            cwd=place.parent,  # where Hypercorn looks for the module
            env=shop_environment(os.environ, self._endpoint),
            stdin=subprocess.PIPE,  # closes when we die, which ends the shop
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="backslashreplace",
            # Ctrl-C is ours: the shop is stopped, and flushed, by us. One of the two counts, by platform.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        try:
            threading.Thread(target=self._listen, name="demo-shop-stderr", daemon=True).start()
            self._await_port()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *_: object) -> None:
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()

    def stop(self) -> None:
        """Ask the shop to end, and wait until it has delivered; kill it if it takes too long."""
        assert self._process is not None
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def check(self) -> None:
        """Raise if the shop ended by itself."""
        assert self._process is not None
        code = self._process.poll()
        if code is not None:
            # Its last line is what Python says of an exception that nobody caught.
            last = next((line for line in reversed(self._said) if line.strip()), "it said nothing")
            raise CliError(f"the shop ended with code {code}: {last.strip()[:300]}")

    def _await_port(self) -> None:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while not self._ready.wait(0.05):
            self.check()
            if time.monotonic() >= deadline_s:
                raise CliError(f"the shop did not start within {START_TIMEOUT_S:.0f} s")
        self.check()

    def _listen(self) -> None:
        """Read what the shop prints: Hypercorn names the port there, and a full pipe would stop it."""
        assert self._process is not None
        assert self._process.stderr is not None
        with self._process.stderr as lines:
            for line in lines:
                self._said.append(line)
                match = None if self._ready.is_set() else _RUNNING.search(line)
                if match:
                    self.port = int(match[1])
                    self._ready.set()


def shop_file() -> Path:
    """Return the shop's source: in an installed package beside us, in a checkout among the examples."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "examples", package.parent / "examples"):
        if (folder / "shop.py").is_file():
            return folder / "shop.py"
    raise CliError(
        f"the shop's source, examples/shop.py, is missing in {package} and beside it: install otelbridge again"
    )


def shop_environment(environ: Mapping[str, str], endpoint: str) -> dict[str, str]:
    """Return the child's environment: the user's without telemetry settings, which might lead elsewhere, and ours."""
    kept = {name: value for name, value in environ.items() if not name.startswith(("OTEL_", "OTELBRIDGE_", "LOGURU_"))}
    no_proxy = ",".join(filter(None, (environ.get("no_proxy") or environ.get("NO_PROXY"), "127.0.0.1")))
    return kept | {
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        # Shorter than any service needs, so that the view is live; in milliseconds.
        "OTEL_METRIC_EXPORT_INTERVAL": "1000",
        "OTEL_BSP_SCHEDULE_DELAY": "300",
        "OTEL_BLRP_SCHEDULE_DELAY": "300",
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
        "PYTHONUNBUFFERED": "1",
    }


def _watch(shop: Shop, screen: Screen, limit_s: float | None) -> None:
    """Keep the screen up to date until the time is over."""
    began_s = time.monotonic()
    while True:
        passed_s = time.monotonic() - began_s
        if limit_s is not None and passed_s >= limit_s:
            return
        shop.check()
        screen.update("Ctrl-C ends" if limit_s is None else f"{limit_s - passed_s:.0f} s left")
        time.sleep(FRAME_S)


def _introduction(shop_port: int, receiver_port: int) -> list[render.Line]:
    return [
        [("A small shop, instrumented by otelbridge, runs on Hypercorn in a process of its own", "bold")],
        [(f"(http://127.0.0.1:{shop_port}). What it logs, traces and measures comes in here over OTLP", "bold")],
        [(f"(port {receiver_port}). The third column is the trace id.", "bold")],
        [],
    ]


def _summarise(store: Store, elapsed_s: float) -> None:
    """Print what was received, one request as three signals, and what to try next."""
    from otelbridge.viewer import render
    from otelbridge.viewer.screen import PlainScreen, open_screen

    trace = store.complete_trace()
    lines: list[render.Line] = [[], [(f"Received in {elapsed_s:.0f} s: {render.counts_line(store.counts())}", "bold")]]
    if trace is not None:
        lines += [[], [("One request, under one trace id, as log records, spans and a metric point:", "")]]
        lines += render.trace_lines(trace)
    lines += [[], *([(text, "")] for text in NEXT)]
    screen = open_screen(store, sys.stdout)
    with contextlib.suppress(BrokenPipeError):
        screen.say(*lines)
        if sys.stdout.isatty() and isinstance(screen, PlainScreen) and importlib.util.find_spec("rich") is None:
            print("With rich installed (pip install 'otelbridge[cli]') this view has colours and stays in place.")


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the block as Ctrl-C does."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    previous = {}
    if threading.current_thread() is threading.main_thread():
        numbers = [getattr(signal, name) for name in _ENDING_SIGNALS if hasattr(signal, name)]
        previous = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _silence_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's last flush does not complain of the closed pipe again."""
    with contextlib.suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value < 1e9:  # also false for nan
        raise argparse.ArgumentTypeError(f"expected a number of seconds above 0, got {text!r}")
    return value

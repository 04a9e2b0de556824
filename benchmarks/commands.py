"""One app served by a command line, and its client: how long a request takes at full speed, all in all.

Both commands are given the same bare app, one worker, and the same configuration. What is measured is the time between
answers, so that its ratios are those of requests per second, the other way round.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.served import TIMEOUT_S, Client
from benchmarks.timing import Contestant

APP = "benchmarks.hosts:asgi_app"
# Half a second or so: four servers take turns, and the whole is to end in a minute or two.
BLOCK_COUNT = 1500
# Hypercorn hangs up after 1,000 requests, or 5 s without one, unless told otherwise.
CONFIG = "keep_alive_max_requests = 1000000000\nkeep_alive_timeout = 3600.0\n"


def hypercorn(name: str, *, folder: Path, access_log: bool) -> Contestant:
    """Hypercorn's own command."""
    return _contestant(name, ["-m", "hypercorn"], {}, folder, access_log=access_log)


def otelbridge(name: str, *, endpoint: str, folder: Path, access_log: bool) -> Contestant:
    """`otelbridge run`, which sends logs, spans and points to the endpoint; nothing is printed."""
    variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_SERVICE_NAME": "bench", "LOGURU_AUTOINIT": "0"}
    return _contestant(name, ["-m", "otelbridge", "run"], variables, folder, access_log=access_log)


def _contestant(
    name: str, program: list[str], variables: Mapping[str, str], folder: Path, *, access_log: bool
) -> Contestant:
    server = _Command(program, variables, folder, access_log=access_log)
    try:
        client = Client(server.port)
    except BaseException:
        server.close()
        raise

    def close() -> None:
        client.close()
        server.close()

    return Contestant(
        name,
        "request()",
        {"request": client.request},
        finish=client.drain,
        block_count=BLOCK_COUNT,
        cpu_ns=time.perf_counter_ns,
        close=close,
    )


class _Command:
    """A server's process, seen from the benchmark."""

    def __init__(self, program: list[str], variables: Mapping[str, str], folder: Path, *, access_log: bool) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port: int = listener.getsockname()[1]
        config = folder / f"{self.port}.toml"
        config.write_text(CONFIG)
        options = ["-c", str(config), "--bind", f"127.0.0.1:{self.port}", "--log-level", "error"]
        if access_log:
            options += ["--access-logfile", str(folder / f"{self.port}.log")]
        self._process = subprocess.Popen(
            [sys.executable, *program, *options, APP], env={**os.environ, **variables}, stdin=subprocess.DEVNULL
        )
        self._await_port()

    def close(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _await_port(self) -> None:
        deadline_s = time.monotonic() + TIMEOUT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), TIMEOUT_S).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline_s:
                    self.close()
                    msg = f"the server must listen on port {self.port}; its stderr says why it does not"
                    raise RuntimeError(msg) from None
                time.sleep(0.05)
            else:
                return

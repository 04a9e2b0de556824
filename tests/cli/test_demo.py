"""`otelbridge demo`, as a user runs it: the real shop on the real Hypercorn, over real sockets."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otelbridge.cli import CliError, demo, main

COMMAND = [sys.executable, "-m", "otelbridge", "demo"]
SHOP_PORT = re.compile(r"http://127\.0\.0\.1:(\d+)")
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc and at Linux's pseudo-terminals")


def wait_for(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Poll until *condition* holds."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "it did not happen in time"
        time.sleep(0.05)


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def children(pid: int) -> list[int]:
    """Return the processes that *pid* started."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture(scope="module")
def finished() -> subprocess.CompletedProcess[str]:
    """Run the demo once, without a terminal, under settings that must not disturb it."""
    hostile = {
        "OTEL_SDK_DISABLED": "true",
        "OTEL_TRACES_SAMPLER": "always_off",
        "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://127.0.0.1:9/v1/logs",
        "OTELBRIDGE_LEVEL": "CRITICAL",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }
    return subprocess.run(
        [*COMMAND, "--seconds", "6"], capture_output=True, text=True, timeout=60, check=False, env=os.environ | hostile
    )


def test_three_signals_under_one_trace_id(finished: subprocess.CompletedProcess[str]) -> None:
    """Without a terminal the demo exits 0 having received a log record, a span and a metric point of one trace."""
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert finished.stderr == ""
    summary = finished.stdout[finished.stdout.index("One request, under one trace id") :].splitlines()
    assert re.fullmatch(r"trace   [0-9a-f]{32}", summary[1])
    assert {line.split(" ", 1)[0] for line in summary[2 : summary.index("", 2)]} == {"log", "span", "metric"}


def test_log_lines_carry_trace_ids(finished: subprocess.CompletedProcess[str]) -> None:
    """Each log line of the shop is shown with its trace id, the application's and the access log's under the same."""
    lines = re.findall(r"^\d\d:\d\d:\d\d\.\d{3}  (\w+) +([0-9a-f]{32})  (.*)$", finished.stdout, re.MULTILINE)
    application = {trace_id for _, trace_id, text in lines if "put into the cart" in text}
    access = {trace_id for _, trace_id, text in lines if text.startswith("POST /carts/")}

    assert application
    assert application <= access


def test_routes_have_rate_errors_and_duration(finished: subprocess.CompletedProcess[str]) -> None:
    """The table has a row per route, by its template, with requests, rate and durations."""
    table = finished.stdout[finished.stdout.rindex("\nroute ") :]

    for route in ("GET /products", "GET /products/{name}", "POST /carts/{user}/{product}"):
        row = re.search(
            rf"^{re.escape(route)} +([\d.]+) +(\d+) +0 +([\d.]+ m?s) +([\d.]+ m?s)  \S", table, re.MULTILINE
        )
        assert row, table
        assert int(row[2]) > 0


def test_first_words_say_what_it_is(finished: subprocess.CompletedProcess[str]) -> None:
    """The first lines say what one is looking at, the last ones what to do next."""
    assert finished.stdout.startswith("A small shop, instrumented by otelbridge, runs on Hypercorn")
    assert "Next: " in finished.stdout


@linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_demo_and_shop(number: signal.Signals) -> None:
    """Ctrl-C and SIGTERM end the demo with its summary, and no child is left."""
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        running.stdout.readline()
        shops = children(running.pid)
        running.send_signal(number)
        out, err = running.communicate(timeout=30)

    assert "Traceback" not in err
    assert "Received in" in out
    assert shops
    assert not any(map(alive, shops))


@linux
def test_shop_dies_with_a_killed_demo() -> None:
    """Even SIGKILL of the demo leaves no shop behind."""
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        assert running.stdout is not None
        running.stdout.readline()
        shops = children(running.pid)
        running.kill()

    assert shops
    wait_for(lambda: not any(map(alive, shops)))


@linux
def test_closed_pipe_ends_quietly() -> None:
    """`otelbridge demo | head -1` ends, without a traceback."""
    with subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.readline()
        shops = children(running.pid)
        running.stdout.close()
        assert running.stderr.read() == ""
        running.wait(timeout=30)

    assert not any(map(alive, shops))


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """A pseudo-terminal of 100 columns: (ours, the demo's)."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    yield ours, theirs
    os.close(ours)


@linux
def test_live_view_on_a_terminal(terminal: tuple[int, int]) -> None:
    """On a terminal the demo draws in colour, ends after --seconds with 0, and gives the cursor back."""
    ours, theirs = terminal
    environ = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    with subprocess.Popen(
        [*COMMAND, "--seconds", "2"], stdout=theirs, env=environ | {"TERM": "xterm-256color"}
    ) as running:
        os.close(theirs)
        shown = read_all(ours)
        assert running.wait(timeout=30) == 0

    assert "\x1b[" in shown
    assert "2 s left" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def read_all(descriptor: int, timeout_s: float = 40.0) -> str:
    """Read a pseudo-terminal until its other end is closed."""
    deadline_s = time.monotonic() + timeout_s
    pieces = []
    while time.monotonic() < deadline_s:
        if not select.select([descriptor], [], [], 0.2)[0]:
            continue
        try:
            piece = os.read(descriptor, 65536)
        except OSError:  # Linux's way to say that the other end is closed
            break
        if not piece:
            break
        pieces.append(piece)
    return b"".join(pieces).decode("utf-8", "replace")


def test_shop_that_cannot_start_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the shop fails, the demo says so in one sentence with the shop's last words."""
    (tmp_path / "shop.py").write_text("raise RuntimeError('out of tea')\n")
    monkeypatch.setattr(demo, "shop_file", lambda: tmp_path / "shop.py")

    with pytest.raises(CliError, match=r"the shop ended with code 1: RuntimeError: out of tea"):
        demo.Shop("http://127.0.0.1:9").__enter__()


def test_shop_environment_leads_to_us_only() -> None:
    """The user's telemetry settings do not reach the shop; a proxy is not asked for loopback; the rest is kept."""
    environ = {"OTEL_EXPORTER_OTLP_HEADERS": "api-key=x", "LOGURU_LEVEL": "ERROR", "NO_PROXY": "corp", "PATH": "/bin"}

    child = demo.shop_environment(environ, "http://127.0.0.1:5")

    assert "OTEL_EXPORTER_OTLP_HEADERS" not in child
    assert "LOGURU_LEVEL" not in child
    assert child["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://127.0.0.1:5"
    assert child["NO_PROXY"] == "corp,127.0.0.1"
    assert child["PATH"] == "/bin"


def test_demo_that_receives_nothing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a terminal and without the three signals the demo exits 1, and one sentence names what is missing."""
    (tmp_path / "shop.py").write_text("async def app(scope, receive, send):\n    raise RuntimeError('closed')\n")
    monkeypatch.setattr(demo, "shop_file", lambda: tmp_path / "shop.py")

    assert main(["demo", "--seconds", "0.5"]) == 1

    (sentence,) = capsys.readouterr().err.splitlines()
    assert sentence.startswith("otelbridge demo: the demo did not receive a log record with a trace id, a span and")

"""The document on server execution (seed 3), block by block: its script, commands, signals, and unit of systemd.

Only the prefix is changed, as are places that belong to others (0.0.0.0:8000, port 443); where its script names no
application, one is named.
"""

from __future__ import annotations

import configparser
import inspect
import os
import re
import shlex
import shutil
import signal
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from otelbridge.hypercorn import run as seed
from otelbridge.server.options import parse
from tests.server.serving import APP, Served, certify, free_port, is_alive, wait_until

UNIT = Path(__file__).parents[2] / "examples" / "otelbridge.service"

PROGRAM = """
from otelbridge.hypercorn.config import Config
from otelbridge.hypercorn.run import run

# Create and configure server
config = Config()
config.application_path = "app:application"
config.bind = ["127.0.0.1:{port}"]
config.workers = 4
config.worker_class = "asyncio"

# Run the server
exit_code = run(config)
print(f"Server exited with code: {{exit_code}}")
"""

COMMANDS = """
hypercorn app:application
hypercorn --bind 0.0.0.0:8000 --workers 4 app:application
hypercorn --certfile cert.pem --keyfile key.pem --bind 0.0.0.0:443 app:application
hypercorn --reload --bind 127.0.0.1:8000 app:application
hypercorn --bind 0.0.0.0:8000 --workers 8 --worker-class uvloop --access-logfile access.log --error-logfile error.log \
--pid hypercorn.pid app:application
"""

START = "/usr/local/bin/hypercorn --bind 0.0.0.0:8000 --workers 4 app:application"


def is_gone(pid: int) -> bool:
    """Whether that process has ended."""
    return not is_alive(pid)


@contextmanager
def served(folder: Path, *words: str, program: str) -> Iterator[Served]:
    """What the document starts, in a folder with its application and certificate."""
    (folder / "app.py").write_text(APP.replace("async def app(", "async def application("))
    server = Served(folder, *words, program=program)
    try:
        yield server
    finally:
        server.kill()


def ask(server: Served, scheme: str = "http") -> str:
    """The body of an answer; whatever certificate it shows is fine."""
    context = ssl.create_default_context(cafile=server.folder / "cert.pem") if scheme == "https" else None
    with urllib.request.urlopen(f"{scheme}://localhost:{server.port}/", timeout=20, context=context) as answer:
        body: bytes = answer.read()
    return body.decode()


@pytest.mark.covers("3.1")
def test_run_has_the_documents_signature() -> None:
    """
    run(config) -> int, main(sys_args=None) -> int.
    """
    assert list(inspect.signature(seed.run).parameters) == ["config"]
    assert inspect.signature(seed.run).return_annotation == "int"
    (parameter,) = inspect.signature(seed.main).parameters.values()
    assert (parameter.name, parameter.default) == ("sys_args", None)
    assert inspect.signature(seed.main).return_annotation == "int"


@pytest.mark.covers("3.1", note="a script needs no `if __name__ == '__main__'`: workers do not import it")
def test_the_script_serves_and_prints_its_code(tmp_path: Path) -> None:
    """
    The programmatic example runs as it stands, with four workers, and prints 0 when it is told to end.
    """
    port = free_port()
    (tmp_path / "program.py").write_text(PROGRAM.format(port=port))
    with served(tmp_path, program="program.py") as server:
        server.port = port
        server.await_running(4)
        workers = server.workers()

        assert len(workers) == 4
        assert int(ask(server)) in workers
        assert server.stop() == 0
        assert server.out == "Server exited with code: 0\n"


@pytest.mark.covers("3.1")
def test_the_script_prints_another_code_when_it_fails(tmp_path: Path) -> None:
    """
    Without an application the same script prints 1: non-zero for errors, says the document.
    """
    text = PROGRAM.format(port=free_port()).replace("app:application", "nowhere:application")
    (tmp_path / "program.py").write_text(text)
    with served(tmp_path, program="program.py") as server:
        server.process.wait(30)

        assert server.out == "Server exited with code: 1\n"


@pytest.mark.covers("3.2")
@pytest.mark.covers("3.3")
@pytest.mark.parametrize("command", COMMANDS.strip().splitlines())
def test_each_command_serves(tmp_path: Path, command: str) -> None:
    """
    Each command line of the document serves with `otelbridge run` in place of `hypercorn`, and ends with 0.
    """
    _, *words = shlex.split(command)
    config = parse(words).make_config()
    if "--bind" not in words:
        assert config.bind == ["127.0.0.1:8000"]
        words = ["--bind", "127.0.0.1:8000", *words]
    words = [re.sub(r"^[\d.]+:\d+$", "127.0.0.1:{port}", word) for word in words]
    certify(tmp_path)
    (tmp_path / "cert-key.pem").rename(tmp_path / "key.pem")
    with served(tmp_path, *words, program="-m otelbridge run") as server:
        log = tmp_path / ("stderr.txt" if config.errorlog == "-" else str(config.errorlog))
        wait_until(lambda: log.exists() and log.read_text().count("Running on") == config.workers, "it does not run")

        assert int(ask(server, "https" if config.certfile else "http")) in server.workers()
        assert len(server.workers()) == config.workers
        if config.pid_path:
            assert (tmp_path / config.pid_path).read_text() == str(server.pid)
        assert server.stop() == 0
        if config.accesslog:
            assert '"GET / 1.1" 200' in (tmp_path / str(config.accesslog)).read_text()
        assert not (tmp_path / "hypercorn.pid").exists()


@pytest.mark.covers("3.5")
@pytest.mark.covers("3.6")
@pytest.mark.covers("3.7")
def test_the_table_of_signals(tmp_path: Path) -> None:
    """
    SIGUSR1 restarts workers while the master goes on; a worker's end (SIGCHLD) is handled; SIGTERM and SIGINT end it.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        with served(tmp_path, "-b", "127.0.0.1:{port}", "app:application", program="-m otelbridge run") as server:
            server.await_running()
            (first,) = server.workers()
            server.send(signal.SIGUSR1)
            server.await_running(2)
            wait_until(partial(is_gone, first), "the first worker stays")
            (second,) = server.workers()
            os.kill(second, signal.SIGKILL)
            server.await_running(3)

            assert int(ask(server)) not in (first, second)
            assert server.stop(number) == 0


def unit_of(text: str) -> configparser.SectionProxy:
    """The section [Service] of a unit."""
    parser = configparser.RawConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # systemd tells Exec from exec
    parser.read_string(text)
    return parser["Service"]


@pytest.mark.covers("3.3")
def test_the_unit_starts_what_the_documents_unit_starts() -> None:
    """
    Our unit's ExecStart is a command line of `otelbridge run`, with the document's places and workers.
    """
    unit = unit_of(UNIT.read_text())
    program, verb, *words = shlex.split(unit["ExecStart"])
    expected = parse(shlex.split(START)[1:]).make_config()
    config = parse(words).make_config()

    assert (Path(program).name, verb) == ("otelbridge", "run")
    assert (config.bind, config.workers) == (expected.bind, expected.workers) == (["0.0.0.0:8000"], 4)
    assert (unit["Type"], unit["Restart"], unit["KillMode"]) == ("exec", "always", "mixed")
    assert unit["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert float(unit["TimeoutStopSec"]) > config.graceful_timeout + config.shutdown_timeout


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """
    systemd-analyze finds nothing to say about it, but that neither program nor user exist here.
    """
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not on PATH")
    text = re.sub(r"(?m)^ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text())
    unit = tmp_path / "otelbridge.service"
    unit.write_text(re.sub(r"(?m)^(User|Group)=.*", r"\1=root", text))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.covers("3.8")
@pytest.mark.covers("3.11")
def test_what_it_says_of_workers(tmp_path: Path) -> None:
    """
    Several workers share the load of one place: of many connections at once each serves some.
    """
    with served(
        tmp_path, "-b", "127.0.0.1:{port}", "-w", "2", "app:application", program="-m otelbridge run"
    ) as server:
        server.await_running(2)
        deadline_s = time.monotonic() + 20
        seen: set[str] = set()
        while len(seen) < 2 and time.monotonic() < deadline_s:
            seen.add(ask(server))

        assert seen == {str(worker) for worker in server.workers()}

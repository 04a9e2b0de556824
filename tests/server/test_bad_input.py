"""Mistakes at the start: one sentence on stderr, a code that is not 0, and nothing left behind."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from otelbridge.hypercorn.config import Config
from otelbridge.hypercorn.run import run
from tests.server.serving import APP, Served, can_listen, certify, marked

COMMANDS = {"otelbridge run": "-m otelbridge run", "otelbridge": "-m otelbridge.hypercorn.run"}
LOG_LINE = re.compile(r"\[\d{4}-\d\d-\d\d [\d:]{8} [+-]\d{4}\] \[\d+\] \[[A-Z]+\] ")


# What is served instead of app:app, the text of mistaken.py, and words of the sentence, in order.
OF_APPLICATIONS = {
    "module missing": ("nowhere:app", "", "nowhere:app.*module 'nowhere' must be in .*got none"),
    "import inside missing": ("mistaken:app", "\nimport lost", "No module named 'lost'.*mistaken.py, line 2"),
    "syntax error": ("mistaken:app", "def app(:", "SyntaxError.*mistaken.py, line 1"),
    "error at import": ("mistaken:app", "1 / 0", "ZeroDivisionError.*mistaken.py, line 1"),
    "exit at import": ("mistaken:app", "import sys\nsys.exit(0)", "SystemExit: 0.*mistaken.py, line 2"),
    "name missing": ("mistaken:app", "x = 1", "mistaken:app.* must have 'app', got none"),
    "attribute missing": ("mistaken:a.b", "a = 1", "mistaken:a.b.* must have 'b', got none"),
    "no expression": ("mistaken:(", "", "mistaken:.*must follow, got '\\('"),
    "unknown mode": ("cgi:mistaken:app", "", "must be 'asgi' or 'wsgi', got 'cgi'"),
    "a string": ("mistaken:app", "app = 'app'", "must be an ASGI .* got an instance of 'str'"),
    "a module": ("mistaken:app", "import os as app", "must be an ASGI .* got the module 'os'"),
    "None": ("mistaken:app", "app = None", "must be an ASGI .* got None"),
}

# Options that are wrong, and words of the sentence.
TLS = "--certfile cert.pem --keyfile cert-key.pem"
OF_SETTINGS = {
    "port in use": ("-b 127.0.0.1:{taken}", "cannot listen on 127.0.0.1:{taken}: address already in use"),
    "one port of two": ("-b 127.0.0.1:{port} -b 127.0.0.1:{taken}", "cannot listen on 127.0.0.1:{taken}: "),
    "one place twice": ("-b 127.0.0.1:{port} -b 127.0.0.1:{port}", "cannot listen on 127.0.0.1:{port}: .*got it twice"),
    "port out of range": ("-b 127.0.0.1:70000", "cannot listen on 127.0.0.1:70000: .*0-65535"),
    "unknown host": ("-b nowhere.invalid:80", "cannot listen on nowhere.invalid:80: "),
    "somebody else's address": ("-b 192.0.2.1:80", "cannot listen on 192.0.2.1:80: cannot assign"),
    "Unix socket in no folder": ("-b unix:x.sock -b unix:nowhere/s", "unix:nowhere/s: no such file"),
    "Unix socket on a file": ("-b unix:app.py", "unix:app.py: address already in use"),
    "Unix socket without path": ("-b unix:", "unix: a path must follow, got none"),
    "no such descriptor": ("-b fd://77", "fd://77: bad file descriptor"),
    "certificate missing": ("--certfile no.pem --keyfile cert-key.pem", "certfile 'no.pem' must be .*no such file"),
    "certificate is a folder": ("--certfile . --keyfile cert-key.pem", "certfile '.' must be .*is a directory"),
    "certificate is none": ("--certfile app.py --keyfile cert-key.pem", "'app.py' with key .* cannot be used: "),
    "certificate without key": ("--certfile cert.pem", "needs both .*got a certfile without a keyfile"),
    "key without certificate": ("--keyfile cert-key.pem", "needs both .*got a keyfile without a certfile"),
    "key of another": ("--certfile cert.pem --keyfile other-key.pem", "'cert.pem' with key 'other-key.pem' .*mismatch"),
    "authority missing": (f"{TLS} --ca-certs no.pem", "ca_certs 'no.pem' must be a file"),
    "unknown ciphers": (f"{TLS} --ciphers ROT13", "cannot be used: .*cipher"),
    "access log in no folder": (
        "--access-logfile nowhere/a",
        "log cannot be set up: .*accesslog must be .*nowhere/a.*o such",
    ),
    "error log in no folder": (
        "--error-logfile nowhere/e",
        "log cannot be set up: .*errorlog must be .*nowhere/e.*o such",
    ),
    "error log is a folder": ("--error-logfile .", "log cannot be set up: .*errorlog must be .*Is a directory"),
    "log configuration missing": ("--log-config no.ini", "log cannot be set up: .*no.ini"),
    "log configuration broken": ("--log-config json:app.py", "log cannot be set up: "),
    "unknown log level": ("--log-level loud", "log cannot be set up: .*(loud|LOUD)"),
    "pid file in no folder": ("-p nowhere/p -b unix:x.sock", "pid file 'nowhere/p' must be writable, got: no such"),
    "pid file is a folder": ("-p . -b 127.0.0.1:{port}", "pid file '.' must be writable, got: is a directory"),
    "unknown worker class": ("-k thread", "one of asyncio, uvloop, trio, got 'thread'"),
    "configuration missing": ("-c no.toml", "configuration 'no.toml' cannot be read: no such file"),
    "configuration broken": ("-c broken.toml", "configuration 'broken.toml' cannot be read: TOML"),
    "configuration raises": ("-c file:raises.py", "'file:raises.py' cannot be read: ZeroDivisionError"),
    "configuration is no module": ("-c python:nowhere", "'python:nowhere' cannot be read: .*'nowhere'"),
    "reloading without workers": ("--reload -w 0", "at least one worker to replace, got workers=0"),
    "negative workers": ("-w=-1", "workers must be a number from 0 on, got -1"),
}


@contextmanager
def taken_port() -> Iterator[int]:
    """A port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def fail(folder: Path, command: str, words: str, options: list[str], application: str = "app:app") -> None:
    """Run the command; it fails with a sentence that has the words, and leaves nothing behind."""
    mark = uuid.uuid4().hex
    (folder / "app.py").write_text(APP)
    served = Served(folder, *options, application, program=COMMANDS[command], MARK=mark)
    code = served.process.wait(30)

    assert_failed(served, code, rf"{command}: .*{words}", mark)


def assert_failed(served: Served, code: int, words: str, mark: str) -> None:
    """Fail unless it ended as a mistake shall: a code, a sentence, and nothing left."""
    lines = served.err.splitlines()
    own = [line for line in lines if not LOG_LINE.match(line)]
    assert code == 1, served.err
    assert own == lines[-1:], served.err
    assert re.search(f"^{words}", own[0]), own[0]
    assert served.out == ""
    assert marked(mark) == set()
    assert can_listen(served.port)
    assert not {path.name for path in served.folder.iterdir()} & {"x.sock", "x.pid"}


@pytest.mark.covers("3.10")
@pytest.mark.parametrize(("workers", "command"), [(0, "otelbridge"), (2, "otelbridge run")])
@pytest.mark.parametrize("mistake", OF_APPLICATIONS)
def test_an_application_that_cannot_be_loaded(tmp_path: Path, mistake: str, workers: int, command: str) -> None:
    """
    What is wrong with the application is told in one sentence, whoever loads it; sockets and pid file are gone.
    """
    application, text, words = OF_APPLICATIONS[mistake]
    (tmp_path / "mistaken.py").write_text(text)
    places = ["-b", "127.0.0.1:{port}", "-b", "unix:x.sock", "-p", "x.pid"]

    fail(tmp_path, command, words, [*places, "-w", str(workers)], application)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two certificates and their keys."""
    folder = tmp_path_factory.mktemp("certificates")
    certify(folder)
    certify(folder, "other")
    return folder


@pytest.mark.covers("3.10")
@pytest.mark.parametrize("mistake", OF_SETTINGS)
def test_a_setting_that_cannot_be(tmp_path: Path, certificates: Path, mistake: str) -> None:
    """
    What is wrong with a setting is told in one sentence before any worker starts; what was opened is closed.
    """
    for path in certificates.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "broken.toml").write_text("a = [")
    (tmp_path / "raises.py").write_text("1 / 0")
    command = "otelbridge" if len(mistake) % 2 else "otelbridge run"
    with taken_port() as taken:
        options, words = (text.replace("{taken}", str(taken)) for text in OF_SETTINGS[mistake])

        fail(tmp_path, command, re.sub(r"\{port\}", r"\\d+", words), options.split())


@pytest.mark.covers("3.10")
@pytest.mark.parametrize(("workers", "command"), [(0, "otelbridge run"), (1, "otelbridge"), (2, "otelbridge run")])
def test_a_port_in_use(tmp_path: Path, command: str, workers: int) -> None:
    """
    A port on which somebody listens is refused with any number of workers, SO_REUSEPORT or not.
    """
    with taken_port() as taken:
        place = f"127.0.0.1:{taken}"

        fail(tmp_path, command, f"cannot listen on {place}: ", ["-b", place, "-w", str(workers), "-p", "x.pid"])


@pytest.mark.covers("3.13", note="HTTP/3 needs aioquic, which is asked for at the start")
def test_http_3_without_its_package(
    certificates: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    A quic_bind without aioquic ends the start; Hypercorn serves everything else then, and prints a traceback.
    """
    monkeypatch.setattr("otelbridge.server.checks.find_spec", lambda name: None)
    config = Config()
    config.application_path = "app:app"
    config.certfile, config.keyfile = (str(certificates / name) for name in ("cert.pem", "cert-key.pem"))
    config.quic_bind = ["127.0.0.1:0"]

    assert run(config) == 1
    assert "HTTP/3 needs the package aioquic" in capsys.readouterr().err


@pytest.mark.covers("3.1")
def test_a_worker_class_that_nobody_knows_raises() -> None:
    """
    run() raises ValueError for an unknown worker class, as Hypercorn does.
    """
    config = Config()
    config.application_path, config.worker_class = "app:app", "thread"

    with pytest.raises(ValueError, match="worker class must be one of asyncio, uvloop, trio, got 'thread'"):
        run(config)


@pytest.mark.covers("3.1")
def test_no_application_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    """
    run() of a Config without application_path says what to set.
    """
    assert run(Config()) == 1
    assert capsys.readouterr().err == (
        "otelbridge: the application must be named, as module:app in config.application_path, got none\n"
    )


UNREACHABLE = """
import hypercorn.config, otelbridge.hypercorn.logging, sys
from otelbridge.hypercorn.run import run
class Own(otelbridge.hypercorn.logging.Logger):
    pass
class Values(hypercorn.config.Config):
    pass
config = {config}()
config.application_path = "app:app"
config.bind = ["127.0.0.1:" + sys.argv[1]]
{setting}
sys.exit(run(config))
"""


@pytest.mark.covers("3.10")
@pytest.mark.parametrize(
    ("config", "setting", "words"),
    [
        ("hypercorn.config.Config", "config.logger_class = Own", "config.logger_class must be importable by workers"),
        ("Values", "", "config.class must be importable by workers"),
        (
            "hypercorn.config.Config",
            "config.logconfig_dict = {'version': 1, 'x': lambda: 0}",
            "configuration must be picklable",
        ),
    ],
)
def test_what_workers_cannot_have(tmp_path: Path, config: str, setting: str, words: str) -> None:
    """
    A class of the main script, or a thing that cannot be sent, is told before a worker starts.
    """
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "program.py").write_text(UNREACHABLE.format(config=config, setting=setting))
    mark = uuid.uuid4().hex
    served = Served(tmp_path, "{port}", program="-W ignore program.py", MARK=mark)

    assert_failed(served, served.process.wait(30), f"otelbridge: .*{words}", mark)


@pytest.mark.covers("3.10")
@pytest.mark.parametrize("option", ["--access-logfile", "--error-logfile", "-p", "--certfile"])
def test_a_file_without_permission(tmp_path: Path, certificates: Path, option: str) -> None:
    """
    A file that the user may not read or write is told by its name.
    """
    (tmp_path / "app.py").write_text(APP)
    locked = tmp_path / "locked"
    locked.touch()
    locked.chmod(0)
    more = ["--keyfile", str(locked)] if option == "--certfile" else []
    command = [sys.executable, "-m", "otelbridge", "run", "-b", "127.0.0.1:0", option, str(locked), *more, "app:app"]
    if os.geteuid() == 0:  # whom permissions do not bind, but for this
        if shutil.which("setpriv") is None:
            pytest.skip("setpriv is not on PATH; it takes root's rights away")
        command = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *command]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30)

    assert done.returncode == 1
    assert re.fullmatch(r"otelbridge run: .*locked.*\n", done.stderr), done.stderr
    assert "ermission denied" in done.stderr

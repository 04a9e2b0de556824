"""Every example of Hypercorn's document on its utilities, run with only the import's prefix changed; and its names."""

from __future__ import annotations

import inspect
import os
import re
import threading
from pathlib import Path
from typing import Any

import hypercorn.utils
import pytest

from otelbridge.hypercorn import utils
from tests.hypercorn_utils.conftest import WriteModule

DEADLINE_S = 30.0

LOADING = """
from hypercorn.utils import load_application, wrap_app

# Load application from module path
try:
    app = load_application("myproject.wsgi:application", wsgi_max_body_size=16*1024*1024)
    print(f"Loaded application: {app}")
except Exception as e:
    print(f"Failed to load application: {e}")

# Wrap application automatically
wrapped_app = wrap_app(app, wsgi_max_body_size=16*1024*1024)
print(f"Wrapped application: {wrapped_app}")

# Check application type
from hypercorn.utils import is_asgi

if is_asgi(app):
    print("Application is ASGI-compatible")
else:
    print("Application is WSGI-compatible")
"""

WATCHING = """
import time
from hypercorn.utils import files_to_watch, check_for_updates

# Get files to monitor
watch_files = files_to_watch()
print(f"Monitoring {len(watch_files)} files for changes")

# Check for changes periodically
while True:
    if check_for_updates(watch_files):
        print("Files changed - restarting server")
        # Trigger server restart
        break
    time.sleep(1)
"""

PID_FILE = """
import os
from hypercorn.utils import write_pid_file

# Write PID file for process management
try:
    write_pid_file("/var/run/hypercorn.pid")
    print(f"PID {os.getpid()} written to file")
except Exception as e:
    print(f"Failed to write PID file: {e}")
"""

ADDRESSES = """
import socket
from hypercorn.utils import parse_socket_addr, repr_socket_addr

# Parse different address types
ipv4_addr = ("192.168.1.100", 8000)
ipv6_addr = ("::1", 8000, 0, 0)

parsed_ipv4 = parse_socket_addr(socket.AF_INET, ipv4_addr)
parsed_ipv6 = parse_socket_addr(socket.AF_INET6, ipv6_addr)

# Create string representations
ipv4_str = repr_socket_addr(socket.AF_INET, ipv4_addr)
ipv6_str = repr_socket_addr(socket.AF_INET6, ipv6_addr)

print(f"IPv4: {ipv4_str}")  # "192.168.1.100:8000"
print(f"IPv6: {ipv6_str}")  # "[::1]:8000"
"""

HEADERS = """
from hypercorn.utils import build_and_validate_headers, filter_pseudo_headers

# Build headers from various formats
headers_dict = {"content-type": "text/html", "server": "hypercorn"}
headers_list = [("content-type", "text/html"), ("server", "hypercorn")]

validated_headers = build_and_validate_headers(headers_dict)
print(f"Validated headers: {validated_headers}")

# Filter HTTP/2 pseudo-headers
http2_headers = [
    (b":method", b"GET"),
    (b":path", b"/test"),
    (b"user-agent", b"test-client"),
    (b":authority", b"example.com")
]

filtered = filter_pseudo_headers(http2_headers)
print(f"Filtered headers: {filtered}")  # Only user-agent remains
"""

BODIES = """
from hypercorn.utils import suppress_body

# Check if body should be suppressed
cases = [
    ("HEAD", 200),  # HEAD requests - suppress
    ("GET", 204),   # No Content - suppress
    ("GET", 304),   # Not Modified - suppress
    ("GET", 200),   # Normal GET - don't suppress
    ("POST", 201),  # Normal POST - don't suppress
]

for method, status in cases:
    should_suppress = suppress_body(method, status)
    print(f"{method} {status}: {'suppress' if should_suppress else 'include'} body")
"""

SERVER_NAMES = """
from hypercorn.config import Config
from hypercorn.utils import valid_server_name

# Configure server names
config = Config()
config.server_names = ["example.com", "*.example.com", "api.service.local"]

# Mock request object (simplified)
class MockRequest:
    def __init__(self, host):
        self.headers = {"host": host}

# Validate different server names
test_hosts = ["example.com", "api.example.com", "invalid.com", "api.service.local"]

for host in test_hosts:
    request = MockRequest(host)
    is_valid = valid_server_name(config, request)
    print(f"{host}: {'valid' if is_valid else 'invalid'}")
"""


def run(block: str, **names: Any) -> list[str]:
    """The lines that a block prints when its imports begin with `otelbridge.`; `names` stand in its module before."""
    moved, count = re.subn(r"(?m)^from hypercorn\.", "from otelbridge.hypercorn.", block)
    assert count > 0
    printed: list[str] = []
    exec(compile(moved, "<document>", "exec"), {"__name__": "document", "print": printed.append, **names})
    return printed


@pytest.mark.covers("2.1")
@pytest.mark.covers("2.2")
@pytest.mark.covers("2.3")
def test_the_example_of_loading(write_module: WriteModule) -> None:
    """The application is loaded, and wrapping what was loaded is no error."""
    write_module("myproject/__init__.py", "")
    write_module("myproject/wsgi.py", "def application(environ, start_response): ...")

    loaded, wrapped, kind = run(LOADING)

    assert "WSGIWrapper object" in loaded
    assert "WSGIWrapper object" in wrapped
    assert kind == "Application is ASGI-compatible"  # a wrapper is: that is what it is for


@pytest.mark.covers("2.4")
@pytest.mark.covers("2.5")
def test_the_example_of_watching(write_module: WriteModule, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The endless loop ends when a module's file is touched, by a thread, after it began."""
    path = write_module("watched.py", "")
    monkeypatch.syspath_prepend(folder)
    __import__("watched")
    started, printed = threading.Event(), list[str]()

    def note(line: str) -> None:
        printed.append(line)
        started.set()

    def touch() -> None:
        assert started.wait(DEADLINE_S)
        time_s = path.stat().st_mtime + 1
        os.utime(path, (time_s, time_s))

    thread = threading.Thread(target=touch)
    thread.start()
    run(WATCHING, print=note)
    thread.join(DEADLINE_S)

    assert re.fullmatch(r"Monitoring \d+ files for changes", printed[0])
    assert printed[1:] == ["Files changed - restarting server"]


@pytest.mark.covers("2.6")
def test_the_example_of_a_pid_file(folder: Path) -> None:
    """The id is written, here to a folder of the test's rather than to /var/run; and where that fails, it is said."""
    written = run(PID_FILE.replace("/var/run", str(folder)))
    (failed,) = run(PID_FILE.replace("/var/run", str(folder / "absent")))

    assert written == [f"PID {os.getpid()} written to file"]
    assert (folder / "hypercorn.pid").read_text() == str(os.getpid())
    assert failed.startswith("Failed to write PID file: ")


@pytest.mark.covers("2.7")
@pytest.mark.covers("2.8")
def test_the_example_of_addresses() -> None:
    """The texts that the example's comments promise."""
    assert run(ADDRESSES) == ["IPv4: 192.168.1.100:8000", "IPv6: [::1]:8000"]


@pytest.mark.covers("2.9")
@pytest.mark.covers("2.10", note="host remains beside user-agent: the document's comment leaves it out")
def test_the_example_of_headers() -> None:
    """A dict of str becomes pairs of bytes; of HTTP/2's headers only those remain that HTTP/1 has."""
    assert run(HEADERS) == [
        "Validated headers: [(b'content-type', b'text/html'), (b'server', b'hypercorn')]",
        "Filtered headers: [(b'host', b'example.com'), (b'user-agent', b'test-client')]",
    ]


@pytest.mark.covers("2.11")
def test_the_example_of_bodies() -> None:
    """What the example's comments promise of each case."""
    assert run(BODIES) == [
        "HEAD 200: suppress body",
        "GET 204: suppress body",
        "GET 304: suppress body",
        "GET 200: include body",
        "POST 201: include body",
    ]


@pytest.mark.covers("2.12")
def test_the_example_of_server_names() -> None:
    """Wildcards work, and so does the document's own request object."""
    assert run(SERVER_NAMES) == [
        "example.com: valid",
        "api.example.com: valid",
        "invalid.com: invalid",
        "api.service.local: valid",
    ]


SIGNATURES = {
    "load_application": ["path", "wsgi_max_body_size"],
    "wrap_app": ["app", "wsgi_max_body_size", "mode"],
    "is_asgi": ["app"],
    "files_to_watch": [],
    "check_for_updates": ["files"],
    "write_pid_file": ["pid_path"],
    "parse_socket_addr": ["family", "address"],
    "repr_socket_addr": ["family", "address"],
    "build_and_validate_headers": ["headers"],
    "filter_pseudo_headers": ["headers"],
    "suppress_body": ["method", "status_code"],
    "valid_server_name": ["config", "request"],
    "raise_shutdown": ["shutdown_event"],
    "check_multiprocess_shutdown_event": ["shutdown_event", "sleep"],
}
ERRORS = {
    "NoAppError",
    "ShutdownError",
    "LifespanTimeoutError",
    "LifespanFailureError",
    "UnexpectedMessageError",
    "FrameTooLargeError",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_is_the_documents(name: str) -> None:
    """Arguments by the document's names and in its order; ours besides are by keyword only."""
    parameters = inspect.signature(getattr(utils, name)).parameters.values()

    assert [row.name for row in parameters if row.kind is row.POSITIONAL_OR_KEYWORD] == SIGNATURES[name]
    assert [row.name for row in parameters if row.kind is not row.POSITIONAL_OR_KEYWORD] == (
        ["extra"] if name == "files_to_watch" else []
    )


@pytest.mark.covers("2.14")
def test_all_names_of_the_document_are_there_and_no_others() -> None:
    """`from otelbridge.hypercorn.utils import *` gives them, sorted; where we add nothing it is Hypercorn's object."""
    ours = {
        "build_and_validate_headers",
        "files_to_watch",
        "load_application",
        "parse_socket_addr",
        "valid_server_name",
        "wrap_app",
    }

    assert utils.__all__ == sorted({*SIGNATURES, *ERRORS})
    assert {name for name in utils.__all__ if getattr(utils, name) is not getattr(hypercorn.utils, name)} == ours

"""The code of BlackBull's logging page, as it stands there but for names: `blackbull` is `otelbridge`.

What its server's own hooks do (`@app.on_startup`, `@app.on('request_completed')`) is the ASGI lifespan and
`instrument(on_request=…)` here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.pipeline.receiving import LogServer

# An app that is asked by `ask`, with its own line printed by nobody else.
PREAMBLE = """
import asyncio
import otelbridge
from tests.access.support import answer, exchange, http_scope
otelbridge.logger.remove()
async def hello(scope, receive, send):
    await answer(send)
def ask(app, path="/tasks", **changes):
    return asyncio.run(exchange(otelbridge.instrument(app), http_scope(path, **changes)))
"""

TO_STDERR = """
import logging

handler = logging.StreamHandler()
handler.setFormatter(logging.Formatter('%(asctime)s %(message)s'))
logging.getLogger('otelbridge.access').addHandler(handler)
logging.getLogger('otelbridge.access').setLevel(logging.INFO)
"""

TO_A_ROTATING_FILE = """
import logging
from logging.handlers import RotatingFileHandler

fh = RotatingFileHandler('access.log', maxBytes=10_000_000, backupCount=5)
fh.setFormatter(logging.Formatter('%(message)s'))
logging.getLogger('otelbridge.access').addHandler(fh)
logging.getLogger('otelbridge.access').setLevel(logging.INFO)
"""

CUSTOM_FORMAT = """
fmt = ('%(asctime)s %(client_ip)s "%(method)s %(path)s" '
       '%(status)s %(response_bytes)d %(duration_ms).0fms')
logging.getLogger('otelbridge.access').handlers[0].setFormatter(
    logging.Formatter(fmt)
)
"""

MIDDLEWARE = """
import uuid

async def request_id_mw(scope, receive, send, call_next):
    req_id = uuid.uuid4().hex
    scope['request_id'] = req_id
    # Attach to the access log record so it appears in log output
    record = scope['state'].get('access_log')
    if record:
        record.request_id = req_id      # arbitrary extra attribute
    await call_next(scope, receive, send)
"""

FILTER = """
class AccessLogFilter(logging.Filter):
    def filter(self, record):
        record.request_id = getattr(record, 'request_id', '-')
        return True

handler = logging.StreamHandler()
handler.addFilter(AccessLogFilter())
handler.setFormatter(logging.Formatter(
    '%(message)s req_id=%(request_id)s'
))
logging.getLogger('otelbridge.access').addHandler(handler)
"""

DEBUG = """
import logging
logging.basicConfig(level=logging.DEBUG)
# or target just the server layer:
logging.getLogger('otelbridge.instrument').setLevel(logging.DEBUG)
"""

DECORATOR = """
from otelbridge import log

@log
async def my_fn(x, y):
    ...
"""

WIRING = """
import queue, logging
from logging.handlers import QueueHandler, QueueListener

_log_queue = queue.Queue(-1)            # unbounded
_json_handler = JsonHTTPHandler('localhost:9000')
_listener = QueueListener(_log_queue, _json_handler,
                          respect_handler_level=True)

_access_logger = logging.getLogger('example.access')
_access_logger.addHandler(QueueHandler(_log_queue))
_access_logger.setLevel(logging.INFO)

@asynccontextmanager
async def lifespan(app):
    _listener.start()
    yield
    _listener.stop()

def log_response(d):
    duration_ms = d.duration_ns / 1e6
    _access_logger.info('%s %s → %s (%.1f ms)',
        d.method, d.path, d.status, duration_ms,
        extra={'client_ip': d.client_address or '-',
               'method': d.method, 'path': d.path,
               'status': d.status,
               'response_bytes': d.response_body_size,
               'duration_ms': duration_ms})
"""

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}"


def run(*blocks: str, folder: Path) -> list[str]:
    """Run the blocks one after the other as one program; what it wrote to stderr."""
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + "".join(map(textwrap.dedent, blocks))],
        env={**os.environ, "OTEL_SDK_DISABLED": "true", "PYTHONPATH": str(Path(__file__).parents[2])},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return done.stderr.splitlines()


def matches(pattern: str, lines: list[str]) -> bool:
    """Whether there is one line, and it is of this form."""
    import re

    return len(lines) == 1 and re.fullmatch(pattern, lines[0]) is not None


@pytest.mark.covers("4.1")
@pytest.mark.covers("4.2")
def test_enable_on_a_stream(tmp_path: Path) -> None:
    """
    A StreamHandler on the logger prints time and line.
    """
    lines = run(TO_STDERR, "ask(hello)", folder=tmp_path)

    assert matches(TIME + r' 203\.0\.113\.42 "GET /tasks HTTP/1\.1" 200 5 \d+ms', lines)


@pytest.mark.covers("4.1")
def test_enable_in_a_rotating_file(tmp_path: Path) -> None:
    """
    A RotatingFileHandler has the line alone.
    """
    assert run(TO_A_ROTATING_FILE, "ask(hello)", folder=tmp_path) == []

    lines = (tmp_path / "access.log").read_text().splitlines()
    assert matches(r'203\.0\.113\.42 "GET /tasks HTTP/1\.1" 200 5 \d+ms', lines)


@pytest.mark.covers("4.3")
def test_custom_format(tmp_path: Path) -> None:
    """
    The named attributes, in a format of one's own, on the handler that stands first.
    """
    lines = run(TO_STDERR, CUSTOM_FORMAT, "ask(hello)", folder=tmp_path)

    assert matches(TIME + r' 203\.0\.113\.42 "GET /tasks" 200 5 \d+ms', lines)


@pytest.mark.covers("4.6")
@pytest.mark.covers("4.7")
@pytest.mark.covers("F9")
@pytest.mark.covers("T10")
def test_request_id_from_middleware_to_the_line(tmp_path: Path) -> None:
    """
    The middleware sets it on the record, the Filter lets the format show it.
    """
    lines = run(
        "import logging",
        MIDDLEWARE,
        FILTER,
        """
        logging.getLogger('otelbridge.access').setLevel(logging.INFO)
        ids = []
        async def app(scope, receive, send):
            await request_id_mw(scope, receive, send, hello)
            ids.append(scope['request_id'])
        ask(app)
        import sys; sys.stderr.write(ids[0])
        """,
        folder=tmp_path,
    )

    line, request_id = lines
    assert line.endswith(f"ms req_id={request_id}")


@pytest.mark.covers("4.8")
def test_debug_log(tmp_path: Path) -> None:
    """
    DEBUG shows what happens inside, under a logger of its own.
    """
    lines = run(DEBUG, "ask(hello)", folder=tmp_path)

    assert [line for line in lines if line.startswith("DEBUG:otelbridge.instrument:function is instrumented")]


@pytest.mark.covers("4.9")
def test_log_decorator(tmp_path: Path) -> None:
    """
    With DEBUG configured before, a call is logged; else the original function is left.
    """
    call = "asyncio.run(my_fn('x_val', 'y_val'))\n"
    before = "import logging\nlogging.basicConfig(level=logging.DEBUG, format='%(name)s %(message)s')\n"

    lines = run(before, DECORATOR, call, folder=tmp_path)
    assert [line for line in lines if "my_fn" in line] == ["__main__ my_fn(('x_val', 'y_val'), {})"]

    assert run(DECORATOR, call, "assert not hasattr(my_fn, '__wrapped__')", folder=tmp_path) == []


@pytest.mark.covers("4.10")
@pytest.mark.covers("4.13", note="`d` is the AccessRecord, its durations in nanoseconds")
def test_forwarding_to_a_remote_server(tmp_path: Path, server: LogServer) -> None:
    """
    The standard library's queue in front of JsonHTTPHandler, tied to the app's lifespan: each request is stored by the
    time the server has stopped.
    """
    lines = run(
        """
        from contextlib import asynccontextmanager
        import httpx
        from starlette.applications import Starlette
        from starlette.responses import PlainTextResponse
        from starlette.routing import Route
        from otelbridge import JsonHTTPHandler
        from tests.access.test_hypercorn import hypercorn
        """,
        WIRING.replace("localhost:9000", server.host),
        """
        async def page(request):
            return PlainTextResponse("hello")
        app = Starlette(routes=[Route("/", page), Route("/tasks", page)], lifespan=lifespan)
        otelbridge.instrument(app, on_request=log_response)
        with hypercorn(app) as port:
            for path in ("/", "/tasks", "/nothing"):
                httpx.get(f"http://127.0.0.1:{port}{path}")
        """,
        folder=tmp_path,
    )

    assert lines == []
    found = [(record["client_ip"], record["method"], record["path"], record["status"]) for record in server.records]
    assert found == [
        ("127.0.0.1", "GET", path, status) for path, status in (("/", 200), ("/tasks", 200), ("/nothing", 404))
    ]
    first = server.records[0]
    assert (first["logger"], first["level"], first["response_bytes"]) == ("example.access", "INFO", 5)
    assert first["message"].startswith("GET / → 200 (")
    assert isinstance(first["duration_ms"], float)

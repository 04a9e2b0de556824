"""Every example of Hypercorn's documented logging runs, with only the import's prefix changed (seed 0)."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otelbridge.hypercorn.statsd import POSTMAN
from tests.hypercorn.support import DEADLINE_S, OK, Agent, http_scope

BASIC = """
from hypercorn.config import Config
from hypercorn.logging import Logger

# Create logger with configuration
config = Config()
config.errorlog = "/var/log/hypercorn-error.log"
config.accesslog = "/var/log/hypercorn-access.log"
config.access_log_format = '%(h)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'

logger = Logger(config)

# Use async logging methods
async def handle_request():
    await logger.info("Processing request")
    
    try:
        # Process request
        result = await process_request()
        await logger.debug("Request processed successfully")
        return result
    except Exception as e:
        await logger.error("Request processing failed: %s", str(e))
        await logger.exception("Full exception details")
        raise
"""  # noqa: W293 -- as the document has it

ACCESS = """
# Access logging is typically handled automatically by Hypercorn
# but can be used manually:

async def log_request_completion(request, response, start_time):
    request_time = time.time() - start_time
    await logger.access(request, response, request_time)

# Custom access log format in config
config.access_log_format = (
    '%(h)s - %(u)s [%(t)s] "%(r)s" %(s)s %(b)s '
    '"%(f)s" "%(a)s" %(T)s'
)
"""

STATSD = """
from hypercorn.logging import StatsdLogger

# Create StatsD logger
config = Config()
statsd_logger = StatsdLogger(
    config, 
    statsd_host="metrics.example.com",
    statsd_port=8125
)

# Use metrics alongside logging
async def handle_request():
    # Increment request counter
    statsd_logger.increment("requests.total", tags={"method": "GET"})
    
    start_time = time.time()
    try:
        # Process request
        result = await process_request()
        
        # Record success metrics
        statsd_logger.increment("requests.success")
        statsd_logger.histogram("request.duration", time.time() - start_time)
        
        await statsd_logger.info("Request completed successfully")
        return result
        
    except Exception as e:
        # Record error metrics
        statsd_logger.increment("requests.error", tags={"error_type": type(e).__name__})
        await statsd_logger.error("Request failed: %s", str(e))
        raise
"""  # noqa: W291, W293 -- as the document has it

FORMATS = """
# Configure custom access log format
config = Config()

# Apache Common Log Format
config.access_log_format = '%(h)s - %(u)s [%(t)s] "%(r)s" %(s)s %(b)s'

# Apache Combined Log Format  
config.access_log_format = (
    '%(h)s - %(u)s [%(t)s] "%(r)s" %(s)s %(b)s '
    '"%(f)s" "%(a)s"'
)

# Custom format with timing
config.access_log_format = (
    '%(h)s "%(r)s" %(s)s %(b)s %(T)s '
    'pid=%(P)s port=%(p)s'
)

# JSON format for structured logging
config.access_log_format = (
    '{"remote_addr": "%(h)s", "request": "%(r)s", '
    '"status": %(s)s, "bytes": %(b)s, "duration": %(T)s}'
)
"""  # noqa: W291 -- as the document has it

PRODUCTION = """
from hypercorn.config import Config
from hypercorn.logging import StatsdLogger

# Production logging configuration
config = Config()

# Log files with rotation (handled by external tools)
config.errorlog = "/var/log/hypercorn/error.log"
config.accesslog = "/var/log/hypercorn/access.log"

# Structured access logs
config.access_log_format = (
    '{"timestamp": "%(t)s", "client_ip": "%(h)s", '
    '"method": "%(m)s", "path": "%(U)s", "status": %(s)s, '
    '"bytes": %(b)s, "duration": %(T)s, "user_agent": "%(a)s"}'
)

# Create StatsD logger for metrics
logger = StatsdLogger(config, statsd_host="metrics.internal")

# Set up log levels
import logging
logging.getLogger("hypercorn.error").setLevel(logging.INFO)
logging.getLogger("hypercorn.access").setLevel(logging.INFO)
"""

DEVELOPMENT = """
# Development configuration with debug output
config = Config()
config.debug = True

# Log to stdout/stderr for development
config.errorlog = "-"  # stderr
config.accesslog = "-"  # stdout

# Simple access log format
config.access_log_format = '%(h)s "%(r)s" %(s)s %(T)s'

logger = Logger(config)

# Enable debug logging
import logging
logging.getLogger("hypercorn").setLevel(logging.DEBUG)
"""

IMPORTS = "from hypercorn.config import Config\nfrom hypercorn.logging import Logger\nimport time\n"
SIGNATURES = {
    "Logger.__init__": ("self", "config"),
    "StatsdLogger.__init__": ("self", "config", "statsd_host", "statsd_port"),
    "AccessLogAtoms.__init__": ("self", "request", "response", "request_time"),
    "Logger.access": ("self", "request", "response", "request_time"),
    "Logger.atoms": ("self", "request", "response", "request_time"),
}


class Example:
    """A block of the document, run in the names of those before it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.names: dict[str, Any] = {"process_request": self.process_request}
        self.failure: Exception | None = None
        self.run(IMPORTS)

    async def process_request(self) -> str:
        if self.failure is not None:
            raise self.failure
        return "result"

    def run(self, text: str, **replaced: str) -> None:
        text = re.sub(r"^from hypercorn\.", "from otelbridge.hypercorn.", text, flags=re.MULTILINE)
        for old, new in {"/var/log": str(self._folder), **replaced}.items():
            text = text.replace(old, new)
        exec(compile(text, "seed 0", "exec"), self.names)

    def access(self, config: Any, response: Any = OK, **changes: Any) -> None:
        """Have the logger of a configuration write one request."""
        asyncio.run(self.names["Logger"](config).access(http_scope(**changes), response, 0.5))


@pytest.fixture
def example(tmp_path: Path) -> Example:
    return Example(tmp_path)


@pytest.fixture
def agent() -> Iterator[Agent]:
    found = Agent()
    yield found
    found.close()


def lines(path: Path) -> list[str]:
    """The lines of a log, without their prefix."""
    return [line.split("] ", 3)[3] for line in path.read_text("utf-8").splitlines() if line.startswith("[2")]


@pytest.mark.covers("0.2")
@pytest.mark.covers("0.4")
def test_basic_logger_usage(example: Example, tmp_path: Path) -> None:
    """
    Both files are written; an error has its message and its traceback, debug messages are below the level.
    """
    example.run(BASIC)

    assert asyncio.run(example.names["handle_request"]()) == "result"
    example.failure = RuntimeError("no stock")
    with pytest.raises(RuntimeError, match="no stock"):
        asyncio.run(example.names["handle_request"]())
    asyncio.run(example.names["logger"].access(http_scope(), OK, 0.5))

    assert lines(tmp_path / "hypercorn-error.log") == [
        "Processing request",
        "Processing request",
        "Request processing failed: no stock",
        "Full exception details",
    ]
    assert "RuntimeError: no stock" in (tmp_path / "hypercorn-error.log").read_text()
    assert lines(tmp_path / "hypercorn-access.log") == ['127.0.0.1:5 "GET /a 1.1" 200 5 "-" "curl/8"']


@pytest.mark.covers("0.6")
@pytest.mark.covers("0.8", note="`[%(t)s]` prints one pair of brackets")
def test_access_logging(example: Example, tmp_path: Path) -> None:
    """
    Called by hand it is the same line; a new format counts for the next Logger.
    """
    example.run(BASIC)
    example.run(ACCESS)

    asyncio.run(example.names["log_request_completion"](http_scope(), OK, time.time() - 2))
    example.access(example.names["config"])

    first, second = lines(tmp_path / "hypercorn-access.log")
    assert first == '127.0.0.1:5 "GET /a 1.1" 200 5 "-" "curl/8"'
    assert re.fullmatch(r'127.0.0.1:5 - - \[[^\[\]]+\] "GET /a 1.1" 200 5 "-" "curl/8" 0', second)


@pytest.mark.covers("0.19")
def test_statsd_integration(example: Example, agent: Agent, capsys: pytest.CaptureFixture[str]) -> None:
    """
    Methods without `await`, tags by call; the duration goes out as it is given, in seconds here (T20).
    """
    example.run(STATSD, **{"metrics.example.com": "127.0.0.1", "8125": str(agent.port)})

    assert asyncio.run(example.names["handle_request"]()) == "result"
    example.failure = RuntimeError("no stock")
    with pytest.raises(RuntimeError, match="no stock"):
        asyncio.run(example.names["handle_request"]())

    sent = agent.take(6)
    assert re.fullmatch(rb"request.duration:[0-9.e-]+\|ms", sent.pop(2))
    assert sent == [
        b"requests.total:1|c|@1.0|#method:GET",
        b"requests.success:1|c|@1.0",
        b"requests.total:1|c|@1.0|#method:GET",
        b"requests.error:1|c|@1.0|#error_type:RuntimeError",
        b"hypercorn.log.error:1|c|@1.0",
    ]
    shown = capsys.readouterr().err
    assert "[INFO] Request completed successfully" in shown
    assert "[ERROR] Request failed: no stock" in shown


@pytest.mark.covers("0.11")
@pytest.mark.covers("0.13")
def test_custom_access_log_formats(example: Example, tmp_path: Path) -> None:
    """
    Each of the four formats gives its line; the last one is JSON, with null for an unknown size.
    """
    formats: list[str] = []
    example.run(FORMATS)

    class Noting(example.names["Config"]):  # type: ignore[misc, name-defined]
        def __setattr__(self, name: str, value: Any) -> None:
            if name == "access_log_format":
                formats.append(value)
            super().__setattr__(name, value)

    example.names["Config"] = Noting
    example.run(FORMATS)
    config = example.names["config"]
    config.accesslog = str(tmp_path / "access.log")
    for text in list(formats):
        config.access_log_format = text
        example.access(config)
        example.access(config, response={"status": 200, "headers": []})

    found = lines(tmp_path / "access.log")
    time_text = r"\[\d\d/\w+/\d+:[\d:]+ [+-]\d+\]"
    assert re.fullmatch(rf'127.0.0.1:5 - - {time_text} "GET /a 1.1" 200 5', found[0])
    assert re.fullmatch(rf'127.0.0.1:5 - - {time_text} "GET /a 1.1" 200 5 "-" "curl/8"', found[2])
    assert re.fullmatch(r'127.0.0.1:5 "GET /a 1.1" 200 5 0 pid=\d+ port=<\d+>', found[4])
    expected = {"remote_addr": "127.0.0.1:5", "request": "GET /a 1.1", "status": 200, "bytes": 5, "duration": 0}
    assert json.loads(found[6]) == expected
    assert json.loads(found[7]) == {**expected, "bytes": None}


@pytest.mark.covers("0.13")
@pytest.mark.covers("0.19")
def test_production_setup(example: Example, agent: Agent, tmp_path: Path) -> None:
    """
    Structured access lines are JSON whatever a client sends, and requests are measured.
    """
    (tmp_path / "hypercorn").mkdir()
    example.run(PRODUCTION, **{"metrics.internal": f"127.0.0.1:{agent.port}"})
    logger = example.names["logger"]

    asyncio.run(logger.access(http_scope(path='/"\n', headers=[(b"user-agent", b'"}\\\x1b')]), None, 1.5))
    asyncio.run(logger.error("failed"))

    (text,) = lines(tmp_path / "hypercorn" / "access.log")
    found = json.loads(text)
    assert (found["path"], found["user_agent"]) == ('/"\n', '"}\\\x1b')
    assert (found["status"], found["bytes"], found["duration"]) == (None, None, 1)
    assert agent.take(3) == [
        b"hypercorn.request.duration:1500.0|ms",
        b"hypercorn.requests:1|c|@1.0",
        b"hypercorn.log.error:1|c|@1.0",
    ]


@pytest.mark.covers("0.19")
def test_the_default_agent(example: Example) -> None:
    """
    Without any host the agent is localhost:8125, as the signature says.
    """
    example.run("from hypercorn.logging import StatsdLogger\nlogger = StatsdLogger(Config())")

    assert example.names["logger"].address == ("localhost", 8125)
    assert POSTMAN.flush(DEADLINE_S)


@pytest.mark.covers("0.1")
def test_development_setup(example: Example, capsys: pytest.CaptureFixture[str]) -> None:
    """
    Messages on stderr, requests on stdout.
    """
    before = logging.getLogger("hypercorn").level
    try:
        example.run(DEVELOPMENT)
        asyncio.run(example.names["logger"].access(http_scope(), OK, 1.5))
        asyncio.run(example.names["logger"].info("ready"))
    finally:
        logging.getLogger("hypercorn").setLevel(before)

    out, err = capsys.readouterr()
    assert out.endswith('] 127.0.0.1:5 "GET /a 1.1" 200 1\n')
    assert err.endswith("[INFO] ready\n")


@pytest.mark.covers("0.5")
@pytest.mark.parametrize("name", SIGNATURES)
def test_signatures(name: str) -> None:
    """
    The parameters have the document's names, in its order.
    """
    import inspect

    import otelbridge.hypercorn.logging as ours

    kind, method = name.split(".")
    assert tuple(inspect.signature(getattr(getattr(ours, kind), method)).parameters) == SIGNATURES[name]

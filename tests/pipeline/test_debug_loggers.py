"""What otelbridge says of itself at DEBUG: to who asked for it, and never to the collector."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.otlp.receivers import OtlpReceiver

PREAMBLE = """
import logging, sys
import otelbridge
from otelbridge import logger
from tests.access.support import hello
def work():
    otelbridge.configure(service_name="shop", traces="none", metrics="none")
    app = otelbridge.instrument(hello)
    for i in range(3):
        logger.info("order {}", i)
        assert otelbridge.flush(10)
"""


def run(code: str, receiver: OtlpReceiver) -> list[str]:
    """In a fresh interpreter that sends to `receiver`: what it wrote to stderr."""
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + code],
        env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint, "LOGURU_AUTOINIT": "0"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return done.stderr.splitlines()


@pytest.mark.covers("4.8", note="the loggers are otelbridge.delivery and otelbridge.instrument; set at any time")
@pytest.mark.parametrize(
    "listen",
    [
        "logging.basicConfig(level=logging.DEBUG, format='%(name)s %(levelname)s %(message)s')",
        "logging.basicConfig(format='%(name)s %(levelname)s %(message)s')\n"
        "logging.getLogger('otelbridge').setLevel(logging.DEBUG)",
    ],
)
def test_debug_shows_each_attempt_and_each_app(listen: str, otlp_receiver: OtlpReceiver) -> None:
    """
    As documented for BlackBull: DEBUG for everything, or for our loggers alone, prints what happens inside.
    """
    lines = [line for line in run(f"{listen}\nwork()", otlp_receiver) if line.startswith("otelbridge.")]

    delivered = [line for line in lines if line.startswith("otelbridge.delivery DEBUG 1 logs (")]
    assert len(delivered) == 3
    assert all(line.endswith(f"to {otlp_receiver.endpoint}/v1/logs: delivered") for line in delivered)
    (app,) = [line for line in lines if line.startswith("otelbridge.instrument DEBUG ")]
    assert app.startswith("otelbridge.instrument DEBUG function is instrumented, wrapped: Settings(")


@pytest.mark.covers("4.8")
def test_nothing_is_printed_unless_asked(otlp_receiver: OtlpReceiver) -> None:
    """
    Without a handler, and with one at INFO, our loggers are silent.
    """
    assert run("work()", otlp_receiver) == []
    assert run("logging.basicConfig(level=logging.INFO)\nwork()", otlp_receiver) == []


BRIDGES = {
    "ours": "logger.add_stdlib_bridge('TRACE')",
    "loguru's recipe": """
class InterceptHandler(logging.Handler):
    def emit(self, record):
        logger.opt(depth=6, exception=record.exc_info).log(record.levelname, record.getMessage())
logging.basicConfig(handlers=[InterceptHandler()], level=0)
""",
    "a module's own": """
class Bridge(logging.Handler):
    def emit(self, record):
        logger.info("{}", record.getMessage())
logging.basicConfig(handlers=[Bridge()], level=0)
""",
    "a stream that is a logger": """
class StreamToLogger:
    def write(self, text):
        logger.info("{}", text)
    def flush(self):
        pass
logging.basicConfig(stream=StreamToLogger(), level=0)
""",
}


@pytest.mark.parametrize("bridge", BRIDGES.values(), ids=list(BRIDGES))
def test_they_never_come_back_to_us(bridge: str, otlp_receiver: OtlpReceiver) -> None:
    """
    With any bridge from `logging` to our logger, and DEBUG everywhere, only the program's own records are sent.
    """
    run(f"logging.getLogger('otelbridge').setLevel(logging.DEBUG)\n{bridge}\nwork()", otlp_receiver)

    assert otlp_receiver.bodies() == ["order 0", "order 1", "order 2"]


def test_a_handler_of_their_own_gets_them(otlp_receiver: OtlpReceiver) -> None:
    """
    Whatever its class, a handler on one of our loggers is asked for.
    """
    code = """
class Mine(logging.Handler):
    def emit(self, record):
        print("mine", record.getMessage(), file=sys.stderr)
logging.getLogger("otelbridge.delivery").addHandler(Mine())
logging.getLogger("otelbridge.delivery").setLevel("DEBUG")
work()
"""

    assert [line.partition(" (")[0] for line in run(code, otlp_receiver)] == ["mine 1 logs"] * 3

"""The demo's shop on a real Hypercorn, as a process of its own, and its customers."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from pathlib import Path

from tests.collector.real import free_ports
from tests.stack.process import Server, clean_environment
from tools.places import ROOT

# So that a test need not wait; in milliseconds.
SOON = {"OTEL_METRIC_EXPORT_INTERVAL": "1000", "OTEL_BSP_SCHEDULE_DELAY": "300", "OTEL_BLRP_SCHEDULE_DELAY": "300"}


class Shop(Server):
    """A shop that sends to *endpoint*; what it calls itself, and how it measures, its environment says."""

    def __init__(self, service: str, folder: Path, endpoint: str, **environ: str) -> None:
        (self._port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self._port}"
        command = [sys.executable, "-m", "hypercorn", "examples/shop.py:app", "--bind", f"127.0.0.1:{self._port}"]
        telemetry = {"OTEL_SERVICE_NAME": service, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint} | SOON | environ
        super().__init__(service, command, folder / f"{service}.log", **telemetry)

    def answers(self) -> bool:
        """Whether it listens. It is not asked for anything: that would be counted, too."""
        try:
            socket.create_connection(("127.0.0.1", self._port), 2).close()
        except OSError:
            return False
        return True


def play(shop_url: str, *, visits: int, seed: int = 1) -> subprocess.Popen[str]:
    """Start a customer that makes so many visits; the same seed makes the same requests."""
    command = [sys.executable, "-m", "otelbridge.cli.customers", shop_url, f"--visits={visits}", f"--seed={seed}"]
    return subprocess.Popen(command, cwd=ROOT, env=clean_environment(), stdout=subprocess.PIPE, text=True)


def played(customer: subprocess.Popen[str], timeout_s: float = 90.0) -> int:
    """Wait until the customer went home; return how many requests and sessions it made, each answered."""
    said, _ = customer.communicate(timeout=timeout_s)
    assert customer.returncode == 0, said
    found = re.fullmatch(r"(\d+) requests and sessions, 0 of them without an answer\n", said)
    assert found, said
    return int(found[1])

"""A real OpenTelemetry Collector as a child process: started on free loopback ports, read by the file it writes.

Beside it a real statsd_exporter, read by the page it serves, and programs that send to either.

Leaves what is sent and what is expected to the tests.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tools.places import ROOT

READY_TIMEOUT_S = 20.0
SHIPPED = ROOT / "collector-config"
LAYERS = ROOT / "tests" / "collector"
CONFIGS = (SHIPPED / "base.yaml", LAYERS / "file.yaml")


class Record(NamedTuple):
    """A log record as the collector wrote it, with its resource, attributes as plain Python values."""

    body: object
    severity_number: int
    severity_text: str
    trace_id: str
    span_id: str
    flags: int
    event_name: str
    attributes: dict[str, object]
    resource: dict[str, object]
    scope: dict[str, Any]


class Collector:
    """One collector; `stop()` or `kill()` and `start()` may alternate, on the same ports and the same files.

    `configs` are its layers, by default the base and a file to read; `settings` its environment beside the ports.
    """

    def __init__(
        self, binary: Path, folder: Path, *layers: Path, configs: tuple[Path, ...] = CONFIGS, **settings: str
    ) -> None:
        folder.mkdir(exist_ok=True)
        self._binary = binary
        self._configs = (*configs, *layers)
        self._settings = settings
        self._log = folder / "collector.log"
        self.file = folder / "received.jsonl"
        self._process: subprocess.Popen[bytes] | None = None
        self.grpc_port, self.http_port, self._health_port, self.statsd_port, self._metrics_port = free_ports(5)

    def endpoint(self, protocol: str) -> str:
        """The base URL for OTEL_EXPORTER_OTLP_ENDPOINT."""
        return f"http://127.0.0.1:{self.grpc_port if protocol == 'grpc' else self.http_port}"

    def environment(self) -> dict[str, str]:
        """What the configuration reads, and the test's own environment."""
        return {
            **os.environ,
            "OTELBRIDGE_COLLECTOR_HOST": "127.0.0.1",
            "OTELBRIDGE_COLLECTOR_GRPC_PORT": str(self.grpc_port),
            "OTELBRIDGE_COLLECTOR_HTTP_PORT": str(self.http_port),
            "OTELBRIDGE_COLLECTOR_HEALTH_PORT": str(self._health_port),
            "OTELBRIDGE_COLLECTOR_STATSD_PORT": str(self.statsd_port),
            "OTELBRIDGE_COLLECTOR_METRICS_PORT": str(self._metrics_port),
            "OTELBRIDGE_STATSD_INTERVAL": "200ms",
            "OTELBRIDGE_TEST_FILE": str(self.file),
            **self._settings,
        }

    def arguments(self, *verb: str) -> list[str]:
        """The command line, with a verb such as `validate` or without."""
        return [str(self._binary), *verb, *(f"--config={path}" for path in self._configs)]

    def start(self) -> None:
        """Start, and return when all pipelines run."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self.arguments(), env=self.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        wait_until(self._healthy, READY_TIMEOUT_S, lambda: f"the collector is not ready; it said:\n{self._tail()}")

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Stop as a service manager would: what was received is written first."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def records(self) -> list[Record]:
        """All log records received so far, oldest batch first."""
        return [
            Record(
                body=value(record.get("body", {})),
                severity_number=record.get("severityNumber", 0),
                severity_text=record.get("severityText", ""),
                trace_id=record.get("traceId", ""),
                span_id=record.get("spanId", ""),
                flags=record.get("flags", 0),
                event_name=record.get("eventName", ""),
                attributes=values(record.get("attributes", [])),
                resource=values(group["resource"].get("attributes", [])),
                scope=scope.get("scope", {}),
            )
            for group in self.groups("resourceLogs")
            for scope in group["scopeLogs"]
            for record in scope["logRecords"]
        ]

    def spans(self) -> list[dict[str, Any]]:
        """All spans received so far, as in OTLP's JSON."""
        groups = self.groups("resourceSpans")
        return [span for group in groups for scope in group["scopeSpans"] for span in scope["spans"]]

    def metrics(self, name: str) -> list[dict[str, Any]]:
        """All exports of the metric *name* received so far, as in OTLP's JSON."""
        groups = self.groups("resourceMetrics")
        found = [metric for group in groups for scope in group["scopeMetrics"] for metric in scope["metrics"]]
        return [metric for metric in found if metric["name"] == name]

    def wait_for(self, predicate: Callable[[Collector], bool], timeout_s: float = 15.0) -> None:
        """Return when what was received fulfils *predicate*; fail at the deadline."""
        wait_until(
            lambda: predicate(self),
            timeout_s,
            lambda: f"the collector received {len(self.records())} records, {len(self.spans())} spans:\n{self._tail()}",
        )

    def groups(self, signal: str) -> Iterator[dict[str, Any]]:
        """What was received so far of a signal such as `resourceLogs`, by resource, as in OTLP's JSON."""
        if not self.file.exists():
            return
        for line in self.file.read_bytes().split(b"\n")[:-1]:  # after the last newline: a line that is being written
            yield from json.loads(line).get(signal, [])

    def _healthy(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            msg = f"the collector ended at once; it said:\n{self._tail()}"
            raise AssertionError(msg)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._health_port}/", timeout=1) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False

    def said(self) -> str:
        """All it has printed."""
        return self._log.read_text("utf-8", "replace")

    def own_metrics(self) -> str:
        """The page of its own numbers."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self._metrics_port}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    def cpu_s(self) -> float:
        """Seconds of CPU that it has used since it was started."""
        # https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html: utime and stime, counted from behind the name.
        fields = self._proc("stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_peak_mib(self) -> float:
        """The most memory that it has had at a time."""
        line = next(line for line in self._proc("status").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024

    def _proc(self, name: str) -> str:
        assert self._process is not None
        return Path(f"/proc/{self._process.pid}/{name}").read_text()

    def _tail(self) -> str:
        return "\n".join(self.said().splitlines()[-20:])


class StatsdExporter:
    """One statsd_exporter of Prometheus, listening for UDP and TCP on the same port."""

    def __init__(self, binary: Path) -> None:
        self.statsd_port, self._web_port = free_ports(2)
        self._arguments = [
            str(binary),
            f"--statsd.listen-udp=127.0.0.1:{self.statsd_port}",
            f"--statsd.listen-tcp=127.0.0.1:{self.statsd_port}",
            f"--web.listen-address=127.0.0.1:{self._web_port}",
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return when it listens."""
        self._process = subprocess.Popen(self._arguments, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: bool(self.page()), READY_TIMEOUT_S, lambda: "statsd_exporter is not ready")

    def stop(self) -> None:
        """Stop."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def page(self) -> str:
        """All it has received so far, in Prometheus's text format; empty before it listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._web_port}/metrics", timeout=5) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return ""


class Program:
    """A program of tests/collector/apps, running with the collector as its endpoint and `settings` of its own."""

    def __init__(self, name: str, collector: Collector, protocol: str, **settings: str) -> None:
        unset = ("OTEL_", "OTELBRIDGE_", "LOGURU_")
        env = {key: text for key, text in os.environ.items() if not key.startswith(unset)}
        env["OTEL_EXPORTER_OTLP_ENDPOINT"] = collector.endpoint(protocol)
        env["OTEL_EXPORTER_OTLP_PROTOCOL"] = protocol
        env |= settings
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"tests.collector.apps.{name}"],
            cwd=ROOT,
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def result(self, timeout_s: float = 60.0) -> dict[str, Any]:
        """Close its standard input, wait for its end and return its report, whose account must add up."""
        output, self.errors = self._process.communicate(timeout=timeout_s)
        assert self._process.returncode == 0, self.errors
        report: dict[str, Any] = json.loads(output.splitlines()[-1])
        accounted = report["delivered"] + report["spooled"] + report["rejected"] + sum(report["dropped"].values())
        assert report["emitted"] == accounted, report
        return report

    def kill(self) -> None:
        """End it, if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


def free_ports(count: int) -> list[int]:
    """*count* different free ports of the loopback interface."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(listener.getsockname()[1]) for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports


def wait_until(condition: Callable[[], bool], timeout_s: float, complaint: Callable[[], str]) -> None:
    """Return when *condition* holds; fail with *complaint* at the deadline."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"after {timeout_s:g} s {complaint()}"
        time.sleep(0.05)


def values(attributes: list[dict[str, Any]]) -> dict[str, object]:
    """OTLP's list of keys and values as a dictionary; a key that comes twice is a failure."""
    found = {attribute["key"]: value(attribute["value"]) for attribute in attributes}
    assert len(found) == len(attributes), f"a key comes twice in {attributes}"
    return found


def value(any_value: dict[str, Any]) -> object:
    """A value in OTLP's JSON as a Python value; bytes as their base64 text in a tuple, to tell them from text."""
    if not any_value:
        return None
    ((kind, content),) = any_value.items()
    match kind:
        case "intValue":
            return int(content)
        case "arrayValue":
            return [value(element) for element in content.get("values", [])]
        case "kvlistValue":
            return values(content.get("values", []))
        case "bytesValue":
            return ("base64", content)
        case _:
            return content

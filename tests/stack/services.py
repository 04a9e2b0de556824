"""The Collector and its backends with the configurations that are shipped, on ports of loopback; and how to ask them.

Only names of compose's network, ports, folders and intervals are replaced. Leaves what is sent and asked to the tests.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.collector.real import free_ports
from tests.dashboards.queries import RULES
from tests.stack.process import Server, ask, replaced, says_yes
from tools import backends
from tools.places import ROOT

CONFIGS = ROOT / "backends"
LAYERS = ROOT / "collector-config"
PROGRAMS = ("otelcol", "prometheus", "loki", "jaeger")
TROUBLES = Path(__file__).parent / "troubles.yaml"
STATSD_SERVICE = "shop-statsd"


class Sample(NamedTuple):
    """One number with the labels of its series."""

    labels: dict[str, str]
    value: float


class Line(NamedTuple):
    """One line of Loki: its stream's labels, structured metadata among them."""

    time_ns: int
    text: str
    labels: dict[str, str]


class Prometheus(Server):
    """Prometheus with backends/prometheus.yaml, the rules, and the flags that compose gives it."""

    def __init__(self, binary: Path, folder: Path, *collector_ports: int) -> None:
        (self.ingest_port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.ingest_port}"
        targets = ", ".join(f"127.0.0.1:{port}" for port in collector_ports)
        config = replaced(
            CONFIGS / "prometheus.yaml",
            folder / "prometheus.yaml",
            {
                "collector:8888": targets,
                "localhost:9090": f"127.0.0.1:{self.ingest_port}",
                "scrape_interval: 15s": "scrape_interval: 1s",
                "evaluation_interval: 15s": "evaluation_interval: 1s",
                "rules/*.yaml": f"{RULES}/*.yaml",
            },
        )
        places = {
            "--config.file": str(config),
            "--storage.tsdb.path": str(folder / "prometheus"),
            "--web.listen-address": f"127.0.0.1:{self.ingest_port}",
        }
        flags = [flag for flag in compose_flags("prometheus") if flag.partition("=")[0] not in places]
        command = [str(binary), *flags, *(f"{name}={place}" for name, place in places.items())]
        super().__init__("prometheus", command, folder / "prometheus.log")

    def answers(self) -> bool:
        """Whether it is ready."""
        return says_yes(f"{self.url}/-/ready")

    def query(self, expression: str, *, time_s: float | None = None) -> list[Sample]:
        """The samples at one time, now if none is given; those that are no number are left out."""
        at = {} if time_s is None else {"time": time_s}
        data = ask(f"{self.url}/api/v1/query", query=expression, **at)["data"]
        if data["resultType"] == "scalar":
            return [Sample({}, float(data["result"][1]))]
        return list(numbers((one["metric"], points(one)) for one in data["result"]))

    def query_range(self, expression: str, start_s: float, end_s: float) -> list[Sample]:
        """All samples of a stretch of time, one per second; those that are no number are left out."""
        data = ask(f"{self.url}/api/v1/query_range", query=expression, start=start_s, end=end_s, step=1)["data"]
        return list(numbers((one["metric"], points(one)) for one in data["result"]))

    def label_values(self, label: str, selector: str | None) -> list[str]:
        """The values of a label, of all series or of those selected, as Grafana asks for them for a variable."""
        match = {} if selector is None else {"match[]": selector}
        values: list[str] = ask(f"{self.url}/api/v1/label/{label}/values", **match)["data"]
        return values

    def exemplars(self, expression: str, start_s: float, end_s: float) -> list[dict[str, Any]]:
        """The exemplars of the series that an expression reads."""
        answer = ask(f"{self.url}/api/v1/query_exemplars", query=expression, start=start_s, end=end_s)
        return [exemplar for series in answer["data"] for exemplar in series["exemplars"]]


class Loki(Server):
    """Loki with backends/loki.yaml."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self.ingest_port, grpc_port = free_ports(2)
        self.url = f"http://127.0.0.1:{self.ingest_port}"
        config = replaced(
            CONFIGS / "loki.yaml",
            folder / "loki.yaml",
            {
                "http_listen_port: 3100": f"http_listen_port: {self.ingest_port}",
                "grpc_listen_port: 9095": f"grpc_listen_port: {grpc_port}",
                " /loki": f" {folder}/loki",
            },
        )
        # It calls itself unready for 15 s, in which others would find it, and its parts look for each other every 10 s.
        hurry = ("-ingester.min-ready-duration=0s", "-frontend.scheduler-dns-lookup-period=1s")
        flags = ("-server.http-listen-address=127.0.0.1", *hurry)
        command = [str(binary), f"-config.file={config}", *flags]
        super().__init__("loki", command, folder / "loki.log")

    def answers(self) -> bool:
        """Whether it is ready."""
        return says_yes(f"{self.url}/ready")

    def lines(self, expression: str, start_s: float, end_s: float | None = None) -> list[Line]:
        """The lines of a stretch of time, oldest first."""
        answer = ask(f"{self.url}/loki/api/v1/query_range", query=expression, limit=5000, **stretch(start_s, end_s))
        found = [
            Line(int(entry[0]), entry[1], stream["stream"])
            for stream in answer["data"]["result"]
            for entry in stream["values"]
        ]
        return sorted(found, key=lambda line: line.time_ns)

    def query(self, expression: str, time_s: float) -> list[Sample]:
        """The samples at one time; those that are no number are left out."""
        data = ask(f"{self.url}/loki/api/v1/query", query=expression, time=int(time_s * 1e9))["data"]
        return list(numbers((one["metric"], points(one)) for one in data["result"]))

    def query_range(self, expression: str, start_s: float, end_s: float) -> list[Sample]:
        """All samples of a stretch of time, one per second; those that are no number are left out."""
        limits = stretch(start_s, end_s)
        data = ask(f"{self.url}/loki/api/v1/query_range", query=expression, step=1, **limits)["data"]
        return list(numbers((one["metric"], points(one)) for one in data["result"]))

    def label_values(self, label: str, start_s: float) -> list[str]:
        """The values of a label of the index, as Grafana asks for them for a variable."""
        values: list[str] = ask(f"{self.url}/loki/api/v1/label/{label}/values", **stretch(start_s, None))["data"]
        return values

    def index_labels(self, start_s: float) -> set[str]:
        """The labels that its index knows."""
        return set(ask(f"{self.url}/loki/api/v1/labels", **stretch(start_s, None)).get("data", []))


class Jaeger(Server):
    """Jaeger with backends/jaeger.yaml."""

    def __init__(self, binary: Path, folder: Path) -> None:
        port, query_port, self.ingest_port = free_ports(3)
        self.url = f"http://127.0.0.1:{port}"
        config = replaced(
            CONFIGS / "jaeger.yaml",
            folder / "jaeger.yaml",
            {
                "0.0.0.0:16686": f"127.0.0.1:{port}",
                "127.0.0.1:16685": f"127.0.0.1:{query_port}",
                "0.0.0.0:4317": f"127.0.0.1:{self.ingest_port}",
                "/badger/": f"{folder}/badger/",
            },
        )
        command = [str(binary), f"--config={config}"]
        super().__init__("jaeger", command, folder / "jaeger.log")

    def answers(self) -> bool:
        """Whether it is ready."""
        return says_yes(f"{self.url}/api/services")

    def trace(self, trace_id: str) -> list[dict[str, Any]]:
        """The spans of a trace, each with its process; none if it is not known."""
        try:
            found = ask(f"{self.url}/api/traces/{trace_id}")["data"]
        except AssertionError as error:
            if ": 404 " in str(error):
                return []
            raise
        return [span | {"process": trace["processes"][span["processID"]]} for trace in found for span in trace["spans"]]

    def spans(self, service: str) -> list[dict[str, Any]]:
        """All spans of a service."""
        found = ask(f"{self.url}/api/traces", service=service, limit=1500, lookback="1h")["data"]
        return [span for trace in found for span in trace["spans"]]


class Collector(Server):
    """The Collector with base.yaml, backends.yaml, and what layers a test adds."""

    def __init__(self, binary: Path, folder: Path, name: str, metrics_port: int, *layers: Path, **environ: str) -> None:
        grpc_port, http_port, health_port, self.statsd_port = free_ports(4)
        self.metrics_port = metrics_port
        self.endpoint = f"http://127.0.0.1:{http_port}"
        self._health_url = f"http://127.0.0.1:{health_port}/"
        configs = (LAYERS / "base.yaml", LAYERS / "backends.yaml", *layers)
        ports = {
            "OTELBRIDGE_COLLECTOR_HOST": "127.0.0.1",
            "OTELBRIDGE_COLLECTOR_GRPC_PORT": str(grpc_port),
            "OTELBRIDGE_COLLECTOR_HTTP_PORT": str(http_port),
            "OTELBRIDGE_COLLECTOR_HEALTH_PORT": str(health_port),
            "OTELBRIDGE_COLLECTOR_STATSD_PORT": str(self.statsd_port),
            "OTELBRIDGE_COLLECTOR_METRICS_PORT": str(metrics_port),
        }
        command = [str(binary), *(f"--config={path}" for path in configs)]
        super().__init__(name, command, folder / f"{name}.log", **ports, **environ)

    def answers(self) -> bool:
        """Whether all pipelines run."""
        return says_yes(self._health_url)


class Stack:
    """All of them; a second collector has the troubles that its board and alerts are to show."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started_s = time.time()
        otelcol, prometheus, loki, jaeger = (backends.binary(name) for name in PROGRAMS)
        metrics_ports = free_ports(2)
        self.prometheus = Prometheus(prometheus, folder, *metrics_ports)
        self.loki = Loki(loki, folder)
        self.jaeger = Jaeger(jaeger, folder)
        well = {
            "OTELBRIDGE_PROMETHEUS_URL": self.prometheus.url,
            "OTELBRIDGE_LOKI_URL": self.loki.url,
            "OTELBRIDGE_TRACES_ENDPOINT": f"127.0.0.1:{self.jaeger.ingest_port}",
            "OTELBRIDGE_STATSD_SERVICE": STATSD_SERVICE,
            "OTELBRIDGE_STATSD_INTERVAL": "1s",
        }
        # Prometheus takes no logs, and says so for good; nobody listens for traces.
        (nobody,) = free_ports(1)
        ill = well | {
            "OTELBRIDGE_LOKI_URL": self.prometheus.url,
            "OTELBRIDGE_TRACES_ENDPOINT": f"127.0.0.1:{nobody}",
        }
        self.collector = Collector(otelcol, folder, "collector", metrics_ports[0], **well)
        self.troubled = Collector(otelcol, folder, "troubled", metrics_ports[1], TROUBLES, **ill)
        self._servers = (self.prometheus, self.loki, self.jaeger, self.collector, self.troubled)

    def start(self) -> None:
        """Start all, and return when all are ready."""
        for server in self._servers:
            server.launch()
        for server in self._servers:
            server.await_ready()

    def stop(self) -> None:
        """Stop all, those first that send to others."""
        for server in reversed(self._servers):
            server.stop()


def compose_flags(service: str) -> list[str]:
    """The flags that docker-compose.yml starts a service with."""
    command = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"][service]["command"]
    return [str(flag).replace("$$", "$") for flag in command]


def stretch(start_s: float, end_s: float | None) -> dict[str, int]:
    """A stretch of time, up to now if it has no end, as Loki is asked for it."""
    return {"start": int(start_s * 1e9), "end": int((time.time() + 1 if end_s is None else end_s) * 1e9)}


def points(series: dict[str, Any]) -> Iterator[str]:
    """The values of a series, of one time or of many; of a native histogram its count."""
    for _, text in series.get("values", [series["value"]] if "value" in series else []):
        yield text
    for _, histogram in series.get("histograms", [series["histogram"]] if "histogram" in series else []):
        yield histogram["count"]


def numbers(series: Iterable[tuple[dict[str, str], Iterable[str]]]) -> Iterator[Sample]:
    """The samples that are a number."""
    for labels, texts in series:
        for text in texts:
            if not math.isnan(float(text)):
                yield Sample(labels, float(text))

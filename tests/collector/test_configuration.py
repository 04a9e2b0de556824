"""The configuration files that we ship fit the collector that we name: each as its header says how to stack it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from otelbridge.metrics.instruments import REQUEST_DURATION, RESPONSE_BODY_SIZE, SESSION_DURATION
from tests.collector.real import CONFIGS, SHIPPED, Collector, free_ports
from tools.collector import VERSION
from tools.places import ROOT

pytestmark = pytest.mark.required

# `loadbalancing` of an older version: the only one that can be had.
OLDER = "0.150.0"
# What says that a setting or a component will go.
ANNOUNCED = re.compile("deprecat|obsolete|will be removed", re.IGNORECASE)
# What may be said where a broker or a peer is not there yet.
NOBODY_THERE = re.compile("connection refused|unable to open connection|no such host")
FILES = tuple(sorted(path for path in SHIPPED.glob("*.yaml") if path.stem != "builder"))


class Stacking(NamedTuple):
    """Layers that belong together, and what their headers say to set in the environment."""

    layers: tuple[str, ...]
    settings: Mapping[str, str] = {}

    def __str__(self) -> str:
        return "+".join([*self.layers, *self.settings.values()])

    def make(self, binary: Path, folder: Path, **settings: str) -> Collector:
        """A collector of these layers, with the ports and folder that no other has."""
        (port,) = free_ports(1)
        own = {
            "OTELBRIDGE_QUEUE_FOLDER": str(folder / "queue"),
            "OTELBRIDGE_GATEWAY_PEER_PORT": str(port),
            "OTELBRIDGE_GATEWAY_PEERS": "localhost" if "dns" in self.settings.values() else f"127.0.0.1:{port}",
        }
        configs = tuple(SHIPPED / f"{layer}.yaml" for layer in self.layers)
        return Collector(binary, folder, configs=configs, **own, **self.settings, **settings)


STACKINGS = (
    Stacking(("base",)),
    Stacking(("base", "backends")),
    Stacking(("base", "agent")),
    Stacking(("base", "agent", "kafka"), {"OTELBRIDGE_AGENT_EXPORTER": "kafka"}),
    Stacking(("base", "backends", "gateway")),
    Stacking(("base", "backends", "gateway"), {"OTELBRIDGE_GATEWAY_RESOLVER": "dns"}),
    Stacking(("base", "backends", "gateway", "kafka"), {"OTELBRIDGE_GATEWAY_RECEIVER": "kafka"}),
)


def validate(collector: Collector) -> None:
    """`otelcol validate` accepts the configuration and says nothing."""
    done = subprocess.run(
        collector.arguments("validate"),
        env=collector.environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_headers_name_the_stackings() -> None:
    """The table of this file has what the headers show, and nothing else."""
    shown = set()
    for file in FILES:
        text = re.sub(r"collector-config/|LAYER\.yaml", "", file.read_text("utf-8"))
        for line in re.findall(r"(?m)^# .*?otelcol (--config.*)$", text):
            shown.add(tuple(re.findall(r"--config (\w+)\.yaml", line)))

    assert shown == {stacking.layers for stacking in STACKINGS}


@pytest.mark.parametrize("stacking", STACKINGS, ids=str)
def test_stacking_is_valid(collector_binary: Path, tmp_path: Path, stacking: Stacking) -> None:
    """`otelcol validate` accepts each stacking, without a word."""
    validate(stacking.make(collector_binary, tmp_path))


@pytest.mark.parametrize("stacking", STACKINGS, ids=str)
def test_stacking_is_valid_with_all_that_is_off(collector_binary: Path, tmp_path: Path, stacking: Stacking) -> None:
    """Each setting that is off (TLS, headers, a login for Kafka) is valid where it stands."""
    secrets: dict[str, str] = {}
    for layer in stacking.layers:
        text = (SHIPPED / f"{layer}.yaml").read_text("utf-8")
        switched_on, count = re.subn(r"(?m)^( *)#(?=[a-z])", r"\1", text)
        assert count
        (tmp_path / f"{layer}.yaml").write_text(switched_on, "utf-8")
        secrets |= dict.fromkeys(re.findall(r"\$\{env:(\w+)}", text), "secret")
    configs = tuple(tmp_path / f"{layer}.yaml" for layer in stacking.layers)

    validate(Collector(collector_binary, tmp_path, configs=configs, **stacking.settings, **secrets))


@pytest.mark.parametrize("stacking", STACKINGS, ids=str)
def test_stacking_starts_without_a_warning(collector_binary: Path, tmp_path: Path, stacking: Stacking) -> None:
    """Each stacking starts and stops; nothing it prints announces the end of a setting, or warns of our own."""
    collector = stacking.make(collector_binary, tmp_path)
    try:
        collector.start()
    finally:
        collector.stop()

    warnings = re.findall(r"(?m)^\S+\t(?:warn|error)\t.*$", collector.said())
    assert not ANNOUNCED.findall(collector.said())
    assert [line for line in warnings if not NOBODY_THERE.search(line)] == []


def test_test_layers_are_valid(collector_binary: Path, tmp_path: Path) -> None:
    """The layer that the tests read stands on the base."""
    validate(Collector(collector_binary, tmp_path, configs=CONFIGS))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_headers_explain_the_environment(file: Path) -> None:
    """A file's header explains each variable that it is the first to read, with the default that it has."""
    text = file.read_text("utf-8")
    header = text[: re.search(r"(?m)^\w", text).start()]  # type: ignore[union-attr]  # no file without a key
    base = (SHIPPED / "base.yaml").read_text("utf-8")
    read = dict(re.findall(r"\$\{env:(OTELBRIDGE_\w+):-([^$}]*)", text))
    if file.stem != "base":
        read = {name: default for name, default in read.items() if name not in base}

    explained = dict(re.findall(r"(?m)^# (OTELBRIDGE_\w+) +(.*(?:\n#  +.*)*)$", header))
    assert set(read) <= set(explained)
    assert set(explained) <= set(re.findall(r"OTELBRIDGE_\w+", text.removeprefix(header)))
    lacking = {name: default for name, default in read.items() if default and default not in explained[name]}
    assert lacking == {}


def buckets(numbers: tuple[float, ...] | None, factor: float = 1) -> list[float]:
    """Bounds of the metrics' table, in another unit."""
    assert numbers is not None
    return [number * factor for number in numbers]


def test_buckets_are_the_tables() -> None:
    """The bounds that base.yaml and gateway.yaml spell are those of metrics/instruments.py, times in milliseconds."""
    base, gateway = (yaml.safe_load((SHIPPED / name).read_text("utf-8")) for name in ("base.yaml", "gateway.yaml"))
    converted, set_right = (
        group["statements"] for group in base["processors"]["transform/statsd"]["metric_statements"]
    )
    sizes, sessions = buckets(RESPONSE_BODY_SIZE.buckets), buckets(SESSION_DURATION.buckets, 1000)
    durations = buckets(REQUEST_DURATION.buckets, 1000)

    assert [listed(statement) for statement in set_right] == [sessions, sizes, durations]
    assert [listed(statement) for statement in converted] == [[0.0, *row] for row in (sessions, sizes, durations)]
    (pattern,) = base["receivers"]["statsd"]["timer_histogram_mapping"][0]["histogram"]["explicit_buckets"]
    assert [float(bound) for bound in pattern["buckets"]] == sizes
    assert [
        milliseconds(text) for text in gateway["connectors"]["span_metrics"]["histogram"]["explicit"]["buckets"]
    ] == (durations)


def listed(statement: str) -> list[float]:
    """The numbers of the list in a statement."""
    (found,) = re.findall(r"\[(\d[^]]*)\]", statement)
    return [float(number) for number in found.split(",")]


def milliseconds(duration: str) -> float:
    """A duration as the collector writes it."""
    number, unit = re.fullmatch(r"(\d+)(ms|s)", duration).groups()  # type: ignore[union-attr]  # else the test fails here
    return float(number) * (1000 if unit == "s" else 1)


def test_own_metrics_show_exports_and_no_requests(collector: Collector, program: Callable[..., Any]) -> None:
    """The collector's page has what came and went, and no requests of its own among those of services."""
    program("facts").result()

    page = collector.own_metrics()
    assert re.search(r'(?m)^otelcol_receiver_accepted_log_records\{receiver="otlp",transport="http"} [1-9]', page)
    assert re.search(r'(?m)^otelcol_exporter_sent_log_records\{exporter="file"} [1-9]', page)
    assert not re.search(r"(?m)^http_server_", page)


def test_one_collector_version() -> None:
    """The tested build, its builder and the image of docker-compose.yml are of one version."""
    version = VERSION.removeprefix("v")
    manifest = (ROOT / "collector-config" / "builder.yaml").read_text("utf-8")
    compose = (ROOT / "docker-compose.yml").read_text("utf-8")

    versions = dict(re.findall(r"/(\w+) v(0\.\S+)$", manifest, re.MULTILINE))
    assert versions.pop("loadbalancingexporter") == OLDER
    assert set(versions.values()) == {version}
    assert re.findall(r"image: \S+/opentelemetry-collector-contrib:(\S+)", compose) == [version]

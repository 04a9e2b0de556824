"""docker-compose.yml brought up for real: a Docker daemon of our own, images made here, ports as published."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.compose.files import BASE, built
from tools.docker import Docker, daemon
from tools.progress import ToolError

# Service -> the program in its image, and where the official image has it.
PROGRAMS = {
    "collector": ("otelcol", "/otelcol-contrib"),
    "prometheus": ("prometheus", "/bin/prometheus"),
    "loki": ("loki", "/usr/bin/loki"),
    "jaeger": ("jaeger", "/cmd/jaeger/jaeger-linux"),
}
PYTHON_IMAGE = "python:3.13-slim"
# Grafana's image cannot be had here.
SERVICES = ("shop", "customers")


class Stack:
    """The project of docker-compose.yml without Grafana, in a daemon of our own."""

    def __init__(self, docker: Docker, layer: Path) -> None:
        self.docker = docker
        self.images = (PYTHON_IMAGE, "otelbridge-shop:local")
        self.up_s = 0.0  # how long the first `up` took
        self._files = (f"--file={BASE}", f"--file={layer}")

    def compose(self, *arguments: str, **settings: str) -> str:
        """What `docker compose ARGUMENTS` prints, with *settings* in its environment."""
        return self.docker.compose(*self._files, *arguments, changes=settings)

    def up(self, **settings: str) -> None:
        """Bring up the shop, its customers, and what they need."""
        self.compose("up", "--detach", *SERVICES, **settings)

    def container(self, service: str) -> dict[str, Any]:
        """What Docker knows of a service's container."""
        (identifier,) = self.compose("ps", "--all", "--quiet", service).split()
        found: list[dict[str, Any]] = json.loads(self.docker.run("inspect", identifier))
        return found[0]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A daemon with the images that docker-compose.yml names; nothing runs yet, afterwards nothing does."""
    programs = {service: (built(name), place) for service, (name, place) in PROGRAMS.items()}
    built("docker-compose")
    services = yaml.safe_load(BASE.read_text("utf-8"))["services"]
    taken = [port for port in published(services) if in_use(port)]
    if taken:
        pytest.skip(f"docker-compose.yml publishes ports that something else listens on: {taken}")
    try:
        with daemon() as docker:
            docker.stand_in(PYTHON_IMAGE)
            layer: dict[str, Any] = {}
            for service, (program, place) in programs.items():
                tag = services[service]["image"].partition("@")[0]  # what is made here has no digest
                docker.pack(tag, program, place)
                layer[service] = {"image": tag, "pull_policy": "never"}
            for service in ("shop", "customers", "crowd", "owner"):
                layer[service] = {"build": {"network": "host"}}  # the daemon has no network for builds
            path = tmp_path_factory.mktemp("compose") / "images.yml"
            path.write_text(yaml.safe_dump({"services": layer}), "utf-8")
            fresh = Stack(docker, path)
            fresh.compose("build", "shop")  # `up` would have it built once for each that runs it
            yield fresh
    except ToolError as error:
        pytest.fail(str(error))


def published(services: dict[str, Any]) -> list[int]:
    """The TCP ports on this machine that *services* publish, but for Grafana's."""
    return [
        int(port.split(":")[1])
        for name, service in services.items()
        for port in service.get("ports", [])
        if name != "grafana" and not port.endswith("/udp")
    ]


def in_use(port: int) -> bool:
    """Whether something listens on *port* of the loopback interface."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def ask(port: int, path: str, **parameters: str | int) -> dict[str, Any]:
    """The JSON that the server published on *port* answers; empty while it does not."""
    query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}{query}", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except (OSError, json.JSONDecodeError):
        return {}

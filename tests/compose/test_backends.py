"""The storage servers' own configurations, checked by the servers themselves; but for Tempo, which cannot be built."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.compose.files import BASE, TEMPO, built
from tools.places import ROOT

BACKENDS = ROOT / "backends"
CHECKS = {
    "prometheus": ("promtool", "check", "config", "{file}"),
    "loki": ("loki", "-config.file={file}", "-verify-config"),
    "jaeger": ("jaeger", "validate", "--config={file}"),
}


@pytest.mark.required
@pytest.mark.parametrize("name", CHECKS)
def test_server_accepts_its_configuration(name: str) -> None:
    """
    The server, of the version in docker-compose.yml, accepts its file as it is shipped.
    """
    program, *arguments = CHECKS[name]
    command = [str(built(program)), *(part.format(file=BACKENDS / f"{name}.yaml") for part in arguments)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_configuration_is_mounted() -> None:
    """
    Each file in backends/ is what its server is started with.
    """
    services = {**services_of(TEMPO), **services_of(BASE)}

    for file in BACKENDS.iterdir():
        mount = f"./backends/{file.name}:/etc/{file.stem}/{file.name}:ro"
        assert mount in services[file.stem]["volumes"]
        assert any(f"/etc/{file.stem}/{file.name}" in word for word in services[file.stem]["command"])


def services_of(path: Path) -> dict[str, dict[str, list[str]]]:
    """The services in a file, as written there."""
    text = path.read_text("utf-8").replace("!reset", "").replace("!override", "")
    services: dict[str, dict[str, list[str]]] = yaml.safe_load(text)["services"]
    return services


def test_everything_is_kept_for_a_week() -> None:
    """
    Metrics, records and traces go away at the same age: a link to what is kept leads to something.
    """
    prometheus, loki, jaeger, tempo = (
        yaml.safe_load((BACKENDS / f"{name}.yaml").read_text("utf-8"))
        for name in ("prometheus", "loki", "jaeger", "tempo")
    )

    assert prometheus["storage"]["tsdb"]["retention"]["time"] == "7d"
    assert loki["limits_config"]["retention_period"] == "168h"
    assert loki["compactor"]["retention_enabled"] is True
    assert jaeger["extensions"]["jaeger_storage"]["backends"]["badger"]["badger"]["ttl"]["spans"] == "168h"
    assert tempo["compactor"]["compaction"]["block_retention"] == "168h"


def test_nothing_is_reported_home() -> None:
    """
    Servers that tell their makers how they are used are told not to.
    """
    loki, tempo = (yaml.safe_load((BACKENDS / f"{name}.yaml").read_text("utf-8")) for name in ("loki", "tempo"))

    assert loki["analytics"]["reporting_enabled"] is False
    assert tempo["usage_report"]["reporting_enabled"] is False


def test_docker_needs_root() -> None:
    """
    Somebody else than root who asks for a Docker daemon is told in one sentence what is missing.
    """
    program = (
        "import os\n"
        "from tools.docker import ensure_installed\n"
        "from tools.progress import ToolError\n"
        "if os.geteuid() == 0: os.setuid(65534)\n"
        "try: ensure_installed()\n"
        "except ToolError as error: print(error)\n"
    )

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=30)

    assert done.stdout == "a Docker daemon of our own needs Linux and root: run `make full` as root\n", done.stderr

"""docker-compose.yml as Compose itself understands it, and Grafana's provisioning files. Starts nothing."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.backends import binary
from tools.places import ROOT

BASE = ROOT / "docker-compose.yml"
TEMPO = ROOT / "docker-compose.tempo.yml"
PROVISIONING = ROOT / "dashboards" / "provisioning"


def resolved(*files: Path, **settings: str) -> dict[str, Any]:
    """The project that *files* make with *settings* in the environment, all profiles in it."""
    done = subprocess.run(
        [
            built("docker-compose"),
            *(f"--file={file}" for file in files),
            "--profile=*",
            "config",
            "--format=json",
        ],
        env={"PATH": os.environ["PATH"], **settings},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    project: dict[str, Any] = json.loads(done.stdout)
    return project


def built(name: str) -> Path:
    """A program that `make backends` built; without it the test is skipped."""
    path = binary(name)
    if not path.exists():
        pytest.skip(f"{name} is not built: `make backends` builds it")
    return path


def datasources() -> dict[str, dict[str, Any]]:
    """Grafana's data sources by uid, as provisioned."""
    text = (PROVISIONING / "datasources" / "otelbridge.yaml").read_text("utf-8")
    return {source["uid"]: source for source in yaml.safe_load(text)["datasources"]}

"""The configuration files that we ship are valid for the collector that we name."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.collector.real import CONFIGS
from tools.collector import VERSION
from tools.places import ROOT

pytestmark = pytest.mark.required


@pytest.mark.parametrize("files", [CONFIGS[:1], CONFIGS], ids=["base", "base and file"])
def test_collector_accepts_configuration(collector_binary: Path, tmp_path: Path, files: tuple[Path, ...]) -> None:
    """`otelcol validate` accepts the base, alone and under a layer."""
    arguments = [f"--config={path}" for path in files]
    env = {**os.environ, "OTELBRIDGE_TEST_FILE": str(tmp_path / "out.jsonl")}

    done = subprocess.run(
        [collector_binary, "validate", *arguments], env=env, capture_output=True, text=True, timeout=30
    )

    assert done.returncode == 0, done.stderr


def test_one_collector_version() -> None:
    """The tested build, its builder and the image of docker-compose.yml are of one version."""
    version = VERSION.removeprefix("v")
    manifest = (ROOT / "collector-config" / "builder.yaml").read_text("utf-8")
    compose = (ROOT / "docker-compose.yml").read_text("utf-8")

    assert set(re.findall(r" v(0\.\S+)$", manifest, re.MULTILINE)) == {version}
    assert re.findall(r"image: \S+/opentelemetry-collector-contrib:(\S+)", compose) == [version]

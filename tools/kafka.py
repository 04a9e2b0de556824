"""Apache Kafka's broker, fetched by Maven into the user's cache. Tests of the tiers start it (`make full`)."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from tools.command import run_logged
from tools.places import cache_folder, locked
from tools.progress import ToolError, say, stage

VERSION = "3.9.1"
POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>otelbridge</groupId><artifactId>kafka</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""
COPY = "org.apache.maven.plugins:maven-dependency-plugin:2.8:copy-dependencies"


def libraries() -> Path:
    """The folder where the broker's jars lie once they are fetched."""
    digest = hashlib.sha256(POM.encode()).hexdigest()[:16]
    return cache_folder() / "kafka" / f"{VERSION}-{digest}"


def fetch() -> Path:
    """Fetch the broker's jars if the cache lacks them; return their folder."""
    target = libraries()
    needed = ("java",) if target.exists() else ("java", "mvn")
    lacking = [program for program in needed if shutil.which(program) is None]
    if lacking:
        raise ToolError(
            f"Kafka needs {' and '.join(lacking)}, not found on PATH: install Java 17 or newer and Maven "
            "(Debian, Ubuntu: apt install default-jre-headless maven)"
        )
    with locked(target.parent / ".lock", "fetching Kafka"):
        if not target.exists():
            _fetch(target)
    return target


def _fetch(target: Path) -> None:
    """Have Maven copy the jars beside *target*, then put them in place at once."""
    say(f"one download follows, once: Kafka {VERSION} with what it needs, 46 MB")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="fetch-") as scratch:
        (Path(scratch) / "pom.xml").write_text(POM, "utf-8")
        quietly = ("--quiet", "--batch-mode", "-Dstyle.color=never")
        copy = (COPY, "-DincludeScope=runtime", "-DoutputDirectory=libs")
        with stage("fetching Kafka"):
            run_logged(["mvn", *quietly, *copy], target.parent / "fetch.log", cwd=Path(scratch))
        os.rename(Path(scratch) / "libs", target)

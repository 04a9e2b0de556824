"""Our OpenTelemetry Collector, made of the parts that collector-config/builder.yaml names; and a StatsD server."""

from __future__ import annotations

import re
from pathlib import Path

from tools import golang
from tools.command import run_logged
from tools.golang import Program, Workplace
from tools.places import ROOT
from tools.progress import ToolError, stage

MANIFEST = ROOT / "collector-config" / "builder.yaml"
VERSION = "v0.155.0"
OTELCOL = f"go.opentelemetry.io/collector/otelcol {VERSION}"
GO_LANGUAGE = "1.25.0"  # what the modules of this version ask for
# The collector's own builder: we have it write the sources, and compile them ourselves.
BUILDER = Program("builder", f"go.opentelemetry.io/collector/cmd/builder@{VERSION}", proof="version")
# A StatsD server that is not OpenTelemetry's.
STATSD_EXPORTER = Program("statsd_exporter", "github.com/prometheus/statsd_exporter@v0.31.0")


def binary() -> Path:
    """Where the collector of today's manifest lies once it is built."""
    return golang.result("otelcol", "\0".join((repr(BUILDER), OTELCOL, GO_LANGUAGE, _manifest())))


def build() -> Path:
    """Build the collector if the cache lacks it; return its path."""
    target = binary()
    if not target.exists():
        builder = BUILDER.build()
        golang.build(target, lambda work: _sources(work, builder), proof="--version")
    return target


def statsd_exporter() -> Path:
    """Where Prometheus's statsd_exporter lies once it is built."""
    return STATSD_EXPORTER.binary()


def _manifest() -> str:
    """What the manifest says without its comments: a better word in it builds nothing anew."""
    lines = (line.partition(" #")[0].rstrip() for line in MANIFEST.read_text("utf-8").splitlines())
    return "\n".join(line for line in lines if line and not line.lstrip().startswith("#"))


def _sources(work: Workplace, builder: Path) -> Path:
    """Have *builder* write the collector's sources."""
    manifest = work.folder / "builder.yaml"
    sources = work.folder / "sources"
    text = re.sub(r"(?m)^  output_path:.*$", f"  output_path: '{sources}'", _manifest())
    manifest.write_text(text, "utf-8")
    with stage("generating the collector's sources"):
        skips = ("--skip-get-modules", "--skip-compilation")
        run_logged([builder, "--config", manifest, *skips], work.log, cwd=work.folder)
    (sources / "go.mod").write_text(_go_mod(text), "utf-8")
    return sources


def _go_mod(manifest: str) -> str:
    """The module file with exactly the manifest's modules.

    The builder's own way is `go mod tidy`, which also wants what only the tests of those modules need:
    1.8 GB, and versions that some module proxies refuse.
    """
    modules = re.findall(r"(?m)^ *- gomod: (\S+ \S+)$", manifest)
    if not modules:
        raise ToolError(f"{MANIFEST.name} names no gomod line")
    required = "".join(f"\t{module}\n" for module in [*modules, OTELCOL])
    return f"module otelbridge.invalid/collector\n\ngo {GO_LANGUAGE}\n\nrequire (\n{required})\n"

"""All that is generated, as files: their texts, how they differ from those on disk, and writing them.

A file is replaced whole or not at all.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from otelbridge.dashboards.collector import collector_board
from otelbridge.dashboards.logs import logs_board
from otelbridge.dashboards.names import NATIVE, OTLP, statsd
from otelbridge.dashboards.rules import RUNBOOKS, alert_rules, recording_rules
from otelbridge.dashboards.service import SERVICE_UID, service_board

_RULE = re.compile(r"^ +- (?:alert|record): (\S+)$", re.MULTILINE)


def make_files(*, runbooks: str = RUNBOOKS, prefix: str = "") -> dict[str, str]:
    """Return the text of every file by its path below the output folder."""
    return {
        "service.json": service_board(SERVICE_UID, "Service", OTLP),
        "service-native.json": service_board(f"{SERVICE_UID}-native", "Service (native histograms)", NATIVE),
        "service-statsd.json": service_board(f"{SERVICE_UID}-statsd", "Service (StatsD)", statsd(prefix)),
        "logs.json": logs_board(),
        "collector.json": collector_board(),
        "rules/recording.yaml": recording_rules(prefix),
        "rules/alerts.yaml": alert_rules(runbooks, prefix),
    }


def drift(folder: Path, files: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the files that differ from those in `folder`, with the panels or rules concerned; [] if missing."""
    found = {}
    for name, text in files.items():
        path = folder / name
        old = path.read_text("utf-8") if path.exists() else ""
        if old != text:
            found[name] = _changed(_parts(name, old), _parts(name, text)) if old else []
    return found


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write the files below `folder`, which is made if it is not there. OSError: that cannot be done."""
    fresh = {}
    try:
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh[path] = path.with_name(f".{path.name}.{os.getpid()}")
            fresh[path].write_text(text, "utf-8")
        for path, written in fresh.items():
            written.replace(path)
    finally:
        for written in fresh.values():
            written.unlink(missing_ok=True)


def _changed(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    return [part for part in dict.fromkeys([*new, *old]) if old.get(part) != new.get(part)]


def _parts(name: str, text: str) -> dict[str, str]:
    """A board as its panels by title, a file of rules as its rules by name; what stands around them as `the frame`."""
    if name.endswith(".json"):
        try:
            board = json.loads(text)
            panels = {panel["title"]: json.dumps(panel, sort_keys=True) for panel in board.pop("panels")}
        except (ValueError, KeyError, TypeError, AttributeError):
            return {"the frame": text}
        return {**panels, "the frame": json.dumps(board, sort_keys=True)}
    frame, *rules = _RULE.split(text)
    return {"the frame": frame, **dict(zip(rules[::2], rules[1::2], strict=True))}

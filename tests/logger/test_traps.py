"""Where seed 1 and loguru differ, or a naive logger hurts: what was decided (features.md §7)."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import otelbridge
from otelbridge._logger import Logger
from otelbridge.testing import python_clock
from tests.logger.conftest import Exporting, Lines
from tests.native.oracle import attributes_of, parse


@pytest.mark.covers("T1")
def test_fields_mean_what_they_mean_in_loguru(log: Logger) -> None:
    """
    `{file}` is a name, `{thread}` and `{process}` are ids.
    """
    kept = Lines()
    log.add(kept, format="{file} {thread} {process}")
    log.info("text")

    record = kept.record
    assert kept.text == f"test_traps.py {record['thread'].id} {record['process'].id}\n"


@pytest.mark.covers("T2")
def test_two_shapes_of_json(log: Logger, tmp_path: Path) -> None:
    """
    `serialize=True` nests the record beside its text, as loguru; JsonSink writes it flat, as seed 1.
    """
    log.add(tmp_path / "nested.json", serialize=True)
    log.add(otelbridge.JsonSink(tmp_path / "flat.json"))
    log.info("text", a=1)
    log.remove()

    nested = json.loads((tmp_path / "nested.json").read_text("utf-8"))
    flat = json.loads((tmp_path / "flat.json").read_text("utf-8"))
    assert set(nested) == {"text", "record"}
    assert (nested["record"]["message"], nested["record"]["extra"]) == ("text", {"a": 1})
    assert list(flat) == ["time", "level", "message", "module", "function", "line", "extra"]


@pytest.mark.covers("T3")
def test_default_sink_is_standard_error() -> None:
    """
    Without any set-up lines go to standard error, and nothing to standard output.
    """
    code = "from otelbridge import logger; logger.info('text')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert done.stdout == ""
    assert done.stderr.endswith(" | INFO     | __main__:<module>:1 - text\n")


@pytest.mark.covers("T11")
def test_clock_can_be_pythons(log: Logger, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    With `python_clock(True)` a frozen `time.time_ns` is the time of records; with False it is not.
    """
    monkeypatch.setattr(time, "time_ns", lambda: 1_000_000_000_000_000_000)
    python_clock(True)
    try:
        log.info("frozen")
    finally:
        python_clock(False)
    log.info("real")

    frozen, real = (record["time"].timestamp() for record in lines.records)
    assert frozen == 1e9
    assert real > 1.7e9


@pytest.mark.covers("T16")
def test_configure_keeps_the_handlers_unless_it_is_given_some(log: Logger, lines: Lines) -> None:
    """
    Only `configure(handlers=…)` removes the old ones.
    """
    log.configure(extra={"a": 1})
    log.info("kept")
    log.configure(handlers=[])
    log.info("gone")

    assert lines.messages() == ["kept"]


@pytest.mark.covers("T17")
def test_message_of_catch_is_logurus(log: Logger, lines: Lines) -> None:
    """
    Without `message=`, catch names the function, the process and the thread.
    """

    @log.catch
    def fail() -> None:
        raise ValueError

    fail()

    assert lines.messages()[0].startswith(
        "An error has been caught in function 'test_message_of_catch_is_logurus', process 'MainProcess' ("
    )


@pytest.mark.covers("T18")
def test_values_of_variables_stay_off_the_wire(exporting: Exporting) -> None:
    """
    `diagnose=True` shows variables in that sink; the exported stacktrace is Python's plain one.
    """
    kept = Lines()
    number = exporting.logger.add(kept, diagnose=True)
    try:
        fail_with("shown-to-the-terminal-only", exporting.logger)
    finally:
        exporting.logger.remove(number)

    (record,) = map(parse, exporting.take())
    assert "shown-to-the-terminal-only" in kept.text
    assert "shown-to-the-terminal-only" not in str(attributes_of(record)["exception.stacktrace"])


def fail_with(value: Any, log: Logger) -> None:
    """Raise while `value` is a variable of the line, and log it."""
    try:
        _ = value + 1
    except TypeError:
        log.exception("failed")

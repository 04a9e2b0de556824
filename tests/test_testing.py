"""otelbridge.testing and the pytest plugin: what other programs' tests use."""

from __future__ import annotations

import contextlib
import datetime
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import freezegun
import pytest
import time_machine

from otelbridge._logger import Logger, logger
from otelbridge.integrations import pytest_plugin
from otelbridge.testing import capture, python_clock
from tests.native.conftest import untouched

ROOT = Path(__file__).parents[1]


@pytest.fixture
def log() -> Iterator[Logger]:
    """The logger without sinks; as it was afterwards."""
    with untouched(logger):
        yield logger


@pytest.fixture
def clock() -> Iterator[None]:
    """Times come from Python's clock."""
    python_clock(True)
    try:
        yield
    finally:
        python_clock(False)


# ------------------------------------------------------------------------------------------------------- capture


def test_captured_are_the_records_inside(log: Logger) -> None:
    """
    What is logged inside the block is captured, oldest first, as loguru's record dicts; what is outside is not.
    """
    log.info("before")

    with capture() as captured:
        log.bind(user="ann").info("first {}", 1)
        log.trace("second")
    log.info("after")

    assert captured.messages == ["first 1", "second"]
    assert [record["level"].name for record in captured] == ["INFO", "TRACE"]
    assert captured.records[0]["extra"] == {"user": "ann"}
    assert captured.records[0]["function"] == "test_captured_are_the_records_inside"
    assert len(captured) == 2


def test_capture_from_a_level_on(log: Logger) -> None:
    """
    With a level, lower records are left out; a level that does not exist raises when the block begins.
    """
    with capture("WARNING") as captured:
        log.info("low")
        log.error("high")

    assert captured.messages == ["high"]
    with pytest.raises(ValueError, match="does not exist"), capture("NOPE"):
        pass


def test_capture_leaves_other_sinks_alone(log: Logger) -> None:
    """
    A sink of the program's gets its records as before, and the capture leaves nothing behind, not even after an error.
    """
    seen: list[str] = []
    log.add(seen.append, format="{message}")
    before = log.stats()

    captured = capture()
    with contextlib.suppress(ZeroDivisionError), captured:
        log.info("text")
        raise ZeroDivisionError

    assert captured.messages == ["text"]
    assert seen == ["text\n"]
    assert log.stats().keys() == before.keys()


def test_captures_nest(log: Logger) -> None:
    """
    A capture inside another sees what is logged inside it; the outer one sees everything.
    """
    with capture() as outer:
        log.info("a")
        with capture() as inner:
            log.info("b")
        log.info("c")

    assert inner.messages == ["b"]
    assert outer.messages == ["a", "b", "c"]


def test_captured_record_has_its_exception(log: Logger) -> None:
    """
    A test can look at the exception that was logged.
    """
    error = ValueError("wrong")

    with capture() as captured:
        log.opt(exception=error).error("failed")

    exception = captured.records[0]["exception"]
    assert exception is not None
    assert exception.value is error


def test_patched_record_is_captured_as_patched(log: Logger) -> None:
    """
    The capture sees the record after the patchers, as sinks do.
    """
    with capture() as captured:
        log.patch(lambda record: record["extra"].update(patched=1)).info("text")

    assert captured.records[0]["extra"] == {"patched": 1}


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ({}, ["paid 7", "paid 8", "refused"]),
        ({"message": "paid"}, ["paid 7", "paid 8"]),
        ({"level": "ERROR"}, ["refused"]),
        ({"level": "error"}, []),
        ({"order": 8}, ["paid 8", "refused"]),
        ({"message": "paid", "level": "INFO", "order": 8}, ["paid 8"]),
        ({"missing": None}, []),
        ({"nothing": None}, ["refused"]),
        ({"message": "nowhere"}, []),
    ],
)
def test_find(log: Logger, question: dict[str, Any], answer: list[str]) -> None:
    """
    `find` gives the records with that text in the message, that level's name and those values in extra, all of them.
    """
    with capture() as captured:
        log.info("paid {order}", order=7)
        log.info("paid {order}", order=8)
        log.error("refused", order=8, nothing=None)

    assert [record["message"] for record in captured.find(**question)] == answer


def test_clear_forgets(log: Logger) -> None:
    """
    After `clear` the capture goes on, empty.
    """
    with capture() as captured:
        log.info("first")
        captured.clear()
        assert len(captured) == 0
        log.info("second")

    assert captured.messages == ["second"]


@pytest.mark.parametrize("how", ["remove", "configure"])
def test_program_that_removes_all_sinks_ends_the_capture(log: Logger, how: str) -> None:
    """
    A program under test that removes all sinks takes the capture's, too: what came before is kept, and nothing raises.
    """
    with capture() as captured:
        log.info("before")
        if how == "remove":
            log.remove()
        else:
            log.configure(handlers=[{"sink": lambda _: None}])
        log.info("after")

    assert captured.messages == ["before"]


def test_capture_can_be_opened_again(log: Logger) -> None:
    """
    One capture may be opened several times, and gathers what is logged in each.
    """
    captured = capture()

    with captured:
        log.info("first")
    log.info("between")
    with captured:
        log.info("second")

    assert captured.messages == ["first", "second"]


# ------------------------------------------------------------------------------------------------------- the clock


def test_python_clock_is_looked_up_at_each_call(log: Logger, clock: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A replaced `time.time_ns` gives the time of the next record, and the original that of the one after it.
    """
    with capture() as captured:
        with monkeypatch.context() as patch:
            patch.setattr(time, "time_ns", lambda: 1_767_323_045_000_000_789)
            log.info("text")
        before = datetime.datetime.now(datetime.UTC)
        log.info("text")

    stopped, running = (record["time"] for record in captured)
    assert stopped == datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    assert before <= running <= datetime.datetime.now(datetime.UTC)


def test_core_keeps_its_own_clock_otherwise(log: Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Without python_clock, and after python_clock(False), a replaced `time.time_ns` changes nothing.
    """
    python_clock(True)
    python_clock(False)
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    before = datetime.datetime.now(datetime.UTC)

    with capture() as captured:
        log.info("text")

    assert before <= captured.records[0]["time"] <= datetime.datetime.now(datetime.UTC)


@pytest.mark.parametrize(
    "stop",
    [
        lambda: freezegun.freeze_time("2026-01-02 03:04:05"),
        lambda: time_machine.travel("2026-01-02 03:04:05 +0000", tick=False),
    ],
    ids=["freezegun", "time-machine"],
)
def test_frozen_time_is_the_time_of_records(log: Logger, clock: None, stop: Callable[[], Any]) -> None:
    """
    Under freezegun and time-machine, record and line have the time that the test wants.
    """
    lines: list[str] = []
    log.add(lines.append, format="{time:YYYY-MM-DD HH:mm:ss.SSS!UTC} {message}")

    with stop(), capture() as captured:
        log.info("plain")
        log.opt(lazy=True).info("with options")

    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    assert [record["time"] for record in captured] == [moment, moment]
    assert lines == ["2026-01-02 03:04:05.000 plain\n", "2026-01-02 03:04:05.000 with options\n"]


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone of a process cannot be changed here")
@pytest.mark.parametrize(("zone", "offset"), [("Asia/Tokyo", "+09:00"), ("America/Caracas", "-04:00")])
def test_travel_to_another_zone(log: Logger, clock: None, zone: str, offset: str) -> None:
    """
    A test that moves to another zone sees that zone's local time, within one and the same second, too.
    """
    lines: list[str] = []
    log.add(lines.append, format="{time:HH:mm:ssZ}")
    moment = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)

    with capture() as captured:
        for place in ("UTC", zone, "UTC"):
            with time_machine.travel(moment.astimezone(ZoneInfo(place)), tick=False):
                log.info("text")

    there = f"{moment.astimezone(ZoneInfo(zone)):%H:%M:%S}{offset}\n"
    assert lines == ["03:04:05+00:00\n", there, "03:04:05+00:00\n"]
    assert [record["time"].isoformat()[11:] + "\n" for record in captured] == lines


def test_clock_that_moves_back_hurts_nobody(log: Logger, clock: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Times may go backwards, and before 1970.
    """
    moments = iter([2_000_000_000_000_000_000, 1_000_000_000, -1_500_000_000])
    monkeypatch.setattr(time, "time_ns", lambda: next(moments))

    with capture() as captured:
        for _ in range(3):
            log.info("text")

    assert [record["time"].timestamp() for record in captured] == [2e9, 1.0, -1.5]


# ------------------------------------------------------------------------------------------------------- pytest

USER_TEST = """
import pytest
from otelbridge import logger

def test_captures(otelbridge_capture):
    logger.info("paid {}", 7, order=7)
    assert otelbridge_capture.messages == ["paid 7"]
    assert otelbridge_capture.find("paid", level="INFO", order=7)

def test_begins_empty(otelbridge_capture):
    assert len(otelbridge_capture) == 0

def test_leaves_nothing_behind():
    assert len(logger.stats()) == 1
"""
LAZY_TEST = """
import sys

def test_nothing_is_loaded():
    ours = sorted(name for name in sys.modules if name.partition(".")[0] == "otelbridge")
    assert ours == ["otelbridge", "otelbridge.integrations", "otelbridge.integrations.pytest_plugin"]

def test_fixture_is_known(request):
    assert request.getfixturevalue("otelbridge_capture").records == []
"""


def run_pytest(folder: Path, program: str, *arguments: str, **environment: str) -> str:
    """What pytest says of a test module of a user's, in a folder of its own; warnings are errors."""
    (folder / "test_it.py").write_text(program, "utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", "utf-8")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-W",
            "error",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:logfire",
            *arguments,
            "test_it.py",
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("program", "count"), [(USER_TEST, 3), (LAZY_TEST, 2)], ids=["captures", "lazy"])
def test_plugin_by_option(tmp_path: Path, program: str, count: int) -> None:
    """
    `-p otelbridge.integrations.pytest_plugin` gives tests the fixture, without a warning, and loads no logger itself.
    """
    said = run_pytest(tmp_path, program, "-p", pytest_plugin.__name__, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")

    assert f"{count} passed" in said


@pytest.mark.parametrize(("program", "count"), [(USER_TEST, 3), (LAZY_TEST, 2)], ids=["captures", "lazy"])
def test_plugin_by_entry_point(tmp_path: Path, program: str, count: int) -> None:
    """
    Installed, the plugin is found by pytest itself, which then rewrites the assertions of the whole package.
    """
    site = tmp_path / "site"
    info = site / "otelbridge_here-1.dist-info"
    info.mkdir(parents=True)
    point = f"otelbridge = {pytest_plugin.__name__}\n"  # the real name: pytest takes one of each
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: otelbridge-here\nVersion: 1\n", "utf-8")
    (info / "entry_points.txt").write_text(f"[pytest11]\n{point}", "utf-8")
    (info / "RECORD").write_text("otelbridge/__init__.py,,\notelbridge/_logger.py,,\n", "utf-8")

    said = run_pytest(tmp_path, program, PYTHONPATH=f"{site}{os.pathsep}{ROOT}")

    assert f"{count} passed" in said


def test_distribution_announces_the_plugin() -> None:
    """
    pyproject.toml names the plugin where pytest looks for it.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    assert project["entry-points"]["pytest11"] == {"otelbridge": pytest_plugin.__name__}

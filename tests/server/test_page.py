"""What docs/serving.md shows is true: its commands parse, its programs run, its table is the supervisor's behaviour."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from otelbridge.server import supervisor
from otelbridge.server.options import parse
from tests.server.serving import APP, Served
from tools.places import ROOT

PAGE = (ROOT / "docs" / "serving.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
COMMANDS = re.findall(r"^    otelbridge run (.*)$", PAGE + (ROOT / "README.md").read_text("utf-8"), re.MULTILINE)


@pytest.mark.covers("3.2")
@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_understood(command: str) -> None:
    """
    Each command line of the page, and of the README, is one of ours.
    """
    assert parse(shlex.split(command, comments=True)).application_path == "shop:app"


def test_options_of_the_table_exist() -> None:
    """
    Each option that the page names is understood.
    """
    named = set(re.findall(r"`(--[a-z-]+)", PAGE))
    values = {"metrics": "none", "workers": "2", "max-requests": "9", "graceful-timeout": "3"}
    flags = {"--daemon", "--reload", "--help"}

    for option in named - flags:
        parse([option, values.get(option.strip("-"), "x"), "shop:app"])
    for option in (named & flags) - {"--help"}:
        parse([option, "shop:app"])
    assert len(named) > 10


@pytest.mark.covers("3.1")
def test_the_program_of_the_page_serves(tmp_path: Path) -> None:
    """
    The page's first program, as a script without a main guard, serves with four workers and returns code 0.
    """
    (tmp_path / "shop.py").write_text(APP)
    program = BLOCKS[0].replace('["0.0.0.0:8000"]', '["127.0.0.1:" + sys.argv[1]]')
    assert program != BLOCKS[0]
    (tmp_path / "program.py").write_text(program)
    served = Served(tmp_path, "{port}", program="program.py")
    try:
        served.await_running(4)
        assert int(served.get()) in served.workers()
        assert served.stop() == 0
    finally:
        served.kill()


@pytest.mark.covers(
    "3.14", note="Our Logger also serves under Hypercorn's own command, as `logger_class` of a configuration file"
)
def test_the_logger_alone_serves_under_hypercorns_command(tmp_path: Path) -> None:
    """
    The page's second block, as a configuration file for Hypercorn's own command.
    """
    (tmp_path / "shop.py").write_text(APP)
    (tmp_path / "config.py").write_text(BLOCKS[1])
    served = Served(
        tmp_path, "-c", "file:config.py", "-w", "0", "-b", "127.0.0.1:{port}", "shop:app", program="-m hypercorn"
    )
    try:
        served.await_running(1)
        assert int(served.get()) == served.pid
    finally:
        served.kill()


def test_numbers_of_the_page_are_the_supervisors() -> None:
    """
    Pauses and limits that the page tells are those of the code.
    """
    assert f"another starts after {supervisor.FIRST_PAUSE_S} s" in PAGE
    assert f"(at most {supervisor.LONGEST_PAUSE_S:.0f} s)" in PAGE
    assert supervisor.FAILURES_MAX == 5
    assert "five deaths in a row" in PAGE

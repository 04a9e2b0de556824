"""The command `otelbridge`: its verbs, its usage, its exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version

import pytest

from otelbridge.cli import VERBS, main


@pytest.mark.parametrize("arguments", [[], ["--help"], ["demo", "--help"], ["version", "--help"]])
def test_usage_names_every_verb(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Help goes to stdout with exit code 0; no verb at all is wrong usage, exit code 2."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    shown = capsys.readouterr()
    assert caught.value.code == (0 if arguments else 2)
    assert "usage: otelbridge" in (shown.out if arguments else shown.err)
    if arguments == ["--help"]:
        assert all(verb in shown.out for verb in VERBS)


@pytest.mark.parametrize("arguments", [["sell"], ["version", "--yaml"], ["demo", "--seconds", "0"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown verb, option or value ends with code 2 and a usage line."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)

    assert caught.value.code == 2
    assert "usage: otelbridge" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "soon"])
def test_seconds_say_what_is_expected(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A bad number of seconds is answered with what was expected and what was got."""
    with pytest.raises(SystemExit):
        main(["demo", f"--seconds={value}"])

    assert f"expected a number of seconds above 0, got '{value}'" in capsys.readouterr().err


def test_version_lists_the_parts(capsys: pytest.CaptureFixture[str]) -> None:
    """`version` prints our version first, then Python's and those of what we stand on."""
    assert main(["version"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"otelbridge {version('otelbridge')}"
    assert f"opentelemetry-sdk {version('opentelemetry-sdk')}" in lines


def test_version_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """`version --json` prints one JSON object with the same."""
    assert main(["version", "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["otelbridge"] == version("otelbridge")


def test_module_is_the_command() -> None:
    """`python -m otelbridge` does the same, and loads neither the SDK nor Hypercorn for a small verb."""
    program = (
        "import runpy, sys; sys.argv = ['otelbridge', 'version']\n"
        "try: runpy.run_module('otelbridge', run_name='__main__')\n"
        "except SystemExit as ended: assert ended.code == 0\n"
        "assert not {'opentelemetry.sdk', 'hypercorn', 'rich'} & set(sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)

    assert done.stderr == ""
    assert done.stdout.startswith("otelbridge ")

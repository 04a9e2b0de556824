"""docs/from-loguru.md: each recipe runs as it stands, and does what its heading says."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCUMENT = (Path(__file__).parents[2] / "docs" / "from-loguru.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", DOCUMENT, re.DOTALL | re.MULTILINE)


def block(words: str) -> str:
    """The only recipe with these words."""
    found: list[str] = [text for text in BLOCKS if words in text]
    assert len(found) == 1
    return found[0]


def run(code: str, folder: Path) -> str:
    """What the program writes to standard error; it must end well."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL", "LOGURU"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={**environment, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.mark.parametrize("i", range(len(BLOCKS)))
def test_recipe_runs(i: int, tmp_path: Path) -> None:
    """
    A recipe can be pasted and run.
    """
    run(BLOCKS[i], tmp_path)


def test_json_recipe(tmp_path: Path) -> None:
    """
    Both files hold one JSON object for the record.
    """
    run(block('serialize="otel"'), tmp_path)

    preset = json.loads((tmp_path / "app.json").read_text("utf-8"))
    mine = json.loads((tmp_path / "mine.json").read_text("utf-8"))
    assert (preset["body"], preset["attributes"]["number"]) == ("Invoice 17 sent", 17)
    assert (mine["said"], mine["number"]) == ("Invoice 17 sent", 17)


def test_stdlib_recipe(tmp_path: Path) -> None:
    """
    The line names the library's place and level.
    """
    assert re.search(r"WARNING.*taken in, with its own place", run(block("add_stdlib_bridge"), tmp_path))


def test_hold_recipe(tmp_path: Path) -> None:
    """
    The detail is shown before the error.
    """
    said = run(block("logger.hold"), tmp_path)

    assert said.index("Basket: []") < said.index("Nothing to sell")


def test_once_recipe(tmp_path: Path) -> None:
    """
    The warning is said once, the progress ten times; at exit the rest is told.
    """
    said = run(block("once=True"), tmp_path)

    assert (said.count("The old field"), said.count("At item")) == (1 + 1, 10 + 1)
    assert "The old field is in use [999 more left out]" in said


def test_secrets_recipe(tmp_path: Path) -> None:
    """
    No secret reaches a sink.
    """
    code = block("value:card").replace("import otelbridge\n", "import sys\nimport otelbridge\n", 1)
    code += 'logger.add(sys.stderr, format="{message} {extra}")\n'
    code += code[code.index("logger.info(") : code.index("\n", code.index("logger.info("))] + "\n"
    said = run(code, tmp_path)

    assert "REDACTED" in said
    assert not re.search("hunter2|DE02|4111", said)

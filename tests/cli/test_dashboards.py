"""The verb `dashboards`: what it writes, what it says, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from otelbridge.cli import main

FILES = {
    "service.json",
    "service-native.json",
    "service-statsd.json",
    "logs.json",
    "collector.json",
    "rules/recording.yaml",
    "rules/alerts.yaml",
}


def run(*arguments: str | Path) -> int:
    return main(["dashboards", *map(str, arguments)])


def test_writes_boards_and_rules(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every file is written into the folder, which is made, and named on a line; then there is nothing to do."""
    folder = tmp_path / "grafana" / "boards"

    assert run("--output", folder) == 0
    written = capsys.readouterr().out
    assert run("--output", folder, "--check") == 0

    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == FILES
    assert written.splitlines() == [f"wrote {folder / name}" for name in written_order(written, folder)]
    assert set(written_order(written, folder)) == FILES
    assert capsys.readouterr().out == f"{folder}: nothing to change in {len(FILES)} files\n"


def written_order(written: str, folder: Path) -> list[str]:
    return [Path(line.removeprefix("wrote ")).relative_to(folder).as_posix() for line in written.splitlines()]


def test_check_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--check` leaves the folder as it is, says of each file what is wrong with it, and ends with code 1."""
    run("--output", tmp_path)
    service, logs = tmp_path / "service.json", tmp_path / "logs.json"
    service.write_text(service.read_text("utf-8").replace("Requests that ended", "Requests which ended"), "utf-8")
    logs.unlink()
    before = service.read_bytes()
    capsys.readouterr()

    assert run("--output", tmp_path, "--check") == 1

    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{service} differs from what is generated now: Requests, Requests by route")
    assert second.startswith(f"{logs} is missing")
    assert service.read_bytes() == before
    assert not logs.exists()


def test_json_says_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` prints one object with the files and the parts of them that changed."""
    assert run("--output", tmp_path, "--json") == 0

    told = json.loads(capsys.readouterr().out)
    assert told == {"output": str(tmp_path), "changed": {name: [] for name in told["changed"]}, "written": True}
    assert set(told["changed"]) == FILES


def test_a_folder_that_is_none_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file where the folder should be ends with code 1 and a sentence that names it."""
    place = tmp_path / "boards"
    place.write_text("a file", "utf-8")

    assert run("--output", place) == 1

    complaint = capsys.readouterr().err
    assert complaint.startswith(f"otelbridge dashboards: cannot use the folder {place}: ")
    assert complaint.count("\n") == 1
    assert place.read_text("utf-8") == "a file"


def test_without_the_sdk_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without grafana-foundation-sdk the verb ends with code 1 and the command that installs it."""
    for name in [name for name in sys.modules if name.startswith(("grafana_foundation_sdk", "otelbridge.dashboards"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "grafana_foundation_sdk", None)

    assert run("--output", tmp_path) == 1

    assert "pip install 'otelbridge[dashboards]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_other_verbs_do_not_load_it() -> None:
    """`otelbridge version` loads nothing of Grafana's SDK."""
    program = (
        "import sys; from otelbridge.cli import main; main(['version'])\n"
        "assert not [name for name in sys.modules if name.startswith(('grafana', 'otelbridge.dashboards'))]"
    )

    subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60, check=True)

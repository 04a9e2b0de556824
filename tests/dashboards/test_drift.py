"""The committed files and what would be generated now."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from otelbridge.dashboards.files import drift, make_files, write
from tests.dashboards.queries import BOARDS, boards, panels, rules
from tools.places import ROOT

RENAMING = """
import dataclasses, sys
from otelbridge.metrics import instruments
renamed = dataclasses.replace(instruments.{row}, name="http.server.request.time")
instruments.{row} = renamed
from otelbridge.cli import main
sys.exit(main(["dashboards", "--check"]))
"""


def test_committed_files_are_those_that_are_generated() -> None:
    """
    Generated anew, no board and no rule differs from the one in the repository.
    """
    assert drift(BOARDS, make_files()) == {}


def test_same_input_same_text() -> None:
    """
    Generating is deterministic, also between processes, and each file ends its last line.
    """
    program = "import json; from otelbridge.dashboards.files import make_files; print(json.dumps(make_files()))"
    texts = {
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True).stdout
        for _ in range(2)
    }

    assert len(texts) == 1
    assert all(text.endswith("\n") and not text.endswith("\n\n") for text in make_files().values())


def test_a_renamed_metric_names_the_panels() -> None:
    """
    A metric that is renamed in the table without generating anew fails the check, which names each panel and rule that
    asks for it.
    """
    done = subprocess.run(
        [sys.executable, "-c", RENAMING.format(row="REQUEST_DURATION")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )

    told = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert done.returncode == 1, done.stderr
    for board, name in (("service", "http_server_request_duration"), ("logs", "http_server_request_duration")):
        asking = [one["title"] for one in panels(boards()[board]) if any(name in t["expr"] for t in one["targets"])]
        assert asking
        assert [title for title in asking if title not in told[f"dashboards/{board}.json"]] == []
    assert "Requests by route" not in told["dashboards/service.json"]
    slow = [rule["record"] for rule in rules() if "http_server_request_duration" in rule["expr"]]
    assert [name for name in slow if name not in told["dashboards/rules/recording.yaml"]] == []
    assert "dashboards/collector.json" not in told


def test_only_what_changed_is_named(tmp_path: Path) -> None:
    """
    A changed panel is named alone; a missing file has nothing to name; what stands around the panels has a name, too.
    """
    files = make_files()
    write(tmp_path, files)
    changed = files | {"service.json": files["service.json"].replace('"title": "Durations"', '"title": "How long"')}
    changed["logs.json"] = files["logs.json"].replace('"refresh": "30s"', '"refresh": "1m"')
    (tmp_path / "collector.json").unlink()

    found = drift(tmp_path, changed)

    assert found == {"service.json": ["How long", "Durations"], "logs.json": ["the frame"], "collector.json": []}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"panels": 3}', '{"panels": [{}]}', "\x00"])
def test_a_file_that_is_no_board_differs(tmp_path: Path, text: str) -> None:
    """
    Whatever stands in a file, it is found to differ.
    """
    write(tmp_path, make_files())
    (tmp_path / "service.json").write_text(text, "utf-8")

    assert set(drift(tmp_path, make_files())) == {"service.json"}


def test_files_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """
    When one file cannot be written, none is, and nothing is left over.
    """
    write(tmp_path, {"one.json": "old"})
    (tmp_path / "rules").write_text("no folder", "utf-8")

    with pytest.raises(OSError, match="rules"):
        write(tmp_path, {"one.json": "new", "rules/two.yaml": "new"})

    assert {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()} == {
        "one.json": "old",
        "rules": "no folder",
    }


def test_prefix_and_base_go_where_they_belong() -> None:
    """
    A StatsD prefix changes the StatsD board and the rules, a base of the pages the alerts; nothing else.
    """
    plain = make_files()

    prefixed = make_files(prefix="acme")
    based = make_files(runbooks="https://wiki.example/runbooks/")

    assert {name for name in plain if plain[name] != prefixed[name]} == {
        "service-statsd.json",
        "rules/recording.yaml",
        "rules/alerts.yaml",
    }
    assert "acme_otelbridge_http_requests_total" in prefixed["service-statsd.json"]
    assert {name for name in plain if plain[name] != based[name]} == {"rules/alerts.yaml"}
    assert '"https://wiki.example/runbooks/ServiceSilent.md"' in based["rules/alerts.yaml"]

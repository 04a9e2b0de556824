"""Programs built into the user's cache: by a real Go, from a folder of the test's own as the module proxy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from tests.collector.real import wait_until
from tools import backends, collector, golang
from tools.golang import Program
from tools.places import ROOT
from tools.progress import ToolError

HELLO = 'package main\nfunc main() { println("hello") }\n'
BROKEN = "package main\nfunc main() { undefined() }\n"
# Runs until nobody reads what it says.
ENDLESS = """package main
import ("fmt"; "time")
func main() { for { fmt.Println("working"); time.Sleep(20 * time.Millisecond) } }
"""
BUILD_ENDLESS = "from tools.golang import Program; Program('endless', 'test.invalid/endless@v1.0.0').build()"


@pytest.fixture
def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as Go's module proxy, and an empty cache of ours; what Go has compiled before stays in the user's."""
    go = golang.toolchain()
    if not go.exists():
        pytest.skip("there is no Go: `make backends` fetches it")
    settings = {**os.environ, **golang.environment()}
    compiled = subprocess.run([go, "env", "GOCACHE"], env=settings, capture_output=True, text=True, check=True).stdout
    monkeypatch.setattr(golang, "toolchain", lambda: go)
    for name, value in {
        "GOCACHE": compiled.strip(),
        "GOMODCACHE": str(tmp_path / "modules"),
        "GOPROXY": f"file://{tmp_path}/proxy",
        "GONOSUMDB": "*",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "proxy"


def publish(proxy: Path, name: str, code: str) -> Program:
    """Put a module of one file into the proxy; the program that is made of it."""
    module, version = f"test.invalid/{name}", "v1.0.0"
    folder = proxy / module / "@v"
    folder.mkdir(parents=True)
    files = {"go.mod": f"module {module}\n\ngo 1.25\n", "main.go": code}
    (folder / f"{version}.info").write_text(json.dumps({"Version": version}))
    (folder / f"{version}.mod").write_text(files["go.mod"])
    with zipfile.ZipFile(folder / f"{version}.zip", "w") as packed:
        for file, text in files.items():
            packed.writestr(f"{module}@{version}/{file}", text)
    return Program(name, f"{module}@{version}")


@pytest.mark.required
def test_program_is_built_once(proxy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A program is built into the cache and runs; a second build needs neither Go nor the network.
    """
    program = publish(proxy, "hello", HELLO)

    path = program.build()
    monkeypatch.setattr(golang, "toolchain", lambda: Path("no such toolchain"))

    assert subprocess.run([path], capture_output=True, text=True, check=True).stderr == "hello\n"
    assert program.build() == path


@pytest.mark.required
def test_broken_program_costs_none_of_the_others(
    proxy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    A program that cannot be compiled, or fetched, is one sentence that names its log; those after it are built.
    """
    broken, hello = publish(proxy, "broken", BROKEN), publish(proxy, "hello", HELLO)
    absent = Program("absent", "test.invalid/absent@v1.0.0")
    programs = {program.name: program for program in (broken, absent, hello)}
    monkeypatch.setattr(backends, "PROGRAMS", programs)
    monkeypatch.setattr(backends, "BUILDS", {name: program.build for name, program in programs.items()})
    monkeypatch.setattr(backends, "COSTS", dict.fromkeys(programs, (1, 1)))

    with pytest.raises(ToolError, match="2 of 3 programs could not be built: broken, absent"):
        backends.build(tuple(programs))

    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    for program, line in zip((broken, absent), said, strict=True):
        assert not program.binary().exists()
        assert str(program.binary().parent / "build.log") in line
    assert "undefined" in said[0]
    assert hello.binary().exists()


@pytest.mark.required
def test_killed_run_leaves_nothing_that_looks_built(proxy: Path) -> None:
    """
    A run killed before its program proved to work leaves no program, and nothing that keeps the next run from building.
    """
    endless = publish(proxy, "endless", ENDLESS)
    log = endless.binary().parent / "build.log"

    with subprocess.Popen([sys.executable, "-c", BUILD_ENDLESS], cwd=ROOT, stdout=subprocess.DEVNULL) as run:
        wait_until(lambda: log.exists() and "--version" in log.read_text("utf-8"), 100, lambda: "nothing was compiled")
        run.kill()

    assert not endless.binary().exists()
    assert publish(proxy, "hello", HELLO).build().exists()


def test_changed_recipe_is_another_program() -> None:
    """
    Another version, tag or graft lies elsewhere, so that no test runs a program of yesterday's recipe.
    """
    program = backends.PROGRAMS["loki"]
    others = [
        replace(program, module=program.module + ".1"),
        replace(program, tags="other"),
        replace(program, grafts={}),
    ]

    paths = {one.binary() for one in (program, *others)}

    assert len(paths) == 4
    assert {path.name for path in paths} == {program.binary().name}


def test_collector_is_named_by_its_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A part more in the manifest is another collector; a comment more is the same one.
    """
    text = collector.MANIFEST.read_text("utf-8")
    manifest = tmp_path / "builder.yaml"
    monkeypatch.setattr(collector, "MANIFEST", manifest)

    paths = []
    for version in (text, f"# Better said.\n{text}", text.replace("v1.61.0", "v1.62.0", 1)):
        manifest.write_text(version, "utf-8")
        paths.append(collector.binary())

    assert paths[0] == paths[1]
    assert paths[0] != paths[2]


def test_every_name_has_its_place_and_cost() -> None:
    """
    Each program that can be built has a path of its own and an expected cost.
    """
    assert len({backends.binary(name) for name in backends.NAMES}) == len(backends.NAMES)
    assert set(backends.COSTS) == set(backends.NAMES)

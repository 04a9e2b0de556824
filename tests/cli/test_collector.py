"""`otelbridge collector`: what it writes is the shipped templates with the arguments in, or it writes nothing."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from otelbridge.cli import main
from otelbridge.cli.collector import NAMES
from tools.collector import binary
from tools.places import ROOT

AGENT = ["collector", "--tier", "agent", "--endpoint", "gateway.example:4317"]
GATEWAY = ["collector", "--tier", "gateway", "--endpoint", "store.example"]
KAFKA = [
    *("collector", "--tier", "kafka", "--backends", "store.example:4320"),
    *("--endpoint", "k1.example:9092,k2.example:9092"),
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and no collector on PATH."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.defpath)
    return tmp_path


def program(folder: Path, name: str, *, said: str, code: int) -> Path:
    """A program that stands for a collector: it says something and ends with a code."""
    file = folder / name
    file.write_text(f"#!/bin/sh\necho {shlex.quote(said)} >&2\nexit {code}\n")
    file.chmod(0o755)
    return file


def files(folder: Path) -> dict[str, str]:
    """All that lies in the folder."""
    return {str(file.relative_to(folder)): file.read_text("utf-8") for file in folder.rglob("*") if file.is_file()}


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (AGENT, {"base", "agent"}),
        (GATEWAY, {"base", "backends", "gateway"}),
        (KAFKA, {"base", "agent", "backends", "gateway", "kafka"}),
    ],
    ids=["agent", "gateway", "kafka"],
)
def test_files_are_the_templates_with_other_defaults(folder: Path, arguments: list[str], names: set[str]) -> None:
    """Each file is its template, comments and all, but for a head and the defaults that arguments replace."""
    assert main(arguments) == 0

    written = files(folder)
    assert set(written) == {f"collector-config/{name}.yaml" for name in names}
    for name, text in written.items():
        head, _, rest = text.partition("#\n")
        assert all(line.startswith("# ") for line in head.splitlines())
        assert without_defaults(rest) == without_defaults((ROOT / name).read_text("utf-8"))


def without_defaults(text: str) -> str:
    """A configuration with the names of its variables, and not their defaults."""
    return re.sub(r"(?<=:-)[^${}]*(?=\})", "", text)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([*AGENT], {"OTELBRIDGE_GATEWAY_ENDPOINT": "gateway.example:4317", "OTELBRIDGE_GATEWAY_INSECURE": "true"}),
        ([*AGENT, "--tls"], {"OTELBRIDGE_GATEWAY_INSECURE": "false", "OTELBRIDGE_GATEWAY_CA_FILE": ""}),
        ([*AGENT, "--tls", "/etc/ca.crt"], {"OTELBRIDGE_GATEWAY_CA_FILE": "/etc/ca.crt"}),
        (
            ["collector", "--tier", "agent", "--endpoint", "https://gateway.example/"],
            {"OTELBRIDGE_GATEWAY_ENDPOINT": "gateway.example:4317", "OTELBRIDGE_GATEWAY_INSECURE": "false"},
        ),
        ([*AGENT[:-1], "http://gateway.example:4318"], {"OTELBRIDGE_GATEWAY_ENDPOINT": "gateway.example:4318"}),
        (
            ["collector", "--tier", "kafka", "--endpoint", "k1.example,k2.example:9093"],
            {
                "OTELBRIDGE_KAFKA_BROKERS": "k1.example:9092,k2.example:9093",
                "OTELBRIDGE_TRACES_ENDPOINT": "jaeger:4317",
            },
        ),
        ([*AGENT, "--queue-folder", "/data/my queue"], {"OTELBRIDGE_QUEUE_FOLDER": "/data/my queue"}),
        ([*AGENT, "--listen", "10.0.0.7"], {"OTELBRIDGE_COLLECTOR_HOST": "10.0.0.7"}),
        ([*AGENT], {"OTELBRIDGE_COLLECTOR_HOST": "127.0.0.1"}),
        (
            [*GATEWAY],
            {
                "OTELBRIDGE_COLLECTOR_HOST": "127.0.0.1",
                "OTELBRIDGE_PROMETHEUS_URL": "http://store.example:9090",
                "OTELBRIDGE_LOKI_URL": "http://store.example:3100",
                "OTELBRIDGE_TRACES_ENDPOINT": "store.example:4317",
                "OTELBRIDGE_GATEWAY_PEERS": "127.0.0.1:4319",
            },
        ),
        (
            [*GATEWAY, "--prometheus", "https://p.example/x/", "--loki", "http://l:3100", "--peers", "a:4320,b:4320"],
            {
                "OTELBRIDGE_PROMETHEUS_URL": "https://p.example/x",
                "OTELBRIDGE_LOKI_URL": "http://l:3100",
                "OTELBRIDGE_GATEWAY_RESOLVER": "static",
                "OTELBRIDGE_GATEWAY_PEERS": "a:4320,b:4320",
                "OTELBRIDGE_GATEWAY_PEER_PORT": "4320",
            },
        ),
        (
            [*GATEWAY, "--peers", "dns:gateways:4320"],
            {
                "OTELBRIDGE_GATEWAY_RESOLVER": "dns",
                "OTELBRIDGE_GATEWAY_PEERS": "gateways",
                "OTELBRIDGE_GATEWAY_PEER_PORT": "4320",
            },
        ),
        (
            [*KAFKA],
            {
                "OTELBRIDGE_KAFKA_BROKERS": KAFKA[-1],
                "OTELBRIDGE_AGENT_EXPORTER": "kafka",
                "OTELBRIDGE_GATEWAY_RECEIVER": "kafka",
                "OTELBRIDGE_TRACES_ENDPOINT": "store.example:4320",
            },
        ),
    ],
)
def test_arguments_are_defaults(folder: Path, arguments: list[str], expected: dict[str, str]) -> None:
    """An argument stands as the default of its variable wherever that is read; the variable itself still wins."""
    assert main(arguments) == 0

    found = re.findall(r"\$\{env:(OTELBRIDGE_\w+):-([^$}]*)\}", "\n".join(files(folder).values()))
    assert {(name, default) for name, default in found if name in expected} == set(expected.items())


def test_commands_name_the_layers_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed ends with the line to run, for each program of the tier."""
    assert main([*KAFKA, "--output", "my config"]) == 0

    commands = [shlex.split(line) for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    layers = (["base", "agent", "kafka"], ["base", "backends", "gateway", "kafka"])
    assert commands == [
        [NAMES[0], *(word for layer in stack for word in ("--config", f"my config/{layer}.yaml"))] for stack in layers
    ]


def test_json_says_what_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` prints one object: the files written, the commands, and that nobody validated."""
    assert main([*AGENT, "--json"]) == 0

    assert json.loads(capsys.readouterr().out) == {
        "tier": "agent",
        "written": ["collector-config/base.yaml", "collector-config/agent.yaml"],
        "validated_by": None,
        "commands": {
            "agent": "otelcol-contrib --config collector-config/base.yaml --config collector-config/agent.yaml"
        },
    }


def test_again_is_no_change(capsys: pytest.CaptureFixture[str]) -> None:
    """The same arguments again leave the files as they are."""
    assert main(AGENT) == 0
    capsys.readouterr()

    assert main([*AGENT, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["written"] == []


def test_edited_file_is_kept_without_force(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that differs is not replaced, nor is any other written, unless `--force` is given."""
    (folder / "collector-config").mkdir()
    (folder / "collector-config" / "agent.yaml").write_text("mine")

    assert main(AGENT) == 1
    assert files(folder) == {"collector-config/agent.yaml": "mine"}
    assert capsys.readouterr().err.count("\n") == 1
    assert main([*AGENT, "--force"]) == 0
    assert set(files(folder)) == {"collector-config/agent.yaml", "collector-config/base.yaml"}
    assert "gateway.example" in files(folder)["collector-config/agent.yaml"]


WRONG_USAGE = [
    [],
    ["--tier", "relay", "--endpoint", "a:1"],
    ["--tier", "agent"],
    ["--tier", "agent", "--endpoint", ""],
    ["--tier", "agent", "--endpoint", "gateway:0"],
    ["--tier", "agent", "--endpoint", "gateway:70000"],
    ["--tier", "agent", "--endpoint", "ftp://gateway:4317"],
    ["--tier", "agent", "--endpoint", "http://gateway:4317/v1/logs"],
    ["--tier", "agent", "--endpoint", "a:1}\nexporters: {}"],
    ["--tier", "agent", "--endpoint", '"a":1'],
    ["--tier", "agent", "--endpoint", "${env:HOME}:1"],
    ["--tier", "kafka", "--endpoint", "a:1,"],
    ["--tier", "gateway", "--endpoint", "a", "--peers", "dns:a:1,b:1"],
    ["--tier", "gateway", "--endpoint", "a", "--loki", "loki:3100"],
    ["--tier", "gateway", "--endpoint", "a", "--loki", "http://loki:3100/}"],
    ["--tier", "agent", "--endpoint", "a:1", "--queue-folder", "relative/folder"],
    ["--tier", "agent", "--endpoint", "a:1", "--queue-folder", "/q #"],
    ["--tier", "agent", "--endpoint", "a:1", "--queue-folder", "/q\n"],
    ["--tier", "agent", "--endpoint", "a:1", "--tls", "/$x"],
    ["--tier", "agent", "--endpoint", "a:1", "--listen", "::"],
]


@pytest.mark.parametrize("arguments", WRONG_USAGE)
def test_wrong_usage_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """What is no tier, address, URL or path ends with code 2, a sentence, and no file."""
    with pytest.raises(SystemExit) as caught:
        main(["collector", *arguments])

    assert caught.value.code == 2
    assert "otelbridge collector: error: " in capsys.readouterr().err
    assert files(folder) == {}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--tier", "kafka", "--endpoint", "http://k:1"],
        ["--tier", "agent", "--endpoint", "a:1,b:1"],
        ["--tier", "agent", "--endpoint", "http://a:1", "--tls"],
        ["--tier", "gateway", "--endpoint", "a:1,b:1"],
        ["--tier", "gateway", "--endpoint", "https://a:1"],
        ["--tier", "agent", "--endpoint", "a", "--backends", "k:1"],
        ["--tier", "agent", "--endpoint", "a", "--loki", "http://l:1"],
        ["--tier", "gateway", "--endpoint", "a", "--peers", "a:1,b:2"],
        ["--tier", "gateway", "--endpoint", "a", "--tls"],
        ["--tier", "agent", "--endpoint", "a:1", "--otelcol", "nowhere"],
        ["--tier", "agent", "--endpoint", "a:1", "--output", "/dev/null"],
    ],
)
def test_what_does_not_fit_writes_nothing(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """Arguments that do not go together, or a folder that cannot be, end with code 1, one sentence, and no file."""
    assert main(["collector", *arguments]) == 1

    assert capsys.readouterr().err.count("\n") == 1
    assert files(folder) == {}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([*AGENT], "without TLS"),
        ([*AGENT, "--tls"], ""),
        (["collector", "--tier", "agent", "--endpoint", "localhost"], ""),
        ([*GATEWAY], "127.0.0.1 only"),
        ([*GATEWAY, "--listen", "0.0.0.0"], "0.0.0.0 without TLS"),
    ],
)
def test_open_doors_are_named(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: str
) -> None:
    """Who could listen in, or could not get through, is said at once; where all is well, nothing is."""
    assert main(arguments) == 0

    last = capsys.readouterr().out.splitlines()[-1]
    assert expected in last if expected else last.startswith("  otelcol")


def test_refused_configuration_is_not_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """If the collector finds a fault, its words are repeated, and neither a file nor the folder is left."""
    faulty = program(folder, "faulty", said="Error: no such processor", code=1)

    assert main([*AGENT, "--otelcol", str(faulty)]) == 1
    assert "no such processor" in capsys.readouterr().err
    assert [file.name for file in folder.iterdir()] == ["faulty"]


@pytest.mark.parametrize("name", NAMES)
def test_collector_on_path_validates(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """A collector on PATH is asked, under either name, and is the one to run."""
    program(folder, name, said="", code=0)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)

    assert main([*AGENT, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["validated_by"] == name
    assert told["commands"]["agent"].startswith(f"{name} --config ")


@pytest.mark.required
@pytest.mark.parametrize(
    "arguments",
    [
        [*AGENT, "--tls", "/etc/otelcol/ca.crt", "--queue-folder", "/data/my queue"],
        [*GATEWAY, "--prometheus", "https://p.example", "--loki", "http://l.example:3100/x"],
        [*GATEWAY, "--peers", "a.example:4319,b.example:4319"],
        [*GATEWAY, "--peers", "dns:gateways.example:4319", "--listen", "10.0.0.7"],
        KAFKA,
    ],
    ids=["agent", "gateway", "peers", "dns", "kafka"],
)
def test_real_collector_accepts_what_is_written(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """The collector that we build validates the files, and reads the arguments where they belong."""
    if not binary().exists():
        pytest.skip("the OpenTelemetry Collector is not built: `make backends` builds it")

    assert main([*arguments, "--otelcol", str(binary()), "--json"]) == 0
    read = ""
    for line in json.loads(capsys.readouterr().out)["commands"].values():
        collector, *options = shlex.split(line)
        done = subprocess.run(
            [collector, "print-config", *options], capture_output=True, text=True, timeout=30, check=True
        )
        read += done.stdout
    hosts = set(re.findall(r"\w+\.example", " ".join(arguments)))
    assert {host for host in hosts if host in read} == hosts

"""The command line of `otelbridge run`: Hypercorn's, option by option, without its two mistakes, and what is ours."""

from __future__ import annotations

import argparse
import socket
import ssl
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import hypercorn.__main__
import hypercorn.config
import pytest
from hypothesis import given
from hypothesis import strategies as st

import otelbridge.hypercorn.run
from otelbridge import cli
from otelbridge.server import options
from otelbridge.server.options import parse
from tests.server.serving import APP, serving

# What a Config says, by name; `cert_reqs` can only be set.
SETTINGS = [
    "application_path",
    *(
        name
        for name in dir(hypercorn.config.Config)
        if not name.startswith("_")
        and name not in ("cert_reqs", "log", "logger_class", "ssl_enabled")
        and not callable(getattr(hypercorn.config.Config, name))
    ),
]
# Both options of a pair mean one setting; which wins when both are given is nobody's promise.
PAIRS = ({"--access-log", "--access-logfile"}, {"--error-log", "--error-logfile"}, {"--cert-reqs", "--verify-mode"})


def settings_of(config: hypercorn.config.Config) -> dict[str, Any]:
    """What a Config says."""
    return {name: getattr(config, name) for name in SETTINGS if hasattr(config, name)}


@cache
def theirs() -> argparse.ArgumentParser:
    """Hypercorn's own parser."""
    caught: list[argparse.ArgumentParser] = []

    class Caught(Exception):  # noqa: N818 -- no error
        pass

    def catch(parser: argparse.ArgumentParser, *_: object) -> None:
        caught.append(parser)
        raise Caught

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", catch)
        with pytest.raises(Caught):
            hypercorn.__main__.main(["app:app"])
    return caught[0]


def config_of_theirs(words: Sequence[str]) -> hypercorn.config.Config:
    """The Config that Hypercorn's command line would run."""
    caught: list[hypercorn.config.Config] = []
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(hypercorn.__main__, "run", caught.append)
        hypercorn.__main__.main(list(words))
    return caught[0]


def config_of_ours(words: Sequence[str]) -> hypercorn.config.Config:
    """The Config that ours would."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return parse(words).make_config()


def words_of(action: argparse.Action) -> st.SearchStrategy[list[str]]:
    """Ways to give one option on a command line, with any value."""
    spelling = st.sampled_from(action.option_strings)
    if action.nargs == 0:
        return spelling.map(lambda option: [option])
    values: st.SearchStrategy[str] = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
    if action.dest == "verify_mode":
        values = st.sampled_from([mode.name for mode in ssl.VerifyMode])
    elif action.dest == "cert_reqs":
        values = st.sampled_from(["0", "1", "2"])
    elif action.type is int:
        values = st.integers(0, 2**31).map(str)
    # In one word with its value, which may be anything then: --bind=VALUE, -bVALUE.
    pairs = st.tuples(spelling, values).filter(lambda pair: pair[0].startswith("--") or pair[1] != "")
    one = pairs.map(lambda pair: ("=" if pair[0].startswith("--") else "").join(pair))
    return st.lists(one, min_size=1, max_size=3 if isinstance(action, argparse._AppendAction) else 1)


ACTIONS = [action for action in theirs()._actions if action.option_strings and action.dest not in ("help", "config")]


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """Any of Hypercorn's options, in any order, around an application."""
    chosen = draw(st.lists(st.sampled_from(ACTIONS), unique_by=id, max_size=8))
    given_names = {name for action in chosen for name in action.option_strings}
    for pair in PAIRS:
        if pair <= given_names:
            chosen = [action for action in chosen if not set(action.option_strings) & {min(pair)}]
    groups = [["app:app"], *(draw(words_of(action)) for action in chosen)]
    return [word for words in draw(st.permutations(groups)) for word in words]


@pytest.mark.covers("3.3")
@pytest.mark.covers("3.2")
@given(command_lines())
def test_the_command_line_means_what_it_means_to_hypercorn(words: list[str]) -> None:
    """
    Whatever options are given, in whatever order and with whatever values, the Config is Hypercorn's; but a jitter is
    the number that was given.
    """
    expected, got = settings_of(config_of_theirs(words)), settings_of(config_of_ours(words))
    jitters = [int(word.partition("=")[2]) for word in words if word.startswith("--max-requests-jitter")]
    expected["max_requests_jitter"] = jitters[0] if jitters else 0

    assert got == expected


@pytest.mark.covers("3.3")
@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.option_strings[-1])
def test_each_option_alone_means_what_it_means_to_hypercorn(action: argparse.Action) -> None:
    """
    Each spelling of each option of Hypercorn's is one of ours, and sets what it sets.
    """
    values = {"verify_mode": "CERT_REQUIRED", "cert_reqs": "1"}
    for option in action.option_strings:
        words = [option] if action.nargs == 0 else [option, values.get(action.dest, "7")]
        expected, got = settings_of(config_of_theirs([*words, "app:app"])), settings_of(config_of_ours([*words, "a:b"]))
        if action.dest == "max_requests_jitter":
            expected["max_requests_jitter"] = 7

        assert got == {**expected, "application_path": "a:b"}
        assert len(parse([*words, "a:b"]).given) == 1


@pytest.mark.covers("3.3", note="options in seconds take fractions")
@pytest.mark.parametrize(
    "option", ["--graceful-timeout", "--read-timeout", "--keep-alive", "--websocket-ping-interval"]
)
def test_seconds_may_be_fractions(option: str) -> None:
    """
    Where Hypercorn takes whole seconds we take 0.5, too.
    """
    (value,) = parse([option, "0.5", "app:app"]).given.values()

    assert value == 0.5


@pytest.mark.covers("T7", note="the command line's empty default no longer overwrites a prefix from the file")
def test_a_prefix_in_the_file_stays(tmp_path: Path) -> None:
    """
    A StatsD prefix of the configuration file holds unless the command line gives another.
    """
    path = tmp_path / "server.toml"
    path.write_text('statsd_prefix = "shop"\n')

    assert config_of_ours(["-c", str(path), "app:app"]).statsd_prefix == "shop"
    assert config_of_ours(["-c", str(path), "--statsd-prefix", "till", "app:app"]).statsd_prefix == "till"


@pytest.mark.covers("T7", note="--max-requests-jitter is the jitter, not the number of requests again")
def test_a_jitter_is_the_jitter() -> None:
    """
    --max-requests-jitter sets what it says, with and without --max-requests.
    """
    both = config_of_ours(["--max-requests", "100", "--max-requests-jitter", "5", "app:app"])
    alone = config_of_ours(["--max-requests-jitter", "5", "app:app"])

    assert (both.max_requests, both.max_requests_jitter) == (100, 5)
    assert (alone.max_requests, alone.max_requests_jitter) == (None, 5)


IN_FILE = {
    "accesslog": "a.log",
    "backlog": 7,
    "bind": ["127.0.0.1:7"],
    "certfile": "c.pem",
    "daemon": False,
    "debug": True,
    "dogstatsd_tags": "a:b",
    "errorlog": "e.log",
    "graceful_timeout": 7.5,
    "insecure_bind": ["127.0.0.1:8"],
    "keep_alive_timeout": 8.5,
    "keyfile": "k.pem",
    "loglevel": "debug",
    "max_requests": 9,
    "max_requests_jitter": 3,
    "pid_path": "p.pid",
    "quic_bind": ["127.0.0.1:9"],
    "root_path": "/root",
    "server_names": ["example.com"],
    "statsd_host": "127.0.0.1:8125",
    "statsd_prefix": "shop",
    "umask": 63,
    "use_reloader": True,
    "worker_class": "trio",
    "workers": 4,
    "wsgi_max_body_size": 11,
}


@pytest.mark.covers("3.3")
@pytest.mark.parametrize("kind", ["{}.toml", "file:{}.py", "python:{}"])
def test_what_is_not_given_is_the_files_business(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """
    A setting of the configuration stays unless its option is given, whatever kind of configuration it is.
    """
    name = f"settings_{kind[:2].strip('{')}"
    lines = [f"{key} = {value!r}\n" for key, value in IN_FILE.items()]
    (tmp_path / f"{name}.py").write_text("".join(lines))
    (tmp_path / f"{name}.toml").write_text("".join(lines).replace("True", "true").replace("False", "false"))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    of_file = config_of_ours(["-c", kind.format(name), "app:app"])
    with_options = config_of_ours(["-c", kind.format(name), "-b", "127.0.0.1:1", "-w", "2", "--daemon", "app:app"])

    assert {key: getattr(of_file, key) for key in IN_FILE} == IN_FILE
    changed = {"bind": ["127.0.0.1:1"], "workers": 2, "daemon": True}
    assert {key: getattr(with_options, key) for key in IN_FILE} == {**IN_FILE, **changed}


@pytest.mark.covers("3.3")
def test_binds_add_up() -> None:
    """
    -b may be repeated, and takes the place of the default.
    """
    assert config_of_ours(["-b", "127.0.0.1:1", "--bind", "unix:x", "app:app"]).bind == ["127.0.0.1:1", "unix:x"]
    assert config_of_ours(["app:app"]).bind == ["127.0.0.1:8000"]


@pytest.mark.covers("3.3", note="--dogstatsd-tags, which Hypercorn has only in configuration files")
def test_tags_have_an_option() -> None:
    """
    --dogstatsd-tags sets Hypercorn's setting of that name.
    """
    assert config_of_ours(["--dogstatsd-tags", "a:b,c:d", "app:app"]).dogstatsd_tags == "a:b,c:d"


@pytest.mark.parametrize(
    ("words", "variables"),
    [
        ("", {}),
        ("--service-name shop", {"OTEL_SERVICE_NAME": "shop"}),
        ("--endpoint http://h:4318", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4318"}),
        ("--metrics none", {"OTELBRIDGE_METRICS": "none"}),
        ("--metrics statsd", {"OTELBRIDGE_METRICS": "statsd"}),
        ("--statsd-host h:9125", {}),
        ("--metrics otlp --statsd-host h:9125", {"OTELBRIDGE_METRICS": "otlp"}),
        ("--metrics statsd --statsd-host h:9125", {"OTELBRIDGE_STATSD": "udp://h:9125"}),
        ("--metrics statsd --statsd-host h", {"OTELBRIDGE_STATSD": "udp://h:8125"}),
        ("--metrics statsd --statsd-host [::1]:9125", {"OTELBRIDGE_STATSD": "udp://[::1]:9125"}),
        (
            "--metrics statsd --statsd-host h:1 --statsd-prefix till.",
            {"OTELBRIDGE_STATSD": "udp://h:1", "OTELBRIDGE_STATSD_PREFIX": "till"},
        ),
    ],
)
def test_ours_become_variables_of_the_workers(words: str, variables: dict[str, str]) -> None:
    """
    Our own options are settings of `configure()`, which workers find in their environment.
    """
    if "OTELBRIDGE_STATSD" in variables:
        variables = {**variables, "OTELBRIDGE_METRICS": "statsd"}

    assert parse([*words.split(), "app:app"]).variables == variables


@pytest.mark.covers("3.2")
@pytest.mark.parametrize(
    "words",
    [
        "",
        "app:app other:app",
        "--no-such-option app:app",
        "--workers many app:app",
        "--metrics somewhere app:app",
        "--verify-mode CERT_MAYBE app:app",
        "--bind",
    ],
)
def test_wrong_usage_is_code_2(capsys: pytest.CaptureFixture[str], words: str) -> None:
    """
    A command line that is none ends with code 2 and says how it is used, under both names.
    """
    for main, before in ((cli.main, ["run"]), (otelbridge.hypercorn.run.main, [])):
        with pytest.raises(SystemExit) as end:
            main([*before, *words.split()])

        assert end.value.code == 2
        assert capsys.readouterr().err.startswith("usage: ")


@pytest.mark.covers("3.2", note="main([]) is an empty command line; Hypercorn takes the program's own then, too")
def test_only_no_arguments_at_all_mean_the_programs_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    main() reads sys.argv; main([]) does not.
    """
    monkeypatch.setattr("sys.argv", ["hypercorn", "-c", "/nowhere/x.toml", "app:app"])

    assert otelbridge.hypercorn.run.main() == 1
    assert "/nowhere/x.toml" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        otelbridge.hypercorn.run.main([])


def test_help_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    """
    --help prints each option, Hypercorn's and ours.
    """
    with pytest.raises(SystemExit) as end:
        cli.main(["run", "--help"])
    text = capsys.readouterr().out

    assert end.value.code == 0
    parser = argparse.ArgumentParser()
    options.add_arguments(parser)
    for action in parser._actions:
        assert all(option in text for option in action.option_strings)


@pytest.mark.covers("T6", note="a logger class of ours, or a subclass, sends to statsd_host")
@pytest.mark.covers("3.3")
def test_statsd_options_reach_the_servers_own_metrics(tmp_path: Path) -> None:
    """
    --statsd-host, --statsd-prefix and --dogstatsd-tags: a request is counted there, as Hypercorn names it.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as daemon:
        daemon.bind(("127.0.0.1", 0))
        daemon.settimeout(20)
        statsd = f"127.0.0.1:{daemon.getsockname()[1]}"
        with serving(
            tmp_path, "--statsd-host", statsd, "--statsd-prefix", "till", "--dogstatsd-tags", "a:b", app=APP
        ) as served:
            served.get()
            seen = ""
            while "status.200" not in seen:
                seen += daemon.recv(65536).decode() + "\n"

    assert "till.hypercorn.requests:1|c|@1.0|#a:b" in seen

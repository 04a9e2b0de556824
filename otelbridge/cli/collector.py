"""`otelbridge collector`: the Collector's configuration for one tier, written from the templates that we ship.

A template stays as it is, comments and all; an argument replaces the default of the variable that it is about. What the
settings mean stands in the files; that they work, the tests in tests/collector show.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from otelbridge.cli import CliError

HELP = "write the OpenTelemetry Collector's configuration for one tier: agent, gateway, or both with Kafka between"

NAMES = ("otelcol-contrib", "otelcol")
VALIDATION_TIMEOUT_S = 60.0
LOOPBACK = "127.0.0.1"

# What runs, and the layers of which it is made, in this order.
PROGRAMS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "agent": {"agent": ("base", "agent")},
    "gateway": {"gateway": ("base", "backends", "gateway")},
    "kafka": {"agent": ("base", "agent", "kafka"), "gateway": ("base", "backends", "gateway", "kafka")},
}
# Options that not every tier has a use for.
ONLY_FOR = {
    "backends": ("kafka",),
    "peers": ("gateway",),
    "prometheus": ("gateway", "kafka"),
    "loki": ("gateway", "kafka"),
    "tls": ("agent",),
}
OTLP_PORT = 4317
KAFKA_PORT = 9092

_HOST = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"({_HOST}):(\d{{1,5}})")
_URL = re.compile(rf"https?://{_HOST}(?::\d{{1,5}})?(?:/[A-Za-z0-9._/~-]*)?")
# Nothing here can end a text in YAML, or begin a comment or a variable.
_PATH = re.compile(r"/[A-Za-z0-9._/+@ -]*")
_BY_NAME = "dns:"


class Address(NamedTuple):
    """Where something listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def or_port(self, port: int) -> Address:
        """The same, with this port if it has none."""
        return self if self.port else Address(self.host, port)


class Endpoint(NamedTuple):
    """Where a tier sends: one place or several (`port` 0: the usual one), under `http` or `https` if that was said."""

    scheme: str
    addresses: list[Address]

    def single(self, tier: str) -> Address:
        """The place, where there may be only one; a CliError otherwise."""
        if len(self.addresses) > 1:
            joined = _joined(self.addresses)
            raise CliError(f"expected one --endpoint for --tier {tier}, got {joined}: name what balances them")
        return self.addresses[0].or_port(OTLP_PORT)


class Peers(NamedTuple):
    """All gateways, or (`by_name`) one name that stands for all of them."""

    addresses: list[Address]
    by_name: bool


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--tier", required=True, choices=PROGRAMS, help="what to write the configuration for")
    add(
        "--endpoint",
        required=True,
        type=_endpoint,
        metavar="HOST[:PORT]",
        help=f"where it sends; agent: to a gateway, or what balances several ({OTLP_PORT}); gateway: to the backends' "
        f"host, with the PORT for traces ({OTLP_PORT}); kafka: to the brokers, HOST[:PORT],... ({KAFKA_PORT})",
    )
    add(
        "--backends",
        type=_endpoint,
        metavar="HOST[:PORT]",
        help="kafka: where its gateways send, as a gateway's endpoint",
    )
    add(
        "--peers",
        type=_peers,
        metavar="HOST:PORT,...",
        help=f"gateway: port 4319 of all gateways, this one among them; or {_BY_NAME}NAME:PORT for a name that stands "
        "for all; a single gateway needs none",
    )
    add("--prometheus", type=_url, metavar="URL", help="gateway, kafka: http://BACKENDS:9090")
    add("--loki", type=_url, metavar="URL", help="gateway, kafka: http://BACKENDS:3100")
    add("--listen", type=_host, default=LOOPBACK, metavar="HOST", help="listen there (%(default)s); all: 0.0.0.0")
    add("--queue-folder", type=_path, metavar="FOLDER", help="where queues lie, on a disk of the host")
    add(
        "--tls", nargs="?", const=True, type=_path, metavar="CA_FILE", help="agent: speak TLS, also with this authority"
    )
    add("--output", type=Path, default=Path("collector-config"), metavar="FOLDER", help="%(default)s")
    add("--force", action="store_true", help="replace files that are there and differ")
    add("--otelcol", type=Path, metavar="FILE", help=f"validate with this ({' or '.join(NAMES)} on PATH)")
    add("--json", action="store_true", help="say what was done as one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Write the files, all or none, and say how to start what reads them."""
    defaults = settings(arguments)
    programs = PROGRAMS[arguments.tier]
    layers = dict.fromkeys(layer for stack in programs.values() for layer in stack)
    texts = {f"{layer}.yaml": written(template(layer), defaults) for layer in layers}
    if unknown := set(defaults) - set(re.findall(r"env:(\w+)", "".join(texts.values()))):
        raise CliError(f"the templates do not read {', '.join(sorted(unknown))}: install otelbridge again")
    otelcol = find_otelcol(arguments.otelcol)
    output: Path = arguments.output
    different = check_folder(output, texts, force=arguments.force)
    write(output, texts, different, programs, otelcol)
    program = str(otelcol or NAMES[0])
    commands = {name: command(program, output, stack) for name, stack in programs.items()}
    tell(arguments, different, otelcol, commands)
    if not arguments.json:
        for warning in warnings(arguments.tier, defaults):
            print(f"\n{warning}")
    return 0


def settings(arguments: argparse.Namespace) -> dict[str, str]:
    """The arguments as the variables that the templates read; raises CliError for what does not fit the tier."""
    tier: str = arguments.tier
    for option, tiers in ONLY_FOR.items():
        if getattr(arguments, option) is not None and tier not in tiers:
            raise CliError(f"--{option} is for --tier {' or '.join(tiers)}, got --tier {tier}: leave it out")
    found = {"OTELBRIDGE_COLLECTOR_HOST": arguments.listen}
    if arguments.queue_folder:
        found["OTELBRIDGE_QUEUE_FOLDER"] = arguments.queue_folder
    if tier == "agent":
        return found | agent_settings(arguments.endpoint, arguments.tls)
    if tier == "gateway":
        found |= backend_settings(arguments.endpoint, arguments.prometheus, arguments.loki)
        return found | peer_settings(arguments.peers)
    found |= backend_settings(arguments.backends, arguments.prometheus, arguments.loki)
    return found | kafka_settings(arguments.endpoint)


def warnings(tier: str, defaults: Mapping[str, str]) -> Iterator[str]:
    """What a reader should know of who can listen in, or cannot get through."""
    listen, endpoint = defaults["OTELBRIDGE_COLLECTOR_HOST"], defaults.get("OTELBRIDGE_GATEWAY_ENDPOINT", "")
    if listen != LOOPBACK:
        yield f"It listens on {listen} without TLS: that is switched on by the lines that begin with #tls."
    elif tier == "gateway":
        yield f"It listens on {LOOPBACK} only: agents on other machines need --listen, and you then need TLS."
    is_open = defaults.get("OTELBRIDGE_GATEWAY_INSECURE") != "false"
    if endpoint and is_open and not endpoint.startswith((f"{LOOPBACK}:", "localhost:")):
        yield f"It sends to {endpoint} without TLS, for all on the way to read: --tls changes that."


def agent_settings(endpoint: Endpoint, tls: str | Literal[True] | None) -> dict[str, str]:
    """Where an agent sends, and whether under TLS."""
    if endpoint.scheme == "http" and tls is not None:
        raise CliError("expected --endpoint with https:// or no scheme beside --tls, got http://")
    found = {"OTELBRIDGE_GATEWAY_ENDPOINT": str(endpoint.single("agent"))}
    if endpoint.scheme == "https" or tls is not None:
        found["OTELBRIDGE_GATEWAY_INSECURE"] = "false"
    if isinstance(tls, str):
        found["OTELBRIDGE_GATEWAY_CA_FILE"] = tls
    return found


def backend_settings(endpoint: Endpoint | None, prometheus: str | None, loki: str | None) -> dict[str, str]:
    """Where a gateway sends: to one host, unless it is said for a backend; without one to the names of compose."""
    found = {}
    if endpoint is not None:
        if endpoint.scheme == "https":
            raise CliError("expected HOST[:PORT] for the backends, got https://: TLS is switched on in backends.yaml")
        traces = endpoint.single("gateway")
        prometheus = prometheus or f"http://{traces.host}:9090"
        loki = loki or f"http://{traces.host}:3100"
        found["OTELBRIDGE_TRACES_ENDPOINT"] = str(traces)
    if prometheus:
        found["OTELBRIDGE_PROMETHEUS_URL"] = prometheus
    if loki:
        found["OTELBRIDGE_LOKI_URL"] = loki
    return found


def peer_settings(peers: Peers | None) -> dict[str, str]:
    """Where a gateway finds all gateways, and listens for them."""
    if peers is None:
        return {}
    first, *others = peers.addresses
    joined = _joined(peers.addresses)
    if any(other.port != first.port for other in others):
        raise CliError(f"expected --peers with the same port for all, got {joined}: each gateway listens on it")
    return {
        "OTELBRIDGE_GATEWAY_RESOLVER": "dns" if peers.by_name else "static",
        "OTELBRIDGE_GATEWAY_PEERS": first.host if peers.by_name else joined,
        "OTELBRIDGE_GATEWAY_PEER_PORT": str(first.port),
    }


def kafka_settings(endpoint: Endpoint) -> dict[str, str]:
    """Agents that send to the brokers, gateways that read from them."""
    if endpoint.scheme:
        raise CliError(f"expected HOST[:PORT],... for --tier kafka, got {endpoint.scheme}://: brokers have no scheme")
    return {
        "OTELBRIDGE_KAFKA_BROKERS": _joined([broker.or_port(KAFKA_PORT) for broker in endpoint.addresses]),
        "OTELBRIDGE_AGENT_EXPORTER": "kafka",
        "OTELBRIDGE_GATEWAY_RECEIVER": "kafka",
    }


def template(layer: str) -> str:
    """The text of a layer: in an installed package beside us, in a checkout beside the package."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package, package.parent):
        file = folder / "collector-config" / f"{layer}.yaml"
        if file.is_file():
            return file.read_text("utf-8")
    raise CliError(f"the template collector-config/{layer}.yaml is missing in {package}: install otelbridge again")


def written(text: str, defaults: Mapping[str, str]) -> str:
    """A template with these defaults where it reads the variables, under a head that says so."""
    for name, default in defaults.items():
        text = re.sub(rf"\$\{{env:{name}:-[^${{}}]*\}}", f"${{env:{name}:-{default}}}", text)
    head = "# Written by `otelbridge collector`: these are the defaults here, whatever is said below.\n"
    return head + "".join(f"#   {name} {default}\n" for name, default in defaults.items()) + "#\n" + text


def find_otelcol(file: Path | None) -> Path | None:
    """The collector to validate with: the one that was named, else one on PATH, else none."""
    if file is None:
        return next((Path(name) for name in NAMES if shutil.which(name)), None)
    if not (file.is_file() and os.access(file, os.X_OK)):
        raise CliError(f"--otelcol: expected a program, got {str(file)!r}")
    return file.absolute()


def check_folder(output: Path, texts: Mapping[str, str], *, force: bool) -> list[str]:
    """The files that are not there as they shall be; raises CliError if that would replace somebody's work."""
    try:
        there = {name: (output / name).read_bytes() for name in texts if (output / name).exists()}
    except OSError as error:
        raise CliError(f"cannot read what is in {output}: {error}") from error
    different = [name for name, text in texts.items() if there.get(name) != text.encode()]
    replaced = [str(output / name) for name in different if name in there]
    if replaced and not force:
        raise CliError(f"{replaced[0]} is there and differs: choose another --output, or --force to replace it")
    return different


def write(
    output: Path,
    texts: Mapping[str, str],
    different: Sequence[str],
    programs: Mapping[str, Sequence[str]],
    otelcol: Path | None,
) -> None:
    """Put the files that differ into the folder, once all are written and valid; on an error none is."""
    made = not output.exists()
    try:
        output.mkdir(parents=True, exist_ok=True)
        # Beside their place: a rename does not cross file systems.
        with tempfile.TemporaryDirectory(dir=output, prefix=".new-") as fresh:
            for name, text in texts.items():
                (Path(fresh) / name).write_bytes(text.encode())
            if otelcol:
                for stack in programs.values():
                    validate(otelcol, Path(fresh), stack)
            for name in different:
                (Path(fresh) / name).replace(output / name)
    except OSError as error:
        raise CliError(f"cannot write to {output}: {error}") from error
    finally:
        if made and output.is_dir() and not any(output.iterdir()):
            output.rmdir()


def validate(otelcol: Path, folder: Path, stack: Sequence[str]) -> None:
    """Have the collector itself read the files; raises CliError with what it says."""
    arguments = [str(otelcol), "validate", *configs(folder, stack)]
    # Without the variables of this shell, which are those of this machine and not of the collector's.
    env = {name: text for name, text in os.environ.items() if not name.startswith("OTELBRIDGE_")}
    try:
        done = subprocess.run(
            arguments, env=env, capture_output=True, text=True, timeout=VALIDATION_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CliError(f"cannot validate with {otelcol}, nothing was written: {error}") from error
    if done.returncode:
        said = next((line.strip() for line in done.stderr.splitlines() if line.strip()), f"exit code {done.returncode}")
        raise CliError(f"{otelcol} refuses the configuration, nothing was written: {said[:500]}")


def configs(folder: Path, stack: Sequence[str]) -> list[str]:
    """The layers as arguments."""
    return [argument for layer in stack for argument in ("--config", str(folder / f"{layer}.yaml"))]


def command(program: str, folder: Path, stack: Sequence[str]) -> str:
    """The line that starts a collector with these layers."""
    return shlex.join([program, *configs(folder, stack)])


def tell(
    arguments: argparse.Namespace, different: Sequence[str], otelcol: Path | None, commands: Mapping[str, str]
) -> None:
    """Print what was done, and what to run."""
    files = [str(arguments.output / name) for name in different]
    if arguments.json:
        told = {"tier": arguments.tier, "written": files, "commands": commands}
        print(json.dumps(told | {"validated_by": str(otelcol) if otelcol else None}))
        return
    for file in files:
        print(f"written   {file}")
    if not files:
        print(f"unchanged {arguments.output}")
    print(f"validated by {otelcol}" if otelcol else f"not validated: neither {' nor '.join(NAMES)} is on PATH")
    for name, line in commands.items():
        print(f"\nRun the {name}:\n  {line}")


def _joined(addresses: Sequence[Address]) -> str:
    return ",".join(map(str, addresses))


def _host(text: str) -> str:
    if not re.fullmatch(_HOST, text):
        raise argparse.ArgumentTypeError(f"expected a host's name or IPv4 address, got {text!r}")
    return text


def _address(text: str) -> Address:
    match = _ADDRESS.fullmatch(text)
    if not match or not 1 <= int(match[2]) <= 65535:
        raise argparse.ArgumentTypeError(f"expected HOST:PORT with a port from 1 to 65535, got {text!r}")
    return Address(match[1], int(match[2]))


def _endpoint(text: str) -> Endpoint:
    """One place or several; also as a URL, as OTEL_EXPORTER_OTLP_ENDPOINT has it."""
    scheme, parted, rest = text.partition("://")
    if not parted:
        scheme, rest = "", text
    elif scheme not in ("http", "https"):
        raise argparse.ArgumentTypeError(f"expected HOST[:PORT], after http:// or https:// if anything, got {text!r}")
    places = rest.removesuffix("/").split(",") if parted else rest.split(",")
    return Endpoint(scheme, [_address(place) if ":" in place else Address(_host(place), 0) for place in places])


def _addresses(text: str) -> list[Address]:
    return [_address(part) for part in text.split(",")]


def _peers(text: str) -> Peers:
    if text.startswith(_BY_NAME):
        return Peers([_address(text.removeprefix(_BY_NAME))], by_name=True)
    return Peers(_addresses(text), by_name=False)


def _url(text: str) -> str:
    if not _URL.fullmatch(text):
        raise argparse.ArgumentTypeError(f"expected http(s)://HOST[:PORT][/PATH], got {text!r}")
    return text.rstrip("/")


def _path(text: str) -> str:
    if not _PATH.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"expected a path from / on, of letters, digits, spaces and ._+@-, got {text!r}"
        )
    return text

"""The command line of `otelbridge run`: Hypercorn's options, each of them, and ours; and the Config they make.

Light at the top: the command line is read before Hypercorn is loaded. Leaves what is wrong with the values to `checks`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from otelbridge.server.errors import StartError, sentence_of

if TYPE_CHECKING:
    import ssl

    from hypercorn.config import Config

# Ours, which is not in a Config: a worker's environment says it to `configure()`.
_VARIABLES = {
    "service_name": "OTEL_SERVICE_NAME",
    "endpoint": "OTEL_EXPORTER_OTLP_ENDPOINT",
    "metrics": "OTELBRIDGE_METRICS",
}
METRICS = ("otlp", "statsd", "none")


@dataclass
class Command:
    """A command line, read: what to serve, and how to make its Config (again, when SIGHUP comes)."""

    application_path: str
    config_path: str | None = None
    # What was given, by the Config's names; what was not given is the file's business.
    given: dict[str, Any] = field(default_factory=dict)
    # For the workers' environment.
    variables: dict[str, str] = field(default_factory=dict)

    def make_config(self) -> Config:
        """Return the file's Config with what the command line says over it. StartError: the file cannot be read."""
        config = _load(self.config_path)
        config.application_path = self.application_path
        for name, value in self.given.items():
            setattr(config, name, value)
        return config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options. None has a default here, so that those of a configuration file stay."""
    parser.argument_default = argparse.SUPPRESS
    parser.add_argument(
        "application", metavar="module:app", help="what to serve: module:name, or asgi: or wsgi: before it"
    )
    _add_ours(parser.add_argument_group("telemetry"))
    _add_places(parser.add_argument_group("where to listen"))
    _add_processes(parser.add_argument_group("processes"))
    _add_requests(parser.add_argument_group("requests"))
    _add_logs(parser.add_argument_group("logs and metrics of the server"))
    _add_tls(parser.add_argument_group("TLS"))


def read(arguments: argparse.Namespace) -> Command:
    """Return the command of parsed arguments, as `add_arguments` has declared them."""
    given = {name: value for name, value in vars(arguments).items() if name in _CONFIG_NAMES}
    variables = {
        variable: getattr(arguments, name) for name, variable in _VARIABLES.items() if hasattr(arguments, name)
    }
    if variables.get("OTELBRIDGE_METRICS") == "statsd" and "statsd_host" in given:
        host, _, port = given["statsd_host"].rpartition(":")
        variables["OTELBRIDGE_STATSD"] = f"udp://{host or port}:{port if host else 8125}"
        if given.get("statsd_prefix"):
            variables["OTELBRIDGE_STATSD_PREFIX"] = given["statsd_prefix"].rstrip(".")
    return Command(arguments.application, getattr(arguments, "config", None), given, variables)


def parse(argv: Sequence[str], prog: str = "hypercorn") -> Command:
    """Read a command line; wrong usage raises SystemExit(2), as argparse does."""
    parser = argparse.ArgumentParser(prog=prog)
    add_arguments(parser)
    return read(parser.parse_args(argv))


def _load(path: str | None) -> Config:
    from otelbridge.hypercorn.config import Config

    try:
        if path is None:
            return Config()
        if path.startswith("python:"):
            return Config.from_object(path.removeprefix("python:"))
        if path.startswith("file:"):
            return Config.from_pyfile(path.removeprefix("file:"))
        return Config.from_toml(path)
    except Exception as error:  # whatever a configuration written in Python raises
        # Hypercorn's way with a module that is missing ends in an error about its name's dots.
        cause = error.__context__ if isinstance(error, ValueError) and error.__context__ is not None else error
        msg = f"the configuration {path!r} cannot be read: {sentence_of(cause)}"
        raise StartError(msg) from error


def config_file(path: str | None) -> str | None:
    """Return the file of a `-c` option; None: there is none, or it is a module."""
    if path is None or path.startswith("python:"):
        return None
    return os.fspath(path.removeprefix("file:"))


def _add_ours(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--service-name", metavar="NAME", help="what the service is called in all telemetry")
    group.add_argument("--endpoint", metavar="URL", help="the collector's base URL (default: http://localhost:4318)")
    group.add_argument("--metrics", choices=METRICS, help="where metrics of requests go (default: otlp)")


def _add_places(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-b", "--bind", dest="bind", action="append", metavar="PLACE",
        help="host:port, host, unix:path or fd://number; may be repeated (default: 127.0.0.1:8000)",
    )  # fmt: skip
    group.add_argument(
        "--insecure-bind", action="append", metavar="PLACE", help="the same without TLS, beside --bind with it"
    )
    group.add_argument("--quic-bind", action="append", metavar="PLACE", help="host:port for HTTP/3 (needs aioquic)")
    group.add_argument("--backlog", type=int, metavar="N", help="connections that may wait (default: 100)")
    group.add_argument("-u", "--user", type=int, metavar="UID", help="owner of Unix sockets")
    group.add_argument("-g", "--group", type=int, metavar="GID", help="group of Unix sockets")
    group.add_argument("-m", "--umask", type=int, metavar="MASK", help="umask of Unix sockets")


def _add_processes(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "-w", "--workers", type=int, metavar="N", help="processes that serve (default: 1); 0: this one does"
    )
    group.add_argument("-k", "--worker-class", metavar="CLASS", help="asyncio, uvloop or trio (default: asyncio)")
    group.add_argument(
        "-c", "--config", metavar="FILE", help="a TOML file, file:x.py or python:module; read again at SIGHUP"
    )
    group.add_argument(
        "-p", "--pid", dest="pid_path", metavar="FILE", help="where the process id is written, until the end"
    )
    group.add_argument("-D", "--daemon", action="store_true", help="detach, and return when the server is ready")
    group.add_argument("--reload", dest="use_reloader", action="store_true", help="replace workers when code changes")
    group.add_argument("--debug", action="store_true", help="the event loop's debug mode")
    group.add_argument(
        "--graceful-timeout", type=float, metavar="S", help="time that requests have to end (default: 3 s)"
    )
    group.add_argument("--max-requests", type=int, metavar="N", help="replace a worker after so many requests")
    group.add_argument("--max-requests-jitter", type=int, metavar="N", help="and up to so many more, by chance")


def _add_requests(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--keep-alive", dest="keep_alive_timeout", type=float, metavar="S", help="how long an idle connection is kept (default: 5 s)")  # fmt: skip  # noqa: E501
    group.add_argument("--read-timeout", type=float, metavar="S", help="how long a read may take")
    group.add_argument("--root-path", metavar="PATH", help="ASGI's root_path")
    group.add_argument("--server-name", dest="server_names", action="append", metavar="HOST", help="a host name that is served, *.example.com too; others get 404; may be repeated")  # fmt: skip  # noqa: E501
    group.add_argument("--websocket-ping-interval", type=float, metavar="S", help="seconds between pings")


def _add_logs(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--access-logfile", "--access-log", dest="accesslog", metavar="FILE", help="the server's own access log, - for stdout")  # fmt: skip  # noqa: E501
    group.add_argument("--access-logformat", dest="access_log_format", metavar="FORMAT", help='such as \'%%(h)s "%%(r)s" %%(s)s\', or as JSON')  # fmt: skip  # noqa: E501
    group.add_argument("--error-logfile", "--log-file", "--error-log", dest="errorlog", metavar="FILE", help="the server's messages, - for stderr (default)")  # fmt: skip  # noqa: E501
    group.add_argument("--log-config", dest="logconfig", metavar="FILE", help="logging's configuration: an ini file, json:FILE or toml:FILE")  # fmt: skip  # noqa: E501
    group.add_argument("--log-level", dest="loglevel", metavar="LEVEL", help="least level of the server's messages (default: info)")  # fmt: skip  # noqa: E501
    group.add_argument("--statsd-host", metavar="HOST:PORT", help="the server's own metrics, as Hypercorn sends them")
    group.add_argument("--statsd-prefix", metavar="TEXT", help="what stands before their names")
    group.add_argument("--dogstatsd-tags", metavar="a:b,c:d", help="tags on each of them")


def _add_tls(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--certfile", metavar="FILE", help="the certificate; with --keyfile it means TLS and HTTP/2")
    group.add_argument("--keyfile", metavar="FILE", help="its key")
    group.add_argument("--keyfile-password", metavar="TEXT", help="the key's password")
    group.add_argument("--ca-certs", metavar="FILE", help="who may sign clients' certificates")
    group.add_argument("--ciphers", metavar="TEXT", help="OpenSSL's list")
    group.add_argument(
        "--verify-mode", type=_verify_mode, metavar="MODE", help="CERT_NONE, CERT_OPTIONAL or CERT_REQUIRED"
    )
    group.add_argument("--cert-reqs", type=int, metavar="N", help="--verify-mode as a number (old)")


def _verify_mode(text: str) -> ssl.VerifyMode:
    import ssl

    try:
        return ssl.VerifyMode[text]
    except KeyError:
        msg = f"expected {', '.join(mode.name for mode in ssl.VerifyMode)}, got {text!r}"
        raise argparse.ArgumentTypeError(msg) from None


def _config_names() -> frozenset[str]:
    parser = argparse.ArgumentParser(add_help=False)
    add_arguments(parser)
    ours = {"application", "config", *_VARIABLES}
    return frozenset(action.dest for action in parser._actions) - ours


_CONFIG_NAMES = _config_names()

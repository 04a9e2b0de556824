"""What `configure()` was told: arguments, then OTELBRIDGE_*, then OTEL_*, then defaults, checked. Starts nothing."""

from __future__ import annotations

import math
import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from otelbridge.exceptions import ConfigError
from otelbridge.otlp.outcome import Signal

SIGNALS: tuple[Signal, ...] = ("logs", "traces", "metrics")
PROTOCOLS = ("http/protobuf", "grpc")
COMPRESSIONS = ("gzip", "deflate", "none")
METRICS = ("otlp", "statsd", "none")
STATSD_DIALECTS = ("dogstatsd", "plain", "influx", "graphite")
LEVELS = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "SUCCESS": 25, "WARNING": 30, "ERROR": 40, "CRITICAL": 50}

MIB = 1024 * 1024
# A collector's gRPC server refuses messages above 4 MiB; the rest is room for what surrounds the records.
REQUEST_SIZE_MAX = 4 * MIB - 64 * 1024
BUFFER_SIZE = 64 * MIB
# The core's buffer is bounded in bytes; a bound in records (OTEL_BLRP_MAX_QUEUE_SIZE) is turned into bytes by this.
RECORD_SIZE_GUESS = 2048

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_STATSD_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?")
_HAS_UNIX_SOCKETS = hasattr(socket, "AF_UNIX")
_SIGNAL_PATH = re.compile(r"/v1/(logs|traces|metrics)/?$")


@dataclass(frozen=True, slots=True)
class SignalSettings:
    """Where and how one signal is sent."""

    endpoint: str
    protocol: str
    headers: Mapping[str, str]
    timeout_s: float
    compression: str


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """How items are gathered into requests."""

    delay_s: float
    count_max: int
    queue_count_max: int
    size_max: int = REQUEST_SIZE_MAX


@dataclass(frozen=True, slots=True)
class StatsdSettings:
    """Where StatsD lines go and how they are written: to a host, to a Unix socket, or through the user's client."""

    transport: Literal["udp", "tcp", "unix", "unixgram", "client"]
    dialect: str
    prefix: str
    host: str = ""
    port: int = 8125
    path: str = ""
    client: Any = None

    @property
    def address(self) -> str:
        """The URL, for messages."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.transport}://{self.path or f'{host}:{self.port}'}"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that `configure()` decides, resolved."""

    disabled: bool
    service_name: str | None
    resource: Mapping[str, Any]
    logs: str
    traces: str
    metrics: str
    level_no: int
    format_errors: str
    endpoint_named: bool
    signals: Mapping[Signal, SignalSettings]
    log_batch: BatchSettings
    span_batch: BatchSettings
    buffer_size: int
    metric_interval_s: float
    statsd: StatsdSettings
    attribute_count_max: int
    attribute_length_max: int
    environment: Mapping[str, str] = field(repr=False)


def resolve(
    arguments: Mapping[str, Any],
    environ: Mapping[str, str] | None = None,
    level_number: Callable[[str], int | None] | None = None,
) -> Settings:
    """Resolve the arguments of `configure()` (None: not given) against the environment.

    `level_number` knows the names of levels that the user made. Raises ConfigError.
    """
    env = {name: value.strip() for name, value in (os.environ if environ is None else environ).items()}
    _refuse_what_is_not_there_yet(arguments, env)
    disabled = env.get("OTEL_SDK_DISABLED", "").lower() == "true"
    named = arguments.get("endpoint") is not None or any(
        env.get(name)
        for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", *(_variable(signal, "ENDPOINT") for signal in SIGNALS))
    )
    buffer_count = _env_int(env, "OTEL_BLRP_MAX_QUEUE_SIZE", 0)
    return Settings(
        disabled=disabled,
        service_name=_text("service_name", arguments.get("service_name")),
        resource=_resource(arguments.get("resource")),
        logs=_exporter("logs", arguments.get("logs"), env, ("otlp", "provider", "none")),
        traces=_exporter("traces", arguments.get("traces"), env, ("otlp", "none")),
        metrics=_exporter("metrics", arguments.get("metrics"), env, METRICS),
        level_no=_level(arguments.get("level"), env, level_number),
        format_errors=_format_errors(arguments.get("format_errors"), env),
        endpoint_named=named,
        signals={signal: _signal(signal, arguments, env) for signal in SIGNALS},
        log_batch=_batch(env, "OTEL_BLRP", count_max=8192, queue_count_max=0),
        span_batch=_batch(env, "OTEL_BSP", count_max=512, queue_count_max=8192),
        buffer_size=min(BUFFER_SIZE, max(buffer_count * RECORD_SIZE_GUESS, MIB)) if buffer_count else BUFFER_SIZE,
        metric_interval_s=_env_ms(env, "OTEL_METRIC_EXPORT_INTERVAL", 60.0),
        statsd=_statsd(arguments, env),
        attribute_count_max=_env_int(
            env, "OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT", _env_int(env, "OTEL_ATTRIBUTE_COUNT_LIMIT", 128)
        ),
        attribute_length_max=_env_int(
            env, "OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT", _env_int(env, "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", 0)
        ),
        environment=env,
    )


def parse_headers(value: Any, source: str) -> dict[str, str]:
    """Read headers from a mapping, or from `key=value,key=value` with percent-encoded values."""
    pairs: list[tuple[Any, Any]]
    if isinstance(value, str):
        pairs = [_header_pair(part, source) for part in value.split(",") if part.strip()]
    elif isinstance(value, Mapping):
        pairs = list(value.items())
    else:
        msg = f"{source} must be a mapping or a text like 'key=value,key=value', got {type(value).__name__}"
        raise ConfigError(msg)
    headers = {}
    for name, text in pairs:
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            msg = f"{source} must have header names of letters, digits and -, got {name!r}"
            raise ConfigError(msg)
        # The value may be a secret: say which header is wrong, never what it holds.
        if not isinstance(text, str) or any(ord(char) < 32 or ord(char) > 255 for char in text):
            msg = f"{source} must have one-line Latin-1 texts as values, got another value for {name!r}"
            raise ConfigError(msg)
        headers[name.lower()] = text
    return headers


def _header_pair(part: str, source: str) -> tuple[str, str]:
    name, equals, value = part.partition("=")
    if not equals or not name.strip():
        msg = f"{source} must be pairs like 'key=value,key=value', got a part without '=' after {name.strip()[:8]!r}"
        raise ConfigError(msg)
    return unquote(name.strip()), unquote(value.strip())


def _refuse_what_is_not_there_yet(arguments: Mapping[str, Any], env: Mapping[str, str]) -> None:
    def asked(argument: str, variable: str | None) -> Any:
        value = arguments.get(argument)
        return value if value is not None else (env.get(variable) or None if variable else None)

    spool = asked("spool", "OTELBRIDGE_SPOOL")
    if spool is not None and spool != "memory":
        msg = f"spool must be 'memory' in this version (a spool on disk comes with a later one), got {spool!r}"
        raise ConfigError(msg)
    if asked("durability", "OTELBRIDGE_DURABILITY") is not None:
        where = "durability" if arguments.get("durability") is not None else "OTELBRIDGE_DURABILITY"
        msg = f"{where} is not supported by this version yet, leave it out"
        raise ConfigError(msg)


def _statsd(arguments: Mapping[str, Any], env: Mapping[str, str]) -> StatsdSettings:
    def pick(argument: str) -> tuple[Any, str]:
        variable = f"OTELBRIDGE_{argument.upper()}"
        if arguments.get(argument) is None and env.get(variable):
            return env[variable], variable
        return arguments.get(argument), argument

    target, source = pick("statsd")
    prefix, prefix_source = pick("statsd_prefix")
    if not isinstance(prefix, str | None):
        msg = f"{prefix_source} must be a text, got {prefix!r}"
        raise ConfigError(msg)
    dialect, dialect_source = pick("statsd_dialect")
    is_client = _is_statsd_client(target)
    dialect = _choice(dialect, dialect_source, STATSD_DIALECTS, default="plain" if is_client else "dogstatsd")
    prefix = (prefix or "").strip().strip(".")
    if is_client:
        if dialect == "dogstatsd":
            msg = (
                f"{dialect_source} must be 'plain', 'influx' or 'graphite' for a StatsClient of yours, whose methods "
                "cannot write DogStatsD's tags (a URL as statsd can have them), got 'dogstatsd'"
            )
            raise ConfigError(msg)
        return StatsdSettings("client", dialect, prefix, client=target)
    if target is None:
        return StatsdSettings("udp", dialect, prefix, host="127.0.0.1")
    return _statsd_address(target, source, dialect, prefix)


def _is_statsd_client(target: object) -> bool:
    if target is None or isinstance(target, str):
        return False
    from statsd.client.base import StatsClientBase

    return isinstance(target, StatsClientBase)


def _statsd_address(target: Any, source: str, dialect: str, prefix: str) -> StatsdSettings:
    wanted = "must be a URL like udp://127.0.0.1:8125, tcp://host:8125 or unix:///path, or a statsd.StatsClient"
    if not isinstance(target, str):
        msg = f"{source} {wanted}, got {type(target).__name__}"
        raise ConfigError(msg)
    try:
        parts = urlsplit(target.strip())
        host, port = parts.hostname or "", 8125 if parts.port is None else parts.port
    except ValueError as error:
        msg = f"{source} {wanted}, got {target!r} ({error})"
        raise ConfigError(msg) from error
    if not (parts.query or parts.fragment or parts.username is not None):
        match parts.scheme:
            case "udp" | "tcp" as transport if _STATSD_HOST.fullmatch(host) and port and parts.path in ("", "/"):
                return StatsdSettings(transport, dialect, prefix, host=host, port=port)
            case "unix" | "unixgram" as transport if len(parts.path) > 1 and not parts.netloc and _HAS_UNIX_SOCKETS:
                return StatsdSettings(transport, dialect, prefix, path=unquote(parts.path))
    msg = f"{source} {wanted}, got {target!r}"
    raise ConfigError(msg)


def _variable(signal: Signal, name: str) -> str:
    return f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}"


def _signal(signal: Signal, arguments: Mapping[str, Any], env: Mapping[str, str]) -> SignalSettings:
    def pick(argument: str, name: str) -> tuple[Any, str]:
        if arguments.get(argument) is not None:
            return arguments[argument], argument
        for variable in (_variable(signal, name), f"OTEL_EXPORTER_OTLP_{name}"):
            if env.get(variable):
                return env[variable], variable
        return None, argument

    protocol = _choice(*pick("protocol", "PROTOCOL"), PROTOCOLS, default="http/protobuf")
    compression = _choice(*pick("compression", "COMPRESSION"), COMPRESSIONS, default="gzip")
    if protocol == "grpc" and compression == "deflate":
        msg = "compression must be 'gzip' or 'none' over gRPC, got 'deflate'"
        raise ConfigError(msg)
    headers, source = pick("headers", "HEADERS")
    return SignalSettings(
        endpoint=_endpoint(signal, protocol, *pick("endpoint", "ENDPOINT")),
        protocol=protocol,
        headers=parse_headers(headers, source) if headers is not None else {},
        timeout_s=_seconds(*pick("timeout_s", "TIMEOUT"), default=10.0),
        compression=compression,
    )


def _endpoint(signal: Signal, protocol: str, value: Any, source: str) -> str:
    """The URL that requests of `signal` are sent to: the base's signal path once, a signal's own variable verbatim."""
    if value is None:
        value = "http://localhost:4317" if protocol == "grpc" else "http://localhost:4318"
    if not isinstance(value, str):
        msg = f"{source} must be a URL as text, got {type(value).__name__}"
        raise ConfigError(msg)
    url = value.strip()
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        msg = f"{source} must be a URL like http://localhost:4318, got {url!r} ({error})"
        raise ConfigError(msg) from error
    if parts.scheme not in ("http", "https"):
        msg = f"{source} must start with http:// or https://, got {url!r}"
        raise ConfigError(msg)
    if not host or any(char.isspace() for char in url):
        msg = f"{source} must name a host, as http://localhost:4318 does, got {url!r}"
        raise ConfigError(msg)
    if protocol == "grpc":
        # gRPC knows host and port only; the paths are those of the service.
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    if source == _variable(signal, "ENDPOINT"):
        return url
    base = _SIGNAL_PATH.sub("", parts.path).rstrip("/")
    return parts._replace(path=f"{base}/v1/{signal}", fragment="").geturl()


def _exporter(signal: Signal, argument: Any, env: Mapping[str, str], allowed: tuple[str, ...]) -> str:
    if argument is not None:
        return _choice(argument, signal, allowed)
    for variable in (f"OTELBRIDGE_{signal.upper()}", f"OTEL_{signal.upper()}_EXPORTER"):
        value = env.get(variable, "").lower()
        if value:
            # The OpenTelemetry variable may name several exporters; ours is `otlp`, the others are the SDK's to start.
            names = [name.strip() for name in value.split(",")]
            return "otlp" if "otlp" in names else _choice(value, variable, allowed)
    return "otlp"


def _format_errors(argument: Any, env: Mapping[str, str]) -> str:
    allowed = ("mark", "raise")
    if argument is not None:
        return _choice(argument, "format_errors", allowed)
    return _choice(env.get("OTELBRIDGE_FORMAT_ERRORS") or None, "OTELBRIDGE_FORMAT_ERRORS", allowed, default="mark")


def _level(argument: Any, env: Mapping[str, str], level_number: Callable[[str], int | None] | None) -> int:
    value, source = argument, "level"
    if value is None:
        value, source = env.get("OTELBRIDGE_LEVEL") or "DEBUG", "OTELBRIDGE_LEVEL"
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31:
        return value
    if isinstance(value, str):
        number = level_number(value) if level_number else None
        if number is None:
            number = LEVELS.get(value.upper())
        if number is None and value.isdecimal() and int(value) < 2**31:
            number = int(value)
        if number is not None:
            return number
    msg = f"{source} must be a level name ({', '.join(LEVELS)}) or a number from 0, got {value!r}"
    raise ConfigError(msg)


def _resource(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) and key for key in value):
        msg = f"resource must be a mapping of texts to values, got {value!r}"
        raise ConfigError(msg)
    for key, item in value.items():
        members = item if isinstance(item, list | tuple) else (item,)
        if not all(isinstance(member, str | bool | int | float) for member in members):
            wanted = "texts, numbers, booleans or lists of them"
            msg = f"resource must have {wanted} as values, got {type(item).__name__} for {key!r}"
            raise ConfigError(msg)
    return dict(value)


def _text(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        msg = f"{name} must be a text that is not empty, got {value!r}"
        raise ConfigError(msg)
    return value.strip()


def _choice(value: Any, source: str, allowed: tuple[str, ...], default: str | None = None) -> str:
    if value is None and default is not None:
        return default
    if not isinstance(value, str) or value.strip().lower() not in allowed:
        msg = f"{source} must be {' or '.join(map(repr, allowed))}, got {value!r}"
        raise ConfigError(msg)
    return value.strip().lower()


def _seconds(value: Any, source: str, default: float) -> float:
    if value is None:
        return default
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 < seconds <= 86_400:
        msg = f"{source} must be a number of seconds above 0 (at most a day), got {value!r}"
        raise ConfigError(msg)
    return seconds


def _batch(env: Mapping[str, str], prefix: str, *, count_max: int, queue_count_max: int) -> BatchSettings:
    return BatchSettings(
        delay_s=_env_ms(env, f"{prefix}_SCHEDULE_DELAY", 1.0),
        count_max=_env_int(env, f"{prefix}_MAX_EXPORT_BATCH_SIZE", count_max) or count_max,
        queue_count_max=_env_int(env, f"{prefix}_MAX_QUEUE_SIZE", queue_count_max) or queue_count_max,
    )


def _env_int(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name)
    if not text:
        return default
    if not text.isdecimal() or int(text) >= 2**31:
        msg = f"{name} must be a whole number from 0, got {text!r}"
        raise ConfigError(msg)
    return int(text)


def _env_ms(env: Mapping[str, str], name: str, default_s: float) -> float:
    """A duration that its variable gives in milliseconds, in seconds."""
    value = _env_int(env, name, -1) if env.get(name) else -1
    return default_s if value < 0 else max(value / 1000, 0.01)

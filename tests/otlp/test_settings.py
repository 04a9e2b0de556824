"""Settings: who wins, what an endpoint becomes, and what is refused with which sentence."""

from __future__ import annotations

from typing import Any

import pytest
from statsd.client.base import StatsClientBase

from otelbridge.exceptions import ConfigError
from otelbridge.otlp.settings import MIB, Settings, StatsdSettings, resolve


def settings(env: dict[str, str] | None = None, **arguments: Any) -> Settings:
    return resolve(arguments, env or {})


def test_defaults() -> None:
    """
    With nothing said, all three signals go to localhost by HTTP, packed, from DEBUG on.
    """
    result = settings()

    assert {way.endpoint for way in result.signals.values()} == {
        "http://localhost:4318/v1/logs",
        "http://localhost:4318/v1/traces",
        "http://localhost:4318/v1/metrics",
    }
    logs = result.signals["logs"]
    assert (logs.protocol, logs.compression, logs.timeout_s, dict(logs.headers)) == ("http/protobuf", "gzip", 10.0, {})
    assert (result.logs, result.traces, result.metrics, result.level_no) == ("otlp", "otlp", "otlp", 10)
    assert (result.log_batch.count_max, result.log_batch.delay_s, result.buffer_size) == (8192, 1.0, 64 * MIB)
    assert not result.endpoint_named
    assert not result.disabled


@pytest.mark.parametrize(
    ("env", "arguments", "endpoint"),
    [
        ({}, {"endpoint": "http://c:4318"}, "http://c:4318/v1/logs"),
        ({}, {"endpoint": "http://c:4318/"}, "http://c:4318/v1/logs"),
        ({}, {"endpoint": "http://c:4318/v1/logs"}, "http://c:4318/v1/logs"),
        ({}, {"endpoint": "http://c:4318/v1/traces/"}, "http://c:4318/v1/logs"),
        ({}, {"endpoint": "https://c/otlp?key=1"}, "https://c/otlp/v1/logs?key=1"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://e:1/base/"}, {}, "http://e:1/base/v1/logs"),
        ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://e:1/own"}, {}, "http://e:1/own"),
        ({"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "http://e:1/own"}, {"endpoint": "http://c:2"}, "http://c:2/v1/logs"),
        ({}, {"protocol": "grpc"}, "http://localhost:4317"),
        ({}, {"protocol": "grpc", "endpoint": "https://c:4317/v1/logs"}, "https://c:4317"),
    ],
)
def test_endpoint(env: dict[str, str], arguments: dict[str, Any], endpoint: str) -> None:
    """
    A base URL gets the signal's path exactly once; a signal's own variable is taken as it is; the argument wins.
    """
    assert settings(env, **arguments).signals["logs"].endpoint == endpoint


def test_precedence() -> None:
    """
    Argument beats OTELBRIDGE_*, that beats OTEL_*, a signal's variable beats the common one.
    """
    env = {
        "OTELBRIDGE_METRICS": "none",
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "3",
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "4",
        "OTEL_EXPORTER_OTLP_HEADERS": "a=1, b=x%20y%2C",
        "OTEL_EXPORTER_OTLP_LOGS_HEADERS": "c=2",
        "OTELBRIDGE_LEVEL": "warning",
        "OTEL_TRACES_EXPORTER": "console,otlp",
    }

    result = settings(env)

    assert (result.metrics, result.traces, result.level_no) == ("none", "otlp", 30)
    assert [result.signals[signal].timeout_s for signal in ("logs", "traces", "metrics")] == [3.0, 4.0, 3.0]
    assert dict(result.signals["logs"].headers) == {"c": "2"}
    assert dict(result.signals["metrics"].headers) == {"a": "1", "b": "x y,"}
    assert settings(env, metrics="otlp", level="ERROR", timeout_s=1).level_no == 40


def test_batches_from_environment() -> None:
    """
    OTEL_BLRP_* are obeyed when set; a queue size in records bounds the buffer.
    """
    env = {
        "OTEL_BLRP_SCHEDULE_DELAY": "250",
        "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE": "10",
        "OTEL_BLRP_MAX_QUEUE_SIZE": "2048",
    }

    result = settings(env)

    assert (result.log_batch.delay_s, result.log_batch.count_max, result.buffer_size) == (0.25, 10, 4 * MIB)


def test_user_level() -> None:
    """
    A level that the user made is found by its name.
    """
    assert resolve({"level": "NOTICE"}, {}, {"NOTICE": 22}.get).level_no == 22


@pytest.mark.parametrize(
    ("statsd", "way", "address"),
    [
        (None, StatsdSettings("udp", "dogstatsd", "", host="127.0.0.1"), "udp://127.0.0.1:8125"),
        ("udp://agent", StatsdSettings("udp", "dogstatsd", "", host="agent"), "udp://agent:8125"),
        ("udp://[::1]:9125", StatsdSettings("udp", "dogstatsd", "", host="::1", port=9125), "udp://[::1]:9125"),
        ("tcp://a.b:1/", StatsdSettings("tcp", "dogstatsd", "", host="a.b", port=1), "tcp://a.b:1"),
        ("unix:///run/a%20b", StatsdSettings("unix", "dogstatsd", "", path="/run/a b"), "unix:///run/a b"),
        ("unixgram:///run/a", StatsdSettings("unixgram", "dogstatsd", "", path="/run/a"), "unixgram:///run/a"),
    ],
)
def test_statsd_address(statsd: str | None, way: StatsdSettings, address: str) -> None:
    """
    An agent is named by a URL: a host with its port (8125 if none is given) or a socket's path; it selects nothing.
    """
    result = settings(statsd=statsd)

    assert (result.statsd, result.statsd.address, result.metrics) == (way, address, "otlp")


def test_statsd_client_is_a_way_of_its_own() -> None:
    """
    A client of the statsd package is taken as it is, and writes plain lines unless told otherwise.
    """
    client = StatsClientBase()

    assert settings(statsd=client).statsd == StatsdSettings("client", "plain", "", client=client)
    assert settings(statsd=client, statsd_dialect="influx").statsd.dialect == "influx"


def test_statsd_from_the_environment() -> None:
    """
    Variables say all that arguments do, and an argument wins; a prefix loses the dots around it.
    """
    env = {
        "OTELBRIDGE_METRICS": "StatsD",
        "OTELBRIDGE_STATSD": "tcp://agent:1",
        "OTELBRIDGE_STATSD_DIALECT": "influx",
        "OTELBRIDGE_STATSD_PREFIX": ".shop.web.",
    }

    result, other = settings(env), settings(env, metrics="none", statsd="udp://h", statsd_prefix="")

    assert (result.metrics, result.statsd) == ("statsd", StatsdSettings("tcp", "influx", "shop.web", "agent", 1))
    assert (other.metrics, other.statsd) == ("none", StatsdSettings("udp", "influx", "", "h"))


@pytest.mark.parametrize(
    ("env", "arguments", "sentence"),
    [
        ({}, {"endpoint": "localhost:4318"}, "endpoint must start with http:// or https://, got 'localhost:4318'"),
        ({}, {"endpoint": "ftp://c"}, "endpoint must start with http:// or https://, got 'ftp://c'"),
        ({}, {"endpoint": "http://"}, "endpoint must name a host"),
        ({}, {"endpoint": "http://c:99999"}, "endpoint must be a URL like http://localhost:4318, got 'http://c:99999'"),
        ({}, {"endpoint": 4318}, "endpoint must be a URL as text, got int"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector"}, {}, "OTEL_EXPORTER_OTLP_ENDPOINT must start with http://"),
        ({}, {"protocol": "http/json"}, "protocol must be 'http/protobuf' or 'grpc', got 'http/json'"),
        ({}, {"headers": "novalue"}, "headers must be pairs like 'key=value,key=value'"),
        ({}, {"headers": {"a b": "1"}}, "headers must have header names of letters, digits and -, got 'a b'"),
        ({}, {"headers": {"a": "secret\nx"}}, "got another value for 'a'"),
        ({}, {"headers": 7}, "headers must be a mapping or a text"),
        ({}, {"timeout_s": 0}, "timeout_s must be a number of seconds above 0 (at most a day), got 0"),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "10s"}, {}, "OTEL_EXPORTER_OTLP_TIMEOUT must be a number of seconds"),
        ({}, {"compression": "zstd"}, "compression must be 'gzip' or 'deflate' or 'none', got 'zstd'"),
        ({}, {"compression": "deflate", "protocol": "grpc"}, "compression must be 'gzip' or 'none' over gRPC"),
        ({}, {"level": "LOUD"}, "level must be a level name (TRACE, DEBUG, INFO"),
        ({}, {"level": True}, "level must be a level name"),
        ({"OTELBRIDGE_LEVEL": "LOUD"}, {}, "OTELBRIDGE_LEVEL must be a level name"),
        ({}, {"logs": "console"}, "logs must be 'otlp' or 'provider' or 'none', got 'console'"),
        ({"OTEL_METRICS_EXPORTER": "prometheus"}, {}, "OTEL_METRICS_EXPORTER must be 'otlp' or 'statsd' or 'none'"),
        ({}, {"traces": "zipkin"}, "traces must be 'otlp' or 'none', got 'zipkin'"),
        ({}, {"format_errors": "ignore"}, "format_errors must be 'mark' or 'raise', got 'ignore'"),
        ({"OTELBRIDGE_FORMAT_ERRORS": "no"}, {}, "OTELBRIDGE_FORMAT_ERRORS must be 'mark' or 'raise', got 'no'"),
        ({}, {"service_name": ""}, "service_name must be a text that is not empty, got ''"),
        ({}, {"resource": {"a": object}}, "got type for 'a'"),
        (
            {"OTEL_BLRP_SCHEDULE_DELAY": "soon"},
            {},
            "OTEL_BLRP_SCHEDULE_DELAY must be a whole number from 0, got 'soon'",
        ),
        ({}, {"spool": "/var/spool"}, "spool must be 'memory' in this version"),
        ({"OTELBRIDGE_SPOOL": "/var/spool"}, {}, "spool must be 'memory' in this version"),
        (
            {},
            {"statsd": "127.0.0.1:8125"},
            "statsd must be a URL like udp://127.0.0.1:8125, tcp://host:8125 or unix:///",
        ),
        ({"OTELBRIDGE_STATSD": "http://h"}, {}, "OTELBRIDGE_STATSD must be a URL like udp://127.0.0.1:8125, "),
        ({}, {"statsd": "udp://"}, "or a statsd.StatsClient, got 'udp://'"),
        ({}, {"statsd": "udp://h:0"}, "got 'udp://h:0'"),
        ({}, {"statsd": "udp://h:65536"}, "got 'udp://h:65536' (Port out of range 0-65535)"),
        ({}, {"statsd": "udp://a b"}, "got 'udp://a b'"),
        ({}, {"statsd": "tcp://h/metrics"}, "got 'tcp://h/metrics'"),
        ({}, {"statsd": "unix://relative"}, "got 'unix://relative'"),
        ({}, {"statsd": "unix:///"}, "got 'unix:///'"),
        ({}, {"statsd": 8125}, "or a statsd.StatsClient, got int"),
        ({}, {"statsd_prefix": 1}, "statsd_prefix must be a text, got 1"),
        (
            {"OTELBRIDGE_STATSD_DIALECT": "librato"},
            {},
            "OTELBRIDGE_STATSD_DIALECT must be 'dogstatsd' or 'plain' or 'influx' or 'graphite', got 'librato'",
        ),
        (
            {},
            {"statsd": StatsClientBase(), "statsd_dialect": "dogstatsd"},
            "statsd_dialect must be 'plain', 'influx' or 'graphite' for a StatsClient of yours",
        ),
        ({"OTELBRIDGE_DURABILITY": "power"}, {}, "OTELBRIDGE_DURABILITY is not supported by this version yet"),
    ],
)
def test_refused(env: dict[str, str], arguments: dict[str, Any], sentence: str) -> None:
    """
    A mistake is refused in one sentence that names the setting, what it may be, and what was got.
    """
    with pytest.raises(ConfigError) as caught:
        resolve(arguments, env)

    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)

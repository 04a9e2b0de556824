"""loguru's API on OpenTelemetry's wire.

Every public name is here, and is loaded when it is first used: importing otelbridge starts nothing and costs little.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otelbridge._logger import logger as logger
    from otelbridge.access.middleware import AccessLogMiddleware as AccessLogMiddleware
    from otelbridge.exceptions import ConfigError as ConfigError
    from otelbridge.exceptions import OtelbridgeError as OtelbridgeError
    from otelbridge.integrations.apps import instrument as instrument
    from otelbridge.integrations.apps import uninstrument as uninstrument
    from otelbridge.integrations.arguments import log as log
    from otelbridge.integrations.json_http import JsonHTTPHandler as JsonHTTPHandler
    from otelbridge.server.serving import run as run
    from otelbridge.sinks.asynchronous import AsyncSink as AsyncSink
    from otelbridge.sinks.console import ConsoleSink as ConsoleSink
    from otelbridge.sinks.file import FileSink as FileSink
    from otelbridge.sinks.json import JsonSink as JsonSink
    from otelbridge.types import Stats as Stats
    from otelbridge.wiring import configure as configure
    from otelbridge.wiring import flush as flush
    from otelbridge.wiring import shutdown as shutdown
    from otelbridge.wiring import stats as stats

# Public name -> the module that has it. No submodule bears a public object's name: importing it would replace that.
_HOMES = {
    "AccessLogMiddleware": "access.middleware",
    "AsyncSink": "sinks.asynchronous",
    "ConfigError": "exceptions",
    "ConsoleSink": "sinks.console",
    "FileSink": "sinks.file",
    "JsonHTTPHandler": "integrations.json_http",
    "JsonSink": "sinks.json",
    "OtelbridgeError": "exceptions",
    "Stats": "types",
    "configure": "wiring",
    "flush": "wiring",
    "instrument": "integrations.apps",
    "log": "integrations.arguments",
    "logger": "_logger",
    "run": "server.serving",
    "shutdown": "wiring",
    "stats": "wiring",
    "uninstrument": "integrations.apps",
}

__all__ = [
    "AccessLogMiddleware",
    "AsyncSink",
    "ConfigError",
    "ConsoleSink",
    "FileSink",
    "JsonHTTPHandler",
    "JsonSink",
    "OtelbridgeError",
    "Stats",
    "__version__",
    "configure",
    "flush",
    "instrument",
    "log",
    "logger",
    "run",
    "shutdown",
    "stats",
    "uninstrument",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from otelbridge.scope import scope_version

        value: object = scope_version()
    elif name in _HOMES:
        value = getattr(import_module(f"otelbridge.{_HOMES[name]}"), name)
    else:
        msg = f"module 'otelbridge' has no attribute {name!r}"
        raise AttributeError(msg)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""Which Hypercorn this was tested with, and whether the one that is installed has what we lean on.

Most of that is documented (`Config`, `serve`, `load_application`). The rest is named here, so that another Hypercorn
ends in one sentence at the start instead of a surprise under load.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version

from otelbridge.server.errors import StartError

TESTED = "0.18.0"

# Module, and the name in it: what `server` replaces or extends in a worker's process.
LEANED_ON = (
    ("hypercorn.asyncio", "serve"),
    ("hypercorn.config", "Config.create_sockets"),
    ("hypercorn.config", "Config.response_headers"),
    ("hypercorn.protocol", "H11Protocol._send_error_response"),
    ("hypercorn.protocol", "H11Protocol.handle"),
    ("hypercorn.protocol", "H2Protocol._close_stream"),
    ("hypercorn.protocol.h11", "HTTPStream._send_closed"),
    ("hypercorn.protocol.h11", "HTTPStream._send_error_response"),
    ("hypercorn.protocol.h11", "WSStream._send_error_response"),
    ("hypercorn.protocol.h2", "HTTPStream.app_send"),
    ("hypercorn.protocol.h2", "WSStream.app_send"),
    ("hypercorn.protocol.http_stream", "valid_server_name"),
    ("hypercorn.protocol.ws_stream", "valid_server_name"),
    ("hypercorn.utils", "WSGIWrapper.run_app"),
    ("hypercorn.utils", "load_application"),
)
# The same for the worker class trio alone.
LEANED_ON_TRIO = (("hypercorn.trio", "serve"), ("hypercorn.trio.run", "trio.serve_listeners"))


def check_hypercorn(worker_class: str = "asyncio") -> None:
    """Raise StartError if Hypercorn is missing, or is one that has changed where we lean on it."""
    try:
        installed = version("hypercorn")
    except PackageNotFoundError:
        msg = "Hypercorn is not installed, and serves here: pip install 'otelbridge[server]'"
        raise StartError(msg) from None
    names = LEANED_ON + (LEANED_ON_TRIO if worker_class == "trio" else ())
    missing = [f"{module}.{name}" for module, name in names if not _has(module, name)]
    if missing:
        msg = f"Hypercorn must be like {TESTED}, got {installed} without {missing[0]}: pip install 'otelbridge[server]'"
        raise StartError(msg)


def _has(module: str, name: str) -> bool:
    try:
        found: object = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return False
    return True

"""The shop of docs/servers.md, as both kinds of app; each answer names the process that gave it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

import otelbridge
from otelbridge import logger

# So long that one worker cannot take all requests.
WORK_S = 0.01

if "MYSHOP_CONFIGURES" in os.environ:
    otelbridge.configure(service_name="myshop")
    logger.info("configured in {pid}", pid=os.getpid())


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer with the process id; like many a bare app it knows requests only."""
    if scope["type"] != "http":
        msg = f"this app serves HTTP, got {scope['type']}"
        raise ValueError(msg)
    await asyncio.sleep(WORK_S)
    logger.info("Item {path}", path=scope["path"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"%d" % os.getpid()})


def wsgi_app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer with the process id."""
    time.sleep(WORK_S)
    logger.info("Item {path}", path=environ["PATH_INFO"])
    body = b"%d" % os.getpid()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


app = otelbridge.instrument(app)
wsgi_app = otelbridge.instrument(wsgi_app)

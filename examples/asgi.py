"""A bare ASGI application: hypercorn examples/asgi.py:app"""

from typing import Any

import otelbridge
from otelbridge import logger


async def shop(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    scope["route"] = "/items/{name}"  # what metrics are grouped by: a bare application says it itself
    logger.info("Item {path} asked for", path=scope["path"])  # has the request's trace and span ids
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"tea"})


app = otelbridge.instrument(shop)

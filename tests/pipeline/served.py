"""Apps that real servers serve, with a sink that the environment chooses."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import otelbridge
from otelbridge.access.asgi import Receive, Scope, Send
from tests.access.support import answer


async def _asgi(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    await answer(send)


def _wsgi(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


asgi = otelbridge.instrument(_asgi)
wsgi = otelbridge.instrument(_wsgi)

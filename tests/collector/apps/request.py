"""Serves one request on Hypercorn with an instrumented application, and logs a line in it."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import httpx
from hypercorn.asyncio import serve
from hypercorn.config import Config

import otelbridge
from otelbridge import logger
from tests.collector.apps.report import report


async def shop(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer every request, and nothing else."""
    if scope["type"] != "http":
        return
    logger.info("Price of {item} asked", item="tea")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"4.20"})


async def serve_one_request() -> None:
    """Run the server for the length of one request."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.errorlog = None
    done = asyncio.Event()
    server = asyncio.create_task(
        serve(otelbridge.instrument(shop), config, shutdown_trigger=done.wait)  # type: ignore[arg-type]  # Hypercorn's scope is narrower than ASGI's
    )
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"http://127.0.0.1:{listener.getsockname()[1]}/price/tea")
    answer.raise_for_status()
    done.set()
    await server
    listener.detach()  # closed by Hypercorn


def main() -> None:
    """Serve, then report."""
    otelbridge.configure(service_name="shop")
    asyncio.run(serve_one_request())
    report()


if __name__ == "__main__":
    main()

"""Serves the same requests twice: from an app measured through OpenTelemetry, and from one measured through StatsD."""

from __future__ import annotations

import asyncio
from typing import Any

import otelbridge
from tests.collector.apps.report import report

# Route, status, body, how often; few enough that all lines fit into a UDP socket's buffer at once.
REQUESTS = (
    ("/items/{id:int}", 200, 10, 60),
    ("/items/{id:int}", 404, 0, 20),
    ("/orders", 201, 2_000, 30),
    ("/orders", 500, 7, 5),
    ("^regexp/(?P<a>[a-z]+|b,c)$", 200, 1, 15),
)


async def shop(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer as the request's headers ask."""
    if scope["type"] != "http":
        return
    _, status, size, _ = REQUESTS[int(scope["path"][1:])]
    scope["route"] = REQUESTS[int(scope["path"][1:])][0]
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b"x" * size})


async def serve(app: Any) -> None:
    """All requests, one after the other."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        pass

    for index, (_, _, _, count) in enumerate(REQUESTS):
        for _ in range(count):
            scope = {
                "type": "http",
                "asgi": {"version": "3.0"},
                "http_version": "1.1",
                "method": "GET",
                "scheme": "http",
                "path": f"/{index}",
                "raw_path": f"/{index}".encode(),
                "query_string": b"",
                "headers": [],
                "client": ("127.0.0.1", 1),
                "server": ("127.0.0.1", 80),
            }
            await app(scope, receive, send)


def main() -> None:
    """Serve, then report."""
    otelbridge.configure(service_name="both", logs="none", traces="none", statsd_prefix="statsd")
    for metrics in ("otlp", "statsd"):
        # A wrapper of its own each: the app itself would be instrumented once.
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await shop(scope, receive, send)

        asyncio.run(serve(otelbridge.instrument(app, metrics=metrics, access_log=False)))
    report()


if __name__ == "__main__":
    main()

"""Hello world, whose access records go to log_server.py: python examples/logging/web_server.py [--port 8000]"""

import argparse
import asyncio
from typing import Any

from hypercorn.asyncio import serve
from hypercorn.config import Config

import otelbridge
from otelbridge.integrations.pipeline import LogPipeline

PAGES = {"/": b"Hello, world!\n", "/tasks": b'["write", "read"]\n'}


async def hello(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        return
    page = PAGES.get(scope["path"])
    await send({"type": "http.response.start", "status": 404 if page is None else 200, "headers": []})
    await send({"type": "http.response.body", "body": page or b"No such page\n"})


def main() -> None:
    """Read the arguments, and serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(description="Serve hello world, and log elsewhere.")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--log-server", default="localhost:9000", metavar="HOST:PORT")
    options = parser.parse_args()

    # Without a collector; leave this line out where there is one.
    otelbridge.configure(service_name="hello", logs="none", metrics="none", traces="none")
    pipeline = LogPipeline(otelbridge.JsonHTTPHandler(options.log_server))
    app = pipeline.around(otelbridge.instrument(hello))

    config = Config()
    config.bind = [f"127.0.0.1:{options.port}"]
    asyncio.run(serve(app, config))  # type: ignore[arg-type]  # its scopes are stricter than ASGI's


if __name__ == "__main__":
    main()

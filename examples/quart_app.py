"""Quart: hypercorn examples/quart_app.py:app"""

from quart import Quart

import otelbridge
from otelbridge import logger

app = otelbridge.instrument(Quart(__name__), exclude="/health")


@app.get("/items/<name>")
async def show_item(name: str) -> str:
    logger.info("Item {name} asked for", name=name)  # has the request's trace and span ids
    return "tea"

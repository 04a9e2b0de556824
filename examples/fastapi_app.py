"""FastAPI: hypercorn examples/fastapi_app.py:app"""

from fastapi import FastAPI

import otelbridge
from otelbridge import logger

app = otelbridge.instrument(FastAPI(), exclude="/health", slow_s=1.0)


@app.get("/items/{name}")
async def show_item(name: str) -> str:
    with logger.contextualize(item=name):  # everything logged in here, and below, carries it
        logger.info("Item asked for")
    return "tea"

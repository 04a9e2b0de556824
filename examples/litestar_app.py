"""Litestar: hypercorn examples/litestar_app.py:app"""

from litestar import Litestar, get
from litestar.params import FromPath

import otelbridge
from otelbridge import logger


@get("/items/{name:str}")
async def show_item(name: FromPath[str]) -> str:
    logger.info("Item {name} asked for", name=name)  # has the request's trace and span ids
    return "tea"


app = Litestar([show_item])
otelbridge.instrument(app, exclude="/health")  # in place

"""Starlette: hypercorn examples/starlette_app.py:app"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import otelbridge
from otelbridge import logger


async def show_item(request: Request) -> PlainTextResponse:
    logger.info("Item {name} asked for", name=request.path_params["name"])  # has the request's trace and span ids
    return PlainTextResponse("tea")


app = Starlette(routes=[Route("/items/{name}", show_item)])
otelbridge.instrument(app, exclude="/health")  # in place

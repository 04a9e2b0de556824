"""Metrics to a StatsD agent: hypercorn examples/with_statsd.py:app, and to see the lines: nc -klu 8125"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import otelbridge


async def show_item(request: Request) -> JSONResponse:
    return JSONResponse({"id": request.path_params["id"]})


# To udp://127.0.0.1:8125, or wherever OTELBRIDGE_STATSD says; logs and spans go over OTLP as ever.
otelbridge.configure(service_name="shop", metrics="statsd", statsd_prefix="shop")
app = otelbridge.instrument(Starlette(routes=[Route("/items/{id:int}", show_item)]), metrics="statsd")

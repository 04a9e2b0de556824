"""A bare WSGI application: gunicorn --chdir examples wsgi:app"""

from typing import Any

import otelbridge
from otelbridge import logger


def shop(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    environ["otelbridge.route"] = "/items/{name}"  # what metrics are grouped by: a bare application says it itself
    logger.info("Item {path} asked for", path=environ["PATH_INFO"])  # has the request's trace and span ids
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"tea"]


app = otelbridge.instrument(shop)

"""Flask: gunicorn --chdir examples flask_app:app"""

from flask import Flask

import otelbridge
from otelbridge import logger

app = otelbridge.instrument(Flask(__name__), exclude="/health", include_headers=["x-tenant"])


@app.get("/items/<name>")
def show_item(name: str) -> str:
    logger.info("Item {name} asked for", name=name)  # has the request's trace and span ids
    return "tea"

"""Apps that the tests have real servers serve. OTELBRIDGE_TEST_BARE leaves the access log out."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import otelbridge
from otelbridge import AccessLogMiddleware
from tests.access.support import hello


def wsgi_hello(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """Answer `hello` with 200."""
    start_response("200 OK", [("Content-Length", "5")])
    return [b"hello"]


_OPTIONS: dict[str, Any] = {"access_log": "OTELBRIDGE_TEST_BARE" not in os.environ}

app = otelbridge.instrument(hello, **_OPTIONS)


def make_wsgi() -> AccessLogMiddleware:
    """For gunicorn; made only there, as one app's access log stands for all of a process."""
    return AccessLogMiddleware(wsgi_hello)

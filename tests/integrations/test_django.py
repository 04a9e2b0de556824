"""Django: what `path()`, `include()` and `re_path()` were given, over both of its handlers."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from otelbridge.integrations.apps import instrument, uninstrument
from tests.access.support import Harness
from tests.integrations.hosts import HOSTS, Host

DJANGOS = [host for host in HOSTS if host.name.startswith("django")]


@pytest.mark.parametrize("host", DJANGOS, ids=str)
@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/items/7", "items/<id>"),
        ("/sub/items/7", "sub/items/<id>"),
        ("/years/2026", r"^years/(?P<id>[0-9]{4})$"),
        ("/", "/"),
        ("/nothing", None),
    ],
)
def test_routes(host: Host, path: str, route: str | None, harness: Harness) -> None:
    """The string as it was written, includes in front of it; the empty one is `/`."""
    host.call(instrument(host.make()), path)

    assert harness.event.attributes.get("http.route") == route


@pytest.mark.parametrize("host", DJANGOS, ids=str)
def test_middleware_around_the_handler(host: Host, harness: Harness) -> None:
    """The handler inside of an ASGI or WSGI middleware says its route, too."""

    class Around:
        def __init__(self, application: Any) -> None:
            self.application = application

        def __call__(self, environ: Any, start_response: Any) -> Any:
            return self.application(environ, start_response)

    class AroundAsgi(Around):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # type: ignore[override]
            await self.application(scope, receive, send)

    handler = host.make()
    app = instrument((AroundAsgi if host.interface == "asgi" else Around)(handler))

    host.call(app, "/items/7")

    assert harness.event.attributes["http.route"] == "items/<id>"
    uninstrument(app)
    assert type(handler).__name__ == type(host.make()).__name__
    assert type(handler) is type(host.make())


def test_the_signal_is_left_when_the_last_handler_is(harness: Harness) -> None:
    """`got_request_exception` has a receiver of ours only while a handler is instrumented."""
    from django.core.signals import got_request_exception

    gc.collect()  # handlers of earlier tests
    first, second = instrument(DJANGOS[0].make()), instrument(DJANGOS[1].make())

    uninstrument(first)
    assert len(got_request_exception.receivers) == 1
    uninstrument(second)
    assert got_request_exception.receivers == []

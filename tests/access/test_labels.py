"""Route templates, and labels that no client can multiply."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from otelbridge.access.asgi import Receive, Scope, Send
from otelbridge.access.options import Settings
from otelbridge.metrics.instruments import OTHER, SETS_MAX
from tests.access.support import (
    DURATION,
    REQUESTS,
    Harness,
    answer,
    exchange,
    hello,
    http_scope,
)


class Route:
    """What Starlette and FastAPI leave in the scope."""

    def __init__(self, path: str) -> None:
        self.path = path


@pytest.mark.parametrize(
    ("found", "root_path", "path_params", "route"),
    [
        (Route("/items/{id}"), "", {"id": "7"}, "/items/{id}"),
        ("/items/{id}", "", None, "/items/{id}"),
        (Route("/items/{id}"), "/api/", {"id": "7"}, "/api/items/{id}"),
        (Route("/items/{id}"), "/tenants/acme", {"tenant": "acme", "id": "7"}, "/tenants/{tenant}/items/{id}"),
        (Route("/items"), "/x%20y", {"tenant": "x y"}, None),
        (object(), "", None, None),
        (None, "/api", None, None),
    ],
)
def test_the_route_is_a_template_with_its_mount_prefix(
    found: object, root_path: str, path_params: object, route: str | None
) -> None:
    """The matched template names span and point; where none is known there is none, never the raw path."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope.update(root_path=root_path, path_params=path_params)
        if found is not None:
            scope["route"] = found
        await answer(send)

    harness = Harness(app)

    harness.get("/whatever/7")

    assert harness.span.name == (f"GET {route}" if route else "GET")
    assert (harness.duration_point().attributes or {}).get("http.route") == route
    assert harness.event.attributes.get("http.route") == route


def test_unmatched_paths_and_unknown_methods_are_one_series() -> None:
    """1,000 paths with 1,000 methods are one point of the histogram, `_OTHER`, and spans named HTTP."""
    harness = Harness(hello, Settings(access_log=False))

    async def serve() -> None:
        for number in range(1000):
            await exchange(harness.app, http_scope(f"/{number}", method=f"M{number}"))

    asyncio.run(serve())

    point = harness.duration_point()
    assert (point.count, (point.attributes or {})["http.request.method"]) == (1000, "_OTHER")
    assert {span.name for span in harness.spans} == {"HTTP"}


def test_scheme_and_version_from_outside_are_bounded() -> None:
    """A proxy header that became the scheme cannot make series of its own."""
    harness = Harness(hello)

    harness.get(scheme="gopher", http_version="9.9")

    attributes = harness.duration_point().attributes or {}
    assert (attributes["url.scheme"], attributes["network.protocol.version"]) == ("_OTHER", "_OTHER")


QUIET = Settings(access_log=False, traces=False)


def test_10_000_random_requests_are_one_series_per_status() -> None:
    """Methods, schemes and versions at random are `_OTHER`, statuses that HTTP does not know are none."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await answer(send, status=scope["status"])

    harness = Harness(app, QUIET)
    random = Random(5)

    def word() -> str:
        return f"{random.getrandbits(64):x}"

    async def serve() -> None:
        for _ in range(10_000):
            status = random.choice([random.randrange(200, 1000), -1, 10**30, None, "nonsense", word()])
            scope = http_scope(f"/{word()}", method=word(), scheme=word(), http_version=word(), status=status)
            await exchange(harness.app, scope)

    asyncio.run(serve())

    series = [dict(point.attributes) for point in harness.points()[REQUESTS]]
    statuses = {attributes.get("http.response.status_code") for attributes in series}
    assert statuses <= {None, *range(100, 600)}
    # With no status there is one series of failures (600 and more, or none sent), and one of other answers (-1).
    assert len(series) <= len(statuses) + 2
    for name in ("http.request.method", "url.scheme", "network.protocol.version"):
        assert {attributes[name] for attributes in series} == {OTHER}


def test_classes_made_at_run_time_are_capped() -> None:
    """An app that raises classes of its own making has a bounded number of series, and every request is counted."""
    count = SETS_MAX + 100

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise type(scope["path"], (Exception,), {})

    harness = Harness(app, QUIET)

    async def serve() -> None:
        for number in range(count):
            await exchange(harness.app, http_scope(f"/{number}"))

    asyncio.run(serve())

    points = harness.points()
    assert len(points[DURATION]) == SETS_MAX + 1
    assert sum(point.value for point in points[REQUESTS]) == count

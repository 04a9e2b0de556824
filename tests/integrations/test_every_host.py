"""What holds for every host alike: the same requests leave the same record, span and points."""

from __future__ import annotations

import random
import string

import pytest
import uvicorn
from hypercorn.utils import is_asgi

from otelbridge.integrations.apps import instrument, uninstrument
from tests.access.support import DURATION, Harness
from tests.integrations.hosts import HOSTS, SEEN, BrokenError, Host

FRAMEWORKS = tuple(host for host in HOSTS if host.in_place)


@pytest.fixture(params=HOSTS, ids=str)
def host(request: pytest.FixtureRequest) -> Host:
    SEEN.clear()
    found: Host = request.param
    return found


def test_a_request_has_record_span_and_point_with_its_template(host: Host, harness: Harness) -> None:
    """One of each, under one trace, with the framework's own spelling of the template."""
    app = instrument(host.make())

    answer = host.call(app, "/items/7")

    assert (answer.status, answer.body.strip(b'"')) == (200, b"hello")
    assert harness.event.attributes["http.route"] == host.item
    assert harness.event.attributes["http.response.status_code"] == 200
    assert harness.span.name == f"GET {host.item}"
    assert harness.span.context is not None
    assert harness.event.trace_id == harness.span.context.trace_id
    assert (harness.duration_point().attributes or {})["http.route"] == host.item


def test_the_template_has_the_prefix(host: Host, harness: Harness) -> None:
    """Below a mount, router, blueprint or include the template begins with its prefix."""
    host.call(instrument(host.make()), "/sub/items/7")

    assert harness.event.attributes["http.route"] == host.sub_item


def test_paths_that_match_nothing_are_one_series(host: Host, harness: Harness) -> None:
    """An unmatched request has no route, never its path: pains.md C2."""
    app = instrument(host.make(), access_log=False, traces=False)
    letters = random.Random(2)

    for _ in range(200):
        path = "".join(letters.choices(string.ascii_letters + "/{}<>", k=12))
        assert host.call(app, f"/nowhere/{path}").status == 404

    (point,) = harness.points()[DURATION]
    assert "http.route" not in point.attributes


def test_an_exception_is_in_the_record_and_the_span_whoever_answers_it(host: Host, harness: Harness) -> None:
    """Also where the framework makes a page of it, and raises nothing: ERROR, error.type, the exception itself."""
    app = instrument(host.make())

    answer = host.call(app, "/boom")

    assert (answer.status == 500) or isinstance(answer.error, BrokenError)
    name = f"{BrokenError.__module__}.{BrokenError.__qualname__}"
    assert (harness.event.level, harness.event.attributes["error.type"]) == ("ERROR", name)
    assert isinstance(harness.event.exception, BrokenError)
    assert [event.name for event in harness.span.events] == ["exception"]
    assert (harness.duration_point().attributes or {})["error.type"] == name
    assert harness.active() == [0]


def test_the_apps_code_has_the_requests_ids_in_whatever_thread(host: Host, harness: Harness) -> None:
    """Code that a framework runs in a thread pool is inside of the request's span."""
    host.call(instrument(host.make()), "/thread")

    assert harness.span.context is not None
    assert set(SEEN) == {harness.span.context.trace_id}


def test_instrumenting_twice_changes_the_options_and_doubles_nothing(host: Host, harness: Harness) -> None:
    """The second call gives the same object, with the second call's options."""
    once = instrument(host.make(), exclude="/items/1")

    twice = instrument(once, exclude="/items/2")

    assert twice is once
    host.call(twice, "/items/1")
    host.call(twice, "/items/2")
    assert harness.event.attributes["url.path"] == "/items/1"


def test_uninstrument_gives_the_application_back_as_it_was(host: Host, harness: Harness) -> None:
    """Afterwards it is the same object, of the same class, and leaves nothing."""
    app = host.make()
    kind = type(app)

    instrumented = instrument(app)
    given_back = uninstrument(instrumented)

    assert given_back is app
    assert type(app) is kind
    assert host.call(app, "/items/7").status == 200
    assert (harness.events, harness.spans, harness.points()) == ([], (), {})


def test_servers_see_what_kind_of_application_it_is(host: Host, harness: Harness) -> None:
    """What servers ask, whether `__call__` is a coroutine function, is answered as before."""
    app = instrument(host.make())

    assert is_asgi(app) is (host.interface == "asgi")
    config = uvicorn.Config(app)
    config.load()
    assert config.interface == ("asgi3" if host.interface == "asgi" else "asgi2")  # it has no guess "wsgi"


@pytest.mark.parametrize("host", FRAMEWORKS, ids=str)
def test_a_frameworks_application_is_instrumented_in_place(host: Host, harness: Harness) -> None:
    """`instrument(app)` alone does it, also after its first request: the object and its class's name stay."""
    app = host.make()
    kind = type(app)
    host.call(app, "/items/7")

    assert instrument(app) is app
    assert isinstance(app, kind)
    assert (type(app).__name__, type(app).__module__) == (kind.__name__, kind.__module__)
    host.call(app, "/items/7")
    assert len(harness.events) == 1


def test_a_prefix_of_the_server_is_part_of_the_template(host: Host, harness: Harness) -> None:
    """`root_path` and SCRIPT_NAME are where the application is mounted, as far as anybody knows."""
    app = instrument(host.make())

    if host.interface == "asgi":
        host.call(app, "/shop/items/7" if host.name != "asgi" else "/items/7", root_path="/shop")
    else:
        host.call(app, "/items/7", SCRIPT_NAME="/shop")

    assert harness.event.attributes["http.route"] == "/shop/" + str(host.item).lstrip("/")


def test_a_method_that_is_not_allowed_has_the_route_that_does_not_allow_it(host: Host, harness: Harness) -> None:
    """405 is an answer of a route: its template is known."""
    answer = host.call(instrument(host.make()), "/items/7", "DELETE")

    assert answer.status == 405
    assert harness.event.attributes["http.route"] == host.item

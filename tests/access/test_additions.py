"""What middleware adds to a record arrives wherever the record does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from otelbridge import logger
from otelbridge.access.asgi import Receive, Scope, Send
from otelbridge.access.format import make_line
from otelbridge.access.observe import Observer
from otelbridge.access.options import Settings
from otelbridge.access.record import AccessRecord
from otelbridge.access.wsgi import InstrumentedWSGI
from tests.access.listening import Listener, attached
from tests.access.support import Harness, MemoryLogger, answer
from tests.native.conftest import Exporting, exporting
from tests.native.oracle import attributes_of, parse

__all__ = ["exporting"]


async def adding(scope: Scope, receive: Receive, send: Send) -> None:
    """Middleware as BlackBull's documentation shows it, with the app behind it."""
    record = scope["state"].get("access_log")
    if record:
        record.tenant = "acme"
        record.plan = {"name": "gold", "seats": 3}
    await answer(send)


ADDED = {"tenant": "acme", "plan": {"name": "gold", "seats": 3}}


def added(values: Any) -> dict[str, Any]:
    return {name: values[name] for name in ADDED if name in values}


@pytest.mark.covers("4.6")
def test_additions_are_attributes_of_the_event() -> None:
    """
    An attribute that middleware sets on the record in scope["state"]["access_log"] is an attribute of the event.
    """
    harness = Harness(adding)

    harness.get()

    assert added(harness.event.attributes) == ADDED


@pytest.mark.covers("4.6")
def test_additions_reach_a_scope_without_state() -> None:
    """
    A server that gives no state is no obstacle: the record is there.
    """
    harness = Harness(adding)
    scope_without_state: dict[str, Any] = {"state": None}

    harness.get(**scope_without_state)

    assert added(harness.event.attributes) == ADDED


@pytest.mark.covers("4.6")
def test_additions_are_attributes_of_the_log_record() -> None:
    """
    On `logging`'s record they stand under their own names.
    """
    listener = Listener()
    with attached(listener):
        Harness(adding).get()

    assert added(vars(listener.record)) == ADDED


@pytest.mark.covers("4.6")
def test_additions_are_members_of_the_json_line() -> None:
    """
    In the JSON format they stand beside the record's own fields, typed.
    """
    harness = Harness(adding, Settings(line=make_line("json")))

    harness.get()

    assert added(json.loads(harness.event.body)) == ADDED


@pytest.mark.covers("4.6")
def test_additions_are_exported(exporting: Exporting) -> None:
    """
    In OTLP they are attributes of the log record.
    """
    harness = Harness(adding)
    harness.observer.logger = logger

    harness.get()

    (record,) = exporting.take()
    assert added(attributes_of(parse(record))) == ADDED


@pytest.mark.covers("4.6")
def test_additions_of_a_wsgi_app() -> None:
    """
    In WSGI the record is in the environ, for middleware and app.
    """
    kept = MemoryLogger()

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        environ["otelbridge.access_log"].tenant = "acme"
        start_response("200 OK", [])
        return [b"hello"]

    served = InstrumentedWSGI(app, Observer(Settings(), logger=kept, tracer=None, metrics=None))
    start_response: Any = lambda status, headers, error=None: None  # noqa: E731 -- as a server's
    body: Any = served({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, start_response)
    list(body)
    body.close()

    assert kept.events[0].attributes["tenant"] == "acme"


def test_an_addition_wins_over_an_attribute_of_ours() -> None:
    """
    Middleware that knows better than the server (the client behind a proxy) is believed.
    """
    listener = Listener()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["access_log"].client_ip = "198.51.100.7"
        await answer(send)

    with attached(listener):
        Harness(app).get()

    assert listener.record.client_ip == "198.51.100.7"


def test_the_callback_sees_additions() -> None:
    """
    on_request gets the record itself, with what was added.
    """
    seen: list[AccessRecord] = []

    Harness(adding, Settings(on_request=seen.append)).get()

    assert seen[0].additions() == ADDED

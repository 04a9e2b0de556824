"""A secret in eight places of a request reaches nobody (pains.md G2, C11)."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from otelbridge import JsonSink, logger
from otelbridge.access.asgi import Receive, Scope, Send
from otelbridge.access.format import make_line
from otelbridge.access.options import Settings, header_names
from otelbridge.access.record import AccessRecord
from tests.access.listening import Listener, attached
from tests.access.support import Harness, hello
from tests.native.conftest import Exporting, exporting

__all__ = ["exporting"]

CANARY = "canary7f3a"
STYLES = ("request", "access", "common", "combined", "json", '%q "%{Referer}i" "%{X-Api-Key}i" "%{api_key}n"')

QUERY = f"page=2&access_token={CANARY}"
HEADERS = [
    (b"authorization", f"Bearer {CANARY}".encode()),
    (b"cookie", f"session={CANARY}".encode()),
    (b"x-api-key", CANARY.encode()),
    (b"referer", f"https://user:{CANARY}@example.com/".encode()),
    (b"user-agent", f"bot (+https://bucket.example.com/a?X-Amz-Signature={CANARY}&x=1)".encode()),
]


class Ways:
    """Everything that a record reaches, as text."""

    def __init__(self) -> None:
        self.text = io.StringIO()
        self.formatted = io.StringIO()
        self.json = io.StringIO()
        self.serialized = io.StringIO()
        self.listener = Listener()
        self.printed = io.StringIO()

    def texts(self) -> dict[str, str]:
        streams = {"text": self.text, "formatted": self.formatted, "json": self.json, "serialized": self.serialized}
        found = {name: stream.getvalue() for name, stream in streams.items()}
        found["stdlib"] = repr([vars(record) for record in self.listener.records])
        found["stdlib text"] = self.printed.getvalue()
        return found


@pytest.fixture
def ways(exporting: Exporting) -> Iterator[Ways]:
    """Sinks of every kind, and listeners on `otelbridge.access`."""
    made = Ways()
    numbers = [
        logger.add(made.text),
        logger.add(made.formatted, format="{message} {extra} {exception}", backtrace=True, diagnose=True),
        logger.add(JsonSink(made.json)),
        logger.add(made.serialized, serialize=True),
    ]
    with attached(made.listener), attached(logging.StreamHandler(made.printed)):
        yield made
    for number in numbers:
        logger.remove(number)


async def leaking(scope: Scope, receive: Receive, send: Send) -> None:
    """Add a secret to the record, and raise one."""
    scope["state"]["access_log"].api_key = CANARY
    raise RuntimeError(f"no answer of https://user:{CANARY}@db.example.com/?sig={CANARY}")


@pytest.mark.parametrize("style", STYLES)
def test_a_secret_in_eight_places_reaches_nobody(ways: Ways, exporting: Exporting, style: str) -> None:
    """
    Query, Authorization, Cookie, a header with a secret name, credentials and signature in URLs, an addition, an
    exception's text: no sink, LogRecord, span, OTLP byte or line of any format has the secret.
    """
    settings = Settings(include_headers=header_names(["X-Api-Key"]), line=make_line(style), log_query=True)
    harness = Harness(leaking, settings)
    harness.observer.logger = logger

    harness.get("/tasks", query_string=QUERY.encode(), headers=HEADERS)

    (exported,) = exporting.take()
    span = harness.span
    found = {
        **ways.texts(),
        "otlp": exported.decode("latin-1"),
        "span": repr((span.attributes, span.status.description, [event.attributes for event in span.events])),
        "points": repr(harness.points()),
    }
    assert [name for name, text in found.items() if CANARY in text] == []
    assert "tasks" in found["text"]
    assert "no answer of" in found["otlp"]
    assert "no answer of" in found["stdlib text"]
    assert "no answer of" in found["span"]


def test_what_is_no_secret_stays(ways: Ways, exporting: Exporting) -> None:
    """
    Redaction takes the secrets only: the same places without them arrive whole.
    """
    settings = Settings(include_headers=("x-tenant",), line=make_line("combined"), log_query=True)
    harness = Harness(hello, settings)
    harness.observer.logger = logger
    headers = [(b"x-tenant", b"acme"), (b"referer", b"https://example.com/?page=1"), (b"user-agent", b"curl/8")]

    harness.get("/tasks", query_string=b"page=2", headers=headers)

    for name in ("text", "stdlib text"):
        text = ways.texts()[name]
        assert '"GET /tasks?page=2 HTTP/1.1" 200 5 "https://example.com/?page=1" "curl/8"' in text
    assert json.loads(ways.json.getvalue())["extra"]["http.request.header.x-tenant"] == ["acme"]


@pytest.mark.parametrize("name", ["Authorization", "cookie", "Proxy-Authorization", "SET-COOKIE"])
def test_credentials_are_never_on_a_record(name: str) -> None:
    """
    What carries credentials is refused by include_headers, so that no record has it at all.
    """
    from otelbridge.exceptions import ConfigError

    with pytest.raises(ConfigError, match="credentials"):
        header_names([name])


def test_the_record_itself_keeps_what_the_app_may_need() -> None:
    """
    on_request gets the record unredacted: it is the app's own data, in the app's own process.
    """
    seen: list[AccessRecord] = []

    Harness(hello, Settings(on_request=seen.append)).get(query_string=b"token=canary")

    assert seen[0].query == "token=canary"

"""The agent: secrets and wild series end there, and what it accepted survives it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.collector import sender
from tests.collector.real import SHIPPED, Collector, values

pytestmark = pytest.mark.required

AGENT = (SHIPPED / "base.yaml", SHIPPED / "agent.yaml")

# As they stand in a body or in an attribute with an innocent name, and what of them may not be seen.
SECRETS = [
    ("login with password=hunter2-in-text failed", "hunter2"),
    ('{"user": "ada", "api_key": "k3y-in-json"}', "k3y-in-json"),
    ("sent Authorization: Bearer abcDEF123456.xyz", "abcDEF123456"),
    ("cookie eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl set", "eyJzdWIiOiJhZGEifQ"),
    ("used AKIAIOSFODNN7EXAMPLE for the bucket", "AKIAIOSFODNN7EXAMPLE"),
    ("paid with 4111 1111 1111 1111 today", "1111"),
    ("paid with 378282246310005 today", "378282246310005"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIEsecret\n-----END RSA PRIVATE KEY-----", "MIIEsecret"),
]
SECRET_NAMES = [
    *(
        "password",
        "db.password",
        "user_password",
        "passwd",
        "secret",
        "client_secret",
        "api_key",
        "x-api-key",
        "apiKey",
    ),
    *(
        "access_token",
        "refreshToken",
        "token",
        "authorization",
        "http.request.header.authorization",
        "cookie",
        "set-cookie",
    ),
    *("private_key", "aws_secret_access_key", "credit_card", "card_number", "cvv", "ssn", "db.credentials"),
]
ORDINARY: dict[str, str | int] = {
    "user": "ada",
    "http.route": "/orders/{id}",
    "http.response.status_code": 201,
    "order": 1234567890123456,  # sixteen digits, as no card begins
    "input_tokens": 512,
    "author": "grace",
    "session_id": "0af7651916cd43dd8448eb211c80319c",
    "when": "2026-11-21T21:45:26.247Z",
    "note": "the token bucket is empty; password was changed",
}


@pytest.fixture
def gateway(collector_binary: Path, tmp_path: Path) -> Iterator[Collector]:
    """Where the agent sends: a collector that writes down what comes; not started."""
    running = Collector(collector_binary, tmp_path / "gateway")
    yield running
    running.stop()


@pytest.fixture
def agent(collector_binary: Path, tmp_path: Path, gateway: Collector) -> Iterator[Collector]:
    """A running agent."""
    running = Collector(
        collector_binary,
        tmp_path / "agent",
        configs=AGENT,
        OTELBRIDGE_GATEWAY_ENDPOINT=f"127.0.0.1:{gateway.grpc_port}",
        OTELBRIDGE_QUEUE_FOLDER=str(tmp_path / "agent" / "queue"),
    )
    try:
        running.start()
        yield running
    finally:
        running.stop()


def test_secrets_end_at_the_agent(agent: Collector, gateway: Collector) -> None:
    """Values under secret names and secrets in texts stay at the agent; the rest of the record or span goes on."""
    gateway.start()
    named = {name: f"secret-of-{name}" for name in SECRET_NAMES}
    noted = {f"note{index}": text for index, (text, _) in enumerate(SECRETS)}
    records = [sender.record(text, {"index": index}) for index, (text, _) in enumerate(SECRETS)]
    assert sender.post(agent.http_port, sender.logs([*records, sender.record("named", named | noted)])) == 200
    assert sender.post(agent.http_port, sender.traces([sender.span(1, 1, **named, **noted)])) == 200  # type: ignore[arg-type]  # names are no Python names

    gateway.wait_for(lambda c: len(c.records()) == len(SECRETS) + 1 and len(c.spans()) == 1)
    arrived = gateway.file.read_text("utf-8")
    assert [secret for _, secret in SECRETS if secret in arrived] == []
    assert [value for value in named.values() if value in arrived] == []
    (last,) = [record for record in gateway.records() if record.body == "named"]
    (span,) = gateway.spans()
    assert set(last.attributes) == set(values(span["attributes"])) == set(named | noted)
    bodies = {record.attributes["index"]: record.body for record in gateway.records() if "index" in record.attributes}
    assert bodies[0] == "login with **** failed"
    assert bodies[5] == "paid with **** today"


def test_ordinary_data_passes_the_agent(agent: Collector, gateway: Collector) -> None:
    """What is no secret arrives as it was sent: attributes with their types, the body, the resource."""
    gateway.start()
    assert sender.post(agent.http_port, sender.logs([sender.record("Order 7 paid", ORDINARY)], "token-service")) == 200

    gateway.wait_for(lambda c: len(c.records()) == 1)
    (record,) = gateway.records()
    assert record.attributes == ORDINARY
    assert record.body == "Order 7 paid"
    assert record.resource == {"service.name": "token-service", "service.instance.id": "token-service-1"}


def test_what_clients_choose_makes_no_series(agent: Collector, gateway: Collector) -> None:
    """Points that differ only in what a client chose are one, with their sum; long values and many names are cut."""
    gateway.start()
    wild = ["client.address", "user_agent.original", "url.full", "url.query", "url.path", "http.target"]
    points: list[tuple[int, dict[str, str | int]]] = [
        (10, {"http.route": "/a", **{name: f"{name}-{index}" for name in wild}}) for index in range(20)
    ]
    points.append((5, {"http.route": "/b", "long": "x" * 10_000, **{f"name{index}": index for index in range(100)}}))
    assert sender.post(agent.http_port, sender.counter("visits", points)) == 200

    gateway.wait_for(lambda c: bool(c.metrics("visits")))
    (metric,) = gateway.metrics("visits")
    arrived = {values(point["attributes"])["http.route"]: point for point in metric["sum"]["dataPoints"]}
    assert len(metric["sum"]["dataPoints"]) == 2
    assert (arrived["/a"]["asInt"], values(arrived["/a"]["attributes"])) == ("200", {"http.route": "/a"})
    cut = values(arrived["/b"]["attributes"])
    assert len(cut) == 24
    assert all(len(str(value)) <= 255 for value in cut.values())


def test_records_and_spans_have_a_size(agent: Collector, gateway: Collector) -> None:
    """A huge value and a huge number of attributes are cut in logs and spans; the record itself arrives."""
    gateway.start()
    huge: dict[str, Any] = {"long": "x" * 100_000, **{f"name{index}": index for index in range(500)}}
    assert sender.post(agent.http_port, sender.logs([sender.record("huge", huge)])) == 200
    assert sender.post(agent.http_port, sender.traces([sender.span(1, 1, **huge)])) == 200

    gateway.wait_for(lambda c: len(c.records()) == len(c.spans()) == 1)
    for attributes in (gateway.records()[0].attributes, values(gateway.spans()[0]["attributes"])):
        assert len(attributes) == 128
        assert max(len(str(value)) for value in attributes.values()) == 32_768


def test_accepted_records_survive_the_agent(agent: Collector, gateway: Collector) -> None:
    """With the gateways down, what the agent has accepted arrives once after the agent was killed and started again."""
    numbers = iter(range(100_000))
    accepted: list[int] = []
    for _ in range(20):
        batch = [next(numbers) for _ in range(100)]
        if sender.post(agent.http_port, sender.numbered(batch)) == 200:
            accepted += batch
    agent.kill()
    gateway.start()
    agent.start()

    gateway.wait_for(lambda c: len(c.records()) >= len(accepted))
    agent.stop()
    gateway.stop()  # whatever it still holds is written now: a duplicate would show
    assert len(accepted) == 2_000
    assert Counter(record.attributes["number"] for record in gateway.records()) == dict.fromkeys(accepted, 1)

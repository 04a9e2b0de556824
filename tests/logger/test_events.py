"""Events: records with a name instead of a place, as the access log makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from otelbridge import _export
from otelbridge._logger import Logger
from tests.logger.conftest import Exporting, Lines
from tests.native.oracle import attributes_of, parse

TRACER = TracerProvider().get_tracer("test")


def test_event_has_a_name_and_no_place(exporting: Exporting, lines: Lines) -> None:
    """
    An event carries its name, its attributes and the current span's ids, but no call site; sinks get it as a record.
    """
    attributes = {"http.request.method": "GET", "size": 7}

    with TRACER.start_as_current_span("span") as span, exporting.logger.contextualize(user="u"):
        exporting.logger.event("INFO", "http.server.access", "GET / {}", attributes)

    (record,) = map(parse, exporting.take())
    found = attributes_of(record)
    assert (record.event_name, record.body.string_value) == ("http.server.access", "GET / {}")
    assert int.from_bytes(record.span_id, "big") == span.get_span_context().span_id
    assert {**attributes, "user": "u"}.items() <= found.items()
    assert not any(name.startswith("code.") for name in found)
    assert lines.record["message"] == "GET / {}"
    assert lines.record["extra"] == {**attributes, "user": "u"}
    assert attributes == {"http.request.method": "GET", "size": 7}


def test_event_below_every_level_is_nothing(log: Logger) -> None:
    """
    An event that nobody wants makes no record.
    """
    kept = Lines()
    log.add(kept, level="WARNING")

    log.event("INFO", "name", "text", {})

    assert kept.records == []


def test_exception_of_an_event(exporting: Exporting) -> None:
    """
    An event may carry an exception.
    """
    exporting.logger.event("ERROR", "name", "text", {}, exception=ValueError("wrong"))

    (record,) = map(parse, exporting.take())
    found = attributes_of(record)
    assert (found["exception.type"], found["exception.message"]) == ("ValueError", "wrong")


@pytest.mark.parametrize(
    "arguments", [("NOPE", "name", "text", {}), ("INFO", "name", "text", 5), ("INFO", 5, None, {})]
)
def test_wrong_event_is_said_once_and_never_raises(
    exporting: Exporting, stderr: Callable[[], str], monkeypatch: pytest.MonkeyPatch, arguments: Any
) -> None:
    """
    A mistake in an event is one line on standard error, once, and no error in the program.
    """
    monkeypatch.setattr(_export, "_reported", set())

    for _ in range(3):
        exporting.logger.event(*arguments)

    said = stderr()
    assert said.count("\n") <= 1
    assert "Traceback" not in said

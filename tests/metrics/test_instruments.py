"""The table of instruments: its words are bounded, and its documentation is the table."""

from __future__ import annotations

from pathlib import Path

import pytest

from otelbridge.metrics.instruments import (
    INSTRUMENTS,
    KNOWN_METHODS,
    OLD_INSTRUMENTS,
    OTHER,
    WORD_SIZE_MAX,
    Instrument,
    active_attributes,
    known_methods,
    old_names_wanted,
    request_attributes,
    request_words,
    session_attributes,
)
from tests.metrics.support import Request, Session

DOCUMENT = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_names_are_given_once() -> None:
    """No two rows share a name, the old ones included: a backend could not tell them apart."""
    names = [row.name for row in INSTRUMENTS + OLD_INSTRUMENTS]

    assert len(set(names)) == len(names)


@pytest.mark.parametrize("row", INSTRUMENTS + OLD_INSTRUMENTS, ids=lambda row: row.name)
def test_histograms_have_buckets_of_their_own(row: Instrument) -> None:
    """A histogram has ascending buckets in its unit, and nothing else has any: the SDK's default is never relied on."""
    assert (row.buckets is not None) == (row.kind == "histogram")
    assert list(row.buckets or ()) == sorted(set(row.buckets or ()))


def test_the_documentation_is_the_table() -> None:
    """docs/metrics.md has each row with its kind, unit, attributes and buckets, in the table's order, and no other."""
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("| `")]

    assert lines == [documented(row) for row in INSTRUMENTS + OLD_INSTRUMENTS]


def documented(row: Instrument) -> str:
    buckets = " ".join(f"{bound:.10g}" for bound in row.buckets or ()) or "–"
    attributes = " ".join(f"`{name}`" for name in row.attributes)
    return f"| `{row.name}` | {row.kind} | {row.unit} | {buckets} | {attributes} |"


def test_what_is_unknown_is_no_attribute() -> None:
    """No status, route or error: no key."""
    attributes = request_attributes(Request(scheme="https", http_version="2", status=None, route=None))

    assert attributes == {"http.request.method": "GET", "url.scheme": "https", "network.protocol.version": "2"}


def test_every_attribute_of_a_request_has_its_name() -> None:
    """Words and names stand in the same order."""
    assert request_attributes(Request(status=500, error_type="500")) == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "http.response.status_code": 500,
        "http.route": "/items/{id}",
        "network.protocol.version": "1.1",
        "error.type": "500",
    }


def test_every_attribute_of_a_session_has_its_name() -> None:
    """Words and names stand in the same order."""
    assert session_attributes(Session(closed_by="error", error_type="KeyError")) == {
        "url.scheme": "ws",
        "http.route": "/ws/{room}",
        "network.protocol.version": "1.1",
        "websocket.closed_by": "error",
        "error.type": "KeyError",
    }


def test_active_requests_know_only_what_is_known_at_the_start() -> None:
    """Method and scheme: both are there before the app is, and bounded."""
    assert active_attributes(Request(scheme="gopher")) == {"http.request.method": "GET", "url.scheme": OTHER}


@pytest.mark.parametrize("status", [-1, 0, 99, 600, 999, 10**30])
def test_a_status_that_http_does_not_know_is_left_out(status: int) -> None:
    """An app may send any integer; the attribute stays an integer from 100 to 599, and the error is `_OTHER`."""
    attributes = request_attributes(Request(status=status, error_type=str(status) if status >= 500 else None))

    assert "http.response.status_code" not in attributes
    assert attributes.get("error.type", OTHER) == OTHER


@pytest.mark.parametrize(("status", "error"), [(100, None), (200, None), (499, None), (500, "500"), (599, "599")])
def test_a_status_that_http_knows_stays(status: int, error: str | None) -> None:
    """From 100 to 599, and the error that is named by it."""
    attributes = request_attributes(Request(status=status, error_type=error))

    assert (attributes["http.response.status_code"], attributes.get("error.type")) == (status, error)


@pytest.mark.parametrize("error", ["KeyError", "shop.errors.NoStock", "client_disconnected", "1011"])
def test_an_error_that_has_a_name_stays(error: str) -> None:
    """Exceptions, our own words, and the WebSocket's internal error."""
    assert request_attributes(Request(error_type=error))["error.type"] == error


@pytest.mark.parametrize("word", ["x" * 10_000, "é" * 10_000])
def test_the_app_s_words_are_cut(word: str) -> None:
    """A class or a route made up at run time is at most WORD_SIZE_MAX characters long."""
    _, _, _, route, _, error = request_words(Request(route=word, error_type=word))

    assert route == error == word[:WORD_SIZE_MAX]


def test_lone_surrogates_become_text() -> None:
    r"""A route that no encoder takes would cost every point of the export; it becomes `\udc80`."""
    route = request_attributes(Request(route="/caf\udc80"))["http.route"]

    assert route == r"/caf\udc80"


def test_known_methods_come_from_the_conventions_or_the_environment() -> None:
    """The variable replaces the list; empty it changes nothing."""
    name = "OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS"

    assert known_methods({}) == known_methods({name: " , "}) == KNOWN_METHODS
    assert known_methods({name: "GET,PURGE"}) == {"GET", "PURGE"}


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("", False),
        ("http", False),
        ("database/dup", False),
        ("http/dup", True),
        ("http,http/dup", True),
        ("database , http/dup", True),
    ],
)
def test_old_names_are_wanted_only_by_http_dup(value: str, wanted: bool) -> None:
    """OTEL_SEMCONV_STABILITY_OPT_IN is a list; `http/dup` wins over `http`."""
    assert old_names_wanted({"OTEL_SEMCONV_STABILITY_OPT_IN": value}) is wanted


def test_old_names_are_not_wanted_by_default() -> None:
    """Without the variable there are stable names only, unlike OpenTelemetry's own instrumentation."""
    assert not old_names_wanted({})

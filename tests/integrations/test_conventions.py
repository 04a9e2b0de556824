"""What OpenTelemetry's instrumentations promise of server metrics (features.md §6), line by line, for every host."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import HistogramDataPoint, Metric
from opentelemetry.trace import SpanContext

from otelbridge.integrations.apps import instrument
from tests.access.support import ACTIVE, DURATION, REQUESTS, Harness, exchange, http_scope
from tests.integrations.hosts import HOSTS, PARTS, BrokenError, Host

ERROR = f"{BrokenError.__module__}.{BrokenError.__qualname__}"
REQUEST_SIZE, RESPONSE_SIZE = "http.server.request.body.size", "http.server.response.body.size"
# Django raises for sockets.
SOCKETS = [host for host in HOSTS if host.interface == "asgi" and host.name != "django-asgi"]


@pytest.fixture(params=HOSTS, ids=str)
def host(request: pytest.FixtureRequest) -> Host:
    found: Host = request.param
    return found


@pytest.fixture
def app(host: Host, harness: Harness) -> Any:
    """The host's application, instrumented, `/thread` excluded."""
    return instrument(host.make(), exclude=re.compile("^/thread$"))


def metrics(harness: Harness) -> dict[str, Metric]:
    """Collect: name -> metric."""
    data = harness._reader.get_metrics_data()
    assert data is not None
    return {metric.name: metric for r in data.resource_metrics for s in r.scope_metrics for metric in s.metrics}


def point(harness: Harness, name: str = DURATION) -> HistogramDataPoint:
    """Collect, and return the one point of a histogram."""
    (found,) = metrics(harness)[name].data.data_points
    assert isinstance(found, HistogramDataPoint)
    return found


@pytest.mark.covers("6.1")
def test_the_duration_is_a_histogram_of_seconds(host: Host, app: Any, harness: Harness) -> None:
    """http.server.request.duration: unit s; bounds .005 .01 .025 .05 .075 .1 .25 .5 .75 1 2.5 5 7.5 10."""
    host.call(app, "/items/7")

    assert metrics(harness)[DURATION].unit == "s"
    found = point(harness)
    assert found.explicit_bounds == (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10)
    assert 0 < found.sum < 5


@pytest.mark.covers("6.2")
def test_the_duration_has_these_attributes_and_nothing_else(host: Host, app: Any, harness: Harness) -> None:
    """Method, scheme, status (an int), route, protocol version, and error.type of failures."""
    host.call(app, "/items/7?secret=1")

    attributes = dict(point(harness).attributes or {})
    assert attributes == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "http.response.status_code": 200,
        "http.route": host.item,
        "network.protocol.version": "1.1",
    }
    assert type(attributes["http.response.status_code"]) is int


@pytest.mark.covers("6.3")
def test_active_requests_come_back_to_zero(host: Host, app: Any, harness: Harness) -> None:
    """http.server.active_requests: up-down, {request}, method and scheme only; back to 0 also after exceptions."""
    host.call(app, "/items/7")
    host.call(app, "/boom")

    active = metrics(harness)[ACTIVE]
    (found,) = active.data.data_points
    assert active.unit == "{request}"
    assert not getattr(active.data, "is_monotonic", True)
    assert dict(found.attributes or {}) == {"http.request.method": "GET", "url.scheme": "http"}
    assert harness.active() == [0]


@pytest.mark.covers("6.4", note="the bytes that passed, not what Content-Length says")
@pytest.mark.parametrize(("name", "size"), [(RESPONSE_SIZE, len("".join(PARTS))), (REQUEST_SIZE, 0)])
def test_body_sizes_are_in_bytes(host: Host, app: Any, name: str, size: int, harness: Harness) -> None:
    """http.server.{request,response}.body.size: By; a stream without a Content-Length has its size, too."""
    host.call(app, "/stream")

    assert metrics(harness)[name].unit == "By"
    assert point(harness, name).sum == size


@pytest.mark.covers("6.5")
def test_an_unknown_method_is_other(host: Host, app: Any, harness: Harness) -> None:
    """What a client invented is `_OTHER`."""
    host.call(app, "/items/7", "BREW")

    assert (point(harness).attributes or {})["http.request.method"] == "_OTHER"


@pytest.mark.covers("6.6")
def test_there_are_metrics_when_the_application_raises(host: Host, app: Any, harness: Harness) -> None:
    """One point with error.type, whether the exception passes through us or became a page."""
    host.call(app, "/boom")

    found = point(harness)
    assert found.count == 1
    assert (found.attributes or {})["error.type"] == ERROR


@pytest.mark.covers("6.7", note="they have instruments of their own")
@pytest.mark.parametrize("host", SOCKETS, ids=str)
def test_a_websocket_is_in_none_of_them(host: Host, harness: Harness) -> None:
    """A socket, refused by the application here, is no request."""
    app: Any = instrument(host.make())
    scope = http_scope("/nowhere", type="websocket", scheme="ws", subprotocols=[])

    asyncio.run(
        exchange(app, scope, incoming=[{"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1000}])
    )

    assert set(metrics(harness)).isdisjoint({DURATION, ACTIVE, REQUEST_SIZE, RESPONSE_SIZE, REQUESTS})


@pytest.mark.covers("6.8")
def test_an_excluded_url_records_nothing(host: Host, app: Any, harness: Harness) -> None:
    """No metric, span or record."""
    assert host.call(app, "/thread").status == 200

    assert (harness.points(), harness.spans, harness.events) == ({}, (), [])


@pytest.mark.covers("6.9")
def test_exemplars_carry_the_server_span(host: Host, app: Any, harness: Harness) -> None:
    """The duration's exemplar opens the request's trace at its SERVER span, after which it is measured."""
    host.call(app, "/items/7")

    (exemplar,) = point(harness).exemplars
    assert isinstance(harness.span.context, SpanContext)
    assert (exemplar.trace_id, exemplar.span_id) == (harness.span.context.trace_id, harness.span.context.span_id)


@pytest.mark.covers("6.10", note="Django's with a slash in front where the application is below a prefix")
def test_the_route_is_spelled_as_the_framework_does(host: Host, app: Any, harness: Harness) -> None:
    """Starlette and FastAPI `/hello/{name}`, Flask `/hello/<name>`, Django the path() string."""
    host.call(app, "/sub/items/7")

    assert (point(harness).attributes or {})["http.route"] == host.sub_item


@pytest.mark.covers("6.11")
def test_a_404_has_no_route(host: Host, app: Any, harness: Harness) -> None:
    """The attribute is absent, neither empty nor the path."""
    host.call(app, "/nothing/here")

    attributes = point(harness).attributes or {}
    assert attributes["http.response.status_code"] == 404
    assert "http.route" not in attributes


@pytest.mark.covers("6.12", note="theirs are the old ones unless OTEL_SEMCONV_STABILITY_OPT_IN=http")
def test_the_stable_names_are_the_default(host: Host, app: Any, harness: Harness) -> None:
    """Without OTEL_SEMCONV_STABILITY_OPT_IN there is no `http.server.duration`, and no `http.method` on the span."""
    host.call(app, "/items/7")

    assert DURATION in metrics(harness)
    assert "http.server.duration" not in metrics(harness)
    assert "http.method" not in (harness.span.attributes or {})

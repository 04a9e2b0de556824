"""With OpenTelemetry's own instrumentation, in every order: one SERVER span, one point, and a record with its ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry.instrumentation import _semconv
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware as Asgi
from opentelemetry.instrumentation.django import DjangoInstrumentor
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.instrumentation.starlette import StarletteInstrumentor
from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware as Wsgi
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from werkzeug.middleware.proxy_fix import ProxyFix

from otelbridge.integrations.apps import instrument, uninstrument
from tests.access.support import DURATION, TRACE_ID, TRACEPARENT, Harness
from tests.integrations.hosts import HOSTS, Host

BY_NAME = {host.name: host for host in HOSTS}


@dataclass
class Theirs:
    """Providers of OpenTelemetry's own instrumentation, whose spans and points stay here."""

    exporter: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)

    def __post_init__(self) -> None:
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self.exporter))
        meters = MeterProvider(metric_readers=[self.reader], shutdown_on_exit=False)
        self.providers: Any = {"tracer_provider": tracers, "meter_provider": meters}

    def server_spans(self) -> list[ReadableSpan]:
        return [span for span in self.exporter.get_finished_spans() if span.kind is SpanKind.SERVER]

    def request_count(self) -> int:
        """How many requests are in their histograms of durations."""
        data = self.reader.get_metrics_data()
        found = [
            metric for r in (data.resource_metrics if data else ()) for s in r.scope_metrics for metric in s.metrics
        ]
        # Some of them know the old name only.
        durations = [metric for metric in found if metric.name in (DURATION, "http.server.duration")]
        points: list[Any] = [point for metric in durations for point in metric.data.data_points]
        return sum(point.count for point in points)


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> Theirs:
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", "http")
    monkeypatch.setattr(_semconv._OpenTelemetrySemanticConventionStability, "_initialized", False)
    return Theirs()


def inside_quart(app: Any, theirs: Theirs) -> Any:
    app.asgi_app = Asgi(app.asgi_app, **theirs.providers)
    return app


def inside_flask(app: Any, theirs: Theirs) -> Any:
    app.wsgi_app = Wsgi(app.wsgi_app, **theirs.providers)
    return app


def added(app: Any, theirs: Theirs) -> Any:
    app.add_middleware(Asgi, **theirs.providers)
    return app


def in_place(instrumentor: Any) -> Callable[[Any, Theirs], Any]:
    def put(app: Any, theirs: Theirs) -> Any:
        instrumentor.instrument_app(app, **theirs.providers)
        return app

    return put


def around_asgi(app: Any, theirs: Theirs) -> Any:
    return Asgi(app, **theirs.providers)


def around_wsgi(app: Any, theirs: Theirs) -> Any:
    return Wsgi(app, **theirs.providers)


# A host, and one way in which OpenTelemetry's instrumentation is put on.
WAYS = [
    ("asgi", around_asgi),
    ("wsgi", around_wsgi),
    ("starlette", around_asgi),
    ("starlette", added),
    ("starlette", in_place(StarletteInstrumentor)),
    ("fastapi", around_asgi),
    ("fastapi", added),
    ("fastapi", in_place(FastAPIInstrumentor)),
    ("litestar", around_asgi),
    ("quart", around_asgi),
    ("quart", inside_quart),
    ("flask", around_wsgi),
    ("flask", inside_flask),
    ("flask", in_place(FlaskInstrumentor())),
    ("django", around_wsgi),
    ("django-asgi", around_asgi),
]


def check(host: Host, app: Any, harness: Harness, theirs: Theirs) -> None:
    """Two requests, one of which raises: two SERVER spans and two points in all, two records with the spans' ids."""
    remote: dict[str, Any] = {"HTTP_TRACEPARENT": TRACEPARENT.decode()}
    if host.interface == "asgi":
        remote = {"headers": [(b"host", b"localhost"), (b"traceparent", TRACEPARENT)]}
    host.call(app, "/items/7", **remote)
    host.call(app, "/boom", **remote)

    ours = [span for span in harness.spans if span.kind is SpanKind.SERVER]
    spans = theirs.server_spans() + ours
    assert [span.parent and span.parent.is_remote for span in spans] == [True, True]
    points = harness.points().get(DURATION, [])
    assert theirs.request_count() + sum(point.count for point in points) == 2
    assert [event.attributes["url.path"] for event in harness.events] == ["/items/7", "/boom"]
    assert [event.trace_id for event in harness.events] == [TRACE_ID, TRACE_ID]
    assert [event.span_id for event in harness.events] == [span.context.span_id for span in spans if span.context]
    assert harness.events[0].attributes["http.route"] == host.item


@pytest.mark.parametrize(("name", "put"), WAYS)
def test_theirs_first(name: str, put: Any, harness: Harness, theirs: Theirs) -> None:
    """An application that has theirs already keeps it; ours adds its record."""
    host = BY_NAME[name]
    app = instrument(put(host.make(), theirs))

    check(host, app, harness, theirs)

    assert len(theirs.server_spans()) == 2


@pytest.mark.parametrize(("name", "put"), WAYS)
def test_ours_first(name: str, put: Any, harness: Harness, theirs: Theirs) -> None:
    """Theirs may come later, and is found."""
    host = BY_NAME[name]
    app = put(instrument(host.make()), theirs)

    check(host, app, harness, theirs)

    assert len(theirs.server_spans()) == 2


class Around:
    """Middleware of somebody."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


@pytest.mark.parametrize("put", [added, in_place(FastAPIInstrumentor)])
def test_theirs_inside_of_middleware(put: Any, harness: Harness, theirs: Theirs) -> None:
    """Theirs in the application, somebody's middleware around it, ours around both, whichever came last."""
    host = BY_NAME["fastapi"]
    inner = host.make()
    app: Any = instrument(Around(inner))
    put(inner, theirs)

    check(host, app, harness, theirs)

    assert len(theirs.server_spans()) == 2


def test_theirs_inside_of_wsgi_middleware(harness: Harness, theirs: Theirs) -> None:
    """The same for Flask, whose instrumentor leaves no class to be recognised."""
    host = BY_NAME["flask"]
    inner = host.make()
    app: Any = instrument(ProxyFix(inner))
    in_place(FlaskInstrumentor())(inner, theirs)

    check(host, app, harness, theirs)

    assert len(theirs.server_spans()) == 2


@pytest.mark.parametrize("instrumentor", [FastAPIInstrumentor, StarletteInstrumentor, FlaskInstrumentor])
def test_theirs_for_every_application_to_come(instrumentor: Any, harness: Harness, theirs: Theirs) -> None:
    """`Instrumentor().instrument()`, or `opentelemetry-instrument`, before the application is made."""
    host = BY_NAME[instrumentor.__name__.removesuffix("Instrumentor").lower()]
    one = instrumentor()
    one.instrument(**theirs.providers)
    try:
        check(host, instrument(host.make()), harness, theirs)
    finally:
        one.uninstrument()

    assert len(theirs.server_spans()) == 2


@pytest.fixture
def django_instrumentor(theirs: Theirs) -> Iterator[None]:
    BY_NAME["django"].make()  # settings
    one = DjangoInstrumentor()
    one.instrument(**theirs.providers)
    yield
    one.uninstrument()


@pytest.mark.parametrize("name", ["django", "django-asgi"])
@pytest.mark.usefixtures("django_instrumentor")
def test_theirs_in_django(name: str, harness: Harness, theirs: Theirs) -> None:
    """DjangoInstrumentor puts its middleware into the settings, which a handler reads when it is made."""
    host = BY_NAME[name]

    check(host, instrument(host.make()), harness, theirs)

    assert len(theirs.server_spans()) == 2


def test_theirs_taken_away_again(harness: Harness, theirs: Theirs) -> None:
    """When theirs goes, span and point are ours from the next request on."""
    host = BY_NAME["fastapi"]
    app = instrument(host.make())
    FastAPIInstrumentor.instrument_app(app, **theirs.providers)
    host.call(app, "/items/7")

    FastAPIInstrumentor.uninstrument_app(app)
    host.call(app, "/items/7")

    assert len(theirs.server_spans()) == 1
    assert len(harness.spans) == 1
    assert harness.duration_point().count == 1


def test_uninstrument_leaves_theirs_as_it_was(harness: Harness, theirs: Theirs) -> None:
    """The user's hook of their middleware is called while we listen, and is there again afterwards."""
    called: list[str] = []

    def hook(span: Any, scope: Any) -> None:
        called.append(scope["path"])

    host = BY_NAME["asgi"]
    middleware = Asgi(host.make(), server_request_hook=hook, **theirs.providers)
    before = middleware.server_request_hook
    app = instrument(middleware)
    host.call(app, "/items/7")

    assert uninstrument(app) is middleware
    assert middleware.server_request_hook is before
    assert called == ["/items/7"]


def test_fastapis_own_telemetry_gives_way(harness: Harness, theirs: Theirs) -> None:
    """FastAPI's own spans and metrics, on by default since 0.160 where providers are set, would double ours."""
    from fastapi import FastAPI

    app = FastAPI(telemetry=theirs.providers)

    @app.get("/items/{id}")
    async def item(id: str) -> str:  # noqa: A002
        return "hello"

    instrument(app, exclude="/items/8")

    for path in ("/items/7", "/items/8"):
        BY_NAME["fastapi"].call(app, path)

    assert (theirs.exporter.get_finished_spans(), theirs.request_count()) == ((), 0)
    assert len(harness.spans) == 1
    uninstrument(app)
    BY_NAME["fastapi"].call(app, "/items/7")
    assert len(theirs.server_spans()) == 1

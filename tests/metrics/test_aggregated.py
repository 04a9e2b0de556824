"""The core's sums against the SDK's: the same requests through both give the same points."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.sdk import metrics as sdk
from opentelemetry.sdk.metrics.export import AggregationTemporality, InMemoryMetricReader, Metric, MetricsData
from opentelemetry.sdk.metrics.view import View
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from otelbridge import context
from otelbridge._native import Core
from otelbridge.delivery.sources import CollectedPoints
from otelbridge.metrics.aggregated import AggregatedRequestMetrics, make_traffic
from otelbridge.metrics.instruments import RequestMetrics
from otelbridge.metrics.otel import OtelRequestMetrics
from otelbridge.otlp.providers import MetricPreferences, metric_preferences
from otelbridge.otlp.settings import resolve
from otelbridge.scope import SCOPE_NAME, scope_version
from tests.metrics.support import Request

DELTA, CUMULATIVE = AggregationTemporality.DELTA, AggregationTemporality.CUMULATIVE


SAMPLED = TracerProvider().get_tracer("test")
UNSAMPLED = TracerProvider(sampler=ALWAYS_OFF).get_tracer("test")
REMOTE = trace.NonRecordingSpan(trace.SpanContext(7 << 64, 9, is_remote=True, trace_flags=trace.TraceFlags(1)))

# Where a request is measured.
SPANS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "no span": nullcontext,
    "sampled": lambda: SAMPLED.start_as_current_span("request"),
    "unsampled": lambda: UNSAMPLED.start_as_current_span("request"),
    "remote": lambda: trace.use_span(REMOTE),
    "invalid": lambda: trace.use_span(trace.INVALID_SPAN),
}

PREFERENCES: dict[str, dict[type, AggregationTemporality] | None] = {
    "default": None,
    "all delta": dict.fromkeys((sdk.Counter, sdk.Histogram, sdk.UpDownCounter), DELTA),
    "histograms delta": {sdk.Histogram: DELTA, sdk.Counter: CUMULATIVE},
    "counters delta": {sdk.Counter: DELTA, sdk.UpDownCounter: CUMULATIVE},
}


class Twins:
    """The same requests through the SDK's instruments and through ours."""

    def __init__(
        self,
        temporality: dict[type, AggregationTemporality] | None = None,
        exemplars: str = "trace_based",
        sets_max: int = 2000,
    ) -> None:
        core = Core(context.CURRENT)
        context.attach(core)
        self.reader = InMemoryMetricReader(preferred_temporality=temporality)
        # The SDK's counters keep one exemplar by chance. One bucket of a histogram keeps the last, as ours do.
        last: Any = partial(sdk.AlignedHistogramBucketExemplarReservoir, boundaries=())
        self.provider = sdk.MeterProvider(
            [self.reader],
            views=[
                View(instrument_type=kind, exemplar_reservoir_factory=lambda _: last)
                for kind in (sdk.Counter, sdk.UpDownCounter)
            ],
            exemplar_filter={
                "trace_based": sdk.TraceBasedExemplarFilter(),
                "always_on": sdk.AlwaysOnExemplarFilter(),
                "always_off": sdk.AlwaysOffExemplarFilter(),
            }[exemplars],
        )
        theirs = OtelRequestMetrics(self.provider.get_meter("test"))
        traffic = make_traffic(core, {"OTEL_METRICS_EXEMPLAR_FILTER": exemplars}, sets_max)
        self.ours = AggregatedRequestMetrics(traffic, theirs, temporality)
        self.both: tuple[RequestMetrics, RequestMetrics] = (theirs, self.ours)
        self.seen = Seen(), Seen()

    def start(self, request: Request) -> None:
        for each in self.both:
            each.started(request)

    def end(self, request: Request, *, counted: bool) -> None:
        for each in self.both:
            each.ended(request, counted=counted)

    def check(self) -> Points:
        """Collect both, and compare; the points."""
        collected = self.reader.get_metrics_data()
        scopes = collected.resource_metrics[0].scope_metrics if collected is not None else []
        theirs = self.seen[0].plain([metric for scope in scopes for metric in scope.metrics])
        ours = self.seen[1].plain(self.ours.collect())
        assert ours == theirs
        return ours


class Instrument(NamedTuple):
    """What a metric says of itself."""

    name: str
    description: str | None
    unit: str | None
    kind: str
    temporality: AggregationTemporality
    is_monotonic: bool | None


Points = dict[Instrument, dict[frozenset[tuple[str, Any]], dict[str, Any]]]


class Seen:
    """Makes points comparable: a time becomes the collection that it is of, or how many came before it."""

    def __init__(self) -> None:
        self.collections: list[int] = []

    def plain(self, metrics: list[Metric]) -> Points:
        times = {point.time_unix_nano for metric in metrics for point in metric.data.data_points}
        assert len(times) <= 1
        self.collections += times
        return {
            Instrument(
                metric.name,
                metric.description,
                metric.unit,
                type(metric.data).__name__,
                metric.data.aggregation_temporality,  # type: ignore[union-attr]  # there are no gauges
                getattr(metric.data, "is_monotonic", None),
            ): {frozenset((point.attributes or {}).items()): self._point(point) for point in metric.data.data_points}
            for metric in metrics
        }

    def _point(self, point: Any) -> dict[str, Any]:
        names = ("count", "sum", "bucket_counts", "explicit_bounds", "min", "max", "value")
        values = {name: getattr(point, name) for name in names if hasattr(point, name)}
        exemplars = [replace(each, time_unix_nano=0) for each in point.exemplars]
        whens = [self._when(each.time_unix_nano) for each in point.exemplars]
        kinds = {name: type(value) for name, value in values.items()}
        return {**values, "kinds": kinds, "start": self._when(point.start_time_unix_nano)} | {
            "exemplars": exemplars,
            "exemplar times": whens,
        }

    def _when(self, time_ns: int) -> tuple[str, int]:
        if time_ns in self.collections:
            return "collection", self.collections.index(time_ns)
        return "after", sum(each < time_ns for each in self.collections)


@pytest.fixture(params=PREFERENCES)
def twins(request: pytest.FixtureRequest) -> Iterator[Twins]:
    """With each preference."""
    twins = Twins(PREFERENCES[request.param])
    yield twins
    twins.provider.shutdown()


REQUESTS = st.builds(
    Request,
    known_method=st.sampled_from(["GET", "POST", "_OTHER"]),
    scheme=st.sampled_from(["http", "https", "gopher"]),
    http_version=st.sampled_from(["1.1", "2", "77"]),
    route=st.sampled_from([None, "", "/a", "/b/{x}", "/ü€🎉/" + "long" * 300]),
    status=st.sampled_from([None, 200, 404, 500]),
    error_type=st.sampled_from([None, "500", "builtins.ValueError"]),
    request_body_size=st.sampled_from([0, 1, 100, 101, -1, 10**12]),
    response_body_size=st.integers(0, 10**10),
    duration_ns=st.one_of(st.integers(0, 20 * 10**9), st.sampled_from([-1, 5_000_000, 5_000_001, 10**15])),
)
STEPS = st.one_of(
    st.just("collect"),
    st.tuples(st.sampled_from(["whole", "uncounted", "open"]), REQUESTS, st.sampled_from(sorted(SPANS))),
)


def play(twins: Twins, steps: list[Any]) -> None:
    """Both get the steps; at each collection, and at the end, they are compared."""
    for step in [*steps, "collect"]:
        if step == "collect":
            twins.check()
            continue
        how, request, span = step
        with SPANS[span]():
            if how != "uncounted":
                twins.start(request)
            if how != "open":
                twins.end(request, counted=how == "whole")


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(STEPS, max_size=25), preference=st.sampled_from(sorted(PREFERENCES)))
def test_points_are_the_sdks(steps: list[Any], preference: str) -> None:
    """
    Any requests, in any spans, over any collections: names, units, temporality, attributes, values and their types,
    where intervals begin, exemplars with ids and times are those of the SDK.
    """
    twins = Twins(PREFERENCES[preference])

    play(twins, steps)

    twins.provider.shutdown()


def test_quiet_intervals(twins: Twins) -> None:
    """
    After an interval without requests a point begins where the SDK's does.
    """
    twins.start(Request())
    twins.end(Request(), counted=True)
    twins.check()
    twins.check()

    twins.end(Request(duration_ns=1), counted=False)
    twins.end(Request(route=None), counted=False)

    assert twins.check()


@pytest.mark.parametrize("span", SPANS)
def test_always_off_gives_no_exemplar(span: str) -> None:
    """
    OTEL_METRICS_EXEMPLAR_FILTER=always_off: none in any span.
    """
    twins = Twins(exemplars="always_off")
    with SPANS[span]():
        twins.start(Request())
        twins.end(Request(), counted=True)

    points = twins.check()

    assert [point["exemplars"] for sets in points.values() for point in sets.values()] == [[]] * 5


@pytest.mark.parametrize("span", ["no span", "sampled", "unsampled", "remote"])
def test_always_on_gives_exemplars_without_a_sampled_span(span: str) -> None:
    """
    OTEL_METRICS_EXEMPLAR_FILTER=always_on: one for each point, with the ids that there are.
    """
    twins = Twins(exemplars="always_on")
    with SPANS[span]():
        twins.start(Request())
        twins.end(Request(), counted=True)

    points = twins.check()

    assert [len(point["exemplars"]) for sets in points.values() for point in sets.values()] == [1] * 5


def test_an_exemplar_names_the_requests_trace() -> None:
    """
    The exemplar of a slow request bears the ids of its span, and its duration.
    """
    twins = Twins()
    with SAMPLED.start_as_current_span("request") as span:
        twins.end(Request(duration_ns=3_000_000_000), counted=False)

    (duration,) = [sets for each, sets in twins.check().items() if each.name == "http.server.request.duration"]

    (point,) = duration.values()
    (exemplar,) = point["exemplars"]
    ids = span.get_span_context()
    assert (exemplar.trace_id, exemplar.span_id, exemplar.value) == (ids.trace_id, ids.span_id, 3.0)


def test_unknown_filter_is_refused() -> None:
    """
    A word that the SDK would not take raises, and names those there are.
    """
    with pytest.raises(ValueError, match="trace_based"):
        make_traffic(Core(context.CURRENT), {"OTEL_METRICS_EXEMPLAR_FILTER": "sometimes"})


@pytest.mark.parametrize("preference", ["CUMULATIVE", "DELTA", "LOWMEMORY"])
def test_preferences_of_the_official_exporter(preference: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE means for our points what it means for the SDK's.
    """
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", preference)
    way = resolve({}, level_number=lambda _: None).signals["metrics"]
    twins = Twins(metric_preferences(way).temporality)
    twins.start(Request())
    twins.end(Request(), counted=True)

    temporalities = {each.temporality for each in twins.check()}

    assert temporalities == ({CUMULATIVE} if preference == "CUMULATIVE" else {CUMULATIVE, DELTA})


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(STEPS, max_size=25), sets_max=st.integers(3, 6))
def test_overflow_is_that_of_the_instruments(steps: list[Any], sets_max: int) -> None:
    """
    Past the cap the requests of a user's MeterProvider (where our instruments hold the cap) and ours agree as well.
    """
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("otelbridge.metrics.otel.SETS_MAX", sets_max)
        twins = Twins(sets_max=sets_max)
        # Fewer methods and schemes than that: active requests have no cap there.
        few = [each if each == "collect" else (each[0], replace(each[1], scheme="http"), each[2]) for each in steps]

        play(twins, few)

        twins.provider.shutdown()


def overflow_of(metrics: list[Metric]) -> dict[str, Any]:
    """By metric, the point of the overflow set."""
    found = {}
    for metric in metrics:
        for point in metric.data.data_points:
            if point.attributes == {"otel.metric.overflow": True}:
                found[metric.name] = getattr(point, "count", None) or point.value  # type: ignore[union-attr]
    return found


def test_sets_beyond_the_cap_are_summed_up_together() -> None:
    """
    So many sets as the cap allows are told apart; all that come later are one with otel.metric.overflow, those that
    were known go on, and the total is that of all requests.
    """
    core = Core(context.CURRENT)
    idle: Any = Twins().ours
    metrics = AggregatedRequestMetrics(make_traffic(core, {}, 5), idle)
    for number in range(5):
        metrics.ended(Request(route=f"/{number}"), counted=False)
    assert overflow_of(metrics.collect()) == {}

    for number in range(8):
        metrics.ended(Request(route=f"/{number}"), counted=False)

    collected = metrics.collect()
    names = [metric.name for metric in collected]
    assert overflow_of(collected) == dict.fromkeys(names, 3)
    assert [len(metric.data.data_points) for metric in collected] == [6] * 4
    requests: Any = collected[-1].data
    assert sum(point.value for point in requests.data_points) == 13


def test_active_requests_overflow_and_come_back_to_zero() -> None:
    """
    Methods beyond the cap share a set as well, which ends at zero like the others.
    """
    idle: Any = Twins().ours
    metrics = AggregatedRequestMetrics(make_traffic(Core(context.CURRENT), {}, 2), idle)
    requests = [Request(known_method=method) for method in ("A", "B", "C", "D")]
    for request in requests:
        metrics.started(request)
    first = metrics.collect()
    assert overflow_of(first) == {"http.server.active_requests": 2}

    for request in requests:
        metrics.ended(request, counted=True)

    (active, *_) = metrics.collect()
    assert [point.value for point in active.data.data_points] == [0, 0, 0]  # type: ignore[union-attr]


def test_sessions_go_to_the_instruments() -> None:
    """
    A WebSocket session is recorded by the metrics given for it, and is no HTTP request.
    """

    class Sessions:
        def __init__(self) -> None:
            self.calls: list[Any] = []

        def session_started(self, record: Any) -> None:
            self.calls.append(record)

        def session_ended(self, record: Any, *, counted: bool) -> None:
            self.calls.append((record, counted))

    sessions: Any = Sessions()
    record: Any = object()
    metrics = AggregatedRequestMetrics(make_traffic(Core(context.CURRENT), {}), sessions)

    metrics.session_started(record)
    metrics.session_ended(record, counted=True)

    assert sessions.calls == [record, (record, True)]
    assert metrics.collect() == []


# ----------------------------------------------------------------------------------------------------- the reader


class Sent:
    """A reader with a provider of its own, and what it would send."""

    def __init__(self) -> None:
        self.resource = Resource({"service.name": "tested"})
        self.points = CollectedPoints(MetricPreferences(None, None), lambda _: None, self.resource)
        self.provider = sdk.MeterProvider([self.points], self.resource, shutdown_on_exit=False)
        self.metrics = AggregatedRequestMetrics(make_traffic(Core(context.CURRENT), {}), Twins().ours)

    def take(self) -> Any:
        """The next request, parsed; None without one."""
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

        batch = self.points.take()
        if batch is None:
            return None
        request = ExportMetricsServiceRequest.FromString(batch.request)
        metrics = [metric for scope in request.resource_metrics[0].scope_metrics for metric in scope.metrics]
        assert batch.count == sum(
            len((each.sum if each.HasField("sum") else each.histogram).data_points) for each in metrics
        )
        return request

    def names(self) -> list[list[str]]:
        """The metrics of each scope, of the next request."""
        (resource,) = self.take().resource_metrics
        return [sorted(metric.name for metric in scope.metrics) for scope in resource.scope_metrics]


OURS = [
    "http.server.request.body.size",
    "http.server.request.duration",
    "http.server.response.body.size",
    "otelbridge.http.requests",
]


def test_reader_sends_produced_points_alone() -> None:
    """
    With no instrument of the SDK in use the produced points are sent, with the resource and in our scope.
    """
    sent = Sent()
    sent.points.producers.append(sent.metrics.collect)
    sent.metrics.ended(Request(), counted=False)

    sent.points.refill()

    (resource,) = sent.take().resource_metrics
    (scope,) = resource.scope_metrics
    assert [(each.key, each.value.string_value) for each in resource.resource.attributes] == [
        ("service.name", "tested")
    ]
    assert (scope.scope.name, scope.scope.version) == (SCOPE_NAME, scope_version())
    assert sorted(metric.name for metric in scope.metrics) == OURS


def test_reader_sends_produced_points_with_those_of_instruments() -> None:
    """
    Instruments of our own scope and of another one keep their points beside the produced ones.
    """
    sent = Sent()
    sent.points.producers.append(sent.metrics.collect)
    sent.metrics.ended(Request(), counted=False)
    sent.provider.get_meter("other").create_counter("theirs").add(1)
    sent.provider.get_meter(SCOPE_NAME, scope_version()).create_counter("own").add(1)

    sent.points.refill()

    assert sorted(sent.names()) == sorted([[*OURS, "own"], ["theirs"]])


def test_a_flush_of_the_provider_has_them_as_well() -> None:
    """
    force_flush of the MeterProvider collects the produced points.
    """
    sent = Sent()
    sent.points.producers.append(sent.metrics.collect)
    sent.provider.get_meter("other").create_counter("theirs").add(1)
    sent.metrics.ended(Request(), counted=False)

    sent.provider.force_flush()

    assert sorted(sent.names()) == sorted([OURS, ["theirs"]])


def test_a_producer_that_fails_costs_its_own_points_only() -> None:
    """
    What the instruments and the other producers have is sent.
    """
    sent = Sent()

    def fail() -> list[Metric]:
        raise RuntimeError("no")

    sent.points.producers += [fail, sent.metrics.collect]
    sent.provider.get_meter("other").create_counter("theirs").add(1)
    sent.metrics.ended(Request(), counted=False)

    sent.points.refill()

    assert sorted(sent.names()) == sorted([OURS, ["theirs"]])


def test_nothing_measured_is_nothing_sent() -> None:
    """
    A collection without any point is no request.
    """
    sent = Sent()
    sent.points.producers.append(sent.metrics.collect)

    sent.points.refill()

    assert sent.take() is None


@pytest.mark.parametrize(
    ("aggregation", "is_plain"), [("explicit_bucket_histogram", True), ("base2_exponential_bucket_histogram", False)]
)
def test_exponential_histograms_are_not_summed_up_here(
    aggregation: str, is_plain: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The reader says whether histograms are of the kind that Traffic has; exponential ones are left to the SDK.
    """
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", aggregation)
    way = resolve({}, level_number=lambda _: None).signals["metrics"]

    reader = CollectedPoints(metric_preferences(way), lambda _: None, Resource({}))

    assert reader.has_plain_histograms is is_plain


def test_our_scope_is_the_meters() -> None:
    """
    The SDK's scope of our meter equals the one that produced points get: of two equal ones the encoder keeps one.
    """
    reader = InMemoryMetricReader()
    meter = sdk.MeterProvider([reader]).get_meter(SCOPE_NAME, scope_version())
    meter.create_counter("own").add(1)

    data = reader.get_metrics_data()

    assert isinstance(data, MetricsData)
    assert data.resource_metrics[0].scope_metrics[0].scope == InstrumentationScope(SCOPE_NAME, scope_version())

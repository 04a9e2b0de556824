"""The remote parent that a request's headers name: as OpenTelemetry's own propagators read it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry import baggage, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.propagators.textmap import CarrierT, Getter, TextMapPropagator, default_getter
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from otelbridge.access.parents import Parents

DEFAULT = CompositePropagator([TraceContextTextMapPropagator(), W3CBaggagePropagator()])
PLAIN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

_hex = "0123456789abcdef"
plain_headers = st.builds(
    "{}-{}-{}-{}".format,
    st.sampled_from(["00", "01", "ff", "0A"]),
    st.text(_hex, min_size=31, max_size=33),
    st.text(_hex, min_size=15, max_size=17),
    st.text(_hex + "A", min_size=2, max_size=2),
)


def headers(traceparent: str, **others: str) -> dict[str, list[str]]:
    return {"traceparent": [traceparent]} | {name: [text] for name, text in others.items()}


def facts(context: Context) -> tuple[object, ...]:
    span = trace.get_current_span(context)
    ids = span.get_span_context()
    return type(span), type(ids), type(ids.trace_flags), ids, ids.is_valid, ids.trace_state


@given(traceparent=st.one_of(plain_headers, st.text(), st.text(_hex + "- ", max_size=70)))
@example(PLAIN)
@example(f" {PLAIN}\t")
@example(f"{PLAIN}-extra")
@example(f"{PLAIN}\n")
@example(PLAIN.upper())
@example("00-" + "0" * 32 + "-b7ad6b7169203331-01")
@example("00-0af7651916cd43dd8448eb211c80319c-" + "0" * 16 + "-01")
@example("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff")
@example("00-0af7651916cd43dd8448eb211c80319ç-b7ad6b7169203331-01")
def test_any_traceparent_is_read_as_by_the_official_propagator(traceparent: str) -> None:
    """Valid, malformed or hostile: the same span context, of the same types, or none."""
    found = Parents(DEFAULT).context(headers(traceparent), Context())

    assert facts(found) == facts(DEFAULT.extract(headers(traceparent), Context()))


def test_what_the_context_held_stays() -> None:
    """The parent comes on top of the server's own context."""
    current = baggage.set_baggage("tenant", "acme", Context())

    found = Parents(DEFAULT).context(headers(PLAIN), current)

    assert baggage.get_baggage("tenant", found) == "acme"
    assert trace.get_current_span(found).get_span_context().span_id == 0xB7AD6B7169203331
    assert not trace.get_current_span(current).get_span_context().is_valid


@pytest.mark.parametrize(
    "others",
    [{"tracestate": "vendor=1"}, {"baggage": "user=ada"}, {"tracestate": "x" * 10_000}, {"baggage": "a=b," * 5_000}],
)
def test_tracestate_and_baggage_are_the_propagator_s(others: dict[str, str]) -> None:
    """With any other header of the propagator's it reads them all, with its own limits."""
    carrier = headers(PLAIN, **others)

    found = Parents(DEFAULT).context(carrier, Context())

    assert facts(found) == facts(DEFAULT.extract(carrier, Context()))
    assert baggage.get_all(found) == baggage.get_all(DEFAULT.extract(carrier, Context()))


class Custom(TextMapPropagator):
    """A propagator of the user's."""

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        return baggage.set_baggage("custom", "yes", context)

    def inject(self, *arguments: object, **named: object) -> None:
        return None

    @property
    def fields(self) -> set[str]:
        return {"traceparent", "X-Custom"}


def test_the_user_s_own_propagator_is_asked() -> None:
    """Whatever headers it wants, and though it wants `traceparent`."""
    parents = Parents(Custom())

    assert parents.fields == {b"traceparent", b"x-custom"}
    assert baggage.get_baggage("custom", parents.context(headers(PLAIN), Context())) == "yes"

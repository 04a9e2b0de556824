"""Ended spans on their way to a request."""

from __future__ import annotations

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider

from otelbridge.delivery.sources import EndedSpans
from otelbridge.otlp.settings import BatchSettings


@pytest.mark.parametrize("names", [["good", "\ud800", "fine"], ["\ud800"], ["good", "fine"]])
def test_span_that_cannot_be_encoded_costs_no_other(names: list[str]) -> None:
    """
    A span that the official encoder refuses is counted as dropped; those beside it are sent.
    """
    spans = EndedSpans(BatchSettings(1.0, 512, 2048), stamp=lambda _resource: None)
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(spans)
    for name in names:
        provider.get_tracer("test").start_span(name).end()

    batch = spans.take()

    good = [name for name in names if name != "\ud800"]
    assert spans.dropped() == len(names) - len(good)
    if batch is None:
        assert not good
        return
    message = ExportTraceServiceRequest.FromString(batch.request)
    sent = [span.name for part in message.resource_spans for scope in part.scope_spans for span in scope.spans]
    assert sent == good
    assert batch.count == len(good)

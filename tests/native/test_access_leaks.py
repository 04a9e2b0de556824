"""Nothing of a request is kept: references and memory are flat over many of them."""

from __future__ import annotations

import gc
import sys
from contextlib import suppress
from typing import Any

import pytest
from opentelemetry import trace

from otelbridge._native import AccessReader, AttrSet
from otelbridge.access.record import AccessRecord, WebSocketRecord
from tests.native.conftest import Exporting
from tests.native.oracle import Named, Raising
from tests.native.test_leaks import resident_size


@pytest.mark.timeout(120)
def test_requests_are_flat(exporting: Exporting) -> None:
    """
    Reading, context, additions, all views and both ways out, with wrong values among them: no reference is kept.
    """
    core, log, dispatcher = exporting.core, exporting.logger, exporting.logger._dispatcher
    user_agent, path, tenant, odd = b"curl/8 \xff", "/items/" + "x" * 5, "".join(("ac", "me")), Named("shown")
    headers = [
        (b"user-agent", user_agent),
        (b"x-tenant", b"a"),
        (b"traceparent", b"00-"),
        (b"x-tenant", b"b"),
        (1, 2),
        None,
    ]
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": path, "headers": headers, "client": ("::1", 1)}
    environ: dict[str, Any] = {
        "PATH_INFO": "/\xc3\xbc",
        "SCRIPT_NAME": path,
        "HTTP_X_TENANT": tenant,
        "HTTP_TRACEPARENT": "x",
    }
    methods, captured, fields = frozenset({"GET"}), {b"x-tenant": "x-tenant"}, frozenset({b"traceparent"})
    context = trace.set_span_in_context(trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False)))
    counted: list[Any] = [user_agent, path, tenant, odd, headers, scope, environ, methods, captured, fields, context]
    counted += [AccessRecord, WebSocketRecord, AccessReader, AttrSet, None, True, False, str, dict, list, tuple]

    def run(rounds: int) -> None:
        for i in range(rounds):
            reader = AccessReader(AccessRecord, WebSocketRecord, methods, captured, fields)
            for read, source in ((reader.asgi, scope), (reader.wsgi, environ), (reader.asgi, {"type": "websocket"})):
                record, _ = read(source)
                entry = core.enter_request(record, context)
                with log.contextualize(user=tenant):
                    record.tenant = tenant
                record.odd, record.me = odd, record
                if i % 2:
                    record.odd = Raising()
                    record.path = "/\ud800?token=abc"
                core.leave_request(entry)
                dispatcher.emit_access(record, 20, "http.server.access", None)
                log.event("INFO", "http.server.access", record.line(), record.attributes())
                for name, wrong in (("status", tenant), ("path", i), ("headers", scope), ("log_query", odd)):
                    try:
                        setattr(record, name, wrong)
                    except TypeError:
                        continue
                record.status, record.headers, record.closed = i, {}, True
                del record.me
            for wrong_arguments in ((), (reader.asgi,), (AccessRecord, AccessRecord, methods, {1: 2}, fields)):
                try:
                    AccessReader(*wrong_arguments)
                except TypeError:
                    continue
            with suppress(TypeError):
                AccessRecord(nothing=odd)
            exporting.take()

    run(1000)
    gc.collect()
    resident_before = resident_size()
    before = [sys.getrefcount(each) for each in counted]

    run(4000)

    gc.collect()
    after = [sys.getrefcount(each) for each in counted]
    grown = {repr(each)[:40]: b - a for each, a, b in zip(counted, before, after, strict=True) if abs(b - a) > 300}
    assert grown == {}
    assert resident_size() - resident_before < 6 << 20

"""Whatever a client sends: exactly one record, no exception, bounded and encodable."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.access.support import Harness, answer, exchange, hello, http_scope

HEADER_NAMES = st.one_of(
    st.sampled_from(
        [b"user-agent", b"x-request-id", b"traceparent", b"tracestate", b"baggage", b"x-tenant", b"content-length"]
    ),
    st.binary(max_size=20),
)
HEADERS = st.lists(st.tuples(HEADER_NAMES, st.binary(max_size=300)), max_size=8)
# As servers decode a path: from any bytes, with replacement characters or lone surrogates for what is no UTF-8.
PATHS = st.one_of(
    st.text(max_size=100),
    st.binary(max_size=100).map(lambda raw: raw.decode("utf-8", "surrogateescape")),
    st.binary(max_size=100).map(lambda raw: raw.decode("latin-1")),
)


@settings(max_examples=300, deadline=None)
@given(method=st.text(max_size=20), path=PATHS, query=st.binary(max_size=50), headers=HEADERS)
def test_any_bytes_make_exactly_one_record(method: str, path: str, query: bytes, headers: list[Any]) -> None:
    """One record, one span, one point; a single printable line; attributes that any encoder takes."""
    harness = Harness(hello)

    result = asyncio.run(exchange(harness.app, http_scope(path, method=method, query_string=query, headers=headers)))

    assert result.error is None
    assert harness.observer.error_count == 0
    assert harness.event.body.isprintable()
    json.dumps(dict(harness.event.attributes), ensure_ascii=False).encode()
    assert harness.span.attributes is not None
    assert harness.duration_point().count == 1


@settings(max_examples=50, deadline=None)
@given(junk=st.lists(st.one_of(st.none(), st.integers(), st.text(), st.binary(), st.tuples(st.binary())), max_size=5))
def test_headers_that_are_none_make_one_record_too(junk: list[Any]) -> None:
    """A server that garbles its header list costs nobody the record."""
    harness = Harness(answering)

    result = asyncio.run(exchange(harness.app, http_scope(headers=[*junk, (b"user-agent", b"curl")])))

    assert result.error is None
    assert harness.event.attributes["user_agent.original"] == "curl"


async def answering(scope: Any, receive: Any, send: Any) -> None:
    await answer(send)

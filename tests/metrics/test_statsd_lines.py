"""StatsD lines: whatever comes in, a server of the dialect reads what was measured, and no packet is too large."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelbridge.metrics.instruments import (
    ACTIVE_REQUESTS,
    INSTRUMENTS,
    REQUEST_DURATION,
    REQUESTS,
    RESPONSE_BODY_SIZE,
    Instrument,
)
from otelbridge.metrics.statsd.lines import DIALECTS, PACKET_SIZE_LEAST, make_line, make_series
from otelbridge.metrics.statsd.output import PacketOutput, SendCounts
from otelbridge.otlp.settings import STATSD_DIALECTS
from tests.metrics.statsd_agents import read_line, totals

ATTRIBUTES: dict[str, str | int] = {"http.route": "/items/{id}", "http.response.status_code": 200}

# Much of the alphabet is what lines are made of.
any_text = st.text(st.sampled_from(":|@#,;=\n\r\t ~[]{}/.\x00\x7f\x85é🗼\ud800aZ0-_") | st.characters(), max_size=400)
any_row = st.builds(
    Instrument,
    name=any_text.filter(bool),
    kind=st.sampled_from(["counter", "histogram", "updowncounter"]),
    unit=st.sampled_from(["s", "By", "{request}"]),
    description=st.just(""),
    attributes=st.just(()),
)
any_attributes = st.dictionaries(any_text, any_text | st.integers(), max_size=8)
any_value = st.integers(0, 2**63) | st.floats(0, 1e12)


class KeptPackets:
    """A client that keeps what it is to deliver."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []

    def deliver(self, packet: bytes) -> None:
        self.packets.append(packet)

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("dialect", "duration", "size", "count"),
    [
        (
            "dogstatsd",
            "shop.http.server.request.duration:1.500|ms|#http.route:/items/{id},http.response.status_code:200",
            "shop.http.server.response.body.size:12|h|#http.route:/items/{id},http.response.status_code:200",
            "shop.otelbridge.http.requests:3|c|#http.route:/items/{id},http.response.status_code:200",
        ),
        (
            "plain",
            "shop.http.server.request.duration:1.500|ms",
            "shop.http.server.response.body.size:12|ms",
            "shop.otelbridge.http.requests:3|c",
        ),
        (
            "influx",
            "shop.http.server.request.duration,http.route=/items/{id},http.response.status_code=200:1.500|ms",
            "shop.http.server.response.body.size,http.route=/items/{id},http.response.status_code=200:12|h",
            "shop.otelbridge.http.requests,http.route=/items/{id},http.response.status_code=200:3|c",
        ),
        (
            "graphite",
            "shop.http.server.request.duration;http.route=/items/{id};http.response.status_code=200:1.500|ms",
            "shop.http.server.response.body.size;http.route=/items/{id};http.response.status_code=200:12|ms",
            "shop.otelbridge.http.requests;http.route=/items/{id};http.response.status_code=200:3|c",
        ),
    ],
)
def test_dialects(dialect: str, duration: str, size: str, count: str) -> None:
    """Each dialect writes attributes its own way; times are milliseconds, sizes histograms where there are some."""
    written = [
        make_line(make_series(DIALECTS[dialect], "shop", row, ATTRIBUTES), value)
        for row, value in ((REQUEST_DURATION, 1.5), (RESPONSE_BODY_SIZE, 12), (REQUESTS, 3))
    ]

    assert written == [duration, size, count]


def test_settings_and_lines_know_the_same_dialects() -> None:
    """What `configure()` accepts can be written."""
    assert set(STATSD_DIALECTS) == set(DIALECTS)


def test_no_prefix_and_no_attributes_leave_no_trace() -> None:
    """An empty prefix brings no dot, and no attributes no mark of attributes, in any dialect."""
    lines = {make_line(make_series(dialect, "", ACTIVE_REQUESTS, {}), 0) for dialect in DIALECTS.values()}

    assert lines == {"http.server.active_requests:0|g"}


def test_route_converter_keeps_its_colon_where_servers_take_it() -> None:
    """`/items/{id:int}` is the same route as in OpenTelemetry over DogStatsD, and is one value in the others."""
    routes = {
        name: read_line(name, make_line(make_series(dialect, "", REQUESTS, {"http.route": "/{id:int}"}), 1))
        for name, dialect in DIALECTS.items()
        if name != "plain"
    }

    assert {name: line.attributes["http.route"] for name, line in routes.items()} == {
        "dogstatsd": "/{id:int}",
        "influx": "/{id_int}",
        "graphite": "/{id_int}",
    }


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(deadline=None, max_examples=60)
@given(row=any_row, prefix=any_text, attributes=any_attributes, value=any_value)
def test_any_names_and_values_make_one_line(
    dialect: str, row: Instrument, prefix: str, attributes: dict[str, str | int], value: float
) -> None:
    """Whatever a name, prefix, attribute or value holds, the line is one of its dialect's grammar, with its value."""
    line = make_line(make_series(DIALECTS[dialect], prefix, row, attributes), value)

    found = read_line(dialect, line)
    assert found.value == (round(value, 3) if isinstance(value, float) else float(value))
    assert found.kind in ("c" if row.kind == "counter" else "g" if row.kind == "updowncounter" else ("ms", "h"))
    assert len(found.attributes) <= (0 if dialect == "plain" else len(attributes))


@pytest.mark.parametrize("dialect", DIALECTS)
@settings(deadline=None, max_examples=40)
@given(
    measured=st.lists(st.tuples(st.sampled_from(INSTRUMENTS), any_attributes, st.integers(0, 2**40)), max_size=60),
    size_max=st.integers(PACKET_SIZE_LEAST, 1432),
)
def test_packets_hold_whole_lines_and_all_of_them(
    dialect: str, measured: list[tuple[Instrument, dict[str, str | int], int]], size_max: int
) -> None:
    """No packet is above the size, no line is split, and what is not in a packet is counted as too large."""
    client = KeptPackets()
    output, counts = PacketOutput(client, "test", size_max=size_max), SendCounts()
    made = [(make_series(DIALECTS[dialect], "shop", row, attributes), value) for row, attributes, value in measured]

    output.begin(counts)
    for series, value in made:
        output.add(series, value)
    failure = output.finish()

    texts = [make_line(series, value) for series, value in made]
    expected = [read_line(dialect, text) for text in texts if len(text) < size_max]
    arrived = [line for packet in client.packets for line in packet.decode("ascii").split("\n")]
    assert failure is None
    assert max(map(len, client.packets), default=0) < size_max  # and a stream's last newline
    assert totals(read_line(dialect, line) for line in arrived) == totals(expected)
    assert (counts.lines, counts.packets) == (len(expected), len(client.packets))
    assert counts.lost["too_large"] == len(texts) - len(expected)


@pytest.mark.parametrize(("missing", "per_packet"), [(0, 20), (1, 19)])
def test_one_packet_carries_as_many_lines_as_fit(missing: int, per_packet: int) -> None:
    """Lines share a packet for as long as they fit with their newlines, to the byte."""
    client = KeptPackets()
    series = make_series(DIALECTS["plain"], "", REQUESTS, {})
    size = len(make_line(series, 1)) + 1
    output = PacketOutput(client, "test", size_max=size * 20 - missing)

    for _ in range(per_packet * 2):
        output.add(series, 1)
    output.finish()

    assert [packet.count(b"\n") + 1 for packet in client.packets] == [per_packet, per_packet]


def test_closed_output_forgets_its_lines() -> None:
    """What a forked child inherits of a packet half made is not sent by the child."""
    client = KeptPackets()
    output = PacketOutput(client, "test")
    output.add(make_series(DIALECTS["plain"], "", REQUESTS, {}), 1)

    output.close()
    output.begin(SendCounts())
    output.finish()

    assert client.packets == []


@pytest.mark.parametrize("size_max", [507, 1433])
def test_packet_size_is_between_two_bounds(size_max: int) -> None:
    """A size that no host must accept, or that is cut on the way, is refused in one sentence."""
    with pytest.raises(ValueError, match=f"size_max must be from 508 to 1432 bytes, got {size_max}"):
        PacketOutput(KeptPackets(), "test", size_max=size_max)

"""What the official SDK makes of a record, and the values to try it with."""

from __future__ import annotations

import enum
import logging
import uuid
import warnings
from collections import OrderedDict, deque, namedtuple
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from hypothesis import strategies as st
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.common._log_encoder import encode_logs
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord as WireRecord
from opentelemetry.sdk._logs import ReadableLogRecord, ReadWriteLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.trace import INVALID_SPAN, Span, set_span_in_context

# The SDK says of each odd value, on a logger, that it is odd.
logging.getLogger("opentelemetry.attributes").setLevel(logging.CRITICAL)
logging.getLogger("opentelemetry.exporter.otlp.proto.common._internal").setLevel(logging.CRITICAL)

INT_MAX = 2**63 - 1
INT_MIN = -(2**63)


class Text(str):
    """A str subclass that shows itself as something else."""

    __slots__ = ()

    def __str__(self) -> str:
        return "not this"


class Key(str):
    """A str subclass that is nothing special."""

    __slots__ = ()


class Colour(str, enum.Enum):  # noqa: UP042 -- a StrEnum shows its value
    """A str enum: str() gives its name, the wire has its value."""

    RED = "red"


class Number(enum.IntEnum):
    """An int enum."""

    ONE = 1


class Share(float):
    """A float subclass."""


class Named:
    """Has a text of its own."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


class Plain:
    """Has none."""


class Raising:
    """Cannot be shown at all."""

    def __init__(self, error: type[Exception] = ValueError) -> None:
        self.error = error

    def __str__(self) -> str:
        raise self.error("no text")

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        raise self.error("no format")


Point = namedtuple("Point", "x y")


def cyclic() -> list[Any]:
    """A list that holds itself."""
    loop: list[Any] = [1]
    loop.append(loop)
    return loop


def deep(levels: int) -> list[Any]:
    """A list nested `levels` deep."""
    inner: list[Any] = []
    for _ in range(levels):
        inner = [inner]
    return inner


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(INT_MIN, INT_MAX),
    st.floats(),
    texts,
    st.binary(max_size=40),
    texts.map(Text),
    st.sampled_from([Colour.RED, Number.ONE, Share(0.1), INT_MAX, INT_MIN, 0, -1, -0.0, 1e16, 1e-5, "", "x" * 200]),
)
# Types that the wire has no word for: the SDK writes str() of those that define one.
foreign = st.one_of(
    texts.map(Named),
    st.builds(Plain),
    st.just(datetime(2026, 11, 21, tzinfo=UTC)),
    st.just(date(2026, 11, 21)),
    st.just(timedelta(seconds=1)),
    st.just(Decimal("1.10")),
    st.just(uuid.UUID(int=7)),
    st.frozensets(st.integers(), max_size=3),
    st.sets(st.integers(), max_size=3),
    st.just(1 + 2j),
    st.just(ValueError("an exception")),
    st.just(len),
)
keys = st.one_of(texts, st.integers(-5, 5), st.booleans(), st.none(), texts.map(Key))
accepted = st.recursive(
    scalars | foreign,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.lists(inner, max_size=4).map(deque),
        st.tuples(inner, inner).map(lambda pair: Point(*pair)),
        st.dictionaries(keys, inner, max_size=4),
        st.dictionaries(texts, inner, max_size=4).map(OrderedDict),
        st.dictionaries(texts, inner, max_size=4).map(MappingProxyType),
        st.integers(0, 5).map(range),
        st.binary(max_size=5).map(bytearray),
    ),
    max_leaves=12,
)
# What SDKs before 1.45 write without loss.
old_accepted = st.one_of(  # also as the one item of message.args, hence no lists
    st.booleans(), st.integers(INT_MIN, INT_MAX), st.floats(), texts
)
# What the SDK refuses, loses or dies of.
poison = st.one_of(
    st.integers(INT_MAX + 1, 2**200),
    st.integers(-(2**200), INT_MIN - 1),
    st.text(st.characters(categories=["Cs"]), min_size=1, max_size=5),
    st.builds(Raising, st.sampled_from([ValueError, RecursionError, MemoryError, StopIteration])),
    st.builds(cyclic),
    st.sampled_from([40, 400, 5000]).map(deep),
    st.just({"\ud800": 1}),
    st.just([Raising(), object(), {Raising: 1}]),
)
anything = st.one_of(accepted, poison, st.lists(poison, max_size=3), st.dictionaries(texts, poison, max_size=3))


def official(
    time_ns: int,
    severity: int,
    severity_text: str,
    body: str,
    attributes: dict[str, Any],
    *,
    span: Span | None = None,
    event_name: str | None = None,
) -> bytes | None:
    """The record as the SDK of this environment serialises it; None where it refuses or loses something."""
    try:
        record = LogRecord(
            timestamp=time_ns,
            observed_timestamp=time_ns,
            context=set_span_in_context(INVALID_SPAN if span is None else span),
            severity_number=SeverityNumber(severity),
            severity_text=severity_text,
            body=body,
            attributes=attributes,
            event_name=event_name,
        )
        with warnings.catch_warnings():  # of an attribute without a name, which is dropped and counted
            warnings.simplefilter("ignore")
            written = ReadWriteLogRecord(record, Resource.get_empty())
        readable = ReadableLogRecord(record, Resource.get_empty(), None, written.limits)
        encoded = encode_logs([readable]).resource_logs[0].scope_logs[0].log_records[0]
    except Exception:
        return None
    kept = sum(1 for key in attributes if key)
    return encoded.SerializeToString() if len(encoded.attributes) == kept else None


def wire_records(request: bytes) -> list[bytes]:
    """The bytes of each LogRecord in an ExportLogsServiceRequest made with empty resource and scope."""
    _, resource_logs = field(request, 0)
    _, scope_logs = field(resource_logs, 0)
    records, position = [], 0
    while position < len(scope_logs):
        position, record = field(scope_logs, position)
        records.append(record)
    return records


def field(data: bytes, position: int) -> tuple[int, bytes]:
    """One length-delimited field with a one-byte tag: (where it ends, its payload)."""
    position, length, shift = position + 1, 0, 0
    while True:
        byte = data[position]
        position += 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
    return position + length, data[position : position + length]


def parse(record: bytes) -> WireRecord:
    """The record, by the official parser."""
    return WireRecord.FromString(record)


def value_of(value: Any) -> Any:
    """An AnyValue as Python."""
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [value_of(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {entry.key: value_of(entry.value) for entry in value.kvlist_value.values}
    return getattr(value, kind)


def attributes_of(record: WireRecord) -> dict[str, Any]:
    """The record's attributes as a dict; fails if a name stands twice."""
    names = [entry.key for entry in record.attributes]
    assert len(names) == len(set(names)), names
    return {entry.key: value_of(entry.value) for entry in record.attributes}

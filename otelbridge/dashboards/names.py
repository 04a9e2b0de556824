"""How the table's instruments are called where they are asked for: in Prometheus, by each way to it, and in Loki.

Knows names only; leaves questions to `promql`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from otelbridge.metrics.instruments import (
    DIRECTION,
    LOG_RECORDS,
    REQUEST_ATTRIBUTES,
    SESSION_ATTRIBUTES,
    Instrument,
)

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]+")
# Prometheus's words for OpenTelemetry's units; `{request}` and its like are none.
_UNITS = {"s": "seconds", "ms": "milliseconds", "By": "bytes"}


@dataclass(frozen=True, slots=True)
class Way:
    """A way for metrics into Prometheus, as far as names and shapes depend on it.

    has_units: the unit is part of the name. has_buckets: a histogram is one series per bucket (classic), not one series
    that holds them all (native). has_exemplars: points know a trace. duration_unit: of what is seconds in the table.
    """

    prefix: str = ""
    has_units: bool = True
    has_buckets: bool = True
    has_exemplars: bool = True
    duration_unit: str = "s"


# OTLP into Prometheus with its translation strategy UnderscoreEscapingWithSuffixes.
OTLP = Way()
NATIVE = Way(has_buckets=False)


def statsd(prefix: str = "") -> Way:
    """StatsD into the Collector, and from there by OTLP: no units, and no ids of traces. `prefix` is statsd_prefix."""
    return Way(prefix=prefix, has_units=False, has_exemplars=False, duration_unit="ms")


def metric_name(row: Instrument, way: Way = OTLP) -> str:
    """Return the name of an instrument in Prometheus, without the `_bucket`, `_count`, `_sum` of classic histograms."""
    words = [way.prefix, row.name, _UNITS.get(row.unit, "") if way.has_units else ""]
    name = label_name("_".join(word for word in words if word))
    return f"{name}_total" if row.kind == "counter" else name


def label_name(attribute: str) -> str:
    """Return the name of an attribute as a label of Prometheus, or as structured metadata of Loki."""
    return _NOT_IN_NAMES.sub("_", attribute)


SERVICE = label_name("service.name")
# In the table's order, so that a renamed attribute is renamed here.
METHOD, _, STATUS, ROUTE, _, ERROR = map(label_name, REQUEST_ATTRIBUTES)
_, _, _, CLOSED_BY, _ = map(label_name, SESSION_ATTRIBUTES)
IO_DIRECTION = label_name(DIRECTION)
(LOG_LEVEL,) = map(label_name, LOG_RECORDS.attributes)

"""StatsD's lines: a measurement as text in one of four dialects, whatever names and values come, and lines as packets.

Knows the table's kinds and units; leaves sending to `clients`, and when to `sender`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from otelbridge.metrics.instruments import Instrument

Kind = Literal["c", "g", "h", "ms"]

# What fits into an Ethernet frame with room for headers and tunnels, as the `statsd` package's documents advise.
PACKET_SIZE_MAX = 1432
# What any IPv4 host must accept unfragmented (576), less headers.
PACKET_SIZE_LEAST = 508

_NAME_LENGTH_MAX = 200
_KEY_LENGTH_MAX = 100
_VALUE_LENGTH_MAX = 200  # Datadog cuts tags there

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.-]")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How attributes are written: before the colon in a line (`in_name`), or after the type; or not at all."""

    opening: str
    pair: str
    separator: str
    in_name: bool
    not_in_values: re.Pattern[str]
    # Where there are histograms, a size is one. Elsewhere `ms` is the only type that keeps a distribution.
    size_kind: Kind
    has_attributes: bool = True

    def attributes(self, attributes: Mapping[str, str | int]) -> str:
        """The attributes as this dialect writes them; empty when there are none."""
        if not (attributes and self.has_attributes):
            return ""
        pairs = (f"{_key(name)}{self.pair}{self._value(value)}" for name, value in attributes.items())
        return self.opening + self.separator.join(pairs)

    def _value(self, value: str | int) -> str:
        # An empty value makes real servers refuse the whole line.
        return self.not_in_values.sub("_", str(value)[:_VALUE_LENGTH_MAX]) or "_"


# Never space, control character or non-ASCII. A colon stays where servers cut tags at the first one: `/items/{id:int}`.
_NOT_IN_TAGS = re.compile(r"[^!-~]|[|@#,;=]")
# Brackets in a name are SignalFx's tags to statsd_exporter; Graphite takes no value that begins with a tilde.
_NOT_IN_NAMED_TAGS = re.compile(r"[^!-~]|[:|@#,;=\[\]]|\A~")

DIALECTS: Mapping[str, Dialect] = {
    # https://docs.datadoghq.com/developers/dogstatsd/datagram_shell/
    "dogstatsd": Dialect("|#", ":", ",", False, _NOT_IN_TAGS, "h"),
    # https://github.com/statsd/statsd/blob/master/docs/metric_types.md
    "plain": Dialect("", "", "", False, _NOT_IN_TAGS, "ms", has_attributes=False),
    # https://github.com/influxdata/telegraf/tree/master/plugins/inputs/statsd
    "influx": Dialect(",", "=", ",", True, _NOT_IN_NAMED_TAGS, "h"),
    # https://graphite.readthedocs.io/en/latest/tags.html
    "graphite": Dialect(";", "=", ";", True, _NOT_IN_NAMED_TAGS, "ms"),
}


class Series(NamedTuple):
    """What all lines of an instrument with the same attributes have in common."""

    stat: str
    kind: Kind
    tail: str


def make_series(dialect: Dialect, prefix: str, row: Instrument, attributes: Mapping[str, str | int]) -> Series:
    """A row of the table as `dialect` writes it; `prefix` is text before its name and a dot, or empty.

    Times are milliseconds whatever the row says: that is what `ms` means.
    """
    name = f"{prefix}.{row.name}" if prefix else row.name
    stat = _NOT_IN_NAMES.sub("_", name[:_NAME_LENGTH_MAX])
    written = dialect.attributes(attributes)
    kind = _kind(dialect, row)
    if dialect.in_name:
        return Series(stat + written, kind, f"|{kind}")
    return Series(stat, kind, f"|{kind}{written}")


def make_line(series: Series, value: float) -> str:
    """One line in ASCII, without its end. A float is written to the microsecond: times are in milliseconds."""
    stat, _, tail = series
    return f"{stat}:{value:.3f}{tail}" if isinstance(value, float) else f"{stat}:{value}{tail}"


def _kind(dialect: Dialect, row: Instrument) -> Kind:
    if row.kind == "counter":
        return "c"
    if row.kind == "updowncounter":
        return "g"
    return "ms" if row.unit == "s" else dialect.size_kind


def _key(name: str) -> str:
    return _NOT_IN_NAMES.sub("_", name[:_KEY_LENGTH_MAX]) or "_"

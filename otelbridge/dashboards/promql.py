"""PromQL for the table's instruments: one question, in the words of each way that the points come by.

Knows no board and no rule: they say which series (`matchers`), over which window.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from otelbridge.dashboards.names import Way, metric_name
from otelbridge.metrics.instruments import Instrument

Labels = tuple[str, ...]


class Questions(NamedTuple):
    """What can be asked of instruments that come by `way`. `window` is what rates are taken over."""

    way: Way
    matchers: Labels
    window: str

    def select(self, row: Instrument, *extra: str, suffix: str = "") -> str:
        """The series of an instrument."""
        return select(metric_name(row, self.way) + suffix, *self.matchers, *extra)

    def now(self, row: Instrument, by: Labels = ()) -> str:
        """How many there are."""
        return total(self.select(row), by)

    def rate(self, row: Instrument, *extra: str, by: Labels = ()) -> str:
        """What a counter grows by per second."""
        return total(f"rate({self.select(row, *extra)}[{self.window}])", by)

    def count_rate(self, row: Instrument, *extra: str, by: Labels = ()) -> str:
        """How many measurements a histogram gets per second."""
        return self._part(row, "count", extra, by)

    def sum_rate(self, row: Instrument, *extra: str, by: Labels = ()) -> str:
        """What a histogram's sum grows by per second."""
        return self._part(row, "sum", extra, by)

    def quantile(self, quantile: float, row: Instrument, by: Labels = ()) -> str:
        """A quantile of a histogram's measurements."""
        return f"histogram_quantile({quantile:g}, {self.distribution('rate', row, by)})"

    def distribution(self, function: str, row: Instrument, by: Labels = ()) -> str:
        """All of a histogram, `rate` or `increase`."""
        if self.way.has_buckets:
            return total(f"{function}({self.select(row, suffix='_bucket')}[{self.window}])", ("le", *by))
        return total(f"{function}({self.select(row)}[{self.window}])", by)

    def share_above(self, bound: float, row: Instrument, by: Labels = ()) -> str:
        """The share of measurements above one of the histogram's bounds."""
        if not self.way.has_buckets:
            return f"1 - histogram_fraction(0, {bound:g}, {self.distribution('rate', row, by)})"
        # Written as 1 over OTLP, as 1.0 where a page was scraped.
        bucket = self.select(row, f'le=~"{bound:g}|{bound:.1f}"', suffix="_bucket")
        return f"1 - {total(f'rate({bucket}[{self.window}])', by)} / {self.count_rate(row, by=by)}"

    def _part(self, row: Instrument, part: str, extra: tuple[str, ...], by: Labels) -> str:
        if self.way.has_buckets:
            return total(f"rate({self.select(row, *extra, suffix=f'_{part}')}[{self.window}])", by)
        return f"histogram_{part}({self.rate(row, *extra, by=by)})"


def select(name: str, *matchers: str) -> str:
    """Return a selector. A name with dots, as OpenTelemetry's own programs have it, stands in quotes inside."""
    if "." in name:
        return f"{{{', '.join((quoted(name), *matchers))}}}"
    return f"{name}{{{', '.join(matchers)}}}" if matchers else name


def quoted(name: str) -> str:
    """Return a metric's or label's name as PromQL wants it."""
    return f'"{name}"' if "." in name else name


def total(vector: str, by: Iterable[str] = ()) -> str:
    """Return the sum of a vector, by labels."""
    labels = ", ".join(map(quoted, by))
    return f"sum by ({labels}) ({vector})" if labels else f"sum({vector})"


def first_of(vectors: Iterable[str]) -> str:
    """Return the union of vectors; where two have a series of the same labels, the first one's counts."""
    return "\nor ".join(dict.fromkeys(vectors))

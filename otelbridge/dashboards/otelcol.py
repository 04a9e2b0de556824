"""What an OpenTelemetry Collector measures of itself (0.155, level `detailed`), and what is asked of it.

Names as Prometheus has them after a scrape: those of its own are underscored, those of OpenTelemetry's libraries have
dots. Leaves showing and alerting to `collector` and `rules`.
"""

from __future__ import annotations

from collections.abc import Mapping

from otelbridge.dashboards.promql import Labels, first_of, select, total

_SIGNALS = ("log_records", "spans", "metric_points")
# Counters, one per signal: `otelcol_receiver_accepted_spans`.
ACCEPTED = ("otelcol_receiver_accepted",)
# Refused: the sender was told to come again. Failed: it could not be taken.
REFUSED = ("otelcol_receiver_refused", "otelcol_receiver_failed")
SENT = ("otelcol_exporter_sent",)
# Gone: sending failed for good, or the queue had no room.
LOST = ("otelcol_exporter_send_failed", "otelcol_exporter_enqueue_failed")
# Labels that `items_rate` adds.
SIGNAL, OUTCOME = "signal", "outcome"

QUEUE_SIZE = "otelcol_exporter_queue_size"
QUEUE_CAPACITY = "otelcol_exporter_queue_capacity"
CPU = "otelcol_process_cpu_seconds"
MEMORY = "otelcol_process_memory_rss"
UPTIME = "otelcol_process_uptime"
INFO = "target_info"
VERSION = "service.version"

RECEIVER, EXPORTER, DATA_TYPE = "receiver", "exporter", "data_type"
# Whom an attempt went to. Over gRPC one that never got there names the method only, which tells the signal.
TARGET: Labels = ("server.address", "server.port", "rpc.method")

# Attempts to export, over HTTP and over gRPC, and how one that failed is told.
ATTEMPTS: Mapping[str, str] = {
    "http.client.request.duration": '"http.response.status_code"!~"2.."',
    "rpc.client.call.duration": '"rpc.response.status_code"!="OK"',
}


def items_rate(counters: Labels, by: Labels, matchers: Labels, window: str) -> str:
    """Return items per second by outcome, signal and `by`: of those that were counted at all."""
    return first_of(
        _labelled(OUTCOME, counter.partition("_")[2], total(_of_signals(counter, matchers, window), (*by, SIGNAL)))
        for counter in counters
    )


def failed_attempts_rate(by: Labels, matchers: Labels, window: str) -> str:
    """Return attempts to export per second that failed, be it for now."""
    return first_of(total(_rate(f"{name}_count", (*matchers, failed), window), by) for name, failed in ATTEMPTS.items())


def attempt_quantile(quantile: float, by: Labels, matchers: Labels, window: str) -> str:
    """Return a quantile of the duration of attempts to export, in seconds."""
    buckets = [total(_rate(f"{name}_bucket", matchers, window), ("le", *by)) for name in ATTEMPTS]
    return first_of(f"histogram_quantile({quantile:g}, {vector})" for vector in buckets)


def queue_used(by: Labels, matchers: Labels) -> str:
    """Return the share of the exporters' queues that is in use."""
    return f"{total(select(QUEUE_SIZE, *matchers), by)} / {total(select(QUEUE_CAPACITY, *matchers), by)}"


def info(matchers: Labels) -> str:
    """Return a series per collector that bears its version; services have the like, which are left out."""
    return f"{select(INFO, *matchers)} and on (job, instance) {select(UPTIME, *matchers)}"


def _of_signals(counter: str, matchers: Labels, window: str) -> str:
    rates = {signal: _rate(f"{counter}_{signal}", matchers, window) for signal in _SIGNALS}
    return first_of(_labelled(SIGNAL, signal, rate) for signal, rate in rates.items())


def _rate(name: str, matchers: Labels, window: str) -> str:
    return f"rate({select(name, *matchers)}[{window}])"


def _labelled(label: str, words: str, vector: str) -> str:
    value = words.replace("_", " ")
    return f'label_replace({vector}, "{label}", "{value}", "", "")'

"""The same customers leave the same numbers in Prometheus, whichever way the metrics travel."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.stack.conftest import CLASSIC, MARKS, NATIVE, STATSD, Visited

pytestmark = MARKS

REQUEST = "http_route, http_request_method, http_response_status_code, error_type"
SESSION = "http_route, websocket_closed_by, error_type"

# What is asked of the shop with OTLP and of the one with StatsD, whose names have no unit.
TOTALS = {
    "requests": (
        f"sum by ({REQUEST}) (otelbridge_http_requests_total{{%s}})",
        f"sum by ({REQUEST}) (otelbridge_http_requests_total{{%s}})",
    ),
    "durations": (
        f"sum by ({REQUEST}) (http_server_request_duration_seconds_count{{%s}})",
        f"sum by ({REQUEST}) (http_server_request_duration_count{{%s}})",
    ),
    "sizes of answers": (
        f"sum by (le, {REQUEST}) (http_server_response_body_size_bytes_bucket{{%s}})",
        f"sum by (le, {REQUEST}) (http_server_response_body_size_bucket{{%s}})",
    ),
    "bytes of answers": (
        f"sum by ({REQUEST}) (http_server_response_body_size_bytes_sum{{%s}})",
        f"sum by ({REQUEST}) (http_server_response_body_size_sum{{%s}})",
    ),
    "log records": (
        "sum by (log_level) (otelbridge_log_records_total{%s})",
        "sum by (log_level) (otelbridge_log_records_total{%s})",
    ),
    "sessions": (
        f"sum by ({SESSION}) (otelbridge_websocket_session_duration_seconds_count{{%s}})",
        f"sum by ({SESSION}) (otelbridge_websocket_session_duration_count{{%s}})",
    ),
    "messages": (
        "sum by (network_io_direction) (otelbridge_websocket_messages_total{%s})",
        "sum by (network_io_direction) (otelbridge_websocket_messages_total{%s})",
    ),
    "bytes of messages": (
        "sum by (network_io_direction) (otelbridge_websocket_io_bytes_total{%s})",
        "sum by (network_io_direction) (otelbridge_websocket_io_total{%s})",
    ),
    "open requests": ("sum(http_server_active_requests{%s})", "sum(http_server_active_requests{%s})"),
    "open sessions": ("sum(otelbridge_websocket_active_sessions{%s})", "sum(otelbridge_websocket_active_sessions{%s})"),
}

Totals = dict[tuple[tuple[str, str], ...], float]


def ask(visited: Visited, expression: str, job: str) -> Totals:
    """The samples by their labels."""
    samples = visited.stack.prometheus.query(expression % f'job="{job}"', time_s=visited.end_s)
    return {tuple(sorted(sample.labels.items())): sample.value for sample in samples}


@pytest.mark.parametrize("what", TOTALS)
def test_statsd_counts_what_otlp_counts(what: str, visited: Visited) -> None:
    """Requests by route and status, log records by level, sessions and messages: the same over StatsD as over OTLP."""
    by_otlp, by_statsd = TOTALS[what]

    expected = ask(visited, by_otlp, CLASSIC)

    assert expected
    assert ask(visited, by_statsd, STATSD) == expected


def test_every_act_of_the_customers_is_counted(visited: Visited, measured: Callable[[str, float, str], None]) -> None:
    """Requests and sessions in Prometheus are those that the customers made: none is lost, none is counted twice."""
    requests = ask(visited, "sum(otelbridge_http_requests_total{%s})", CLASSIC)
    sessions = ask(visited, "sum(otelbridge_websocket_session_duration_seconds_count{%s})", CLASSIC)

    assert sum([*requests.values(), *sessions.values()]) == visited.act_count
    measured("counted alike by OTLP, StatsD and native histograms", visited.act_count, "requests and sessions")


def test_log_records_are_counted_as_they_arrive(visited: Visited) -> None:
    """The counter of log records says, for each level, how many lines Loki has."""
    expression = f'sum by (severity_text) (count_over_time({{service_name="{CLASSIC}"}}[1h]))'

    counted = visited.stack.prometheus.query(f'otelbridge_log_records_total{{job="{CLASSIC}"}}', time_s=visited.end_s)
    lines = visited.stack.loki.query(expression, visited.end_s)

    assert {sample.labels["log_level"]: sample.value for sample in counted} == {
        sample.labels["severity_text"]: sample.value for sample in lines
    }


def test_native_histograms_count_what_classic_ones_count(visited: Visited) -> None:
    """A histogram without buckets of its own has the same count and route as the one with buckets."""
    by = "sum by (http_route, http_response_status_code)"
    name = "http_server_request_duration_seconds"

    classic = ask(visited, f"{by} ({name}_count{{%s}})", CLASSIC)

    assert classic
    assert ask(visited, f"{by} (histogram_count({name}{{%s}}))", NATIVE) == classic

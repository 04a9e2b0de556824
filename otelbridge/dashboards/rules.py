"""Prometheus's rules: what is kept at hand, and when a person is to look. Each alert has a page in docs/runbooks.

Knows objectives and thresholds; leaves who is told to Alertmanager or Grafana, by the label `severity`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from otelbridge.dashboards import otelcol
from otelbridge.dashboards.collector import COLLECTOR_UID
from otelbridge.dashboards.names import NATIVE, OTLP, Way, metric_name, statsd
from otelbridge.dashboards.promql import Questions, first_of
from otelbridge.dashboards.service import FAILED, SERVICE_UID
from otelbridge.metrics.instruments import LOG_RECORDS, REQUEST_DURATION, REQUESTS

# Where an alert's page stands; a relative path, because only the reader knows where the repository is shown.
RUNBOOKS = "docs/runbooks"

# The objectives: of 1,000 requests 999 succeed, of 100 requests 99 take no longer than SLOW_S, over 30 days.
ERRORS_ALLOWED = 0.001
SLOW_ALLOWED = 0.01
SLOW_S = 1.0  # one of the buckets' bounds

# https://sre.google/workbook/alerting-on-slos/, table 5-8: how many times faster than allowed the budget of 30 days is
# spent. 14.4 for an hour is 2 % of it, 6 for six hours 5 %. The short window ends the alert soon after the cause.
FAST, SLOW = 14.4, 6.0
WINDOWS = ("5m", "30m", "1h", "6h")

# The scrape job of the Collector's own metrics.
COLLECTOR_JOB = "collector"
QUEUE_USED_MAX = 0.8


@dataclass(frozen=True, slots=True)
class Record:
    """A recording rule."""

    record: str
    expression: str


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert: page wakes a person, ticket waits until the morning. `board` is the uid of the board to look at."""

    alert: str
    expression: str
    lasting: str
    severity: Literal["page", "ticket"]
    board: str
    summary: str
    description: str


def recording_rules(prefix: str = "") -> str:
    """Return the recording rules as YAML; `prefix` is statsd_prefix."""
    records = [record for window in WINDOWS for record in _records(window, (OTLP, NATIVE, statsd(prefix)))]
    return _file("otelbridge-recording", (_record_lines(record) for record in records))


def alert_rules(runbooks: str = RUNBOOKS, prefix: str = "") -> str:
    """Return the alerts as YAML; `runbooks` is the address of the folder with their pages."""
    services = (*_budget_alerts(), _silence_alert(prefix))
    lines = [_alert_lines(alert, runbooks) for alert in (*services, *_collector_alerts())]
    return _file("otelbridge-alerts", lines)


def _records(window: str, ways: Sequence[Way]) -> list[Record]:
    questions = [Questions(way, (), window) for way in ways]
    requests = first_of(asked.rate(REQUESTS, by=("job",)) for asked in questions)
    failed = first_of(asked.rate(REQUESTS, FAILED, by=("job",)) for asked in questions)
    slow = first_of(
        asked.share_above(SLOW_S * _per_second(asked.way), REQUEST_DURATION, by=("job",)) for asked in questions
    )
    p99 = first_of(_in_seconds(asked.quantile(0.99, REQUEST_DURATION, by=("job",)), asked.way) for asked in questions)
    rate = _recorded("requests", "rate", window)
    return [
        Record(rate, requests),
        # A service without a failure has no failed series, and its ratio is 0; without a request it has none.
        Record(
            _recorded("requests_failed", "ratio_rate", window), f"(\n  {failed}\n  or {rate} * 0\n)\n/ ({rate} > 0)"
        ),
        Record(_recorded("requests_slow", "ratio_rate", window), slow),
        Record(_recorded("request_duration_seconds", "p99_rate", window), p99),
    ]


def _budget_alerts() -> list[Alert]:
    subjects = (
        ("Error", "requests_failed", ERRORS_ALLOWED, "requests fail"),
        ("Latency", "requests_slow", SLOW_ALLOWED, f"requests take longer than {SLOW_S:g} s"),
    )
    speeds: tuple[tuple[str, float, str, str, Literal["page", "ticket"], str], ...] = (
        ("Fast", FAST, "1h", "5m", "page", "2m"),
        ("Slowly", SLOW, "6h", "30m", "ticket", "15m"),
    )
    return [
        Alert(
            alert=f"{subject}BudgetBurns{speed}",
            expression="\nand ".join(
                f"{_recorded(ratio, 'ratio_rate', window)} > {factor:g} * {allowed:g}" for window in (long, short)
            ),
            lasting=lasting,
            severity=severity,
            board=SERVICE_UID,
            summary=f"Too many {what} in {_label('job')}",
            description=f"{{{{ $value | humanizePercentage }}}} of the last {long}, and as many of the last {short}: "
            f"{factor:g} times what the objective allows ({allowed:.1%}).",
        )
        for subject, ratio, allowed, what in subjects
        for speed, factor, long, short, severity, lasting in speeds
    ]


def _silence_alert(prefix: str) -> Alert:
    names = dict.fromkeys(metric_name(LOG_RECORDS, way) for way in (OTLP, statsd(prefix)))
    return Alert(
        alert="ServiceSilent",
        expression=first_of(
            f"group by (job) (last_over_time({name}[1h])) unless group by (job) ({name})" for name in names
        ),
        lasting="5m",
        severity="page",
        board=SERVICE_UID,
        summary="{{ $labels.job }} has stopped sending metrics",
        description="It sent some within the last hour, and none for the last ten minutes.",
    )


def _collector_alerts() -> list[Alert]:
    job = (f'job="{COLLECTOR_JOB}"',)
    by_instance = ("job", "instance")
    items = f"{{{{ $value | humanize }}}} {_label(otelcol.SIGNAL)} per second"
    outcome = _label(otelcol.OUTCOME)
    by_queue = (*by_instance, otelcol.EXPORTER, otelcol.DATA_TYPE)
    # Not every attempt has all of them.
    target = "".join(f'{{{{ with index $labels "{label}" }}}} {{{{ . }}}}{{{{ end }}}}' for label in otelcol.TARGET)
    return [
        Alert(
            alert="CollectorDown",
            expression=f"up{{{job[0]}}} == 0",
            lasting="2m",
            severity="page",
            board=COLLECTOR_UID,
            summary="The collector {{ $labels.instance }} does not answer",
            description="Prometheus cannot read its metrics; services keep their records while their memory lasts.",
        ),
        Alert(
            alert="CollectorRefusesData",
            expression=f"({otelcol.items_rate(otelcol.REFUSED, (*by_instance, otelcol.RECEIVER), job, '5m')}) > 0",
            lasting="2m",
            severity="page",
            board=COLLECTOR_UID,
            summary="The collector {{ $labels.instance }} refuses data",
            description=f"{items} at the receiver {_label(otelcol.RECEIVER)}: {outcome}.",
        ),
        Alert(
            alert="CollectorCannotExport",
            expression=f"({otelcol.failed_attempts_rate((*by_instance, *otelcol.TARGET), job, '5m')}) > 0",
            lasting="5m",
            severity="page",
            board=COLLECTOR_UID,
            summary="The collector {{ $labels.instance }} cannot deliver",
            description=f"{{{{ $value | humanize }}}} attempts per second to{target} fail; data waits in its queue.",
        ),
        Alert(
            alert="CollectorLosesData",
            expression=f"({otelcol.items_rate(otelcol.LOST, (*by_instance, otelcol.EXPORTER), job, '5m')}) > 0",
            lasting="0m",
            severity="page",
            board=COLLECTOR_UID,
            summary="The collector {{ $labels.instance }} loses data",
            description=f"{items} at the exporter {_label(otelcol.EXPORTER)}: {outcome}.",
        ),
        Alert(
            alert="CollectorQueueNearlyFull",
            expression=f"{otelcol.queue_used(by_queue, job)} > {QUEUE_USED_MAX:g}",
            lasting="5m",
            severity="ticket",
            board=COLLECTOR_UID,
            summary="A queue of the collector {{ $labels.instance }} is nearly full",
            description=f"{{{{ $value | humanizePercentage }}}} of the queue of {_label(otelcol.EXPORTER)} "
            f"for {_label(otelcol.DATA_TYPE)} are in use.",
        ),
    ]


def _label(name: str) -> str:
    """A label's value in an alert's text."""
    return f"{{{{ $labels.{name} }}}}"


def _recorded(what: str, how: str, window: str) -> str:
    """The name of a recorded series: level, metric, operation, as Prometheus's documentation advises."""
    return f"job:http_server_{what}:{how}{window}"


def _in_seconds(duration: str, way: Way) -> str:
    factor = _per_second(way)
    return duration if factor == 1 else f"{duration} / {factor}"


def _per_second(way: Way) -> int:
    return 1000 if way.duration_unit == "ms" else 1


# ------------------------------------------------------------------------------------------------------------- YAML


def _file(group: str, rules: Iterable[list[str]]) -> str:
    head = ["# Generated by `otelbridge dashboards`: change otelbridge/dashboards/rules.py.", "groups:"]
    lines = [line for rule in rules for line in rule]
    return "\n".join([*head, f"  - name: {group}", "    rules:", *lines]) + "\n"


def _record_lines(rule: Record) -> list[str]:
    return [f"      - record: {rule.record}", *_expression(rule.expression)]


def _alert_lines(rule: Alert, runbooks: str) -> list[str]:
    annotations = {
        "summary": rule.summary,
        "description": rule.description,
        "runbook_url": f"{runbooks.rstrip('/')}/{rule.alert}.md",
        "dashboard_uid": rule.board,
    }
    return [
        f"      - alert: {rule.alert}",
        *_expression(rule.expression),
        f"        for: {rule.lasting}",
        "        labels:",
        f"          severity: {rule.severity}",
        "        annotations:",
        # A JSON string is a YAML string.
        *(f"          {name}: {json.dumps(text, ensure_ascii=False)}" for name, text in annotations.items()),
    ]


def _expression(expression: str) -> list[str]:
    return ["        expr: |-", *(f"          {line}" for line in expression.splitlines())]

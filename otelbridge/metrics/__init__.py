"""Metrics: one table of instruments (`instruments`) and one module per way out (`otel`; StatsD lines later).

Leaves to others when something is measured (`access/`) and who sends the points (`otlp/`, or the user's MeterProvider).
"""

"""What arrives in a real OpenTelemetry Collector from real programs."""

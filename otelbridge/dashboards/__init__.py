"""The metrics' table as Grafana's boards and Prometheus's rules: `otelbridge dashboards` writes them."""

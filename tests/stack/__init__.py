"""The shop in three ways, a real Collector, and the real backends behind it: all that compose starts but Grafana."""

"""One module per host that otelbridge plugs into."""

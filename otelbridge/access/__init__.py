"""Requests become access records, spans and metrics.

`options` are checked once; `asgi`, `websocket` and `wsgi` speak with the hosts; `observe` makes of a request what it is
to become. `otelbridge.integrations.apps` decides which app is instrumented how.
"""

"""Who wants a record? Renders it once for each Python sink.

OTLP is no handler: the core (or the user's LoggerProvider) gets its record first, whatever the sinks do.
"""

"""Text: times, markup, tracebacks and what makes user text inert. Knows nothing of handlers or streams."""

"""OTLP: settings, resource, and the seam to the official exporters. Threads and retries are `delivery`'s."""

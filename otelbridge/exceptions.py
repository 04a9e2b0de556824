"""The errors of otelbridge. Knows nothing else of the package."""


class OtelbridgeError(Exception):
    """Base of every error that otelbridge raises on its own account."""


class ConfigError(OtelbridgeError, ValueError):
    """A mistake at set-up: says what was wrong, what was expected and what was got."""

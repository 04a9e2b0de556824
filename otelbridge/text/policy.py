"""The redaction policy of the process: what `configure(redact=…)` set, for everything that shows a value."""

from __future__ import annotations

from otelbridge.departures import strict
from otelbridge.text.redaction import Redaction


class Active:
    """Holds the policy."""

    policy = Redaction.from_setting(() if strict() else None)


ACTIVE = Active()

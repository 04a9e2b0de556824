"""What the two rooms may import."""

from __future__ import annotations

import subprocess
import sys


def test_access_and_metrics_need_the_api_only() -> None:
    """Importing them loads neither the SDK, an exporter nor a framework."""
    code = (
        "import sys, otelbridge.access, otelbridge.metrics.otel; "
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter',"
        " 'hypercorn', 'starlette', 'requests', 'grpc'))])"
    )

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert result.stdout.strip() == "[]"

"""Each example is short, runs, and what it sends arrives."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.otlp.receivers import OtlpReceiver
from tools.places import ROOT

EXAMPLES = ROOT / "examples"
LINES_MAX = 20

# Example -> how its framework spells the template.
APPS = {
    "asgi": "/items/{name}",
    "wsgi": "/items/{name}",
    "starlette_app": "/items/{name}",
    "fastapi_app": "/items/{name}",
    "litestar_app": "/items/{name}",
    "quart_app": "/items/<name>",
    "flask_app": "/items/<name>",
    "django_app": "items/<name>",
}

SERVE = """
import inspect, sys
sys.path.insert(0, "examples")
from importlib import import_module
from tests.integrations.hosts import call_asgi, call_wsgi
import otelbridge
app = import_module(sys.argv[1]).app
is_asgi = inspect.iscoroutinefunction(app.__call__)
answer = (call_asgi if is_asgi else call_wsgi)(app, "/items/tea", **({} if is_asgi else {"HTTP_HOST": "127.0.0.1"}))
otelbridge.flush(20)
print(answer.status, answer.body.decode())
"""


def run(arguments: list[str], receiver: OtlpReceiver) -> str:
    """Run Python with `arguments`, sending to `receiver`; return its standard output."""
    env = os.environ | {"OTEL_EXPORTER_OTLP_ENDPOINT": receiver.endpoint}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", APPS)
def test_an_application_serves_and_is_recorded(name: str, otlp_receiver: OtlpReceiver) -> None:
    """One request: its answer, and its access record, log line and span under one trace, with the route's template."""
    output = run(["-c", SERVE, name], otlp_receiver)

    assert output.split()[0] == "200"
    assert "tea" in output
    otlp_receiver.wait_for(lambda receiver: len(receiver.logs()) == 2 and len(receiver.spans()) == 1)
    line, access = sorted(otlp_receiver.logs(), key=lambda log: str(log.item.event_name))
    (span,) = otlp_receiver.spans()
    assert access.item.event_name == "http.server.access"
    assert access.attributes["http.route"] == APPS[name]
    assert span.item.name == f"GET {APPS[name]}"
    assert {line.item.trace_id, access.item.trace_id} == {span.item.trace_id}


def test_the_move_from_loguru(otlp_receiver: OtlpReceiver) -> None:
    """Its lines are loguru's, and the same records are sent."""
    output = run([str(EXAMPLES / "from_loguru.py")], otlp_receiver)

    assert output.splitlines()[0] == "INFO Paying 12.50 euros {'total': 12.5}"
    assert "TimeoutError: the bank does not answer" in output
    otlp_receiver.wait_for(lambda receiver: len(receiver.logs()) == 2)
    assert [log.item.severity_text for log in otlp_receiver.logs()] == ["INFO", "ERROR"]


def test_examples_are_short() -> None:
    """20 lines at most; the shop is the demo's."""
    lines = {path.name: len(path.read_text("utf-8").splitlines()) for path in EXAMPLES.glob("*.py")}

    assert {name: count for name, count in lines.items() if count > LINES_MAX and name != "shop.py"} == {}
    assert set(lines) >= {f"{name}.py" for name in APPS}

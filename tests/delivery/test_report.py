"""What the user is told: few lines, each worth reading."""

from __future__ import annotations

import logging
import sys

import pytest

from otelbridge.delivery.report import Reporter, write_line
from otelbridge.otlp.outcome import Outcome

URL = "http://user:secret@collector:4318/v1/logs?key=secret"
REFUSED = Outcome("retry", message="the connection was refused", cause="refused")


class Told:
    def __init__(self) -> None:
        self.now = 100.0
        self.lines: list[str] = []
        self.reporter = Reporter(self.lines.append, lambda: self.now)


def test_an_outage_is_two_lines() -> None:
    """
    An outage is one line when it begins, with address, cause and fix, and one when it ends, with numbers.
    """
    told = Told()

    for signal in ("logs", "traces", "logs", "metrics"):
        told.reporter.trouble(signal, URL.replace("logs", signal), "http/protobuf", REFUSED, lost=5)
        told.now += 4
    told.reporter.success("logs", URL, waiting=1200, lost=7)
    told.reporter.success("traces", URL, waiting=0, lost=0)

    assert told.lines == [
        "cannot deliver logs to http://collector:4318/v1/logs: the connection was refused (is a collector listening "
        "there? 4318 is the usual port of OTLP over HTTP, 4317 that of gRPC); waiting in memory, trying again",
        "http://collector:4318/v1/logs accepts logs again after 16 s; 1,200 items waited, 2 were lost",
    ]


def test_refusal_of_one_signal_is_its_own() -> None:
    """
    A path that answers 404 is that signal's trouble, and does not end because another signal works.
    """
    told = Told()
    url = "http://collector:4318/v1/logs/v1/logs"

    told.reporter.trouble("logs", url, "http/protobuf", Outcome("rejected", message="404", cause="http_404"), 0)
    told.reporter.success("traces", "http://collector:4318/v1/traces", 0, 0)

    assert len(told.lines) == 1
    assert "the path is doubled" in told.lines[0]
    assert "lost" in told.lines[0]


def test_losses_are_told_every_thirty_seconds() -> None:
    """
    Losses are told at most every thirty seconds, and the rest at the end.
    """
    told = Told()

    for lost in (0, 10, 20, 30):
        told.reporter.losses(lost)
        told.now += 12
    told.reporter.losses(35)
    told.reporter.losses(40, final=True)
    told.reporter.losses(40, final=True)

    assert [line.split()[3] for line in told.lines] == ["10", "25", "5"]


def test_lines_go_to_the_real_stderr(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A line goes to the process's stderr, past sys.stderr and logging; without a stderr it is not an error.
    """
    logging.getLogger().addHandler(logging.NullHandler())

    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", None)
        write_line("hello")
        patch.setattr(sys, "__stderr__", None)
        write_line("nobody")

    assert capfd.readouterr().err == "otelbridge: hello\n"

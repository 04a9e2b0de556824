"""A server as a child process: started, asked whether it is ready, stopped. Leaves what runs to others."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

from tests.collector.real import wait_until
from tools.places import ROOT

READY_TIMEOUT_S = 40.0
STOP_TIMEOUT_S = 20.0
T = TypeVar("T")


class Server(ABC):
    """One server; `stop()` and `start()` may alternate: it comes back on the same ports, with the same files."""

    def __init__(self, name: str, command: Sequence[str], log: Path, **environ: str) -> None:
        self.name = name
        self._command = list(command)
        self._environ = environ
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return when it is ready."""
        self.launch()
        self.await_ready()

    def launch(self) -> None:
        """Start, and return at once."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=clean_environment() | self._environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def await_ready(self) -> None:
        """Return when it answers that it is ready."""
        wait_until(self._is_ready, READY_TIMEOUT_S, lambda: f"{self.name} is not ready; it said:\n{self.said()}")

    def stop(self) -> None:
        """Stop as a service manager would."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @abstractmethod
    def answers(self) -> bool:
        """Whether it is ready."""

    def said(self) -> str:
        """Its last lines."""
        return "\n".join(self._log.read_text("utf-8", "replace").splitlines()[-20:]) if self._log.exists() else ""

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"{self.name} ended at once; it said:\n{self.said()}"
        return self.answers()


def clean_environment() -> dict[str, str]:
    """The environment of a child: ours without settings of telemetry, which might lead elsewhere."""
    unset = ("OTEL_", "OTELBRIDGE_", "LOGURU_")
    return {name: text for name, text in os.environ.items() if not name.startswith(unset)}


def says_yes(url: str) -> bool:
    """Whether a page is there."""
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status < 300)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def ask(url: str, **parameters: str | float) -> Any:
    """What a server answers, as JSON; an error of its own fails with its words."""
    full = f"{url}?{urlencode(parameters)}" if parameters else url
    try:
        with urllib.request.urlopen(full, timeout=20) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{full}: {error.code} {error.read().decode('utf-8', 'replace')[:500]}") from None


def replaced(source: Path, target: Path, changes: Mapping[str, str]) -> Path:
    """Write *source* to *target* with *changes* made; what is to be changed must be there."""
    text = source.read_text("utf-8")
    for old, new in changes.items():
        assert old in text, f"{source.name} has no {old!r} any more: what replaces it for loopback has to follow"
        text = text.replace(old, new)
    target.write_text(text, "utf-8")
    return target


def eventually(question: Callable[[], T], timeout_s: float = 30.0) -> T:
    """The first true answer; fails with the last one."""
    answers: list[T] = []

    def answered() -> bool:
        answers[:] = [question()]
        return bool(answers[0])

    wait_until(answered, timeout_s, lambda: f"the answer was still {answers}")
    return answers[0]

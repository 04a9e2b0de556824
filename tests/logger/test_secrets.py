"""Redaction, end to end: a canary is put wherever a secret may stand, and looked for wherever records go."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from otelbridge._logger import Logger
from tests.logger.conftest import Exporting

CANARY = "CaNaRy-8451"
URL = f"https://user:{CANARY}@host/path?q=1&sig={CANARY}"


def caught(log: Logger) -> None:
    """Log an exception whose text and frames have secrets."""
    password, settings = CANARY, {"api_key": CANARY}
    try:
        fail(password, settings)
    except ValueError:
        log.exception("failed")


def fail(password: str, settings: dict[str, str]) -> None:
    """Both arguments stand in the line that raises."""
    url = URL
    raise ValueError(url) if password and settings else TypeError


def say_url(record: Any) -> None:
    record["message"] = URL


SPOTS: dict[str, Callable[[Logger], object]] = {
    "keyword": lambda log: log.info("login", password=CANARY),
    "filled in": lambda log: log.info("login with {password}", password=CANARY),
    "bound": lambda log: log.bind(api_key=CANARY).info("call"),
    "contextualized": lambda log: within(log),
    "nested": lambda log: log.info("call", user={"name": "ada", "auth": [{"token": CANARY}]}),
    "positional dict": lambda log: log.info("got {}", {"client_secret": CANARY}),
    "URL in the message": lambda log: log.info("GET " + URL),
    "URL as an argument": lambda log: log.info("GET {}", URL),
    "URL as a value": lambda log: log.info("GET", url=URL),
    "exception as an argument": lambda log: log.info("got {}", ValueError(URL)),
    "exception": caught,
    "lazy": lambda log: log.opt(lazy=True).info("{password}", password=lambda: CANARY),
    "colors": lambda log: log.opt(colors=True).info("<red>{password}</red> {}", URL, password=CANARY),
    "raw": lambda log: log.opt(raw=True).info("{password}", password=CANARY),
    "record": lambda log: log.opt(record=True).info("{record[extra][password]}", password=CANARY),
    "no capture": lambda log: log.opt(capture=False).info("{password}", password=CANARY),
    "patched": lambda log: log.patch(lambda r: r["extra"].update(password=CANARY)).info("x"),
    "patched message": lambda log: log.patch(say_url).info("x"),
    "span": lambda log: spanned(log),
}


def within(log: Logger) -> None:
    with log.contextualize(session_token=CANARY):
        log.info("call")


def spanned(log: Logger) -> None:
    with log.span("call", password=CANARY):
        log.info("call")


@pytest.mark.parametrize("spot", SPOTS)
def test_secret_reaches_nobody(exporting: Exporting, tmp_path: Path, spot: str) -> None:
    """
    Text, JSON, a callable's message and the wire: none of them has the canary, and each of them has the record.
    """
    log = exporting.logger
    said: list[str] = []
    numbers = [
        log.add(lambda message: said.append(str(message)), format="{message} {extra}", diagnose=True),
        log.add(tmp_path / "text.log", format="{message} {extra}", diagnose=True, enqueue=True),
        *(log.add(tmp_path / f"{shape}.json", serialize=shape) for shape in ("loguru", "flat", "otel", "ecs")),
    ]
    try:
        SPOTS[spot](log)
    finally:
        for number in numbers:
            log.remove(number)

    wire = exporting.take()
    files = {path.name: path.read_text("utf-8") for path in tmp_path.iterdir()}
    assert (len(said), len(wire), len(files)) == (1, 1, 5)
    assert [name for name, text in files.items() if not text or CANARY in text] == []
    assert CANARY not in said[0]
    assert CANARY.encode() not in wire[0]


def test_values_are_told_apart_by_name(log: Logger) -> None:
    """
    Only what is secret is hidden; what stands beside it is not.
    """
    said: list[Any] = []
    log.add(lambda message: said.append(json.loads(message)), serialize="flat")
    log.info("login {user} {password}", user="ada", password=CANARY, token_count=3)

    assert said[0]["message"] == "login ada [REDACTED]"
    assert said[0]["extra"] == {"user": "ada", "password": "[REDACTED]", "token_count": 3}

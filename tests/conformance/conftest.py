"""Each conformance test runs twice: on loguru, which proves it true, and on otelbridge, which has to do the same."""

from __future__ import annotations

import functools
import importlib
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otelbridge._export import set_redaction
from otelbridge.text.redaction import Redaction
from tests.conformance.support import IMPLEMENTATIONS, Kept, Script, add, reset


@pytest.fixture(scope="session", autouse=True)
def quick_paths() -> Iterator[None]:
    """Ask for Python's folders once: loguru asks anew for each handler, which takes longer than most of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("get_path", "get_paths"):
            patch.setattr(sysconfig, name, functools.cache(getattr(sysconfig, name)))
        yield


@pytest.fixture(autouse=True)
def unredacted() -> Iterator[None]:
    """OTELBRIDGE_LOGURU_STRICT is read for redaction when the logger is imported; here that has happened."""
    set_redaction(Redaction.from_setting(()))
    yield
    set_redaction(Redaction.from_setting())


@pytest.fixture(params=IMPLEMENTATIONS)
def implementation(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The package's name; otelbridge without its departures from loguru."""
    monkeypatch.setenv("OTELBRIDGE_LOGURU_STRICT", "1")
    return str(request.param)


@pytest.fixture
def logger(implementation: str) -> Iterator[Any]:
    """The implementation's logger as new, before and after."""
    found = importlib.import_module(implementation).logger
    reset(found)
    try:
        yield found
    finally:
        reset(found)


@pytest.fixture
def kept(logger: Any) -> Kept:
    """A sink for all levels that keeps the bare messages."""
    return add(logger)


@pytest.fixture
def script(implementation: str, tmp_path: Path) -> Script:
    """Runs source code in a fresh process, `from PACKAGE import logger` being the implementation's."""
    return Script(implementation, tmp_path)

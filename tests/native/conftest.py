"""The process-wide core, exporting to nobody: tests take the encoded records themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from otelbridge import context
from otelbridge._family import Activation
from otelbridge._logger import Logger, core, logger
from otelbridge.levels import Levels
from tests.native.oracle import wire_records

SIZE = 64 << 20


class Exporting:
    """The logger, and what it has encoded."""

    def __init__(self) -> None:
        self.logger: Logger = logger
        self.core = core

    def take(self) -> list[bytes]:
        """The records since the last call, oldest first."""
        records: list[bytes] = []
        while (taken := core.take(b"", b"", SIZE, 100_000)) is not None:
            found = wire_records(taken[0])
            assert len(found) == taken[1]
            records += found
        return records

    def dropped(self) -> int:
        """Records lost so far, for any reason."""
        return sum(core.counters()[3:])


@contextmanager
def untouched(log: Logger) -> Iterator[None]:
    """Inside, the logger has no sink, loguru's levels only, and nothing configured; afterwards it is as it was."""
    family = log._family
    saved = dict(family._state())
    plain = {"handlers": (), "levels": Levels(), "activation": Activation(), "extra": {}, "patcher": None}
    family._restore({**saved, **plain})
    try:
        yield
    finally:
        for handler in family.handlers.active:
            handler.stop()
        family.holds.end(None)
        family._restore(saved)


@pytest.fixture
def exporting() -> Iterator[Exporting]:
    """No Python sink, everything encoded; as it was afterwards."""
    with untouched(logger):
        yield from encoding()


def encoding() -> Iterator[Exporting]:
    """Everything is encoded, for the test to take."""
    core.after_fork()
    core.set_wake(None, 1 << 40, 1 << 40)
    core.set_limits(128, 0)
    core.set_export("on", 0, SIZE)
    context.attach(core)
    try:
        yield Exporting()
    finally:
        core.set_export("off", 0, SIZE)
        core.set_limits(128, 0)
        core.after_fork()

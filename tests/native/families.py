"""A core and a dispatcher of a test's own, which keep what they are given."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from otelbridge._native import AttrSet, Core, Dispatcher, Event, LoggerBase
from otelbridge.levels import DEFAULT_LEVELS
from otelbridge.record import RecordLevel
from tests.native.oracle import wire_records

LEVELS = tuple(RecordLevel(level.name, level.no, level.icon) for level in DEFAULT_LEVELS)
SIZE = 64 << 20


class Family:
    """One dispatcher with its logger: events that were delivered, calls that were dispatched."""

    def __init__(self, core: Core | None = None, sink_level: int | None = 0) -> None:
        self.context: ContextVar[AttrSet | None] = ContextVar("test", default=None)
        self.core = Core(self.context) if core is None else core
        self.events: list[Event] = []
        self.calls: list[tuple[Any, ...]] = []
        self.dispatcher = Dispatcher(self.core, self.take_call, self.events.append)
        self.dispatcher.set_levels(LEVELS)
        self.dispatcher.set_sink_level(sink_level)
        self.log = LoggerBase(self.dispatcher)

    def take_call(self, *arguments: Any) -> None:
        self.calls.append(arguments)

    def encode(self, level_no: int = 0) -> None:
        """From now on records are encoded."""
        self.core.set_export("on", level_no, SIZE)

    def take(self) -> list[bytes]:
        """The records encoded since the last call."""
        taken = self.core.take(b"", b"", SIZE, 100_000)
        return [] if taken is None else wire_records(taken[0])

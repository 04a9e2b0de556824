"""`logger.hold`: what is too detailed to keep is kept until its trace, or its block, logs an error."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from types import TracebackType

    from otelbridge._native import Event

ERROR_NO = 40
# Traces whose records are held at the same time: a trace that never ends in an error is forgotten.
TRACE_COUNT_MAX = 1000

_block: ContextVar[Hold | None] = ContextVar("otelbridge_hold", default=None)


class Held(NamedTuple):
    """A call that waits: the event and what else its sinks and OTLP need."""

    event: Event
    text: Any
    how: Any


class Hold:
    """What `logger.hold(level)` returns: holds by trace from then on; as a `with` block, for that block instead."""

    __slots__ = ("_holds", "_rings", "_tokens", "level_no", "size")

    def __init__(self, holds: Holds, level_no: int, size: int) -> None:
        self._holds = holds
        self.level_no = level_no
        self.size = size
        self._rings: OrderedDict[str | None, deque[Held]] = OrderedDict()
        self._tokens: list[Token[Hold | None]] = []

    def __enter__(self) -> Hold:
        self._holds.begin_block(self)
        self._tokens.append(_block.set(self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _block.reset(self._tokens.pop())
        self._rings.clear()
        self._holds.end(self)

    def stop(self) -> None:
        """Hold nothing any longer; what is held is forgotten."""
        self._rings.clear()
        self._holds.end(self)

    def ring(self, key: str | None) -> deque[Held]:
        """What is held of a trace, or (None) of the block."""
        ring = self._rings.get(key)
        if ring is None:
            ring = self._rings[key] = deque(maxlen=self.size)
            if len(self._rings) > TRACE_COUNT_MAX:
                self._rings.popitem(last=False)
        return ring


class Holds:
    """The holds of one family of loggers."""

    def __init__(self, on_change: Callable[[], object]) -> None:
        self._on_change = on_change
        self._by_trace: Hold | None = None
        self._blocks: list[Hold] = []

    @property
    def level_no(self) -> int | None:
        """The lowest level that is held; None while nothing is."""
        levels = [hold.level_no for hold in self._blocks]
        if self._by_trace is not None:
            levels.append(self._by_trace.level_no)
        return min(levels, default=None)

    def begin(self, level_no: int, size: int) -> Hold:
        """Hold by trace; an earlier such hold ends."""
        self._by_trace = Hold(self, level_no, size)
        self._on_change()
        return self._by_trace

    def begin_block(self, hold: Hold) -> None:
        """A hold is entered as a block: it is none by trace."""
        if self._by_trace is hold:
            self._by_trace = None
        self._blocks.append(hold)
        self._on_change()

    def end(self, hold: Hold | None) -> None:
        """End a hold; None: the one by trace."""
        if hold is None or self._by_trace is hold:
            self._by_trace = None
        if hold in self._blocks:
            self._blocks.remove(hold)
        self._on_change()

    def keep(self, held: Held) -> list[Held]:
        """Keep a call of a trace or block; if it is an error, return what was held until then instead."""
        hold, key = _block.get(), None
        if hold is None or hold not in self._blocks:
            hold = self._by_trace
            ids = held.event.ids
            if hold is None or ids is None:
                return []
            key = ids[0]
        ring = hold.ring(key)
        if held.event.level.no >= ERROR_NO:
            released = list(ring)
            ring.clear()
            return released
        if held.event.level.no >= hold.level_no:
            ring.append(held)
        return []

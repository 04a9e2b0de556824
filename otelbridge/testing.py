"""For the tests of programs that log: what was logged, as records; and a clock that test tools can stop."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from otelbridge import _native
from otelbridge._logger import logger

if TYPE_CHECKING:
    from otelbridge.message import Message
    from otelbridge.record import Record


class Capture:
    """The records logged while it is open, oldest first. Iterates over them."""

    def __init__(self, level: str | int) -> None:
        self._level = level
        self._handler_id: int | None = None
        self.records: list[Record] = []

    def __enter__(self) -> Capture:
        self._handler_id = logger.add(self._take, level=self._level, format="{message}", catch=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        handler_id, self._handler_id = self._handler_id, None
        if handler_id is not None and handler_id in logger.stats():  # the program may have removed all sinks
            logger.remove(handler_id)

    def _take(self, message: Message) -> None:
        self.records.append(message.record)

    @property
    def messages(self) -> list[str]:
        """What was said."""
        return [record["message"] for record in self.records]

    def find(self, message: str | None = None, *, level: str | None = None, **extra: Any) -> list[Record]:
        """The records whose message contains `message`, of that level's name, with these values in extra."""
        return [
            record
            for record in self.records
            if (message is None or message in record["message"])
            and (level is None or record["level"].name == level)
            and all(name in record["extra"] and record["extra"][name] == value for name, value in extra.items())
        ]

    def clear(self) -> None:
        """Forget what was captured so far."""
        self.records.clear()

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)


def capture(level: str | int = 0) -> Capture:
    """Keep every record from `level` on (a name or number), whatever other sinks there are, inside a `with` block."""
    return Capture(level)


def python_clock(on: bool) -> None:
    """Take times from `time.time_ns()`, looked up at each call, instead of from the core.

    So that freezegun, time-machine and monkeypatch can stop or move them. Costs about a microsecond per call.
    """
    _native.set_clock((lambda: time.time_ns()) if on else None)  # looked up at each call

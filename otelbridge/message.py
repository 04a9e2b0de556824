"""What a sink is given: a rendered line, and the record it was rendered from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otelbridge._native import Event
    from otelbridge.record import Record


class Message(str):
    """A rendered line. `record` is the dict it was rendered from, made when somebody asks for it."""

    __slots__ = ("_source",)
    _source: Event | Record

    @property
    def record(self) -> Record:
        """The record (features.md 1.28)."""
        source = self._source
        return source if isinstance(source, dict) else source.record

    @record.setter
    def record(self, record: Record) -> None:
        self._source = record

    def __reduce__(self) -> tuple[Any, ...]:
        return make_message, (str(self), self.record)


def make_message(text: str, source: Event | Record) -> Message:
    """A message of `text`, about the call or record `source`."""
    message = Message(text)
    message._source = source
    return message

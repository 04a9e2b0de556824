"""What is said on stderr when a sink fails. Never raises, never logs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from otelbridge.departures import strict
from otelbridge.text.sanitise import inert

if TYPE_CHECKING:
    from otelbridge.record import Record


class SinkErrors:
    """The failures of one handler: the first of a row is told in full, the end of the row with its number."""

    def __init__(self, handler_id: int) -> None:
        self._handler_id = handler_id
        # Records lost since the last that could be written, and in all.
        self.in_row = 0
        self.count = 0

    def tell(self, record: Record | None) -> None:
        """Count the exception being handled, and report it if it is news."""
        self.count += 1
        self.in_row += 1
        if self.in_row == 1 or strict():
            _write(self._report(record))

    def over(self) -> None:
        """A record was written: if others were lost before, say how many."""
        lost, self.in_row = self.in_row, 0
        if lost > 1 and not strict():
            _write(f"otelbridge: handler #{self._handler_id} works again; it could not write {lost} records\n")

    def _report(self, record: Record | None) -> str:
        import traceback

        head = f"--- Logging error in otelbridge handler #{self._handler_id} ---\nRecord was: {_show(record)}\n"
        return inert(head + traceback.format_exc()) + "--- End of logging error ---\n"


def _write(text: str) -> None:
    stream = sys.stderr
    if stream is None:
        return
    try:
        stream.write(text)
    except Exception:  # stderr itself is broken: there is nobody left to tell
        return


def _show(record: Any) -> str:
    try:
        return str(record)
    except Exception as error:
        return f"<record that cannot be shown: {type(error).__name__}>"

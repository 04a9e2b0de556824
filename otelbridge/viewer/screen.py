"""The live view: takes what is new from the store and puts it on a stream. How things look is decided in `render`.

Two ways: a coloured live view with rich on a terminal, and plain lines everywhere else.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol, TextIO

from otelbridge.viewer import render
from otelbridge.viewer.store import Store

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

LINES_PER_UPDATE_MAX = 200  # a flood is counted, not scrolled by
TABLE_INTERVAL_S = 5.0  # between two tables of plain lines
TRACE_ID_WIDTH = 32


class Screen(Protocol):
    """Somewhere to show a store; a context manager that leaves the terminal as it was."""

    def __enter__(self) -> Screen: ...
    def __exit__(self, *_: object) -> None: ...

    def update(self, note: str) -> None:
        """Show what is new since the last call; *note* says how it goes on."""

    def say(self, *lines: render.Line) -> None:
        """Show lines that are not from the store."""


def open_screen(store: Store, stream: TextIO, environ: Mapping[str, str] = os.environ) -> Screen:
    """The live view if *stream* is a terminal that takes colours and rich is installed, else plain lines."""
    if wants_colour(stream, environ) and importlib.util.find_spec("rich") is not None:
        return LiveScreen(store, stream)
    return PlainScreen(store, stream)


def wants_colour(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether *stream* is a terminal whose user wants colours (NO_COLOR is unset or empty, TERM is not `dumb`)."""
    return stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


class PlainScreen:
    """One line per log record with its whole trace id, and from time to time the table of routes."""

    def __init__(self, store: Store, stream: TextIO) -> None:
        self._store = store
        self._stream = stream
        self._position = 0
        self._table_s = time.monotonic() + TABLE_INTERVAL_S

    def __enter__(self) -> PlainScreen:
        return self

    def __exit__(self, *_: object) -> None:
        self._print_table()

    def update(self, note: str) -> None:  # noqa: ARG002  (there is no foot to put it in)
        """Print the new lines, and the table when it is due."""
        lines, skipped_count, self._position = self._store.lines_since(self._position)
        for line in lines:
            self._stream.write(render.plain(render.log_line(line, id_width=TRACE_ID_WIDTH)) + "\n")
        if skipped_count:
            self._stream.write(f"… {skipped_count} more log records\n")
        if time.monotonic() >= self._table_s:
            self._print_table()
        self._stream.flush()

    def say(self, *lines: render.Line) -> None:
        """Print lines without their colours."""
        self._stream.write("".join(render.plain(line) + "\n" for line in lines))
        self._stream.flush()

    def _print_table(self) -> None:
        self._table_s = time.monotonic() + TABLE_INTERVAL_S
        states = self._store.routes()
        if states:
            self.say([], *([(text, "")] for text in render.route_table(states)), [])


class LiveScreen:
    """Log lines scroll by above a table of routes that stays at the foot of the terminal."""

    def __init__(self, store: Store, stream: TextIO) -> None:
        from rich.console import Console

        self._store = store
        self._position = 0
        # What was received is never searched for markup, emoji names or things to highlight.
        self._console: Console = Console(file=stream, markup=False, emoji=False, highlight=False)
        self._live: Live | None = None
        self._open = ExitStack()

    def __enter__(self) -> LiveScreen:
        from rich.live import Live

        self._live = self._open.enter_context(Live(console=self._console, auto_refresh=False))
        return self

    def __exit__(self, *_: object) -> None:
        self._live = None
        self._open.close()

    def update(self, note: str) -> None:
        """Print the new lines above, and draw the foot again."""
        lines, skipped_count, self._position = self._store.lines_since(self._position)
        skipped_count += max(0, len(lines) - LINES_PER_UPDATE_MAX)
        rendered = [render.log_line(line) for line in lines[-LINES_PER_UPDATE_MAX:]]
        if skipped_count:
            rendered.append([(f"… {skipped_count} more log records", "dim")])
        if self._live is not None:
            routes, counts = self._store.routes(), self._store.counts()
            self._live.update(render.live_table(routes, counts, note, width=self._console.width))
        self.say(*rendered)
        if self._live is not None:
            self._live.refresh()

    def say(self, *lines: render.Line) -> None:
        """Print lines above the foot."""
        if lines:
            self._console.print(*map(render.coloured, lines), sep="\n", no_wrap=True, overflow="ellipsis")

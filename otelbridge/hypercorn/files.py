"""Where Hypercorn's lines go: a stream of the process, or a file that is found again after logrotate.

Handlers of `logging` like those that Hypercorn makes; nothing that happens to a target later reaches the server.
"""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import TextIO

from otelbridge._export import report_once

LINE_FORMAT = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"
DATE_FORMAT = "[%Y-%m-%d %H:%M:%S %z]"


class _Ours(logging.Handler):
    """A handler that a Logger of ours has made, and another one may replace."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 -- as logging has it
        """Say once that a line was lost: one traceback per line would be worse than the loss."""
        error = sys.exc_info()[1]
        if isinstance(error, Exception):
            report_once(f"writing a log line to {self}", error)


class StreamHandler(_Ours, logging.StreamHandler[TextIO]):
    """Standard output or error, as it is when this is made. What its encoding lacks is spelled out."""

    def format(self, record: logging.LogRecord) -> str:
        r"""The line; `\xe9` or `\u65e5` stands for a character that the stream cannot show."""
        text = super().format(record)
        encoding = getattr(self.stream, "encoding", None)
        if text.isascii() or not isinstance(encoding, str):
            return text
        return text.encode(encoding, "backslashreplace").decode(encoding)


class FileHandler(_Ours, logging.FileHandler):
    """Appends to a file in UTF-8; a line after the file was renamed or removed goes to a new one of its name.

    While that cannot be made, which is reported once, lines go where they went. OSError: it cannot be opened now.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace")

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line. Never raises."""
        try:
            if self.stream is None or self._is_elsewhere(self.stream):
                self._reopen()
        except OSError as error:
            report_once(f"opening the log file {self.baseFilename}", error)
            if self.stream is None:
                return
        super().emit(record)

    def _is_elsewhere(self, stream: TextIO) -> bool:
        try:
            there = os.stat(self.baseFilename)  # noqa: PTH116 -- at each line: a Path costs more than the call
        except OSError:
            return True
        return not os.path.samestat(there, os.fstat(stream.fileno()))

    def _reopen(self) -> None:
        opened = self._open()
        before, self.stream = self.stream, opened
        if before is not None:
            before.close()


def make_handler(setting: str, target: str | os.PathLike[str], stream: TextIO) -> logging.Handler:
    """Return what writes to `target`, "-" for `stream`. setting: what the user calls it.

    OSError, of the kind that opening it raised: the file cannot be written.
    """
    handler: logging.Handler
    if target == "-":
        handler = StreamHandler(stream)
    else:
        try:
            handler = FileHandler(target)
        except OSError as error:
            reason = error.strerror or str(error)
            msg = f"{setting} must be a file that can be written, got {str(target)!r}: {reason}"
            raise type(error)(msg) from error
    handler.setFormatter(logging.Formatter(LINE_FORMAT, DATE_FORMAT))
    return handler


def put_handler(source: logging.Logger, handler: logging.Handler) -> None:
    """Have `source` write through `handler` instead of one made here before; what others have put there stays."""
    for other in source.handlers[:]:
        if isinstance(other, _Ours):
            source.removeHandler(other)
            with suppress(OSError):  # a full disk
                other.close()
    # First, as where Hypercorn's own stands.
    source.handlers.insert(0, handler)

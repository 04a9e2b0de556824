"""Lines of JSON: one flat object for each record."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from otelbridge.sinks.console import Stream

# How lines begin that a handler has rendered as JSON: flat ones, and loguru's with serialize=True.
_RENDERED = ('{"time":', '{"text":')
_NOT_ASCII = re.compile("[^\x00-\x7f]")


class JsonSink:
    """Writes records as JSON, one object per line: time level message module function line extra (features.md 1.9).

    path: a file, which is appended to and whose folder is made, or an object with a `write` method.
    ensure_ascii: write other characters as a backslash, `u` and their number.
    `logger.add(JsonSink(…))` renders the lines; given any other message with a record, the sink renders its record.
    TypeError: path is neither. OSError: the file cannot be opened.
    """

    layout = "flat"

    def __init__(self, path: str | os.PathLike[str] | Stream, ensure_ascii: bool = False) -> None:
        if isinstance(path, str | os.PathLike):
            from otelbridge.sinks.file import FileSink

            self._sink: Any = FileSink(path, buffering=1)
        elif callable(getattr(path, "write", None)):
            from otelbridge.sinks.console import StreamSink

            self._sink = StreamSink(path)
        else:
            msg = f"path must be a str, a Path or an object with a write method, got {path!r}"
            raise TypeError(msg)
        self._ensure_ascii = bool(ensure_ascii)
        # For lines that a handler has rendered already.
        self.write_rendered = self.write if ensure_ascii else self._sink.write

    def write(self, message: str) -> None:
        """Write one line."""
        line = message if message.startswith(_RENDERED) else _flat_line(message)
        if self._ensure_ascii and not line.isascii():
            line = _NOT_ASCII.sub(_escape, line)
        self._sink.write(line)

    def flush(self) -> None:
        """Have nothing in buffers."""
        self._sink.flush()

    def stop(self) -> None:
        """Close a file that the sink has opened."""
        self._sink.stop()

    def renew(self) -> None:
        """After a fork, in the child."""
        renew = getattr(self._sink, "renew", None)
        if renew is not None:
            renew()

    def __repr__(self) -> str:
        return f"JsonSink({self._sink!r})"


def _flat_line(message: str) -> str:
    from otelbridge._native import encode_json

    record = cast("dict[str, Any] | None", getattr(message, "record", None))
    if record is None:
        return encode_json({"message": message.removesuffix("\n")}).decode() + "\n"
    fields = {
        "time": record["time"].replace(tzinfo=None).isoformat(timespec="microseconds"),
        "level": record["level"].name,
        "message": record["message"],
        "module": record["module"],
        "function": record["function"],
        "line": record["line"],
        "extra": record["extra"],
    }
    exception = record["exception"]
    if exception is not None:
        from traceback import format_exception

        fields["exception"] = "".join(format_exception(*exception))
    return encode_json(fields).decode() + "\n"


def _escape(found: re.Match[str]) -> str:
    number = ord(found.group())
    if number <= 0xFFFF:
        return f"\\u{number:04x}"
    number -= 0x10000
    return f"\\u{0xD800 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"


__all__ = ["JsonSink"]

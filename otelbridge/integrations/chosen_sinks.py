"""Where access records go besides, when the environment says so: a file, syslog, or JSON lines (features.md 4.15).

BlackBull's variables, each with a twin `OTELBRIDGE_…` that wins: LOG_FILE, SYSLOG_ADDR, LOG_FORMAT, ASYNC_LOGGING,
LOG_BATCH_SIZE, LOG_BATCH_TIMEOUT_MS. The sink stands on the logger `otelbridge.access` of `logging`.
"""

from __future__ import annotations

import logging
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from logging.handlers import SYSLOG_UDP_PORT, SysLogHandler
from urllib.parse import urlsplit

from otelbridge._export import report_once
from otelbridge.access.console import claim, is_claimed
from otelbridge.access.format import json_text
from otelbridge.access.stdlib import LOGGER, printed_from
from otelbridge.exceptions import ConfigError
from otelbridge.integrations.pipeline import LogPipeline
from otelbridge.sinks.file import FileSink

BATCH_SIZE = 64
BATCH_SIZE_LEAST = 2
BATCH_TIMEOUT_MS = 5.0

_PREFIXES = ("OTELBRIDGE_", "BB_")
_FALSE = ("0", "false", "no", "off")
_FORMATS = ("json", "text", "plain")
_SYSLOG_HOST = "127.0.0.1"
# What a LogRecord has by itself.
_OWN_NAMES = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

Line = Callable[[logging.LogRecord], str]


@dataclass(frozen=True, slots=True)
class Choice:
    """What the environment asks for. syslog_addr wins over path; with neither, lines go to stderr."""

    path: str | None
    syslog_addr: str | None
    is_json: bool
    is_async: bool
    batch_size: int
    batch_delay_s: float


def read_choice(environ: Mapping[str, str]) -> Choice | None:
    """Return what is asked for; None: nothing. ConfigError: a value that is none, of a sink that is asked for.

    Empty variables are as good as none.
    """
    path, syslog_addr, style = (_read(environ, name)[1] for name in ("LOG_FILE", "SYSLOG_ADDR", "LOG_FORMAT"))
    if not (path or syslog_addr or style):
        return None
    size = _number(environ, "LOG_BATCH_SIZE", BATCH_SIZE)
    return Choice(
        path=path or None,
        syslog_addr=syslog_addr or None,
        is_json=_format(environ) == "json",
        is_async=_read(environ, "ASYNC_LOGGING")[1].lower() not in _FALSE,
        batch_size=max(math.ceil(size), BATCH_SIZE_LEAST),
        batch_delay_s=_number(environ, "LOG_BATCH_TIMEOUT_MS", BATCH_TIMEOUT_MS) / 1000,
    )


def install_chosen_sink() -> None:
    """Put the sink that the environment asks for on `otelbridge.access`; in a process that has it, nothing happens.

    It opens its file, and starts its thread, with the first record: in the worker rather than in the process that
    forks it. ConfigError: as `read_choice`.
    """
    if _installed:
        return
    choice = read_choice(os.environ)
    if choice is None or (choice.path is None and choice.syslog_addr is None and not choice.is_json):
        return
    handler = make_handler(choice)
    if choice.is_async:
        LogPipeline(handler, batch_size=choice.batch_size, batch_delay_s=choice.batch_delay_s).start()
    else:
        LOGGER.addHandler(handler)
        if not LOGGER.isEnabledFor(logging.INFO):
            LOGGER.setLevel(logging.INFO)
    _installed.append(handler)


def make_handler(choice: Choice) -> logging.Handler:
    """Return the handler; a syslog address that cannot be used is reported, and stderr is used instead."""
    line = json_line if choice.is_json else logging.LogRecord.getMessage
    if choice.syslog_addr is not None:
        try:
            return _Syslog(_address(choice.syslog_addr), line)
        except (OSError, ValueError) as error:
            report_once(f"syslog at {choice.syslog_addr!r} (access lines go to stderr instead)", error)
            return StderrLines(line, is_claimed=choice.is_json)
    if choice.path is None:
        return StderrLines(line, is_claimed=choice.is_json)
    return FileLines(choice.path, line)


def json_line(record: logging.LogRecord) -> str:
    """Return timestamp (UTC), level, logger, message, the record's fields and its traceback as one JSON object."""
    values: dict[str, object] = {
        "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname,
        "logger": record.name,
        "message": record.getMessage(),
    }
    values |= {name: value for name, value in vars(record).items() if name not in _OWN_NAMES and name not in values}
    if record.exc_info and not record.exc_text:
        record.exc_text = logging.Formatter().formatException(record.exc_info)
    if record.exc_text:
        values["exception"] = record.exc_text
    return json_text(values)


class FileLines(logging.Handler):
    """Appends lines to a file, each batch by one write; opened by the first, and anew after logrotate or a fork.

    While it cannot be opened or written, which is reported once, the lines go to stderr.
    """

    def __init__(self, path: str, line: Line) -> None:
        super().__init__()
        self._path = path
        self._line = line
        self._stderr = StderrLines(line, is_claimed=False)
        # Braces in a path are no fields here.
        self._file = FileSink(path.replace("{", "{{").replace("}", "}}"), delay=True, watch=True, buffering=1)
        self._pid = os.getpid()

    def handle_batch(self, records: Iterable[logging.LogRecord]) -> None:
        """Write them."""
        records = list(records)
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._file.renew()
        try:
            self._file.write(_text(records, self._line))
        except OSError as error:
            report_once(f"writing the access log to {self._path!r} (it goes to stderr instead)", error)
            self._stderr.handle_batch(records)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one."""
        _guarded(self.handle_batch, record)

    def close(self) -> None:
        """Close the file."""
        self._file.stop()
        super().close()


class StderrLines(logging.Handler):
    """Writes lines to stderr, each batch by one write.

    is_claimed: these lines stand instead of our console's. Else they are left out where that, or a server, prints
    them: a request is one line on a terminal.
    """

    def __init__(self, line: Line, *, is_claimed: bool) -> None:
        super().__init__()
        self._line = line
        self._is_claimed = is_claimed
        if is_claimed:
            claim()

    def handle_batch(self, records: Iterable[logging.LogRecord]) -> None:
        """Write them."""
        if not self._is_claimed:
            from_no = 0 if is_claimed() else printed_from("stderr")
            records = [record for record in records if record.levelno < from_no]
        text = _text(records, self._line)
        if text and sys.stderr is not None:
            sys.stderr.write(text)
            sys.stderr.flush()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one."""
        _guarded(self.handle_batch, record)


class _Syslog(SysLogHandler):
    """One datagram per record."""

    def __init__(self, address: tuple[str, int], line: Line) -> None:
        super().__init__(address=address)
        self._line = line

    def format(self, record: logging.LogRecord) -> str:
        return self._line(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 -- as logging has it
        error = sys.exc_info()[1]
        if isinstance(error, Exception):
            report_once("sending the access log to syslog", error)


def _text(records: Iterable[logging.LogRecord], line: Line) -> str:
    return "".join(f"{line(record)}\n" for record in records)


def _guarded(write: Callable[[list[logging.LogRecord]], None], record: logging.LogRecord) -> None:
    """Without a pipeline the app is who calls: it hears of nothing."""
    try:
        write([record])
    except Exception as error:
        report_once("writing the access log", error)


def _read(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    """Return the variable that counts, and its value; "" if none is set."""
    for prefix in _PREFIXES:
        value = environ.get(prefix + name, "").strip()
        if value:
            return prefix + name, value
    return _PREFIXES[0] + name, ""


def _format(environ: Mapping[str, str]) -> str:
    variable, value = _read(environ, "LOG_FORMAT")
    if value.lower() in ("", *_FORMATS):
        return value.lower()
    msg = f"{variable} must be one of {', '.join(_FORMATS)}, got {value!r}"
    raise ConfigError(msg)


def _number(environ: Mapping[str, str], name: str, default: float) -> float:
    variable, value = _read(environ, name)
    if not value:
        return default
    try:
        number = float(value) if name.endswith("_MS") else int(value)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        msg = f"{variable} must be a number from 0 on, got {value!r}"
        raise ConfigError(msg)
    return number


def _address(value: str) -> tuple[str, int]:
    """Return host and port of `host:port`, either of which may be left out. ValueError."""
    parts = urlsplit(f"//{value}")
    if parts.netloc != value or "@" in value or not value.isprintable() or " " in value:
        msg = f"it must be host:port, got {value!r}"
        raise ValueError(msg)
    return parts.hostname or _SYSLOG_HOST, SYSLOG_UDP_PORT if parts.port is None else parts.port


_installed: list[logging.Handler] = []

__all__ = ["Choice", "install_chosen_sink", "json_line", "make_handler", "read_choice"]

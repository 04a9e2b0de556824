"""The other loggers, each set up as its own documentation would for a service that cares about speed.

Found by `importlib`, because they are not dependencies: one that is not installed is a row that says so.
"""

from __future__ import annotations

import copy
import importlib
import logging
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

from benchmarks import otel
from benchmarks.timing import Contestant

KEYWORDS = 'logger.{}("user {{user}} logged in", user=user, user_id=3)'
EVENT = 'logger.{}("user logged in", user=user, user_id=3)'
REQUEST = "r-17"
BLOCK_COUNT = 500


class Lines:
    """Keeps formatted lines, and makes the batch of bytes that would go out."""

    def __init__(self) -> None:
        self._lines: list[str | bytes] = []
        self._count = 0

    def write(self, line: str | bytes) -> None:
        """One line."""
        self._lines.append(line)

    def flush(self) -> None:
        """What stream handlers call after each line."""

    def join(self) -> bytes:
        """The batch, and a new beginning."""
        lines, self._lines = self._lines, []
        self._count += len(lines)
        return b"".join(line.encode() if isinstance(line, str) else line for line in lines)

    def arrived(self) -> int:
        """Lines joined since the last question."""
        count, self._count = self._count, 0
        return count


def _null_sink(_message: object) -> None:
    pass


# loguru


def _loguru(sink: Any, level: str = "DEBUG", **options: Any) -> Any:
    """A logger of its own with one sink: the recipe of loguru's documentation (remove, then deepcopy)."""
    original = importlib.import_module("loguru").logger
    # Removed for good: a deep copy with the default stderr sink would print each record of the benchmark.
    original.remove()
    logger = copy.deepcopy(original)
    logger.add(sink, level=level, **options)
    return logger


def loguru(name: str, sink: Any = _null_sink, method: str = "info", **options: Any) -> Contestant:
    """A loguru call into one sink."""
    logger = _loguru(sink, **options)
    return Contestant(
        name,
        KEYWORDS.format(method),
        {"logger": logger, "user": "ada"},
        scope=lambda: logger.contextualize(req=REQUEST),
        close=logger.remove,
    )


def loguru_contextualized(name: str) -> Contestant:
    """A block, entered and left."""
    logger = importlib.import_module("loguru").logger
    return Contestant(name, "with logger.contextualize(req='r-17'): pass", {"logger": logger})


def loguru_encoded(name: str) -> Contestant:
    """Up to a batch of JSON lines."""
    lines = Lines()
    contestant = loguru(name, lines.write, serialize=True)
    contestant.finish, contestant.arrived, contestant.block_count = lines.join, lines.arrived, BLOCK_COUNT
    return contestant


def loguru_posted(name: str, endpoint: str) -> Contestant:
    """Up to the collector's answer, through the OTel SDK's handler as a sink."""
    logs = otel.posting_provider(endpoint, Compression.NoCompression)
    contestant = loguru(name, otel.handler(logs))
    contestant.finish, contestant.block_count, contestant.close = logs.force_flush, otel.BLOCK_COUNT, logs.shutdown
    return contestant


# structlog


class _NullLogger:
    """What structlog wraps when nothing is to be written."""

    def msg(self, _line: object) -> None:
        """Forget the line."""

    debug = info = msg


def _structlog(target: Any, level: int = logging.DEBUG, *, callsite: bool = False) -> Any:
    """A bound, filtering logger with orjson at its end (the fast set-up of structlog's documentation)."""
    structlog = importlib.import_module("structlog")
    orjson = importlib.import_module("orjson")
    parameter = structlog.processors.CallsiteParameter
    processors = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.JSONRenderer(serializer=orjson.dumps),
    ]
    if callsite:
        parameters = [parameter.PATHNAME, parameter.FUNC_NAME, parameter.LINENO]
        processors.insert(2, structlog.processors.CallsiteParameterAdder(parameters))
    bound = structlog.make_filtering_bound_logger(level)
    return structlog.wrap_logger(target, processors=processors, wrapper_class=bound).bind()


def structlog(
    name: str, target: Any = None, level: int = logging.DEBUG, method: str = "info", *, callsite: bool = False
) -> Contestant:
    """A structlog call into one wrapped logger."""
    contextvars = importlib.import_module("structlog.contextvars")

    def scope() -> AbstractContextManager[object]:
        return contextvars.bound_contextvars(req=REQUEST)  # type: ignore[no-any-return]  # may not be installed

    logger = _structlog(target or _NullLogger(), level, callsite=callsite)
    return Contestant(name, EVENT.format(method), {"logger": logger, "user": "ada"}, scope=scope)


def structlog_line(name: str, stream: BinaryIO) -> Contestant:
    """JSON lines to a stream."""
    return structlog(name, importlib.import_module("structlog").BytesLogger(stream))


def structlog_file(name: str, path: Path) -> Contestant:
    """JSON lines with the call site to a file, flushed line by line as structlog's own loggers do."""
    stream = path.open("ab")
    contestant = structlog(name, importlib.import_module("structlog").BytesLogger(stream), callsite=True)
    contestant.close = stream.close
    return contestant


class _LinesLogger:
    """Hands structlog's finished line to `Lines`."""

    def __init__(self, lines: Lines) -> None:
        self.info = lines.write


def structlog_encoded(name: str) -> Contestant:
    """Up to a batch of JSON lines."""
    lines = Lines()
    contestant = structlog(name, _LinesLogger(lines))
    contestant.finish, contestant.arrived, contestant.block_count = lines.join, lines.arrived, BLOCK_COUNT
    return contestant


def structlog_posted(name: str, endpoint: str) -> Contestant:
    """Up to the collector's answer, through stdlib logging and the OTel SDK's handler."""
    module = importlib.import_module("structlog")
    contextvars = importlib.import_module("structlog.contextvars")
    logs = otel.posting_provider(endpoint, Compression.NoCompression)
    target = otel.stdlib_logger(name, logging.DEBUG, otel.handler(logs))
    logger = module.wrap_logger(
        target,
        processors=[contextvars.merge_contextvars, module.stdlib.render_to_log_kwargs],
        wrapper_class=module.stdlib.BoundLogger,
    ).bind()
    return Contestant(
        name,
        EVENT.format("info"),
        {"logger": logger, "user": "ada"},
        scope=lambda: contextvars.bound_contextvars(req=REQUEST),
        finish=logs.force_flush,
        block_count=otel.BLOCK_COUNT,
        close=logs.shutdown,
    )


# stdlib and picologging


LINE = "%(asctime)s | %(levelname)s | %(name)s:%(funcName)s:%(lineno)d - %(message)s"
DATE = "%Y-%m-%d %H:%M:%S"


def _plain(name: str, module: Any, stream: Any, level: int, method: str) -> Contestant:
    """One logger and one handler; picologging promises the names of stdlib logging."""
    if stream is None:
        handler = module.NullHandler()
    else:
        handler = module.StreamHandler(stream)
        # picologging 0.9.3 writes garbage for %(asctime)s unless the date format is given.
        handler.setFormatter(module.Formatter(LINE, DATE))
    logger = module.getLogger(f"benchmarks.{name}")
    logger.propagate = False
    logger.setLevel(level)
    logger.handlers[:] = [handler]
    return Contestant(name, otel.STATEMENT.format(method), {"logger": logger, "user": "ada"})


def stdlib(name: str, stream: Any = None, level: int = logging.DEBUG, method: str = "info") -> Contestant:
    """A stdlib call into a null handler, or formatted to a stream."""
    return _plain(name, logging, stream, level, method)


def picologging(name: str, stream: Any = None, level: int = logging.DEBUG, method: str = "info") -> Contestant:
    """The same with picologging."""
    return _plain(name, importlib.import_module("picologging"), stream, level, method)


def stdlib_encoded(name: str) -> Contestant:
    """Up to a batch of text lines."""
    lines = Lines()
    contestant = stdlib(name, _MessageStream(lines))
    contestant.finish, contestant.arrived, contestant.block_count = lines.join, lines.arrived, BLOCK_COUNT
    return contestant


def picologging_encoded(name: str) -> Contestant:
    """Up to a batch of text lines."""
    lines = Lines()
    contestant = picologging(name, _MessageStream(lines))
    contestant.finish, contestant.arrived, contestant.block_count = lines.join, lines.arrived, BLOCK_COUNT
    return contestant


class _MessageStream:
    """Stream handlers may write the line's end apart (picologging does): it is no line of its own."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def write(self, text: str) -> None:
        if text != "\n":
            self._lines.write(text)

    def flush(self) -> None:
        pass


# logfire


def _logfire(processor: Any, *, stream: TextIO | None = None, min_level: str | None = None) -> Any:
    module = importlib.import_module("logfire")
    console = module.ConsoleOptions(colors="never", output=stream) if stream else False
    return module.configure(
        local=True,
        send_to_logfire=False,
        console=console,
        metrics=False,
        inspect_arguments=False,
        service_name="bench",
        min_level=min_level,
        additional_span_processors=[processor],
    )


def logfire(name: str, stream: TextIO | None = None, min_level: str | None = None, method: str = "info") -> Contestant:
    """A logfire call up to a span exporter that does nothing."""
    logger = _logfire(SimpleSpanProcessor(otel.NullExporter()), stream=stream, min_level=min_level)  # type: ignore[arg-type]  # has the methods
    return Contestant(name, KEYWORDS.format(method), {"logger": logger, "user": "ada"})


class _EncodingSpanExporter(otel.EncodingExporter):
    def export(self, batch: Any) -> None:
        encode_spans(batch).SerializeToString()
        self._count += len(batch)


def _span_batch(exporter: Any) -> BatchSpanProcessor:
    return BatchSpanProcessor(
        exporter,
        schedule_delay_millis=otel.NEVER_MS,
        max_export_batch_size=otel.BATCH_COUNT,
        max_queue_size=4 * otel.BATCH_COUNT,
    )


def logfire_encoded(name: str) -> Contestant:
    """Up to the bytes of the export request (its logs are spans)."""
    exporter = _EncodingSpanExporter()
    processor = _span_batch(exporter)
    return Contestant(
        name,
        KEYWORDS.format("info"),
        {"logger": _logfire(processor), "user": "ada"},
        finish=processor.force_flush,
        arrived=exporter.arrived,
        block_count=otel.BLOCK_COUNT,
        close=processor.shutdown,
    )


def logfire_posted(name: str, endpoint: str) -> Contestant:
    """Up to the collector's answer."""
    processor = _span_batch(OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces"))
    return Contestant(
        name,
        KEYWORDS.format("info"),
        {"logger": _logfire(processor), "user": "ada"},
        finish=processor.force_flush,
        block_count=otel.BLOCK_COUNT,
        close=processor.shutdown,
    )

"""otelbridge as a contestant: the same statement to OTLP only, with a console line, switched off, encoded, posted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal, TextIO

import opentelemetry.trace  # noqa: F401  the core finds the current span once this is imported
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs, ScopeLogs
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

import otelbridge
from benchmarks.others import KEYWORDS, REQUEST
from benchmarks.timing import Contestant
from otelbridge import context, logger
from otelbridge._logger import core

# What `configure()` uses when OTEL_BLRP_* is not set.
BATCH_COUNT = 8192
BATCH_SIZE = 4 << 20
BUFFER_SIZE = 64 << 20
DEBUG, INFO = 10, 20
FLUSH_TIMEOUT_S = 60.0
Mode = Literal["off", "on"]

RESOURCE = ResourceLogs(
    resource=Resource(attributes=[KeyValue(key="service.name", value=AnyValue(string_value="bench"))])
).SerializeToString()
SCOPE = ScopeLogs(scope=InstrumentationScope(name="otelbridge", version="0")).SerializeToString()


class Drain:
    """Takes what is pending as export requests, and counts."""

    def __init__(self) -> None:
        self._count = 0

    def take(self) -> None:
        """Empty the core's buffer."""
        while (batch := core.take(RESOURCE, SCOPE, BATCH_SIZE, BATCH_COUNT)) is not None:
            self._count += batch[1]

    def arrived(self) -> int:
        """Records taken since the last question."""
        count, self._count = self._count, 0
        return count


def prepare() -> None:
    """The core reads span ids from OTel's context, and no Python sink is there but those that a case adds."""
    context.attach(core)
    logger.remove()


def export() -> None:
    """What `configure()` would have set: records from DEBUG on, into the core's buffer."""
    core.set_export("on", DEBUG, BUFFER_SIZE)


def _scope(mode: Mode, level_no: int, stream: TextIO | None) -> Callable[[], AbstractContextManager[object]]:
    """What `configure()` and `logger.add()` would have set; the contestants share one logger."""

    @contextmanager
    def scope() -> Iterator[None]:
        core.set_export(mode, level_no, BUFFER_SIZE)
        with ExitStack() as stack:
            if stream is not None:
                stack.callback(logger.remove, logger.add(stream, level=level_no))
            stack.enter_context(logger.contextualize(req=REQUEST))
            yield

    return scope


def caller(
    name: str, *, mode: Mode = "on", level_no: int = DEBUG, stream: TextIO | None = None, method: str = "info"
) -> Contestant:
    """A call, up to finished OTLP bytes in the core's buffer (and the line, if a stream is given)."""
    drain = Drain()
    return Contestant(
        name,
        KEYWORDS.format(method),
        {"logger": logger, "user": "ada"},
        scope=_scope(mode, level_no, stream),
        finish=drain.take,
        arrived=drain.arrived if mode == "on" else None,
    )


def disabled(name: str) -> Contestant:
    """A call below every level: nothing may arrive, and nothing is waited for."""
    contestant = caller(name, level_no=INFO, method="debug")
    contestant.arrived = None
    return contestant


def fresh_frame(name: str) -> Contestant:
    """The same, each call from a function that was just entered (its frame object must be made for `code.*`)."""
    contestant = caller(name)
    namespace: dict[str, object] = {"__name__": "benchmarks.app", "logger": logger}
    exec(f"def log_in(user):\n    {contestant.statement}\n", namespace)
    contestant.statement, contestant.names = "log_in(user)", {"log_in": namespace["log_in"], "user": "ada"}
    return contestant


def _null_sink(_message: object) -> None:
    pass


def sink(name: str, *, target: object = _null_sink, **options: Any) -> Contestant:
    """A call into one Python sink and nowhere else."""

    @contextmanager
    def scope() -> Iterator[None]:
        core.set_export("off", DEBUG, BUFFER_SIZE)
        number = logger.add(target, **options)
        try:
            with logger.contextualize(req=REQUEST):
                yield
        finally:
            logger.remove(number)

    return Contestant(name, KEYWORDS.format("info"), {"logger": logger, "user": "ada"}, scope=scope)


def json_sink(name: str, path: Path) -> Contestant:
    """The seed's JsonSink."""
    return sink(name, target=otelbridge.JsonSink(path))


def queued(name: str, path: Path) -> Contestant:
    """Through the queue, which is emptied between the blocks; a block fits into it."""
    contestant = sink(name, target=path, enqueue=True)
    contestant.finish = logger.complete
    contestant.block_count = 5000
    return contestant


def unused(name: str) -> Contestant:
    """A sink is there, and does not want the level."""
    contestant = caller(name)
    inner = contestant.scope

    @contextmanager
    def scope() -> Iterator[None]:
        number = logger.add(_null_sink, level="ERROR")
        try:
            with inner():
                yield
        finally:
            logger.remove(number)

    contestant.scope = scope
    return contestant


def contextualized(name: str) -> Contestant:
    """A block, entered and left."""
    return Contestant(name, "with logger.contextualize(req='r-17'): pass", {"logger": logger})


def encoded(name: str) -> Contestant:
    """Up to the bytes of the export request."""
    contestant = caller(name)
    contestant.block_count = BATCH_COUNT - 2  # a multiple of ten
    return contestant


def posted(name: str, endpoint: str, compression: Literal["gzip", "none"]) -> Contestant:
    """Up to the collector's answer, through `configure()`, the worker and the official exporter."""

    @contextmanager
    def scope() -> Iterator[None]:
        otelbridge.configure(
            service_name="bench",
            endpoint=endpoint,
            protocol="http/protobuf",
            compression=compression,
            logs="otlp",
            metrics="none",
            traces="none",
            level="DEBUG",
        )
        with logger.contextualize(req=REQUEST):
            yield

    def flush() -> None:
        if not otelbridge.flush(FLUSH_TIMEOUT_S):
            msg = f"flush() of {name} was not answered within {FLUSH_TIMEOUT_S:.0f} s: {otelbridge.stats()}"
            raise TimeoutError(msg)

    return Contestant(
        name,
        KEYWORDS.format("info"),
        {"logger": logger, "user": "ada"},
        scope=scope,
        finish=flush,
        block_count=5 * BATCH_COUNT,
        close=otelbridge.shutdown,
    )

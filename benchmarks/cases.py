"""What is compared with what: every row of the table, and the targets."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO, Literal, NamedTuple, TextIO

from benchmarks.hosts import ALONE
from benchmarks.receiver import Receiver
from benchmarks.timing import Contestant

OURS = "otelbridge"
SDK = "OTel SDK (LoggingHandler + batch)"
EMPTY = "empty function, named parameters"
LOGURU_NULL = "loguru, no-op sink"
LOGURU_FILE = "loguru, default line to a file"
LOGURU_JSON = "loguru, serialize=True, no-op sink"
STRUCTLOG_FILE = "structlog + orjson, call site, to a file"
OURS_NULL = "otelbridge, no-op sink"
OURS_FILE = "otelbridge, default line to a file"
OURS_JSON = "otelbridge, serialize=True, no-op sink"
OURS_JSON_FILE = "otelbridge, JsonSink to a file"
OURS_PUT = "otelbridge, default line to a file, enqueue=True"
OURS_IMPORT = "from otelbridge import logger"
LOGURU_IMPORT = "from loguru import logger"
OURS_UNUSED = "otelbridge, and a sink at ERROR"
BARE = "the app alone"
OURS_RECORDS = "otelbridge, metrics and access record"
OURS_SPANS = "otelbridge, metrics, access record, span"
OURS_EXPORTED = f"{OURS_SPANS}, all exported"
THEIR_COMMAND = "hypercorn"
THEIR_COMMAND_LOGGED = "hypercorn, access log to a file"
OUR_COMMAND = "otelbridge run, all exported"
OUR_COMMAND_LOGGED = "otelbridge run, all exported, access log to a file"
THEIR_METRICS = "OTel instrumentation, metrics"
THEIR_SPANS = "OTel instrumentation, metrics and spans"


class Entry(NamedTuple):
    """One row: its name, and how to set the contestant up."""

    name: str
    build: Callable[[], Contestant]


@dataclass(frozen=True, slots=True)
class Case:
    """One block of the table: contestants that take turns, ratios against the first."""

    key: str
    title: str
    clock: Literal["wall", "cpu", "process", "server"]
    """process: a wall clock around whole processes; server: a clock of the contestant's. A round has few of either."""
    entries: Sequence[Entry]
    floor: str | None = None
    """The row that is part of all others: ratios and targets are about what the others add to it."""


class Target(NamedTuple):
    """A ratio to reach: `slower` costs at least (or, for `at_most`, at most) `bound` times what `faster` costs."""

    text: str
    case: str
    slower: str
    faster: str
    bound: float
    at_most: bool = False


def _access_targets() -> Iterator[Target]:
    for key, app, spans_bound in (
        ("asgi", "ASGI", 4),
        ("fastapi", "FastAPI", 4),
        ("wsgi", "WSGI", 2),
        ("flask", "Flask", 2),
    ):
        records, spans = "metrics and access record", "metrics, record and span"
        yield Target(f"{app}: {records} add less than OTel's metrics", key, THEIR_METRICS, OURS_RECORDS, 15)
        yield Target(f"{app}: {spans} add less than OTel's with spans", key, THEIR_SPANS, OURS_SPANS, spans_bound)
    text = "Hypercorn: CPU of a request, of the app alone"
    yield Target(f"{text}; metrics and access record", "hypercorn", OURS_RECORDS, BARE, 1.04, at_most=True)
    yield Target(f"{text}; every span exported, too", "hypercorn", OURS_EXPORTED, BARE, 1.25, at_most=True)


TARGETS: tuple[Target, ...] = (
    Target("enabled call: faster than loguru's no-op sink", "enabled", LOGURU_NULL, OURS, 60),
    Target("enabled call: faster than the OTel SDK on the calling thread", "enabled", SDK, OURS, 120),
    Target("process CPU to the encoded batch: less than the OTel SDK", "encoded", SDK, OURS, 200),
    Target(
        "process CPU to the received POST: less than the OTel SDK, each with its default compression",
        "posted",
        f"{SDK}, uncompressed",
        f"{OURS}, gzip",
        40,
    ),
    Target("call with a no-op callable sink: faster than loguru's", "callable", LOGURU_NULL, OURS_NULL, 4),
    Target("default line to a file: faster than loguru's", "file", LOGURU_FILE, OURS_FILE, 5),
    Target("serialize=True: faster than loguru's", "serialize", LOGURU_JSON, OURS_JSON, 8),
    Target(
        "JSON line to a file: faster than structlog + orjson with call site", "json", STRUCTLOG_FILE, OURS_JSON_FILE, 3
    ),
    Target("enqueue=True: of a synchronous write", "enqueue", OURS_PUT, OURS_FILE, 1, at_most=True),
    Target("an unused sink at a higher level: of a call without it", "unused", OURS_UNUSED, OURS, 1.05, at_most=True),
    Target("contextualize enter and exit: faster than loguru's", "contextualize", "loguru", OURS, 2),
    Target("import: of loguru's", "import", OURS_IMPORT, LOGURU_IMPORT, 1, at_most=True),
    Target("disabled call: of an empty Python function called alike", "disabled", OURS, EMPTY, 1.3, at_most=True),
    Target(
        "stamp and format: faster than datetime (seed 1: 8.3)",
        "stamp",
        "datetime.now(UTC).isoformat()",
        f"{OURS} now_iso",
        8.3,
    ),
    Target(
        "basename: faster than os.path.basename (seed 1: 1.9)", "basename", "os.path.basename", f"{OURS} basename", 1.9
    ),
    Target(
        "module name: faster than an inspect frame walk (seed 1: 3.7)",
        "module",
        "inspect.currentframe() and f_back",
        f"{OURS} module_name",
        3.7,
    ),
    *_access_targets(),
)


def cases(stream: TextIO, binary: BinaryIO, receiver: Receiver, folder: Path) -> list[Case]:
    """Every case, in the order of the table. `stream` and `binary` end in the null device; log files go to `folder`."""
    ours, others, otel = (_room(name) for name in ("ours", "others", "otel"))
    return [
        Case(
            "enabled",
            "enabled call, two attributes, inside a span and contextualize()",
            "wall",
            [
                _entry(OURS, ours, "caller"),
                _entry("otelbridge, each call from a fresh frame", ours, "fresh_frame"),
                _entry(LOGURU_NULL, others, "loguru"),
                _entry("loguru, serialize=True", others, "loguru", serialize=True),
                _entry("structlog + orjson", others, "structlog"),
                _entry("structlog + orjson, call site", others, "structlog", callsite=True),
                _entry("picologging, null handler", others, "picologging"),
                _entry("stdlib logging, null handler", others, "stdlib"),
                _entry(SDK, otel, "caller"),
                _entry("logfire, no-op span exporter", others, "logfire"),
            ],
        ),
        Case(
            "console",
            "the same call with a line to a text stream",
            "wall",
            [
                _entry("otelbridge, OTLP and its default line", ours, "caller", stream=stream),
                _entry("otelbridge, default line only", ours, "caller", mode="off", stream=stream),
                _entry("loguru, default line", others, "loguru", sink=stream),
                _entry("loguru, serialize=True line", others, "loguru", sink=stream, serialize=True),
                _entry("structlog + orjson line", others, "structlog_line", stream=binary),
                _entry("picologging, asctime and caller", others, "picologging", stream=stream),
                _entry("stdlib logging, asctime and caller", others, "stdlib", stream=stream),
                Entry("OTel SDK and stdlib line", lambda: _otel_console(others(), otel(), stream)),
                _entry("logfire, console", others, "logfire", stream=stream),
            ],
        ),
        *_sink_cases(ours, others, folder),
        Case(
            "disabled",
            "disabled call (below the level)",
            "wall",
            [
                _entry(OURS, ours, "disabled"),
                Entry(EMPTY, partial(_empty, EMPTY, "message, *, user, user_id")),
                Entry("empty function, **attributes", partial(_empty, "empty function, **attributes", "message, **_")),
                _entry("loguru", others, "loguru", level="INFO", method="debug"),
                _entry("structlog", others, "structlog", level=logging.INFO, method="debug"),
                _entry("picologging", others, "picologging", level=logging.INFO, method="debug"),
                _entry("stdlib logging", others, "stdlib", level=logging.INFO, method="debug"),
                _entry(SDK, otel, "caller", level=logging.INFO, method="debug"),
                _entry("logfire", others, "logfire", min_level="info", method="debug"),
            ],
        ),
        Case(
            "encoded",
            "process CPU per record, from the call to the encoded batch",
            "cpu",
            [
                _entry(OURS, ours, "encoded"),
                _entry(SDK, otel, "encoded"),
                _entry("logfire, spans encoded as OTLP", others, "logfire_encoded"),
                _entry("loguru, JSON lines", others, "loguru_encoded"),
                _entry("structlog + orjson, JSON lines", others, "structlog_encoded"),
                _entry("picologging, text lines", others, "picologging_encoded"),
                _entry("stdlib logging, text lines", others, "stdlib_encoded"),
            ],
        ),
        Case(
            "posted",
            "process CPU per record, from the call to the received POST",
            "cpu",
            [
                _posted(receiver, "otelbridge, gzip", ours, "posted", compression="gzip"),
                _posted(receiver, "otelbridge, uncompressed", ours, "posted", compression="none"),
                _posted(receiver, f"{SDK}, uncompressed", otel, "posted", compression="none"),
                _posted(receiver, f"{SDK}, gzip", otel, "posted", compression="gzip"),
                _posted(receiver, "logfire, spans", others, "logfire_posted"),
                _posted(receiver, "loguru into the OTel SDK", others, "loguru_posted"),
                _posted(receiver, "structlog into the OTel SDK", others, "structlog_posted"),
            ],
        ),
        _helpers(
            "stamp",
            "time stamp and its format",
            "now_iso",
            "now_iso()",
            {
                "datetime.now(UTC).isoformat()": "datetime.now(UTC).isoformat()",
                "datetime.now().strftime(…%f)": "datetime.now().strftime('%Y-%m-%d %H:%M:%S.%f')",
                "datetime.now(), no format": "datetime.now()",
            },
        ),
        _helpers(
            "basename",
            "file name of a path",
            "basename",
            "basename(path)",
            {"os.path.basename": "os.path.basename(path)"},
        ),
        _helpers(
            "module",
            "module name of the caller",
            "module_name",
            "module_name()",
            {
                "inspect.currentframe() and f_back": "walk()",
                "sys._getframe().f_globals, inline": "sys._getframe().f_globals['__name__']",
            },
        ),
        *_access_cases(receiver),
        _command_case(receiver, folder),
    ]


def _sink_cases(ours: Callable[[], ModuleType], others: Callable[[], ModuleType], folder: Path) -> list[Case]:
    """Calls with a Python sink, nothing exported: what loguru's users have."""
    return [
        Case(
            "callable",
            "call with one no-op callable sink",
            "wall",
            [_entry(OURS_NULL, ours, "sink"), _entry(LOGURU_NULL, others, "loguru")],
        ),
        Case(
            "file",
            "default line to a file",
            "wall",
            [
                _entry(OURS_FILE, ours, "sink", target=folder / "ours.log"),
                _entry(LOGURU_FILE, others, "loguru", sink=folder / "loguru.log"),
            ],
        ),
        Case(
            "serialize",
            "serialize=True, no-op callable sink",
            "wall",
            [
                _entry(OURS_JSON, ours, "sink", serialize=True),
                _entry(LOGURU_JSON, others, "loguru", serialize=True),
            ],
        ),
        Case(
            "json",
            "JSON line to a file",
            "wall",
            [
                _entry(OURS_JSON_FILE, ours, "json_sink", path=folder / "ours.json"),
                _entry(STRUCTLOG_FILE, others, "structlog_file", path=folder / "structlog.json"),
            ],
        ),
        Case(
            "enqueue",
            "the same line through a queue (time of the call)",
            "wall",
            [
                _entry(OURS_FILE, ours, "sink", target=folder / "direct.log"),
                _entry(OURS_PUT, ours, "queued", path=folder / "queued.log"),
            ],
        ),
        Case(
            "unused",
            "OTLP only, and a sink that does not want the level",
            "wall",
            [_entry(OURS, ours, "caller"), _entry(OURS_UNUSED, ours, "unused")],
        ),
        Case(
            "contextualize",
            "enter and leave a contextualize block",
            "wall",
            [_entry(OURS, ours, "contextualized"), _entry("loguru", others, "loguru_contextualized")],
        ),
        Case(
            "import",
            "a process that imports the logger",
            "process",
            [Entry(statement, partial(_process, statement)) for statement in (OURS_IMPORT, LOGURU_IMPORT, "pass")],
        ),
    ]


def _access_cases(receiver: Receiver) -> Iterator[Case]:
    access, served = _room("access"), _room("served")
    for host, app in (
        ("asgi", "a bare ASGI app"),
        ("fastapi", "FastAPI"),
        ("wsgi", "a bare WSGI app"),
        ("flask", "Flask"),
    ):
        ours = partial(_endpoint_entry, receiver, "access", room=access, function="ours", host=host)
        theirs = partial(_entry, room=access, function="theirs", host=host)
        yield Case(
            host,
            f"request through {app}; ratios of what is added to the app alone",
            "wall",
            [
                ours(OURS_RECORDS, traces=False),
                _entry(BARE, access, "bare", host=host),
                ours(OURS_SPANS),
                ours("otelbridge, metrics", traces=False, access_log=False),
                ours("otelbridge, access record", traces=False, metrics="none"),
                theirs(THEIR_METRICS, traces=False),
                theirs(THEIR_SPANS),
                # What its documentation advises: without a span for each message of ASGI.
                *(
                    [theirs(f"{THEIR_SPANS}, no message spans", exclude_spans=["receive", "send"])]
                    if host in ("asgi", "fastapi")
                    else []
                ),
            ],
            floor=BARE,
        )
    yield Case(
        "hypercorn",
        "request to a bare ASGI app on Hypercorn, CPU of the server's process, all threads",
        "server",
        [
            _endpoint_entry(receiver, "alone", BARE, room=served, function="hypercorn", layer=ALONE),
            _served(receiver, OURS_RECORDS, served, layer="metrics+record", signals=1),
            _served(receiver, OURS_EXPORTED, served, layer="all", signals=2),
        ],
    )


def _command_case(receiver: Receiver, folder: Path) -> Case:
    theirs = partial(_entry, room=_room("commands"), function="hypercorn", folder=folder)
    ours = partial(_endpoint_entry, receiver, "run", room=_room("commands"), function="otelbridge", folder=folder)
    return Case(
        "run",
        "request to a bare ASGI app at full speed, one worker: the time it takes, whose ratios are those of requests/s",
        "server",
        [
            theirs(name=THEIR_COMMAND, access_log=False),
            theirs(name=THEIR_COMMAND_LOGGED, access_log=True),
            ours(name=OUR_COMMAND, access_log=False),
            ours(name=OUR_COMMAND_LOGGED, access_log=True),
        ],
    )


def _process(statement: str) -> Contestant:
    """A whole interpreter; without a sink, as loguru's default one would be the same for all."""
    subprocess = importlib.import_module("subprocess")
    command = [sys.executable, "-c", statement]
    # With bytecode at hand, as everywhere but where it is switched off.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    names = {"run": subprocess.run, "command": command, "env": environment}
    return Contestant(statement, "run(command, check=True, env=env)", names)


def _room(name: str) -> Callable[[], ModuleType]:
    """A module of ours, imported when a row needs it: what is missing there is that row's failure, not the table's."""
    return partial(importlib.import_module, f"benchmarks.{name}")


def _entry(name: str, room: Callable[[], ModuleType], function: str, **options: Any) -> Entry:
    def build() -> Contestant:
        contestant = getattr(room(), function)(name=name, **options)
        assert isinstance(contestant, Contestant)
        return contestant

    return Entry(name, build)


def _endpoint_entry(
    receiver: Receiver, path: str, name: str, *, room: Callable[[], ModuleType], function: str, **options: Any
) -> Entry:
    """A row that may export; what arrives is nobody's concern."""

    # The receiver has its port only once it runs.
    def build() -> Contestant:
        return _entry(name, room, function, endpoint=f"{receiver.url}/{path}", **options).build()

    return Entry(name, build)


def _served(receiver: Receiver, name: str, room: Callable[[], ModuleType], *, layer: str, signals: int) -> Entry:
    """A server of its own, whose exports the receiver counts."""

    def build() -> Contestant:
        path = f"served-{signals}"
        return _entry(
            name,
            room,
            "hypercorn",
            layer=layer,
            endpoint=f"{receiver.url}/{path}",
            count=partial(receiver.arrived, path),
            signals=signals,
        ).build()

    return Entry(name, build)


def _posted(receiver: Receiver, name: str, room: Callable[[], ModuleType], function: str, **options: Any) -> Entry:
    """A row whose records the receiver counts, below a path of its own."""
    path = "".join(letter if letter.isalnum() else "-" for letter in name)

    def build() -> Contestant:
        contestant = _entry(name, room, function, endpoint=f"{receiver.url}/{path}", **options).build()
        contestant.arrived = partial(receiver.arrived, path)
        return contestant

    return Entry(name, build)


def _otel_console(others: Any, otel: Any, stream: TextIO) -> Contestant:
    line = logging.StreamHandler(stream)
    line.setFormatter(logging.Formatter(others.LINE, others.DATE))
    contestant = otel.caller("OTel SDK and stdlib line", line)
    assert isinstance(contestant, Contestant)
    return contestant


def _empty(name: str, parameters: str) -> Contestant:
    """The floor under any disabled call: CPython's own price for passing these arguments to nothing."""
    namespace: dict[str, object] = {}
    exec(f"def debug({parameters}):\n    pass\n", namespace)
    statement = 'debug("user {user} logged in", user=user, user_id=3)'
    return Contestant(name, statement, {"debug": namespace["debug"], "user": "ada"})


def _helpers(key: str, title: str, function: str, ours: str, others: dict[str, str]) -> Case:
    """A native function against the ways that the standard library has."""
    inspect, sys = importlib.import_module("inspect"), importlib.import_module("sys")

    def walk() -> object:
        return inspect.currentframe().f_back.f_globals["__name__"]

    names = {
        "datetime": datetime,
        "UTC": UTC,
        "os": os,
        "path": "/srv/app/service/handlers/login.py",
        "inspect": inspect,
        "sys": sys,
        "walk": walk,
    }

    def native(name: str) -> Contestant:
        found = getattr(importlib.import_module("otelbridge._native"), function)
        return Contestant(name, ours, {**names, function: found})

    name = f"{OURS} {function}"
    rows = [Entry(other, partial(Contestant, other, statement, names)) for other, statement in others.items()]
    return Case(key, title, "wall", [Entry(name, partial(native, name)), *rows])

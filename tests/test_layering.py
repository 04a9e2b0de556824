"""The rooms of the house and the one way through them, read from the imports."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = "otelbridge"
ROOT = Path(__file__).parents[1] / PACKAGE

# From left to right; a room imports itself and what is right of it. Names on one line may import each other.
ORDER = [
    {"__init__", "__main__"},
    {"integrations", "hypercorn", "server", "cli", "viewer", "testing"},
    {"dashboards"},  # the metrics' table as Grafana's boards and Prometheus's rules
    {"wiring"},  # sees everything right of the programs; nobody sees it
    {"access"},
    {"_logger"},
    {"_catch", "_parse", "_span"},
    {"_call"},
    {"_wording"},
    {"_family"},
    {"_export", "_hold"},
    {"dispatch", "bridge"},
    {"sinks"},
    {"text"},
    {"delivery"},
    {"otlp", "metrics"},
    {"record", "levels", "context", "types", "exceptions", "scope", "message", "departures", "defaults"},
    {"_native"},
]
RANK = {room: rank for rank, rooms in enumerate(ORDER) for room in rooms}

# Who may import the wiring at all: where a user's first call comes in, and not when the module is loaded.
WIRING_GUESTS = {"__init__", "access", "integrations", "hypercorn", "server", "cli", "testing"}
# What only the wiring chooses from.
CONCRETE = {f"{PACKAGE}.otlp.transport_http", f"{PACKAGE}.otlp.transport_grpc", f"{PACKAGE}.delivery.worker"}

# Heavy modules, and the rooms whose files may import them when they are loaded: they are loaded late themselves.
HEAVY = {
    "opentelemetry": {"access", "delivery", "integrations", "metrics", "otlp", "viewer"},
    "opentelemetry.sdk": {"delivery", "otlp"},
    "opentelemetry.exporter": set[str](),
    "google": {"otlp", "viewer"},
    "grpc": {"otlp"},
    "requests": {"otlp"},
    "urllib3": {"otlp"},
    "hypercorn": {"hypercorn", "server"},
    "grafana_foundation_sdk": {"dashboards"},
    "rich": set[str](),
    "orjson": set[str](),
    "statsd": {"metrics"},
    # Whoever uses a framework has imported it.
    **{name: set[str]() for name in ("django", "fastapi", "flask", "litestar", "quart", "starlette", "werkzeug")},
}


class Edge(NamedTuple):
    """One import: who, what (with the name that is imported), and whether it happens when the module is loaded."""

    importer: str
    imported: str
    at_load: bool
    for_types: bool

    @property
    def room(self) -> str:
        return room_of(self.importer)


def room_of(module: str) -> str:
    """The first word of a module's name below the package."""
    return [*module.split("."), "__init__"][1]


def modules() -> dict[str, Path]:
    """Every Python file of the package, by module name."""
    found = {}
    for path in ROOT.rglob("*.py"):
        parts = path.relative_to(ROOT.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def edges() -> list[Edge]:
    """All imports of the package's own files."""
    return [edge for name, path in modules().items() for edge in imports(name, ast.parse(path.read_text("utf-8")))]


def imports(module: str, tree: ast.AST, *, at_load: bool = True, for_types: bool = False) -> Iterator[Edge]:
    """The imports in a tree, which a function or `if TYPE_CHECKING` around them keeps from happening at load."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Edge(module, alias.name, at_load, for_types) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative imports hide the room they go to"
            yield from (Edge(module, f"{node.module}.{alias.name}", at_load, for_types) for alias in node.names)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from imports(module, node, at_load=False, for_types=for_types)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from imports(module, node, at_load=False, for_types=True)
        else:
            yield from imports(module, node, at_load=at_load, for_types=for_types)


EDGES = edges()
OURS = [edge for edge in EDGES if edge.imported.split(".")[0] == PACKAGE]


def is_in(imported: str, module: str) -> bool:
    return imported == module or imported.startswith(module + ".")


def test_every_file_is_in_a_room() -> None:
    """
    A file stands in a room that the design names.
    """
    assert {room_of(name) for name in modules()} <= set(RANK)


def test_imports_go_from_left_to_right() -> None:
    """
    No file imports a room left of its own, not even for types or inside a function; only the wiring is asked for by
    those who start it.
    """
    backward = [
        edge
        for edge in OURS
        if RANK[room_of(edge.imported)] < RANK[edge.room]
        and not (room_of(edge.imported) == "wiring" and edge.room in WIRING_GUESTS and not edge.at_load)
        and room_of(edge.imported) != "__init__"
    ]

    assert backward == []


def test_nobody_imports_the_package_itself() -> None:
    """
    Inside, names come from their homes: the package's own, lazy ones are for users.
    """
    public = [edge for edge in OURS if room_of(edge.imported) == "__init__" or is_public_name(edge.imported)]

    assert [edge for edge in public if edge.room not in ("cli", "viewer", "server", "integrations")] == []


def is_public_name(imported: str) -> bool:
    """Whether `from otelbridge import name` takes an object rather than a module."""
    parts = imported.split(".")
    return len(parts) == 2 and parts[1] not in RANK


def test_same_rank_stays_apart() -> None:
    """
    The common words know nothing of ours but the core's contract, and what stands side by side is not one room.
    """
    words = ORDER[-2]
    crossing = [
        edge
        for edge in OURS
        if edge.room in ("otlp", "metrics", "sinks", "text")
        and room_of(edge.imported) in {"otlp", "metrics"} - {edge.room}
    ]
    wordy = [edge for edge in OURS if edge.room in words and room_of(edge.imported) not in {*words, "_native"}]

    assert crossing == []
    assert wordy == []


def test_wiring_alone_sees_concrete_classes() -> None:
    """
    Transports and the worker are chosen in one place; everybody else knows their Protocols.
    """
    seen = [
        edge
        for edge in OURS
        if any(is_in(edge.imported, module) for module in CONCRETE)
        and edge.room != "wiring"
        and not any(is_in(edge.importer, module) for module in CONCRETE)
    ]

    assert seen == []


@pytest.mark.parametrize("heavy", HEAVY)
def test_heavy_modules_are_imported_where_they_are_used(heavy: str) -> None:
    """
    What is heavy is imported by a file that loads late itself, or inside a function.
    """
    early = [edge for edge in EDGES if edge.at_load and is_in(edge.imported, heavy) and edge.room not in HEAVY[heavy]]

    assert early == []


def test_there_is_no_utils() -> None:
    """
    A function lives with its first user until its noun is known.
    """
    words = ("util", "utils", "helper", "helpers", "common", "misc")
    named = [name for name in modules() if name.rpartition(".")[2].strip("_") in words]

    assert [name for name in named if name != f"{PACKAGE}.hypercorn.utils"] == []


# The public objects of design.md §3, those of later issues included.
PUBLIC = ("configure", "flush", "instrument", "log", "logger", "run", "shutdown", "stats", "uninstrument")

EVERYTHING = """
import importlib, json, pkgutil, types
import otelbridge
before = {name: getattr(otelbridge, name) for name in otelbridge.__all__}
names = [info.name for info in pkgutil.walk_packages(otelbridge.__path__, "otelbridge.") if "__main__" not in info.name]
for name in names: importlib.import_module(name)
changed = [name for name in before if getattr(otelbridge, name) is not before[name]]
modules = [name for name in PUBLIC if isinstance(getattr(otelbridge, name, None), types.ModuleType)]
print(json.dumps([names, changed, modules]))
"""


def test_no_submodule_bears_a_public_objects_name() -> None:
    """
    After importing every submodule, the public names still are the objects: a module of the same name would replace
    one.
    """
    done = subprocess.run(
        [sys.executable, "-c", f"PUBLIC = {PUBLIC!r}\n{EVERYTHING}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    names, changed, replaced = json.loads(done.stdout)
    assert len(names) > 20
    assert set(names) >= {name for name in modules() if name.count(".") > 0 and "__main__" not in name}
    assert (changed, replaced) == ([], [])


LIGHT = ["_logger", "dispatch", "context", "record", "wiring", "cli", "types", "exceptions"]


@pytest.mark.parametrize("room", LIGHT)
def test_light_rooms_load_nothing_heavy(room: str) -> None:
    """
    The logger, and what configures it, are imported without the SDK, an exporter or a client library.
    """
    program = f"import json, sys, {PACKAGE}.{room}\nprint(json.dumps(sorted(sys.modules)))"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)

    loaded = json.loads(done.stdout)
    assert [name for name in loaded for heavy in HEAVY if is_in(name, heavy)] == []

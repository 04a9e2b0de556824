"""What the package shows to the world."""

from __future__ import annotations

import ast
import importlib.metadata
import inspect
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import otelbridge
from otelbridge import _native

ROOT = Path(__file__).parents[1] / "otelbridge"
SIX = ("configure", "flush", "instrument", "logger", "shutdown", "stats")


def test_top_level_is_the_missions() -> None:
    """
    The repository's top level has the six entries that the mission names.
    """
    for name in ("pyproject.toml", "otelbridge", "native", "collector-config", "docker-compose.yml", "tests"):
        assert (ROOT.parent / name).exists(), name


def test_wheel_has_all_that_a_user_needs(tmp_path: Path) -> None:
    """
    A wheel is one for all CPythons of a platform, and carries the core, its types, the licence and the demo's shop.
    """
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]

    subprocess.run(command, cwd=ROOT.parent, check=True, capture_output=True, timeout=100)

    (wheel,) = tmp_path.glob("*.whl")
    assert "-cp311-abi3-" in wheel.name
    names = set(zipfile.ZipFile(wheel).namelist())
    (core,) = (name for name in names if name.startswith("otelbridge/_native.") and not name.endswith(".pyi"))
    assert core.endswith((".abi3.so", ".pyd"))
    assert {"otelbridge/_native.pyi", "otelbridge/py.typed", "otelbridge/examples/shop.py"} <= names
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert not [name for name in names if name.endswith((".zig", ".pyc"))]


def test_the_six_names_are_there() -> None:
    """
    The names that other people's programs import exist, with the arguments that they were promised.
    """
    for name in SIX:
        assert getattr(otelbridge, name) is not None
    assert isinstance(otelbridge.logger, _native.LoggerBase)
    parameters = {
        name: list(inspect.signature(getattr(otelbridge, name)).parameters) for name in SIX if name != "logger"
    }
    assert parameters["flush"] == parameters["shutdown"] == ["timeout_s"]
    assert parameters["stats"] == []
    assert parameters["instrument"][0] == "app"
    assert set(parameters["configure"]) >= {"service_name", "endpoint", "protocol", "headers", "timeout_s", "level"}


@pytest.mark.parametrize("name", ["configure", "instrument", "flush", "shutdown"])
def test_unknown_argument_is_a_type_error(name: str) -> None:
    """
    An argument that does not exist is said at once.
    """
    arguments: tuple[Any, ...] = (lambda: None,) if name == "instrument" else ()

    with pytest.raises(TypeError, match="no_such_argument"):
        getattr(otelbridge, name)(*arguments, no_such_argument=1)


def test_all_is_sorted_and_is_what_can_be_loaded() -> None:
    """
    `__all__` names, in order and once, exactly what the package loads; `import *` and dir() show it.
    """
    assert otelbridge.__all__ == sorted(set(otelbridge.__all__))
    assert set(otelbridge.__all__) == {*otelbridge._HOMES, "__version__"}
    assert set(SIX) <= set(otelbridge.__all__)
    scope: dict[str, Any] = {}
    exec("from otelbridge import *", scope)
    assert {name for name in scope if not name.startswith("__builtins__")} == set(otelbridge.__all__)
    assert set(otelbridge.__all__) <= set(dir(otelbridge))


def test_type_checkers_see_every_name() -> None:
    """
    Each name that is loaded lazily also stands under `if TYPE_CHECKING`, from the same home.
    """
    tree = ast.parse((ROOT / "__init__.py").read_text("utf-8"))
    shown = {
        alias.asname: str(node.module).removeprefix("otelbridge.")
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("otelbridge.")
        for alias in node.names
        if alias.asname
    }

    assert shown == otelbridge._HOMES


def test_name_that_does_not_exist() -> None:
    """
    A misspelt name is an AttributeError that names it.
    """
    with pytest.raises(AttributeError, match="module 'otelbridge' has no attribute 'loger'"):
        otelbridge.loger  # noqa: B018
    with pytest.raises(ImportError, match="loger"):
        exec("from otelbridge import loger")


def test_names_are_loaded_when_they_are_used() -> None:
    """
    Importing the package loads none of its modules.
    """
    program = "import sys, otelbridge; print([name for name in sys.modules if name.startswith('otelbridge.')])"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)

    assert done.stdout == "[]\n"


def documented(thing: Any) -> bool:
    return bool((inspect.getdoc(thing) or "").strip())


def test_every_public_name_has_a_docstring() -> None:
    """
    What a user can call says what it does: the names, their public methods, and the module itself.
    """
    bare = [name for name in otelbridge.__all__ if name != "__version__" and not documented(getattr(otelbridge, name))]
    logger = type(otelbridge.logger)
    methods = [name for name in vars(logger) if not name.startswith("_")]
    bare += [f"logger.{name}" for name in methods if not documented(getattr(logger, name))]

    assert bare == []
    assert documented(otelbridge)


def test_every_file_says_what_it_is_for() -> None:
    """
    Each Python file of the package begins with a docstring.
    """
    bare = [
        str(path.relative_to(ROOT))
        for path in [*ROOT.rglob("*.py"), *ROOT.rglob("*.pyi")]
        if not ast.get_docstring(ast.parse(path.read_text("utf-8")))
    ]

    assert bare == []


def test_package_is_typed() -> None:
    """
    py.typed stands beside the modules: a user's type checker reads their annotations.
    """
    assert (ROOT / "py.typed").is_file()


def test_version_is_that_of_the_distribution() -> None:
    """
    `__version__` is what pip says.
    """
    assert otelbridge.__version__ == importlib.metadata.version("otelbridge")


def names_of_stub() -> dict[str, set[str]]:
    """Module and class names -> the names that the stub says they have."""
    tree = ast.parse((ROOT / "_native.pyi").read_text("utf-8"))
    found: dict[str, set[str]] = {"": set()}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[""].add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = {each.name for each in node.body if isinstance(each, ast.FunctionDef)}
            found[node.name] = methods | {
                ast.unparse(each.target) for each in node.body if isinstance(each, ast.AnnAssign)
            }
    return found


def test_stub_names_what_the_extension_has() -> None:
    """
    `_native.pyi` and the extension have the same functions, types, methods and attributes.
    """
    stub = names_of_stub()

    def public(thing: Any) -> set[str]:
        return {name for name in vars(thing) if not name.startswith("__")}

    assert public(_native) == stub.pop("")
    for kind, names in stub.items():
        assert public(getattr(_native, kind)) == {name for name in names if not name.startswith("__")}

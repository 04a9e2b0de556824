"""Modules written for one test, imported and forgotten with it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

WriteModule = Callable[[str, str], Path]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder; sys.path and sys.modules are afterwards as before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path.resolve()
    for name in [name for name, module in sys.modules.items() if is_below(tmp_path.resolve(), module)]:
        del sys.modules[name]
    importlib.invalidate_caches()


def is_below(folder: Path, module: ModuleType) -> bool:
    """Whether a module, or a package without a file of its own, was found in `folder`."""
    known = vars(module) if isinstance(module, ModuleType) else {}
    places = [known["__file__"]] if known.get("__file__") else list(known.get("__path__") or ())
    return any(Path(place).is_relative_to(folder) for place in places)


@pytest.fixture
def write_module(folder: Path) -> WriteModule:
    """A function that writes a file of Python below `folder`, ready for import."""

    def write(name: str, text: str) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        importlib.invalidate_caches()
        return path

    return write

"""What the conformance tests share: sinks that keep what they get, a logger as new, and scripts in fresh processes."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

IMPLEMENTATIONS = ("loguru", "otelbridge")

# loguru's documented levels: name, severity, and their looks by default.
LEVELS = [
    ("TRACE", 5, "<cyan><bold>", "✏️"),
    ("DEBUG", 10, "<blue><bold>", "🐞"),
    ("INFO", 20, "<bold>", "ℹ️"),
    ("SUCCESS", 25, "<green><bold>", "✅"),
    ("WARNING", 30, "<yellow><bold>", "⚠️"),
    ("ERROR", 40, "<red><bold>", "❌"),
    ("CRITICAL", 50, "<RED><bold>", "☠️"),
]

_numbers = itertools.count()


class Kept:
    """A sink that keeps each message and its record."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.records: list[Any] = []

    def __call__(self, message: Any) -> None:
        self.texts.append(str(message))
        self.records.append(message.record)

    @property
    def text(self) -> str:
        """The only text."""
        assert len(self.texts) == 1, self.texts
        return self.texts[0]

    @property
    def record(self) -> Any:
        """The only record."""
        assert len(self.records) == 1, self.texts
        return self.records[0]

    @property
    def message(self) -> Any:
        """The only record's message."""
        return self.record["message"]

    @property
    def extra(self) -> Any:
        """The only record's extra."""
        return self.record["extra"]

    @property
    def messages(self) -> list[Any]:
        """What was said, without its line."""
        return [record["message"] for record in self.records]

    @property
    def extras(self) -> list[Any]:
        """The extra of all records."""
        return [record["extra"] for record in self.records]

    @property
    def levels(self) -> list[str]:
        """The level names of all records."""
        return [record["level"].name for record in self.records]

    def clear(self) -> None:
        """Forget everything."""
        self.texts.clear()
        self.records.clear()


def unpatched(record: Any) -> None:
    """Change nothing: a patcher that can be pickled."""


def reset(logger: Any) -> None:
    """Make the logger as new, by public calls only: no handler, default levels, no extra, patcher, activation."""
    logger.remove()
    logger.configure(
        extra={},
        patcher=unpatched,
        activation=[("", True), (None, True)],
        levels=[{"name": name, "color": color, "icon": icon} for name, _, color, icon in LEVELS],
    )


def new_name(prefix: str = "LEVEL") -> str:
    """A name that no test had before: levels cannot be taken back."""
    return f"{prefix}_{next(_numbers)}"


def add(logger: Any, **options: Any) -> Kept:
    """Add a sink that keeps all levels' bare messages, unless `options` say otherwise."""
    kept = Kept()
    logger.add(kept, **{"format": "{message}", "level": 0, **options})
    return kept


def run_as(name: str | None, source: str, **names: Any) -> dict[str, Any]:
    """Run `source` as the module `name` (None: as code that has no name); return its names."""
    scope: dict[str, Any] = {"__name__": name, **names}
    if name is None:
        del scope["__name__"]
    exec(compile(textwrap.dedent(source), f"{name}.py", "exec"), scope)
    return scope


def error_of(call: Callable[[], object]) -> BaseException:
    """What `call()` raises."""
    try:
        call()
    except BaseException as error:
        return error
    msg = "nothing was raised"
    raise AssertionError(msg)


class Script:
    """Runs Python source, in which `logger` is the implementation's, in a fresh process."""

    def __init__(self, implementation: str, folder: Path) -> None:
        self.implementation = implementation
        self.folder = folder

    def __call__(
        self, source: str, environment: Mapping[str, str] | None = None, *, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end; `check` asserts that it ended well."""
        path = self.folder / "script.py"
        text = textwrap.dedent(source).replace("from PACKAGE import", f"from {self.implementation} import")
        path.write_text(text, encoding="utf-8")
        result = subprocess.run(
            [sys.executable, "-X", "utf8", str(path)],
            env={**os.environ, "OTELBRIDGE_LOGURU_STRICT": "1", "PYTHONPATH": os.getcwd(), **(environment or {})},  # noqa: PTH109
            cwd=self.folder,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )
        if check:
            assert result.returncode == 0, result.stderr
        return result

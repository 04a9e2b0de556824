"""What the conformance tests share: sinks that keep what they get, a logger as new, and scripts in fresh processes."""

from __future__ import annotations

import functools
import inspect
import itertools
import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

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


def each(names: str | tuple[str, ...], cases: Iterable[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """`pytest.mark.parametrize` within one test: for cases that take less time than a test does.

    The logger is as new for each; every case that fails is told.
    """
    given = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    table = [case if len(given) > 1 else (case,) for case in cases]

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(**fixtures: Any) -> None:
            errors: list[BaseException] = []
            for case in table:
                try:
                    test(**fixtures, **dict(zip(given, case, strict=True)))
                except (Exception, pytest.fail.Exception) as error:
                    error.add_note(f"with {given} = {case!r}")
                    errors.append(error)
                _renew(fixtures)
            if errors:
                msg = f"{len(errors)} of {len(table)} cases"
                raise BaseExceptionGroup(msg, errors)

        signature = inspect.signature(test)
        others = [each for each in signature.parameters.values() if each.name not in given]
        run.__signature__ = signature.replace(parameters=others)  # type: ignore[attr-defined]  # what pytest asks for
        return run

    return decorate


def _renew(fixtures: Mapping[str, Any]) -> None:
    if "kept" in fixtures:
        fixtures["kept"].clear()
    elif "logger" in fixtures:
        reset(fixtures["logger"])


def departure(reason: str) -> pytest.MarkDecorator:
    """Mark a test of what loguru does and otelbridge, for the reason given, does otherwise: it runs on loguru only."""
    assert reason
    return pytest.mark.parametrize("implementation", ["loguru"], indirect=True)


def beyond(reason: str) -> pytest.MarkDecorator:
    """Mark a test of what we promise and loguru, for the reason given, does not always keep: it runs on ours only."""
    assert reason
    return pytest.mark.parametrize("implementation", ["otelbridge"], indirect=True)


class Script:
    """Runs Python source, in which `logger` is the implementation's, in a fresh process."""

    def __init__(self, implementation: str, folder: Path) -> None:
        self.implementation = implementation
        self.folder = folder

    def __call__(
        self, source: str, environment: Mapping[str, str] | None = None, *, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end; `check` asserts that it ended well."""
        result = self._run(str(self._write(source)), environment=environment or {})
        if check:
            assert result.returncode == 0, result.stderr
        return result

    def each(self, source: str, environments: Sequence[Mapping[str, str]]) -> list[subprocess.CompletedProcess[str]]:
        """Run it once for each of these additions to the environment, however it ends.

        Where the system forks, Python starts only once: it is not loguru or otelbridge that takes the time.
        """
        if not hasattr(os, "fork"):
            return [self(source, environment, check=False) for environment in environments]
        path = self._write(source)
        codes = self._run("-c", _FORKS, str(path), json.dumps(environments), environment={}).stdout.split()
        outputs = [[(self.folder / f"{n}.{name}").read_text("utf-8") for name in _OUTPUTS] for n in range(len(codes))]
        return [
            subprocess.CompletedProcess([str(path)], int(code), out, err)
            for code, (out, err) in zip(codes, outputs, strict=True)
        ]

    def _write(self, source: str) -> Path:
        path = self.folder / "script.py"
        text = textwrap.dedent(source).replace("from PACKAGE import", f"from {self.implementation} import")
        path.write_text(text, encoding="utf-8")
        return path

    def _run(self, *arguments: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-X", "utf8", *arguments],
            env={**os.environ, "OTELBRIDGE_LOGURU_STRICT": "1", "PYTHONPATH": os.getcwd(), **environment},  # noqa: PTH109
            cwd=self.folder,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=60,
            check=False,
        )


_OUTPUTS = ("stdout", "stderr")
# Runs a script in a fork for each environment, then prints their exit codes. A child ends as programs do: at the end.
_FORKS = f"""
import asyncio, json, logging, multiprocessing, os, sys
path, environments = sys.argv[1], json.loads(sys.argv[2])
with open(path, encoding="utf-8") as file:
    code = compile(file.read(), path, "exec")
codes = []
for number, environment in enumerate(environments):
    child = os.fork()
    if child:
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        continue
    for descriptor, name in enumerate({_OUTPUTS}, 1):
        os.dup2(os.open(f"{{number}}.{{name}}", os.O_WRONLY | os.O_CREAT), descriptor)
    os.environ.update(environment)
    exec(code, {{"__name__": "__main__", "__file__": path}})
    break
else:
    print(*codes)
"""

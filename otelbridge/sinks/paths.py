"""The names of log files: with the time in them, rotated, and as patterns that find them all again."""

# Paths are str here: what loguru's users get, and what a line's way is fastest with.
# ruff: noqa: PTH100, PTH109, PTH110, PTH113, PTH117, PTH118, PTH122, PTH207

from __future__ import annotations

import os
from datetime import datetime
from string import Formatter
from typing import TYPE_CHECKING, Any

from otelbridge.sinks import creation_time
from otelbridge.text.time import PATH_SPEC, PathTime, Time

if TYPE_CHECKING:
    from pathlib import Path


class LogPath(str):
    """A log file, for the functions of a user: a str, as in loguru, that does what a `pathlib.Path` does (seed 1)."""

    __slots__ = ()

    def replace(self, *arguments: Any) -> Any:  # the one name that both have
        """Of text with text, as a str; of a target file, as a Path."""
        return _path(self).replace(*arguments) if len(arguments) == 1 else str.replace(self, *arguments)

    def __truediv__(self, name: str) -> Path:
        return _path(self) / name

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what copy and pickle ask for is a str's business
            raise AttributeError(name)
        return getattr(_path(self), name)


def _path(text: str) -> Path:
    from pathlib import Path

    return Path(text)


class FilePath:
    """A path as given to `add`, perhaps with `{time}` in it. A relative one stays in the folder that was current."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        given = os.fspath(path)
        if not isinstance(given, str):
            raise TypeError(f"the path of a log file must be a str or a Path, got {type(given).__name__}")
        self.given = given
        self._folder = os.getcwd() if not os.path.isabs(given) else ""
        self._fields = list(Formatter().parse(given))

    def at(self, now: Time) -> str:
        """The absolute path of a file that is begun now."""
        name = self.given.format_map({"time": PathTime(now)})
        return os.path.abspath(os.path.join(self._folder, name))

    def patterns(self) -> set[str]:
        """Glob patterns of this sink's files of any time: as they are, rotated, and with more extensions."""
        from glob import escape

        parts = (escape(text) + ("" if field is None else "*") for text, field, _, _ in self._fields)
        path = os.path.join(escape(self._folder), "".join(parts))
        root, extension = os.path.splitext(path)
        return {path, f"{path}.*", f"{root}.*{extension}", f"{root}.*{extension}.*"}

    def found(self) -> list[LogPath]:
        """The files of any time, sorted by name."""
        from glob import glob

        names = {os.path.normpath(name) for pattern in self.patterns() for name in glob(pattern)}
        return [LogPath(name) for name in sorted(names) if os.path.isfile(name)]


def dated_path(path: str, root: str, extension: str) -> str:
    """The name under which the file `path` may stay: root, when it was begun, a number if that is taken, extension."""
    created = datetime.fromtimestamp(creation_time.get_ctime(path))
    stamp = created.strftime(PATH_SPEC)
    name, number = f"{root}.{stamp}{extension}", 1
    while os.path.exists(name):
        number += 1
        name = f"{root}.{stamp}.{number}{extension}"
    return name

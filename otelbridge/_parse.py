"""`logger.parse`: what a log file says, as dicts (features.md 1.32)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

Cast = Mapping[str, Callable[[Any], object]] | Callable[[dict[str, Any]], object]


def parse(file: Any, pattern: Any, cast: Cast, chunk: int) -> Iterator[dict[str, Any]]:
    """The groups of each match of `pattern` in `file`, read `chunk` characters at a time."""
    regex = _compile(pattern)
    convert = _converter(cast)
    opened = isinstance(file, str | os.PathLike)
    if not opened and not callable(getattr(file, "read", None)):
        msg = f"file must be a path or an object with a read method, got {file!r} of type {type(file).__name__!r}"
        raise TypeError(msg)
    return _read(file, opened, regex, convert, chunk)


def _read(
    file: Any, opened: bool, regex: re.Pattern[Any], convert: Callable[[dict[str, Any]], object], chunk: int
) -> Iterator[dict[str, Any]]:
    stream = Path(file).open(encoding=None) if opened else file  # noqa: SIM115 -- closed below, if it is ours
    try:
        for match in _matches(stream, regex, chunk):
            groups = match.groupdict()
            convert(groups)
            yield groups
    finally:
        if opened:
            stream.close()


def _matches(stream: Any, regex: re.Pattern[Any], chunk: int) -> Iterator[re.Match[Any]]:
    """A match that touches the end of what was read may go on in the next chunk, so the last one waits."""
    waiting = stream.read(0)
    while True:
        text = stream.read(chunk)
        waiting += text
        matches = list(regex.finditer(waiting))
        if not text:
            yield from matches
            return
        if len(matches) > 1:
            waiting = waiting[matches[-2].end() :]
            yield from matches[:-1]


def _compile(pattern: Any) -> re.Pattern[Any]:
    try:
        return re.compile(pattern)
    except TypeError:
        msg = f"pattern must be a str, bytes or a compiled regex, got {pattern!r} of type {type(pattern).__name__!r}"
        raise TypeError(msg) from None


def _converter(cast: Any) -> Callable[[dict[str, Any]], object]:
    if isinstance(cast, Mapping):

        def convert(groups: dict[str, Any]) -> None:
            for name, function in cast.items():
                if name in groups:
                    groups[name] = function(groups[name])

        return convert
    if callable(cast):
        function: Callable[[dict[str, Any]], object] = cast
        return function
    msg = f"cast must be a dict of functions or a function, got {cast!r} of type {type(cast).__name__!r}"
    raise TypeError(msg)

"""Which old log files may go: by age, by number, or as the user's function says (features.md 1.14)."""

# Paths are str here: what loguru's users get, and what a line's way is fastest with.
# ruff: noqa: PTH107, PTH116

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import timedelta

from otelbridge.sinks.grammar import parse_duration
from otelbridge.sinks.locks import claimed
from otelbridge.sinks.paths import LogPath

# Each is a file descriptor for as long as the user's function runs.
_CLAIMS_MAX = 100

# Takes the log files there are and the time it is (seconds since the epoch).
Retention = Callable[[list[LogPath], float], None]


def make_retention(spec: object) -> Retention | None:
    """The retention that `spec` asks for; None: all files stay.

    Takes a number of files to keep, a `timedelta` or a str ("1 week, 3 days") of age, or a function that is given the
    list of the files. TypeError, ValueError: it is none of them.
    """
    if spec is None:
        return None
    if isinstance(spec, str):
        age = parse_duration(spec)
        if age is None:
            raise ValueError(f"retention not understood: {spec!r}; expected a duration as '1 week, 3 days'")
        return _KeepYounger(age.total_seconds())
    if isinstance(spec, int):
        return _KeepNewest(spec)
    if isinstance(spec, timedelta):
        return _KeepYounger(spec.total_seconds())
    if callable(spec):
        return _Choice(spec)
    raise TypeError(
        "retention must be a str, a number of files (int), a timedelta, a callable(list of paths) or None, "
        f"got {type(spec).__name__}"
    )


class _KeepNewest:
    """The newest `count` files stay, by the time of their last change."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __call__(self, paths: list[LogPath], now_s: float) -> None:  # noqa: ARG002 -- a Retention
        newest_first = sorted((-modified_s, path) for path, modified_s in _times(paths))
        _remove([path for _, path in newest_first[self._count :]])


class _KeepYounger:
    """Files last changed less than `age_s` ago stay, however many they are."""

    def __init__(self, age_s: float) -> None:
        self._age_s = age_s

    def __call__(self, paths: list[LogPath], now_s: float) -> None:
        _remove([path for path, modified_s in _times(paths) if modified_s <= now_s - self._age_s])


class _Choice:
    """The user's function does what it likes with the files that no process is writing to or packing."""

    def __init__(self, function: Callable[[list[LogPath]], object]) -> None:
        self._function = function

    def __call__(self, paths: list[LogPath], now_s: float) -> None:  # noqa: ARG002 -- a Retention
        newest_first = sorted(((modified_s, path) for path, modified_s in _times(paths)), reverse=True)
        with ExitStack() as claims:
            free = []
            for number, (_, path) in enumerate(newest_first):
                # The newest stay claimed, so that no two processes have their ways with one file.
                with ExitStack() as claim:
                    if claim.enter_context(claimed(path)):
                        free.append(path)
                        if number < _CLAIMS_MAX:
                            claims.push(claim.pop_all())
            self._function(sorted(free))


def _times(paths: Sequence[LogPath]) -> list[tuple[LogPath, float]]:
    found = []
    for path in paths:
        try:
            found.append((path, os.stat(path).st_mtime))
        except FileNotFoundError:  # another process was faster
            continue
    return found


def _remove(paths: Sequence[LogPath]) -> None:
    """Remove all that can be removed; then raise the first error, if there was one."""
    failed: OSError | None = None
    for path in paths:
        try:
            with claimed(path) as is_free:
                if is_free:
                    os.remove(path)
        except FileNotFoundError:
            continue
        except OSError as error:
            failed = failed or error
    if failed is not None:
        raise failed

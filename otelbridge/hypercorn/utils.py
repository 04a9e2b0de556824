"""Hypercorn's `hypercorn.utils`, with what its documents promise kept (rows 2.1-2.14). The name is a seed's.

What is not ours is Hypercorn's own: same object, same behaviour.
"""

from __future__ import annotations

import glob
import os
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hypercorn.utils import (
    FrameTooLargeError,
    LifespanFailureError,
    LifespanTimeoutError,
    NoAppError,
    ShutdownError,
    UnexpectedMessageError,
    check_for_updates,
    check_multiprocess_shutdown_event,
    filter_pseudo_headers,
    is_asgi,
    raise_shutdown,
    repr_socket_addr,
    suppress_body,
    write_pid_file,
)
from hypercorn.utils import files_to_watch as _modules_to_watch
from hypercorn.utils import parse_socket_addr as _parse_inet_addr

from otelbridge.hypercorn.headers import build_and_validate_headers
from otelbridge.hypercorn.loading import load_application, wrap_app
from otelbridge.hypercorn.server_names import valid_server_name

__all__ = [
    "FrameTooLargeError",
    "LifespanFailureError",
    "LifespanTimeoutError",
    "NoAppError",
    "ShutdownError",
    "UnexpectedMessageError",
    "build_and_validate_headers",
    "check_for_updates",
    "check_multiprocess_shutdown_event",
    "files_to_watch",
    "filter_pseudo_headers",
    "is_asgi",
    "load_application",
    "parse_socket_addr",
    "raise_shutdown",
    "repr_socket_addr",
    "suppress_body",
    "valid_server_name",
    "wrap_app",
    "write_pid_file",
]


def parse_socket_addr(family: int, address: Any) -> tuple[str, int] | str | None:
    """Return (host, port) of an internet address, the path of a Unix one (abstract: after a NUL); else None."""
    if family == socket.AF_UNIX:
        return os.fsdecode(address)
    return _parse_inet_addr(family, address)


def files_to_watch(*, extra: Iterable[str | Path] | str | Path = ()) -> dict[Path, float]:
    """Return the files of all imported modules, and `extra`, each with its time of change (s since 1970).

    `extra` holds files, folders (all files below) and globs (`**` goes deep); a glob may find nothing. For
    `check_for_updates()`, which does not see files that come later. FileNotFoundError: a file or folder is not there.
    """
    files = _modules_to_watch()
    for place in (extra,) if isinstance(extra, str | Path) else extra:
        files.update((path, path.stat().st_mtime) for path in _files_at(place))
    return files


def _files_at(place: str | Path) -> list[Path]:
    path = Path(place)
    if path.is_dir():
        return [below for below in path.rglob("*") if below.is_file()]
    if path.exists():
        return [path]
    if not glob.has_magic(str(place)):
        msg = f"extra must hold files, folders or globs that exist, got {str(place)!r}"
        raise FileNotFoundError(msg)
    # Path.glob() takes no absolute pattern.
    return [found for found in map(Path, glob.glob(str(place), recursive=True)) if found.is_file()]  # noqa: PTH207

"""What can be known to be wrong before anything runs, each as one sentence. Opens what has to be opened to know."""

from __future__ import annotations

import contextlib
import copy
import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from otelbridge.server.errors import StartError, sentence_of

if TYPE_CHECKING:
    from hypercorn.config import Config, Sockets

WORKER_CLASSES = ("asyncio", "uvloop", "trio")


def check_worker_class(config: Config) -> None:
    """Raise ValueError for a worker class that nobody knows (features.md 3.1)."""
    if config.worker_class not in WORKER_CLASSES:
        msg = f"worker class must be one of {', '.join(WORKER_CLASSES)}, got {config.worker_class!r}"
        raise ValueError(msg)


def check_config(config: Config) -> None:
    """Raise StartError for the first mistake in a Config that needs no socket to be seen."""
    if config.worker_class != "asyncio" and find_spec(config.worker_class) is None:
        name = config.worker_class
        msg = f"worker class {name} needs the package {name}, which is not installed: pip install {name}"
        raise StartError(msg)
    if not getattr(config, "application_path", None):
        msg = "the application must be named, as module:app in config.application_path, got none"
        raise StartError(msg)
    if not isinstance(config.workers, int) or config.workers < 0:
        msg = f"workers must be a number from 0 on, got {config.workers!r}"
        raise StartError(msg)
    if config.use_reloader and config.workers == 0:
        msg = "reloading must have at least one worker to replace, got workers=0"
        raise StartError(msg)
    _check_tls(config)
    if config.quic_bind and config.ssl_enabled and find_spec("aioquic") is None:
        msg = "HTTP/3 needs the package aioquic, which is not installed: pip install aioquic"
        raise StartError(msg)
    _check_logs(config)


def _check_tls(config: Config) -> None:
    if (config.certfile is None) != (config.keyfile is None):
        given, missing = ("certfile", "keyfile") if config.keyfile is None else ("keyfile", "certfile")
        msg = f"TLS needs both certfile and keyfile, got a {given} without a {missing}"
        raise StartError(msg)
    if not config.ssl_enabled:
        return
    for name in ("certfile", "keyfile", "ca_certs"):
        path = getattr(config, name)
        if path is not None:
            try:
                Path(path).open("rb").close()
            except OSError as error:
                msg = f"{name} {str(path)!r} must be a file that can be read, got: {sentence_of(error)}"
                raise StartError(msg) from error
    try:
        config.create_ssl_context()
    except Exception as error:
        files = f"certificate {str(config.certfile)!r} with key {str(config.keyfile)!r}"
        msg = f"{files} cannot be used: {sentence_of(error)}"
        raise StartError(msg) from error


def _check_logs(config: Config) -> None:
    try:
        _ = config.log
    except Exception as error:  # a user's logging configuration may raise anything
        msg = f"the server's log cannot be set up: {sentence_of(error)}"
        raise StartError(msg) from error


class Listening:
    """Hypercorn's sockets for all places of a Config, for as long as the block lasts.

    Unix sockets' files are removed at the end, unless another server has made them its own. StartError: a place cannot
    be had.
    """

    def __init__(self, config: Config) -> None:
        from hypercorn.config import Sockets

        self.sockets = Sockets([], [], [])
        self._unix_files: dict[Path, int] = {}
        self._names: set[tuple[int, Any]] = set()
        try:
            for kind in ("bind", "insecure_bind", "quic_bind") if config.ssl_enabled else ("bind",):
                for place in getattr(config, kind):
                    self._open(config, kind, place)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Sockets:
        return self.sockets

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Listen no longer. Again: nothing."""
        for sock in (*self.sockets.secure_sockets, *self.sockets.insecure_sockets, *self.sockets.quic_sockets):
            with contextlib.suppress(OSError):  # one that came by fd:// may have been closed by its owner
                sock.close()
        for path, inode in self._unix_files.items():
            with contextlib.suppress(OSError):
                if path.stat().st_ino == inode:
                    path.unlink()
        self._unix_files.clear()

    def _open(self, config: Config, kind: str, place: str) -> None:
        if place == "unix:":  # which Linux takes for a name of its own choice
            raise StartError("cannot listen on unix: a path must follow, got none")
        one = copy.copy(config)
        for other in ("bind", "insecure_bind", "quic_bind"):
            setattr(one, other, [place] if other == kind else [])
        try:
            opened = one.create_sockets()
        except Exception as error:
            msg = f"cannot listen on {place}: {sentence_of(error)}"
            raise StartError(msg) from error
        self.sockets.secure_sockets += opened.secure_sockets
        self.sockets.insecure_sockets += opened.insecure_sockets
        self.sockets.quic_sockets += opened.quic_sockets
        if place.startswith("unix:"):
            path = Path(place.removeprefix("unix:"))
            self._unix_files[path] = path.stat().st_ino
        for sock in (*opened.secure_sockets, *opened.insecure_sockets, *opened.quic_sockets):
            # Two sockets may have one address until both listen, which is a worker's business.
            if (name := (sock.type, sock.getsockname())) in self._names:
                msg = f"cannot listen on {place}: each place can be given once only, got it twice"
                raise StartError(msg)
            self._names.add(name)


class PidFile:
    """The process id in a file, for as long as the block lasts. StartError: it cannot be written."""

    def __init__(self, path: str | None) -> None:
        self._path = None if path is None else Path(path)

    def __enter__(self) -> None:
        if self._path is None:
            return
        from hypercorn.utils import write_pid_file

        try:
            write_pid_file(str(self._path))
        except OSError as error:
            msg = f"the pid file {str(self._path)!r} must be writable, got: {sentence_of(error)}"
            raise StartError(msg) from error

    def __exit__(self, *_: object) -> None:
        if self._path is None:
            return
        # Another server may have put its own there since.
        with contextlib.suppress(OSError):
            if self._path.read_text("ascii").strip() == str(os.getpid()):
                self._path.unlink()

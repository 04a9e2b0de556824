"""`run(config)`: from a Config to an exit code. Checks first, then detaches, listens, writes the pid file, serves."""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from otelbridge.server.checks import Listening, PidFile, check_config, check_worker_class
from otelbridge.server.errors import StartError
from otelbridge.server.probe import check_hypercorn

if TYPE_CHECKING:
    from hypercorn.config import Config

    from otelbridge.server.daemon import Launch
    from otelbridge.server.options import Command


def run(config: Config) -> int:
    """Serve `config.application_path` on Hypercorn, instrumented; return the exit code (features.md 3.1).

    config: Hypercorn's Config or `otelbridge.hypercorn.config.Config`. Its `workers` processes are supervised: one that
    dies is replaced; SIGHUP and SIGUSR1 replace all, one by one; SIGTERM and SIGINT end them when their requests have
    ended, at most after `graceful_timeout`. `workers=0` serves in this process. `daemon`, where it was set to True,
    detaches; the code is then that of the start.

    0: it was told to end, and did. 1: it could not start or go on, and one sentence on stderr says why. ValueError: an
    unknown worker class. Has to be called in the main thread, for the signals.
    """
    try:
        serve(config)
    except StartError as error:
        print(f"otelbridge: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def run_command(command: Command) -> None:
    """Serve what a command line says. StartError, ValueError: as `serve`."""
    from otelbridge.server.options import config_file

    check_hypercorn()
    serve(
        command.make_config(),
        reread=command.make_config,
        watched=config_file(command.config_path),
        variables=command.variables,
    )


def serve(
    config: Config,
    *,
    reread: Callable[[], Config] | None = None,
    watched: str | None = None,
    variables: Mapping[str, str] | None = None,
) -> None:
    """Serve until told to end. StartError: it could not start, or not go on. ValueError: an unknown worker class.

    reread: returns the Config anew, at SIGHUP. watched: its file, for `use_reloader`. variables: for the environment in
    which the application runs.
    """
    config = _checked(config)
    if not vars(config).get("daemon", False):  # Hypercorn's default, True, is about something else
        _serve(config, reread, watched, variables or {}, lambda: None)
        return
    from otelbridge.server.daemon import detach

    launch = detach()
    if launch is not None:
        _serve_detached(launch, config, reread, watched, variables or {})


def _serve_detached(
    launch: Launch,
    config: Config,
    reread: Callable[[], Config] | None,
    watched: str | None,
    variables: Mapping[str, str],
) -> None:
    try:
        _serve(config, reread, watched, variables, launch.ready)
    except BaseException as error:
        failure = str(error) or type(error).__name__
        if (log := getattr(config.log, "error_logger", None)) is not None:
            log.critical(failure)  # when it ends later, nobody else hears it
        launch.end(failure)
    launch.end(None)


def _serve(
    config: Config,
    reread: Callable[[], Config] | None,
    watched: str | None,
    variables: Mapping[str, str],
    on_ready: Callable[[], object],
) -> None:
    with Listening(config) as sockets, PidFile(config.pid_path):
        if config.workers == 0 or sys.platform == "win32":  # which has no descriptors to inherit
            from otelbridge.server.worker import serve_here

            os.environ.update(variables)
            serve_here(config, sockets, on_ready)
            return
        from otelbridge.server.supervisor import Supervisor

        again = None if reread is None else lambda: _checked(reread())
        Supervisor(config, sockets, reread=again, watched=watched, variables=variables, on_ready=on_ready).run()


def _checked(config: Config) -> Config:
    """Return a copy without a mistake that can be seen, whose logger is ours, unless the user has chosen one."""
    check_hypercorn(config.worker_class)
    check_worker_class(config)
    config = _with_our_logger(config)
    check_config(config)
    return config


def _with_our_logger(config: Config) -> Config:
    import hypercorn.logging

    from otelbridge.hypercorn.logging import Logger

    config = copy.copy(config)
    config._log = None
    if config.logger_class is hypercorn.logging.Logger:
        config.logger_class = Logger
    return config

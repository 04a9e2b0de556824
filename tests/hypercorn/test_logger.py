"""Hypercorn's Logger, as its documents describe it: targets, levels, configuration, methods."""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import logging
import os
import pickle
import re
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import hypercorn.logging
import pytest
import trio

from otelbridge.hypercorn import AccessLogAtoms, Logger, StatsdLogger
from otelbridge.hypercorn.config import Config
from tests.access.listening import Listener
from tests.hypercorn.support import OK, http_scope, make_config, make_log

PREFIX = re.compile(r"\[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\] \[(\d+)\] \[([A-Z]+)\] (.*)")
LEVELS = ("critical", "error", "warning", "info", "debug")


class Broken:
    """An argument that cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


@pytest.fixture
def heard() -> tuple[logging.Logger, Listener]:
    """A logger of the test's own, and what it was told."""
    log = logging.Logger("heard")
    listener = Listener()
    log.addHandler(listener)
    return log, listener


# -------------------------------------------------------------------------------------------------------------- targets


@pytest.mark.covers("0.1")
@pytest.mark.covers("0.3")
def test_the_streams(capsys: pytest.CaptureFixture[str]) -> None:
    """
    "-" is stdout for requests and stderr for messages, on Hypercorn's two loggers, with Hypercorn's prefix.
    """
    log = make_log(accesslog="-", errorlog="-", access_log_format="%(m)s %(U)s")

    asyncio.run(log.access(http_scope(), OK, 0))
    log.warning("low %s", "memory")

    out, err = capsys.readouterr()
    access, error = PREFIX.fullmatch(out.strip()), PREFIX.fullmatch(err.strip())
    assert access is not None
    assert error is not None
    assert access.groups() == (str(os.getpid()), "INFO", "GET /a")
    assert error.groups() == (str(os.getpid()), "WARNING", "low memory")
    assert isinstance(log, hypercorn.logging.Logger)
    assert (log.access_logger, log.error_logger) == (
        logging.getLogger("hypercorn.access"),
        logging.getLogger("hypercorn.error"),
    )
    assert not logging.getLogger("hypercorn.access").propagate
    assert logging.getLogger("hypercorn.error").propagate


@pytest.mark.covers("0.2")
def test_by_default_requests_are_not_written_and_messages_are() -> None:
    """
    `accesslog` is None and `errorlog` "-", as with Hypercorn.
    """
    log = Config().log

    assert log.access_logger is None
    assert log.error_logger is not None


@pytest.mark.covers("0.2")
def test_a_given_logger_is_used_as_it_is(heard: tuple[logging.Logger, Listener]) -> None:
    """
    A `logging.Logger` as target keeps handlers, level and propagation, and gets format and atoms as with Hypercorn.
    """
    given, listener = heard
    given.setLevel(logging.NOTSET)
    log = make_log(accesslog=given, errorlog=given, loglevel="error", access_log_format="%(m)s")

    log.debug("told")
    log.access(http_scope(), OK, 0)

    assert [record.getMessage() for record in listener.records] == ["told", "GET"]
    assert (given.handlers, given.level, given.propagate) == ([listener], logging.NOTSET, True)
    assert isinstance(listener.records[1].args, AccessLogAtoms)


@pytest.mark.covers("0.2")
@pytest.mark.covers("0.4")
def test_a_target_of_none_is_silence(capfd: pytest.CaptureFixture[str]) -> None:
    """
    With both logs off nothing is written, whatever is called, and nothing is raised.
    """
    log = make_log()

    for name in LEVELS:
        getattr(log, name)("quiet %s", name)
    log.exception("quiet")
    log.log(logging.INFO, "quiet")
    log.access(http_scope(), OK, 0)

    assert capfd.readouterr() == ("", "")


@pytest.mark.covers("0.3", note="an unknown loglevel is refused with the list of those that exist")
@pytest.mark.parametrize("name", ["debug", "INFO", "Warning", "eRRor", "CRITICAL"])
def test_levels_in_any_case(name: str) -> None:
    """
    `loglevel` sets both loggers, in any case.
    """
    log = make_log(accesslog="-", errorlog="-", loglevel=name)

    assert log.access_logger is not None
    assert log.error_logger is not None
    expected = logging.getLevelName(name.upper())
    assert (log.access_logger.level, log.error_logger.level) == (expected, expected)


def test_an_unknown_level_is_refused() -> None:
    """
    What, expected, got.
    """
    with pytest.raises(ValueError, match=r"loglevel must be one of .*INFO.*, got 'loud'"):
        make_log(loglevel="loud")


@pytest.mark.covers("0.5", note="`handlers` is a list with both logs off, too, where Hypercorn raises AttributeError")
def test_handlers() -> None:
    """
    `handlers` are those that write now; none when both logs are off. Other attributes are the error logger's.
    """
    log = make_log(accesslog="-", errorlog="-")
    written = [handler for handler in log.handlers if not type(handler).__module__.startswith("_pytest")]

    assert [type(handler).__mro__[2] for handler in written] == [logging.StreamHandler] * 2
    assert make_log().handlers == []
    assert log.getEffectiveLevel() == logging.INFO
    with pytest.raises(AttributeError):
        make_log().name  # noqa: B018


@pytest.mark.covers("F6")
def test_others_handlers_stay() -> None:
    """
    What others have put on Hypercorn's loggers stays there, and a second Logger writes no line twice (pains.md F6).
    """
    theirs = Listener()
    logging.getLogger("hypercorn.error").addHandler(theirs)

    for _ in range(3):
        log = make_log(errorlog="-", accesslog="-")
    log.error("once")

    assert len(theirs.records) == 1
    names = [type(handler).__name__ for handler in logging.getLogger("hypercorn.error").handlers]
    assert names.count("StreamHandler") == 1
    logging.getLogger("hypercorn.error").removeHandler(theirs)


# -------------------------------------------------------------------------------------------------------- configuration


def _dict_config(path: Path) -> dict[str, Any]:
    handler = {"class": "logging.FileHandler", "filename": str(path), "formatter": "bare"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"bare": {"format": "configured %(message)s"}},
        "handlers": {"file": handler},
        "loggers": {"hypercorn.error": {"handlers": ["file"], "level": "DEBUG"}},
    }


def _ini(path: Path, target: Path) -> str:
    path.write_text(
        "[loggers]\nkeys=root,error\n[handlers]\nkeys=file\n[formatters]\nkeys=bare\n"
        "[logger_root]\nhandlers=\n"
        "[logger_error]\nqualname=hypercorn.error\nhandlers=file\nlevel=DEBUG\n"
        f"[handler_file]\nclass=FileHandler\nformatter=bare\nargs=('{target}',)\n"
        "[formatter_bare]\nformat=configured %(message)s\n"
    )
    return str(path)


def _json(path: Path, target: Path) -> str:
    path.write_text(json.dumps(_dict_config(target)))
    return f"json:{path}"


def _toml(path: Path, target: Path) -> str:
    path.write_text(
        "version = 1\ndisable_existing_loggers = false\n"
        '[formatters.bare]\nformat = "configured %(message)s"\n'
        f'[handlers.file]\nclass = "logging.FileHandler"\nfilename = "{target}"\nformatter = "bare"\n'
        '[loggers."hypercorn.error"]\nhandlers = ["file"]\nlevel = "DEBUG"\n'
    )
    return f"toml:{path}"


@pytest.mark.covers("0.12")
@pytest.mark.parametrize("write", [_ini, _json, _toml])
def test_logconfig(write: Callable[[Path, Path], str], tmp_path: Path) -> None:
    """
    An ini file, `json:` and `toml:` configure `logging` after the two loggers were made.
    """
    target = tmp_path / "error.log"
    log = make_log(errorlog="-", logconfig=write(tmp_path / "config", target))

    log.debug("by file")

    assert target.read_text() == "configured by file\n"


@pytest.mark.covers("0.12")
def test_logconfig_dict(tmp_path: Path) -> None:
    """
    So does `logconfig_dict`.
    """
    target = tmp_path / "error.log"
    log = make_log(errorlog="-", logconfig_dict=_dict_config(target))

    log.debug("by dict")

    assert target.read_text() == "configured by dict\n"


def test_a_config_travels_to_its_workers() -> None:
    """
    A configuration may be pickled after its log was made, and makes another one where it arrives.
    """
    config = make_config(accesslog="-", atoms_style="apache")
    before = config.log

    found: Any = pickle.loads(pickle.dumps(config))

    assert type(found.log) is Logger
    assert found.log is not before
    log: Any = found.log
    assert type(log.atoms(http_scope(), OK, 0)).__name__ == "ApacheAtoms"


@pytest.mark.covers("0.11", note='`atoms_style = "apache"` on the Logger or the Config gives Apache\'s meaning')
def test_the_style_of_atoms(capsys: pytest.CaptureFixture[str]) -> None:
    """
    A subclass or the configuration chooses Apache's meaning; anything else is refused.
    """

    class Apache(Logger):
        atoms_style = "apache"

    for log in (
        make_log(Apache, accesslog="-", access_log_format="%(h)s %(r)s"),
        make_log(accesslog="-", access_log_format="%(h)s %(r)s", atoms_style="apache"),
    ):
        log.access(http_scope(), OK, 0)
        assert capsys.readouterr().out.endswith("] 127.0.0.1 GET /a HTTP/1.1\n")
    with pytest.raises(ValueError, match="atoms_style must be one of hypercorn, apache, got 'nginx'"):
        make_log(atoms_style="nginx")


# -------------------------------------------------------------------------------------------------------------- methods


@pytest.mark.covers("0.4")
@pytest.mark.parametrize("name", [*LEVELS, "exception"])
def test_methods_log_as_logging_does(name: str, heard: tuple[logging.Logger, Listener]) -> None:
    """
    `%`-formatting, `extra`, and the caller's place: what `logging.Logger` itself makes of the same call.
    """
    given, listener = heard
    log = make_log(errorlog=given)

    getattr(log, name)("%s of %d", "one", 2, extra={"tenant": "acme"}); getattr(given, name)("%s of %d", "one", 2, extra={"tenant": "acme"})  # noqa: E702, E501  # fmt: skip

    ours, theirs = listener.records
    fields = ("levelno", "msg", "args", "pathname", "lineno", "funcName", "tenant")
    assert {field: getattr(ours, field) for field in fields} == {field: getattr(theirs, field) for field in fields}
    assert (ours.exc_info is None) == (theirs.exc_info is None)


@pytest.mark.covers("0.4")
def test_exc_info_stack_info_and_stacklevel(heard: tuple[logging.Logger, Listener]) -> None:
    """
    The options of `logging` work, through a function of the user's in between as well.
    """
    given, listener = heard
    log = make_log(errorlog=given)

    def told() -> None:
        log.log(logging.ERROR, "further out", stacklevel=2)

    try:
        raise KeyError("lost")
    except KeyError as error:
        log.exception("caught")
        log.error("given", exc_info=error)
    log.info("where", stack_info=True)
    told()

    caught, given_error, where, further = listener.records
    assert caught.exc_info is not None
    assert given_error.exc_info is not None
    assert caught.exc_info[1] is given_error.exc_info[1]
    assert "test_exc_info_stack_info_and_stacklevel" in str(where.stack_info).splitlines()[-2]
    assert further.funcName == "test_exc_info_stack_info_and_stacklevel"


@pytest.mark.covers("0.4", note="a message that cannot be formatted is written as it is, where logging loses it")
@pytest.mark.parametrize(
    ("message", "args", "options"),
    [
        ("%d items", ("no number",), {}),
        ("%s %s", ("one",), {}),
        ("%s", (Broken(),), {}),
        ("100%", (1,), {}),
        (Broken(), (), {}),
        ("plain", (), {"extra": {"name": "mine", "message": 1}}),
        ("plain", (), {"unknown": 1}),
    ],
)
def test_no_message_raises_or_is_lost(
    message: Any, args: tuple[Any, ...], options: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    """
    Whatever is logged, the server goes on, and there is one line without a traceback of logging's.
    """
    log = make_log(errorlog="-")

    log.error(message, *args, **options)

    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert PREFIX.fullmatch(lines[0])


def _by_asyncio(log: Logger) -> None:
    asyncio.run(log.info("awaited"))


def _by_task(log: Logger) -> None:
    async def main() -> None:
        await asyncio.gather(asyncio.create_task(log.info("awaited")))

    asyncio.run(main())


def _by_uvloop(log: Logger) -> None:
    uvloop = pytest.importorskip("uvloop")

    async def main() -> None:
        await log.info("awaited")

    uvloop.run(main())


def _by_trio(log: Logger) -> None:
    trio.run(log.info, "awaited")


def _by_nobody(log: Any) -> None:
    log.info("awaited")


@pytest.mark.covers("0.4")
@pytest.mark.parametrize("run", [_by_asyncio, _by_task, _by_uvloop, _by_trio, _by_nobody])
def test_awaited_on_any_loop_or_not_at_all(
    run: Callable[[Logger], None], heard: tuple[logging.Logger, Listener]
) -> None:
    """
    The methods act once on asyncio, uvloop and trio, and without a loop or an `await`, with no warning.
    """
    given, listener = heard

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(make_log(errorlog=given))
        gc.collect()

    assert [record.getMessage() for record in listener.records] == ["awaited"]


def test_what_is_given_back_is_an_awaitable() -> None:
    """
    For programs that ask before they await.
    """
    done = make_log().info("x")

    assert inspect.isawaitable(done)
    assert isinstance(done, Coroutine)
    with pytest.raises(KeyError):
        done.throw(KeyError("x"))
    done.close()


# --------------------------------------------------------------------------------------------------------------- access


@pytest.mark.covers("0.6")
def test_an_access_line_without_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    """
    A client that left before the answer is a line, too.
    """
    log = make_log(accesslog="-", access_log_format="%(s)s %(st)s %(b)s")

    asyncio.run(log.access(http_scope(), None, 0.1))

    assert capsys.readouterr().out.endswith("[INFO] - - -\n")


@pytest.mark.covers("0.7")
def test_atoms_may_be_overridden(capsys: pytest.CaptureFixture[str]) -> None:
    """
    Any mapping is used as it is, and still cannot forge a line; one that fails costs no line.
    """

    class Named(Logger):
        def atoms(self, request: Any, response: Any, request_time: float) -> dict[str, Any]:
            if request["path"] == "/broken":
                raise RuntimeError("no tenant")
            return {"tenant": "ac\nme", "m": request["method"]}

    log = make_log(Named, accesslog="-", access_log_format="%(m)s %(tenant)s %(h)s")

    log.access(http_scope(), OK, 0)
    log.access(http_scope(path="/broken"), OK, 0)

    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("] GET ac\\nme -")
    assert second.endswith("] GET - 127.0.0.1:5")


@pytest.mark.covers("0.6")
@pytest.mark.parametrize("scope", [{}, {"type": "http"}, http_scope(method="", path="", headers=[], client=None)])
def test_a_request_that_is_none_is_a_line(scope: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """
    What the server could not read is one line, and raises nothing.
    """
    log = make_log(accesslog="-")

    log.access(scope, {"status": 400, "headers": []}, 0.0)

    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_stream_in_ascii_gets_every_line(capfd: pytest.CaptureFixture[str]) -> None:
    """
    A character that the stream's encoding lacks is spelled out rather than the line lost.
    """
    script = """
from otelbridge.hypercorn.config import Config
config = Config()
config.log.error("日本 é")
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONIOENCODING": "ascii:strict"},
        capture_output=True,
        check=True,
        timeout=60,
    )

    assert done.stderr.endswith(rb"\u65e5\u672c \xe9" + b"\n")


@pytest.mark.covers("0.20")
def test_logger_alone_starts_nothing() -> None:
    """
    Without StatsD and without OTLP there is no thread and no socket.
    """
    before = threading.active_count()
    log = make_log()

    log.error("x")
    log.access(http_scope(), OK, 0)

    assert threading.active_count() == before
    assert not isinstance(log, StatsdLogger)

"""The line on standard error is loguru's own, byte for byte."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from typing import Any

import pytest

from otelbridge.defaults import LINE as DEFAULT_FORMAT
from tests.logger.conftest import MOMENT, Both

TIME = re.compile(r"^(\x1b\[32m)?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}(?=\x1b| )", re.MULTILINE)

PROGRAM = """
import sys, threading
from {module} import logger

class Service:
    def start(self):
        logger.success("started {{}} of {{n}}", 1, n=2)
        (lambda: logger.warning("lambda"))()
        [logger.error("comprehension {{}}", i) for i in range(2)]

logger.trace("not shown")
logger.debug("{{}} braces without arguments")
logger.info("two\\nlines\\tand a tab")
logger.bind(user="x").critical("bound")
with logger.contextualize(a=1):
    Service().start()
logger.log("WARNING", "by name")
logger.log(33, "by number")
logger.level("NOTICE", no=35, color="<red><bold>", icon="!")
logger.log("NOTICE", "an own level")
logger.info("<red>markup is text</red> \\\\<b>")
threading.Thread(target=lambda: logger.info("elsewhere"), name="t").start()
exec(compile("logger.info('generated')", "<string>", "exec"), {{"logger": logger}})
exec(compile("logger.info('named')", "/tmp/a.b/some.where.py", "exec"), {{"logger": logger, "__name__": "pkg.mod"}})
"""


def run(module: str, program: str = PROGRAM, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program with the logger of `module`."""
    env = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "CI", "TERM")}
    return subprocess.run(
        [sys.executable, "-c", program.format(module=module)],
        env={**env, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )


def run_on_terminal(module: str, program: str = PROGRAM, **environment: str) -> str:
    """What the program writes to a standard error that is a terminal."""
    env = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "FORCE_COLOR", "CI", "TERM")}
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            [sys.executable, "-c", program.format(module=module)],
            env={**env, "TERM": "xterm-256color", **environment},
            stderr=theirs,
            stdout=subprocess.DEVNULL,
        ) as process:
            os.close(theirs)
            written = b""
            while True:
                try:
                    part = os.read(ours, 65536)
                except OSError:  # Linux: the other end is closed
                    break
                if not part:
                    break
                written += part
            assert process.wait(30) == 0
    finally:
        os.close(ours)
    return written.decode().replace("\r\n", "\n")


@pytest.mark.covers(
    "1.2", note="on standard error, as loguru; colours only on a terminal, NO_COLOR and FORCE_COLOR heeded"
)
def test_line_on_standard_error_is_logurus() -> None:
    """
    The same program prints the same lines with either logger, to standard error only; only the time of day differs.
    """
    ours, theirs = run("otelbridge"), run("loguru")

    assert TIME.sub("TIME", ours.stderr) == TIME.sub("TIME", theirs.stderr)
    assert len(TIME.findall(ours.stderr)) == len(TIME.findall(theirs.stderr)) == 14
    assert ours.stdout == ""


@pytest.mark.covers(
    "1.8", note="colour tags and abbreviations as in loguru; colours inside messages come with opt(colors)"
)
def test_colours_on_a_terminal_are_logurus() -> None:
    """
    On a terminal each level and field has loguru's colours.
    """
    ours, theirs = run_on_terminal("otelbridge"), run_on_terminal("loguru")

    assert TIME.sub("TIME", ours) == TIME.sub("TIME", theirs)
    assert "\x1b[32m" in ours


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_terminal_without_colours_gets_none(environment: dict[str, str]) -> None:
    """
    NO_COLOR, or a terminal that knows no colours, means none.
    """
    written = run_on_terminal("otelbridge", 'from {module} import logger\nlogger.error("text")\n', **environment)

    assert "text" in written
    assert "\x1b" not in written


def test_pipe_gets_no_colours_unless_forced() -> None:
    """
    What is no terminal gets none, but for FORCE_COLOR.
    """
    program = 'from {module} import logger\nlogger.error("text")\n'

    assert "\x1b" not in run("otelbridge", program).stderr
    assert "\x1b[31m" in run("otelbridge", program, FORCE_COLOR="1").stderr


@pytest.mark.parametrize(
    ("environment", "shown"),
    [
        ({"LOGURU_LEVEL": "ERROR"}, "ERROR|text\n"),
        ({"LOGURU_AUTOINIT": "False"}, ""),
        ({}, "INFO|text\nERROR|text\n"),
    ],
)
def test_default_sink_heeds_logurus_variables(environment: dict[str, str], shown: str) -> None:
    """
    LOGURU_LEVEL, LOGURU_FORMAT and LOGURU_AUTOINIT shape the default sink, as they do loguru's.
    """
    program = 'from {module} import logger\nlogger.info("text")\nlogger.error("text")\n'
    settings = {"LOGURU_FORMAT": "{level}|{message}", **environment}

    assert run("otelbridge", program, **settings).stderr == run("loguru", program, **settings).stderr == shown


def test_program_without_standard_error_is_left_alone() -> None:
    """
    Where there is no sys.stderr (pythonw, a daemon), importing and logging do nothing.
    """
    program = "import sys; sys.stderr = None\nfrom {module} import logger\nlogger.info('text')\nprint('alive')\n"

    assert run("otelbridge", program).stdout == "alive\n"


@pytest.mark.covers("1.28", note="the exception's text is Python's traceback; loguru's annotated one comes later")
@pytest.mark.parametrize("colorize", [False, True])
@pytest.mark.parametrize(
    "template",
    [
        DEFAULT_FORMAT,
        "{time} {message}",
        "{time:HH:mm} {level.no:>5} {level.icon} {name!r} {module} {function} {line:05d}",
        "{file} {file.name} {file.path} {thread} {thread.id} {thread.name} {process} {process.id} {process.name}",
        "{extra} {extra[user]} {extra[n]:>5} {exception}{{literal}} {message!r}",
        "<red>r</red> <bold><level>l</level></bold> <fg 196>f</> <bg #FF5733>b</> <lvl>{message}</lvl> \\<escaped>",
    ],
)
def test_format_string_gives_what_loguru_gives(both: Both, template: str, colorize: bool) -> None:
    """
    Fields of a format string, at one frozen moment, come out as loguru's.
    """

    def call(log: Any) -> None:
        log.bind(user="u", n=5).info("text {}", 1)
        log.critical("without the bound values") if "user" not in template else None

    ours, theirs = both.lines(call, format=template, colorize=colorize)

    assert ours.texts == theirs.texts


@pytest.mark.covers("1.28")
def test_record_is_logurus(both: Both) -> None:
    """
    A sink's message has a record with loguru's keys in loguru's order, and values of the same meaning.
    """
    ours, theirs = both.lines(lambda log: log.bind(a=1).info("text {b}", b=2))

    mine, other = ours.record, theirs.record
    assert list(mine) == list(other)
    for key in ("extra", "function", "line", "message", "module", "name", "time"):
        assert mine[key] == other[key], key
    assert (mine["file"].name, mine["file"].path) == (other["file"].name, other["file"].path)
    assert (mine["thread"].id, mine["thread"].name) == (other["thread"].id, other["thread"].name)
    assert (mine["process"].id, mine["process"].name) == (other["process"].id, other["process"].name)
    assert mine["time"].utcoffset() == other["time"].utcoffset()
    assert mine["exception"] is None


SPECS = [
    "YYYY-MM-DD HH:mm:ss.SSS",
    "YY Q MMMM MMM MM M DDDD DDD DD D dddd ddd d E",
    "HH H hh h mm m ss s S SS SSS SSSS SSSSS SSSSSS A ZZ Z zz X",
    "[YYYY] [T] [at] HH[h]mm [] [[YYYY]]",
    "YYYY-MM-DD HH:mm:ss!UTC",
    "dddd!UTC",
    "%Y-%m-%d %H:%M:%S.%f %z",
    "YYYYMMDDTHHmmssZ",
    "plain words",
    "",
]


@pytest.mark.covers("1.29", note="`x` is the microsecond timestamp; loguru 0.7.3 adds the microseconds twice")
@pytest.mark.parametrize("spec", SPECS)
def test_time_is_formatted_as_in_loguru(both: Both, spec: str) -> None:
    """
    Every token of `{time:…}`, brackets, `!UTC`, a strftime spec and none at all give loguru's text.
    """
    ours, theirs = both.lines(lambda log: log.info("text"), format=f"{{time:{spec}}}" if spec else "{time}")

    assert ours.texts == theirs.texts


def test_microsecond_timestamp_counts_each_microsecond_once(both: Both) -> None:
    """
    `{time:x}` is the time since 1970 in microseconds, which loguru's document says and its 0.7.3 does not do.
    """
    ours, _ = both.lines(lambda log: log.info("text"), format="{time:x} {time:X}")

    assert ours.text == f"{int(MOMENT.timestamp())}{MOMENT.microsecond} {int(MOMENT.timestamp())}\n"

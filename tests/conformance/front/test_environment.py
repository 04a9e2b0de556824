"""LOGURU_* variables: the defaults of add(), the levels, and whether there is a first handler; read at import."""

from __future__ import annotations

import re

import pytest

from tests.conformance.support import LEVELS, Script

SAY = """
    from PACKAGE import logger
    logger.trace("trace")
    logger.info("<red>info</red>")
    logger.error("error")
"""


@pytest.mark.covers("1.32")
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"LOGURU_FORMAT": "{message}"}, "<red>info</red>\nerror\n"),
        ({"LOGURU_FORMAT": "{message}", "LOGURU_LEVEL": "ERROR"}, "error\n"),
        ({"LOGURU_FORMAT": "{message}", "LOGURU_LEVEL": "5"}, None),
        ({"LOGURU_FORMAT": "{message}", "LOGURU_LEVEL": "TRACE"}, "trace\n<red>info</red>\nerror\n"),
        ({"LOGURU_FORMAT": "{message}", "LOGURU_FILTER": "other"}, ""),
        ({"LOGURU_FORMAT": "{message}", "LOGURU_FILTER": "__main__"}, "<red>info</red>\nerror\n"),
        ({"LOGURU_FORMAT": "<b>{message}</b>", "LOGURU_COLORIZE": "no"}, "<red>info</red>\nerror\n"),
        (
            {"LOGURU_FORMAT": "<b>{message}</b>", "LOGURU_COLORIZE": "yes"},
            "\x1b[1m<red>info</red>\x1b[0m\n\x1b[1merror\x1b[0m\n",
        ),
        ({"LOGURU_AUTOINIT": "False"}, ""),
        ({"LOGURU_AUTOINIT": "no"}, ""),
        ({"LOGURU_AUTOINIT": "0"}, ""),
        ({"LOGURU_AUTOINIT": "1", "LOGURU_FORMAT": "{message}"}, "<red>info</red>\nerror\n"),
        ({"LOGURU_FORMAT": "{level.icon}", "LOGURU_INFO_ICON": "i!", "LOGURU_ERROR_ICON": "e!"}, "i!\ne!\n"),
        ({"LOGURU_FORMAT": "{level.no}", "LOGURU_INFO_NO": "21"}, "21\n40\n"),
        ({"LOGURU_FORMAT": "{level.no}", "LOGURU_TRACE_NO": "15", "LOGURU_ERROR_NO": "3"}, "15\n20\n"),
        (
            {"LOGURU_FORMAT": "<lvl>{level}</lvl>", "LOGURU_INFO_COLOR": "<blue>", "LOGURU_COLORIZE": "1"},
            "\x1b[34mINFO\x1b[0m\n\x1b[31m\x1b[1mERROR\x1b[0m\n",
        ),
        ({"LOGURU_FORMAT": "{message}", "LOGURU_ENQUEUE": "True"}, "<red>info</red>\nerror\n"),
        ({"LOGURU_FORMAT": "{message}", "LOGURU_NOPE": "1"}, "<red>info</red>\nerror\n"),
        ({"loguru_format": "{message}", "LOGURU_FORMAT": "{level}"}, "INFO\nERROR\n"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_first_handler(script: Script, environment: dict[str, str], expected: str | None) -> None:
    """The first handler has the defaults that the environment sets."""
    if expected is None:  # a severity is no name: loguru takes the variable as text
        result = script(SAY, environment, check=False)
        assert result.returncode != 0
        assert "ValueError" in result.stderr
        return
    assert script(SAY, environment).stderr == expected


@pytest.mark.covers("1.32")
def test_added_handlers(script: Script) -> None:
    """Handlers that are added have these defaults too; arguments win."""
    result = script(
        """
        import sys
        from PACKAGE import logger
        logger.remove()
        logger.add(sys.stdout)
        logger.add(sys.stdout, format="own {message}", level="INFO", colorize=False, serialize=False)
        logger.info("info")
        logger.error("error")
        """,
        {"LOGURU_FORMAT": "env {message}", "LOGURU_LEVEL": "ERROR"},
    )
    assert result.stdout == "own info\nenv error\nown error\n"


@pytest.mark.covers("1.32")
@pytest.mark.parametrize(
    ("value", "shown"), [("yes", True), ("No", False), ("TRUE", True), ("off", False), ("y", True)]
)
def test_serialize(script: Script, value: str, shown: bool) -> None:
    """Truth values may be written in several ways."""
    result = script(SAY, {"LOGURU_SERIALIZE": value, "LOGURU_FORMAT": "{message}"})
    assert result.stderr.startswith('{"text"') is shown


@pytest.mark.covers("1.32")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SERIALIZE", "nope"),
        ("ENQUEUE", "2"),
        ("COLORIZE", "maybe"),
        ("INFO_NO", "many"),
        ("AUTOINIT", "x"),
        ("CATCH", ""),
    ],
)
def test_mistakes(script: Script, name: str, value: str) -> None:
    """A value that is none is a ValueError at import."""
    result = script(SAY, {f"LOGURU_{name}": value}, check=False)
    assert result.returncode != 0
    assert "ValueError" in result.stderr


@pytest.mark.covers("1.32")
@pytest.mark.parametrize(
    ("environment", "error"),
    [
        ({"LOGURU_LEVEL": "nope"}, "ValueError"),
        ({"LOGURU_FORMAT": "<nope>"}, "ValueError"),
        ({"LOGURU_INFO_COLOR": "<nope>"}, "ValueError"),
        ({"LOGURU_CONTEXT": "nope"}, "ValueError"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_mistakes_of_add(script: Script, environment: dict[str, str], error: str) -> None:
    """A mistake in a default is the mistake of the add() that uses it."""
    result = script(SAY, environment, check=False)
    assert result.returncode != 0
    assert error in result.stderr


@pytest.mark.covers("1.32")
def test_catch(script: Script) -> None:
    """LOGURU_CATCH=NO lets a sink's error reach the caller."""
    result = script(
        """
        from PACKAGE import logger
        logger.remove()
        logger.add(lambda message: 1 / 0)
        try:
            logger.info("said")
        except ZeroDivisionError:
            print("raised")
        """,
        {"LOGURU_CATCH": "NO"},
    )
    assert (result.stdout, result.stderr) == ("raised\n", "")


TRACE = """
    from PACKAGE import logger
    def inner():
        secret = 5
        try:
            1 / (secret - 5)
        except ZeroDivisionError:
            logger.exception("said")
    inner()
"""


@pytest.mark.covers("1.32")
@pytest.mark.parametrize(("value", "shown"), [("NO", False), ("YES", True)])
def test_diagnose(script: Script, value: str, shown: bool) -> None:
    """LOGURU_DIAGNOSE decides whether values are shown."""
    result = script(TRACE, {"LOGURU_DIAGNOSE": value})
    assert ("└" in result.stderr) is shown


@pytest.mark.covers("1.32")
@pytest.mark.parametrize(("value", "shown"), [("NO", False), ("YES", True)])
def test_backtrace(script: Script, value: str, shown: bool) -> None:
    """LOGURU_BACKTRACE decides whether the trace goes beyond the catching point."""
    result = script(TRACE, {"LOGURU_BACKTRACE": value})
    assert (len(re.findall(r"^[> ] File ", result.stderr, re.MULTILINE)) == 2) is shown


@pytest.mark.covers("1.32")
def test_all_levels(script: Script) -> None:
    """Each level has its three variables."""
    environment: dict[str, str] = {}
    for number, (name, *_) in enumerate(LEVELS):
        environment |= {
            f"LOGURU_{name}_NO": str(100 + number),
            f"LOGURU_{name}_COLOR": f"<fg {number}>",
            f"LOGURU_{name}_ICON": f"{number}!",
        }
    result = script(
        """
        from PACKAGE import logger
        for name in "TRACE DEBUG INFO SUCCESS WARNING ERROR CRITICAL".split():
            print(*logger.level(name), sep="|")
        """,
        environment,
    )
    expected = [f"{name}|{100 + n}|<fg {n}>|{n}!" for n, (name, *_) in enumerate(LEVELS)]
    assert result.stdout.splitlines() == expected


@pytest.mark.covers("1.32")
def test_read_at_import(script: Script) -> None:
    """The variables are read once: what changes after the import has no effect."""
    result = script("""
        import os, sys
        from PACKAGE import logger
        os.environ["LOGURU_FORMAT"] = "changed"
        logger.remove()
        logger.add(sys.stdout)
        logger.info("said")
    """)
    assert result.stdout.endswith(" - said\n")


@pytest.mark.covers("1.2")
def test_no_stderr(script: Script) -> None:
    """Without a standard error there is no first handler, and nothing fails."""
    result = script("""
        import sys
        sys.stderr = None
        from PACKAGE import logger
        logger.info("said")
        print(repr(logger).partition("handlers=")[2])
    """)
    assert result.stdout == "[]>\n"

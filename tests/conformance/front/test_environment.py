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


FIRST_HANDLERS: list[tuple[dict[str, str], str]] = [
    ({"LOGURU_FORMAT": "{message}"}, "<red>info</red>\nerror\n"),
    ({"LOGURU_FORMAT": "{message}", "LOGURU_LEVEL": "ERROR"}, "error\n"),
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
]


@pytest.mark.covers("1.32")
def test_first_handler(script: Script) -> None:
    """The first handler has the defaults that the environment sets."""
    results = script.each(SAY, [environment for environment, _ in FIRST_HANDLERS])
    assert [result.stderr for result in results] == [expected for _, expected in FIRST_HANDLERS]


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
def test_serialize(script: Script) -> None:
    """Truth values may be written in several ways."""
    values = {"yes": True, "No": False, "TRUE": True, "off": False, "y": True}
    results = script.each(SAY, [{"LOGURU_SERIALIZE": value, "LOGURU_FORMAT": "{message}"} for value in values])
    found = [result.stderr.startswith('{"text"') for result in results]
    assert dict(zip(values, found, strict=True)) == values


MISTAKES = [
    {"LOGURU_SERIALIZE": "nope"},
    {"LOGURU_ENQUEUE": "2"},
    {"LOGURU_COLORIZE": "maybe"},
    {"LOGURU_INFO_NO": "many"},
    {"LOGURU_AUTOINIT": "x"},
    {"LOGURU_CATCH": ""},
    # Those of the add() that uses the default: a severity is no name, for one.
    {"LOGURU_LEVEL": "5"},
    {"LOGURU_LEVEL": "nope"},
    {"LOGURU_FORMAT": "<nope>"},
    {"LOGURU_INFO_COLOR": "<nope>"},
    {"LOGURU_CONTEXT": "nope"},
]


@pytest.mark.covers("1.32")
def test_mistakes(script: Script) -> None:
    """A value that is none is a ValueError at import."""
    results = script.each(SAY, MISTAKES)
    accepted = [
        environment
        for environment, result in zip(MISTAKES, results, strict=True)
        if not result.returncode or "\nValueError: " not in result.stderr
    ]
    assert not accepted


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
def test_diagnose(script: Script) -> None:
    """LOGURU_DIAGNOSE decides whether values are shown."""
    no, yes = script.each(TRACE, [{"LOGURU_DIAGNOSE": "NO"}, {"LOGURU_DIAGNOSE": "YES"}])
    assert ("└" in no.stderr, "└" in yes.stderr) == (False, True)


@pytest.mark.covers("1.32")
def test_backtrace(script: Script) -> None:
    """LOGURU_BACKTRACE decides whether the trace goes beyond the catching point."""
    no, yes = script.each(TRACE, [{"LOGURU_BACKTRACE": "NO"}, {"LOGURU_BACKTRACE": "YES"}])
    assert frame_count(no.stderr) == 1
    assert frame_count(yes.stderr) > 1


def frame_count(text: str) -> int:
    return len(re.findall(r"^[> ] File ", text, re.MULTILINE))


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

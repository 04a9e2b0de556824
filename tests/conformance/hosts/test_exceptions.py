"""The text of exceptions: on any code, with any options, what the reference writes."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest

from tests.conformance.hosts import raising

OPTIONS = [
    {"backtrace": backtrace, "diagnose": diagnose, "colorize": colorize}
    for backtrace in (False, True)
    for diagnose in (False, True)
    for colorize in (False, True)
]
PAIRS = [OPTIONS[number] for number in (0, 3, 5, 6)]


def text(logger: Any, case: str, **options: Any) -> str:
    """What a sink gets of `case`, in a thread, whose stack is short; without addresses and thread ids."""
    kept: list[str] = []
    number = logger.add(kept.append, **{"format": "{message}", "level": 0, "catch": False, **options})
    raising.logging_to(logger)
    thread = threading.Thread(target=raising.CASES[case], name="case")
    thread.start()
    thread.join()
    logger.remove(number)
    return re.sub(r"0x[0-9a-f]+|(?<=started )\d+|(?<=Task-)\d+", "…", "".join(kept))


_expected: dict[str, list[str]] = {}


@pytest.mark.covers("1.4", note="backtrace, diagnose, colorize")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("case", raising.CASES)
def test_same_text(logger: Any, reference: Any, case: str) -> None:
    """
    With every combination of two of `backtrace`, `diagnose` and `colorize`, the text is the reference's.
    """
    if case not in _expected:
        _expected[case] = [text(reference, case, **options) for options in PAIRS]

    assert [text(logger, case, **options) for options in PAIRS] == _expected[case]
    assert all(_expected[case])


@pytest.mark.covers("1.4", note="backtrace, diagnose")
def test_plain(logger: Any) -> None:
    """
    Without backtrace and diagnose, the text is Python's own, after the message.
    """
    import traceback

    kept: list[str] = []
    logger.add(kept.append, format="{message}", backtrace=False, diagnose=False)

    try:
        raising.divide(1, 0)
    except ZeroDivisionError as error:
        logger.exception("m")
        expected = "".join(traceback.format_exception(error))
    # Python underlines the place of the error from 3.11 on; a logger may leave that out.
    expected = re.sub(r"^ +[~^]+\n", "", expected, flags=re.MULTILINE)

    assert re.sub(r"^ +[~^]+\n", "", kept[0], flags=re.MULTILINE).replace("\n\n", "\n") == f"m\n{expected}"


@pytest.mark.covers("1.4", note="backtrace")
@pytest.mark.parametrize("backtrace", [False, True])
def test_backtrace_shows_the_callers(logger: Any, backtrace: bool) -> None:
    """
    With `backtrace=True` the frames above the catching one are shown, and the catching one is marked.
    """
    kept: list[str] = []
    logger.add(kept.append, format="{message}", backtrace=backtrace, diagnose=False)

    def catching() -> None:
        try:
            raising.divide(1, 0)
        except ZeroDivisionError:
            logger.exception("m")

    def calling() -> None:
        catching()

    calling()
    (shown,) = kept

    assert ("in calling" in shown) is backtrace
    assert ("in test_backtrace_shows_the_callers" in shown) is backtrace
    assert bool(re.search(r'^> File ".*", line \d+, in catching$', shown, re.MULTILINE)) is backtrace
    assert shown.index("in catching") < shown.index("in divide")


@pytest.mark.covers("1.4", note="diagnose")
@pytest.mark.parametrize("diagnose", [False, True])
def test_diagnose_shows_values(logger: Any, diagnose: bool) -> None:
    """
    With `diagnose=True` values stand below the names of the lines that failed.
    """
    kept: list[str] = []
    logger.add(kept.append, format="{message}", backtrace=False, diagnose=diagnose)

    try:
        raising.divide(12345, 0)
    except ZeroDivisionError:
        logger.exception("m")
    (shown,) = kept

    values = "    return number / by\n           │        └ 0\n           └ 12345\n"
    assert (values in shown) is diagnose


@pytest.mark.covers("1.28", note="exception")
def test_place_of_the_exception(logger: Any) -> None:
    """
    In a format function's template `{exception}` stands where it is written, and is empty without an exception.
    """
    kept: list[str] = []
    logger.add(kept.append, format=lambda record: "[{exception}] {message}", backtrace=False, diagnose=False)

    logger.info("none")
    logger.opt(exception=ValueError("v")).info("one")

    assert kept == ["[] none", "[ValueError: v\n] one"]


@pytest.mark.covers("1.28", note="exception")
def test_exception_in_a_string_format(logger: Any) -> None:
    """
    A string format that names `{exception}` itself gets it twice: there, and at the end.
    """
    kept: list[str] = []
    logger.add(kept.append, format="{exception}{message}", backtrace=False, diagnose=False)

    logger.opt(exception=ValueError("v")).info("m")

    assert kept == ["ValueError: v\nm\nValueError: v\n"]


@pytest.mark.covers("1.20", note="raw")
def test_raw_message_with_an_exception(logger: Any) -> None:
    """
    A raw message is the message alone, also with an exception.
    """
    kept: list[str] = []
    logger.add(kept.append)

    logger.opt(raw=True, exception=ValueError("v")).info("m")

    assert kept == ["m"]


@pytest.mark.covers("1.4")
def test_each_sink_has_its_own_text(logger: Any) -> None:
    """
    Of one call, each sink gets the text that its options ask for.
    """
    texts: dict[str, list[str]] = {}
    for number, options in enumerate(OPTIONS):
        kept = texts.setdefault(str(number), [])
        logger.add(kept.append, format="{message}", **options)

    try:
        raising.divide(1, 0)
    except ZeroDivisionError:
        logger.exception("m")

    assert all(len(kept) == 1 for kept in texts.values())
    assert len({kept[0] for kept in texts.values()}) == len(OPTIONS)


@pytest.mark.covers("1.4", note="backtrace, diagnose")
def test_options_default_to_true(logger: Any) -> None:
    """
    Backtrace and diagnose are on by default.
    """
    default: list[str] = []
    asked: list[str] = []
    logger.add(default.append, format="{message}")
    logger.add(asked.append, format="{message}", backtrace=True, diagnose=True)

    try:
        raising.divide(1, 0)
    except ZeroDivisionError:
        logger.exception("m")

    assert default == asked


@pytest.mark.covers("1.4")
def test_long_trace(logger: Any) -> None:
    """
    A trace of a thousand frames is shortened as Python shortens it.
    """
    kept: list[str] = []
    logger.add(kept.append, format="{message}", backtrace=False, diagnose=False)

    def down(depth: int) -> int:
        return down(depth - 1) if depth else raising.divide(1, 0)  # type: ignore[return-value]

    try:
        down(500)
    except ZeroDivisionError:
        logger.exception("m")

    assert len(kept[0].splitlines()) < 60
    assert "more times" in kept[0]


@pytest.mark.covers("1.4")
def test_no_cycle_is_left(logger: Any) -> None:
    """
    When the record is gone, nothing keeps the exception or the locals of its frames alive.
    """
    import gc
    import weakref

    logger.add(lambda message: None)

    class Local:
        pass

    def work() -> Any:
        local = Local()
        try:
            raise ValueError(local)
        except ValueError:
            logger.exception("m")
        return weakref.ref(local)

    reference = work()
    gc.collect()

    assert reference() is None

"""Generated calls, made on both loggers: messages, formats, markup, extra, filters and thresholds come out alike."""

from __future__ import annotations

import importlib
import os
import string
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.support import IMPLEMENTATIONS, LEVELS, Kept, reset

SETTINGS = settings(
    max_examples=int(os.environ.get("OTELBRIDGE_EXAMPLES", "120")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
Outcome = tuple[str, object]


@pytest.fixture
def loggers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Loguru's and ours, both as new."""
    monkeypatch.setenv("OTELBRIDGE_LOGURU_STRICT", "1")
    found = [importlib.import_module(name).logger for name in IMPLEMENTATIONS]
    for logger in found:
        reset(logger)
    try:
        yield found
    finally:
        for logger in found:
            reset(logger)


def outcome(logger: Any, call: Any, **options: Any) -> list[Outcome]:
    """What `call(logger)` makes of a handler with these options: an error's type, or texts and records."""
    kept = Kept()
    try:
        number = logger.add(kept, **{"level": 0, "catch": False, "format": "{message}", **options})
    except Exception as error:
        return [("add", type(error))]
    found: list[Outcome] = []
    try:
        call(logger)
    except Exception as error:
        found.append(("call", type(error)))
    finally:
        logger.remove(number)
    for text, record in zip(kept.texts, kept.records, strict=True):
        level = record["level"]
        shown = (record["message"], dict(record["extra"]), level.name, level.no, level.icon, record["function"])
        found.append((text, shown))
    return found


def alike(loggers: list[Any], call: Any, **options: Any) -> None:
    """Both make the same of it."""
    first, second = (outcome(logger, call, **options) for logger in loggers)
    assert second == first


# Words that are likely to meet: fields, braces, markup and their escapes.
PIECES = st.sampled_from(
    [
        "{}",
        "{0}",
        "{1}",
        "{a}",
        "{b}",
        "{a!r}",
        "{:>5}",
        "{a:*^9}",
        "{a[0]}",
        "{0.real}",
        "{{",
        "}}",
        "{",
        "}",
        "{:{}}",
        "<red>",
        "</red>",
        "<b>",
        "</b>",
        "</>",
        "<level>",
        "</level>",
        "<nope>",
        "\\<red>",
        "\\\\<b>",
        "\\",
        "<",
        ">",
        "<>",
        "text",
        " ",
        "\n",
        "é",
        "\x1b[0m",
        "%s",
        "{record[level]}",
        "{message}",
        "{extra}",
        "",
    ]
)
TEMPLATES = st.lists(PIECES, max_size=5).map("".join)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False),
    st.text(string.ascii_letters + "{}<>\\é\n", max_size=6),
    st.sampled_from(["<red>", "</red>", "{a}", "{}", "<b>x</b>"]),
    st.lists(st.integers(), max_size=2),
    st.tuples(st.integers()),
)
KWARGS = st.dictionaries(st.sampled_from(["a", "b", "message", "level", "self", "x y"]), VALUES, max_size=3)
OPTIONS = st.fixed_dictionaries({}, optional={name: st.booleans() for name in ("record", "colors", "raw", "capture")})


@pytest.mark.covers("1.1")
@SETTINGS
@given(template=TEMPLATES, args=st.lists(VALUES, max_size=3), kwargs=KWARGS, options=OPTIONS, colorize=st.booleans())
def test_messages(
    loggers: list[Any],
    template: str,
    args: list[object],
    kwargs: dict[str, object],
    options: dict[str, bool],
    colorize: bool,
) -> None:
    """Any template with any arguments and options gives the same text and record, or the same error."""
    alike(loggers, lambda logger: logger.opt(**options).info(template, *args, **kwargs), colorize=colorize)


@pytest.mark.covers("1.20")
@SETTINGS
@given(template=TEMPLATES, args=st.lists(VALUES, max_size=2), kwargs=KWARGS, capture=st.booleans())
def test_lazy_messages(
    loggers: list[Any], template: str, args: list[object], kwargs: dict[str, object], capture: bool
) -> None:
    """Lazy arguments give what the values themselves do."""

    def call(logger: Any) -> None:
        lazy_args = [lambda value=value: value for value in args]
        lazy_kwargs = {name: (lambda value=value: value) for name, value in kwargs.items()}
        logger.opt(lazy=True, capture=capture).info(template, *lazy_args, **lazy_kwargs)

    alike(loggers, call)


FORMAT_PIECES = st.sampled_from(
    [
        "{message}",
        "{level}",
        "{level: <8}",
        "{level.no}",
        "{level.icon}",
        "{level.name:>9}",
        "{name}",
        "{function}",
        "{module}",
        "{file}",
        "{file.name}",
        "{extra}",
        "{extra[a]}",
        "{extra[b]!r}",
        "{extra[a]:>5}",
        "{exception}",
        "{process.name}",
        "{thread.name}",
        "{message!r}",
        "{message:>9}",
        "{message:.2}",
        "{nope}",
        "{",
        "}",
        "{{",
        "}}",
        "{}",
        "<red>",
        "</red>",
        "<b>",
        "</b>",
        "</>",
        "<level>",
        "</level>",
        "<lvl>",
        "</lvl>",
        "<RED>",
        "<fg 5>",
        "<bg #fff>",
        "<nope>",
        "\\<red>",
        "\\\\<b>",
        "<",
        ">",
        " | ",
        "text",
        "\n",
        "{time:YYYY-MM-DD HH:mm:ss.SSS}",
        "{time}",
        "{time:DDD d E Q A h:m:s zz ZZ}",
        "{time:[at] HH!UTC}",
        "{time:%d.%m.%y}",
        "{time:X x}",
        "{time:SSSSSSSS}",
    ]
)
FORMATS = st.lists(FORMAT_PIECES, max_size=6).map("".join)
MOMENTS = st.datetimes(
    datetime(1970, 1, 2),
    datetime(2100, 1, 1),
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes), "ZZZ")),
)


@pytest.mark.covers("1.28")
@SETTINGS
@given(
    format_=FORMATS,
    template=TEMPLATES,
    colors=st.booleans(),
    colorize=st.booleans(),
    level=st.sampled_from(["TRACE", "INFO", "CRITICAL", 33]),
    extra=st.dictionaries(st.sampled_from(["a", "b"]), VALUES),
    moment=MOMENTS,
    function=st.booleans(),
)
def test_formats(
    loggers: list[Any],
    format_: str,
    template: str,
    colors: bool,
    colorize: bool,
    level: Any,
    extra: dict[str, object],
    moment: datetime,
    function: bool,
) -> None:
    """Any format of a handler, as a string or from a function, gives the same text, or the same error."""

    def freeze(record: Any) -> None:
        fields = ("year", "month", "day", "hour", "minute", "second", "microsecond", "tzinfo")
        record["time"] = record["time"].replace(**{name: getattr(moment, name) for name in fields})

    def call(logger: Any) -> None:
        logger.bind(**extra).patch(freeze).opt(colors=colors).log(level, template)

    alike(loggers, call, format=(lambda record: format_) if function else format_, colorize=colorize)


@pytest.mark.covers("1.8")
@SETTINGS
@given(color=st.lists(st.sampled_from(["<red>", "<b>", "</b>", "<nope>", " ", "x", "<fg 300>", "<bg 1,2,3>", "\\<b>"])))
def test_level_colors(loggers: list[Any], color: list[str]) -> None:
    """Any colour of a level is taken or refused alike, and looks alike."""

    def call(logger: Any) -> None:
        try:
            logger.level("INFO", color="".join(color))
            logger.info("said")
        finally:
            logger.level("INFO", color="<bold>")

    alike(loggers, call, format="<level>{message}</level>", colorize=True)


CALLS = st.tuples(
    st.sampled_from([*(name.lower() for name, *_ in LEVELS), "log", "exception"]),
    st.sampled_from([0, 7, 20, 33, 60, "INFO", "nope", -1]),
    KWARGS,
    st.sampled_from([None, "bind", "patch", "contextualize", "capture", "raw"]),
)


@pytest.mark.covers("1.18")
@SETTINGS
@given(
    calls=st.lists(CALLS, max_size=6),
    threshold=st.sampled_from([0, 7, 20, 25, 40, "WARNING"]),
    filter_=st.sampled_from([None, "", "tests", "other", {"tests": "INFO"}, {"": False, "tests.conformance": True}]),
    core=KWARGS,
)
def test_programs(loggers: list[Any], calls: list[Any], threshold: Any, filter_: Any, core: dict[str, object]) -> None:
    """Any sequence of calls is heard alike by a handler of any threshold and filter."""

    def call(logger: Any) -> None:
        logger.configure(extra=core)
        for method, level, kwargs, how in calls:
            child = logger
            if how == "bind":
                child = logger.bind(a=0, z=1)
            elif how == "patch":
                child = logger.patch(lambda record: record["extra"].update(patched=1))
            elif how in ("capture", "raw"):
                child = logger.opt(**{how: how == "raw"})
            arguments = (level, "said") if method == "log" else ("said",)
            with logger.contextualize(**({"c": 1} if how == "contextualize" else {})):
                getattr(child, method)(*arguments, **kwargs)

    alike(loggers, call, level=threshold, filter=filter_, format="{level} {extra} {message}")

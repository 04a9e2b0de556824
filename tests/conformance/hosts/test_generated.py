"""Generated set-ups and calls: texts, records, files and errors are the reference's."""

from __future__ import annotations

import datetime
import gzip
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import loguru
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import otelbridge
from tests.conformance.support import reset

MOMENT = datetime.datetime(2026, 3, 7, 16, 5, 9, 123000, datetime.timezone(datetime.timedelta(hours=2), "EET"))


@pytest.fixture(autouse=True)
def both_are_new(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Both loggers without handlers, before and after."""
    monkeypatch.setenv("OTELBRIDGE_LOGURU_STRICT", "1")
    reset(otelbridge.logger)
    reset(loguru.logger)
    yield
    reset(otelbridge.logger)
    reset(loguru.logger)


class Shown:
    """An object whose texts tell them apart."""

    def __str__(self) -> str:
        return "<str>"

    def __repr__(self) -> str:
        return "<repr\n>"

    def __format__(self, spec: str) -> str:
        return f"<format {spec}>"


class Call(NamedTuple):
    level: str | int
    message: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    options: dict[str, Any]
    bound: dict[str, Any]
    context: dict[str, Any]


class Handler(NamedTuple):
    options: dict[str, Any]


def only_odd(record: Any) -> bool:
    return len(record["message"]) % 2 == 1


def by_function(record: Any) -> str:
    return "<green>{level}</green> {message!r} {extra}\n{exception}"


texts = st.text(st.characters(codec="utf-8"), max_size=6)
values = st.one_of(
    st.none(), st.integers(), st.floats(allow_nan=False), texts, st.just(Shown()), st.lists(st.integers(), max_size=2)
)
names = st.sampled_from(["a", "b", "message", "level", "self", "exception", "é"])
pieces = st.sampled_from(
    [
        "{}", "{0}", "{1}", "{a}", "{b!r}", "{a:>8}", "{:5}", "{{", "}}", "{", "}", "<red>", "</red>", "</>", "\\<b>",
        "x", "\n", "%s", "é", "{record[level].name}",
    ]
)  # fmt: skip
calls = st.builds(
    Call,
    level=st.sampled_from(["TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL", 0, 5, 11, 33, 99]),
    message=st.lists(pieces, max_size=5).map("".join),
    args=st.lists(values, max_size=2).map(tuple),
    kwargs=st.dictionaries(names.filter(lambda name: name not in {"self", "message", "level"}), values, max_size=2),
    options=st.fixed_dictionaries(
        {},
        optional={
            "raw": st.booleans(),
            "colors": st.booleans(),
            "record": st.booleans(),
            "capture": st.booleans(),
            "exception": st.sampled_from([None, False, ValueError("given")]),
            "depth": st.integers(0, 1),
        },
    ),
    bound=st.dictionaries(names, values, max_size=2),
    context=st.dictionaries(names.filter(lambda name: name != "self"), values, max_size=2),
)
handlers = st.builds(
    Handler,
    options=st.fixed_dictionaries(
        {},
        optional={
            "level": st.sampled_from(["TRACE", "INFO", "ERROR", 0, 7, 50]),
            "format": st.sampled_from(
                [
                    "{message}",
                    "{level} {message} {extra}",
                    "<red>{level: <8}</red>|<level>{message}</level>",
                    "{time:YYYY-MM-DD HH:mm:ss.SSS ZZ} {level.no:>3} {function} {module} {file.name} {name} {message}",
                    "{time} {elapsed} {thread.name} {process.name} {message}",
                    by_function,
                ]
            ),
            "filter": st.sampled_from(
                [None, "tests", "nope", "", only_odd, {"tests": "INFO"}, {"": 30}, {"tests": False}]
            ),
            "colorize": st.booleans(),
            "serialize": st.booleans(),
            "backtrace": st.just(False),
            "diagnose": st.booleans(),
        },
    ),
)


def freeze(record: Any) -> None:
    parts = ("year", "month", "day", "hour", "minute", "second", "microsecond", "tzinfo")
    record["time"] = record["time"].replace(**{name: getattr(MOMENT, name) for name in parts})
    record["elapsed"] = datetime.timedelta(seconds=1.5)


def make(logger: Any, call: Call) -> str | None:
    """Make the call; the name of the error that reached the caller."""
    try:
        with logger.contextualize(**call.context):
            bound = logger.bind(**call.bound).patch(freeze)
            bound.opt(**call.options).log(call.level, call.message, *call.args, **call.kwargs)
    except Exception as error:
        return type(error).__name__
    return None


def result(logger: Any, setup: list[Handler], made: list[Call]) -> list[Any]:
    """What all sinks and the caller got, in order."""
    seen: list[Any] = []

    def sink(number: int) -> Callable[[Any], None]:
        def keep(message: Any) -> None:
            record = message.record
            fields = {name: record[name] for name in ("message", "extra", "function", "name", "module", "elapsed")}
            text = str(message)
            if setup[number].options.get("serialize"):
                text = json.dumps(json.loads(text), sort_keys=True)
            seen.append((number, text, record["level"].name, record["level"].no, repr(fields)))

        return keep

    ids = [logger.add(sink(number), catch=False, **one.options) for number, one in enumerate(setup)]
    for call in made:
        seen.append(make(logger, call))
    for number in ids:
        logger.remove(number)
    return seen


@pytest.mark.covers("1.1")
@pytest.mark.covers("1.4")
@pytest.mark.covers("1.20")
@given(setup=st.lists(handlers, min_size=1, max_size=2), made=st.lists(calls, min_size=1, max_size=3))
@settings(max_examples=100, deadline=None)
def test_calls(setup: list[Handler], made: list[Call]) -> None:
    """
    Any calls with any options through any handlers: every sink gets what the reference's gets, and so does the caller.
    """
    assert result(otelbridge.logger, setup, made) == result(loguru.logger, setup, made)


STAMP = re.compile(r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d_\d{6}(\.\d+)?")


class Line(NamedTuple):
    text: str
    rotates: bool
    restarts: bool


lines = st.builds(
    Line,
    text=st.text(st.sampled_from("ab é\n"), max_size=8),
    rotates=st.booleans(),
    restarts=st.sampled_from([False, False, False, True]),
)
file_options = st.fixed_dictionaries(
    {},
    optional={
        "rotation": st.sampled_from(["asked", 20, "1 GB"]),
        "retention": st.sampled_from([0, 100, "10 days"]),
        "compression": st.sampled_from(["gz", None]),
        "delay": st.booleans(),
        "watch": st.booleans(),
        "encoding": st.sampled_from(["utf8", "utf-16"]),
        "serialize": st.just(False),
        "enqueue": st.sampled_from([False, False, True]),
    },
)


def written(logger: Any, folder: Path, options: dict[str, Any], said: list[Line]) -> list[tuple[str, str]]:
    """The files that come of it: their names without the stamps, and their texts."""
    options = dict(options)
    if options.get("rotation") == "asked":
        options["rotation"] = lambda message, file: message.record["extra"]["rotates"]

    def add() -> int:
        number: int = logger.add(folder / "a.log", format="{message}", catch=False, **options)
        return number

    number = add()
    for line in said:
        if line.restarts:
            logger.remove(number)
            number = add()
        logger.bind(rotates=line.rotates).info("{}", line.text)
    logger.remove(number)
    found = []
    for path in folder.iterdir():
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
        found.append((STAMP.sub("DATE", path.name), data.decode(options.get("encoding", "utf8"))))
    return sorted(found)


@pytest.mark.covers("1.11")
@pytest.mark.covers("1.12")
@pytest.mark.covers("1.14")
@pytest.mark.covers("1.15")
@given(options=file_options, said=st.lists(lines, max_size=8))
@settings(max_examples=50, deadline=None)
def test_files(options: dict[str, Any], said: list[Line], tmp_path_factory: pytest.TempPathFactory) -> None:
    """
    Any lines through any file options, restarts included, leave the reference's files.
    """
    ours = written(otelbridge.logger, tmp_path_factory.mktemp("ours"), options, said)
    theirs = written(loguru.logger, tmp_path_factory.mktemp("theirs"), options, said)

    assert ours == theirs

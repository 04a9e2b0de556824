"""add() and remove(): what each argument may be, ids, and which mistakes raise at once."""

from __future__ import annotations

import asyncio
import datetime
import io
import logging
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.support import Kept, Script, add, departure, each, error_of


def sink(message: object) -> None:
    """A sink that keeps nothing."""


async def coroutine_sink(message: object) -> None:
    """A sink that has to be awaited."""


# ------------------------------------------------------------------------------------------------------------- ids


@pytest.mark.covers("1.4")
def test_ids_grow(logger: Any) -> None:
    """add() returns an int that is greater than all before, whatever was removed."""
    first = logger.add(sink)
    second = logger.add(sink)
    logger.remove(second)
    third = logger.add(sink)
    logger.remove()
    fourth = logger.add(sink)
    assert type(first) is int
    assert (second, third, fourth) == (first + 1, first + 2, first + 3)


@pytest.mark.covers("1.4")
def test_ids_are_shared(logger: Any) -> None:
    """Children and the logger count together."""
    first = logger.add(sink)
    second = logger.bind(a=1).add(sink)
    logger.opt(raw=True).remove(first)
    logger.remove(second)
    assert second == first + 1


@pytest.mark.covers("1.2")
def test_default_handler(script: Script) -> None:
    """A fresh logger has one handler, on stderr, from DEBUG on, with id 0; it can be removed once."""
    result = script("""
        import sys
        from PACKAGE import logger
        logger.trace("not shown")
        logger.debug("shown")
        logger.info("{}", "also")
        assert repr(logger).endswith("logger handlers=[(id=0, level=10, sink=<stderr>)]>"), repr(logger)
        assert logger.add(sys.stdout, format="{message}") == 1
        logger.remove(0)
        logger.info("on stdout")
        try:
            logger.remove(0)
        except ValueError as error:
            print("ValueError")
        logger.remove()
        logger.remove()
        logger.info("nowhere")
        try:
            logger.remove(1)
        except ValueError as error:
            print("ValueError")
        assert logger.add(sys.stdout, format="{message}") == 2
    """)
    assert result.stdout == "on stdout\nValueError\nValueError\n"
    lines = result.stderr.splitlines()
    assert len(lines) == 2
    assert lines[0].endswith(" | DEBUG    | __main__:<module>:5 - shown")
    assert lines[1].endswith(" | INFO     | __main__:<module>:6 - also")
    when = datetime.datetime.strptime(lines[0][:23], "%Y-%m-%d %H:%M:%S.%f")
    assert abs(datetime.datetime.now() - when) < datetime.timedelta(minutes=2)


@pytest.mark.covers("1.2")
def test_default_format_of_added_handlers(logger: Any) -> None:
    """A handler without a format gets the default one."""
    kept = Kept()
    logger.add(kept, colorize=False)
    logger.success("said")
    name = f"{__name__}:test_default_format_of_added_handlers:{kept.record['line']}"
    time, rest = kept.text[:23], kept.text[23:]
    assert rest == f" | SUCCESS  | {name} - said\n"
    assert time == kept.record["time"].strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


@pytest.mark.covers("1.2")
def test_default_format_in_colours(logger: Any) -> None:
    """The default format's time is green, the place cyan; level and message have the level's colour."""
    kept = Kept()
    logger.add(kept, colorize=True)
    logger.error("said")
    record = kept.record
    time = record["time"].strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    end, green, cyan, level = "\x1b[0m", "\x1b[32m", "\x1b[36m", "\x1b[31m\x1b[1m"
    assert kept.text == (
        f"{green}{time}{end} | {level}ERROR   {end} | {cyan}{__name__}{end}:{cyan}{record['function']}{end}:"
        f"{cyan}{record['line']}{end} - {level}said{end}\n"
    )


# ---------------------------------------------------------------------------------------------------------- remove


@pytest.mark.covers("1.6")
def test_remove_one(logger: Any) -> None:
    """remove(id) stops one handler, the others go on."""
    first, second = Kept(), Kept()
    number = logger.add(first, format="{message}")
    logger.add(second, format="{message}")
    logger.info("one")
    assert logger.remove(number) is None
    logger.info("two")
    assert (first.messages, second.messages) == (["one"], ["one", "two"])


@pytest.mark.covers("1.6")
def test_remove_by_keyword(logger: Any) -> None:
    """The argument is called handler_id."""
    kept = Kept()
    logger.remove(handler_id=logger.add(kept))
    logger.add(kept)
    logger.remove(handler_id=None)
    logger.info("said")
    assert not kept.texts


@pytest.mark.covers("1.6")
def test_remove_all(logger: Any) -> None:
    """remove() stops all handlers, and may be called again."""
    sinks = [add(logger) for _ in range(3)]
    logger.remove()
    logger.remove(None)
    logger.info("said")
    assert [each.texts for each in sinks] == [[], [], []]


@pytest.mark.covers("1.6")
def test_remove_twice(logger: Any) -> None:
    """An id that was removed is unknown."""
    number = logger.add(sink)
    logger.remove(number)
    with pytest.raises(ValueError, match=str(number)):
        logger.remove(number)


@pytest.mark.covers("1.6")
@pytest.mark.parametrize("number", [-1, 10**9, -(10**9)])
def test_remove_unknown(logger: Any, kept: Kept, number: int) -> None:
    """An id that no handler has is a ValueError, and costs nobody."""
    with pytest.raises(ValueError, match=str(number)):
        logger.remove(number)
    logger.info("said")
    assert kept.messages == ["said"]


@pytest.mark.covers("1.6")
@pytest.mark.parametrize("number", ["1", 1.0, [1], (), sink, object(), b"1"], ids=repr)
def test_remove_another_type(logger: Any, kept: Kept, number: object) -> None:
    """An id that is no int is a TypeError."""
    with pytest.raises(TypeError):
        logger.remove(number)
    logger.info("said")
    assert kept.messages == ["said"]


@pytest.mark.covers("1.6")
def test_remove_stops_the_sink(logger: Any) -> None:
    """remove() calls the sink's stop(), once."""
    calls: list[str] = []

    class Stoppable:
        def write(self, message: str) -> None:
            calls.append(message)

        def stop(self) -> None:
            calls.append("stopped")

    number = logger.add(Stoppable(), format="{message}")
    logger.info("said")
    logger.remove(number)
    logger.remove()
    assert calls == ["said\n", "stopped"]


@pytest.mark.covers("1.6")
def test_remove_of_a_failing_sink(logger: Any) -> None:
    """What stop() raises is raised by remove(); the handler is gone all the same."""
    calls: list[str] = []

    class Failing:
        def write(self, message: str) -> None:
            calls.append(message)

        def stop(self) -> None:
            raise LookupError("stop")

    number = logger.add(Failing(), format="{message}")
    with pytest.raises(LookupError, match="stop"):
        logger.remove(number)
    with pytest.raises(ValueError, match=str(number)):
        logger.remove(number)
    logger.info("said")
    assert not calls


@pytest.mark.covers("1.6")
def test_remove_all_of_failing_sinks(logger: Any) -> None:
    """remove() stops at a sink whose stop() raises: the ones before it are gone, it is gone, the later ones are not."""

    class Failing(Kept):
        def write(self, message: Any) -> None:
            self(message)

        def stop(self) -> None:
            raise LookupError("stop")

    first, failing, last = Kept(), Failing(), Kept()
    logger.add(first, format="{message}")
    logger.add(failing, format="{message}")
    logger.add(last, format="{message}")
    with pytest.raises(LookupError):
        logger.remove()
    logger.info("said")
    assert (first.texts, failing.texts, last.texts) == ([], [], ["said\n"])
    logger.remove()


# ------------------------------------------------------------------------------------------------------------ sink


class Nothing:
    """An object that is no sink."""


@pytest.mark.covers("1.5")
@each("value", [1, None, 1.5, True, {}, [], (), (sink,), b"file.log", Nothing(), object()])
def test_sink_of_another_type(logger: Any, value: object) -> None:
    """What is no sink is a TypeError that names its type, and adds no handler."""
    with pytest.raises(TypeError, match=type(value).__name__):
        logger.add(value)
    assert "handlers=[]" in repr(logger)


@pytest.mark.covers("1.4")
def test_sink_is_needed(logger: Any) -> None:
    """add() without a sink is a TypeError; everything after the sink goes by keyword."""
    with pytest.raises(TypeError):
        logger.add()
    with pytest.raises(TypeError):
        logger.add(sink, "INFO")


@pytest.mark.covers("1.5")
def test_sink_by_keyword(logger: Any) -> None:
    """The sink may be given by its name, as configure() does."""
    kept = Kept()
    logger.add(sink=kept, format="{message}")
    logger.info("said")
    assert kept.messages == ["said"]


class Writes:
    """Has a write() that is looked for first."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, message: str) -> None:
        self.written.append(str(message))

    def __call__(self, message: str) -> None:
        raise AssertionError


@pytest.mark.covers("1.5")
def test_write_wins_over_call(logger: Any) -> None:
    """An object that has write() and can be called is a stream."""
    stream = Writes()
    logger.add(stream, format="{message}")
    logger.info("said")
    assert stream.written == ["said\n"]


@pytest.mark.covers("1.5")
def test_write_must_be_callable(logger: Any) -> None:
    """A `write` that cannot be called makes no stream."""
    with pytest.raises(TypeError):
        logger.add(type("Odd", (), {"write": 5})())


@pytest.mark.covers("1.5")
def test_class_as_sink(logger: Any) -> None:
    """A class is a callable: it is called with the message."""
    made: list[str] = []

    class Entry:
        def __init__(self, message: str) -> None:
            made.append(message)

    logger.add(Entry, format="{message}")
    logger.info("said")
    assert made == ["said\n"]


@pytest.mark.covers("1.5")
@pytest.mark.parametrize("kind", ["function", "lambda", "method", "callable", "partial", "builtin", "class method"])
def test_callables(logger: Any, kind: str) -> None:
    """Whatever can be called with one argument is a sink."""
    import functools

    said: list[str] = []

    def function(message: str) -> None:
        said.append(message)

    def two(first: str, message: str) -> None:
        said.append(first + message)

    class Taking:
        def __call__(self, message: str) -> None:
            said.append(message)

        def method(self, message: str) -> None:
            said.append(message)

        @classmethod
        def class_method(cls, message: str) -> None:
            said.append(message)

    sinks: dict[str, Callable[[str], object]] = {
        "function": function,
        "lambda": lambda message: said.append(message),
        "method": Taking().method,
        "callable": Taking(),
        "partial": functools.partial(two, ""),
        "builtin": said.append,
        "class method": Taking.class_method,
    }
    logger.add(sinks[kind], format="{message}")
    logger.info("said")
    assert said == ["said\n"]


@pytest.mark.covers("1.5")
def test_same_sink_twice(logger: Any) -> None:
    """A sink may be added more than once: each handler is served."""
    kept = Kept()
    first = logger.add(kept, format="1 {message}")
    logger.add(kept, format="2 {message}")
    logger.info("said")
    logger.remove(first)
    logger.info("again")
    assert kept.texts == ["1 said\n", "2 said\n", "2 again\n"]


# ----------------------------------------------------------------------------------------------- the other arguments


@pytest.mark.covers("1.4")
@pytest.mark.parametrize("level", ["nope", "debug", "Debug", "", " INFO", "10"])
def test_unknown_level(logger: Any, level: str) -> None:
    """A name that is no level is a ValueError."""
    with pytest.raises(ValueError, match="does not exist"):
        logger.add(sink, level=level)
    assert "handlers=[]" in repr(logger)


@pytest.mark.covers("1.4")
@pytest.mark.parametrize("level", [-1, -10])
def test_negative_level(logger: Any, level: int) -> None:
    """A negative level is a ValueError."""
    with pytest.raises(ValueError, match=str(level)):
        logger.add(sink, level=level)


@pytest.mark.covers("1.4")
@pytest.mark.parametrize("level", [1.5, None, [], {}, ("INFO",), b"INFO", object(), sink], ids=repr)
def test_level_of_another_type(logger: Any, level: object) -> None:
    """A level that is neither int nor str is a TypeError."""
    with pytest.raises(TypeError):
        logger.add(sink, level=level)
    assert "handlers=[]" in repr(logger)


@pytest.mark.covers("1.4")
def test_level_tuple_is_no_level(logger: Any) -> None:
    """What level() returns is no level for add()."""
    with pytest.raises(TypeError):
        logger.add(sink, level=logger.level("INFO"))


@pytest.mark.covers("1.4")
@pytest.mark.parametrize("format_", [1, None, [], {}, b"{message}", object(), 1.5, True], ids=repr)
def test_format_of_another_type(logger: Any, format_: object) -> None:
    """A format that is neither a str nor callable is a TypeError."""
    with pytest.raises(TypeError):
        logger.add(sink, format=format_)
    assert "handlers=[]" in repr(logger)


@pytest.mark.covers("1.4", note="markup")
@each("colorize", [None, True, False])
@each(
    "format_",
    [
        "<foo>{message}</foo>",
        "<red>{message}",
        "{message}</red>",
        "<red>{message}</blue>",
        "<>{message}</>",
        "{message}</>",
        "<red><b>{message}</red></b>",
        "<red>{message}</></>",
        "<fg 256>{message}</>",
        "<bg #12>{message}</>",
        "<fg 1,2>{message}</>",
        "<Red>{message}</Red>",
        "</level>{message}",
        "<level>{message}</lvl>",
        "<red>{message}</r>",
    ],
)
def test_markup_mistakes(logger: Any, format_: str, colorize: bool | None) -> None:
    """Tags that are unknown, not closed or not opened are a ValueError at add(), whether there are colours or not."""
    with pytest.raises(ValueError, match=r"."):
        logger.add(sink, format=format_, colorize=colorize)
    assert "handlers=[]" in repr(logger)


@pytest.mark.covers("1.4")
@pytest.mark.parametrize("format_", ["{", "}", "{message", "message}", "{message}}", "{{message}"])
def test_brace_mistakes(logger: Any, format_: str) -> None:
    """Braces that do not match are a ValueError at add()."""
    with pytest.raises(ValueError, match=r"."):
        logger.add(sink, format=format_)


@pytest.mark.covers("1.27")
@pytest.mark.parametrize("filter_", [0, 1, True, False, 1.5, [], (), b"name", object(), set()], ids=repr)
def test_filter_of_another_type(logger: Any, filter_: object) -> None:
    """A filter that is no callable, str or dict is a TypeError."""
    with pytest.raises(TypeError):
        logger.add(sink, filter=filter_)
    assert "handlers=[]" in repr(logger)


@pytest.mark.covers("1.27")
@pytest.mark.parametrize(
    ("level", "error"),
    [
        ("nope", ValueError),
        (-1, ValueError),
        (1.5, TypeError),
        (None, TypeError),
        ([], TypeError),
        (object(), TypeError),
    ],
    ids=repr,
)
def test_filter_dict_levels(logger: Any, level: object, error: type[Exception]) -> None:
    """A filter dict with a level that is none is an error at add(), of the type that a wrong level is."""
    with pytest.raises(error):
        logger.add(sink, filter={"": "INFO", "a.b": level})


@pytest.mark.covers("1.27")
@pytest.mark.parametrize("key", [1, ("a",), b"a", 1.5, object()], ids=repr)
def test_filter_dict_keys(logger: Any, key: object) -> None:
    """A filter dict whose key is neither a str nor None is a TypeError."""
    with pytest.raises(TypeError):
        logger.add(sink, filter={key: "INFO"})


@pytest.mark.covers("1.4")
@pytest.mark.parametrize("context", ["nope", "", "Spawn"])
@pytest.mark.parametrize("enqueue", [False, True])
def test_unknown_context(logger: Any, context: str, enqueue: bool) -> None:
    """A context name that multiprocessing does not know is a ValueError."""
    with pytest.raises(ValueError, match=repr(context)):
        logger.add(sink, context=context, enqueue=enqueue)
    assert "handlers=[]" in repr(logger)


@pytest.mark.covers("1.4")
@pytest.mark.parametrize("context", [5, 1.5, [], object(), b"fork", True, multiprocessing], ids=repr)
def test_context_of_another_type(logger: Any, context: object) -> None:
    """A context that is neither a name nor a context is a TypeError."""
    with pytest.raises(TypeError):
        logger.add(sink, context=context)


@pytest.mark.covers("1.4")
@each(
    "context",
    ["fork", "spawn", "forkserver", multiprocessing.get_context("spawn"), multiprocessing.get_context(), None],
)
@each("enqueue", [False, True])
def test_contexts(logger: Any, context: Any, enqueue: bool) -> None:
    """A context is one of multiprocessing's, by name or as an object."""
    kept = Kept()
    logger.add(kept, context=context, enqueue=enqueue, format="{message}")
    logger.info("said")
    logger.complete()
    assert kept.messages == ["said"]


@pytest.mark.covers("1.4")
@each("truth", [True, 1, "yes", [0]])
@each("name", ["colorize", "serialize", "backtrace", "diagnose", "enqueue", "catch"])
def test_switches_are_truth_values(logger: Any, name: str, truth: object) -> None:
    """What is true switches on, what is false off; no type is asked for."""
    kept = add(logger, **{"format": "<red>{message}</red>", name: truth})
    logger.info("said")
    logger.complete()
    assert kept.message == "said"
    if name == "colorize":
        assert kept.text == "\x1b[31msaid\x1b[0m\n"
    elif name == "serialize":
        assert kept.text.startswith('{"text"')
    else:
        assert kept.text == "said\n"


@pytest.mark.covers("1.4")
@each("false", [False, 0, "", None])
@each("name", ["colorize", "serialize", "backtrace", "diagnose", "enqueue", "catch"])
def test_switches_off(logger: Any, name: str, false: object) -> None:
    """What is false is off."""
    kept = add(logger, **{"format": "<red>{message}</red>", name: false})
    logger.info("said")
    assert kept.text == "said\n"


@pytest.mark.covers("1.4")
@each(
    "name",
    ["foo", "Level", "rotation", "retention", "compression", "delay", "watch", "mode", "buffering", "encoding", "loop"],
)
@each("kind", ["function", "stream", "handler"])
def test_unknown_arguments(logger: Any, kind: str, name: str) -> None:
    """An argument that the kind of sink does not know is a TypeError that names it; file arguments are for files."""
    made: dict[str, object] = {"function": sink, "stream": io.StringIO(), "handler": logging.NullHandler()}
    with pytest.raises(TypeError, match=name):
        logger.add(made[kind], **{name: None})
    assert "handlers=[]" in repr(logger)


@pytest.mark.covers("1.4")
@pytest.mark.parametrize("name", ["foo", "rotation", "mode"])
def test_unknown_arguments_of_coroutines(logger: Any, name: str) -> None:
    """A coroutine function knows `loop` only."""
    with pytest.raises(TypeError, match=name):
        logger.add(coroutine_sink, **{name: None})


@pytest.mark.covers("1.4")
@pytest.mark.parametrize("name", ["foo", "loop"])
def test_unknown_arguments_of_files(logger: Any, tmp_path: Path, name: str) -> None:
    """Other arguments of files are open()'s: what it does not know is a TypeError."""
    with pytest.raises(TypeError, match=name):
        logger.add(tmp_path / "file.log", **{name: None})
    assert "handlers=[]" in repr(logger)


@pytest.mark.covers("1.4")
@departure("a mistake in add() is told by add(), not by a message that is lost later")
def test_unknown_arguments_of_delayed_files(logger: Any, tmp_path: Path) -> None:
    """With delay=True what open() does not know is noticed when the file is opened."""
    logger.remove(logger.add(tmp_path / "file.log", delay=True, foo=None))


@pytest.mark.covers("1.5")
def test_queue_needs_a_loop(logger: Any) -> None:
    """A coroutine function with enqueue=True needs a loop: one that is given or one that runs."""
    with pytest.raises(ValueError, match="loop"):
        logger.add(coroutine_sink, enqueue=True)
    loop = asyncio.new_event_loop()
    try:
        logger.remove(logger.add(coroutine_sink, enqueue=True, loop=loop))
    finally:
        loop.close()

    async def inside() -> None:
        logger.remove(logger.add(coroutine_sink, enqueue=True))

    asyncio.run(inside())


ROTATIONS_GOOD: list[Any] = [
    None,
    100,
    0,
    1.5,
    "5",
    "1 MB",
    "1.5 GB",
    "500 KB",
    "1 KiB",
    "1 kb",
    "1 Mb",
    "1e3 B",
    "8 b",
    "1 YB",
    "10h",
    "1 h 30 min",
    "1h, 30min",
    "1 month 2 weeks",
    "1.5 days",
    "4 days",
    "1y",
    "1 Years",
    "1 min",
    "1 sec",
    "1 ms",
    "1 us",
    "w0",
    "w6",
    "sunday",
    "SUNDAY",
    "Monday at 12:00",
    "w1 at 08:20",
    "w6 at 9 AM",
    "friday at 11:00:22.55",
    "hourly",
    "daily",
    "weekly",
    "monthly",
    "yearly",
    "18:00",
    "18:00:30",
    "18:00:30.5",
    datetime.timedelta(1),
    datetime.time(1),
    datetime.time(1, 2, 3),
    lambda message, file: False,
]
ROTATIONS_BAD = [
    "nope",
    "",
    "  ",
    "1 XB",
    "25:00",
    "24:00",
    "w7",
    "w-1",
    "funday",
    "1 MB 2 MB",
    "1.5.2 MB",
    "day",
    "h",
    "5 MB at 12:00",
    "monday at",
    "monday at noon",
    "at 12:00",
    "12:00 at monday",
    "1 decade",
    "bimonthly",
    "1h30m",
    "1,5 days",
    "13 PM",
    "8 bits",
    "daily at 5",
    "fortnightly",
    "1 µs",
    "never",
    "None",
    "every day",
    "1 M B",
    "12:60",
    "MB",
    "MB 1",
]


@pytest.mark.covers("1.12")
@each("rotation", ROTATIONS_GOOD)
def test_rotations(logger: Any, tmp_path: Path, rotation: object) -> None:
    """What rotation may be: a size, a frequency, a time of day or week, a function."""
    logger.remove(logger.add(tmp_path / "file.log", rotation=rotation, delay=True))


@pytest.mark.covers("1.12")
@each("rotation", ROTATIONS_BAD)
def test_rotation_mistakes(logger: Any, tmp_path: Path, rotation: str) -> None:
    """A string that is not understood is a ValueError, and no file is made."""
    with pytest.raises(ValueError, match=r"."):
        logger.add(tmp_path / "file.log", rotation=rotation)
    assert "handlers=[]" in repr(logger)
    assert not list(tmp_path.iterdir())


@pytest.mark.covers("1.12")
@each("rotation", [[], ["1 MB"], {}, object(), datetime.date(2020, 1, 1), b"1 MB"])
def test_rotation_of_another_type(logger: Any, tmp_path: Path, rotation: object) -> None:
    """What can be no rotation is a TypeError."""
    with pytest.raises(TypeError):
        logger.add(tmp_path / "file.log", rotation=rotation)


@pytest.mark.covers("1.14")
@each(
    "retention",
    [
        None,
        5,
        0,
        "1 week, 3 days",
        "2 months",
        "1h",
        "1 week 3 days",
        "10 days",
        datetime.timedelta(1),
        lambda files: None,
    ],
)
def test_retentions(logger: Any, tmp_path: Path, retention: object) -> None:
    """What retention may be: a count, an age, a function."""
    logger.remove(logger.add(tmp_path / "file.log", retention=retention, delay=True))


@pytest.mark.covers("1.14")
@each("retention", ["nope", "", "5", "1 MB", "monday", "12:00", "daily", ", ", "days", "1 foo"])
def test_retention_mistakes(logger: Any, tmp_path: Path, retention: str) -> None:
    """A string that is no age is a ValueError, and no file is made."""
    with pytest.raises(ValueError, match=r"."):
        logger.add(tmp_path / "file.log", retention=retention)
    assert not list(tmp_path.iterdir())


@pytest.mark.covers("1.14")
@pytest.mark.parametrize("retention", [1.5, [], {}, object(), datetime.time(1), datetime.date(2020, 1, 1)], ids=repr)
def test_retention_of_another_type(logger: Any, tmp_path: Path, retention: object) -> None:
    """What can be no retention is a TypeError."""
    with pytest.raises(TypeError):
        logger.add(tmp_path / "file.log", retention=retention)


FORMATS = ["gz", "bz2", "xz", "lzma", "zip", "tar", "tar.gz", "tar.bz2", "tar.xz"]


@pytest.mark.covers("1.15")
@each("compression", [None, *FORMATS, *(f".{name}" for name in FORMATS), " gz ", "..gz", str])
def test_compressions(logger: Any, tmp_path: Path, compression: object) -> None:
    """What compression may be: a known extension, with a dot before it or not; a function."""
    logger.remove(logger.add(tmp_path / "file.log", compression=compression, delay=True))


@pytest.mark.covers("1.15")
@each("compression", ["nope", "", "GZ", "gzip", "7z", "rar", "tgz", "tar.zip", "Tar.Gz", "tar gz", "zst9", "gz.tar"])
def test_compression_mistakes(logger: Any, tmp_path: Path, compression: str) -> None:
    """An extension that nobody knows is a ValueError, and no file is made."""
    with pytest.raises(ValueError, match=r"."):
        logger.add(tmp_path / "file.log", compression=compression)
    assert not list(tmp_path.iterdir())


@pytest.mark.covers("1.15")
@pytest.mark.parametrize("compression", [5, 0, True, 1.5, [], object(), b"gz"], ids=repr)
def test_compression_of_another_type(logger: Any, tmp_path: Path, compression: object) -> None:
    """What can be no compression is a TypeError."""
    with pytest.raises(TypeError):
        logger.add(tmp_path / "file.log", compression=compression)


@pytest.mark.covers("1.4")
@pytest.mark.parametrize(
    "mistake",
    [{"level": "nope"}, {"format": 5}, {"filter": 5}, {"context": 5}, {"format": "<foo>"}, {"filter": {"a": "nope"}}],
    ids=repr,
)
def test_mistakes_leave_no_file(logger: Any, tmp_path: Path, mistake: dict[str, Any]) -> None:
    """A mistake in any argument adds no handler: nothing is logged to that sink."""
    kept = Kept()
    assert isinstance(error_of(lambda: logger.add(kept, **mistake)), TypeError | ValueError)
    logger.error("said")
    assert not kept.texts
    assert "handlers=[]" in repr(logger)


@pytest.mark.covers("1.4")
def test_missing_folder_is_made(logger: Any, tmp_path: Path) -> None:
    """The folders of a file are made."""
    logger.add(tmp_path / "a" / "b" / "file.log", format="{message}")
    logger.info("said")
    logger.remove()
    assert (tmp_path / "a" / "b" / "file.log").read_text() == "said\n"


@pytest.mark.covers("1.4")
def test_file_that_is_a_folder(logger: Any, tmp_path: Path) -> None:
    """What open() raises is raised by add()."""
    with pytest.raises(IsADirectoryError):
        logger.add(tmp_path)
    assert "handlers=[]" in repr(logger)


# ------------------------------------------------------------------------------------------- deprecated names


@pytest.mark.covers("1.4")
def test_start_and_stop(logger: Any) -> None:
    """start() and stop() are add() and remove(), and warn."""
    kept = Kept()
    with pytest.warns(DeprecationWarning, match="start"):
        number = logger.start(kept, format="{message}")
    logger.info("said")
    with pytest.warns(DeprecationWarning, match="stop"):
        logger.stop(number)
    logger.info("again")
    assert kept.messages == ["said"]


@pytest.mark.covers("1.4")
def test_messages_are_for_everyone(logger: Any) -> None:
    """Each sink gets a message of its own, with its own text; and the same record."""
    first, second = add(logger, format="1 {message}"), add(logger, format="2 {message}")
    logger.info("said")
    assert (first.text, second.text) == ("1 said\n", "2 said\n")
    assert first.record is second.record

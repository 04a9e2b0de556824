"""The documentation's recipes, in our words: what people build from the public parts."""

from __future__ import annotations

import copy
import datetime
import functools
import io
import json
import pickle
import socketserver
import struct
import sys
import threading
import time
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.hosts.files import Folder


class Kept:
    """Keeps texts and records."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.records: list[Any] = []

    def __call__(self, message: Any) -> None:
        self.texts.append(str(message))
        self.records.append(message.record)


@pytest.mark.covers("1.6", note="the recipe")
def test_level_that_changes_at_run_time(logger: Any) -> None:
    """
    A filter object lets the level of an existing handler change, the handler itself taking everything.
    """

    class LevelFilter:
        def __init__(self, level: str) -> None:
            self.level = level

        def __call__(self, record: Any) -> bool:
            return bool(record["level"].no >= logger.level(self.level).no)

    kept = Kept()
    level_filter = LevelFilter("WARNING")
    logger.add(kept, filter=level_filter, level=0, format="{message}")

    logger.info("a")
    logger.error("b")
    level_filter.level = "DEBUG"
    logger.debug("c")

    assert kept.texts == ["b\n", "c\n"]


@pytest.mark.covers("1.22", note="the recipe")
def test_library(logger: Any) -> None:
    """
    A library disables itself when it is imported; an application enables it.
    """
    kept = Kept()
    logger.add(kept, format="{message}")
    library = types.ModuleType("some_library")
    vars(library)["logger"] = logger
    exec("def work(): logger.info('from the library')", vars(library))

    logger.disable("some_library")
    library.work()
    logger.enable("some_library")
    library.work()

    assert kept.texts == ["from the library\n"]


@pytest.mark.covers("1.1", note="the recipe")
def test_entry_and_exit_of_functions(logger: Any) -> None:
    """
    A decorator logs entry and result of a function, from the place of its call.
    """

    def logger_wraps(*, level: str = "DEBUG") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def wrapper(function: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(function)
            def wrapped(*args: Any, **kwargs: Any) -> Any:
                located = logger.opt(depth=1)
                located.log(level, "Entering '{}' (args={}, kwargs={})", function.__name__, args, kwargs)
                result = function(*args, **kwargs)
                located.log(level, "Exiting '{}' (result={})", function.__name__, result)
                return result

            return wrapped

        return wrapper

    kept = Kept()
    logger.add(kept, format="{function} {message}")

    @logger_wraps()
    def add(one: int, other: int = 0) -> int:
        return one + other

    add(1, other=2)

    name = "test_entry_and_exit_of_functions"
    assert kept.texts == [
        f"{name} Entering 'add' (args=(1,), kwargs={{'other': 2}})\n",
        f"{name} Exiting 'add' (result=3)\n",
    ]


@pytest.mark.covers("1.1", note="the recipe")
def test_timed_function(logger: Any) -> None:
    """
    A decorator logs how long a function took.
    """
    kept = Kept()
    logger.add(kept, format="{message}")

    def timed(function: Callable[[], None]) -> Callable[[], None]:
        def wrapped() -> None:
            start = time.perf_counter()
            function()
            logger.debug("Function '{}' executed in {:f} s", function.__name__, time.perf_counter() - start)

        return wrapped

    @timed
    def work() -> None: ...

    work()

    assert kept.texts[0].startswith("Function 'work' executed in 0.0")


@pytest.mark.covers("1.3", note="the recipe")
def test_method_for_a_level(logger: Any) -> None:
    """
    A level of one's own gets a method by `partialmethod` on the logger's class, which names the place of its call.
    """
    logger.level("RECIPE", no=33, icon="🤖", color="<blue>")
    kept = Kept()
    logger.add(kept, format="{level} {level.icon} {function} {message}")
    kind = type(logger)
    kind.recipe = functools.partialmethod(kind.log, "RECIPE")
    try:
        logger.recipe("value: {}", 1)
    finally:
        del kind.recipe

    assert kept.texts == ["RECIPE 🤖 test_method_for_a_level value: 1\n"]


@pytest.mark.covers("1.3", note="the recipe")
def test_function_for_a_level(logger: Any) -> None:
    """
    A function for a level is made with `opt(depth=1)`.
    """
    logger.level("RECIPE2", no=34)
    kept = Kept()
    logger.add(kept, format="{level} {function} {message}")

    def recipe(_, message: str, *args: Any, **kwargs: Any) -> None:  # type: ignore[no-untyped-def]
        logger.opt(depth=1).log("RECIPE2", message, *args, **kwargs)

    kind = type(logger)
    kind.recipe = recipe
    try:
        logger.recipe("m {}", 1)
    finally:
        del kind.recipe

    assert kept.texts == ["RECIPE2 test_function_for_a_level m 1\n"]


@pytest.mark.covers("1.20", note="the recipe")
def test_options_for_a_module(logger: Any) -> None:
    """
    `logger.opt` of a bound logger may be a partial, so that a module always colours.
    """
    kept = Kept()
    logger.add(kept, format="{message}", colorize=True)
    coloured = logger.opt(colors=True)
    coloured.opt = functools.partial(coloured.opt, colors=True)

    coloured.info("<red>a</red>")
    coloured.opt(raw=True).info("<red>b</red>")

    assert kept.texts == ["\x1b[31ma\x1b[0m\n", "\x1b[31mb\x1b[0m"]


@pytest.mark.covers("1.10", note="the recipe")
def test_own_json(logger: Any) -> None:
    """
    A sink writes JSON of its own from the record.
    """
    stream = io.StringIO()

    def sink(message: Any) -> None:
        record = message.record
        subset = {"timestamp": record["time"].timestamp(), "message": record["message"], **record["extra"]}
        print(json.dumps(subset), file=stream)

    logger.add(sink)

    logger.bind(user=1).info("m")

    assert json.loads(stream.getvalue())["user"] == 1


@pytest.mark.covers("1.19", note="the recipe")
def test_json_by_patching(logger: Any) -> None:
    """
    A patcher serialises into extra, and the format shows it.
    """
    kept = Kept()

    def patching(record: Any) -> None:
        record["extra"]["serialized"] = json.dumps({"message": record["message"], "level": record["level"].name})

    logger.configure(patcher=patching)
    logger.add(kept, format="{extra[serialized]}")

    logger.info("m <red> {}")

    assert kept.texts == ['{"message": "m <red> {}", "level": "INFO"}\n']


@pytest.mark.covers("1.4", note="the recipe")
def test_json_by_a_format_function(logger: Any) -> None:
    """
    A format function puts its text into extra, and returns a template that names it: braces of the text do no harm.
    """
    kept = Kept()

    def formatter(record: Any) -> str:
        record["extra"]["serialized"] = json.dumps({"message": record["message"]})
        return "{extra[serialized]}\n"

    logger.add(kept, format=formatter)

    logger.info("m {x}", x="<red>")

    assert kept.texts == ['{"message": "m <red>"}\n']


@pytest.mark.covers("1.12", note="the recipe")
def test_rotation_by_size_and_time(logger: Any, folder: Folder) -> None:
    """
    A rotation object may look at the size and at the time of the message.
    """

    class Rotator:
        def __init__(self, *, size: int, at: datetime.time) -> None:
            now = datetime.datetime.now()
            self.size_limit = size
            self.time_limit = now.replace(hour=at.hour, minute=at.minute, second=at.second)
            if now >= self.time_limit:
                self.time_limit += datetime.timedelta(days=1)

        def should_rotate(self, message: Any, file: Any) -> bool:
            file.seek(0, 2)
            if file.tell() + len(message) > self.size_limit:
                return True
            excess = message.record["time"].timestamp() - self.time_limit.timestamp()
            if excess >= 0:
                elapsed_days = datetime.timedelta(seconds=excess).days
                self.time_limit += datetime.timedelta(days=elapsed_days + 1)
                return True
            return False

    rotator = Rotator(size=8, at=datetime.time(0, 0, 0))
    logger.add(folder / "a.log", format="{message}", rotation=rotator.should_rotate)

    logger.info("abc")
    logger.info("def")
    logger.info("ghi")
    tomorrow = datetime.datetime.now().astimezone() + datetime.timedelta(days=1)
    logger.patch(lambda r: r.update(time=tomorrow)).info("x")

    assert folder.texts() == ["abc\ndef\n", "ghi\n", "x\n"]


@pytest.mark.covers("1.8", note="the recipe")
def test_colours_by_record(logger: Any) -> None:
    """
    A format function chooses its colours by the record.
    """
    kept = Kept()

    def formatter(record: Any) -> str:
        end = record["extra"].get("end", "\n")
        tag = "red" if record["level"].no >= 40 else "green"
        return f"<{tag}>{{message}}</{tag}>{end}"

    logger.add(kept, format=formatter, colorize=True)

    logger.info("a")
    logger.bind(end="").error("b")

    assert kept.texts == ["\x1b[32ma\x1b[0m\n", "\x1b[31mb\x1b[0m"]


@pytest.mark.covers("1.4", note="the recipe")
def test_padding(logger: Any) -> None:
    """
    A formatter object aligns messages by the longest prefix so far.
    """

    class Formatter:
        def __init__(self) -> None:
            self.padding = 0
            self.fmt = "{name}:{function}{extra[padding]} | {message}\n{exception}"

        def format(self, record: Any) -> str:
            length = len("{name}:{function}".format(**record))
            self.padding = max(self.padding, length)
            record["extra"]["padding"] = " " * (self.padding - length)
            return self.fmt

    kept = Kept()
    logger.add(kept, format=Formatter().format)

    def a_function_with_a_long_name_that_is_long() -> None:
        logger.info("a")

    a_function_with_a_long_name_that_is_long()
    logger.info("b")

    assert kept.texts[0].index("|") == kept.texts[1].index("|")


@pytest.mark.covers("1.4", note="the recipe")
def test_own_exception_text(logger: Any) -> None:
    """
    A format function replaces the exception's text by one of its own.
    """
    kept = Kept()

    def formatter(record: Any) -> str:
        if record["exception"] is not None:
            lines = traceback.format_exception_only(record["exception"].value)
            record["extra"]["stack"] = "".join(lines).strip()
            return "{message} ({extra[stack]})\n"
        return "{message}\n"

    logger.add(kept, format=formatter)

    try:
        raise ValueError("v")
    except ValueError:
        logger.exception("m")
    logger.info("n")

    assert kept.texts == ["m (ValueError: v)\n", "n\n"]


@pytest.mark.covers("1.20", note="the recipe")
def test_stack_without_an_exception(logger: Any) -> None:
    """
    A format function appends the stack of the call, without the logger's own frames.
    """
    kept = Kept()
    package = Path(sys.modules[type(logger).__module__].__file__ or "").parent

    def formatter(record: Any) -> str:
        if "with_traceback" not in record["extra"]:
            return "{message}\n"
        frames = [f for f in traceback.extract_stack() if not f.filename.startswith(str(package))]
        record["extra"]["traceback"] = frames[-2].name if frames[-1].name == "formatter" else frames[-1].name
        return "{message} {extra[traceback]}\n"

    logger.add(kept, format=formatter)

    logger.bind(with_traceback=True).info("m")

    assert kept.texts == ["m test_stack_without_an_exception\n"]


@pytest.mark.covers("1.20", note="the recipe")
def test_one_line_by_several_calls(logger: Any) -> None:
    """
    Raw messages make up one line.
    """
    stream = io.StringIO()
    logger.add(stream, format="{message}")

    logger.opt(raw=True).info("Progress")
    for _ in range(3):
        logger.opt(raw=True).info(".")
    logger.opt(raw=True).info("\n")
    logger.info("done")

    assert stream.getvalue() == "Progress...\ndone\n"


@pytest.mark.covers("1.32", note="the recipe")
def test_independent_loggers(logger: Any) -> None:
    """
    Deep copies of a logger without handlers have handlers of their own.
    """
    one = copy.deepcopy(logger)
    other = copy.deepcopy(logger)
    kept, other_kept, base_kept = Kept(), Kept(), Kept()
    one.add(kept, format="{message}")
    other.add(other_kept, format="{message}")
    logger.add(base_kept, format="{message}")

    one.info("one")
    other.info("other")
    logger.info("base")
    one.remove()
    other.remove()

    assert (kept.texts, other_kept.texts, base_kept.texts) == (["one\n"], ["other\n"], ["base\n"])


@pytest.mark.covers("1.27", note="the recipe")
def test_loggers_by_filter(logger: Any, folder: Folder) -> None:
    """
    Bound names and filters send messages to files of their own.
    """
    for name in ("a", "b"):
        logger.add(
            folder / f"{name}.log",
            format="{message}",
            filter=lambda record, name=name: record["extra"].get("task") == name,
        )

    logger.bind(task="a").info("to a")
    logger.bind(task="b").info("to b")
    logger.info("to nobody")

    assert folder.texts() == ["to b\n", "to a\n"]


@pytest.mark.covers("1.28", note="the recipe")
def test_records_over_the_network(logger: Any) -> None:
    """
    Records are pickled, sent through a socket and logged again as they were.
    """
    import socket

    received = Kept()
    sent = Kept()
    done = threading.Event()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while header := self.rfile.read(4):
                (length,) = struct.unpack(">L", header)
                record = pickle.loads(self.rfile.read(length))
                level, message = record["level"].no, record["message"]
                logger.patch(lambda new, record=record: new.update(record)).log(level, message)
            done.set()

    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        connection = socket.create_connection(("127.0.0.1", server.server_address[1]))

        def sink(message: Any) -> None:
            data = pickle.dumps(message.record)
            connection.sendall(struct.pack(">L", len(data)) + data)

        number = logger.add(sink, serialize=False, catch=False)
        sent_number = logger.add(sent, format="{message}")
        logger.bind(user="u").info("hello {}", "you")
        try:
            raise ValueError("v")
        except ValueError:
            logger.exception("failed")
        logger.remove(number)
        logger.remove(sent_number)
        logger.add(received, format="{level} {function} {line} {message} {extra}", catch=False)
        connection.close()
        serving = threading.Thread(target=server.handle_request)
        serving.start()
        assert done.wait(30)
        serving.join()

    assert [record["message"] for record in received.records] == ["hello you", "failed"]
    for name in ("time", "elapsed", "message", "extra", "function", "line", "name", "module"):
        assert [r[name] for r in received.records] == [r[name] for r in sent.records]
    assert received.texts[0].startswith("INFO test_records_over_the_network ")


@pytest.mark.covers("1.18", note="the recipe")
def test_context_of_a_request(logger: Any) -> None:
    """
    The overview's example: bound, contextualized and patched values meet in a format.
    """
    kept = Kept()
    logger.add(kept, format="{extra[ip]} {extra[user]} {message} {extra[utc]}")
    context_logger = logger.bind(ip="192.168.0.1", user="someone")

    context_logger.patch(lambda record: record["extra"].update(utc="now")).info("m")
    with logger.contextualize(user="other"):
        logger.bind(ip="0").patch(lambda record: record["extra"].update(utc="then")).info("n")

    assert kept.texts == ["192.168.0.1 someone m now\n", "0 other n then\n"]


@pytest.mark.covers("1.20", note="the recipe")
def test_lazy_recipe(logger: Any) -> None:
    """
    The overview's example: an expensive function is called once, when a handler wants the level.
    """
    calls: list[int] = []

    def expensive() -> int:
        calls.append(1)
        return 42

    kept = Kept()
    logger.add(kept, format="{message}", level="INFO")

    logger.opt(lazy=True).debug("{x}", x=expensive)
    logger.opt(lazy=True).info("{x} {x}", x=expensive)

    assert kept.texts == ["42 42\n"]
    assert calls == [1]


@pytest.mark.covers("1.32", note="the recipe")
def test_parse_recipe(logger: Any, folder: Folder) -> None:
    """
    The overview's example: what was written is parsed again.
    """
    logger.add(folder / "a.log", format="{time} - {level.no} - {message}")
    logger.info("one")
    logger.error("two")

    pattern = r"(?P<time>.*) - (?P<level>[0-9]+) - (?P<message>.*)"
    groups = list(logger.parse(folder / "a.log", pattern, cast={"level": int}))

    assert [(group["level"], group["message"]) for group in groups] == [(20, "one"), (40, "two")]


@pytest.mark.covers("1.23", note="the recipe")
def test_configure_recipe(logger: Any, folder: Folder) -> None:
    """
    The documentation's `configure` example works.
    """
    stream = io.StringIO()
    numbers = logger.configure(
        handlers=[
            {"sink": stream, "format": "[{extra[common_to_all]}] {message}"},
            {"sink": str(folder / "a.log"), "enqueue": True, "serialize": True},
        ],
        levels=[{"name": "NEWRECIPE", "no": 13, "icon": "¤", "color": ""}],
        extra={"common_to_all": "default"},
        patcher=lambda record: record["extra"].update(some_value=42),
        activation=[("my_module.secret", False), ("another_library.module", True)],
    )
    logger.log("NEWRECIPE", "m")
    logger.complete()

    assert len(numbers) == 2
    assert stream.getvalue() == "[default] m\n"
    parsed = json.loads(folder.text("a.log"))["record"]
    assert parsed["extra"] == {"common_to_all": "default", "some_value": 42}
    assert parsed["level"] == {"icon": "¤", "name": "NEWRECIPE", "no": 13}


@pytest.mark.covers("1.1", note="the recipe")
def test_module_without_a_name(logger: Any) -> None:
    """
    Code without `__name__` logs, with None as its name, and can be disabled by None.
    """
    kept = Kept()
    logger.add(kept, format="{message}")
    namespace: dict[str, Any] = {"logger": logger}
    exec("def work(): logger.info('m')", namespace)
    namespace.pop("__name__", None)

    namespace["work"]()
    logger.disable(None)
    namespace["work"]()
    logger.enable(None)
    namespace["work"]()

    assert [record["name"] for record in kept.records] in ([None, None], ["builtins", "builtins"], [])


@pytest.mark.covers("1.5", note="the recipe")
def test_progress_bar_recipe(logger: Any) -> None:
    """
    A function that writes somewhere else, with `end=""`, and colours asked for.
    """
    stream = io.StringIO()
    logger.add(
        lambda message: print(message, end="", file=stream),
        colorize=True,
        format="<red>{message}</red>",
    )

    logger.info("m")

    assert stream.getvalue() == "\x1b[31mm\x1b[0m\n"

"""What happens in which order at a call, and how handlers live together."""

# mypy: disable-error-code="untyped-decorator, unreachable"

from __future__ import annotations

import io
import json
import pickle
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.support import Kept, Script, add, new_name

HERE = __name__


@pytest.mark.covers("1.20")
def test_order_of_effects(logger: Any) -> None:
    """Lazy arguments, formatting, patchers; then for each handler its filter, format and sink."""
    order: list[str] = []

    class Value:
        def __format__(self, spec: str) -> str:
            order.append("formatted")
            return "v"

    def value() -> Value:
        order.append("lazy")
        return Value()

    def handler(name: str) -> dict[str, Any]:
        def note(what: str, answer: Any) -> Any:
            def noted(record: Any) -> Any:
                order.append(f"{what} {name}")
                return answer

            return noted

        return {
            "sink": note("sink", None),
            "filter": note("filter", True),
            "format": note("format", "{message}"),
            "level": 0,
        }

    logger.configure(
        handlers=[handler("1"), handler("2")],
        patcher=lambda record: order.append("core patcher"),
    )
    logger.patch(lambda record: order.append("patcher")).opt(lazy=True).info("{}", value)
    assert order == [
        "lazy",
        "formatted",
        "core patcher",
        "patcher",
        "filter 1",
        "format 1",
        "sink 1",
        "filter 2",
        "format 2",
        "sink 2",
    ]


@pytest.mark.covers("1.4")
def test_uncaught_failure_stops_the_call(logger: Any) -> None:
    """With catch=False a sink's error reaches the caller: handlers before it have the record, later ones have not."""
    first = add(logger)

    def fail(message: str) -> None:
        raise LookupError("sink")

    logger.add(fail, catch=False)
    last = add(logger)
    with pytest.raises(LookupError, match="sink"):
        logger.info("said")
    assert (first.messages, last.messages) == (["said"], [])


@pytest.mark.covers("1.4")
def test_caught_failure_stops_nothing(logger: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """With catch=True a sink's error is reported on stderr, and the others go on."""
    first = add(logger)
    number = logger.add(lambda message: 1 / 0)
    last = add(logger)
    logger.info("one")
    logger.info("two")
    assert first.messages == last.messages == ["one", "two"]
    err = capsys.readouterr().err
    assert "ZeroDivisionError" in err
    assert f"#{number}" in err


@pytest.mark.covers("1.4")
def test_base_exceptions_are_not_caught(logger: Any) -> None:
    """KeyboardInterrupt and its kin pass through catch=True."""

    def interrupt(message: str) -> None:
        raise KeyboardInterrupt

    logger.add(interrupt, catch=True)
    with pytest.raises(KeyboardInterrupt):
        logger.info("said")


@pytest.mark.covers("1.5")
def test_messages_are_strings(logger: Any) -> None:
    """A message can be used, joined, encoded, dumped and pickled as a str."""
    messages: list[Any] = []
    logger.add(messages.append, format="{message}")
    logger.info("said")
    message = messages[0]
    assert isinstance(message, str)
    assert message == "said\n"
    assert message.strip() == "said"
    assert message + "x" == "said\nx"
    assert f"{message:>6}" == " said\n"
    assert message.encode() == b"said\n"
    assert json.dumps({"m": message}) == '{"m": "said\\n"}'
    assert hash(message) == hash("said\n")
    assert {"said\n": 1}[message] == 1
    assert sorted([message, "a"]) == ["a", "said\n"]


@pytest.mark.covers("1.5")
def test_serialized_messages_have_records(logger: Any) -> None:
    """A serialized message's record is the same as a plain one's."""
    plain, serialized = add(logger), add(logger, serialize=True)
    logger.bind(a=1).info("said")
    assert serialized.record is plain.record
    data = json.loads(serialized.text)
    assert data["text"] == "said\n"
    assert data["record"]["extra"] == {"a": 1}


@pytest.mark.covers("1.6")
def test_handlers_may_change_between_calls(logger: Any) -> None:
    """Handlers come and go; each call meets those of its time."""
    kept: list[Kept] = []
    numbers: list[int] = []
    for n in range(5):
        sink = Kept()
        kept.append(sink)
        numbers.append(logger.add(sink, format="{message}"))
        logger.info(str(n))
        if n % 2:
            logger.remove(numbers[n - 1])
    assert [sink.messages for sink in kept] == [["0", "1"], ["1", "2", "3", "4"], ["2", "3"], ["3", "4"], ["4"]]


@pytest.mark.covers("1.6")
def test_handlers_change_while_others_log(logger: Any) -> None:
    """Threads log while handlers are added and removed: nothing is lost by a handler that stays."""
    kept = add(logger)
    stop = threading.Event()
    errors: list[BaseException] = []

    def work(n: int) -> None:
        try:
            for i in range(200):
                logger.bind(n=n).info("{}", i)
        except BaseException as error:
            errors.append(error)

    def change() -> None:
        try:
            while not stop.is_set():
                logger.remove(logger.add(lambda message: None, level=0))
        except BaseException as error:
            errors.append(error)

    changer = threading.Thread(target=change)
    workers = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    changer.start()
    for thread in workers:
        thread.start()
    for thread in workers:
        thread.join()
    stop.set()
    changer.join()
    assert not errors
    for n in range(3):
        assert [r["message"] for r in kept.records if r["extra"]["n"] == n] == [str(i) for i in range(200)]


@pytest.mark.covers("1.1")
def test_lines_of_threads_are_whole(logger: Any) -> None:
    """One handler serves one thread at a time: lines are not mixed."""
    stream = io.StringIO()
    logger.add(stream, format="{message}")
    threads = [threading.Thread(target=lambda n=n: [logger.info(str(n) * 50) for _ in range(50)]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 200
    assert all(line == line[0] * 50 for line in lines)


@pytest.mark.covers("1.3")
def test_levels_in_all_places(logger: Any, tmp_path: Path) -> None:
    """A level of one's own works as threshold, in filters, formats, catch() and log()."""
    name = new_name()
    logger.level(name, no=33, color="<yellow>", icon="@")
    kept = add(logger, level=name, filter={"": name}, format="<lvl>{level.icon}</lvl> {level.no}", colorize=True)
    logger.log(name, "")
    logger.warning("")
    with logger.catch(level=name):
        raise LookupError
    assert kept.texts[0] == "\x1b[33m@\x1b[0m 33\n"
    assert kept.texts[1].startswith("\x1b[33m@\x1b[0m 33\n")
    assert len(kept.texts) == 2


@pytest.mark.covers("1.20")
def test_every_option_with_every_handler(logger: Any, tmp_path: Path) -> None:
    """One call reaches a function, a stream, a file and a serializing handler, each in its own way."""
    function, stream = Kept(), io.StringIO()
    logger.add(function, format="f {message}", colorize=True)
    logger.add(stream, format="<red>s</red> {message}", colorize=False)
    logger.add(tmp_path / "file.log", format="p {level} {message}")
    serialized = add(logger, serialize=True, format="j {message}")
    logger.opt(colors=True).warning("<b>{}</b>", "<said>")
    logger.remove()
    assert function.text == "f \x1b[1m<said>\x1b[0m\n"
    assert stream.getvalue() == "s <said>\n"
    assert (tmp_path / "file.log").read_text() == "p WARNING <said>\n"
    assert json.loads(serialized.text)["text"] == "j <said>\n"


@pytest.mark.covers("1.18")
def test_chain_in_any_order(logger: Any, kept: Kept) -> None:
    """bind, patch and opt can be chained in any order, with the same result."""

    def patcher(record: Any) -> None:
        record["extra"]["p"] = 1

    chains = [
        logger.bind(a=1).patch(patcher).opt(raw=True),
        logger.bind(a=1).opt(raw=True).patch(patcher),
        logger.patch(patcher).bind(a=1).opt(raw=True),
        logger.patch(patcher).opt(raw=True).bind(a=1),
        logger.opt(raw=True).bind(a=1).patch(patcher),
        logger.opt(raw=True).patch(patcher).bind(a=1),
    ]
    for chain in chains:
        chain.info("said")
    assert kept.texts == ["said"] * 6
    assert kept.extras == [{"a": 1, "p": 1}] * 6


@pytest.mark.covers("1.19")
def test_class_level_logger(logger: Any, kept: Kept) -> None:
    """The recipe of a logger per class: bound once, shared by all instances."""

    class Server:
        log = logger.bind(classname="Server")

        def __init__(self, ip: str) -> None:
            self.log = self.log.bind(ip=ip)

    Server.log.info("")
    Server("a").log.info("")
    Server("b").log.info("")
    assert kept.extras == [
        {"classname": "Server"},
        {"classname": "Server", "ip": "a"},
        {"classname": "Server", "ip": "b"},
    ]


@pytest.mark.covers("1.27")
def test_separate_files_recipe(logger: Any, tmp_path: Path) -> None:
    """The recipe of several files: each handler's filter looks at what was bound."""
    for task in ("A", "B"):
        logger.add(
            tmp_path / f"{task}.log", format="{message}", filter=lambda r, task=task: r["extra"].get("task") == task
        )
    logger.bind(task="A").info("one")
    logger.bind(task="B").info("two")
    logger.info("three")
    logger.remove()
    assert ((tmp_path / "A.log").read_text(), (tmp_path / "B.log").read_text()) == ("one\n", "two\n")


@pytest.mark.covers("1.28")
def test_dynamic_padding_recipe(logger: Any) -> None:
    """The recipe of a formatter with memory: padding that grows with the longest place."""

    class Formatter:
        padding = 0

        def format(self, record: Any) -> str:
            length = len("{name}:{function}".format(**record))
            self.padding = max(self.padding, length)
            record["extra"]["padding"] = " " * (self.padding - length)
            return "{name}:{function}{extra[padding]} | {message}\n{exception}"

    kept = add(logger, format=Formatter().format)
    logger.info("one")
    logger.patch(lambda record: record.update(name="x", function="y")).info("two")
    place = f"{HERE}:test_dynamic_padding_recipe"
    assert kept.texts == [f"{place} | one\n", f"{'x:y':<{len(place)}} | two\n"]


@pytest.mark.covers("1.28")
def test_custom_serialization_recipe(logger: Any) -> None:
    """The recipe of a JSON of one's own: a patcher writes it, the format shows it."""

    def patching(record: Any) -> None:
        subset = {"timestamp": record["time"].timestamp(), "message": record["message"], "level": record["level"].name}
        record["extra"]["serialized"] = json.dumps(subset)

    patched = logger.patch(patching)
    kept = add(logger, format="{extra[serialized]}")
    patched.info("said {}", "{x}")
    data = json.loads(kept.text)
    assert (data["message"], data["level"]) == ("said {x}", "INFO")


@pytest.mark.covers("1.20")
def test_print_recipe(logger: Any) -> None:
    """The recipe that keeps messages on one line: raw text without a line break."""
    kept = add(logger, format="{message}")
    logger.opt(raw=True).info("Progress: ")
    for _ in range(3):
        logger.opt(raw=True).info(".")
    logger.opt(raw=True).info("\n")
    assert "".join(kept.texts) == "Progress: ...\n"


@pytest.mark.covers("1.20")
def test_stream_to_logger_recipe(logger: Any, kept: Kept) -> None:
    """The recipe that redirects print(): a stream whose write() logs with depth 1."""

    class StreamToLogger:
        def write(self, buffer: str) -> None:
            for line in buffer.rstrip().splitlines():
                logger.opt(depth=1).log("INFO", line.rstrip())

        def flush(self) -> None:
            pass

    print("one\ntwo", file=StreamToLogger())
    assert kept.messages == ["one", "two"]
    assert {record["function"] for record in kept.records} == {"test_stream_to_logger_recipe"}


@pytest.mark.covers("1.22")
def test_library_recipe(script: Script) -> None:
    """A library disables itself; the program that uses it may enable it."""
    (script.folder / "library.py").write_text(
        f"from {script.implementation} import logger\nlogger.disable('library')\n"
        "def work():\n    logger.info('library')\n"
    )
    result = script("""
        import sys
        from PACKAGE import logger
        import library
        logger.remove()
        logger.add(sys.stdout, format="{name} {message}")
        library.work()
        logger.info("program")
        logger.enable("library")
        library.work()
    """)
    assert result.stdout == "__main__ program\nlibrary library\n"


@pytest.mark.covers("1.19")
def test_record_from_elsewhere_recipe(logger: Any, kept: Kept) -> None:
    """The recipe of records from the network: a pickled record is logged again as it was."""
    logger.bind(a=1).warning("said {}", 5)
    sent = pickle.dumps(kept.record)
    kept.clear()
    record = pickle.loads(sent)
    level, message = record["level"].name, record["message"]
    logger.patch(lambda each: each.update(record)).log(level, message)
    again = kept.record
    assert (again["message"], again["extra"], again["line"]) == ("said 5", {"a": 1}, record["line"])
    assert repr(again["level"]) == repr(record["level"])
    assert again["time"] == record["time"]


@pytest.mark.covers("1.20")
def test_timing_decorator_recipe(logger: Any, kept: Kept) -> None:
    """The recipe of decorators that log entry and exit at a level."""
    import functools

    def logger_wraps(*, entry: bool = True, leave: bool = True, level: str = "DEBUG") -> Any:
        def wrapper(func: Any) -> Any:
            name = func.__name__

            @functools.wraps(func)
            def wrapped(*args: Any, **kwargs: Any) -> Any:
                logger_ = logger.opt(depth=1)
                if entry:
                    logger_.log(level, "Entering '{}' (args={}, kwargs={})", name, args, kwargs)
                result = func(*args, **kwargs)
                if leave:
                    logger_.log(level, "Exiting '{}' (result={})", name, result)
                return result

            return wrapped

        return wrapper

    @logger_wraps(level="SUCCESS")
    def foo(a: int, b: int, c: int) -> int:
        logger.info("Inside the function")
        return a * b * c

    assert foo(2, 4, c=8) == 64
    assert kept.messages == [
        "Entering 'foo' (args=(2, 4), kwargs={'c': 8})",
        "Inside the function",
        "Exiting 'foo' (result=64)",
    ]
    assert kept.levels == ["SUCCESS", "INFO", "SUCCESS"]
    assert [r["function"] for r in kept.records] == [
        "test_timing_decorator_recipe",
        "foo",
        "test_timing_decorator_recipe",
    ]


@pytest.mark.covers("1.20")
def test_new_method_recipe(logger: Any, kept: Kept) -> None:
    """The recipe of a level's own method: a partial method of the class, with the right place."""
    import functools

    name = new_name()
    logger.level(name, no=33, icon="@")

    def foobar(_: Any, message: str, *args: Any, **kwargs: Any) -> None:
        logger.opt(depth=1).log(name, message, *args, **kwargs)

    kind = type(logger)
    kind.foobar = foobar
    kind.partial = functools.partialmethod(kind.log, name)
    try:
        logger.foobar("said {}", 1, a=2)
        logger.partial("said {}", 2)
    finally:
        del kind.foobar, kind.partial
    assert kept.messages == ["said 1", "said 2"]
    assert kept.levels == [name, name]
    assert kept.records[0]["function"] == "test_new_method_recipe"


@pytest.mark.covers("1.28")
def test_level_by_number_recipe(logger: Any) -> None:
    """The recipe of formats by severity."""
    kept = add(logger, format=lambda r: "{level.no:>3} {message}\n" if r["level"].no >= 30 else "{message}\n")
    for level in (5, 30, 33):
        logger.log(level, "said")
    assert kept.texts == ["said\n", " 30 said\n", " 33 said\n"]


@pytest.mark.covers("1.4")
def test_stderr_of_the_time_of_adding(logger: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream is the object that was given: replacing sys.stderr later does not move the handler."""
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", first)
    logger.add(sys.stderr, format="{message}")
    monkeypatch.setattr(sys, "stderr", second)
    logger.info("said")
    assert (first.getvalue(), second.getvalue()) == ("said\n", "")


@pytest.mark.covers("1.28")
def test_getattr_record(logger: Any, kept: Kept) -> None:
    """What callers put into a record's own keys through a patcher is kept beside loguru's fields."""
    logger.patch(lambda record: record.update(request_id="r1")).info("said")
    assert kept.record["request_id"] == "r1"
    assert kept.extra == {}

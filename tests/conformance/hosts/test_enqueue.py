"""`enqueue=True` in one process: order, completion, errors, and what a queue does to a record."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
import time
from typing import Any

import pytest


class Stream:
    """Keeps calls; `write` waits for `open` if there is one."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.open = threading.Event()
        self.open.set()

    def write(self, message: Any) -> None:
        assert self.open.wait(30)
        self.calls.append(message)

    def flush(self) -> None:
        self.calls.append("flush")

    def stop(self) -> None:
        self.calls.append("stop")


class Refusing:
    """A value that nobody can pickle."""

    def __reduce__(self) -> Any:
        raise TypeError("no pickle")

    def __repr__(self) -> str:
        return "Refusing()"


def _fail() -> None:
    raise ValueError("no unpickle")


class Unloadable:
    """A value that can be pickled, and not read back."""

    def __reduce__(self) -> Any:
        return _fail, ()


@pytest.mark.covers("1.16")
def test_order(logger: Any) -> None:
    """
    After `complete()` all messages are there, in the order of the calls.
    """
    lines: list[str] = []
    logger.add(lines.append, format="{message}", enqueue=True)

    for number in range(500):
        logger.info("{}", number)
    logger.complete()

    assert lines == [f"{number}\n" for number in range(500)]


@pytest.mark.covers("1.16")
def test_call_does_not_wait(logger: Any) -> None:
    """
    A call returns though the sink is stuck; `complete()` waits for the sink.
    """
    stream = Stream()
    stream.open.clear()
    logger.add(stream, format="{message}", enqueue=True)

    logger.info("a")
    logger.info("b")
    before = list(stream.calls)
    stream.open.set()
    logger.complete()

    assert before == []
    assert stream.calls == ["a\n", "flush", "b\n", "flush"]


@pytest.mark.covers("1.6")
def test_removal_drains(logger: Any) -> None:
    """
    `remove()` waits for what is queued, then stops the sink.
    """
    stream = Stream()
    stream.open.clear()
    number = logger.add(stream, format="{message}", enqueue=True)
    for at in range(5):
        logger.info("{}", at)
    stream.open.set()
    logger.remove(number)

    assert stream.calls == ["0\n", "flush", "1\n", "flush", "2\n", "flush", "3\n", "flush", "4\n", "flush", "stop"]


@pytest.mark.covers("1.16")
def test_sink_runs_in_a_thread_of_its_own(logger: Any) -> None:
    """
    The sink is called by one other thread; the record names the thread of the call.
    """
    threads: set[int] = set()
    records: list[Any] = []

    def sink(message: Any) -> None:
        threads.add(threading.get_ident())
        records.append(message.record)

    logger.add(sink, enqueue=True)
    logger.info("a")
    logger.info("b")
    logger.complete()

    assert len(threads) == 1
    assert threading.get_ident() not in threads
    assert {record["thread"].id for record in records} == {threading.get_ident()}


@pytest.mark.covers("1.16")
def test_thread_ends_with_its_handler(logger: Any) -> None:
    """
    After `remove()` no thread is left over.
    """
    before = threading.active_count()
    logger.add(lambda message: None, enqueue=True)
    logger.add(lambda message: None, enqueue=True)
    logger.info("a")
    during = threading.active_count()
    logger.remove()

    assert during > before
    assert threading.active_count() == before


@pytest.mark.covers("1.16")
def test_message_has_its_record(logger: Any) -> None:
    """
    The sink gets a str with a record that says what the call said.
    """
    kept: list[Any] = []
    logger.add(kept.append, format="{level} {message} {extra}", enqueue=True)

    logger.bind(a=[1, {"b": None}]).warning("m {}", 1)
    logger.complete()
    (message,) = kept
    record = message.record

    assert isinstance(message, str)
    assert message == "WARNING m 1 {'a': [1, {'b': None}]}\n"
    assert record["extra"] == {"a": [1, {"b": None}]}
    assert (record["level"].name, record["level"].no, record["level"].icon) == ("WARNING", 30, "⚠️")
    assert record["function"] == "test_message_has_its_record"
    assert record["file"].path == __file__
    assert record["exception"] is None
    assert record["time"].tzinfo is not None


@pytest.mark.covers("1.16")
def test_formatted_at_the_call(logger: Any) -> None:
    """
    The text is made at the call: what happens to an object afterwards does not show.
    """
    stream = Stream()
    stream.open.clear()
    logger.add(stream, format="{message} {extra}", enqueue=True)
    values = [1]

    logger.info("{}", values, values=values)
    values.append(2)
    stream.open.set()
    logger.complete()

    assert stream.calls[0] == "[1] {'values': [1]}\n"


@pytest.mark.covers("1.16")
def test_record_is_a_copy(logger: Any) -> None:
    """
    The sink's record is a copy: what happens to the caller's objects afterwards does not show in it.
    """
    stream = Stream()
    stream.open.clear()
    logger.add(stream, enqueue=True)
    values = [1]

    logger.info("m", values=values)
    values.append(2)
    stream.open.set()
    logger.complete()

    assert stream.calls[0].record["extra"] == {"values": [1]}


@pytest.mark.covers("1.16")
def test_filter_runs_at_the_call(logger: Any) -> None:
    """
    Filter, format function and patcher run in the caller's thread.
    """
    threads: list[int] = []

    def note(record: Any) -> Any:
        threads.append(threading.get_ident())
        return True

    def template(record: Any) -> str:
        note(record)
        return "{message}"

    logger.add(lambda message: None, filter=note, format=template, enqueue=True)
    logger.patch(note).info("m")
    logger.complete()

    assert threads == [threading.get_ident()] * 3


@pytest.mark.covers("1.16")
def test_exception_text(logger: Any) -> None:
    """
    The traceback is rendered at the call; the record keeps type and value, and no traceback.
    """
    kept: list[Any] = []
    logger.add(kept.append, format="{message}", enqueue=True)

    try:
        raise ValueError("v")
    except ValueError:
        logger.exception("m")
    logger.complete()
    (message,) = kept
    exception = message.record["exception"]

    assert message.startswith("m\nTraceback (most recent call last):\n")
    assert message.endswith("\nValueError: v\n")
    assert exception.type is ValueError
    assert exception.value.args == ("v",)
    assert exception.traceback is None


class RefusingError(Exception):
    def __reduce__(self) -> Any:
        raise TypeError("no pickle")


class PickyError(Exception):
    """Pickles, but cannot be made again from its arguments."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__("picky")


class LocalsError(Exception):
    def __init__(self, value: Any) -> None:
        super().__init__(value)


@pytest.mark.covers("1.16")
@pytest.mark.parametrize(
    "error",
    [RefusingError("x"), PickyError(1, 2), LocalsError(threading.Lock()), LocalsError(lambda: None)],
    ids=["refusing", "picky", "lock", "lambda"],
)
def test_exceptions_that_cannot_be_pickled(logger: Any, error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    """
    An exception that does not survive pickling is logged by its text, without an error, in order.
    """
    kept: list[Any] = []
    logger.add(kept.append, format="{message}", enqueue=True, catch=False)

    logger.info("before")
    try:
        raise error
    except Exception:
        logger.exception("m")
    logger.info("after")
    logger.complete()

    assert kept[0] == "before\n"
    assert kept[1].startswith("m\nTraceback")
    assert type(error).__name__ in kept[1]
    assert kept[1].record["exception"].type is type(error)
    assert kept[2] == "after\n"
    assert capsys.readouterr().err == ""


@pytest.mark.covers("1.16")
def test_value_that_cannot_be_pickled(logger: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """
    A record whose extra cannot be pickled is reported on stderr, and the next one is written.
    """
    lines: list[str] = []
    logger.add(lines.append, format="{message}", enqueue=True)

    logger.info("bad", value=Refusing())
    logger.info("good")
    logger.complete()

    assert lines == ["good\n"]
    assert "TypeError: no pickle" in capsys.readouterr().err


@pytest.mark.covers("1.16")
def test_value_that_cannot_be_pickled_uncaught(logger: Any) -> None:
    """
    With `catch=False` the caller gets the error of a value that cannot be pickled.
    """
    lines: list[str] = []
    logger.add(lines.append, format="{message}", enqueue=True, catch=False)

    with pytest.raises(TypeError, match="no pickle"):
        logger.info("bad", value=Refusing())
    with pytest.raises((pickle.PicklingError, AttributeError)):
        logger.info("bad", value=lambda: None)
    logger.info("good")
    logger.complete()

    assert lines == ["good\n"]


@pytest.mark.covers("1.16")
@pytest.mark.parametrize("catch", [True, False])
def test_value_that_cannot_be_read_back(logger: Any, capsys: pytest.CaptureFixture[str], catch: bool) -> None:
    """
    A record that the worker cannot read back costs no other, and the worker lives; `catch` decides on the report.
    """
    lines: list[str] = []
    logger.add(lines.append, format="{message}", enqueue=True, catch=catch)

    logger.info("before")
    logger.info("bad", value=Unloadable())
    logger.info("after")
    logger.complete()

    assert lines == ["before\n", "after\n"]
    assert "ValueError: no unpickle" in capsys.readouterr().err


@pytest.mark.covers("1.16", note="1.4")
@pytest.mark.parametrize("catch", [True, False])
def test_failing_sink(logger: Any, capsys: pytest.CaptureFixture[str], catch: bool) -> None:
    """
    An error in the sink is reported by the worker, never raised into the caller, and the worker lives.
    """
    lines: list[str] = []

    def sink(message: str) -> None:
        if "bad" in message:
            raise ValueError("no")
        lines.append(message)

    logger.add(sink, format="{message}", enqueue=True, catch=catch)

    logger.info("a")
    logger.info("bad")
    logger.info("b")
    logger.complete()

    assert lines == ["a\n", "b\n"]
    assert "ValueError: no" in capsys.readouterr().err


@pytest.mark.covers("1.16", note="1.4")
@pytest.mark.parametrize("catch", [True, False])
def test_failing_format(logger: Any, capsys: pytest.CaptureFixture[str], catch: bool) -> None:
    """
    An error in format or filter belongs to the call, also with a queue.
    """

    def template(record: Any) -> str:
        raise ValueError("no")

    logger.add(lambda message: None, format=template, enqueue=True, catch=catch)

    if catch:
        logger.info("m")
    else:
        with pytest.raises(ValueError, match="no"):
            logger.info("m")
    logger.complete()

    assert ("ValueError: no" in capsys.readouterr().err) is catch


@pytest.mark.covers("1.16")
def test_sink_that_logs(logger: Any) -> None:
    """
    A queued sink may log: its messages go through the queue.
    """
    lines: list[str] = []

    def sink(message: str) -> None:
        lines.append(message)
        if "nested" not in message:
            logger.info("nested")

    logger.add(sink, format="{message}", enqueue=True, catch=False)

    logger.info("a")
    logger.complete()
    logger.complete()

    assert lines == ["a\n", "nested\n"]


@pytest.mark.covers("1.16")
def test_many_threads(logger: Any) -> None:
    """
    Messages of many threads arrive once each, those of one thread in order.
    """
    lines: list[str] = []
    logger.add(lines.append, format="{message}", enqueue=True)

    def write(name: str) -> None:
        for number in range(50):
            logger.info("{} {}", name, number)

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcdef"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    logger.complete()

    assert len(lines) == 300
    for name in "abcdef":
        assert [line for line in lines if line[0] == name] == [f"{name} {number}\n" for number in range(50)]


@pytest.mark.covers("1.17")
def test_complete_by_many_threads(logger: Any) -> None:
    """
    Several threads may complete at once; each sees what it logged before.
    """
    lines: list[str] = []
    missing: list[str] = []
    logger.add(lines.append, format="{message}", enqueue=True)

    def work(name: str) -> None:
        for number in range(10):
            logger.info("{} {}", name, number)
            logger.complete()
            if f"{name} {number}\n" not in lines:
                missing.append(f"{name} {number}")

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert missing == []


@pytest.mark.covers("1.17")
def test_complete_waits_for_all_handlers(logger: Any) -> None:
    """
    One `complete()` waits for each queue.
    """
    streams = [Stream() for _ in range(3)]
    for stream in streams:
        logger.add(stream, format="{message}", enqueue=True)

    logger.info("a")
    logger.complete()

    assert [stream.calls for stream in streams] == [["a\n", "flush"]] * 3


@pytest.mark.covers("1.16")
def test_mixed_handlers(logger: Any) -> None:
    """
    Handlers with and without a queue get the same messages.
    """
    direct: list[str] = []
    queued: list[str] = []
    logger.add(queued.append, format="{message}", enqueue=True)
    logger.add(direct.append, format="{message}")

    for number in range(10):
        logger.info("{}", number)
    logger.complete()

    assert direct == queued


@pytest.mark.covers("1.16")
def test_to_a_file(logger: Any, tmp_path: Any) -> None:
    """
    A file behind a queue has every line at `complete()`, and is closed at removal.
    """
    path = tmp_path / "a.log"
    logger.add(path, format="{message}", enqueue=True, rotation="100 B")

    for number in range(50):
        logger.info("{:04}", number)
    logger.complete()
    files = sorted(tmp_path.iterdir(), key=lambda file: file.read_text("utf-8"))

    assert "".join(file.read_text("utf-8") for file in files) == "".join(f"{number:04}\n" for number in range(50))
    assert len(files) == 3


@pytest.mark.covers("1.16", note="1.10")
def test_serialized(logger: Any) -> None:
    """
    JSON lines go through the queue as text.
    """
    import json

    lines: list[str] = []
    logger.add(lines.append, format="{message}", serialize=True, enqueue=True)

    logger.info("m", a=1)
    logger.complete()

    assert json.loads(lines[0])["record"]["extra"] == {"a": 1}


@pytest.mark.covers("1.16", note="1.20")
def test_raw(logger: Any) -> None:
    """
    `opt(raw=True)` holds behind a queue.
    """
    lines: list[str] = []
    logger.add(lines.append, enqueue=True)

    logger.opt(raw=True).info("m {}", 1)
    logger.complete()

    assert lines == ["m 1"]


@pytest.mark.covers("1.4")
@pytest.mark.parametrize("context", [None, "fork", "spawn", "forkserver"])
def test_context_by_name(logger: Any, context: str | None) -> None:
    """
    `context` names the multiprocessing context of the queue.
    """
    if context not in {None, *multiprocessing.get_all_start_methods()}:
        pytest.skip("this system has no such context")
    lines: list[str] = []
    logger.add(lines.append, format="{message}", enqueue=True, context=context)

    logger.info("a")
    logger.complete()

    assert lines == ["a\n"]


@pytest.mark.covers("1.4")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_context_object(logger: Any, method: str) -> None:
    """
    `context` may be a context object.
    """
    lines: list[str] = []
    logger.add(lines.append, format="{message}", enqueue=True, context=multiprocessing.get_context(method))

    logger.info("a")
    logger.complete()

    assert lines == ["a\n"]


@pytest.mark.covers("1.4")
@pytest.mark.parametrize("enqueue", [True, False])
@pytest.mark.parametrize(
    ("context", "error"), [("nope", ValueError), (3, TypeError), (object(), TypeError), (b"fork", TypeError)]
)
def test_wrong_context(logger: Any, context: Any, error: type[Exception], enqueue: bool) -> None:
    """
    An unknown context is refused at `add()`, with or without a queue.
    """
    with pytest.raises(error):
        logger.add(lambda message: None, enqueue=enqueue, context=context)

    assert "id=" not in repr(logger)


@pytest.mark.covers("1.16")
def test_time_of_the_call(logger: Any) -> None:
    """
    The time is that of the call, not of the writing.
    """
    stream = Stream()
    stream.open.clear()
    logger.add(stream, enqueue=True)

    logger.info("a")
    after = time.time()
    stream.open.set()
    logger.complete()

    assert stream.calls[0].record["time"].timestamp() <= after


@pytest.mark.covers("1.18")
def test_context_values_of_the_call(logger: Any) -> None:
    """
    `contextualize` values are those of the call.
    """
    lines: list[str] = []
    logger.add(lines.append, format="{message} {extra}", enqueue=True)

    with logger.contextualize(a=1):
        logger.info("in")
    logger.info("out")
    logger.complete()

    assert lines == ["in {'a': 1}\n", "out {}\n"]


@pytest.mark.covers("1.6")
def test_removed_twice_by_two_threads(logger: Any) -> None:
    """
    Of two threads that remove the same queued handler, one succeeds and one gets the ValueError.
    """
    number = logger.add(lambda message: None, enqueue=True)
    outcomes: list[str] = []

    def remove() -> None:
        try:
            logger.remove(number)
        except ValueError:
            outcomes.append("ValueError")
        else:
            outcomes.append("removed")

    threads = [threading.Thread(target=remove) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["ValueError", "removed"]

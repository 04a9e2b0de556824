"""Sinks: added, removed, failing, and calling the logger themselves."""

from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from otelbridge._logger import Logger
from tests.logger.conftest import Both, Exporting, Lines


@pytest.mark.covers("1.5", note="streams and callables so far; files, handlers and coroutines come later")
def test_stream_gets_lines_and_is_flushed(log: Logger) -> None:
    """
    Anything with `write` is a stream: it gets whole lines, and `flush` after each if it has one.
    """

    class Stream:
        def __init__(self) -> None:
            self.calls: list[str] = []

        def write(self, text: str) -> None:
            self.calls.append(text)

        def flush(self) -> None:
            self.calls.append("flush")

    stream, bare = Stream(), io.StringIO()
    log.add(stream, format="{message}")
    log.add(bare, format="{message}")

    log.info("one")
    log.info("two")

    assert stream.calls == ["one\n", "flush", "two\n", "flush"]
    assert bare.getvalue() == "one\ntwo\n"


@pytest.mark.covers("1.5", note="streams and callables so far; files, handlers and coroutines come later")
def test_callable_gets_a_str_with_its_record(log: Logger) -> None:
    """
    A callable gets a str that knows the record it was made from.
    """
    got: list[Any] = []
    log.add(got.append, format="{level}: {message}")

    log.warning("text")

    assert got == ["WARNING: text\n"]
    message: Any = got[0]
    assert isinstance(message, str)
    assert message.record["message"] == "text"  # type: ignore[attr-defined]


@pytest.mark.covers("1.5")
def test_stream_that_can_be_awaited_is_a_stream(both: Both) -> None:
    """
    An object with `write` is a stream, also if calling it would make a coroutine, as in loguru.
    """

    class Stream(io.StringIO):
        async def __call__(self, message: str) -> None:
            raise AssertionError("called")

    texts = []
    for log in both.loggers:
        stream = Stream()
        log.add(stream, format="{message}")
        log.info("text")
        texts.append(stream.getvalue())

    assert texts == ["text\n"] * 2


@pytest.mark.covers("1.6")
def test_ids_count_up_and_are_never_used_again(log: Logger) -> None:
    """
    `add` returns a number that no later sink gets; `remove` takes it once.
    """
    first = log.add(lambda _: None)
    second = log.add(lambda _: None)
    log.remove(second)
    third = log.add(lambda _: None)

    assert first < second < third
    with pytest.raises(ValueError, match=f"There is no existing handler with id {second}; those that exist: "):
        log.remove(second)


@pytest.mark.covers("1.6")
def test_remove_without_id_removes_all_sinks_but_not_otlp(exporting: Exporting, lines: Lines) -> None:
    """
    `remove()` leaves no Python sink; what is exported is no sink, and goes on.
    """
    exporting.logger.remove()

    exporting.logger.info("text")

    assert lines.texts == []
    assert len(exporting.take()) == 1
    exporting.logger.remove()


@pytest.mark.covers("1.4", note="level, format, filter, colorize and catch so far")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"sink": 5}, "sink must be a path, a stream (an object with a write method), a callable, a coroutine"),
        ({"level": "NOPE"}, "Level 'NOPE' does not exist; those that do: TRACE, DEBUG, INFO"),
        ({"level": -1}, "level must be a name or a positive integer, got -1"),
        ({"level": None}, "level must be a str or an int, got None"),
        ({"level": 5.5}, "level must be a str or an int, got 5.5"),
        ({"format": 5}, "format must be a str or a callable(record), got 5"),
        (
            {"format": "<nope>x</nope>"},
            "format '<nope>x</nope>' cannot be used: markup must use known colour tags, got",
        ),
        ({"format": "<red>"}, "markup must close every tag, got <red> left open"),
        ({"format": "</red>"}, "markup must open a tag before closing it, got </red> where none is open"),
        ({"format": "<red><b></red></b>"}, "markup must close the last tag first, got </red> where <b> is open"),
        ({"filter": 5}, "filter must be a callable(record), a str, a dict or None, got 5"),
        ({"nope": 1}, "add() got an unexpected keyword argument 'nope'"),
    ],
)
def test_mistake_in_add_says_what_was_expected(both: Both, arguments: dict[str, Any], said: str) -> None:
    """
    A mistake raises at once the type of error that loguru raises, with one sentence; nothing is added.
    """
    options = {"sink": print, **arguments}
    ours, theirs = both.errors(lambda log: log.add(**options))
    assert ours is theirs

    with pytest.raises((TypeError, ValueError)) as caught:
        both.loggers[0].add(**options)

    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not both.loggers[0].enabled_for("CRITICAL")


@pytest.mark.covers("1.6")
@pytest.mark.parametrize("number", [99, -1, "0", 1.0])
def test_mistake_in_remove_says_what_was_expected(both: Both, number: Any) -> None:
    """
    An id that does not exist is a ValueError, one that is no number a TypeError, as in loguru.
    """
    ours, theirs = both.errors(lambda log: log.remove(number))

    assert ours is theirs
    assert ours is not None


@pytest.mark.covers("1.4", note="level, format, filter, colorize and catch so far")
def test_filter_decides_by_the_record(log: Logger) -> None:
    """
    A sink sees the records for which its filter returns something true.
    """
    kept = Lines()
    log.add(kept, filter=lambda record: record["extra"].get("keep"), format="{message}")

    log.info("no")
    log.info("yes", keep=True)

    assert kept.messages() == ["yes"]


@pytest.mark.covers("1.4", note="level, format, filter, colorize and catch so far")
def test_callable_format_gets_nothing_added(both: Both) -> None:
    """
    What a callable returns is filled and coloured, but gets neither a newline nor an exception.
    """

    def call(log: Any) -> None:
        try:
            raise ValueError("wrong")
        except ValueError:
            log.exception("text {}", 1)

    options = {"format": lambda record: "<red>{level}</red> {message}" + record["name"], "colorize": True}
    ours, theirs = both.lines(call, **options)

    assert ours.texts == theirs.texts


@pytest.mark.parametrize("part", ["sink", "filter", "format"])
def test_failing_sink_is_reported_and_does_not_raise(log: Logger, stderr: Callable[[], str], part: str) -> None:
    """
    An error in a sink, filter or format is reported on standard error with its cause; other sinks get the record.
    """

    def fail(_: Any) -> Any:
        raise OSError("disk full")

    number = log.add(**{"sink": lambda _: None, part: fail})  # type: ignore[arg-type]
    kept = Lines()
    log.add(kept, format="{message}")

    log.info("precious \x1b[31m")

    report = stderr()
    assert f"handler #{number}" in report
    assert "OSError: disk full" in report
    assert "precious" in report
    assert "\x1b" not in report
    assert kept.texts == ["precious \\x1b[31m\n"]


@pytest.mark.parametrize("part", ["sink", "filter", "format"])
def test_failing_sink_raises_when_asked(log: Logger, part: str) -> None:
    """
    With catch=False the error reaches the caller, as in loguru.
    """

    def fail(_: Any) -> Any:
        raise OSError("disk full")

    log.add(**{"sink": lambda _: None, "catch": False, part: fail})  # type: ignore[arg-type]

    with pytest.raises(OSError, match="disk full"):
        log.info("text")


def test_failing_sink_costs_otlp_nothing(exporting: Exporting, stderr: Callable[[], str]) -> None:
    """
    A record is encoded before the sinks see it, whatever they do.
    """

    def fail(_: Any) -> None:
        raise OSError("disk full")

    number = exporting.logger.add(fail, catch=False)
    with pytest.raises(OSError, match="disk full"):
        exporting.logger.info("text")
    exporting.logger.remove(number)

    assert len(exporting.take()) == 1


def test_broken_standard_error_hurts_nobody(log: Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    If standard error is closed as well, a failing sink is nobody's error.
    """
    broken = io.StringIO()
    broken.close()
    log.add(broken)
    kept = Lines()
    log.add(kept, format="{message}")
    monkeypatch.setattr(sys, "stderr", broken)

    log.info("text")

    assert kept.messages() == ["text"]


@pytest.mark.timeout(10)
def test_sink_that_logs_does_not_hang(exporting: Exporting, stderr: Callable[[], str]) -> None:
    """
    A sink that logs gets no record of its own, which is reported; OTLP and the other sinks get both.
    """
    log = exporting.logger
    other = Lines()

    def sink(message: str) -> None:
        log.info("from inside")

    numbers = [log.add(sink), log.add(other, format="{message}")]
    log.info("from outside")
    for number in numbers:
        log.remove(number)

    assert "deadlock avoided" in stderr()
    assert sorted(other.messages()) == ["from inside", "from outside"]
    assert len(exporting.take()) == 2


@pytest.mark.timeout(10)
def test_sink_that_logs_raises_when_asked(log: Logger) -> None:
    """
    With catch=False the sink itself gets the error, as in loguru.
    """
    log.add(lambda _: log.info("from inside"), catch=False)

    with pytest.raises(RuntimeError, match="deadlock avoided"):
        log.info("from outside")


@pytest.mark.timeout(10)
def test_sink_may_remove_itself(log: Logger) -> None:
    """
    A sink that has seen enough removes itself while it is writing.
    """
    seen: list[str] = []

    def once(message: str) -> None:
        seen.append(message)
        log.remove(number)

    number = log.add(once, format="{message}")
    log.info("first")
    log.info("second")

    assert seen == ["first\n"]


@pytest.mark.timeout(10)
def test_nothing_is_written_after_remove_has_returned(log: Logger) -> None:
    """
    A stream may be closed once its sink is removed: a call that was under way in another thread does not write to it.
    """
    formatting, removed = threading.Event(), threading.Event()
    written: list[str] = []

    class Slow:
        def __format__(self, spec: str) -> str:
            formatting.set()
            assert removed.wait(5)
            return "slow"

    number = log.add(written.append, format="{extra[slow]}")
    thread = threading.Thread(target=lambda: log.info("text", slow=Slow()))
    thread.start()
    assert formatting.wait(5)
    log.remove(number)
    removed.set()
    thread.join(5)

    assert written == []


def test_stream_is_told_to_stop(log: Logger) -> None:
    """
    `remove` calls the stream's `stop`, if it has one, and does not close what is not ours.
    """

    class Stream(io.StringIO):
        stopped = False

        def stop(self) -> None:
            self.stopped = True

    stream = Stream()
    log.remove(log.add(stream))

    assert stream.stopped
    assert not stream.closed


@pytest.mark.timeout(30)
def test_threads_add_and_remove_while_others_log(log: Logger) -> None:
    """
    While sinks come and go, a sink that stays misses nothing, and nothing raises.
    """
    steady, errors = Lines(), []
    log.add(steady, format="{message}")
    done = threading.Event()

    def change() -> None:
        try:
            while not done.is_set():
                numbers = [log.add(lambda _: None, level=level) for level in (5, "ERROR")]
                for number in numbers:
                    log.remove(number)
        except Exception as error:
            errors.append(error)

    def write(name: int) -> None:
        try:
            for i in range(500):
                log.info("{} {}", name, i)
        except Exception as error:
            errors.append(error)

    changers = [threading.Thread(target=change) for _ in range(2)]
    writers = [threading.Thread(target=write, args=(name,)) for name in range(4)]
    for thread in changers + writers:
        thread.start()
    for thread in writers:
        thread.join(20)
    done.set()
    for thread in changers:
        thread.join(20)

    assert errors == []
    assert sorted(steady.messages()) == sorted(f"{name} {i}" for name in range(4) for i in range(500))


@pytest.mark.timeout(10)
def test_slow_sink_does_not_change_the_time_of_a_record(log: Logger, lines: Lines) -> None:
    """
    The time is that of the call, read once: whoever writes late writes the same.
    """
    before = time.time()
    log.add(lambda _: time.sleep(0.05), level=0)
    late = Lines()
    log.add(late, format="{time:x}")

    log.info("text")

    (moment,) = (float(late.text) / 1e6,)
    assert before - 0.001 <= moment <= before + 0.04
    assert late.record["time"] == lines.record["time"]

"""What is logged through Python's `logging` reaches our logger: once, as it was, and never in circles."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from otelbridge import bridge, logger
from otelbridge.delivery.quiet import exporting

pytestmark = pytest.mark.covers("1.26")

library = logging.getLogger("some.library")


class Lines:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def __call__(self, message: Any) -> None:
        self.messages.append(message)

    @property
    def texts(self) -> list[str]:
        return [each.record["message"] for each in self.messages]

    @property
    def record(self) -> Any:
        assert len(self.messages) == 1, self.texts
        return self.messages[0].record


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger without handlers but one, and as it was afterwards."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    root.handlers[:] = [logging.NullHandler()]
    yield root
    bridge.uninstall()
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.fixture
def lines(root: logging.Logger) -> Iterator[Lines]:
    """What the only sink of our logger gets."""
    handlers = logger._family.handlers
    before, handlers.active = handlers.active, ()
    kept = Lines()
    logger.add(kept, level=0, format="{message}")
    yield kept
    handlers.active = before
    logger._family.apply()


def test_record_is_the_call_s(lines: Lines) -> None:
    """
    Name, function, line, file, level and time are those of the `logging` call.
    """
    logger.add_stdlib_bridge()

    library.warning("careful with %s", "that")
    line = sys._getframe().f_lineno - 1

    record = lines.record
    assert record["message"] == "careful with that"
    assert (record["name"], record["function"], record["line"]) == ("some.library", "test_record_is_the_call_s", line)
    assert record["file"].path == __file__
    assert (record["level"].name, record["level"].no) == ("WARNING", 30)


def test_time_is_the_record_s(lines: Lines) -> None:
    """
    A record that was made earlier keeps its time.
    """
    logger.add_stdlib_bridge()
    record = logging.makeLogRecord(
        {"name": "x", "msg": "old", "levelno": 40, "levelname": "ERROR", "created": 1e9 + 0.25}
    )

    library.handle(record)

    assert lines.record["time"].timestamp() == 1e9 + 0.25


def test_messages_are_not_formatted_again(lines: Lines) -> None:
    """
    Braces, percent signs and markup in a message mean nothing.
    """
    logger.add_stdlib_bridge()

    library.error("{} {name} {0.__class__} <red> \\<b> 100%")

    assert lines.texts == ["{} {name} {0.__class__} <red> \\<b> 100%"]


def test_extra_is_extra(lines: Lines) -> None:
    """
    What was given as `extra=` is extra, whatever `logging` and its formatters have put on the record besides.
    """
    logger.add_stdlib_bridge()
    noisy = logging.StreamHandler(io.StringIO())
    noisy.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.getLogger().handlers.insert(0, noisy)

    library.warning("x", extra={"user": "u", "number": 5})

    assert lines.record["extra"] == {"user": "u", "number": 5}


def test_exceptions_come_along(lines: Lines) -> None:
    """
    exc_info is the record's exception, and is rendered by our sinks; (None, None, None) is none.
    """
    logger.add_stdlib_bridge()
    error = ValueError("boo")

    try:
        raise error
    except ValueError:
        library.exception("failed")
    library.error("fine", exc_info=True)

    exception = lines.messages[0].record["exception"]
    assert exception.value is error
    assert exception.traceback is error.__traceback__
    assert "ValueError: boo" in lines.messages[0]
    assert lines.messages[1].record["exception"] is None


def test_stack_and_finished_traceback_are_kept(lines: Lines) -> None:
    """
    What our records have no place for, a stack or a traceback of another process, is in extra.
    """
    logger.add_stdlib_bridge()
    foreign = logging.makeLogRecord({"msg": "m", "levelno": 40, "levelname": "ERROR", "exc_text": "Traceback"})

    library.warning("x", stack_info=True)
    library.handle(foreign)

    assert "test_stack_and_finished_traceback_are_kept" in lines.messages[0].record["extra"]["stack_info"]
    assert lines.messages[1].record["extra"]["exc_text"] == "Traceback"


@pytest.mark.parametrize(
    ("name", "number", "expected"),
    [("INFO", 20, ("INFO", 20)), ("NOTICE", 33, ("Level 33", 33)), ("SUCCESS", 25, ("SUCCESS", 25))],
)
def test_levels(lines: Lines, name: str, number: int, expected: tuple[str, int]) -> None:
    """
    A level that our logger knows keeps its name; another is its number.
    """
    logger.add_stdlib_bridge(level=1)

    library.handle(logging.makeLogRecord({"msg": "m", "levelno": number, "levelname": name}))

    level = lines.record["level"]
    assert (level.name, level.no) == expected


@pytest.mark.parametrize("level", ["WARNING", 30])
def test_level_of_the_bridge(lines: Lines, level: str | int) -> None:
    """
    Records from `level` on come through, those below do not.
    """
    logging.getLogger().setLevel(logging.DEBUG)
    logger.add_stdlib_bridge(level)

    library.info("below")
    library.warning("at")

    assert lines.texts == ["at"]


def test_root_level_is_lowered_and_given_back(lines: Lines, root: logging.Logger) -> None:
    """
    The root logger lets `level` through; replacing or taking away the bridge starts from the level that it had.
    """
    root.setLevel(logging.WARNING)

    logger.add_stdlib_bridge("DEBUG")
    lowered = root.level
    library.debug("comes through")
    logger.add_stdlib_bridge("ERROR")
    replaced = root.level
    bridge.uninstall()

    assert (lowered, replaced, root.level) == (logging.DEBUG, logging.WARNING, logging.WARNING)
    assert lines.texts == ["comes through"]


def test_root_level_of_somebody_else_is_left(lines: Lines, root: logging.Logger) -> None:
    """
    A level that the program has set since is not touched.
    """
    root.setLevel(logging.WARNING)
    logger.add_stdlib_bridge("DEBUG")
    root.setLevel(logging.CRITICAL)

    bridge.uninstall()

    assert root.level == logging.CRITICAL


def test_again_replaces(lines: Lines, root: logging.Logger) -> None:
    """
    A second bridge replaces the first, and no other handler is touched.
    """
    others = list(root.handlers)

    for _ in range(3):
        logger.add_stdlib_bridge()
    library.warning("once")

    assert lines.texts == ["once"]
    assert [each for each in root.handlers if not isinstance(each, bridge.BridgeHandler)] == others


@pytest.mark.parametrize("level", [None, 2.5, True, []])
def test_a_level_that_is_none(level: Any, root: logging.Logger) -> None:
    """
    A level that is neither a name nor a number, or is unknown, is refused before anything has changed.
    """
    before = list(root.handlers)

    with pytest.raises(TypeError):
        logger.add_stdlib_bridge(level)
    with pytest.raises(ValueError, match="NOPE"):
        logger.add_stdlib_bridge("NOPE")

    assert root.handlers == before


@pytest.mark.parametrize("name", ["otelbridge", "otelbridge.access"])
def test_our_own_records_are_left_out(lines: Lines, name: str) -> None:
    """
    What otelbridge logs through `logging` does not come back.
    """
    logger.add_stdlib_bridge()

    logging.getLogger(name).warning("ours")
    logging.getLogger("otelbridges").warning("theirs")

    assert lines.texts == ["theirs"]


def test_exporters_are_left_out(lines: Lines) -> None:
    """
    What is logged on a thread that exports is not passed on: it would be exported, and logged, for ever.
    """
    logger.add_stdlib_bridge()
    token = exporting.set(True)
    try:
        library.warning("sent")
    finally:
        exporting.reset(token)
    library.warning("after")

    assert lines.texts == ["after"]


def test_sink_that_logs_through_logging(lines: Lines) -> None:
    """
    A sink that logs through `logging` whatever it is given does not run in circles.
    """
    logger.add_stdlib_bridge()
    number = logger.add(lambda message: library.warning("a sink says: %s", message), format="{message}")

    library.warning("start")
    logger.remove(number)

    assert lines.texts == ["start"]


def test_propagating_handler(lines: Lines) -> None:
    """
    The recipe that gives our records to `logging` works beside the bridge: each record goes each way once.
    """
    logger.add_stdlib_bridge()
    heard: list[str] = []

    class Hearing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    class Propagating(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            logging.getLogger(record.name).handle(record)

    logging.getLogger().addHandler(Hearing())
    number = logger.add(Propagating(), format="{message}")

    logger.warning("ours")
    library.warning("theirs")
    logger.remove(number)

    assert lines.texts == ["ours", "theirs"]
    assert sorted(heard) == ["ours", "theirs", "theirs"]


def test_threads_do_not_wait_for_each_other(lines: Lines) -> None:
    """
    A record is passed on while another thread's is stuck in a slow sink of its own.
    """
    logger.add_stdlib_bridge()
    entered, opened = threading.Event(), threading.Event()

    def slow(message: Any) -> None:
        entered.set()
        assert opened.wait(60)

    number = logger.add(slow, filter=lambda record: record["message"] == "slow")
    thread = threading.Thread(target=lambda: library.warning("slow"))
    thread.start()
    assert entered.wait(60)

    library.warning("quick")
    quick = list(lines.texts)
    opened.set()
    thread.join()
    logger.remove(number)

    assert "quick" in quick


def test_warnings_come_through(lines: Lines, recwarn: pytest.WarningsRecorder) -> None:
    """
    With logging.captureWarnings, warnings are records of `py.warnings`.
    """
    import warnings

    logger.add_stdlib_bridge()
    logging.captureWarnings(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("old", DeprecationWarning, stacklevel=1)
    finally:
        logging.captureWarnings(False)

    assert lines.record["name"] == "py.warnings"
    assert "DeprecationWarning: old" in lines.record["message"]


def test_failure_is_told_as_logging_tells_it(
    lines: Lines, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A record that cannot be passed on (its arguments do not fit) raises nothing in the program.
    """
    logging.getLogger().handlers.clear()  # pytest's raises
    logger.add_stdlib_bridge()
    monkeypatch.setattr(logging, "raiseExceptions", True)

    library.warning("%d", "not a number")

    assert lines.texts == []
    assert "Logging error" in capsys.readouterr().err


def test_fake_logger_gets_plain_arguments(root: logging.Logger) -> None:
    """
    The bridge asks of a logger only its levels, and tells it each record by keyword.
    """
    calls: list[tuple[Any, ...]] = []

    class Fake:
        def level(self, name: str) -> Any:
            raise ValueError(name)

        def _emit_foreign(self, level: str | int, message: str, **fields: Any) -> None:
            calls.append((level, message, fields))

    emit: Callable[..., None] = bridge.install
    emit(Fake(), 20)
    library.warning("x", extra={"a": 1})

    ((level, message, fields),) = calls
    assert (level, message) == (30, "x")
    assert fields["site"][:2] == ("some.library", "test_fake_logger_gets_plain_arguments")
    assert set(fields) == {"site", "exception", "extra", "time_ns"}

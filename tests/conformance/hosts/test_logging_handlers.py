"""`logging.Handler` objects as sinks: loguru's record as a stdlib record."""

from __future__ import annotations

import io
import logging
import logging.handlers
import os
import queue
import threading
from pathlib import Path
from typing import Any

import pytest


class Kept(logging.Handler):
    """Keeps the stdlib records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.closed = False
        self.made_in = threading.get_ident()
        self.threads: set[bool] = set()

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.threads.add(threading.get_ident() == self.made_in)

    def close(self) -> None:
        self.closed = True
        super().close()


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.mark.covers("1.5")
def test_message(logger: Any, kept: Kept) -> None:
    """
    The stdlib message is the formatted text without its end, and is not formatted a second time.
    """
    logger.add(kept, format="{level} {message} {extra}")

    logger.bind(a=1).info("100% %s {}", "{}")
    (record,) = kept.records

    assert record.getMessage() == "INFO 100% %s {} {'a': 1}"
    assert record.args == ()


@pytest.mark.covers("1.5")
@pytest.mark.parametrize(
    ("level", "name", "no"),
    [
        ("TRACE", "TRACE", 5),
        ("DEBUG", "DEBUG", 10),
        ("SUCCESS", "SUCCESS", 25),
        ("CRITICAL", "CRITICAL", 50),
        (33, "Level 33", 33),
    ],
)
def test_level(logger: Any, kept: Kept, level: str | int, name: str, no: int) -> None:
    """
    The stdlib record has the level's name and number.
    """
    logger.add(kept, level=0)

    logger.log(level, "m")
    (record,) = kept.records

    assert (record.levelname, record.levelno) == (name, no)


@pytest.mark.covers("1.5")
def test_place(logger: Any, kept: Kept) -> None:
    """
    The stdlib record names the place of the call, its process and its thread.
    """
    kinds: list[Any] = []
    logger.add(kept)
    logger.add(lambda message: kinds.append(message.record))

    logger.info("m")
    (record,), (source,) = kept.records, kinds

    assert record.name == __name__ == source["name"]
    assert record.pathname == __file__ == source["file"].path
    assert record.filename == Path(__file__).name == source["file"].name
    assert record.module == source["module"]
    assert record.lineno == source["line"]
    assert record.funcName == "test_place"
    assert (record.process, record.processName) == (os.getpid(), source["process"].name)
    assert (record.thread, record.threadName) == (threading.get_ident(), source["thread"].name)
    assert record.exc_info is None


@pytest.mark.covers("1.5")
def test_extra(logger: Any, kept: Kept) -> None:
    """
    The record's extra is the attribute `extra` of the stdlib record: its keys cannot hit stdlib's own.
    """
    logger.add(kept)

    logger.bind(name="n", msg="m", args=(1,)).info("text", exc_info=3)
    (record,) = kept.records

    assert record.extra == {"name": "n", "msg": "m", "args": (1,), "exc_info": 3}  # type: ignore[attr-defined]
    assert record.name == __name__


@pytest.mark.covers("1.5")
def test_exception(logger: Any, kept: Kept) -> None:
    """
    The stdlib record carries the exception, and a formatter does not write its traceback a second time.
    """
    logger.add(kept, format="{message}")

    try:
        raise ValueError("no")
    except ValueError:
        logger.exception("m")
    (record,) = kept.records
    text = logging.Formatter("%(message)s").format(record)

    assert record.exc_info is not None
    assert record.exc_info[0] is ValueError
    assert record.exc_info[2] is not None
    assert record.getMessage().startswith("m\nTraceback (most recent call last):\n")
    assert text.count("Traceback") == 1
    assert text.count("ValueError: no") == 1


@pytest.mark.covers("1.5")
def test_formatter(logger: Any) -> None:
    """
    A handler's own formatter is used.
    """
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(name)s/%(levelname)s/%(funcName)s/%(message)s/%(extra)s"))
    logger.add(handler, format="<{message}>")

    logger.bind(a=1).warning("m")

    assert stream.getvalue() == f"{__name__}/WARNING/test_formatter/<m>/{{'a': 1}}\n"


@pytest.mark.covers("1.5")
def test_default_formatter(logger: Any) -> None:
    """
    A stream handler without a formatter writes the line once, with one end.
    """
    stream = io.StringIO()
    logger.add(logging.StreamHandler(stream), format="{message}")

    logger.info("a")
    logger.info("b")

    assert stream.getvalue() == "a\nb\n"


@pytest.mark.covers("1.5")
def test_filter_of_the_handler(logger: Any, kept: Kept) -> None:
    """
    A handler's own filters hold; its own level does not: `add(level=)` is the threshold.
    """
    kept.setLevel(logging.ERROR)
    kept.addFilter(lambda record: "no" not in record.getMessage())
    logger.add(kept, format="{message}", level="INFO")

    logger.debug("below")
    logger.info("yes")
    logger.error("no")

    assert [record.getMessage() for record in kept.records] == ["yes"]


@pytest.mark.covers("1.6")
def test_closed_at_removal(logger: Any, kept: Kept) -> None:
    """
    Removing the sink closes the handler.
    """
    number = logger.add(kept)
    before = kept.closed
    logger.remove(number)

    assert (before, kept.closed) == (False, True)


@pytest.mark.covers("1.5")
def test_no_colours(logger: Any, kept: Kept) -> None:
    """
    Markup is stripped for a handler, unless colours are asked for.
    """
    logger.add(kept, format="<red>{message}</red>")
    logger.add(kept, format="<red>{message}</red>", colorize=True)

    logger.info("m")

    assert [record.getMessage() for record in kept.records] == ["m", "\x1b[31mm\x1b[0m"]


@pytest.mark.covers("1.5")
def test_failing_handler(logger: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """
    A handler that raises is a failing sink: reported, and others go on.
    """
    lines: list[str] = []

    class Failing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise ValueError("no")

    logger.add(Failing())
    logger.add(lines.append, format="{message}")

    logger.info("m")

    assert lines == ["m\n"]
    assert "ValueError: no" in capsys.readouterr().err


@pytest.mark.covers("1.5")
def test_queue_handler(logger: Any) -> None:
    """
    Stdlib's `QueueHandler` can prepare and queue the record.
    """
    records: queue.Queue[logging.LogRecord] = queue.Queue()
    logger.add(logging.handlers.QueueHandler(records), format="{message}")

    try:
        raise ValueError("no")
    except ValueError:
        logger.exception("m")
    logger.info("n")

    assert records.get_nowait().getMessage().startswith("m\n")
    assert records.get_nowait().getMessage() == "n"


@pytest.mark.covers("1.5")
def test_file_handler(logger: Any, tmp_path: Path) -> None:
    """
    Stdlib's rotating file handler works as a sink, and lets go of its file at removal.
    """
    path = tmp_path / "a.log"
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=30, backupCount=2, encoding="utf-8")
    number = logger.add(handler, format="{message}")

    for at in range(4):
        logger.info("0123456789 {}", at)
    logger.remove(number)

    assert path.read_text("utf-8") == "0123456789 2\n0123456789 3\n"
    assert (tmp_path / "a.log.1").read_text("utf-8") == "0123456789 0\n0123456789 1\n"


@pytest.mark.covers("1.5")
def test_serialized(logger: Any, kept: Kept) -> None:
    """
    With `serialize=True` the stdlib message is the JSON object, whose text has no end, as no handler's has.
    """
    import json

    logger.add(kept, format="{message}", serialize=True)

    logger.info("m")

    assert json.loads(kept.records[0].getMessage())["text"] == "m"


@pytest.mark.covers("1.20")
def test_raw(logger: Any, kept: Kept) -> None:
    """
    With `opt(raw=True)` the stdlib message is the message.
    """
    logger.add(kept, format="unused {message}")

    logger.opt(raw=True).info("m {}", 1)

    assert kept.records[0].getMessage() == "m 1"


@pytest.mark.covers("1.16")
def test_enqueued(logger: Any, kept: Kept) -> None:
    """
    With `enqueue=True` a handler gets the records of the calls, from another thread.
    """
    logger.add(kept, format="{message}", enqueue=True)

    logger.info("a")
    logger.info("b")
    logger.complete()

    assert [record.getMessage() for record in kept.records] == ["a", "b"]
    assert kept.threads == {False}


@pytest.mark.covers("1.5")
def test_repr_in_the_list(logger: Any, kept: Kept) -> None:
    """
    The logger's repr shows the handler's repr.
    """
    logger.add(kept)

    assert "sink=<Kept (NOTSET)>" in repr(logger)


@pytest.mark.covers("1.19")
def test_patched_place(logger: Any, kept: Kept) -> None:
    """
    What a patcher puts into the record is what the stdlib record says.
    """
    logger.add(kept, format="{message}")

    logger.patch(lambda record: record.update(name="n", function="f", line=7)).info("m")
    (record,) = kept.records

    assert (record.name, record.funcName, record.lineno) == ("n", "f", 7)

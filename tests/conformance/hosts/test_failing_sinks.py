"""Sinks that fail: with `catch=True` they are reported and others go on, with `catch=False` the caller knows."""

from __future__ import annotations

import sys
from typing import Any

import pytest


class Stream:
    """Fails in the methods it is told to."""

    def __init__(self, *failing: str) -> None:
        self.failing = set(failing)
        self.lines: list[str] = []

    def _may_fail(self, method: str) -> None:
        if method in self.failing:
            raise ValueError(f"no {method}")

    def write(self, message: str) -> None:
        self._may_fail("write")
        self.lines.append(message)

    def flush(self) -> None:
        self._may_fail("flush")

    def stop(self) -> None:
        self._may_fail("stop")


def failing_sink(message: str) -> None:
    raise ValueError("no function")


def failing_format(record: Any) -> str:
    raise ValueError("no format")


def failing_filter(record: Any) -> bool:
    raise ValueError("no filter")


FAILURES: dict[str, tuple[Any, dict[str, Any]]] = {
    "function": (failing_sink, {}),
    "write": (Stream("write"), {}),
    "flush": (Stream("flush"), {}),
    "format": (Stream(), {"format": failing_format}),
    "filter": (Stream(), {"filter": failing_filter}),
}


@pytest.mark.covers("1.4")
@pytest.mark.parametrize("failure", FAILURES)
def test_caught(logger: Any, capsys: pytest.CaptureFixture[str], failure: str) -> None:
    """
    By default the error of a sink, its format or its filter is printed with the record, and the caller goes on.
    """
    sink, options = FAILURES[failure]
    number = logger.add(sink, **options)

    logger.bind(found=123456).info("the message")
    err = capsys.readouterr().err

    assert f"ValueError: no {failure}" in err
    assert "Traceback" in err
    assert "the message" in err
    assert "123456" in err
    assert f"#{number}" in err


@pytest.mark.covers("1.4")
@pytest.mark.parametrize("failure", FAILURES)
def test_not_caught(logger: Any, capsys: pytest.CaptureFixture[str], failure: str) -> None:
    """
    With `catch=False` the error of a sink, its format or its filter reaches the caller, and nothing is printed.
    """
    sink, options = FAILURES[failure]
    logger.add(sink, catch=False, **options)

    with pytest.raises(ValueError, match=f"^no {failure}$"):
        logger.info("the message")

    assert capsys.readouterr().err == ""


@pytest.mark.covers("1.4")
@pytest.mark.parametrize("failure", FAILURES)
def test_others_go_on(logger: Any, failure: str) -> None:
    """
    Sinks before and after a failing one get every message.
    """
    before: list[str] = []
    after: list[str] = []
    sink, options = FAILURES[failure]
    logger.add(before.append, format="{message}")
    logger.add(sink, **options)
    logger.add(after.append, format="{message}")

    logger.info("a")
    logger.info("b")

    assert before == after == ["a\n", "b\n"]


@pytest.mark.covers("1.4")
def test_sinks_after_an_uncaught_error(logger: Any) -> None:
    """
    With `catch=False` the error ends the call: sinks that were added later do not get the message.
    """
    before: list[str] = []
    after: list[str] = []
    logger.add(before.append, format="{message}")
    logger.add(failing_sink, catch=False)
    logger.add(after.append, format="{message}")

    with pytest.raises(ValueError, match="no function"):
        logger.info("a")

    assert (before, after) == (["a\n"], [])


@pytest.mark.covers("1.4")
def test_usable_after_an_error(logger: Any) -> None:
    """
    A sink that failed once, caught or not, gets the next message.
    """
    for catch in (True, False):
        lines: list[str] = []

        def sink(message: str, lines: list[str] = lines) -> None:
            lines.append(message)
            if "bad" in message:
                raise ValueError(message)

        number = logger.add(sink, format="{message}", catch=catch)
        try:
            logger.info("bad")
        except ValueError:
            assert not catch
        logger.info("good")
        logger.remove(number)

        assert lines == ["bad\n", "good\n"]


@pytest.mark.covers("1.4")
@pytest.mark.parametrize("catch", [True, False])
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_interrupts_are_no_errors(logger: Any, error: type[BaseException], catch: bool) -> None:
    """
    What is no `Exception` passes through, whatever `catch` says.
    """

    def sink(message: str) -> None:
        raise error

    logger.add(sink, catch=catch)

    with pytest.raises(error):
        logger.info("m")


@pytest.mark.covers("1.4")
@pytest.mark.parametrize(
    "template", ["{nope}", "{extra[nope]}", "{level.nope}", "{0}", "{}", "{message:d}", "{extra[a]:>z}"]
)
def test_template_that_does_not_fit(logger: Any, capsys: pytest.CaptureFixture[str], template: str) -> None:
    """
    A field that no record has fails at the call, as an error of the sink.
    """
    lines: list[str] = []
    logger.add(lambda message: lines.append(message), format=template, catch=True)
    logger.add(lambda message: lines.append(message), format="ok")

    logger.info("m", a=[])

    assert lines == ["ok\n"]
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.covers("1.4")
@pytest.mark.parametrize(
    ("template", "error"),
    [("{nope}", KeyError), ("{extra[nope]}", KeyError), ("{level.nope}", AttributeError), ("{message:d}", ValueError)],
)
def test_template_that_does_not_fit_uncaught(logger: Any, template: str, error: type[Exception]) -> None:
    """
    With `catch=False` that is the error of `str.format`.
    """
    logger.add(lambda message: None, format=template, catch=False)

    with pytest.raises(error):
        logger.info("m")


@pytest.mark.covers("1.4")
@pytest.mark.parametrize("returned", [None, 1, b"x"], ids=repr)
def test_format_function_that_returns_no_text(logger: Any, capsys: pytest.CaptureFixture[str], returned: Any) -> None:
    """
    A format function that returns no str is an error of the sink.
    """
    lines: list[str] = []
    logger.add(lines.append, format=lambda record: returned)
    logger.add(lines.append, format="ok")

    logger.info("m")

    assert lines == ["ok\n"]
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.covers("1.4")
def test_unknown_colour_from_a_format_function(logger: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """
    A format function's unknown tag is an error of the sink.
    """
    logger.add(lambda message: None, format=lambda record: "<nope>{message}</nope>")

    logger.info("m")

    assert "nope" in capsys.readouterr().err


@pytest.mark.covers("1.6")
def test_error_in_stop(logger: Any) -> None:
    """
    An error in `stop` reaches who removes, and the handler is gone.
    """
    number = logger.add(Stream("stop"))

    with pytest.raises(ValueError, match="no stop"):
        logger.remove(number)
    with pytest.raises(ValueError, match=str(number)):
        logger.remove(number)

    assert "id=" not in repr(logger)


@pytest.mark.covers("1.6")
def test_error_in_stop_of_one_of_many(logger: Any) -> None:
    """
    `remove()` that fails at one sink leaves the later ones; the next `remove()` takes them.
    """
    lines: list[str] = []
    logger.add(Stream("stop"))
    logger.add(lines.append, format="{message}")

    with pytest.raises(ValueError, match="no stop"):
        logger.remove()
    logger.info("still there")
    logger.remove()
    logger.info("gone")

    assert lines == ["still there\n"]


class Broken:
    """A stream whose other end is gone."""

    def write(self, text: str) -> None:
        raise BrokenPipeError

    def flush(self) -> None:
        raise BrokenPipeError


@pytest.mark.covers("1.4")
@pytest.mark.parametrize("stderr", [None, Broken()], ids=["none", "broken"])
def test_report_has_nowhere_to_go(logger: Any, monkeypatch: pytest.MonkeyPatch, stderr: Any) -> None:
    """
    Without a usable stderr a failing sink is nobody's business, and others go on.
    """
    lines: list[str] = []
    logger.add(failing_sink)
    logger.add(lines.append, format="{message}")
    monkeypatch.setattr(sys, "stderr", stderr)

    logger.info("a")

    assert lines == ["a\n"]


@pytest.mark.covers("1.4")
def test_report_of_a_record_that_cannot_be_shown(logger: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """
    The report does without a record whose values raise in `repr`.
    """

    class Raising:
        def __repr__(self) -> str:
            raise RuntimeError("no repr")

        def __str__(self) -> str:
            return "str"

    lines: list[str] = []
    logger.add(failing_sink)
    logger.add(lines.append, format="{message}")

    logger.info("a", value=Raising())

    assert lines == ["a\n"]
    assert "ValueError: no function" in capsys.readouterr().err


@pytest.mark.covers("1.4")
def test_report_with_an_exception_in_the_record(logger: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """
    The report of a failing sink names the sink's error, also when the record carries another.
    """
    logger.add(failing_sink)

    try:
        raise KeyError("the caller's")
    except KeyError:
        logger.exception("m")

    assert "ValueError: no function" in capsys.readouterr().err


@pytest.mark.covers("1.4")
def test_exception_info_is_not_left_behind(logger: Any) -> None:
    """
    After a caught failure no exception is being handled.
    """
    logger.add(failing_sink)

    logger.info("a")

    assert sys.exc_info() == (None, None, None)


@pytest.mark.covers("1.19")
def test_failing_patcher_is_the_callers(logger: Any) -> None:
    """
    The error of a patcher reaches the caller, whatever `catch` says, and no sink gets the message.
    """
    lines: list[str] = []
    logger.add(lines.append, catch=True)

    def patcher(record: Any) -> None:
        raise ValueError("no patch")

    with pytest.raises(ValueError, match="no patch"):
        logger.patch(patcher).info("a")

    assert lines == []


@pytest.mark.covers("1.1")
@pytest.mark.parametrize(
    ("message", "args", "error"),
    [
        ("{}", (), None),
        ("{} {}", (1,), IndexError),
        ("{a}", (1,), KeyError),
        ("{0.nope}", (1,), AttributeError),
        ("{0:d}", ("x",), ValueError),
        ("{", (1,), ValueError),
        ("}", (1,), ValueError),
        ("{0[a]}", ({},), KeyError),
    ],
)
def test_message_that_does_not_fit(
    logger: Any, message: str, args: tuple[Any, ...], error: type[Exception] | None
) -> None:
    """
    A message whose fields its arguments do not fill is the caller's error, whatever `catch` says.
    """
    lines: list[str] = []
    logger.add(lines.append, format="{message}", catch=True)

    if error is None:
        logger.info(message, *args)
    else:
        with pytest.raises(error):
            logger.info(message, *args)

    assert lines == ([message + "\n"] if error is None else [])


@pytest.mark.covers("1.4")
def test_full_disk(logger: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """
    A device that is full costs lines of its sink only.
    """
    from pathlib import Path

    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    lines: list[str] = []
    with full.open("w") as stream:
        logger.add(stream, format="{message}")
        logger.add(lines.append, format="{message}")

        logger.info("a")
        logger.info("b")

        logger.remove()
        with pytest.raises(OSError, match="No space"):
            stream.close()

    assert lines == ["a\n", "b\n"]
    assert "No space left on device" in capsys.readouterr().err

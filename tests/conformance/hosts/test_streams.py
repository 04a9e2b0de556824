"""Stream sinks: whatever has a `write`, and the colours that it gets."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.conformance.support import each


class Stream:
    """Keeps what is written, and every call of the optional methods, in order."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def write(self, message: Any) -> None:
        self.calls.append(message)


class FullStream(Stream):
    """A stream with everything that a stream may have."""

    def flush(self) -> None:
        self.calls.append("flush()")

    def stop(self) -> None:
        self.calls.append("stop()")


class Terminal(io.StringIO):
    """A stream that says what it is told to say when it is asked whether it is a terminal."""

    def __init__(self, answer: object) -> None:
        super().__init__()
        self.answer = answer

    def isatty(self) -> Any:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.mark.covers("1.5")
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_standard_streams(logger: Any, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """
    The interpreter's streams are sinks, and get one line per call.
    """
    logger.add(getattr(sys, name), format="{level} {message}")

    logger.info("one")
    logger.error("two")

    assert getattr(capsys.readouterr(), name[3:]) == "INFO one\nERROR two\n"


@pytest.mark.covers("1.5")
def test_string_stream(logger: Any) -> None:
    """
    An `io.StringIO` gets the line with its end.
    """
    stream = io.StringIO()
    logger.add(stream, format="{message}")

    logger.debug("a")

    assert stream.getvalue() == "a\n"


@pytest.mark.covers("1.5")
def test_open_file_stream(logger: Any, tmp_path: Any) -> None:
    """
    An open file is flushed after each line, and stays open when its handler is removed.
    """
    path = tmp_path / "open.log"
    with path.open("w", encoding="utf-8", buffering=4096) as file:
        number = logger.add(file, format="{message}")
        logger.debug("a")
        seen = path.read_text("utf-8")
        logger.remove(number)
        still_open = not file.closed

    assert (seen, still_open) == ("a\n", True)


@pytest.mark.covers("1.5")
def test_write_alone_is_enough(logger: Any) -> None:
    """
    An object with nothing but `write` is a sink, for logging, completing and removing.
    """
    stream = Stream()
    number = logger.add(stream, format="{message}")

    logger.info("a")
    logger.complete()
    logger.remove(number)

    assert stream.calls == ["a\n"]


@pytest.mark.covers("1.5")
def test_flush_follows_each_write(logger: Any) -> None:
    """
    `flush` is called after each message, `stop` once at removal, in this order.
    """
    stream = FullStream()
    number = logger.add(stream, format="{message}")

    logger.info("a")
    logger.info("b")
    logger.remove(number)

    assert stream.calls == ["a\n", "flush()", "b\n", "flush()", "stop()"]


@pytest.mark.covers("1.6")
def test_stop_at_removal_of_all(logger: Any) -> None:
    """
    `remove()` without an id stops each sink, in the order in which they were added.
    """
    order: list[str] = []

    class Named(Stream):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def stop(self) -> None:
            order.append(self.name)

    for name in "abc":
        logger.add(Named(name))
    logger.remove()

    assert order == ["a", "b", "c"]


@pytest.mark.covers("1.5")
@pytest.mark.parametrize("method", ["flush", "stop"])
def test_optional_methods_that_are_none(logger: Any, method: str) -> None:
    """
    A stream whose `flush` or `stop` is no function is used as if it had none.
    """
    stream = Stream()
    setattr(stream, method, None)
    number = logger.add(stream, format="{message}", catch=False)

    logger.info("a")
    logger.remove(number)

    assert stream.calls == ["a\n"]


@pytest.mark.covers("1.5")
def test_write_wins_over_call(logger: Any) -> None:
    """
    An object that can be called and written to is written to.
    """
    called: list[str] = []

    class Both(Stream):
        def __call__(self, message: str) -> None:
            called.append(message)

    both = Both()
    logger.add(both, format="{message}")

    logger.info("a")

    assert (both.calls, called) == (["a\n"], [])


@pytest.mark.covers("1.5")
def test_message_is_a_string_with_a_record(logger: Any) -> None:
    """
    What `write` gets is a str, and carries the record dict as `record`.
    """
    stream = Stream()
    logger.add(stream, format="{message}")

    logger.bind(a=1).warning("hello {}", "you")
    (message,) = stream.calls
    record = message.record

    assert isinstance(message, str)
    assert isinstance(record, dict)
    assert record["message"] == "hello you"
    assert record["level"].name == "WARNING"
    assert record["extra"] == {"a": 1}


@pytest.mark.covers("1.5")
def test_class_with_write_is_asked_as_an_object(logger: Any) -> None:
    """
    A class that defines `write` as a class method is a stream, and never instantiated.
    """

    class Static:
        lines: list[str] = []  # noqa: RUF012

        def __init__(self) -> None:
            raise AssertionError

        @classmethod
        def write(cls, message: str) -> None:
            cls.lines.append(message)

    logger.add(Static, format="{message}")

    logger.info("a")

    assert Static.lines == ["a\n"]


@pytest.mark.covers("1.5")
def test_one_stream_twice(logger: Any) -> None:
    """
    The same stream may be added twice, and gets what each of its handlers lets through.
    """
    stream = Stream()
    logger.add(stream, format="1 {message}")
    logger.add(stream, format="2 {message}", level="ERROR")

    logger.info("a")
    logger.error("b")

    assert stream.calls == ["1 a\n", "1 b\n", "2 b\n"]


@pytest.mark.covers("1.5")
@pytest.mark.parametrize("sink", [1, None, object(), b"bytes.log", ["list"], 1.5, {"sink": "x"}], ids=repr)
def test_no_sink(logger: Any, sink: object) -> None:
    """
    What can be neither written to, opened nor called is refused by a TypeError that names its type.
    """
    with pytest.raises(TypeError, match=f"'{type(sink).__name__}'"):
        logger.add(sink)


@pytest.mark.covers("1.5")
def test_write_that_is_no_function(logger: Any) -> None:
    """
    An attribute called `write` makes no sink when it cannot be called.
    """

    class NoStream:
        write = 3

    with pytest.raises(TypeError):
        logger.add(NoStream())


@pytest.mark.covers("1.4")
@each(
    "option", ["rotation", "retention", "compression", "delay", "watch", "mode", "buffering", "encoding", "loop", "x"]
)
@each("kind", ["stream", "function", "handler"])
def test_options_of_other_sinks(logger: Any, kind: str, option: str) -> None:
    """
    An option that belongs to files or coroutines is an unexpected argument for every other sink, and adds nothing.
    """
    import logging

    sinks: dict[str, Any] = {"stream": Stream(), "function": lambda message: None, "handler": logging.NullHandler()}

    with pytest.raises(TypeError, match=f"unexpected keyword argument '{option}'"):
        logger.add(sinks[kind], **{option: None})

    assert "id=" not in repr(logger)


# --------------------------------------------------------------------------------------------------- colours

RED = "\x1b[31mm\x1b[0m\n"
PLAIN = "m\n"


def colored(logger: Any, stream: io.StringIO, **options: Any) -> str:
    number = logger.add(stream, format="<red>{message}</red>", **options)
    logger.info("m")
    logger.remove(number)
    return stream.getvalue()


@pytest.mark.covers("1.2")
@pytest.mark.parametrize(
    ("answer", "colorize", "expected"),
    [
        (True, None, RED),
        (False, None, PLAIN),
        (True, False, PLAIN),
        (False, True, RED),
        (ValueError("closed"), None, PLAIN),
        (ValueError("closed"), True, RED),
        (OSError("no"), None, PLAIN),
    ],
)
def test_colorize(logger: Any, answer: object, colorize: bool | None, expected: str) -> None:
    """
    Markup becomes codes when `colorize` says so, or, without a word of it, when the stream is a terminal.
    """
    assert colored(logger, Terminal(answer), colorize=colorize) == expected


@pytest.mark.covers("1.2")
@pytest.mark.parametrize("attribute", [None, "missing"])
def test_stream_that_cannot_say(logger: Any, attribute: str | None) -> None:
    """
    A stream without `isatty` is no terminal.
    """
    stream = Stream()
    if attribute is None:
        stream.isatty = None  # type: ignore[attr-defined]
    logger.add(stream, format="<red>{message}</red>")

    logger.info("m")

    assert stream.calls == [PLAIN]


@pytest.mark.covers("1.2")
@pytest.mark.parametrize("answer", [True, False])
@pytest.mark.parametrize(
    "env",
    [
        {},
        {"NO_COLOR": "1"},
        {"FORCE_COLOR": "1"},
        {"CI": "1"},
        {"TRAVIS": "1"},
        {"TERM": "dumb"},
        {"PYCHARM_HOSTED": "1"},
    ],
    ids=str,
)
def test_environment_and_other_streams(
    logger: Any, monkeypatch: pytest.MonkeyPatch, answer: bool, env: dict[str, str]
) -> None:
    """
    No variable of the environment changes what a stream other than the interpreter's own gets.
    """
    for name in ("NO_COLOR", "FORCE_COLOR", "CI", "TRAVIS", "TERM", "PYCHARM_HOSTED"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)

    assert colored(logger, Terminal(answer)) == (RED if answer else PLAIN)


@pytest.mark.covers("1.2")
@pytest.mark.parametrize("stream_name", ["__stdout__", "__stderr__"])
@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, PLAIN),
        ({"CI": "1"}, PLAIN),
        ({"TRAVIS": "1"}, PLAIN),
        ({"CI": "1", "TRAVIS": "1"}, RED),
        ({"CI": "1", "GITHUB_ACTIONS": "1"}, RED),
        ({"PYCHARM_HOSTED": "1"}, RED),
    ],
    ids=str,
)
def test_environment_and_standard_streams(
    logger: Any, monkeypatch: pytest.MonkeyPatch, stream_name: str, env: dict[str, str], expected: str
) -> None:
    """
    The interpreter's own streams are colourful in PyCharm and on machines that show colours of builds.
    """
    for name in ("CI", "TRAVIS", "GITHUB_ACTIONS", "CIRCLECI", "APPVEYOR", "GITLAB_CI", "PYCHARM_HOSTED"):
        monkeypatch.delenv(name, raising=False)
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    stream = Terminal(answer=False)
    monkeypatch.setattr(sys, stream_name, stream)

    assert colored(logger, stream) == expected


@pytest.mark.covers("1.2")
@pytest.mark.parametrize("make", [lambda kept: kept.append, lambda kept: print], ids=["function", "print"])
def test_functions_get_no_colours(
    logger: Any, make: Callable[[list[str]], Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """
    A function gets codes only when it is asked for.
    """
    kept: list[str] = []
    logger.add(make(kept), format="<red>{message}</red>")

    logger.info("m")

    assert kept == [PLAIN] or capsys.readouterr().out == PLAIN + "\n"


@pytest.mark.covers("1.11")
@pytest.mark.parametrize(("colorize", "expected"), [(None, PLAIN), (True, RED), (False, PLAIN)])
def test_files_get_no_colours(logger: Any, tmp_path: Any, colorize: bool | None, expected: str) -> None:
    """
    A file gets codes only when it is asked for.
    """
    path = tmp_path / "a.log"
    logger.add(path, format="<red>{message}</red>", colorize=colorize)

    logger.info("m")

    assert path.read_text("utf-8") == expected


@pytest.mark.covers("1.8")
@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("TRACE", "\x1b[36m\x1b[1mm\x1b[0m\n"),
        ("DEBUG", "\x1b[34m\x1b[1mm\x1b[0m\n"),
        ("INFO", "\x1b[1mm\x1b[0m\n"),
        ("SUCCESS", "\x1b[32m\x1b[1mm\x1b[0m\n"),
        ("WARNING", "\x1b[33m\x1b[1mm\x1b[0m\n"),
        ("ERROR", "\x1b[31m\x1b[1mm\x1b[0m\n"),
        ("CRITICAL", "\x1b[41m\x1b[1mm\x1b[0m\n"),
    ],
)
def test_level_colours(logger: Any, level: str, expected: str) -> None:
    """
    `<level>` is the colour of the record's level.
    """
    stream = Stream()
    logger.add(stream, format="<level>{message}</level>", colorize=True, level=0)

    logger.log(level, "m")

    assert stream.calls == [expected]


@pytest.mark.covers("1.8")
def test_number_has_no_colour(logger: Any) -> None:
    """
    A call by number has no colour of a level, and nothing but its reset.
    """
    stream = Stream()
    logger.add(stream, format="<level>{message}</level>", colorize=True)

    logger.log(40, "m")

    assert stream.calls == ["m\x1b[0m\n"]


@pytest.mark.covers("1.3", note="1.8")
def test_colour_changed_after_add(logger: Any) -> None:
    """
    A level's new colour reaches handlers that are there already.
    """
    stream = Stream()
    logger.add(stream, format="<lvl>{message}</lvl>", colorize=True)
    logger.info("m")
    logger.level("INFO", color="<green>")

    logger.info("m")

    assert stream.calls == ["\x1b[1mm\x1b[0m\n", "\x1b[32mm\x1b[0m\n"]


@pytest.mark.covers("1.20")
def test_colours_of_messages_follow_the_sink(logger: Any) -> None:
    """
    With `opt(colors=True)`, each sink gets the message with or without codes as it gets its format.
    """
    colourful, plain = Stream(), Stream()
    logger.add(colourful, format="{message}", colorize=True)
    logger.add(plain, format="{message}", colorize=False)

    logger.opt(colors=True).info("<red>{}</red> \\<b>", "<b>arg</b>")

    assert colourful.calls == ["\x1b[31m<b>arg</b>\x1b[0m <b>\n"]
    assert plain.calls == ["<b>arg</b> <b>\n"]
    assert plain.calls[0].record["message"] == "<b>arg</b> <b>"


@pytest.mark.covers("1.2")
def test_default_handler(run: Any) -> None:
    """
    Without any set-up, one handler with id 0 writes lines of the documented shape to stderr.
    """
    done = run("""
        import re
        logger.trace("not shown")
        logger.debug("shown {}", 1)
        print(re.sub("0x[0-9a-f]+", "", repr(logger)).partition("handlers=")[2])
        logger.remove(0)
        logger.error("no longer")
        """)

    date, time, *rest = done.stderr.split(" ", 2)
    assert len(date) == len("2026-11-21")
    assert len(time) == len("15:00:00.000")
    assert rest == ["| DEBUG    | __main__:<module>:5 - shown 1\n"]
    assert done.stdout == "[(id=0, level=10, sink=<stderr>)]>\n"


@pytest.mark.covers("1.2")
def test_no_stderr_at_import(run: Any) -> None:
    """
    A program without stderr (pythonw) imports and logs without an error, and has no handler.
    """
    done = run(
        """
        import os, sys
        if "again" not in os.environ:
            import subprocess
            source = "import sys; sys.stderr = None; exec(open('main.py').read())"
            sys.exit(subprocess.run([sys.executable, "-c", source], env={**os.environ, "again": "1"}).returncode)
        logger.error("nowhere")
        print(repr(logger).partition("handlers=")[2])
        """,
    )

    assert done.stdout == "[]>\n"


@pytest.mark.covers("1.5")
def test_stderr_of_the_moment(logger: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A stream is kept as it was added: replacing `sys.stderr` moves nothing.
    """
    first, second = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", first)
    logger.add(sys.stderr, format="{message}")
    monkeypatch.setattr(sys, "stderr", second)

    logger.info("a")

    assert (first.getvalue(), second.getvalue()) == ("a\n", "")


@pytest.mark.covers("1.5")
def test_function_that_finds_stderr_itself(logger: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The recipe for programs that replace `sys.stderr`: a function that looks it up.
    """
    second = io.StringIO()
    logger.add(lambda message: sys.stderr.write(message), format="{message}")
    monkeypatch.setattr(sys, "stderr", second)

    logger.info("a")

    assert second.getvalue() == "a\n"


@pytest.mark.covers("1.5")
def test_repr_names_the_sinks(logger: Any, tmp_path: Any) -> None:
    """
    `repr(logger)` lists id, level and sink of each handler; a stream with a `name` by that.
    """

    class Named(Stream):
        name = "nm"

    def some_function(message: str) -> None: ...

    stream = Stream()
    path = tmp_path / "a.log"
    sinks: list[Any] = [stream, Named(), some_function, print, path, str(path)]
    numbers = [logger.add(sink, level=level) for level, sink in enumerate(sinks)]
    shown = [repr(stream), "nm", "some_function", "print", f"'{path}'", f"'{path}'"]

    expected = ", ".join(
        f"(id={number}, level={level}, sink={name})"
        for level, (number, name) in enumerate(zip(numbers, shown, strict=True))
    )
    assert repr(logger).endswith(f".logger handlers=[{expected}]>")


@pytest.mark.covers("1.4")
@pytest.mark.skipif(os.name != "posix", reason="the encoding of pipes is what is tested")
def test_characters_that_the_stream_cannot_encode(run: Any) -> None:
    """
    A character that a stream cannot encode is reported on stderr with the record, and the next call is logged.
    """
    done = run(
        """
        import sys
        logger.remove()
        logger.add(sys.stdout, format="{message}")
        logger.info("caf\\u00e9 \\u65e5")
        logger.info("next")
        """,
        env={"PYTHONIOENCODING": "ascii:strict", "PYTHONUTF8": "0"},
    )

    assert done.stdout == "next\n"
    assert "UnicodeEncodeError" in done.stderr

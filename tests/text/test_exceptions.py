"""Exceptions as text: the same as loguru's, situation by situation, and what loguru does not promise."""

from __future__ import annotations

import asyncio
import linecache
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

from otelbridge.record import RecordException
from otelbridge.text.exceptions import ExceptionText
from tests.text.against_loguru import HIDDEN, OPTIONS, assert_same

pytestmark = pytest.mark.covers("1.4")


def raised(error: Exception) -> Exception:
    """The exception, with a traceback."""
    try:
        raise error
    except Exception as same:
        return same


def recorded(error: BaseException) -> RecordException:
    """As the record has it."""
    return RecordException(type(error), error, error.__traceback__)


def caught(error: Exception) -> RecordException:
    """An exception that was raised, as the record has it."""
    return recorded(raised(error))


def text_of(exception: RecordException, **options: Any) -> str:
    """The text with everything on but colours, unless told otherwise."""
    return ExceptionText(**{"colorize": False, "backtrace": True, "diagnose": True, **options}).render(exception)


def divide(a: Any, b: Any) -> Any:
    return a / b


class Holder:
    """Has an attribute of each kind."""

    shared = "of the class"

    def __init__(self) -> None:
        self.own = [1, {"k": (2, 3)}]
        self.next: Holder | None = None

    @property
    def computed(self) -> str:
        msg = "a property was evaluated"
        raise AssertionError(msg)

    def __repr__(self) -> str:
        return "Holder on\n two lines "


def fail_with_variables(log: Any) -> None:
    holder, long, empty = Holder(), "x" * 500, ""
    holder.next = Holder()
    try:
        divide(holder.next.own[0], (empty, long, holder.shared, holder.computed if long is empty else Holder.shared))
    except TypeError:
        log.exception("")


def fail_in_chain(log: Any) -> None:
    def first() -> None:
        try:
            divide(1, 0)
        except ZeroDivisionError as error:
            raise KeyError("k") from error

    try:
        try:
            first()
        except KeyError:
            int("é")
    except ValueError:
        log.exception("")


def fail_from_none(log: Any) -> None:
    try:
        try:
            divide(1, 0)
        except ZeroDivisionError:
            raise KeyError("k") from None
    except KeyError:
        log.exception("")


def fail_in_cycle(log: Any) -> None:
    one, two = ValueError(1), ValueError(2)
    one.__cause__, two.__cause__ = two, one
    log.opt(exception=one).error("")


def fail_in_groups(log: Any) -> None:
    inner = ExceptionGroup("inner", [KeyError(i) for i in range(17)])
    inner.add_note("a note\nof two lines")
    try:
        raise ExceptionGroup("outer", [ValueError("one\ntwo"), inner, raised(OSError(2, "no", "file"))])
    except ExceptionGroup:
        log.exception("")


def fail_in_deep_groups(log: Any) -> None:
    group: Exception = ValueError("leaf")
    for depth in range(12):
        group = ExceptionGroup(f"level {depth}", [group])
    log.opt(exception=group).error("")


def fail_with_notes(log: Any) -> None:
    error = ValueError("x")
    notes: list[Any] = ["one", 2, "three\nfour", ""]
    error.__notes__ = notes
    log.opt(exception=raised(error)).error("")


def fail_to_compile(log: Any) -> None:
    for file in ("<string>", "/some/where/program.py", __file__):
        try:
            compile("x = 1\ny = = 2\n", file, "exec")
        except SyntaxError:
            log.exception("")


def fail_to_assert(log: Any) -> None:
    program = "def check(x):\n    assert x == 2 and x\ncheck(1)\n"
    try:
        exec(with_source(program, "/some/where/assertion.py"), {})
    except AssertionError:
        log.exception("")


def fail_in_recursion(log: Any) -> None:
    def down(n: int) -> None:
        if n:
            down(n - 1)
        else:
            divide(n, 0)

    for depth in (2, 3, 4, 30):
        try:
            down(depth)
        except ZeroDivisionError:
            log.exception("")


def fail_below_recursion(log: Any) -> None:
    def down(n: int) -> None:
        try:
            divide(1, 0) if n == 0 else down(n - 1)
        except ZeroDivisionError:
            if n == 4:
                log.exception("")
            raise

    with suppress(ZeroDivisionError):
        down(8)


def fail_with_limit(log: Any) -> None:
    for limit in (-1, 0, 1, 2, 100):
        sys.tracebacklimit = limit
        try:
            fail_in_recursion(log)
        finally:
            del sys.tracebacklimit


def fail_in_text(log: Any) -> None:
    try:
        exec("x = 1\ny = x / 0\n", {})
    except ZeroDivisionError:
        log.exception("")


def fail_in_generator(log: Any) -> None:
    try:
        list(divide(1, x) for x in [1, 0])  # noqa: C400 - a generator's frame is what this is about
    except ZeroDivisionError:
        log.exception("")


def fail_in_lambda(log: Any) -> None:
    outer = 0
    try:
        (lambda a: a / outer)(1)
    except ZeroDivisionError:
        log.exception("")


def fail_in_coroutine(log: Any) -> None:
    async def one() -> None:
        await asyncio.sleep(0)
        divide(1, 0)

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(one())
            group.create_task(one())

    try:
        asyncio.run(both())
    except ExceptionGroup:
        log.exception("")


def fail_without_traceback(log: Any) -> None:
    log.opt(exception=ValueError("never raised\nat all")).error("")


def fail_with_nothing(log: Any) -> None:
    log.opt(exception=True).error("")


def fail_with_part_of_a_traceback(log: Any) -> None:
    kind, value, tb = caught(ValueError("x"))
    log.opt(exception=(kind, value, None)).error("")
    log.opt(exception=(kind, value, tb)).error("")


def fail_in_libraries(log: Any) -> None:
    source = "def through(f):\n    return f()\n"
    library: dict[str, Any] = {}
    exec(with_source(source, f"{Path(threading.__file__).parent}/invented_library.py"), library)
    through = library["through"]
    try:
        through(lambda: through(lambda: through(through)))
    except TypeError:
        log.exception("")


def fail_with_unprintable_text(log: Any) -> None:
    class UnprintableError(Exception):
        def __str__(self) -> str:
            raise ValueError

    unprintable = UnprintableError()
    log.opt(exception=raised(unprintable)).error("")


def fail_with_odd_messages(log: Any) -> None:
    for message in ("", " ", "\n", "x: y", ":", " lead", "trail ", "a\r\nb\x0bc\u2028d", "\ud800"):
        log.opt(exception=raised(ValueError(message))).error("")
        log.opt(exception=ExceptionGroup(message, [AssertionError(message)])).error("")


def with_source(program: str, file: str) -> CodeType:
    """The program's code, and its lines where tracebacks look for them."""
    linecache.cache[file] = (len(program), None, program.splitlines(keepends=True), file)
    return compile(program, file, "exec")


SITUATIONS = [act for name, act in list(globals().items()) if name.startswith("fail_")]


@pytest.mark.parametrize("act", SITUATIONS, ids=lambda act: act.__name__)
def test_situation_reads_as_in_loguru(act: Callable[[Any], None]) -> None:
    """
    In each of the eight combinations of colours, backtrace and diagnosis, the text is loguru's.
    """
    assert_same(act)


def decorated_function(log: Any) -> None:
    log.catch(message="")(divide)(1, 0)


def decorated_twice(log: Any) -> None:
    inner = log.catch(message="", reraise=True)(divide)

    def outer() -> None:
        inner(1, 0)

    log.catch(message="")(outer)()


def decorated_generator(log: Any) -> None:
    def work() -> Iterator[Any]:
        yield 1
        yield from (divide(1, x) for x in (1, 0))

    for _ in log.catch(message="")(work)():
        pass


def decorated_coroutine(log: Any) -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        divide(1, 0)

    asyncio.run(log.catch(message="")(work)())


def decorated_thread(log: Any) -> None:
    thread = threading.Thread(target=log.catch(message="")(divide), args=(1, 0))
    thread.start()
    thread.join()


DECORATED = [decorated_function, decorated_twice, decorated_generator, decorated_coroutine, decorated_thread]


@pytest.mark.covers("1.21")
@pytest.mark.parametrize("act", DECORATED, ids=lambda act: act.__name__)
def test_decorator_reads_as_in_loguru(act: Callable[[Any], None]) -> None:
    """
    Caught by a decorator, the caller is shown and marked, and the wrapper is not.
    """
    assert_same(act, from_decorator=True)


@pytest.mark.parametrize("change", ["delete", "replace", "shorten", "spoil"])
def test_source_that_is_gone_reads_as_in_loguru(change: str, tmp_path: Path) -> None:
    """
    Source that has been deleted or changed since it was loaded is left out, or shown as it is now.
    """
    file = tmp_path / "program.py"
    program = "# ü\ndef work(x):\n    return x / 0\n"
    file.write_text(program, "utf-8")
    space: dict[str, Any] = {}
    exec(compile(program, str(file), "exec"), space)
    new = {"replace": b"#\n" * 9, "shorten": b"", "spoil": b"\xff\xfe\xff\n" * 3}
    if change == "delete":
        file.unlink()
    else:
        file.write_bytes(new[change])

    def act(log: Any) -> None:
        try:
            space["work"](1)
        except ZeroDivisionError:
            log.exception("")

    assert_same(act)


@pytest.mark.parametrize("encoding", ["utf8", "ascii", "latin-1", "cp437", "cp1252", "utf-16", "no such encoding", ""])
def test_arrows_are_drawn_as_the_encoding_allows(encoding: str) -> None:
    """
    Box characters where the sink's encoding has them, ASCII elsewhere, as loguru decides it.
    """
    from loguru._better_exceptions import ExceptionFormatter

    exception = caught(ValueError(Holder()))
    theirs = ExceptionFormatter(diagnose=True, encoding=encoding)  # type: ignore[no-untyped-call]

    ours = text_of(exception, backtrace=False, encoding=encoding)

    assert ours == "".join(theirs.format_exception(*exception))  # type: ignore[no-untyped-call]
    assert ("└" in ours) != ("->" in ours)


def test_plain_text_has_no_escape() -> None:
    """
    Without colours, no ESC is written that was not in a value or a message.
    """
    for colorize, backtrace, diagnose in OPTIONS:
        text = text_of(caught(ValueError("x")), colorize=colorize, backtrace=backtrace, diagnose=diagnose)

        assert ("\x1b" in text) == colorize


def test_hidden_files_are_left_out() -> None:
    """
    Frames of a hidden file are not shown, wherever they stand.
    """
    exception = caught(ValueError("x"))

    assert __file__ in text_of(exception)
    assert __file__ not in text_of(exception, hidden_files=HIDDEN | {__file__})


def test_properties_are_not_evaluated() -> None:
    """
    Diagnosis shows the property object, and does not run its code.
    """
    holder = Holder()
    program = with_source("holder.computed.x, holder.own\n", "/some/where/property.py")

    try:
        exec(program, {"holder": holder})
    except AssertionError as error:
        text = text_of(recorded(error), backtrace=False)

    assert "└ <property object at" in text


def test_redaction_sees_each_name_and_decides_what_is_shown() -> None:
    """
    Each shown variable passes `redact` by its dotted name, and what comes back is shown in its place.
    """
    names: list[str] = []

    def redact(name: str, value: object) -> object:
        names.append(name)
        return "[REDACTED]" if name.endswith("own") else value

    space = {"holder": Holder(), "nought": 0}
    try:
        exec(with_source("holder.own[1] / nought\n", "/some/where/secret.py"), space)
    except TypeError as error:
        text = text_of(recorded(error), redact=redact, backtrace=False)

    assert names[-3:] == ["holder", "holder.own", "nought"]
    assert "'[REDACTED]'" in text
    assert "'k'" not in text


def test_failing_redaction_shows_no_value() -> None:
    """
    When `redact` raises, the value stays hidden and the rest is shown.
    """

    def redact(name: str, value: object) -> object:
        raise KeyError(name)

    secret = "".join(("hunt", "er2"))
    try:
        divide(secret, 1)
    except TypeError as error:
        text = text_of(recorded(error), redact=redact, backtrace=False)

    assert "<not shown: redaction failed with KeyError>" in text
    assert "hunter2" not in text


def test_foreign_text_is_cleaned() -> None:
    """
    What is not ours (source, values, message, notes) passes `clean`.
    """
    error = ValueError("message\x1b[31m")
    error.add_note("note\x1b[31m")

    text = text_of(caught(error), clean=lambda text: text.replace("\x1b", "?"))

    assert "message?[31m" in text
    assert "note?[31m" in text
    assert "\x1b" not in text


class Hostile:
    """Raises whatever it is asked."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __repr__(self) -> str:
        raise self.error


@pytest.mark.parametrize("error", [ValueError(), KeyboardInterrupt(), SystemExit(), GeneratorExit(), RecursionError()])
def test_values_that_cannot_be_shown_are_named(error: BaseException) -> None:
    """
    A `__repr__` that raises, be it a BaseException, costs the value only.
    """
    hostile, number = Hostile(error), 5

    try:
        divide(hostile, number)
    except TypeError as failed:
        text = text_of(recorded(failed), backtrace=False)

    assert "<unprintable Hostile object>" in text
    assert "└ 5" in text


def test_huge_values_are_not_written_out() -> None:
    """
    Of a value that would fill the memory as text, the beginning is shown, and no more is made.
    """
    huge: list[Any] = ["x" * 5_000_000] * 1_000_000
    asked: list[int] = []

    class Counting:
        def __repr__(self) -> str:
            asked.append(1)
            return "c"

    counted = [Counting()] * 100_000
    try:
        divide(huge, counted)
    except TypeError as error:
        text = text_of(recorded(error), backtrace=False)

    assert f"└ ['{'x' * 123}...\n" in text
    assert f"└ [{'c, ' * 41}c...\n" in text
    assert len(asked) < 1000


def test_chain_without_end_is_cut() -> None:
    """
    Of a chain longer than any reader, the newest thousand exceptions are shown.
    """
    error: BaseException | None = None
    for i in range(5000):
        error, cause = ValueError(f"number {i}"), error
        error.__cause__ = cause
    assert error is not None

    text = text_of(recorded(error))

    assert text.endswith("ValueError: number 4999\n")
    assert text.count("ValueError: number") == 1000


def test_groups_that_share_members_are_cut() -> None:
    """
    Groups in groups in groups, fifteen times each, end after a thousand exceptions.
    """
    group: Exception = ValueError("x")
    for _ in range(9):
        group = ExceptionGroup("again", [group] * 15)

    text = text_of(recorded(group))

    assert "... (more than 1000 exceptions)" in text
    assert text.count("\n") < 100_000


def test_frames_without_a_line_are_shown() -> None:
    """
    Code without line numbers, over which loguru raises, reads as Python prints it.
    """

    def work() -> None:
        divide(1, 0)

    work.__code__ = work.__code__.replace(co_linetable=b"")
    try:
        work()
    except ZeroDivisionError as error:
        text = text_of(recorded(error))

    assert "line None, in work" in text
    assert text.endswith("ZeroDivisionError: division by zero\n")


def test_nonsense_in_place_of_an_exception_does_no_harm() -> None:
    """
    A tuple that is none of an exception's (loguru raises) becomes a sentence.
    """
    text = text_of(RecordException(ValueError, "not an exception", None))  # type: ignore[arg-type]

    assert text.endswith("\n")
    assert text.count("\n") == 1

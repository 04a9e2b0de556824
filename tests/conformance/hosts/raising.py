"""Errors of every shape, each logged by a function without arguments. What is on a line here is shown in traces."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

CASES: dict[str, Callable[[], object]] = {}
_current: list[Any] = [None]


def log() -> Any:
    """The logger of the moment; traces do not show this call."""
    return _current[0]


def logging_to(logger: Any) -> None:
    """Let all cases log to `logger`."""
    _current[0] = logger


def case(function: Callable[[], object]) -> Callable[[], object]:
    """Log what `function` raises; its own frame is part of the trace."""

    def caught() -> None:
        try:
            function()
        except BaseException:
            log().exception("m")

    CASES[function.__name__] = caught
    return function


def alone(function: Callable[[], object]) -> Callable[[], object]:
    """Take `function` as it is: it logs itself."""
    CASES[function.__name__] = function
    return function


def divide(number: float, by: float) -> float:
    return number / by


class Shown:
    def __init__(self, text: str) -> None:
        self.text = text
        self.inner = {"key": [1, 2]}

    def __repr__(self) -> str:
        return self.text

    def method(self, other: object) -> Any:
        return self.inner["key"][0] + other + self.text  # type: ignore[operator]


class Raising:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class CustomError(Exception):
    class InnerError(Exception):  # noqa: D106
        pass


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no str")


@case
def simple() -> None:
    divide(1, 0)


@case
def direct() -> None:
    raise ValueError("a message")


@case
def without_a_message() -> None:
    raise ValueError


@case
def empty_message() -> None:
    raise ValueError("")


@case
def message_of_two_lines() -> None:
    raise ValueError("first\nsecond\n  third")


@case
def several_arguments() -> None:
    raise ValueError("one", 2, None)


@case
def key_error() -> None:
    mapping = {"a": 1}
    mapping["missing"]


@case
def operating_system_error() -> None:
    path = "/does/not/exist"
    open(path)  # noqa: SIM115, PTH123


@case
def nested_class() -> None:
    raise CustomError.InnerError("inner")


@case
def unprintable() -> None:
    raise UnprintableError


@case
def no_exception_class() -> None:
    raise KeyboardInterrupt


@case
def exit_code() -> None:
    raise SystemExit(3)


@case
def chained() -> None:
    try:
        divide(1, 0)
    except ZeroDivisionError as error:
        raise ValueError("outer") from error


@case
def in_a_handler() -> None:
    number = 0
    try:
        divide(1, number)
    except ZeroDivisionError:
        int("x" * (number + 1))


@case
def from_none() -> None:
    try:
        divide(1, 0)
    except ZeroDivisionError:
        raise ValueError("outer") from None


@case
def chain_of_three() -> None:
    try:
        try:
            divide(1, 0)
        except ZeroDivisionError as error:
            raise ValueError("second") from error
    except ValueError:
        raise KeyError("third")  # noqa: B904


@case
def cause_without_a_traceback() -> None:
    raise ValueError("outer") from KeyError("never raised")


@case
def chain_in_a_circle() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    raise first


@case
def raised_again() -> None:
    try:
        divide(1, 0)
    except ZeroDivisionError:
        raise


@case
def raised_again_elsewhere() -> None:
    kept: list[BaseException] = []
    try:
        divide(1, 0)
    except ZeroDivisionError as error:
        kept.append(error)
    raise kept[0]


@case
def notes() -> None:
    error = ValueError("noted")
    error.add_note("a note")
    error.add_note("two\nlines")
    error.add_note("")
    raise error


@case
def notes_that_are_none() -> None:
    error = ValueError("noted")
    error.__notes__ = ["text", 3]  # type: ignore[list-item]
    raise error


def group_of(*errors: Exception) -> ExceptionGroup[Exception]:
    raised: list[Exception] = []
    for error in errors:
        with suppress(*[type(error)]):
            try:
                raise error
            except Exception as caught:
                raised.append(caught)
                raise
    return ExceptionGroup("group", raised)


@case
def group() -> None:
    raise group_of(ValueError("one"), KeyError("two"))


@case
def group_of_groups() -> None:
    inner = group_of(ValueError("one"), TypeError("two"))
    raise ExceptionGroup("outer", [inner, OSError("never raised")])


@case
def group_with_causes_and_notes() -> None:
    error = ValueError("one")
    error.add_note("a note")
    error.__cause__ = KeyError("cause")
    raised = group_of(error)
    raised.add_note("note of the group")
    raise raised from RuntimeError("cause of the group")


@case
def group_as_a_cause() -> None:
    try:
        raise group_of(ValueError("one"))
    except ExceptionGroup as error:
        raise ValueError("outer") from error


@case
def large_group() -> None:
    raise ExceptionGroup("large", [ValueError(number) for number in range(20)])


@case
def deep_group() -> None:
    error: Exception = ValueError("deepest")
    for depth in range(12):
        error = ExceptionGroup(f"depth {depth}", [error])
    raise error


@case
def syntax_error() -> None:
    compile("a = (1 +\n  2 = 3\n", "given.py", "exec")


@case
def syntax_error_of_nowhere() -> None:
    raise SyntaxError("no place")


@case
def indentation_error() -> None:
    compile("if 1:\nx = 1", "given.py", "exec")


@case
def code_without_source() -> None:
    exec("def unseen(a):\n    return a / 0\nunseen(1)")


@case
def code_of_a_file_that_is_gone() -> None:
    exec(compile("1 / 0", "/no/such/file.py", "exec"))


@case
def library() -> None:
    text = "{nope"
    json.loads(text)


@case
def assertion() -> None:
    one, two = 1, 2
    assert one == two


@case
def assertion_with_a_message() -> None:
    one, two = 1, 2
    assert one == two, "not equal"


@case
def assertion_by_hand() -> None:
    raise AssertionError


@case
def recursion() -> None:
    def down(depth: int) -> int:
        return down(depth - 1) if depth else divide(depth, 0)  # type: ignore[return-value]

    down(8)


@case
def mutual_recursion() -> None:
    def left(depth: int) -> Any:
        return right(depth - 1)

    def right(depth: int) -> Any:
        if not depth:
            raise ValueError(depth)
        return left(depth - 1)

    left(9)


@case
def names_and_attributes() -> None:
    shown = Shown("SHOWN")
    shown.method(1).missing.attribute  # noqa: B018


@case
def method_and_subscripts() -> None:
    rows = [[1, 2], [3, 4]]
    index = 5
    rows[0][index] = rows[1][0] + len(rows)


@case
def keywords_and_calls() -> None:
    numbers = [3, 1, 2]
    key = Shown("KEY")
    sorted(numbers, key=key, reverse=True) + [None]  # type: ignore[call-overload]  # noqa: RUF005


@case
def strings_and_numbers() -> None:
    number = 1
    "text" + f"{number}" + number + 0x10 + 1.5e3 + b"bytes"  # type: ignore[operator]


@case
def operators() -> None:
    a, b, c = 1, 0, "c"
    (a + b) * -c // (a and not b) if a < 2 else c @ a  # type: ignore[operator]


@case
def keyword_names() -> None:
    value = None
    [each for each in value if each is not None] or True  # type: ignore[attr-defined]


@case
def comments() -> None:
    number = 0
    1 / number  # a comment with number in it


@case
def statement_of_several_lines() -> None:
    one = 1
    divide(
        one,
        one - 1,
    )


@case
def continued_line() -> None:
    one = 1
    one + \
        one / (one - 1)  # fmt: skip


@case
def lambda_function() -> None:
    function: Any = lambda number: number / 0  # noqa: E731
    function(1)


@case
def comprehension() -> None:
    numbers = (1, 0)
    [1 / number for number in numbers]


@case
def generator() -> None:
    def numbers() -> Iterator[int]:
        yield 1
        yield 1 // 0

    list(numbers())


@case
def long_values() -> None:
    long = list(range(200))
    text = "x" * 500
    long + text  # type: ignore[operator]


@case
def values_of_several_lines() -> None:
    shown = Shown("first\nsecond\n    third")
    shown / 1  # type: ignore[operator]


@case
def value_without_a_repr() -> None:
    raising = Raising()
    raising + 1  # type: ignore[operator]


@case
def names_beyond_ascii() -> None:
    größe = 0
    "é日" + str(1 / größe)


@case
def tabs_and_markup() -> None:
    value = "<red>{not} a tag</red>\t"
    value / 1  # type: ignore[operator]


@case
def control_characters() -> None:
    value = "\x1b[31m\x00\u2028"
    raise ValueError(value)


@case
def name_of_a_builtin() -> None:
    len(int, str)  # type: ignore[arg-type, call-arg]


@case
def deleted_name() -> None:
    gone = 1
    del gone
    gone + 1  # type: ignore[misc]  # noqa: F821


@case
def class_body() -> None:
    number = 0

    class Body:
        value = 1 / number


@case
def asynchronous() -> None:
    async def inner(number: int) -> float:
        await asyncio.sleep(0)
        return 1 / number

    async def outer() -> None:
        await inner(0)

    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(outer())
    finally:
        loop.close()


@case
def string_that_looks_like_a_number() -> None:
    a = "1"
    b = 1
    a < b  # type: ignore[operator]  # noqa: B015


@case
def same_name_twice() -> None:
    a = 0
    a / a + a


@case
def attribute_of_a_module() -> None:
    json.missing(json)  # type: ignore[attr-defined]


@case
def walrus() -> None:
    if (number := 0) or 1 / number:
        pass


@case
def starred() -> None:
    arguments: Any = (1, 2, 3)
    options = {"a": 1}
    divide(*arguments, **options)


@case
def assigned_attribute() -> None:
    shown = Shown("SHOWN")
    shown.text = divide(1, 0)  # type: ignore[assignment]


@case
def assigned_name_and_item() -> None:
    number, numbers = 1.0, [1.0]
    numbers[0] = number = divide(number, 0)


@case
def semicolons() -> None:
    a = 0; b = 1; b / a  # noqa: E702  # fmt: skip


# ------------------------------------------------------------------------------------------------ other ways to log


@alone
def given_exception() -> None:
    log().opt(exception=ValueError("never raised")).info("m")


@alone
def given_exception_that_was_raised() -> None:
    kept: list[Exception] = []
    try:
        divide(1, 0)
    except ZeroDivisionError as error:
        kept.append(error)
    log().opt(exception=kept[0]).info("m")


@alone
def given_tuple() -> None:
    try:
        divide(1, 0)
    except ZeroDivisionError as error:
        log().opt(exception=(type(error), error, error.__traceback__)).info("m")


@alone
def given_tuple_without_a_traceback() -> None:
    log().opt(exception=(ValueError, ValueError("v"), None)).info("m")


@alone
def nothing_to_log() -> None:
    log().exception("m")


@alone
def inside_of_a_handler_of_another() -> None:
    try:
        divide(1, 0)
    except ZeroDivisionError:
        try:
            int("x")
        except ValueError:
            log().exception("m")


@alone
def from_a_deeper_function() -> None:
    def report() -> None:
        log().exception("m")

    try:
        divide(1, 0)
    except ZeroDivisionError:
        report()


@alone
def with_depth() -> None:
    def report() -> None:
        log().opt(exception=True, depth=1).error("m")

    try:
        divide(1, 0)
    except ZeroDivisionError:
        report()


@alone
def decorated() -> None:
    @log().catch(message="m")  # type: ignore[untyped-decorator, unused-ignore]
    def function(number: int) -> float:
        return divide(number, 0)

    function(1)


@alone
def decorated_twice() -> None:
    @log().catch(message="outer")  # type: ignore[untyped-decorator, unused-ignore]
    @log().catch(message="inner", reraise=True)  # type: ignore[untyped-decorator, unused-ignore]
    def function(number: int) -> float:
        return divide(number, 0)

    function(1)


@alone
def decorated_inside_of_decorated() -> None:
    @log().catch(message="inner", reraise=True)  # type: ignore[untyped-decorator, unused-ignore]
    def inner(number: int) -> float:
        return divide(number, 0)

    @log().catch(message="outer")  # type: ignore[untyped-decorator, unused-ignore]
    def outer(number: int) -> Any:
        return inner(number)

    outer(1)


@alone
def decorated_recursion() -> None:
    @log().catch(message="m", reraise=True)  # type: ignore[untyped-decorator, unused-ignore]
    def down(depth: int) -> float:
        return down(depth - 1) if depth else divide(depth, 0)

    with suppress(ZeroDivisionError):
        down(2)


@alone
def decorated_generator() -> None:
    @log().catch(message="m")  # type: ignore[untyped-decorator, unused-ignore]
    def numbers() -> Iterator[float]:
        yield 1
        yield divide(1, 0)

    list(numbers())


@alone
def decorated_coroutine() -> None:
    @log().catch(message="m")  # type: ignore[untyped-decorator, unused-ignore]
    async def function(number: int) -> float:
        await asyncio.sleep(0)
        return divide(number, 0)

    async def outer() -> None:
        await function(1)

    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(outer())
    finally:
        loop.close()


@alone
def context_manager() -> None:
    with log().catch(message="m"):
        divide(1, 0)


@alone
def context_manager_inside_of_a_function() -> None:
    def function() -> None:
        with log().catch(message="m"):
            divide(1, 0)

    function()


@alone
def decorated_method() -> None:
    class Worker:
        name = "w"

        @log().catch(message="m")  # type: ignore[untyped-decorator, unused-ignore]
        def work(self, number: int) -> float:
            return divide(number, len(self.name) - 1)

    Worker().work(1)


@alone
def after_an_earlier_catch() -> None:
    try:
        with log().catch(message="inner", reraise=True):
            divide(1, 0)
    except ZeroDivisionError as error:
        log().opt(exception=error).info("again")

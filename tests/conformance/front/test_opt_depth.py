"""opt(depth=…) and the place that a record names: functions, wrappers, decorators, generators, comprehensions."""

# mypy: disable-error-code="untyped-decorator, unreachable"

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.conformance.support import Kept, add, departure, run_as


def function_of(kept: Kept) -> Any:
    """The only record's function."""
    return kept.record["function"]


@pytest.mark.covers("1.20")
@pytest.mark.parametrize("method", ["trace", "debug", "info", "success", "warning", "error", "critical", "exception"])
def test_place_of_methods(logger: Any, kept: Kept, method: str) -> None:
    """Each method names its caller, and depth counts from there."""

    def inner() -> None:
        getattr(logger, method)("said")
        getattr(logger.opt(depth=1), method)("said")
        logger.opt(depth=1).log("INFO", "said")

    inner()
    functions = [record["function"] for record in kept.records]
    assert functions == ["inner", "test_place_of_methods", "test_place_of_methods"]


@pytest.mark.covers("1.20")
@pytest.mark.parametrize("depth", [0, 1, 2, 3])
def test_depth(logger: Any, kept: Kept, depth: int) -> None:
    """Each step is one caller further out: name, function, line, file and module are that caller's."""

    def a() -> None:
        logger.opt(depth=depth).info("said")

    def b() -> None:
        a()

    def c() -> None:
        b()

    c()
    record = kept.record
    assert record["function"] == ["a", "b", "c", "test_depth"][depth]
    first = test_depth.__code__.co_firstlineno
    assert record["line"] - first == [6, 9, 12, 14][depth]
    assert (record["name"], record["module"], record["file"].name) == (__name__, "test_opt_depth", "test_opt_depth.py")


@pytest.mark.covers("1.20")
def test_depth_across_modules(logger: Any, kept: Kept) -> None:
    """A wrapper in another module can name its callers' module."""
    library = run_as("a.library", "def say(logger, depth):\n    logger.opt(depth=depth).info('said')")
    library["say"](logger, 0)
    library["say"](logger, 1)
    first, second = kept.records
    assert (first["name"], first["module"], first["file"].name, first["function"]) == (
        "a.library", "a.library", "a.library.py", "say",
    )  # fmt: skip
    assert (second["name"], second["module"], second["function"]) == (
        __name__,
        "test_opt_depth",
        "test_depth_across_modules",
    )


@pytest.mark.covers("1.20")
def test_depth_beyond_the_stack(logger: Any, kept: Kept) -> None:
    """Where the stack ends earlier, the place is unknown: no name, and nothing is raised."""
    thread = threading.Thread(target=lambda: logger.opt(depth=1000).info("said"))
    thread.start()
    thread.join()
    record = kept.record
    assert record["message"] == "said"
    assert record["name"] is None
    assert (record["function"], record["module"], record["line"]) == ("<unknown>", "<unknown>", 0)
    assert (record["file"].name, record["file"].path) == ("<unknown>", "<unknown>")


@pytest.mark.covers("1.20")
def test_depth_in_a_decorator(logger: Any, kept: Kept) -> None:
    """The recipe of a logging decorator: depth=1 names the caller of the wrapped function."""

    def log_calls(func: Any) -> Any:
        @functools.wraps(func)
        def wrapper(*args: Any) -> Any:
            logger.opt(depth=1).info("Entering '{}' {}", func.__name__, args)
            return func(*args)

        return wrapper

    @log_calls
    def work(n: int) -> int:
        return n + 1

    def caller() -> int:
        return int(work(1))

    assert caller() == 2
    assert (function_of(kept), kept.message) == ("caller", "Entering 'work' (1,)")


@pytest.mark.covers("1.20")
def test_depth_in_a_method(logger: Any, kept: Kept) -> None:
    """A logger class of one's own can name its callers."""

    class Wrapper:
        def warn(self, message: str) -> None:
            self.log("WARNING", message)

        def log(self, level: str, message: str) -> None:
            logger.opt(depth=2).log(level, message)

    Wrapper().warn("said")
    assert function_of(kept) == "test_depth_in_a_method"


@pytest.mark.covers("1.20")
def test_generator(logger: Any, kept: Kept) -> None:
    """In a generator depth=1 is whoever asks for the next item."""

    def numbers() -> Iterator[int]:
        logger.info("said")
        logger.opt(depth=1).info("said")
        yield 1

    def consumer() -> list[int]:
        return list(numbers())

    consumer()
    assert [record["function"] for record in kept.records] == ["numbers", "consumer"]


@pytest.mark.covers("1.20")
def test_lambda_and_comprehension(logger: Any, kept: Kept) -> None:
    """Lambdas and comprehensions are places of their own."""
    (lambda: logger.info("said"))()
    list(logger.info("said") for _ in range(1))  # noqa: C400
    assert [record["function"] for record in kept.records] == ["<lambda>", "<genexpr>"]


@pytest.mark.covers("1.20")
def test_class_body(logger: Any, kept: Kept) -> None:
    """A class body's place has the class's name."""

    class Body:
        logger.info("said")

    assert function_of(kept) == "Body"


@pytest.mark.covers("1.20")
def test_method_and_property(logger: Any, kept: Kept) -> None:
    """A method's place has the method's name, without its class."""

    class Thing:
        @property
        def prop(self) -> int:
            logger.info("said")
            return 1

        @staticmethod
        def static() -> None:
            logger.info("said")

        def __init__(self) -> None:
            logger.info("said")

    assert Thing().prop == 1
    Thing.static()
    assert [record["function"] for record in kept.records] == ["__init__", "prop", "static"]


@pytest.mark.covers("1.20")
def test_coroutines(logger: Any, kept: Kept) -> None:
    """A coroutine's place is itself; depth=1 is whoever awaits it."""

    async def inner() -> None:
        await asyncio.sleep(0)
        logger.info("said")
        logger.opt(depth=1).info("said")

    async def outer() -> None:
        await inner()

    asyncio.run(outer())
    assert [record["function"] for record in kept.records] == ["inner", "outer"]


@pytest.mark.covers("1.20")
def test_async_generators(logger: Any, kept: Kept) -> None:
    """So it is for async generators."""

    async def numbers() -> AsyncIterator[int]:
        logger.info("said")
        yield 1

    async def main() -> None:
        async for _ in numbers():
            pass

    asyncio.run(main())
    assert function_of(kept) == "numbers"


@pytest.mark.covers("1.20")
def test_partial_and_map(logger: Any, kept: Kept) -> None:
    """Calls through builtins have no place of their own: the Python caller is named."""
    functools.partial(logger.info, "said")()
    list(map(logger.info, ["said"]))
    sorted([1, 2], key=lambda n: logger.info("said") or n)
    functions = [record["function"] for record in kept.records]
    assert functions == ["test_partial_and_map"] * 2 + ["<lambda>"] * 2


@pytest.mark.covers("1.20")
def test_thread_target(logger: Any, kept: Kept) -> None:
    """The logger's method as a thread's target names the place in threading."""
    thread = threading.Thread(target=logger.info, args=("said",))
    thread.start()
    thread.join()
    record = kept.record
    assert (record["name"], record["function"], record["module"]) == ("threading", "run", "threading")


@pytest.mark.covers("1.20")
def test_module_level(logger: Any, kept: Kept) -> None:
    """At the top of a module the function is <module>."""
    run_as("package.mod", "\n\nlogger.info('said')", logger=logger)
    record = kept.record
    assert (record["name"], record["function"], record["line"]) == ("package.mod", "<module>", 3)


@pytest.mark.covers("1.28")
def test_code_without_a_name(logger: Any) -> None:
    """Code whose globals have no __name__ has the name None."""
    kept = add(logger, format="{name} {module} {function}")
    run_as(None, "logger.info('said')", logger=logger)
    assert kept.record["name"] is None
    assert kept.text == "None None <module>\n"


@pytest.mark.covers("1.20")
def test_several_lines(logger: Any, kept: Kept) -> None:
    """A call over several lines has the line that Python says it has."""
    logger.info(
        "said {}",
        1,
    )
    first = test_several_lines.__code__.co_firstlineno
    assert kept.record["line"] == first + 3


@pytest.mark.covers("1.20")
def test_same_site_again(logger: Any, kept: Kept) -> None:
    """A place is found anew for each call: in loops, for other depths and from other callers."""

    def say(depth: int) -> None:
        logger.opt(depth=depth).info("said")

    def one() -> None:
        say(0)
        say(1)

    def two() -> None:
        say(1)
        say(0)
        say(2)

    one()
    two()
    functions = [record["function"] for record in kept.records]
    assert functions == ["say", "one", "two", "say", "test_same_site_again"]


@pytest.mark.covers("1.20")
def test_renamed_code(logger: Any, kept: Kept) -> None:
    """The function is the code's name: not __name__, which can be changed."""

    def original() -> None:
        logger.info("said")

    original.__name__ = "renamed"
    original()
    assert function_of(kept) == "original"


@pytest.mark.covers("1.20")
@departure("where a call is, is found out once: a module keeps the name of its first call")
def test_changed_globals_name(logger: Any, kept: Kept) -> None:
    """The name is what __name__ is at the call."""
    scope = run_as("first", "def say():\n    logger.info('said')", logger=logger)
    scope["say"]()
    scope["__name__"] = "second"
    scope["say"]()
    assert [record["name"] for record in kept.records] == ["first", "second"]


@pytest.mark.covers("1.20")
def test_depth_of_another_type(logger: Any, kept: Kept) -> None:
    """A depth that is no int is a TypeError of the call."""
    with pytest.raises(TypeError):
        logger.opt(depth="1").info("said")
    with pytest.raises(TypeError):
        logger.opt(depth=None).info("said")
    assert not kept.texts


@pytest.mark.covers("1.20")
def test_wrapper_of_catch(logger: Any, kept: Kept) -> None:
    """catch() names the function that called the decorated one."""

    @logger.catch
    def fail() -> None:
        raise LookupError

    def caller() -> None:
        fail()

    caller()
    assert function_of(kept) == "caller"


@pytest.mark.covers("1.20")
def test_contextualized_function(logger: Any, kept: Kept) -> None:
    """Decorating with contextualize() does not change the place of the calls inside."""

    @logger.contextualize(a=1)
    def work() -> None:
        logger.info("said")

    work()
    assert function_of(kept) == "work"

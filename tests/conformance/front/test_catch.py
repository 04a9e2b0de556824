"""catch(): as decorator of functions of all kinds and as context manager, with each option, nested and inherited."""

# mypy: disable-error-code="untyped-decorator, unreachable"

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import pickle
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from tests.conformance.support import Kept, Script, add, each, error_of


class OwnError(Exception):
    """An error of ours."""


class ChildError(OwnError):
    """A kind of it."""


def fail(*args: object, error: type[BaseException] = OwnError) -> Any:
    """Raise."""
    raise error("why", *args)


def caught(kept: Kept) -> Any:
    """The exception of the only record."""
    return kept.record["exception"].value


# ------------------------------------------------------------------------------------------------- what is caught


@pytest.mark.covers("1.21")
@pytest.mark.parametrize("how", ["bare", "called", "given", "tuple", "base", "keyword"])
def test_decorator(logger: Any, kept: Kept, how: str) -> None:
    """The decorator catches, logs an ERROR with the exception, and the function returns None."""
    decorate: dict[str, Callable[[Any], Any]] = {
        "bare": logger.catch,
        "called": logger.catch(),
        "given": logger.catch(OwnError),
        "tuple": logger.catch((LookupError, OwnError)),
        "base": logger.catch(BaseException),
        "keyword": logger.catch(exception=OwnError),
    }
    assert decorate[how](fail)(1, 2) is None
    assert kept.record["level"].name == "ERROR"
    assert caught(kept).args == ("why", 1, 2)
    assert kept.record["exception"].type is OwnError
    assert kept.record["exception"].traceback is not None


@pytest.mark.covers("1.21")
@pytest.mark.parametrize("how", ["bare", "called", "options"])
def test_nothing_to_catch(logger: Any, kept: Kept, how: str) -> None:
    """Without an exception arguments and result pass, and nothing is logged."""

    def function(a: int, *args: int, b: int = 0, **kwargs: int) -> object:
        return a, args, b, kwargs

    decorators = {"bare": logger.catch, "called": logger.catch(), "options": logger.catch(default=5, reraise=True)}
    assert decorators[how](function)(1, 2, 3, b=4, c=5) == (1, (2, 3), 4, {"c": 5})
    assert not kept.texts


@pytest.mark.covers("1.21")
@each("types", [LookupError, (LookupError, ValueError), (), ChildError])
@each("how", ["function", "block", "coroutine", "generator"])
def test_others_pass(logger: Any, kept: Kept, types: Any, how: str) -> None:
    """Exceptions of other types pass, and are not logged."""
    with pytest.raises(OwnError):
        run(logger.catch(types), how, OwnError())
    assert not kept.texts


@pytest.mark.covers("1.21")
@each("error", [KeyboardInterrupt, SystemExit, GeneratorExit, asyncio.CancelledError])
@each("how", ["function", "block", "coroutine"])
def test_no_exceptions_but_exception(logger: Any, kept: Kept, error: type[BaseException], how: str) -> None:
    """By default only Exception and its children are caught."""
    with pytest.raises(error):
        run(logger.catch(), how, error())
    assert not kept.texts


@pytest.mark.covers("1.21")
@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_base_exceptions_when_asked_for(logger: Any, kept: Kept, error: type[BaseException]) -> None:
    """Whatever is asked for is caught."""
    run(logger.catch(error), "function", error())
    run(logger.catch(BaseException), "block", error())
    assert [record["exception"].type for record in kept.records] == [error, error]


@pytest.mark.covers("1.21")
def test_children_are_caught(logger: Any, kept: Kept) -> None:
    """A type stands for its children."""
    run(logger.catch(OwnError), "function", ChildError())
    assert kept.record["exception"].type is ChildError


@pytest.mark.covers("1.21")
@pytest.mark.parametrize("types", [5, "OwnError", None, [OwnError], OwnError("an instance")], ids=repr)
def test_types_that_are_none(logger: Any, kept: Kept, types: object) -> None:
    """What is no type is a TypeError when an exception comes."""
    decorated = logger.catch(types)(fail)
    with pytest.raises(TypeError):
        decorated()
    assert not kept.texts


def run(catcher: Any, how: str, error: BaseException) -> Any:
    """Raise the error inside of a function, block, coroutine or generator that the catcher guards; give its result."""
    if how == "function":

        def function() -> None:
            raise error

        return catcher(function)()
    if how == "block":
        with catcher:
            raise error
        return None
    if how == "coroutine":

        async def coroutine() -> None:
            await asyncio.sleep(0)
            raise error

        driven = catcher(coroutine)()
        try:
            while True:
                driven.send(None)
        except StopIteration as stop:
            return stop.value

    def generator() -> Iterator[int]:
        yield 1
        raise error

    def result() -> Iterator[Any]:
        value = yield from catcher(generator)()
        yield value

    return list(result())[-1]


HOWS = ["function", "block", "coroutine", "generator"]


# --------------------------------------------------------------------------------------------------------- options


@pytest.mark.covers("1.21")
@pytest.mark.parametrize("how", HOWS)
def test_reraise(logger: Any, kept: Kept, how: str) -> None:
    """With reraise=True the exception is logged, then passes: itself."""
    error = OwnError()
    with pytest.raises(OwnError) as passed:
        run(logger.catch(reraise=True), how, error)
    assert passed.value is error
    assert caught(kept) is error


@pytest.mark.covers("1.21")
@pytest.mark.parametrize("how", HOWS)
def test_default(logger: Any, kept: Kept, how: str) -> None:
    """`default` is what the function returns after an exception; blocks have no result."""
    value = object()
    assert run(logger.catch(default=value), how, OwnError()) is (None if how == "block" else value)
    assert len(kept.texts) == 1


@pytest.mark.covers("1.21")
def test_default_and_reraise(logger: Any, kept: Kept) -> None:
    """Reraise wins over default."""
    with pytest.raises(OwnError):
        run(logger.catch(default=5, reraise=True), "function", OwnError())


@pytest.mark.covers("1.21")
@each("how", HOWS)
@each("exclude", [OwnError, (LookupError, OwnError), Exception, BaseException])
def test_exclude(logger: Any, kept: Kept, how: str, exclude: Any) -> None:
    """What is excluded passes, unlogged, without onerror."""
    calls: list[object] = []
    with pytest.raises(OwnError):
        run(logger.catch(exclude=exclude, onerror=calls.append), how, OwnError())
    assert not kept.texts
    assert not calls


@pytest.mark.covers("1.21")
@pytest.mark.parametrize("exclude", [LookupError, (LookupError,), (), None, ChildError])
def test_exclude_others(logger: Any, kept: Kept, exclude: Any) -> None:
    """What is not excluded is caught; children of a caught type may be excluded."""
    run(logger.catch(OwnError, exclude=exclude), "function", OwnError())
    assert len(kept.texts) == 1
    if exclude is ChildError:
        with pytest.raises(ChildError):
            run(logger.catch(OwnError, exclude=exclude), "function", ChildError())


@pytest.mark.covers("1.21")
@pytest.mark.parametrize("how", HOWS)
def test_onerror(logger: Any, kept: Kept, how: str) -> None:
    """`onerror` is called with the exception once it is logged; its result does not matter."""
    calls: list[tuple[BaseException, int]] = []

    def onerror(error: BaseException) -> int:
        calls.append((error, len(kept.texts)))
        return 7

    error = OwnError()
    assert run(logger.catch(onerror=onerror), how, error) is None
    assert calls == [(error, 1)]


@pytest.mark.covers("1.21")
def test_onerror_and_reraise(logger: Any, kept: Kept) -> None:
    """`onerror` is called before the exception passes."""
    calls: list[BaseException] = []
    with pytest.raises(OwnError):
        run(logger.catch(onerror=calls.append, reraise=True), "function", OwnError())
    assert len(calls) == 1


@pytest.mark.covers("1.21")
def test_onerror_and_default(logger: Any, kept: Kept) -> None:
    """`onerror` goes together with default."""
    calls: list[BaseException] = []
    assert run(logger.catch(onerror=calls.append, default=5), "function", OwnError()) == 5
    assert len(calls) == 1


@pytest.mark.covers("1.21")
def test_onerror_without_an_error(logger: Any) -> None:
    """`onerror` is not called when nothing was raised."""
    calls: list[BaseException] = []
    logger.catch(onerror=calls.append)(lambda: 5)()
    assert not calls


@pytest.mark.covers("1.21")
def test_onerror_that_raises(logger: Any, kept: Kept) -> None:
    """What `onerror` raises passes."""
    with pytest.raises(ZeroDivisionError):
        run(logger.catch(onerror=lambda error: 1 / 0), "function", OwnError())
    assert len(kept.texts) == 1


@pytest.mark.covers("1.21")
def test_onerror_that_exits(script: Script) -> None:
    """The documented way to end a program with an error code and one traceback."""
    result = script(
        """
        import sys
        from PACKAGE import logger
        logger.remove()
        logger.add(sys.stdout, format="{message}")

        @logger.catch(onerror=lambda _: sys.exit(1), message="failed")
        def main():
            1 / 0

        main()
        """,
        check=False,
    )
    assert result.returncode == 1
    assert result.stdout.startswith("failed\nTraceback")
    assert not result.stderr


@pytest.mark.covers("1.21")
@each("how", HOWS)
@each(("level", "name", "no"), [("INFO", "INFO", 20), ("CRITICAL", "CRITICAL", 50), (33, "Level 33", 33)])
def test_level(logger: Any, kept: Kept, how: str, level: Any, name: str, no: int) -> None:
    """The level is a name or a severity."""
    run(logger.catch(level=level), how, OwnError())
    assert (kept.record["level"].name, kept.record["level"].no) == (name, no)


@pytest.mark.covers("1.21")
@pytest.mark.parametrize(("level", "error"), [("nope", ValueError), (-1, ValueError), (1.5, TypeError)])
def test_unknown_level(logger: Any, kept: Kept, level: Any, error: type[Exception]) -> None:
    """A level that is none is the error of log(), when there is something to log."""
    catcher = logger.catch(level=level)
    with pytest.raises(error):
        run(catcher, "function", OwnError())


@pytest.mark.covers("1.21")
def test_below_the_level(logger: Any) -> None:
    """Caught is caught, whether a handler hears of it or not."""
    run(logger.catch(), "function", OwnError())
    kept = add(logger, level="ERROR")
    run(logger.catch(level="INFO"), "function", OwnError())
    assert not kept.texts


@pytest.mark.covers("1.21")
def test_default_message(logger: Any, kept: Kept) -> None:
    """The default message names the function, process and thread."""
    logger.catch(fail)()
    process, thread = kept.record["process"], kept.record["thread"]
    assert kept.message == (
        f"An error has been caught in function 'test_default_message', process '{process.name}' ({os.getpid()}), "
        f"thread '{thread.name}' ({threading.get_ident()}):"
    )
    assert kept.text.startswith(kept.message + "\nTraceback (most recent call last):\n")
    assert kept.text.endswith("\nOwnError: why\n") or kept.text.endswith(f"\n{__name__}.OwnError: why\n")


@pytest.mark.covers("1.21")
@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("plain", "plain"),
        ("", ""),
        ("in {record[function]}: {record[exception].value}", "in test_message: why"),
        ("{record[level].name} {record[extra]}", "ERROR {'a': 1}"),
        ("{record[exception].type.__name__}", "OwnError"),
        ("{{}}", "{}"),
        ("<red>", "<red>"),
        ("été", "été"),
    ],
)
def test_message(logger: Any, kept: Kept, message: str, expected: str) -> None:
    """The message is formatted with the record."""
    logger.bind(a=1).catch(message=message)(fail)()
    assert kept.message == expected


@pytest.mark.covers("1.21")
@pytest.mark.parametrize(
    ("message", "error"), [("{nope}", KeyError), ("{}", IndexError), ("{", ValueError), (5, AttributeError)]
)
def test_message_mistakes(logger: Any, kept: Kept, message: Any, error: type[Exception]) -> None:
    """A message that cannot be formatted is an error when there is something to log."""
    with pytest.raises(error):
        logger.catch(message=message)(fail)()


@pytest.mark.covers("1.21")
def test_options_go_by_keyword(logger: Any) -> None:
    """All but the exception's type goes by keyword; unknown options are a TypeError."""
    with pytest.raises(TypeError):
        logger.catch(OwnError, "INFO")
    with pytest.raises(TypeError):
        logger.catch(nope=1)


# ------------------------------------------------------------------------------------------------------ functions


@pytest.mark.covers("1.21")
def test_looks_like_the_function(logger: Any) -> None:
    """The decorated function has the name, documentation, signature and attributes of the function."""

    def function(a: int, b: str = "x") -> None:
        """Says nothing."""

    function.tag = 5  # type: ignore[attr-defined]
    for decorated in (logger.catch(function), logger.catch()(function), logger.catch(default=1)(function)):
        assert (decorated.__name__, decorated.__doc__, decorated.tag) == ("function", "Says nothing.", 5)
        assert (decorated.__qualname__, decorated.__module__) == (function.__qualname__, __name__)
        assert decorated.__wrapped__ is function
        assert inspect.signature(decorated) == inspect.signature(function)


@pytest.mark.covers("1.21")
@pytest.mark.parametrize("how", ["bare", "called", "typed"])
def test_classes_are_refused(logger: Any, how: str) -> None:
    """A class cannot be decorated: a TypeError that names it."""

    class Thing:
        pass

    decorate = {"bare": logger.catch, "called": logger.catch(), "typed": logger.catch(OwnError)}[how]
    with pytest.raises(TypeError, match="Thing"):
        decorate(Thing)


@pytest.mark.covers("1.21")
def test_methods(logger: Any, kept: Kept) -> None:
    """Methods of all kinds can be decorated."""

    class Thing:
        @logger.catch(default="method")
        def method(self) -> str:
            raise OwnError(self)

        @classmethod
        @logger.catch(default="class method")
        def class_method(cls) -> str:
            raise OwnError(cls)

        @staticmethod
        @logger.catch(default="static method")
        def static_method() -> str:
            raise OwnError("static")

        @property
        @logger.catch(default="property")
        def prop(self) -> str:
            raise OwnError(self)

        @logger.catch
        def __call__(self) -> None:
            raise OwnError("call")

    thing = Thing()
    assert thing.method() == "method"
    assert Thing.class_method() == "class method"
    assert Thing.static_method() == thing.static_method() == "static method"
    assert thing.prop == "property"
    thing()
    errors = [record["exception"].value.args[0] for record in kept.records]
    assert errors == [thing, Thing, "static", "static", thing, "call"]


@pytest.mark.covers("1.21")
def test_inherited_methods(logger: Any, kept: Kept) -> None:
    """A child's method may call the parent's decorated one, and be decorated itself."""

    class Parent:
        @logger.catch(message="parent", default=1)
        def method(self) -> int:
            raise OwnError

    class Child(Parent):
        @logger.catch(message="child", default=2)
        def method(self) -> int:
            super().method()
            raise OwnError

    assert Parent().method() == 1
    assert Child().method() == 2
    assert kept.messages == ["parent", "parent", "child"]


@pytest.mark.covers("1.21")
@pytest.mark.parametrize("kind", ["lambda", "partial", "callable", "builtin"])
def test_callables(logger: Any, kept: Kept, kind: str) -> None:
    """Whatever can be called can be decorated."""

    class Raising:
        def __call__(self) -> None:
            raise OwnError

    callables: dict[str, Any] = {
        "lambda": lambda: fail(),
        "partial": functools.partial(fail, 1),
        "callable": Raising(),
        "builtin": len,
    }
    arguments = (5,) if kind == "builtin" else ()
    assert logger.catch()(callables[kind])(*arguments) is None
    assert kept.record["exception"].type is (TypeError if kind == "builtin" else OwnError)


@pytest.mark.covers("1.21")
def test_bare_lambda(logger: Any, kept: Kept) -> None:
    """The bare decorator is a function that takes one too."""
    assert logger.catch(lambda: fail())() is None
    assert len(kept.texts) == 1


@pytest.mark.covers("1.21")
def test_recursion(logger: Any, kept: Kept) -> None:
    """A decorated function that calls itself catches in each of its calls."""

    @logger.catch(reraise=True, message="level")
    def countdown(n: int) -> None:
        if n == 0:
            raise OwnError
        countdown(n - 1)

    with pytest.raises(OwnError):
        countdown(2)
    assert len(kept.texts) == 3
    assert len({id(record["exception"].value) for record in kept.records}) == 1


@pytest.mark.covers("1.21")
def test_deep_recursion(logger: Any, kept: Kept) -> None:
    """A RecursionError is caught as others are."""

    @logger.catch
    def outer() -> None:
        def forever() -> None:
            forever()

        forever()

    outer()
    assert kept.record["exception"].type is RecursionError


@pytest.mark.covers("1.21")
def test_raised_while_catching(logger: Any, kept: Kept) -> None:
    """What is raised while another is handled has its context."""

    @logger.catch
    def function() -> None:
        try:
            raise LookupError("first")
        except LookupError as error:
            raise OwnError("second") from error

    function()
    assert isinstance(caught(kept).__cause__, LookupError)
    assert kept.text.index("first") < kept.text.index("second")


@pytest.mark.covers("1.21")
def test_one_catcher_for_many(logger: Any, kept: Kept) -> None:
    """What catch() returns can be used many times, also inside of itself."""
    catcher = logger.catch(message="caught")
    one, two = catcher(fail), catcher(lambda: one() or fail())
    one()
    two()
    with catcher, catcher:
        fail()
    assert kept.messages == ["caught"] * 4


@pytest.mark.covers("1.21")
def test_nested_decorators(logger: Any, kept: Kept) -> None:
    """The inner one catches; the outer one does if the inner one raises again."""

    @logger.catch(message="outer", default=1)
    @logger.catch(message="inner", default=2)
    def once() -> int:
        raise OwnError

    @logger.catch(message="outer", default=1)
    @logger.catch(message="inner", reraise=True)
    def twice() -> int:
        raise OwnError

    assert (once(), twice()) == (2, 1)
    assert kept.messages == ["inner", "inner", "outer"]


@pytest.mark.covers("1.21")
def test_thread_target(logger: Any, kept: Kept) -> None:
    """A decorated function may be a thread's target: its thread is named in the message."""

    @logger.catch(message="{record[thread].name}")
    def work() -> None:
        raise OwnError

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    thread.join()
    assert kept.message == "worker"


@pytest.mark.covers("1.21")
def test_decorated_run(logger: Any, kept: Kept) -> None:
    """The documented way to hear of errors in threads: decorate run()."""

    class Worker(threading.Thread):
        @logger.catch
        def run(self) -> None:
            raise OwnError

    worker = Worker()
    worker.start()
    worker.join()
    assert kept.record["exception"].type is OwnError


@pytest.mark.covers("1.21")
def test_pickled_function(logger: Any, kept: Kept) -> None:
    """A module's decorated function can be pickled by its name."""
    assert pickle.loads(pickle.dumps(fail)) is fail


# ----------------------------------------------------------------------------------------------------- coroutines


@pytest.mark.covers("1.21")
def test_coroutine_function(logger: Any, kept: Kept) -> None:
    """A decorated coroutine function is one, and gives what the coroutine returns."""

    @logger.catch
    async def work(n: int) -> int:
        """Works."""
        await asyncio.sleep(0)
        return n + 1

    assert inspect.iscoroutinefunction(work)
    assert asyncio.iscoroutinefunction(work)
    assert (work.__name__, work.__doc__) == ("work", "Works.")
    assert asyncio.run(work(1)) == 2
    assert not kept.texts


@pytest.mark.covers("1.21")
def test_coroutine(logger: Any, kept: Kept) -> None:
    """What a coroutine raises is caught when it is awaited."""

    @logger.catch(default=5)
    async def work() -> int:
        await asyncio.sleep(0)
        raise OwnError

    coroutine = work()
    assert not kept.texts
    assert asyncio.run(coroutine) == 5
    assert kept.record["exception"].type is OwnError


@pytest.mark.covers("1.21")
def test_tasks(logger: Any, kept: Kept) -> None:
    """Each of many tasks is caught on its own."""

    @logger.catch(message="{record[exception].value}")
    async def work(n: int) -> int:
        await asyncio.sleep(0)
        if n % 2:
            raise OwnError(n)
        return n

    async def main() -> list[int]:
        return list(await asyncio.gather(*map(work, range(4))))

    assert asyncio.run(main()) == [0, None, 2, None]
    assert sorted(kept.messages) == ["1", "3"]


@pytest.mark.covers("1.21")
def test_cancelled_task(logger: Any, kept: Kept) -> None:
    """A task can be cancelled through the decorator."""

    @logger.catch
    async def work() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert not kept.texts


@pytest.mark.covers("1.21")
def test_coroutine_method(logger: Any, kept: Kept) -> None:
    """Coroutine methods can be decorated."""

    class Thing:
        @logger.catch(default=5)
        async def method(self) -> int:
            raise OwnError(self)

    thing = Thing()
    assert asyncio.run(thing.method()) == 5
    assert caught(kept).args == (thing,)


@pytest.mark.covers("1.21")
def test_block_in_a_coroutine(logger: Any, kept: Kept) -> None:
    """A `with` block may await."""

    async def work() -> str:
        with logger.catch():
            await asyncio.sleep(0)
            raise OwnError
        return "after"

    assert asyncio.run(work()) == "after"
    assert kept.record["function"] == "work"


# ----------------------------------------------------------------------------------------------------- generators


@pytest.mark.covers("1.21")
def test_generator_function(logger: Any, kept: Kept) -> None:
    """A decorated generator function is one: values, what is sent and what is returned pass."""
    sent: list[object] = []

    @logger.catch
    def numbers() -> Any:
        """Counts."""
        sent.append((yield 1))
        sent.append((yield 2))
        return 3

    def outer() -> Any:
        return (yield from numbers())

    assert inspect.isgeneratorfunction(numbers)
    assert (numbers.__name__, numbers.__doc__) == ("numbers", "Counts.")
    generator = outer()
    assert (next(generator), generator.send("a")) == (1, 2)
    with pytest.raises(StopIteration) as stop:
        generator.send("b")
    assert stop.value.value == 3
    assert sent == ["a", "b"]
    assert not kept.texts


@pytest.mark.covers("1.21")
def test_generator(logger: Any, kept: Kept) -> None:
    """What a generator raises ends it; the default is what it returns."""

    @logger.catch(default=5)
    def numbers() -> Iterator[int]:
        yield 1
        raise OwnError

    generator = numbers()
    assert not kept.texts
    assert next(generator) == 1
    with pytest.raises(StopIteration) as stop:
        next(generator)
    assert stop.value.value == 5
    assert list(generator) == []
    assert len(kept.texts) == 1


@pytest.mark.covers("1.21")
def test_generator_throw(logger: Any, kept: Kept) -> None:
    """What is thrown into a generator, and not handled there, is caught."""
    handled: list[BaseException] = []

    @logger.catch
    def numbers() -> Iterator[int]:
        try:
            yield 1
        except LookupError as error:
            handled.append(error)
        yield 2

    generator = numbers()
    next(generator)
    assert generator.throw(LookupError("handled")) == 2
    with pytest.raises(StopIteration):
        generator.throw(OwnError("not handled"))
    assert len(handled) == 1
    assert str(caught(kept)) == "not handled"


@pytest.mark.covers("1.21")
def test_generator_close(logger: Any, kept: Kept) -> None:
    """A closed generator is closed, and runs its cleanup."""
    cleaned: list[bool] = []

    @logger.catch
    def numbers() -> Iterator[int]:
        try:
            yield 1
        finally:
            cleaned.append(True)

    generator = numbers()
    next(generator)
    generator.close()
    assert (list(generator), cleaned, kept.texts) == ([], [True], [])


@pytest.mark.covers("1.21")
def test_generator_reraise(logger: Any, kept: Kept) -> None:
    """With reraise=True the exception comes out of the generator."""

    @logger.catch(reraise=True)
    def numbers() -> Iterator[int]:
        yield 1
        raise OwnError

    generator = numbers()
    next(generator)
    with pytest.raises(OwnError):
        next(generator)
    assert len(kept.texts) == 1


# ---------------------------------------------------------------------------------------------------------- blocks


@pytest.mark.covers("1.21")
def test_block(logger: Any, kept: Kept) -> None:
    """A block that raises is left, and the program goes on after it."""
    with logger.catch() as target:
        fail()
    assert target is None
    assert kept.record["function"] == "test_block"
    assert "in function 'test_block'" in kept.message


@pytest.mark.covers("1.21")
def test_block_with_options(logger: Any, kept: Kept) -> None:
    """A block takes the same options."""
    calls: list[BaseException] = []
    with logger.catch(OwnError, level="WARNING", message="because", onerror=calls.append):
        fail()
    assert (kept.message, kept.record["level"].name, len(calls)) == ("because", "WARNING", 1)


@pytest.mark.covers("1.21")
def test_quiet_block(logger: Any, kept: Kept) -> None:
    """A block without an exception says nothing."""
    with logger.catch(message="Because we never know..."):
        pass
    assert not kept.texts


@pytest.mark.covers("1.21")
def test_bare_block(logger: Any) -> None:
    """Catch has to be called for a block."""
    with pytest.raises((TypeError, AttributeError)), logger.catch:
        pass


@pytest.mark.covers("1.21")
def test_nested_blocks(logger: Any, kept: Kept) -> None:
    """The inner block catches; what it excludes is the outer one's."""
    with logger.catch(message="outer"), logger.catch(LookupError, message="inner"):
        fail()
    with logger.catch(message="outer"), logger.catch(message="inner"):
        fail()
    assert kept.messages == ["outer", "inner"]


@pytest.mark.covers("1.21")
def test_block_line(logger: Any, kept: Kept) -> None:
    """The record's line is that of the block's frame."""
    with logger.catch():
        fail()
    first = test_block_line.__code__.co_firstlineno
    assert kept.record["line"] - first in (3, 4)


@pytest.mark.covers("1.21")
@pytest.mark.parametrize("how", ["block", "decorator"])
def test_depth(logger: Any, kept: Kept, how: str) -> None:
    """opt(depth=…) moves the place as it does for calls."""

    def inner() -> None:
        if how == "block":
            with logger.opt(depth=1).catch():
                fail()
        else:
            logger.opt(depth=1).catch()(fail)()

    inner()
    assert kept.record["function"] == "test_depth"


# ---------------------------------------------------------------------------------------------- with other loggers


@pytest.mark.covers("1.21")
def test_child_loggers(logger: Any, kept: Kept) -> None:
    """A child's catch() logs through the child."""
    child = logger.bind(a=1).patch(lambda record: record["extra"].update(p=1))
    with child.catch():
        fail()
    assert kept.extra == {"a": 1, "p": 1}


@pytest.mark.covers("1.21")
def test_options_of_the_logger(logger: Any) -> None:
    """Colors and raw of opt() hold for what catch() logs; lazy and record do no harm."""
    kept = add(logger, colorize=True)
    with logger.opt(colors=True, raw=True, lazy=True, record=True, capture=False).catch(message="<red>m</red>\n"):
        fail()
    assert kept.text == "\x1b[31mm\x1b[0m\n"


@pytest.mark.covers("1.21")
def test_contextualized(logger: Any, kept: Kept) -> None:
    """The context is that of the catching point."""

    @logger.catch
    def work() -> None:
        with logger.contextualize(inner=1):
            raise OwnError

    with logger.contextualize(outer=1):
        work()
    assert kept.extra == {"outer": 1}


@pytest.mark.covers("1.21")
def test_handlers_of_the_moment(logger: Any) -> None:
    """The handlers at the time of the exception count."""

    @logger.catch
    def work() -> None:
        raise OwnError

    work()
    kept = add(logger)
    work()
    assert len(kept.texts) == 1


@pytest.mark.covers("1.21")
def test_exception_whose_text_fails(logger: Any, kept: Kept) -> None:
    """An exception that cannot be shown is caught all the same."""

    class OddError(Exception):
        def __str__(self) -> str:
            raise ValueError

        __repr__ = __str__

    with logger.catch(message="caught"):
        raise OddError
    assert kept.message == "caught"


@pytest.mark.covers("1.21")
def test_excepthook_recipe(script: Script) -> None:
    """The block around a whole program: the error is logged, the program ends well."""
    result = script("""
        import sys
        from PACKAGE import logger
        logger.remove()
        logger.add(sys.stderr, format="{level} {message}", backtrace=False, diagnose=False)

        @logger.catch(message="it failed")
        def main():
            raise ValueError("why")

        if __name__ == "__main__":
            main()
            print("after")
    """)
    assert result.stdout == "after\n"
    assert result.stderr.startswith("ERROR it failed\nTraceback (most recent call last):\n")
    assert result.stderr.endswith("\nValueError: why\n")


@pytest.mark.covers("1.21")
def test_traceback_marks_the_catching_point(logger: Any, kept: Kept) -> None:
    """The trace starts at the caller, marked, and does not show the wrapper."""

    @logger.catch
    def work() -> None:
        fail()

    work()
    lines = kept.text.splitlines()
    places = [line for line in lines if line.lstrip("> ").startswith("File ")]
    marked = [line for line in places if line.startswith("> ")]
    assert len(marked) == 1
    assert "test_traceback_marks_the_catching_point" in marked[0]
    assert not any(name in kept.text for name in ("catch_wrapper", "_logger.py"))
    assert [line.rpartition(" in ")[2] for line in places[places.index(marked[0]) :]][1:] == ["work", "fail"]


@pytest.mark.covers("1.21")
def test_error_in_a_sink_is_not_caught_twice(logger: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A failing sink does not keep catch() from returning."""
    logger.add(lambda message: 1 / 0)
    assert logger.catch(default=5)(fail)() == 5
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert isinstance(error_of(fail), OwnError)
    assert sys.exc_info() == (None, None, None)


@pytest.mark.covers("1.21")
def test_async_generator(logger: Any, kept: Kept) -> None:
    """A decorated async generator function gives the same values."""

    @logger.catch
    async def numbers() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def main() -> list[int]:
        return [n async for n in numbers()]

    assert asyncio.run(main()) == [1, 2]
    assert not kept.texts


@pytest.mark.covers("1.21", note="loguru 0.7.3 lets exceptions of async generators pass; otelbridge catches them")
@pytest.mark.parametrize("implementation", ["otelbridge"], indirect=True)
@pytest.mark.parametrize("reraise", [False, True])
def test_failing_async_generator(logger: Any, kept: Kept, reraise: bool) -> None:
    """What an async generator raises ends it, and is logged."""

    @logger.catch(OwnError, reraise=reraise)
    async def numbers() -> AsyncIterator[int]:
        yield 1
        raise OwnError

    found: list[int] = []

    async def main() -> None:
        async for n in numbers():
            found.append(n)

    if reraise:
        with pytest.raises(OwnError):
            asyncio.run(main())
    else:
        asyncio.run(main())
    assert found == [1]
    assert kept.record["exception"].type is OwnError


@pytest.mark.covers("1.21", note="beyond loguru 0.7.3")
@pytest.mark.parametrize("implementation", ["otelbridge"], indirect=True)
def test_async_generator_protocol(logger: Any, kept: Kept) -> None:
    """asend(), athrow() and aclose() reach the async generator."""
    seen: list[object] = []

    @logger.catch
    async def numbers() -> Any:
        try:
            seen.append((yield 1))
            try:
                yield 2
            except LookupError as error:
                seen.append(type(error))
            yield 3
        finally:
            seen.append("closed")

    async def main() -> None:
        generator = numbers()
        assert [await generator.__anext__(), await generator.asend("sent")] == [1, 2]
        assert await generator.athrow(LookupError) == 3
        await generator.aclose()

    asyncio.run(main())
    assert seen == ["sent", LookupError, "closed"]
    assert not kept.texts

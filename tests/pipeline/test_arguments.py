"""`@log`: what a call was given, for who asked for DEBUG; nothing at all for others."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
import subprocess
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any

import pytest

from otelbridge import logger
from otelbridge.bridge import uninstall
from otelbridge.integrations.arguments import CALL_SIZE_MAX, VALUE_SIZE_MAX, log
from otelbridge.testing import capture
from tests.access.listening import Listener, attached


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Somebody listens to the logger of these tests' module, which takes DEBUG."""
    handler = Listener()
    with attached(handler, __name__, logging.DEBUG):
        yield handler


def add(x: Any, y: Any = 2, *rest: Any, **named: Any) -> Any:
    """Adds."""
    return x + y


@pytest.mark.covers("4.9")
def test_a_call_is_a_debug_record_of_the_modules_logger(listener: Listener) -> None:
    """
    `my_fn((x, y), {})`, at DEBUG, on the logger named as the function's module, from the function's own place.
    """
    logged = log(add)

    assert logged(1, 2, 3, key="v") == 3

    record = listener.record
    assert (record.name, record.levelno) == (__name__, logging.DEBUG)
    assert record.getMessage() == "add((1, 2, 3), {'key': 'v'})"
    assert (record.funcName, record.pathname) == ("add", __file__)
    assert record.lineno == add.__code__.co_firstlineno


@pytest.mark.covers("4.9")
def test_one_positional_argument_reads_as_a_tuple(listener: Listener) -> None:
    """
    The arguments are written as Python writes a tuple and a dictionary.
    """
    log(add)("a", y="b")

    assert listener.record.getMessage() == "add(('a',), {'y': 'b'})"


@pytest.mark.covers("4.9")
@pytest.mark.parametrize("level", [logging.INFO, logging.WARNING])
def test_without_debug_the_function_itself_comes_back(level: int) -> None:
    """
    Where DEBUG is off at decoration, the decorator returns the very object: calls cost nothing.
    """
    with attached(Listener(), __name__, level):
        assert log(add) is add
        method = staticmethod(add)
        assert log(method) is method


@pytest.mark.covers("4.9", note="a logger whose level is raised later falls silent")
def test_the_decision_is_made_at_decoration() -> None:
    """
    A level that is set afterwards does not wake a function; raised, it silences one.
    """
    handler = Listener()
    with attached(handler, __name__, logging.INFO):
        early = log(add)
        logging.getLogger(__name__).setLevel(logging.DEBUG)
        early(1)
        late = log(add)
        logging.getLogger(__name__).setLevel(logging.INFO)
        late(1)

    assert handler.records == []


@pytest.mark.covers("4.9")
def test_a_coroutine_function_stays_one(listener: Listener) -> None:
    """
    An async function is awaited as before, and frameworks still see that it is one.
    """

    @log
    async def fetch(url: str) -> str:
        await asyncio.sleep(0)
        return url.upper()

    assert inspect.iscoroutinefunction(fetch)
    assert asyncio.run(fetch("a")) == "A"
    assert listener.record.getMessage() == "fetch(('a',), {})"


def test_a_generator_function_stays_one(listener: Listener) -> None:
    """
    Values are sent in, exceptions thrown, the result returned: as without the decorator.
    """

    @log
    def talk(first: int) -> Generator[int, int, str]:
        got = yield first
        try:
            yield got
        except KeyError:
            return "caught"
        return "end"

    assert inspect.isgeneratorfunction(talk)
    generator = talk(1)
    assert listener.records == []  # nothing has run yet
    assert (next(generator), generator.send(5)) == (1, 5)
    with pytest.raises(StopIteration, match="caught"):
        generator.throw(KeyError())
    assert listener.record.getMessage() == "talk((1,), {})"


def test_an_async_generator_function_stays_one(listener: Listener) -> None:
    """
    Values are sent in, exceptions thrown, and it is closed in time: as without the decorator.
    """
    said: list[object] = []

    @log
    async def talk(first: int) -> Any:
        try:
            got = yield first
            try:
                yield got
            except KeyError:
                yield "caught"
        finally:
            said.append("closed")

    async def drive() -> None:
        generator = talk(1)
        said.append(await anext(generator))
        said.append(await generator.asend(5))
        said.append(await generator.athrow(KeyError()))
        await generator.aclose()
        async for item in talk(2):
            said.append(item)
            break

    assert inspect.isasyncgenfunction(talk)
    asyncio.run(drive())
    assert said[:5] == [1, 5, "caught", "closed", 2]
    assert [record.getMessage() for record in listener.records] == ["talk((1,), {})", "talk((2,), {})"]


async def count(limit: int) -> AsyncIterator[int]:
    for i in range(limit):
        yield i


def test_an_async_generator_runs_to_its_end(listener: Listener) -> None:
    """
    All items come, and then the end.
    """

    async def collect() -> list[int]:
        return [i async for i in log(count)(3)]

    assert asyncio.run(collect()) == [0, 1, 2]


def test_methods_of_every_kind(listener: Listener) -> None:
    """
    Below or above `staticmethod` and `classmethod`, and on plain methods, the arguments arrive.
    """

    class Shop:
        @log
        def sell(self, item: str) -> str:
            return item

        @log
        @staticmethod
        def above(item: str) -> str:
            return item

        @staticmethod
        @log
        def below(item: str) -> str:
            return item

        @log
        @classmethod
        def make(cls, item: str) -> str:
            return cls.__name__ + item

        @classmethod
        @log
        def build(cls, item: str) -> str:
            return cls.__name__ + item

        def __repr__(self) -> str:
            return "<shop>"

    shop = Shop()
    assert (shop.sell("a"), Shop.above("b"), shop.below("c"), Shop.make("d"), shop.build("e")) == (
        *("a", "b", "c", "Shopd", "Shope"),
    )
    said = [record.getMessage() for record in listener.records]
    assert said[:3] == ["sell((<shop>, 'a'), {})", "above(('b',), {})", "below(('c',), {})"]
    assert said[3].startswith("make((<class ")
    assert said[4].endswith(", 'e'), {})")


def test_name_signature_and_docstring_are_kept(listener: Listener) -> None:
    """
    The decorated function says of itself what the function says.
    """
    logged = log(add)

    assert logged is not add
    assert (logged.__name__, logged.__doc__) == ("add", "Adds.")
    assert inspect.signature(logged) == inspect.signature(add)
    assert inspect.unwrap(logged) is add


def test_what_the_function_raises_passes_on(listener: Listener) -> None:
    """
    An exception of the function is the caller's, as it is.
    """
    with pytest.raises(TypeError, match="unsupported operand"):
        log(add)(1, "a")


class Unprintable:
    """Its repr raises."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


def test_a_repr_that_raises_is_shown_as_such(listener: Listener) -> None:
    """
    The call goes on, and its record has the other arguments.
    """
    log(add)([1], [Unprintable()])

    assert listener.record.getMessage() == "add(([1], <unprintable list object>), {})"


def test_arguments_are_bounded(listener: Listener) -> None:
    """
    A huge value, and any number of values, make no huge record.
    """
    logged = log(add)
    logged("a" * 10_000_000, "b", key="c")
    logged(1, *range(1_000_000))

    large, many = (record.getMessage() for record in listener.records)
    assert len(large) < VALUE_SIZE_MAX + 100
    assert large.endswith("..., 'b'), {'key': 'c'})")
    assert len(many) < CALL_SIZE_MAX + 100
    assert many.startswith("add((1, 0, 1, 2")
    assert many.endswith("...), {})")


def sign_in(user: str, password: str, *more: str, **named: object) -> None:
    pass


def test_secrets_are_redacted_by_name(listener: Listener) -> None:
    """
    A parameter with a secret name is redacted, given by position or keyword, nested, or in a URL.
    """
    logged = log(sign_in)
    logged("ann", "canary1")
    logged(user="ann", password="canary2", api_key="canary3", options={"token": "canary4"})
    logged("https://ann:canary5@host/?token=canary6", "")

    text = "\n".join(record.getMessage() for record in listener.records)
    assert "canary" not in text
    assert text.startswith("sign_in(('ann', '[REDACTED]'), {})")


class Forger:
    """Its repr is two lines, and an escape sequence."""

    def __repr__(self) -> str:
        return "a\nERROR forged\x1b[31m\u2028"


def test_a_record_is_one_line(listener: Listener) -> None:
    """
    Control characters and line breaks of a repr are spelled out.
    """
    log(sign_in)(Forger(), "x", key="a\nb")  # type: ignore[arg-type]  # that is the point

    message = listener.record.getMessage()
    assert message.isprintable()
    assert r"a\nERROR forged\x1b[31m\u2028" in message


def test_a_logged_repr_is_no_endless_loop(listener: Listener) -> None:
    """
    A `__repr__`, or a handler, that is logged itself makes no records of its records.
    """

    class Odd:
        @log
        def __repr__(self) -> str:
            return "<odd>"

    assert repr(Odd()) == "<odd>"
    listener.records.clear()
    log(sign_in)(Odd(), "x")  # type: ignore[arg-type]  # as above

    assert listener.record.getMessage() == "sign_in((<odd>, '[REDACTED]'), {})"


def test_a_handler_that_raises_is_not_the_callers(listener: Listener, capsys: pytest.CaptureFixture[str]) -> None:
    """
    The call has its result whatever the handlers do.
    """

    def emit(record: logging.LogRecord) -> None:
        raise RuntimeError("no space")

    listener.emit = emit  # type: ignore[method-assign]  # any handler may be like that

    assert log(add)(1) == 3


@pytest.mark.parametrize("thing", [int, 5, None, property(lambda self: None)])
def test_what_is_no_function_is_refused(thing: object) -> None:
    """
    A class, or something that cannot be called, is said at once, whatever the level.
    """
    with pytest.raises(TypeError, match="log must decorate a function or a method, got "):
        log(thing)


def test_functions_without_a_signature(listener: Listener) -> None:
    """
    Callables from C and partial objects are logged as well.
    """
    with attached(listener, "functools", logging.DEBUG):
        assert log(functools.partial(add, 1))(5) == 6
    with attached(listener, "builtins", logging.DEBUG):
        assert log(max)(5, 7) == 7

    assert [record.getMessage() for record in listener.records] == ["partial((5,), {})", "max((5, 7), {})"]


def test_records_come_through_the_bridge(listener: Listener) -> None:
    """
    With our bridge from `logging`, the calls are records of ours, from their function's place.
    """
    logging.getLogger(__name__).propagate = True
    logger.add_stdlib_bridge("DEBUG")
    try:
        with capture() as records:
            log(add)(1, 2)
    finally:
        uninstall()

    (record,) = [record for record in records if "add((1, 2), {})" in str(record)]
    assert record["function"] == "add"
    assert record["level"].name == "DEBUG"


def test_threads_and_tasks_do_not_hide_each_others_calls(listener: Listener) -> None:
    """
    Calls of concurrent tasks are a record each.
    """

    @log
    async def work(i: int) -> None:
        await asyncio.sleep(0)

    async def many() -> None:
        await asyncio.gather(*(work(i) for i in range(20)))

    asyncio.run(many())

    assert len(listener.records) == 20


@pytest.mark.covers("4.9")
def test_a_decorated_module_in_a_fresh_interpreter() -> None:
    """
    As documented: with DEBUG configured before the import the call is printed, else the function is untouched.
    """
    module = "from otelbridge.integrations.arguments import log\n@log\nasync def my_fn(x, y): return x\n"
    code = (
        "import asyncio, logging, sys, types\n"
        "logging.basicConfig(level=sys.argv[1], format='%(name)s %(levelname)s %(message)s')\n"
        "made = types.ModuleType('shop'); sys.modules['shop'] = made\n"
        f"exec({module!r}, made.__dict__)\n"
        "asyncio.run(made.my_fn(1, 'two'))\n"
        "print(hasattr(made.my_fn, '__wrapped__'))\n"
    )

    def run(level: str) -> tuple[str, str]:
        done = subprocess.run([sys.executable, "-c", code, level], capture_output=True, text=True, timeout=60)
        return done.stdout.strip(), "\n".join(line for line in done.stderr.splitlines() if line.startswith("shop"))

    assert run("DEBUG") == ("True", "shop DEBUG my_fn((1, 'two'), {})")
    assert run("INFO") == ("False", "")

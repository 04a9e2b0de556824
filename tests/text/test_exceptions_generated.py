"""Exceptions of generated programs, lines and graphs: whatever is raised, the text is loguru's."""

from __future__ import annotations

import linecache
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from random import Random
from sysconfig import get_path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otelbridge.text.values import bounded_repr, shown_value
from tests.text.against_loguru import assert_same

pytestmark = pytest.mark.covers("1.4")

seeds = st.integers(min_value=0, max_value=2**32)


# Programs

FILES = ("/generated/program.py", "/generated/module.py", "<string>", f"{get_path('stdlib')}/generated.py")
TEXTS = ("", "x", "a\nb", "é: ü", "  blank ", "tab\tand\r\x0b", "quote ' and \"", "long " * 60)
LITERALS = (
    *map(repr, TEXTS),
    "1",
    "-2.5",
    "None",
    "True",
    "b'\\xff' * 99",
    "list(range(300))",
    "{'k': (1, [2]), 3: {4}}",
    "()",
    "lambda: 0",
    "Thing()",
    "ValueError('kept')",
)
# What a function does; {call} goes on downwards, and ends in an error.
BODIES = (
    "return {call}",
    "x = y = {call}; return x",
    "return [a for a in (1,) if {call}]",
    "return list(b for b in (1,) if {call})",
    "return (lambda p: {call})(a)",
    "return a.real if {call} else b",
    "assert {call}, a",
    "for i in range(2): {call}",
    "with open({call}) as f: return f",
    "return rest(a,\n        {call},\n        b=b)",
    "try: return {call}\n    except Exception as e: raise KeyError(a) from e",
    "try: return {call}\n    except Exception: raise ValueError(repr(b)[:9])",
    "try: return {call}\n    except Exception: raise RuntimeError from None",
    "try: return {call}\n    except Exception as e: raise ExceptionGroup({text!r}, [e, TypeError(a)]) from e",
    "try: return {call}\n    except Exception as e: e.add_note({text!r}); raise",
    "try: return {call}\n    except Exception as e: thing.kept = e; raise e",
    "try: return {call}\n    finally: a = b = 3",
    "if n: return {name}(n - 1)\n    return {call}",
)
ENDS = (
    "1 / 0",
    "undefined_name",
    "a.nope",
    "[][3]",
    "thing.fail()",
    "int('é')",
    "compile('x = = 1', {file!r}, 'exec')",
    "(_ for _ in ()).throw(AssertionError)",
    "(_ for _ in ()).throw(ExceptionGroup({text!r}, [ValueError({text!r}), OSError(2, 'no')]))",
)
HEAD = """
class Thing:
    shared = [1, 2]
    def __init__(self): self.own = {'a': self.shared}
    def fail(self): return self.own['a'][self.shared[0]].nope
    @property
    def computed(self): raise SystemExit
thing = Thing()
def rest(*a, **k): return a
"""


def program(random: Random) -> tuple[Callable[[], Any], list[str]]:
    """A function that raises, through others; and the files that were invented for it."""
    below = random.choice(ENDS)
    files: list[str] = []
    space: dict[str, Any] = {}
    for depth in range(random.randint(1, 6)):
        name, file = f"step_{depth}", f"{random.choice(FILES)}"
        text = random.choice(TEXTS)
        call = below.replace("{file!r}", repr(file)).replace("{text!r}", repr(text))
        body = random.choice(BODIES).replace("{call}", call).replace("{text!r}", repr(text)).replace("{name}", name)
        values = f"a, b = {random.choice(LITERALS)}, {random.choice(LITERALS)}"
        times = random.choice((0, 0, 1, 3, 5))
        source = f"{HEAD}\ndef {name}(n={times}):\n    {values}\n    {body}\n"
        file = f"{file.removesuffix('.py')}{depth}.py" if file.endswith(".py") else f"<string {depth}>"
        files.append(file)
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        exec(compile(source, file, "exec"), space)
        below = f"{name}()"
    return space[below.removesuffix("()")], files


def by_hand(run: Callable[[], Any], log: Any) -> None:
    try:
        run()
    except Exception:
        log.exception("")


def by_decorator(run: Callable[[], Any], log: Any) -> None:
    log.catch(message="")(run)()


def by_statement(run: Callable[[], Any], log: Any) -> None:
    with log.catch(message=""):
        run()


def later(run: Callable[[], Any], log: Any) -> None:
    try:
        run()
    except Exception as error:
        kept = error
    log.opt(exception=kept).error("")


@settings(max_examples=60, deadline=None)
@given(seed=seeds, catch=st.sampled_from([by_hand, by_decorator, by_statement, later]))
def test_programs_fail_as_in_loguru(seed: int, catch: Callable[[Callable[[], Any], Any], None]) -> None:
    """
    Generated modules that call each other, catch, chain, group, assert and recurse: the same text for every way of
    catching.
    """
    run, files = program(Random(seed))

    try:
        assert_same(partial(catch, run), from_decorator=catch is by_decorator)
    finally:
        for file in files:
            linecache.cache.pop(file, None)


# Lines

WORDS = (
    *("thing", "x", "y", "é", "match", "self", "_", "own", "next", "nope", "method", "slot", "print", "real"),
    *(".", ".", ".", ".", "...", "=", "=", "==", ":=", "+=", "+", "(", ")", "[", "]", "{", "}", ",", ":", ";", "@"),
    *("if", "None", "not", "lambda", "for", "in", "def", "await", "assert", "return", "*", "**", "->", "~", "!"),
    *("1", ".5", "0x1f", "077", "1e5j", "'text'", '"é"', '"""three"""', "f'{x}'", "f'{x!r:>{y}} {{}}'", "b'b'", "# é"),
    *("'open", '"""open', "f'{", "$", "?", "`", "\\", "\x00", "\x0c", "\t", "\x85", "你", "€"),
)
lines = st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(["", " ", "  "])), max_size=14).map(
    lambda words: "".join(word + blank for word, blank in words)
)


class Thing:
    """Attributes of several kinds; a representation of several lines, with blanks at its ends."""

    kind = "class"
    __slots__ = ("__dict__", "slot")

    def __init__(self, depth: int) -> None:
        self.own = "own"
        self.next = Thing(depth - 1) if depth else None

    @property
    def real(self) -> None:
        raise SystemExit

    def method(self) -> None:
        pass

    def __repr__(self) -> str:
        return " thing\n  of lines \n"


SPACE = {"thing": Thing(2), "x": 1, "y": "two\n", "é": "é" * 200, "match": [1], "self": Thing, "_": 0, "print": ""}


@settings(max_examples=120, deadline=None)
@given(line=lines, file=st.sampled_from(["/generated/line.py", "<line>"]))
def test_lines_are_read_as_in_loguru(line: str, file: str) -> None:
    """
    Any line of words, whole or broken: the same colours, the same variables, at the same columns.
    """
    linecache.cache[file] = (len(line), None, [f"{line}\n"], file)
    code = compile("raise ValueError('x')", file, "exec")

    def act(log: Any) -> None:
        with pytest.raises(ValueError, match="x") as failure:
            exec(code, dict(SPACE))
        log.opt(exception=(ValueError, failure.value, failure.tb.tb_next)).error("")

    try:
        assert_same(act)
    finally:
        del linecache.cache[file]


# Graphs


class OwnError(Exception):
    """Its text is not its arguments'."""

    def __str__(self) -> str:
        return "own\ntext  \n\n  x"


def new_error(random: Random) -> BaseException:
    text = random.choice(TEXTS)
    makers: list[Callable[[], BaseException]] = [
        lambda: ValueError(text),
        lambda: KeyError(text),
        lambda: AssertionError(text),
        lambda: AssertionError(),
        lambda: OSError(2, text, "file"),
        lambda: OwnError(),
        lambda: SyntaxError(text, ("module.py", 3, 2, "a b\n")),
        lambda: IndentationError(text, ("/generated/module.py", 3, 1, "  é (\n", 3, 3)),
        lambda: SyntaxError(text),
        lambda: NameError("name 'sys' is not defined", name="sys"),
        lambda: AttributeError("no 'appendx'", name="appendx", obj=[]),
        lambda: UnicodeDecodeError("utf8", b"abc", 0, 1, text),
        lambda: KeyboardInterrupt(),
        lambda: StopIteration(3),
    ]
    return random.choice(makers)()


def raise_deep(error: BaseException, depth: int) -> None:
    if depth:
        raise_deep(error, depth - 1)
    raise error


def graph(random: Random) -> BaseException:
    """Errors and groups that are causes and contexts of each other at random, cycles included."""
    errors = [new_error(random) for _ in range(random.randint(1, 6))]
    for _ in range(random.randint(0, 3)):
        members = [random.choice(errors) for _ in range(random.choice((1, 2, 3, 4, 17)))]
        errors.append(BaseExceptionGroup(random.choice(TEXTS), members))
    for error in errors:
        if random.random() < 0.5:
            with suppress(BaseException):
                raise_deep(error, random.choice((0, 1, 5)))
        if random.random() < 0.2:
            error.add_note(random.choice(TEXTS))
        error.__context__ = None
    for _ in range(random.randint(0, 6)):
        one, other = random.choice(errors), random.choice(errors)
        if random.random() < 0.5:
            one.__cause__ = other
        else:
            one.__context__ = other
        one.__suppress_context__ = random.random() < 0.3
    return random.choice(errors[-3:])


@settings(max_examples=40, deadline=None)
@given(seed=seeds)
def test_graphs_are_walked_as_in_loguru(seed: int) -> None:
    """
    Whatever is the cause, context or member of what, the same exceptions are shown in the same order.
    """
    error = graph(Random(seed))

    assert_same(lambda log: log.opt(exception=error).error(""))


# Values

atoms = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.sampled_from(TEXTS)
hashables = st.recursive(atoms, lambda inner: st.tuples(inner) | st.frozensets(inner, max_size=4), max_leaves=6)
values = st.recursive(
    hashables | st.sets(hashables, max_size=5),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(hashables, inner),
    max_leaves=20,
)


@given(value=values, length_max=st.integers(min_value=0, max_value=300))
def test_bounded_texts_begin_as_repr(value: object, length_max: int) -> None:
    """
    What is written of a built-in value is `repr`'s, or its beginning when that is too long.
    """
    text = repr(value)

    assert bounded_repr(value, 100_000) == text
    assert shown_value(value, length_max) == (
        text if len(text) <= length_max else text[: max(length_max - 3, 0)] + "..."
    )


@given(text=st.text(alphabet="'\"\\\na", max_size=60), length_max=st.integers(min_value=4, max_value=30))
def test_long_strings_keep_their_quotes(text: str, length_max: int) -> None:
    """
    The quotes are those that the whole string asks for, though only its beginning is read.
    """
    for value in (text, text.encode()):
        whole = repr(value)

        assert shown_value(value, length_max) == (
            whole if len(whole) <= length_max else whole[: length_max - 3] + "..."
        )


def test_values_inside_themselves_are_written_as_repr() -> None:
    """
    A container in itself is three points, as `repr` has it.
    """
    items: list[object] = [1]
    items.append((items, {"k": items}))
    mapping: dict[str, object] = {}
    mapping["me"] = [mapping]

    assert bounded_repr(items, 1000) == repr(items)
    assert bounded_repr(mapping, 1000) == repr(mapping)

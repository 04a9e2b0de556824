"""Calls with secrets never go the plain way; calls without them do."""

from __future__ import annotations

import gc
import os
import sys
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelbridge._native import AttrSet, Dispatcher, LoggerBase
from otelbridge.text.redaction import Redaction
from tests.native.families import LEVELS, Family

many = settings(
    max_examples=int(os.environ.get("OTELBRIDGE_EXAMPLES", "300")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


class Redacting(Family):
    """A family whose Python way judges what it gets, as the logger's does."""

    def __init__(self, setting: object = None, *, sinks: bool = True, otlp: bool = True) -> None:
        super().__init__(sink_level=0 if sinks else None)
        if otlp:
            self.encode()
        self.use(setting)

    def use(self, setting: object) -> None:
        self.policy = Redaction.from_setting(setting)
        self.core.set_redaction(*self.policy.for_core())

    def take_call(self, *arguments: Any) -> None:
        super().take_call(*arguments)
        logger, _, message, args, kwargs, _ = arguments
        self.is_clean(logger, message, args, kwargs)

    def is_clean(self, logger: LoggerBase, message: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        """Whether Python finds nothing to hide."""
        surrounding = [each.values for each in (logger._bound, self.context.get(), self.extra) if each is not None]
        named = [values for values in (kwargs, *surrounding) if self.policy.values(values) is not values]
        args_clean, kwargs_clean = self.policy.arguments(args, kwargs)
        texts = [message]
        try:
            texts.append(message.format(*args_clean, **kwargs_clean))
        except Exception:
            texts.append("")
        changed = [text for text in texts if self.policy.text(text) is not text]
        is_same = args_clean is args and self.policy.positional(args) is args
        return not named and is_same and not changed

    extra: AttrSet | None = None

    def way(self, call: Callable[[], object]) -> str:
        """How the call went."""
        self.calls.clear()
        self.events.clear()
        self.take()
        call()
        stored = len(self.take()) + len(self.events)
        assert bool(stored) is not bool(self.calls)
        return "python" if self.calls else "plain"


WAYS = {
    "sinks": {"sinks": True, "otlp": False},
    "OTLP": {"sinks": False, "otlp": True},
    "both": {"sinks": True, "otlp": True},
}


@pytest.fixture(params=list(WAYS.values()), ids=list(WAYS))
def family(request: pytest.FixtureRequest) -> Redacting:
    return Redacting(**request.param)


class Color(Enum):
    RED = 1


class Text(str):
    __slots__ = ()


class URL:
    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return self._text


CLEAN: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "literal": (("user logged in",), {}),
    "braces": (("{} and {",), {}),
    "scalars": (("{} {} {} {} {}", 1, 1.5, True, None, "text"), {}),
    "names": (("Job {order} took {ms}ms",), {"order": "a-17", "ms": 12, "token_count": 5}),
    "URL": (("GET https://h:80/p?page=2#top", "https://h/?page=1"), {"url": "https://h/?page=1"}),
    "time": (("at 12:30:45?",), {"at": "12:30:45"}),
    "containers": (("{} {}", {"a": [1, ("b", None)]}, [[1, 2], ["x", "y"]]), {"x": {"y": {1: b"z"}}}),
    "objects": (("{} {} {}", Decimal(1), datetime(2026, 1, 1, tzinfo=UTC), Color.RED), {"d": Decimal(1)}),
    "nested object": (("{}", [Decimal(1)]), {}),
    "subclass": (("{}", Text("x")), {"y": Text("x")}),
    "exception": (("failed: {}", ValueError("no")), {"error": KeyError("x")}),
    "URL object": (("{}", URL("https://h/")), {"url": URL("https://h/")}),
    "query": (("select",), {"query": "select * from t where token=1", "query_string": "page=1"}),
    "specs": (("{:>5}|{!r}|{x[a]}", 1, "s"), {"x": {"a": 1}}),
    "many names": (("x",), {f"n{i}": i for i in range(40)}),
}
HIDING: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "name": (("x",), {"password": "x"}),
    "name in text": (("{userToken}",), {"userToken": "x"}),
    "nested": (("x",), {"a": {"b": [{"api_key": 1}]}}),
    "positional": (("{}", {"token": "x"}), {}),
    "header": (("x",), {"headers": [["Cookie", "x"]]}),
    "bytes header": (("x",), {"headers": [(b"cookie", b"x")]}),
    "URL in the literal": (("https://u:p@h",), {}),
    "URL in an argument": (("{}", "https://u:p@h"), {}),
    "URL made of arguments": (("https://{}:{}@{}", "u", "p", "h"), {}),
    "URL not shown": (("x",), {"url": "/?sig=1"}),
    "URL cut by quotes": (("'{}'", "https://u:it's@h"), {}),
    "URL in bytes": (("x", b"/?sig=1"), {}),
    "URL as a key": (("x", {"https://u:p@h": 1}), {}),
    "exception": (("{}", ValueError("https://u:p@h")), {}),
    "exception by attribute": (("{0.args}", ValueError("https://u:p@h")), {}),
    "exception in extra": (("x",), {"error": ValueError("https://u:p@h")}),
    "URL object": (("x",), {"url": URL("https://u:p@h")}),
    "query": (("x",), {"query_string": "a=1&token=x"}),
    "subclass": (("{}", Text("https://u:p@h")), {}),
    "mapping": (("x",), {"environ": OrderedDict(DB_PASSWORD="x")}),
    "one of many names": (("x",), {**{f"n{i}": i for i in range(40)}, "secret": 1}),
    "unformattable": (("{missing} https://u:p@h",), {"x": 1}),
}


@pytest.mark.parametrize(("args", "kwargs"), CLEAN.values(), ids=CLEAN.keys())
def test_clean_calls_go_the_plain_way(family: Redacting, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """
    A name or type that is new goes to Python, which judges it; from then on such calls stay in the core.
    """
    ways = [family.way(lambda: family.log.info(*args, **kwargs)) for _ in range(3)]

    assert ways[1:] == ["plain", "plain"]


@pytest.mark.parametrize(("args", "kwargs"), HIDING.values(), ids=HIDING.keys())
def test_calls_with_secrets_go_to_python(family: Redacting, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """
    Always: nothing of them is stored or delivered by the core.
    """
    assert {family.way(lambda: family.log.info(*args, **kwargs)) for _ in range(3)} == {"python"}


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        ["https://", "u:p@h", "/?", "token=", "it's", "'", "a", "https://u:p@h", "?sig=1&", "eyJhbGciOi.a.b"]
    ),
    st.sampled_from([b"x", b"/?sig=1", Decimal(1), ValueError("https://u:p@h"), URL("https://u:p@h"), Text("?sig=1")]),
)
keys = st.sampled_from(["a", "user", "password", "api_key", "query", "tokens", 1, b"cookie", "https://u:p@h"])
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=6,
)
templates = st.lists(
    st.sampled_from(["{}", "{user}", "{a}", "https://", ":", "@h", "/?token=", "'", " ", "?", "{!r}", "{a:.3}"]),
    max_size=6,
).map("".join)
names = st.sampled_from(["a", "user", "password", "query", "order", "sig"])
SETTINGS = [None, ["value:*"], ["order", "!password"], False]


@many
@given(
    templates,
    st.lists(values, max_size=3),
    st.dictionaries(names, values, max_size=3),
    st.dictionaries(names, values, max_size=2),
    st.sampled_from(SETTINGS),
    st.sampled_from(list(WAYS.values())),
)
def test_core_is_never_less_strict_than_python(
    template: str,
    args: list[Any],
    kwargs: dict[str, Any],
    bound: dict[str, Any],
    setting: object,
    way: dict[str, bool],
) -> None:
    """
    Whatever is passed, bound and asked for: what stays in the core is what Python would have left as it is.
    """
    family = Redacting(setting, **way)
    log = LoggerBase(family.dispatcher, AttrSet(bound))

    ways = [family.way(lambda: log.info(template, *args, **kwargs)) for _ in range(3)]

    if "plain" in ways and (args or kwargs):
        assert family.is_clean(log, template, tuple(args), kwargs)
    if "plain" in ways:
        assert family.policy.values(bound) is bound
        assert family.policy.text(template) is template or args or kwargs


@pytest.mark.parametrize("where", ["bound", "context", "extra"])
@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"user": 1, "name": "x"}, "plain"),
        ({"user": [1]}, "plain"),
        ({"user": 1, "password": "x"}, "python"),
        ({"user": [{"password": "x"}]}, "python"),
        ({"url": "https://u:p@h"}, "python"),
        ({"error": ValueError("https://u:p@h")}, "python"),
        ({"query_string": "token=1"}, "python"),
    ],
)
def test_what_surrounds_a_call(family: Redacting, where: str, values: dict[str, Any], expected: str) -> None:
    """
    Bound, contextualized and configured values count as the call's own.
    """
    attributes = AttrSet(values)
    log = LoggerBase(family.dispatcher, attributes if where == "bound" else None)
    if where == "context":
        family.context.set(attributes)
    if where == "extra":
        family.extra = attributes
        family.dispatcher.set_extra(attributes)

    assert [family.way(lambda: log.info("x")) for _ in range(3)][1:] == [expected] * 2


def test_bound_container_is_looked_at_again(family: Redacting) -> None:
    """
    A value that can change is judged at each call.
    """
    state: dict[str, Any] = {"user": 1}
    log = LoggerBase(family.dispatcher, AttrSet({"state": state}))
    before = [family.way(lambda: log.info("x")) for _ in range(3)]

    state["token"] = "x"

    assert before[1:] == ["plain"] * 2
    assert family.way(lambda: log.info("x")) == "python"


def test_policy_may_change(family: Redacting) -> None:
    """
    What another policy has judged of a call site or of bound values is judged again.
    """
    log = LoggerBase(family.dispatcher, AttrSet({"order": 1}))
    ways = []
    for setting in (None, "order", False, ["!*"], None):
        family.use(setting)
        ways.append([family.way(lambda: log.info("{password} {iban}", password=1, iban=2)) for _ in range(3)][1:])
        ways.append([family.way(lambda: log.info("x")) for _ in range(3)][1:])

    python, plain = ["python"] * 2, ["plain"] * 2
    assert ways == [python, plain, python, python, plain, plain, plain, plain, python, plain]


def test_detectors_look_at_each_argument(family: Redacting) -> None:
    """
    A value that its neighbours in the message disguise is found where it stands alone.
    """
    family.use("value:card")

    ways = [family.way(lambda: family.log.info("no{}x", "4111111111111111")) for _ in range(2)]

    assert ways == ["python"] * 2


def test_container_without_end(family: Redacting) -> None:
    """
    Cycles, and a container that is found on 2^60 ways, are Python's.
    """
    loop: list[Any] = []
    loop.append(loop)
    many_ways: list[Any] = []
    for _ in range(12):
        many_ways = [many_ways] * 12

    assert family.way(lambda: family.log.info("x", loop)) == "python"
    assert family.way(lambda: family.log.info("x", many_ways)) == "python"


class InterruptingError(ValueError):
    def __str__(self) -> str:
        raise KeyboardInterrupt


def test_interrupt_is_not_lost(family: Redacting) -> None:
    """
    Ctrl-C while the text of an exception is made reaches the program.
    """
    family.policy.is_secret("error")

    with pytest.raises(KeyboardInterrupt):
        family.log.info("x", error=InterruptingError())


@pytest.mark.parametrize("arguments", [(), (None,), ({}, "1"), ([], 0), ({}, 0, 0)])
def test_wrong_settings_are_refused(family: Redacting, arguments: tuple[object, ...]) -> None:
    """
    set_redaction takes a dict or None, and a number.
    """
    with pytest.raises(TypeError):
        family.core.set_redaction(*arguments)  # type: ignore[arg-type]  # the mistake


def test_nothing_is_kept(family: Redacting) -> None:
    """
    Policies, and the values that they look at, are given back.
    """
    value, key, error = "".join(("va", "lue")), "".join(("na", "me")), ValueError("x")
    nested = {"a": [value, {key: (value,)}]}
    kinds = family.policy._kinds
    counted = [value, key, error, nested, kinds, Decimal, ValueError]

    def run(rounds: int) -> None:
        for _ in range(rounds):
            family.core.set_redaction(kinds, 0)
            family.log.info("{}", nested, key=value, error=error, d=Decimal(1))
            family.log.info("{}", error, password=value)
            family.log.info(value)
            family.calls.clear()
            family.events.clear()
            family.take()

    run(500)
    gc.collect()
    before = [sys.getrefcount(each) for each in counted]

    run(2000)

    gc.collect()
    assert max(abs(a - b) for a, b in zip([sys.getrefcount(each) for each in counted], before, strict=True)) < 100


def test_core_and_policy_are_freed_together() -> None:
    """
    A policy that leads back to its core keeps neither alive.
    """
    family = Family()
    kinds: dict[Any, int] = {}
    family.core.set_redaction(kinds, 0)
    kinds[type("Own", (), {"core": family.core})] = 0
    before = sys.getrefcount(None)
    del family, kinds

    gc.collect()

    assert sys.getrefcount(None) <= before + 100


def test_dispatchers_share_the_policy() -> None:
    """
    A copy of a logger has another dispatcher, and the same policy.
    """
    family = Redacting()
    calls: list[Any] = []
    other = Dispatcher(family.core, lambda *arguments: calls.append(arguments), family.events.append)
    other.set_levels(LEVELS)
    other.set_sink_level(0)

    LoggerBase(other).info("x", password=1)

    assert len(calls) == 1
    assert family.events == []

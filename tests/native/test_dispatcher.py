"""Dispatcher: which calls do anything, and which way they go."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

from otelbridge._native import AttrSet, Dispatcher, LoggerBase
from tests.native.families import LEVELS, Family
from tests.native.oracle import Text, attributes_of, parse

OFF = 2**63 - 1


def test_threshold_is_the_lower_of_otlp_and_sinks() -> None:
    """
    Dispatchers of one core follow its level, each with its own sinks'.
    """
    one = Family(sink_level=None)
    other = Family(one.core, sink_level=30)
    assert (one.dispatcher.threshold, other.dispatcher.threshold) == (OFF, 30)

    one.encode(20)
    assert (one.dispatcher.threshold, other.dispatcher.threshold) == (20, 20)
    one.core.set_export("off", 0, 1)
    other.dispatcher.set_sink_level(40)
    assert (one.dispatcher.threshold, other.dispatcher.threshold) == (OFF, 40)


def test_plain_call_becomes_one_event_and_one_record() -> None:
    """
    Sinks get an event, OTLP its record, of the same call; below either's level only the other is served.
    """
    family = Family(sink_level=20)
    family.encode(10)

    family.log.debug("debug")
    family.log.info("text {} {name}", 1, name="n")
    family.core.set_export("on", 50, 1 << 20)
    family.log.success("not for OTLP")

    assert [event.message for event in family.events] == ["text 1 n", "not for OTLP"]
    assert [event.level for event in family.events] == [LEVELS[2], LEVELS[3]]
    assert family.calls == []
    bodies = [parse(record).body.string_value for record in family.take()]
    assert bodies == ["debug", "text 1 n"]


@pytest.mark.parametrize("encode", [False, True])
@pytest.mark.parametrize(
    ("message", "args", "kwargs"),
    [
        (5, (), {}),
        (Text("subclass"), (), {}),
        ("{}", ("a\nb",), {}),
        ("{}\n{}", ("a\rb", "c"), {}),
        ("{x}", (), {"x": "a\u2028b"}),
        ("{}", ("\udcff",), {}),
        ("{:>4}\n", ("a",), {}),
    ],
)
def test_what_only_python_can_show_goes_its_way(encode: bool, message: Any, args: Any, kwargs: Any) -> None:
    """
    Messages that are no plain str, and line breaks or surrogates from arguments: one call of dispatch, nothing stored.
    """
    family = Family()
    if encode:
        family.encode()

    family.log.warning(message, *args, **kwargs)

    assert family.calls == [(family.log, "WARNING", message, args, kwargs, False)]
    assert (family.events, family.take()) == ([], [])


@pytest.mark.parametrize("message", ["two\nlines {}", "{}\r\n{}", "\u2028{x}", "x\u2029y"])
def test_own_line_breaks_of_a_template_are_plain(message: str) -> None:
    """
    Line breaks that stand in the template are its author's.
    """
    family = Family()

    family.log.info(message, 1, "é", x=2)

    (event,) = family.events
    assert event.message == event.shown == message.format(1, "é", x=2)


@pytest.mark.parametrize("encode", [False, True])
@pytest.mark.parametrize("message", ["{missing}", "{} {}", "{!x}", "{", "{0.nope}"])
def test_template_that_cannot_be_filled_is_shown_as_it_is(encode: bool, message: str) -> None:
    """
    A mistake in a template is no reason to lose the record, or to try again; with format_raises it is raised.
    """
    family = Family()
    if encode:
        family.encode()

    family.log.info(message, 1)
    (event,) = family.events
    assert event.message == message
    assert [parse(record).body.string_value for record in family.take()] == [message] * encode

    family.core.set_format_raises(True)
    with pytest.raises((KeyError, IndexError, ValueError, AttributeError)):
        family.log.info(message, 1)
    assert (len(family.events), family.calls, family.take()) == (1, [], [])


@pytest.mark.parametrize("encode", [False, True])
def test_arguments_are_formatted_once(encode: bool) -> None:
    """
    A plain call formats each argument once, also one that raises.
    """
    asked: list[str] = []

    class Asked:
        def __format__(self, spec: str) -> str:
            asked.append(spec)
            if len(asked) > 1:
                raise ValueError(spec)
            return "shown"

    family = Family()
    if encode:
        family.encode()

    family.log.info("{}", Asked())
    family.log.info("{}", Asked())

    assert len(asked) == 2
    assert [event.message for event in family.events] == ["shown", "{}"]


def test_interrupt_in_an_argument_is_raised_after_the_event() -> None:
    """
    Ctrl-C while an argument is formatted: the event is out, and the interrupt goes on.
    """

    class Interrupted:
        def __format__(self, spec: str) -> str:
            raise KeyboardInterrupt

    for encode in (False, True):
        family = Family()
        if encode:
            family.encode()
        with pytest.raises(KeyboardInterrupt):
            family.log.info("{}", Interrupted())
        assert [event.message for event in family.events] == ["{}"]
        assert len(family.take()) == encode


@pytest.mark.covers("1.18")
@pytest.mark.parametrize("encode", [False, True])
def test_inner_attributes_win(encode: bool) -> None:
    """
    configure(extra=…) < contextualize < bind < keywords, in sinks and OTLP alike, in this order.
    """
    family = Family()
    if encode:
        family.encode()
    family.dispatcher.set_extra(AttrSet({"a": 1, "e": [1], "b": 1, "c": 1, "d": 1}))
    family.context.set(AttrSet({"b": 2, "c": 2, "d": 2}))
    log = LoggerBase(family.dispatcher, AttrSet({"c": 3, "d": 3}))

    log.info("text", d=4)
    LoggerBase(family.dispatcher).info("text")

    first, second = family.events
    assert list(first.extra.items()) == [("a", 1), ("e", [1]), ("b", 2), ("c", 3), ("d", 4)]
    assert list(second.extra.items()) == [("a", 1), ("e", [1]), ("b", 2), ("c", 2), ("d", 2)]
    for record, event in zip(family.take(), family.events, strict=False):
        found = attributes_of(parse(record))
        assert [(name, found[name]) for name in found if len(name) == 1] == list(event.extra.items())
    family.dispatcher.set_extra(None)
    family.log.info("text")
    assert list(family.events[-1].extra) == ["b", "c", "d"]


def test_extra_of_an_event_is_its_own() -> None:
    """
    A sink that changes an event's extra changes no other event, and no logger.
    """
    family = Family()
    family.dispatcher.set_extra(AttrSet({"a": 1}))

    family.log.info("text")
    family.events[0].extra["b"] = 2
    family.log.info("text")

    assert family.events[1].extra == {"a": 1}


@pytest.mark.covers("1.25")
def test_disabled_modules_say_nothing() -> None:
    """
    The caller's module is looked up in the cache, then decided; what is off reaches neither sinks nor OTLP, any way.
    """
    family = Family()
    family.encode()
    cache: dict[str | None, bool] = {"off": False, "on": True}
    asked: list[str | None] = []

    def decide(name: str | None) -> bool:
        asked.append(name)
        cache[name] = name != "new.off"
        return cache[name]

    family.dispatcher.set_activation(cache, decide)

    def call(name: object) -> int:
        before = len(family.events) + len(family.calls)
        code = "log.info('text {}', 1); log.log('INFO', 'text'); log.exception('text')"
        exec(code, {"__name__": name, "log": family.log} if name is not None else {"log": family.log, "__name__": 5})
        return len(family.events) + len(family.calls) - before

    assert [call(name) for name in ("off", "on", "new.off", "new.on", "new.off", None)] == [0, 3, 0, 3, 0, 3]
    assert asked == ["new.off", "new.on", None]
    family.dispatcher.set_activation(None, decide)
    assert call("off") == 3


def test_unnamed_level_of_a_disabled_module_is_dispatched() -> None:
    """
    A level that the core does not know goes to Python whatever the module: if it is a mistake, it is one there, too.
    """
    family = Family()
    family.dispatcher.set_activation({__name__: False}, lambda name: False)

    family.log.log(33, "text")

    assert [call[1] for call in family.calls] == [33]
    assert family.events == []


def test_error_of_decide_is_raised() -> None:
    """
    What `decide` raises, the call raises.
    """
    family = Family()
    family.dispatcher.set_activation({}, lambda name: bool(1 // 0))

    with pytest.raises(ZeroDivisionError):
        family.log.info("text")
    assert family.events == []


def test_python_way_takes_every_call() -> None:
    """
    With set_python_way every enabled call goes to dispatch whole, others end as soon as ever.
    """
    family = Family(sink_level=20)
    family.encode(20)
    family.dispatcher.set_python_way(True)

    family.log.debug("text")
    family.log.info("text {}", 1, x=2)
    assert family.calls == [(family.log, "INFO", "text {}", (1,), {"x": 2}, False)]
    assert (family.events, family.take()) == ([], [])

    family.dispatcher.set_python_way(False)
    family.log.info("text")
    assert len(family.events) == 1


def test_error_of_deliver_is_raised_when_the_record_is_out() -> None:
    """
    A sink that may raise raises from the call; OTLP has its record already.
    """
    family = Family()
    family.encode()

    def fail(event: Any) -> None:
        raise OSError(event.message)

    failing = Dispatcher(family.core, print, fail)
    failing.set_sink_level(0)

    with pytest.raises(OSError, match="text 1"):
        LoggerBase(failing).info("text {}", 1)
    assert len(family.take()) == 1


def test_record_too_large_for_otlp_still_reaches_sinks() -> None:
    """
    A record that outgrows OTLP is counted as dropped; the event is whole. A message that does goes to Python.
    """
    family = Family()
    family.encode()

    family.log.info("text", **{f"k{i}": "x" * 1_000_000 for i in range(5)})
    family.log.info("{}", "y" * 4_000_000)

    (event,) = family.events
    assert len(event.extra) == 5
    assert len(family.calls) == 1


def test_shutdown_counts_and_sinks_go_on() -> None:
    """
    After shutdown a record is counted as dropped for OTLP; sinks get theirs.
    """
    family = Family()
    family.core.set_export("shutdown", 20, 0)

    family.log.debug("text")
    family.log.info("text")

    assert len(family.events) == 2
    assert (family.core.counters()[0], family.core.counters()[6]) == (1, 1)


@pytest.mark.parametrize("which", ["format", "str"])
def test_settings_may_change_while_a_call_is_under_way(which: str) -> None:
    """
    An argument that replaces the dispatcher's settings while it is encoded breaks nothing.
    """
    family = Family()
    family.encode()
    family.dispatcher.set_extra(AttrSet({"old": ["x" * 100]}))

    class Meddles:
        def meddle(self) -> str:
            family.dispatcher.set_extra(None)
            family.dispatcher.set_levels(tuple(LEVELS[::-1]))
            family.dispatcher.set_activation({}, lambda _: True)
            gc.collect()
            return "done"

        def __format__(self, spec: str) -> str:
            return self.meddle() if which == "format" else ""

        def __str__(self) -> str:
            return self.meddle() if which == "str" else ""

    for _ in range(3):
        family.log.info("{}", Meddles(), value=Meddles())
        family.dispatcher.set_extra(AttrSet({"old": ["x" * 100]}))

    assert len(family.events) == 3


@pytest.mark.parametrize(
    "arguments", [(), ("core",), ("core", print), (None, print, print), ("core", 5, print), ("core", print, 5)]
)
def test_wrong_dispatcher_raises(arguments: tuple[Any, ...]) -> None:
    """
    A dispatcher takes a core and two callables.
    """
    core = Family().core

    with pytest.raises(TypeError):
        Dispatcher(*[core if each == "core" else each for each in arguments])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("set_levels", ((),)),
        ("set_levels", (list(LEVELS),)),
        ("set_extra", ({},)),
        ("set_activation", ({},)),
        ("set_activation", ([], print)),
        ("set_activation", ({}, 5)),
        ("set_sink_level", ("20",)),
    ],
)
def test_wrong_settings_raise(method: str, arguments: tuple[Any, ...]) -> None:
    """
    A setting of the wrong kind is a TypeError, and changes nothing.
    """
    family = Family()

    with pytest.raises(TypeError):
        getattr(family.dispatcher, method)(*arguments)
    family.log.info("text")
    assert len(family.events) == 1


def test_subclass_has_attributes_and_is_garbage_like_others() -> None:
    """
    A dispatcher of a class of one's own, in a cycle with its callbacks, dies with them; its core goes on.
    """

    class Own(Dispatcher):
        pass

    family = Family()
    family.encode()
    gone: list[weakref.ref[Own]] = []
    for _ in range(20):
        own = Own(family.core, print, print)
        own.set_levels(tuple((name, 5, own) for name in "abcdefg"))  # type: ignore[misc]
        own.set_extra(AttrSet({"own": own}))
        own.set_activation({}, lambda _, own=own: bool(own))  # type: ignore[misc]
        own.log = LoggerBase(own)  # type: ignore[attr-defined]
        gone.append(weakref.ref(own))
    del own
    gc.collect()

    assert [each() for each in gone] == [None] * 20
    family.core.set_export("on", 5, 1 << 20)
    assert family.dispatcher.threshold == 0
    family.log.info("text")
    assert len(family.events) == 1


def test_logger_that_outlives_its_dispatchers_callbacks_is_silent() -> None:
    """
    A destructor that logs while its family is being collected does no harm.
    """
    said: list[str] = []

    class Last:
        def __init__(self) -> None:
            self.family = Family()
            self.log = LoggerBase(self.family.dispatcher, AttrSet({"last": self}))

        def __del__(self) -> None:
            self.log.info("last words")
            said.append("said")

    for _ in range(10):
        Last()
    gc.collect()

    assert said == ["said"] * 10

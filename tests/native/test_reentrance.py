"""User code that runs inside a log call: it logs, it changes what is being encoded, it lets other threads run."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from otelbridge._native import Dispatcher, Event, LoggerBase
from otelbridge.text.layout import compile_layout
from tests.native.conftest import Exporting
from tests.native.families import LEVELS, Family
from tests.native.oracle import attributes_of, parse


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def in_threads(count: int, work: Any) -> None:
    """Run `work(number)` in so many threads, and raise what it raises."""
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(n,), name=f"worker-{n}" + "x" * n) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]


@pytest.mark.usefixtures("restless")
def test_threads_that_log_from_inside_arguments(exporting: Exporting) -> None:
    """
    8 threads whose arguments log while they are formatted and encoded: every record is there, whole, once, and none has
    another's values.
    """
    log = exporting.logger

    class Talks:
        def __init__(self, number: int) -> None:
            self.number = number

        def __format__(self, spec: str) -> str:
            log.info("format {}", self.number, who=self.number)
            return str(self.number)

        def __str__(self) -> str:
            log.bind(b=[1]).info("str {}", self.number, who=self.number)
            return str(self.number)

    calls = 300

    def work(number: int) -> None:
        with log.contextualize(context=number):
            for _ in range(calls):
                log.info("outer {}", Talks(number), who=Talks(number))

    in_threads(8, work)

    records = [parse(record) for record in exporting.take()]
    # each outer call: one `format`, one `str` for the value, one `str` for message.args
    assert len(records) == 8 * calls * 4
    for record in records:
        number = record.body.string_value.split()[1]
        attributes = attributes_of(record)
        assert str(attributes["who"]) == number
        assert str(attributes["context"]) == number
        assert attributes["thread.name"] == f"worker-{number}" + "x" * int(number)


@pytest.mark.usefixtures("restless")
def test_threads_take_while_others_log(exporting: Exporting) -> None:
    """
    With one thread taking and six logging, each record is taken once.
    """
    taken: list[bytes] = []
    done = threading.Event()

    def take() -> None:
        while not done.is_set():
            taken.extend(exporting.take())

    taker = threading.Thread(target=take)
    taker.start()

    def work(number: int) -> None:
        for i in range(400):
            exporting.logger.info("{}", (number, i), pad="x" * i)

    in_threads(6, work)
    done.set()
    taker.join(30)
    taken.extend(exporting.take())

    texts = [parse(record).body.string_value for record in taken]
    assert sorted(texts) == sorted(str((number, i)) for number in range(6) for i in range(400))


def test_thread_is_the_callers_whatever_others_do(exporting: Exporting) -> None:
    """
    While an argument is encoded, many other threads log; the record still names its own thread.
    """

    class Starts:
        def __format__(self, spec: str) -> str:
            return "text"

        def __str__(self) -> str:
            in_threads(40, lambda number: exporting.logger.info("inner", big="y" * 50))
            return "shown"

    for log in (exporting.logger, exporting.logger.opt(depth=0), exporting.logger.bind(a=[1])):
        log.info("outer {}", Starts())

    records = [parse(record) for record in exporting.take()]
    outer = [attributes_of(record) for record in records if record.body.string_value.startswith("outer")]
    assert [(a["thread.name"], a["thread.id"]) for a in outer] == [
        (threading.current_thread().name, threading.get_ident())
    ] * 3
    assert len(records) == 3 + 3 * 40


def test_container_changed_by_its_own_items(exporting: Exporting) -> None:
    """
    Lists and dicts that their items' `__str__` empties, grows or refills are read without a crash.
    """
    for change in ("clear", "grow", "refill", "pop"):
        values: list[Any] = []
        mapping: dict[Any, Any] = {}

        class Changes:
            def __init__(self, what: str, values: list[Any], mapping: dict[Any, Any]) -> None:
                self.what, self.values, self.mapping = what, values, mapping

            def __hash__(self) -> int:
                return 1

            def __str__(self) -> str:
                if self.what in ("clear", "refill"):
                    self.values.clear()
                    self.mapping.clear()
                if self.what in ("grow", "refill") and len(self.values) < 500:
                    self.values.extend("x" * 100 for _ in range(50))
                    self.mapping.update({f"new{len(self.mapping)}{i}": [object()] for i in range(50)})
                if self.what == "pop" and self.values:
                    self.values.pop(0)
                    self.mapping.popitem()
                return "shown"

        def fill(change: str, values: list[Any], mapping: dict[Any, Any], kind: Any) -> None:
            values[:] = [kind(change, values, mapping) for _ in range(20)]
            mapping.update({f"k{i}": kind(change, values, mapping) for i in range(20)})
            mapping[kind(change, values, mapping)] = kind(change, values, mapping)

        for log in (exporting.logger, exporting.logger.opt(depth=0), exporting.logger.bind(b=values, m=mapping)):
            fill(change, values, mapping, Changes)
            log.info("text", values=values, mapping=mapping, both=(values, mapping), last=1)
            fill(change, values, mapping, Changes)
            log.info("{} {}", values, mapping)

    records = [parse(record) for record in exporting.take()]
    assert len(records) == 4 * 3 * 2
    assert sum(attributes_of(record).get("last") == 1 for record in records) == 12


def test_containers_of_somebody_elses_making(exporting: Exporting) -> None:
    """
    Sequences and mappings that lie about their length, raise, or never end become something.
    """
    from collections.abc import Mapping, Sequence

    class Endless(Sequence[int]):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: Any) -> Any:
            return index

    class Broken(Mapping[str, int]):
        def __len__(self) -> int:
            return -1

        def __iter__(self) -> Iterator[str]:
            yield "a"
            raise RuntimeError("broken")

        def __getitem__(self, key: str) -> int:
            raise KeyError(key)

    class Liar:
        def __getattribute__(self, name: str) -> Any:  # isinstance asks for __class__
            raise RuntimeError("nothing")

    class Number:
        def __index__(self) -> int:
            raise RuntimeError("no number")

    values = {"endless": Endless(), "broken": Broken(), "liar": Liar(), "number": Number(), "last": 1}
    for log in (exporting.logger, exporting.logger.opt(depth=0)):
        log.info("text", **values)
        log.bind(**values).info("text")
        log.info("{} {!r}", Broken(), Liar())

    records = [parse(record) for record in exporting.take()]
    assert len(records) == 6
    for record in records:
        if record.body.string_value == "text":
            assert attributes_of(record)["last"] == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("place", ["value", "list", "dict", "key", "argument", "bound", "context"])
def test_interrupt_while_a_value_is_encoded(exporting: Exporting, error: type[BaseException], place: str) -> None:
    """
    Ctrl-C inside any `__str__` reaches the program once, and the record is there with the values that are not to blame.
    """

    class Interrupts:
        def __str__(self) -> str:
            raise error("stop")

        def __format__(self, spec: str) -> str:
            return "formatted"

    log, value = exporting.logger, Interrupts()

    def call() -> None:
        match place:
            case "value":
                log.info("text", value=value, last=1)
            case "list":
                log.info("text", value=[1, value, 2], last=1)
            case "dict":
                log.info("text", value={"a": value}, last=1)
            case "key":
                log.info("text", value={value: 1}, last=1)
            case "argument":
                log.info("{}", value, last=1)
            case "bound":
                log.bind(value=value).info("text", last=1)
            case _:
                with log.contextualize(value=value):
                    log.info("text", last=1)

    with pytest.raises(error):
        call()
    log.info("after")

    record, after = (parse(data) for data in exporting.take())
    assert attributes_of(record)["last"] == 1
    assert after.body.string_value == "after"


@pytest.mark.usefixtures("restless")
def test_threads_whose_arguments_and_sinks_log() -> None:
    """
    8 threads whose arguments and sinks log while calls are under way: each event has its own call's values, and each
    is rendered whole.
    """
    layout = compile_layout("{message} {thread.name} {extra}", sanitize=True)
    assert layout is not None
    lines: list[tuple[Event, str]] = []

    def deliver(event: Event) -> None:
        if event.level.name == "INFO":
            log.debug("sink of {}", event.message, who=event.extra["who"])
        text = layout.render(event, "")
        assert text is not None
        lines.append((event, text))

    family = Family()
    family.encode()
    dispatcher = Dispatcher(family.core, print, deliver)
    dispatcher.set_levels(LEVELS)
    dispatcher.set_sink_level(0)
    log = LoggerBase(dispatcher)

    class Talks:
        def __init__(self, number: int) -> None:
            self.number = number

        def __format__(self, spec: str) -> str:
            log.trace("format {}", self.number, who=self.number)
            return str(self.number)

        def __repr__(self) -> str:
            return str(self.number)

    def work(number: int) -> None:
        for _ in range(300):
            log.info("call {}", Talks(number), who=Talks(number))

    in_threads(8, work)

    assert len(lines) == 8 * 300 * 3
    assert len(family.take()) == len(lines)
    for event, text in lines:
        number = str(event.extra["who"])
        assert event.message.split()[-1] == number
        assert event.thread_name.startswith(f"worker-{number}")
        assert text == f"{event.message} {event.thread_name} {event.extra}"

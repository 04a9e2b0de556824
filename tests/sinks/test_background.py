"""The queue of `enqueue=True`: nothing is lost, nothing waits for ever, and children's messages are the parent's."""

from __future__ import annotations

import ctypes
import gc
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import loguru
import pytest

from otelbridge.message import Message, make_message
from otelbridge.record import RecordException
from otelbridge.sinks import background as module
from otelbridge.sinks.background import Background, check_context
from otelbridge.sinks.travel import decode, encode

pytestmark = [
    # Python 3.12 and later warn of each fork in a program with threads, which is what is tested here.
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
    pytest.mark.covers("1.16"),
]
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def message(text: str, **extra: Any) -> Message:
    """A message about a record with nothing but text and extra."""
    return make_message(text, {"message": text, "extra": extra, "exception": None})  # type: ignore[arg-type]


class Kept:
    """A sink that keeps what it is given, and the errors told of it."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.errors: list[tuple[Message | None, BaseException | None]] = []
        self.background: Background | None = None

    def __call__(self, given: Message) -> None:
        self.messages.append(given)

    def on_error(self, given: Message | None) -> None:
        self.errors.append((given, sys.exc_info()[1]))

    @property
    def texts(self) -> list[str]:
        return [str(each) for each in self.messages]


Make = Callable[..., Background]


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def make(kept: Kept) -> Iterator[Make]:
    """Makes Backgrounds that end with the test."""
    made: list[Background] = []

    def factory(sink: Callable[[Message], object] | None = None, **options: Any) -> Background:
        background = Background(sink or kept, **{"on_error": kept.on_error, **options})
        made.append(background)
        return background

    yield factory
    for background in made:
        assert background.stop(stuck_s=30)


def fork(*backgrounds: Background, child: Callable[[], object]) -> int:
    """Run `child` in a forked process, as the logger's hooks have it; its number."""
    for background in backgrounds:
        background.before_fork()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            for background in backgrounds:
                background.after_fork_child()
            child()
            status = 0
        finally:
            os._exit(status)
    for background in backgrounds:
        background.after_fork_parent()
    return pid


def ends_well(pid: int) -> bool:
    return os.waitpid(pid, 0)[1] == 0


# ------------------------------------------------------------------------------------------------- in one process


def test_order_and_thread(make: Make, kept: Kept) -> None:
    """
    Messages are written in the order of their calls, all by one thread that is not the caller's.
    """
    threads: set[int] = set()

    def sink(given: Message) -> None:
        threads.add(threading.get_ident())
        kept(given)

    background = make(sink)
    for number in range(1000):
        background.put(message(str(number)))
    background.complete()

    assert kept.texts == [str(number) for number in range(1000)]
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_objects_are_handed_over_as_they_are(make: Make, kept: Kept) -> None:
    """
    Within a process nothing is pickled: a sink sees the very objects that were logged.
    """
    unpicklable = lambda: None  # noqa: E731
    given = message("x", value=unpicklable)
    background = make()

    background.put(given)
    background.complete()

    assert kept.messages[0] is given
    assert kept.messages[0].record["extra"]["value"] is unpicklable


def test_no_thread_without_messages(make: Make) -> None:
    """
    The thread is started by the first message; without one neither complete nor stop need it.
    """
    before = threading.active_count()
    background = make()

    background.complete()

    assert threading.active_count() == before


def test_threads_complete_for_themselves(make: Make, kept: Kept) -> None:
    """
    With threads logging and completing at the same time, each finds its own messages written, in its own order.
    """
    background = make(capacity=50)
    found: list[bool] = []

    def log(name: str) -> None:
        for turn in range(10):
            for number in range(20):
                background.put(message(f"{name} {turn * 20 + number}"))
            background.complete()
            own = [text for text in kept.texts if text.startswith(f"{name} ")]
            found.append(own == [f"{name} {number}" for number in range(turn * 20 + 20)])

    threads = [threading.Thread(target=log, args=(f"t{number}",)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [True] * 50


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
def test_worker_survives_its_sink(make: Make, kept: Kept, error: BaseException) -> None:
    """
    Whatever a sink raises is told with its message, and the next message is written.
    """

    def sink(given: Message) -> None:
        if given == "bad":
            raise error
        kept(given)

    background = make(sink)
    for text in ("one", "bad", "two"):
        background.put(message(text))
    background.complete()

    assert kept.texts == ["one", "two"]
    assert kept.errors == [("bad", error)]


def test_worker_survives_its_report(make: Make, kept: Kept) -> None:
    """
    A report that fails as well costs no other message.
    """

    def fail(given: Message | None) -> None:
        raise RuntimeError("no report")

    def sink(given: Message) -> None:
        kept(given)
        raise ValueError

    background = make(sink, on_error=fail)
    background.put(message("one"))
    background.put(message("two"))
    background.complete()

    assert kept.texts == ["one", "two"]


class Gate:
    """A sink that stays in its first write until it is opened."""

    def __init__(self, kept: Kept) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()
        self._kept = kept

    def __call__(self, given: Message) -> None:
        self.entered.set()
        assert self.opened.wait(60)
        self._kept(given)


def test_full_queue_blocks(make: Make, kept: Kept) -> None:
    """
    When `capacity` messages wait, the caller of one more goes on when there is room; nothing is lost.
    """
    gate = Gate(kept)
    background = make(gate, capacity=3)
    background.put(message("0"))
    assert gate.entered.wait(60)
    went_on: list[int] = []

    def log() -> None:
        for number in range(1, 7):
            background.put(message(str(number)))
            went_on.append(number)

    thread = threading.Thread(target=log)
    thread.start()
    thread.join(0.2)
    blocked_at = list(went_on)
    gate.opened.set()
    thread.join()
    background.complete()

    assert blocked_at == [1, 2, 3]
    assert kept.texts == [str(number) for number in range(7)]
    assert background.dropped == 0


def test_full_queue_drops_on_demand(make: Make, kept: Kept) -> None:
    """
    With overflow="drop" a message that finds the queue full is counted, and its caller does not wait.
    """
    gate = Gate(kept)
    background = make(gate, capacity=3, overflow="drop")
    background.put(message("0"))
    assert gate.entered.wait(60)

    for number in range(1, 7):
        background.put(message(str(number)))
    gate.opened.set()
    background.complete()

    assert kept.texts == ["0", "1", "2", "3"]
    assert background.dropped == 3


def test_caller_that_holds_what_the_sink_needs(make: Make, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A caller whom the sink waits for does not wait for the sink for ever, and its message is not lost.
    """
    monkeypatch.setattr(module, "_STUCK_S", 0.05)
    lock = threading.Lock()

    def sink(given: Message) -> None:
        with lock:
            kept(given)

    background = make(sink, capacity=1)
    with lock:
        for number in range(4):
            background.put(message(str(number)))
    background.complete()

    assert kept.texts == ["0", "1", "2", "3"]


def test_sink_that_logs(make: Make, kept: Kept) -> None:
    """
    A sink may put messages and complete, also when the queue is full.
    """

    def sink(given: Message) -> None:
        kept(given)
        if len(kept.messages) < 50:
            for _ in range(3):
                background.put(message(f"after {given}"))
            background.complete()

    background = make(sink, capacity=1)
    background.put(message("first"))
    background.complete()
    background.stop()

    assert len(kept.messages) == 1 + 3 * 49


def test_sink_that_stops_itself(make: Make, kept: Kept) -> None:
    """
    A sink may stop its own queue: what waits is written, and only then the sink is told to stop.
    """
    order: list[str] = []
    gate = threading.Event()
    done = threading.Event()

    def stopped() -> None:
        order.append("stopped")
        done.set()

    def sink(given: Message) -> None:
        assert gate.wait(60)
        if given == "0":
            background.stop(then=stopped)
        order.append(str(given))

    background = make(sink)
    for number in range(3):
        background.put(message(str(number)))
    gate.set()
    assert done.wait(60)

    assert order == ["0", "1", "2", "stopped"]


def test_stop_drains_and_ends_the_thread(make: Make, kept: Kept) -> None:
    """
    stop() returns when all is written and the thread has ended, having called `then` last; later messages are dropped.
    """
    before = threading.active_count()
    background = make()
    for number in range(100):
        background.put(message(str(number)))

    assert background.stop(then=lambda: kept(message("then")))
    background.put(message("late"))
    background.complete()

    assert kept.texts == [*(str(number) for number in range(100)), "then"]
    assert threading.active_count() == before
    assert background.dropped == 1


def test_stop_raises_what_the_sink_raises(make: Make) -> None:
    """
    An error of `then` is the caller's, as an error of a sink's stop is with logger.remove().
    """
    background = make()
    background.put(message("x"))

    def fail() -> None:
        raise ValueError("no stop")

    with pytest.raises(ValueError, match="no stop"):
        background.stop(then=fail)


def test_stop_gives_up_on_a_stuck_sink(make: Make, kept: Kept) -> None:
    """
    With stuck_s, stop returns False when the sink has finished nothing for that long; without, it waits.
    """
    gate = Gate(kept)
    background = make(gate)
    background.put(message("x"))
    assert gate.entered.wait(60)

    gave_up = background.stop(stuck_s=0.05)
    gate.opened.set()

    assert gave_up is False


def test_signal_handlers(make: Make, kept: Kept) -> None:
    """
    Handlers of signals that arrive at any moment of a call log without loss and without deadlock.
    """
    if not hasattr(signal, "setitimer"):
        pytest.skip("this system has no timer signals")
    background = make(capacity=100)
    interrupts: list[int] = []

    def handle(*_: object) -> None:
        interrupts.append(1)
        background.put(message("signal"))

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
    try:
        count = 0
        while len(interrupts) < 100:
            background.put(message("plain"))
            count += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    background.complete()

    assert kept.texts.count("plain") == count
    assert kept.texts.count("signal") == len(interrupts)


def test_destructors(make: Make, kept: Kept) -> None:
    """
    Destructors that the garbage collector runs in the middle of calls log without loss and without deadlock.
    """
    background = make(capacity=10)

    class Dying:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            background.put(message("died"))

    thresholds = gc.get_threshold()
    gc.set_threshold(3, 2, 2)
    try:
        for _ in range(500):
            Dying()
            background.put(message("plain"))
    finally:
        gc.set_threshold(*thresholds)
    gc.collect()
    background.complete()

    assert kept.texts.count("plain") == 500
    assert kept.texts.count("died") == 500


def test_no_thread_can_be_started(make: Make, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    When the interpreter is ending and starts no thread any more, the caller writes itself.
    """

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    background = make()

    background.put(message("one"))
    background.put(message("two"))
    texts = kept.texts
    background.complete()

    assert texts == ["one", "two"]


def test_messages_of_the_very_end() -> None:
    """
    What is logged while the program ends, by its other exit functions too, is written by the exit function that stops.
    """
    program = """
import atexit, sys
from otelbridge.message import make_message
from otelbridge.sinks.background import Background
background = Background(lambda given: print(given), on_error=lambda given: None)
atexit.register(background.stop)
atexit.register(lambda: background.put(make_message("at exit", {})))
if sys.argv[1] == "before":
    background.put(make_message("before", {}))
"""
    for when, expected in (("before", "before\nat exit\n"), ("only", "at exit\n")):
        ended = subprocess.run(
            [sys.executable, "-c", program, when], capture_output=True, text=True, timeout=60, check=False
        )
        assert (ended.stdout, ended.stderr) == (expected, "")


def test_several_at_once(make: Make, kept: Kept) -> None:
    """
    Where a sink writes several messages at once, order and complete() are as ever, and a failure is told of each.
    """
    gate = Gate(kept)
    batches: list[list[str]] = []

    def write_many(messages: list[Message]) -> None:
        batches.append([str(each) for each in messages])
        if "bad" in batches[-1]:
            raise ValueError("no")
        kept.messages.extend(messages)

    background = make(gate, sink_write_many=write_many)
    background.put(message("first"))
    assert gate.entered.wait(60)
    for number in range(200):
        background.put(message(str(number)))
    gate.opened.set()
    background.complete()
    gate.opened.clear()
    gate.entered.clear()
    background.put(message("second"))
    assert gate.entered.wait(60)
    for text in ("good", "bad"):
        background.put(message(text))
    gate.opened.set()
    background.complete()

    assert kept.texts == ["first", *(str(number) for number in range(200)), "second"]
    assert max(len(batch) for batch in batches) > 1
    assert [str(each) for each, _ in kept.errors] == ["good", "bad"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"capacity": 0}, ValueError),
        ({"capacity": "many"}, ValueError),
        ({"overflow": "explode"}, ValueError),
        ({"context": "telepathy"}, ValueError),
        ({"context": 5}, TypeError),
    ],
)
def test_mistakes_are_told_at_once(options: dict[str, Any], error: type[Exception]) -> None:
    """
    An argument that cannot be is refused when the queue is made.
    """
    with pytest.raises(error):
        Background(print, on_error=print, **options)


CONTEXTS = [None, "fork", "spawn", "bogus", "", 5, True, b"fork", object(), multiprocessing]


@pytest.mark.parametrize("context", [*CONTEXTS, multiprocessing.get_context("spawn")])
@pytest.mark.covers("1.4")
def test_contexts_are_those_of_loguru(context: Any) -> None:
    """
    `context=` takes and refuses what loguru's does, with the same type of error.
    """

    def outcome(add: Callable[[], object]) -> type[BaseException] | None:
        try:
            add()
        except Exception as error:
            return type(error)
        return None

    def add_to_loguru() -> None:
        loguru.logger.remove(loguru.logger.add(print, context=context))

    assert outcome(lambda: check_context(context)) is outcome(add_to_loguru)


# ------------------------------------------------------------------------------------------------- forked children


@needs_fork
def test_forked_children_log_through_their_parent(make: Make, kept: Kept) -> None:
    """
    While threads of the parent log, 50 processes are forked; each one's messages arrive, in its order, none twice.
    """
    background = make()
    is_over = threading.Event()

    def log(name: str) -> None:
        number = 0
        while not is_over.is_set():
            background.put(message(f"{name} {number}"))
            number += 1
            is_over.wait(0.0005)

    threads = [threading.Thread(target=log, args=(f"thread{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()

    def child(name: str) -> None:
        for number in range(5):
            background.put(message(f"{name} {number}", pid=os.getpid()))
        background.complete()

    pids = [fork(background, child=partial(child, f"child{number}")) for number in range(50)]
    results = [ends_well(pid) for pid in pids]
    is_over.set()
    for thread in threads:
        thread.join()
    background.complete()

    assert all(results)
    for name in [f"child{number}" for number in range(50)]:
        assert [text for text in kept.texts if text.startswith(f"{name} ")] == [f"{name} {n}" for n in range(5)]
    for name in ("thread0", "thread1", "thread2"):
        own = [text for text in kept.texts if text.startswith(f"{name} ")]
        assert own == [f"{name} {number}" for number in range(len(own))]
    assert {each.record["extra"]["pid"] for each in kept.messages if each.startswith("child")} == set(pids)


@needs_fork
def test_children_of_children(make: Make, kept: Kept) -> None:
    """
    A grandchild's messages come to the process that added the sink, too.
    """
    background = make()

    def child() -> None:
        background.put(message("child"))
        assert ends_well(fork(background, child=lambda: background.put(message("grandchild"))))

    assert ends_well(fork(background, child=child))
    background.complete()

    assert kept.texts == ["child", "grandchild"]


@needs_fork
def test_large_messages_of_many_children_stay_whole(make: Make, kept: Kept) -> None:
    """
    Messages larger than what a pipe takes at once, from several threads of several children, arrive whole.
    """
    background = make(capacity=3)

    def child(letter: str) -> None:
        def log(size: int) -> None:
            for _ in range(5):
                background.put(message(letter * size))

        threads = [threading.Thread(target=log, args=(size,)) for size in (1, 5_000, 100_000)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    pids = [fork(background, child=partial(child, letter)) for letter in "abc"]
    results = [ends_well(pid) for pid in pids]
    background.complete()

    assert all(results)
    expected = [letter * size for letter in "abc" for size in (1, 5_000, 100_000) for _ in range(5)]
    assert sorted(kept.texts) == sorted(expected)


@needs_fork
def test_complete_in_children(make: Make, tmp_path: Path) -> None:
    """
    complete() in a child, a grandchild and threads of theirs returns when the sink has written what they had sent.
    """
    path = tmp_path / "log"

    def sink(given: Message) -> None:
        threading.Event().wait(0.002)
        with path.open("a") as file:
            file.write(given + "\n")

    background = make(sink)

    def child(name: str) -> None:
        found: list[bool] = []

        def log(thread: int) -> None:
            for number in range(3):
                background.put(message(f"{name} {thread} {number}"))
                background.complete()
                found.append(f"{name} {thread} {number}" in path.read_text().splitlines())

        threads = [threading.Thread(target=log, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [True] * 9
        if len(name) == 1:
            assert ends_well(fork(background, child=partial(child, name * 2)))

    pids = [fork(background, child=partial(child, letter)) for letter in "abc"]
    results = [ends_well(pid) for pid in pids]
    background.complete()

    assert all(results)
    assert len(path.read_text().splitlines()) == 6 * 9


@needs_fork
def test_complete_in_a_child_of_a_parent_that_stands_still(
    make: Make, kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A child gives up on a parent that finishes no message, say as it waits for the child; nothing is lost by that.
    """
    monkeypatch.setattr(module, "_STUCK_S", 0.05)
    gate = Gate(kept)
    background = make(gate)

    def child() -> None:
        background.put(message("child"))
        background.complete()

    assert ends_well(fork(background, child=child))
    gate.opened.set()
    background.complete()

    assert kept.texts == ["child"]


@needs_fork
def test_complete_in_a_child_of_a_parent_that_is_gone(make: Make, kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A child whose parent goes, or stops its side, while the child waits does not wait on.
    """
    monkeypatch.setattr(module, "_STUCK_S", 3600)
    background = make()
    asked, closed = os.pipe(), os.pipe()

    def child() -> None:
        parent = background._parent
        assert parent is not None
        wait = parent.answers.wait

        def wait_later(*args: Any) -> bool:
            os.write(asked[1], b"1")
            os.read(closed[0], 1)
            return wait(*args)

        monkeypatch.setattr(parent.answers, "wait", wait_later)
        monkeypatch.setattr(parent.answers, "has", lambda name: False)
        background.complete()

    pid = fork(background, child=child)
    os.read(asked[0], 1)
    background.stop()
    os.write(closed[1], b"1")

    assert ends_well(pid)
    for descriptor in (*asked, *closed):
        os.close(descriptor)


@needs_fork
def test_killed_child_harms_nobody(make: Make, kept: Kept) -> None:
    """
    A child that is killed in the middle of a message costs nothing but that message.
    """
    background = make()

    def half() -> None:
        parent = background._parent
        assert parent is not None
        sent: list[bytes] = []
        import otelbridge.sinks.channel as channel

        def write_one(descriptor: int, piece: bytes) -> None:
            if sent:
                os.kill(os.getpid(), signal.SIGKILL)
            sent.append(piece)
            os.write(descriptor, piece)

        channel._write = write_one
        background.put(message("never whole" * 10_000))

    assert not ends_well(fork(background, child=half))
    assert ends_well(fork(background, child=lambda: background.put(message("whole" * 10_000))))
    background.complete()

    assert kept.texts == ["whole" * 10_000]
    assert kept.errors == []


@needs_fork
def test_fork_in_the_middle_of_a_write(make: Make, kept: Kept) -> None:
    """
    A sink that forks gets a child that writes none of the parent's waiting messages.
    """
    statuses: list[bool] = []

    def sink(given: Message) -> None:
        kept(given)
        if given == "fork":
            statuses.append(ends_well(fork(background, child=lambda: background.put(message("from the child")))))

    background = make(sink)
    for text in ("fork", "one", "two"):
        background.put(message(text))
    background.complete()

    assert statuses == [True]
    assert sorted(kept.texts) == ["fork", "from the child", "one", "two"]


@needs_fork
def test_stop_in_a_child_is_the_child_s(make: Make, kept: Kept) -> None:
    """
    A child that stops its side drops what it logs later; it neither writes nor stops the parent's sink.
    """
    background = make()

    def child() -> None:
        background.put(message("before"))
        assert background.stop(then=lambda: os._exit(7))
        background.put(message("after"))
        assert background.dropped == 1

    assert ends_well(fork(background, child=child))
    background.put(message("parent"))
    background.complete()

    assert kept.texts == ["before", "parent"]


@needs_fork
def test_parent_s_stop_waits_for_what_children_sent(make: Make, kept: Kept) -> None:
    """
    stop() writes what children have sent before, and ends all threads.
    """
    before = threading.active_count()
    background = make()

    def child() -> None:
        for number in range(1000):
            background.put(message(str(number)))

    assert ends_well(fork(background, child=child))
    background.stop()

    assert kept.texts == [str(number) for number in range(1000)]
    assert threading.active_count() == before


ORPHAN = """
import os, signal, sys
from otelbridge.message import make_message
from otelbridge.sinks.background import Background
signal.signal(signal.SIGPIPE, getattr(signal, sys.argv[2]))
target = open(sys.argv[1], "a")
def sink(given):
    target.write(given + "\\n")
    target.flush()
background = Background(sink, on_error=lambda given: None)
background.put(make_message("parent", {}))
background.complete()
ready, gone = os.pipe(), os.pipe()
background.before_fork()
if os.fork() == 0:
    background.after_fork_child()
    os.close(gone[1])
    background.put(make_message("child of a parent", {}))
    os.write(ready[1], b"1")
    os.read(gone[0], 1)  # ends with the parent
    for number in range(3):
        background.put(make_message(f"orphan {number}", {}))
    background.complete()
    print("done", flush=True)
    os._exit(0)
background.after_fork_parent()
os.read(ready[0], 1)
background.complete()
os._exit(0)
"""


@needs_fork
@pytest.mark.parametrize("disposition", ["SIG_IGN", "SIG_DFL"])
def test_orphan_writes_by_itself(disposition: str, tmp_path: Path) -> None:
    """
    A child that outlives its parent neither hangs nor dies of SIGPIPE: it writes to the sink that it has inherited.
    """
    path = tmp_path / "log"

    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ORPHAN, str(path), disposition],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (ended.stdout, ended.stderr) == ("done\n", "")
    assert path.read_text().splitlines() == ["parent", "child of a parent", "orphan 0", "orphan 1", "orphan 2"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forks in C are tried on Linux")
def test_fork_that_no_hook_sees(tmp_path: Path) -> None:
    """
    After a fork in C the child writes by itself, whatever the parent's thread was doing, and neither hangs.
    """
    path = tmp_path / "log"
    program = f"""
import ctypes, os
from otelbridge.message import make_message
from otelbridge.sinks.background import Background
target = open({str(path)!r}, "a")
def sink(given):
    target.write(given + "\\n")
    target.flush()
background = Background(sink, on_error=lambda given: None)
background.put(make_message("parent", {{}}))
background.complete()
if ctypes.PyDLL(None).fork() == 0:
    background.put(make_message("child", {{}}))
    background.complete()
    background.stop()
    os._exit(0)
os.wait()
background.put(make_message("parent again", {{}}))
background.stop()
"""

    subprocess.run([sys.executable, "-c", program], timeout=60, check=True)

    assert path.read_text().splitlines() == ["parent", "child", "parent again"]
    assert ctypes  # what the program uses


# ------------------------------------------------------------------------------------------------- spawned children


def _log_some(background: Background, name: str) -> int:
    for number in range(3):
        background.put(message(f"{name} {number}", value=lambda: None))
    background.complete()
    return os.getpid()


_inherited: list[Background] = []


def _inherit(background: Background) -> None:
    _inherited.append(background)


def _log_inherited(name: str) -> int:
    return _log_some(_inherited[0], name)


def _log_and_read(background: Background, path: str) -> None:
    background.put(message("spawned"))
    background.complete()
    assert Path(path).read_text() == "spawned"


def test_complete_in_a_spawned_process(make: Make, tmp_path: Path) -> None:
    """
    complete() in a spawned child, too, returns when the process that has the sink has written what the child had sent.
    """
    path = tmp_path / "log"

    def sink(given: Message) -> None:
        threading.Event().wait(0.1)
        path.write_text(given)

    background = make(sink)

    process = multiprocessing.get_context("spawn").Process(target=_log_and_read, args=(background, str(path)))
    process.start()
    process.join()

    assert process.exitcode == 0


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_spawned_process(make: Make, kept: Kept, method: str) -> None:
    """
    A process that is started with the queue among its arguments logs through the one that has the sink.
    """
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    background = make()
    context = multiprocessing.get_context(method)

    process = context.Process(target=_log_some, args=(background, "spawned"))  # type: ignore[attr-defined]
    process.start()
    process.join()
    background.complete()

    assert process.exitcode == 0
    assert kept.texts == ["spawned 0", "spawned 1", "spawned 2"]


def test_spawned_pool(make: Make, kept: Kept) -> None:
    """
    The workers of a pool whose initializer was given the queue log through the process that has the sink.
    """
    background = make()

    with multiprocessing.get_context("spawn").Pool(2, _inherit, (background,)) as pool:
        pids = pool.map(_log_inherited, ["a", "b", "c", "d"], chunksize=1)
    background.complete()

    assert os.getpid() not in pids
    assert sorted(kept.texts) == sorted(f"{name} {number}" for name in "abcd" for number in range(3))


def test_pickled_for_nothing(make: Make) -> None:
    """
    Outside of starting a process a queue cannot be pickled, which loguru answers with the same error.
    """
    with pytest.raises(RuntimeError):
        pickle.dumps(make())


# ------------------------------------------------------------------------------------------------- what travels


class Unpicklable:
    def __reduce__(self) -> Any:
        raise TypeError("not me")

    def __repr__(self) -> str:
        return "<Unpicklable>"


class Unprintable(Unpicklable):
    def __repr__(self) -> str:
        raise ValueError("nor my repr")


class UnloadableError(Exception):
    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)


def travelled(**fields: Any) -> Any:
    """The record of a message after its way through a pipe."""
    return decode(encode(make_message("text", {"extra": {}, "exception": None, **fields}))).record  # type: ignore[arg-type]


def test_values_that_cannot_be_pickled_travel_as_their_repr() -> None:
    """
    An unpicklable value, key or field of a record costs only itself.
    """
    extra = {"good": [1, {2}], "bad": Unpicklable(), "worse": [Unprintable()], Unpicklable(): 1, "huge": 10**30}

    record = travelled(extra=extra, own=Unpicklable())

    assert record["extra"]["good"] == [1, {2}]
    assert record["extra"]["bad"] == record["own"] == "<Unpicklable>"
    assert "ValueError" in record["extra"]["worse"]
    assert record["extra"]["<Unpicklable>"] == 1
    assert record["extra"]["huge"] == 10**30


def test_values_that_cannot_be_loaded_cost_only_themselves() -> None:
    """
    What the other process cannot make again is named, and the rest of the message arrives.
    """
    record = travelled(extra={"error": UnloadableError("a", "b"), "good": 1})

    assert record["extra"]["good"] == 1
    assert "TypeError" in record["extra"]["error"]


def test_exceptions_travel_without_traceback() -> None:
    """
    An exception keeps its type and value; a value that cannot travel is None; a type that cannot is its nearest base.
    """

    class LocalError(KeyError):
        pass

    def of(error: BaseException) -> Any:
        return travelled(exception=RecordException(type(error), error, error.__traceback__))["exception"]

    plain, unloadable, unpicklable, local = (
        of(OSError(2, "x")),
        of(UnloadableError("a", "b")),
        of(ValueError(Unpicklable())),
        of(LocalError("k")),
    )

    assert (plain.type, repr(plain.value), plain.traceback) == (FileNotFoundError, repr(OSError(2, "x")), None)
    assert (unloadable.type, unloadable.value) == (UnloadableError, None)
    assert (unpicklable.type, unpicklable.value) == (ValueError, None)
    assert (local.type, local.value) == (KeyError, None)
    assert travelled(exception=RecordException(None, None, None))["exception"] == (None, None, None)


def test_strict_is_loguru_s_pickling(make: Make, kept: Kept) -> None:
    """
    With is_strict messages are pickled within the process, too: an error is the caller's, exceptions lose their trace.
    """
    background = make(is_strict=True)
    error = ValueError("x")
    try:
        raise error
    except ValueError:
        with_error = message("error")
        with_error.record["exception"] = RecordException(ValueError, error, error.__traceback__)

    with pytest.raises(TypeError, match="not me"):
        background.put(message("x", value=Unpicklable()))
    background.put(with_error)
    background.complete()

    exception = kept.messages[0].record["exception"]
    assert kept.texts == ["error"]
    assert exception is not None
    assert exception.traceback is None


def test_strict_drops_what_cannot_be_read_back(make: Make, kept: Kept) -> None:
    """
    With is_strict a message with a value that cannot be loaded again is told as unreadable, and costs no other.
    """
    background = make(is_strict=True)

    background.put(message("bad", value=UnloadableError("a", "b")))
    background.put(message("good"))
    background.complete()

    assert kept.texts == ["good"]
    [(told, error)] = kept.errors
    assert told is None
    assert isinstance(error, TypeError)

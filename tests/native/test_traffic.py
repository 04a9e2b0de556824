"""Traffic: what it refuses, what it keeps, and that nothing it is given can hurt it. Its sums: tests/metrics."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from otelbridge import context
from otelbridge._native import Core, Traffic
from otelbridge.testing import python_clock

BOUNDS = (0.1, 1.0)
SIZES = (0.0, 100.0)
STATM = Path("/proc/self/statm")


def make(*options: Any) -> Traffic:
    """With two bounds of each kind."""
    core = Core(context.CURRENT)
    context.attach(core)
    return Traffic(core, BOUNDS, SIZES, *options)


def end(traffic: Traffic, route: str | None = "/", *, counted: bool = False, size: int = 1) -> None:
    """A request of 50 ms."""
    traffic.ended("GET", "http", 200, route, "1.1", None, 50_000_000, size, size, counted)


def counts(traffic: Traffic) -> dict[str | None, int]:
    """How many requests of each route, ever."""
    _, requests, _ = traffic.snapshot(False, False, False)
    return {None if words is None else words[3]: count[1] for words, *_, count in requests if count is not None}


WORDS = [
    ("GET", "http", 200, "/items/{id}", "1.1", None),
    ("_OTHER", "https", None, None, "2", "builtins.ValueError"),
    ("", "", -1, "", "", ""),
    ("GET", "http", 2**63 - 1, "/ü/€/🎉\x00\n", "1.1", "500"),
    ("GET", "http", 200, "/" + "x" * 100_000, "1.1", None),
]


def test_words_come_back() -> None:
    """
    Words of any length and characters, absent ones and empty ones are told apart, and given back as they were.
    """
    traffic = make()

    for words in WORDS * 2:
        traffic.ended(*words, 1, 1, 1, False)

    _, requests, _ = traffic.snapshot(False, False, False)
    assert [(words, count[1]) for words, *_, count in requests if count is not None] == [(each, 2) for each in WORDS]


def test_lone_surrogates_become_what_can_be_sent() -> None:
    """
    A word with half a character has U+FFFD there: the official encoder would fail on it.
    """
    traffic = make()

    end(traffic, "/\ud800")

    assert counts(traffic) == {"/\ufffd": 1}


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("GET", "http"),
        (1, "http", 200, "/", "1.1", None, 1, 1, 1, False),
        ("GET", "http", "200", "/", "1.1", None, 1, 1, 1, False),
        ("GET", "http", 200, b"/", "1.1", None, 1, 1, 1, False),
        ("GET", "http", 200, "/", "1.1", None, 0.5, 1, 1, False),
        ("GET", "http", 200, "/", "1.1", None, 1, None, 1, False),
        ("GET", "http", 2**63, "/", "1.1", None, 1, 1, 1, False),
        ("GET", "http", 200, "/", "1.1", None, 1, 1, 2**64, False),
    ],
)
def test_wrong_arguments_add_nothing(arguments: tuple[Any, ...]) -> None:
    """
    What is no word, or no number of 64 bits, raises, and leaves every sum alone.
    """
    traffic = make()

    with pytest.raises((TypeError, OverflowError)):
        traffic.ended(*arguments)

    assert traffic.snapshot(False, False, False)[1:] == ([], [])


@pytest.mark.parametrize("core", [None, object()])
def test_core_is_checked(core: Any) -> None:
    """
    Something else than a core raises.
    """
    with pytest.raises(TypeError):
        Traffic(core, BOUNDS, SIZES)


@pytest.mark.parametrize("bounds", [(1.0, 1.0), (2.0, 1.0), (float("nan"),), (float("inf"),), ("1",), [1.0], None])
def test_bounds_are_checked(bounds: Any) -> None:
    """
    Bounds that no histogram could have raise.
    """
    with pytest.raises((TypeError, ValueError)):
        Traffic(Core(context.CURRENT), bounds, SIZES)
    with pytest.raises((TypeError, ValueError)):
        Traffic(Core(context.CURRENT), BOUNDS, bounds)


@pytest.mark.parametrize("option", [("x",), (-1,), (10, "sometimes"), (10, None), (10, "always_on", 1)])
def test_options_are_checked(option: tuple[Any, ...]) -> None:
    """
    A wrong cap or filter raises.
    """
    with pytest.raises((TypeError, ValueError)):
        make(*option)


@pytest.mark.parametrize(("cap", "apart"), [(0, 0), (1, 1), (2000, 2000)])
def test_cap(cap: int, apart: int) -> None:
    """
    As many sets as the cap are told apart, whatever its size; the next one is summed up as None.
    """
    traffic = make(cap)
    for number in range(cap):
        end(traffic, f"/{number}")
    assert counts(traffic) == {f"/{number}": 1 for number in range(apart)}

    end(traffic, "/one more")
    end(traffic, "/and another")

    assert counts(traffic)[None] == 2
    assert len(counts(traffic)) == apart + 1


def test_sums_do_not_wrap() -> None:
    """
    Beyond 64 bits a sum stays at the largest number.
    """
    traffic = make()

    for _ in range(3):
        end(traffic, size=2**62)

    (_, _, request_size, _, _) = traffic.snapshot(False, False, False)[1][0]
    assert request_size is not None
    assert request_size[2] == 2**63 - 1


def test_never_fewer_than_none_under_way() -> None:
    """
    A request that ends in a forked child, where its beginning was not counted, leaves the number at zero.
    """
    traffic = make()
    traffic.started("GET", "http")

    end(traffic, counted=True)
    end(traffic, counted=True)

    ((_, active),) = traffic.snapshot(False, False, False)[2]
    assert active[1] == 0


def test_times_are_those_of_the_tests_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    With python_clock(True), as for freezegun, points bear its times.
    """
    traffic = make()
    python_clock(True)
    try:
        monkeypatch.setattr("time.time_ns", lambda: 1_000)
        end(traffic)
        monkeypatch.setattr("time.time_ns", lambda: 2_000)

        time_ns, ((_, duration, *_),), _ = traffic.snapshot(False, False, False)
    finally:
        python_clock(False)

    assert duration is not None
    assert (duration[0], time_ns) == (1_000, 2_000)


def test_no_exemplar_before_opentelemetry_is_known() -> None:
    """
    On a core that was not told where OpenTelemetry keeps its context there is none, and nothing fails.
    """
    traffic = Traffic(Core(context.CURRENT), BOUNDS, SIZES)
    with TracerProvider().get_tracer("test").start_as_current_span("request"):
        end(traffic)

    ((_, duration, *_),) = traffic.snapshot(False, False, False)[1]
    assert duration is not None
    assert duration[5] == []


class Interrupting:
    """A span that Ctrl-C hits while it is asked for its ids."""

    def get_span_context(self) -> Any:
        raise KeyboardInterrupt


def test_interrupt_while_the_span_is_read_reaches_the_program() -> None:
    """
    A KeyboardInterrupt out of foreign code is raised, and the request is counted all the same.
    """
    from opentelemetry import trace

    traffic = make()
    span: Any = Interrupting()

    with pytest.raises(KeyboardInterrupt), trace.use_span(span, record_exception=False):
        end(traffic)

    assert counts(traffic) == {"/": 1}


class EndsWhenCollected:
    """Ends requests, of words old and new, when the garbage collector takes it."""

    def __init__(self, traffic: Traffic, number: int, raised: list[Exception]) -> None:
        self.me = self
        self.traffic = traffic
        self.number = number
        self.raised = raised

    def __del__(self) -> None:
        end(self.traffic, "/")
        end(self.traffic, f"/{self.number}")
        try:
            self.traffic.snapshot(False, False, False)
        except RuntimeError as error:
            self.raised.append(error)


def test_requests_may_end_while_a_snapshot_is_made() -> None:
    """
    The garbage collector, set off by a snapshot's own objects, may end requests and ask for another snapshot: none is
    lost or counted twice, and the inner snapshot is refused.
    """
    traffic = make()
    raised: list[Exception] = []
    for number in range(50):
        end(traffic, f"/{number}")
    before = gc.get_threshold()
    total = 50
    try:
        for number in range(100):
            EndsWhenCollected(traffic, number, raised)
            total += 2
            gc.set_threshold(1)
            traffic.snapshot(False, False, False)
            gc.set_threshold(*before)
    finally:
        gc.set_threshold(*before)
    gc.collect()

    assert sum(counts(traffic).values()) == total
    assert raised or sys.version_info >= (3, 12)  # from there on the collector waits until the call is over


def test_many_threads() -> None:
    """
    Requests that end on four threads while a fifth takes what was added are in exactly one of its snapshots.
    """
    traffic = make()
    each = 5_000

    def work() -> None:
        for number in range(each):
            end(traffic, f"/{number % 7}")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    taken = 0
    while any(thread.is_alive() for thread in threads):
        taken += sum(count[1] for *_, count in traffic.snapshot(True, True, True)[1] if count is not None)
    taken += sum(count[1] for *_, count in traffic.snapshot(True, True, True)[1] if count is not None)

    assert taken == 4 * each


PROGRAM = """
import ctypes, os, sys
from otelbridge import context
from otelbridge._logger import core
from otelbridge._native import Traffic
traffic = Traffic(core, (1.0,), (1.0,))
def end(): traffic.ended("GET", "http", 200, "/", "1.1", None, 5, 5, 5, True)
def shown(): return [[e[-1][1] for e in part] for part in traffic.snapshot(False, False, False)[1:]]
for _ in range(3): traffic.started("GET", "http"); end()
traffic.started("GET", "http")
shown()
c_fork = ctypes.PyDLL(None).fork  # no hook of Python's runs
child = FORK()
if child == 0:
    found = []
    try:
        FIRST
        end()
        found = shown()
    except BaseException as error:
        os.write(2, repr(error).encode())
    os.write(1, repr(found).encode())
    os._exit(0)
os.waitpid(child, 0)
print(shown())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize(("first", "active"), [("pass", "[]"), ("traffic.started('GET', 'http')", "[0]")])
@pytest.mark.parametrize("fork", ["os.fork", "c_fork"])
def test_forked_child_starts_from_zero(fork: str, first: str, active: str) -> None:
    """
    After os.fork, and after a fork in C, the child's sums are its own requests' only, also the end of one that its
    parent had counted in; the parent's go on.
    """
    if fork == "c_fork" and not sys.platform.startswith("linux"):
        pytest.skip("noticed on Linux only")
    command = [sys.executable, "-c", PROGRAM.replace("FORK", fork).replace("FIRST", first)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)

    assert (done.stdout, done.stderr) == (f"[[1], {active}][[3], [1]]\n", "")


@pytest.mark.skipif(not STATM.exists(), reason="this system does not tell how large a process is")
def test_memory_and_references_are_flat() -> None:
    """
    Over 300,000 requests and a thousand snapshots neither the process nor any reference count grows, though most
    routes are beyond the cap.
    """
    traffic = make(100, "always_on")
    route, method = "".join(("/it", "ems")), "".join(("GE", "T"))
    counted: list[Any] = [route, method, None, True, False, Traffic, tuple, list]

    def run(rounds: int) -> None:
        for number in range(rounds):
            traffic.started(method, "http")
            traffic.ended(method, "http", 200, route, "1.1", None, number, number, number, True)
            end(traffic, f"/{number}")
            if number % 150 == 0:
                traffic.snapshot(number % 2 == 0, True, True)

    run(10_000)
    gc.collect()
    resident = int(STATM.read_text().split()[1])
    before = [sys.getrefcount(each) for each in counted]

    run(150_000)

    gc.collect()
    after = [sys.getrefcount(each) for each in counted]
    assert [b - a for a, b in zip(before, after, strict=True) if abs(b - a) > 500] == []
    assert int(STATM.read_text().split()[1]) - resident < 256  # pages


def test_everything_is_given_back() -> None:
    """
    A traffic that goes frees its sets, and lets go of its core.
    """
    core = Core(context.CURRENT)
    before = sys.getrefcount(core)
    resident = []
    for _ in range(40):
        traffic = Traffic(core, BOUNDS, SIZES)
        for number in range(1000):
            end(traffic, f"/{number}")
        del traffic
        if STATM.exists():
            resident.append(int(STATM.read_text().split()[1]))

    assert sys.getrefcount(core) == before
    assert not resident or resident[-1] - resident[5] < 512  # pages; the sets of one are 1 MB


def test_a_delta_collection_makes_room_for_new_sets() -> None:
    """
    What a collection has shown whole is forgotten: the cap is per interval then, as the SDK's is.
    """
    traffic = make(2)
    for interval in range(3):
        for number in range(2):
            end(traffic, route=f"/{interval}/{number}")

        _, requests, _ = traffic.snapshot(True, True, False)

        assert [words and words[3] for words, *_ in requests] == [f"/{interval}/0", f"/{interval}/1"]

"""Many threads and one logger."""

from __future__ import annotations

import contextvars
import io
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def frequent_switches() -> Iterator[None]:
    """Threads take turns a thousand times more often than usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


def together(*targets: Callable[[], object]) -> None:
    """Run all functions at the same time, each in its thread, and raise what one of them raised."""
    barrier = threading.Barrier(len(targets))

    def start(target: Callable[[], object]) -> None:
        barrier.wait(30)
        target()

    with ThreadPoolExecutor(len(targets)) as pool:
        for future in [pool.submit(start, target) for target in targets]:
            future.result(60)


def writer(logger: Any, name: str, count: int) -> Callable[[], None]:
    def write() -> None:
        for number in range(count):
            logger.info("{} {}", name, number)

    return write


def check(lines: list[str], names: str, count: int) -> None:
    """Each line of each writer is there once, in its order."""
    assert len(lines) == len(names) * count
    for name in names:
        assert [line for line in lines if line.startswith(name)] == [f"{name} {number}\n" for number in range(count)]


@pytest.mark.covers("1.5")
def test_function(logger: Any) -> None:
    """
    A function gets every message of every thread, those of one thread in order.
    """
    lines: list[str] = []
    logger.add(lambda message: lines.append(str(message)), format="{message}", catch=False)

    together(*(writer(logger, name, 100) for name in "abcdef"))

    check(lines, "abcdef", 100)


@pytest.mark.covers("1.5")
def test_one_at_a_time(logger: Any) -> None:
    """
    A sink is never called by two threads at once.
    """
    inside = 0
    most = 0

    def sink(message: str) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        for _ in range(50):
            pass
        inside -= 1

    logger.add(sink, catch=False)

    together(*(writer(logger, name, 50) for name in "abcd"))

    assert (most, inside) == (1, 0)


@pytest.mark.covers("1.5")
def test_stream(logger: Any) -> None:
    """
    Lines in a stream are whole.
    """
    stream = io.StringIO()
    logger.add(stream, format="{message}", catch=False)

    together(*(writer(logger, name, 100) for name in "abcd"))

    check(stream.getvalue().splitlines(keepends=True), "abcd", 100)


@pytest.mark.covers("1.11")
@pytest.mark.parametrize("options", [{}, {"rotation": "500 B"}, {"enqueue": True}], ids=str)
def test_file(logger: Any, tmp_path: Path, options: dict[str, Any]) -> None:
    """
    Lines in files are whole, each there once, also when files change in between.
    """
    logger.add(tmp_path / "a.log", format="{message}", catch=False, **options)

    together(*(writer(logger, name, 60) for name in "abcd"))
    logger.remove()
    lines = [line for file in tmp_path.iterdir() for line in file.read_text("utf-8").splitlines(keepends=True)]

    assert sorted(lines) == sorted(f"{name} {number}\n" for name in "abcd" for number in range(60))


@pytest.mark.covers("1.6")
def test_removal_while_others_log(logger: Any) -> None:
    """
    Handlers come and go while others log: no call fails, no closed sink is written to.
    """
    lines: list[str] = []
    wrong: list[str] = []
    logger.add(lines.append, format="{message}", catch=False)

    class Stream:
        def __init__(self) -> None:
            self.stopped = False

        def write(self, message: str) -> None:
            if self.stopped:
                wrong.append(message)

        def stop(self) -> None:
            self.stopped = True

    def come_and_go() -> None:
        for _ in range(15):
            number = logger.add(Stream(), format="{message}", catch=False)
            logger.remove(number)

    together(writer(logger, "a", 100), writer(logger, "b", 100), come_and_go, come_and_go)

    check(lines, "ab", 100)
    assert wrong == []


@pytest.mark.covers("1.4")
def test_ids_are_unique(logger: Any) -> None:
    """
    Handlers that are added by several threads have different ids.
    """
    numbers: list[int] = []

    def add() -> None:
        for _ in range(10):
            numbers.append(logger.add(lambda message: None))

    together(*[add] * 4)

    assert len(set(numbers)) == len(numbers) == 40


@pytest.mark.covers("1.3")
def test_levels_while_others_log(logger: Any) -> None:
    """
    Levels change their looks while others log.
    """
    lines: list[str] = []
    logger.add(lines.append, format="<level>{message}</level>", colorize=True, catch=False)

    def change() -> None:
        for _ in range(50):
            logger.level("INFO", color="<red>")
            logger.level("INFO", color="<blue>")

    together(writer(logger, "a", 100), writer(logger, "b", 100), change)

    assert len(lines) == 200
    assert {line[:5] for line in lines} <= {"\x1b[1ma", "\x1b[1mb", "\x1b[31m", "\x1b[34m"}


@pytest.mark.covers("1.22")
def test_activation_while_others_log(logger: Any) -> None:
    """
    Activation changes while others log.
    """
    lines: list[str] = []
    logger.add(lines.append, format="{message}", catch=False)

    def change() -> None:
        for _ in range(50):
            logger.disable("somebody.else")
            logger.enable("somebody.else")

    together(writer(logger, "a", 100), writer(logger, "b", 100), change)

    check(lines, "ab", 100)


@pytest.mark.covers("1.18")
def test_contextualize_belongs_to_its_thread(logger: Any) -> None:
    """
    What one thread contextualizes no other thread sees.
    """
    records: list[Any] = []
    logger.add(lambda message: records.append(message.record), catch=False)

    def work(name: str) -> Callable[[], None]:
        def run() -> None:
            for number in range(30):
                with logger.contextualize(**{name: number}):
                    logger.info(name)

        return run

    together(*(work(name) for name in "abcd"))

    for name in "abcd":
        assert [record["extra"] for record in records if record["message"] == name] == [
            {name: number} for number in range(30)
        ]


@pytest.mark.covers("1.18")
def test_new_thread_starts_empty(logger: Any) -> None:
    """
    A new thread does not inherit what its starter contextualized; run in a copied context it does.
    """
    extras: list[Any] = []
    logger.add(lambda message: extras.append(message.record["extra"]), catch=False)

    with logger.contextualize(a=1):
        bare = threading.Thread(target=logger.info, args=("bare",))
        copied = threading.Thread(target=contextvars.copy_context().run, args=(logger.info, "copied"))
        for thread in (bare, copied):
            thread.start()
            thread.join()

    assert extras[-1] == {"a": 1}
    if not getattr(sys.flags, "thread_inherit_context", False):
        assert extras[0] == {}


@pytest.mark.covers("1.28")
def test_record_names_the_thread(logger: Any) -> None:
    """
    The record has the id and the name that the thread has at the call.
    """
    seen: list[Any] = []
    logger.add(lambda message: seen.append(message.record["thread"]), catch=False)
    identities: list[int] = []

    def work() -> None:
        identities.append(threading.get_ident())
        logger.info("a")
        threading.current_thread().name = "renamed"
        logger.info("b")

    thread = threading.Thread(target=work, name="first name")
    thread.start()
    thread.join()

    assert [(one.id, one.name) for one in seen] == [(identities[0], "first name"), (identities[0], "renamed")]


@pytest.mark.covers("1.21")
def test_catch_in_a_thread(logger: Any) -> None:
    """
    `catch` around a thread's target logs what would have killed it.
    """
    records: list[Any] = []
    logger.add(lambda message: records.append(message.record), catch=False)

    @logger.catch  # type: ignore[untyped-decorator]
    def work() -> None:
        raise ValueError("v")

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    thread.join()

    (record,) = records
    assert record["exception"].type is ValueError
    assert record["thread"].name == "worker"
    assert "'worker'" in record["message"]


@pytest.mark.covers("1.18")
def test_executor(logger: Any) -> None:
    """
    Tasks of a pool see what they contextualize themselves, and leave nothing behind.
    """
    extras: list[Any] = []
    logger.add(lambda message: extras.append(message.record["extra"]), catch=False)

    def work(number: int) -> None:
        with logger.contextualize(number=number):
            logger.info("in")
        logger.info("out")

    with ThreadPoolExecutor(1) as pool:
        list(pool.map(work, range(3)))

    assert extras == [{"number": 0}, {}, {"number": 1}, {}, {"number": 2}, {}]

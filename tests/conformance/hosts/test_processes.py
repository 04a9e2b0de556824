"""Several processes and one logger: fork, spawn, pools, as the documentation's recipes use them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.support import beyond

pytestmark = pytest.mark.timeout(90)

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()


@pytest.mark.covers("1.32", note="1.16")
@needs_fork
def test_forked_children_share_the_queue(run: Any, tmp_path: Path) -> None:
    """
    The recipe for fork: children log to the queue that they inherited, each line arrives whole and once.
    """
    run("""
        import multiprocessing
        def work(name):
            for number in range(100):
                logger.info("{} {}", name, number)
            logger.complete()
        if __name__ == "__main__":
            context = multiprocessing.get_context("fork")
            logger.remove()
            logger.add("a.log", format="{message}", enqueue=True, context=context)
            children = [context.Process(target=work, args=(name,)) for name in "abc"]
            for child in children:
                child.start()
            work("parent")
            for child in children:
                child.join()
                assert child.exitcode == 0
        """)
    found = lines(tmp_path / "a.log")

    for name in ("a", "b", "c", "parent"):
        assert [line for line in found if line.startswith(f"{name} ")] == [f"{name} {n}" for n in range(100)]
    assert len(found) == 400


@pytest.mark.covers("1.32", note="1.16")
@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_spawned_children_get_the_logger(run: Any, tmp_path: Path, method: str) -> None:
    """
    The recipe for spawn: the logger is handed to the child as an argument, and logs to the parent's queue.
    """
    run(f"""
        import multiprocessing
        def work(handed, name):
            for number in range(50):
                handed.info("{{}} {{}}", name, number)
            handed.complete()
        if __name__ == "__main__":
            context = multiprocessing.get_context({method!r})
            logger.remove()
            logger.add("a.log", format="{{message}} {{process.name}}", enqueue=True, context=context)
            children = [context.Process(target=work, args=(logger, name), name=name) for name in "ab"]
            for child in children:
                child.start()
            for child in children:
                child.join()
                assert child.exitcode == 0
        """)
    found = lines(tmp_path / "a.log")

    for name in "ab":
        assert [line for line in found if line.startswith(name)] == [f"{name} {n} {name}" for n in range(50)]
    assert len(found) == 100


@pytest.mark.covers("1.32", note="1.16")
def test_spawned_pool(run: Any, tmp_path: Path) -> None:
    """
    The recipe for pools: an initializer takes the logger, and puts it where the workers' functions find it.
    """
    run("""
        import multiprocessing
        def set_up(handed):
            global logger
            logger = handed
        def work(number):
            logger.info("{}", number)
            logger.complete()
            return number
        if __name__ == "__main__":
            context = multiprocessing.get_context("spawn")
            logger.remove()
            logger.add("a.log", format="{message}", enqueue=True, context=context)
            with context.Pool(2, initializer=set_up, initargs=(logger,)) as pool:
                assert pool.map(work, range(20)) == list(range(20))
        """)

    assert sorted(map(int, lines(tmp_path / "a.log"))) == list(range(20))


@pytest.mark.covers("1.32", note="1.16")
@needs_fork
def test_forked_pools(run: Any, tmp_path: Path) -> None:
    """
    Workers of forked pools, multiprocessing's and concurrent.futures', log to the inherited queue.
    """
    run("""
        import multiprocessing
        from concurrent.futures import ProcessPoolExecutor
        def work(number):
            logger.info("{}", number)
            logger.complete()
        if __name__ == "__main__":
            context = multiprocessing.get_context("fork")
            logger.remove()
            logger.add("a.log", format="{message}", enqueue=True, context=context)
            with context.Pool(2) as pool:
                pool.map(work, range(20))
            with ProcessPoolExecutor(2, mp_context=context) as pool:
                list(pool.map(work, range(20, 40)))
        """)

    assert sorted(map(int, lines(tmp_path / "a.log"))) == list(range(40))


@pytest.mark.covers("1.17", note="1.32")
@needs_fork
def test_complete_in_a_child(run: Any) -> None:
    """
    `complete()` in a child returns when the parent has written what the child logged, however slow its sink is.
    """
    done = run("""
        import os, sys, time
        def slow(message):
            time.sleep(0.05)
            with open("a.log", "a") as file:
                file.write(message)
        logger.remove()
        logger.add(slow, format="{message}", enqueue=True)
        child = os.fork()
        if not child:
            logger.info("1")
            logger.info("2")
            logger.complete()
            os._exit(open("a.log").read() != "1\\n2\\n" if os.path.exists("a.log") else 2)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """)

    assert done.stdout == "0\n"


@pytest.mark.covers("1.32", note="1.28")
@needs_fork
def test_record_names_the_child(run: Any) -> None:
    """
    The record has the id and the name of the process that made the call.
    """
    done = run("""
        import multiprocessing, os, sys
        logger.remove()
        logger.add(sys.stdout, format="{process.id} {process.name} {process}", enqueue=True,
                   context=multiprocessing.get_context("fork"))
        def work():
            logger.info("m")
            logger.complete()
        if __name__ == "__main__":
            child = multiprocessing.get_context("fork").Process(target=work, name="the child")
            child.start()
            child.join()
            logger.info("m")
            logger.complete()
            print(child.pid, "the child", child.pid)
            print(os.getpid(), "MainProcess", os.getpid())
        """)

    written = done.stdout.splitlines()
    assert written[:2] == written[2:]


@pytest.mark.covers("1.32", note="1.16")
@needs_fork
def test_fork_without_multiprocessing(run: Any, tmp_path: Path) -> None:
    """
    A child made by `os.fork` logs to inherited files, with and without a queue.
    """
    run("""
        import os
        logger.remove()
        logger.add("direct.log", format="{message}")
        logger.add("queued.log", format="{message}", enqueue=True)
        logger.info("before")
        child = os.fork()
        if not child:
            logger.info("child")
            logger.complete()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        logger.info("parent")
        """)

    for name in ("direct.log", "queued.log"):
        assert lines(tmp_path / name) == ["before", "child", "parent"]


@pytest.mark.covers("1.32", note="1.6")
@needs_fork
def test_child_that_removes_and_adds(run: Any, tmp_path: Path) -> None:
    """
    Removing a handler in a child leaves the parent's, and the child may add its own.
    """
    run("""
        import os
        logger.remove()
        logger.add("direct.log", format="{message}")
        logger.add("queued.log", format="{message}", enqueue=True)
        child = os.fork()
        if not child:
            logger.remove()
            logger.info("nobody")
            logger.add("own.log", format="{message}", enqueue=True)
            logger.info("own")
            logger.remove()
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        logger.info("parent")
        """)

    assert lines(tmp_path / "direct.log") == ["parent"]
    assert lines(tmp_path / "queued.log") == ["parent"]
    assert lines(tmp_path / "own.log") == ["own"]


@pytest.mark.covers("1.32")
@needs_fork
@beyond("a busy machine has seen loguru's child wait for good")
def test_forks_while_threads_log(run: Any, tmp_path: Path) -> None:
    """
    A child forked while other threads are inside of sinks is not locked out: it logs, and ends.
    """
    done = run(
        """
        import os, threading
        logger.remove()
        logger.add(open("direct.log", "a"), format="{message}")
        logger.add(open("queued.log", "a"), format="{message}", enqueue=True)
        stop = threading.Event()
        def work():
            while not stop.is_set():
                logger.info("thread")
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        codes = []
        for number in range(25):
            child = os.fork()
            if not child:
                logger.info("child {}", number)
                os._exit(0)
            codes.append(os.waitpid(child, 0)[1])
        stop.set()
        for thread in threads:
            thread.join()
        logger.complete()
        print(codes)
        """,
    )

    assert done.stdout == f"{[0] * 25}\n"
    found = lines(tmp_path / "direct.log")
    assert [line for line in found if "child" in line] == [f"child {number}" for number in range(25)]


@pytest.mark.covers("1.32", note="1.5")
def test_pickled_logger_with_a_function(run: Any) -> None:
    """
    A logger whose sinks can be pickled is handed to a spawned child without a queue; the child calls its own copy.
    """
    done = run("""
        import multiprocessing, sys
        def sink(message):
            sys.stdout.write(message)
            sys.stdout.flush()
        def work(handed):
            handed.bind(a=1).info("child")
        if __name__ == "__main__":
            logger.remove()
            logger.add(sink, format="{message} {extra}")
            context = multiprocessing.get_context("spawn")
            child = context.Process(target=work, args=(logger,))
            child.start()
            child.join()
            logger.info("parent")
            sys.exit(child.exitcode)
        """)

    assert done.stdout == "child {'a': 1}\nparent {}\n"


@pytest.mark.covers("1.32")
def test_spawned_child_that_imports(run: Any) -> None:
    """
    A spawned child that imports the logger by itself has the default handler only.
    """
    done = run("""
        import multiprocessing, sys
        def work():
            print(repr(logger).partition("handlers=")[2], flush=True)
        if __name__ == "__main__":
            logger.remove()
            child = multiprocessing.get_context("spawn").Process(target=work)
            child.start()
            child.join()
        """)

    assert done.stdout == "[(id=0, level=10, sink=<stderr>)]>\n"


@pytest.mark.covers("1.32", note="1.12")
@needs_fork
def test_rotation_behind_a_queue(run: Any, tmp_path: Path) -> None:
    """
    With a queue one process writes: files rotate while children log, and no line is lost.
    """
    run("""
        import multiprocessing
        def work(name):
            for number in range(50):
                logger.info("{} {}", name, number)
            logger.complete()
        if __name__ == "__main__":
            context = multiprocessing.get_context("fork")
            logger.remove()
            logger.add("logs/a.log", format="{message}", enqueue=True, context=context, rotation=200)
            children = [context.Process(target=work, args=(name,)) for name in "abc"]
            for child in children:
                child.start()
            for child in children:
                child.join()
        """)
    files = list((tmp_path / "logs").iterdir())
    found = [line for file in files for line in lines(file)]

    assert len(files) > 3
    assert sorted(found) == sorted(f"{name} {number}" for name in "abc" for number in range(50))


@pytest.mark.covers("1.32", note="1.16")
@needs_fork
def test_exception_of_a_child(run: Any, tmp_path: Path) -> None:
    """
    A child's traceback is rendered in the child.
    """
    run("""
        import multiprocessing
        class LocalError(Exception):
            def __reduce__(self):
                raise TypeError
        @logger.catch
        def work():
            raise LocalError("child's")
        def main():
            work()
            logger.complete()
        if __name__ == "__main__":
            context = multiprocessing.get_context("fork")
            logger.remove()
            logger.add("a.log", format="{message}", enqueue=True, context=context, diagnose=False)
            child = context.Process(target=main, name='the child')
            child.start()
            child.join()
        """)
    found = lines(tmp_path / "a.log")

    assert found[0].startswith("An error has been caught in function 'main', process 'the child' (")
    assert "Traceback (most recent call last):" in found
    assert any(line.endswith("LocalError: child's") for line in found)


@pytest.mark.covers("1.32", note="1.16")
@needs_fork
def test_child_that_ends_without_complete(run: Any, tmp_path: Path) -> None:
    """
    What a child put into the queue before its regular end arrives.
    """
    run("""
        import multiprocessing
        def work():
            for number in range(20):
                logger.info("{}", number)
        if __name__ == "__main__":
            context = multiprocessing.get_context("fork")
            logger.remove()
            logger.add("a.log", format="{message}", enqueue=True, context=context)
            child = context.Process(target=work)
            child.start()
            child.join()
        """)

    assert lines(tmp_path / "a.log") == [str(number) for number in range(20)]

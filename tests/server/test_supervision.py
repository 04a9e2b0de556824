"""Workers come and go, and requests do not notice: crashes, SIGHUP, SIGUSR1, SIGTERM, SIGINT, a killed supervisor."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from pathlib import Path

import pytest

from tests.server.serving import APP, Served, is_alive, serving, wait_until

each_class = pytest.mark.parametrize("worker_class", ["asyncio", "uvloop", "trio"])


def notes(path: Path, word: str) -> list[int]:
    """The processes that have noted *word*."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [int(line.split()[1]) for line in lines if line.split()[0] == word]


def refuses(served: Served) -> bool:
    """Whether it accepts no connection."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", served.port)) != 0


@pytest.mark.covers("3.8", note="Hypercorn ends the whole server when a worker crashes, with exit code 0")
def test_a_crashed_worker_is_replaced_and_its_death_is_told(tmp_path: Path) -> None:
    """
    A worker that is killed is replaced while the other goes on serving; a line in the log says what it died of.
    """
    with serving(tmp_path, workers=2) as served:
        before = served.workers()
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        served.await_running(3)

        assert served.get() in map(str, served.workers())
        assert len(served.workers()) == 2
        assert victim not in served.workers()
        assert re.search(rf"\[ERROR\] worker {victim} died: killed by SIGKILL.*another one starts", served.err)
        assert served.stop() == 0


@pytest.mark.covers("3.8")
def test_a_worker_that_exits_is_told_by_its_code(tmp_path: Path) -> None:
    """
    A worker that the application ends is replaced, too, and its exit code is told.
    """
    with serving(tmp_path) as served:
        assert served.fails("/die")
        served.await_running(2)

        assert "died: exit code 3" in served.err
        assert int(served.get()) in served.workers()


@pytest.mark.covers("3.8")
def test_pauses_grow_while_workers_keep_dying(tmp_path: Path) -> None:
    """
    The pause before a successor doubles as long as successors die at once.
    """
    with serving(tmp_path) as served:
        for count in range(2, 5):
            assert served.fails("/die")
            served.await_running(count)

        pauses = [float(found) for found in re.findall(r"starts in ([\d.]+) s", served.err)]
        assert pauses == [0.1, 0.2, 0.4]


@pytest.mark.covers("F7")
@pytest.mark.covers("3.9", note="one by one: Hypercorn ends all workers first, and does not read the file again")
@pytest.mark.covers("3.6", note="Hypercorn's master dies of it, and leaves its workers behind")
@each_class
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_workers_are_replaced_one_by_one_without_a_refusal(tmp_path: Path, worker_class: str, number: int) -> None:
    """
    SIGHUP and SIGUSR1 replace all workers while requests keep coming, on one connection each: all are answered.
    """
    with serving(tmp_path, "-k", worker_class, workers=2) as served:
        before = served.workers()
        answers: list[str] = []
        enough = threading.Event()

        def ask() -> None:
            while not enough.is_set():
                answers.append(served.get())

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        served.send(number)
        served.await_running(4)
        wait_until(lambda: not any(map(is_alive, before)), "old workers are still there")
        enough.set()
        for thread in threads:
            thread.join()
        after = served.workers()
        last = served.get()

    assert len(after) == 2
    assert not after & before
    assert int(last) in after
    assert len(answers) > 0
    assert all(answer.isdigit() for answer in answers)


@pytest.mark.covers("3.9")
def test_sighup_reads_the_configuration_again(tmp_path: Path) -> None:
    """
    What has changed in the file of -c holds for the new workers; what the command line says still wins.
    """
    config = tmp_path / "server.toml"
    config.write_text('workers = 1\nloglevel = "warning"\n')
    (tmp_path / "app.py").write_text(APP)
    served = Served(tmp_path, "-c", "server.toml", "--bind", "127.0.0.1:{port}", "--log-level", "info", "app:app")
    try:
        served.await_running(1)
        config.write_text('workers = 3\nloglevel = "critical"\n')
        served.send(signal.SIGHUP)
        served.await_running(4)
        wait_until(lambda: len(served.workers()) == 3, "there are no three workers")
    finally:
        served.kill()


@pytest.mark.covers("3.9")
@pytest.mark.parametrize("mistake", ["workers = [", 'worker_class = "thread"'])
def test_a_configuration_that_became_wrong_changes_nothing(tmp_path: Path, mistake: str) -> None:
    """
    A mistake in the configuration at SIGHUP is told in the log, and the server goes on as it was.
    """
    config = tmp_path / "server.toml"
    config.write_text("workers = 1\n")
    (tmp_path / "app.py").write_text(APP)
    served = Served(tmp_path, "-c", "server.toml", "--bind", "127.0.0.1:{port}", "app:app")
    try:
        served.await_running(1)
        before = served.get()
        config.write_text(mistake)
        served.send(signal.SIGHUP)
        served.await_line("the configuration stays as it was")

        assert served.get() == before
        assert served.stop() == 0
    finally:
        served.kill()


@pytest.mark.covers("3.9")
def test_successors_that_cannot_start_leave_the_old_workers(tmp_path: Path) -> None:
    """
    Code that became broken does not take the service down: SIGHUP keeps the old workers, and says why.
    """
    with serving(tmp_path, workers=2) as served:
        before = served.workers()
        (tmp_path / "app.py").write_text("import nowhere_to_be_found\n")
        served.send(signal.SIGHUP)
        served.await_line("could not take over: .*nowhere_to_be_found")
        assert served.workers() == before
        (tmp_path / "app.py").write_text(APP)
        served.send(signal.SIGHUP)
        served.await_running(4)
        wait_until(lambda: not served.workers() & before, "the mended code did not take over")
        assert served.stop() == 0


@pytest.mark.covers("3.9")
def test_a_configuration_that_workers_cannot_start_with_is_given_up(tmp_path: Path) -> None:
    """
    Where the new configuration keeps workers from starting, those before it stay, and so does their configuration: one
    that dies later is replaced by its like.
    """
    config = tmp_path / "server.toml"
    config.write_text("workers = 1\n")
    (tmp_path / "app.py").write_text(APP)
    served = Served(tmp_path, "-c", "server.toml", "--bind", "127.0.0.1:{port}", "app:app")
    try:
        served.await_running(1)
        config.write_text("workers = 1\nstartup_timeout = -1.0\n")
        served.send(signal.SIGHUP)
        served.await_line("could not take over")
        (worker,) = served.workers()
        os.kill(worker, signal.SIGKILL)
        served.await_running(2)

        assert int(served.get()) in served.workers() - {worker}
        assert served.stop() == 0
    finally:
        served.kill()


@pytest.mark.covers("3.5")
@each_class
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ending_lets_requests_end_and_runs_the_lifespan(tmp_path: Path, worker_class: str, number: int) -> None:
    """
    SIGTERM and SIGINT: a request under way is answered, each worker's lifespan shutdown runs, the code is 0.
    """
    path = tmp_path / "notes"
    with serving(tmp_path, "-k", worker_class, workers=2, NOTES=str(path)) as served:
        workers = served.workers()
        answer: list[str] = []
        thread = threading.Thread(target=lambda: answer.append(served.get("/slow")))
        thread.start()
        wait_until(lambda: notes(path, "slow"), "the request did not arrive")
        code = served.stop(number)
        thread.join()

    assert code == 0
    assert int(answer[0]) in workers
    assert sorted(notes(path, "startup")) == sorted(notes(path, "shutdown")) == sorted(workers)


@pytest.mark.covers("3.5")
@each_class
def test_requests_beyond_the_graceful_timeout_are_cut(tmp_path: Path, worker_class: str) -> None:
    """
    A request that does not end is cut after the graceful timeout; the lifespan shutdown still runs, the code is 0.
    """
    path = tmp_path / "notes"
    with serving(tmp_path, "-k", worker_class, "--graceful-timeout", "0.2", NOTES=str(path)) as served:
        (worker,) = served.workers()
        answers: list[str] = []

        def ask() -> None:
            try:
                answers.append(served.get("/stuck"))
            except OSError:
                answers.append("")

        thread = threading.Thread(target=ask)
        thread.start()
        wait_until(lambda: notes(path, "stuck"), "the request did not arrive")
        code = served.stop()
        thread.join()

    assert code == 0
    assert answers == [""]  # a 500 without a body, or none
    assert notes(path, "shutdown") == [worker]


@pytest.mark.covers("3.5")
def test_a_blocked_worker_is_killed_in_the_end(tmp_path: Path) -> None:
    """
    A worker whose event loop is blocked cannot end by itself: it is killed, and the log says so.
    """
    path = tmp_path / "notes"
    blocked = APP.replace("await sleep(600)", "__import__('time').sleep(600)")
    with serving(tmp_path, app=blocked, NOTES=str(path)) as served:
        (worker,) = served.workers()
        thread = threading.Thread(target=served.fails, args=("/stuck",))
        thread.start()
        wait_until(lambda: notes(path, "stuck"), "the request did not arrive")
        served.stop()
        thread.join()

        assert not is_alive(worker)
        assert f"worker {worker} did not end in time, and was killed" in served.err


def test_who_asks_twice_does_not_wait(tmp_path: Path) -> None:
    """
    A second Ctrl-C ends at once what the first has left time to.
    """
    path = tmp_path / "notes"
    with serving(tmp_path, "--graceful-timeout", "300", NOTES=str(path)) as served:
        thread = threading.Thread(target=served.fails, args=("/stuck",))
        thread.start()
        wait_until(lambda: notes(path, "stuck"), "the request did not arrive")
        served.send(signal.SIGINT)
        wait_until(lambda: refuses(served), "it did not begin to end")
        assert served.process.poll() is None
        served.send(signal.SIGINT)
        served.process.wait(20)
        thread.join()


@pytest.mark.covers("3.7", note="Hypercorn's workers outlive a master that was killed, and keep its port")
def test_no_worker_outlives_its_supervisor(tmp_path: Path) -> None:
    """
    When the supervisor is killed, its workers end by themselves, with their lifespan.
    """
    path = tmp_path / "notes"
    with serving(tmp_path, workers=2, NOTES=str(path)) as served:
        workers = served.workers()
        served.process.kill()
        served.process.wait()
        wait_until(lambda: not any(map(is_alive, workers)), "workers outlived their supervisor")

    assert sorted(notes(path, "shutdown")) == sorted(workers)


def test_a_worker_that_is_told_to_end_from_outside_is_replaced(tmp_path: Path) -> None:
    """
    SIGTERM to a single worker ends it gracefully, and another takes its place.
    """
    path = tmp_path / "notes"
    with serving(tmp_path, workers=2, NOTES=str(path)) as served:
        victim = min(served.workers())
        os.kill(victim, signal.SIGTERM)
        served.await_running(3)
        wait_until(lambda: not is_alive(victim), "it has not ended")

        assert notes(path, "shutdown") == [victim]
        assert "died" not in served.err


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGHUP, signal.SIGINT])
def test_signals_to_a_worker_alone_do_not_end_it(tmp_path: Path, number: int) -> None:
    """
    A Ctrl-C or a logrotate script that reaches the workers themselves does them no harm.
    """
    with serving(tmp_path) as served:
        before = served.workers()
        os.kill(min(before), number)

        assert int(served.get()) in before
        assert served.workers() == before


@pytest.mark.covers("3.3", note="--max-requests-jitter is the jitter, not the number of requests again")
@each_class
def test_max_requests_replaces_a_worker_after_its_successor_serves(tmp_path: Path, worker_class: str) -> None:
    """
    After --max-requests requests another worker serves, and none is refused between, on kept connections either.
    """
    with serving(tmp_path, "-k", worker_class, "--max-requests", "5", "--max-requests-jitter", "2") as served:
        answers = [served.get() for _ in range(60)]
        wait_until(lambda: len({*answers, served.get()}) > 1, "no other worker has served")
        code = served.stop()

    assert code == 0
    assert "died" not in served.err


@pytest.mark.covers("3.10", note="Hypercorn returns 0 after a failed start")
@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_start_that_fails_ends_with_a_code_and_a_sentence(tmp_path: Path, workers: int) -> None:
    """
    An application whose startup fails: one sentence, code 1, no process left.
    """
    failing = """
async def app(scope, receive, send):
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})
"""
    (tmp_path / "app.py").write_text(failing)
    served = Served(tmp_path, "--bind", "127.0.0.1:{port}", "-w", str(workers), "app:app")
    code = served.process.wait(30)

    assert code == 1
    assert served.err.splitlines()[-1] == "otelbridge run: Lifespan failure in startup. 'no database'"
    assert served.workers() == set()


@pytest.mark.covers("3.10")
def test_workers_that_can_no_longer_start_end_the_server(tmp_path: Path) -> None:
    """
    When nobody is left who serves and successors keep failing, the server ends with code 1 and says why.
    """
    with serving(tmp_path) as served:
        (tmp_path / "app.py").write_text("1 / 0\n")
        os.kill(min(served.workers()), signal.SIGKILL)
        code = served.process.wait(60)

    assert code == 1
    assert re.search(r"workers in a row have died, the last of: ZeroDivisionError.*\(app\.py, line 1\)", served.err)


def test_the_library_gives_signals_back(tmp_path: Path) -> None:
    """
    After run() the handlers are those from before: a program that goes on is its own master again.
    """
    script = """
import signal, sys, threading, os, time
from otelbridge.hypercorn.config import Config
from otelbridge.hypercorn.run import run
numbers = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGCHLD]
before = [signal.getsignal(number) for number in numbers]
config = Config()
config.application_path = "app:app"
config.bind = ["127.0.0.1:" + sys.argv[1]]
config.workers = int(sys.argv[2])
def end():
    while "Running" not in open("stderr.txt").read():
        time.sleep(0.05)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=end).start()
print(run(config), [signal.getsignal(number) for number in numbers] == before)
"""
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "program.py").write_text(script)
    for workers in ("0", "1"):
        served = Served(tmp_path, "{port}", workers, program="program.py")
        served.process.wait(30)
        assert served.out == "0 True\n", served.err

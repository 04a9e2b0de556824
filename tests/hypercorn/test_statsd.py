"""StatsD byte for byte as Hypercorn sends it, over real sockets; and what it promises beyond."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
import trio
from hypercorn.asyncio.statsd import StatsdLogger as HypercornsLogger
from hypercorn.config import Config as HypercornsConfig
from hypothesis import given
from hypothesis import strategies as st

from otelbridge.hypercorn import Logger, StatsdLogger
from otelbridge.hypercorn.statsd import (
    POSTMAN,
    QUEUE_SIZE_MAX,
    THREAD_NAME,
    Address,
    Postman,
    make_line,
    number_text,
    read_address,
)
from tests.access.listening import Listener
from tests.hypercorn.support import DEADLINE_S, OK, Agent, http_scope, make_config, make_log

TAGS = "env:test,zone:b"


@pytest.fixture
def agent() -> Iterator[Agent]:
    """An agent that listens."""
    found = Agent()
    yield found
    found.close()


def lines_of(act: Callable[[Any], Any], log: Any) -> list[str]:
    """What a call on Hypercorn's or our logger hands to its socket."""
    sent: list[bytes] = []

    async def main() -> None:
        result = act(log)
        if asyncio.iscoroutine(result):
            await result

    if isinstance(log, HypercornsLogger):

        async def keep(message: bytes) -> None:
            sent.append(message)

        log._socket_send = keep  # type: ignore[method-assign]
        asyncio.run(main())
    else:
        agent = Agent()
        log.address = Address("127.0.0.1", agent.port)
        asyncio.run(main())
        assert POSTMAN.flush(DEADLINE_S)
        with suppress(AssertionError):
            while True:
                sent += agent.take(1, timeout_s=0.001)
        agent.close()
    return [line.decode() for line in sent]


names = st.from_regex(r"[a-z][a-z0-9._/ -]{0,15}", fullmatch=True).filter(lambda name: " " not in name)
numbers = st.one_of(st.integers(0, 10**12), st.floats(0, 1e9, allow_nan=False))
rates = st.sampled_from([1.0, 0.5, 0.01, 1])
CALLS: dict[str, Callable[[Any, str, Any, Any], Any]] = {
    "gauge": lambda log, name, value, _: log.gauge(name, value),
    "increment": lambda log, name, value, rate: log.increment(name, value, rate),
    "decrement": lambda log, name, value, rate: log.decrement(name, value, sampling_rate=rate),
    "histogram": lambda log, name, value, _: log.histogram(name, value),
    "access": lambda log, _, value, __: log.access(http_scope(), OK, value),
    "aborted": lambda log, _, value, __: log.access(http_scope(), None, value),
    "critical": lambda log, name, *_: log.critical(name),
    "error": lambda log, name, *_: log.error(name),
    "warning": lambda log, name, *_: log.warning(name),
    "exception": lambda log, name, *_: log.exception(name),
    "info": lambda log, name, *_: log.info(name),
    "debug": lambda log, name, *_: log.debug(name),
    "log": lambda log, name, *_: log.log(logging.ERROR, name),
    "extra gauge": lambda log, name, value, _: log.log(
        20, "", extra={"metric": name, "value": value or 1, "mtype": "gauge"}
    ),
    "extra counter": lambda log, name, value, _: log.log(
        20, "", extra={"metric": name, "value": value or 1, "mtype": "counter"}
    ),
    "extra histogram": lambda log, name, value, _: log.log(
        20, "", extra={"metric": name, "value": value or 1, "mtype": "histogram"}
    ),
    "extra of no kind": lambda log, name, value, _: log.log(
        20, "", extra={"metric": name, "value": value, "mtype": "timer"}
    ),
}


@pytest.mark.covers("0.14")
@pytest.mark.covers("0.15")
@pytest.mark.covers("0.16")
@pytest.mark.covers("0.17")
@pytest.mark.covers("0.18")
@given(
    call=st.sampled_from(list(CALLS)),
    name=names,
    value=numbers,
    rate=rates,
    prefix=st.sampled_from(["", "app", "app."]),
    tags=st.sampled_from(["", TAGS]),
)
def test_the_same_datagrams_as_hypercorn(call: str, name: str, value: Any, rate: Any, prefix: str, tags: str) -> None:
    """
    Every call sends the datagrams that Hypercorn's own StatsdLogger sends, in its order.
    """
    settings = {"statsd_prefix": prefix, "dogstatsd_tags": tags, "statsd_host": "127.0.0.1:9", "errorlog": None}
    theirs = HypercornsConfig.from_mapping(settings)
    ours = make_config(**settings)

    def act(log: Any) -> Any:
        return CALLS[call](log, name, value, rate)

    assert lines_of(act, StatsdLogger(ours)) == lines_of(act, HypercornsLogger(theirs))


@pytest.mark.covers("F5")
@pytest.mark.covers("0.14")
def test_a_request_is_three_datagrams(agent: Agent) -> None:
    """
    Duration in ms, count and status go to `statsd_host` as one datagram each; without an answer there is no status.
    """
    log = make_log(statsd_host=agent.address, statsd_prefix="shop", dogstatsd_tags=TAGS)

    log.access(http_scope(), {"status": 404, "headers": []}, 0.25)
    log.access(http_scope(), None, 0.5)

    assert agent.take(5) == [
        b"shop.hypercorn.request.duration:250.0|ms|#env:test,zone:b",
        b"shop.hypercorn.requests:1|c|@1.0|#env:test,zone:b",
        b"shop.hypercorn.request.status.404:1|c|@1.0|#env:test,zone:b",
        b"shop.hypercorn.request.duration:500.0|ms|#env:test,zone:b",
        b"shop.hypercorn.requests:1|c|@1.0|#env:test,zone:b",
    ]
    assert agent.is_silent()


@pytest.mark.covers("F4")
@pytest.mark.covers("0.16", note="a value of 0 is sent, which Hypercorn leaves out")
@pytest.mark.parametrize(("kind", "line"), [("gauge", b"m:0|g"), ("counter", b"m:0|c|@1.0"), ("histogram", b"m:0|ms")])
def test_zero_is_a_value(agent: Agent, kind: str, line: bytes) -> None:
    """
    `log(extra=)` with the value 0 sends it (pains.md F4), and logs nothing for an empty message.
    """
    heard = Listener()
    given = logging.Logger("heard")
    given.addHandler(heard)
    log = make_log(StatsdLogger, statsd_host=agent.address, errorlog=given)

    log.log(logging.INFO, "", extra={"metric": "m", "value": 0, "mtype": kind})
    log.log(logging.INFO, "said", extra={"metric": "m", "value": 0, "mtype": kind})

    assert agent.take(2) == [line, line]
    assert heard.record.getMessage() == "said"


@pytest.mark.covers("0.16")
@pytest.mark.parametrize("value", ["many", float("nan"), object(), [1]])
def test_what_is_no_measurement_is_a_warning(value: object) -> None:
    """
    "Failed to log to statsd" stands in the log, with its reason, and nothing is raised.
    """
    heard = Listener()
    given = logging.Logger("heard")
    given.addHandler(heard)
    log = make_log(StatsdLogger, errorlog=given)

    log.log(logging.INFO, "", extra={"metric": "m", "value": value, "mtype": "gauge"})

    assert (heard.record.levelname, heard.record.getMessage()) == ("WARNING", "Failed to log to statsd")
    assert heard.record.exc_info is not None


@pytest.mark.covers("0.17", note="decrement by a negative number sends a valid line, where Hypercorn sends `--5`")
def test_signs(agent: Agent) -> None:
    """
    Counting down by less than nothing counts up.
    """
    log = make_log(StatsdLogger, statsd_host=agent.address)

    log.decrement("m", -5)
    log.decrement("m", 5)
    log.decrement("m")
    log.increment("m")

    assert agent.take(4) == [b"m:5|c|@1.0", b"m:-5|c|@1.0", b"m:-1|c|@1.0", b"m:1|c|@1.0"]


@pytest.mark.covers("0.19", note="a third positional argument is tags if it is a dict, else Hypercorn's sampling rate")
def test_tags_of_a_call(agent: Agent) -> None:
    """
    Tags by keyword or as third argument, a rate as third argument or by keyword; behind those of the configuration.
    """
    log = make_log(StatsdLogger, statsd_host=agent.address, dogstatsd_tags="env:test")

    log.increment("a", 2, {"method": "GET"})
    log.increment("b", 2, 0.5, tags={"method": "GET"})
    log.decrement("c", 1, {"x": 1}, sampling_rate=0.1)
    log.histogram("d", 0.5, {"x": "y"})
    log.gauge("e", 7, tags={"x": "y", "z": ""})

    assert agent.take(5) == [
        b"a:2|c|@1.0|#env:test,method:GET",
        b"b:2|c|@0.5|#env:test,method:GET",
        b"c:-1|c|@0.1|#env:test,x:1",
        b"d:0.5|ms|#env:test,x:y",
        b"e:7|g|#env:test,x:y,z:_",
    ]


@pytest.mark.covers("F4")
@pytest.mark.covers("0.18")
@given(
    name=st.text(),
    prefix=st.text(),
    common=st.text(),
    tags=st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.none())),
)
def test_any_text_is_one_line(name: str, prefix: str, common: str, tags: dict[str, Any]) -> None:
    """
    Whatever names and tags hold, it is one line of ASCII with one value and one section of tags (pains.md F4).
    """
    text = make_line(prefix, name, "1", "|g", common, tags).decode("ascii")

    assert text.isprintable()
    assert text.count("|") == (2 if common or tags else 1)
    assert text.partition("|")[0].count(":") == 1


@given(value=st.one_of(st.integers(), st.floats(), st.text(), st.none(), st.booleans(), st.decimals()))
def test_numbers_are_numbers(value: Any) -> None:
    """
    What is sent as a value can be read as a finite number; anything else is refused.
    """
    try:
        text = number_text(value)
    except (ValueError, TypeError, OverflowError):
        return

    assert abs(float(text)) <= float("inf")
    assert text.strip() == text


@pytest.mark.covers("0.19")
@pytest.mark.parametrize(
    ("setting", "host", "port", "expected"),
    [
        (None, None, None, ("localhost", 8125)),
        ("agent:9125", None, None, ("agent", 9125)),
        ("agent", None, None, ("agent", 8125)),
        ("[::1]:9125", None, None, ("::1", 9125)),
        ("[::1]", None, None, ("::1", 8125)),
        ("::1", None, None, ("::1", 8125)),
        ("::1:9125", None, None, ("::1", 9125)),
        ("agent:9125", "other", None, ("other", 8125)),
        ("agent:9125", None, 1, ("agent", 1)),
        (None, "metrics.internal", 9, ("metrics.internal", 9)),
        (None, "metrics.internal:7", None, ("metrics.internal", 7)),
    ],
)
def test_where_the_agent_is(setting: str | None, host: str | None, port: int | None, expected: tuple[str, int]) -> None:
    """
    Arguments win over `config.statsd_host`, which may be a host, host:port or [address]:port; else localhost:8125.
    """
    assert read_address(setting, host, port) == expected


@pytest.mark.parametrize("setting", ["agent:http", "agent:0", "agent:70000", "agent:"])
def test_a_wrong_port_is_refused(setting: str) -> None:
    """
    At set-up, and not at the first measurement.
    """
    with pytest.raises(ValueError, match=r"statsd_host must be .* got '(http|0|70000|)'"):
        make_log(StatsdLogger, statsd_host=setting)


@pytest.mark.covers("T6")
@pytest.mark.covers(
    "0.20", note="`statsd_host` measures with our Logger and subclasses of it; Hypercorn drops it silently"
)
def test_statsd_host_makes_a_statsd_logger(agent: Agent) -> None:
    """
    Logger(config) is a StatsdLogger where `statsd_host` is set; a user's subclass too, and its methods win (T6).
    """

    class Mine(Logger):
        def atoms(self, request: Any, response: Any, request_time: float) -> dict[str, Any]:
            return {"mine": "yes"}

        def error(self, message: str, *args: Any, **kwargs: Any) -> Any:
            return super().error("mine: " + message, *args, **kwargs)

    config = make_config(statsd_host=agent.address, logger_class=Mine)
    log, again = config.log, Mine(config)

    assert isinstance(log, Mine)
    assert isinstance(log, StatsdLogger)
    assert type(log) is type(again)
    assert log.atoms(http_scope(), OK, 0) == {"mine": "yes"}
    log.error("x")
    assert agent.take(1) == [b"hypercorn.log.error:1|c|@1.0"]
    assert type(Logger(config)) is StatsdLogger
    assert not isinstance(make_log(Mine), StatsdLogger)


def test_a_subclass_with_coroutines_of_its_own(agent: Agent) -> None:
    """
    `async def increment` in a user's subclass is awaited where the server awaits the logger.
    """

    class Mine(StatsdLogger):
        async def increment(self, *args: Any, **kwargs: Any) -> None:
            await asyncio.sleep(0)
            await super().increment("mine." + args[0], *args[1:], **kwargs)

    log = make_log(Mine, statsd_host=agent.address)

    async def main() -> None:
        await log.access(http_scope(), OK, 0)
        await log.error("x")

    asyncio.run(main())

    assert [line.partition(b":")[0] for line in agent.take(4)] == [
        b"hypercorn.request.duration",
        b"mine.hypercorn.requests",
        b"mine.hypercorn.request.status.200",
        b"mine.hypercorn.log.error",
    ]


# ------------------------------------------------------------------------------------------------------ loops, threads


async def _use(log: StatsdLogger) -> None:
    await log.increment("awaited")
    log.increment("thrown.away")
    await log.histogram("h", 1.5)


def _on_asyncio(log: StatsdLogger) -> None:
    asyncio.run(_use(log))


def _on_uvloop(log: StatsdLogger) -> None:
    pytest.importorskip("uvloop").run(_use(log))


def _on_trio(log: StatsdLogger) -> None:
    trio.run(_use, log)


def _on_no_loop(log: StatsdLogger) -> None:
    log.increment("awaited")
    log.increment("thrown.away")
    log.histogram("h", 1.5)


@pytest.mark.covers("T5")
@pytest.mark.covers("0.19", note="the methods may be awaited, as Hypercorn's, or not, as in the document")
@pytest.mark.parametrize("run", [_on_asyncio, _on_uvloop, _on_trio, _on_no_loop])
def test_with_and_without_await_on_any_loop(agent: Agent, run: Callable[[StatsdLogger], None]) -> None:
    """
    asyncio, uvloop, trio and no loop at all: each call is one datagram, and Python warns of nothing.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(make_log(StatsdLogger, statsd_host=agent.address))
        gc.collect()

    assert agent.take(3) == [b"awaited:1|c|@1.0", b"thrown.away:1|c|@1.0", b"h:1.5|ms"]


def test_no_call_waits_for_the_agent() -> None:
    """
    While nothing can be sent, lines wait up to a limit and are counted beyond; calls take microseconds.
    """
    gate = threading.Event()

    class Stuck:
        def __init__(self, host: str, port: int) -> None:
            pass

        def deliver(self, line: bytes) -> None:
            gate.wait(DEADLINE_S)

    postman = Postman(Stuck)  # type: ignore[arg-type]
    began = time.monotonic()
    for _ in range(QUEUE_SIZE_MAX + 100):
        postman.post(Address("h", 1), b"x")
    took_s = time.monotonic() - began

    assert took_s < 5
    assert 99 <= postman.dropped_count <= 100
    assert not postman.flush(0.01)
    gate.set()
    assert postman.flush(DEADLINE_S)


def test_an_agent_that_restarts_is_found_again(agent: Agent) -> None:
    """
    Measurements while the agent is away are lost and raise nothing; later ones arrive.
    """
    log = make_log(StatsdLogger, statsd_host=agent.address)
    log.gauge("m", 1)
    assert agent.take(1) == [b"m:1|g"]
    agent.close()
    for _ in range(3):
        log.gauge("m", 2)
        POSTMAN.flush(DEADLINE_S)

    again = Agent(agent.port)
    log.gauge("m", 3)

    assert again.take(1) == [b"m:3|g"]
    again.close()


def test_one_thread_for_all_loggers_and_none_before_the_first_line() -> None:
    """
    In a fresh process: no thread until something is measured, then one for all loggers; everything is sent at exit.
    """
    agent = Agent()
    script = f"""
import threading
from otelbridge.hypercorn import StatsdLogger
from otelbridge.hypercorn.config import Config
config = Config()
config.statsd_host = {agent.address!r}
logs = [StatsdLogger(config) for _ in range(3)]
assert threading.active_count() == 1
for log in logs:
    for number in range(50):
        log.gauge("m", number)
assert [thread.name for thread in threading.enumerate()].count({THREAD_NAME!r}) == 1
assert threading.active_count() == 2
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)

    assert len(agent.take(150)) == 150
    agent.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("method", ["os", "fork", "spawn"])
def test_a_child_process_sends_its_own(method: str, tmp_path: Any) -> None:
    """
    After a fork, and in multiprocessing's children, which leave past atexit: the child's lines arrive, once.
    """
    agent = Agent()
    script = f"""
import multiprocessing, os, warnings
from otelbridge.hypercorn import StatsdLogger
from otelbridge.hypercorn.config import Config
warnings.simplefilter("ignore")

def work(name):
    config = Config()
    config.statsd_host = {agent.address!r}
    for number in range(30):
        StatsdLogger(config).gauge(name, number)

if __name__ == "__main__":
    work("parent")
    if {method!r} == "os":
        pid = os.fork()
        if pid == 0:
            work("child")
            raise SystemExit
        os.waitpid(pid, 0)
    else:
        process = multiprocessing.get_context({method!r}).Process(target=work, args=("child",))
        process.start()
        process.join()
"""
    path = tmp_path / "program.py"
    path.write_text(script)
    subprocess.run([sys.executable, str(path)], check=True, timeout=60)

    lines = agent.take(60)
    assert sorted(lines) == sorted(f"{who}:{number}|g".encode() for who in ("parent", "child") for number in range(30))
    assert agent.is_silent()
    agent.close()

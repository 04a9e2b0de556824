"""The ways a server is told to stop, and the errors of its start and end."""

from __future__ import annotations

import asyncio
import enum
import multiprocessing
import pickle
import sys
import time
from collections.abc import Awaitable, Callable
from multiprocessing.synchronize import Event
from typing import Any

import hypercorn.utils
import pytest
import trio

from otelbridge.hypercorn import utils

DEADLINE_S = 30.0


@pytest.mark.covers("2.13")
def test_raise_shutdown_waits_for_the_event_and_raises() -> None:
    """Nothing is raised before the event is there; then ShutdownError."""

    async def run() -> None:
        event = asyncio.Event()
        task = asyncio.ensure_future(utils.raise_shutdown(event.wait))
        await asyncio.sleep(0)
        assert not task.done()

        event.set()
        await task

    with pytest.raises(utils.ShutdownError):
        asyncio.run(run())


def set_event(event: Event) -> None:
    """What a parent does, in another process."""
    event.set()


@pytest.mark.covers("2.13")
@pytest.mark.parametrize(("run", "sleep"), [(asyncio.run, asyncio.sleep), (trio.run, trio.sleep)])
def test_an_event_of_another_process_ends_the_wait(
    run: Callable[..., Any], sleep: Callable[[float], Awaitable[Any]]
) -> None:
    """The check polls by the sleep that it is given, on asyncio and on trio, until another process sets the event."""
    context = multiprocessing.get_context("spawn")
    event = context.Event()
    process = context.Process(target=set_event, args=(event,))
    pauses_s: list[float] = []

    async def counted(pause_s: float) -> None:
        pauses_s.append(pause_s)
        assert time.monotonic() < deadline_s, "the event did not come"
        if len(pauses_s) == 1:
            process.start()
        await sleep(pause_s)

    async def check() -> None:
        await utils.check_multiprocess_shutdown_event(event, counted)

    deadline_s = time.monotonic() + DEADLINE_S
    try:
        run(check) if run is trio.run else run(check())
    finally:
        process.join(DEADLINE_S)
        process.close()

    assert event.is_set()
    assert set(pauses_s) == {0.1}


class State(enum.Enum):
    """A state to be named in an error."""

    CLOSED = 1


@pytest.mark.covers("2.14")
@pytest.mark.parametrize(
    ("name", "args", "parts"),
    [
        ("NoAppError", ("no app",), ["no app"]),
        ("ShutdownError", (), []),
        ("LifespanTimeoutError", ("startup",), ["startup"]),
        ("LifespanFailureError", ("shutdown", "no database"), ["shutdown", "no database"]),
        ("UnexpectedMessageError", (State.CLOSED, "http.request"), ["CLOSED", "http.request"]),
        ("FrameTooLargeError", (), []),
    ],
)
def test_the_errors_are_hypercorns(name: str, args: tuple[object, ...], parts: list[str]) -> None:
    """`except` with ours catches what Hypercorn raises; each is built and speaks as the document says."""
    error = getattr(utils, name)(*args)

    assert type(error) is getattr(hypercorn.utils, name)
    assert isinstance(error, Exception)
    assert [part for part in parts if part not in str(error)] == []


@pytest.mark.covers("2.14")
@pytest.mark.parametrize("path", ["absent_module_of_ours:app", "os:absent_name", "os:sep"])
def test_errors_of_loading_travel_between_processes(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker's error reaches its parent whole."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(utils.NoAppError) as raised:
        utils.load_application(path)

    travelled = pickle.loads(pickle.dumps(raised.value))

    assert type(travelled) is type(raised.value)
    assert str(travelled) == str(raised.value)

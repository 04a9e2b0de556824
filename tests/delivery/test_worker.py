"""The worker: batches, retries, flush and stop, against a scripted sender and a real socket."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from otelbridge.delivery.worker import Route
from otelbridge.otlp.outcome import Outcome, Sender
from otelbridge.otlp.settings import resolve
from otelbridge.otlp.transport_http import HttpSender
from tests.delivery.fakes import Bench, ScriptedSender
from tests.otlp.receivers import Answer, OtlpReceiver

BUSY = Outcome("retry", message="it answered 503", cause="http_503")


@pytest.fixture
def bench() -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(make_sender: Callable[[], Sender] | Sender, **arguments: float) -> Bench:
        factory = make_sender if callable(make_sender) else lambda: make_sender
        made.append(Bench(factory, **arguments))  # type: ignore[arg-type]  # delay_s and count_max
        return made[-1]

    yield make
    for item in made:
        item.worker.stop(time.monotonic() + 1)
        item.check_identity()
        assert item.worker.is_stopped


def flush(bench: Bench, timeout_s: float = 2.0) -> bool:
    return bench.worker.wait_flush(bench.worker.ask_flush(), time.monotonic() + timeout_s)


def bodies(sender: ScriptedSender) -> list[str]:
    return [
        record.body.string_value
        for request, _ in sender.sent
        for part in ExportLogsServiceRequest.FromString(request).resource_logs
        for scope in part.scope_logs
        for record in scope.log_records
    ]


def until(predicate: Callable[[], bool], timeout_s: float = 3.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not predicate():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_first_record_starts_the_thread(bench: Callable[..., Bench]) -> None:
    """
    The thread begins with the first record, and sends it after the delay, unasked.
    """
    sender = ScriptedSender()
    item = bench(sender)
    assert not item.worker._running

    item.core.emit("one")

    until(lambda: bodies(sender) == ["one"])
    assert item.account.stats(item.core).delivered == 1


def test_full_batch_does_not_wait(bench: Callable[..., Bench]) -> None:
    """
    A full batch is sent at once, long before the delay is over.
    """
    sender = ScriptedSender()
    item = bench(sender, delay_s=30.0, count_max=10)

    for index in range(10):
        item.core.emit(str(index))

    until(lambda: len(bodies(sender)) == 10)


def test_flush_sends_everything_in_order(bench: Callable[..., Bench]) -> None:
    """
    A flush is True when all before it was answered, in batches of the right size, oldest first.
    """
    sender = ScriptedSender()
    item = bench(sender, delay_s=30.0, count_max=10_000)
    for index in range(25):
        item.core.emit(str(index))

    assert flush(item)
    assert bodies(sender) == [str(index) for index in range(25)]
    assert flush(item)


def test_retry_until_accepted(bench: Callable[..., Bench]) -> None:
    """
    A busy collector gets the same bytes again until it takes them, and each record once.
    """
    sender = ScriptedSender(*[Outcome("retry", cause="http_503", retry_after_s=0.0)] * 5)
    item = bench(sender)

    item.core.emit("one")

    assert flush(item, 5.0)
    assert bodies(sender) == ["one"]
    assert len(item.lines) == 2


def test_flush_ends_a_pause(bench: Callable[..., Bench]) -> None:
    """
    A flush during a pause tries at once, and says False at its own deadline when that fails.
    """
    sender = ScriptedSender(Outcome("retry", cause="http_503", retry_after_s=60.0), BUSY)
    item = bench(sender)
    item.core.emit("one")
    assert sender.attempted.acquire(timeout=2)
    began = time.monotonic()

    first, second = flush(item, 0.2), flush(item, 2.0)

    assert (first, second) == (False, True)
    assert time.monotonic() - began < 1.0


def test_partial_success_and_refusal(bench: Callable[..., Bench]) -> None:
    """
    Rejected records are counted as such and never sent again; a flush counts that as answered.
    """
    sender = ScriptedSender(
        Outcome("delivered", rejected=2, message="too old", cause="partial"), Outcome("rejected", cause="http_400")
    )
    item = bench(sender, delay_s=30.0)

    for _ in range(5):
        item.core.emit("first")
    assert flush(item)
    for _ in range(7):
        item.core.emit("second")
    assert flush(item)

    stats = item.account.stats(item.core)
    assert (stats.delivered, stats.rejected, dict(stats.dropped)) == (3, 9, {})
    assert any("rejected 2 of logs: too old" in line for line in item.lines)


def test_failed_is_dropped(bench: Callable[..., Bench]) -> None:
    """
    A batch that a stranger answered is dropped, counted, and makes the flush False.
    """
    sender = ScriptedSender(Outcome("failed", message="it answered 302", cause="redirect"))
    item = bench(sender, delay_s=30.0)
    item.core.emit("one")

    assert not flush(item)
    assert dict(item.account.stats(item.core).dropped) == {"export_failed": 1}


def test_too_large_is_split(bench: Callable[..., Bench]) -> None:
    """
    A request that is too large is halved until it fits; a record that never fits is dropped alone.
    """

    class Narrow(ScriptedSender):
        def send(self, request: bytes, count: int, timeout_s: float) -> Outcome:
            if count > 2 or b"huge" in request:
                return Outcome("rejected", cause="too_large")
            return super().send(request, count, timeout_s)

    sender = Narrow()
    item = bench(sender, delay_s=30.0)
    for index in range(9):
        item.core.emit("huge" if index == 4 else str(index))

    assert not flush(item)
    assert bodies(sender) == ["0", "1", "2", "3", "5", "6", "7", "8"]
    assert dict(item.account.stats(item.core).dropped) == {"too_large": 1}


def test_stop_cuts_an_attempt(bench: Callable[..., Bench]) -> None:
    """
    A stop does not wait for a silent collector; what is left is counted as dropped.
    """
    sender = ScriptedSender(hang=True)
    item = bench(sender)
    item.core.emit("one")
    assert sender.attempted.acquire(timeout=2)
    item.core.emit("two")
    began = time.monotonic()

    item.worker.stop(time.monotonic() + 0.1)

    assert time.monotonic() - began < 0.5
    assert item.worker.is_stopped
    assert dict(item.account.stats(item.core).dropped) == {"shutdown": 2}
    assert flush(item)  # nothing waits any more


def test_route_may_change(bench: Callable[..., Bench]) -> None:
    """
    A new route takes over the batch under way, and cuts the attempt on the old one.
    """
    silent, other = ScriptedSender(hang=True), ScriptedSender()
    item = bench(silent)
    item.core.emit("one")
    assert silent.attempted.acquire(timeout=2)

    item.worker.change_route(Route(lambda: other, "http/protobuf", 2.0, 0.02))

    until(lambda: bodies(other) == ["one"])


def test_revive(bench: Callable[..., Bench]) -> None:
    """
    A stopped worker can begin again.
    """
    sender = ScriptedSender()
    item = bench(sender)
    item.core.emit("one")
    assert flush(item)
    item.worker.stop(time.monotonic() + 1)

    item.worker.revive()
    item.core.emit("two")

    assert flush(item)
    assert bodies(sender) == ["one", "two"]


def test_no_thread_to_be_had(bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where Python makes no threads any more (at its end), a flush does the work on the caller's.
    """

    def refuse(*_: object) -> int:
        msg = "can't create new thread at interpreter shutdown"
        raise RuntimeError(msg)

    sender = ScriptedSender()
    item = bench(sender)
    with monkeypatch.context() as patch:
        patch.setattr("_thread.start_new_thread", refuse)
        item.core.emit("one")
        assert flush(item)

    assert bodies(sender) == ["one"]


def test_sender_that_raises(bench: Callable[..., Bench]) -> None:
    """
    A sender that cannot even be made is tried again like a collector that is away.
    """
    calls: list[int] = []
    sender = ScriptedSender()

    def make() -> ScriptedSender:
        calls.append(1)
        if len(calls) == 1:
            msg = "no such certificate"
            raise OSError(msg)
        return sender

    item = bench(make)
    item.core.emit("one")

    assert flush(item, 4.0)
    assert bodies(sender) == ["one"]


def test_burst_is_whole(bench: Callable[..., Bench], otlp_receiver: OtlpReceiver) -> None:
    """
    Over a real socket, with a collector that is busy at times, every record arrives, once.
    """
    settings = resolve({"endpoint": otlp_receiver.endpoint}, {}).signals["logs"]
    otlp_receiver.then(*[Answer(503, headers={"Retry-After": "0"}), Answer()] * 5)
    announced: list[str] = []
    item = bench(lambda: HttpSender("logs", settings, announced.append), count_max=200)

    for index in range(3000):
        item.core.emit(str(index))

    assert flush(item, 10.0)
    assert sorted(map(int, otlp_receiver.bodies())) == list(range(3000))
    assert item.account.stats(item.core).delivered == 3000


def test_idle_connection_is_not_worth_a_line(bench: Callable[..., Bench]) -> None:
    """
    A kept-alive connection that the collector closed meanwhile costs neither a record nor a line.
    """
    sender = ScriptedSender(Outcome("retry", message="it closed the connection", cause="disconnected"))
    item = bench(sender)
    item.core.emit("one")

    assert flush(item)
    assert item.lines == []

"""A core of plain Python, for tests of delivery: it keeps records and encodes requests, as the native one does."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs

from otelbridge.delivery.accounting import Account
from otelbridge.delivery.report import Reporter
from otelbridge.delivery.sources import LogRecords
from otelbridge.delivery.worker import Route, Worker
from otelbridge.otlp.outcome import Outcome, Sender
from otelbridge.otlp.settings import BatchSettings
from otelbridge.types import CoreCounters


class FakeCore:
    """Pending records with the counters and the wake-up of the real core."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: deque[bytes] = deque()
        self._emitted = 0
        self._wake: Callable[[], object] | None = None
        self._is_armed = False
        self._count = 1 << 30

    def set_wake(self, callback: Callable[[], object] | None, count: int, size: int) -> None:
        self._wake, self._count, self._is_armed = callback, count, True

    def emit(self, body: str) -> None:
        record = LogRecord()
        record.body.string_value = body
        with self._lock:
            self._pending.append(record.SerializeToString())
            self._emitted += 1
            is_due = self._is_armed or len(self._pending) == self._count
            self._is_armed = False
        if is_due and self._wake is not None:
            self._wake()

    def take(self, resource: bytes, scope: bytes, size_max: int, count_max: int) -> tuple[bytes, int] | None:
        with self._lock:
            records = [self._pending.popleft() for _ in range(min(len(self._pending), count_max))]
        if not records:
            return None
        part = ResourceLogs.FromString(resource)
        part.scope_logs.append(ScopeLogs.FromString(scope))
        part.scope_logs[0].log_records.extend(LogRecord.FromString(record) for record in records)
        return ExportLogsServiceRequest(resource_logs=[part]).SerializeToString(), len(records)

    def counters(self) -> tuple[int, int, int, int, int, int, int]:
        with self._lock:
            size = sum(map(len, self._pending))
            return CoreCounters(self._emitted, len(self._pending), size, 0, 0, 0, 0)


class ScriptedSender:
    """Gives the outcomes that it was told, then `delivered`; keeps what was sent and when it was cut."""

    endpoint = "http://collector.test/v1/logs"

    def __init__(self, *outcomes: Outcome, hang: bool = False) -> None:
        self.outcomes = deque(outcomes)
        self.sent: list[tuple[bytes, int]] = []
        self.attempted = threading.Semaphore(0)
        self._hang = hang
        self._cut = threading.Event()

    def send(self, request: bytes, count: int, timeout_s: float) -> Outcome:
        self.attempted.release()
        if self._hang:
            self._cut.wait(timeout_s)
            return Outcome("retry", message="cut", cause="aborted" if self._cut.is_set() else "timeout")
        outcome = self.outcomes.popleft() if self.outcomes else Outcome("delivered")
        if outcome.kind == "delivered":
            self.sent.append((request, count))
        return outcome

    def abort(self) -> None:
        self._cut.set()

    def close(self) -> None:
        pass


class Bench:
    """A core, a worker and an account, wired as `wiring` does, with a sender of the test's choice."""

    def __init__(self, make_sender: Callable[[], Sender], *, delay_s: float = 0.02, count_max: int = 100) -> None:
        self.core = FakeCore()
        self.account = Account()
        self.lines: list[str] = []
        self.reporter = Reporter(write=self.lines.append)
        source = LogRecords(self.core, b"")
        source.batch = BatchSettings(delay_s=delay_s, count_max=count_max, queue_count_max=0)
        self.route = Route(make_sender, "http/protobuf", 2.0, delay_s)
        self.worker = Worker("otelbridge-logs", source, self.route, self.account, self.reporter)
        self.core.set_wake(self.worker.wake, count_max, 1 << 22)
        self.check_identity()

    def check_identity(self) -> None:
        """Every record is somewhere, by count."""
        stats = self.account.stats(self.core)
        known = stats.delivered + stats.spooled + stats.rejected + sum(stats.dropped.values())
        assert stats.emitted == known, stats

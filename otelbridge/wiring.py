"""Where the parts meet: settings, core, workers, providers. The only room that sees concrete classes of all others.

`configure`, `flush`, `shutdown` and `stats` are offered by `otelbridge` itself; nothing runs before the first of them.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from otelbridge.delivery.accounting import Account
from otelbridge.delivery.report import Reporter
from otelbridge.delivery.worker import Route, Worker
from otelbridge.exceptions import ConfigError
from otelbridge.otlp.outcome import Sender, Signal
from otelbridge.otlp.settings import Settings, StatsdSettings, resolve
from otelbridge.text.redaction import Redaction
from otelbridge.types import Stats

if TYPE_CHECKING:
    from otelbridge.metrics.instruments import RequestMetrics
    from otelbridge.metrics.statsd.sender import Route as StatsdRoute
    from otelbridge.metrics.statsd.sources import StatsdRequestMetrics

EXIT_TIMEOUT_S = 2.0
# Between the flush at a host's end and the exit of its process lies less than this.
_END_MAX_S = 5.0
_LAST_TRY_S = 0.1


def configure(
    *,
    service_name: str | None = None,
    endpoint: str | None = None,
    protocol: Literal["http/protobuf", "grpc"] | None = None,
    headers: Mapping[str, str] | str | None = None,
    timeout_s: float | None = None,
    compression: Literal["gzip", "deflate", "none"] | None = None,
    logs: Literal["otlp", "provider", "none"] | None = None,
    metrics: Literal["otlp", "statsd", "none"] | None = None,
    traces: Literal["otlp", "none"] | None = None,
    level: str | int | None = None,
    statsd: Any = None,
    statsd_prefix: str | None = None,
    statsd_dialect: Literal["dogstatsd", "plain", "influx", "graphite"] | None = None,
    resource: Mapping[str, str | bool | int | float | Sequence[str | bool | int | float]] | None = None,
    spool: str | None = None,
    durability: str | None = None,
    redact: bool | Sequence[str] | Callable[[str], bool] | None = None,
    format_errors: Literal["mark", "raise"] | None = None,
) -> None:
    """Begin to export over OTLP, or change how.

    `None` means: from the environment (OTELBRIDGE_*, then OTEL_*), else the default: logs, spans and metrics to
    http://localhost:4318 by HTTP, records from DEBUG on. May be called again: everything is replaced, except that the
    service name and the resource of spans and metrics stay those of the first call.

    `endpoint` is a base URL (`/v1/logs` and so on are added); `headers` a mapping or `key=value,key=value`; `timeout_s`
    the seconds that one attempt may take (10.0); `level` a name or a number; `resource` attributes beside the service's
    name; `logs="provider"` hands records to the OpenTelemetry LoggerProvider that the app has set.

    `metrics="statsd"` sends metrics to a StatsD agent instead, whatever OTEL_SDK_DISABLED says: `statsd` is its URL
    (udp://127.0.0.1:8125; or tcp://, unix://, unixgram://) or your own `statsd.StatsClient`, `statsd_prefix` stands
    before every name, `statsd_dialect` is how attributes are written ("dogstatsd"; with a StatsClient "plain", which
    has none). None of the three selects StatsD.

    `redact`: names, globs and detectors beside the default list of secrets, a callable(name) -> bool instead of it, or
    False for none: what bears such a name is `[REDACTED]` in every sink and in OTLP.

    Raises ConfigError, in one sentence, for a mistake in an argument or a variable.
    """
    arguments = dict(locals())
    policy = _redaction(arguments.pop("redact"))
    with _runtime.lock:
        _runtime.configure(resolve(arguments, level_number=_level_number))
        _use_redaction(policy)
    _runtime.begin()


def ensure_configured() -> None:
    """Configure from the environment, if nobody has configured anything yet.

    No thread is started before the first record, span or request: a master that loads the app for its workers
    (gunicorn --preload) has none.
    """
    if _runtime.settings is None or _runtime.is_provisional:
        with _runtime.lock:
            if _runtime.settings is None or _runtime.is_provisional:
                _runtime.configure(resolve({}, level_number=_level_number))
                _use_redaction(_redaction(None))


def send_early_logs() -> None:
    """Send log records, as the environment says, until somebody configures: the first time is still to come.

    For a host that is about to start an app, which may configure while it starts. ConfigError: as `configure`.
    """
    with _runtime.lock:
        if _runtime.settings is None:
            arguments = {"traces": "none", "metrics": "none"}
            _runtime.configure(resolve(arguments, level_number=_level_number), is_provisional=True)
            _use_redaction(_redaction(None))


def begin() -> None:
    """Start what sends at intervals, in a process that serves or logs; called again it does nothing."""
    _runtime.begin()


def metrics_backend() -> str:
    """Where the metrics of requests go unless `instrument()` says otherwise: "otlp", "statsd" or "none"."""
    ensure_configured()
    assert _runtime.settings is not None
    return _runtime.settings.metrics


def configured_metrics() -> str:
    """Where metrics go now: "otlp", "statsd" or "none", which it is before anything is configured. Starts nothing."""
    settings = _runtime.settings
    return "none" if settings is None or (settings.disabled and settings.metrics == "otlp") else settings.metrics


def otlp_metrics() -> RequestMetrics:
    """Requests' way out over OTLP: summed up by ourselves where the MeterProvider is ours, else instruments."""
    ensure_configured()
    return _runtime.otlp_metrics()


def statsd_metrics() -> StatsdRequestMetrics:
    """Requests' way out to StatsD, one for the process; where to, `configure()` has said or the environment says."""
    ensure_configured()
    return _runtime.statsd_metrics()


def flush(timeout_s: float = 5.0) -> bool:
    """Send everything now, and wait for it.

    True when every log record, span and point emitted before the call was answered by the collector (accepted or
    rejected); False when `timeout_s` seconds were over before. Raises nothing.
    """
    return _runtime.flush(time.monotonic() + timeout_s)


def flush_at_end(timeout_s: float = EXIT_TIMEOUT_S) -> bool:
    """Flush, for a host that may be gone next without any further word; gives up where nobody listens at all."""
    began = time.monotonic()
    is_complete = _runtime.flush(began + timeout_s, is_patient=False)
    ended = time.monotonic()
    _runtime.tried_at_end = (ended, 0.0 if is_complete else ended - began)
    return is_complete


def shutdown(timeout_s: float = 2.0) -> bool:
    """Flush, then stop exporting; the answer is that of `flush`.

    Takes no longer than `timeout_s` seconds and a moment. Later records reach the sinks, and are counted as dropped
    (`shutdown`) for OTLP; `configure()` begins again. Called at exit, with 2.0.
    """
    return _runtime.shutdown(time.monotonic() + timeout_s)


def stats() -> Stats:
    """Where this process's log records went, by count."""
    return _runtime.stats()


class _Runtime:
    """The state of a process: its settings, and a worker for each signal that we send."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.settings: Settings | None = None
        self.is_provisional = False
        self.reporter = Reporter()
        self.log_account = Account()
        self._workers: dict[Signal, Worker] = {}
        self._log_records: Any = None
        self._spans: Any = None
        self._points: Any = None
        self._sums: RequestMetrics | None = None
        self._statsd: _Statsd | None = None
        self._identity: Any = None
        # Who the spans and points of our own providers say they are; None while there are no such providers.
        self._fixed_resource: Mapping[str, Any] | None = None
        self._is_hooked = False
        # When the last `flush_at_end` ended, and the seconds that it waited in vain.
        self.tried_at_end = (0.0, 0.0)

    def configure(self, settings: Settings, *, is_provisional: bool = False) -> None:
        """Make the process be as `settings` say; `is_provisional`: until somebody says more."""
        self.is_provisional = is_provisional
        from otelbridge._logger import core, logger, set_format_raises
        from otelbridge.departures import strict

        set_format_raises(settings.format_errors == "raise" or strict())
        if settings.disabled:
            self._configure_statsd(settings)
            self._stop_all(time.monotonic() + EXIT_TIMEOUT_S)
            core.set_export("off", settings.level_no, settings.buffer_size)
            logger.set_provider_emitter(None)
            self.settings = settings
            return
        self._configure_export(settings, core, logger)
        self._configure_statsd(settings)
        self.settings = settings

    def _configure_export(self, settings: Settings, core: Any, logger: Any) -> None:
        # The SDK and the exporters are loaded here and not before: a service that only logs to stderr never pays.
        import otelbridge.context
        from otelbridge.access import debugging
        from otelbridge.delivery.quiet import mute_export_loggers
        from otelbridge.otlp.resource import ProcessIdentity, is_service_named, make_resource

        resource = make_resource(settings)
        self._check_resource(resource.attributes)
        _import_transports(settings)
        mute_export_loggers()
        debugging.install()
        otelbridge.context.attach(core)
        if not (is_service_named(resource) or self.is_provisional):
            self.reporter.once(
                "service", "the service has no name: configure(service_name=...) or OTEL_SERVICE_NAME gives it one"
            )
        if self._identity is None or self._fixed_resource is None:
            self._identity = ProcessIdentity(settings)
        self._hook()
        core.set_limits(settings.attribute_count_max, settings.attribute_length_max)
        self._configure_logs(settings, resource, core, logger)
        self._configure_traces(settings, resource)
        self._configure_metrics(settings, resource)

    def _check_resource(self, attributes: Mapping[str, Any]) -> None:
        fixed = self._fixed_resource
        if fixed is None:
            return
        own = {"service.instance.id", "process.pid"}
        changed = sorted(name for name in {*fixed, *attributes} - own if fixed.get(name) != attributes.get(name))
        if changed:
            name = changed[0]
            msg = (
                f"{name} must stay {fixed.get(name)!r} once spans and metrics were set up, "
                f"got {attributes.get(name)!r}: give service_name and resource in the first configure()"
            )
            raise ConfigError(msg)

    def _configure_logs(self, settings: Settings, resource: Any, core: Any, logger: Any) -> None:
        from otelbridge.delivery.sources import LogRecords
        from otelbridge.otlp.providers import make_provider_emitter
        from otelbridge.otlp.resource import resource_field, scope_field

        emitter = make_provider_emitter() if settings.logs == "provider" else None
        logger.set_provider_emitter(emitter, settings.level_no)
        if settings.logs != "otlp":
            core.set_export("off", settings.level_no, settings.buffer_size)
            return
        if self._log_records is None:
            self._log_records = LogRecords(core, scope_field())
        self._log_records.batch = settings.log_batch
        self._log_records.resource_field = _per_process(lambda: resource_field(resource, self._identity))
        worker = self._employ("logs", "otelbridge-logs", self._log_records, settings, settings.log_batch.delay_s)
        # In this order: the first record must find somebody to wake.
        core.set_wake(self._and_points(worker.wake), settings.log_batch.count_max, settings.log_batch.size_max)
        core.set_export("on", settings.level_no, settings.buffer_size)

    def _configure_traces(self, settings: Settings, resource: Any) -> None:
        from otelbridge.delivery.sources import EndedSpans
        from otelbridge.otlp.providers import set_tracer_provider

        if settings.traces != "otlp":
            self._dismiss("traces")
            return
        if self._spans is None:
            spans = EndedSpans(settings.span_batch, self._identity.stamp)
            if not set_tracer_provider(resource, spans):
                return
            self._spans = spans
            self._fixed_resource = dict(resource.attributes)
        self._spans.batch = settings.span_batch
        self._spans.open()
        worker = self._employ("traces", "otelbridge-spans", self._spans, settings, settings.span_batch.delay_s)
        self._spans.on_first, self._spans.on_flush = self._and_points(worker.wake), worker.flush

    def _configure_metrics(self, settings: Settings, resource: Any) -> None:
        from otelbridge.delivery.sources import CollectedPoints
        from otelbridge.otlp.providers import metric_preferences, set_meter_provider

        if settings.metrics != "otlp":
            self._dismiss("metrics")
            return
        if self._points is None:
            points = CollectedPoints(metric_preferences(settings.signals["metrics"]), self._identity.stamp, resource)
            if not set_meter_provider(resource, points):
                self._count_log_records()
                return
            self._points = points
            self._fixed_resource = dict(resource.attributes)
        self._count_log_records()
        self._employ("metrics", "otelbridge-points", self._points, settings, settings.metric_interval_s)

    def begin(self) -> None:
        """Start the threads that nothing wakes: of points, and of StatsD where all metrics go there."""
        self._start_points()
        if self._statsd is not None:
            self._statsd.begin()

    def _start_points(self) -> None:
        # Nothing tells of the first measurement, but where there is a record, span or request, there are points.
        worker = self._workers.get("metrics")
        if worker is not None:
            worker.start()

    def _and_points(self, wake: Callable[[], object]) -> Callable[[], None]:
        """A signal's wake, which starts the points' worker as well."""

        def wake_both() -> None:
            wake()
            self._start_points()

        return wake_both

    def _count_log_records(self) -> None:
        """Log records by level, in the MeterProvider that is set, ours or the user's; again changes nothing."""
        from opentelemetry.metrics import get_meter

        from otelbridge._logger import core
        from otelbridge.metrics.otel import register_log_records
        from otelbridge.scope import SCOPE_NAME, scope_version

        register_log_records(get_meter(SCOPE_NAME, scope_version()), core.level_counts)

    def _configure_statsd(self, settings: Settings) -> None:
        if self._statsd is not None:
            self._statsd.follow(settings)
        elif settings.metrics == "statsd":
            self._statsd = _Statsd(settings, self.reporter)
            self._hook()

    def otlp_metrics(self) -> RequestMetrics:
        """What requests are measured with for OTLP; our own sums are one for the process."""
        from otelbridge.metrics.instruments import old_names_wanted
        from otelbridge.metrics.otel import OtelRequestMetrics

        instruments = OtelRequestMetrics(old_names=old_names_wanted())
        with self.lock:
            if self._points is None or old_names_wanted() or not self._points.has_plain_histograms:
                return instruments
            if self._sums is None:
                from otelbridge._logger import core
                from otelbridge.metrics.aggregated import AggregatedRequestMetrics, make_traffic

                self._sums = AggregatedRequestMetrics(make_traffic(core), instruments, self._points.temporality)
                self._points.producers.append(self._sums.collect)
            return self._sums

    def statsd_metrics(self) -> StatsdRequestMetrics:
        """What requests are measured with for StatsD, made when the first app asks for it."""
        with self.lock:
            if self._statsd is None:
                assert self.settings is not None
                self._statsd = _Statsd(self.settings, self.reporter)
                self._hook()
            return self._statsd.requests

    def _employ(self, signal: Signal, name: str, source: Any, settings: Settings, delay_s: float) -> Worker:
        """Give a signal's worker, new or old, its route."""
        way = settings.signals[signal]
        route = Route(_sender_maker(signal, settings, self.reporter), way.protocol, way.timeout_s, delay_s)
        worker = self._workers.get(signal)
        if worker is None or not worker.revive():
            account = self.log_account if signal == "logs" else Account()
            worker = self._workers[signal] = Worker(name, source, route, account, self.reporter)
        else:
            worker.change_route(route)
        return worker

    def _dismiss(self, signal: Signal) -> None:
        if signal in self._workers:
            if signal == "traces" and self._spans is not None:
                self._spans.shutdown()
            self._workers[signal].stop(time.monotonic())

    def flush(self, deadline: float, *, is_patient: bool = True) -> bool:
        """Have all workers send what they have, at the same time."""
        workers = [worker for worker in list(self._workers.values()) if not worker.is_stopped]
        tickets = [(worker, worker.ask_flush(is_patient=is_patient)) for worker in workers]
        statsd = None if self._statsd is None else self._statsd.sender
        statsd_ticket = None if statsd is None or statsd.is_stopped else statsd.ask_flush()
        # Each is waited for, so that one that is late does not hide what the others have achieved.
        results = [worker.wait_flush(ticket, deadline) for worker, ticket in tickets]
        if statsd is not None and statsd_ticket is not None:
            results.append(statsd.wait_flush(statsd_ticket, deadline))
        return all(results)

    def shutdown(self, deadline: float) -> bool:
        """Flush and stop."""
        with self.lock:
            settings = self.settings
            if settings is None:
                return True
            from otelbridge._logger import core, logger

            if not settings.disabled:
                logger.set_provider_emitter(None)
                if settings.logs == "otlp":
                    core.set_export("shutdown", settings.level_no, settings.buffer_size)
            is_complete = self.flush(deadline)
            self._stop_all(deadline)
            if self._statsd is not None:
                self._statsd.sender.stop(deadline)
        worker = self._workers.get("logs")
        if worker is not None:
            self.reporter.losses(worker.lost(), final=True)
        return is_complete

    def _stop_all(self, deadline: float) -> None:
        if self._spans is not None:
            self._spans.shutdown()
        for worker in self._workers.values():
            worker.ask_stop()
        for worker in self._workers.values():
            worker.stop(deadline)

    def stats(self) -> Stats:
        """The account of log records."""
        from otelbridge._logger import core

        return self.log_account.stats(core)

    def after_fork(self) -> None:
        """In a forked child: everything that is a thread, a lock or a connection is made anew when it is needed."""
        self.lock = threading.RLock()
        self.reporter.reset()
        self.log_account.reset()
        points = self._workers.get("metrics")
        had_points = points is not None and points.is_running
        for worker in self._workers.values():
            was_stopped = worker.is_stopped
            worker.after_fork()
            if was_stopped:
                worker.ask_stop()
        if self._statsd is not None:
            self._statsd.after_fork()
        if _is_patched_next():
            return
        if had_points:
            self._start_points()
        if self._statsd is not None:
            self._statsd.begin_again()

    def _hook(self) -> None:
        if self._is_hooked:
            return
        self._is_hooked = True
        # urllib3 closes its pools by finalisers, which run at exit as well. What is registered last runs first:
        # our last requests must come before that, so finalisers are registered now.
        weakref.finalize(self, bool)
        atexit.register(_shutdown_at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.after_fork)
        _hook_multiprocessing()


class _Statsd:
    """StatsD's sender and what it sends: requests, and counts of log records where all metrics go there."""

    def __init__(self, settings: Settings, reporter: Reporter) -> None:
        from otelbridge._logger import core
        from otelbridge.metrics.statsd.sender import StatsdSender
        from otelbridge.metrics.statsd.sources import StatsdLogRecords, StatsdRequestMetrics

        self.sender = StatsdSender(_statsd_route(settings.statsd), tell=reporter.once)
        self.requests = StatsdRequestMetrics(self.sender)
        self._log_records = StatsdLogRecords(core.level_counts)
        self._has_begun = False
        self._choose_sources(settings)

    def follow(self, settings: Settings) -> None:
        """Do as another `configure()` says."""
        self.sender.change_route(_statsd_route(settings.statsd))
        self._choose_sources(settings)

    def after_fork(self) -> None:
        """In a forked child: what was measured is the parent's."""
        self.sender.after_fork()

    def begin(self) -> None:
        """Send log records' counts from now on, too, if all metrics go here."""
        # Nothing tells of the first log record, so the sender does not wait for it.
        self._has_begun = True
        if self._is_for_all:
            self.sender.ensure_running()

    def begin_again(self) -> None:
        """Begin, if the parent of this process had begun."""
        if self._has_begun:
            self.begin()

    def _choose_sources(self, settings: Settings) -> None:
        self._is_for_all = settings.metrics == "statsd"
        self.sender.set_sources(self.requests, *([self._log_records] if self._is_for_all else []))


def _shutdown_at_exit() -> None:
    """Shut down in what a host's own end has left of the time."""
    ended, waited_s = _runtime.tried_at_end
    is_same_end = time.monotonic() - ended < _END_MAX_S
    shutdown(max(EXIT_TIMEOUT_S - waited_s, _LAST_TRY_S) if is_same_end else EXIT_TIMEOUT_S)


def _is_patched_next() -> bool:
    """Whether gevent is about to replace threads by greenlets, as gunicorn has it do in each worker after the fork.

    What waits on a lock from before would stop all greenlets. Such a process begins with its first record or request.
    """
    return "gevent.monkey" in sys.modules and not _is_green()


def _is_green() -> bool:
    """Whether gevent has replaced threads by greenlets."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def _hook_multiprocessing() -> None:
    """Children of multiprocessing leave by os._exit, past atexit: have them flush on the way out."""
    from multiprocessing import parent_process, util

    def at_child_exit(_anchor: object = None) -> None:
        util.Finalize(None, _shutdown_at_exit, exitpriority=10)

    # Kept by a weak reference only, hence an object that lives as long as this module.
    util.register_after_fork(_runtime, at_child_exit)
    if parent_process() is not None:
        at_child_exit()


def _sender_maker(signal: Signal, settings: Settings, reporter: Reporter) -> Callable[[], Sender]:
    way = settings.signals[signal]

    def announce(text: str) -> None:
        reporter.once(text, text)

    def make() -> Sender:
        if way.protocol == "grpc":
            from otelbridge.otlp.transport_grpc import GrpcSender

            if _is_green() and "grpc.experimental.gevent" not in sys.modules:
                announce("gRPC may stop all greenlets of gevent: protocol http/protobuf does not")
            return GrpcSender(signal, way, announce)
        from otelbridge.otlp.transport_http import HttpSender

        return HttpSender(signal, way, announce)

    return make


def _statsd_route(way: StatsdSettings) -> StatsdRoute:
    from otelbridge.metrics.statsd.clients import PacketClient, TcpClient, UdpClient, UnixClient
    from otelbridge.metrics.statsd.lines import DIALECTS
    from otelbridge.metrics.statsd.output import ClientOutput, PacketOutput
    from otelbridge.metrics.statsd.sender import Route

    dialect = DIALECTS[way.dialect]
    client: PacketClient
    match way.transport:
        case "client":
            return Route(ClientOutput(way.client), dialect, way.prefix)
        case "udp":
            client = UdpClient(way.host, way.port)
        case "tcp":
            client = TcpClient(way.host, way.port)
        case "unix" | "unixgram":
            client = UnixClient(way.path, datagram=way.transport == "unixgram")
    return Route(PacketOutput(client, way.address), dialect, way.prefix)


def _import_transports(settings: Settings) -> None:
    """Load now what the workers need: an import on a thread, while the process ends or forks, is one that may hang."""
    for signal in settings.signals:
        try:
            _sender_maker(signal, settings, Reporter(write=lambda _: None))().close()
        except Exception as error:
            msg = f"the OpenTelemetry exporter for {signal} does not accept these settings: {error}"
            raise ConfigError(msg) from error


def _per_process(make: Callable[[], bytes]) -> Callable[[], bytes]:
    """Make once in each process."""
    made: dict[int, bytes] = {}

    def get() -> bytes:
        pid = os.getpid()
        if pid not in made:
            made.clear()
            made[pid] = make()
        return made[pid]

    return get


def _redaction(setting: Any) -> Redaction:
    from otelbridge.departures import strict

    try:
        return Redaction.from_setting(() if setting is None and strict() else setting)
    except (TypeError, ValueError) as error:
        raise ConfigError(str(error)) from error


def _use_redaction(policy: Redaction) -> None:
    from otelbridge._export import set_redaction

    set_redaction(policy)


def _level_number(name: str) -> int | None:
    """The number of a level by its name, those that the user made included."""
    from otelbridge._logger import logger

    try:
        return int(logger.level(name).no)
    except ValueError:
        return None


_runtime = _Runtime()

"""StatsD as Hypercorn sends it, one datagram per measurement, and the same measurements as OpenTelemetry instruments.

Knows lines, where they go, and the thread that sends them; what is measured, and when, is `logging`'s.
"""

from __future__ import annotations

import atexit
import encodings.idna  # noqa: F401 -- what looking up a host loads: not while our thread does so and another one forks
import math
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from ipaddress import ip_address
from queue import SimpleQueue
from typing import Literal, NamedTuple

from otelbridge._export import report_once
from otelbridge.metrics.instruments import OVERFLOW, SETS_MAX
from otelbridge.metrics.statsd.clients import UdpClient

Kind = Literal["c", "g", "ms"]
Tags = Mapping[str, object]

HOST = "localhost"
PORT = 8125
QUEUE_SIZE_MAX = 10_000
EXIT_TIMEOUT_S = 1.0
THREAD_NAME = "otelbridge-hypercorn-statsd"

# What ends a name, a tag or the line. All else Hypercorn sends as it is, and so do we.
_NOT_IN_NAMES = re.compile(r"[^!-~]|[:|@#]")
_NOT_IN_TAGS = re.compile(r"[^ -~]|\|")
_NOT_IN_KEYS = re.compile(r"[^!-~]|[:|@#,]")
_NOT_IN_VALUES = re.compile(r"[^!-~]|[|@#,]")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?")


class Address(NamedTuple):
    """An agent that listens on UDP."""

    host: str
    port: int


def read_address(setting: str | None, host: str | None, port: int | None) -> Address:
    """Return where to send: the arguments, else `config.statsd_host` (`host:port`, `host`, `[::1]:8125`), else ours.

    ValueError: a port that is none.
    """
    found = _split(host) if host is not None else _split(setting) if setting is not None else (HOST, None)
    number = port if port is not None else PORT if found[1] is None else found[1]
    try:
        checked = int(number)
    except (TypeError, ValueError):
        checked = 0
    if not 0 < checked < 1 << 16:
        msg = f"statsd_host must be a host, host:port or [address]:port with a port from 1 to 65535, got {number!r}"
        raise ValueError(msg)
    return Address(found[0] or HOST, checked)


def _split(text: str) -> tuple[str, str | None]:
    host, colon, port = text.rpartition(":")
    if text.startswith("["):
        return (host[1:-1], port) if host.endswith("]") else (text[1:].rstrip("]"), None)
    if not colon or (":" in host and not _is_address(host)):
        return text, None  # a name, or an address of IPv6 alone
    return host, port


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


# --------------------------------------------------------------------------------------------------------------- lines


def make_line(prefix: str, name: str, value: str, suffix: str, common_tags: str, tags: Tags | None) -> bytes:
    """Return one line; `suffix` is `|c|@1.0` and its like, `common_tags` are `dogstatsd_tags` as they were configured.

    Whatever names and tags hold, it is one line in ASCII: what does not belong there becomes `_`.
    """
    stat = _NOT_IN_NAMES.sub("_", f"{prefix}{name}") or "_"
    written = [_NOT_IN_TAGS.sub("_", common_tags)] if common_tags else []
    if tags:
        written += [
            f"{_NOT_IN_KEYS.sub('_', str(key)) or '_'}:{_NOT_IN_VALUES.sub('_', str(tag)) or '_'}"
            for key, tag in tags.items()
        ]
    return f"{stat}:{value}{suffix}{'|#' + ','.join(written) if written else ''}".encode("ascii")


def number_text(value: object) -> str:
    """Return a measurement as Hypercorn writes it. ValueError, TypeError: it is no number, or none that is finite."""
    text = str(int(value)) if isinstance(value, bool) else f"{value}"
    if _NUMBER.fullmatch(text):
        return text
    number = float(value)  # type: ignore[arg-type]  # raises what it has to
    if not math.isfinite(number):
        msg = f"a measurement must be a finite number, got {value!r}"
        raise ValueError(msg)
    return str(number)


def negated(text: str) -> str:
    """Return the number with the other sign. Hypercorn writes `--5`, which no server reads."""
    return text[1:] if text.startswith("-") else "-" + text.removeprefix("+")


# -------------------------------------------------------------------------------------------------------------- sending


class Postman:
    """Sends lines on a thread of its own, which begins with the first one; one for the process, anew in a forked one.

    `post` never blocks. At most QUEUE_SIZE_MAX lines wait; what finds no room, and what the kernel refuses, is counted.
    """

    def __init__(self, make_client: Callable[[str, int], UdpClient] = UdpClient) -> None:
        self._make_client = make_client
        self._starting = threading.Lock()
        self._is_hooked = False
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._queue: SimpleQueue[tuple[Address, bytes] | threading.Event] = SimpleQueue()
        self._is_running = False
        self.sent_count = 0
        self.dropped_count = 0

    def post(self, address: Address, line: bytes) -> None:
        """Have a line sent."""
        if self._pid != os.getpid():
            self.after_fork()
        if self._queue.qsize() >= QUEUE_SIZE_MAX:
            self.dropped_count += 1
            report_once("StatsD", RuntimeError(f"more than {QUEUE_SIZE_MAX} lines wait; further ones are counted"))
            return
        self._queue.put((address, line))
        if not self._is_running:
            self._start()

    def flush(self, timeout_s: float = EXIT_TIMEOUT_S) -> bool:
        """Wait until all that was posted is handed to the kernel; False after `timeout_s` seconds."""
        if self._pid != os.getpid() or not self._is_running:
            return True
        done = threading.Event()
        self._queue.put(done)
        return done.wait(timeout_s)

    def after_fork(self) -> None:
        """In a forked child: thread, lock and what waits are the parent's."""
        self._starting = threading.Lock()
        self._reset()

    def _start(self) -> None:
        with self._starting:
            if self._is_running:
                return
            with suppress(RuntimeError):  # Python has begun to end
                threading.Thread(target=self._run, args=(self._queue,), name=THREAD_NAME, daemon=True).start()
                self._is_running = True
            self._hook()

    def _hook(self) -> None:
        from multiprocessing import parent_process, util

        if parent_process() is not None:
            # Children of multiprocessing leave past atexit. Registered once per process: a child forgets its parent's.
            util.Finalize(None, self.flush, exitpriority=10)
        if not self._is_hooked:
            self._is_hooked = True
            atexit.register(self.flush)

    def _run(self, queue: SimpleQueue[tuple[Address, bytes] | threading.Event]) -> None:
        clients: dict[Address, UdpClient] = {}
        while True:
            item = queue.get()
            if isinstance(item, threading.Event):
                item.set()
                continue
            address, line = item
            client = clients.get(address)
            if client is None:
                client = clients[address] = self._make_client(address.host, address.port)
            try:
                client.deliver(line)
                self.sent_count += 1
            except Exception as error:
                self.dropped_count += 1
                report_once(f"StatsD to {address.host}:{address.port}", error)


POSTMAN = Postman()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=POSTMAN.after_fork)


# -------------------------------------------------------------------------------------------------------- OpenTelemetry

_NOT_IN_INSTRUMENTS = re.compile(r"[^A-Za-z0-9_./-]")
_INSTRUMENT_NAME_LENGTH_MAX = 255

# Hypercorn's own counts only grow. Of a user's nobody knows: StatsD counts down as well, so they may here.
_GROWING = re.compile(r"hypercorn\.(requests|request\.status\..*|log\..*)")


class Instruments:
    """The same measurements as instruments of meter `otelbridge`, under the names without prefix.

    increment and decrement: UpDownCounter (Counter for Hypercorn's own); histogram: Histogram; gauge: Gauge. Tags are
    attributes. At most SETS_MAX names are told apart, and so many sets of attributes.
    """

    def __init__(self) -> None:
        self._acts: dict[tuple[Kind, str], Callable[..., object]] = {}
        self._sets: set[tuple[tuple[str, str], ...]] = set()

    def record(self, kind: Kind, name: str, value: float, tags: Mapping[str, str]) -> None:
        """Record one measurement, if metrics go to OTLP."""
        if not _goes_to_otlp():
            return
        act = self._acts.get((kind, name)) or self._make(kind, name)
        if act is not None:
            act(value, self._attributes(tags))

    def _attributes(self, tags: Mapping[str, str]) -> Mapping[str, str | bool]:
        if not tags:
            return {}
        key = tuple(sorted(tags.items()))
        if key not in self._sets:
            if len(self._sets) >= SETS_MAX:
                return OVERFLOW
            self._sets.add(key)
        return tags

    def _make(self, kind: Kind, name: str) -> Callable[..., object] | None:
        from opentelemetry.metrics import get_meter

        from otelbridge.scope import SCOPE_NAME, scope_version

        if len(self._acts) >= SETS_MAX:
            report_once("metrics", RuntimeError(f"more than {SETS_MAX} names; further ones go to StatsD only"))
            return None
        meter = get_meter(SCOPE_NAME, scope_version())
        named = _instrument_name(name)
        act: Callable[..., object]
        if kind == "g":
            act = meter.create_gauge(named).set
        elif kind == "ms":
            # What a user gives need not be a time.
            act = meter.create_histogram(named, unit="ms" if name == "hypercorn.request.duration" else "").record
        elif _GROWING.fullmatch(name):
            act = meter.create_counter(named).add
        else:
            act = meter.create_up_down_counter(named).add
        return self._acts.setdefault((kind, name), act)


def read_tags(common_tags: str, tags: Tags | None) -> dict[str, str]:
    """Return `a:b,c:d` and the tags of a call as attributes; one without a value is an empty text."""
    found: dict[str, str] = {}
    for tag in common_tags.split(",") if common_tags else ():
        key, _, text = tag.partition(":")
        if key:
            found[key] = text
    return found | {str(key): str(text) for key, text in (tags or {}).items()}


def _instrument_name(name: str) -> str:
    text = _NOT_IN_INSTRUMENTS.sub("_", name)
    return (text if text[:1].isalpha() else f"statsd.{text}")[:_INSTRUMENT_NAME_LENGTH_MAX]


def _goes_to_otlp() -> bool:
    wiring = sys.modules.get("otelbridge.wiring")
    return wiring is not None and wiring.configured_metrics() == "otlp"


INSTRUMENTS = Instruments()

"""The seam over gRPC: one call on the official exporter's own channel, with the encoded request as it is.

The exporter brings endpoint, TLS, compression and channel; its retry loop is not entered. Only `_channel` is not
public; where it is missing, a channel of our own takes its place, announced once. Retries are `delivery`'s.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # generated, without stubs
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # generated, without stubs

from otelbridge.otlp.outcome import ANSWER_SIZE_MAX, RETRY_AFTER_MAX_S, Outcome, Signal, judge_grpc, printable
from otelbridge.otlp.requests_pb import grpc_method, read_answer
from otelbridge.otlp.settings import SignalSettings

_CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", ANSWER_SIZE_MAX),
    # A new channel must try at once, not wait out what a former one to the same address learned.
    ("grpc.use_local_subchannel_pool", 1),
    # Our worker decides when to try again: gRPC's own pause (up to two minutes) must not be the longer one.
    ("grpc.max_reconnect_backoff_ms", 1000),
)


class GrpcSender:
    """One signal's official gRPC exporter, driven one attempt at a time."""

    def __init__(self, signal: Signal, settings: SignalSettings, announce: Callable[[str], None]) -> None:
        self.endpoint = settings.endpoint
        self._signal = signal
        self._settings = settings
        self._announce = announce
        self._aborted = threading.Event()
        self._metadata = tuple(settings.headers.items())
        self._exporter: Any = None
        self._channel: Any = None
        self._open()

    def send(self, request: bytes, count: int, timeout_s: float) -> Outcome:  # noqa: ARG002  # the Sender's words
        """Make exactly one attempt, of at most `timeout_s`; never raises."""
        if self._aborted.is_set():
            return Outcome("retry", message="the attempt was cut short", cause="aborted")
        try:
            if self._channel is None:
                self._open()
            call = self._channel.unary_unary(grpc_method(self._signal))
            answer, _ = call.with_call(request, timeout=timeout_s, metadata=self._metadata)
            return read_answer(self._signal, answer)
        except grpc.RpcError as error:
            if self._aborted.is_set():
                return Outcome("retry", message="the attempt was cut short", cause="aborted")
            outcome = judge_error(error)
            if outcome.cause == "unavailable":
                # As the official exporter does: the channel may hold an address that is no longer right.
                self.close()
            return outcome
        except Exception as error:
            cause = "aborted" if self._aborted.is_set() else "internal"
            return Outcome("retry", message=f"{type(error).__name__}: {printable(str(error), 120)}", cause=cause)

    def abort(self) -> None:
        """End an attempt under way, at once, and refuse further ones."""
        self._aborted.set()
        channel = self._channel
        if channel is not None:
            with suppress(Exception):
                channel.close()

    def close(self) -> None:
        """Let go of the connections."""
        exporter, channel = self._exporter, self._channel
        self._exporter = self._channel = None
        if exporter is not None:
            with suppress(Exception):
                exporter.shutdown()
        if channel is not None:
            with suppress(Exception):
                channel.close()

    def _open(self) -> None:
        self._exporter = _make_exporter(self._signal, self._settings)
        self._channel = getattr(self._exporter, "_channel", None)
        if self._channel is None:
            self._announce(
                f"this version of the OpenTelemetry {self._signal} exporter keeps its gRPC channel elsewhere; "
                "otelbridge opens its own"
            )
            self._channel = _own_channel(self._signal, self._settings)


def judge_error(error: Any) -> Outcome:
    """Say what a failed call means for its request."""
    code = error.code()
    name = code.name if code is not None else "UNKNOWN"
    details = printable(str(error.details() or ""), 160)
    if name == "RESOURCE_EXHAUSTED" and "larger than max" in details:
        if "CLIENT:" in details:
            message = f"its answer is larger than {ANSWER_SIZE_MAX // 2**20} MiB"
            return Outcome("failed", message=message, cause="answer_too_large")
        return Outcome("rejected", message=f"it answered {name}: {details}", cause="too_large")
    retry_after_s = read_retry_info(error.trailing_metadata() or ())
    kind = judge_grpc(name, has_retry_info=retry_after_s is not None)
    return Outcome(
        kind,
        message=f"{_wording(name, details)}{f': {details}' if details else ''}",
        retry_after_s=retry_after_s if kind == "retry" else None,
        cause="timeout" if name == "DEADLINE_EXCEEDED" else name.lower(),
    )


def _wording(name: str, details: str) -> str:
    if name == "DEADLINE_EXCEEDED":
        return "it gave no answer in time"
    if name == "UNAVAILABLE" and "Connection refused" in details:
        return "the connection was refused"
    return f"it answered {name}"


def read_retry_info(trailers: Iterable[tuple[str, Any]]) -> float | None:
    """The pause that the server asks for, by either of the two trailers in use; None when it asks for none."""
    for key, value in trailers:
        info = RetryInfo()
        try:
            if key == "google.rpc.retryinfo-bin":
                info.ParseFromString(value)
            elif key == "grpc-status-details-bin":
                details = Status.FromString(value).details
                found = next((detail for detail in details if detail.Is(RetryInfo.DESCRIPTOR)), None)
                if found is None:
                    continue
                found.Unpack(info)
            else:
                continue
        except (DecodeError, TypeError, ValueError):
            continue
        delay_s: float = info.retry_delay.seconds + info.retry_delay.nanos / 1e9
        return min(max(delay_s, 0.0), RETRY_AFTER_MAX_S)
    return None


def _make_exporter(signal: Signal, settings: SignalSettings) -> Any:
    arguments: Any = {
        "endpoint": settings.endpoint,
        "headers": tuple(settings.headers.items()),
        "timeout": settings.timeout_s,
        "compression": _compression(settings),
        "channel_options": _CHANNEL_OPTIONS,
    }
    if signal == "logs":
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter

        return OTLPLogExporter(**arguments)
    if signal == "traces":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter(**arguments)
    from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter

    return OTLPMetricExporter(**arguments)


def _compression(settings: SignalSettings) -> grpc.Compression:
    return grpc.Compression.Gzip if settings.compression == "gzip" else grpc.Compression.NoCompression


def _own_channel(signal: Signal, settings: SignalSettings) -> Any:
    parts = urlsplit(settings.endpoint)
    compression = _compression(settings)
    if parts.scheme == "http":
        return grpc.insecure_channel(parts.netloc, options=_CHANNEL_OPTIONS, compression=compression)

    def content(name: str) -> bytes | None:
        for variable in (f"OTEL_EXPORTER_OTLP_{signal.upper()}_{name}", f"OTEL_EXPORTER_OTLP_{name}"):
            if os.environ.get(variable):
                return Path(os.environ[variable]).read_bytes()
        return None

    credentials = grpc.ssl_channel_credentials(
        content("CERTIFICATE"), content("CLIENT_KEY"), content("CLIENT_CERTIFICATE")
    )
    return grpc.secure_channel(parts.netloc, credentials, options=_CHANNEL_OPTIONS, compression=compression)

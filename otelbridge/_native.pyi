"""The contract of the Zig extension (native/src/core.zig). Everything needs the GIL, and serves one interpreter.

Times are nanoseconds since 1970-01-01 UTC, sizes are bytes. Nothing here raises for what a user logs; what raises is
said.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Literal, final

from typing_extensions import disjoint_base

_Site = tuple[str | None, str, int, str, str]

def now_ns() -> int:
    """Wall clock."""

def now_iso() -> str:
    """Wall clock in UTC, as `datetime.now(timezone.utc).isoformat(timespec="microseconds")`."""

def time_text(time_ns: int, offset_s: int, /) -> str:
    """`YYYY-MM-DD HH:MM:SS.mmm` of a time, `offset_s` seconds east of UTC. ValueError beyond a day of offset."""

def basename(path: str, /) -> str:
    """What follows the last separator, as `os.path.basename`."""

def module_name() -> str | None:
    """`__name__` of the calling module; None outside one."""

@final
class AttrSet:
    """Immutable attributes of a bound logger or a contextualize block, encoded once where they cannot change.

    `hidden`: names in `values` that are id fields of a record, not attributes. `trace_id` (16 bytes) marks records
    only, as long as the current span is `span`.
    """

    def __new__(
        cls,
        values: dict[str, Any],
        hidden: tuple[str, ...] = (),
        trace_id: bytes | None = None,
        span: object = None,
        /,
    ) -> AttrSet: ...
    @property
    def values(self) -> dict[str, Any]:
        """What Python sinks see. Not to be changed."""

    @property
    def hidden(self) -> tuple[str, ...]: ...
    @property
    def mark(self) -> tuple[bytes, object] | None:
        """The trace id that marks records, and the span that was current then; None without one."""

@final
class Core:
    """What all loggers of a process share: thresholds, caches, and the encoded records that wait for delivery.

    `dispatch(logger, level, message, args, kwargs, exception)` takes the calls that need Python.
    """

    def __new__(cls, context_var: ContextVar[AttrSet | None], dispatch: Callable[..., object], /) -> Core: ...
    def set_export(self, mode: Literal["off", "on", "shutdown"], level_no: int, buffer_size: int, /) -> None:
        """Whether records are encoded ("shutdown": counted as dropped), from which level, and how much may wait."""

    @property
    def otlp_level(self) -> int:
        """The level from which records are encoded; the largest C long long while none are."""

    @property
    def threshold(self) -> int:
        """The level below which a call does nothing: the lower of otlp_level and the sinks'."""

    def set_sink_level(self, level_no: int | None, /) -> None:
        """The lowest level that a Python sink wants; None without sinks."""

    def set_limits(self, attribute_count: int, value_length: int, /) -> None:
        """Limits of a record's attributes; value_length in characters, 0 is none."""

    def set_format_raises(self, flag: bool, /) -> None:
        """Whether a template that cannot be formatted raises, as in loguru, instead of being marked."""

    def set_wake(self, callback: Callable[[], object] | None, count: int, size: int, /) -> None:
        """Called on the logging thread at the first record (of the process, or of a fork) and once per batch when
        `count` records or `size` bytes wait. It must neither block nor take a lock that its caller may hold.
        """

    def attach_otel(self, context_var: ContextVar[Any], span_key: str, /) -> None:
        """Where OpenTelemetry keeps its Context, and the current span in it."""

    def after_fork(self) -> None:
        """In the child: forget what waits, and count from zero."""

    def counters(self) -> tuple[int, int, int, int, int, int, int]:
        """The fields of otelbridge.types.CoreCounters."""

    def take(self, resource: bytes, scope: bytes, size_max: int, count_max: int, /) -> tuple[bytes, int] | None:
        """Remove the oldest records (at least one) and return them as an ExportLogsServiceRequest, with their number.

        `resource` and `scope` are encoded fields of ResourceLogs and ScopeLogs. None when nothing waits.
        """

    def site(self, depth: int, /) -> _Site | None:
        """(name, function, line, path, qualified name) of the frame `depth` above the caller's, or None."""

    def emit(
        self,
        time_ns: int,
        severity_number: int,
        severity_text: str,
        body: str,
        template: str | None,
        args: tuple[Any, ...],
        format_error: str | None,
        site: _Site | None,
        exception: tuple[str, str, str] | None,
        extra: dict[str, Any],
        event_name: str | None,
        /,
    ) -> None:
        """Encode and store one record. exception: (type, message, stacktrace). Ids are read from the context now."""

@disjoint_base
class LoggerBase:
    """The level methods: below every level a call returns at once; a plain call is encoded; others go to dispatch."""

    def __new__(cls, core: Core, bound: AttrSet | None = None, options: Any = None, /) -> LoggerBase: ...
    @property
    def _core(self) -> Core: ...
    @property
    def _bound(self) -> AttrSet | None: ...
    @property
    def _options(self) -> Any: ...
    def trace(self, message: Any, /, *args: Any, **kwargs: Any) -> None: ...
    def debug(self, message: Any, /, *args: Any, **kwargs: Any) -> None: ...
    def info(self, message: Any, /, *args: Any, **kwargs: Any) -> None: ...
    def success(self, message: Any, /, *args: Any, **kwargs: Any) -> None: ...
    def warning(self, message: Any, /, *args: Any, **kwargs: Any) -> None: ...
    def error(self, message: Any, /, *args: Any, **kwargs: Any) -> None: ...
    def critical(self, message: Any, /, *args: Any, **kwargs: Any) -> None: ...
    def exception(self, message: Any, /, *args: Any, **kwargs: Any) -> None: ...
    def log(self, level: str | int, message: Any, /, *args: Any, **kwargs: Any) -> None: ...

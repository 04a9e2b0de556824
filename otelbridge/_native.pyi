"""The contract of the Zig extension (native/src/core.zig). Everything needs the GIL, and serves one interpreter.

Times are nanoseconds since 1970-01-01 UTC, sizes are bytes. Nothing here raises for what a user logs; what raises is
said.
"""

from collections.abc import Callable, Mapping, MutableMapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar, final

from typing_extensions import disjoint_base

from otelbridge.context import Contextualized
from otelbridge.record import Record, RecordException, RecordLevel

_Site = tuple[str | None, str, int, str, str]

# Value, time, trace id (16 bytes) and span id (8 bytes).
_Exemplar = tuple[float, int, bytes | None, bytes | None]
# Begin, number in each bucket, sum, least, most, exemplars in the order of the buckets.
_Histogram = tuple[int, tuple[int, ...], float, float, float, list[_Exemplar]]
# Begin, value, exemplars.
_Count = tuple[int, int, list[_Exemplar]]
# Method, scheme, status, route, version, error type; None for what came too late to have a set of its own.
_RequestWords = tuple[str, str, int | None, str | None, str, str | None] | None

def now_ns() -> int:
    """Wall clock, or the one that was set."""

def set_clock(clock: Callable[[], int] | None, /) -> None:
    """Ask `clock` for all times from now on; None: the wall clock. A failing one is not believed."""

def now_iso() -> str:
    """Wall clock in UTC, as `datetime.now(timezone.utc).isoformat(timespec="microseconds")`."""

def time_text(time_ns: int, offset_s: int, /) -> str:
    """`YYYY-MM-DD HH:MM:SS.mmm` of a time, `offset_s` seconds east of UTC. ValueError beyond a day of offset."""

def basename(path: str, /) -> str:
    """What follows the last separator, as `os.path.basename`."""

def module_name() -> str | None:
    """`__name__` of the calling module; None outside one."""

def encode_json(value: object, /) -> bytes:
    """`value` as JSON, compact, spelled as orjson does.

    What JSON has no word for comes out as `str(value)`, NaN and infinities as null, a container inside itself as
    `"[...]"` or `"{...}"`. ValueError: more than 256 MiB.
    """

def set_event_makers(
    make_record: Callable[[Event], Record],
    current_process: Callable[[], tuple[int, str]],
    utc_offset: Callable[[int], int],
    /,
) -> None:
    """What Python makes of an event when somebody asks for it.

    current_process: id and name. utc_offset(second): seconds east of UTC at that time; asked once per second of time,
    or for each time while a clock is set.
    """

def set_trace_api(
    span_context: type, span: type, context: type, flags: tuple[Any, ...], trace_state: object, span_key: str, /
) -> None:
    """OpenTelemetry's SpanContext, NonRecordingSpan, Context, its 256 TraceFlags, the empty TraceState, and where a
    Context has its span. SpanContext must be a tuple of (trace_id, span_id, is_remote, flags, state, is_valid).
    """

def remote_context(traceparent: str, current: dict[str, Any], /) -> Any:
    """`current` as a Context whose span is the one that the header names; None: the header is not version 00 in its
    plain form, which another has to judge, or set_trace_api was not called.
    """

def set_span_types(*types: type) -> None:
    """The SDK's ReadableSpan, BoundedAttributes, BoundedList, deque, SpanContext, TraceState, Event, Link, Status,
    StatusCode and SpanKind, in this order. TypeError for anything else than eleven classes.
    """

def encode_span(span: object, /) -> bytes | None:
    """An ended span as the field `spans` of ScopeSpans, byte for byte as the official encoder writes it.

    None: that one has to (a class of the user's, mappings or bytes as values, what OTLP has no room or word for …), or
    set_span_types was not called.
    """

def redact_text(text: str, detectors: int, is_secret: Callable[[str], bool] | None = None, /) -> str:
    """`text` without credentials and secret parameters in URLs, and without what `detectors` finds; the same object
    if nothing was found. Linear in the length of the text.

    detectors, added up: 1 card numbers, 2 bearer tokens, 4 JSON Web Tokens, 8 AWS key ids, 16 private keys, 32 e-mail
    addresses. `is_secret(name)` judges every parameter that has a value, instead of the built-in list; what it raises
    is raised.
    """

def client_text(value: object, /) -> str:
    r"""Text that any encoder takes, from what a client or server gave; at most 4096 characters, "" for what is no text.

    Bytes are read as UTF-8; what is none, and lone surrogates, become `\xNN` and `\uNNNN`.
    """

def escape(text: str, /) -> str:
    r"""`text` with quotes, backslashes, blanks, control, format (bidi) and lone surrogate characters escaped.

    Quotes and backslashes as `\"` and `\\`, the others as `\xNN`, `\uNNNN`, `\UNNNNNNNN`; other letters stay readable.
    """

@final
class AttrSet:
    """Immutable attributes of a bound logger or a contextualize block, encoded once where they cannot change.

    `hidden`: names in `values` that are id fields of a record, not attributes. `trace_id` (16 bytes) marks records
    only, as long as the current span is `span`. `outer`: what was entered before; if it belongs to a request, so does
    this, and becomes the `context` of that request's record.
    """

    def __new__(
        cls,
        values: dict[str, Any],
        hidden: tuple[str, ...] = (),
        trace_id: bytes | None = None,
        span: object = None,
        outer: AttrSet | None = None,
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
    """What all loggers of a process share: the encoded records that wait for delivery, and what makes them."""

    def __new__(cls, context_var: ContextVar[AttrSet | None], /) -> Core: ...
    def set_export(self, mode: Literal["off", "on", "shutdown"], level_no: int, buffer_size: int, /) -> None:
        """Whether records are encoded ("shutdown": counted as dropped), from which level, and how much may wait."""

    @property
    def otlp_level(self) -> int:
        """The level from which records are encoded; the largest C long long while none are."""

    def set_limits(self, attribute_count: int, value_length: int, /) -> None:
        """Limits of a record's attributes; value_length in characters, 0 is none."""

    def set_format_raises(self, flag: bool, /) -> None:
        """Whether a template that cannot be formatted raises, as in loguru, instead of being marked."""

    def set_redaction(self, kinds: dict[Any, int] | None, detectors: int, /) -> None:
        """What may not be stored or delivered as it is; calls that have it, or may have it, go to `dispatch`.

        kinds: what names say of their values (0 nothing, 1 secret, 2 the query of a URL), and types of theirs (0
        nothing, 1 that they are shown as text, and to be searched). What is not in it yet goes to `dispatch`, which is
        to add it.
        None: nothing is redacted. detectors: as of redact_text; 64: any parameter of a URL may be secret.
        """

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

    def level_counts(self) -> dict[str, int]:
        """Log records since the process (or its fork) began, by the name of their level; none that is zero.

        A record counts when it is made for OTLP or for a sink by its level, once, whatever ways it goes and whatever
        becomes of it there. Of the user's own levels 64 are told apart, the others are `_OTHER` together.
        """

    def count_event(self, event: Event, /) -> None:
        """Count an event in level_counts; again: nothing. Plain calls are counted by the core."""

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

    def enter_request(
        self, record: AccessBase, otel_context: Any, /
    ) -> tuple[Token[AttrSet | None], Token[Any] | None]:
        """Begin what belongs to a request: blocks that are entered from now on are its record's `context`.

        Sets the ContextVar to that context (a new empty AttrSet at first), and OpenTelemetry's to `otel_context` (None:
        as it is).
        """

    def leave_request(self, entry: tuple[Token[AttrSet | None], Token[Any] | None], /) -> None:
        """Undo enter_request, in reverse order; nothing in another context than the one that entered."""

@disjoint_base
class Dispatcher:
    """What the loggers of one family share: which calls do anything, and how they reach Python.

    `deliver(event)` takes plain calls that a sink wants (already encoded for OTLP, if that wants them), and what it
    raises is raised from the call. `dispatch(logger, level, message, args, kwargs, exception)` takes all others whole.
    """

    def __new__(
        cls, core: Core, dispatch: Callable[..., object], deliver: Callable[[Event], object], /
    ) -> Dispatcher: ...
    @property
    def core(self) -> Core: ...
    @property
    def extra(self) -> AttrSet | None: ...
    @property
    def threshold(self) -> int:
        """The level below which a call does nothing: the lower of the core's otlp_level and the sinks'."""

    def set_sink_level(self, level_no: int | None, /) -> None:
        """The lowest level that a Python sink wants; None without sinks."""

    def set_levels(self, levels: tuple[RecordLevel, ...], /) -> None:
        """What an event's `level` is, for TRACE, DEBUG, INFO, SUCCESS, WARNING, ERROR, CRITICAL."""

    def set_extra(self, extra: AttrSet | None, /) -> None:
        """Attributes of all records, below contextualized, bound and keyword ones."""

    def set_activation(self, cache: dict[str | None, bool] | None, decide: Callable[[str | None], bool], /) -> None:
        """Whose calls count, by the caller's `__name__`; None: everybody's.

        `decide` is asked for names that `cache` lacks, and stores its answer there. Calls of loggers with options (and
        so, perhaps, a depth) reach `dispatch` unchecked.
        """

    def set_python_way(self, flag: bool, /) -> None:
        """True: every call that passes the threshold goes to `dispatch`."""

    def emit_access(self, record: AccessBase, level_no: int, event_name: str, body: str | None, /) -> bool:
        """Encode a request's record for OTLP, if nobody else wants it; body None: its line.

        False: nothing was done, and Logger.event has to make the same record: a sink or patcher wants it, something is
        to be redacted, an attribute has to be looked at by Python. Extra and context come along, as there.
        """

@disjoint_base
class AccessBase:
    """The fields of a request, and its views; otelbridge/access/record.py says what they mean. What else is set is kept
    in `__dict__`. Made with fields by keyword; TypeError for a value of a wrong type, OverflowError beyond 64 bits.
    """

    def __new__(cls, **fields: Any) -> Self: ...
    method: str
    path: str
    query: str
    scheme: str
    http_version: str
    client_address: str | None
    user_agent: str | None
    referer: str | None
    request_id: str | None
    headers: dict[str, list[str]]
    route: str | None
    status: int | None
    request_body_size: int
    response_body_size: int
    start_ns: int
    ttfb_ns: int | None
    duration_ns: int
    ended_by: str
    error_type: str | None
    known_method: str
    log_query: bool
    echo_request_id: bool
    closed: bool
    @property
    def context(self) -> AttrSet | None:
        """The AttrSet that was entered last in the request; None: none was, or the record is closed."""

    def line(self) -> str: ...
    def _line(self, protocol: str, /) -> str: ...
    def attributes(self) -> dict[str, Any]: ...
    def _common_attributes(self) -> dict[str, Any]:
        """Those that a WebSocket session has, too; no additions."""

_O = TypeVar("_O", bound=ObservationBase)
_Opened = _O | tuple[Any, dict[str, list[str]] | None] | None

@final
class Gate(Generic[_O]):
    """Opens the requests of one app, as `reader` reads them.

    kind: what observations are. excludes(path): whether a request passes untouched. plain: None (no request is plain),
    or what a plain one needs: quiets(path); where its points go; who encodes its record; wants(level), whether somebody
    else takes that, and a dict in which False for a level's number says no; the level's name and number; its event's
    name; after how many ns it is slow; whether a traceparent is trusted, and a plain one needs no propagator; whether
    the query is logged.
    """

    def __new__(
        cls,
        kind: type[_O],
        core: Core,
        reader: AccessReader,
        excludes: Callable[[str], object] | None,
        plain: tuple[
            Callable[[str], object] | None,
            Traffic | None,
            Dispatcher | None,
            Callable[[str], bool],
            dict[int, bool] | None,
            str,
            int,
            str,
            float,
            bool,
            bool,
            bool,
        ]
        | None,
        /,
    ) -> Gate[_O]: ...
    def asgi(self, observer: object, scope: MutableMapping[str, Any], /) -> _Opened[_O]:
        """Open a scope of type http or websocket: put its record into a copy of its state.

        None: it is excluded or observed already, and untouched. An observation: it has begun. A tuple: Python has to
        begin with that record, and what the propagator's headers say. Asks observer.neighbour, tells observer.report.
        """

    def wsgi(self, observer: object, environ: MutableMapping[str, Any], /) -> _Opened[_O]:
        """The same of an environ, which gets the record itself."""

@disjoint_base
class ObservationBase:
    """One request. `end` serves a plain one; it calls `self._end(raised, client_left, complete)` for any other, and
    `self._log_only()` where only the record was not for the core.
    """

    def __new__(
        cls, gate: Gate[Any], observer: Any, request: MutableMapping[str, Any], record: AccessBase, is_quiet: bool, /
    ) -> Self: ...
    @property
    def record(self) -> Any: ...
    @property
    def ended(self) -> bool: ...
    @property
    def _observer(self) -> Any: ...
    @property
    def _request(self) -> MutableMapping[str, Any]: ...
    @property
    def _is_quiet(self) -> bool: ...
    _context: Any
    _span: Any
    _is_foreign: bool
    _is_counted: bool
    def enter(self) -> tuple[Token[AttrSet | None], Token[Any] | None]:
        """Make the request's span (or the remote parent) current, and have `contextualize` tell its record.

        Give the answer to `leave`, in the same task or thread.
        """

    def leave(self, entry: tuple[Token[AttrSet | None], Token[Any] | None], /) -> None:
        """Undo `enter`."""

    def end(self, *, raised: BaseException | None = None, client_left: bool = False, complete: bool = True) -> None:
        """Complete the record and emit all that it is to become. A second call does nothing.

        raised: what the app raised by its own fault; complete: whether the answer was sent to its end.
        """

@final
class AccessReader:
    """Reads requests into records, whatever a client or server put there.

    `captured`: headers to keep, by lower-case name, and what they are called in `headers`; `fields`: those that the
    propagator wants. TypeError for arguments of other types. socket_type is called, record_type is not: it must have
    no fields in Python.
    """

    def __new__(
        cls,
        record_type: type[AccessBase],
        socket_type: type[AccessBase],
        known_methods: frozenset[str],
        captured: dict[bytes, str],
        fields: frozenset[bytes],
        /,
    ) -> AccessReader: ...
    def asgi(self, scope: Mapping[str, Any], /) -> tuple[Any, dict[str, list[str]] | None]:
        """Read a scope of type http or websocket. The second is what the propagator's headers say, None without any.

        Of several User-Agent or Referer headers the first counts, of several X-Request-ID the first acceptable one;
        without one an id is made: 32 random hexadecimal characters.
        """

    def wsgi(self, environ: Mapping[str, Any], /) -> tuple[Any, dict[str, list[str]] | None]:
        """The same of an environ."""

@final
class Event:
    """One log call on its way to Python sinks. Thread and ids are the current ones when it is made."""

    def __new__(
        cls,
        dispatcher: Dispatcher,
        time_ns: int,
        level: RecordLevel,
        message: str,
        shown: str,
        site: _Site | None,
        extra: dict[Any, Any],
        exception: RecordException | None,
        /,
    ) -> Event: ...
    @property
    def time_ns(self) -> int: ...
    @property
    def elapsed_ns(self) -> int:
        """Since this module was made."""

    level: RecordLevel
    message: str
    shown: str
    """The message as text sinks print it; mostly the same object."""
    @property
    def site(self) -> _Site | None:
        """(name, function, line, path, qualified name) of the caller."""

    extra: dict[Any, Any]
    exception: RecordException | None
    @property
    def thread_id(self) -> int: ...
    @property
    def thread_name(self) -> str: ...
    @property
    def ids(self) -> tuple[str, str | None, int] | None:
        """Trace id and span id in hexadecimal, and the trace's flags."""

    @property
    def has_record(self) -> bool:
        """Whether somebody has asked for the record, or set one, and so may have changed it."""

    record: Record
    """Loguru's dict, made at the first access and kept."""

@final
class Layout:
    """A format that renders events without their records. otelbridge/text/layout.py makes the ops."""

    def __new__(cls, ops: tuple[tuple[Any, ...], ...], sanitize: bool, /) -> Layout: ...
    def render(self, event: Event, exception_text: str, /) -> str | None:
        """The text; None: Python has to (the record exists, a text needs escaping, a field is missing …)."""

@final
class Traffic:
    """What HTTP requests add up to. All words are bounded by the caller; no call allocates but the first of its words.

    sets_max: how many combinations of words are told apart; later ones are summed up together. exemplars: as
    OTEL_METRICS_EXEMPLAR_FILTER; ids are those of the current span. A forked child starts from zero.
    ValueError: bounds that are not finite or do not rise, an unknown filter.
    """

    def __new__(
        cls,
        core: Core,
        duration_bounds: tuple[float, ...],
        size_bounds: tuple[float, ...],
        sets_max: int = 2000,
        exemplars: Literal["trace_based", "always_on", "always_off"] = "trace_based",
        schemes: frozenset[str] = ...,
        versions: frozenset[str] = ...,
        /,
    ) -> Traffic: ...
    def started(self, method: str, scheme: str, /) -> None:
        """Count a request in."""

    def started_record(self, record: object, /) -> bool:
        """Count a request in by its record, whose words are bounded as `metrics.instruments.request_words` does.

        `schemes` and `versions` are told apart, given both or none. False: nothing was done, and the words have to be
        given: it is no AccessBase, none were given, or a word is too long or has lone surrogates.
        """

    def ended_record(self, record: object, counted: bool, /) -> bool:
        """Add a finished request by its record; counted: out again. False: as started_record."""

    def ended(
        self,
        method: str,
        scheme: str,
        status: int | None,
        route: str | None,
        version: str,
        error_type: str | None,
        duration_ns: int,
        request_size: int,
        response_size: int,
        counted: bool,
        /,
    ) -> None:
        """Add a finished request; counted: out again. A negative duration or size is no measurement, as in the SDK.

        TypeError, OverflowError: a word that is no str, a number beyond 64 bits; then nothing is added.
        """

    def snapshot(
        self, histograms_delta: bool, counters_delta: bool, active_delta: bool, /
    ) -> tuple[
        int,
        list[tuple[_RequestWords, _Histogram | None, _Histogram | None, _Histogram | None, _Count | None]],
        list[tuple[tuple[str, str] | None, _Count]],
    ]:
        """Time; per combination of words duration (s), sizes of request and response, number; requests under way.

        delta: what was added since the last snapshot, and no point if that is nothing; else all since the beginning.
        Exemplars are given once. RuntimeError: called while another thread's is being taken.
        """

def set_scope(
    kind: type[Scope],
    context_var: ContextVar[AttrSet | None],
    enter: Callable[[dict[str, Any]], object],
    leave: Callable[[Any], object],
    /,
) -> None:
    """What `contextualize` makes, the variable that its blocks set, and who enters and leaves those that name ids."""

@disjoint_base
class Scope:
    """A block whose records carry `values`; one that names no ids is entered and left without Python."""

    def __new__(cls, values: dict[str, Any], /) -> Self: ...
    @property
    def values(self) -> dict[str, Any]: ...
    def __enter__(self) -> None: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

@disjoint_base
class LoggerBase:
    """The level methods: below every level a call returns at once; a plain call is encoded; others go to dispatch."""

    def __new__(cls, dispatcher: Dispatcher, bound: AttrSet | None = None, options: Any = None, /) -> LoggerBase: ...
    @property
    def _dispatcher(self) -> Dispatcher: ...
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
    def contextualize(self, /, **values: Any) -> Contextualized: ...

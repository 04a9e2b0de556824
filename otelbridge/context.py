"""What surrounds a log call: contextualize blocks, and their ids in OpenTelemetry's own context.

OpenTelemetry's context is the only truth for ids: a block that names valid ones attaches them there, so that child
spans, outgoing headers and other libraries see them. Everything else stays in a ContextVar of ours. Imports
opentelemetry's API only when an id is given, and never its SDK.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token, copy_context
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar, cast

from otelbridge._native import AttrSet, Core, Scope, set_scope

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

P = ParamSpec("P")
R = TypeVar("R")

CURRENT: ContextVar[AttrSet | None] = ContextVar("otelbridge_context", default=None)

_TRACE_ID = re.compile(r"[0-9a-fA-F]{32}\Z")
_SPAN_ID = re.compile(r"[0-9a-fA-F]{16}\Z")
# W3C trace context: a version that is not ff; version 00 ends after the flags, later ones may go on.
_TRACEPARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<rest>-.*)?\Z"
)
_TRACEPARENT_SIZE_MAX = 512
_SAMPLED = 1


class Ids(NamedTuple):
    """Valid ids that a block names. `span_id` None: the trace id marks records only."""

    trace_id: int
    span_id: int | None
    flags: int
    names: tuple[str, ...]


def read_ids(values: dict[str, Any]) -> Ids | None:
    """The ids among a block's values; None if they name no valid one (then they are attributes like any other)."""
    traceparent = values.get("traceparent")
    if isinstance(traceparent, str) and (parsed := _parse_traceparent(traceparent)) is not None:
        return parsed
    trace_id = _parse_id(values.get("trace_id"), _TRACE_ID, 128)
    if trace_id is None:
        return None
    span_id = _parse_id(values.get("span_id"), _SPAN_ID, 64)
    names = ("trace_id",) if span_id is None else ("trace_id", "span_id")
    return Ids(trace_id, span_id, _SAMPLED, names)


def _parse_traceparent(text: str) -> Ids | None:
    if len(text) > _TRACEPARENT_SIZE_MAX or (match := _TRACEPARENT.match(text.strip(" \t"))) is None:
        return None
    version, trace_id, span_id = match["version"], int(match["trace"], 16), int(match["span"], 16)
    if version == "ff" or (version == "00" and match["rest"]) or not trace_id or not span_id:
        return None
    return Ids(trace_id, span_id, int(match["flags"], 16), ("traceparent",))


def _parse_id(value: object, pattern: re.Pattern[str], bits: int) -> int | None:
    if isinstance(value, str):
        number = int(value, 16) if pattern.match(value) else 0
    elif isinstance(value, int) and not isinstance(value, bool):
        number = value
    else:
        return None
    return number if 0 < number < 1 << bits else None


class Contextualized(Scope):
    """`with logger.contextualize(**values):`, or a decorator of functions, coroutine functions and generators.

    As in loguru, one object serves one `with` at a time; as a decorator it serves any number of calls at once.
    """

    __slots__ = ()

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Decorate: the values surround each call; a generator has them while it runs, its consumer never."""
        import inspect

        values = self.values
        wrapper: Callable[..., Any]
        if inspect.isasyncgenfunction(function):

            @functools.wraps(function)
            async def wrapper(*args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[Any, Any]:
                steps = _AsyncSteps(function(*args, **kwargs), values)
                sent: Any = None
                try:
                    item = await steps.step("asend", None)
                    while True:
                        try:
                            sent = yield item
                        except GeneratorExit:
                            raise
                        except BaseException as error:
                            item = await steps.step("athrow", error)
                        else:
                            item = await steps.step("asend", sent)
                except StopAsyncIteration:
                    return
                finally:
                    await steps.close()

        elif inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def wrapper(*args: P.args, **kwargs: P.kwargs) -> Generator[Any, Any, Any]:
                return (yield from _Steps(function(*args, **kwargs), values))

        elif inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def wrapper(*args: P.args, **kwargs: P.kwargs) -> Any:
                entry = enter(values)
                try:
                    return await function(*args, **kwargs)
                finally:
                    leave(entry)

        else:

            @functools.wraps(function)
            def wrapper(*args: P.args, **kwargs: P.kwargs) -> Any:
                entry = enter(values)
                try:
                    return function(*args, **kwargs)
                finally:
                    leave(entry)

        return cast("Callable[P, R]", wrapper)


class _Steps(Generator[Any, Any, Any]):
    """A generator whose every step runs inside the block, and whose consumer stays outside."""

    def __init__(self, inner: Generator[Any, Any, Any], values: dict[str, Any]) -> None:
        self._inner = inner
        self._values = values

    def _step(self, method: Callable[..., Any], *args: Any) -> Any:
        entry = enter(self._values)
        try:
            return method(*args)
        finally:
            leave(entry)

    def send(self, value: Any) -> Any:
        return self._step(self._inner.send, value)

    def throw(self, *args: Any) -> Any:
        return self._step(self._inner.throw, *args)

    def close(self) -> None:
        self._step(self._inner.close)


class _AsyncSteps:
    """The same for an async generator: what it awaits runs inside the block, too."""

    def __init__(self, inner: AsyncGenerator[Any, Any], values: dict[str, Any]) -> None:
        self._inner = inner
        self._values = values

    async def step(self, method: str, value: Any) -> Any:
        entry = enter(self._values)
        try:
            return await getattr(self._inner, method)(value)
        finally:
            leave(entry)

    async def close(self) -> None:
        entry = enter(self._values)
        try:
            await self._inner.aclose()
        finally:
            leave(entry)


class Entry(NamedTuple):
    """What a block has changed."""

    attributes: Token[AttrSet | None]
    otel: Token[Context] | None


def enter(values: dict[str, Any]) -> Entry:
    """Enter a block; hand the result to `leave` in the same task or thread."""
    outer = CURRENT.get()
    merged = {**outer.values, **values} if outer is not None else values
    hidden, mark = (outer.hidden, outer.mark) if outer is not None else ((), None)
    hidden = tuple(name for name in hidden if name not in values)  # given anew: judged anew
    span, mark, moved = _ids_of_block(values, mark)
    hidden += moved
    marked_by, at_span = mark or (None, None)
    attributes = AttrSet(merged, hidden, marked_by, at_span, outer)
    otel_token = _attach_span(span) if span is not None else None
    return Entry(CURRENT.set(attributes), otel_token)


def leave(entry: Entry) -> None:
    """Leave a block, in the reverse order of entering."""
    try:
        CURRENT.reset(entry.attributes)
    except ValueError:  # another context (a task that was closed from elsewhere): its own values end with it
        return
    if entry.otel is not None:
        from opentelemetry import context

        context.detach(entry.otel)


@contextmanager
def ids_attached(ids: tuple[str, str | None, int] | None) -> Iterator[None]:
    """A span of these ids (in hexadecimal, and the trace's flags) is the current one inside the block."""
    if ids is None or ids[1] is None:
        yield
        return
    from opentelemetry import context, trace

    trace_id, span_id = int(ids[0], 16), int(ids[1], 16)
    span_context = trace.SpanContext(trace_id, span_id, is_remote=False, trace_flags=trace.TraceFlags(ids[2]))
    token = _attach_span(trace.NonRecordingSpan(span_context))
    try:
        yield
    finally:
        context.detach(token)


set_scope(Contextualized, CURRENT, enter, leave)


_Mark = tuple[bytes, object] | None


def _ids_of_block(values: dict[str, Any], mark: _Mark) -> tuple[Span | None, _Mark, tuple[str, ...]]:
    """The span to attach, the mark on records, and the names that became id fields."""
    span = values.get("span")
    if span is not None and _is_span(span):
        return span, None, ("span",)
    ids = read_ids(values)
    if ids is None:
        return None, mark, ()
    from opentelemetry import trace

    if _is_recording(trace.get_current_span(), ids.trace_id):
        return None, None, ids.names  # the span that records knows better where in the trace we are
    if ids.span_id is None:
        return None, (ids.trace_id.to_bytes(16, "big"), _current_span_object()), ids.names
    flags = trace.TraceFlags(ids.flags)
    span_context = trace.SpanContext(ids.trace_id, ids.span_id, is_remote=True, trace_flags=flags)
    return trace.NonRecordingSpan(span_context), None, ids.names


def _is_span(value: object) -> bool:
    api = sys.modules.get("opentelemetry.trace")  # a span cannot exist before its module
    try:
        return api is not None and isinstance(value, api.Span) and value.get_span_context().is_valid
    except Exception:  # a span of somebody else's making
        return False


def _is_recording(span: Span, trace_id: int) -> bool:
    try:
        return span.is_recording() and span.get_span_context().trace_id == trace_id
    except Exception:  # as above
        return False


def _current_span_object() -> object:
    """What the current OTel context holds as its span: None if it holds nothing."""
    from opentelemetry import context

    return context.get_current().get(_span_key())


@functools.cache
def _span_key() -> str:
    from opentelemetry import context, trace

    (key,) = trace.set_span_in_context(trace.INVALID_SPAN, context.Context())
    return key


def _attach_span(span: Span) -> Token[Context]:
    from opentelemetry import context, trace

    return context.attach(trace.set_span_in_context(span))


def attach(core: Core) -> None:
    """Show the core where OpenTelemetry keeps its context. Imports opentelemetry's API."""
    variable = otel_variable()
    # Another runtime context than ContextVars (OTEL_PYTHON_CONTEXT): ask through the API, more slowly.
    source: Any = variable if variable is not None else _ApiContext()
    core.attach_otel(source, _span_key())


@functools.cache
def otel_variable() -> ContextVar[Context] | None:
    """The variable that holds OpenTelemetry's current Context; None where it is none. Imports opentelemetry's API."""
    from opentelemetry import context, trace

    probe = trace.set_span_in_context(trace.INVALID_SPAN, context.Context())
    token = context.attach(probe)
    try:
        return next((found for found, value in copy_context().items() if value is probe), None)
    finally:
        context.detach(token)


class _ApiContext:
    """Stands for the ContextVar where OpenTelemetry uses none."""

    def get(self) -> Context:
        from opentelemetry import context

        return context.get_current()

    def set(self, value: Context) -> Token[Context]:
        from opentelemetry import context

        return context.attach(value)

    def reset(self, token: Token[Context]) -> None:
        from opentelemetry import context

        context.detach(token)

"""`logger.span`: an OpenTelemetry span and its context in one `with`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from otelbridge.context import enter, leave
from otelbridge.scope import SCOPE_NAME, scope_version
from otelbridge.text.policy import ACTIVE
from otelbridge.text.tracebacks import safe_str

if TYPE_CHECKING:
    from contextvars import Token
    from types import TracebackType

    from opentelemetry.context import Context
    from opentelemetry.trace import Span

    from otelbridge.context import Entry

F = TypeVar("F", bound=Callable[..., Any])

_PLAIN = (str, bool, int, float)


class SpanBlock:
    """`with logger.span(name, **attributes) as span:`, `async with`, or a decorator. For one `with` at a time."""

    __slots__ = ("_attributes", "_entered", "_name")

    def __init__(self, name: str, attributes: dict[str, Any]) -> None:
        if not isinstance(name, str):
            msg = f"span name must be a str, got {name!r}"  # type: ignore[unreachable]
            raise TypeError(msg)
        self._name = name
        self._attributes = attributes
        self._entered: list[tuple[Span, Token[Context], Entry]] = []

    def __enter__(self) -> Span:
        from opentelemetry import context, trace

        attributes = ACTIVE.policy.values(self._attributes)
        tracer = trace.get_tracer(SCOPE_NAME, scope_version())
        span = tracer.start_span(self._name, attributes={name: _attribute(v) for name, v in attributes.items()})
        token = context.attach(trace.set_span_in_context(span))
        self._entered.append((span, token, enter(self._attributes)))
        return span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        from opentelemetry import context
        from opentelemetry.trace import StatusCode

        span, token, entry = self._entered.pop()
        leave(entry)
        context.detach(token)
        if isinstance(error, Exception):
            span.record_exception(error)
            span.set_status(StatusCode.ERROR, f"{type(error).__name__}: {safe_str(error)}")
        span.end()

    async def __aenter__(self) -> Span:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)

    def __call__(self, function: F) -> F:
        """Decorate a function or coroutine function: a span around each call."""
        name, attributes = self._name, self._attributes
        wrapper: Any
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            msg = f"span() must decorate a function or coroutine function, got the generator {function.__name__!r}"
            raise TypeError(msg)
        if inspect.iscoroutinefunction(function):

            async def wrapper(*args: Any, **kwargs: Any) -> Any:
                with SpanBlock(name, attributes):
                    return await function(*args, **kwargs)

        else:

            def wrapper(*args: Any, **kwargs: Any) -> Any:
                with SpanBlock(name, attributes):
                    return function(*args, **kwargs)

        return functools.wraps(function)(wrapper)  # type: ignore[return-value]  # of the same shape


def _attribute(value: Any) -> Any:
    """What a span takes: a plain value or a list of them; else its text."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, list | tuple) and all(isinstance(item, _PLAIN) for item in value):
        return value if len({type(item) for item in value}) < 2 else safe_str(value)
    return safe_str(value)

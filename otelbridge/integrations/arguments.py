"""`@log`: the arguments of each call, at DEBUG, on the logger of the function's own module (features.md 4.9).

What stands in the record is bounded, one line, and without secrets; what is done with it, `logging` decides.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

from otelbridge._export import report_once
from otelbridge.text.policy import ACTIVE
from otelbridge.text.sanitise import escape_breaks
from otelbridge.text.values import shown_value

# Characters of one argument, and of all of a call's.
VALUE_SIZE_MAX = 512
CALL_SIZE_MAX = 4096

_CUT = "..."
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)

FunctionT = TypeVar("FunctionT")

# A `__repr__` or a handler may call a function that is logged itself.
_recording: ContextVar[bool] = ContextVar("otelbridge_recording_arguments", default=False)


def log(function: FunctionT) -> FunctionT:
    """Log each call's arguments as `my_fn((1, 'a'), {'key': 2})` at DEBUG, on the logger of the function's module.

    Decides when it decorates: where that logger is not enabled for DEBUG, the very same function comes back. A level
    that is set later changes nothing for it; one that is raised later silences.

    function: a function, coroutine function, generator or async generator function (logged at its first step), or what
    `staticmethod` or `classmethod` made of one. It stays what it was to `inspect`: its kind, its signature, its name.
    The record's place (`%(funcName)s`, `%(lineno)d`) is the function's own. Values of parameters with secret names
    are `[REDACTED]`; an argument is shown up to 512 characters, a call up to 4096, on one line. Nothing that a
    `__repr__` or a handler does reaches the caller. TypeError: no such function.
    """
    if isinstance(function, staticmethod | classmethod):
        inner = log(function.__func__)
        return function if inner is function.__func__ else type(function)(inner)
    if isinstance(function, type) or not callable(function):
        msg = f"log must decorate a function or a method, got {function!r}"
        raise TypeError(msg)
    logger = logging.getLogger(getattr(function, "__module__", None))
    if not logger.isEnabledFor(logging.DEBUG):
        return function
    return functools.wraps(function)(_logged(function, _Recorder(function, logger)))  # type: ignore[return-value]  # called alike


def _logged(function: Callable[..., Any], record: _Recorder) -> Callable[..., Any]:
    """Return a function of the same kind that records its arguments first."""
    if inspect.iscoroutinefunction(function):

        async def log_coroutine(*args: Any, **kwargs: Any) -> Any:
            record(args, kwargs)
            return await function(*args, **kwargs)

        return log_coroutine
    if inspect.isgeneratorfunction(function):

        def log_generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            record(args, kwargs)
            return (yield from function(*args, **kwargs))

        return log_generator
    if inspect.isasyncgenfunction(function):

        async def log_async_generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            record(args, kwargs)
            inner = function(*args, **kwargs)
            try:
                step = inner.asend(None)
                while True:
                    try:
                        item = await step
                    except StopAsyncIteration:
                        return
                    try:
                        step = inner.asend((yield item))
                    except GeneratorExit:
                        raise
                    except BaseException as error:
                        step = inner.athrow(error)
            finally:
                await inner.aclose()

        return log_async_generator

    def log_function(*args: Any, **kwargs: Any) -> Any:
        record(args, kwargs)
        return function(*args, **kwargs)

    return log_function


class _Recorder:
    """Makes one function's records. Never raises."""

    def __init__(self, function: Callable[..., Any], logger: logging.Logger) -> None:
        code = getattr(inspect.unwrap(function), "__code__", None)
        self._logger = logger
        self._name = getattr(function, "__name__", type(function).__name__)
        self._path = "" if code is None else code.co_filename
        self._line = 0 if code is None else code.co_firstlineno
        self._parameters = _positional_names(function)

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if _recording.get() or not self._logger.isEnabledFor(logging.DEBUG):
            return
        token = _recording.set(True)
        try:
            text = call_text(self._name, self._parameters, args, kwargs)
            made = self._logger.makeRecord(
                self._logger.name, logging.DEBUG, self._path, self._line, text, (), None, func=self._name
            )
            self._logger.handle(made)
        except Exception as error:
            report_once("@log", error)
        finally:
            _recording.reset(token)


def call_text(name: str, parameters: tuple[str, ...], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    """Return `name((value, ...), {'key': value, ...})` as one bounded line; `parameters` name the first of `args`."""
    names = (*parameters[: len(args)], *[""] * (len(args) - len(parameters)))
    positional, size = _joined((_shown(*pair) for pair in zip(names, args, strict=True)), CALL_SIZE_MAX)
    ending = "," if len(args) == 1 else ""
    named, _ = _joined((f"{key!r}: {_shown(key, value)}" for key, value in kwargs.items()), CALL_SIZE_MAX - size)
    return ACTIVE.policy.text(f"{name}(({positional}{ending}), {{{named}}})")


def _joined(parts: Iterator[str], size_max: int) -> tuple[str, int]:
    """Return the parts that have room, and how many characters they are."""
    taken: list[str] = []
    size = 0
    for part in parts:
        if size + len(part) > size_max:
            taken.append(_CUT)
            break
        taken.append(part)
        size += len(part) + 2
    return ", ".join(taken), size


def _shown(name: str, value: object) -> str:
    """Return the value's repr, bounded, on one line; of a secret name, a placeholder."""
    return escape_breaks(shown_value(_visible(name, value), VALUE_SIZE_MAX))


def _visible(name: str, value: object) -> object:
    try:
        return ACTIVE.policy.variable(name, value)
    except Exception:  # what it is made of cannot be looked at
        return value


def _positional_names(function: Callable[..., Any]) -> tuple[str, ...]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some functions of C do not say
        return ()
    return tuple(parameter.name for parameter in parameters if parameter.kind in _POSITIONAL)


__all__ = ["CALL_SIZE_MAX", "VALUE_SIZE_MAX", "call_text", "log"]

"""`logger.catch`: what a function or a block raises becomes a record (features.md 1.21)."""

from __future__ import annotations

import functools
import threading
from collections.abc import AsyncGenerator, Callable, Generator
from typing import TYPE_CHECKING, Any, NamedTuple

from otelbridge._call import emit
from otelbridge._family import NO_OPTIONS, Options

if TYPE_CHECKING:
    from types import TracebackType

Caught = type[BaseException] | tuple[type[BaseException], ...]

MESSAGE = (
    "An error has been caught in function '{record[function]}', process '{record[process].name}' "
    "({record[process].id}), thread '{record[thread].name}' ({record[thread].id}):"
)


class Settings(NamedTuple):
    """The arguments of catch()."""

    exception: Caught
    level: str | int
    reraise: bool
    onerror: Callable[[BaseException], object] | None
    exclude: Caught | None
    default: Any
    message: str


class _Busy(threading.local):
    """Whether this thread is logging a caught exception: one raised by that goes up, not round in circles."""

    on = False


_busy = _Busy()


class Catcher:
    """What `logger.catch(...)` returns: a context manager, plain and async, and a decorator."""

    __slots__ = ("_from_decorator", "_logger", "_settings")

    def __init__(self, logger: Any, settings: Settings, *, from_decorator: bool = False) -> None:
        self._logger = logger
        self._settings = settings
        self._from_decorator = from_decorator

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        return self._leave(kind, error, trace)

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        return self._leave(kind, error, trace)

    def __call__(self, function: Any) -> Any:
        """Decorate a function, coroutine function, generator function or async generator function."""
        if isinstance(function, type):
            msg = f"catch() must decorate a function, got the class {function.__name__!r}; decorate its methods"
            raise TypeError(msg)
        guard = Catcher(self._logger, self._settings, from_decorator=True)
        return functools.wraps(function)(_guarded(function, guard, self._settings.default))

    def _leave(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        settings = self._settings
        if kind is None or error is None or _busy.on:
            return False
        if not issubclass(kind, settings.exception):
            return False
        if settings.exclude is not None and issubclass(kind, settings.exclude):
            return False
        _busy.on = True
        try:
            self._log((kind, error, trace))
        finally:
            _busy.on = False
        if settings.onerror is not None:
            settings.onerror(error)
        return not settings.reraise

    def _log(self, error: tuple[type[BaseException], BaseException, TracebackType | None]) -> None:
        options: Options = self._logger._options or NO_OPTIONS
        options = options._replace(exception=error, record=True, lazy=False)
        # This frame, _leave, __exit__; and the wrapper of a decorated function.
        depth = 4 + self._from_decorator
        settings = self._settings
        emit(
            self._logger,
            options,
            settings.level,
            settings.message,
            (),
            {},
            depth=depth,
            from_decorator=self._from_decorator,
        )


def _guarded(function: Any, guard: Catcher, default: Any) -> Any:
    import inspect

    if inspect.iscoroutinefunction(function):

        async def catch_coroutine(*args: Any, **kwargs: Any) -> Any:
            with guard:
                return await function(*args, **kwargs)
            return default

        return catch_coroutine
    if inspect.isgeneratorfunction(function):

        def catch_generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            with guard:
                return (yield from function(*args, **kwargs))
            return default

        return catch_generator
    if inspect.isasyncgenfunction(function):
        return lambda *args, **kwargs: _CaughtAsyncGenerator(function(*args, **kwargs), guard)

    def catch_function(*args: Any, **kwargs: Any) -> Any:
        with guard:
            return function(*args, **kwargs)
        return default

    return catch_function


class _CaughtAsyncGenerator(AsyncGenerator[Any, Any]):
    """An async generator whose every step is guarded; a caught exception ends it."""

    def __init__(self, inner: AsyncGenerator[Any, Any], guard: Catcher) -> None:
        self._inner = inner
        self._guard = guard

    async def asend(self, value: Any) -> Any:
        """The next item."""
        with _passing(self._guard):
            return await self._inner.asend(value)
        raise StopAsyncIteration

    async def athrow(self, *args: Any) -> Any:
        """Throw into the generator."""
        with _passing(self._guard):
            return await self._inner.athrow(*args)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close the generator."""
        await self._inner.aclose()


class _passing:  # noqa: N801 -- reads as the statement it is
    """The guard, past which a generator's own end goes unlogged."""

    __slots__ = ("_guard",)

    def __init__(self, guard: Catcher) -> None:
        self._guard = guard

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if kind is None or issubclass(kind, StopAsyncIteration | GeneratorExit):
            return False
        return self._guard._leave(kind, error, trace)


def make_catcher(logger: Any, settings: Settings) -> Any:
    """A Catcher; for `@logger.catch` without parentheses, the decorated function."""
    exception: Any = settings.exception
    if callable(exception) and not (isinstance(exception, type) and issubclass(exception, BaseException)):
        return Catcher(logger, settings._replace(exception=Exception))(exception)
    return Catcher(logger, settings)

"""`AccessLogMiddleware`: the access log by itself, for ASGI, WSGI and `(request, handler)` (features.md 1.30).

A thin face of the engine that `instrument()` uses; makes no spans. Leaves formats to `format`, metrics to `backends`.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, MutableMapping
from time import perf_counter_ns
from typing import Any, Literal, Self, TypeVar, cast

from otelbridge._logger import logger
from otelbridge.access.asgi import ASGIApp, Instrumented, Receive, Scope, Send, route_template
from otelbridge.access.backends import ensure_configured, make_observer
from otelbridge.access.format import has_slow_mark, make_line
from otelbridge.access.observe import ENVIRON_KEY, Observation
from otelbridge.access.options import (
    PathRulesOption,
    Settings,
    access_log_wanted,
    check_bools,
    header_names,
    interface_of,
    path_rules,
    seconds,
)
from otelbridge.access.record import AccessRecord
from otelbridge.access.requests import body_size, scope_of, status_of
from otelbridge.access.wsgi import Environ, InstrumentedWSGI, StartResponse, WSGIApp
from otelbridge.exceptions import ConfigError

_METRICS = {"otel": "otlp", "otlp": "otlp", "statsd": "statsd", "none": "none"}
Face = TypeVar("Face", bound="AccessLogMiddleware")

_UNDERSTOOD = (
    "an ASGI application `async def app(scope, receive, send)` or a WSGI one `def app(environ, start_response)`"
)


class AccessLogMiddleware:
    """Logs each request in one line: `200 GET /api/users?page=2 3.2ms`.

    `AccessLogMiddleware(app, **options)` serves an ASGI or WSGI app, also as `add_middleware(AccessLogMiddleware,
    **options)`; `AccessLogMiddleware(**options)(app)` does the same; `await AccessLogMiddleware(**options)(request,
    handler)` serves frameworks whose middleware is called so (`handler` may be a plain function).

    level: of the record, "INFO". include_headers: request headers to keep; credentials and cookies are refused.
    exclude_paths: paths to leave out: equal, with `*`, or found by a `re.Pattern`. log_query_params: whether the query
    is shown, without its secrets. slow_request_threshold: seconds from which the record is a WARNING, marked [SLOW];
    None is never. metrics: "otel" or "statsd" counts and times requests, too, and begins exporting if nobody did; None
    (the default) only logs, and configures nothing. format: see `otelbridge.access.format.make_line`.
    Incoming trace ids are in the record; spans are `instrument`'s. A request that is observed already passes untouched.

    TypeError: no app, or an option of a wrong type; ConfigError: a wrong value.
    """

    # aiohttp calls what has this as it calls its own middleware.
    __middleware_version__ = 1

    def __new__(cls, app: object = None, **_: object) -> Self:
        """Make what servers can tell to be of their kind: they look at how `__call__` is defined."""
        return object.__new__(cls if app is None else _face_for(app, cls))

    def __init__(
        self,
        app: Callable[..., Any] | None = None,
        *,
        level: str = "INFO",
        include_headers: Iterable[str] = (),
        exclude_paths: PathRulesOption = (),
        log_query_params: bool = True,
        slow_request_threshold: float | None = None,
        metrics: Literal["otel", "otlp", "statsd", "none"] | None = None,
        format: str | Callable[[AccessRecord], str] = "request",  # noqa: A002 -- what it is
    ) -> None:
        check_bools(log_query_params=log_query_params)
        settings = Settings(
            traces=False,
            access_log=access_log_wanted(os.environ),
            exclude=path_rules("exclude_paths", exclude_paths),
            slow_s=seconds("slow_request_threshold", slow_request_threshold),
            include_headers=header_names(include_headers),
            level=_level(level),
            failure_level=None,
            line=make_line(format),
            slow_mark=" [SLOW]" if has_slow_mark(format) else "",
            log_query=log_query_params,
        )
        backend = _backend(metrics)
        if backend != "none":
            ensure_configured()
        self._observer = make_observer(settings, metrics=backend)
        self._use(app)

    def _use(self, app: object) -> None:
        if isinstance(self, _WSGIMiddleware):
            self._wsgi = InstrumentedWSGI(cast("WSGIApp", app), self._observer)
        elif isinstance(self, _ASGIMiddleware):
            self._asgi = Instrumented(cast("ASGIApp", app), self._observer)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Wrap `(app)`; serve `(request, handler)`, whose answer is to be awaited."""
        if len(arguments) + len(named) == 1:
            return self._wrap(*arguments, **named)
        return self._serve(*arguments, **named)

    def _wrap(self, app: object) -> AccessLogMiddleware:
        made = object.__new__(_face_for(app, type(self)))
        made._observer = self._observer
        made._use(app)
        return made

    async def _serve(self, request: Any, handler: Callable[[Any], Any]) -> Any:
        observation = self._open(request)
        if observation is None:
            return await _answer(handler(request))
        start_ns = perf_counter_ns()
        token = observation.enter()
        try:
            response = await _answer(handler(request))
        except BaseException as error:
            self._close(observation, start_ns, request, error, error)
            raise
        else:
            self._close(observation, start_ns, request, response, None)
            return response
        finally:
            observation.leave(token)

    def _open(self, request: Any) -> Observation | None:
        try:
            if isinstance(request, MutableMapping) and ENVIRON_KEY in request:
                return None
            observation = self._observer.open_asgi(scope_of(request))
            if observation is not None and isinstance(request, MutableMapping):
                request[ENVIRON_KEY] = observation.record
        except Exception as error:
            self._observer.report("reading the request", error)
            return None
        return observation

    def _close(
        self, observation: Observation, start_ns: int, request: Any, answer: object, error: BaseException | None
    ) -> None:
        record = observation.record
        record.duration_ns = perf_counter_ns() - start_ns
        try:
            record.status = status_of(answer)
            record.response_body_size = body_size(answer) if error is None else 0
            if record.route is None:
                record.route = route_template(scope_of(request))
        except Exception as failure:
            self._observer.report("reading the response", failure)
        if error is None:
            observation.end()
        elif not isinstance(error, Exception):
            observation.end(client_left=True, complete=False)
        elif record.status is not None and record.status < 500:
            observation.end()  # an answer that was raised: a 404, a redirect
        else:
            observation.end(raised=error)


class _ASGIMiddleware(AccessLogMiddleware):
    _asgi: Instrumented

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._asgi(scope, receive, send)


class _WSGIMiddleware(AccessLogMiddleware):
    _wsgi: InstrumentedWSGI

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return self._wsgi(environ, start_response)


def _face_for(app: object, asked: type[Face]) -> type[Face]:
    face = _host_of(app)
    if issubclass(face, asked):
        return face
    # A subclass of the user's, for this kind of app.
    return type(asked.__name__, (asked, face), {})


def _host_of(app: object) -> type[AccessLogMiddleware]:
    interface = None if isinstance(app, type) else interface_of(app)
    if interface is not None:
        return _ASGIMiddleware if interface == "asgi" else _WSGIMiddleware
    msg = f"app must be {_UNDERSTOOD}, got {app!r}"
    raise TypeError(msg)


def _level(name: object) -> str:
    if not isinstance(name, str):
        msg = f"level must be the name of a level, got {name!r}"
        raise TypeError(msg)
    try:
        return logger.level(name).name
    except ValueError as error:
        msg = f"level must be the name of a level such as INFO, got {name!r}"
        raise ConfigError(msg) from error


def _backend(metrics: object) -> str:
    if metrics is None:
        return "none"
    if not isinstance(metrics, str):
        msg = f'metrics must be "otel", "statsd" or None, got {metrics!r}'
        raise TypeError(msg)
    if metrics not in _METRICS:
        msg = f'metrics must be "otel", "statsd" or None, got {metrics!r}'
        raise ConfigError(msg)
    return _METRICS[metrics]


async def _answer(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result

"""`instrument(app)` and `uninstrument(app)`: which kind of app it is, and how that kind is observed.

A framework's application object is instrumented in place: it gets a class of its own, below its old one, that is called
through us. That is outside of all that anybody does to the application afterwards (middleware, `wsgi_app = …`, another
instrumentation), leaves the object what it was, and can be undone at any time. Other callables are wrapped.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterable, Mapping
from types import MethodType, ModuleType
from typing import Any, TypeVar, cast

from otelbridge.access.asgi import Instrumented
from otelbridge.access.backends import ensure_configured, make_observer
from otelbridge.access.observe import Observer
from otelbridge.access.options import PathRulesOption, check_metrics, check_options, interface_of
from otelbridge.access.record import AccessRecord
from otelbridge.access.servers import uninstall
from otelbridge.access.wsgi import InstrumentedWSGI
from otelbridge.integrations.django import DJANGO, DJANGO_ASGI
from otelbridge.integrations.flask import FLASK
from otelbridge.integrations.frameworks import Framework
from otelbridge.integrations.litestar import LITESTAR
from otelbridge.integrations.opentelemetry import Inside
from otelbridge.integrations.quart import QUART
from otelbridge.integrations.starlette import STARLETTE

AppT = TypeVar("AppT")
Host = Instrumented | InstrumentedWSGI

FRAMEWORKS = (STARLETTE, LITESTAR, QUART, FLASK, DJANGO, DJANGO_ASGI)

_UNDERSTOOD = (
    "a Starlette, FastAPI, Litestar, Quart, Flask or Django application, "
    "an ASGI 3 application `async def app(scope, receive, send)` or a WSGI application `app(environ, start_response)`"
)
_debug = logging.getLogger("otelbridge.instrument")
# In the class of an application that is instrumented in place: its host, and its framework.
_HOST, _FRAMEWORK = "_otelbridge_host", "_otelbridge_framework"
# Where middleware keeps the application inside of it.
_INNER = ("app", "application", "asgi_app", "wsgi_app", "wsgi")
_WRAPPERS_MAX = 20


def instrument(
    app: AppT,
    *,
    metrics: str | None = None,
    traces: bool = True,
    access_log: bool = True,
    exclude: PathRulesOption = (),
    exclude_ok: PathRulesOption = (),
    slow_s: float | None = None,
    include_headers: Iterable[str] = (),
    trust_traceparent: bool = True,
    on_request: Callable[[AccessRecord], object] | None = None,
) -> AppT:
    """Return `app` with a SERVER span, metrics and one access record per HTTP request; begin exporting if nobody did.

    Starlette, FastAPI, Litestar, Quart, Flask and Django applications are changed in place, and returned; any other
    ASGI or WSGI callable is returned wrapped. An instrumented app gets the new options instead of its old ones.

    metrics: "otlp", "statsd" or "none"; None: as `configure()` or OTELBRIDGE_METRICS says, else "otlp".
    traces: False makes no span; an incoming trace id still goes to the logs.
    access_log: False writes no record, as OTELBRIDGE_ACCESS_LOG=0 and BB_ACCESS_LOG=0 do (read here, once).
    exclude: paths that leave no log, metric or span: equal to a string, matching it where it has a `*` (any characters,
        the whole path), or found by `re.Pattern.search`. The path is the server's, without the query.
    exclude_ok: the same while the answer is below 400; failures keep log and metric, without a span.
    slow_s: seconds from which a request is logged as WARNING and marked [SLOW].
    include_headers: request headers to keep as `http.request.header.<name>`; credentials and cookies are refused.
    trust_traceparent: False ignores incoming trace headers and begins a new trace, linked to theirs.
    on_request: called with each AccessRecord, in the app's thread; what it raises is counted and reported once.

    Where OpenTelemetry's own instrumentation serves the same requests, span and metrics are left to it.
    OTELBRIDGE_LOG_FILE, OTELBRIDGE_SYSLOG_ADDR and OTELBRIDGE_LOG_FORMAT (or BB_…) say where access lines go besides.
    Raises TypeError for something that is no app or an option of a wrong type, ConfigError for a wrong value.
    """
    settings = check_options(
        traces=traces,
        access_log=access_log,
        exclude=exclude,
        exclude_ok=exclude_ok,
        slow_s=slow_s,
        include_headers=include_headers,
        trust_traceparent=trust_traceparent,
        on_request=on_request,
    )
    backend = check_metrics(metrics)
    host = _host_of(app)
    framework = None if host is not None else _framework_of(app)
    is_asgi = host is None and framework is None and _check_callable(app)
    _choose_sink()
    ensure_configured()
    observer = make_observer(settings, metrics=backend)
    if _debug.isEnabledFor(logging.DEBUG):
        way = "again" if host is not None else "wrapped" if framework is None else "in place"
        _debug.debug("%s is instrumented, %s: %s", type(app).__qualname__, way, settings)
    if host is not None:
        observer.neighbour = host.observer.neighbour or Inside(host.app, _itself)
        uninstall(host.observer)
        host.observer = observer
    elif framework is not None:
        _adopt(app, framework, observer)
    else:
        return cast("AppT", _wrap(app, observer, is_asgi=is_asgi))
    return app


def uninstrument(app: AppT) -> AppT:
    """Return the app that `instrument` was given, as it was; any other app as it is."""
    host = _host_of(app)
    if host is None:
        return app
    uninstall(host.observer)
    if isinstance(host.observer.neighbour, Inside):
        host.observer.neighbour.close()
    if isinstance(app, Host):
        inner, _ = _inner(host.app)
        if inner is not None and _FRAMEWORK in vars(type(inner)) and _host_of(inner) is None:
            _undress(inner)
        return cast("AppT", host.app)
    _undress(app)
    return app


def _choose_sink() -> None:
    # Loaded when it is needed: a program may have this module and no app.
    from otelbridge.integrations.chosen_sinks import install_chosen_sink

    install_chosen_sink()


def _host_of(app: object) -> Host | None:
    """Return what observes `app`: itself if it is a wrapper of ours, or what its own class is called through."""
    if isinstance(app, Host):
        return app
    host = vars(type(app)).get(_HOST)
    return host if isinstance(host, Host) else None


def _framework_of(app: object) -> Framework | None:
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(app).__mro__}
    return next((framework for framework in FRAMEWORKS if framework.classes & names), None)


def _adopt(app: Any, framework: Framework, observer: Observer) -> None:
    """Instrument a framework's application in place: give it a class whose `__call__` is ours."""
    call = MethodType(type(app).__call__, app)
    route_of = None if framework.route_of is None else framework.route_of(app)
    make_host = Instrumented if framework.interface == "asgi" else InstrumentedWSGI
    host: Host = make_host(call, observer, route_of)
    observer.neighbour = Inside(app, framework.stack)
    # Servers ask whether `app.__call__` is a coroutine function: this bound method is one, and costs no call more.
    _dress(app, framework, {"__call__": staticmethod(host.__call__), _HOST: host})


def _wrap(app: Any, observer: Observer, *, is_asgi: bool) -> Host:
    route_of = None
    inner, framework = _inner(app)
    if framework is None:
        observer.neighbour = Inside(app, _itself)
    else:
        observer.neighbour = Inside(inner, framework.stack, around=app)
        route_of = None if framework.route_of is None else framework.route_of(inner)
        if _FRAMEWORK not in vars(type(inner)):
            _dress(inner, framework, {})
    return Instrumented(app, observer, route_of) if is_asgi else InstrumentedWSGI(app, observer, route_of)


def _dress(app: Any, framework: Framework, ours: Mapping[str, object]) -> None:
    """Give `app` a class of its own, below its old one, with the framework's overrides and `ours`."""
    kind = type(app)
    metaclass: Callable[..., Any] = type(kind)
    own = metaclass(kind.__name__, (kind,), {"__slots__": (), "__module__": kind.__module__, "__doc__": kind.__doc__})
    own.__qualname__ = kind.__qualname__
    for name, value in {**framework.overrides(kind), **ours, _FRAMEWORK: framework}.items():
        setattr(own, name, value)
    app.__class__ = own
    framework.connect(app)


def _undress(app: Any) -> None:
    framework: Framework = getattr(type(app), _FRAMEWORK)
    app.__class__ = type(app).__base__
    framework.disconnect(app)


def _inner(app: Any) -> tuple[Any, Framework | None]:
    """Return the framework's application inside of somebody's middleware; None: there is none to be found."""
    for _ in range(_WRAPPERS_MAX):
        attributes = vars(app) if hasattr(app, "__dict__") else {}
        app = next((attributes[name] for name in _INNER if attributes.get(name) is not None), None)
        if app is None:
            break
        framework = _framework_of(app)
        if framework is not None:
            return app, framework
    return None, None


def _itself(app: Any) -> object:
    return app


def _check_callable(app: Any) -> bool:
    """Return whether `app` is called as ASGI says, rather than WSGI; raise TypeError for what is no app."""
    problem = _problem(app)
    if problem is None:
        interface = interface_of(app)
        if interface is not None:
            return interface == "asgi"
        problem = repr(app)
    msg = f"app must be {_UNDERSTOOD}, got {problem}"
    raise TypeError(msg)


def _problem(app: Any) -> str | None:
    """Return what is wrong with an app that cannot be one, as the end of a sentence."""
    names = {f"{kind.__module__}.{kind.__qualname__}" for kind in type(app).__mro__}
    if isinstance(app, str):
        return f"the text {app!r}; import the application, and pass the object"
    if isinstance(app, ModuleType):
        return f"the module {app.__name__}; pass the application in it"
    if isinstance(app, type):
        return f"the class {app.__qualname__}; pass an instance of it"
    if inspect.isawaitable(app):
        return f"{app!r}; pass the function, without calling it"
    if "fastapi.routing.APIRouter" in names:
        return f"{app!r}; pass the FastAPI application that includes it"
    if any(name.endswith(".Blueprint") for name in names):
        return f"{app!r}; pass the application that it is registered with"
    return None if callable(app) else repr(app)

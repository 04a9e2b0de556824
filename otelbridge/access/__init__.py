"""Requests become access records, spans and metrics: `instrument(app)` and `uninstrument(app)`.

Checks the options once; leaves a request to `asgi` (the host's messages) and `observe` (what becomes of them).
"""

from __future__ import annotations

import inspect
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar, cast

from opentelemetry.trace import get_tracer

from otelbridge._logger import logger
from otelbridge.access.asgi import Instrumented
from otelbridge.access.observe import Observer, PathRules, Settings
from otelbridge.access.record import AccessRecord
from otelbridge.exceptions import ConfigError
from otelbridge.metrics.otel import OtelRequestMetrics
from otelbridge.scope import SCOPE_NAME, scope_version

__all__ = ["AccessRecord", "instrument", "uninstrument"]

AppT = TypeVar("AppT", bound=Callable[..., Any])
PathRule = str | re.Pattern[str]

_UNDERSTOOD = "an ASGI 3 application `async def app(scope, receive, send)` (as Starlette, FastAPI, Litestar, Quart are)"
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})


def instrument(
    app: AppT,
    *,
    metrics: str | None = None,
    traces: bool = True,
    access_log: bool = True,
    exclude: PathRule | Iterable[PathRule] = (),
    exclude_ok: PathRule | Iterable[PathRule] = (),
    slow_s: float | None = None,
    include_headers: Iterable[str] = (),
    trust_traceparent: bool = True,
    on_request: Callable[[AccessRecord], object] | None = None,
) -> AppT:
    """Return `app` with a SERVER span, metrics and one access record per HTTP request; begin exporting if nobody did.

    An instrumented app gets the new options instead of its old ones. Other scopes (lifespan, websocket) pass untouched.

    metrics: "otlp" or "none"; None reads OTELBRIDGE_METRICS, else "otlp".
    traces: False makes no span; an incoming trace id still goes to the logs.
    access_log: False writes no record, as OTELBRIDGE_ACCESS_LOG=0 and BB_ACCESS_LOG=0 do (read here, once).
    exclude: paths that leave no log, metric or span: equal to a string, matching it where it has a `*` (any characters,
        the whole path), or found by `re.Pattern.search`. The path is the server's `scope["path"]`, without the query.
    exclude_ok: the same while the answer is below 400; failures keep log and metric, without a span.
    slow_s: seconds from which a request is logged as WARNING and marked [SLOW].
    include_headers: request headers to keep as `http.request.header.<name>`; credentials and cookies are refused.
    trust_traceparent: False ignores incoming trace headers and begins a new trace.
    on_request: called with each AccessRecord, in the app's thread; what it raises is counted and reported once.

    Raises TypeError for something that is no ASGI app or an option of a wrong type, ConfigError for a wrong value.
    """
    original = uninstrument(app)
    _check_app(original)
    _check_bool(traces=traces, access_log=access_log, trust_traceparent=trust_traceparent)
    settings = Settings(
        traces=traces,
        access_log=access_log and _access_log_wanted(os.environ),
        exclude=_path_rules("exclude", exclude),
        exclude_ok=_path_rules("exclude_ok", exclude_ok),
        slow_s=_slow_s(slow_s),
        include_headers=_header_names(include_headers),
        trust_traceparent=trust_traceparent,
        on_request=_callback(on_request),
    )
    with_metrics = _metrics_backend(metrics, os.environ) == "otlp"
    _ensure_configured()
    observer = _observer(settings, with_metrics=with_metrics)
    if isinstance(app, Instrumented):
        app.observer = observer
        return app
    return cast("AppT", Instrumented(original, observer))


def uninstrument(app: AppT) -> AppT:
    """Return the app that `instrument` was given; any other app as it is."""
    return cast("AppT", app.app) if isinstance(app, Instrumented) else app


def _observer(settings: Settings, *, with_metrics: bool) -> Observer:
    return Observer(
        settings,
        logger=logger,
        tracer=get_tracer(SCOPE_NAME, scope_version()),
        metrics=OtelRequestMetrics() if with_metrics else None,
    )


def _ensure_configured() -> None:
    # `wiring` imports everything, this package too.
    from otelbridge.wiring import ensure_configured

    ensure_configured()


def _check_app(app: object) -> None:
    if not callable(app):
        msg = f"app must be {_UNDERSTOOD}, got {app!r}"
        raise TypeError(msg)
    if isinstance(app, type):
        msg = f"app must be {_UNDERSTOOD}, got the class {app.__qualname__}; pass an instance of it"
        raise TypeError(msg)
    takes_scope = _takes(app, 3)
    if takes_scope and (_is_coroutine_function(app) or not _takes(app, 2)):
        return
    if _takes(app, 2):
        msg = f"app must be {_UNDERSTOOD}, got {app!r}, which looks like WSGI; WSGI is not available in this version"
    else:
        msg = f"app must be {_UNDERSTOOD}, got {app!r}"
    raise TypeError(msg)


def _is_coroutine_function(app: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(type(app).__call__)


def _takes(app: Callable[..., Any], count: int) -> bool:
    """Return whether `app` can be called with `count` positional arguments; True when it does not say."""
    try:
        inspect.signature(app).bind(*range(count))
    except TypeError:
        return False
    except ValueError:
        return True
    return True


def _check_bool(**options: object) -> None:
    for name, value in options.items():
        if not isinstance(value, bool):
            msg = f"{name} must be True or False, got {value!r}"
            raise TypeError(msg)


def _access_log_wanted(environ: Mapping[str, str]) -> bool:
    """Return what OTELBRIDGE_ACCESS_LOG says, or else BB_ACCESS_LOG: 0, false, no, off switch the record off."""
    value = environ.get("OTELBRIDGE_ACCESS_LOG") or environ.get("BB_ACCESS_LOG") or "1"
    return value.strip().lower() not in ("0", "false", "no", "off")


def _metrics_backend(metrics: object, environ: Mapping[str, str]) -> str:
    if metrics is not None and not isinstance(metrics, str):
        msg = f'metrics must be "otlp", "none" or None, got {metrics!r}'
        raise TypeError(msg)
    source = "metrics" if metrics else "OTELBRIDGE_METRICS"
    backend = metrics or environ.get("OTELBRIDGE_METRICS") or "otlp"
    if backend == "statsd":
        msg = f'{source}="statsd" is not available yet in this version, expected "otlp" or "none"'
        raise ConfigError(msg)
    if backend not in ("otlp", "none"):
        msg = f'{source} must be "otlp" or "none", got {backend!r}'
        raise ConfigError(msg)
    return backend


def _path_rules(option: str, rules: PathRule | Iterable[PathRule]) -> PathRules:
    exact: set[str] = set()
    patterns: list[re.Pattern[str]] = []
    for rule in (rules,) if isinstance(rules, str | bytes | re.Pattern) else _items(option, rules):
        if isinstance(rule, re.Pattern) and isinstance(rule.pattern, str):
            patterns.append(rule)
        elif not isinstance(rule, str):
            msg = f"{option} must hold paths, globs with * or re.Pattern of str, got {rule!r}"
            raise TypeError(msg)
        elif not rule.startswith(("/", "*")):
            msg = f"{option} must hold paths that start with / or *, or a re.Pattern, got {rule!r}"
            raise ConfigError(msg)
        elif "*" in rule:
            patterns.append(re.compile(r"\A" + ".*".join(map(re.escape, rule.split("*"))) + r"\Z", re.DOTALL))
        else:
            exact.add(rule)
    return PathRules(frozenset(exact), tuple(patterns))


def _header_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return the names in lower case, each once."""
    found: dict[str, None] = {}
    for name in (names,) if isinstance(names, str | bytes) else _items("include_headers", names):
        if not isinstance(name, str):
            msg = f"include_headers must hold names of headers, got {name!r}"
            raise TypeError(msg)
        lower = name.lower()
        if not _HEADER_NAME.fullmatch(lower):
            msg = f"include_headers must hold names of headers such as 'x-tenant', got {name!r}"
            raise ConfigError(msg)
        if lower in _SECRET_HEADERS:
            msg = f"include_headers must not name headers that carry credentials, got {name!r}; remove it"
            raise ConfigError(msg)
        found[lower] = None
    return tuple(found)


def _items(option: str, values: object) -> Iterable[object]:
    if not isinstance(values, Iterable):
        msg = f"{option} must be a sequence, got {values!r}"
        raise TypeError(msg)
    return values


def _slow_s(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"slow_s must be a number of seconds or None, got {value!r}"
        raise TypeError(msg)
    if not (math.isfinite(value) and value >= 0):
        msg = f"slow_s must be a number of seconds from 0, got {value!r}"
        raise ConfigError(msg)
    return float(value)


def _callback(function: object) -> Callable[[AccessRecord], object] | None:
    if function is None:
        return None
    if not callable(function) or _is_coroutine_function(function):
        msg = f"on_request must be a plain function of one AccessRecord, got {function!r}"
        raise TypeError(msg)
    return cast("Callable[[AccessRecord], object]", function)

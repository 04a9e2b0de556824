"""The options of `instrument()` and of AccessLogMiddleware, checked once. Starts nothing."""

from __future__ import annotations

import inspect
import math
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from otelbridge.access.record import AccessRecord
from otelbridge.exceptions import ConfigError

PathRule = str | re.Pattern[str]
PathRulesOption = PathRule | Iterable[PathRule]

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
METRICS = ("otlp", "statsd", "none")


@dataclass(frozen=True, slots=True)
class PathRules:
    """Which paths are meant: equal to one of `exact`, or found by one of `patterns` (`re.search`)."""

    exact: frozenset[str] = frozenset()
    patterns: tuple[re.Pattern[str], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.exact or self.patterns)

    def match(self, path: str) -> bool:
        """Return whether `path` (no query) is meant."""
        if path in self.exact:
            return True
        return bool(self.patterns) and any(pattern.search(path) for pattern in self.patterns)


@dataclass(frozen=True, slots=True)
class Settings:
    """What an Observer goes by: the options of `instrument()`, checked."""

    traces: bool = True
    access_log: bool = True
    exclude: PathRules = field(default_factory=PathRules)
    exclude_ok: PathRules = field(default_factory=PathRules)
    slow_s: float | None = None
    include_headers: tuple[str, ...] = ()
    trust_traceparent: bool = True
    on_request: Callable[[AccessRecord], object] | None = None
    # AccessLogMiddleware's own: the levels, the line (None: `record.line()`), and whether the query is logged.
    level: str = "INFO"
    slow_level: str = "WARNING"
    failure_level: str | None = "ERROR"  # None: failures are no level of their own
    slow_mark: str = " [SLOW]"
    line: Callable[[AccessRecord], str] | None = None
    log_query: bool = False


def check_options(
    *,
    traces: object = True,
    access_log: object = True,
    exclude: PathRulesOption = (),
    exclude_ok: PathRulesOption = (),
    slow_s: object = None,
    include_headers: Iterable[str] = (),
    trust_traceparent: object = True,
    on_request: object = None,
) -> Settings:
    """Return the options of `instrument()` as Settings. TypeError: a wrong type; ConfigError: a wrong value.

    OTELBRIDGE_ACCESS_LOG and BB_ACCESS_LOG are read here, once.
    """
    check_bools(traces=traces, access_log=access_log, trust_traceparent=trust_traceparent)
    return Settings(
        traces=bool(traces),
        access_log=bool(access_log) and access_log_wanted(os.environ),
        exclude=path_rules("exclude", exclude),
        exclude_ok=path_rules("exclude_ok", exclude_ok),
        slow_s=seconds("slow_s", slow_s),
        include_headers=header_names(include_headers),
        trust_traceparent=bool(trust_traceparent),
        on_request=callback(on_request),
    )


def check_bools(**options: object) -> None:
    """Raise TypeError for an option that is neither True nor False."""
    for name, value in options.items():
        if not isinstance(value, bool):
            msg = f"{name} must be True or False, got {value!r}"
            raise TypeError(msg)


def access_log_wanted(environ: Mapping[str, str]) -> bool:
    """Return what OTELBRIDGE_ACCESS_LOG says, or else BB_ACCESS_LOG: 0, false, no, off switch the record off."""
    value = environ.get("OTELBRIDGE_ACCESS_LOG") or environ.get("BB_ACCESS_LOG") or "1"
    return value.strip().lower() not in ("0", "false", "no", "off")


def check_metrics(metrics: object) -> str | None:
    """Return the backend that was asked for, one of METRICS; None: what `configure()` or the environment says."""
    if metrics is None or (isinstance(metrics, str) and metrics in METRICS):
        return metrics
    msg = f'metrics must be "otlp", "statsd", "none" or None, got {metrics!r}'
    raise ConfigError(msg) if isinstance(metrics, str) else TypeError(msg)


def path_rules(option: str, rules: PathRulesOption) -> PathRules:
    """Return the rules of `option`: exact paths, globs with `*` and patterns."""
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


def header_names(names: Iterable[str]) -> tuple[str, ...]:
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


def seconds(option: str, value: object) -> float | None:
    """Return a threshold in seconds, or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{option} must be a number of seconds or None, got {value!r}"
        raise TypeError(msg)
    if not (math.isfinite(value) and value >= 0):
        msg = f"{option} must be a number of seconds from 0, got {value!r}"
        raise ConfigError(msg)
    return float(value)


def callback(function: object) -> Callable[[AccessRecord], object] | None:
    """Return the function of `on_request`."""
    if function is None:
        return None
    if not callable(function) or is_coroutine_function(function):
        msg = f"on_request must be a plain function of one AccessRecord, got {function!r}"
        raise TypeError(msg)
    return cast("Callable[[AccessRecord], object]", function)


def is_coroutine_function(function: Callable[..., Any]) -> bool:
    """Return whether a call of `function` is to be awaited."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def interface_of(app: object) -> Literal["asgi", "wsgi"] | None:
    """Return how `app` is to be called, by its arguments and whether it is a coroutine function; None: as neither."""
    if not callable(app):
        return None
    is_coroutine, takes_environ = is_coroutine_function(app), _takes(app, 2)
    if _takes(app, 3) and (is_coroutine or not takes_environ):
        return "asgi"
    return "wsgi" if takes_environ and not is_coroutine else None


def _takes(app: Callable[..., Any], count: int) -> bool:
    """Return whether `app` can be called with `count` positional arguments; True when it does not say."""
    try:
        inspect.signature(app).bind(*range(count))
    except TypeError:
        return False
    except ValueError:
        return True
    return True

"""What `add(filter=…)` may be, as one question about an event (features.md 1.27)."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otelbridge._native import Event
    from otelbridge.levels import Level
    from otelbridge.record import Record

FilterSetting = str | Mapping[str | None, str | int | bool] | Callable[["Record"], bool]
Filter = Callable[["Event"], object]

_CACHE_SIZE_MAX = 4096


def make_filter(setting: object, find_level: Callable[[str | int], Level]) -> Filter | None:
    """The filter for what the user gave; TypeError, ValueError: a mistake in it."""
    if setting is None:
        return None
    if isinstance(setting, str):
        return ByName(setting)
    if isinstance(setting, Mapping):
        return ByLevel({_module(name): _threshold(name, level, find_level) for name, level in setting.items()})
    if setting is builtins.filter:
        msg = "filter must be your own function, a str or a dict, got Python's built-in filter()"
        raise ValueError(msg)
    if callable(setting):
        return ByRecord(setting)
    kind = type(setting).__name__
    msg = f"filter must be a callable(record), a str, a dict or None, got {setting!r} of type {kind!r}"
    raise TypeError(msg)


class ByRecord:
    """A function of the user's."""

    def __init__(self, function: Callable[[Any], object]) -> None:
        self._function = function

    def __call__(self, event: Event) -> object:
        """Ask it."""
        return self._function(event.record)


class ByName:
    """A module and what is below it; `""` is every module that has a name."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._prefix = f"{name}." if name else ""

    def __call__(self, event: Event) -> bool:
        """Whether the event may pass."""
        name = name_of(event)
        return name is not None and (name == self._name or name.startswith(self._prefix))


class ByLevel:
    """A threshold for each module, that of the closest parent; False is never, a missing one is always."""

    def __init__(self, thresholds: dict[str | None, int | None]) -> None:
        self._thresholds = thresholds  # None: never
        self._found: dict[str | None, int | None] = {}

    def __call__(self, event: Event) -> bool:
        """Whether the event may pass."""
        name = name_of(event)
        try:
            threshold = self._found[name]
        except KeyError:
            threshold = self._find(name)
            if len(self._found) < _CACHE_SIZE_MAX:
                self._found[name] = threshold
        return threshold is not None and level_of(event) >= threshold

    def _find(self, name: str | None) -> int | None:
        if name in self._thresholds:
            return self._thresholds[name]
        while name:
            name = name.rpartition(".")[0]
            if name in self._thresholds:
                return self._thresholds[name]
        return 0


class Unless:
    """Another filter, or none, before which the records of one module are left out whenever `is_left_out()`."""

    def __init__(self, inner: Filter | None, name: str, is_left_out: Callable[[], bool]) -> None:
        self.inner = inner
        self._name = name
        self._is_left_out = is_left_out

    def __call__(self, event: Event) -> object:
        """Whether the event may pass."""
        if name_of(event) == self._name and self._is_left_out():
            return False
        return self.inner is None or self.inner(event)


def name_of(event: Event) -> str | None:
    """The module that logged, or what a patcher made of it."""
    if event.has_record:
        return event.record["name"]
    return None if event.site is None else event.site[0]


def level_of(event: Event) -> int:
    """The level's number, or what a patcher made of it."""
    return event.record["level"].no if event.has_record else event.level.no


def _module(name: object) -> str | None:
    if name is None or isinstance(name, str):
        return name
    msg = f"filter dict: module must be a str or None, got {name!r} of type {type(name).__name__!r}"
    raise TypeError(msg)


def _threshold(module: object, level: object, find_level: Callable[[str | int], Level]) -> int | None:
    if level is False:
        return None
    if level is True:
        return 0
    if not isinstance(level, str | int):
        kind = type(level).__name__
        msg = f"filter dict: level of module {module!r} must be a str, an int or a bool, got {level!r} of type {kind!r}"
        raise TypeError(msg)
    try:
        return find_level(level).no
    except ValueError as error:
        msg = f"filter dict: module {module!r}: {error}"
        raise ValueError(msg) from None

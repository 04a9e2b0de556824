"""What loggers share that come from one another by bind, opt and patch; a deep copy of one is another family."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from otelbridge._export import PROVIDER, ProviderEmitter, core, otlp_level
from otelbridge._hold import Holds
from otelbridge._native import AttrSet, Dispatcher
from otelbridge.dispatch.handlers import Handlers
from otelbridge.levels import DEFAULT_LEVELS, Levels
from otelbridge.record import RecordLevel

if TYPE_CHECKING:
    from types import TracebackType

    from otelbridge.dispatch.handler import Handler
    from otelbridge.record import Record

    ExcInfo = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]

Patcher = Callable[["Record"], object]

_BUILTIN = ("TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL")
# A module that cannot be switched off: ours speaks of what went wrong.
_ALWAYS_ENABLED = "otelbridge"
_ENABLED_SIZE_MAX = 4096
# How long the end of the process waits for a sink that finishes no message.
_EXIT_STUCK_S = 2.0


class Options(NamedTuple):
    """What opt() and patch() ask of a call."""

    exception: bool | BaseException | ExcInfo | None = None
    record: bool = False
    lazy: bool = False
    colors: bool = False
    raw: bool = False
    capture: bool = True
    depth: int = 0
    once: bool = False
    every: int = 0
    patchers: tuple[Patcher, ...] = ()


NO_OPTIONS = Options()


class Activation:
    """Which modules may log: rules for dotted prefixes, the longest of which decides (features.md 1.22)."""

    def __init__(self) -> None:
        self._rules: dict[str, bool] = {}
        self._nameless = True  # code without `__name__`
        self.found: dict[str | None, bool] = {}

    @property
    def has_rules(self) -> bool:
        """Whether anything is switched off."""
        return not self._nameless or bool(self._rules)

    def change(self, name: str | None, status: bool) -> None:
        """Switch a module, and all below it, on or off; None is code without a name."""
        if name is None:
            self._nameless = status
        elif name != _ALWAYS_ENABLED and not name.startswith(f"{_ALWAYS_ENABLED}."):
            below = f"{name}." if name else ""
            self._rules = {n: s for n, s in self._rules.items() if n != name and not n.startswith(below)}
            if self._decide(name) != status:
                self._rules[name] = status
        self.found = {}

    def is_enabled(self, name: str | None) -> bool:
        """Whether a module may log."""
        if (found := self.found.get(name)) is not None:
            return found
        decided = self._nameless if name is None else self._decide(name)
        if len(self.found) < _ENABLED_SIZE_MAX:
            self.found[name] = decided
        return decided

    def _decide(self, name: str) -> bool:
        while True:
            if name in self._rules:
                return self._rules[name]
            if not name:
                return True
            name = name.rpartition(".")[0]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "found": {}}


class Family(Dispatcher):
    """Handlers, levels, default extra, patcher and activation of loggers that belong together."""

    handlers: Handlers
    levels: Levels
    activation: Activation
    default_extra: dict[str, Any]
    patcher: Patcher | None
    holds: Holds
    sinks_level_no: int | None

    def apply(self) -> None:
        """Tell the core from which level a call needs Python."""
        provider_level = None if PROVIDER.emitter is None else PROVIDER.level_no
        held_level = self.holds.level_no
        wanted = [no for no in (self.handlers.level_no, provider_level, held_level) if no is not None]
        self.sinks_level_no = min(wanted, default=None)
        is_renumbered = any(self.levels.find(level.name).no != level.no for level in DEFAULT_LEVELS)
        # The core knows loguru's own numbers only (LOGURU_INFO_NO and its like change them).
        self.set_sink_level(0 if is_renumbered and wanted else self.sinks_level_no)
        others = (self.patcher, held_level, provider_level)
        self.set_python_way(is_renumbered or any(other is not None for other in others))

    def wants(self, level_no: int) -> bool:
        """Whether OTLP, or any sink, wants records of a level."""
        return level_no >= otlp_level() or (self.sinks_level_no is not None and level_no >= self.sinks_level_no)

    def apply_levels(self) -> None:
        """Tell the core how loguru's own levels look."""
        known = {level.name: level for level in self.levels}
        self.set_levels(tuple(RecordLevel(name, known[name].no, known[name].icon) for name in _BUILTIN))
        self.handlers.forget_colors()

    def use_extra(self, extra: Mapping[str, Any]) -> None:
        """Set what every record carries."""
        self.default_extra = dict(extra)
        self.set_extra(AttrSet(self.default_extra) if extra else None)

    def use_patcher(self, patcher: Patcher | None) -> None:
        """Set what changes every record."""
        self.patcher = patcher
        self.apply()

    def change_activation(self, name: str | None, status: bool) -> None:
        """Switch modules on or off."""
        self.activation.change(name, status)
        activation = self.activation
        self.set_activation(activation.found if activation.has_rules else None, activation.is_enabled)

    def adopt(self, other: Family) -> None:
        """Become what another family is (a logger that came from another process)."""
        self._restore(other._state())

    def _state(self) -> dict[str, Any]:
        return {
            "handlers": self.handlers.active,
            "next_id": self.handlers.next_id,
            "levels": self.levels,
            "activation": self.activation,
            "extra": self.default_extra,
            "patcher": self.patcher,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.levels = state["levels"]
        self.activation = state["activation"]
        self.patcher = state["patcher"]
        self.use_extra(state["extra"])
        handlers: tuple[Handler, ...] = state["handlers"]
        for handler in handlers:
            handler.renderer.use_colors(self.levels.color)
        self.handlers.replace(handlers, state["next_id"])
        self.apply_levels()
        self.change_activation(None, self.activation.is_enabled(None))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_family, (), self._state()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._restore(state)


def make_family(levels: Levels) -> Family:
    """A family without handlers, on the process's core."""
    handlers = Handlers()
    family = Family(core, PYTHON_WAY.dispatch, handlers.deliver)
    family.handlers = handlers
    family.levels = levels
    family.activation = Activation()
    family.default_extra = {}
    family.patcher = None
    family.holds = Holds(family.apply)
    family.sinks_level_no = None
    handlers.on_change = family.apply
    family.apply_levels()
    family.apply()
    _families.add(family)
    return family


def _rebuild_family() -> Family:
    return make_family(Levels())


class _PythonWay:
    """What takes the calls that the core leaves to Python; `_call` puts itself here."""

    dispatch: Callable[..., object]


PYTHON_WAY = _PythonWay()
_families: weakref.WeakSet[Family] = weakref.WeakSet()


def set_provider(emitter: ProviderEmitter | None, level_no: int) -> None:
    """Send records from `level_no` on to `emitter(parts)`; None: to the core."""
    PROVIDER.emitter = emitter
    PROVIDER.level_no = level_no
    for family in list(_families):
        family.apply()


def stop_all() -> None:
    """At exit: everything that waits is written, and files are closed. A sink that is stuck is given up."""
    for family in list(_families):
        family.handlers.stop_all(_EXIT_STUCK_S)


def hold_all() -> None:
    """Before a fork."""
    for family in list(_families):
        family.handlers.hold()


def release_all() -> None:
    """After a fork, in the parent."""
    for family in list(_families):
        family.handlers.release()


def renew_all() -> None:
    """After a fork, in the child."""
    core.after_fork()
    for family in list(_families):
        family.handlers.renew()

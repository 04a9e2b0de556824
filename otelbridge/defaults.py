"""The defaults of `add()` and of the levels: loguru's, or what its LOGURU_* variables say (features.md 1.32)."""

from __future__ import annotations

import os
from typing import NamedTuple

from otelbridge.levels import DEFAULT_LEVELS, Level

LINE = (
    "<green>{time:YYYY-MM-DD HH:mm:ss.SSS}</green> | <level>{level: <8}</level> | "
    "<cyan>{name}</cyan>:<cyan>{function}</cyan>:<cyan>{line}</cyan> - <level>{message}</level>"
)
_TRUE = ("1", "true", "yes", "y", "ok", "on")
_FALSE = ("0", "false", "no", "n", "nok", "off")


class Defaults(NamedTuple):
    """What `add()` takes for an argument that is not given."""

    autoinit: bool
    format: str
    filter: str | None
    level: str | int
    colorize: bool | None
    serialize: bool
    backtrace: bool
    diagnose: bool | None
    enqueue: bool
    context: str | None
    catch: bool


def read_defaults() -> Defaults:
    """From the environment. ValueError: a variable that is neither true nor false."""
    return Defaults(
        autoinit=_flag("AUTOINIT", True),
        format=_text("FORMAT") or LINE,
        filter=_text("FILTER"),
        level=_text("LEVEL") or "DEBUG",
        colorize=_optional_flag("COLORIZE"),
        serialize=_flag("SERIALIZE", False),
        backtrace=_flag("BACKTRACE", True),
        diagnose=_optional_flag("DIAGNOSE"),
        enqueue=_flag("ENQUEUE", False),
        context=_text("CONTEXT"),
        catch=_flag("CATCH", True),
    )


def read_levels() -> tuple[Level, ...]:
    """Loguru's levels, with LOGURU_INFO_NO, LOGURU_INFO_COLOR, LOGURU_INFO_ICON and the others' like."""
    return tuple(
        Level(
            level.name,
            _number(f"{level.name}_NO", level.no),
            _text(f"{level.name}_COLOR") or level.color,
            _text(f"{level.name}_ICON") or level.icon,
        )
        for level in DEFAULT_LEVELS
    )


def _text(name: str) -> str | None:
    return os.environ.get(f"LOGURU_{name}")


def _flag(name: str, default: bool) -> bool:
    value = _optional_flag(name)
    return default if value is None else value


def _optional_flag(name: str) -> bool | None:
    value = _text(name)
    if value is None:
        return None
    if value.lower() in _TRUE:
        return True
    if value.lower() in _FALSE:
        return False
    msg = f"LOGURU_{name} must be true or false, got {value!r}"
    raise ValueError(msg)


def _number(name: str, default: int) -> int:
    value = _text(name)
    if value is None:
        return default
    try:
        return int(value)
    except ValueError:
        msg = f"LOGURU_{name} must be an integer, got {value!r}"
        raise ValueError(msg) from None

"""From a path such as "module:app" to an application that Hypercorn can call. Serves nothing.

Rows 2.1 and 2.2: Hypercorn's own steps, with the mistakes found here rather than at each request.
"""

from __future__ import annotations

import difflib
import inspect
import pkgutil
import sys
from collections.abc import Iterable
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Literal, cast

from hypercorn.app_wrappers import ASGIWrapper, WSGIWrapper
from hypercorn.config import Config
from hypercorn.typing import AppWrapper, ASGIFramework, WSGIFramework
from hypercorn.utils import NoAppError

from otelbridge.access.options import interface_of

Mode = Literal["asgi", "wsgi"]

MODES: tuple[Mode, ...] = ("asgi", "wsgi")
WSGI_BODY_SIZE_MAX = Config.wsgi_max_body_size  # bytes, 16 MiB

_EXPRESSION = "<application path>"  # the file name of what stands behind the colon, in tracebacks
_WANTED = "an ASGI application (scope, receive, send) or a WSGI application (environ, start_response)"
_HINTS_MAX = 3


class ModuleMissingError(NoAppError, ModuleNotFoundError):
    """There is no module of the name that the path begins with."""


class NameMissingError(NoAppError, AttributeError):
    """The module, or an object in it, lacks a name that the path asks for."""


class NotAnApplicationError(NoAppError, TypeError):
    """What the path leads to can be called neither as ASGI nor as WSGI."""


def load_application(path: str, wsgi_max_body_size: int = WSGI_BODY_SIZE_MAX) -> AppWrapper:
    """Return the application at `path`, wrapped for Hypercorn.

    `path` is "module" (its `app`), "module:expression", "asgi:module:expression" or "wsgi:module:expression". A module
    may be given as a file. Its folder comes first on sys.path afterwards. `wsgi_max_body_size`: bytes, 16 MiB.

    NoAppError: there is no such module (an ImportError too), no such name (an AttributeError too), or it is no
    application (a TypeError too). ValueError: the mode is neither, or does not fit. What the module itself raises
    passes unchanged.
    """
    mode, module_name, expression = _split(path)
    module = _import(path, module_name)
    app = _evaluate(path, module, expression)
    if not interfaces_of(app):
        if inspect.iscoroutine(app):
            app.close()  # else it warns, later, that nobody awaited it
        hint = _did_you_mean([f"{expression}()"] if _is_factory(app) else _applications_in(module))
        msg = f"cannot load application from {path!r}: it must be {_WANTED}, got {_kind(app)}{hint}"
        raise NotAnApplicationError(msg)
    return wrap_app(app, wsgi_max_body_size, mode)


def wrap_app(app: object, wsgi_max_body_size: int = WSGI_BODY_SIZE_MAX, mode: str | None = None) -> AppWrapper:
    """Return `app` as Hypercorn calls it: an ASGIWrapper or a WSGIWrapper.

    `mode` is "asgi", "wsgi" or None: as its arguments tell. `wsgi_max_body_size`: of a request to WSGI, bytes, 16 MiB.
    An application that is wrapped already is wrapped anew, not twice.

    ValueError: `mode` is neither, or not how `app` can be called. TypeError: `app` is no application.
    """
    if mode is not None and mode not in MODES:
        msg = f"mode must be 'asgi', 'wsgi' or None, got {mode!r}"
        raise ValueError(msg)
    interfaces = interfaces_of(app)
    if not interfaces:
        msg = f"app must be {_WANTED}, got {_kind(app)}"
        raise TypeError(msg)
    if mode is not None and mode not in interfaces:
        msg = f"mode must be {interfaces[0]!r} for {_kind(app)}, which cannot be called otherwise, got {mode!r}"
        raise ValueError(msg)
    inner = app.app if isinstance(app, ASGIWrapper | WSGIWrapper) else app
    if (mode or interfaces[0]) == "asgi":
        return ASGIWrapper(cast("ASGIFramework", inner))
    return WSGIWrapper(cast("WSGIFramework", inner), wsgi_max_body_size)


def interfaces_of(app: object) -> tuple[Mode, ...]:
    """Return how `app` can be called as far as its arguments tell, the likelier way first; empty: in no way."""
    if isinstance(app, ASGIWrapper):
        return ("asgi",)
    if isinstance(app, WSGIWrapper):
        return ("wsgi",)
    try:
        likely = interface_of(app)
    except Exception:
        return ()  # Flask's `request`, say, which answers nothing while there is none
    if likely is None:
        return ()
    ways: tuple[Mode, ...] = (likely,)
    # Two arguments are left when the first of three is given: `def app(*args)` may be either.
    if likely == "wsgi" and interface_of(partial(cast("Any", app), None)) == "wsgi":
        ways = ("wsgi", "asgi")
    if isinstance(app, type) and type(app).__call__ is type.__call__:
        # A call makes an instance, which the server then awaits or iterates: most classes are no applications.
        ways = tuple(way for way in ways if hasattr(app, "__await__" if way == "asgi" else "__iter__"))
    return ways


def _split(path: str) -> tuple[Mode | None, str, str]:
    """Return mode, module and expression, cut as Hypercorn does."""
    if path.count(":") != 2:
        module_name, _, expression = path.partition(":")
        return None, module_name, expression if ":" in path else "app"
    mode, module_name, expression = path.split(":")
    if mode not in MODES:
        msg = f"mode of the application must be 'asgi' or 'wsgi', got {mode!r} in {path!r}"
        raise ValueError(msg)
    return mode, module_name, expression


def _import(path: str, module_name: str) -> ModuleType:
    place = Path(module_name).resolve()
    folder = str(place.parent)
    _put_first_on_sys_path(folder)
    name = place.stem if place.is_file() else place.name
    try:
        if name and not name.startswith("."):
            return import_module(name)
    except ModuleNotFoundError as error:
        # A missing module that the application imports is its own affair.
        missing = error.name or ""
        if not f"{name}.".startswith(f"{missing}."):
            raise
    else:
        missing = name
    hint = _did_you_mean(_close(missing, _modules_beside(missing, folder)))
    msg = f"cannot load application from {path!r}: module {module_name!r} must be in {folder} or on sys.path, got none"
    raise ModuleMissingError(msg + hint, name=missing)


def _put_first_on_sys_path(folder: str) -> None:
    """Make imports look into `folder` first, as they do under Hypercorn, and hold it once however often it is asked."""
    if sys.path[:1] != [folder]:
        sys.path[:] = [folder, *(entry for entry in sys.path if entry != folder)]


def _evaluate(path: str, module: ModuleType, expression: str) -> object:
    try:
        code = compile(expression.lstrip(), _EXPRESSION, "eval")
    except (SyntaxError, ValueError) as error:
        msg = f"cannot load application from {path!r}: a name or an expression must follow, got {expression!r}"
        raise NoAppError(msg) from error
    try:
        return eval(code, vars(module))
    except Exception as error:
        if not _is_ours(error.__traceback__):
            raise
        raise _mistake(path, module, error) from error


def _is_ours(traceback: TracebackType | None) -> bool:
    """Return whether the expression itself raised, and nothing that it called."""
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and traceback.tb_frame.f_code.co_filename == _EXPRESSION


def _mistake(path: str, module: ModuleType, error: Exception) -> NoAppError:
    if isinstance(error, NameError) and error.name:
        # Its file, since `code.py:app` finds the library's `code` where that is imported already.
        holder = f"{_kind(module)} ({getattr(module, '__file__', None) or 'no file'})"
        hint = _did_you_mean(_close(error.name, vars(module)) or _applications_in(module))
    elif isinstance(error, AttributeError) and error.name:
        holder, hint = _kind(error.obj), _did_you_mean(_close(error.name, dir(error.obj)))
    else:
        return NoAppError(f"cannot load application from {path!r}: it must be {_WANTED}, got {error!r}")
    return NameMissingError(f"cannot load application from {path!r}: {holder} must have {error.name!r}, got none{hint}")


def _kind(value: object) -> str:
    """Say what `value` is, not what it holds: that may be long, or a secret."""
    if value is None:
        return "None"
    if inspect.ismodule(value):
        return f"the module {value.__name__!r}"
    if isinstance(value, type):
        return f"the class {value.__qualname__!r}"
    if inspect.iscoroutine(value):
        return f"the coroutine of {value.__qualname__!r}, which nobody awaits"
    if inspect.isroutine(value):
        return f"the function {value.__qualname__!r}"
    return f"an instance of {type(value).__qualname__!r}"


def _is_factory(value: object) -> bool:
    """Return whether a call without arguments may give the application."""
    if not callable(value):
        return False
    try:
        inspect.signature(value).bind()
        return not inspect.iscoroutinefunction(value)
    except Exception:
        return False


def _applications_in(module: ModuleType) -> list[str]:
    """Return the public names in `module` whose values are most likely applications."""
    return [name for name, value in vars(module).items() if name[:1] != "_" and _is_likely(value, module.__name__)]


def _is_likely(value: object, module_name: str) -> bool:
    """Return whether `value` is an application of this module's: not a tool of two arguments that it imported."""
    if isinstance(value, type) or not interfaces_of(value):
        return False
    if inspect.isroutine(value):
        return getattr(value, "__module__", None) == module_name
    return type(value).__module__.partition(".")[0] not in sys.stdlib_module_names


def _modules_beside(name: str, folder: str) -> list[str]:
    """Return the full names of the modules among which `name` was looked for: in its package, or in `folder`."""
    package = name.rpartition(".")[0]
    places = list(getattr(sys.modules.get(package), "__path__", ())) if package else [folder]
    return [info.name for info in pkgutil.iter_modules(places, f"{package}." if package else "")]


def _close(name: str, names: Iterable[str]) -> list[str]:
    return difflib.get_close_matches(name, [known for known in names if not known.startswith("_")], _HINTS_MAX)


def _did_you_mean(names: list[str]) -> str:
    return f"; did you mean {' or '.join(map(repr, names[:_HINTS_MAX]))}?" if names else ""

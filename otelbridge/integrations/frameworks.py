"""What `apps` has to know of a framework to instrument its applications in place; one module beside this has each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

RouteOf = Callable[[Any], str | None]
Overrides = Mapping[str, Callable[..., Any]]


def no_overrides(kind: type) -> Overrides:  # noqa: ARG001
    """Override nothing."""
    return {}


def nothing(app: Any) -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Framework:
    """One framework, recognised by the full names of its application classes, so that it need not be imported.

    interface: what its applications are called with.
    route_of: makes, for an application, the function from scope or environ to template; None: the engine's own.
    stack: what the application calls next, in which another instrumentation may be; the same object until it changes.
    overrides: for the class of an application, the methods that see what scope and environ do not tell.
    connect, disconnect: what else has to be done to an application, and undone.
    """

    classes: frozenset[str]
    interface: Literal["asgi", "wsgi"]
    stack: Callable[[Any], object]
    route_of: Callable[[Any], RouteOf] | None = None
    overrides: Callable[[type], Overrides] = no_overrides
    connect: Callable[[Any], None] = nothing
    disconnect: Callable[[Any], None] = nothing

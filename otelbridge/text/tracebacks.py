"""Exceptions as text: plain tracebacks, for sinks and for the wire. No variable's value is ever read here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otelbridge.record import RecordException


def render(exception: RecordException) -> str:
    """The traceback as Python prints it, ending in a newline."""
    import traceback

    return "".join(traceback.format_exception(exception.type, exception.value, exception.traceback))


def wire_parts(exception: RecordException) -> tuple[str, str, str]:
    """exception.type (qualified, builtins without their module), exception.message, exception.stacktrace."""
    kind = exception.type
    if kind is None:
        return "", "", ""
    module = kind.__module__
    name = kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"
    return name, safe_str(exception.value), safe_render(exception)


def safe_str(value: object) -> str:
    """`str(value)`, or a sentence that says why there is none."""
    try:
        return str(value)
    except Exception:
        return f"<unprintable {type(value).__name__} object>"


def safe_render(exception: RecordException) -> str:
    """`render`, or a sentence that says why there is nothing."""
    try:
        return render(exception)
    except Exception as error:
        return f"<traceback of {safe_str(exception.type)} could not be rendered: {type(error).__name__}>\n"

"""What a call says: its message filled in, for the record, for text sinks, and as a template with arguments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otelbridge._export import FORMAT_RAISES, Wording
from otelbridge.departures import strict
from otelbridge.text.policy import ACTIVE
from otelbridge.text.sanitise import format_inert, has_breaks
from otelbridge.text.tracebacks import safe_str

if TYPE_CHECKING:
    from otelbridge._family import Options
    from otelbridge._native import Event


def wording_of(message: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: Options, event: Event) -> Wording:
    if options.lazy:
        args = tuple(value() for value in args)
        called = {name: value() for name, value in kwargs.items()}
        if options.capture:
            event.extra.update(ACTIVE.policy.values(called))
        kwargs = called
    template = message if type(message) is str else safe_str(message)
    args, kwargs = ACTIVE.policy.arguments(args, kwargs)
    if options.record:
        if "record" in kwargs:
            msg = "a keyword argument must not be called 'record' with opt(record=True), which is what it passes itself"
            raise TypeError(msg)
        kwargs = {**kwargs, "record": event.record}
    if options.colors:
        return _colored_text(template, args, kwargs)
    if not args and not kwargs:
        body = ACTIVE.policy.text(template)
        return Wording(body, body)
    try:
        body = (message if strict() else template).format(*args, **kwargs)
        shown = format_inert(template, args, kwargs) if has_breaks(body) else body
    except BaseException as error:
        if FORMAT_RAISES.on or strict():
            raise
        text = ACTIVE.policy.text(template)
        return Wording(text, text, args=args, format_error=_complaint(error), interrupt=_interrupt(error))
    clean = ACTIVE.policy.text(body)
    if clean is not body:
        shown = ACTIVE.policy.text(shown)
    template = ACTIVE.policy.text(template)
    return Wording(clean, shown, template if clean != template else None, args)


def _colored_text(template: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Wording:
    from otelbridge.text.markup import color_message

    failure: BaseException | None = None
    try:
        colored = color_message(template, args, kwargs)
    except BaseException as error:
        if FORMAT_RAISES.on or strict():
            raise
        failure = error
        colored = color_message(template, (), {})  # wrong markup raises here, too, as in loguru
    body, shown = colored.plain, colored.shown()
    plain = colored.template if failure is None and (args or kwargs) else body
    clean = ACTIVE.policy.text(body)
    text = Wording(clean, shown.plain, plain if plain != body else None, args, None, colored, shown)
    if failure is not None:
        text = text._replace(format_error=_complaint(failure), interrupt=_interrupt(failure))
    if clean is not body:  # a secret may have tags inside: it loses its colours
        text = text._replace(
            shown=ACTIVE.policy.text(text.shown), template=ACTIVE.policy.text(plain), colored=None, colored_shown=None
        )
    return text


def _complaint(error: BaseException) -> str:
    text = safe_str(error)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _interrupt(error: BaseException) -> BaseException | None:
    return None if isinstance(error, Exception) else error

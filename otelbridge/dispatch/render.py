"""An event as the text that a sink is given: by the core's Layout where it can, else from the record dict."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from otelbridge.departures import strict
from otelbridge.text.layout import compile_layout, json_layout, loguru_shape, render_json
from otelbridge.text.markup import compile_format
from otelbridge.text.policy import ACTIVE
from otelbridge.text.sanitise import Inert, inert

if TYPE_CHECKING:
    from otelbridge._native import Event, Layout
    from otelbridge.record import Record, RecordException
    from otelbridge.text.exceptions import ExceptionText
    from otelbridge.text.layout import Preset
    from otelbridge.text.markup import ColoredMessage

PRESETS = ("loguru", "flat", "otel", "ecs")

FormatSetting = str | Callable[["Record"], str]
Serialize = bool | str | Callable[["Record"], object]

# Fields other than the message in which a user's text can stand.
_FOREIGN_FIELDS = ("extra", "file", "process", "thread", "name", "function", "module", "level")


class How(NamedTuple):
    """What the options of a call ask of its text."""

    raw: bool = False
    colored: ColoredMessage | None = None
    colored_shown: ColoredMessage | None = None
    from_decorator: bool = False


PLAIN = How()


class Rendering(NamedTuple):
    """The settings of `add()` that decide how a record looks."""

    format: FormatSetting
    colorize: bool
    serialize: Serialize
    sanitize: bool
    backtrace: bool
    diagnose: bool
    encoding: str | None
    # What stands between message and traceback, and what ends a line: a logging.Handler ends its lines itself.
    exception_prefix: str = ""
    terminator: str = "\n"


def check_rendering(rendering: Rendering) -> None:
    """TypeError, ValueError: what the user gave to `add` cannot be rendered."""
    template = rendering.format
    if template is builtins.format:
        msg = "format must be a str or your own function, got Python's built-in format()"
        raise ValueError(msg)
    if isinstance(template, str):
        compile_format(template)
    elif not callable(template):
        kind = type(template).__name__  # type: ignore[unreachable]
        msg = f"format must be a str or a callable(record), got {template!r} of type {kind!r}"
        raise TypeError(msg)
    serialize = rendering.serialize
    if isinstance(serialize, str) and serialize not in PRESETS:
        msg = f"serialize must be a bool, one of {', '.join(PRESETS)}, or a callable(record), got {serialize!r}"
        raise ValueError(msg)


class Renderer:
    """Renders for one handler."""

    def __init__(self, rendering: Rendering, level_color: Callable[[str], str]) -> None:
        check_rendering(rendering)
        self._settings = rendering
        self._level_color = level_color
        self._exceptions: ExceptionText | None = None
        self._json = _preset(rendering.serialize)
        self._is_strict = strict()
        # With loguru's JSON, strictly, Python's own json writes: its separators, its NaN.
        is_python_json = bool(rendering.serialize) and (callable(rendering.serialize) or self._is_strict)
        self._is_native = isinstance(rendering.format, str) and not is_python_json
        self._templates: dict[str, str] = {}
        self._layouts: dict[str, Layout | None] = {}

    @property
    def is_json(self) -> bool:
        """Whether programs read it."""
        return bool(self._settings.serialize)

    def forget_colors(self) -> None:
        """A level's colour has changed."""
        self._templates.clear()
        self._layouts.clear()

    def render(self, event: Event) -> str:
        """The text of a plain call."""
        if self._is_native and not event.has_record:
            level = event.level.name
            try:
                layout = self._layouts[level]
            except KeyError:
                layout = self._layouts[level] = self._make_layout(level)
            if layout is not None:
                exception = event.exception
                text = layout.render(event, "" if exception is None else self._exception(exception))
                if text is not None:
                    return text
        return self.render_record(event, PLAIN)

    def render_record(self, event: Event, how: How) -> str:
        """The text of any call, from its record dict."""
        settings = self._settings
        serialize = settings.serialize
        if callable(serialize):
            return _one_line(serialize(event.record))
        exception = event.record["exception"]
        trace = "" if exception is None else self._exception(exception, from_decorator=how.from_decorator)
        if not serialize:
            return self._text(event, how, trace)
        text = self._text(event, how, trace) if self._json == "loguru" else ""
        if self._is_strict and self._json == "loguru":
            return _python_json(event, text)
        return render_json(self._json, event, text, trace)

    def _text(self, event: Event, how: How, trace: str) -> str:
        settings = self._settings
        record = event.record
        colored = how.colored_shown if settings.sanitize and how.colored_shown is not None else how.colored
        color = self._level_color(record["level"].name) if settings.colorize else ""
        if how.raw:
            if colored is not None and settings.colorize:
                return colored.ansi(color)
            return str(record["message"])
        fields: dict[str, Any] = dict(record)
        fields["message"] = self._message(event, record)
        if settings.sanitize:
            for name in _FOREIGN_FIELDS:
                if name in fields:  # a patcher may have taken it away
                    fields[name] = Inert(fields[name])
        fields["exception"] = trace
        if isinstance(settings.format, str) and colored is None:
            return self._template(record["level"].name).format_map(fields)
        template = settings.format
        form = compile_format(template + self._ending if isinstance(template, str) else template(record))
        if not settings.colorize:
            return form.plain.format_map(fields)
        if colored is None:
            return form.ansi(color).format_map(fields)
        return form.format_colored(fields, colored, color)

    def _message(self, event: Event, record: Record) -> object:
        message: object = record["message"]
        if not self._settings.sanitize:
            return message
        if not isinstance(message, str):
            return Inert(message)
        return inert(event.shown if message is event.message or message == event.message else message)

    @property
    def _ending(self) -> str:
        return self._settings.terminator + "{exception}"

    def _template(self, level_name: str) -> str:
        template = self._templates.get(level_name)
        if template is None:
            assert isinstance(self._settings.format, str)  # a callable has no template
            form = compile_format(self._settings.format + self._ending)
            template = form.ansi(self._level_color(level_name)) if self._settings.colorize else form.plain
            self._templates[level_name] = template
        return template

    def _make_layout(self, level_name: str) -> Layout | None:
        settings = self._settings
        if not settings.serialize:
            return compile_layout(self._template(level_name), sanitize=settings.sanitize)
        return json_layout(self._json, self._template(level_name), sanitize=settings.sanitize)

    def _exception(self, exception: RecordException, *, from_decorator: bool = False) -> str:
        texts = self._exceptions
        if texts is None:
            texts = self._exceptions = self._make_exceptions()
        return self._settings.exception_prefix + texts.render(exception, from_decorator=from_decorator)

    def _make_exceptions(self) -> ExceptionText:
        from otelbridge.text.exceptions import ExceptionText

        settings = self._settings
        return ExceptionText(
            colorize=settings.colorize,
            backtrace=settings.backtrace,
            diagnose=settings.diagnose,
            encoding=settings.encoding or "ascii",
            hidden_files=HIDDEN_FILES,
            clean=_clean if settings.sanitize else _redact_text,
            redact=_redact_variable,
        )

    def __getstate__(self) -> tuple[Any, ...]:
        return (self._settings,)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        Renderer.__init__(self, state[0], lambda _: "")

    def use_colors(self, level_color: Callable[[str], str]) -> None:
        """The levels' colours, of the process that it was sent to."""
        self._level_color = level_color
        self.forget_colors()


# Files of ours whose frames are no business of a traceback's reader.
HIDDEN_FILES: frozenset[str] = frozenset()


def _redact_text(text: str) -> str:
    return ACTIVE.policy.text(text)


def _clean(text: str) -> str:
    return inert(ACTIVE.policy.text(text))


def _redact_variable(name: str, value: object) -> object:
    return ACTIVE.policy.variable(name, value)


def _preset(serialize: object) -> Preset:
    return cast("Preset", serialize) if isinstance(serialize, str) else "loguru"


def _python_json(event: Event, text: str) -> str:
    """The line as Python's json writes it."""
    from json import dumps

    return dumps(loguru_shape(event, text), default=str, ensure_ascii=False) + "\n"


def _one_line(value: object) -> str:
    """What a callable `serialize` returned, as one line."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str):
        from otelbridge._native import encode_json

        value = encode_json(value).decode("utf-8")
    return value.rstrip("\r\n").replace("\r", "\\r").replace("\n", "\\n") + "\n"

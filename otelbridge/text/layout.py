"""Format strings and JSON lines for the core's Layout, which renders an event without its record; and their twins.

A Layout gives up (None) on whatever it cannot do exactly as Python does. `render_json` is what Python does for JSON.
"""

from __future__ import annotations

import re
from datetime import UTC
from string import Formatter
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from otelbridge._native import Layout, encode_json
from otelbridge.levels import severity_number
from otelbridge.text.policy import ACTIVE
from otelbridge.text.time import _TOKENS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from otelbridge._native import Event
    from otelbridge.record import Record, RecordException

Preset = Literal["loguru", "flat", "otel", "ecs"]
_Op = tuple[Any, ...]

PRESETS: tuple[Preset, ...] = get_args(Preset)
ECS_VERSION = "8.11.0"

_ISO_SPEC = "YYYY-MM-DDTHH:mm:ss.SSSSSSZZ"
_NATIVE_TOKENS = {"YYYY", "MM", "DD", "HH", "mm", "ss", *("S" * n for n in range(1, 7)), "Z", "ZZ"}
# A format spec that pads, and does nothing else: no leading 0, which would be zeros or an alignment.
_PADDING = re.compile(r"(?:(?P<fill>[^{}])?(?P<align>[<>^]))?(?P<width>[1-9][0-9]{0,3})?", re.DOTALL)

_EXTRA_ITEM = re.compile(r"extra\[(?P<key>[^\]]{1,18})\]", re.DOTALL)

# What stands in a format string -> the op; both spellings where loguru's record formats as one of its parts.
_FIELDS = {
    "level": "level",
    "level.name": "level",
    "level.no": "level.no",
    "level.icon": "level.icon",
    "message": "message",
    "name": "name",
    "function": "function",
    "line": "line",
    "module": "module",
    "file": "file",
    "file.name": "file",
    "file.path": "file.path",
    "thread": "thread",
    "thread.id": "thread",
    "thread.name": "thread.name",
    "process": "process",
    "process.id": "process",
    "process.name": "process.name",
}
_WITHOUT_SPEC = {"elapsed", "extra", "exception"}


def compile_layout(template: str, *, sanitize: bool) -> Layout | None:
    """The Layout of a format string whose markup is ANSI already; None if it asks for what only Python can do.

    sanitize: text of users that holds control characters is left to Python, which escapes it.
    """
    ops = _text_ops(template)
    return None if ops is None else Layout(ops, sanitize)


def json_layout(preset: Preset, text_template: str, *, sanitize: bool) -> Layout | None:
    """The Layout of a JSON line; `text_template` is the format of loguru's `text`, and no other preset has one."""
    if preset != "loguru":
        return Layout(_JSON_OPS[preset], sanitize)
    text = compile_layout(text_template, sanitize=sanitize)
    return None if text is None else loguru_json(text)


def loguru_json(text: Layout) -> Layout:
    """The shape of loguru's `serialize=True`; `text` renders its `text`."""
    return Layout((("literal", '{"text":'), ("layout", text), *_LOGURU_RECORD), False)


def flat_json() -> Layout:
    """JsonSink's shape: time, level, message, module, function, line, extra."""
    return Layout(_JSON_OPS["flat"], False)


def otel_json() -> Layout:
    """OpenTelemetry's log data model, in its own names."""
    return Layout(_JSON_OPS["otel"], False)


def ecs_json() -> Layout:
    """Elastic Common Schema; `labels` is extra, as it is."""
    return Layout(_JSON_OPS["ecs"], False)


# ------------------------------------------------------------------------------------------------- format strings


def _text_ops(template: str) -> tuple[_Op, ...] | None:
    ops: list[_Op] = []
    try:
        for literal, field, spec, conversion in Formatter().parse(template):
            if literal:
                ops.append(("literal", literal))
            if field is None:
                continue
            if conversion is not None or "{" in (spec or ""):
                return None
            found = _field_ops(field, spec or "")
            if found is None:
                return None
            ops += found
        return tuple(ops) if _is_utf8(template) else None
    except ValueError:  # a template that str.format refuses, too, and with the better words
        return None


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _field_ops(field: str, spec: str) -> list[_Op] | None:
    if field == "time":
        return _time_ops(spec)
    if field in _WITHOUT_SPEC:
        return None if spec else [(field,)]
    if field.startswith("extra["):
        return _extra_item(field, spec)
    op = _FIELDS.get(field)
    padding = _PADDING.fullmatch(spec)
    if op is None or padding is None:
        return None
    if not spec:
        return [(op,)]
    if padding["width"] is None:  # aligned in no width
        return [(op,)] if op != "name" else None
    return [(op, padding["align"] or "", padding["fill"] or " ", int(padding["width"]))]


def _extra_item(field: str, spec: str) -> list[_Op] | None:
    item = _EXTRA_ITEM.fullmatch(field)
    if item is None:  # deeper, or an attribute
        return None
    key = item["key"]
    return [("extra_item", int(key) if key.isdecimal() else key, spec)]


def _time_ops(spec: str) -> list[_Op] | None:
    is_utc = spec.endswith("!UTC")
    spec = spec.removesuffix("!UTC") or _ISO_SPEC
    if "%" in spec:
        return None
    ops: list[_Op] = []
    end = 0
    for match in _TOKENS.finditer(spec):
        ops.append(("literal", spec[end : match.start()]))
        end = match.end()
        token = match["token"]
        if token is None:
            ops.append(("literal", match["shielded"]))
        elif token in _NATIVE_TOKENS:
            ops.append(("time", token, is_utc))
        else:
            return None
    ops.append(("literal", spec[end:]))
    return [op for op in ops if op != ("literal", "")]


# ------------------------------------------------------------------------------------------------------ JSON lines


def _time(spec: str) -> list[_Op]:
    return cast("list[_Op]", _time_ops(spec))


def _json(pattern: str, special: dict[str, list[_Op]]) -> tuple[_Op, ...]:
    """The ops of a line in which `<field>` stands for the field's JSON, and `<name>` for ops in `special`."""
    return tuple(_json_ops(pattern, special))


def _json_ops(pattern: str, special: dict[str, list[_Op]]) -> Iterator[_Op]:
    for i, part in enumerate(re.split(r"<([a-z_.]+)>", pattern)):
        if i % 2 == 0:
            if part:
                yield ("literal", part)
        elif part in special:
            yield from special[part]
        else:
            yield ("json", part)


_NO_EXCEPTION: list[_Op] = [("no_exception", "")]
_LOCAL_TIME = _time("YYYY-MM-DDTHH:mm:ss.SSSSSS")
_UTC_TIME = [*_time("YYYY-MM-DDTHH:mm:ss.SSSSSS!UTC"), ("literal", "Z")]
_OTEL_ATTRIBUTES = ("code.file.path", "code.function.name", "code.line.number", "thread.id", "thread.name")

_LOGURU_RECORD = _json(
    ',"record":{"elapsed":{"repr":<elapsed>,"seconds":<seconds>},"exception":<exception>,"extra":<extra>,'
    '"file":{"name":<file>,"path":<file.path>},"function":<function>,'
    '"level":{"icon":<level.icon>,"name":<level>,"no":<level.no>},"line":<line>,"message":<message>,'
    '"module":<module>,"name":<name>,"process":{"id":<process>,"name":<process.name>},'
    '"thread":{"id":<thread>,"name":<thread.name>},"time":{"repr":<time>,"timestamp":<timestamp>}}}\n',
    {
        "exception": [("no_exception", "null")],
        "seconds": [("elapsed_s",)],
        "time": [("time_text",)],
        "timestamp": [("timestamp",)],
    },
)
_JSON_OPS: dict[Preset, tuple[_Op, ...]] = {
    "flat": _json(
        '{"time":"<time>","level":<level>,"message":<message>,"module":<module>,"function":<function>,'
        '"line":<line>,"extra":<extra><exception>}\n',
        {"time": _LOCAL_TIME, "exception": _NO_EXCEPTION},
    ),
    "otel": _json(
        '{"timestamp":"<time>","severity_text":<level>,"severity_number":<severity>,"body":<message><ids>,'
        '"attributes":{"code.file.path":<file.path>,"code.function.name":<qualified>,"code.line.number":<line>,'
        '"thread.id":<thread>,"thread.name":<thread.name><more><exception>}}\n',
        {
            "time": _UTC_TIME,
            "severity": [("severity_number",)],
            "ids": [("ids", (',"trace_id":"', '"', ',"span_id":"', '"', ',"trace_flags":'))],
            "qualified": [("qualified_name",)],
            "more": [("more_extra", _OTEL_ATTRIBUTES)],
            "exception": _NO_EXCEPTION,
        },
    ),
    "ecs": _json(
        '{"@timestamp":"<time>","log.level":<level>,"message":<message>,"ecs.version":"VERSION",'
        '"log":{"logger":<name>,"origin":{"file":{"name":<file>,"line":<line>},"function":<function>}},'
        '"process":{"pid":<process>,"thread":{"id":<thread>,"name":<thread.name>}}<ids>,"labels":<extra><exception>}\n'.replace(
            "VERSION", ECS_VERSION
        ),
        {
            "time": _UTC_TIME,
            "ids": [("ids", (',"trace":{"id":"', '"}', ',"span":{"id":"', '"}', ""))],
            "exception": _NO_EXCEPTION,
        },
    ),
}


def render_json(preset: Preset, event: Event, text: str, exception_text: str) -> str:
    """The JSON line of any event, from its record: what the preset's Layout gives, and an exception where there is one.

    text: loguru's `text`, and of no interest to the other presets. exception_text: the rendered traceback.
    """
    line = _TWINS[preset](event, text, exception_text)
    return encode_json(line).decode("utf-8") + "\n"


def loguru_shape(event: Event, text: str, _: str = "") -> dict[str, Any]:
    """What serialize=True writes of an event, as a dict."""
    record = event.record
    exception, file, level = record["exception"], record["file"], record["level"]
    process, thread, time = record["process"], record["thread"], record["time"]
    return {
        "text": text,
        "record": {
            "elapsed": {"repr": str(record["elapsed"]), "seconds": record["elapsed"].total_seconds()},
            "exception": exception
            and {
                "type": _type_name(exception),
                "value": _message(exception),
                "traceback": bool(exception.traceback),
            },
            "extra": record["extra"],
            "file": {"name": file.name, "path": file.path},
            "function": record["function"],
            "level": {"icon": level.icon, "name": level.name, "no": level.no},
            "line": record["line"],
            "message": record["message"],
            "module": record["module"],
            "name": record["name"],
            "process": {"id": process.id, "name": process.name},
            "thread": {"id": thread.id, "name": thread.name},
            "time": {"repr": str(time), "timestamp": time.timestamp()},
        },
    }


def _flat_twin(event: Event, _: str, exception_text: str) -> dict[str, Any]:
    record = event.record
    line = {
        "time": record["time"].replace(tzinfo=None).isoformat(timespec="microseconds"),
        "level": record["level"].name,
        **{name: record[name] for name in ("message", "module", "function", "line", "extra")},
    }
    if record["exception"] is not None:
        line["exception"] = exception_text
    return line


def _otel_twin(event: Event, _: str, exception_text: str) -> dict[str, Any]:
    record = event.record
    line: dict[str, Any] = {
        "timestamp": _utc_text(record),
        "severity_text": record["level"].name,
        "severity_number": severity_number(record["level"].no),
        "body": record["message"],
    }
    if event.ids is not None:
        trace_id, span_id, flags = event.ids
        line["trace_id"] = trace_id
        if span_id is not None:
            line["span_id"] = span_id
        line["trace_flags"] = flags
    qualified = record["function"] if event.site is None else event.site[4]
    values = (record["file"].path, qualified, record["line"], record["thread"].id, record["thread"].name)
    attributes = dict(zip(_OTEL_ATTRIBUTES, values, strict=True))
    exception = record["exception"]
    if exception is not None:
        attributes["exception.type"] = _type_name(exception)
        attributes["exception.message"] = _message(exception)
        attributes["exception.stacktrace"] = exception_text
    extra = record["extra"]
    own = {name: value for name, value in attributes.items() if name not in extra}
    line["attributes"] = own | extra
    return line


def _ecs_twin(event: Event, _: str, exception_text: str) -> dict[str, Any]:
    record = event.record
    line: dict[str, Any] = {
        "@timestamp": _utc_text(record),
        "log.level": record["level"].name,
        "message": record["message"],
        "ecs.version": ECS_VERSION,
        "log": {
            "logger": record["name"],
            "origin": {
                "file": {"name": record["file"].name, "line": record["line"]},
                "function": record["function"],
            },
        },
        "process": {
            "pid": record["process"].id,
            "thread": {"id": record["thread"].id, "name": record["thread"].name},
        },
    }
    if event.ids is not None:
        trace_id, span_id, _flags = event.ids
        line["trace"] = {"id": trace_id}
        if span_id is not None:
            line["span"] = {"id": span_id}
    line["labels"] = record["extra"]
    exception = record["exception"]
    if exception is not None:
        kind, message = _type_name(exception), _message(exception)
        line["error"] = {"type": kind, "message": message, "stack_trace": exception_text}
    return line


_TWINS: dict[Preset, Callable[[Event, str, str], dict[str, Any]]] = {
    "loguru": loguru_shape,
    "flat": _flat_twin,
    "otel": _otel_twin,
    "ecs": _ecs_twin,
}


def _utc_text(record: Record) -> str:
    moment = record["time"].astimezone(UTC).replace(tzinfo=None)
    return moment.isoformat(timespec="microseconds") + "Z"


def _type_name(exception: RecordException) -> str | None:
    return None if exception.type is None else exception.type.__name__


def _message(exception: RecordException) -> object:
    """Its text, as text sinks show it; the encoder makes one of an exception that has none."""
    value = exception.value
    if value is None:
        return None
    try:
        return ACTIVE.policy.text(str(value))
    except Exception:
        return value

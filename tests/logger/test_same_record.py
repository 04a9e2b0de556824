"""OTLP gets the same record whatever way a call takes: options, patchers, sinks; and what patchers change."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otelbridge import _native
from otelbridge._export import set_redaction
from otelbridge._logger import Logger
from otelbridge.levels import DEFAULT_LEVELS
from otelbridge.record import RecordException, RecordFile, RecordLevel
from otelbridge.text.policy import ACTIVE
from otelbridge.text.redaction import Redaction
from tests.logger.conftest import Exporting, Lines
from tests.native.oracle import anything, attributes_of, parse, texts

MOMENT_NS = 1_767_323_045_123_456_789
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"

names = st.one_of(
    st.sampled_from(["user", "id", "a", "b", "é", "message", "self", "level", "exception", "trace_id"]),
    st.sampled_from(["code.line.number", "thread.name", "message.template", "exception.type"]),
    st.sampled_from(["password", "api_key", "X-Auth-Token"]),
    texts,
).filter(lambda name: name != "record")  # which opt(record=True) passes itself
templates = st.one_of(
    texts,
    st.sampled_from(
        ["{}", "{} and {}", "{1}{0}", "{user}: {id:>5}|{a!r}", "{{}} {{{}}}", "{", "}", "{missing}", "{a.b}"]
    ),
    st.sampled_from(["{password}", "https://u:pw@host/?token=abc {}", "\ud800 {}", "x" * 130 + "{}"]),
)
many = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


class Call(NamedTuple):
    """A log call to be."""

    level: str
    template: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    @property
    def is_formatted(self) -> bool:
        """Whether there is anything to put into the template."""
        return bool(self.args or self.kwargs)


calls = st.builds(
    Call,
    st.sampled_from([level.name for level in DEFAULT_LEVELS]),
    templates,
    st.lists(anything, max_size=2).map(tuple),
    st.dictionaries(names, anything, max_size=3),
)

Send = Callable[..., object]


def said(log: Logger, call: Call) -> Send:
    """The level's method of a logger."""
    method: Send = getattr(log, call.level.lower())
    return method


def lazily(log: Logger, call: Call) -> Send:
    method = said(log.opt(lazy=True), call)

    def send(template: str, *args: Any, **kwargs: Any) -> None:
        values = [lambda value=value: value for value in args]
        named = {name: lambda value=value: value for name, value in kwargs.items()}
        said(log.opt(lazy=True, depth=1), call)(template, *values, **named)

    return send if call.is_formatted else method


def from_deeper(log: Logger, call: Call) -> Send:
    def send(*args: Any, **kwargs: Any) -> None:
        said(log.opt(depth=1), call)(*args, **kwargs)

    return send


def by_name(log: Logger, call: Call) -> Send:
    def send(*args: Any, **kwargs: Any) -> None:
        log.opt(depth=1).log(call.level, *args, **kwargs)

    return send


def with_bound(log: Logger, call: Call) -> Send:
    """Values that are bound, and passed for the message alone, are the attributes that passing alone makes."""

    def send(template: str, *args: Any, **kwargs: Any) -> None:
        said(log.bind(**kwargs).opt(capture=False, depth=1), call)(template, *args, **kwargs)

    return send


WAYS: dict[str, Callable[[Logger, Call], Send]] = {
    "opt()": lambda log, call: said(log.opt(), call),
    "depth": from_deeper,
    "log()": by_name,
    "lazy": lazily,
    "raw": lambda log, call: said(log.opt(raw=True), call),
    "record": lambda log, call: said(log.opt(record=call.is_formatted), call),
    "exception": lambda log, call: said(log.opt(exception=False), call),
    "every": lambda log, call: said(log.opt(every=1), call),
    "capture": with_bound,
    "patch": lambda log, call: said(log.patch(lambda record: None), call),
    "bind": lambda log, call: said(log.bind(), call),
    "all": lambda log, call: said(log.bind().patch(lambda record: None).opt(raw=True, record=call.is_formatted), call),
}


@contextmanager
def stopped_clock() -> Iterator[None]:
    """Inside, all records have the same time."""
    _native.set_clock(lambda: MOMENT_NS)
    try:
        yield
    finally:
        _native.set_clock(None)


def record_of(exporting: Exporting, send: Send, call: Call) -> bytes:
    """The encoded record of a call; all calls stand here."""
    exporting.take()
    with stopped_clock():
        send(call.template, *call.args, **call.kwargs)
    (record,) = exporting.take()
    return record


def plain(exporting: Exporting, call: Call) -> bytes:
    return record_of(exporting, said(exporting.logger, call), call)


def assert_same(one: bytes, other: bytes, way: str = "") -> None:
    if one != other:  # so that the difference can be read
        assert str(parse(one)) == str(parse(other)), way
    assert one == other, way


@pytest.fixture
def unredacted() -> Iterator[None]:
    """Nothing is a secret."""
    before = ACTIVE.policy
    set_redaction(Redaction.from_setting(()))
    try:
        yield
    finally:
        set_redaction(before)


# ------------------------------------------------------------------------------------------------------- options


@many
@given(call=calls)
def test_options_do_not_change_the_record(exporting: Exporting, unredacted: None, call: Call) -> None:
    """
    Any call makes the same bytes plain and with options that say nothing of what is logged.
    """
    expected = plain(exporting, call)

    for name, way in WAYS.items():
        assert_same(record_of(exporting, way(exporting.logger, call), call), expected, name)


@many
@given(call=calls)
def test_markup_does_not_change_the_record(exporting: Exporting, unredacted: None, call: Call) -> None:
    """
    With colors=True the tags of the template are no part of the record.
    """
    # Without markup of its own, and without an empty format, which is left out.
    template = call.template.replace("<", "").replace("\\", "").replace(":}", "}")
    colored = call._replace(template=f"<red>a <b>{{0}}</b></red> {template}")
    call = call._replace(template=f"a {{0}} {template}")

    found = record_of(exporting, said(exporting.logger.opt(colors=True), call), colored)

    assert without_wording(found) == without_wording(plain(exporting, call))


def without_wording(record: bytes) -> str:
    """A record, with the type of a format error only: Python has two formatters, whose sentences differ."""
    parsed = parse(record)
    for attribute in parsed.attributes:
        if attribute.key == "otelbridge.format_error":
            attribute.value.string_value = attribute.value.string_value.partition(":")[0]
    return str(parsed)


@many
@given(call=calls, ids=st.sampled_from([{}, {"trace_id": TRACE, "span_id": SPAN}, {"trace_id": TRACE}, {"a": 1}]))
def test_context_is_the_same_on_every_way(
    exporting: Exporting, unredacted: None, call: Call, ids: dict[str, Any]
) -> None:
    """
    Ids and values of contextualize are the same on a plain call and on one with options and a patcher.
    """
    with exporting.logger.contextualize(**ids):
        one = plain(exporting, call)
        other = record_of(exporting, WAYS["all"](exporting.logger, call), call)

    assert_same(other, one)
    assert (parse(one).trace_id.hex() == TRACE) == ("trace_id" in ids)


@many
@given(call=calls)
def test_secrets_are_hidden_on_every_way(exporting: Exporting, call: Call) -> None:
    """
    What is redacted is redacted whatever the options, in the same words.
    """
    expected = plain(exporting, call)

    for name, way in WAYS.items():
        assert_same(record_of(exporting, way(exporting.logger, call), call), expected, name)


SINKS: dict[str, dict[str, Any]] = {
    "callable": {},
    "every field": {"format": "{time} {extra} {message} {thread} {process} {file} {exception}"},
    "format function": {"format": lambda record: "{message} {extra[user]}"},
    "filter": {"filter": lambda record: record["extra"].clear() or False},
    "filter by module": {"filter": {"": "ERROR", __name__: 0}},
    "serialize": {"serialize": True},
    "colorize": {"colorize": True},
    "enqueue": {"enqueue": True},
    "failing": {"sink": lambda message: 1 // 0},
}


@settings(many, max_examples=60)
@given(call=calls)
def test_sinks_do_not_change_the_record(exporting: Exporting, unredacted: None, call: Call) -> None:
    """
    Whatever Python sinks there are, and whatever they do to the record's dict, OTLP gets the same bytes.
    """
    expected = plain(exporting, call)

    for name, sink in SINKS.items():
        number = exporting.logger.add(**{"sink": lambda message: None, "level": 0, **sink})
        found = plain(exporting, call)
        exporting.logger.remove(number)
        assert_same(found, expected, name)


def test_coroutine_sink_does_not_change_the_record(exporting: Exporting) -> None:
    """
    A sink that is a coroutine function runs later; the record has been made by then.
    """
    call = Call("INFO", "text {}", (1,), {"user": "x"})

    async def sink(message: Any) -> None:
        message.record["extra"].clear()

    async def main() -> bytes:
        exporting.logger.add(sink)
        record = plain(exporting, call)
        await exporting.logger.complete()
        return record

    found = asyncio.run(main())
    exporting.logger.remove()

    assert_same(found, plain(exporting, call))


def test_value_that_changes_after_the_call_is_exported_as_it_was(exporting: Exporting) -> None:
    """
    The record is made at the call, however late a queue or an exporter comes to it.
    """
    values = [1]
    exporting.logger.add(lambda message: None, enqueue=True)

    exporting.logger.opt(lazy=True).info("{}", lambda: values, values=lambda: values)
    exporting.logger.bind(values=values).info("text")
    values.append(2)
    exporting.logger.complete()

    first, second = map(parse, exporting.take())
    assert first.body.string_value == "[1]"
    assert attributes_of(first)["values"] == attributes_of(second)["values"] == [1]


@pytest.mark.parametrize("kind", ["true", "instance", "tuple"])
def test_exception_is_the_same_however_it_is_given(exporting: Exporting, kind: str) -> None:
    """
    `exception`, and opt(exception=…) of True, of the exception, and of an exc_info tuple make the same bytes.
    """
    call = Call("ERROR", "text {}", (1,), {"user": "x"})
    try:
        raise ValueError("wrong")
    except ValueError as error:
        given_as: dict[str, Any] = {"true": True, "instance": error, "tuple": sys.exc_info()}
        one = record_of(exporting, exporting.logger.exception, call)
        other = record_of(exporting, exporting.logger.opt(exception=given_as[kind]).error, call)

    assert_same(other, one)
    assert attributes_of(parse(one))["exception.message"] == "wrong"


# ------------------------------------------------------------------------------------------------------- patchers


def change(record: Any, **changes: Any) -> None:
    record.update(changes)


def patched(exporting: Exporting, **changes: Any) -> Any:
    """The exported record of a call whose record dict was changed so."""
    exporting.logger.patch(lambda record: change(record, **changes)).info("text {}", 1, user="x")
    (record,) = exporting.take()
    return parse(record)


@pytest.mark.covers("1.19")
def test_patched_message_is_exported(exporting: Exporting) -> None:
    """
    A patcher's message is the body; what it was made from stays in the attributes.
    """
    record = patched(exporting, message="other")

    assert record.body.string_value == "other"
    assert attributes_of(record)["message.template"] == "text {}"
    assert attributes_of(record)["message.args"] == [1]


def test_patched_message_without_arguments_is_exported(exporting: Exporting) -> None:
    """
    A message without arguments is its own template, which is told if a patcher replaced it.
    """
    exporting.logger.patch(lambda record: change(record, message="other")).info("text")

    (record,) = map(parse, exporting.take())
    assert record.body.string_value == "other"
    assert attributes_of(record).get("message.template") in (None, "text")


@pytest.mark.covers("1.19")
def test_patched_extra_is_exported(exporting: Exporting) -> None:
    """
    Values that a patcher added, changed and took away, and a dict that it put in place of extra.
    """
    log = exporting.logger.bind(gone=1)

    log.patch(lambda record: (record["extra"].update(user="y", new=2), record["extra"].pop("gone"))).info("", user="x")

    (record,) = exporting.take()
    attributes = attributes_of(parse(record))
    assert (attributes["user"], attributes["new"]) == ("y", 2)
    assert "gone" not in attributes
    attributes = attributes_of(patched(exporting, extra={"only": True}))
    assert attributes["only"] is True
    assert "user" not in attributes


def test_patched_secret_is_redacted(exporting: Exporting, lines: Lines) -> None:
    """
    What a patcher adds under a secret name is shown to nobody.
    """
    exporting.logger.patch(lambda record: record["extra"].update(password="pw")).info("text")

    (record,) = exporting.take()
    assert b"pw" not in record.replace(b"password", b"")
    assert lines.record["extra"]["password"] != "pw"


@pytest.mark.covers("1.19")
def test_patched_level_is_exported(exporting: Exporting) -> None:
    """
    The severity is that of the level that a patcher put there.
    """
    record = patched(exporting, level=RecordLevel("NOTICE", 35, "!"))

    assert (record.severity_text, record.severity_number) == ("NOTICE", 15)


def test_level_patched_below_the_threshold_is_not_exported(exporting: Exporting) -> None:
    """
    OTLP's level is asked of the patched record, as the sinks' levels are.
    """
    exporting.core.set_export("on", 20, 1 << 20)

    exporting.logger.patch(lambda record: change(record, level=RecordLevel("DEBUG", 10, ""))).info("lower")

    assert exporting.take() == []


@pytest.mark.covers("1.19")
def test_patched_time_is_exported(exporting: Exporting) -> None:
    """
    The record's time is the patched one, aware or not; when it was observed stays.
    """
    moment = datetime(2001, 2, 3, 4, 5, 6, 789, tzinfo=UTC)

    record = patched(exporting, time=moment)

    assert record.time_unix_nano == int(moment.timestamp()) * 1_000_000_000 + 789_000
    naive = patched(exporting, time=moment.replace(tzinfo=None))
    assert naive.time_unix_nano == int(moment.replace(tzinfo=None).timestamp()) * 1_000_000_000 + 789_000


def test_shifted_time_is_exported(exporting: Exporting) -> None:
    """
    A patcher may move the time, also to another zone, which is the same moment.
    """

    def shift(record: Any) -> None:
        record["time"] = record["time"] - timedelta(hours=1)

    def move(record: Any) -> None:
        record["time"] = record["time"].astimezone(UTC)

    with stopped_clock():
        for patcher in (shift, move, lambda record: record["time"].replace(tzinfo=None)):
            exporting.logger.patch(patcher).info("text")

    times = [parse(record).time_unix_nano for record in exporting.take()]
    assert [time_ns // 1000 - MOMENT_NS // 1000 for time_ns in times] == [-3_600_000_000, 0, 0]


@pytest.mark.covers("1.19")
def test_patched_place_is_exported(exporting: Exporting) -> None:
    """
    Function, line and file of the record are where the call stands, if a patcher says so.
    """
    record = patched(exporting, name="a.b", function="elsewhere", line=7, file=RecordFile("b.py", "/a/b.py"))

    attributes = attributes_of(record)
    assert attributes["code.function.name"] == "a.b.elsewhere"
    assert attributes["code.line.number"] == 7
    assert attributes["code.file.path"] == "/a/b.py"


@pytest.mark.covers("1.19")
@pytest.mark.parametrize("change", [{"name": "a.b"}, {"line": 7}])
def test_patched_part_of_a_place_leaves_the_rest(exporting: Exporting, change: dict[str, Any]) -> None:
    """
    A patched name is the module of the function that logged; a patched line leaves its qualified name.
    """
    module = change.get("name", __name__)

    attributes = attributes_of(patched(exporting, **change))

    assert attributes["code.function.name"] == f"{module}.patched"


def test_file_of_another_kind_is_exported(exporting: Exporting) -> None:
    """
    Any object with a path will do as the file.
    """
    attributes = attributes_of(patched(exporting, file=SimpleNamespace(name="b.py", path="/a/b.py")))

    assert attributes["code.file.path"] == "/a/b.py"


@pytest.mark.covers("1.19")
@pytest.mark.parametrize("kind", ["record", "tuple"])
def test_patched_exception_is_exported(exporting: Exporting, kind: str) -> None:
    """
    An exception that a patcher adds, as the record's own type or as a plain exc_info tuple, and one that it takes away.
    """
    parts = ValueError, ValueError("wrong"), None

    attributes = attributes_of(patched(exporting, exception=RecordException(*parts) if kind == "record" else parts))

    assert (attributes["exception.type"], attributes["exception.message"]) == ("ValueError", "wrong")
    exporting.logger.patch(lambda record: change(record, exception=None)).opt(exception=parts[1]).info("text")
    (record,) = exporting.take()
    assert "exception.type" not in attributes_of(parse(record))


@pytest.mark.parametrize("value", [None, 5, "text", object(), (1, 2), {}])
@pytest.mark.parametrize("key", ["message", "extra", "level", "time", "file", "function", "line", "name", "exception"])
def test_senseless_patch_costs_no_record(exporting: Exporting, key: str, value: Any) -> None:
    """
    Whatever a patcher puts into a field, without a sink that needs it the call raises nothing and is exported.
    """
    record = patched(exporting, **{key: value})

    assert record.severity_text


@pytest.mark.parametrize("key", ["message", "extra", "level", "time", "file", "function", "line", "name", "exception"])
def test_field_that_a_patcher_takes_away_costs_no_record(exporting: Exporting, key: str) -> None:
    """
    A field that is missing is missed by those sinks that need it, by nobody else.
    """
    exporting.logger.patch(lambda record: record.pop(key)).info("text")  # type: ignore[misc]

    assert len(exporting.take()) == 1


def test_error_of_a_patcher_reaches_the_caller(exporting: Exporting) -> None:
    """
    As in loguru a patcher's error is the caller's, and there is no record.
    """
    with pytest.raises(ZeroDivisionError):
        exporting.logger.patch(lambda record: 1 // 0).info("text")

    assert exporting.take() == []


# ------------------------------------------------------------------------------------------------------- configure


@pytest.mark.covers("1.23")
def test_configured_extra_is_exported(exporting: Exporting) -> None:
    """
    configure(extra) is in every record, below contextualize, bind and the call's own values; again: replaces.
    """
    log = exporting.logger
    log.configure(extra={"a": 1, "b": 1, "c": 1, "d": 1})
    with log.contextualize(b=2, c=2, d=2):
        log.bind(c=3, d=3).info("text", d=4)
    log.configure(extra={"e": 5})
    log.opt(depth=0).info("text")

    first, second = (attributes_of(parse(record)) for record in exporting.take())
    assert [first[name] for name in "abcd"] == [1, 2, 3, 4]
    assert second["e"] == 5
    assert "a" not in second


@pytest.mark.covers("1.23")
def test_configured_patcher_is_exported(exporting: Exporting) -> None:
    """
    configure(patcher) changes every exported record, before the patchers of patch().
    """
    log = exporting.logger
    log.configure(patcher=lambda record: record["extra"].update(order="first", configured=1))

    log.info("plain")
    log.patch(lambda record: record["extra"].update(order="second")).info("patched")

    first, second = (attributes_of(parse(record)) for record in exporting.take())
    assert (first["order"], first["configured"]) == ("first", 1)
    assert (second["order"], second["configured"]) == ("second", 1)


@pytest.mark.covers("1.22")
@pytest.mark.parametrize("has_sink", [False, True])
def test_disabled_module_exports_nothing(exporting: Exporting, has_sink: bool) -> None:
    """
    disable() silences the wire on every way, with sinks and without; enable() and activation undo it.
    """
    log = exporting.logger
    if has_sink:
        log.add(lambda message: None)

    def say() -> int:
        log.info("plain")
        log.opt(lazy=True).info("text")
        log.patch(lambda record: None).info("text")
        log.log(33, "text")
        log.log("INFO", "text")
        log.exception("text")
        with log.catch():
            int("wrong")
        return len(exporting.take())

    assert say() == 7
    log.disable("tests")
    assert say() == 0
    log.configure(activation=[("tests.logger", True)])
    assert say() == 7
    log.configure(activation=[(__name__, False)])
    assert say() == 0
    log.enable("")
    assert say() == 7


def test_unknown_level_of_a_disabled_module_is_an_error(exporting: Exporting) -> None:
    """
    A mistake is one also where nothing is logged, as in loguru.
    """
    exporting.logger.disable(__name__)

    with pytest.raises(ValueError, match="Level 'NOPE' does not exist"):
        exporting.logger.log("NOPE", "text")

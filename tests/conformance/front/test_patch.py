"""patch(): functions that change records, their order, and what they may change."""

# mypy: disable-error-code="unreachable"

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from tests.conformance.support import Kept, add


def tag(name: str) -> Any:
    """A patcher that notes that it was there."""
    return lambda record: record["extra"].setdefault("tags", []).append(name)


@pytest.mark.covers("1.19")
def test_patch(logger: Any, kept: Kept) -> None:
    """A patched logger's records pass through the function; the logger itself is as before."""
    patched = logger.patch(lambda record: record["extra"].update(a=1))
    patched.info("")
    logger.info("")
    assert type(patched) is type(logger)
    assert kept.extras == [{"a": 1}, {}]


@pytest.mark.covers("1.19")
def test_once_per_record(logger: Any) -> None:
    """The function is called once per record, however many handlers there are."""
    calls: list[str] = []
    sinks = [add(logger) for _ in range(3)]
    logger.patch(lambda record: calls.append(record["message"])).info("said {}", 1)
    assert calls == ["said 1"]
    assert all(sink.message == "said 1" for sink in sinks)


@pytest.mark.covers("1.19")
def test_not_below_the_level(logger: Any) -> None:
    """It is not called for a record that no handler's level wants."""
    calls: list[Any] = []
    patched = logger.patch(calls.append)
    patched.info("no handler")
    add(logger, level="ERROR")
    patched.info("below")
    assert not calls
    patched.error("above")
    assert len(calls) == 1


@pytest.mark.covers("1.19")
def test_called_before_filters(logger: Any) -> None:
    """It is called though a filter refuses the record; the filter sees what it did."""
    seen: list[Any] = []

    def refuse(record: Any) -> bool:
        seen.append(record["extra"])
        return False

    kept = add(logger, filter=refuse)
    logger.patch(lambda record: record["extra"].update(a=1)).info("")
    assert seen == [{"a": 1}]
    assert not kept.texts


@pytest.mark.covers("1.19")
def test_order_of_patchers(logger: Any, kept: Kept) -> None:
    """The configured function first, then those of patch() in the order of patching."""
    logger.configure(patcher=tag("core"))
    logger.patch(tag("1")).patch(tag("2")).bind(x=1).opt(depth=0).patch(tag("3")).info("")
    assert kept.extra == {"x": 1, "tags": ["core", "1", "2", "3"]}


@pytest.mark.covers("1.19")
def test_siblings(logger: Any, kept: Kept) -> None:
    """Patched children do not see each other's functions."""
    parent = logger.patch(tag("p"))
    parent.patch(tag("1")).info("")
    parent.patch(tag("2")).info("")
    parent.info("")
    assert [extra["tags"] for extra in kept.extras] == [["p", "1"], ["p", "2"], ["p"]]


@pytest.mark.covers("1.19")
def test_same_function_twice(logger: Any, kept: Kept) -> None:
    """A function that is given twice is called twice."""
    same = tag("x")
    logger.patch(same).patch(same).info("")
    assert kept.extra == {"tags": ["x", "x"]}


@pytest.mark.covers("1.19")
def test_result_is_ignored(logger: Any, kept: Kept) -> None:
    """The record is changed in place; what the function returns does not matter."""
    logger.patch(lambda record: {"message": "other"}).info("said")
    assert kept.message == "said"


@pytest.mark.covers("1.19")
def test_patcher_sees_all_extra(logger: Any, kept: Kept) -> None:
    """The function sees all of extra, the call's values too, and may take some away."""
    logger.configure(extra={"core": 1})
    seen: list[Any] = []

    def look(record: Any) -> None:
        seen.append(dict(record["extra"]))
        del record["extra"]["bound"]
        record["extra"]["call"] += 1

    with logger.contextualize(context=2):
        logger.bind(bound=3).patch(look).info("{call}", call=4)
    assert seen == [{"core": 1, "context": 2, "bound": 3, "call": 4}]
    assert kept.extra == {"core": 1, "context": 2, "call": 5}
    assert kept.message == "4"


@pytest.mark.covers("1.19")
@pytest.mark.parametrize("field", ["name", "function", "line", "module", "message", "elapsed"])
def test_fields_may_be_replaced(logger: Any, field: str) -> None:
    """A field of the record may be replaced; formats show the new one."""
    kept = add(logger, format="{" + field + "}|")
    logger.patch(lambda record: record.update({field: "patched"})).info("said")
    assert kept.text == "patched|\n"
    assert kept.record[field] == "patched"


@pytest.mark.covers("1.19")
def test_any_field_may_be_added(logger: Any) -> None:
    """A field of one's own can be used in formats."""
    kept = add(logger, format="{own} {own_dict[a]}")
    logger.patch(lambda record: record.update(own=5, own_dict={"a": 1})).info("said")
    assert kept.text == "5 1\n"


@pytest.mark.covers("1.19")
def test_time_may_be_replaced(logger: Any) -> None:
    """A time of one's own is shown, in tokens too when it is made from the record's."""
    zone = timezone(timedelta(hours=-9, minutes=-30), "HST")
    kept = add(logger, format="{time:YYYY-MM-DD HH:mm:ss.SSSSSS ZZ zz}")

    def freeze(record: Any) -> None:
        record["time"] = record["time"].replace(
            year=2020, month=1, day=2, hour=3, minute=4, second=5, microsecond=6, tzinfo=zone
        )

    logger.patch(freeze).info("")
    assert kept.text == "2020-01-02 03:04:05.000006 -0930 HST\n"


@pytest.mark.covers("1.19")
def test_plain_datetime_is_a_datetime(logger: Any) -> None:
    """A plain datetime formats as datetimes do."""
    kept = add(logger, format="{time:%Y} {time}")
    logger.patch(lambda record: record.update(time=datetime(2020, 1, 2))).info("")
    assert kept.text == "2020 2020-01-02 00:00:00\n"


@pytest.mark.covers("1.19")
def test_level_may_be_replaced(logger: Any) -> None:
    """The thresholds of handlers judge the record's own level after patching."""
    low, high = add(logger, level="INFO"), add(logger, level="ERROR", format="{level} {message}")
    logger.error("plain")
    error = low.record["level"]
    logger.patch(lambda record: record.update(level=error)).info("patched")
    assert low.messages == ["plain", "patched"]
    assert high.texts == ["ERROR plain\n", "ERROR patched\n"]


@pytest.mark.covers("1.19")
def test_exception_may_be_replaced(logger: Any, kept: Kept) -> None:
    """A patcher may take the exception away."""
    try:
        raise LookupError
    except LookupError:
        logger.patch(lambda record: record.update(exception=None)).exception("said")
    assert kept.text == "said\n"


@pytest.mark.covers("1.19")
def test_errors_reach_the_caller(logger: Any, kept: Kept) -> None:
    """What the function raises is raised by the call, and nothing is logged."""
    with pytest.raises(ZeroDivisionError):
        logger.patch(lambda record: 1 / 0).info("said")
    assert not kept.texts


@pytest.mark.covers("1.19")
@pytest.mark.parametrize("patcher", [5, None, "text"])
def test_what_is_no_function(logger: Any, kept: Kept, patcher: object) -> None:
    """What cannot be called is an error of the first call."""
    patched = logger.patch(patcher)
    with pytest.raises(TypeError):
        patched.info("said")


@pytest.mark.covers("1.19")
def test_patch_needs_a_function(logger: Any) -> None:
    """patch() takes exactly one argument, called patcher."""
    with pytest.raises(TypeError):
        logger.patch()
    with pytest.raises(TypeError):
        logger.patch(lambda record: None, lambda record: None)
    kept = add(logger)
    logger.patch(patcher=tag("x")).info("")
    assert kept.extra == {"tags": ["x"]}


@pytest.mark.covers("1.19")
def test_configured_patcher(logger: Any, kept: Kept) -> None:
    """The configured function is for all loggers, those made before as well, and is replaced by the next."""
    child = logger.bind(a=1)
    logger.configure(patcher=tag("one"))
    child.info("")
    logger.configure(patcher=tag("two"))
    logger.info("")
    logger.configure(patcher=None)
    logger.info("")
    assert [extra["tags"] for extra in kept.extras] == [["one"], ["two"], ["two"]]


@pytest.mark.covers("1.19")
def test_message_that_is_patched(logger: Any) -> None:
    """The text is made from the patched message, raw ones too."""
    kept = add(logger, format="[{message}]")
    shout = logger.patch(lambda record: record.update(message=record["message"].upper()))
    shout.info("said {}", "x")
    shout.opt(raw=True).info("raw\n")
    assert kept.texts == ["[SAID X]\n", "RAW\n"]


@pytest.mark.covers("1.19")
def test_patched_message_is_not_formatted(logger: Any, kept: Kept) -> None:
    """A message that comes from a patcher is text: neither braces nor markup mean anything."""
    logger.patch(lambda record: record.update(message="{x} <red>")).info("said {}", 1)
    assert kept.text == "{x} <red>\n"


@pytest.mark.covers("1.19")
def test_patch_and_lazy_and_record(logger: Any, kept: Kept) -> None:
    """Lazy arguments are evaluated and the message is formatted before the function is called."""
    order: list[str] = []

    def value() -> str:
        order.append("lazy")
        return "v"

    logger.patch(lambda record: order.append(record["message"])).opt(lazy=True).info("{}", value)
    assert order == ["lazy", "v"]


@pytest.mark.covers("1.19")
def test_record_option_sees_nothing_of_patches(logger: Any, kept: Kept) -> None:
    """With opt(record=True) the message is formatted with the record as it was before patching."""
    patched = logger.patch(lambda record: record["extra"].update(a=2))
    patched.bind(a=1).opt(record=True).info("{record[extra][a]}")
    assert kept.message == "1"
    assert kept.extra == {"a": 2}


@pytest.mark.covers("1.19")
def test_patch_in_tasks(logger: Any, kept: Kept) -> None:
    """A patched logger may be used by tasks at the same time."""
    patched = logger.patch(lambda record: record["extra"].update(message=record["message"]))

    async def main() -> None:
        await asyncio.gather(*(asyncio.to_thread(patched.info, f"{n}") for n in range(10)))

    asyncio.run(main())
    assert all(record["extra"] == {"message": record["message"]} for record in kept.records)
    assert sorted(kept.messages, key=int) == [str(n) for n in range(10)]


@pytest.mark.covers("1.19")
def test_catch_is_patched(logger: Any, kept: Kept) -> None:
    """What a patched logger's catch() logs is patched."""
    with logger.patch(tag("x")).catch(message="caught"):
        raise LookupError
    assert kept.message == "caught"
    assert kept.extra == {"tags": ["x"]}


@pytest.mark.covers("1.19")
def test_documented_recipe(logger: Any, kept: Kept) -> None:
    """The wrapper of patch()'s documentation: a record that names the wrapped function."""

    def wrapper(func: Any) -> Any:
        def wrapped(*args: Any) -> Any:
            logger.patch(lambda r: r.update(function=func.__name__)).info("Wrapped!")
            return func(*args)

        return wrapped

    @wrapper
    def add_up(a: int, b: int) -> int:
        return a + b

    assert add_up(1, 2) == 3
    assert (kept.record["function"], kept.message) == ("add_up", "Wrapped!")

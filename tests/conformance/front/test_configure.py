"""configure(): handlers, levels, extra, patcher and activation in one call."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.support import Kept, Script, add, each, new_name

HERE = __name__


@pytest.mark.covers("1.23")
def test_nothing(logger: Any, kept: Kept) -> None:
    """Without arguments nothing happens, and the list of new ids is empty."""
    logger.configure(extra={"a": 1})
    assert logger.configure() == []
    assert logger.configure(handlers=None, levels=None, extra=None, patcher=None, activation=None) == []
    logger.info("said")
    assert kept.messages == ["said"]
    assert kept.extra == {"a": 1}


@pytest.mark.covers("1.23")
def test_handlers(logger: Any, kept: Kept) -> None:
    """Handlers are added with the arguments of add(), the former ones are removed; the ids are returned in order."""
    first, second = Kept(), Kept()
    before = logger.add(Kept())
    ids = logger.configure(
        handlers=[{"sink": first, "format": "1 {message}"}, {"sink": second, "format": "2 {message}", "level": "ERROR"}]
    )
    assert ids == [before + 1, before + 2]
    logger.info("one")
    logger.error("two")
    assert not kept.texts
    assert first.texts == ["1 one\n", "1 two\n"]
    assert second.texts == ["2 two\n"]
    logger.remove(ids[0])
    logger.error("three")
    assert (len(first.texts), len(second.texts)) == (2, 2)


@pytest.mark.covers("1.23")
def test_no_handlers(logger: Any, kept: Kept) -> None:
    """An empty list removes all handlers."""
    assert logger.configure(handlers=[]) == []
    logger.info("said")
    assert not kept.texts


@pytest.mark.covers("1.23")
@pytest.mark.parametrize("kind", [tuple, iter, list, lambda handlers: (each for each in handlers)])
def test_any_iterable(logger: Any, kind: Any) -> None:
    """The handlers may be any iterable."""
    kept = Kept()
    assert len(logger.configure(handlers=kind([{"sink": kept, "format": "{message}"}]))) == 1
    logger.info("said")
    assert kept.messages == ["said"]


@pytest.mark.covers("1.23")
def test_handlers_are_left_alone_otherwise(logger: Any, kept: Kept) -> None:
    """Without `handlers` none is removed."""
    logger.configure(levels=[], extra={}, activation=[])
    logger.info("said")
    assert kept.messages == ["said"]


@pytest.mark.covers("1.23")
def test_levels(logger: Any) -> None:
    """Levels are made and changed as by level(); the others stay."""
    one, two = new_name(), new_name()
    logger.level(one, no=11)
    logger.configure(levels=[{"name": one, "icon": "1"}, {"name": two, "no": 12, "color": "<red>", "icon": "2"}])
    assert logger.level(one) == (one, 11, "", "1")
    assert logger.level(two) == (two, 12, "<red>", "2")
    assert logger.level("INFO").no == 20


@pytest.mark.covers("1.23")
def test_levels_come_before_handlers_that_need_them(logger: Any) -> None:
    """A handler may be for a level that the same call makes... if loguru lets it; the outcome is the same."""
    name = new_name()
    kept = Kept()
    logger.configure(handlers=[{"sink": kept, "level": name, "format": "{message}"}], levels=[{"name": name, "no": 33}])
    logger.warning("no")
    logger.log(name, "yes")
    assert kept.messages == ["yes"]


@pytest.mark.covers("1.23")
def test_extra(logger: Any, kept: Kept) -> None:
    """Extra is for all loggers, those made before too, and replaces what was configured."""
    child = logger.bind(c=1)
    logger.configure(extra={"a": 1, "b": 2})
    child.info("")
    logger.configure(extra={"b": 3})
    child.info("")
    logger.configure(extra={})
    child.info("")
    assert kept.extras == [{"a": 1, "b": 2, "c": 1}, {"b": 3, "c": 1}, {"c": 1}]


@pytest.mark.covers("1.23")
def test_extra_is_copied(logger: Any, kept: Kept) -> None:
    """The dict may be changed afterwards; its values are the objects themselves."""
    values: dict[str, Any] = {"a": 1, "list": []}
    logger.configure(extra=values)
    values["a"] = 2
    values["b"] = 3
    values["list"].append(1)
    logger.info("")
    assert kept.extra == {"a": 1, "list": [1]}
    assert kept.extra["list"] is values["list"]


@pytest.mark.covers("1.23")
def test_extra_is_each_records_own(logger: Any) -> None:
    """What a sink does to a record's extra does not reach what was configured."""
    logger.configure(extra={"a": 1})
    logger.add(lambda message: message.record["extra"].update(a=9, b=9))
    logger.info("")
    logger.remove()
    kept = add(logger)
    logger.info("")
    assert kept.extra == {"a": 1}


@pytest.mark.covers("1.23")
def test_extra_of_pairs(logger: Any, kept: Kept) -> None:
    """Whatever makes a dict will do."""
    logger.configure(extra=[("a", 1), ("b", 2)])
    logger.info("")
    assert kept.extra == {"a": 1, "b": 2}


@pytest.mark.covers("1.23")
def test_documented_extra(logger: Any) -> None:
    """The example of the documentation: a default that bind() overrides."""
    logger.configure(extra={"context": "foo"})
    kept = add(logger, format="{extra[context]} - {message}")
    logger.info("Context without bind")
    logger.bind(context="bar").info("Suppress global context")
    assert kept.texts == ["foo - Context without bind\n", "bar - Suppress global context\n"]


@pytest.mark.covers("1.23")
def test_activation(logger: Any, kept: Kept) -> None:
    """The pairs are enabled and disabled in their order."""
    logger.configure(activation=[("", False), (HERE, True)])
    logger.info("heard")
    logger.configure(activation=[(HERE, True), ("", False)])
    logger.info("not heard")
    logger.configure(activation=[])
    logger.info("not heard")
    logger.configure(activation=[["", True]])
    logger.info("heard")
    assert kept.messages == ["heard", "heard"]


@pytest.mark.covers("1.23")
@pytest.mark.parametrize("state", [1, "yes", 0, "", None])
def test_states_are_truth_values(logger: Any, kept: Kept, state: object) -> None:
    """A state is true or false."""
    logger.configure(activation=[(HERE, state)])
    logger.info("said")
    assert bool(kept.texts) is bool(state)


@pytest.mark.covers("1.23")
def test_everything_at_once(logger: Any) -> None:
    """All arguments work together."""
    name = new_name()
    kept = Kept()
    ids = logger.configure(
        handlers=[{"sink": kept, "format": "{level.icon} {message} {extra}", "level": 0}],
        levels=[{"name": name, "no": 13, "icon": "¤", "color": ""}],
        extra={"common_to_all": "default"},
        patcher=lambda record: record["extra"].update(some_value=42),
        activation=[(HERE, False), ("another_library.module", True), (HERE, True)],
    )
    assert len(ids) == 1
    logger.log(name, "said")
    assert kept.text == "¤ said {'common_to_all': 'default', 'some_value': 42}\n"


@pytest.mark.covers("1.23")
def test_through_a_child(logger: Any, kept: Kept) -> None:
    """configure() is the same on every logger."""
    logger.bind(a=1).configure(extra={"b": 2})
    logger.info("")
    assert kept.extra == {"b": 2}


@pytest.mark.covers("1.23")
@each(
    ("arguments", "error"),
    [
        ({"handlers": 5}, TypeError),
        ({"handlers": [5]}, TypeError),
        ({"handlers": [{}]}, TypeError),
        ({"handlers": [{"sink": 5}]}, TypeError),
        ({"handlers": [{"sink": print, "level": "nope"}]}, ValueError),
        ({"handlers": [{"sink": print, "foo": 1}]}, TypeError),
        ({"levels": 5}, TypeError),
        ({"levels": [{"name": "a level that nobody made"}]}, ValueError),
        ({"levels": [{"name": 5}]}, TypeError),
        ({"levels": [{"name": "INFO", "no": 20}]}, ValueError),
        ({"levels": [{"name": "INFO", "colour": "<red>"}]}, TypeError),
        ({"extra": 5}, TypeError),
        ({"activation": 5}, TypeError),
        ({"activation": [5]}, TypeError),
        ({"activation": [(5, True)]}, TypeError),
        ({"activation": [("a", True, 3)]}, ValueError),
        ({"nope": 5}, TypeError),
    ],
)
def test_mistakes(logger: Any, arguments: dict[str, object], error: type[Exception]) -> None:
    """A mistake is raised at once."""
    with pytest.raises(error):
        logger.configure(**arguments)


@pytest.mark.covers("1.23")
def test_positional(logger: Any) -> None:
    """All arguments go by keyword."""
    with pytest.raises(TypeError):
        logger.configure([])


@pytest.mark.covers("1.23")
def test_handlers_after_a_mistake(logger: Any, kept: Kept) -> None:
    """The former handlers are gone though a new one was wrong; those before the wrong one are there."""
    new = Kept()
    with pytest.raises(TypeError):
        logger.configure(handlers=[{"sink": new, "format": "{message}"}, {"sink": 5}, {"sink": kept}])
    logger.info("said")
    assert (kept.texts, new.texts) == ([], ["said\n"])


@pytest.mark.covers("1.23")
def test_former_handlers_are_stopped(logger: Any, tmp_path: Path) -> None:
    """Removing by configure() stops a sink as remove() does."""
    stopped: list[bool] = []

    class Stoppable:
        def write(self, message: str) -> None:
            pass

        def stop(self) -> None:
            stopped.append(True)

    logger.add(Stoppable())
    logger.configure(handlers=[])
    assert stopped == [True]


@pytest.mark.covers("1.23")
def test_from_the_start(script: Script) -> None:
    """configure() takes the place of the default handler, and later imports see what it did."""
    result = script("""
        import sys
        from PACKAGE import logger
        ids = logger.configure(
            handlers=[
                dict(sink=sys.stdout, format="[{extra[app]}] {message}"),
                dict(sink="file.log", enqueue=True, serialize=False, format="{level.no} {message}"),
            ],
            levels=[dict(name="NEW", no=13, icon="*", color="")],
            extra={"app": "shop"},
        )
        assert ids == [1, 2], ids
        logger.log("NEW", "said")
        logger.complete()
        print(open("file.log").read(), end="")
    """)
    assert (result.stdout, result.stderr) == ("[shop] said\n13 said\n", "")


@pytest.mark.covers("1.23")
def test_same_sink_again(logger: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A stream may go from one configuration to the next."""
    for _ in range(2):
        logger.configure(handlers=[{"sink": sys.stdout, "format": "{message}"}])
        logger.info("said")
    assert capsys.readouterr().out == "said\nsaid\n"

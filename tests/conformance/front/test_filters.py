"""Filters of all kinds: functions, names, dicts."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.support import LEVELS, Kept, add, each, run_as

HERE = __name__
PARENTS = [HERE.rsplit(".", n)[0] for n in range(HERE.count(".") + 1)]
SAY = "logger.log(level, 'said')"


def said_by(logger: Any, kept: Kept, name: str | None, level: str | int = "INFO") -> bool:
    """Whether the handler gets a record of that level from a module of that name."""
    kept.clear()
    run_as(name, SAY, logger=logger, level=level)
    return bool(kept.texts)


# ------------------------------------------------------------------------------------------------------- functions


@pytest.mark.covers("1.27")
@pytest.mark.parametrize("answer", [True, False, 1, 0, "yes", "", None, [], [0], {}], ids=repr)
def test_answers_are_truth_values(logger: Any, answer: object) -> None:
    """What a function answers is true or false."""
    kept = add(logger, filter=lambda record: answer)
    logger.info("said")
    assert bool(kept.texts) is bool(answer)


@pytest.mark.covers("1.27")
def test_function_gets_the_record(logger: Any) -> None:
    """The function gets the record that the sink gets."""
    seen: list[Any] = []

    def look(record: Any) -> bool:
        seen.append(record)
        return True

    kept = add(logger, filter=look)
    logger.bind(a=1).info("said {}", 1, b=2)
    assert seen[0] is kept.record
    assert type(seen[0]) is dict
    assert (seen[0]["message"], seen[0]["extra"]) == ("said 1", {"a": 1, "b": 2})


@pytest.mark.covers("1.27")
@pytest.mark.parametrize("kind", ["lambda", "method", "callable", "partial", "builtin", "class"])
def test_callables(logger: Any, kind: str) -> None:
    """Whatever can be called with a record is a filter."""

    class Wants:
        def __init__(self, level: str = "ERROR") -> None:
            self.level = level

        def __call__(self, record: Any) -> bool:
            return bool(record["level"].name == self.level)

        def method(self, record: Any) -> bool:
            return self(record)

    def wants(level: str, record: Any) -> bool:
        return bool(record["level"].name == level)

    filters: dict[str, Any] = {
        "lambda": lambda record: record["level"].name == "ERROR",
        "method": Wants().method,
        "callable": Wants(),
        "partial": functools.partial(wants, "ERROR"),
        "builtin": dict,
        "class": dict,
    }
    kept = add(logger, filter=filters[kind])
    logger.info("info")
    logger.error("error")
    assert kept.messages == (["info", "error"] if kind in ("builtin", "class") else ["error"])


@pytest.mark.covers("1.27")
def test_level_first(logger: Any) -> None:
    """The function is asked only about records that the handler's level lets through."""
    asked: list[str] = []
    add(logger, level="WARNING", filter=lambda record: asked.append(record["level"].name))
    add(logger, level=0)
    logger.info("")
    logger.error("")
    assert asked == ["ERROR"]


@pytest.mark.covers("1.27")
def test_each_handler_has_its_own(logger: Any) -> None:
    """What one handler's filter refuses, the others get."""
    odd = add(logger, filter=lambda record: record["extra"]["n"] % 2)
    even = add(logger, filter=lambda record: not record["extra"]["n"] % 2)
    everything = add(logger)
    for n in range(4):
        logger.bind(n=n).info(str(n))
    assert (odd.messages, even.messages, everything.messages) == (["1", "3"], ["0", "2"], ["0", "1", "2", "3"])


@pytest.mark.covers("1.27")
def test_changes_of_a_filter(logger: Any) -> None:
    """What a filter writes into the record is seen by its format and by later handlers."""

    def mark(record: Any) -> bool:
        record["extra"]["marked"] = True
        return True

    first, second = add(logger, format="{extra}"), add(logger, filter=mark, format="{extra}")
    third = add(logger, format="{extra}")
    logger.info("")
    assert (first.text, second.text, third.text) == ("{}\n", "{'marked': True}\n", "{'marked': True}\n")


@pytest.mark.covers("1.27")
def test_failing_filter(logger: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """With catch=True a filter that raises costs its handler the record, is reported, and nobody else suffers."""
    kept, other = add(logger, filter=lambda record: 1 / 0), add(logger)
    logger.info("said")
    assert (kept.messages, other.messages) == ([], ["said"])
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.covers("1.27")
def test_failing_filter_uncaught(logger: Any) -> None:
    """With catch=False the caller gets what the filter raises."""
    kept = add(logger, filter=lambda record: 1 / 0, catch=False)
    with pytest.raises(ZeroDivisionError):
        logger.info("said")
    assert not kept.texts


@pytest.mark.covers("1.27")
def test_documented_function(logger: Any) -> None:
    """The documented way to have one level only."""
    kept = add(logger, filter=lambda record: record["level"].name == "DEBUG")
    for name, _, _, _ in LEVELS:
        logger.log(name, name)
    assert kept.messages == ["DEBUG"]


# ----------------------------------------------------------------------------------------------------------- names


@pytest.mark.covers("1.27")
@pytest.mark.parametrize("name", PARENTS)
def test_name(logger: Any, name: str) -> None:
    """A name lets the module and its children through."""
    kept = add(logger, filter=name)
    logger.info("said")
    assert kept.messages == ["said"]


@pytest.mark.covers("1.27")
@pytest.mark.parametrize(
    "name",
    [HERE + ".", HERE + ".child", HERE[:-1], HERE.upper(), "." + HERE, "other", " ", ".", "*", HERE.partition(".")[2]],
)
def test_other_names(logger: Any, name: str) -> None:
    """What is neither the module's name nor a parent's refuses it."""
    kept = add(logger, filter=name)
    logger.info("said")
    assert not kept.texts


@pytest.mark.covers("1.27")
def test_empty_name(logger: Any) -> None:
    """An empty name lets all modules through that have a name."""
    kept = add(logger, filter="")
    assert said_by(logger, kept, "a")
    assert said_by(logger, kept, "")
    assert not said_by(logger, kept, None)


@pytest.mark.covers("1.27")
def test_none(logger: Any) -> None:
    """None is no filter."""
    kept = add(logger, filter=None)
    assert said_by(logger, kept, "a")
    assert said_by(logger, kept, None)


@pytest.mark.covers("1.27")
def test_name_and_nameless_code(logger: Any) -> None:
    """Code without a name is in no module."""
    kept = add(logger, filter="a")
    assert said_by(logger, kept, "a")
    assert said_by(logger, kept, "a.b")
    assert not said_by(logger, kept, "ab")
    assert not said_by(logger, kept, None)


@pytest.mark.covers("1.27")
def test_name_of_a_patched_record(logger: Any) -> None:
    """The record's name counts, also one that a patcher wrote."""
    kept = add(logger, filter="other")
    logger.info("no")
    logger.patch(lambda record: record.update(name="other.child")).info("yes")
    assert kept.messages == ["yes"]


# ----------------------------------------------------------------------------------------------------------- dicts


@pytest.mark.covers("1.27")
@each(
    ("levels", "expected"),
    [
        ({}, True),
        ({HERE: "INFO"}, True),
        ({HERE: "WARNING"}, False),
        ({HERE: 20}, True),
        ({HERE: 21}, False),
        ({HERE: 0}, True),
        ({HERE: True}, True),
        ({HERE: False}, False),
        ({"": "WARNING"}, False),
        ({"": "INFO"}, True),
        ({"": True}, True),
        ({"": False}, False),
        ({"": False, HERE: True}, True),
        ({"": True, HERE: False}, False),
        ({"tests": "WARNING", HERE: "DEBUG"}, True),
        ({"tests": "DEBUG", HERE: "WARNING"}, False),
        ({"tests": False, PARENTS[1]: True}, True),
        ({"tests": True, PARENTS[1]: False}, False),
        ({"": "CRITICAL", "other": "DEBUG"}, False),
        ({"other": False}, True),
        ({HERE + ".child": False}, True),
        ({HERE[:-1]: False}, True),
        ({HERE + ".": False}, True),
        ({"": False, HERE + ".": True}, False),
        ({None: False}, True),
        ({None: False, "": "INFO"}, True),
        ({None: True, "": False}, False),
        ({"": 10**9}, False),
    ],
)
def test_dict(logger: Any, levels: dict[str | None, Any], expected: bool) -> None:
    """A dict gives the module's level, or that of its closest parent; who is not in it is let through."""
    kept = add(logger, filter=levels)
    logger.info("said")
    assert bool(kept.texts) is expected


@pytest.mark.covers("1.27")
@pytest.mark.parametrize(
    ("levels", "expected"),
    [({}, True), ({None: False}, False), ({None: True}, True), ({None: "WARNING"}, False), ({None: 20}, True)],
    ids=repr,
)
def test_dict_and_nameless_code(logger: Any, levels: dict[str | None, Any], expected: bool) -> None:
    """The key None is for code without a name."""
    kept = add(logger, filter=levels)
    assert said_by(logger, kept, None) is expected


@pytest.mark.covers("1.27")
@pytest.mark.parametrize("value", [False, True, "WARNING", "DEBUG"])
def test_dict_default_and_nameless_code(logger: Any, value: Any) -> None:
    """The default is for modules: code without a name is let through."""
    kept = add(logger, filter={"": value})
    assert said_by(logger, kept, None)


@pytest.mark.covers("1.27")
def test_dict_does_not_lower_the_handlers_level(logger: Any) -> None:
    """A module's level in the dict cannot let through what the handler's level refuses."""
    kept = add(logger, level="WARNING", filter={HERE: "DEBUG", "": True})
    logger.info("no")
    logger.warning("yes")
    assert kept.messages == ["yes"]


@pytest.mark.covers("1.27")
def test_dict_is_copied(logger: Any) -> None:
    """The dict may be changed after add() without effect."""
    levels: dict[str, Any] = {"": "ERROR"}
    kept = add(logger, filter=levels)
    levels[""] = "DEBUG"
    levels[HERE] = True
    logger.info("said")
    assert not kept.texts


@pytest.mark.covers("1.27")
def test_documented_dict(logger: Any) -> None:
    """The example of the documentation: a default, a stricter library, a silent one."""
    kept = add(logger, filter={"": "DEBUG", "third.lib": "WARNING", "anotherlib": False}, level=0)
    assert [said_by(logger, kept, "app", level) for level in ("TRACE", "DEBUG")] == [False, True]
    assert [said_by(logger, kept, "third.lib.sub", level) for level in ("INFO", "WARNING")] == [False, True]
    assert [said_by(logger, kept, "third", level) for level in ("TRACE", "DEBUG")] == [False, True]
    assert not said_by(logger, kept, "anotherlib", "CRITICAL")
    assert not said_by(logger, kept, "anotherlib.sub", "CRITICAL")
    assert said_by(logger, kept, "anotherlibrary", "DEBUG")


MODULES = ["a", "a.b", "a.b.c", "a.bb", "b", "aa", ""]


@pytest.mark.covers("1.27")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    levels=st.dictionaries(
        st.sampled_from([*MODULES, "c"]),
        st.one_of(st.booleans(), st.integers(0, 60), st.sampled_from([name for name, *_ in LEVELS])),
    ),
    level=st.sampled_from([0, 5, 10, 20, 30, 60]),
)
def test_closest_parent_decides(logger: Any, levels: dict[str, Any], level: int) -> None:
    """For each module, the longest key that is its name, a parent's, or empty decides."""
    logger.remove()
    numbers = {name: no for name, no, _, _ in LEVELS}
    kept = add(logger, filter=levels)
    for module in MODULES:
        keys = [key for key in levels if key == "" or module == key or module.startswith(key + ".")]
        found = levels[max(keys, key=len)] if keys else True
        threshold: int = numbers[found] if isinstance(found, str) else found
        expected = threshold if isinstance(threshold, bool) else level >= threshold
        assert said_by(logger, kept, module, level) is expected, module

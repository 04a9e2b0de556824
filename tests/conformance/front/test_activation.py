"""disable() and enable(): whose calls are heard."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.support import Kept, add, each, run_as

HERE = __name__
PARENTS = [HERE.rsplit(".", n)[0] for n in range(HERE.count(".") + 1)]


def say_from(logger: Any, name: str | None) -> None:
    """Log from a module of that name."""
    run_as(name, "logger.info('said')", logger=logger)


def heard(kept: Kept, logger: Any, names: list[str | None]) -> list[str | None]:
    """Those of the names whose calls are logged."""
    kept.clear()
    for name in names:
        say_from(logger, name)
    return [record["name"] for record in kept.records]


@pytest.mark.covers("1.22")
@pytest.mark.parametrize("name", ["", *PARENTS])
def test_disable(logger: Any, kept: Kept, name: str) -> None:
    """A module's calls are not heard when it, a parent of it, or everything is disabled; until it is enabled again."""
    logger.disable(name)
    logger.critical("not heard")
    logger.log("INFO", "not heard")
    logger.enable(name)
    logger.info("heard")
    assert kept.messages == ["heard"]


@pytest.mark.covers("1.22")
@each(
    "name",
    [
        HERE + ".",
        HERE + ".child",
        HERE[:-1],
        HERE.upper(),
        "." + HERE,
        HERE.partition(".")[2],
        "other",
        " ",
        "*",
        "__main__",
    ],
)
def test_disable_others(logger: Any, kept: Kept, name: str) -> None:
    """What is neither the module nor a parent of it is another module."""
    logger.disable(name)
    logger.info("heard")
    assert kept.messages == ["heard"]


@pytest.mark.covers("1.22")
@pytest.mark.parametrize("name", PARENTS)
def test_child_of_disabled(logger: Any, kept: Kept, name: str) -> None:
    """A rule for a parent made later overrides those for its children."""
    logger.disable("")
    logger.enable(name)
    logger.info("heard")
    logger.disable(HERE)
    logger.info("not heard")
    logger.enable(name)
    logger.info("heard")
    assert kept.messages == ["heard", "heard"]


@pytest.mark.covers("1.22")
@pytest.mark.parametrize("method", ["disable", "enable"])
def test_returns_nothing(logger: Any, method: str) -> None:
    """Both return None, and doing it again does no harm."""
    assert getattr(logger, method)("a.b") is None
    assert getattr(logger, method)("a.b") is None


@pytest.mark.covers("1.22")
@each("method", ["disable", "enable"])
@each("name", [5, 1.5, True, [], (), b"a", object(), pytest])
def test_name_of_another_type(logger: Any, kept: Kept, method: str, name: object) -> None:
    """A name is a str or None; all else is a TypeError."""
    with pytest.raises(TypeError):
        getattr(logger, method)(name)
    logger.info("heard")
    assert kept.messages == ["heard"]


@pytest.mark.covers("1.22")
@pytest.mark.parametrize("method", ["disable", "enable"])
def test_name_is_needed(logger: Any, method: str) -> None:
    """A name has to be given, and only one."""
    with pytest.raises(TypeError):
        getattr(logger, method)()
    with pytest.raises(TypeError):
        getattr(logger, method)("a", "b")


@pytest.mark.covers("1.22")
def test_name_by_keyword(logger: Any, kept: Kept) -> None:
    """The argument is called name."""
    logger.disable(name=HERE)
    logger.info("not heard")
    logger.enable(name=HERE)
    logger.info("heard")
    assert kept.messages == ["heard"]


@pytest.mark.covers("1.22")
def test_tree(logger: Any, kept: Kept) -> None:
    """A name stands for the module and its children, at the dots."""
    names: list[str | None] = ["a", "a.b", "a.b.c", "a.bc", "ab", "b", "b.a"]
    logger.disable("a.b")
    assert heard(kept, logger, names) == ["a", "a.bc", "ab", "b", "b.a"]
    logger.disable("a")
    assert heard(kept, logger, names) == ["ab", "b", "b.a"]
    logger.enable("a.b")
    assert heard(kept, logger, names) == ["a.b", "a.b.c", "ab", "b", "b.a"]
    logger.disable("a.b.c")
    assert heard(kept, logger, names) == ["a.b", "ab", "b", "b.a"]
    logger.disable("")
    assert heard(kept, logger, names) == []
    logger.enable("b")
    assert heard(kept, logger, names) == ["b", "b.a"]
    logger.enable("")
    assert heard(kept, logger, names) == names


@pytest.mark.covers("1.22")
def test_no_name(logger: Any, kept: Kept) -> None:
    """Code without a name is heard unless None is disabled; rules for names do not matter to it."""
    assert heard(kept, logger, [None]) == [None]
    logger.disable(None)
    assert heard(kept, logger, [None, "a", "None"]) == ["a", "None"]
    logger.enable(None)
    assert heard(kept, logger, [None, "a"]) == [None, "a"]


@pytest.mark.covers("1.22")
def test_no_name_and_everything(logger: Any, kept: Kept) -> None:
    """The empty name is the parent of all names; code that has none has a rule of its own."""
    logger.disable("")
    assert heard(kept, logger, [None, "a"]) == [None]
    logger.disable(None)
    logger.enable("")
    assert heard(kept, logger, [None, "a"]) == ["a"]
    logger.enable(None)
    assert heard(kept, logger, [None, "a"]) == [None, "a"]


@pytest.mark.covers("1.22")
@pytest.mark.parametrize(("level", "error"), [("nope", ValueError), (-1, ValueError), (1.5, TypeError)])
def test_levels_of_disabled_calls(logger: Any, kept: Kept, level: object, error: type[Exception]) -> None:
    """A disabled call's level is looked at all the same."""
    logger.disable(HERE)
    with pytest.raises(error):
        logger.log(level, "said")


@pytest.mark.covers("1.22")
def test_a_call_site_that_was_heard(logger: Any, kept: Kept) -> None:
    """One and the same call is heard or not, as rules change."""
    for enabled in (True, False, True, False, False, True):
        (logger.enable if enabled else logger.disable)(HERE)
        logger.info("said")
    assert len(kept.texts) == 3


@pytest.mark.covers("1.22")
def test_rules_are_shared(logger: Any, kept: Kept) -> None:
    """Rules are for all loggers, children and parents."""
    child = logger.bind(a=1)
    child.disable(HERE)
    logger.info("")
    child.info("")
    logger.opt(raw=True).info("")
    logger.patch(lambda record: None).enable(HERE)
    child.info("heard")
    assert kept.messages == ["heard"]


@pytest.mark.covers("1.22")
def test_nothing_is_done_for_disabled_calls(logger: Any, kept: Kept) -> None:
    """A disabled call is not formatted, its lazy arguments are not evaluated, its patchers not called."""
    logger.disable(HERE)
    calls: list[object] = []
    logger.info("{nope}", a=1)
    logger.opt(lazy=True).info("{}", lambda: calls.append(1))
    logger.patch(calls.append).info("said")
    logger.opt(colors=True).info("<nope>")
    assert not calls
    assert not kept.texts


@pytest.mark.covers("1.22")
def test_depth_names_the_caller(logger: Any, kept: Kept) -> None:
    """The module of the caller that `depth` names is asked."""
    scope = run_as("a.library", "def say(logger, depth):\n    logger.opt(depth=depth).info('said')")
    logger.disable("a")
    scope["say"](logger, 0)
    assert not kept.texts
    scope["say"](logger, 1)
    assert kept.record["name"] == HERE
    logger.disable(HERE)
    logger.enable("a")
    scope["say"](logger, 1)
    assert len(kept.texts) == 1
    scope["say"](logger, 0)
    assert kept.records[1]["name"] == "a.library"


@pytest.mark.covers("1.22")
def test_exceptions_are_still_caught(logger: Any, kept: Kept) -> None:
    """catch() catches in disabled code as well, it is only not heard."""
    scope = run_as(
        "a.library",
        """
        @logger.catch(default=5)
        def fail():
            1 / 0

        def call():
            return fail()
        """,
        logger=logger,
    )
    logger.disable("a")
    assert scope["call"]() == 5
    assert not kept.texts


@pytest.mark.covers("1.22")
def test_patched_name_is_not_asked(logger: Any, kept: Kept) -> None:
    """The caller's real module counts, not what a patcher makes of it."""
    logger.disable("other")
    logger.patch(lambda record: record.update(name="other")).info("heard")
    logger.disable(HERE)
    logger.patch(lambda record: record.update(name="another")).info("not heard")
    assert kept.messages == ["heard"]


@pytest.mark.covers("1.22")
def test_own_names(logger: Any, kept: Kept) -> None:
    """Disabling the logger's own package does nothing to others."""
    logger.disable("loguru")
    logger.disable("otelbridge")
    logger.info("heard")
    assert kept.messages == ["heard"]


@pytest.mark.covers("1.22")
def test_handlers_added_later(logger: Any) -> None:
    """Rules do not depend on handlers."""
    logger.disable(HERE)
    kept = add(logger)
    logger.info("not heard")
    logger.remove()
    kept = add(logger)
    logger.info("not heard")
    assert not kept.texts


MODULES: list[str | None] = ["a", "a.b", "a.b.c", "a.bb", "b", "b.a", "aa", None]
RULES = st.lists(
    st.tuples(st.sampled_from(["", "a", "a.b", "a.b.c", "b", "a.", ".a", None]), st.booleans()), max_size=6
)


def expected_state(rules: list[tuple[str | None, bool]], module: str | None) -> bool:
    """A model: the last rule that is for the module decides; None has a rule of its own, "" is for all."""
    state = True
    for name, enabled in rules:
        if name is None or module is None:
            if name is None and module is None:
                state = enabled
        elif name == "" or module == name or module.startswith(name + "."):
            state = enabled
    return state


@pytest.mark.covers("1.22")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rules=RULES)
def test_last_rule_decides(logger: Any, rules: list[tuple[str | None, bool]]) -> None:
    """For each module, the last rule that names it or a parent decides."""
    logger.remove()
    logger.configure(activation=[("", True), (None, True)])
    kept = add(logger)
    for name, enabled in rules:
        (logger.enable if enabled else logger.disable)(name)
    named = [module for module in MODULES if module is not None]
    assert heard(kept, logger, list(named)) == [module for module in named if expected_state(rules, module)]

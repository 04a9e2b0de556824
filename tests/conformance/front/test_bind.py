"""bind(): children that carry values, and the logger that does not change."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conformance.support import Kept, add, each


@pytest.mark.covers("1.18")
def test_bind(logger: Any, kept: Kept) -> None:
    """A child's records have the values in extra; the values can be used in formats."""
    shown = add(logger, format="{extra[ip]} - {message}", filter=lambda record: "ip" in record["extra"])
    child = logger.bind(ip="192.168.0.200", user=None)
    child.info("said")
    logger.info("said")
    assert kept.extras == [{"ip": "192.168.0.200", "user": None}, {}]
    assert shown.text == "192.168.0.200 - said\n"


@pytest.mark.covers("1.18")
def test_bind_of_nothing(logger: Any, kept: Kept) -> None:
    """bind() without values is another logger that says the same."""
    child = logger.bind()
    assert child is not logger
    assert type(child) is type(logger)
    child.info("said")
    assert kept.extra == {}


@pytest.mark.covers("1.18")
def test_bind_again(logger: Any, kept: Kept) -> None:
    """A child's child has the values of both, its own first."""
    parent = logger.bind(a=1, b=1)
    child = parent.bind(b=2, c=2)
    child.info("child")
    parent.info("parent")
    assert kept.extras == [{"a": 1, "b": 2, "c": 2}, {"a": 1, "b": 1}]
    assert list(kept.extras[0]) == ["a", "b", "c"]


@pytest.mark.covers("1.18")
def test_siblings(logger: Any, kept: Kept) -> None:
    """Children of one logger do not see each other."""
    one, two = logger.bind(a=1), logger.bind(b=2)
    one.info("")
    two.info("")
    assert kept.extras == [{"a": 1}, {"b": 2}]


@pytest.mark.covers("1.18")
@pytest.mark.parametrize(
    "name", ["self", "message", "level", "record", "extra", "kwargs", "exception", "name", "__self"]
)
def test_any_name(logger: Any, kept: Kept, name: str) -> None:
    """Any keyword is a value's name."""
    logger.bind(**{name: 1}).info("said")
    logger.bind(**{name: 1}).info("{" + name + "}", **{name: 2})
    assert kept.extras == [{name: 1}, {name: 2}]
    assert kept.messages == ["said", "2"]


@pytest.mark.covers("1.18")
def test_names_that_are_no_identifiers(logger: Any, kept: Kept) -> None:
    """A name need not be an identifier."""
    values = {"a b": 1, "": 2, "a.b": 3, "é": 4, "class": 5}
    logger.bind(**values).info("said")
    assert kept.extra == values


@pytest.mark.covers("1.18")
def test_positional_values(logger: Any) -> None:
    """Values go by keyword."""
    with pytest.raises(TypeError):
        logger.bind({"a": 1})


@pytest.mark.covers("1.18")
def test_bound_values_do_not_format(logger: Any, kept: Kept) -> None:
    """Bound values are no arguments of the message."""
    logger.bind(a=1).info("{a}")
    with pytest.raises(KeyError, match="a"):
        logger.bind(a=1).info("{a}", b=1)
    assert kept.messages == ["{a}"]


@pytest.mark.covers("1.18")
def test_values_are_kept_as_they_are(logger: Any, kept: Kept) -> None:
    """A value is the object itself: what happens to it later is seen by later records."""
    value: list[int] = []
    child = logger.bind(value=value)
    child.info("one")
    value.append(1)
    child.info("two")
    assert kept.extras[0]["value"] is value
    assert kept.extras[1] == {"value": [1]}


@pytest.mark.covers("1.18")
def test_extra_is_each_records_own(logger: Any, kept: Kept) -> None:
    """What a sink does to a record's extra stays with that record."""
    child = logger.bind(a=1)
    logger.add(lambda message: message.record["extra"].update(a=9, b=9))
    child.info("one")
    child.info("two")
    logger.info("three")
    seen: list[dict[str, int]] = []
    logger.add(lambda message: seen.append(dict(message.record["extra"])))
    child.info("four")
    assert seen == [{"a": 9, "b": 9}]
    again = Kept()
    logger.remove()
    logger.add(again)
    child.info("five")
    assert again.extra == {"a": 1}


@pytest.mark.covers("1.18")
def test_bind_from_one_dict(logger: Any, kept: Kept) -> None:
    """A child is not tied to the dict that its values came from."""
    values = {"a": 1}
    child = logger.bind(**values)
    values["a"] = 2
    child.info("said")
    assert kept.extra == {"a": 1}


@pytest.mark.covers("1.18")
def test_children_share_handlers(logger: Any) -> None:
    """Handlers are the loggers' common property, whoever adds or removes them."""
    child = logger.bind(a=1)
    kept = Kept()
    number = child.add(kept, format="{message}")
    logger.info("one")
    logger.remove(number)
    child.info("two")
    assert kept.messages == ["one"]


@pytest.mark.covers("1.18")
def test_bind_keeps_options_and_patches(logger: Any, kept: Kept) -> None:
    """bind() does not undo what opt() and patch() did before."""
    child = logger.patch(lambda record: record["extra"].update(p=1)).opt(raw=True, capture=False).bind(a=1)
    child.info("{b}", b=2)
    assert kept.text == "2"
    assert kept.extra == {"a": 1, "p": 1}


@pytest.mark.covers("1.18")
def test_order_of_keys(logger: Any, kept: Kept) -> None:
    """Extra lists configured values first, then contextualized, bound, and the call's."""
    logger.configure(extra={"core": 1})
    with logger.contextualize(context=2):
        logger.bind(bound=3).info("", call=4)
    assert list(kept.extra.items()) == [("core", 1), ("context", 2), ("bound", 3), ("call", 4)]


SOURCES = ["core", "context", "bound", "call"]


@pytest.mark.covers("1.18")
@each("first", range(4))
@each("second", range(4))
def test_precedence(logger: Any, kept: Kept, first: int, second: int) -> None:
    """The call's values win over bound ones, those over contextualized ones, those over configured ones."""
    given_by = {SOURCES[first], SOURCES[second]}
    values = {source: ({"key": source} if source in given_by else {}) for source in SOURCES}
    logger.configure(extra=values["core"])
    with logger.contextualize(**values["context"]):
        logger.bind(**values["bound"]).info("", **values["call"])
    assert kept.extra == {"key": SOURCES[max(first, second)]}


@pytest.mark.covers("1.18")
def test_missing_key_in_the_format(logger: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """A format that uses a value that is not bound is the handler's error, not the call's."""
    kept = add(logger, format="{extra[ip]} {message}")
    logger.info("one")
    logger.bind(ip=1).info("two")
    assert kept.texts == ["1 two\n"]
    assert "KeyError" in capsys.readouterr().err


@pytest.mark.covers("1.18")
def test_missing_key_in_the_format_uncaught(logger: Any) -> None:
    """With catch=False the caller gets that error."""
    add(logger, format="{extra[ip]} {message}", catch=False)
    with pytest.raises(KeyError, match="ip"):
        logger.info("one")


NAMES = st.text("abc", min_size=1, max_size=2)
VALUES = st.dictionaries(NAMES, st.integers(), max_size=4)


@pytest.mark.covers("1.18")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(core=VALUES, contexts=st.lists(VALUES, max_size=3), binds=st.lists(VALUES, max_size=3), call=VALUES)
def test_extra_is_the_sum(
    logger: Any, core: dict[str, int], contexts: list[dict[str, int]], binds: list[dict[str, int]], call: dict[str, int]
) -> None:
    """Extra is what a dict would be that is updated by each source in turn, in values and in order."""
    logger.remove()
    kept = add(logger)
    logger.configure(extra=core)
    expected = dict(core)

    def inside(rest: list[dict[str, int]]) -> None:
        if rest:
            with logger.contextualize(**rest[0]):
                inside(rest[1:])
            return
        child = logger
        for values in binds:
            child = child.bind(**values)
        child.info("", **call)

    inside(contexts)
    in_context: dict[str, int] = {}
    for values in contexts:
        in_context = {**in_context, **values}
    bound: dict[str, int] = {}
    for values in binds:
        bound = {**bound, **values}
    for values in (in_context, bound, call):
        expected.update(values)
    assert list(kept.extra.items()) == list(expected.items())

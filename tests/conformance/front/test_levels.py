"""level(): levels asked for, made and changed; and what a wrong one raises."""

from __future__ import annotations

import io
from typing import Any

import pytest

from tests.conformance.support import LEVELS, Kept, add, each, error_of, new_name

UNKNOWN = "a level that nobody made"


@pytest.mark.covers("1.3")
@pytest.mark.parametrize(("name", "no", "color", "icon"), LEVELS)
def test_default_levels(logger: Any, name: str, no: int, color: str, icon: str) -> None:
    """The seven documented levels are there, with their severities, colours and icons."""
    assert logger.level(name) == (name, no, color, icon)


@pytest.mark.covers("1.3")
def test_level_is_a_named_tuple(logger: Any) -> None:
    """A level is a namedtuple called Level."""
    level = logger.level("ERROR")
    assert issubclass(type(level), tuple)
    assert type(level).__name__ == "Level"
    assert level._fields == ("name", "no", "color", "icon")
    assert (level.name, level.no, level.color, level.icon) == tuple(level)
    assert repr(level) == str(level) == "Level(name='ERROR', no=40, color='<red><bold>', icon='❌')"
    assert level._replace(no=3).no == 3
    assert level._asdict() == {"name": "ERROR", "no": 40, "color": "<red><bold>", "icon": "❌"}
    assert hash(level) == hash(tuple(level))


@pytest.mark.covers("1.3")
def test_level_is_a_snapshot(logger: Any) -> None:
    """What level() returned does not change when the level does."""
    before = logger.level("INFO")
    after = logger.level("INFO", icon="!")
    assert before.icon == "ℹ️"
    assert after.icon == "!" == logger.level("INFO").icon


@pytest.mark.covers("1.3")
def test_new_level(logger: Any) -> None:
    """A name and a severity make a level; its colour is empty and its icon is blank."""
    name = new_name()
    made = logger.level(name, no=7)
    assert made == (name, 7, "", " ")
    assert logger.level(name) == made


@pytest.mark.covers("1.3")
def test_new_level_positional(logger: Any) -> None:
    """The arguments are name, no, color, icon, in this order."""
    name = new_name()
    assert logger.level(name, 7, "<blue>", "@") == (name, 7, "<blue>", "@")


@pytest.mark.covers("1.3")
@pytest.mark.parametrize("no", [0, 1, 20, 50, 51, 10**9])
def test_any_severity(logger: Any, kept: Kept, no: int) -> None:
    """Any number from 0 on is a severity, also one that another level has."""
    name = new_name()
    logger.level(name, no=no)
    logger.log(name, "said")
    assert (kept.record["level"].name, kept.record["level"].no) == (name, no)


@pytest.mark.covers("1.3")
@pytest.mark.parametrize("name", ["", " ", "a level", "level.sub", "{}", "<red>", "été", "Level 7", "debug", "5"])
def test_any_name(logger: Any, kept: Kept, name: str) -> None:
    """Any str is a name."""
    name += new_name()
    logger.level(name, no=7)
    logger.log(name, "said")
    assert kept.record["level"].name == name


@pytest.mark.covers("1.3")
@pytest.mark.parametrize("changes", [{}, {"color": "<red>"}, {"icon": "!"}, {"color": "<red>", "icon": "!"}])
def test_update(logger: Any, changes: dict[str, str]) -> None:
    """Without a severity, a level's colour and icon are changed: those that are given."""
    name = new_name()
    logger.level(name, no=7, color="<blue>", icon="@")
    updated = logger.level(name, **changes)
    assert updated == (name, 7, changes.get("color", "<blue>"), changes.get("icon", "@"))
    assert logger.level(name) == updated


@pytest.mark.covers("1.3")
@pytest.mark.parametrize("empty", [{"color": ""}, {"icon": ""}, {"color": "", "icon": ""}])
def test_update_to_nothing(logger: Any, empty: dict[str, str]) -> None:
    """An empty colour or icon is a change, None is none."""
    name = new_name()
    logger.level(name, no=7, color="<blue>", icon="@")
    logger.level(name, no=None, color=None, icon=None)
    assert logger.level(name) == (name, 7, "<blue>", "@")
    assert logger.level(name, **empty) == (name, 7, empty.get("color", "<blue>"), empty.get("icon", "@"))


@pytest.mark.covers("1.3")
@pytest.mark.parametrize("name", ["DEBUG", "ERROR"])
def test_update_of_default_levels(logger: Any, name: str) -> None:
    """The levels that are there from the start change like others."""
    kept = add(logger, format="{level.icon} {message}")
    logger.level(name, icon="!!")
    getattr(logger, name.lower())("said")
    assert kept.text == "!! said\n"


@pytest.mark.covers("1.3")
@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("rest", [{}, {"color": "<red>"}, {"icon": "x", "color": ""}])
def test_severity_never_changes(logger: Any, same: bool, rest: dict[str, str]) -> None:
    """A severity given for a level that exists is a ValueError, even if it is the one it has; nothing changes."""
    name = new_name()
    made = logger.level(name, no=7, color="<blue>", icon="@")
    with pytest.raises(ValueError, match="already exists"):
        logger.level(name, no=7 if same else 8, **rest)
    assert logger.level(name) == made


@pytest.mark.covers("1.3")
@pytest.mark.parametrize("name", ["DEBUG", "CRITICAL"])
def test_severity_of_default_levels_never_changes(logger: Any, name: str) -> None:
    """So it is for the levels that are there from the start."""
    with pytest.raises(ValueError, match=name):
        logger.level(name, no=1)


@pytest.mark.covers("1.3")
@pytest.mark.parametrize("name", [UNKNOWN, "debug", "Debug", " DEBUG"])
def test_unknown_level(logger: Any, name: str) -> None:
    """A name that no level has is a ValueError."""
    with pytest.raises(ValueError, match=name):
        logger.level(name)


@pytest.mark.covers("1.3")
@pytest.mark.parametrize("looks", [{"color": "<red>"}, {"icon": "!"}, {"color": "<red>", "icon": "!"}])
def test_looks_of_an_unknown_level(logger: Any, looks: dict[str, str]) -> None:
    """Nor can its looks be given without its severity."""
    with pytest.raises(ValueError, match=UNKNOWN):
        logger.level(UNKNOWN, **looks)
    with pytest.raises(ValueError, match=UNKNOWN):
        logger.level(UNKNOWN)


@pytest.mark.covers("1.3")
@each("name", [5, None, 1.5, b"INFO", ["INFO"], ("INFO",), object()])
@each("rest", [{}, {"no": 5}, {"icon": "x"}])
def test_name_of_another_type(logger: Any, name: object, rest: dict[str, object]) -> None:
    """A name that is no str is a TypeError."""
    with pytest.raises(TypeError):
        logger.level(name, **rest)


@pytest.mark.covers("1.3")
@pytest.mark.parametrize("no", ["1", 1.5, 1.0, [], (5,), object(), b"1"], ids=repr)
def test_severity_of_another_type(logger: Any, no: object) -> None:
    """A severity that is no int is a TypeError, and makes no level."""
    with pytest.raises(TypeError):
        logger.level(UNKNOWN, no=no)
    with pytest.raises(ValueError, match=UNKNOWN):
        logger.level(UNKNOWN)


@pytest.mark.covers("1.3")
@pytest.mark.parametrize("no", [-1, -100])
def test_negative_severity(logger: Any, no: int) -> None:
    """A negative severity is a ValueError, and makes no level."""
    with pytest.raises(ValueError, match=str(no)):
        logger.level(UNKNOWN, no=no)
    with pytest.raises(ValueError, match=UNKNOWN):
        logger.level(UNKNOWN)


@pytest.mark.covers("1.3")
@pytest.mark.parametrize(
    "color", ["<foo>", "<RED", "</red>", "<red></blue>", "<>", "</>", "<level>", "<lvl>", "<fg 256>", "<bg #12>"]
)
def test_unknown_color(logger: Any, color: str) -> None:
    """A colour that is no markup is a ValueError, and neither makes nor changes a level."""
    if color == "<RED":  # text, as it is no tag
        logger.level(new_name(), no=7, color=color)
        return
    with pytest.raises(ValueError, match=r"."):
        logger.level(UNKNOWN, no=7, color=color)
    with pytest.raises(ValueError, match=UNKNOWN):
        logger.level(UNKNOWN)
    with pytest.raises(ValueError, match=r"."):
        logger.level("INFO", color=color)
    assert logger.level("INFO").color == "<bold>"


@pytest.mark.covers("1.3")
@each(
    ("color", "expected"),
    [
        ("<red>", "\x1b[31m"),
        ("<RED>", "\x1b[41m"),
        ("<r>", "\x1b[31m"),
        ("<red><bold>", "\x1b[31m\x1b[1m"),
        (" <red>  <bold> ", "\x1b[31m  \x1b[1m"),
        ("<light-blue>", "\x1b[94m"),
        ("<LE>", "\x1b[104m"),
        ("<fg 200>", "\x1b[38;5;200m"),
        ("<bg 200>", "\x1b[48;5;200m"),
        ("<fg #ff0080>", "\x1b[38;2;255;0;128m"),
        ("<fg #f08>", "\x1b[38;2;240;143;8m"),
        ("<bg 1,2,3>", "\x1b[48;2;1;2;3m"),
        ("", ""),
        ("red", "red"),
    ],
)
def test_colors(logger: Any, color: str, expected: str) -> None:
    """A level's colour is markup, which `<level>` stands for."""
    name = new_name()
    assert logger.level(name, no=7, color=color).color == color
    kept = add(logger, format="<level>{message}</level>", colorize=True)
    logger.log(name, "said")
    assert kept.text == f"{expected}said\x1b[0m\n"


@pytest.mark.covers("1.3")
@pytest.mark.parametrize("order", ["made before", "made after", "changed after"])
def test_handlers_see_levels_of_any_age(logger: Any, order: str) -> None:
    """It does not matter whether a level is made, or changed, before or after a handler is added."""
    name = new_name()
    if order != "made after":
        logger.level(name, no=33, color="<red>" if order == "made before" else "<blue>", icon="@")
    kept = add(logger, format="<lvl>{level.icon}</lvl>{message}", colorize=True)
    if order == "made after":
        logger.level(name, no=33, color="<red>", icon="@")
    elif order == "changed after":
        logger.log(name, "")
        kept.clear()
        logger.level(name, color="<red>")
    logger.log(name, "said")
    assert kept.text == "\x1b[31m@\x1b[0msaid\n"


@pytest.mark.covers("1.3")
@pytest.mark.parametrize("enqueue", [False, True])
def test_level_changed_between_calls(logger: Any, enqueue: bool) -> None:
    """A record carries the looks that its level had at the call."""
    name = new_name()
    logger.level(name, no=33, icon="1")
    kept = add(logger, format="{level.icon}", enqueue=enqueue)
    logger.log(name, "")
    logger.level(name, icon="2")
    logger.log(name, "")
    logger.complete()
    assert kept.texts == ["1\n", "2\n"]
    assert [record["level"].icon for record in kept.records] == ["1", "2"]


@pytest.mark.covers("1.3")
def test_handler_of_a_custom_level(logger: Any) -> None:
    """A handler's level may be one of the user's: its severity counts."""
    name = new_name()
    logger.level(name, no=33)
    kept = add(logger, level=name)
    logger.log(32, "no")
    logger.warning("no")
    logger.log(name, "yes")
    logger.log(33, "yes")
    logger.error("yes")
    assert kept.messages == ["yes"] * 3


@pytest.mark.covers("1.3")
def test_handler_of_an_unknown_level(logger: Any) -> None:
    """A handler cannot ask for a level that is made later."""
    name = new_name()
    with pytest.raises(ValueError, match=name):
        add(logger, level=name)
    logger.level(name, no=33)
    kept = add(logger, level=name)
    logger.log(name, "yes")
    assert kept.messages == ["yes"]


@pytest.mark.covers("1.3")
def test_levels_are_shared(logger: Any) -> None:
    """A level made through one logger is known to all."""
    name = new_name()
    logger.bind(a=1).level(name, no=33)
    kept = add(logger)
    logger.opt(raw=True).log(name, "said")
    assert kept.record["level"].no == 33
    assert logger.patch(lambda r: None).level(name).no == 33


@pytest.mark.covers("1.3")
def test_level_through_add_keeps_its_name(logger: Any) -> None:
    """A bool is an int: severity 1 or 0."""
    kept = add(logger, level=True)
    logger.log(0, "no")
    logger.log(1, "yes")
    assert kept.messages == ["yes"]


@pytest.mark.covers("1.3")
def test_documented_example(logger: Any) -> None:
    """The example of level()'s documentation."""
    stream = io.StringIO()
    logger.add(stream, format="{level.no} {level.icon} {message}")
    name = new_name()
    logger.level(name, no=15, color="<blue>", icon="@")
    logger.log(name, "Logging...")
    assert logger.level("WARNING", icon=r"/!\\") == ("WARNING", 30, "<yellow><bold>", r"/!\\")
    logger.warning("Updated!")
    assert stream.getvalue() == "15 @ Logging...\n" + r"30 /!\\ Updated!" + "\n"


@pytest.mark.covers("1.3")
def test_level_needs_a_name(logger: Any) -> None:
    """level() without a name, or with an unknown argument, is a TypeError."""
    assert isinstance(error_of(lambda: logger.level()), TypeError)
    assert isinstance(error_of(lambda: logger.level("INFO", colour="<red>")), TypeError)


@pytest.mark.covers("1.3")
@pytest.mark.parametrize("spec", ["", "s", ">10", "<10", "^10", "*^12", ".2", "10.3"])
def test_level_format_specs(logger: Any, spec: str) -> None:
    """In formats `{level}` is the level's name, and takes the specs of a str."""
    kept = add(logger, format=f"{{level:{spec}}}|{{level.name:{spec}}}|")
    logger.warning("")
    logger.log(7, "")
    expected = [format(name, spec) for name in ("WARNING", "Level 7")]
    assert kept.texts == [f"{text}|{text}|\n" for text in expected]

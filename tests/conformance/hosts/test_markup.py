"""Colour markup in formats, messages and levels."""

from __future__ import annotations

import os
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conformance.support import each

RESET = "\x1b[0m"

CODES: dict[str, int] = {
    "bold": 1, "dim": 2, "normal": 22, "italic": 3, "underline": 4, "strike": 9, "reverse": 7, "blink": 5, "hide": 8,
    "black": 30, "red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36, "white": 37,
    "light-black": 90, "light-red": 91, "light-green": 92, "light-yellow": 93, "light-blue": 94, "light-magenta": 95,
    "light-cyan": 96, "light-white": 97,
    "BLACK": 40, "RED": 41, "GREEN": 42, "YELLOW": 43, "BLUE": 44, "MAGENTA": 45, "CYAN": 46, "WHITE": 47,
    "LIGHT-BLACK": 100, "LIGHT-RED": 101, "LIGHT-GREEN": 102, "LIGHT-YELLOW": 103, "LIGHT-BLUE": 104,
    "LIGHT-MAGENTA": 105, "LIGHT-CYAN": 106, "LIGHT-WHITE": 107,
}  # fmt: skip
SHORT: dict[str, str] = {
    "b": "bold", "d": "dim", "n": "normal", "i": "italic", "u": "underline", "s": "strike", "v": "reverse",
    "l": "blink", "h": "hide",
    "k": "black", "r": "red", "g": "green", "y": "yellow", "e": "blue", "m": "magenta", "c": "cyan", "w": "white",
    "lk": "light-black", "lr": "light-red", "lg": "light-green", "ly": "light-yellow", "le": "light-blue",
    "lm": "light-magenta", "lc": "light-cyan", "lw": "light-white",
    "K": "BLACK", "R": "RED", "G": "GREEN", "Y": "YELLOW", "E": "BLUE", "M": "MAGENTA", "C": "CYAN", "W": "WHITE",
    "LK": "LIGHT-BLACK", "LR": "LIGHT-RED", "LG": "LIGHT-GREEN", "LY": "LIGHT-YELLOW", "LE": "LIGHT-BLUE",
    "LM": "LIGHT-MAGENTA", "LC": "LIGHT-CYAN", "LW": "LIGHT-WHITE",
}  # fmt: skip


def formatted(logger: Any, template: str, message: str = "m", *, colorize: bool = True, level: str = "INFO") -> str:
    """A line that `template` makes."""
    kept: list[str] = []
    number = logger.add(kept.append, format=template, colorize=colorize, catch=False, level=0)
    try:
        logger.log(level, message)
    finally:
        logger.remove(number)
    return kept[0].removesuffix("\n")


def colored(
    logger: Any, message: str, *args: Any, colorize: bool = True, template: str = "{message}", **kw: Any
) -> str:
    """A line that `opt(colors=True)` makes of `message`."""
    kept: list[str] = []
    number = logger.add(kept.append, format=template, colorize=colorize, catch=False)
    try:
        logger.opt(colors=True).info(message, *args, **kw)
    finally:
        logger.remove(number)
    return kept[0].removesuffix("\n")


@pytest.mark.covers("1.8")
@each(("tag", "code"), [*CODES.items(), *((short, CODES[full]) for short, full in SHORT.items())])
def test_tags(logger: Any, tag: str, code: int) -> None:
    """
    Each name and each abbreviation is its code, closed by a reset, in formats and in messages.
    """
    expected = f"\x1b[{code}mm{RESET}"

    assert formatted(logger, f"<{tag}>{{message}}</{tag}>") == expected
    assert colored(logger, f"<{tag}>m</{tag}>") == expected
    assert formatted(logger, f"<{tag}>{{message}}</{tag}>", colorize=False) == "m"
    assert colored(logger, f"<{tag}>m</>", colorize=False) == "m"


@pytest.mark.covers("1.8")
@each(
    ("tag", "code"),
    [
        ("fg 0", "38;5;0"),
        ("fg 86", "38;5;86"),
        ("fg 255", "38;5;255"),
        ("bg 42", "48;5;42"),
        ("bg 9", "48;5;9"),
        ("fg #00005f", "38;2;0;0;95"),
        ("fg #EE1", "38;2;238;30;225"),
        ("bg #AF5FD7", "48;2;175;95;215"),
        ("bg #fff", "48;2;255;255;255"),
        ("fg 0,95,0", "38;2;0;95;0"),
        ("bg 72,119,65", "48;2;72;119;65"),
        ("fg 255,255,255", "38;2;255;255;255"),
        ("fg red", "31"),
        ("bg red", "41"),
        ("bg RED", "41"),
        ("fg light-blue", "94"),
        ("bg light-blue", "104"),
    ],
)
def test_many_colours(logger: Any, tag: str, code: str) -> None:
    """
    Colours by number, by hexadecimal digits and by parts.
    """
    assert formatted(logger, f"<{tag}>{{message}}</{tag}>") == f"\x1b[{code}mm{RESET}"


@pytest.mark.covers("1.8")
@each(
    "tag",
    [
        "nope", "RED_", "Red", "redd", "fg", "bg", "fg 256", "fg -1", "fg 1,2", "fg 1,2,3,4", "fg 256,0,0", "fg #12",
        "fg #12345", "fg #GGGGGG", "fg bold", "bg b", "bg nope", "lvl2", "LEVEL", "light-nope", "LIGHT-red",
        "bold-red", "x", "b,r", "1",
    ],
)  # fmt: skip
def test_unknown_tags(logger: Any, tag: str) -> None:
    """
    A tag that nobody knows is refused: in a format at `add()`, in a message at the call, by a ValueError.
    """
    with pytest.raises(ValueError, match=r"\w"):
        logger.add(lambda message: None, format=f"<{tag}>{{message}}</{tag}>")
    with pytest.raises(ValueError, match=r"\w"):
        colored(logger, f"<{tag}>m</{tag}>")
    with pytest.raises(ValueError, match=r"\w"):
        colored(logger, f"<{tag}>m</{tag}>", colorize=False)


@pytest.mark.covers("1.8")
@pytest.mark.parametrize(
    "text", ["<red>m", "m</red>", "<red>m</blue>", "<red><blue>m</red></blue>", "<red>m</></>", "</>", "<red>m<red>"]
)
def test_unbalanced_tags(logger: Any, text: str) -> None:
    """
    Tags that are not closed, or close nothing, are refused.
    """
    with pytest.raises(ValueError, match=r"\w"):
        logger.add(lambda message: None, format=text)
    with pytest.raises(ValueError, match=r"\w"):
        colored(logger, text)


@pytest.mark.covers("1.8")
@each(
    ("text", "plain", "codes"),
    [
        ("<red>a<bold>b</bold>c</red>", "abc", "\x1b[31ma\x1b[1mb\x1b[0m\x1b[31mc\x1b[0m"),
        ("<red>a<blue>b</>c</>d", "abcd", "\x1b[31ma\x1b[34mb\x1b[0m\x1b[31mc\x1b[0md"),
        ("<red></red>", "", "\x1b[31m\x1b[0m"),
        ("<red><red>a</red></red>", "a", "\x1b[31m\x1b[31ma\x1b[0m\x1b[31m\x1b[0m"),
        ("\\<red>a", "<red>a", "<red>a"),
        ("\\</red>a", "</red>a", "</red>a"),
        ("\\<nope>", "<nope>", "<nope>"),
        ("\\\\<red>a</red>", "\\a", "\\\x1b[31ma\x1b[0m"),
        ("\\\\\\<red>a", "\\<red>a", "\\<red>a"),
        ("<red>\\<b></red>", "<b>", "\x1b[31m<b>\x1b[0m"),
        ("a < b > c", "a < b > c", "a < b > c"),
        ("1<2", "1<2", "1<2"),
        ("2>1", "2>1", "2>1"),
        ("a <b c> d", "a <b c> d", "a <b c> d"),
        ("\\n", "\\n", "\\n"),
        ("<red>é日</red>", "é日", "\x1b[31mé日\x1b[0m"),
        ("<red>a\nb</red>", "a\nb", "\x1b[31ma\nb\x1b[0m"),
        ("<bold><red>a</red></bold>", "a", "\x1b[1m\x1b[31ma\x1b[0m\x1b[1m\x1b[0m"),
    ],
)
def test_nesting_and_escapes(logger: Any, text: str, plain: str, codes: str) -> None:
    """
    Tags nest, the outer ones are set again after an inner one; a backslash takes the meaning away.
    """
    assert formatted(logger, text) == codes
    assert formatted(logger, text, colorize=False) == plain
    assert colored(logger, text) == codes
    assert colored(logger, text, colorize=False) == plain


@pytest.mark.covers("1.8")
@pytest.mark.parametrize("tag", ["level", "lvl"])
@pytest.mark.parametrize(
    ("level", "code"), [("INFO", "\x1b[1m"), ("ERROR", "\x1b[31m\x1b[1m"), ("TRACE", "\x1b[36m\x1b[1m")]
)
def test_level_tag(logger: Any, tag: str, level: str, code: str) -> None:
    """
    `<level>` is the colour of the record's level, in formats and in messages.
    """
    kept: list[str] = []
    assert formatted(logger, f"<{tag}>{{message}}</{tag}>", level=level) == f"{code}m{RESET}"

    logger.add(kept.append, format="{message}", colorize=True, level=0)
    logger.opt(colors=True).log(level, f"<{tag}>m</{tag}>")

    assert kept == [f"{code}m{RESET}\n"]


@pytest.mark.covers("1.8")
def test_level_inside_of_a_colour(logger: Any) -> None:
    """
    `<level>` nests with other tags.
    """
    assert formatted(logger, "<red>a<level>{message}</level>b</red>") == ("\x1b[31ma\x1b[1mm\x1b[0m\x1b[31mb\x1b[0m")


@pytest.mark.covers("1.8")
@pytest.mark.parametrize("message", ["<red>m</red>", "<nope>", "</red>", "\\<red>", "\x1b[31mm"])
def test_messages_are_not_parsed(logger: Any, message: str) -> None:
    """
    Without `opt(colors=True)`, markup in a message is text.
    """
    assert formatted(logger, "<green>{message}</green>", message) == f"\x1b[32m{message}{RESET}"
    assert formatted(logger, "<green>{message}</green>", message, colorize=False) == message


@pytest.mark.covers("1.20")
@each(
    ("message", "args", "kwargs", "plain", "codes"),
    [
        ("<red>{}</red>", ("<b>x</b>",), {}, "<b>x</b>", "\x1b[31m<b>x</b>\x1b[0m"),
        ("<red>{a}</red>", (), {"a": "</red>"}, "</red>", "\x1b[31m</red>\x1b[0m"),
        ("{0}<red>{1}</red>{0}", (1, 2), {}, "121", "1\x1b[31m2\x1b[0m1"),
        ("<red>{:>5}</red>", ("x",), {}, "    x", "\x1b[31m    x\x1b[0m"),
        ("<red>{:{}}</red>", ("x", 3), {}, "x  ", "\x1b[31mx  \x1b[0m"),
        ("<red>{!r}</red>", ("x",), {}, "'x'", "\x1b[31m'x'\x1b[0m"),
        ("{{<red>x</red>}}", (1,), {}, "{x}", "{\x1b[31mx\x1b[0m}"),
        ("<red>{a[0]}{b.real}</red>", (), {"a": [7], "b": 8}, "78", "\x1b[31m78\x1b[0m"),
        ("{}", ("\\<red>",), {}, "\\<red>", "\\<red>"),
        ("<red>{{}}</red>", (), {}, "{{}}", "\x1b[31m{{}}\x1b[0m"),
        ("<{}>", ("red",), {}, "<red>", "<red>"),
    ],
)
def test_arguments_are_not_parsed(
    logger: Any, message: str, args: tuple[Any, ...], kwargs: dict[str, Any], plain: str, codes: str
) -> None:
    """
    With `opt(colors=True)`, markup in arguments is text.
    """
    assert colored(logger, message, *args, **kwargs) == codes
    assert colored(logger, message, *args, colorize=False, **kwargs) == plain


@pytest.mark.covers("1.20")
def test_message_inside_of_a_coloured_format(logger: Any) -> None:
    """
    A coloured message takes the format's colours up again behind its own.
    """
    assert colored(logger, "a<red>b</red>c", template="<green>{message}</green>d") == (
        "\x1b[32ma\x1b[31mb\x1b[0m\x1b[32mc\x1b[0md"
    )


@pytest.mark.covers("1.20")
def test_record_has_the_plain_message(logger: Any) -> None:
    """
    The record's message has no markup, and no codes.
    """
    kept: list[Any] = []
    logger.add(kept.append, format="{message}|{extra[a]}", colorize=True)

    logger.opt(colors=True).info("<red>{a}</red> \\<b>", a="<x>")

    assert kept[0].record["message"] == "<x> <b>"
    assert kept == ["\x1b[31m<x>\x1b[0m <b>|<x>\n"]


@pytest.mark.covers("1.20")
def test_raw_colours(logger: Any) -> None:
    """
    `colors` and `raw` go together.
    """
    kept: list[str] = []
    logger.add(kept.append, format="unused", colorize=True)
    logger.add(kept.append, format="unused", colorize=False)

    logger.opt(raw=True, colors=True).info("<red>{}</red>", 1)

    assert kept == ["\x1b[31m1\x1b[0m", "1"]


@pytest.mark.covers("1.20")
def test_patched_message(logger: Any) -> None:
    """
    A message that a patcher or a filter replaced is shown as it is, without colours.
    """
    kept: list[str] = []
    logger.add(kept.append, format="{message}", colorize=True)

    logger.opt(colors=True).patch(lambda record: record.update(message="<blue>p</blue>")).info("<red>m</red>")

    assert kept in (["<blue>p</blue>\n"], ["\x1b[31mm\x1b[0m\n"])


@pytest.mark.covers("1.8")
def test_format_function(logger: Any) -> None:
    """
    The template that a format function returns may have markup, which follows `colorize`.
    """
    coloured: list[str] = []
    plain: list[str] = []
    for kept, colorize in ((coloured, True), (plain, False)):
        logger.add(kept.append, format=lambda record: "<red>{message}</red> <lvl>x</>\n", colorize=colorize)

    logger.warning("m")

    assert coloured == ["\x1b[31mm\x1b[0m \x1b[33m\x1b[1mx\x1b[0m\n"]
    assert plain == ["m x\n"]


@pytest.mark.covers("1.8")
def test_values_with_markup_in_a_format_function(logger: Any) -> None:
    """
    Values that are filled into a template are not parsed.
    """
    kept: list[str] = []
    logger.add(kept.append, format=lambda record: "{message}{extra[a]}", colorize=True)

    logger.info("<red>", a="</nope>")

    assert kept == ["<red></nope>"]


@pytest.mark.covers("1.3", note="1.8")
@pytest.mark.parametrize(
    ("color", "code"),
    [
        ("<red>", "\x1b[31m"),
        ("<red><bold>", "\x1b[31m\x1b[1m"),
        ("<fg #ff0000><BLUE>", "\x1b[38;2;255;0;0m\x1b[44m"),
        ("", ""),
        ("  <red>  ", "\x1b[31m"),
    ],
)
def test_colours_of_levels(logger: Any, color: str, code: str) -> None:
    """
    A level's colour is a row of opening tags.
    """
    logger.level("INFO", color=color)

    assert formatted(logger, "<level>{message}</level>") == f"{code}m{RESET}"


@pytest.mark.covers("1.3", note="1.8")
@pytest.mark.parametrize("color", ["<nope>", "<red", "</red>", "<level>", "<lvl>", "<fg 256>"])
def test_wrong_colours_of_levels(logger: Any, color: str) -> None:
    """
    A level's colour that means nothing is refused by a ValueError, and the level stays as it was.
    """
    before = logger.level("INFO")

    try:
        logger.level("INFO", color=color)
    except ValueError:
        assert logger.level("INFO") == before
    else:
        assert color == "<red"


@pytest.mark.covers("1.8")
@pytest.mark.parametrize("template", ["{message:<5}|", "{message:>5}|", "{level: <8}|", "{level.name:^9}|{line:05}"])
def test_specs_beside_markup(logger: Any, template: str) -> None:
    """
    `<` and `>` inside of a field's spec are no markup.
    """
    plain = formatted(logger, template, colorize=False)

    assert formatted(logger, f"<red>{template}</red>") == f"\x1b[31m{plain}{RESET}"


pieces = st.sampled_from(
    ["<red>", "</red>", "</>", "<b>", "</b>", "<lvl>", "</lvl>", "<fg 1>", "</fg 1>", "\\", "\\<red>", "x", " ", "<",
     ">", "{{", "}}", "{message}", "{level: <8}", "{extra[a]}", "\n", "<nope>"]
)  # fmt: skip


def outcome(logger: Any, template: str, colorize: bool) -> str:
    try:
        return formatted(logger.bind(a="<red>"), template, "m </b>", colorize=colorize)
    except ValueError:
        return "ValueError"


@pytest.mark.covers("1.8")
@given(template=st.lists(pieces, max_size=9).map("".join), colorize=st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_template(template: str, colorize: bool) -> None:
    """
    Any mixture of tags, fields and escapes gives the reference's text, or is refused as there.
    """
    import loguru

    import otelbridge

    with mock.patch.dict(os.environ, {"OTELBRIDGE_LOGURU_STRICT": "1"}):
        assert outcome(otelbridge.logger, template, colorize) == outcome(loguru.logger, template, colorize)


def outcome_of_a_message(logger: Any, message: str, colorize: bool) -> str:
    try:
        return colored(logger, message, "<b>", a="</b>", colorize=colorize, template="<g>{message}</g>")
    except (ValueError, IndexError, KeyError) as error:
        return type(error).__name__


message_pieces = st.sampled_from(
    ["<red>", "</red>", "</>", "<b>", "</b>", "<lvl>", "</lvl>", "\\", "\\<red>", "x", " ", "<", ">",
     "{{", "}}", "{}", "{0}", "{a}", "{a:>9}", "{a!r}", "{", "}", "\n", "<nope>", "{:{a}}", "{0:<{1}}"]
)  # fmt: skip


@pytest.mark.covers("1.20")
@given(message=st.lists(message_pieces, max_size=8).map("".join), colorize=st.booleans())
@settings(max_examples=150, deadline=None)
def test_any_message(message: str, colorize: bool) -> None:
    """
    Any mixture of tags, fields and escapes in a message gives the reference's text, or its error.
    """
    import loguru

    import otelbridge

    with mock.patch.dict(os.environ, {"OTELBRIDGE_LOGURU_STRICT": "1"}):
        assert outcome_of_a_message(otelbridge.logger, message, colorize) == outcome_of_a_message(
            loguru.logger, message, colorize
        )

"""Colour markup: formats, levels' colours and opt(colors=True) messages print what loguru prints."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from otelbridge.text.fields import append_exception
from otelbridge.text.markup import color_message, compile_format, compile_markup, parse_level_color
from tests.text.loguru_alone import loguru_alone

LEVEL_COLORS = ["", "<red><bold>", " <fg 196>", "<BLUE>", "<b></b><i>", "red"]


class Named:
    """Has attributes, items and a format of its own."""

    name = "<b>named</b>"

    def __getitem__(self, key: object) -> str:
        return f"item {key!r}"

    def __format__(self, spec: str) -> str:
        return f"<red>{spec}</red>"


EXTRA = {"width": 12, "text": "<red>extra</red>", "message": "other"}


def outcome(call: Callable[[], str]) -> str | type[Exception]:
    """What a call returns, or the type of its error."""
    try:
        return call()
    except Exception as error:
        return type(error)


def loguru_line(
    template: str,
    message: str,
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] | None = None,
    *,
    colorize: bool = True,
    colors: bool = True,
    raw: bool = False,
    level_color: str = "",
) -> str:
    """What loguru writes."""
    logger = LOGURU
    logger.level("MARK", color=level_color)
    texts: list[str] = []
    number = logger.add(texts.append, format=template, colorize=colorize, catch=False)
    try:
        logger.opt(colors=colors, raw=raw, capture=False).log("MARK", message, *args, **(kwargs or {}))
    finally:
        logger.remove(number)
    (text,) = texts
    return str(text)


def _make_loguru() -> Any:
    logger = loguru_alone()
    logger.level("MARK", no=33)
    return logger.bind(**EXTRA)


LOGURU = _make_loguru()


def our_line(
    template: str,
    message: str,
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] | None = None,
    *,
    colorize: bool = True,
    colors: bool = True,
    raw: bool = False,
    level_color: str = "",
) -> str:
    """What the modules of this room make of the same."""
    format_ = compile_format(append_exception(template))
    if not colors:
        text = message.format(*args, **kwargs or {}) if args or kwargs else message
        fields = {"message": text, "extra": EXTRA, "exception": ""}
        return (format_.ansi(level_color) if colorize else format_.plain).format_map(fields)
    colored = color_message(message, args, kwargs or {})
    if raw:
        return colored.ansi(level_color) if colorize else colored.plain
    fields = {"message": colored.plain, "extra": EXTRA, "exception": ""}
    return format_.format_colored(fields, colored, level_color) if colorize else format_.plain.format_map(fields)


NAMES = [
    *("bold", "b", "dim", "d", "normal", "n", "italic", "i", "underline", "u", "strike", "s", "blink", "l"),
    *("reverse", "v", "hide", "h", "black", "k", "red", "r", "green", "g", "yellow", "y", "blue", "e", "magenta", "m"),
    *("cyan", "c", "white", "w", "light-black", "lk", "light-red", "lr", "light-cyan", "lc", "light-white", "lw"),
    *(
        "RED",
        "R",
        "LIGHT-RED",
        "LR",
        "BOLD",
        "B",
        "Red",
        "Light-Red",
        "Lr",
        "light-RED",
        "K",
        "lK",
        "lightred",
        "l-red",
    ),
    *("level", "lvl", "LEVEL", "lv", "nope", "196", "#fff", "1,2,3", "fg", "bg", "fgred", "fg-red"),
]
GROUND_COLORS = [
    *("red", "RED", "Red", "e", "E", "light-red", "LIGHT-RED", "lr", "LR", "bold", "b", "level", ""),
    *("0", "7", "255", "256", "007", "-1", "+1", "1.0", "²", "٣", "1_0"),
    *("#fff", "#FFF", "#abc", "#12345", "#123456", "#AABBCC", "#1234567", "#ggg", "fff", "#"),
    *("1,2,3", "255,255,255", "256,0,0", "1,2", "1,2,3,4", "01,2,3", "1,,3", ",,", "a,b,c", "-1,0,0", "٣,1,2"),
]
tag_names = st.one_of(
    st.sampled_from(NAMES),
    st.builds(
        "{}{}".format, st.sampled_from(["fg ", "bg ", "fg\t", "bg\n", "FG ", "fg  "]), st.sampled_from(GROUND_COLORS)
    ),
)
good_tags = st.sampled_from(["red", "b", "level", "lvl", "fg 9", "BLUE", "bg #abc"])
escapes = st.sampled_from(["", "", "", "\\", "\\\\", "\\\\\\"])


def nested(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Tags that are closed, by name or not, around and beside texts."""
    return st.one_of(
        st.builds("<{0}>{1}</{0}>".format, good_tags, inner),
        st.builds("<{0}>{1}</>".format, good_tags, inner),
        st.builds("{}{}".format, inner, inner),
    )


def marked_texts(parts: list[str]) -> st.SearchStrategy[str]:
    """Texts with tags: mostly well nested, some of them wrong."""
    words = st.sampled_from(["text", " ", "é", "<", ">", "< red>", "<a b>", "1 < 2 > 1", "\\", "\n", *parts])
    loose = st.one_of(
        words,
        st.builds("{}<{}>".format, escapes, tag_names),
        st.builds("{}</{}>".format, escapes, st.one_of(st.just(""), tag_names)),
        st.sampled_from(["<>", "<//>", "</ >", "<<red>>", "</></>"]),
    )
    escaped = st.builds("{}<{}>".format, st.sampled_from(["\\", "\\\\\\"]), tag_names)
    return st.one_of(
        st.recursive(st.one_of(words, escaped), nested, max_leaves=8),
        st.lists(loose, max_size=6).map("".join),
    )


FORMAT_PARTS = [
    *("{message}", "{message:>30}", "{message!r}", "{message!s:^20}", "{message:{extra[width]}}", "{message[0]}"),
    *(
        "{message:{message}}",
        "{message.nope}",
        "{extra[message]}",
        "{extra[text]}",
        "{extra[text]:<red>^30}",
    ),
    *(
        "{{",
        "}}",
        "{{message}}",
        "{extra[text]:{message!r:.0}}",
        "<{message}>",
        "<{{red}}>",
        "{",
        "}",
        "{}",
        "{0}",
        "{nope}",
    ),
]
MESSAGE_PARTS = [
    *("{}", "{0}", "{1}", "{name}", "{name.name}", "{name[key]}", "{name!r}", "{name!s}", "{name!a}", "{:>8}", "{:{}}"),
    *(
        "{:{width}}",
        "{name:<b>}",
        "{name:{{}}}",
        "{missing}",
        "{9}",
        "{0.real}",
        "{{",
        "}}",
        "{",
        "}",
        "<{}>",
        "<{{red}}>",
    ),
    *(
        "{name!x}",
        "{name:{name:{width}}}",
        "{width:{width:{width:{width}}}}",
        "{name.}",
        "{name..x}",
        "{name[}",
        "{!r}",
    ),
    *("{width:d}", "{width:nope}", "{name.nope}", "{:<red>^9}"),
]
messages = marked_texts(MESSAGE_PARTS)
calls: st.SearchStrategy[Any] = st.one_of(
    st.just(((), {})),
    st.just((("<b>first</b>", "10"), {"name": Named(), "width": 9})),
    st.just(((7, "</red>"), {})),
    st.just(((), {"name": "\\<red>{0}</>", "width": "8"})),
)


@pytest.mark.covers("1.8")
@settings(deadline=None, max_examples=250)
@given(marked_texts(FORMAT_PARTS), st.sampled_from(LEVEL_COLORS), st.booleans())
@example("<red>{message}</red> <level>{message}</level> \\<b> \\\\<b></b>", "<red><bold>", True)
def test_format_is_coloured_as_in_loguru(template: str, level_color: str, colorize: bool) -> None:
    """
    Whatever tags, escapes, fields and braces a format has, the line is loguru's, and so is the kind of error.
    """
    options: dict[str, Any] = {"level_color": level_color, "colorize": colorize, "colors": False}

    theirs = outcome(lambda: loguru_line(template, "a <red>message", **options))

    assert outcome(lambda: our_line(template, "a <red>message", **options)) == theirs


@pytest.mark.covers("1.20")
@settings(deadline=None, max_examples=250)
@given(messages, calls, st.sampled_from(LEVEL_COLORS), st.booleans())
@example("<red>{}</red> \\<b> {name:<b>}", (("<b>arg</b>",), {"name": Named()}), "<red>", True)
def test_message_is_coloured_as_in_loguru(message: str, call: Any, level_color: str, colorize: bool) -> None:
    """
    With opt(colors=True) a message's tags are colours and its arguments never are, errors included.
    """
    options: dict[str, Any] = {"level_color": level_color, "colorize": colorize, "raw": True}

    theirs = outcome(lambda: loguru_line("", message, *call, **options))

    assert outcome(lambda: our_line("", message, *call, **options)) == theirs


@pytest.mark.covers("1.20")
@settings(deadline=None, max_examples=200)
@given(
    st.recursive(st.sampled_from([*FORMAT_PARTS[:12], "{extra[text]:{message!r:.0}}", " "]), nested, max_leaves=6),
    st.recursive(st.sampled_from(["{}", "{name}", " ", "text"]), nested, max_leaves=6),
    st.sampled_from(LEVEL_COLORS),
    st.booleans(),
)
@example("<red>a {message} b</red> <level>{message:>40}</level>", "c <blue>{}</blue> <level>d</> e", "<red>", True)
@example("{message!r} <red>{message}</red> <blue>{message}</blue>", "<b>x</b> y", "", True)
@example("<red>{message:{message}}</red> <blue>{message}</blue>", "<b></b>5", "", True)
def test_coloured_message_in_a_coloured_format(template: str, message: str, level_color: str, colorize: bool) -> None:
    """
    Around a tag that closes inside the message the format's colours go on, for each `{message}` with its own.
    """
    call = (("<b>1</b>",), {"name": "n"})
    options: dict[str, Any] = {"level_color": level_color, "colorize": colorize}

    theirs = outcome(lambda: loguru_line(template, message, *call, **options))

    assert outcome(lambda: our_line(template, message, *call, **options)) == theirs


@settings(deadline=None, max_examples=200)
@given(marked_texts([]))
@example("<red><bold>")
@example("<level>")
@example("red")
@example(" <red></red> <blue> ")
def test_color_of_a_level_is_read_as_in_loguru(color: str) -> None:
    """
    A level's colour is markup whose tags may stay open; `<level>` itself and unknown tags are errors.
    """

    def theirs() -> str:
        return loguru_line("<level>|</level>", "", level_color=color, colors=False)

    def ours() -> str:
        return f"{parse_level_color(color)}|\x1b[0m\n"

    assert outcome(ours) == outcome(theirs)


@pytest.mark.parametrize("ground", ["fg", "bg"])
def test_every_ground_color_is_loguru_s(ground: str) -> None:
    """
    `<fg x>` and `<bg x>` know names, 0 to 255, three and six hexadecimal digits and three channels.
    """
    for color in GROUND_COLORS:
        template = f"<{ground} {color}>x</>"

        theirs = outcome(lambda: loguru_line(template, "", colors=False))  # noqa: B023 -- called at once

        assert outcome(lambda: our_line(template, "", colors=False)) == theirs, color  # noqa: B023


def test_every_named_tag_is_loguru_s() -> None:
    """
    Styles, colours, light colours, backgrounds and all abbreviations have loguru's codes; other names are unknown.
    """
    for name in [*NAMES, *(f"light-{name}" for name in NAMES), *(name.upper() for name in NAMES)]:
        template = f"<{name}>x</{name}>"

        theirs = outcome(lambda: loguru_line(template, "", colors=False))  # noqa: B023 -- called at once

        assert outcome(lambda: our_line(template, "", colors=False)) == theirs, name  # noqa: B023


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("<nope>x</nope>", "known colour tags, got <nope>"),
        ("<red>x", "close every tag, got <red>"),
        ("x</red>", "open a tag before closing it, got </red>"),
        ("<red><b>x</red></b>", "close the last tag first, got </red> where <b> is open"),
        ("{x", "'{x' cannot be used"),
    ],
)
def test_wrong_markup_says_what_is_wrong(text: str, complaint: str) -> None:
    """
    An error names the tag and what was expected.
    """
    with pytest.raises(ValueError, match=re.escape(complaint)):
        compile_format(text)


def test_markup_without_colour_is_the_text_alone() -> None:
    """
    Without a colour for its level a format loses its tags, and keeps its fields.
    """
    text = "<level>{level: <8}</level> \\<b> {{<red>{message}</red>}}"

    assert compile_markup(text, level_color=None) == "{level: <8} <b> {{{message}}}"


def test_ansi_codes_of_a_level_are_accepted_as_well() -> None:
    """
    Whoever has parsed a level's colour already may give its codes.
    """
    codes = parse_level_color("<red><bold>")

    assert compile_format("<lvl>x</>").ansi(codes) == compile_format("<lvl>x</>").ansi("<red><bold>")


def test_shown_message_breaks_only_where_its_author_did() -> None:
    """
    As text sinks show it, an argument's line breaks and all control characters are spelled out; colours stay codes.
    """
    colored = color_message("<red>a\nb\x07</red> {}", ("c\nd\x1b[0m",), {})

    shown = colored.shown()

    assert colored.plain == "a\nb\x07 c\nd\x1b[0m"
    assert shown.plain == "a\nb\\x07 c\\nd\\x1b[0m"
    assert shown.ansi("") == "\x1b[31ma\nb\\x07\x1b[0m c\\nd\\x1b[0m"


def test_template_of_a_message_has_no_markup() -> None:
    """
    The template that goes on the wire is the message without its tags; its fields stand for themselves.
    """
    assert color_message("<red>{{}} {} \\<b></red>", (1,), {}).template == "{{}} {} <b>"
    assert color_message("<red>{</red>", (), {}).template == "{"


def test_arguments_are_formatted_once() -> None:
    """
    Showing a message does not format its arguments again.
    """
    formatted = []

    class Counting:
        def __format__(self, spec: str) -> str:
            formatted.append(spec)
            return "x\n"

    colored = color_message("<red>{}</red>", (Counting(),), {})
    colored.ansi("")
    colored.shown().ansi("")

    assert formatted == [""]


def test_texts_of_any_size_are_understood() -> None:
    """
    What is too long to be remembered is read all the same.
    """
    text = "<red>" + "x" * 100_000 + "</red>"

    assert compile_format(text).plain == "x" * 100_000
    assert color_message(text, (), {}).plain == "x" * 100_000

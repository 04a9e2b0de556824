"""Format strings and callables: fields, specs, conversions, markup, the line's end and what fails at the call."""

from __future__ import annotations

import functools
import os
import re
import threading
from typing import Any

import pytest

from tests.conformance.support import Kept, add, departure, each

HERE = __name__


def one_line(logger: Any, format_: Any, message: str = "said", **options: Any) -> str:
    """The text of one INFO record of that format."""
    kept = add(logger, format=format_, catch=False, **options)
    logger.info(message)
    return kept.text


# --------------------------------------------------------------------------------------------------------- strings


@pytest.mark.covers("1.28")
@each(
    ("format_", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("{message}", "said"),
        ("{message}{message}", "saidsaid"),
        ("{message!r}", "'said'"),
        ("{message!s}", "said"),
        ("{message!a}", "'said'"),
        ("{message:>6}|", "  said|"),
        ("{message:*^8}|", "**said**|"),
        ("{message:.2}|", "sa|"),
        ("{message:{level.no}}|", "said                |"),
        ("{message[0]}", "s"),
        ("{{message}}", "{message}"),
        ("{{{message}}}", "{said}"),
        ("{level}", "INFO"),
        ("{level: <8}|{level.no:05d}|{level.icon}|", "INFO    |00020|ℹ️|"),
        ("{level.name:>6}|", "  INFO|"),
        ("{level!r}", "(name='INFO', no=20, icon='ℹ️')"),
        ("{level!s}", "(name='INFO', no=20, icon='ℹ️')"),
        ("{file}", "test_formats.py"),
        ("{file.name} {file.path}", f"test_formats.py {__file__}"),
        ("{file:>20}|", "     test_formats.py|"),
        ("{file!r}", f"(name='test_formats.py', path={__file__!r})"),
        ("{module}", "test_formats"),
        ("{name}", HERE),
        ("{function}", "one_line"),
        ("{line:06d}", f"{one_line.__code__.co_firstlineno + 3:06d}"),
        ("{thread}", str(threading.main_thread().ident)),
        ("{thread.id} {thread.name}", f"{threading.main_thread().ident} MainThread"),
        ("{thread.name:>12}|", "  MainThread|"),
        ("{thread!r}", f"(id={threading.main_thread().ident}, name='MainThread')"),
        ("{process}", str(os.getpid())),
        ("{process.id} {process.name}", f"{os.getpid()} MainProcess"),
        ("{process:0>10}", f"{os.getpid():0>10}"),
        ("{process!r}", f"(id={os.getpid()}, name='MainProcess')"),
        ("{exception}|", "|"),
        ("{exception!r}|", "''|"),
        ("{extra}", "{}"),
        ("{extra!r}", "{}"),
        ("a\nb", "a\nb"),
        ("a\n", "a\n"),
        ("{message}\r\n", "said\r\n"),
        ("{message}\t{level}", "said\tINFO"),
        ("%(message)s $message", "%(message)s $message"),
        ("日本 {message} 😀", "日本 said 😀"),
    ],
)
def test_fields(logger: Any, format_: str, expected: str) -> None:
    """A format's fields are the record's, with str.format()'s specs and conversions; a line break is appended."""
    assert one_line(logger, format_) == expected + "\n"


@pytest.mark.covers("1.28")
@pytest.mark.parametrize(
    ("format_", "expected"),
    [
        ("{extra}", "{'a': {'b': 1}, 'n': 5, 'a b': 2}"),
        ("{extra[a]}", "{'b': 1}"),
        ("{extra[a][b]}", "1"),
        ("{extra[n]:03d}", "005"),
        ("{extra[n].real}", "5"),
        ("{extra[n]!r:>4}|", "   5|"),
        ("{extra[a b]}", "2"),
    ],
)
def test_extra_fields(logger: Any, format_: str, expected: str) -> None:
    """What extra holds can be used, as deep as one likes."""
    kept = add(logger, format=format_)
    logger.bind(a={"b": 1}, n=5, **{"a b": 2}).info("said")
    assert kept.text == expected + "\n"


@pytest.mark.covers("1.28")
@each(
    ("format_", "error"),
    [
        ("{nope}", KeyError),
        ("{extra[nope]}", KeyError),
        ("{}", ValueError),
        ("{0}", ValueError),
        ("{message.nope}", AttributeError),
        ("{level.nope}", AttributeError),
        ("{level:nope}", ValueError),
        ("{line:nope}", ValueError),
        ("{message:d}", ValueError),
        ("{time:SSSSSSS}", ValueError),
        ("{extra:>5}", TypeError),
        ("{message!x}", ValueError),
    ],
)
def test_failing_fields(logger: Any, capsys: pytest.CaptureFixture[str], format_: str, error: type[Exception]) -> None:
    """A format that does not fit the record is the handler's failure at each call: reported or, uncaught, raised."""
    kept, other = add(logger, format=format_), add(logger)
    logger.info("said")
    assert (kept.texts, other.messages) == ([], ["said"])
    assert error.__name__ in capsys.readouterr().err
    logger.remove()
    add(logger, format=format_, catch=False)
    with pytest.raises(error):
        logger.info("said")


@pytest.mark.covers("1.28")
@departure("the record's level, file, process and thread are named tuples")
def test_level_has_no_items(logger: Any) -> None:
    """A record's level has attributes only."""
    add(logger, format="{level[0]}", catch=False)
    with pytest.raises(TypeError):
        logger.info("said")


@pytest.mark.covers("1.28")
def test_message_is_not_a_format(logger: Any) -> None:
    """Fields and markup in a message, in extra or in a bound name are text."""
    kept = add(logger, format="{message} {extra[a]}", colorize=True)
    logger.bind(a="{level} <red>").info("{level} {nope} <red> </red> <nope>")
    assert kept.text == "{level} {nope} <red> </red> <nope> {level} <red>\n"


@pytest.mark.covers("1.28")
@pytest.mark.parametrize(
    ("format_", "expected"),
    [
        ("{message}", "said\nValueError: why\n"),
        ("{message} [{exception}]", "said [ValueError: why\n]\nValueError: why\n"),
        ("", "\nValueError: why\n"),
        (lambda record: "{message}\n", "said\n"),
        (lambda record: "{message}\n{exception}", "said\nValueError: why\n"),
        (lambda record: "{exception}|", "ValueError: why\n|"),
    ],
)
def test_exception_field(logger: Any, format_: Any, expected: str) -> None:
    """A format string gets a line break and the exception appended, a callable's format gets nothing."""
    kept = add(logger, format=format_)
    logger.opt(exception=ValueError("why")).info("said")
    assert kept.text == expected


@pytest.mark.covers("1.28")
def test_multi_line_messages(logger: Any) -> None:
    """A message's line breaks are kept."""
    assert one_line(logger, "[{message}]", "a\nb\r\nc\n") == "[a\nb\r\nc\n]\n"


# ------------------------------------------------------------------------------------------------------- callables


@pytest.mark.covers("1.28")
@pytest.mark.parametrize("text", ["{message}\n", "{message}", "", "no field", "{level} {extra}\n\n", "{{}}"])
def test_callable(logger: Any, text: str) -> None:
    """A callable gets the record and gives the format of this one; nothing is appended."""
    expected = text.format(message="said", level="INFO", extra={})
    assert one_line(logger, lambda record: text) == expected


@pytest.mark.covers("1.28")
def test_callable_gets_the_record(logger: Any) -> None:
    """The record is the one that the sink gets; what the callable puts into extra can be used at once."""
    seen: list[Any] = []

    def format_(record: Any) -> str:
        seen.append(record)
        record["extra"]["shout"] = record["message"].upper()
        return "{extra[shout]}|"

    kept = add(logger, format=format_)
    logger.info("said")
    assert kept.text == "SAID|"
    assert seen[0] is kept.record


@pytest.mark.covers("1.28")
def test_callable_per_record(logger: Any) -> None:
    """Each record may have a format of its own."""
    kept = add(logger, format=lambda record: "{message}!\n" if record["level"].no > 20 else "{message}\n")
    logger.info("info")
    logger.error("error")
    assert kept.texts == ["info\n", "error!\n"]


@pytest.mark.covers("1.28")
@pytest.mark.parametrize("kind", ["method", "callable", "partial"])
def test_kinds_of_callables(logger: Any, kind: str) -> None:
    """Whatever can be called with a record is a format."""

    class Format:
        def __call__(self, record: Any) -> str:
            return "{message}|"

        def method(self, record: Any) -> str:
            return "{message}|"

    formats: dict[str, Any] = {
        "method": Format().method,
        "callable": Format(),
        "partial": functools.partial(lambda text, record: text, "{message}|"),
    }
    assert one_line(logger, formats[kind]) == "said|"


@pytest.mark.covers("1.28")
@pytest.mark.parametrize("colorize", [True, False])
def test_callable_with_markup(logger: Any, colorize: bool) -> None:
    """The format that a callable gives may have markup, <level> too."""
    text = one_line(logger, lambda record: "<red>{message}</red> <level>x</level>", colorize=colorize)
    assert text == ("\x1b[31msaid\x1b[0m \x1b[1mx\x1b[0m" if colorize else "said x")


@pytest.mark.covers("1.28")
@pytest.mark.parametrize(
    ("format_", "error"),
    [
        (lambda record: "<red>", ValueError),
        (lambda record: "<nope>", ValueError),
        (lambda record: "{", ValueError),
        (lambda record: "{nope}", KeyError),
        (lambda record: 5, TypeError),
        (lambda record: None, TypeError),
        (lambda: "{message}", TypeError),
        (lambda record: 1 / 0, ZeroDivisionError),
    ],
)
def test_failing_callables(
    logger: Any, capsys: pytest.CaptureFixture[str], format_: Any, error: type[Exception]
) -> None:
    """A callable that fails, or gives no format, is the handler's failure: reported or, uncaught, raised."""
    kept, other = add(logger, format=format_), add(logger)
    logger.info("said")
    assert (kept.texts, other.messages) == ([], ["said"])
    assert error.__name__ in capsys.readouterr().err
    logger.remove()
    add(logger, format=format_, catch=False)
    with pytest.raises(error):
        logger.info("said")


@pytest.mark.covers("1.28")
def test_callable_is_not_asked_in_vain(logger: Any) -> None:
    """A callable is asked neither for records that the handler refuses, nor for raw ones."""
    asked: list[Any] = []

    def format_(record: Any) -> str:
        asked.append(record)
        return "{message}"

    add(logger, format=format_, level="ERROR")
    add(logger, format=format_, filter=lambda record: False)
    logger.info("said")
    assert not asked
    kept = add(logger, format=format_)
    logger.opt(raw=True).info("raw")
    assert kept.text == "raw"


@pytest.mark.covers("1.28")
def test_text_from_callable_is_a_format(logger: Any) -> None:
    """A callable that puts the message into its format makes fields and markup of it: so it is documented."""
    kept = add(logger, format=lambda record: record["message"] + "|", catch=False)
    logger.info("{level} \\<red>")
    assert kept.text == "INFO <red>|"
    with pytest.raises(KeyError):
        logger.info("{nope}")


# ---------------------------------------------------------------------------------------------------------- markup

NAMES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"]
ABBREVIATIONS = "krgyemcw"
STYLES = [
    ("bold", "b", 1),
    ("dim", "d", 2),
    ("italic", "i", 3),
    ("underline", "u", 4),
    ("blink", "l", 5),
    ("reverse", "v", 7),
    ("hide", "h", 8),
    ("strike", "s", 9),
    ("normal", "n", 22),
]
CODES: list[tuple[str, str]] = [
    *((name, f"{30 + n}") for n, name in enumerate(NAMES)),
    *((name.upper(), f"{40 + n}") for n, name in enumerate(NAMES)),
    *((name, f"{30 + n}") for n, name in enumerate(ABBREVIATIONS)),
    *((name.upper(), f"{40 + n}") for n, name in enumerate(ABBREVIATIONS)),
    *((f"light-{name}", f"{90 + n}") for n, name in enumerate(NAMES)),
    *((f"LIGHT-{name.upper()}", f"{100 + n}") for n, name in enumerate(NAMES)),
    *((f"l{name}", f"{90 + n}") for n, name in enumerate(ABBREVIATIONS)),
    *((f"L{name.upper()}", f"{100 + n}") for n, name in enumerate(ABBREVIATIONS)),
    *((name, str(code)) for name, _, code in STYLES),
    *((short, str(code)) for _, short, code in STYLES),
    *((f"fg {name}", f"{30 + n}") for n, name in enumerate(NAMES)),
    *((f"bg {name}", f"{40 + n}") for n, name in enumerate(NAMES)),
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
    ("level", "1"),
    ("lvl", "1"),
]


@pytest.mark.covers("1.8")
@each(("tag", "code"), CODES)
def test_tags(logger: Any, tag: str, code: str) -> None:
    """Each documented tag has its ANSI code; a closing tag resets; without colours nothing is left."""
    plain = add(logger, format=f"a<{tag}>b</{tag}>c", colorize=False)
    short = add(logger, format=f"a<{tag}>b</>c", colorize=True)
    assert one_line(logger, f"a<{tag}>b</{tag}>c", colorize=True) == f"a\x1b[{code}mb\x1b[0mc\n"
    assert short.text == f"a\x1b[{code}mb\x1b[0mc\n"
    assert plain.text == "abc\n"


@pytest.mark.covers("1.8")
@each(
    ("format_", "expected"),
    [
        ("<red>a<b>c</b>d</red>", "\x1b[31ma\x1b[1mc\x1b[0m\x1b[31md\x1b[0m"),
        ("<red><blue>x</blue>y</red>", "\x1b[31m\x1b[34mx\x1b[0m\x1b[31my\x1b[0m"),
        ("<red><b><u>x</></>y</>", "\x1b[31m\x1b[1m\x1b[4mx\x1b[0m\x1b[31m\x1b[1m\x1b[0m\x1b[31my\x1b[0m"),
        ("<red>x</red><red>y</red>", "\x1b[31mx\x1b[0m\x1b[31my\x1b[0m"),
        ("<level>x<red>y</red></level>", "\x1b[1mx\x1b[31my\x1b[0m\x1b[1m\x1b[0m"),
        ("<red></red>", "\x1b[31m\x1b[0m"),
        ("<red>{message}</red>", "\x1b[31m<b>m</b>\x1b[0m"),
        ("<red>{{}}</red>", "\x1b[31m{}\x1b[0m"),
        (r"\<red>", "<red>"),
        (r"\</red>", "</red>"),
        (r"\<red>x\</red>", "<red>x</red>"),
        (r"\\<red>x</red>", "\\\x1b[31mx\x1b[0m"),
        (r"\\\<red>x", r"\<red>x"),
        (r"<red>\<b></red>", "\x1b[31m<b>\x1b[0m"),
        (r"a\b \n", r"a\b \n"),
        ("< red >", "< red >"),
        ("<a b>", "<a b>"),
        ("a < b > c", "a < b > c"),
        ("1 < 2", "1 < 2"),
        ("->", "->"),
        ("<fg  1>x</fg  1>", "<fg  1>x</fg  1>"),
        ("<fg 1, 2, 3>", "<fg 1, 2, 3>"),
        ("<red>a\nb</red>", "\x1b[31ma\nb\x1b[0m"),
    ],
)
def test_markup(logger: Any, format_: str, expected: str) -> None:
    """Tags nest, escaped ones are text, and what is no tag is text too."""
    assert one_line(logger, format_, "<b>m</b>", colorize=True) == expected + "\n"


@pytest.mark.covers("1.8")
@pytest.mark.parametrize(
    ("format_", "expected"),
    [
        ("<red>a<b>c</b>d</red>", "acd"),
        (r"\<red>", "<red>"),
        (r"\\<red>x</red>", "\\x"),
        ("< red >", "< red >"),
        ("<lvl>{level}</lvl>", "INFO"),
    ],
)
def test_markup_without_colours(logger: Any, format_: str, expected: str) -> None:
    """Without colours tags vanish, and escapes are undone all the same."""
    assert one_line(logger, format_, colorize=False) == expected + "\n"


BAD_TAGS = [
    "nope",
    "B",
    "D",
    "Red",
    "BOLD",
    "bd",
    "fg",
    "bg",
    "light-bold",
    "light-RED",
    "fg 256",
    "fg -1",
    "fg #ffff",
    "fg #ggg",
    "fg #12",
    "fg 255,255,256",
    "fg 1,2",
    "fg nope",
    "1",
    "",
    "lvl2",
    "LEVEL",
    "fg 1.5",
    "fg #",
    "strong",
]


@pytest.mark.covers("1.8")
@each("tag", BAD_TAGS)
@each("where", ["format", "message"])
def test_unknown_tags(logger: Any, tag: str, where: str) -> None:
    """An unknown tag is a ValueError: of add() in a format, of the call in a message with opt(colors=True)."""
    if where == "format":
        with pytest.raises(ValueError, match=r"."):
            logger.add(Kept(), format=f"<{tag}>x</{tag}>")
        return
    kept = add(logger)
    with pytest.raises(ValueError, match=r"."):
        logger.opt(colors=True).info(f"<{tag}>x</{tag}>")
    assert not kept.texts


# -------------------------------------------------------------------------------------------- opt(colors=True)


@pytest.mark.covers("1.20")
@each(
    ("message", "args", "kwargs", "expected"),
    [
        ("<red>x</red>", (), {}, "\x1b[31mx\x1b[0m"),
        ("<red>x</>y", (), {}, "\x1b[31mx\x1b[0my"),
        ("no tag", (), {}, "no tag"),
        ("no {x}", (), {}, "no {x}"),
        ("<red>{}</red>", ("<b>arg</b>",), {}, "\x1b[31m<b>arg</b>\x1b[0m"),
        ("<red>{a:>5}</red>{{x}}", (), {"a": "v"}, "\x1b[31m    v\x1b[0m{x}"),
        ("<{}>x</{}>", ("red", "red"), {}, "<red>x</red>"),
        ("{}", ("</red>",), {}, "</red>"),
        ("{}", ("\\<red>",), {}, "\\<red>"),
        ("{a[<b>]}", (), {"a": {"<b>": 1}}, "1"),
        ("{!r:>8}|<b>{}</b>", ("a", 2), {}, "     'a'|\x1b[1m2\x1b[0m"),
        ("{:{}}|", ("a", 3), {}, "a  |"),
        (r"\<red>x", (), {}, "<red>x"),
        (r"\\<red>x</red>", (), {}, "\\\x1b[31mx\x1b[0m"),
        (r"\<red>{}", ("x",), {}, "<red>x"),
        ("<level>x</level>", (), {}, "\x1b[1mx\x1b[0m"),
        ("<lvl>{}</lvl>", (1,), {}, "\x1b[1m1\x1b[0m"),
        ("<fg 1>a</fg 1><bg #fff>b</>", (), {}, "\x1b[38;5;1ma\x1b[0m\x1b[48;2;255;255;255mb\x1b[0m"),
        ("a < b", (), {}, "a < b"),
        ("", (), {}, ""),
        ("{0} <red>{0}</red> {a}", ("<",), {"a": ">"}, "< \x1b[31m<\x1b[0m >"),
    ],
)
def test_colors(logger: Any, message: str, args: tuple[object, ...], kwargs: dict[str, object], expected: str) -> None:
    """With colors=True a message's own tags are colours; those in arguments are text. The record has no colours."""
    colored, plain = add(logger, colorize=True), add(logger, colorize=False)
    logger.opt(colors=True).info(message, *args, **kwargs)
    bare = re.sub("\x1b\\[[0-9;]*m", "", expected)
    assert colored.text == expected + "\n"
    assert plain.text == bare + "\n"
    assert colored.message == bare
    assert colored.extra == kwargs


@pytest.mark.covers("1.20")
@each(
    ("message", "args", "error"),
    [
        ("<nope>x</nope>", (), ValueError),
        ("<red>x", (), ValueError),
        ("x</red>", (), ValueError),
        ("</>", (), ValueError),
        ("<red>x</blue>", (), ValueError),
        ("<red><b>x</red></b>", (), ValueError),
        ("<red>{}", ("</red>",), ValueError),
        ("</red>x<red>", (), ValueError),
        ("<red>{x}</red>", (1,), KeyError),
        ("<red>{}</red>{}", (1,), IndexError),
        ("{} {0}", (1,), ValueError),
        ("{0} {}", (1,), ValueError),
        ("{", (1,), ValueError),
        ("{:d}", ("a",), ValueError),
    ],
)
@each("colorize", [True, False])
def test_colors_mistakes(
    logger: Any, message: str, args: tuple[object, ...], error: type[Exception], colorize: bool
) -> None:
    """What is wrong with the markup, or with the fields, is raised by the call, whether colours are shown or not."""
    kept = add(logger, colorize=colorize)
    with pytest.raises(error):
        logger.opt(colors=True).info(message, *args)
    assert not kept.texts


@pytest.mark.covers("1.20")
@pytest.mark.parametrize(
    ("format_", "expected"),
    [
        ("<b>{message}</b>", "\x1b[1m\x1b[31mx\x1b[0m\x1b[1my\x1b[0m"),
        ("{message}|{message}", "\x1b[31mx\x1b[0my|\x1b[31mx\x1b[0my"),
        ("{message!r}|", "'xy'|"),
        ("<lvl>{message}</lvl>", "\x1b[1m\x1b[31mx\x1b[0m\x1b[1my\x1b[0m"),
        ("<red>{level}</red> {message}", "\x1b[31mINFO\x1b[0m \x1b[31mx\x1b[0my"),
        (lambda record: "<b>{message}</b>\n", "\x1b[1m\x1b[31mx\x1b[0m\x1b[1my\x1b[0m"),
    ],
)
def test_colors_in_formats(logger: Any, format_: Any, expected: str) -> None:
    """A coloured message inside of a coloured format: the format's colour comes back after each of the message's."""
    kept = add(logger, format=format_, colorize=True)
    logger.opt(colors=True).info("<red>x</red>y")
    assert kept.text == expected + "\n"


@pytest.mark.covers("1.20")
def test_colors_of_the_records_level(logger: Any) -> None:
    """<level> in a message is the colour of the call's level; a number has none."""
    kept = add(logger, colorize=True)
    logger.opt(colors=True).error("<level>x</level>")
    logger.opt(colors=True).log(33, "<level>x</level>")
    assert kept.texts == ["\x1b[31m\x1b[1mx\x1b[0m\n", "x\x1b[0m\n"]


@pytest.mark.covers("1.20")
def test_patched_message_has_no_colors(logger: Any) -> None:
    """A message that a patcher replaced is text without colours."""
    kept = add(logger, colorize=True)
    logger.opt(colors=True).patch(lambda record: record.update(message="<b>y</b>")).info("<red>x</red>")
    assert kept.text == "<b>y</b>\n"


@pytest.mark.covers("1.20")
def test_colors_and_record(logger: Any) -> None:
    """Colors goes together with record and lazy; the record's text is an argument's."""
    kept = add(logger, colorize=True)
    logger.bind(a="<b>").opt(colors=True, record=True, lazy=True).info(
        "<red>{record[extra][a]}</red> {}", lambda: "<i>"
    )
    assert kept.text == "\x1b[31m<b>\x1b[0m <i>\n"


@pytest.mark.covers("1.20")
@pytest.mark.parametrize("message", [5, None, [1], {"a": 1}])
def test_colors_of_another_type(logger: Any, message: object) -> None:
    """A message that is no str is turned into one."""
    kept = add(logger, colorize=True)
    logger.opt(colors=True).info(message)
    assert kept.text == f"{message}\n"

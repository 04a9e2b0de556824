"""User text stays text: nothing a user sends moves a cursor, hides text or breaks a format."""

from __future__ import annotations

import re
import threading

import pytest

from otelbridge._logger import Logger
from tests.logger.conftest import Exporting, Lines
from tests.native.oracle import attributes_of, parse

HOSTILE = {
    "escape": "\x1b[2J\x1b]0;title\x07",
    "carriage return": "ok\rforged",
    "backspace": "abc\b\b\b",
    "null": "a\x00b",
    "delete": "a\x7fb",
    "C1": "a\x9b31mb\x85c",
    "bidi override": "a\u202eb\u2066c\u200f",
    "lone surrogate": "a\ud800b",
}

COLORS = re.compile(r"\x1b\[[0-9;]*m")  # those of a format and a traceback; none of the above


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize(
    "template",
    [
        "{message}",
        "{extra}",
        "{extra[user]}",
        "{extra[user]!s:>30}",
        "{thread.name}",
        "{exception}",
        "<red>{message}</red>",
    ],
)
@pytest.mark.parametrize("colorize", [False, True])
def test_control_characters_are_spelled_out(log: Logger, text: str, template: str, colorize: bool) -> None:
    """
    In a message, a bound value, a thread's name or an exception, control characters are shown, not sent.
    """
    kept = Lines()
    log.add(kept, format=template, colorize=colorize)

    def say() -> None:
        try:
            raise ValueError(text)
        except ValueError:
            log.opt(exception=True).info("{}", text, user=text)

    thread = threading.Thread(target=say, name=text)
    thread.start()
    thread.join()

    written = COLORS.sub("", kept.text) if colorize else kept.text
    for character in text:
        if not (character.isascii() and character.isprintable()):
            assert character not in written, (character, written)
    written.encode()


def test_tabs_and_newlines_of_the_template_stay(log: Logger, lines: Lines) -> None:
    """
    A message may have lines and columns.
    """
    log.info("a\n\tb")

    assert lines.text == "a\n\tb\n"


@pytest.mark.parametrize(
    "text", ["{}", "{0}", "{user.__class__.__mro__}", "{{", "}", "<red>x</red>", "</>", "<nope>", "\\<b>", "%s %(a)d"]
)
@pytest.mark.parametrize("colorize", [False, True])
def test_text_of_an_argument_is_neither_template_nor_markup(log: Logger, text: str, colorize: bool) -> None:
    """
    Braces, colour tags and percent signs in an argument, a bound value or a bare message are themselves.
    """
    kept = Lines()
    log.add(kept, format="{message}|{extra[user]}", colorize=colorize)

    log.info("{}", text, user=text)
    log.bind(user=text).info(text)

    assert kept.texts == [f"{text}|{text}\n"] * 2


def test_callable_format_is_safe_as_well(log: Logger) -> None:
    """
    The fields of a template that a function returns are inert, too.
    """
    kept = Lines()
    log.add(kept, format=lambda _: "<red>{extra[user]}</red>", colorize=True)

    log.info("text", user="\x1b[2J{message}")

    assert kept.text == "\x1b[31m\\x1b[2J{message}\x1b[0m"


def test_wire_has_the_text_as_it_is(exporting: Exporting) -> None:
    """
    Spelling out is a matter of terminals: body and attributes keep every character that UTF-8 has.
    """
    text = "\x1b[2J\r\n\x00\u202e é 🎉"

    exporting.logger.info("{}", text, user=text)

    (record,) = map(parse, exporting.take())
    assert record.body.string_value == text
    assert attributes_of(record)["user"] == text


def test_record_has_the_text_as_it_is(log: Logger, lines: Lines) -> None:
    """
    A callable sink that looks at the record sees what was said.
    """
    log.info("{}", "\x1b[2J")

    assert lines.record["message"] == "\x1b[2J"

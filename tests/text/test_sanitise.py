"""What makes user text inert: controls are spelled out, arguments break no line, and nothing else changes."""

from __future__ import annotations

import sys
from decimal import Decimal
from string import Formatter
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from otelbridge.text.sanitise import Inert, escape_breaks, format_inert, has_breaks, inert

CONTROLS = {
    *map(chr, (*range(0x20), *range(0x7F, 0xA0))),
    *"\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069",
    *map(chr, range(0xD800, 0xE000)),
} - {"\t", "\n"}
BREAKS = {c for c in map(chr, range(sys.maxunicode + 1)) if len(f"a{c}b".splitlines()) == 2}

any_text = st.text(st.characters(exclude_categories=()) | st.sampled_from(sorted(BREAKS | CONTROLS)))


def test_inert_spells_out_every_control_and_nothing_else() -> None:
    """
    Of all characters exactly the controls are spelled out, as Python writes them; tabs and newlines stay.
    """
    changed = {c for c in map(chr, range(sys.maxunicode + 1)) if inert(c) != c}

    assert changed == CONTROLS
    assert all(inert(f"a{c}b") == f"a{repr(c)[1:-1]}b" for c in CONTROLS)


def test_escape_breaks_spells_out_every_control_and_break() -> None:
    """
    One line remains of any text: whatever str.splitlines() takes for its end is spelled out as well.
    """
    changed = {c for c in map(chr, range(sys.maxunicode + 1)) if escape_breaks(c) != c}

    assert changed == CONTROLS | BREAKS
    assert escape_breaks("a\r\nb\u2028c\td") == "a\\r\\nb\\u2028c\td"


@given(any_text)
def test_has_breaks_where_a_reader_sees_lines(text: str) -> None:
    """
    `has_breaks` says whether any break is in a text.
    """
    assert has_breaks(text) == bool(BREAKS & set(text))


@given(any_text)
def test_inert_text_is_inert(text: str) -> None:
    """
    Whatever the text, nothing in it is left to spell out, and any stream can write it.
    """
    assert not CONTROLS & set(inert(text))
    assert inert(inert(text)) == inert(text)
    inert(text).encode()


# ------------------------------------------------------------------------------------------------- templates


class Thing:
    """Formats, prints and is looked into in its own way; each text can be anything."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.format = text
        self.__doc__ = text

    def __getitem__(self, key: object) -> Any:
        return [self.text, Decimal("1.50")][key] if isinstance(key, int) else f"{key}{self.text}"

    def __format__(self, spec: str) -> str:
        return f"{spec}{self.text}{spec}"

    def __str__(self) -> str:
        return f"str {self.text}"

    def __repr__(self) -> str:
        return f"repr {self.text}"


FIELDS = [
    *("{}", "{!r}", "{!s:>10}", "{:^12}", "{.text}", "{[0]}", "{[1]:>8}", "{[key]!a}", "{:{}}", "{.text[0]}"),
    *("{0}", "{1}", "{0!r:.5}", "{0:{1}}", "{0.text:{width}}", "{0[1]:.1f}", "{9}", "{name[key]}", "{name.__doc__}"),
    *("{name}", "{name.text:<{width}}", "{name:{fill}}", "{name!s}", "{width:04d}", "{width:{width}}", "{missing}"),
    *(
        "{{",
        "}}",
        "{{}}",
        "{",
        "}",
        "{name!x}",
        "{name:{name:{name:{name}}}}",
        "{name.}",
        "{name[}",
        "{name.nope}",
        "{name[0",
    ),
    *("{name.__class__}", "{name._value}", "{name.format}", "{fill:{fill}}", "{name:{{}}}", "{0.text}{}", "{}{0.text}"),
]
templates = st.lists(st.one_of(st.sampled_from(FIELDS), st.sampled_from(["text ", "a\nb", "\r", "é", " "])), max_size=5)
quiet_text = st.text(st.characters(exclude_categories=["Cc", "Cs", "Cf", "Zl", "Zp"]), max_size=8)


def arguments(text: str, fill: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments of several kinds around a text."""
    return (Thing(text), text), {"name": Thing(text), "width": 7, "fill": fill}


def outcome(call: Any, *args: Any) -> str | type[Exception]:
    """What a call returns, or the type of its error."""
    try:
        result: str = call(*args)
    except Exception as error:
        return type(error)
    return result


@settings(deadline=None, max_examples=300)
@given(templates.map("".join), quiet_text, quiet_text)
@example("{} {0}", "", "")
@example("{0.text} {}", "", "")
@example("{.text} {[0]} {}", "a", "")
def test_format_inert_is_str_format_where_nothing_is_to_spell_out(template: str, text: str, fill: str) -> None:
    """
    With quiet arguments it is str.format: any field, conversion, access, spec and nesting, and every kind of error.
    """
    args, kwargs = arguments(text, fill)
    assume("[" not in template or not has_breaks(template))  # a Thing says the key that it is asked for

    expected = outcome(lambda: template.format(*args, **kwargs))

    assert outcome(format_inert, template, args, kwargs) == expected


@settings(deadline=None, max_examples=300)
@given(templates.map("".join), any_text, any_text)
def test_format_inert_keeps_only_the_template_s_breaks(template: str, text: str, fill: str) -> None:
    """
    Whatever the arguments hold, the line breaks and controls of the result are the template's own.
    """
    args, kwargs = arguments(text, fill)

    result = outcome(format_inert, template, args, kwargs)

    noisy = CONTROLS | BREAKS
    if isinstance(result, str):
        literals = "".join(literal for literal, *_ in Formatter().parse(template))
        assert [c for c in result if c in noisy] == [c for c in literals if c in noisy]


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{}", "x\\ny"),
        ("a\n{}", "a\nx\\ny"),
        ("{!r}", "'x\\ny'"),
        ("{:>5}", "  x\\ny"),
        ("{:{fill}<5}", "x\\ny\\n\\n"),
        ("{fill}", "\\n"),
    ],
)
def test_format_inert_spells_out_what_arguments_bring(template: str, expected: str) -> None:
    """
    An argument's line break is spelled out after it was formatted, however it came in.
    """
    assert format_inert(template, ("x\ny",), {"fill": "\n"}) == expected


@settings(deadline=None, max_examples=300)
@given(st.sampled_from([f for f in FIELDS if "name" in f or "width" in f or "fill" in f]), quiet_text)
def test_inert_value_formats_as_the_value_itself(template: str, text: str) -> None:
    """
    A format that looks into a wrapped value sees what it would see in the value: attributes of ours are not in the way.
    """
    values = arguments(text, "<")[1]
    wrapped = {name: Inert(value) for name, value in values.items()}

    assert outcome(template.format_map, wrapped) == outcome(template.format_map, values)


@settings(deadline=None)
@given(st.sampled_from(["{v}", "{v!r}", "{v!s}", "{v:>9}", "{v.text}", "{v[key]}", "{v.text[0]}"]), any_text)
def test_inert_value_comes_out_inert(template: str, text: str) -> None:
    """
    Whatever a format makes of a wrapped value, its controls are spelled out.
    """
    result = outcome(lambda: template.format(v=Inert(Thing(text))))

    assert not isinstance(result, str) or result == escape_breaks(template.format(v=Thing(text)))

"""What a format string names, and what `add` appends to it."""

from __future__ import annotations

import pytest

from otelbridge.text.fields import append_exception, needed_fields


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("", set()),
        ("text {{extra}}", set()),
        ("{time:HH:mm} {extra[a].b[c]} {level.name!r:>8}", {"time", "extra", "level"}),
        ("{message:{extra[width]}} {exception}", {"message", "extra", "exception"}),
        ("{extras}", {"extras"}),
    ],
)
def test_fields_are_found_wherever_they_stand(template: str, expected: set[str]) -> None:
    """
    Every field counts by its first word, in specs too, and doubled braces are text.
    """
    assert needed_fields(template) == expected


@pytest.mark.parametrize("template", ["{", "}", "{a:{b:{c}}}", "{a!}"])
def test_no_template_is_an_error(template: str) -> None:
    """
    What str.format could not read is a ValueError.
    """
    with pytest.raises(ValueError, match=r"."):
        needed_fields(template)


def test_exception_is_appended_to_strings_only() -> None:
    """
    A string format is followed by a line's end and the exception; a callable is left as it is.
    """
    assert append_exception("{message}") == "{message}\n{exception}"
    assert append_exception("{message}", terminator="") == "{message}{exception}"
    assert append_exception(str.upper) == str.upper

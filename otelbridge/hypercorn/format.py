r"""Hypercorn's access formats, `%(h)s "%(r)s" %({Referer}i)s`, as lines that no client can forge (pains.md F1).

Parsed once; only atoms that a format names are made. What atoms are, `atoms` knows. A format that is JSON with atoms in
it gives JSON (features.md 0.13, T4).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from otelbridge.hypercorn.atoms import ABSENT
from otelbridge.text.policy import ACTIVE
from otelbridge.text.redaction import PLACEHOLDER
from otelbridge.text.tracebacks import safe_str

Line = Callable[[Mapping[str, Any]], str]

# Python's %-formatting with names, and the literal per cent sign. Anything else is text.
_DIRECTIVE = re.compile(r"%(?:%|\(([^()]*)\)([-#0 +]*\d*(?:\.\d+)?[hlL]?[diouxXeEfFgGcrsa]))")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,308})(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?")
# Outside of quotes they are numbers; others are texts, whatever a client makes them look like.
_NUMERIC = frozenset({"s", "b", "B", "T", "D", "L", "P"})
_NUMERIC_HEADERS = frozenset({"{content-length}i", "{content-length}o"})
# What may hold a URL or part of one, and so a secret; headers and variables have names of their own.
_WITH_URL = frozenset({"r", "R", "U", "Uq", "f", "a"})


class Atom(NamedTuple):
    """A directive of a format, and where it stands."""

    name: str
    spec: str
    # `[%(t)s]`: the atom has brackets of its own.
    has_brackets: bool = False
    # In JSON, outside of quotes.
    is_bare: bool = False


Part = str | Atom


class AccessFormat(str):
    """A format as `logging` takes it for a message: `format % atoms` is the line, safe whatever is in the atoms.

    As text it is the user's format, unchanged. Never raises.
    """

    __slots__ = ("_line",)
    _line: Line

    def __new__(cls, text: str) -> AccessFormat:  # noqa: D102 -- as the class says
        made = super().__new__(cls, text)
        made._line = make_line(text)
        return made

    def __mod__(self, atoms: Any) -> str:
        return self._line(atoms)

    def __str__(self) -> str:
        # logging formats str(msg): a plain str would format by itself.
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return AccessFormat, (self[:],)


@lru_cache(maxsize=64)
def access_format(text: str) -> AccessFormat:
    """Return the format for a text, parsed once. A text cannot be wrong: what is no directive is printed as it is."""
    return AccessFormat(text)


def make_line(text: str) -> Line:
    """Return what makes a line of a mapping of atoms."""
    parts = parse(text)
    as_json = _json_parts(parts)
    if as_json is not None:
        return lambda atoms: "".join([_json(part, atoms) for part in as_json])
    return lambda atoms: "".join([part if isinstance(part, str) else _text(part, atoms) for part in parts])


def parse(text: str) -> list[Part]:
    """Return a format's texts and atoms, in turn: the first and the last are texts."""
    parts: list[Part] = []
    literal, position = "", 0
    for found in _DIRECTIVE.finditer(text):
        literal += text[position : found.start()]
        position = found.end()
        if found[1] is None:
            literal += "%"
            continue
        name = found[1]
        has_brackets = name == "t" and literal.endswith("[") and text.startswith("]", position)
        parts += [literal, Atom(name, found[2], has_brackets)]
        literal = ""
    return [*parts, literal + text[position:]]


def escape(text: str) -> str:
    r"""Return `text` as one inert piece of a line: `\"`, `\\`, and what is not printable as `\n`, `\x1b`, `\u2028`."""
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text
    return "".join([_escaped(character) for character in text])


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character.isprintable() else repr(character)[1:-1]


# -------------------------------------------------------------------------------------------------------------- values


def _value(atom: Atom, atoms: Mapping[str, Any]) -> Any:
    """Return what is known of the atom, without secrets; `-` if nothing."""
    try:
        value = atoms[atom.name]
    except Exception:
        return ABSENT  # a mapping of the user's
    if value is None:
        return ABSENT
    return _clean(atom.name, value) if isinstance(value, str) and value != ABSENT else value


def _clean(name: str, value: str) -> str:
    policy = ACTIVE.policy
    if name == "q":
        return policy.query(value)
    if name.startswith("{"):
        return PLACEHOLDER if policy.is_secret(name[1:-2]) else policy.text(value)
    return policy.text(value) if name in _WITH_URL else value


def _shown(atom: Atom, value: Any) -> str:
    """Return a value as the directive wants it; as it is, if that cannot be."""
    if atom.spec == "s":
        text = safe_str(value)
    else:
        try:
            text = f"%{atom.spec}" % (value,)
        except Exception:
            text = safe_str(value)
    if atom.has_brackets and text.startswith("[") and text.endswith("]"):
        return text[1:-1]
    return text


def _text(atom: Atom, atoms: Mapping[str, Any]) -> str:
    return escape(_shown(atom, _value(atom, atoms)))


# ---------------------------------------------------------------------------------------------------------------- JSON


def _json_parts(parts: list[Part]) -> list[Part] | None:
    """Return the parts of a format that is JSON once its atoms are values, the unquoted ones marked; None of others."""
    first = str(parts[0]).lstrip()
    if not first.startswith(("{", "[")) or len(parts) == 1:
        return None
    marked: list[Part] = []
    is_quoted = False
    for part in parts:
        if isinstance(part, str):
            is_quoted = _is_quoted_after(part, is_quoted)
            marked.append(part)
        else:
            marked.append(part._replace(is_bare=not is_quoted, has_brackets=part.has_brackets and is_quoted))
    sample = "".join([part if isinstance(part, str) else "null" if part.is_bare else "x" for part in marked])
    try:
        found = json.loads(sample)
    except ValueError:
        return None
    # `[%(t)s]` is how Apache's formats begin.
    return None if found == [None] else marked


def _is_quoted_after(text: str, is_quoted: bool) -> bool:
    position = 0
    while position < len(text):
        if text[position] == "\\" and is_quoted:
            position += 1
        elif text[position] == '"':
            is_quoted = not is_quoted
        position += 1
    return is_quoted


def _json(part: Part, atoms: Mapping[str, Any]) -> str:
    if isinstance(part, str):
        return part
    value = _value(part, atoms)
    if not part.is_bare:
        return _quoted(_shown(part, value))[1:-1]
    if isinstance(value, str) and value == ABSENT:
        return "null"
    return _bare(part, value)


def _bare(atom: Atom, value: Any) -> str:
    """Return a value that stands outside of quotes: a number, null, or a text with quotes."""
    if isinstance(value, float) and not math.isfinite(value):
        return "null"
    text = _shown(atom, value)
    if isinstance(value, int | float) or atom.name in _NUMERIC or atom.name.lower() in _NUMERIC_HEADERS:
        stripped = text.strip()
        if _NUMBER.fullmatch(stripped):
            return stripped
        if isinstance(value, str):
            return "null"
    return _quoted(text)


def _quoted(text: str) -> str:
    """Return `text` as JSON in ASCII, which no terminal minds; lone surrogates are no text."""
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode()
    return json.dumps(text).replace("\x7f", "\\u007f")

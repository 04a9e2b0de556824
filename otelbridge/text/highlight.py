"""One line of Python source, read by its tokens: coloured for a terminal. Knows nothing of frames or values.

The colours are loguru's (features.md, "What a loguru user tries", 6).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenize import TokenInfo

_RESET = "\x1b[0m"
_BOLD = "\x1b[1m"
_COMMENT = "\x1b[30m" + _BOLD
_KEYWORD = _OPERATOR = "\x1b[35m" + _BOLD
_CONSTANT = "\x1b[36m" + _BOLD
_NUMBER = "\x1b[34m" + _BOLD
_STRING = "\x1b[36m"
_NAME = _PUNCTUATION = _BOLD

_CONSTANTS = frozenset({"True", "False", "None"})
_PUNCTUATIONS = frozenset("()[]{},:;")
_LINE_MAX = 100_000  # a longer line (minified, generated) is shown as it is


@lru_cache(maxsize=512)
def tokens(source: str) -> tuple[TokenInfo, ...]:
    """The tokens of a line, as far as they can be read: it may be the beginning, middle or end of a statement."""
    import tokenize  # traceback has loaded it on most versions, but the logger must not depend on it

    if len(source) > _LINE_MAX:
        return ()
    found: list[TokenInfo] = []
    try:
        for token in tokenize.generate_tokens(iter([source]).__next__):
            if token.start[0] == 1:  # what follows the line's end are signs of the file's end
                found.append(token)  # one by one: what was read before an error counts
    except (tokenize.TokenError, SyntaxError, UnicodeError):
        pass
    return tuple(found)


@lru_cache(maxsize=512)
def highlight(source: str) -> str:
    """The line in colours; what cannot be read as Python stays as it is."""
    parts: list[str] = []
    end = 0
    for token in tokens(source):
        start, stop = token.start[1], token.end[1]
        color = _color(token)
        if token.type in _fstring_kinds() and token.string.endswith(("{", "}")) and token.string == source[start:stop]:
            stop += 1  # of a doubled brace, the tokenizer counts one
        if color is None or start < end:
            continue
        parts += (source[end:start], color, source[start:stop], _RESET)
        end = stop
    return "".join(parts) + source[end:]


def _color(token: TokenInfo) -> str | None:
    import keyword
    import token as kinds

    kind = token.type
    if kind == kinds.NAME:
        if token.string in _CONSTANTS:
            return _CONSTANT
        return _KEYWORD if keyword.iskeyword(token.string) else _NAME
    if kind == kinds.OP:
        return _PUNCTUATION if token.string in _PUNCTUATIONS else _OPERATOR
    if kind == kinds.NUMBER:
        return _NUMBER
    if kind == kinds.STRING or kind in _fstring_kinds():
        return _STRING
    return _COMMENT if kind == kinds.COMMENT else None


@lru_cache(maxsize=1)
def _fstring_kinds() -> frozenset[int]:
    # Python 3.12 takes f-strings apart.
    import token as kinds

    names = ("FSTRING_START", "FSTRING_MIDDLE", "FSTRING_END")  # since Python 3.12
    return frozenset(getattr(kinds, name) for name in names if hasattr(kinds, name))

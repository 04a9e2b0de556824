"""Exceptions as text sinks show them: loguru's layout, with or without colours, the way up to the program's start
(`backtrace`) and the values of the variables (`diagnose`).

Text that goes over the wire is in `tracebacks`: no variable is read there.
"""

from __future__ import annotations

import linecache
import os
import sys
import traceback
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from otelbridge.text.highlight import highlight
from otelbridge.text.tracebacks import safe_render
from otelbridge.text.values import beginning, shown_value
from otelbridge.text.variables import ArrowLine, Arrows, Variable, draw, variables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType, TracebackType

    from otelbridge.record import RecordException

    Redact: TypeAlias = Callable[[str, object], object]

_GROUP_WIDTH_MAX = 15  # as Python's tracebacks
_GROUP_DEPTH_MAX = 10
_REPEATS_MAX = 3
_EXCEPTIONS_MAX = 1000  # of one text: chains and groups can grow without end, and share members
_TITLE_WIDTH = 35

_CAUSE = "The above exception was the direct cause of the following exception:"
_CONTEXT = "During handling of the above exception, another exception occurred:"
_HEADER = "Traceback (most recent call last):"
# What Python adds suggestions or lines of its own to; all others are a type, a colon and a text.
_EXPLAINED = (SyntaxError, NameError, AttributeError, ImportError)

_RESET = "\x1b[0m"
_BOLD = "\x1b[1m"
_HEADER_COLOR = "\x1b[33m" + _BOLD
_FOLDER_COLOR = "\x1b[32m"
_FILE_COLOR = "\x1b[32m" + _BOLD
_LINE_COLOR = "\x1b[33m"
_FUNCTION_COLOR = "\x1b[35m"
_TYPE_COLOR = "\x1b[31m" + _BOLD
_ARROW_COLOR = "\x1b[36m"
_VALUE_COLOR = "\x1b[36m" + _BOLD


class _Place(NamedTuple):
    """A frame that is shown, and where it stands."""

    frame: FrameType
    line: int
    is_catching: bool = False

    @property
    def file(self) -> str:
        return self.frame.f_code.co_filename

    @property
    def function(self) -> str:
        return self.frame.f_code.co_name

    @property
    def source(self) -> str:
        """The line as written, without the blanks around it; empty when there is none."""
        try:
            return linecache.getline(self.file, self.line).strip()
        except Exception:
            return ""

    def repeats(self, other: _Place) -> bool:
        """Whether both are the same line of a traceback."""
        return (self.file, self.line, self.function, self.is_catching) == (
            other.file,
            other.line,
            other.function,
            other.is_catching,
        )


class _Link(NamedTuple):
    """One exception of a chain, and the sentence that leads to the next (empty at the end)."""

    value: BaseException
    traceback: TracebackType | None
    sentence: str


class _Walk:
    """The way through the exceptions of one text: none is a cause twice, and it has an end."""

    def __init__(self) -> None:
        self.left = _EXCEPTIONS_MAX
        self._seen: set[int] = set()

    def links(self, value: BaseException, tb: TracebackType | None) -> list[_Link]:
        """The exception and those it comes from, the oldest first."""
        links = [_Link(value, tb, "")]
        self._seen.add(id(value))
        self.left -= 1
        while self.left > 0 and (link := self.before(links[-1].value)):
            links.append(link)
            self._seen.add(id(link.value))
            self.left -= 1
        return links[::-1]

    def before(self, value: BaseException) -> _Link | None:
        """What the exception comes from, unless it has been shown."""
        cause, context = value.__cause__, value.__context__
        if cause is not None and id(cause) not in self._seen:
            return _Link(cause, cause.__traceback__, _CAUSE)
        if context is not None and id(context) not in self._seen and not value.__suppress_context__:
            return _Link(context, context.__traceback__, _CONTEXT)
        return None


class ExceptionText:
    """Writes exceptions as loguru 0.7.3 does (features.md 1.4: `colorize`, `backtrace`, `diagnose`).

    max_length: characters of a shown value. encoding: the sink's; when it has no box characters, arrows are ASCII.
    redact: called with the (dotted) name and the value of each variable that is to be shown; what it returns is shown
    in its place. hidden_files: `co_filename` of the frames that are left out. clean: what is not ours (source lines,
    values, messages, notes) goes through it before it is coloured.
    """

    def __init__(
        self,
        *,
        colorize: bool,
        backtrace: bool,
        diagnose: bool,
        max_length: int = 128,
        encoding: str = "utf8",
        redact: Redact | None = None,
        hidden_files: frozenset[str] = frozenset(),
        clean: Callable[[str], str] = str,
    ) -> None:
        self._colorize = colorize
        self._backtrace = backtrace
        self._diagnose = diagnose
        self._length_max = max_length
        self._arrows = Arrows.drawn_in(encoding)
        self._redact = redact
        self._hidden_files = hidden_files
        self._clean = clean

    def render(self, exception: RecordException, *, from_decorator: bool = False) -> str:
        """The text, ending in a newline. Never raises.

        from_decorator: the exception was caught by a wrapper around a function, whose caller is then shown too.
        """
        try:
            if exception.value is None:
                return self._error_line("NoneType: None\n")
            return "".join(self._chain(exception.value, exception.traceback, 0, _Walk(), from_decorator))
        except Exception:
            return self._fallback(exception)

    def _fallback(self, exception: RecordException) -> str:
        try:
            return self._clean(safe_render(exception))
        except Exception as error:  # what could not be cleaned is not shown
            return f"<exception could not be rendered: {type(error).__name__}>\n"

    def _chain(
        self, value: BaseException, tb: TracebackType | None, depth: int, walk: _Walk, from_decorator: bool = False
    ) -> Iterator[str]:
        """An exception after its causes, the oldest first. depth: of the groups around it."""
        for link in walk.links(value, tb):
            is_first = depth == 0 and link.value is value
            if depth == 0 and isinstance(link.value, ExceptionGroup) and (other := walk.before(link.value)):
                # A group that has both cause and context shows the second within its margin.
                yield from self._chain(other.value, other.traceback, 1, walk)
                yield self._transition(other, 1)
            yield from self._exception(link, depth, walk, is_first=is_first, from_decorator=from_decorator)
            if link.sentence:
                yield self._transition(link, depth)

    def _transition(self, link: _Link, depth: int) -> str:
        space = "\n\n" if self._diagnose else "\n"
        return _within(f"{space}{self._paint(_BOLD, link.sentence)}\n{space}", depth)

    def _exception(
        self, link: _Link, depth: int, walk: _Walk, *, is_first: bool, from_decorator: bool
    ) -> Iterator[str]:
        """Traceback, error and, of a group, its members; inside or at a group with a margin."""
        value = link.value
        # As in loguru, a group of others than Exception is shown without its members.
        group = value if isinstance(value, ExceptionGroup) else None
        margin = max(depth, 1) if group is not None else depth
        places = self._places(link.traceback, is_first=is_first, from_decorator=from_decorator)
        if places:
            header = f"Exception Group {_HEADER}" if group is not None else _HEADER
            text = _within(self._paint(_HEADER_COLOR, header) + "\n", margin)
            yield text.replace("|", "+", 1) if margin == 1 else text
        yield _within("".join([*self._frames(places), *self._error(value, places)]), margin)
        if group is not None:
            yield from self._members(group, margin, walk)

    # Frames

    def _places(self, tb: TracebackType | None, *, is_first: bool, from_decorator: bool) -> list[_Place]:
        """The frames to show, the outermost first."""
        places: list[_Place] = []
        if tb is None:
            return places
        if is_first and (self._backtrace or from_decorator):
            callers = islice(self._callers(tb.tb_frame), None if self._backtrace else 1)
            places = [_Place(frame, frame.f_lineno) for frame in callers][::-1]
        catching = len(places) - 1 if from_decorator else len(places)
        step: TracebackType | None = tb
        while step is not None:
            if step.tb_frame.f_code.co_filename not in self._hidden_files:
                places.append(_Place(step.tb_frame, step.tb_lineno))
            step = step.tb_next
        if is_first and self._backtrace and 0 <= catching < len(places):
            places[catching] = places[catching]._replace(is_catching=True)
        limit = getattr(sys, "tracebacklimit", None)
        return places if limit is None else places[-limit:] if limit > 0 else []

    def _callers(self, frame: FrameType) -> Iterator[FrameType]:
        above = frame.f_back
        while above is not None:
            if above.f_code.co_filename not in self._hidden_files:
                yield above
            above = above.f_back

    def _frames(self, places: list[_Place]) -> Iterator[str]:
        repeats = 0
        for i, place in enumerate(places):
            repeats = repeats + 1 if i and place.repeats(places[i - 1]) else 0
            if repeats < _REPEATS_MAX:
                if self._diagnose and _is_parted(place.file, places[i - 1].file if i else None):
                    yield "\n"
                yield self._frame(place)
            elif i + 1 == len(places) or not places[i + 1].repeats(place):
                count = repeats - _REPEATS_MAX + 1
                yield f"  [Previous line repeated {count} more time{'s' if count > 1 else ''}]\n"

    def _frame(self, place: _Place) -> str:
        is_colored = self._colorize and _is_users(place.file)
        function = self._clean(place.function)
        function = self._paint(_FUNCTION_COLOR, function) if is_colored else function
        location = f"{'>' if place.is_catching else ' '} {self._location(place.file, place.line)}, in {function}\n"
        source = self._clean(place.source)
        if source:
            text = highlight(source) if is_colored else source
            values = self._values(source, place.frame) if self._diagnose else []
            lines = [f"    {self._arrow(arrow, is_colored)}" for arrow in draw(values, self._arrows)]
            code = "\n".join([text, *lines]).strip()
            return f"{location}    {code}\n"
        return location

    def _location(self, file: str, line: int) -> str:
        file = self._clean(file)
        if not (self._colorize and _is_users(file)):
            return f'File "{file}", line {line}'
        folder, name = os.path.split(file)
        folder = self._paint(_FOLDER_COLOR, folder and folder + os.sep)
        return f'File "{folder}{self._paint(_FILE_COLOR, name)}", line {self._paint(_LINE_COLOR, str(line))}'

    def _values(self, source: str, frame: FrameType) -> list[tuple[int, str]]:
        return [(found.column, self._value(found)) for found in variables(source, frame)]

    def _value(self, variable: Variable) -> str:
        value = variable.value
        if self._redact is not None:
            try:
                value = self._redact(variable.name, beginning(value, self._length_max))
            except Exception as error:
                return f"<not shown: redaction failed with {type(error).__name__}>"
        return self._clean(shown_value(value, self._length_max))

    def _arrow(self, arrow: ArrowLine, is_colored: bool) -> str:
        if not is_colored:
            return arrow.drawing + arrow.text
        return self._paint(_ARROW_COLOR, arrow.drawing) + self._paint(_VALUE_COLOR, arrow.text)

    # The error itself

    def _error(self, value: BaseException, places: list[_Place]) -> Iterator[str]:
        before, error, notes = _described(value)
        before, notes = [self._clean(line) for line in before], [self._clean(line) for line in notes]
        error = self._clean(error)
        file = getattr(value, "filename", None)
        if before and self._diagnose and file is not None and _is_parted(file, places[-1].file if places else None):
            yield "\n"
        for line in before:
            yield self._syntax_line(value, line)
        if self._diagnose and places:
            yield "\n"
        assertion = places[-1].source if self._diagnose and places and isinstance(value, AssertionError) else ""
        if assertion and ":" not in error:
            assertion = self._clean(assertion)
            source = highlight(assertion) if self._colorize else assertion
            yield f"{self._paint(_TYPE_COLOR, error[:-1])}: {source}\n"
        else:
            yield self._error_line(error)
        yield from notes

    def _error_line(self, error: str) -> str:
        kind, colon, text = error.removesuffix("\n").partition(":")
        return self._paint(_TYPE_COLOR, kind) + (colon and colon + self._paint(_BOLD, text)) + "\n"

    def _syntax_line(self, value: BaseException, line: str) -> str:
        """A line that Python puts before a SyntaxError; the first names the file."""
        file, number = getattr(value, "filename", None), getattr(value, "lineno", None)
        if isinstance(file, str) and isinstance(number, int) and line == f'  File "{file}", line {number}\n':
            return f"  {self._location(file, number)}\n"
        return line

    # Groups

    def _members(self, group: ExceptionGroup[Exception], depth: int, walk: _Walk) -> Iterator[str]:
        indent = "  " * depth
        members = group.exceptions
        is_deepest = depth >= _GROUP_DEPTH_MAX
        for i, member in enumerate(members[: _GROUP_WIDTH_MAX + 1]):
            title = f" {i + 1} " if i < _GROUP_WIDTH_MAX else " ... "
            yield f"{indent}{'  ' if i else '+-'}+{title.center(_TITLE_WIDTH, '-')}\n"
            if i == _GROUP_WIDTH_MAX:
                yield _within(f"and {len(members) - i} more exceptions\n", depth + 1)
            elif is_deepest:
                yield _within(f"... (max_group_depth is {_GROUP_DEPTH_MAX})\n", depth + 1)
            elif walk.left <= 0:
                yield _within(f"... (more than {_EXCEPTIONS_MAX} exceptions)\n", depth + 1)
            else:
                yield from self._chain(member, member.__traceback__, depth + 1, walk)
        if is_deepest or not isinstance(members[: _GROUP_WIDTH_MAX + 1][-1], ExceptionGroup):  # its end would do
            yield f"{indent}  +{'-' * (_TITLE_WIDTH + 1)}\n"

    def _paint(self, color: str, text: str) -> str:
        return f"{color}{text}{_RESET}" if self._colorize else text


def _described(value: BaseException) -> tuple[list[str], str, list[str]]:
    """What Python says of an exception: lines before the error, the error, the notes after it."""
    if isinstance(value, _EXPLAINED):
        lines = traceback.format_exception_only(type(value), value)
        i = next((i for i, line in enumerate(lines) if not line.startswith("  ")), len(lines) - 1)
        return lines[:i], lines[i], lines[i + 1 :]
    text = _safe_str(value)
    name = _type_name(type(value))
    return [], f"{name}: {text}\n" if text else f"{name}\n", _notes(value)


def _type_name(kind: type[BaseException]) -> str:
    module = kind.__module__
    if module in ("__main__", "builtins"):
        return kind.__qualname__
    return f"{module if isinstance(module, str) else '<unknown>'}.{kind.__qualname__}"


def _safe_str(value: BaseException) -> str:
    try:
        return str(value)
    except BaseException:
        return "<exception str() failed>"


def _notes(value: BaseException) -> list[str]:
    try:
        notes = getattr(value, "__notes__", None)
    except Exception as error:
        return [f"Ignored error getting __notes__: {error!r}\n"]  # as Python 3.13 has it; before, it raised
    if notes is None:
        return []
    carrier = Exception()  # Python's own reading of odd notes, without what else it would read of the exception
    carrier.__notes__ = notes
    return traceback.format_exception_only(Exception, carrier)[1:]


def _within(text: str, depth: int) -> str:
    """With the margin of the groups around it."""
    if not depth:
        return text
    margin = "  " * depth + "| "
    return "".join(f"{margin}{line}".rstrip() + "\n" for line in text.splitlines())


# Whose file it is


def _is_parted(file: str, file_above: str | None) -> bool:
    """Whether an empty line stands between two frames: libraries' frames are one block."""
    return file_above is None or _is_users(file) or _is_users(file_above)


@lru_cache(maxsize=1024)
def _is_users(file: str) -> bool:
    """Whether a file is the program's own: Python source outside of the libraries."""
    if not file.lower().endswith(".py"):
        return False
    path = os.path.abspath(file).lower()  # noqa: PTH100 - as text, whether it exists or not
    return not path.startswith(_library_folders())


@lru_cache(maxsize=1)
def _library_folders() -> tuple[str, ...]:
    import sysconfig

    names = ("stdlib", "platstdlib", "purelib", "platlib")
    paths = {sysconfig.get_path(name, scheme) for scheme in sysconfig.get_scheme_names() for name in names}
    return tuple(f"{os.path.abspath(path)}{os.sep}".lower() for path in paths if path in sys.path)  # noqa: PTH100

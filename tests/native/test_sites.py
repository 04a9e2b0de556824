"""Where a call stands, and which thread made it: cached, and still right."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.native.conftest import Exporting
from tests.native.oracle import attributes_of, parse


def sites(exporting: Exporting) -> list[tuple[str, str, int]]:
    """(path, function, line) of each record."""
    names = ("code.file.path", "code.function.name", "code.line.number")
    found = (attributes_of(parse(record)) for record in exporting.take())
    return [tuple(attributes.get(name) for name in names) for attributes in found]  # type: ignore[misc]


def test_functions_on_one_line(exporting: Exporting) -> None:
    """
    Code objects that share file, line and name are told apart, also when one takes the other's place in memory.
    """
    expected = []
    for i in range(300):
        name = f"function_{i % 7}"
        scope: dict[str, Any] = {"log": exporting.logger, "__name__": f"module_{i % 5}"}
        exec(compile(f"def {name}(): log.info('text {{}}', {i})\n{name}()", f"file_{i % 3}.py", "exec"), scope)
        expected.append((f"file_{i % 3}.py", f"module_{i % 5}.{name}", 1))

    assert sites(exporting) == expected


def test_more_places_than_the_cache_has(exporting: Exporting) -> None:
    """
    2,500 places, each called twice, are named rightly both times.
    """
    source = "def calls():\n" + "".join(f"    log.info('text', n={line})\n" for line in range(2, 2_502))
    scope: dict[str, Any] = {"log": exporting.logger, "__name__": "many"}
    exec(compile(source, "many.py", "exec"), scope)

    scope["calls"]()
    scope["calls"]()

    expected = [("many.py", "many.calls", line) for line in range(2, 2_502)]
    assert sites(exporting) == expected * 2


def test_calls_on_one_line_and_across_lines(exporting: Exporting) -> None:
    """
    Several calls on a line, and one call over several lines, are at the line that Python names, on the wire and in
    sinks.
    """
    source = (
        "log.info('a'), log.info('b {}', 1)\nlog.info(\n    'c {}',\n    2,\n)\n\nlog.info('d'), log.info(\n    'e')\n"
    )
    code = compile(source, "lines.py", "exec")

    exec(code, {"log": exporting.logger})
    on_the_wire = [site[2] for site in sites(exporting)]
    in_sinks: list[int] = []
    number = exporting.logger.add(lambda message: in_sinks.append(message.record["line"]))
    exec(code, {"log": exporting.logger})
    exporting.logger.remove(number)

    assert on_the_wire == in_sinks == [1, 1, 2, 7, 7]


def test_template_that_changes_at_one_place(exporting: Exporting) -> None:
    """
    A place whose template, arguments or names change from call to call is never mistaken for its former self.
    """
    log = exporting.logger
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
    for i in range(60):
        calls.append((f"text {i} {{}}", (i,), {}))
        calls.append(("{a} {b}" if i % 2 else "{b} {a}", (), {"a": i, "b": "b"}))
        calls.append(("{b} {a}" if i % 2 else "{a} {b}", (), {"b": i, "a": "b"}))
        calls.append(("same {}", (), {}))
        calls.append(("same {}", (i,), {}))
        calls.append(("same {}", (i, 1), {"x": 1}))

    for template, args, kwargs in calls:
        log.info(template, *args, **kwargs)

    for record, (template, args, kwargs) in zip(map(parse, exporting.take()), calls, strict=True):
        assert record.body.string_value == (template.format(*args, **kwargs) if args or kwargs else template)
        attributes = attributes_of(record)
        assert {name: attributes[name] for name in kwargs} == kwargs


def test_code_that_runs_in_two_modules(exporting: Exporting) -> None:
    """
    One code object, run with two modules' names, is named after each.
    """
    code = compile("log.info('text')", "shared.py", "exec")
    for name in ("one", "two", "one"):
        exec(code, {"log": exporting.logger, "__name__": name})

    assert [site[1] for site in sites(exporting)] == ["one.<module>", "two.<module>", "one.<module>"]


@pytest.mark.parametrize("scope", [{}, {"__name__": None}, {"__name__": 5}, {"__name__": ""}])
def test_code_without_a_module(exporting: Exporting, scope: dict[str, Any]) -> None:
    """
    Code whose globals have no `__name__`, or a strange one, logs with what there is.
    """
    name = scope.get("__name__")
    exec(compile("def f(): log.info('text')\nf()", "x.py", "exec"), {"log": exporting.logger, **scope})
    number = exporting.logger.add(lambda message: names.append(message.record["name"]))
    names: list[Any] = []
    exec(compile("def f(): log.info('text')\nf()", "x.py", "exec"), {"log": exporting.logger, **scope})
    exporting.logger.remove(number)

    for path, function, line in sites(exporting):
        assert (path, line) == ("x.py", 1)
        assert function.endswith("f")
    assert names == [name if isinstance(name, str) else names[0]]


def test_path_and_name_of_any_characters(exporting: Exporting) -> None:
    """
    Paths with surrogates (undecodable bytes) and names in any script are encoded.
    """
    exec(compile("def größe(): log.info('text')\ngröße()", "/tmp/\udcff/é.py", "exec"), {"log": exporting.logger})

    ((path, function, line),) = sites(exporting)
    assert (path, line) == ("/tmp/\ufffd/é.py", 1)
    assert function.endswith("größe")


def thread_of(exporting: Exporting) -> list[tuple[str, int]]:
    """(name, id) of the thread of each record."""
    found = (attributes_of(parse(record)) for record in exporting.take())
    return [(attributes["thread.name"], attributes["thread.id"]) for attributes in found]


def test_thread_that_is_renamed(exporting: Exporting) -> None:
    """
    A thread's new name is on its next record.
    """
    expected: list[tuple[str, int]] = []

    def work() -> None:
        thread = threading.current_thread()
        for name in ("first", "second", "é" * 400, "second"):
            thread.name = name
            exporting.logger.info("text")
            expected.append((name, threading.get_ident()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    for (name, ident), (given, known) in zip(thread_of(exporting), expected, strict=True):
        assert ident == known
        assert name
        assert given.startswith(name)
        assert name == given or len(name) >= 64  # a very long name is cut


def test_thread_ids_that_are_used_again(exporting: Exporting) -> None:
    """
    Threads that follow each other often share an id; each has its own name.
    """
    for i in range(100):
        thread = threading.Thread(target=exporting.logger.info, args=("text",), name=f"thread {i}")
        thread.start()
        thread.join()

    assert [name for name, _ in thread_of(exporting)] == [f"thread {i}" for i in range(100)]


def test_thread_that_python_did_not_start(exporting: Exporting) -> None:
    """
    A thread of a C library that calls back has a record like others.
    """
    import _thread

    done = threading.Event()

    def work() -> None:
        exporting.logger.info("text")
        done.set()

    _thread.start_new_thread(work, ())
    assert done.wait(10)

    ((name, ident),) = thread_of(exporting)
    assert name
    assert ident != threading.get_ident()


def test_call_without_any_python_frame(exporting: Exporting) -> None:
    """
    A method that C code calls (a thread's own target, map, a callback) is placed at the nearest Python frame, if any.
    """
    list(map(exporting.logger.info, ["text"]))

    ((path, function, _),) = sites(exporting)
    assert path == __file__
    assert function.endswith("test_call_without_any_python_frame")

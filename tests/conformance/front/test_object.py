"""The logger as an object: its repr, and its copies, pickled or deep."""

# mypy: disable-error-code="untyped-decorator, unreachable"

from __future__ import annotations

import copy
import functools
import inspect
import io
import logging
import pickle
import sys
import weakref
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from tests.conformance.support import Kept, Script, add, new_name


def module_sink(message: object) -> None:
    """A sink that pickles by name."""


def module_filter(record: Any) -> bool:
    """A filter that pickles by name."""
    return bool(record["level"].no >= 30)


def module_format(record: Any) -> str:
    """A format that pickles by name."""
    return "{level} {message}\n"


def module_patcher(record: Any) -> None:
    """A patcher that pickles by name."""
    record["extra"]["patched"] = True


class NamedStream(io.StringIO):
    """A stream with a name."""

    name = "<a name>"


class ReprStream:
    """A sink with a repr."""

    def write(self, message: str) -> None:
        """Keep nothing."""

    def __repr__(self) -> str:
        return "<own repr>"


def handlers_of(logger: Any) -> str:
    """The part of the repr that lists handlers."""
    text = repr(logger)
    assert text.startswith("<")
    assert text.endswith("]>")
    return text[text.index("handlers=[") :]


# ------------------------------------------------------------------------------------------------------------ repr


@pytest.mark.covers("1.32")
def test_repr_without_handlers(implementation: str, logger: Any) -> None:
    """The repr names the logger and lists its handlers: none."""
    assert repr(logger) == str(logger) == f"<{implementation}.logger handlers=[]>"


@pytest.mark.covers("1.32")
@pytest.mark.parametrize(
    ("sink", "shown"),
    [
        (module_sink, "module_sink"),
        (print, "print"),
        (lambda message: None, "<lambda>"),
        (NamedStream(), "<a name>"),
        (ReprStream(), "<own repr>"),
        (logging.NullHandler(), "<NullHandler (NOTSET)>"),
        (functools.partial(module_sink), None),
        ([].append, "append"),
    ],
)
def test_repr_of_sinks(logger: Any, sink: Any, shown: str | None) -> None:
    """A function is shown by its name, a stream by its name or repr, a logging handler and others by their repr."""
    number = logger.add(sink)
    assert handlers_of(logger) == f"handlers=[(id={number}, level=10, sink={shown or repr(sink)})]>"


@pytest.mark.covers("1.32")
@pytest.mark.parametrize("kind", [str, Path])
def test_repr_of_files(logger: Any, tmp_path: Path, kind: Any) -> None:
    """A file is shown by its path, as it was given."""
    path = tmp_path / "file{time:YYYY}.log"
    number = logger.add(kind(path), delay=True)
    assert handlers_of(logger) == f"handlers=[(id={number}, level=10, sink='{path}')]>"


@pytest.mark.covers("1.32")
def test_repr_of_standard_streams(script: Script) -> None:
    """The standard streams have their names."""
    result = script("""
        import sys
        from PACKAGE import logger
        logger.add(sys.stdout, level="INFO")
        logger.add(sys.__stderr__, level=3, enqueue=True)
        print(repr(logger).partition("handlers=")[2])
    """)
    assert result.stdout == (
        "[(id=0, level=10, sink=<stderr>), (id=1, level=20, sink=<stdout>), (id=2, level=3, sink=<stderr>)]>\n"
    )


@pytest.mark.covers("1.32")
def test_repr_of_coroutines(logger: Any) -> None:
    """A coroutine function is shown by its name."""

    async def publish(message: str) -> None:
        pass

    number = logger.add(publish)
    assert handlers_of(logger) == f"handlers=[(id={number}, level=10, sink=publish)]>"


@pytest.mark.covers("1.32")
def test_repr_of_levels(logger: Any) -> None:
    """A handler's level is shown by its severity; handlers come in order; children show the same."""
    numbers = [logger.add(module_sink, level=level) for level in ("TRACE", 33, "CRITICAL")]
    shown = ", ".join(f"(id={n}, level={no}, sink=module_sink)" for n, no in zip(numbers, (5, 33, 50), strict=True))
    assert handlers_of(logger) == handlers_of(logger.bind(a=1)) == f"handlers=[{shown}]>"
    logger.remove(numbers[1])
    assert "level=33" not in repr(logger)


@pytest.mark.covers("1.32")
def test_repr_of_unnamed_objects(logger: Any) -> None:
    """A callable object without a name is shown by its repr."""
    kept = Kept()
    logger.add(kept)
    assert f"sink={kept!r}" in repr(logger)


# ------------------------------------------------------------------------------------------------------- identity


@pytest.mark.covers("1.32")
def test_identity(implementation: str, logger: Any) -> None:
    """There is one logger; children are others; it can be a key and be referred to weakly."""
    import importlib

    assert importlib.import_module(implementation).logger is logger
    assert logger == logger
    assert logger != logger.bind()
    assert {logger: 1}[logger] == 1
    assert weakref.ref(logger)() is logger
    assert bool(logger)


@pytest.mark.covers("1.32")
def test_attributes(logger: Any, kept: Kept) -> None:
    """The class is the logger's type, and methods can be patched on an instance as in any Python class."""
    child = logger.bind(a=1)
    said: list[str] = []
    child.info = said.append
    child.info("patched")
    del child.info
    child.info("said")
    assert (said, kept.messages) == (["patched"], ["said"])


@pytest.mark.covers("1.32")
def test_methods_of_the_class(logger: Any, kept: Kept) -> None:
    """Methods are functions of the class."""
    kind = type(logger)
    kind.info(logger, "said")
    assert kind.__name__ == "Logger"
    assert kept.messages == ["said"]
    assert kept.record["function"] == "test_methods_of_the_class"


# ---------------------------------------------------------------------------------------------------- copies


@pytest.mark.covers("1.32")
@pytest.mark.parametrize("how", ["copy", "deepcopy", "pickle"])
def test_copies_log(logger: Any, how: str) -> None:
    """A copy, however made, logs with what was bound."""
    if how != "pickle":
        logger.add(NamedStream(), format="{message} {extra}")
    else:
        logger.add(module_sink, format="{message}")
    child = logger.bind(a=[1])
    makers: dict[str, Any] = {
        "copy": copy.copy,
        "deepcopy": copy.deepcopy,
        "pickle": lambda each: pickle.loads(pickle.dumps(each)),
    }
    other = makers[how](child)
    assert type(other) is type(child)
    assert handlers_of(other) == handlers_of(child)
    other.info("said")


@pytest.mark.covers("1.32")
def test_deepcopied_sinks(logger: Any) -> None:
    """A deep copy has handlers of its own: its sinks are copies, and what is removed from it stays in the logger."""

    class Sink:
        made = 0
        texts: list[str] = []  # noqa: RUF012

        def write(self, message: str) -> None:
            self.texts.append(message)

        def __deepcopy__(self, memo: object) -> Sink:
            Sink.made += 1
            return Sink()

    logger.add(Sink(), format="{message}")
    other = copy.deepcopy(logger)
    assert Sink.made == 1
    other.info("other")
    other.remove()
    other.info("nowhere")
    logger.info("logger")
    assert Sink.texts == ["other\n", "logger\n"]
    assert handlers_of(other) == "handlers=[]>"


@pytest.mark.covers("1.32")
def test_two_loggers(logger: Any) -> None:
    """The recipe for two independent loggers: remove, copy deeply, add to each its own."""
    logger.remove()
    one, two = copy.deepcopy(logger), copy.deepcopy(logger)
    first, second = add(one), add(two)
    one.info("one")
    two.info("two")
    logger.info("logger")
    assert (first.messages, second.messages) == (["one"], ["two"])


@pytest.mark.covers("1.32")
def test_deepcopied_levels(logger: Any) -> None:
    """A deep copy has levels of its own, and starts with those of the logger."""
    before, after = new_name(), new_name()
    logger.level(before, no=33)
    other = copy.deepcopy(logger)
    assert other.level(before).no == 33
    other.level(after, no=34)
    with pytest.raises(ValueError, match=after):
        logger.level(after)
    other.level("INFO", icon="changed")
    assert logger.level("INFO").icon == "ℹ️"


@pytest.mark.covers("1.32")
def test_deepcopied_rest(logger: Any) -> None:
    """A deep copy has extra, patcher and activation of its own as well."""
    logger.configure(extra={"a": 1}, patcher=module_patcher)
    other = copy.deepcopy(logger)
    other.disable(__name__)
    other.configure(extra={"b": 2})
    kept = add(logger)
    logger.info("said")
    assert kept.extra == {"a": 1, "patched": True}
    hidden = add(other)
    other.info("said")
    other.enable(__name__)
    other.info("said")
    assert hidden.extra == {"b": 2, "patched": True}


@pytest.mark.covers("1.32")
def test_deepcopy_of_a_sink_that_cannot(logger: Any) -> None:
    """A sink that cannot be copied is an error of the copy."""
    logger.add(sys.stderr)
    with pytest.raises(TypeError):
        copy.deepcopy(logger)


@pytest.mark.covers("1.32")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"level": "ERROR"},
        {"format": module_format},
        {"format": "<red>{message}</red>", "colorize": True},
        {"filter": module_filter},
        {"filter": "tests"},
        {"filter": {"": "INFO", "a": False}},
        {"serialize": True},
        {"catch": False, "backtrace": False, "diagnose": False},
    ],
    ids=repr,
)
def test_pickled_handlers(logger: Any, options: dict[str, Any]) -> None:
    """A logger whose sinks, filters and formats can be pickled can be pickled, with their options."""
    logger.add(module_sink, **options)
    other = pickle.loads(pickle.dumps(logger))
    assert handlers_of(other) == handlers_of(logger)
    other.error("said")


@pytest.mark.covers("1.32")
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_protocols(logger: Any, protocol: int) -> None:
    """Every protocol will do."""
    other = pickle.loads(pickle.dumps(logger.bind(a=1), protocol))
    kept = add(other)
    other.info("said")
    assert kept.extra == {"a": 1}


@pytest.mark.covers("1.32")
def test_pickled_options(logger: Any) -> None:
    """What opt(), bind() and patch() made is pickled too."""
    child = logger.opt(raw=True, capture=False).bind(a=1).patch(module_patcher)
    other = pickle.loads(pickle.dumps(child))
    kept = add(other)
    other.info("{b}", b=2)
    assert (kept.text, kept.extra) == ("2", {"a": 1, "patched": True})


@pytest.mark.covers("1.32")
def test_pickled_files(logger: Any, tmp_path: Path) -> None:
    """A logger whose file is not open yet is pickled; both write to it."""
    path = tmp_path / "file.log"
    logger.add(path, format="{message}", rotation="10 MB", delay=True)
    other = pickle.loads(pickle.dumps(logger))
    logger.info("logger")
    other.info("other")
    other.remove()
    logger.info("again")
    logger.remove()
    assert path.read_text() == "logger\nother\nagain\n"


@pytest.mark.covers("1.32")
def test_pickled_logging_handlers(logger: Any) -> None:
    """A logging.Handler that cannot be pickled is an error of pickling; so is a lambda."""
    logger.add(logging.StreamHandler())
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(logger)
    logger.remove()
    logger.add(lambda message: None)
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(logger)


@pytest.mark.covers("1.32")
def test_pickled_standard_stream(logger: Any) -> None:
    """A standard stream cannot be pickled."""
    logger.add(sys.__stderr__)
    with pytest.raises(TypeError):
        pickle.dumps(logger)


@pytest.mark.covers("1.32")
def test_pickled_bound_value(logger: Any) -> None:
    """A bound value that cannot be pickled is an error of pickling."""
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(logger.bind(a=lambda: None))
    copied = pickle.loads(pickle.dumps(logger.bind(a={"b": [1, 2]})))
    kept = add(copied)
    copied.info("")
    assert kept.extra == {"a": {"b": [1, 2]}}


@pytest.mark.covers("1.32")
def test_pickled_levels(logger: Any) -> None:
    """An unpickled logger knows the levels, and its ids go on."""
    name = new_name()
    logger.level(name, no=33, color="<red>", icon="@")
    number = logger.add(module_sink)
    other = pickle.loads(pickle.dumps(logger))
    assert other.level(name) == (name, 33, "<red>", "@")
    assert other.add(module_sink) > number
    other.remove(number)


@pytest.mark.covers("1.32")
def test_copied_method(logger: Any) -> None:
    """A bound method can be pickled."""
    method = pickle.loads(pickle.dumps(logger.bind(a=1).info))
    method("said")
    assert method.__name__ == "info"


# ------------------------------------------------------------------------------------------ signatures and mocks

PARAMETERS: dict[str, dict[str, Any]] = {
    "remove": {"handler_id": None},
    "level": {"name": ..., "no": None, "color": None, "icon": None},
    "disable": {"name": ...},
    "enable": {"name": ...},
    "patch": {"patcher": ...},
    "parse": {"file": ..., "pattern": ..., "cast": {}, "chunk": 65536},
    "configure": {"handlers": None, "levels": None, "extra": None, "patcher": None, "activation": None},
    "catch": {
        "exception": Exception,
        "level": "ERROR",
        "reraise": False,
        "onerror": None,
        "exclude": None,
        "default": None,
    },
    "opt": {
        "exception": None,
        "record": False,
        "lazy": False,
        "colors": False,
        "raw": False,
        "capture": True,
        "depth": 0,
    },
    "add": {
        "sink": ...,
        "level": "DEBUG",
        "filter": None,
        "colorize": None,
        "serialize": False,
        "backtrace": True,
        "enqueue": False,
        "context": None,
        "catch": True,
    },
}


@pytest.mark.covers("1.4")
@pytest.mark.parametrize("method", PARAMETERS)
def test_parameters(logger: Any, method: str) -> None:
    """Methods have the documented parameters, with their defaults."""
    parameters = inspect.signature(getattr(logger, method)).parameters
    found = {
        name: ... if parameter.default is inspect.Parameter.empty else parameter.default
        for name, parameter in parameters.items()
        if name in PARAMETERS[method]
    }
    assert found == PARAMETERS[method]


@pytest.mark.covers("1.1")
@pytest.mark.parametrize(
    "method", ["trace", "debug", "info", "success", "warning", "error", "critical", "exception", "log"]
)
def test_signatures_of_calls(logger: Any, method: str) -> None:
    """Level methods have a signature: their own arguments by position, then any."""
    kinds = [parameter.kind.name for parameter in inspect.signature(getattr(logger, method)).parameters.values()]
    assert kinds[-2:] == ["VAR_POSITIONAL", "VAR_KEYWORD"]
    assert len(kinds) == (4 if method == "log" else 3)


@pytest.mark.covers("1.32")
def test_mocks(logger: Any, kept: Kept) -> None:
    """The logger's methods can be replaced for a while, on the logger and on its class, and be spied on."""
    with mock.patch.object(logger, "info") as info:
        logger.info("mocked", 1, a=2)
    info.assert_called_once_with("mocked", 1, a=2)
    with mock.patch.object(type(logger), "warning") as warning:
        logger.warning("mocked")
        logger.bind(a=1).warning("mocked")
    assert warning.call_count == 2
    with mock.patch.object(logger, "error", wraps=logger.error) as error:
        logger.error("spied on")
    error.assert_called_once_with("spied on")
    logger.info("said")
    assert kept.messages == ["spied on", "said"]
    specified = mock.create_autospec(logger, instance=True)
    specified.info("said {}", 1)
    with pytest.raises(AttributeError):
        specified.nope()


@pytest.mark.covers("1.32")
def test_subclass(logger: Any, kept: Kept) -> None:
    """What bind(), opt() and patch() give is of the logger's own class."""
    assert {type(each) for each in (logger.bind(), logger.opt(), logger.patch(print))} == {type(logger)}

"""The record: its fields, their types, attributes, texts and format specs."""

from __future__ import annotations

import asyncio
import copy
import multiprocessing
import os
import pickle
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.support import Kept, Script, add, run_as

FIELDS = [
    "elapsed",
    "exception",
    "extra",
    "file",
    "function",
    "level",
    "line",
    "message",
    "module",
    "name",
    "process",
    "thread",
    "time",
]


@pytest.mark.covers("1.28")
def test_fields(logger: Any, kept: Kept) -> None:
    """A record is a dict of the documented fields, in alphabetical order, and no others."""
    logger.info("said")
    assert type(kept.record) is dict
    assert list(kept.record) == FIELDS


@pytest.mark.covers("1.28")
def test_types(logger: Any, kept: Kept) -> None:
    """Each field has its documented type."""
    logger.info("said")
    record = kept.record
    types = {name: type(record[name]) for name in ("extra", "function", "line", "message", "module", "name")}
    assert types == {"extra": dict, "function": str, "line": int, "message": str, "module": str, "name": str}
    assert isinstance(record["time"], datetime)
    assert isinstance(record["elapsed"], timedelta)
    assert record["exception"] is None
    assert type(record["level"].no) is int
    assert type(record["thread"].id) is int
    assert type(record["process"].id) is int


@pytest.mark.covers("1.28")
def test_values(logger: Any, kept: Kept) -> None:
    """The place, process and thread are the call's."""
    logger.warning("said {}", 1)
    record = kept.record
    path = Path(__file__)
    assert (record["name"], record["function"], record["module"]) == (__name__, "test_values", path.stem)
    assert record["line"] == test_values.__code__.co_firstlineno + 3
    assert (record["file"].name, record["file"].path) == (path.name, str(path))
    assert (record["level"].name, record["level"].no, record["level"].icon) == ("WARNING", 30, "⚠️")
    assert (record["process"].id, record["process"].name) == (os.getpid(), multiprocessing.current_process().name)
    assert (record["thread"].id, record["thread"].name) == (threading.get_ident(), threading.current_thread().name)
    assert (record["message"], record["extra"], record["exception"]) == ("said 1", {}, None)


@pytest.mark.covers("1.28")
@pytest.mark.parametrize(
    ("field", "default", "attributes"),
    [
        ("level", "name", ["name", "no", "icon"]),
        ("file", "name", ["name", "path"]),
        ("thread", "id", ["id", "name"]),
        ("process", "id", ["id", "name"]),
    ],
)
def test_attributes(logger: Any, kept: Kept, field: str, default: str, attributes: list[str]) -> None:
    """A field with attributes formats as its default one; its repr and its str list all."""
    logger.info("said")
    value = kept.record[field]
    assert f"{value}" == str(getattr(value, default))
    assert (
        repr(value) == str(value) == "({})".format(", ".join(f"{name}={getattr(value, name)!r}" for name in attributes))
    )
    for spec in ("", ">30", "*^30", "<30"):
        assert format(value, spec) == format(str(getattr(value, default)), spec)
    with pytest.raises(AttributeError):
        value.nope  # noqa: B018


@pytest.mark.covers("1.28")
@pytest.mark.parametrize("field", ["level", "file", "thread", "process"])
def test_attribute_objects_pickle(logger: Any, kept: Kept, field: str) -> None:
    """These objects can be pickled and copied."""
    logger.info("said")
    value = kept.record[field]
    for other in (pickle.loads(pickle.dumps(value)), copy.copy(value), copy.deepcopy(value)):
        assert repr(other) == repr(value)
        assert type(other) is type(value)


@pytest.mark.covers("1.28")
def test_whole_record_pickles(logger: Any, kept: Kept) -> None:
    """A record can be pickled and copied as a whole."""
    logger.bind(a=[1]).opt(exception=ValueError("why")).info("said {}", 1)
    record = kept.record
    for other in (pickle.loads(pickle.dumps(record)), copy.deepcopy(record)):
        assert list(other) == FIELDS
        assert repr(other["level"]) == repr(record["level"])
        assert other["time"] == record["time"]
        assert other["extra"] == {"a": [1]}
        assert (other["exception"].type, str(other["exception"].value)) == (ValueError, "why")


@pytest.mark.covers("1.28")
@pytest.mark.parametrize("field", ["level", "file", "thread", "process"])
def test_attribute_objects_compare(logger: Any, kept: Kept, field: str) -> None:
    """Objects of the same values are the same in text."""
    logger.info("a")
    logger.info("b")
    a, b = (record[field] for record in kept.records)
    assert repr(a) == repr(b)


# ------------------------------------------------------------------------------------------------------------ time


@pytest.mark.covers("1.28")
def test_time_is_local_and_aware(logger: Any, kept: Kept) -> None:
    """The time is the call's, in the local zone, and knows its offset."""
    before = datetime.now(UTC)
    logger.info("said")
    after = datetime.now(UTC)
    time = kept.record["time"]
    slack = timedelta(milliseconds=20)
    assert before - slack <= time <= after + slack
    assert time.tzinfo is not None
    assert time.utcoffset() == datetime.now().astimezone().utcoffset()


@pytest.mark.covers("1.28")
def test_times_do_not_go_back(logger: Any, kept: Kept) -> None:
    """A later call has no earlier time, and no shorter elapsed time."""
    for _ in range(50):
        logger.info("said")
    times = [record["time"] for record in kept.records]
    elapsed = [record["elapsed"] for record in kept.records]
    assert times == sorted(times)
    assert elapsed == sorted(elapsed)
    assert (times[-1] - times[0]) == elapsed[-1] - elapsed[0]


@pytest.mark.covers("1.28")
def test_all_handlers_see_one_time(logger: Any) -> None:
    """All handlers get the same time."""
    sinks = [add(logger, format="{time:x}") for _ in range(3)]
    logger.info("said")
    assert len({sink.text for sink in sinks}) == 1


@pytest.mark.covers("1.29")
def test_time_formats_itself(logger: Any, kept: Kept) -> None:
    """The record's time formats by the documented tokens, outside of handlers too."""
    logger.info("said")
    time = kept.record["time"]
    assert format(time, "YYYY-MM-DD HH:mm:ss.SSSSSS") == time.strftime("%Y-%m-%d %H:%M:%S.%f")
    assert format(time, "%H:%M") == time.strftime("%H:%M")
    assert f"{time:YYYY}" == str(time.year)
    assert format(time, "") == f"{time}"


@pytest.mark.covers("1.29")
def test_time_is_a_datetime(logger: Any, kept: Kept) -> None:
    """It compares, subtracts, hashes, converts and pickles as a datetime."""
    logger.info("said")
    time = kept.record["time"]
    plain = datetime.fromisoformat(time.isoformat()).replace(tzinfo=time.tzinfo)
    assert time == plain
    assert hash(time) == hash(plain)
    assert time - plain == timedelta(0)
    assert time.isoformat() == plain.isoformat()
    assert str(time) == str(plain)
    assert time.timestamp() == plain.timestamp()
    assert time.astimezone(UTC) == plain
    assert pickle.loads(pickle.dumps(time)) == plain
    assert time + timedelta(days=1) == plain + timedelta(days=1)


@pytest.mark.covers("1.28")
def test_elapsed_since_start(script: Script) -> None:
    """The elapsed time is counted from the start of the program, more or less."""
    result = script("""
        import sys, time
        started = time.monotonic()
        from PACKAGE import logger
        logger.remove()
        logger.add(lambda message: print(message.record["elapsed"].total_seconds()))
        logger.info("said")
        logger.info("said")
        print(time.monotonic() - started)
    """)
    first, second, whole = map(float, result.stdout.split())
    assert 0 <= first <= second <= whole + 5


@pytest.mark.covers("1.28")
@pytest.mark.parametrize(
    ("zone", "offset", "name"),
    [("UTC", "+00:00", "UTC"), ("Asia/Kolkata", "+05:30", "IST"), ("Etc/GMT+7", "-07:00", "-07")],
)
def test_time_zone(script: Script, zone: str, offset: str, name: str) -> None:
    """The local zone is the environment's."""
    result = script(
        """
        import sys
        from PACKAGE import logger
        logger.remove()
        logger.add(sys.stdout, format="{time:Z zz}|{time:Z!UTC}|{time}")
        logger.info("said")
        """,
        {"TZ": zone},
    )
    text, utc, iso = result.stdout.rstrip("\n").split("|")
    assert (text, utc) == (f"{offset} {name}", "+00:00")
    assert iso.endswith(offset.replace(":", ""))


# --------------------------------------------------------------------------------------------- threads and processes


@pytest.mark.covers("1.28")
def test_thread(logger: Any, kept: Kept) -> None:
    """A record names the thread of its call, as it is called then."""
    idents: list[int] = []

    def work() -> None:
        idents.append(threading.get_ident())
        logger.info("one")
        threading.current_thread().name = "renamed"
        logger.info("two")

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    thread.join()
    assert [(r["thread"].id, r["thread"].name) for r in kept.records] == [(idents[0], "worker"), (idents[0], "renamed")]


@pytest.mark.covers("1.28")
def test_process(script: Script) -> None:
    """A record names the process of its call, as it is called then."""
    result = script("""
        import multiprocessing, os, sys
        from PACKAGE import logger
        logger.remove()
        logger.add(sys.stdout, format="{process.name} {process.id} {message}")

        def work():
            logger.info("child")
            assert multiprocessing.current_process().name == "worker"
            os._exit(0) if sys.stdout.flush() else None

        if __name__ == "__main__":
            logger.info("{}", os.getpid())
            process = multiprocessing.get_context("fork").Process(target=work, name="worker")
            process.start()
            process.join()
            print(process.pid)
            multiprocessing.current_process().name = "renamed"
            logger.info("main")
    """)
    first, child, pid, renamed = result.stdout.splitlines()
    name, number, message = first.split()
    assert (name, number) == ("MainProcess", message)
    assert child == f"worker {pid} child"
    assert renamed == f"renamed {number} main"


@pytest.mark.covers("1.28")
def test_tasks_run_in_their_thread(logger: Any, kept: Kept) -> None:
    """Tasks are in the thread of their loop."""

    async def work() -> None:
        logger.info("said")

    asyncio.run(work())
    assert kept.record["thread"].name == "MainThread"


# ----------------------------------------------------------------------------------------------------------- places


@pytest.mark.covers("1.28")
@pytest.mark.parametrize(
    ("filename", "name", "module"),
    [
        ("/a/b/file.py", "file.py", "file"),
        ("file.py", "file.py", "file"),
        ("/a/b/no_extension", "no_extension", "no_extension"),
        ("/a/b/two.dots.py", "two.dots.py", "two.dots"),
        ("<string>", "<string>", "<string>"),
        ("<stdin>", "<stdin>", "<stdin>"),
        ("/a/.hidden", ".hidden", ".hidden"),
        ("/a b/é.py", "é.py", "é"),
        ("/a/b/", "", ""),
        ("", "", ""),
    ],
)
def test_file_and_module(logger: Any, kept: Kept, filename: str, name: str, module: str) -> None:
    """The file's name is its path's last part, the module's name the same without its extension."""
    exec(compile("logger.info('said')", filename, "exec"), {"logger": logger, "__name__": "any"})
    record = kept.record
    assert (record["file"].name, record["file"].path, record["module"]) == (name, filename, module)


@pytest.mark.covers("1.28")
@pytest.mark.parametrize("name", ["", "a", "a.b", "é", "<any>"])
def test_name(logger: Any, kept: Kept, name: str) -> None:
    """The name is what __name__ is."""
    run_as(name, "logger.info('said')", logger=logger)
    assert kept.record["name"] == name


@pytest.mark.covers("1.28")
def test_same_record_for_all(logger: Any) -> None:
    """All handlers get the same dict: what one sink writes into it, the next ones see."""
    logger.add(lambda message: message.record.update(own=1))
    kept = add(logger, format="{own}")
    logger.info("said")
    assert kept.text == "1\n"


@pytest.mark.covers("1.28")
def test_each_call_has_its_own(logger: Any, kept: Kept) -> None:
    """Records of two calls share neither the dict nor extra."""
    for _ in range(2):
        logger.info("said")
    assert kept.records[0] is not kept.records[1]
    assert kept.records[0]["extra"] is not kept.records[1]["extra"]


@pytest.mark.covers("1.28")
def test_records_are_kept(logger: Any) -> None:
    """A message kept by a sink has its record for ever."""
    messages: list[Any] = []
    number = logger.add(messages.append, format="{message}")
    for n in range(100):
        logger.bind(n=n).info("{}", n)
    logger.remove(number)
    assert [message.record["extra"]["n"] for message in messages] == list(range(100))
    assert [message.record["message"] for message in messages] == [str(n) for n in range(100)]

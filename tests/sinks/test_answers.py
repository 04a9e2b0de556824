"""The memory in which a child finds that what it asked for is done."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from pathlib import Path

import pytest

from otelbridge.sinks.answers import NAME_SIZE, Answers

pytestmark = pytest.mark.covers("1.17")


def name(number: int) -> bytes:
    return number.to_bytes(NAME_SIZE, "big")


def descriptors() -> int:
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def test_only_what_was_answered() -> None:
    """
    A name is found when it was answered, not before, whatever the count of written messages is.
    """
    answers = Answers()
    answers.progress(2**64 - 1)

    before = [answers.has(name(1)), answers.has(b"\xff" * NAME_SIZE)]
    answers.answer(name(1))

    assert before == [False, False]
    assert answers.has(name(1))
    assert not answers.has(name(2))


def test_old_answers_make_room() -> None:
    """
    However many are answered, the last thousand are found.
    """
    answers = Answers()
    for number in range(1, 10_001):
        answers.answer(name(number))

    assert all(answers.has(name(number)) for number in range(9_001, 10_001))
    assert not answers.has(name(1))


def test_wait_goes_on_while_something_happens() -> None:
    """
    Who waits gives up when the count of written messages stands still, not while it grows.
    """
    answers = Answers()
    looks = 0

    def is_read() -> bool:
        nonlocal looks
        looks += 1
        answers.progress(looks)
        if looks == 30:
            answers.answer(name(1))
        return True

    assert answers.wait(name(1), is_read, stuck_s=0)
    assert not answers.wait(name(2), lambda: True, stuck_s=0)


def test_last_look() -> None:
    """
    An answer that was given before the parent went is found.
    """
    answers = Answers()

    def goes() -> bool:
        answers.answer(name(1))
        return False

    assert answers.wait(name(1), goes, stuck_s=3600)
    assert not answers.wait(name(2), lambda: False, stuck_s=3600)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="open descriptors are counted in /proc")
@pytest.mark.parametrize("has_memory", [True, False])
def test_no_descriptor_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, has_memory: bool) -> None:
    """
    Neither memory nor, where the system has none to share, a file stays open or behind.
    """
    if not has_memory:
        monkeypatch.delattr(os, "memfd_create")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = descriptors()

    answers = Answers()
    answers.answer(name(1))
    found = answers.has(name(1))
    del answers

    assert found
    assert descriptors() <= before  # of others some may have been collected meanwhile
    assert not list(tmp_path.iterdir())

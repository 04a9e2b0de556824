"""Fetching Kafka's broker."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tools import kafka
from tools.progress import ToolError


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of ours with nothing in it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_missing_programs_are_one_sentence(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Without Java and Maven one sentence names both and the packages that bring them, before anything is fetched.
    """
    monkeypatch.setenv("PATH", str(empty_cache))

    with pytest.raises(
        ToolError, match=r"^Kafka needs java and mvn, .* apt install default-jre-headless maven"
    ) as caught:
        kafka.fetch()

    assert "\n" not in str(caught.value)
    assert not kafka.libraries().exists()


@pytest.mark.skipif(os.name != "posix", reason="the failing programs are shell scripts")
def test_failed_fetch_leaves_nothing(empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A fetch that ends in the middle says why, and leaves no folder that looks fetched.
    """
    shell = shutil.which("sh")
    for name in ("java", "mvn"):
        script = tmp_path / name
        script.write_text(f"#!{shell}\n/bin/mkdir -p libs\necho '[ERROR] the line was cut'\nexit 1\n", "utf-8")
        script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ToolError, match="the line was cut"):
        kafka.fetch()

    assert not kafka.libraries().exists()


def test_other_version_lies_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Other jars than today's are fetched anew.
    """
    before = kafka.libraries()

    monkeypatch.setattr(kafka, "POM", kafka.POM.replace("1.7.36", "2.0.0"))

    assert kafka.libraries() != before
